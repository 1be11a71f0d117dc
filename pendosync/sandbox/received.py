"""The requests that were received, as they came: at most 20,000, and their bodies within bounded memory.

How often each id was written is counted besides, without such bounds.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final

from pendosync.sandbox.exchange import Request

_MOST: Final = 20_000
_PAGE_BYTES: Final = 16_000_000


@dataclass(slots=True)
class Entry:
    """One request. *status* is None while it is being answered, and for ever where the connection was cut."""

    n: int
    at_s: float
    method: str
    path: str
    region: str
    body: bytes | None
    size: int
    status: int | None = None
    notes: list[str] = field(default_factory=list)

    def content(self) -> dict[str, Any]:
        """Return the entry with the body as text; bytes that are no UTF-8 stand as lone surrogates."""
        body = None if self.body is None else self.body.decode("utf-8", "surrogateescape")
        told = {name: getattr(self, name) for name in ("n", "at_s", "method", "path", "region", "status")}
        return {**told, "body": body, "bytes": self.size, "notes": self.notes}


class Received:
    """The latest requests. Where their bodies outgrow *most_bytes*, the oldest lose theirs."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._entries: deque[Entry] = deque()
        self._n = 0
        self._bytes = 0
        self._bodiless = 0
        self._writes: dict[tuple[str, str], Counter[str]] = {}

    def writes(self, region: str, kind: str) -> Counter[str]:
        """Return how often each id of *kind* came in a write that was carried out; to be counted on."""
        return self._writes.setdefault((region, kind), Counter())

    def note(self, request: Request, at_s: float | None = None) -> Entry:
        """Enter *request* under the next number."""
        self._n += 1
        at_s, size = at_s or time.time(), len(request.body)
        entry = Entry(self._n, at_s, request.method, request.shown, request.region, request.body, size)
        self._entries.append(entry)
        self._bytes += size
        self._shed()
        return entry

    def since(self, n: int) -> list[Entry]:
        """Return the next entries after number *n*, as many as one answer bears; none at the end."""
        room = _PAGE_BYTES

        def fits(entry: Entry) -> bool:
            nonlocal room
            room -= 200 + len(entry.body or b"")
            return room > 0

        after = [entry for entry in self._entries if entry.n > n]
        return list(takewhile(fits, after)) or after[:1]

    def forget(self) -> None:
        """Drop all entries and counts; the numbers go on."""
        self._entries.clear()
        self._writes.clear()
        self._bytes = self._bodiless = 0

    def _shed(self) -> None:
        if len(self._entries) > _MOST:
            oldest = self._entries.popleft()
            self._bytes -= len(oldest.body or b"")
            self._bodiless = max(0, self._bodiless - 1)
        while self._bytes > self._most_bytes:
            entry = self._entries[self._bodiless]
            self._bytes -= len(entry.body or b"")
            entry.body = None
            self._bodiless += 1

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)
