"""What a run still has to send: rows without an outcome, from the journal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from pendosync.frames import Status
from pendosync.journal import Journal, each_outcome
from pendosync.plans import Plan
from pendosync.results import SENT_AGAIN, BatchResult
from pendosync.shapes import Span, batch_numbers

_OPEN: Final = ("pending", "unknown")


@dataclass(frozen=True, slots=True)
class Remaining:
    """Which rows of a plan are left to push.

    Args:
        settled: batches of which each row has its outcome.
        partial: batches of which some have, or of which some rows were sent and others not: the runs of open rows of
            one sort, as first row and how many.
        unsent: rows that were never sent, in order, as first row and how many.
        in_doubt: rows that were sent, and of which nobody knows whether they were written.
        counts: how many ids have which outcome already.
    """

    unsent: Sequence[Span]
    settled: frozenset[int] = frozenset()
    partial: AbstractMapping[int, list[tuple[int, int]]] = field(default_factory=dict)
    in_doubt: frozenset[int] = frozenset()
    counts: AbstractMapping[str, int] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return not self.unsent and not self.in_doubt

    @property
    def n_unsent(self) -> int:
        """How many rows were never sent."""
        return sum(n_rows for _, n_rows in self.unsent)

    def unsent_rows(self, most: int) -> pl.Series:
        """Return rows that were never sent, at most so many, spread evenly."""
        every, skip, found = max(1, -(-self.n_unsent // most)), 0, []
        for first_row, n_rows in self.unsent:
            found.append(
                pl.int_range(first_row + skip, first_row + n_rows, every, dtype=pl.UInt32, eager=True)
            )
            skip = (skip - n_rows) % every
        return pl.concat([pl.Series("row", [], dtype=pl.UInt32), *(rows.alias("row") for rows in found)])

    def and_also(self, more: Remaining) -> Remaining:
        """Return what is left here and, of later rows, there."""
        names = {*self.counts, *more.counts}
        return Remaining(
            [*self.unsent, *more.unsent],
            self.settled | more.settled,
            {**self.partial, **more.partial},
            self.in_doubt | more.in_doubt,
            {name: self.counts.get(name, 0) + more.counts.get(name, 0) for name in names},
        )

    def lines(
        self, batch: int, first_row: int, n_rows: int, result: BatchResult
    ) -> Iterator[tuple[int, int, Status, str]]:
        """Yield a line for each row of a part of a batch: what became of it, and whether it was sent twice."""
        own = {at: (status, reason) for at, status, reason in result.exceptions}
        for at in range(n_rows):
            status, reason = own.get(at, (result.status, result.reason))
            is_again = first_row + at in self.in_doubt and status not in _OPEN
            again = [SENT_AGAIN] if is_again else []
            yield first_row + at, batch, status, "; ".join([reason, *again] if reason else again)


def all_of(plan: Plan) -> Remaining:
    """Return what is left of a plan that nobody has begun to push."""
    return Remaining([span for span in plan.parts.sent if span[1]], counts=skipped_in(plan))


def skipped_in(plan: Plan) -> dict[str, int]:
    """Return how many ids of a plan end as `skipped`, as an outcome to count; none where there are none."""
    n_skipped = len(plan) - plan.n_sent
    return {"skipped": n_skipped} if n_skipped else {}


def left_of(journal: Journal, run_id: str, plan: Plan, *, unknown: bool = True) -> Remaining:
    """Return what a run that ended early has left.

    Args:
        journal, run_id, plan: which run.
        unknown: whether rows of which nobody knows whether they were written are left, too: to be sent once more.

    Raises:
        JournalError: its file can't be read.
    """
    found = Remaining([], counts=skipped_in(plan))
    for number, told in enumerate(each_outcome(journal, run_id, plan)):
        first_row, n_sent = plan.parts.sent[number]
        steps = [step for step in plan.steps if step.part == number]
        status = told["status"].head(n_sent)
        rows = pl.DataFrame(
            {
                "row": pl.int_range(first_row, first_row + n_sent, dtype=pl.UInt32, eager=True),
                "batch": batch_numbers(steps, plan.shape),
                "is_open": status.is_in(_OPEN if unknown else _OPEN[:1]),
                "status": status,
            }
        )
        found = found.and_also(_left_in(rows))
    return found


def _left_in(rows: pl.DataFrame) -> Remaining:
    """Return what is left of a part: `row`, `batch`, `is_open` and `status` of its rows that travel."""
    known = dict(rows.filter(~pl.col("is_open"))["status"].value_counts().iter_rows())
    of_batch = rows.group_by("batch").agg(n_open=pl.col("is_open").sum(), n_sorts=pl.col("status").n_unique())
    partial = of_batch.filter((pl.col("n_open") > 0) & (pl.col("n_sorts") > 1))["batch"]
    pending = rows.filter(pl.col("status") == "pending").select("row")
    run = (pl.col("row") - pl.int_range(pl.len(), dtype=pl.UInt32)).alias("run")
    spans = pending.group_by(run, maintain_order=True).agg(pl.col("row").first(), pl.len().alias("n"))
    return Remaining(
        unsent=list(spans.select("row", "n").iter_rows()),
        settled=frozenset(of_batch.filter(pl.col("n_open") == 0)["batch"]),
        partial=_open_ranges(rows.filter(pl.col("batch").is_in(partial.implode()))),
        in_doubt=frozenset(rows.filter(pl.col("is_open") & (pl.col("status") == "unknown"))["row"]),
        counts=known,
    )


def _open_ranges(rows: pl.DataFrame) -> dict[int, list[tuple[int, int]]]:
    """Return, per batch, the runs of rows that lie side by side and are open in the same way."""
    run = (pl.col("row") - pl.int_range(pl.len(), dtype=pl.UInt32).over("status")).alias("run")
    open_rows = rows.filter("is_open").select("batch", "row", "status", run)
    runs = open_rows.group_by("batch", "status", "run", maintain_order=True).agg(
        first_row=pl.col("row").min(), n_rows=pl.len()
    )
    found: dict[int, list[tuple[int, int]]] = {}
    for batch, first_row, n_rows in runs.select("batch", "first_row", "n_rows").iter_rows():
        found.setdefault(batch, []).append((first_row, n_rows))
    return found
