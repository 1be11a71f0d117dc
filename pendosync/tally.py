"""What became of a run's ids so far, in counts, and how fast it goes."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

import polars as pl

from pendosync.errors import counted
from pendosync.meter import Meter
from pendosync.plans import Plan
from pendosync.regions import Pace
from pendosync.remaining import Remaining
from pendosync.results import BatchResult

_FAILED: Final = ("failed", "missing")


class Tally:
    """Counts a run's outcomes as they come.

    Args:
        plan: what is sent.
        remaining: what of it is left, and what the rest came to before.

    Attributes:
        counts: how many ids have which outcome.
        batches_done: how many batches have outcomes for all their ids.
        meter: how fast it goes.
    """

    def __init__(self, plan: Plan, remaining: Remaining) -> None:
        self.counts: Counter[str] = Counter(remaining.counts)
        self.batches_done = len(remaining.settled)
        self.meter = Meter(time.monotonic())
        self._plan = plan
        self._n_failed = 0
        self._creates: tuple[int, pl.Series] | None = None

    def note(self, first_row: int, n_rows: int, result: BatchResult) -> None:
        """Count what became of some rows that were sent together."""
        self.meter.note(time.monotonic(), n_ids=n_rows)
        for status, n in self._count(first_row, n_rows, result).items():
            self.counts[status] += n
            if status in _FAILED:
                self._n_failed += n

    def _count(self, first_row: int, n_rows: int, result: BatchResult) -> Mapping[str, int]:
        may_create = result.status == "updated" and self._plan.shape.create == "unknown_ids"
        if not (result.exceptions or may_create):
            return {result.status: n_rows}
        own = {at for at, _, _ in result.exceptions}
        told: Counter[str] = Counter(status for _, status, _ in result.exceptions)
        if may_create:
            n_created = self._n_creates(first_row, n_rows) - sum(
                self._n_creates(first_row + at, 1) for at in own
            )
            told.update(created=n_created, updated=n_rows - len(own) - n_created)
        elif n_rows > len(own):
            told[result.status] += n_rows - len(own)
        return +told

    def _n_creates(self, first_row: int, n_rows: int) -> int:
        part = self._plan.parts.part_at(first_row)
        if self._creates is None or self._creates[0] != part:
            creates = self._plan.parts.read(part)["action"] == "create"
            before = pl.concat([pl.Series([0], dtype=pl.UInt32), creates.cum_sum().cast(pl.UInt32)])
            self._creates = part, before  # how many of the part's rows before each create an id
        at = first_row - self._plan.parts.first_rows[part]
        return int(self._creates[1][at + n_rows] - self._creates[1][at])

    def overdrawn(self) -> str | None:
        """Return a sentence where more ids failed since the run began or was resumed than the error budget allows."""
        gates = self._plan.gates
        budget = gates.budget(len(self._plan))
        if budget is None or self._n_failed <= budget:
            return None
        return (
            f"The error budget is used up: {counted(self._n_failed, 'id')} failed or are missing, at most {budget:,} may "
            f"(max_failed={gates.max_failed})."
        )

    def left_s(self, pace: Pace) -> tuple[float | None, tuple[float, float] | None]:
        """Return the seconds that the rest will take, no less than *pace* allows, and the range to expect."""
        n_batches = self._plan.n_requests - self.batches_done
        least = pace.expected_s(n_batches, rows=len(self._plan) - self.counts.total())
        measured = self.meter.left_s(n_batches)
        if measured is None:
            return least, None
        expected, low, high = (max(least or 0.0, one) for one in measured)
        return expected, (low, high)
