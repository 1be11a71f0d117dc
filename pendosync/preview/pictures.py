"""A field's column seen as a whole: how many have a value, and how the values are distributed, before and after."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import polars as pl

from pendosync.frames import DTYPES, raw_cell
from pendosync.preview.rows import Rows
from pendosync.reports import cut_text, plain_text
from pendosync.selections import after, before, changed

N_BARS: Final = 12
"""Bars of a distribution over numbers or dates."""

_READ: Final = ("changed", "before", "after", "before_raw", "after_raw")
_N_VALUES: Final = 6
_MOST_TEXT: Final = 40
_LOSS: Final = 0.1
"""Share of the values held that may go before a warning is shown."""


def picture_of(rows: Rows, field: str) -> dict[str, Any]:
    """Return what the header of *field* shows, over all ids of a plan that travel; of very many in parts, over a sample.

    Returns:
        `n` ids, and `is_sample`, whether there are more; `n_changed`, `n_new`, `n_cleared` cells; `held`: how many have a value before and after; `is_loss`:
        whether more than a tenth of the values held would go; `bars`: pairs of counts before and after, over the most
        frequent values (`labels`) or over equal ranges between the least and the greatest, `labels` being both.

    Cost: about 50 ms a million ids; of a million different texts 0.3 s, twice that where some of them change.
    """
    frame = rows.sample(partial(_cells, field), _READ, only_sent=True)
    had = pl.col("before").is_not_null() | pl.col("raw_before")
    has = pl.col("after").is_not_null() | pl.col("raw_after")
    moves = pl.col("changed")
    counts = frame.select(
        n_changed=moves.sum(),
        n_new=(moves & ~had & has).sum(),
        n_cleared=(moves & had & ~has).sum(),
        n_before=had.sum(),
        n_after=has.sum(),
    ).row(0, named=True)
    n_before, n_after = counts.pop("n_before"), counts.pop("n_after")
    will = frame["after"]
    held = frame["before"] if counts["n_changed"] else will  # then both sides are one, and are counted once
    return {
        "n": frame.height,
        "is_sample": rows.is_sampled,
        **counts,
        "held": [n_before, n_after],
        "is_loss": counts["n_cleared"] > _LOSS * n_before,
        **_distribution(held, will),
    }


def _cells(field: str, changes: pl.DataFrame) -> pl.DataFrame:
    return changes.select(
        before=before(field),
        after=after(field),
        raw_before=_is_raw(changes, field, "before_raw"),
        raw_after=_is_raw(changes, field, "after_raw"),
        changed=changed(field),
    )


def _is_raw(changes: pl.DataFrame, field: str, column: str) -> pl.Expr:
    """Return whether the cell is raw; a quick no where no cell is."""
    has_none = changes[column].null_count() == changes.height
    return pl.lit(False) if has_none else raw_cell(field, column).is_not_null()


def _distribution(held: pl.Series, will: pl.Series) -> dict[str, Any]:
    if held.dtype.is_numeric() or held.dtype == DTYPES["date"]:
        return _ranges(held, will)
    if held.dtype == DTYPES["list"]:
        held, will = held.explode(), will.explode()
    return _top_values(held, will)


def _top_values(held: pl.Series, will: pl.Series) -> dict[str, Any]:
    after = _count_values(will)
    before = after if held is will else _count_values(held)
    most = pl.concat(_most_frequent(side)["value"] for side in (before, after)).unique()
    n_before, n_after = (_counts_in(side, most) for side in (before, after))
    top = (
        pl.DataFrame([most.alias("value"), n_before.alias("before"), n_after.alias("after")])
        .with_columns(n=pl.max_horizontal("before", "after"))
        .pipe(_most_frequent)
        .sort("n", "value", descending=[True, False])
    )
    return {
        "kind": "values",
        "labels": [cut_text(plain_text(value), _MOST_TEXT) for value in top["value"]],
        "bars": [list(pair) for pair in top.select("before", "after").iter_rows()],
        "n_values": len(after) if held is will else pl.concat([before["value"], after["value"]]).n_unique(),
    }


def _count_values(values: pl.Series) -> pl.DataFrame:
    return values.drop_nulls().alias("value").value_counts(name="n")


def _most_frequent(counts: pl.DataFrame, most: int = _N_VALUES) -> pl.DataFrame:
    return counts.top_k(most, by=["n", "value"])


def _counts_in(counts: pl.DataFrame, values: pl.Series) -> pl.Series:
    """Return how often each of a few *values* was counted."""
    few = counts.filter(pl.col("value").is_in(values.implode()))
    return values.to_frame("value").join(few, on="value", how="left", maintain_order="left")["n"].fill_null(0)


def _ranges(held: pl.Series, will: pl.Series) -> dict[str, Any]:
    both = [values.to_physical() for values in (held, will)]
    ends: list[tuple[Any, Any]] = [
        (values.min(), values.max()) for values in both if values.null_count() < len(values)
    ]
    if not ends:
        return {"kind": "ranges", "labels": [], "bars": []}
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    bars = zip(*(_histogram(values, low, high) for values in both), strict=True)
    labels = pl.Series([low, high], dtype=both[0].dtype).cast(held.dtype)
    return {
        "kind": "ranges",
        "labels": [plain_text(one) for one in labels],
        "bars": [list(bar) for bar in bars],
    }


def _histogram(values: pl.Series, low: Any, high: Any) -> list[int]:
    """Return how many of *values* fall into each of equal ranges from *low* to *high*."""
    width = (float(high) - float(low)) / N_BARS
    known = values.drop_nulls().cast(pl.Float64)
    bins = ((known - float(low)) / width).floor().clip(0, N_BARS - 1) if width > 0 else known * 0
    counts = dict(bins.cast(pl.Int64).alias("bin").value_counts().iter_rows())
    return [int(counts.get(at, 0)) for at in range(N_BARS)]


def choices_of(rows: Rows, column: pl.Expr, most: int = 8) -> dict[str, Any]:
    """Return what a filter on *column* can choose from: its least and greatest, its most frequent values, its nulls.

    Returns:
        `top`: value and count, the most frequent first; `low`, `high`: texts, for numbers and dates; `n_nulls`; and
        `n_sampled`: over how many rows that is, where the plan has more, else 0.
    """
    values = rows.sample(lambda changes: changes.select(column.alias("value")), column.meta.root_names())[
        "value"
    ]
    n_sampled = len(values) if rows.is_sampled else 0
    answer: dict[str, Any] = {"n_nulls": values.null_count(), "top": [], "n_sampled": n_sampled}
    if values.dtype.is_numeric() or values.dtype.is_temporal():
        answer |= {"low": plain_text(values.min()), "high": plain_text(values.max())}
    elif values.dtype in (pl.String, pl.Boolean):
        counts = values.drop_nulls().alias("value").value_counts(name="n").top_k(most, by=["n", "value"])
        pairs = counts.sort("n", "value", descending=[True, False]).iter_rows()
        answer["top"] = [[value, n] for value, n in pairs if not isinstance(value, str) or len(value) <= 500]
    return answer
