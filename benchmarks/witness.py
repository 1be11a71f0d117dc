"""The wire as the client saw it: who was sent again although an answer that can be believed had settled the matter.

To send again is right where nobody could know: no whole answer, a busy or broken Pendo, an answer whose counts don't add
up, or one that leaves open which of several records failed. Everything else is sending twice.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import httpx

_LATER: Final = (401, 403, 408, 409, 425, 429)
"""Refusals that another time, or another key, may lift."""

_HASTE: Final = 200


@dataclass
class Ledger:
    """What went over the wire in one trial, through however many clients.

    Attributes:
        requests: all of them, reads too.
        settled: id → whether Pendo took it, by the last answer that can be believed.
        twice: how often an id went again after that.
        again: how often an id went again before that.
    """

    requests: int = 0
    settled: dict[str, bool] = field(default_factory=dict)
    twice: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    _sent: set[str] = field(default_factory=set)

    def note_request(self, ids: list[str]) -> None:
        """Note that these ids are being sent."""
        self.requests += 1
        self.twice.update([id_ for id_ in ids if id_ in self.settled])
        self.again.update([id_ for id_ in ids if id_ in self._sent and id_ not in self.settled])
        self._sent.update(ids)

    def note_answer(self, ids: list[str], status: int, body: bytes) -> None:
        """Note what came back, whole."""
        is_taken = verdict_of(ids, status, body)
        if is_taken is not None:
            self.settled.update(dict.fromkeys(ids, is_taken))

    @property
    def condemned(self) -> set[str]:
        """The ids that Pendo refused for good."""
        return {id_ for id_, is_taken in self.settled.items() if not is_taken}


def verdict_of(ids: list[str], status: int, body: bytes) -> bool | None:
    """Return whether an answer says that all its records were taken, or all refused; None where it settles nothing."""
    if 400 <= status < 500 and status not in _LATER:
        return False if len(ids) == 1 else None
    if not 200 <= status < 300:
        return None
    try:
        told = json.loads(body)
        counts = told["total"], told["updated"], told["failed"]
        named = set(told.get("missing") or [])
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    total, updated, failed = counts
    if total != len(ids) or updated + failed != total or len(named) > failed or not named <= set(ids):
        return None
    return True if failed == 0 else False if updated == 0 else None


class Witness(httpx.AsyncHTTPTransport):
    """A network that writes into a ledger."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(limits=httpx.Limits(max_connections=None, max_keepalive_connections=8))
        self._ledger = ledger

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and listen to the answer as it is read."""
        await request.aread()
        ids = ids_in(request)
        self._ledger.note_request(ids)
        response = await super().handle_async_request(request)
        if not ids:
            return response

        def note(body: bytes) -> None:
            whole = httpx.Response(response.status_code, headers=response.headers, content=body)
            self._ledger.note_answer(ids, whole.status_code, whole.content)

        assert isinstance(response.stream, httpx.AsyncByteStream)
        return httpx.Response(
            response.status_code,
            headers=response.headers,
            stream=_Heard(response.stream, note),
            extensions=response.extensions,
        )


class _Heard(httpx.AsyncByteStream):
    def __init__(self, inner: httpx.AsyncByteStream, note: Callable[[bytes], None]) -> None:
        self._inner = inner
        self._note = note

    async def __aiter__(self) -> AsyncIterator[bytes]:
        heard = []
        async for chunk in self._inner:
            heard.append(chunk)
            yield chunk
        try:
            self._note(b"".join(heard))
        except httpx.DecodingError:
            pass  # the client can't read it either

    async def aclose(self) -> None:
        await self._inner.aclose()


def ids_in(request: httpx.Request) -> list[str]:
    """Return the ids that a bulk write carries; none of any other request."""
    if request.method != "POST" or "/metadata/" not in request.url.path:
        return []
    records: list[dict[str, Any]] = json.loads(request.content)
    return [record["visitorId"] for record in records]


class HastyClock:
    """A clock that runs two hundred times as fast, for waits between tries; no other equals it, so no client shares a pause."""

    def now(self) -> float:
        """Return its seconds."""
        return time.monotonic() * _HASTE

    async def sleep(self, seconds: float) -> None:
        """Return after so many of its seconds."""
        await asyncio.sleep(seconds / _HASTE)
