"""Each brick at a glance: how much of it there is, and what stands in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from typing import Any, Final

import polars as pl

from pendosync.columns import Column, measure_columns, most_frequent
from pendosync.errors import FrameError, counted
from pendosync.frames import (
    CHANGE_COLUMNS,
    CHANGES,
    FIELDS,
    OUTCOMES,
    PROBLEMS,
    REQUESTS,
    STATUSES,
    VALUES,
    about_parts,
    as_words,
    change_fields,
    field_names,
    raw_cell,
)
from pendosync.reports import Grid, Heads, Report, Signed, more, percent, shown, size, some

_MOST_ROWS: Final = 100
_MOST_REASONS: Final = 20
_MOST_PATHS: Final = 10
_COMMON: Final = 10_000
_CALLED: Final = {
    ("block_row", False): Signed("✕ row dropped"),
    ("block_row", True): Signed("✕ row dropped"),
    ("block_field", False): Signed("✕ value dropped"),
    ("block_field", True): Signed("✕ field dropped"),
    ("warn", False): Signed("△ warning"),
    ("warn", True): Signed("△ warning"),
}
_PROBLEM_HEADS: Final[Heads] = (
    ("problem", ""), ("rule", "code"), ("rows", "number"), ("fields", "name"), ("the first reason", "words"),
)  # fmt: skip
_COLUMN_HEADS: Final[Heads] = (
    ("column", "name"), ("type", "muted"), ("filled", "number"), ("values", "name"), ("samples", "words"),
)  # fmt: skip
_FIELD_HEADS: Final[Heads] = (
    ("field", "name"), ("type", "muted"), ("called", "words"), ("group", ""), ("mark", ""),
)  # fmt: skip
_ABOUT_HEADS: Final[Heads] = (("about", "name"), *_COLUMN_HEADS[1:])
_VALUE_HEADS: Final[Heads] = (
    ("field", "name"), ("type", "muted"), ("filled", "number"), ("raw", "number"), ("values", "name"),
    ("samples", "words"),
)  # fmt: skip
_CHANGE_HEADS: Final[Heads] = (
    ("field", "name"), ("type", "muted"), ("new", "number"), ("changed", "number"), ("cleared", "number"),
    ("filled before", "number"), ("filled after", "number"),
)  # fmt: skip
_REQUEST_HEADS: Final[Heads] = (
    ("method", ""), ("path", "words"), ("requests", "number"), ("ids", "number"), ("size", "number"),
    ("the largest", ""),
)  # fmt: skip
_OUTCOME_HEADS: Final[Heads] = (
    ("outcome", ""), ("ids", "number"), ("share", "number"), ("reason", "words"),
)  # fmt: skip
_SIGNS: Final = {"updated": "✓", "created": "✓", "accepted": "✓", "missing": "✕", "failed": "✕"}


def build_summary(frame: pl.DataFrame | pl.LazyFrame, /) -> Report:
    """Return *frame* at a glance, as lines for a terminal and as a table in a notebook.

    Tells by its columns which brick it is; a LazyFrame, and whatever is none of the bricks, is a table. Holds counts,
    and at most three sample values a column; never fails for a type or a value, and reads without modifying.

    Args:
        frame: a table, or FIELDS, VALUES, PROBLEMS, CHANGES, REQUESTS or OUTCOMES (n rows).

    Returns:
        What a cell shows as its last line, and `print` as text.

    Raises:
        FrameError: it is no polars frame.
        TableError: a lazy table's file can't be read.

    Cost: one pass; for a million rows of ten columns a quarter of a second, most of it to count distinct texts; where each row
    of VALUES keeps raw cells, three.

    Example:
        >>> build_summary(pl.DataFrame({"user": ["ann", "bo", "cy"], "plan": ["pro", "pro", None], "seats": [5, 7, 9]}))
        Table: 3 rows × 3 columns
          column  type     filled  values         samples
          user    text       100%  all different  ann · bo · cy
          plan    text      66.7%  1 distinct     pro
          seats   integer    100%  5 … 9          5 · 7 · 9
    """
    if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
        raise FrameError(
            f"The frame is a {type(frame).__name__}. Expected a polars DataFrame or LazyFrame. "
            f"Hint: load_table(frame) takes those of pandas, pyarrow and DuckDB."
        )
    if isinstance(frame, pl.DataFrame):
        for brick, also, summary in _BRICKS:
            if _is_brick(frame, brick, also):
                return summary(frame)
    return _table(frame)


def problem_grids(
    problems: pl.DataFrame, /, counts: AbstractMapping[bool, AbstractMapping[str, int]] | None = None
) -> tuple[Grid, ...]:
    """Return the table of *problems* (PROBLEMS) by rule: what it does, how often, where, and the first reason.

    `rows` are those that have it at least once; of whole columns, those of the column with the most.

    Args:
        problems: all of them, or the first of each rule.
        counts: where *problems* are the first ones, how many there are of each rule that warns (True) or blocks (False).
    """
    by_rule = _by_rule(problems)
    rows = [
        (
            _CALLED.get((line["severity"], line["is_column"]), shown(line["severity"])),
            shown(line["rule"]),
            f"{line['n']:,}" if counts is None else _counted(line, by_rule, counts),
            some(line["fields"], 6),
            shown(line["reason"], 200),
        )
        for line in by_rule.head(_MOST_ROWS).iter_rows(named=True)
    ]
    return _grids(_PROBLEM_HEADS, rows, more(by_rule.height, _MOST_ROWS, "rule"))


def _counted(
    line: AbstractMapping[str, Any],
    by_rule: pl.DataFrame,
    counts: AbstractMapping[bool, AbstractMapping[str, int]],
) -> str:
    """Return how many rows a line of *by_rule* stands for: as counted, or at least those that were seen.

    Problems of whole columns lie in one part, so that all of them were seen.
    """
    if line["is_column"]:
        return f"{line['n']:,}"
    is_warning = line["severity"] == "warn"
    rule, of_rule = line["rule"], counts[is_warning]
    lines = by_rule.filter(rule=rule).filter((pl.col("severity") == "warn") == is_warning)
    if lines.height > 1 or rule not in of_rule:
        return f"{line['n']:,}+"
    return f"{of_rule[rule]:,}"


def _is_brick(frame: pl.DataFrame, brick: pl.Schema, also: Iterable[str]) -> bool:
    schema = frame.schema
    return all(schema.get(name) == dtype for name, dtype in brick.items()) and set(also) <= set(schema)


def _table(table: pl.DataFrame | pl.LazyFrame) -> Report:
    n_rows, columns = measure_columns(table)
    rows = [
        (shown(one.name), as_words(one.dtype), percent(one.n_filled, n_rows), one.told, one.samples)
        for one in columns[:_MOST_ROWS]
    ]
    title = f"Table: {counted(n_rows, 'row')} × {counted(len(columns), 'column')}"
    return Report(title, grids=_grids(_COLUMN_HEADS, rows, more(len(columns), _MOST_ROWS, "column")))


def _grids(heads: Heads, rows: Sequence[Sequence[Any]], foot: str = "") -> tuple[Grid, ...]:
    """Return a table of *rows*, or none without rows; a column that is empty all the way down is left out."""
    kept = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    columns = tuple(heads[at] for at in kept)
    return (Grid(columns, [[row[at] for at in kept] for row in rows], foot),) if rows else ()


# FIELDS


def _fields(fields: pl.DataFrame) -> Report:
    by_group = fields.group_by("kind", "group", maintain_order=True).agg(
        pl.len().alias("n"),
        *((pl.col(column) == value).sum().alias(word) for word, (column, value) in _MARKS.items()),
    )
    facts = [_group_fact(line) for line in by_group.iter_rows(named=True)]
    rows = [_field_row(line) for line in fields.head(_MOST_ROWS).iter_rows(named=True)]
    groups = f" in {counted(by_group.height, 'group')}" if by_group.height else ""
    title = f"Fields: {fields.height:,}{groups}"
    return Report(title, facts, _grids(_FIELD_HEADS, rows, more(fields.height, _MOST_ROWS, "field")))


_MARKS: Final = {
    "read-only": ("is_writable", False),
    "deleted": ("is_deleted", True),
    "hidden": ("is_hidden", True),
}


def _group_fact(line: AbstractMapping[str, Any]) -> tuple[str, str]:
    marks = [f"{line[word]:,} {word}" for word in _MARKS if line[word]]
    return _group(line), ", ".join([counted(line["n"], "field"), *marks])


def _field_row(line: AbstractMapping[str, Any]) -> tuple[str, ...]:
    kind = shown(line["type"]) or "not named"
    element = f" of {shown(line['element_type'])}" if line["element_type"] else ""
    marks = [word for word, (column, value) in _MARKS.items() if line[column] is value]
    called = shown(line["display_name"])
    return (shown(line["field"]), kind + element, called, _group(line), ", ".join(marks))


def _group(line: AbstractMapping[str, Any]) -> str:
    return f"{shown(line['kind'])} {shown(line['group'])}"


# VALUES


def _values(values: pl.DataFrame) -> Report:
    names = field_names(values)
    _, columns = measure_columns(pl.DataFrame([values.get_column(name) for name in names]))
    n_raw = _count_raw(values["raw"], names[:_MOST_ROWS])
    rows = [_value_row(one, values, n) for one, n in zip(columns[:_MOST_ROWS], n_raw, strict=True)]
    title = f"Values: {counted(values.height, 'id')} × {counted(len(names), 'field')}"
    grids = _grids(_VALUE_HEADS, rows, more(len(columns), _MOST_ROWS, "field"))
    return Report(title, grids=(*_about_grids(values), *grids))


def _about_grids(frame: pl.DataFrame) -> tuple[Grid, ...]:
    """Return a table of whom and what the rows are about, besides their id; none where they say no more."""
    if not about_parts(frame):
        return ()
    _, columns = measure_columns(frame.get_column("about").struct.unnest())
    rows = [
        (shown(one.name), as_words(one.dtype), percent(one.n_filled, frame.height), one.told, one.samples)
        for one in columns
    ]
    return _grids(_ABOUT_HEADS, rows)


def _count_raw(raw: pl.Series, names: Sequence[str]) -> list[int]:
    """Return how many cells of each field *raw* keeps."""
    kept = raw.alias("raw").drop_nulls().to_frame()
    counts = kept.select(raw_cell(name).count().alias(str(at)) for at, name in enumerate(names))
    return list(counts.row(0)) if names else []


def _value_row(one: Column, values: pl.DataFrame, n_raw: int) -> tuple[Any, ...]:
    filled = percent(min(one.n_filled + n_raw, values.height), values.height)
    is_common = 0 < one.n_distinct <= min(_COMMON, one.n_filled // 2)
    samples = most_frequent(values.get_column(one.name)) if is_common else one.samples
    return (shown(one.name), as_words(one.dtype), filled, f"{n_raw:,}" if n_raw else "", one.told, samples)


# PROBLEMS


def _problems(problems: pl.DataFrame) -> Report:
    if problems.is_empty():
        return Report("Nothing is wrong.")
    told = ", ".join(_damage(problems)) or counted(problems.height, "line")
    return Report(f"Problems: {told}", grids=problem_grids(problems))


def _damage(problems: pl.DataFrame) -> Iterator[str]:
    """Yield what the problems do, in numbers."""
    is_column = pl.col("row").is_null() & pl.col("id").is_null()
    rows = problems.filter(severity="block_row")
    fields = problems.filter(severity="block_field")
    n_columns = fields.filter(is_column)["field"].n_unique()
    n_warned = problems.filter(severity="warn")["rule"].n_unique()
    for n, noun in (
        (rows.select(_n_rows()).item(), "row"),
        (n_columns, "field"),
        (fields.filter(~is_column).height, "value"),
    ):
        if n:
            yield f"{counted(n, noun)} dropped"
    if n_warned:
        yield f"warnings of {counted(n_warned, 'rule')}"


def _by_rule(problems: pl.DataFrame) -> pl.DataFrame:
    is_column = pl.col("row").is_null() & pl.col("id").is_null()
    return (
        problems.with_columns(is_column=is_column)
        .group_by("rule", "severity", "is_column", maintain_order=True)
        .agg(
            pl.when(pl.col("is_column").first()).then(pl.col("n_rows").max()).otherwise(_n_rows()).alias("n"),
            pl.col("field").drop_nulls().unique(maintain_order=True).alias("fields"),
            pl.col("reason").first(),
        )
    )


def _n_rows() -> pl.Expr:
    """Return how many different rows there are; those without a place in the table count by their id."""
    return (
        pl.col("row").drop_nulls().n_unique()
        + pl.col("id").filter(pl.col("row").is_null()).drop_nulls().n_unique()
    )


# CHANGES


def _changes(changes: pl.DataFrame) -> Report:
    names = change_fields(changes)
    actions = changes.group_by("action", maintain_order=True).len().iter_rows()
    told = [f"{shown(action)} {n:,}" for action, n in actions] or ["none"]
    title = f"Changes: {', '.join(told)} · {counted(len(names), 'field')}"
    about = _about_grids(changes)
    if not names:
        return Report(title, grids=about)
    counts = _cells(changes, names).select(expr for at in range(len(names)) for expr in _counts(at))
    types = dict(changes.schema["after"])  # type: ignore[call-overload]
    rows = [
        _change_row(name, types[name], counts, at, changes.height)
        for at, name in enumerate(names[:_MOST_ROWS])
    ]
    grids = _grids(_CHANGE_HEADS, rows, more(len(names), _MOST_ROWS, "field"))
    return Report(title, grids=(*about, *grids))


def _cells(changes: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Return three columns a field, named by its place: whether it changes, and is something there before and after.

    A field's own name may be read as a pattern, also by the methods of a Series.
    """
    columns = [changes.get_column(name) for name in ("before_raw", "after_raw")]
    for part in ("changed", "before", "after"):
        parts = changes.get_column(part).struct.unnest()
        columns += [parts.get_column(name).alias(f"{at} {part}") for at, name in enumerate(names)]
    return pl.DataFrame(columns).select(
        *(f"{at} changed" for at in range(len(names))),
        *(_is_there(at, name, "before", changes) for at, name in enumerate(names)),
        *(_is_there(at, name, "after", changes) for at, name in enumerate(names)),
    )


