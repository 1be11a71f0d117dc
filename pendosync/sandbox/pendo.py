"""Pendo as one process: a subscription per region, each with its keys and its contents."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from pendosync.regions import REGIONS, hosts_of
from pendosync.sandbox import agent, arrivals, audiences, metadata, reading
from pendosync.sandbox.call import Call
from pendosync.sandbox.exchange import Answer, Refusal, Request, Routes, json_answer
from pendosync.sandbox.faults import Faults
from pendosync.sandbox.keys import KEYS, Keys
from pendosync.sandbox.received import Entry, Received
from pendosync.sandbox.seeds import declare_fields, seed_store
from pendosync.sandbox.store import Store
from pendosync.sandbox.switches import Switches

_OWN: Final = Routes()
_READING_POSTS: Final = frozenset({"/api/v1/aggregation"})


@_OWN.at("GET", "/api/v1/token/verify")
def verify_token(call: Call) -> Answer:
    """Answer that the key is valid, and whether it may write."""
    may_write = not _is_read_only(call.request)
    return json_answer({"valid": True, "writeAccess": may_write})


_ROUTES: Final = Routes(
    _OWN, metadata.ROUTES, reading.ROUTES, arrivals.ROUTES, audiences.ROUTES, agent.ROUTES
)


class Pendo:
    """What stands behind the server: contents per region, switches, faults and the requests received.

    The region named at the start is populated; the others have the same fields and nobody in them.
    """

    def __init__(
        self,
        *,
        region: str = "us",
        seed: int = 0,
        visitors: int = 200,
        switches: Mapping[str, Any] | None = None,
        keep_mb: int = 256,
    ) -> None:
        hosts_of(region)
        self.region = region
        self.turns = 0
        self.token = secrets.token_urlsafe(24)
        self.received = Received(keep_mb * 1_000_000)
        self._seed, self._visitors, self._switches = seed, visitors, dict(switches or {})
        self.reset()

    def reset(self) -> None:
        """Go back to the seeds: contents, switches, no faults, no requests."""
        self.switches = Switches()
        self.switches.set(self._switches)
        self.faults = Faults()
        self.received.forget()
        self.stores = {region: Store() for region in REGIONS}
        for store in self.stores.values():
            declare_fields(store)
        seed_store(self.stores[self.region], seed=self._seed, visitors=self._visitors)
        self.turns += 1

    @property
    def changes(self) -> tuple[int, int]:
        """A mark that is another one after each change of contents or switches."""
        return self.turns, sum(store.changes for store in self.stores.values())

    def header(self) -> dict[str, Any]:
        """Return what a state file says first: how this was started, and the switches as they stand."""
        started = {"region": self.region, "seed": self._seed, "visitors": self._visitors}
        return {**started, "switches": self.switches.content()}

    def saved(self) -> Iterator[dict[str, Any]]:
        """Return the contents of every region, in pieces."""
        for region, store in self.stores.items():
            for piece in store.saved():
                yield {"region": region, **piece}

    def restore(self, pieces: Iterable[dict[str, Any]]) -> None:
        """Hold what `saved` gave, and nothing else."""
        self.stores = {region: Store() for region in REGIONS}
        for piece in pieces:
            self.stores[piece["region"]].restore(piece)

    def answer(self, request: Request, entry: Entry | None = None) -> Answer:
        """Carry *request* out and return the answer."""
        try:
            self._ensure_key(request)
            self._ensure_size(request)
            notes = entry.notes if entry else []
            writes = partial(self.received.writes, request.region)
            call = Call(request, self.stores[request.region], self.switches, self.faults, writes, notes)
            endpoint, names = _ROUTES.find(request.method, request.parts)
            return endpoint(call, **names)
        except Refusal as refusal:
            return refusal.answer

    def _ensure_key(self, request: Request) -> None:
        if request.region not in KEYS:
            raise Refusal(404, f"no such region; there are {', '.join(REGIONS)}")
        given, name = _given_key(request)
        if name == "integration_key" and _is_read_only(request):
            if request.method != "GET" and request.path not in _READING_POSTS:
                raise Refusal(self.switches.read_only_key_status)
            return
        if given == getattr(KEYS[request.region], name):
            return
        if request.path.startswith(agent.SCRIPT_FOLDER):
            raise Refusal(404)  # a CDN has no such file
        is_of_other = any(given in (getattr(keys, name), _read_only(keys, name)) for keys in KEYS.values())
        raise Refusal(self.switches.other_region_key_status if is_of_other else 403)

    def _ensure_size(self, request: Request) -> None:
        most = self.switches.max_body_mb
        if most is not None and len(request.body) > most * 1_000_000:
            raise Refusal(413)


def _given_key(request: Request) -> tuple[str, str]:
    """Return the key that came with *request*, and which of the three it should be."""
    header = request.headers.get("x-pendo-integration-key", "")
    match request.parts:
        case ("api", "v1", *_):
            return header, "integration_key"
        case ("data", "track"):
            return header, "track_secret"
        case ("data", "segmentio", key) | ("agent", "static", key, _) | ("agent", "received", key):
            return key, "app_key"
    raise Refusal(404, "no such call")


def _is_read_only(request: Request) -> bool:
    return request.headers.get("x-pendo-integration-key") == KEYS[request.region].read_only_key


def _read_only(keys: Keys, name: str) -> str:
    return keys.read_only_key if name == "integration_key" else getattr(keys, name)
