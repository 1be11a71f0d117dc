"""Changes against what Pendo holds now: which cells are as planned on, as pushed, or somebody else's.

Touches no network: *held* is what was read, or what a journal says. All of it is one hash join and wide columns.
"""

from __future__ import annotations

from typing import Final, Literal

import polars as pl

from pendosync.errors import FrameError, MappingError
from pendosync.frames import (
    VALUES,
    Severity,
    cell_text,
    change_fields,
    ensure_frame,
    raw_cell,
    raw_of,
    struct_of,
)
from pendosync.rules import no_problems, row_problems

CELL: Final = pl.Enum(["before", "after", "other"])
"""What a changed cell holds: the value that was planned on, the one to be pushed, or something else."""

_HELD: Final = "\0held "
_RAW: Final = "\0raw"
_KNOWN: Final = "\0known"
_CELLS: Final = "\0cells"
_SHOWN: Final = 60


def compare_held(changes: pl.DataFrame, /, held: pl.DataFrame) -> pl.DataFrame:
    """Return what Pendo holds now in each cell that *changes* change.

    Cells compare by Pendo's type; those of another type by their JSON text.

    Args:
        changes: CHANGES frame (n rows). A `create` was planned on nothing: its `before` is null everywhere.
        held: VALUES frame (m rows), from `fetch_held`: ids that Pendo does not know are absent, a field that it lacks
            is null.

    Returns:
        A frame (n rows), in the order of *changes*: `row`, `id`, `action`, `is_known` (whether Pendo knows the id),
        `cells` (a struct, per field of type `CELL`: null where the field does not change).

    Raises:
        FrameError: *held* is no VALUES frame, or a field has another type there.

    Cost: one hash join and two comparisons a cell. Measured: 10^6 ids with 10 fields take 0.2 to 0.4 s on two cores.
    """
    compared = _compared(changes, held)
    return compared.select(
        "row", "id", "action", _is_known().alias("is_known"), pl.col(_CELLS).alias("cells")
    )


def other_cells(changes: pl.DataFrame, /, held: pl.DataFrame) -> pl.DataFrame:
    """Return the changed cells that hold neither what was planned on nor what was to be pushed.

    Ids that Pendo does not know are left out.

    Returns:
        A frame, one row a cell, field by field: `row`, `id`, `field`, and `before`, `after`, `held` as JSON texts,
        null where there is nothing.

    Raises:
        FrameError: as `compare_held`.
    """
    compared = _compared(changes, held).filter(_is_known())
    parts = []
    for name in change_fields(changes):
        cells = compared.filter(_cell(name) == "other").rechunk()
        texts = {what: cell_text(*_parts(cells, name, what)) for what in ("before", "after", "held")}
        parts.append(cells.select("row", "id", pl.lit(name).alias("field"), **texts))
    texts_of = dict.fromkeys(("id", "field", "before", "after", "held"), pl.String)
    return pl.concat([pl.DataFrame(schema={"row": pl.UInt32, **texts_of}), *parts])


def moved_cells(
    changes: pl.DataFrame, /, held: pl.DataFrame, *, against: Literal["pendo", "snapshot"] = "pendo"
) -> pl.DataFrame:
    """Return where Pendo has moved since *changes* were planned.

    A cell that holds what was planned on has not moved, nor has one that holds already what is to be pushed. An id
    that was to be updated and that Pendo no longer knows has moved as a whole.

    Args:
        changes, held: as in `compare_held`.
        against: what the changes were planned on. Against a `snapshot` of what was last pushed, nothing is known of
            cells without a value before, and of ids without any: these are not judged.

    Returns:
        PROBLEMS frame of the rule `moved`, by row; `field` is null for a whole id.

    Raises:
        FrameError: as `compare_held`.
        MappingError: *against* is none of its choices.
    """
    if against not in ("pendo", "snapshot"):
        raise MappingError.bad_choice("against", against, ("pendo", "snapshot"))
    cells, gone = other_cells(changes, held), gone_ids(changes, held)
    if against == "snapshot":
        cells = cells.filter(pl.col("before").is_not_null())
        gone = gone.filter(_has_before(change_fields(gone)))
    reason = pl.format("planned on {}, Pendo now holds {}", *map(shown, ("before", "held")))
    lost = row_problems(gone, "Pendo no longer knows this id", rule="moved", severity="block_row")
    told = cell_problems(cells, reason, rule="moved", severity="block_field")
    return pl.concat([lost, told]).sort("row", maintain_order=True)