def _is_there(at: int, name: str, part: str, changes: pl.DataFrame) -> pl.Expr:
    is_there = pl.col(f"{at} {part}").is_not_null()
    has_raw = changes.get_column(f"{part}_raw").null_count() < changes.height
    return is_there | raw_cell(name, f"{part}_raw").is_not_null() if has_raw else is_there


def _counts(at: int) -> Iterator[pl.Expr]:
    changed, before, after = (pl.col(f"{at} {what}") for what in ("changed", "before", "after"))
    yield (changed & ~before & after).sum().alias(f"{at} new")
    yield (changed & before & ~after).sum().alias(f"{at} cleared")
    yield changed.sum().alias(f"{at} every")
    yield before.sum().alias(f"{at} before")
    yield after.sum().alias(f"{at} after")


def _change_row(name: str, dtype: pl.DataType, counts: pl.DataFrame, at: int, of: int) -> tuple[str, ...]:
    new, cleared, every, before, after = (
        int(counts[f"{at} {what}"].item()) for what in ("new", "cleared", "every", "before", "after")
    )
    told = (f"{n:,}" if n else "" for n in (new, every - new - cleared, cleared))
    return (shown(name), as_words(dtype), *told, percent(before, of), percent(after, of))


# REQUESTS and OUTCOMES


