"""Finding out which records of a refused batch are bad: by halves, until each has its own answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from pendosync.errors import counted
from pendosync.frames import Status
from pendosync.runfile import BatchResult

_ENOUGH_ALONE: Final = 3
"""So many records refused alone with the same words, and none accepted: the rest would be refused too."""

Ask = Callable[[int, int], Awaitable[BatchResult | None]]
"""Sends the records from one position up to another; None where the run was stopped first."""


async def name_failures(told: BatchResult, n: int, ask: Ask) -> BatchResult:
    """Return a result in which each of *n* records that failed is named, asking as seldom as that takes.

    For a few bad records the cost is about two requests a bad record and halving: 2 x log2(n).

    Args:
        told: the answer to the whole batch, which left failures unnamed, or refused it as a whole.
        n: how many records it has.
        ask: sends some of its records again; a bulk write may be repeated.
    """
    search = _Search(ask, may_be_written=not told.is_refused)
    await search.split(0, n, told)
    lines = sorted(search.lines.items())
    exceptions = [(at, status, reason) for at, (status, reason) in lines]
    return BatchResult("updated", exceptions=exceptions, http_status=told.http_status)


async def ask_in_parts(n: int, size: int, ask: Ask) -> BatchResult:
    """Return what became of *n* records that are sent *size* at a time, split further where that is needed.

    Args:
        n: how many records.
        size: the most in a request.
        ask: sends some of them.
    """
    search = _Search(ask, may_be_written=False)
    for start in range(0, n, size):
        await search.look(start, min(start + size, n))
    lines = sorted(search.lines.items())
    return BatchResult("updated", exceptions=[(at, status, reason) for at, (status, reason) in lines])


class _Search:
    def __init__(self, ask: Ask, *, may_be_written: bool) -> None:
        self._ask = ask
        self._may_be_written = may_be_written
        self._alone: list[str] = []
        self._is_any_written = False
        self.lines: dict[int, tuple[Status, str]] = {}

    async def split(self, start: int, stop: int, told: BatchResult) -> None:
        """Name the failures between *start* and *stop*, of which *told* says only how many there are, if that."""
        middle = (start + stop) // 2
        left = await self.look(start, middle)
        if not _counts(told) or left is None or not _counts(left):
            await self.look(middle, stop)
            return
        n_right = told.n_unnamed - _n_failed(left, middle - start)
        right = _part(told, middle - start, stop - start, n_right)
        if n_right <= 0:
            self._note(middle, stop, right)
        elif n_right == stop - middle - len(right.exceptions) or stop - middle == 1:
            await self.look(middle, stop)
        else:
            await self.split(middle, stop, right)

    async def look(self, start: int, stop: int) -> BatchResult | None:
        """Ask of some records alone, and split them further where the answer leaves failures unnamed."""
        if self._is_hopeless():
            same = f"Pendo refused {counted(_ENOUGH_ALONE, 'record')} of this batch alone with the same words; not tried alone: "
            self._note(start, stop, BatchResult("failed", same + self._alone[0]))
            return None
        told = await self._ask(start, stop)
        if told is None:
            self._note(start, stop, BatchResult("pending", "the run was stopped before it was tried alone"))
            return None
        if told.must_split and stop - start > 1:
            await self.split(start, stop, told)
        else:
            self._note(start, stop, told)
        return told

    def _note(self, start: int, stop: int, told: BatchResult) -> None:
        own = {at: (status, reason) for at, status, reason in told.exceptions}
        for at in range(stop - start):
            status, reason = own.get(at, (told.status, told.reason))
            if status == "pending" and self._may_be_written:
                status, reason = (
                    "unknown",
                    f"it was sent with others, and may or may not be written; alone: {reason}",
                )
            if status == "updated":
                self._is_any_written = True
            else:
                self.lines[start + at] = (status, reason)
        if stop - start == 1 and told.is_refused:
            self._alone.append(told.reason)

    def _is_hopeless(self) -> bool:
        alone = self._alone
        return not self._is_any_written and len(alone) >= _ENOUGH_ALONE and len(set(alone)) == 1


def _counts(told: BatchResult) -> bool:
    """Whether the answer says how many of its records failed."""
    return told.http_status is not None and told.http_status < 300


def _n_failed(told: BatchResult, n: int) -> int:
    """Return how many of *n* records failed, named or not; missing ones aside."""
    return n - len(told.exceptions) if told.status == "failed" and not told.n_unnamed else told.n_unnamed


def _part(told: BatchResult, start: int, stop: int, n_unnamed: int) -> BatchResult:
    """Return what *told* means for a part of its records, of which *n_unnamed* failed."""
    own = [(at - start, status, reason) for at, status, reason in told.exceptions if start <= at < stop]
    status: Status = told.status if n_unnamed > 0 else "updated"
    return replace(told, status=status, exceptions=own, n_unnamed=max(n_unnamed, 0))