def held_cells(
    changes: pl.DataFrame, /, held: pl.DataFrame, *, what: Literal["before", "after"]
) -> pl.DataFrame:
    """Return where Pendo holds what was there before, or what was to be pushed.

    Returns:
        A frame `row`, `id`, `field`: one row for each id all of whose changed cells hold it (`field` null), then one
        for each other cell that does. Ids that Pendo does not know are left out.

    Raises:
        FrameError: as `compare_held`.
    """
    known = _compared(changes, held).filter(_is_known())
    fields = change_fields(changes)
    is_whole = pl.all_horizontal(True, *((_cell(name) == what).fill_null(True) for name in fields))
    whole = known.filter(is_whole).select("row", "id", pl.lit(None, dtype=pl.String).alias("field"))
    others = known.filter(~is_whole)
    cells = [
        others.filter(_cell(name) == what).select("row", "id", pl.lit(name).alias("field")) for name in fields
    ]
    return pl.concat([whole, *cells])


def gone_ids(changes: pl.DataFrame, /, held: pl.DataFrame) -> pl.DataFrame:
    """Return those *changes* that update an id which Pendo does not know any more."""
    updates = changes.filter(pl.col("action") == "update")
    return updates.join(held.select("id"), on="id", how="anti", maintain_order="left")


def read_back(changes: pl.DataFrame, /, held: pl.DataFrame) -> pl.DataFrame:
    """Return what is seen of *changes* once they were pushed. A read may lag: `not_yet` is not failed.

    Args:
        changes, held: as in `compare_held`.

    Returns:
        A frame (n rows), in the order of *changes*: `row`, `id`, `seen`, `fields`. `seen` is `as_pushed` (each changed
        cell holds what was pushed), `not_yet` (some hold what was there before, none anything else; also an id that
        was to be created and is not known), `other` (some hold something else, which `fields` lists; it is null for
        the rest), or `missing` (an id that was to be updated and that Pendo does not know).

    Raises:
        FrameError: as `compare_held`.
    """
    compared = _compared(changes, held)
    fields = change_fields(changes)
    is_other = pl.any_horizontal(False, *(_cell(name) == "other" for name in fields))
    waits = pl.any_horizontal(~_is_known(), *(_cell(name) == "before" for name in fields))
    seen = (
        pl.when(~_is_known() & (pl.col("action") == "update"))
        .then(pl.lit("missing"))
        .when(is_other)
        .then(pl.lit("other"))
        .when(waits)
        .then(pl.lit("not_yet"))
        .otherwise(pl.lit("as_pushed"))
    )
    told = compared.select("row", "id", seen.alias("seen"), _CELLS)
    names = [pl.when(_cell(name) == "other").then(pl.lit(name)) for name in fields]
    others = told.filter(seen="other").rechunk()
    listed = others.select(
        "id", fields=pl.concat_list(names or [pl.lit(None, dtype=pl.String)]).list.drop_nulls()
    )
    return told.drop(_CELLS).join(listed, on="id", how="left", maintain_order="left")


def rebase_changes(changes: pl.DataFrame, /, held: pl.DataFrame) -> pl.DataFrame:
    """Return *changes* as they are on today's values.

    Of a changed cell `after` stays and `before` is what is held; where that is the same it does not change any more.
    Any other cell takes what is held. Rows with nothing left to change fall out, and so do ids that Pendo does not
    know, unless they are to be created: `gone_ids` names them. An id that was to be created, and that Pendo knows by
    now, is updated.

    Args:
        changes, held: as in `compare_held`.

    Returns:
        CHANGES frame (0 to n rows), in the order of *changes*, with the columns that were kept.

    Raises:
        FrameError: as `compare_held`.
    """
    compared = _compared(changes, held)
    fields = change_fields(changes)
    goes = {name: (_cell(name) != "after").fill_null(False) for name in fields}
    was_changed = {name: pl.col("changed").struct.field(name) for name in fields}
    after, raws = {}, []
    for name in fields:
        (new, _, new_raw), (now, _, now_raw) = (_parts(compared, name, what) for what in ("after", "held"))
        after[name] = pl.when(was_changed[name]).then(new).otherwise(now)
        raws.append((name, pl.when(was_changed[name]).then(new_raw).otherwise(now_raw)))
    has_raw = any(compared[column].null_count() < compared.height for column in (_RAW, "after_raw"))
    is_skipped = pl.col("action") == "skip"
    there = compared.filter(_is_known() | is_skipped | (pl.col("action") == "create")).rechunk()
    action = pl.when(_is_known()).then(pl.lit("update")).otherwise(pl.lit("create"))
    rebased = there.with_columns(
        action=pl.when(is_skipped).then(pl.lit("skip")).otherwise(action),
        changed=struct_of(goes),
        before=struct_of({name: pl.col(f"{_HELD}{name}") for name in fields}),
        after=struct_of(after),
        before_raw=pl.col(_RAW),
        after_raw=raw_of(raws) if has_raw else pl.lit(None, dtype=pl.String),
    )
    return rebased.filter(is_change(fields)).select(changes.columns)