def _requests(requests: pl.DataFrame) -> Report:
    sized = requests.select(
        "batch",
        "method",
        "path",
        n=pl.col("ids").list.len().fill_null(0),
        size=pl.col("body").str.len_bytes().fill_null(0),
    )
    largest = pl.struct("batch", "n", "size").get(pl.col("size").arg_max())
    by_path = sized.group_by("method", "path", maintain_order=True).agg(
        pl.len().alias("requests"), pl.col("n", "size").sum(), largest.alias("largest")
    )
    rows = [_path_row(line) for line in by_path.head(_MOST_PATHS).iter_rows(named=True)]
    load = f"{requests.height:,}, {counted(int(sized['n'].sum()), 'id')}, {size(int(sized['size'].sum()))}"
    grids = _grids(_REQUEST_HEADS, rows, more(by_path.height, _MOST_PATHS, "path"))
    return Report(f"Requests: {load if rows else 'none'}", grids=grids)


def _path_row(line: AbstractMapping[str, Any]) -> tuple[str, ...]:
    top = line["largest"]
    largest = f"batch {top['batch']}: {counted(top['n'], 'id')}, {size(top['size'])}"
    sums = (f"{line['requests']:,}", f"{line['n']:,}", size(line["size"]))
    return (shown(line["method"]), shown(line["path"], 100), *sums, largest)


