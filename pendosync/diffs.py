"""What would change: values against what Pendo holds, or against what was last pushed."""

from __future__ import annotations

from typing import Final, Literal

import polars as pl

from pendosync.errors import FrameError, MappingError, listed
from pendosync.frames import (
    ACTIONS,
    CHANGE_COLUMNS,
    CHANGES,
    DTYPES,
    VALUES,
    about_column,
    about_parts,
    change_fields,
    compute,
    empty_changes,
    ensure_frame,
    field_names,
    raw_cell,
    raw_of,
    struct_of,
)
from pendosync.heads import is_off
from pendosync.ids import are_unique, find_rows
from pendosync.mapping import Mapping
from pendosync.values import ensure_typed

_BEFORE: Final = "\0before "
_RAW: Final = "\0raw"
_KNOWN: Final = "\0known"
_CHANGED: Final = "\0changed"


def diff_values(
    after: pl.DataFrame,
    /,
    *,
    before: pl.DataFrame | None,
    mapping: Mapping,
    against: Literal["pendo", "snapshot"] = "pendo",
) -> pl.DataFrame:
    """Return the rows of *after* that differ from *before*.

    Never raises for a value, never modifies its arguments. Values compare by Pendo's type. A null of a trait that
    keeps is no change; of one that clears it is, where Pendo holds a value. Ids only in *before* are left alone. Rows
    whose integrations turn Pendo off get the action `skip` and come last: they are never sent.

    Memberships and events have no before: *before* is None, and each row is to `send`.

    Args:
        after: VALUES frame (n rows), ids unique, without blocked cells.
        before: VALUES frame (m rows), from `fetch_values` or `read_snapshot`; a field that it lacks is null. None for
            memberships and events.
        mapping: gives, per trait, what a null does.
        against: where *before* comes from. Against `pendo`, an id that it lacks gets the action `create`; against a
            `snapshot` of what was last pushed, every id is an `update`, as nothing says what Pendo knows.

    Returns:
        CHANGES frame (0 to n rows), in the order of *after*. `after` is what Pendo will hold: a kept null repeats
        `before`.

    Raises:
        FrameError: a frame breaks its brick, ids repeat or are null, or cells are left that no type fits.

    Cost: one hash join, O(n + m) memory.
    Source: the design's brick CHANGES; a column of Booleans per field is a bit mask that plain expressions can read.

    Example:
        >>> from pendosync.values import map_traits
        >>> mapping = Mapping("visitor", id="id", traits=["plan"])
        >>> held = map_traits(pl.DataFrame({"id": ["ann", "bo"], "plan": ["free", "pro"]}), mapping)
        >>> new = map_traits(pl.DataFrame({"id": ["ann", "bo", "cy"], "plan": ["pro", "pro", "free"]}), mapping)
        >>> diff_values(new, before=held, mapping=mapping).select("id", "action").rows()
        [('ann', 'update'), ('cy', 'create')]
    """
    if against not in ("pendo", "snapshot"):
        raise MappingError.bad_choice("against", against, ("pendo", "snapshot"))
    fields = field_names(ensure_frame(after, VALUES, "after"))
    if mapping.is_message or before is None:
        return _messages(after, before, fields, mapping)
    before = ensure_frame(before, VALUES, "before")
    at = _find_held(after["id"], before["id"])
    _ensure_diffable(after, before, fields)
    if not fields:
        return empty_changes({})
    joined = _beside(after, before, fields, at).rechunk()
    has_raw = joined[_RAW].null_count() < joined.height
    marks = {name: _is_changed(name, clears=mapping.clears(name), has_raw=has_raw) for name in fields}
    is_new = ~pl.col(_KNOWN) if against == "pendo" else pl.lit(False)
    marked = joined.with_columns(compute(joined, marks).to_struct(_CHANGED))
    differs = pl.any_horizontal(is_new, *(pl.col(_CHANGED).struct.field(name) for name in fields))
    return skips_last(_as_changes(marked.filter(differs), fields, mapping, is_new))


