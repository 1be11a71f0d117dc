"""A run's looks at Pendo: whether the plan is stale before it sends, and whether a canary step reads back as pushed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import polars as pl

from pendosync.client import Client
from pendosync.comparison import moved_cells, read_back
from pendosync.errors import PushError, counted, listed
from pendosync.frames import PROBLEMS, Status
from pendosync.journal import WRITTEN, Journal, derive_part
from pendosync.loops import run_beside
from pendosync.plans import Plan
from pendosync.remaining import Remaining
from pendosync.remote import SINGLE_READS, fetch_held
from pendosync.runfile import RunRecord
from pendosync.shapes import Step, batch_at

_LOOK_EVERY_S: Final = 1.0
_AT_A_TIME: Final = 20
"""Ids read between two looks at whether the run is to end."""


class Lookback:
    """Reads what Pendo holds, off the client's loop, and compares it with the plan.

    Args:
        plan, client, journal, record: as the run has them.
        is_stopping: whether the run is to end; then nothing more is read.
        say: takes what the run's view shows meanwhile.
    """

    def __init__(
        self,
        plan: Plan,
        client: Client,
        journal: Journal,
        record: RunRecord,
        *,
        is_stopping: Callable[[], bool],
        say: Callable[[str], None],
    ) -> None:
        self._plan = plan
        self._client = client
        self._journal = journal
        self._record = record
        self._is_stopping = is_stopping
        self._say = say

    async def moved(self, remaining: Remaining) -> pl.DataFrame:
        """Return the PROBLEMS of those rows whose values moved since the plan was made; they are written as refused.

        Reads as many as the plan's gate `recheck` says, spread evenly. Without an integration key nothing can be read.

        Args:
            remaining: which rows were never sent.
        """
        most = self._plan.gates.recheck or 0
        can_read = self._plan.shape.is_held and self._client.settings.integration_key is not None
        if not most or not remaining.unsent or not can_read:
            return PROBLEMS.to_frame()
        rows = remaining.unsent_rows(most)
        self._say(f"reading {counted(len(rows), 'id')} again, to see whether anything moved")
        moved = await run_beside(self._find_moved, rows)
        self._say("")
        return moved

    def _held(self, ids: pl.Series) -> pl.DataFrame | None:
        """Return what Pendo holds of *ids*, or None where the run is stopping: few at a time, so that it stops soon."""
        size = _AT_A_TIME if len(ids) <= SINGLE_READS else len(ids)
        parts = []
        for start in range(0, len(ids), size):
            if self._is_stopping():
                return None
            parts.append(fetch_held(self._client, self._plan, ids=ids.slice(start, size)))
        return pl.concat(parts)

    def _find_moved(self, rows: pl.Series) -> pl.DataFrame:
        changes = self._plan.parts.take(rows)
        held = self._held(changes["id"])
        if held is None:
            return PROBLEMS.to_frame()
        moved = moved_cells(changes, held, against=self._plan.against)
        reasons = moved.group_by("id", maintain_order=True).agg(
            pl.concat_str(pl.coalesce(pl.col("field") + ": ", pl.lit("")), "reason")
            .str.join("; ")
            .alias("reason")
        )
        where = changes.select("at", "id").join(reasons, on="id", maintain_order="left")
        self._record.record_rows(
            (
                at,
                batch_at(at, self._plan.steps, self._plan.shape),
                "refused",
                f"moved since the plan was made: {reason}",
            )
            for at, reason in where.select("at", "reason").iter_rows()
        )
        return moved

    def moved_sentence(self, moved: pl.DataFrame) -> str:
        """Return what to say of a stale plan."""
        ids = moved["id"].unique(maintain_order=True)
        fields = moved["field"].drop_nulls().unique(maintain_order=True)
        where = f" in {listed(fields)}" if len(fields) else ""
        return (
            f"The plan is stale: of {counted(len(ids), 'id')} the values moved{where} since it was made: {listed(ids)}. "
            f"Expected what it was planned on; nothing more is sent. Hint: error.moved lists each; plan = "
            f"refresh_plan(plan, client=client) plans again on today's values."
        )

    async def wait_for(self, step: Step) -> None:
        """Read a canary step back, and return once the next may begin, or the run is stopping.

        A step that failed stops the run once: resuming it is the word to go on with the next.

        Raises:
            PushError: nothing of the step was written, it reads back otherwise than pushed, or it can't be seen yet and
                the plan says to stop then.
        """
        canary = self._plan.shape.canary
        if canary is None or not step.is_watched or step.number in self._record.passed_steps():
            return
        rows = await run_beside(self._written_in, step)
        if rows.is_empty():
            self._record.record_step(step.number)
            raise self._stop(
                f"Canary step {step.number + 1} failed: of {counted(step.n_rows, 'id')} none was written."
            )
        until_s = time.monotonic() + canary.settle_s
        while True:
            self._say(f"canary step {step.number + 1}: reading {counted(rows.height, 'id')} back")
            rows = await run_beside(self._not_seen, step, rows)
            if rows.is_empty() or (canary.unseen == "go_on" and time.monotonic() >= until_s):
                self._say("")
                self._record.record_step(step.number)
                return
            if self._is_stopping():
                return
            if time.monotonic() >= until_s:
                raise self._stop(
                    f"Canary step {step.number + 1}: {counted(rows.height, 'id')} can't be seen yet after "
                    f"{canary.settle_s:g} s, which is no failure, as reads may lag: {listed(rows['id'])}."
                )
            await asyncio.sleep(min(_LOOK_EVERY_S, canary.settle_s))

    def _written_in(self, step: Step) -> pl.DataFrame:
        told = derive_part(self._journal, self._record.run_id, self._plan, step.part)["status"]
        rows = self._plan.parts.slice(step.first_row, step.n_rows)
        start = step.first_row - self._plan.parts.first_rows[step.part]
        return rows.filter(told.slice(start, step.n_rows).is_in(WRITTEN))

    def _not_seen(self, step: Step, rows: pl.DataFrame) -> pl.DataFrame:
        """Return those of *rows* that can't be seen yet.

        Raises:
            PushError: some read back otherwise than pushed; they are written as failed, or as unknown where Pendo
                denies that it knows them: it says the same where a read is not allowed.
        """
        held = self._held(rows["id"])
        if held is None:
            return rows
        seen = read_back(rows, held)
        wrong = seen.filter(pl.col("seen").is_in(["other", "missing"]))
        if wrong.is_empty():
            return rows.filter(seen["seen"] == "not_yet")
        ids = self._plan.parts.slice(step.first_row, step.n_rows)["id"]
        at = {id_: row for row, id_ in enumerate(ids, step.first_row)}
        self._record.record_rows(
            (at[id_], batch_at(at[id_], [step], self._plan.shape), *_otherwise(fields))
            for id_, fields in wrong.select("id", "fields").iter_rows()
        )
        self._record.record_step(step.number)
        raise self._stop(
            f"Canary step {step.number + 1} failed: {counted(wrong.height, 'id')} read back otherwise than pushed: "
            f"{listed(wrong['id'])}."
        )

    def _stop(self, sentence: str) -> PushError:
        return PushError(sentence, run_id=self._record.run_id)


def _otherwise(fields: list[str] | None) -> tuple[Status, str]:
    if fields is None:
        return "unknown", "Pendo said that it wrote this id, and does not know it when read back"
    return (
        "failed",
        f"Pendo said that it wrote this id, and holds other values when read back: {listed(fields)}",
    )