def _outcomes(outcomes: pl.DataFrame) -> Report:
    reason = pl.when(~pl.col("status").is_in(_GOOD)).then(pl.col("reason")).alias("reason")
    order = {status: at for at, status in enumerate(STATUSES)}
    lines = sorted(
        outcomes.group_by("status", reason, maintain_order=True).len().iter_rows(),
        key=lambda line: (order.get(line[0], len(order)), -line[2]),
    )
    rows = [
        (
            Signed(f"{_SIGNS.get(status, '△')} {shown(status)}"),
            f"{n:,}",
            percent(n, outcomes.height),
            shown(why, 200),
        )
        for status, why, n in lines[:_MOST_REASONS]
    ]
    facts = [_seen(outcomes["seen"])] if "seen" in outcomes.columns else []
    n_runs = outcomes["run_id"].n_unique()
    of = f" of {counted(n_runs, 'run')}" if n_runs > 1 else ""
    title = f"Outcomes: {counted(outcomes.height, 'id')}{of}"
    return Report(title, facts, _grids(_OUTCOME_HEADS, rows, more(len(lines), _MOST_REASONS, "reason")))


_GOOD: Final = [status for status, sign in _SIGNS.items() if sign == "✓"]


def _seen(seen: pl.Series) -> tuple[str, str]:
    """Return what was read back, in numbers."""
    counts = seen.alias("seen").drop_nulls().value_counts(sort=True, name="n")
    return "read back", " · ".join(f"{shown(what)} {n:,}" for what, n in counts.iter_rows()) or "nothing"


_BRICKS: Final[tuple[tuple[pl.Schema, Sequence[str], Callable[[pl.DataFrame], Report]], ...]] = (
    (FIELDS, (), _fields),
    (PROBLEMS, (), _problems),
    (REQUESTS, (), _requests),
    (OUTCOMES, (), _outcomes),
    (CHANGES, CHANGE_COLUMNS, _changes),
    (VALUES, (), _values),
)