def skips_last(changes: pl.DataFrame) -> pl.DataFrame:
    """Return *changes* with those whose integrations turn Pendo off marked `skip`, and all that are skipped at the end."""
    if "integrations" in about_parts(changes):
        action = pl.when(is_off()).then(pl.lit("skip")).otherwise(pl.col("action"))
        changes = changes.with_columns(action.alias("action"))
    is_skipped = pl.col("action") == "skip"
    if not changes.select(is_skipped.any()).item():
        return changes
    return changes.filter(~is_skipped).vstack(changes.filter(is_skipped)).rechunk()


def _messages(
    after: pl.DataFrame, before: pl.DataFrame | None, fields: list[str], mapping: Mapping
) -> pl.DataFrame:
    """Return CHANGES that send each row: nothing is held that it could be compared with."""
    if before is not None or not mapping.is_message:
        told, expected = ("given", "None") if before is not None else ("None", "what Pendo holds")
        hint = (
            "before=None" if before is not None else "before=fetch_values(client, mapping, ids=values['id'])"
        )
        raise FrameError(
            f"'before' of a mapping of kind {mapping.kind!r} is {told}. Expected {expected}. Hint: {hint}."
        )
    if not are_unique(after["id"]):
        raise _not_unique("after", after["id"])
    _ensure_diffable(after, after.head(0), fields)
    nothing = {name: pl.lit(None, dtype=after.schema[name]) for name in fields}
    goes = {name: pl.lit(True) if mapping.clears(name) else pl.col(name).is_not_null() for name in fields}
    return skips_last(
        after.rechunk().select(
            "row",
            "id",
            pl.lit("send").alias("action"),
            struct_of(goes).alias("changed"),
            struct_of(nothing).alias("before"),
            struct_of({name: pl.col(name) for name in fields}).alias("after"),
            pl.lit(None, dtype=pl.String).alias("before_raw"),
            pl.lit(None, dtype=pl.String).alias("after_raw"),
            *about_column(after),
        )
    )


def _find_held(after: pl.Series, before: pl.Series) -> pl.Series:
    at = find_rows(after, before)
    if at is None:
        raise _not_unique("after", after) if are_unique(before) else _not_unique("before", before)
    return at


def _not_unique(name: str, ids: pl.Series) -> FrameError:
    twice = ids.filter(ids.is_duplicated() | ids.is_null()).unique(maintain_order=True)
    return FrameError(
        f"Ids of {name!r} are null or repeat: {listed(twice)}. Expected one row for each id. "
        f"Hint: drop_blocked(values, check_values(values, mapping=mapping))."
    )


def _ensure_diffable(after: pl.DataFrame, before: pl.DataFrame, fields: list[str]) -> None:
    ensure_typed(after, what="after")
    if after["raw"].null_count() < after.height:
        raise FrameError(
            f"{after.height - after['raw'].null_count():,} rows of 'after' hold cells that no field type fits (column "
            f"raw). Expected clean values. Hint: drop_blocked(values, check_values(values, mapping=mapping))."
        )
    wrong = {
        name: f"is {before.schema[name]}, expected {after.schema[name]}"
        for name in fields
        if name in before.columns and before.schema[name] != after.schema[name]
    }
    if wrong:
        raise FrameError.wrong_type("before", wrong)


def _beside(after: pl.DataFrame, before: pl.DataFrame, fields: list[str], at: pl.Series) -> pl.DataFrame:
    """Return *after* with what is held beside it: the rows *at* of *before*."""
    sources = {_RAW: "raw", **{f"{_BEFORE}{name}": name for name in fields}}
    held = {to: name for to, name in sources.items() if _holds_any(before, name)}
    nothing = [
        pl.lit(None, dtype=after.schema[name]).alias(to) for to, name in sources.items() if to not in held
    ]
    # a frame of a file has many chunks, and out of them it takes three times as long
    one = before.select(pl.col(name).alias(to) for to, name in held.items()).rechunk()
    there = one.select(pl.all().gather(at)).get_columns()
    return after.hstack(there).with_columns(at.is_not_null().alias(_KNOWN), *nothing)


