"""Which Pendo, and with which keys: arguments, then the environment, then `.env`."""

from __future__ import annotations

import os
from collections.abc import Callable
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

from dotenv import dotenv_values

from pendosync.errors import SettingsError
from pendosync.regions import API_PACE, DATA_PACE, MASK, REGIONS, Pace, Target, hosts_of

N = TypeVar("N", int, float)

_WHERE: Final = {
    "integration_key": (
        "the integration key",
        "PENDO_INTEGRATION_KEY",
        "Settings > Integrations > Integration keys (tick 'Allow write access' to push)",
    ),
    "app_key": (
        "the app API key",
        "PENDO_APP_KEY",
        "Settings > Subscription settings > your app > App details, as 'API key'",
    ),
    "track_secret": (
        "the track event shared secret",
        "PENDO_TRACK_SECRET",
        "Settings > Subscription settings > your app > App details, as 'Track event shared secret'",
    ),
}


class Secret:
    """A text that shows itself nowhere: not in a repr, an f-string, a pickle or a traceback.

    Example:
        >>> Secret("abc")
        Secret(***)
        >>> f"{Secret('abc')}"
        '***'
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself. Only transports call this."""
        return self._text

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise SettingsError(
            "A secret can't be pickled for another process. Expected each process to read its own "
            "settings. Hint: call Settings.from_env() there."
        )


@dataclass(frozen=True)
class Settings:
    """One Pendo subscription: its region, the three secrets, and the pace of each host.

    Each secret is optional; a call that needs one which is missing says so, and where in Pendo it is found.

    Args:
        region: one of `us`, `us1`, `eu`, `jpn`, `au`.
        integration_key: for `/api/v1/*`, in a header. Read-only unless write access was ticked in Pendo.
        app_key: for the webhook and the browser agent, in the URL.
        track_secret: for `/data/track` only, in a header.
        api_url, data_url: base URLs in place of the region's own; plain HTTP only to this machine.
        api_pace, data_pace: requests per second and in flight, and rows per second, per host.
        access: `read`, or `write` to push: whoever only looks can't write by mistake. The sandbox's are `write`.

    Raises:
        SettingsError: an unknown region or access, an empty secret, or a URL that isn't HTTPS and isn't on loopback.

    Example:
        >>> Settings(region="eu", integration_key="abc")
        Settings(region='eu', integration_key=***, api_url='https://app.eu.pendo.io')
    """

    region: str = "us"
    integration_key: Secret | str | None = None
    app_key: Secret | str | None = None
    track_secret: Secret | str | None = None
    api_url: str | None = None
    data_url: str | None = None
    api_pace: Pace = field(default=API_PACE)
    data_pace: Pace = field(default=DATA_PACE)
    access: Literal["read", "write"] = "read"

    def __post_init__(self) -> None:
        hosts = hosts_of(self.region)
        if self.access not in ("read", "write"):
            raise SettingsError.bad_value("access", self.access, "'read' or 'write'")
        for name in _WHERE:
            object.__setattr__(self, name, _as_secret(name, getattr(self, name)))
        for name, host in (("api_url", hosts.api), ("data_url", hosts.data)):
            object.__setattr__(self, name, _checked_url(name, getattr(self, name) or f"https://{host}"))

    @classmethod
    def from_env(cls, path: str | Path | None = None) -> Settings:
        """Return the settings that the environment and `.env` hold; the environment wins.

        Never changes the environment. Without *path*, `.env` is searched from the working directory upward.
        A limit of the pace that is `none` is unlimited; one that is left out is the careful default.

        Args:
            path: a `.env` file of your own.

        Raises:
            SettingsError: *path* does not exist, or a value is malformed.
        """
        values = _read_env(path)
        return cls(
            region=values.get("PENDO_REGION") or "us",
            integration_key=values.get("PENDO_INTEGRATION_KEY") or None,
            app_key=values.get("PENDO_APP_KEY") or None,
            track_secret=values.get("PENDO_TRACK_SECRET") or None,
            api_url=values.get("PENDO_API_URL") or None,
            data_url=values.get("PENDO_DATA_URL") or None,
            api_pace=_pace(values, "PENDO_API", API_PACE),
            data_pace=_pace(values, "PENDO_DATA", DATA_PACE),
            access=values.get("PENDO_ACCESS") or "read",  # type: ignore[arg-type]  # checked below
        )

    @property
    def target(self) -> Target:
        """The place these settings point to, with the pace of each host; holds no key."""
        assert self.api_url is not None
        assert self.data_url is not None
        return Target(self.region, self.api_url, self.data_url, self.api_pace, self.data_pace)

    def ensure_write(self) -> None:
        """Return nothing where these settings may push.

        Raises:
            SettingsError: their access is `read`.
        """
        if self.access != "write":
            raise SettingsError(
                f"These settings may not write to {self.target}: their access is 'read', so that nothing is pushed by "
                f"mistake. Expected access 'write'. Hint: Settings(…, access='write'), or PENDO_ACCESS=write in .env."
            )

    def secret(self, name: str) -> Secret:
        """Return the secret called *name*.

        Raises:
            SettingsError: it is not set; the message says where in Pendo it is found.
        """
        value = getattr(self, name)
        if isinstance(value, Secret):
            return value
        what, variable, where = _WHERE[name]
        raise SettingsError.missing_secret(what, argument=name, variable=variable, where=where)

    def __repr__(self) -> str:
        secrets = "".join(f", {name}={MASK}" for name in _WHERE if getattr(self, name) is not None)
        access = ", access='write'" if self.access == "write" else ""
        return f"Settings(region={self.region!r}{secrets}, api_url={self.api_url!r}{access})"


