"""How a column of any polars type becomes one of Pendo's, and what is kept of a cell that can't."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import polars as pl

from pendosync.frames import DTYPES, FieldType, json_member

_OFFSET_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.f%#z"
_NAIVE_FORMATS: Final = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
_ISO: Final = r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:[0-5]\d(\.\d+)?)?([+-]\d{2}:?\d{2})?)?$"
_LONG_WHOLE: Final = r"^\s*[+-]?\d{16,}\s*$"
_DAYS: Final = (-719_162, 2_932_896)
_SECONDS: Final = (-62_135_596_800, 253_402_300_799)
NUMBERS: Final[tuple[FieldType, ...]] = ("integer", "float")
"""What a number that Segment's spec reserves may be."""

Lost = dict[FieldType, int]
"""Type → how many cells of a column it would lose."""

_PER_SECOND: Final = {"ms": 1_000, "us": 1_000_000}


def cast_column(source: pl.Series, wanted: FieldType | None, zone: str | None) -> pl.Expr:
    """Return the expression that brings *source* to a field's type, or the column as it is where none can.

    A cell that does not fit becomes null: nothing is rounded, and no date is guessed.

    Args:
        source: the column; its type decides, and for Decimal whether its values survive as floats.
        wanted: the type asked for; None takes the one that the column's own suggests.
        zone: where datetimes without a zone are read.
    """
    kind = wanted or natural_type(source)
    expr = _CASTS[kind](source.name, source.dtype, zone) if kind else None
    return pl.col(source.name) if expr is None or kind is None else expr.cast(DTYPES[kind])


def natural_type(source: pl.Series) -> FieldType | None:
    """Return the field type that the column's own suggests, or None where Pendo has none."""
    dtype = source.dtype
    if isinstance(dtype, pl.Decimal):
        return settle(lost_as(source, ("float",)))
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "float"
    if is_text(dtype):
        return "text"
    if isinstance(dtype, pl.List | pl.Array):
        return "list"
    return {pl.Boolean: "boolean", pl.Date: "date", pl.Datetime: "date"}.get(dtype.base_type())  # type: ignore[return-value]


def number_type(source: pl.Series) -> FieldType:
    """Return `integer`, or `float` where more of the column's cells are numbers than whole ones."""
    return settle(lost_as(source, NUMBERS))


def lost_as(source: pl.Series, candidates: Sequence[FieldType]) -> Lost:
    """Return how many cells of the column each of *candidates* would lose."""
    lost = {
        kind: (cast_column(source, kind, None).is_null() & pl.col(source.name).is_not_null())
        .sum()
        .alias(kind)
        for kind in candidates
    }
    told = source.to_frame().select(lost.values()).row(0)
    return dict(zip(lost, told, strict=True))


def settle(lost: Lost) -> FieldType:
    """Return the type that loses least of those in *lost*, the first of several; text where the only one loses any.

    Example:
        >>> settle({"float": 0}), settle({"float": 1}), settle({"integer": 2, "float": 1})
        ('float', 'text', 'float')
    """
    if len(lost) == 1:
        return "text" if any(lost.values()) else next(iter(lost))
    return min(lost, key=lambda kind: lost[kind])


def is_text(dtype: pl.DataType) -> bool:
    """Whether values of *dtype* are texts, or all null."""
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null)


def date_from_text(name: str, zone: str | None) -> pl.Expr:
    """Read ISO 8601: a date, or a date and time with an offset, or one without where *zone* says which."""
    text = pl.col(name).cast(pl.String).str.strip_chars()
    text = text.str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T").str.replace(r"[Zz]$", "+00:00")
    text = pl.when(text.str.contains(_ISO)).then(text)
    with_offset = text.str.to_datetime(_OFFSET_FORMAT, strict=False, time_unit="us", time_zone="UTC")
    day = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    naive = [text.str.to_datetime(form, strict=False, time_unit="us") for form in _NAIVE_FORMATS]
    zoned = [_in_zone(pl.coalesce(naive), zone)] if zone else []
    return pl.coalesce(with_offset, day, *zoned)


