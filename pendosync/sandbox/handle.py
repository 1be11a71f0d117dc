"""`open_sandbox`: start an embedded Pendo in its own process, and hold it by its side door."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote, urlencode

from pendosync.errors import SandboxError
from pendosync.regions import Pace, hosts_of
from pendosync.sandbox.keys import ADDRESS, KEYS, TOKEN_HEADER
from pendosync.sandbox.launch import find_running, start_server
from pendosync.sandbox.state import Place

if TYPE_CHECKING:
    from pendosync.settings import Settings

SANDBOX_PACE: Final = Pace(max_per_second=None, max_at_once=8)
"""A sandbox has no neighbours: as fast as it answers."""

_ANSWER_S: Final = 60.0
_CLOSE_S: Final = 60.0


def open_sandbox(
    *,
    region: str = "us",
    state: str | os.PathLike[str] | None = None,
    port: int | None = None,
    seed: int = 0,
    visitors: int = 200,
    switches: Mapping[str, Any] | None = None,
    api_pace: Pace = SANDBOX_PACE,
    data_pace: Pace = SANDBOX_PACE,
    keep_mb: int = 256,
) -> Sandbox:
    """Start an embedded Pendo on this machine and return its handle.

    A real HTTP server on 127.0.0.1 in a process of its own, which ends with the process that opened it, however
    that ends. With *state* its contents outlive it, and whoever opens the same file while it runs gets the
    running one.

    Args:
        region: the region that `settings` points to, and the one that is populated; the others are empty.
        state: file that keeps the contents; saved after changes and at the end, whole or not at all.
        port: a port of your own; None takes a free one.
        seed: another seed, other people. A state file that exists wins.
        visitors: how many; a million take some seconds.
        switches: readings of what is uncertain about Pendo, as `Sandbox.switch` takes them.
        api_pace, data_pace: what `settings` asks of the client; unlimited, 8 in flight.
        keep_mb: bodies of received requests kept, in MB (10^6 bytes); the oldest are dropped beyond.

    Raises:
        SandboxError: it can't start: port taken, state file unreadable or kept by another, unknown switch.
        SettingsError: no such region.

    Example:
        >>> with open_sandbox() as sandbox:
        ...     sandbox.values("visitor", "custom")["u-0005"]["seats"]
        '5'
    """
    hosts_of(region)
    path = None if state is None else Path(state).resolve()
    place, process = find_running(path, port), None
    if place is None:
        options = {
            "region": region,
            "port": port or 0,
            "seed": seed,
            "visitors": visitors,
            "keep-mb": keep_mb,
        }
        place, process = start_server(options, path, switches)
    sandbox = Sandbox(place, process, region=region, api_pace=api_pace, data_pace=data_pace)
    if process is None and switches:
        sandbox.switch(**switches)
    return sandbox


class Sandbox:
    """A running embedded Pendo. `close()` ends it; so does the end of the process that opened it.

    A handle that found a running sandbox by its state file only lets go of it.
    """

    def __init__(
        self,
        place: Place,
        process: subprocess.Popen[str] | None,
        *,
        region: str,
        api_pace: Pace,
        data_pace: Pace,
    ) -> None:
        self._place = place
        self._process = process
        self._region = region
        self._paces = (api_pace, data_pace)
        self._opener = os.getpid()
        self._leash: HTTPConnection | None = HTTPConnection(ADDRESS, place.port)
        self._leash.request("GET", "/_sandbox/leash", headers={TOKEN_HEADER: place.token})
        atexit.register(self.close)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._place.port

    @property
    def url(self) -> str:
        """The base URL of the region it was opened for."""
        return self.url_of(self._region)

    def url_of(self, region: str) -> str:
        """Return the base URL that stands for both hosts of *region*."""
        hosts_of(region)
        return f"http://{ADDRESS}:{self.port}/{region}"

    @property
    def settings(self) -> Settings:
        """The settings that reach it, with all three secrets."""
        return self.settings_for(self._region)

    def settings_for(self, region: str, *, read_only: bool = False) -> Settings:
        """Return the settings of another region's subscription, or with a key that may only read.

        Raises:
            SettingsError: no such region.
        """
        from pendosync.settings import Settings

        url, keys, (api_pace, data_pace) = self.url_of(region), KEYS[region], self._paces
        return Settings(
            region=region,
            integration_key=keys.read_only_key if read_only else keys.integration_key,
            app_key=keys.app_key,
            track_secret=keys.track_secret,
            api_url=url,
            data_url=url,
            agent_url=url,
            api_pace=api_pace,
            data_pace=data_pace,
            access="write",
        )

    def requests(self, since: int = 0) -> list[dict[str, Any]]:
        """Return the requests received after number *since*, in the order of their coming.

        Each has `n`, `at_s` (epoch seconds), `method`, `path` (with its query, without the region, the app key
        masked), `region`, `status` (None where the connection was cut), `body` (text as received), `bytes`
        and `notes`. The latest 20,000 are kept, and of their bodies the latest 256 MB: older bodies are None.
        """
        found: list[dict[str, Any]] = []
        while page := self._ask("GET", "/requests", since=found[-1]["n"] if found else since):
            found.extend(page)
        return found

    def forget_requests(self) -> None:
        """Forget the requests received, and what `writes` counts; the numbers go on."""
        self._ask("DELETE", "/requests")

    def writes(self, kind: str, *, region: str | None = None) -> dict[str, int]:
        """Return how often each id came in a bulk write or a webhook message that was carried out.

        Whatever became of its record, and whether or not the client saw the answer; a request that was refused
        as a whole counts nothing. Counted since the last `reset()` or `forget_requests()`, without the bounds
        that `requests()` has. Ids stand as they were sent.
        """
        found: dict[str, int] = self._ask("GET", f"/writes/{self._place_of(kind, region)}")
        return found

    def values(self, kind: str, group: str | None = None, *, region: str | None = None) -> dict[str, Any]:
        """Return what is held, whatever reads may show under lag: id → group → field → raw JSON value.

        With *group*: id → field → value, of every id. Times are epoch milliseconds.
        """
        held = self._values(kind, region)
        if group is None:
            return dict(held)
        return {id_: groups.get(group, {}) for id_, groups in held}

    def digest(self, kind: str, group: str | None = None, *, region: str | None = None) -> str:
        """Return the SHA-256 of what is held: the same as long as `values(kind, group)` is the same JSON.

        Computed where the values are. A group without values counts as none.

        Cost: about 0.1 s for 20,000 visitors.
        """
        options = {} if group is None else {"group": group}
        told: str = self._ask("GET", f"/digest/{self._place_of(kind, region)}", **options)
        return told

    def fields(self, kind: str, *, region: str | None = None) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the fields of *kind*, deleted ones too: group → field → what is known of it."""
        found: dict[str, dict[str, dict[str, Any]]] = self._ask(
            "GET", f"/fields/{self._place_of(kind, region)}"
        )
        return found

    def events(self, *, region: str | None = None) -> list[dict[str, Any]]:
        """Return the events received, each with its `route`, `processed` and, where it is not, `why`.

        Track events, and what a browser notes: route `browser`, event `page` or `click`.
        """
        found: list[dict[str, Any]] = self._ask("GET", f"/events/{region or self._region}")
        return found

    def audiences(self, *, region: str | None = None) -> dict[str, dict[str, Any]]:
        """Return the audiences: segment id → `name` and `visitors`."""
        found: dict[str, dict[str, Any]] = self._ask("GET", f"/audiences/{region or self._region}")
        return found

    def misbehave(
        self,
        fault: str,
        *,
        times: int | Literal["usual"] | None = "usual",
        after: int = 0,
        path: str | None = None,
        method: str | None = None,
        share: float = 1.0,
        seed: int = 0,
        **options: Any,
    ) -> None:
        """Ask for a fault; several wait in the order in which they were asked for.

        `latency(seconds, when)` · `stall(seconds, when)` · `status(status, text, retry_after, as_date, location,
        carry_out)` · `cut(when, reset)` · `body(text, status, carry_out)` · `wrap(encoding, interim, broken)` ·
        `fail_records(ids or count, named)` · `counts(total, updated, failed)` · `names(missing, errors,
        counted)` · `lag(seconds)` · `rate_limit(max_per_second, retry_after, as_date)`. docs/sandbox.md tells
        each.

        Args:
            fault: its name.
            times: how many requests it befalls; None until `behave()`. Usual is 1, and None for `lag` and
                `rate_limit`.
            after: matching requests that pass unharmed before.
            path: only requests whose path begins so, as `requests()` shows it.
            method: only requests of this method.
            share: of the requests that it could befall, only this share, drawn by lot.
            seed: another seed, other lots; with the same one the same fault befalls the same of the requests, by
                the order of their coming.
            options: what the fault takes.

        Raises:
            SandboxError: no such fault or option.

        Example:
            >>> with open_sandbox() as sandbox:
            ...     sandbox.misbehave("status", status=503, retry_after=2, times=3)
            ...     len(sandbox.faults())
            1
        """
        which = {"times": times, "after": after, "path": path, "method": method, "share": share, "seed": seed}
        self._ask("POST", "/faults", {**options, **which, "name": fault})

    def faults(self) -> list[dict[str, Any]]:
        """Return the faults that are still to come."""
        found: list[dict[str, Any]] = self._ask("GET", "/faults")
        return found

    def behave(self) -> None:
        """End all faults; what lag still hides can be read."""
        self._ask("DELETE", "/faults")

    def switch(self, **readings: Any) -> dict[str, Any]:
        """Choose readings of what is uncertain about Pendo; return how all switches stand.

        Raises:
            SandboxError: no such switch, or no such reading; the message lists them.
        """
        standing: dict[str, Any] = self._ask("PATCH", "/switches", readings)
        return standing

    def reset(self) -> None:
        """Go back to the seeds: contents, the switches of the start, no faults, no requests."""
        self._ask("POST", "/reset", {})

    def close(self) -> None:
        """End the sandbox, or let go of one that another process opened. Can be called twice."""
        if self._leash is None or os.getpid() != self._opener:  # a forked child must not end its parent's
            return
        atexit.unregister(self.close)
        if self._process is not None:
            self._end(self._process)
        self._leash.close()
        self._leash = None

    def _end(self, process: subprocess.Popen[str]) -> None:
        try:
            self._ask("POST", "/close", {})
            process.wait(_CLOSE_S)
        except (SandboxError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Sandbox({self.url!r}{', closed' if self._leash is None else ''})"

    def _values(self, kind: str, region: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
        path = f"/values/{self._place_of(kind, region)}"
        after: dict[str, str] = {}
        while page := self._ask("GET", path, **after):
            yield from page.items()
            after = {"after": list(page)[-1]}

    def _place_of(self, kind: str, region: str | None) -> str:
        return f"{region or self._region}/{quote(kind, safe='')}"

    def _ask(self, method: str, path: str, content: Any = None, **options: Any) -> Any:
        query = f"?{urlencode(options)}" if options else ""
        body = None if content is None else _encoded(content)
        with closing(HTTPConnection(ADDRESS, self.port, timeout=_ANSWER_S)) as connection:
            try:
                headers = {TOKEN_HEADER: self._place.token}
                connection.request(method, f"/_sandbox{path}{query}", body, headers)
                response = connection.getresponse()
                answer = response.read()
            except (OSError, HTTPException):
                raise _gone(self.port) from None
        told = json.loads(answer) if answer else {}
        if response.status != 200:
            raise SandboxError(told.get("error", f"The sandbox refused {method} {path} ({response.status})."))
        return told


def _encoded(content: Any) -> bytes:
    try:
        return json.dumps(content, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise SandboxError(
            f"This can't be told to the sandbox: {error}. Expected finite numbers, texts, True, False, None, and "
            f"lists of them. Hint: seconds=3600 for a wait without end, a list in place of a set."
        ) from None


def _gone(port: int) -> SandboxError:
    return SandboxError(
        f"The sandbox on port {port} does not answer. Expected it to run until close(). "
        f"Hint: open another with open_sandbox(); with state=… it goes on where that one ended."
    )