def find_env_file(start: Path | None = None) -> Path | None:
    """Return the nearest `.env` at or above *start* (the working directory), or None."""
    here = (start or Path.cwd()).resolve()
    return next((folder / ".env" for folder in (here, *here.parents) if (folder / ".env").is_file()), None)


def _read_env(path: str | Path | None) -> dict[str, str | None]:
    found = Path(path) if path is not None else find_env_file()
    if path is not None and found is not None and not found.is_file():
        raise SettingsError(
            f"There is no file {str(path)!r}. Expected a .env file. Hint: copy .env.example to .env, or leave "
            f"the path out to search from the working directory upward."
        )
    from_file = dotenv_values(found) if found is not None else {}
    return {**from_file, **os.environ}


def _as_secret(name: str, value: Secret | str | None) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    text = value.strip() if isinstance(value, str) else ""
    if not text or any(ord(letter) < 33 or ord(letter) > 126 for letter in text):
        what, variable, _ = _WHERE[name]
        raise SettingsError(
            f"{what} is set but is no key: empty, or with blanks or characters that no key has. "
            f"Expected the text as Pendo shows it. Hint: copy it again into {variable}."
        )
    return Secret(text)


def _checked_url(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    local = host in ("127.0.0.1", "::1", "localhost")
    if host and not parts.username and (parts.scheme == "https" or (parts.scheme == "http" and local)):
        return url.rstrip("/")
    raise SettingsError(
        f"{name} is no address that a key may be sent to. Expected https://…, or http:// on this machine only. "
        f"Hint: leave {name} out to use the region's own host ({', '.join(REGIONS)})."
    )


def _pace(values: AbstractMapping[str, str | None], prefix: str, default: Pace) -> Pace:
    return Pace(
        max_per_second=_limit(values, f"{prefix}_MAX_PER_SECOND", float, default.max_per_second),
        max_at_once=_limit(values, f"{prefix}_MAX_AT_ONCE", int, default.max_at_once),
        max_rows_per_second=_limit(
            values, f"{prefix}_MAX_ROWS_PER_SECOND", float, default.max_rows_per_second
        ),
    )


def _limit(
    values: AbstractMapping[str, str | None], name: str, kind: Callable[[str], N], default: N | None
) -> N | None:
    """Return the number of that name; `none` is no limit, and nothing the default."""
    text = (values.get(name) or "").strip()
    if not text or text.lower() == "none":
        return None if text else default
    try:
        return kind(text)
    except ValueError:
        raise SettingsError.bad_value(name, text, "a number, or 'none' for no limit") from None
