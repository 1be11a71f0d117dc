"""Finding out which records of a refused batch are bad: by halves, until each has its own answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from pendosync.errors import counted
from pendosync.frames import Status
from pendosync.results import BatchResult

_ENOUGH_ALONE: Final = 3
"""So many records refused alone with the same words, as a few others elsewhere, and none accepted: so would the rest be."""

_QUIET_REQUESTS: Final = 10

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
    search = _Search(ask, n)
    await search.split(0, n, told, told.leaves_doubt)
    return BatchResult("updated", exceptions=search.exceptions, http_status=told.http_status)


async def ask_in_parts(n: int, size: int, ask: Ask, *, in_doubt: bool = False) -> BatchResult:
    """Return what became of *n* records that are sent *size* at a time, split further where that is needed.

    Args:
        n: how many records.
        size: the most in a request.
        ask: sends some of them.
        in_doubt: they were sent before, and may be written.
    """
    search = _Search(ask, n)
    for start in range(0, n, size):
        await search.look(start, min(start + size, n), in_doubt)
    return BatchResult("updated", exceptions=search.exceptions)


class RequestSize:
    """The most ids that a request of a run carries: fewer than usual while Pendo finds its requests too large.

    Halved when a request is given up on for its size, doubled after ten in a row that went well.

    Args:
        usual: ids in a request of the plan.
    """

    def __init__(self, usual: int) -> None:
        self.n_ids = usual
        self._usual = usual
        self._quiet = 0

    def learn(self, result: BatchResult, n_ids: int) -> None:
        """Take in what became of a request of *n_ids*."""
        if (result.is_too_long or result.http_status == 413) and n_ids > 1:
            self.n_ids, self._quiet = max(1, n_ids // 2), 0
        elif result.status == "updated":
            self._quiet += 1
            if self._quiet >= _QUIET_REQUESTS:
                self.n_ids, self._quiet = min(self._usual, self.n_ids * 2), 0


class _Search:
    """A record is in doubt once it was sent with others and may be written: no refusal makes it `failed` then."""

    def __init__(self, ask: Ask, n: int) -> None:
        self._ask = ask
        self._n = n
        self._alone: list[str] = []
        self._has_sampled = False
        self._written: set[int] = set()
        self._lines: dict[int, tuple[Status, str]] = {}

    @property
    def exceptions(self) -> list[tuple[int, Status, str]]:
        """What was found, in the records' order."""
        return [(at, status, reason) for at, (status, reason) in sorted(self._lines.items())]

    async def split(self, start: int, stop: int, told: BatchResult, in_doubt: bool) -> None:
        """Name the failures between *start* and *stop*, of which *told* says only how many there are, if that."""
        middle = (start + stop) // 2
        left = await self.look(start, middle, in_doubt)
        if not _counts(told) or left is None or not _counts(left):
            await self.look(middle, stop, in_doubt)
            return
        n_right = told.n_unnamed - _n_failed(left, middle - start)
        right = _part(told, middle - start, stop - start, n_right)
        if n_right < 0:
            await self.look(middle, stop, in_doubt)
            self._doubt_failures(start, stop)
        elif n_right == 0:
            self._note(middle, stop, right, in_doubt)
        elif n_right == stop - middle - len(right.exceptions) or stop - middle == 1:
            await self.look(middle, stop, in_doubt)
        else:
            await self.split(middle, stop, right, in_doubt)

    async def look(self, start: int, stop: int, in_doubt: bool) -> BatchResult | None:
        """Ask of some records alone, and split them further where the answer leaves failures unnamed."""
        if self._looks_hopeless() and await self._is_hopeless(stop, in_doubt):
            same = f"Pendo refused {counted(_ENOUGH_ALONE, 'record')} of this batch alone with the same words; not tried alone: "
            self._note(start, stop, BatchResult("failed", same + self._alone[0]), in_doubt)
            return None
        told = await self._ask(start, stop)
        if told is None:
            untried = BatchResult("pending", "the run was stopped before it was tried alone")
            self._note(start, stop, untried, in_doubt)
            return None
        if told.must_split and stop - start > 1:
            await self.split(start, stop, told, in_doubt or told.leaves_doubt)
        else:
            self._note(start, stop, told, in_doubt)
        return told

    def _note(self, start: int, stop: int, told: BatchResult, in_doubt: bool) -> None:
        own = {at: (status, reason) for at, status, reason in told.exceptions}
        for at in range(stop - start):
            status, reason = own.get(at, (told.status, told.reason))
            if status in ("pending", "failed") and in_doubt and not _counts(told):
                status, reason = (
                    "unknown",
                    f"it was sent before, and may or may not be written; alone: {reason}",
                )
            if status == "updated":
                self._written.add(start + at)
                self._lines.pop(start + at, None)
            elif start + at not in self._written:
                self._lines[start + at] = (status, reason)
        if stop - start == 1 and told.is_refused:
            self._alone.append(told.reason)

    def _doubt_failures(self, start: int, stop: int) -> None:
        """More failed alone than with the others: some of them were written then."""
        for at in range(start, stop):
            status, reason = self._lines.get(at, ("updated", ""))
            if status == "failed":
                self._lines[at] = ("unknown", f"it may have been written with others; alone: {reason}")

    def _looks_hopeless(self) -> bool:
        alone = self._alone
        return not self._written and len(alone) >= _ENOUGH_ALONE and len(set(alone)) == 1

    async def _is_hopeless(self, stop: int, in_doubt: bool) -> bool:
        """Try a few more that lie elsewhere, once: bad records may lie side by side."""
        if not self._has_sampled:
            self._has_sampled = True
            for at in sorted({stop - 1, (stop - 1 + self._n) // 2, self._n - 1}):
                told = await self._ask(at, at + 1)
                if told is not None:
                    self._note(at, at + 1, told, in_doubt)
        return self._looks_hopeless()


def _counts(told: BatchResult) -> bool:
    """Whether the answer says how many of its records failed, and can be believed."""
    return told.http_status is not None and told.http_status < 300 and not told.is_doubtful


def _n_failed(told: BatchResult, n: int) -> int:
    """Return how many of *n* records failed, named or not; missing ones aside."""
    return n - len(told.exceptions) if told.status == "failed" and not told.n_unnamed else told.n_unnamed


def _part(told: BatchResult, start: int, stop: int, n_unnamed: int) -> BatchResult:
    """Return what *told* means for a part of its records, of which *n_unnamed* failed."""
    own = [(at - start, status, reason) for at, status, reason in told.exceptions if start <= at < stop]
    status: Status = told.status if n_unnamed > 0 else "updated"
    return replace(told, status=status, exceptions=own, n_unnamed=max(n_unnamed, 0))
