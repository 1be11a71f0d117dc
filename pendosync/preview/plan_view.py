"""The preview of a plan: its rows, columns and requests, and which ids are chosen."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import polars as pl

from pendosync.encoding import encode_records
from pendosync.errors import counted
from pendosync.frames import about_parts
from pendosync.looks import build_curl
from pendosync.plans import Plan
from pendosync.preview.conditions import Column
from pendosync.preview.grid import Filter, Grid
from pendosync.preview.pictures import choices_of, picture_of
from pendosync.preview.view import Answer, Answering, View, read_module, read_style
from pendosync.reports import duration
from pendosync.rules import RULES, no_problems
from pendosync.selections import Selection
from pendosync.shapes import CREATED, Span, batch_at, steps_of

_MOST_ROWS: Final = 200
_MOST_COLUMNS: Final = 40
_MOST_TOLD: Final = 4
_MOST_BODY: Final = 20_000
_ABOUT_WORDS: Final = {
    "visitor_id": "the visitor",
    "account_id": "the account",
    "event": "what happened",
    "at": "when it happened",
    "parent_account": "the parent account",
    "integrations": "where it may go",
}


class PlanPreview(Answering):
    """What a preview of a plan answers: rows, columns and requests, and which ids are chosen. It writes nothing.

    Attributes:
        plan: what is previewed.
        version: grows with each gesture that moves the view or the choice.
    """

    def __init__(self, plan: Plan, start: Selection | None = None) -> None:
        self.plan = plan
        self._grid = Grid(plan, start)
        self._pictures: dict[str, dict[str, Any]] = {}
        self.version = 0
        Answering.__init__(self)

    @property
    def selection(self) -> Selection:
        """The choice as it stands: `plan.select(view.selection)` takes it."""
        with self._turn:
            return self._grid.selection

    @property
    def code(self) -> str:
        """The line of Python that selects the same."""
        return self.selection.to_code()

    @property
    def n_selected(self) -> int:
        """How many ids are selected."""
        return self._grid.n_selected

    def _answers(self) -> Mapping[str, Callable[..., Answer | None]]:
        return {
            "open": self._open,
            "rows": self._rows,
            "pictures": self._pictures_of,
            "row": self._row,
            "column": self._column,
            "problems": self._problems,
            "find": self._find,
            "code": lambda: {"code": self.code},
        }

    def _open(self) -> Answer:
        plan, summary = self.plan, self.plan.summary
        compared = plan.n_compared
        return {
            "title": plan.title,
            "kind": plan.shape.kind,
            "is_held": plan.shape.is_held,
            "n": len(plan),
            "n_unchanged": None if compared is None else max(0, compared - len(plan)),
            "actions": list(summary.actions.items()),
            "problems": [
                self._problem(rule, n) for rule, n in [*summary.blocked.items(), *summary.warned.items()]
            ],
            "held": list(summary.held),
            "notes": list(summary.notes),
            "columns": [self._head(column) for column in self._grid.columns.values()],
        }

    def _problem(self, rule: str, n: int) -> Answer:
        has_ids = self._grid.lines.has_ids(rule)
        is_warning = rule in self.plan.summary.warned
        meaning = RULES[rule].meaning if rule in RULES else ""
        return {"rule": rule, "n": n, "is_warning": is_warning, "has_ids": has_ids, "meaning": meaning}

    def _head(self, column: Column) -> Answer:
        return {
            "name": column.name,
            "kind": column.kind,
            "is_field": column.is_field,
            "about": self._about(column),
            "is_compared": column.is_field and self.plan.shape.is_held,
            "n_changed": self.plan.summary.fields.get(column.name, 0),
            "letters": self._grid.letters_of(column.name),
        }

    def _about(self, column: Column) -> str:
        """Return in words what a column says of whom and what its row is about; nothing of any other column."""
        is_part = not column.is_field and column.name in about_parts(self.plan.parts.nothing)
        return _ABOUT_WORDS[column.name] if is_part else ""

    def _rows(
        self, start: int, n: int, columns: Sequence[str], do: Mapping[str, Any] | None = None
    ) -> Answer:
        if do is not None:
            getattr(self, f"_do_{do['what']}")(**{name: one for name, one in do.items() if name != "what"})
            self.version += 1
            self.tell("moved", version=self.version)
        grid = self._grid
        n = min(n, _MOST_ROWS)
        start = max(0, min(start, grid.n_shown - n))
        return {
            "version": self.version,
            "start": start,
            "rows": grid.page(start, n, columns[:_MOST_COLUMNS]),
            **self._state(),  # after the rows: they may show that a part can't be read
        }

    def _state(self) -> Answer:
        grid, wanted = self._grid, self._grid.filter
        return {
            "n_shown": grid.n_shown,
            "n_readable": grid.n_readable,
            "n_selected": grid.n_selected,
            "n_selected_here": grid.n_selected_here,
            "sorted_by": grid.sorted_by,
            "filter": {
                "actions": list(wanted.actions),
                "rule": wanted.rule,
                "text": wanted.text,
                "columns": {name: dict(asked) for name, asked in wanted.columns.items()},
            },
            "cost": self._cost(grid.to_send),
            "lost": self._lost(),
        }

    def _lost(self) -> list[str]:
        """Return what can't be read, in sentences; of very much, the first."""
        told = [*self._grid.rows.told, *self._grid.lines.told]
        more = [f"And {len(told) - _MOST_TOLD:,} more."] if len(told) > _MOST_TOLD else []
        return told[:_MOST_TOLD] + more

    def _cost(self, to_send: Sequence[Span]) -> str:
        plan, n_ids = self.plan, sum(n for _, n in to_send)
        n_requests = sum(step.n_batches for step in steps_of(to_send, plan.shape)) if n_ids else 0
        takes = duration(plan.pace.expected_s(n_requests, rows=n_ids)) if n_requests else ""
        pace = f" at {plan.pace.max_per_second:g}/s" if takes and plan.pace.max_per_second else ""
        return f"{counted(n_requests, 'request')}{', ' if takes else ''}{takes}{pace}"

    def _do_filter(self, filter: Mapping[str, Any]) -> None:
        self._grid.show(Filter(**filter))

    def _do_sort(self, name: str, down: bool) -> None:
        self._grid.sort(name, down=down)

    def _do_tick(self, place: int, on: bool) -> None:
        self._grid.tick(place, on=on)

    def _do_range(self, first: int, last: int, on: bool) -> None:
        self._grid.tick_range(first, last, on=on)

    def _do_all(self, on: bool) -> None:
        self._grid.tick_all(on=on)

    def _pictures_of(self, names: Sequence[str]) -> Answer:
        for name in names[:_MOST_COLUMNS]:
            column = self._grid.columns.get(name)
            if name not in self._pictures and column is not None and column.is_field and len(self.plan):
                self._pictures[name] = picture_of(self._grid.rows, name)
        return {"pictures": {name: self._pictures[name] for name in names if name in self._pictures}}

    def _column(self, name: str) -> Answer:
        column = self._grid.columns[name]
        return choices_of(self._grid.rows, column.value.expr)

    def _find(self, id: str, before: int, n: int, columns: Sequence[str]) -> Answer:
        place = self._grid.find(id)
        return {"place": place, **self._rows(place - before, n, columns)}

    def _row(self, at: int) -> Answer:
        plan = self.plan
        part = plan.parts.slice(at, 1)
        one = part.row(0, named=True)
        return {
            "at": at,
            "id": one["id"],
            "action": one["action"],
            "row": one["row"],
            "about": [name for name, column in self._grid.columns.items() if self._about(column)],
            "cells": [[name, cell] for name, cell in self._grid.cells_of(at).items()],
            "problems": self._grid.lines.with_id(one["id"], plan.parts.part_at(at))
            .head(20)
            .select("field", "rule", "severity", "reason")
            .to_dicts(),
            **self._request(at, part),
        }

    def _request(self, at: int, part: pl.DataFrame) -> Answer:
        """Return the request of one row, or nothing where it is skipped."""
        plan = self.plan
        if part["action"].item() == "skip":
            return {"batch": None}
        batch = batch_at(at, plan.steps, plan.shape)
        alone = plan.having(part, no_problems())  # as `select` would, without looking for the id
        if batch and plan.shape.creates_audience:  # alone it would create another
            alone = dataclasses.replace(alone, shape=plan.shape.joined(CREATED))
        return {
            "batch": [batch + 1, plan.n_requests],
            "path": " ".join(plan.shape.call_of(batch)),
            "body": encode_records(part, plan.shape)[0][:_MOST_BODY],
            "curl": build_curl(alone)[0][:_MOST_BODY],
        }

    def _problems(self, rule: str, start: int, n: int) -> Answer:
        found = self._grid.lines.of(rule)
        page = found.slice(start, min(n, _MOST_ROWS)).select("id", "row", "field", "n_rows", "reason")
        return {
            "rule": rule,
            "n": found.height,
            "start": start,
            "rows": [list(row) for row in page.iter_rows()],
        }


class PlanView(PlanPreview, View):
    """A preview of a plan as a widget. Made by `preview_plan`."""

    _esm = read_module("plan")
    _css = read_style("plan")

    def __init__(self, plan: Plan, start: Selection | None = None) -> None:
        PlanPreview.__init__(self, plan, start)
        View.__init__(self)

    def _title(self) -> str:
        return (
            f"Preview of {self.plan.title}: {self.n_selected:,} of {counted(len(self.plan), 'id')} selected"
        )

    def _picture(self) -> str:
        return self.plan.summary._repr_html_()
