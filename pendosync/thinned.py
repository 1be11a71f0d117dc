"""CHANGES as they are saved: without what can be told from the rest of them, and whole again once they are read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from pendosync.folders import hollow_in
from pendosync.frames import change_fields, struct_of
from pendosync.selections import after, before, changed

_MAY_BE_EMPTY: Final = ("before", "before_raw", "after_raw")

_MOST: Final = 0.5
"""The share of a field's cells that must stay. Measured: at a half, to leave them out takes the time that it saves."""


def thin_fields(changes: pl.DataFrame, /) -> list[str]:
    """Return the fields whose cells `thinned` may leave out: most of them stay, as the very bits that they were before."""
    fields = [] if changes["after"].null_count() else change_fields(changes)
    stays = [(~changed(name) & after(name).is_not_null()).mean().alias(name) for name in fields]
    fields = [name for name, share in _told(changes, stays) if (share or 0) >= _MOST]
    same = [(changed(name) | _is_same(changes, name)).all(ignore_nulls=False).alias(name) for name in fields]
    return [name for name, is_same in _told(changes, same) if is_same]


def thinned(changes: pl.DataFrame, /, fields: Sequence[str]) -> pl.DataFrame:
    """Return CHANGES in which the cells of *fields* that stay are null, and columns that hold nothing have no type.

    Measured for a million ids with ten fields: that saves a third of the bytes and of the time where three fields
    change, and a sixth of the time where all ids are created.
    """
    empty = [name for name in _MAY_BE_EMPTY if _is_empty(changes[name])]
    parts = {
        name: pl.when(changed(name)).then(after(name)) if name in fields else after(name)
        for name in change_fields(changes)
    }
    thin = [struct_of(parts).alias("after")] if fields else []
    return (changes.rechunk() if fields else changes).with_columns(
        *thin, *(pl.lit(None).alias(name) for name in empty)
    )


def restored(saved: pl.DataFrame, fields: Sequence[str], nothing: pl.DataFrame, /) -> pl.DataFrame:
    """Return CHANGES, or some columns of them, as they were before `thinned`, and with the structs that no file holds.

    Args:
        saved: what was read; `after` of *fields* needs `before` and `changed`.
        fields: what `thinned` was told.
        nothing: CHANGES without a row, which say the types.
    """
    types = {name: nothing.schema[name] for name in _MAY_BE_EMPTY if saved.schema.get(name) == pl.Null}
    types |= {name: nothing.schema[name] for name in hollow_in(nothing.schema) if name not in saved.columns}
    whole = (saved.rechunk() if fields else saved).with_columns(
        _nulls(dtype).alias(name) for name, dtype in types.items()
    )
    if not fields or "after" not in saved.columns:
        return whole
    parts = {
        name: pl.when(changed(name)).then(after(name)).otherwise(before(name))
        if name in fields
        else after(name)
        for name in change_fields(saved)
    }
    return whole.with_columns(struct_of(parts).alias("after"))


def _told(changes: pl.DataFrame, exprs: Sequence[pl.Expr]) -> Iterator[tuple[str, float | bool | None]]:
    """Yield the name and the value of each of *exprs*, which come to one value."""
    told = changes.select(exprs)
    return zip(told.columns, told.row(0) if exprs else (), strict=True)


def _is_same(changes: pl.DataFrame, name: str) -> pl.Expr:
    """Return whether a cell is what it was: for floats, 0.0 and -0.0 are two."""
    same = after(name).eq_missing(before(name))
    is_float = changes["after"].struct.field(name).dtype.is_float()
    return same & (1 / after(name)).eq_missing(1 / before(name)) if is_float else same


def _is_empty(column: pl.Series) -> bool:
    """Whether *column* is null throughout, or a struct whose parts all are."""
    if not isinstance(column.dtype, pl.Struct):
        return column.null_count() == len(column)
    parts = column.struct.unnest()
    return not column.null_count() and parts.width > 0 and all(map(_is_empty, parts))


def _nulls(dtype: pl.DataType) -> pl.Expr:
    if not isinstance(dtype, pl.Struct):
        return pl.lit(None, dtype=dtype)
    return struct_of({part.name: pl.lit(None, dtype=part.dtype) for part in dtype.fields})
