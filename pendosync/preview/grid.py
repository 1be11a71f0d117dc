"""The rows of a plan as a preview pages through them: sorted, filtered and ticked in the kernel, however many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

import polars as pl

from pendosync.errors import PlanError, counted, first_line, nearest
from pendosync.frames import raw_cell
from pendosync.plans import Plan
from pendosync.preview.conditions import (
    Column,
    Condition,
    all_of,
    between_rows,
    columns_of,
    has_action,
    has_problem,
    has_state,
    has_text,
    has_values,
)
from pendosync.preview.lines import Lines
from pendosync.preview.rows import Rows
from pendosync.preview.sorting import sort_positions
from pendosync.reports import cut_text, plain_text
from pendosync.selections import NOTHING_CODE, Selection
from pendosync.shapes import Span

MOST_IN_RANGE: Final = 10_000
"""Ids that a range over a sorted view may tick: they become exceptions, each by its name."""

_SAID: Final = "s"
_MOST_TEXT: Final = 200
_N_FIRST: Final = 30
_MOST_IN_FULL: Final = 10_000
_ID: Final = Column("id", "text", Condition(pl.col("id"), "pl.col('id')"))
_NOTHING: Final = Condition(pl.lit(False), NOTHING_CODE)

Row = list[Any]


@dataclass(frozen=True)
class Filter:
    """What a preview shows: all that is asked for must hold; what is empty asks for nothing.

    Args:
        actions: any of these.
        rule: with a problem of this rule.
        text: with this text in the id or in any text.
        columns: name of a column → `state` (of a field's cell), `values`, `contains`, `low`, `high`.
    """

    actions: Sequence[str] = ()
    rule: str = ""
    text: str = ""
    columns: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Grid:
    """The rows of *plan* in a view, and which are selected.

    A place counts the rows of the view as it is sorted and filtered; a position those of the plan.

    Args:
        plan: whose changes.
        start: the selection to begin with; None is every id.

    Attributes:
        rows: its rows, however many parts they lie in.
        lines: its problems.
        filter: what the view shows.
        sorted_by: the column and whether it runs down, or None: the plan's own order.
    """

    def __init__(self, plan: Plan, start: Selection | None = None) -> None:
        self.plan = plan
        self.columns = columns_of(plan)
        self.filter = Filter()
        self.sorted_by: tuple[str, bool] | None = None
        self.rows = Rows(plan.parts)
        self.lines = Lines(plan.parts)
        self._first = plan.parts.first(_N_FIRST)
        self._condition: Condition | None = None
        self._shown: pl.Series | None = None
        self._sorted: pl.Series | None = None
        self._order: pl.Series | None = None
        self._chosen: Condition | None = None
        self._also: dict[str, None] = {}
        self._but: dict[str, None] = {}
        self._mask = pl.repeat(True, len(plan), dtype=pl.Boolean, eager=True)
        if start is not None:
            self._begin_with(start)

    def _begin_with(self, start: Selection) -> None:
        if start.expr is not None:
            self._chosen = Condition(start.expr, start.code or "condition")
        self._also, self._but = dict.fromkeys(start.also), dict.fromkeys(start.but)
        names = {*start.also, *start.but}
        n_found = self._holds(pl.col("id").is_in(list(names)), ["id"]).sum() if names else 0
        if n_found < len(names) and not self.rows.lost:
            self.plan.select(ids=names)  # speaks where one is not in the plan
        self._mask = self._holds(start.to_expr())

    # --- what is shown ---

    @property
    def n_shown(self) -> int:
        """How many rows the view has."""
        return len(self.plan) if self._order is None else len(self._order)

    @property
    def n_readable(self) -> int:
        """How many of the rows shown are in parts that can be read."""
        if self._shown is None:
            return len(self.plan) - sum(n for _, n in self.rows.lost_spans)
        return self._n_known(self._shown)

    @property
    def n_selected(self) -> int:
        """How many ids are selected."""
        return self._n_known(self._mask)

    @property
    def to_send(self) -> list[Span]:
        """The selected ids that travel, of each part: neither those to be skipped nor what can't be read."""
        counts = [self._mask.slice(first, n).sum() for first, n in self.plan.parts.sent]
        known = [0 if number in self.rows.lost else int(n or 0) for number, n in enumerate(counts)]
        return list(zip(accumulate(known, initial=0), known, strict=False))

    @property
    def n_selected_here(self) -> int:
        """How many of the rows shown are selected."""
        if self._shown is None:
            return self.n_selected
        return self._n_known(self._mask & self._shown)

    def _n_known(self, mask: pl.Series) -> int:
        """Return how many rows of a mask are in parts that can be read."""
        n_lost = sum(int(mask.slice(first, n).sum() or 0) for first, n in self.rows.lost_spans)
        return int(mask.sum() or 0) - n_lost

    def sort(self, name: str, *, down: bool) -> None:
        """Sort the view by a column; an empty *name* takes the plan's own order. What is null comes last."""
        self.sorted_by = (name, down) if name else None
        self._sorted = None
        if name:
            expr = self._column(name).value.expr
            self._sorted = sort_positions(self.rows.column(expr, _reads(expr)), down=down)
        self._arrange()

    def show(self, wanted: Filter) -> None:
        """Filter the view.

        Raises:
            PlanError: a bound is no number or no date, or a column can't be filtered so; the view stays as it was.
        """
        condition = all_of(self._conditions(wanted))
        self._shown = None if condition is None else self._holds(condition.expr, _reads(condition.expr))
        self.filter, self._condition = wanted, condition
        self._arrange()

    def _conditions(self, wanted: Filter) -> list[Condition]:
        found = []
        if wanted.actions:
            found.append(has_action(wanted.actions))
        if wanted.rule:
            found.append(has_problem(self.lines.of(wanted.rule), wanted.rule))
        if wanted.text:
            found.append(has_text(self.plan, self.columns, wanted.text))
        for name, asked in wanted.columns.items():
            column = self._column(name)
            if column.is_field and asked.get("state"):
                found.append(has_state(self.plan, name, asked["state"]))
            if (of_values := has_values(column, asked)) is not None:
                found.append(of_values)
        return found

    def _column(self, name: str) -> Column:
        return _ID if name == "id" else self.columns[name]

    def _holds(self, expr: pl.Expr, columns: Sequence[str] | None = None) -> pl.Series:
        try:
            return self.rows.where(expr, columns)
        except pl.exceptions.PolarsError as error:
            raise PlanError(
                f"The rows can't be filtered so ({first_line(error)}). Expected a condition that fits the column. "
                f"Hint: take the filter away."
            ) from None

    def _arrange(self) -> None:
        if self._shown is None:
            self._order = self._sorted
        elif self._sorted is None:
            self._order = self._shown.arg_true()
        else:
            self._order = self._sorted.filter(self._shown.gather(self._sorted))

    # --- what is selected ---

    @property
    def selection(self) -> Selection:
        """The choice as it stands: a condition and the ids that are exceptions of it."""
        chosen = self._chosen
        return Selection(
            None if chosen is None else chosen.expr,
            tuple(self._also),
            tuple(self._but),
            code="" if chosen is None else chosen.code,
        )

    def tick(self, place: int, *, on: bool) -> None:
        """Select, or leave out, the row at a *place* of the view."""
        self._except(self._positions(place, 1), on=on)

    def tick_range(self, first: int, last: int, *, on: bool) -> None:
        """Select, or leave out, the rows from one place to another, both included.

        Raises:
            PlanError: the range is too long to name each id, and the view has an order of its own.
        """
        low, high = sorted((first, last))
        if high - low < MOST_IN_RANGE:
            self._except(self._positions(low, high - low + 1), on=on)
        elif self._sorted is None and self.rows.are_in_order:
            ends = self._positions(low, high - low + 1).gather([0, -1])
            within = between_rows(*self.rows.take(ends, ["row"])["row"])
            self._take(within if self._condition is None else within & self._condition, on=on)
        else:
            raise PlanError(
                f"The range has {high - low + 1:,} rows. Expected at most {MOST_IN_RANGE:,} where the rows are sorted, "
                f"or dealt out to parts. "
                f"Hint: filter by a range of values and tick all, or take the sorting away."
            )

    def tick_all(self, *, on: bool) -> None:
        """Select, or leave out, all rows that the filter shows."""
        self._take(self._condition, on=on)

    def _take(self, shown: Condition | None, *, on: bool) -> None:
        """Join a condition to the choice, or take it away from it; exceptions within it are settled by that."""
        if shown is None:
            self._chosen = None if on else _NOTHING
            self._also, self._but = {}, {}
            self._mask = pl.repeat(on, len(self.plan), dtype=pl.Boolean, eager=True)
            return
        is_view = shown is self._condition and self._shown is not None
        hits = (
            self._shown
            if is_view and self._shown is not None
            else self._holds(shown.expr, _reads(shown.expr))
        )
        chosen = self._chosen
        if on:
            self._chosen = None if chosen is None else shown if chosen is _NOTHING else chosen | shown
            self._mask = self._mask | hits
        else:
            self._chosen = ~shown if chosen is None else chosen if chosen is _NOTHING else chosen & ~shown
            self._mask = self._mask & ~hits
        if self._also or self._but:
            named = self._holds(pl.col("id").is_in(list(self._also | self._but)), ["id"])
            settled = {*self.rows.take((hits & named).arg_true(), ["id"])["id"]}
            self._also = {one: None for one in self._also if one not in settled}
            self._but = {one: None for one in self._but if one not in settled}

    def _except(self, positions: pl.Series, *, on: bool) -> None:
        ids = self.rows.take(positions, ["id"])["id"]
        positions, ids = positions.filter(ids.is_not_null()), ids.drop_nulls()
        undone, noted = (self._but, self._also) if on else (self._also, self._but)
        was_on = self._mask.gather(positions).to_list()
        for one, was in zip(ids, was_on, strict=True):
            if was == on:
                continue
            if one in undone:
                del undone[one]
            else:
                noted[one] = None
        self._mask = self._mask.clone().scatter(positions, on)

    def _positions(self, place: int, n: int) -> pl.Series:
        return self.rows.positions(self._order, place, n)

    # --- what is read ---

    def find(self, wanted: str) -> int:
        """Return the place of an id in the view.

        Raises:
            PlanError: the plan has no such id, or the filter hides it; the message says which, and why.
        """
        at = self.rows.find(wanted)
        if at is None:
            raise PlanError(self._unknown(wanted))
        if self._order is None:
            return at
        places = self._order.to_frame("at").select(pl.arg_where(pl.col("at") == at)).to_series()
        if places.is_empty():
            raise PlanError(
                f"{wanted!r} is in the plan, but the filter hides it. Expected an id that is shown. "
                f"Hint: clear the filters."
            )
        return int(places[0])

    def _unknown(self, wanted: str) -> str:
        reasons = self.lines.with_id(wanted)["reason"].to_list()
        if reasons:
            return f"{wanted!r} is not in the plan: {reasons[0]}. Expected an id that changes. Hint: see its problem above."
        if self.rows.lost:
            return f"{wanted!r} is in no part that can be read. Expected an id of another one. Hint: see above which can't be."
        near = nearest(wanted, self.plan.parts.first(10_000)["id"].to_list())
        hint = f"did you mean {near[0]!r}?" if near else "ids are told apart by case and blanks."
        return f"{wanted!r} is not in the plan: nothing of it changes. Expected one of its {counted(len(self.plan), 'id')}. Hint: {hint}"

    def page(self, start: int, n: int, names: Sequence[str]) -> list[Row]:
        """Return *n* rows from a place on, each as `[position, is selected, action, id, cells]`.

        A cell is `[mark, after, before]`, in texts or nulls; the mark is `n` for new, `c` for changed, `x` for
        cleared, `s` for said in a message, and empty where nothing changes. A cell of another column than a field's has
        its value alone. A row that can't be read has neither action nor id, and is not selected.
        """
        positions, part = self.rows.page(self._order, start, n)
        cells = [self._cells(part, name) for name in names if name in self.columns]
        is_on = self._mask.gather(positions) & part["id"].is_not_null()
        head = zip(positions, is_on, part["action"], part["id"], strict=True)
        return [[*one, [column[at] for column in cells]] for at, one in enumerate(head)]

    def _cells(self, part: pl.DataFrame, name: str, most: int = _MOST_TEXT) -> list[list[str | None]]:
        column = self.columns[name]
        if not column.is_field:
            told = part.select(column.value.expr.alias("cell"))["cell"]
            return [["", _shown(one, most)] for one in told.to_list()]
        if not self.plan.shape.is_held:
            return [[_SAID if one else "", one] for one in _side(part, name, "after", most)]
        sides = [_side(part, name, side, most) for side in ("after", "before")]
        moves = part["changed"].struct.field(name).to_list()
        return [_cell(moved, after, before) for moved, after, before in zip(moves, *sides, strict=True)]

    def letters_of(self, name: str) -> int:
        """Return about how many letters a cell of the column shows: nine in ten of the plan's first rows have no more."""
        lengths = sorted(
            sum(len(text) + 1 for text in cell[1:] if text) for cell in self._cells(self._first, name)
        )
        return lengths[int(0.9 * (len(lengths) - 1))] if lengths else 0

    def cells_of(self, position: int) -> dict[str, list[str | None]]:
        """Return all cells of the row at a *position*, in full, as in `page`."""
        part = self.plan.parts.slice(position, 1)
        return {name: self._cells(part, name, _MOST_IN_FULL)[0] for name in self.columns}


def _reads(expr: pl.Expr) -> list[str]:
    """Return the columns of CHANGES that a condition of the preview's own reads."""
    return sorted({*expr.meta.root_names()})


def _side(part: pl.DataFrame, name: str, side: str, most: int) -> list[str | None]:
    plain = part[side].struct.field(name).to_list()
    if part[f"{side}_raw"].null_count() == part.height:
        return [_shown(one, most) for one in plain]
    raws = part.select(raw_cell(name, f"{side}_raw").alias("raw"))["raw"].to_list()
    return [_shown(one if raw is None else raw, most) for one, raw in zip(plain, raws, strict=True)]


def _shown(value: Any, most: int) -> str | None:
    return None if value is None else cut_text(plain_text(value), most)


def _cell(moved: bool, after: str | None, before: str | None) -> list[str | None]:
    if not moved:
        return ["", after]
    return ["n" if before is None else "x" if after is None else "c", after, before]
