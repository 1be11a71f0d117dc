"""What a preview filters by, each as a polars expression and as the Python that says the same."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any, Final, Literal

import polars as pl

from pendosync.errors import PlanError
from pendosync.frames import ABOUT, DTYPES, about_parts, change_fields, raw_cell
from pendosync.plans import Plan
from pendosync.selections import about, after, before, changed

ColumnKind = Literal["text", "number", "date", "boolean", "list", "other"]
CellState = Literal["changed", "new", "other", "cleared", "unchanged"]


@dataclass(frozen=True, eq=False)
class Condition:
    """A condition on the rows of a plan; a null counts as no."""

    expr: pl.Expr
    code: str

    def __and__(self, other: Condition) -> Condition:
        return Condition(self.expr & other.expr, f"{_part(self.code)} & {_part(other.code)}")

    def __or__(self, other: Condition) -> Condition:
        return Condition(self.expr | other.expr, f"{_part(self.code)} | {_part(other.code)}")

    def __invert__(self) -> Condition:
        return Condition(~self.expr.fill_null(False), f"~({self.code}).fill_null(False)")


def all_of(conditions: Iterable[Condition]) -> Condition | None:
    """Return one condition that holds where each of *conditions* does, None where there are none."""
    each = list(conditions)
    return reduce(Condition.__and__, each) if each else None


@dataclass(frozen=True, eq=False)
class Column:
    """A column of a preview: the id, a field, or one that was kept to filter on.

    Args:
        name: as it is shown.
        kind: how it is filtered and sorted.
        value: what the id will hold, or the kept value.
        is_field: whether the plan could change it.
    """

    name: str
    kind: ColumnKind
    value: Condition
    is_field: bool = False


def columns_of(plan: Plan) -> dict[str, Column]:
    """Return the columns of a preview of *plan*: whom and what rows are about, the fields, then those that were kept.

    A field's name wins.
    """
    nothing = plan.parts.nothing
    types = dict(nothing.schema["after"])  # type: ignore[call-overload]
    fields = {
        name: Column(name, _kind(types[name]), Condition(after(name), f"ps.after({name!r})"), is_field=True)
        for name in change_fields(nothing)
    }
    heads = {
        name: Column(name, _kind(ABOUT[name]), Condition(about(name), f"ps.about({name!r})"))
        for name in about_parts(nothing)
        if name not in fields
    }
    return heads | fields | {
        name: Column(name, _kind(nothing.schema[name]), Condition(pl.col(name), f"pl.col({name!r})"))
        for name in plan.kept
        if name not in fields and name not in heads
    }  # fmt: skip


def has_action(actions: Sequence[str]) -> Condition:
    """Return the condition that a row has one of these *actions*."""
    return Condition(pl.col("action").is_in(list(actions)), f"pl.col('action').is_in({list(actions)!r})")


def has_problem(lines: pl.DataFrame, rule: str) -> Condition:
    """Return the condition that the row's id is one of *lines*, a plan's PROBLEMS of that *rule*."""
    ids = lines["id"].drop_nulls()
    code = f"pl.col('id').is_in(plan.problems.filter(rule={rule!r})['id'].implode())"
    return Condition(pl.col("id").is_in(ids.implode()), code)


def has_text(plan: Plan, columns: Mapping[str, Column], text: str) -> Condition:
    """Return the condition that the id or a text of the row, before or after, holds *text*; case aside."""
    texts = [column for column in columns.values() if column.kind == "text"]
    moved = [column.name for column in texts if column.is_field and plan.summary.fields.get(column.name)]
    places = [Condition(pl.col("id"), "pl.col('id')"), *(column.value for column in texts)]
    places += [Condition(before(name), f"ps.before({name!r})") for name in moved]
    return _any_of([_holds(place, text) for place in places])


def has_state(plan: Plan, field: str, state: CellState) -> Condition:
    """Return the condition that the row's cell of *field* is new, has another value, is cleared or is unchanged."""
    moves = Condition(changed(field), f"ps.changed({field!r})")
    was_nothing = _is_nothing(plan, field, "before")
    is_nothing = _is_nothing(plan, field, "after")
    return {
        "changed": lambda: moves,
        "new": lambda: moves & was_nothing,
        "other": lambda: moves & ~was_nothing & ~is_nothing,
        "cleared": lambda: moves & is_nothing,
        "unchanged": lambda: Condition(~moves.expr, f"~{moves.code}"),
    }[state]()


def has_values(column: Column, wanted: Mapping[str, Any]) -> Condition | None:
    """Return the condition that *column* holds what is *wanted*, or None where nothing is.

    Args:
        column: of the preview.
        wanted: any of `values` (texts or Booleans, None for nothing there), `contains` (a text), `low` and `high`
            (numbers, or dates as ISO 8601).

    Raises:
        PlanError: a bound is no number or no date.
    """
    asked = []
    if wanted.get("values"):
        asked.append(_is_one_of(column.value, list(wanted["values"])))
    if wanted.get("contains"):
        asked.append(_holds(column.value, str(wanted["contains"]), in_list=column.kind == "list"))
    asked += [
        _bound(column, side, wanted[side]) for side in ("low", "high") if wanted.get(side) not in (None, "")
    ]
    return all_of(asked)


