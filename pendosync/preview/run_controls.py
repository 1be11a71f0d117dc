"""A run's live view: the kernel's side of its bar, its buttons and its rejected rows.

It is never an output of its own. A page that reads the saved notebook without a kernel would show an error in its
place; so the output is a picture, and the view's module looks for the place that the picture keeps.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import polars as pl

from pendosync.frames import REJECTED, Progress
from pendosync.preview.course import Course
from pendosync.preview.deeds import Deeds
from pendosync.preview.run_words import (
    batches_of,
    ending_of,
    heading_of,
    left_of,
    lowered_of,
    next_of,
    ordered,
    pace_of,
    resume_code,
    run_line,
    state_of,
)
from pendosync.preview.view import Answer, View, read_module, read_style

PAGE: Final = 100
"""So many rejected rows travel at once."""

MOST_REASONS: Final = 50
_MOST_CHARS: Final = 400
_TELL_EVERY_S: Final = 0.25


class RunControls(View):
    """Tells the page how a run goes, and has the run do what is clicked there.

    Attributes:
        is_seen: whether a page has found the place.
    """

    _esm = read_module("run")
    _css = read_style("run")

    def __init__(self, progress: Progress, deeds: Deeds) -> None:
        self.is_seen = False
        self._progress = progress
        self._course = Course()
        self._course.note(progress)
        self._told_s = 0.0
        self._is_here = deeds.is_here
        self._outcomes = deeds.outcomes
        self._deeds = {"pause": deeds.pause, "proceed": deeds.proceed, "cancel": deeds.cancel}
        self._rejected = self._found = pl.DataFrame()
        super().__init__()

    def show(self, progress: Progress) -> None:
        """Take in where the run stands, from any thread, and tell the page: at once where the state is another."""
        is_moved = progress.state != self._progress.state or progress.is_over
        self._progress = progress
        self._course.note(progress)
        if progress.is_over:
            self._deeds = {}  # they would keep the run, and its plan with it, for as long as the kernel lives
        if is_moved or time.monotonic() - self._told_s >= _TELL_EVERY_S:
            self._told_s = time.monotonic()
            with suppress(Exception):  # a page that can't be told stops no run
                self.tell("moved", **self._told())

    def _answers(self) -> Mapping[str, Callable[..., Answer | None]]:
        return {"look": self._look, "do": self._do, "reasons": self._reasons, "rows": self._rows}

    def _title(self) -> str:
        return run_line(self._progress)

    def _look(self) -> Answer:
        self.is_seen = True
        return self._told()

    def _do(self, deed: str) -> None:
        if deed in self._deeds:
            self._deeds[deed]()

    def _told(self) -> Answer:
        now = self._progress
        return {
            "state": now.state,
            "over": now.is_over,
            "here": self._is_here,
            "heading": heading_of(now),
            "title": now.title,
            "run": now.run_id,
            "resume": resume_code(now),
            "n": now.n_ids,
            "known": now.n_known,
            "rejected": now.n_rejected,
            "counts": ordered(now.counts),
            "left": left_of(now),
            "facts": [state_of(now), *pace_of(now)],
            "batches": batches_of(now),
            "waits_s": 0 if now.is_over else now.waits_s,
            "lowered": lowered_of(now),
            "note": now.note,
            "ending": ending_of(now),
            "next": next_of(now),
            "course": self._course.per_s(),
        }

    def _reasons(self) -> Answer:
        """Return how many rows were rejected for which reason, the most frequent first, and the code that says so."""
        told = self._outcomes().select("id", "status", pl.col("reason").fill_null(""))
        self._rejected = told.filter(pl.col("status").is_in(REJECTED))
        found = self._rejected.group_by("status", "reason", maintain_order=True).len()
        self._found = found.sort("len", descending=True, maintain_order=True).head(MOST_REASONS)
        return {
            "n": self._rejected.height,
            "reasons": [(n, status, _cut(reason)) for status, reason, n in self._found.rows()],
            "more": found.height - self._found.height,
            "code": _code(self._progress.run_id),
        }

    def _rows(self, at: int, reason: int | None = None) -> Answer:
        """Return a page of the rejected rows, from row *at* on: all of them, or those of one of the reasons."""
        chosen = self._rejected
        if reason is not None:
            chosen = chosen.join(
                self._found[reason], on=["status", "reason"], how="semi", maintain_order="left"
            )
        page = chosen.slice(at, PAGE).rows()
        rows = [(_cut(id), status, _cut(why)) for id, status, why in page]
        return {"n": chosen.height, "at": at, "size": PAGE, "rows": rows}


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else f"{text[:_MOST_CHARS]}…"


def _code(run_id: str) -> str:
    """Return the code that gives the rejected rows, and the plan to mend and push them again."""
    run, statuses = json.dumps(run_id), json.dumps(REJECTED)
    return (
        f"outcomes = ps.read_outcomes(journal, {run})\n"
        f'rejected = outcomes.filter(pl.col("status").is_in({statuses}))\n'
        f"again = ps.plan_rejected(journal, {run})  # to be mended, and pushed once more"
    )
