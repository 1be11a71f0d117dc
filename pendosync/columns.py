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

SAMPLES: Final = 3
_LOOKED_AT: Final = 200
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
    return tuple(f"{shown(text, 30)} {percent(n, of)}" for text, n in counts.head(SAMPLES).iter_rows())


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
    if dtype.is_nested() or isinstance(dtype, pl.Binary):
        first = column.drop_nulls().head(SAMPLES)
        return first.list.head(_LOOKED_AT) if isinstance(dtype, pl.List) else first
    sound = _sound(column, dtype) if dtype.is_temporal() else column
    few = sound.drop_nulls().head(_LOOKED_AT).unique(maintain_order=True).head(SAMPLES)
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
    def count(what: str) -> Any:
        return counts[f"{at} {what}"].item() if f"{at} {what}" in counts.columns else None

    n_filled = count("filled")
    told = ""
    if is_text(dtype):
        told = _distinct(count("distinct"), n_filled)
    elif isinstance(dtype, pl.Boolean):
        told = f"true {percent(count('true') or 0, n_filled)}" if n_filled else ""
    elif dtype.is_numeric() or dtype.is_temporal():
        odd = "NaN" if dtype.is_float() else "outside the years 1 to 9999"
        told = _range(count("low"), count("high"), count("odd"), odd)
    return Column(name, dtype, n_filled, count("distinct") or 0, told, _texts(counts, f"{at} samples"))


def _distinct(n: int, n_filled: int) -> str:
    if n == n_filled > 1:
        return "all different"
    return f"{n:,} distinct" if n else ""


def _range(low: Any, high: Any, n_odd: int, odd: str) -> str:
    first, last = _number(low), _number(high)
    span = [] if low is None else [first if first == last else f"{first} … {last}"]
    return ", ".join([*span, *([f"{n_odd:,} {odd}"] if n_odd else [])])


def _number(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else shown(value)
    return shown(value) if isinstance(value, float) and "e" in text else text


def _texts(counts: pl.DataFrame, name: str) -> tuple[str, ...]:
    """Return the samples as texts; none where Python can't hold what polars does."""
    try:
        values = counts[name].item().to_list() if name in counts.columns else []
    except BaseException as error:
        if not is_from_below(error, foreign=True):
            raise
        return ()
    return tuple(_text(value) for value in values)


def _text(value: Any) -> str:
    if isinstance(value, list):
        return shown(f"[{', '.join(shown(one) or 'null' for one in value)}]")
    return shown(value[:_MOST_CHARACTERS] if isinstance(value, bytes) else value)
