"""What stands in a table's columns, counted in one pass: how full, from where to where, how many and such as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pendosync.casts import in_calendar, is_text
from pendosync.reports import percent, shown
from pendosync.tables import collect_table
from pendosync.tables.faults import is_from_below, speaking

_SAMPLES: Final = 3
_LOOKED_AT: Final = 200
_MOST_PARTS: Final = 8
_MOST_CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True)
class Column:
    """One column: how many cells are not null, how many texts differ, its values in a few words, and samples."""

    name: str
    dtype: pl.DataType
    n_filled: int
    n_distinct: int
    told: str
    samples: tuple[str, ...]


def measure_columns(table: pl.DataFrame | pl.LazyFrame, /) -> tuple[int, list[Column]]:
    """Return the number of rows, and what stands in each column. Never fails for a type or a value.

    Args:
        table: a table (n rows), lazy or not.

    Raises:
        TableError: a lazy table's file can't be read.

    Cost: one pass; the distinct texts of a column take a hash table.
    """
    with speaking("The table"):
        dtypes = list(table.collect_schema().items())
    asked = [expr for at, (_, dtype) in enumerate(dtypes) for expr in _asked(at, dtype)]
    counts = collect_table(table.lazy().select(pl.len().alias("rows"), *asked))
    columns = [_told(counts, at, name, dtype) for at, (name, dtype) in enumerate(dtypes)]
    return int(counts["rows"].item()), columns


def most_frequent(texts: pl.Series) -> tuple[str, ...]:
    """Return the texts that stand there most often, each with its share.

    Example:
        >>> most_frequent(pl.Series(["pro", "free", "pro", None]))
        ('pro 66.7%', 'free 33.3%')
    """
    counts = (
        texts.alias("text").drop_nulls().value_counts(name="n").sort("n", "text", descending=[True, False])
    )
    of = len(texts) - texts.null_count()
    return tuple(f"{shown(text, 30)} {percent(n, of)}" for text, n in counts.head(_SAMPLES).iter_rows())


def _asked(at: int, dtype: pl.DataType) -> Iterator[pl.Expr]:
    """Yield what is counted of the column at *at*; by its place, as a name may be read as a pattern."""
    column = pl.nth(at)
    yield column.count().alias(f"{at} filled")
    if isinstance(dtype, pl.Object):
        return
    if is_text(dtype):
        yield column.drop_nulls().n_unique().alias(f"{at} distinct")
    elif isinstance(dtype, pl.Boolean):
        yield column.sum().alias(f"{at} true")
    elif dtype.is_numeric() or dtype.is_temporal():
        sound = _sound(column, dtype)
        yield (column.count() - sound.count()).alias(f"{at} odd")
        yield _readable(sound.min(), dtype).alias(f"{at} low")
        yield _readable(sound.max(), dtype).alias(f"{at} high")
    yield _samples(column, dtype).implode().alias(f"{at} samples")


def _samples(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if isinstance(dtype, pl.List):
        inner = dtype.inner
        few = column.drop_nulls().head(_SAMPLES).list.head(_MOST_PARTS)
        return (
            few.list.eval(_sound(pl.element(), inner))
            if isinstance(inner, pl.DataType) and inner.is_temporal()
            else few
        )
    if dtype.is_nested() or isinstance(dtype, pl.Binary):
        return column.drop_nulls().head(_SAMPLES)
    sound = _sound(column, dtype) if dtype.is_temporal() else column
    few = sound.drop_nulls().head(_LOOKED_AT).unique(maintain_order=True).head(_SAMPLES)
    return few.cast(pl.String).str.slice(0, _MOST_CHARACTERS) if is_text(dtype) else _readable(few, dtype)


def _sound(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return *column* without NaN, and without dates that no calendar of Python's holds."""
    if dtype.is_float():
        return pl.when(column.is_not_nan()).then(column)
    inside = in_calendar(column, dtype)
    return column if inside is None else pl.when(inside).then(column)


def _readable(values: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return *values* as Python can hold them: its durations end earlier than those of polars."""
    return values.dt.to_string("polars") if isinstance(dtype, pl.Duration) else values


def _told(counts: pl.DataFrame, at: int, name: str, dtype: pl.DataType) -> Column:
    def held(what: str) -> Any:
        return _held(counts, f"{at} {what}")

    n_filled, n_distinct = held("filled"), held("distinct") or 0
    told = ""
    if is_text(dtype):
        told = _distinct(n_distinct, n_filled)
    elif isinstance(dtype, pl.Boolean):
        told = f"true {percent(held('true') or 0, n_filled)}" if n_filled else ""
    elif dtype.is_numeric() or dtype.is_temporal():
        odd = "NaN" if dtype.is_float() else "outside the years 1 to 9999"
        told = _range(held("low"), held("high"), held("odd"), odd)
    samples = held("samples") or []
    return Column(name, dtype, n_filled, n_distinct, told, tuple(dict.fromkeys(map(_text, samples))))


def _held(counts: pl.DataFrame, name: str) -> Any:
    """Return what was counted under that name, or None: nothing was, or Python can't hold what polars does."""
    if name not in counts.columns:
        return None
    try:
        value = counts[name].item()
        return value.to_list() if isinstance(value, pl.Series) else value
    except BaseException as error:
        if not is_from_below(error, foreign=True):
            raise
        return None


def _distinct(n: int, n_filled: int) -> str:
    if n == n_filled > 1:
        return "all different"
    return f"{n:,} distinct" if n else ""


def _range(low: Any, high: Any, n_odd: int, odd: str) -> str:
    ends = [] if low is None or high is None else list(dict.fromkeys([_text(low), _text(high)]))
    return ", ".join([*([" … ".join(ends)] if ends else []), *([f"{n_odd:,} {odd}"] if n_odd else [])])


def _text(value: Any) -> str:
    """Return a value in a few characters: floats by six digits, of lists and structs the first parts."""
    if isinstance(value, list):
        return shown(f"[{', '.join(_text(one) or 'null' for one in value[:_MOST_PARTS])}]")
    if isinstance(value, dict):
        parts = list(value.items())[:_MOST_PARTS]
        return shown("{" + ", ".join(f"{shown(name)}: {_text(one) or 'null'}" for name, one in parts) + "}")
    if isinstance(value, float):
        return f"{value:.0f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"
    return shown(value[:_MOST_CHARACTERS] if isinstance(value, bytes) else value)