def is_change(fields: list[str]) -> pl.Expr:
    """Return whether a row of CHANGES changes anything: a cell, whether the id exists, or that it is sent at all."""
    return pl.any_horizontal(
        ~pl.col("action").is_in(["update", "skip"]),
        *(pl.col("changed").struct.field(name) for name in fields),
    )


def shown(column: str) -> pl.Expr:
    """Return the JSON text in *column* short enough for a reason."""
    text = pl.col(column)
    short = pl.concat_str(text.str.slice(0, _SHOWN - 1), pl.lit("…"))
    return pl.when(text.str.len_chars() > _SHOWN).then(short).otherwise(text).fill_null("nothing")


def cell_problems(
    cells: pl.DataFrame, reason: pl.Expr | str, *, rule: str, severity: Severity
) -> pl.DataFrame:
    """Return a PROBLEMS frame with one line for each of *cells*: `row`, `id`, `field`, and what *reason* reads."""
    lines = row_problems(cells, reason, rule=rule, severity=severity)
    return pl.concat([no_problems(), lines.with_columns(cells["field"])])


def _compared(changes: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Return *changes* with what is held beside them, and `CELL` a field; in one chunk."""
    joined = _join(changes, held)
    cells = {}
    for name in change_fields(changes):
        is_after, is_before = (_is_same(joined, name, "held", what) for what in ("after", "before"))
        code = pl.when(is_after).then(_code("after")).when(is_before).then(_code("before"))
        changes_cell = pl.col("changed").struct.field(name)
        cells[name] = pl.when(changes_cell).then(code.otherwise(_code("other")))
    return joined.with_columns(struct_of(cells).alias(_CELLS))


def _join(changes: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    ensure_frame(held, VALUES, "held")
    types = dict(changes.schema["after"])  # type: ignore[call-overload]
    wrong = {
        name: f"is {held.schema[name]}, expected {dtype}"
        for name, dtype in types.items()
        if name in held.columns and held.schema[name] != dtype
    }
    if wrong:
        raise FrameError.wrong_type("held", wrong)
    cells = {
        f"{_HELD}{name}": pl.col(name) if name in held.columns else pl.lit(None, dtype=dtype)
        for name, dtype in types.items()
    }
    named = [expr.alias(name) for name, expr in cells.items()]
    renamed = held.select("id", pl.lit(True).alias(_KNOWN), pl.col("raw").alias(_RAW), *named)
    return changes.join(renamed, on="id", how="left", maintain_order="left").rechunk()


def _is_same(joined: pl.DataFrame, name: str, one: str, other: str) -> pl.Expr:
    value, _, raw = _parts(joined, name, one)
    value_too, _, raw_too = _parts(joined, name, other)
    return value.eq_missing(value_too) & raw.eq_missing(raw_too)


def _parts(joined: pl.DataFrame, name: str, what: str) -> tuple[pl.Expr, pl.DataType, pl.Expr]:
    """Return a cell's value, its type, and its raw text: `before`, `after` or `held`."""
    types = dict(joined.schema["after"])  # type: ignore[call-overload]
    value = pl.col(f"{_HELD}{name}") if what == "held" else pl.col(what).struct.field(name)
    column = _RAW if what == "held" else f"{what}_raw"
    has_raw = joined[column].null_count() < joined.height
    return value, types[name], raw_cell(name, column) if has_raw else pl.lit(None, dtype=pl.String)


def _code(cell: str) -> pl.Expr:
    return pl.lit(cell, dtype=CELL)


def _cell(name: str) -> pl.Expr:
    return pl.col(_CELLS).struct.field(name)


def _is_known() -> pl.Expr:
    return pl.col(_KNOWN).is_not_null()


def _has_before(fields: list[str]) -> pl.Expr:
    values = [pl.col("before").struct.field(name).is_not_null() for name in fields]
    return pl.any_horizontal(pl.col("before_raw").is_not_null(), *values)