def between_rows(low: int, high: int) -> Condition:
    """Return the condition that a row of the table is one from *low* to *high*."""
    return Condition(pl.col("row").is_between(low, high), f"pl.col('row').is_between({low}, {high})")


_META: Final = re.compile(r"[\\.+*?()|\[\]{}^$#&~-]")
"""What means something in a pattern: Rust's, so blanks stay as they are."""

_SIMPLE: Final = re.compile(r"~?(ps|pl)\.\w+\([^()]*\)(\.\w+\([^()]*\))*")


def _part(code: str) -> str:
    """Return *code* so that it can stand beside a `&`."""
    return code if _SIMPLE.fullmatch(code) else f"({code})"


def _kind(dtype: pl.DataType) -> ColumnKind:
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return "text" if dtype == pl.String else "other"
    if dtype.is_numeric():
        return "number"
    if isinstance(dtype, pl.Datetime | pl.Date):
        return "date"
    if dtype == pl.Boolean:
        return "boolean"
    return "list" if dtype == DTYPES["list"] else "other"


def _any_of(conditions: Sequence[Condition]) -> Condition:
    if len(conditions) == 1:
        return conditions[0]
    codes = ", ".join(one.code for one in conditions)
    return Condition(pl.any_horizontal([one.expr for one in conditions]), f"pl.any_horizontal({codes})")


def _holds(place: Condition, text: str, *, in_list: bool = False) -> Condition:
    pattern = "(?i)" + _META.sub(r"\\\g<0>", text)
    if not in_list:
        return Condition(place.expr.str.contains(pattern), f"{place.code}.str.contains({pattern!r})")
    inner = f"pl.element().str.contains({pattern!r})"
    expr = place.expr.list.eval(pl.element().str.contains(pattern)).list.any()
    return Condition(expr, f"{place.code}.list.eval({inner}).list.any()")


def _is_one_of(place: Condition, values: list[Any]) -> Condition:
    known = [one for one in values if one is not None]
    empty = Condition(place.expr.is_null(), f"{place.code}.is_null()")
    if not known:
        return empty
    one_of = Condition(place.expr.is_in(known), f"{place.code}.is_in({known!r})")
    return one_of | empty if None in values else one_of


def _is_nothing(plan: Plan, field: str, side: Literal["before", "after"]) -> Condition:
    cell = before(field) if side == "before" else after(field)
    plain = Condition(cell.is_null(), f"ps.{side}({field!r}).is_null()")
    raw = f"{side}_raw"
    has_none = plan.parts.is_whole and plan.changes[raw].null_count() == len(plan)  # of parts, nobody looks
    if has_none or "'" in field or "\\" in field:
        return plain
    path = f"$['{field}']"
    code = f"pl.col({raw!r}).str.json_path_match({path!r}).is_null()"
    return plain & Condition(raw_cell(field, raw).is_null(), code)


def _bound(column: Column, side: Literal["low", "high"], told: Any) -> Condition:
    try:
        if column.kind == "date":
            return _from_or_to(column, side, str(told).strip())
        number = _number(str(told).strip())
    except (ValueError, OverflowError):
        expected = "a date such as 2026-11-02" if column.kind == "date" else "a number such as 10"
        raise PlanError(
            f"{told!r} can't bound {column.name!r}. Expected {expected}. Hint: leave it empty for no bound."
        ) from None
    return _compare(column.value, ">=" if side == "low" else "<=", Condition(pl.lit(number), repr(number)))


def _number(told: str) -> int | float:
    number = int(told) if re.fullmatch(r"[+-]?\d+", told, re.ASCII) else float(told)
    if not math.isfinite(number):
        raise ValueError
    return number


def _from_or_to(column: Column, side: Literal["low", "high"], told: str) -> Condition:
    """Return the condition that a date is not before, or not after, the one that was *told*; a day is all of it."""
    value, at = column.value, datetime.fromisoformat(told)
    if not column.is_field:
        value = Condition(value.expr.dt.date(), f"{value.code}.dt.date()")
        day = Condition(pl.lit(at.date()), f"pl.date({at.year}, {at.month}, {at.day})")
        return _compare(value, ">=" if side == "low" else "<=", day)
    is_day = len(told) == len("2026-11-02")
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    if side == "high" and is_day:
        return _compare(value, "<", _moment(at + timedelta(days=1)))
    return _compare(value, ">=" if side == "low" else "<=", _moment(at))


def _compare(value: Condition, sign: Literal[">=", "<=", "<"], bound: Condition) -> Condition:
    compared = {"<": value.expr < bound.expr, "<=": value.expr <= bound.expr, ">=": value.expr >= bound.expr}
    return Condition(compared[sign], f"{value.code} {sign} {bound.code}")


def _moment(at: datetime) -> Condition:
    parts = f"{at.year}, {at.month}, {at.day}, {at.hour}, {at.minute}, {at.second}, {at.microsecond}"
    return Condition(pl.lit(at, dtype=DTYPES["date"]), f"pl.datetime({parts}, time_zone='UTC')")
