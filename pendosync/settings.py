"""Which Pendo, and with which keys: arguments, then the environment, then `.env`."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from pendosync.env import flag_of, pace_of, read_env
from pendosync.errors import SettingsError
from pendosync.keys import WHERE, Secret
from pendosync.regions import API_PACE, DATA_PACE, MASK, REGIONS, Pace, Target, hosts_of
from pendosync.reports import Grid, Heads, Report, Signed, report_html

_USED_FOR: Final = {
    "integration_key": "reading and writing metadata",
    "app_key": "Segment's webhook, the browser snippet",
    "track_secret": "track events",
}
_SECRET_COLUMNS: Final[Heads] = (
    ("secret", ""), ("", ""), ("used for", ""), ("where it is found", "words"),
)  # fmt: skip
_READS_ONLY: Final = "read only; Settings(…, access='write') or PENDO_ACCESS=write lets them push"

_NO_AGENT_HINT: Final = "Settings(…, agent_url='https://…') or PENDO_AGENT_URL names one"


@dataclass(frozen=True, init=False)
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
        agent_url: where a browser loads Pendo's agent from, in place of the region's CDN: a URL, or the bare host name
            of a subscription that has one of its own (Segment's "CNAME content host"). Region `au` has no known CDN.
        user_traits_on_load: a browser's `initialize` carries the visitor's traits; else an `identify` after it.
        group_on_load: a browser's `initialize` carries the account and its traits; else an `identify` after it.
        account_trait: the trait that holds the account's id in a browser: of the account, in place of its own id; of the
            visitor, where there is no account.

    Raises:
        SettingsError: an unknown region or access, an empty secret, or a URL that isn't HTTPS and isn't on loopback.

    Source: the settings of Segment's Pendo destination, in Segment's public docs, read 2026-11-26.

    Example:
        >>> Settings(region="eu", integration_key="abc")
        Settings(region='eu', integration_key=***, api_url='https://app.eu.pendo.io')
    """

    region: str
    integration_key: Secret | None
    app_key: Secret | None
    track_secret: Secret | None
    api_url: str
    data_url: str
    api_pace: Pace
    data_pace: Pace
    access: Literal["read", "write"]
    agent_url: str | None
    user_traits_on_load: bool
    group_on_load: bool
    account_trait: str | None

    def __init__(
        self,
        region: str = "us",
        integration_key: Secret | str | None = None,
        app_key: Secret | str | None = None,
        track_secret: Secret | str | None = None,
        api_url: str | None = None,
        data_url: str | None = None,
        api_pace: Pace = API_PACE,
        data_pace: Pace = DATA_PACE,
        access: Literal["read", "write"] = "read",
        agent_url: str | None = None,
        user_traits_on_load: bool = True,
        group_on_load: bool = True,
        account_trait: str | None = None,
    ) -> None:
        # Before anything can fail, as a traceback may show the arguments; a dataclass's own __init__ keeps them as texts.
        integration_key, app_key, track_secret = map(_hidden, (integration_key, app_key, track_secret))
        hosts = hosts_of(region)
        if access not in ("read", "write"):
            raise SettingsError.bad_value("access", access, "'read' or 'write'")
        values = {
            "region": region,
            "integration_key": _ensured_key("integration_key", integration_key),
            "app_key": _ensured_key("app_key", app_key),
            "track_secret": _ensured_key("track_secret", track_secret),
            "api_url": _ensured_url("api_url", api_url or f"https://{hosts.api}"),
            "data_url": _ensured_url("data_url", data_url or f"https://{hosts.data}"),
            "api_pace": api_pace,
            "data_pace": data_pace,
            "access": access,
            "agent_url": _agent_url(agent_url, hosts.agent),
            "user_traits_on_load": _ensured_flag("user_traits_on_load", user_traits_on_load),
            "group_on_load": _ensured_flag("group_on_load", group_on_load),
            "account_trait": _ensured_trait(account_trait),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_env(cls, path: str | Path | None = None) -> Settings:
        """Return the settings that the environment and `.env` hold; the environment wins.

        Never changes the environment. Without *path*, `.env` is searched from the working directory upward.
        A limit of the pace that is `none` is unlimited; one that is left out is the careful default.

        Args:
            path: a `.env` file of your own.

        Raises:
            SettingsError: *path* does not exist or can't be read, or a value is malformed.
        """
        values, keys = read_env(path)
        return cls(
            region=values.get("PENDO_REGION") or "us",
            **keys,
            api_url=values.get("PENDO_API_URL") or None,
            data_url=values.get("PENDO_DATA_URL") or None,
            api_pace=pace_of(values, "PENDO_API", API_PACE),
            data_pace=pace_of(values, "PENDO_DATA", DATA_PACE),
            access=values.get("PENDO_ACCESS") or "read",  # type: ignore[arg-type]  # checked below
            agent_url=values.get("PENDO_AGENT_URL") or None,
            user_traits_on_load=flag_of(values, "PENDO_USER_TRAITS_ON_LOAD"),
            group_on_load=flag_of(values, "PENDO_GROUP_ON_LOAD"),
            account_trait=values.get("PENDO_ACCOUNT_TRAIT") or None,
        )

    @property
    def target(self) -> Target:
        """The place these settings point to, with the pace of each host; holds no key."""
        return Target(self.region, self.api_url, self.data_url, self.api_pace, self.data_pace)

    @property
    def agent_base(self) -> str:
        """The base URL that a browser loads Pendo's agent from.

        Raises:
            SettingsError: none is known for this region.
        """
        if self.agent_url is None:
            raise SettingsError(
                f"No host is known that a browser in region {self.region!r} loads Pendo's agent from. Expected one to be "
                f"named. Hint: {_NO_AGENT_HINT}, as your app's install snippet in Pendo shows it."
            )
        return self.agent_url

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
        what, variable, where = WHERE[name]
        raise SettingsError.missing_secret(what, argument=name, variable=variable, where=where)

    def __repr__(self) -> str:
        held = vars(self)  # empty while a traceback looks at one whose arguments were refused
        secrets = "".join(f", {name}={MASK}" for name in WHERE if held.get(name) is not None)
        access = ", access='write'" if held.get("access") == "write" else ""
        return f"Settings(region={held.get('region')!r}{secrets}, api_url={held.get('api_url')!r}{access})"

    def _repr_html_(self) -> str:
        held = vars(self)  # empty while a traceback looks at one whose arguments were refused
        grid = Grid(_SECRET_COLUMNS, [_secret_row(name, held.get(name) is not None) for name in WHERE])
        facts = [
            ("access", "write: these settings may push" if held.get("access") == "write" else _READS_ONLY),
            ("API host", f"{held.get('api_url')}, {held.get('api_pace')}"),
            ("data host", f"{held.get('data_url')}, {held.get('data_pace')}"),
            ("browser agent", held.get("agent_url") or f"no known host in this region; {_NO_AGENT_HINT}"),
            ("on page load", _on_load(held)),
        ]
        return report_html(Report(f"Settings: region {held.get('region')}", facts, (grid,)))


def _on_load(held: AbstractMapping[str, Any]) -> str:
    """Return what a browser tells at the start, and what it is told later."""
    first = ["visitor with traits" if held.get("user_traits_on_load") else "visitor's id, traits after it"]
    first.append("account" if held.get("group_on_load") else "account after it")
    trait = held.get("account_trait")
    return ", ".join([*first, *([f"account's id from trait {trait!r}"] if trait else [])])


def _secret_row(name: str, is_set: bool) -> tuple[str, ...]:
    """Return whether the secret is set, what it is for, and where it is found; no character of it is read."""
    what, variable, where = WHERE[name]
    state = Signed(f"✓ {MASK}") if is_set else "not set"
    return (
        what.removeprefix("the "),
        state,
        _USED_FOR[name],
        "" if is_set else f"{variable}; in Pendo: {where}",
    )


def _hidden(value: object) -> Secret | None:
    if value is None or isinstance(value, Secret):
        return value
    return Secret(value if isinstance(value, str) else "")


def _ensured_key(name: str, secret: Secret | None) -> Secret | None:
    if secret is None or secret.is_key:
        return secret
    what, variable, _ = WHERE[name]
    raise SettingsError(
        f"{what} is set but is no key: empty, or with blanks or characters that no key has. "
        f"Expected the text as Pendo shows it. Hint: copy it again into {variable}."
    )


def _ensured_url(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    is_plain = url.isprintable() and not any(mark in url for mark in " \\@?#")
    is_local = parts.scheme == "http" and host in ("127.0.0.1", "::1", "localhost")
    if host and is_plain and (parts.scheme == "https" or is_local):
        return url.rstrip("/")
    raise SettingsError(
        f"{name} is no address that a key may be sent to. Expected https://…, or http:// on this machine only. "
        f"Hint: leave {name} out to use the region's own host ({', '.join(REGIONS)})."
    )


def _agent_url(url: str | None, host: str | None) -> str | None:
    """Return where the agent is loaded from: *url*, which may be a bare host name, or else *host*; None is unknown."""
    given = url or host
    if given is None:
        return None
    return _ensured_url("agent_url", given if "://" in given else f"https://{given}")


def _ensured_flag(name: str, value: bool) -> bool:
    if isinstance(value, bool):
        return value
    raise SettingsError.bad_value(name, value, "True or False")


def _ensured_trait(name: str | None) -> str | None:
    if name is None or (isinstance(name, str) and name.strip()):
        return name
    raise SettingsError.bad_value("account_trait", name, "the name of a trait, or None")
