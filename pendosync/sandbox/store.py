"""What Pendo holds for one subscription: visitors, accounts, fields, audiences and events."""

from __future__ import annotations

import json
import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any, Final

from pendosync.sandbox.fields import CLEAR, KEEP, Field

KINDS: Final = ("visitor", "account", "parentAccount")
ANONYMOUS: Final = "_PENDO_T_"
"""How the id of a visitor begins who was never identified."""

_MOST_EVENTS: Final = 100_000
_CHUNK: Final = 10_000
_LONGEST_VISITOR_ID: Final = 128
_ENCODE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode

Groups = dict[str, dict[str, Any]]
"""Group → field → value, as held: raw JSON, times as epoch milliseconds."""


@dataclass(slots=True)
class Audience:
    """A Pendo segment that was uploaded: its members in the order of their coming."""

    name: str
    visitors: dict[str, None]

    def content(self) -> dict[str, Any]:
        """Return the name and the members."""
        return {"name": self.name, "visitors": list(self.visitors)}


@dataclass(frozen=True, slots=True)
class _Veil:
    until: float
    before: Groups | None


class Store:
    """One region's contents.

    Reading and holding differ only under lag: a written record keeps its earlier face until the veil lifts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.records: dict[str, dict[str, Groups]] = {kind: {} for kind in KINDS}
        self.schema: dict[str, dict[str, dict[str, Field]]] = {kind: {} for kind in KINDS}
        self.audiences: dict[str, Audience] = {}
        self.events: deque[dict[str, Any]] = deque(maxlen=_MOST_EVENTS)
        self.changes = 0
        self._clock = clock
        self._veils: dict[tuple[str, str], list[_Veil]] = {}
        self._orders: dict[tuple[str, bool, bool], list[str]] = {}

    def write(self, kind: str, id_: str, group: str, values: Mapping[str, Any], *, lag_s: float = 0) -> None:
        """Hold *values*; an id that was unknown is created. `CLEAR` takes a value away, `KEEP` leaves it."""
        record = self.records[kind].get(id_)
        if lag_s:
            self._veil(kind, id_, record, lag_s)
        if record is None:
            record = self.records[kind][id_] = {}
            self._orders.clear()
        held = record.get(group)
        if held is None:
            held = record[group] = {}
        for field, value in values.items():
            if value is CLEAR:
                held.pop(field, None)
            elif value is not KEEP:
                held[field] = value
        self.changes += 1

    def seen(self, kind: str, id_: str) -> Groups | None:
        """Return what a read shows of one id now, or None where it shows no such id."""
        veils = self._veils.get((kind, id_))
        if veils:
            now = self._clock()
            veils[:] = [veil for veil in veils if veil.until > now]
            if veils:
                return veils[0].before
            del self._veils[kind, id_]
        return self.records[kind].get(id_)

    def ids(self, kind: str, *, identified: bool, in_order: bool) -> list[str]:
        """Return the ids that a read shows, sorted by code point or as they came. Not to be changed."""
        ids = self._held_ids(kind, identified, in_order)
        return [id_ for id_ in ids if self.seen(kind, id_) is not None] if self._veils else ids

    def held_after(self, kind: str, after: str | None, most: int) -> dict[str, Groups]:
        """Return the next *most* records by id, as held, whatever reads may show."""
        ids = self._held_ids(kind, False, True)
        start = 0 if after is None else bisect_right(ids, after)
        return {id_: self.records[kind][id_] for id_ in ids[start : start + most]}

    def digest(self, kind: str, group: str | None) -> str:
        """Return the SHA-256 of what is held, id by id: of one group, or of all that are not empty.

        Cost: about 4 µs a record.
        """
        known = sha256()
        for id_ in self._held_ids(kind, False, True):
            groups = self.records[kind][id_]
            held = {name: values for name, values in groups.items() if values and group in (None, name)}
            known.update(_ENCODE([id_, held]).encode())
        return known.hexdigest()

    def lift_veils(self) -> None:
        """Let reads show all that is held."""
        self._veils.clear()

    def field(self, kind: str, group: str, key: str) -> Field | None:
        """Return the field, deleted or not, or None."""
        return self.schema[kind].get(group, {}).get(key)

    def declare(self, kind: str, group: str, key: str, field: Field) -> None:
        """Put *field* into the schema."""
        self.schema[kind].setdefault(group, {})[key] = field
        self.changes += 1

    def record_event(self, event: dict[str, Any]) -> None:
        """Keep an event; the latest 100,000 are kept."""
        self.events.append(event)
        self.changes += 1

    def _held_ids(self, kind: str, identified: bool, in_order: bool) -> list[str]:
        key = (kind, identified, in_order)
        if key not in self._orders:
            ids = (id_ for id_ in self.records[kind] if not (identified and id_.startswith(ANONYMOUS)))
            self._orders[key] = sorted(ids) if in_order else list(ids)
        return self._orders[key]

    def _veil(self, kind: str, id_: str, record: Groups | None, lag_s: float) -> None:
        before = None if record is None else {group: dict(held) for group, held in record.items()}
        self._veils.setdefault((kind, id_), []).append(_Veil(self._clock() + lag_s, before))

    def saved(self) -> Iterator[dict[str, Any]]:
        """Return the contents in pieces, each of them JSON of bearable size."""
        for kind in KINDS:
            groups = self.schema[kind].items()
            described = {group: {key: one.content() for key, one in held.items()} for group, held in groups}
            yield {"kind": kind, "schema": described}
            for chunk in _chunks(self.records[kind]):
                yield {"kind": kind, "records": chunk}
        yield {"audiences": {id_: audience.content() for id_, audience in self.audiences.items()}}
        yield {"events": list(self.events)}

    def restore(self, piece: dict[str, Any]) -> None:
        """Take one piece of `saved` back."""
        if "schema" in piece:
            for group, fields in piece["schema"].items():
                held = {key: Field(**one) for key, one in fields.items()}
                self.schema[piece["kind"]][group] = held
        elif "records" in piece:
            self.records[piece["kind"]].update(piece["records"])
        elif "audiences" in piece:
            for id_, one in piece["audiences"].items():
                self.audiences[id_] = Audience(one["name"], dict.fromkeys(one["visitors"]))
        else:
            self.events.extend(piece["events"])


def known_id(kind: str, id_: str, *, cut: bool) -> str:
    """Return the id under which a record is held: a visitor's id ends at 128 bytes where *cut*."""
    if not cut or kind != "visitor" or len(id_) * 4 <= _LONGEST_VISITOR_ID:
        return id_
    return id_.encode("utf-8", "surrogatepass")[:_LONGEST_VISITOR_ID].decode("utf-8", "ignore")


def known_ids(kind: str, ids: Iterable[str], *, cut: bool) -> list[str]:
    """Return `known_id` of each."""
    return [known_id(kind, id_, cut=cut) for id_ in ids]


def _chunks(records: dict[str, Groups]) -> Iterator[dict[str, Groups]]:
    rows = iter(records.items())
    while chunk := dict(islice(rows, _CHUNK)):
        yield chunk