def raw_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return the JSON text of each cell as it is: what `raw` keeps of a cell that does not fit."""
    column = pl.col(name)
    if dtype.is_float():
        return pl.when(column.is_finite()).then(_json_text(column, name)).otherwise(_quoted(column))
    inside = in_calendar(column, dtype)
    if inside is None:
        return _json_text(column, name)
    # outside the calendar polars panics when it writes a date
    shown = _json_text(pl.when(inside).then(column), name)
    return pl.when(inside).then(shown).otherwise(column.to_physical().cast(pl.String))


def _json_text(value: pl.Expr, name: str) -> pl.Expr:
    return json_member(value, name).str.strip_prefix(f"{json.dumps(name, ensure_ascii=False)}:")


def _quoted(column: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit('"'), column.cast(pl.String), pl.lit('"'))


def _survivors(column: pl.Expr, cast: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Keep those values of *cast* that are the column's again on the way back."""
    return pl.when(cast.cast(dtype, strict=False) == column).then(cast)


def _to_text(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    column = pl.col(name)
    if dtype.is_float():
        return pl.when(column.is_finite()).then(column.cast(pl.String))
    if is_text(dtype) or dtype.is_numeric() or isinstance(dtype, pl.Boolean):
        return column.cast(pl.String)
    date = _to_date(name, dtype, zone) if dtype.is_temporal() else None
    return date.dt.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z") if date is not None else None


def _to_boolean(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    if isinstance(dtype, pl.Boolean):
        return pl.col(name)
    if not (is_text(dtype) or dtype.is_integer()):
        return None
    text = pl.col(name).cast(pl.String).str.strip_chars().str.to_lowercase()
    yes, no = ("true", "false") if is_text(dtype) else ("1", "0")
    return pl.when(text == yes).then(True).when(text == no).then(False)


def _to_integer(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    column = pl.col(name)
    if dtype.is_float() or isinstance(dtype, pl.Decimal):
        finite = pl.when(column.is_finite()).then(column) if dtype.is_float() else column
        return _survivors(column, finite.cast(pl.Int64, strict=False), dtype)
    if is_text(dtype):
        column = column.cast(pl.String)
    return column.cast(pl.Int64, strict=False) if is_text(dtype) or dtype.is_integer() else None


def _to_float(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    column = pl.col(name)
    if dtype == pl.Float64:
        return column
    text = column.cast(pl.String)
    if dtype.is_float():  # the shortest decimal: 0.1, not 0.10000000149011612
        return text.cast(pl.Float64, strict=False)
    if is_text(dtype):
        number = text.cast(pl.Float64, strict=False)
        whole = text.str.strip_chars().cast(pl.Int64, strict=False)
        fits = ~text.str.contains(_LONG_WHOLE) | (number.cast(pl.Int64, strict=False) == whole)
        return pl.when(fits).then(number)
    return _survivors(column, column.cast(pl.Float64), dtype) if dtype.is_numeric() else None


def _to_date(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    if is_text(dtype):
        return _in_years(date_from_text(name, zone))
    inside = in_calendar(pl.col(name), dtype)
    if inside is None:
        return None
    column = pl.when(inside).then(pl.col(name))
    if isinstance(dtype, pl.Date):
        return column.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
    if not isinstance(dtype, pl.Datetime) or not (dtype.time_zone or zone):
        return None
    if dtype.time_zone:
        return column.dt.convert_time_zone("UTC").dt.cast_time_unit("ms")
    return _in_years(_in_zone(column, zone))  # whose clocks may be in another year than UTC


def in_calendar(column: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    """Return whether each date lies in the years 1 to 9999, or None where *dtype* is none."""
    if isinstance(dtype, pl.Date):
        return column.to_physical().is_between(*_DAYS)
    if not isinstance(dtype, pl.Datetime):
        return None
    per_second = _PER_SECOND.get(dtype.time_unit)
    if per_second is None:  # nanoseconds reach from 1677 to 2262 only
        return column.is_not_null()
    return column.to_physical().is_between(_SECONDS[0] * per_second, (_SECONDS[1] + 1) * per_second - 1)


def _in_years(date: pl.Expr) -> pl.Expr:
    cut = date.dt.cast_time_unit("ms")
    return pl.when(cut.dt.year().is_between(1, 9999)).then(cut)


def _in_zone(naive: pl.Expr, zone: str | None) -> pl.Expr:
    """Read *naive* on the clocks of *zone*; what those clocks show twice or never becomes null."""
    return naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")


def _to_list(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    inner = getattr(dtype, "inner", None)
    if inner is None or not (is_text(inner) or inner.is_integer()):
        return None
    return pl.col(name).cast(pl.List(pl.String))


_CASTS: Final = {
    "text": _to_text,
    "boolean": _to_boolean,
    "integer": _to_integer,
    "float": _to_float,
    "date": _to_date,
    "list": _to_list,
}