def _holds_any(values: pl.DataFrame, name: str) -> bool:
    return name in values.columns and values[name].null_count() < values.height


def _is_changed(name: str, *, clears: bool, has_raw: bool) -> pl.Expr:
    after, before = pl.col(name), pl.col(f"{_BEFORE}{name}")
    differs = after.ne_missing(before)
    if not clears:
        return after.is_not_null() & differs
    return differs | (after.is_null() & raw_cell(name, _RAW).is_not_null()) if has_raw else differs


def _as_changes(changed: pl.DataFrame, fields: list[str], mapping: Mapping, is_new: pl.Expr) -> pl.DataFrame:
    before = {name: pl.col(f"{_BEFORE}{name}") for name in fields}
    repeats = [
        (pl.col(name).is_null() & held.is_not_null()).any().alias(name) for name, held in before.items()
    ]
    is_kept = changed.select(repeats).row(0, named=True)
    after = {
        name: pl.coalesce(pl.col(name), held) if is_kept[name] and not mapping.clears(name) else pl.col(name)
        for name, held in before.items()
    }
    return changed.select(
        "row",
        "id",
        pl.when(is_new).then(pl.lit("create")).otherwise(pl.lit("update")).alias("action"),
        pl.col(_CHANGED).alias("changed"),
        struct_of(before).alias("before"),
        struct_of(after).alias("after"),
        pl.col(_RAW).alias("before_raw"),
        _kept_raw(changed, fields).alias("after_raw"),
        *about_column(changed),
    )


def _kept_raw(changed: pl.DataFrame, fields: list[str]) -> pl.Expr:
    """Return the raw cells that stay: those of fields that do not change."""
    if changed[_RAW].null_count() == changed.height:
        return pl.lit(None, dtype=pl.String)
    stays = [
        (name, pl.when(~pl.col(_CHANGED).struct.field(name)).then(raw_cell(name, _RAW))) for name in fields
    ]
    return raw_of(stays)


def ensure_changes(changes: pl.DataFrame) -> None:
    """Return nothing where *changes* is a CHANGES frame: typed, one row for each id, the same fields throughout.

    Raises:
        FrameError: it is not; the message says which column and why.
    """
    ensure_frame(changes, CHANGES, "changes", also=CHANGE_COLUMNS)
    _ensure_types(changes)
    _ensure_rows(changes)


def _ensure_types(changes: pl.DataFrame) -> None:
    types = changes.schema["after"]
    strange = (
        {part.name: str(part.dtype) for part in types.fields if part.dtype not in DTYPES.values()}
        if isinstance(types, pl.Struct)
        else {"after": str(types)}
    )
    if strange:
        raise FrameError.wrong_type("changes", {name: f"is {dtype}" for name, dtype in strange.items()})


def _ensure_rows(changes: pl.DataFrame) -> None:
    wrong = {}
    if not are_unique(changes["id"]):
        wrong["id"] = "holds nulls or repeats"
    if changes["row"].null_count():
        wrong["row"] = "holds nulls"
    # as an expression: a column that is one value throughout isn't written out for it
    if set(changes.select(pl.col("action").unique()).to_series()) - set(ACTIONS):
        wrong["action"] = f"holds other than {listed(ACTIONS, most=9)}"
    fields = change_fields(changes)
    for name in ("changed", "before"):
        parts = changes.schema[name]
        if not isinstance(parts, pl.Struct) or [part.name for part in parts.fields] != fields:
            wrong[name] = "has not the fields of after"
    if wrong:
        raise FrameError.wrong_type("changes", wrong)
