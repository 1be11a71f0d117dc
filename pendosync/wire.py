"""From changes to the requests that travel: the records of `encoding`, batch by batch, step by step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from pendosync.encoding import encode_records
from pendosync.shapes import Shape, Step, steps_of

_WINDOW: Final = 20_000
"""Rows encoded at a time, about. Measured: more costs memory and no less time."""

_BATCH: Final = "\0batch"


def build_requests(
    changes: pl.DataFrame, shape: Shape, /, *, rows_at_a_time: int = _WINDOW
) -> Iterator[pl.DataFrame]:
    """Yield the requests that *changes* make, window by window, in order.

    Args:
        changes: CHANGES frame (n rows).
        shape: kind, route, batch size and what else shapes bytes.
        rows_at_a_time: ids in a window, about; it does not show in the bytes.

    Yields:
        REQUESTS frames; `batch` counts from 0 through all of them.
    """
    for step in steps_of(changes.height, shape):
        yield from build_step(changes, shape, step, rows_at_a_time=rows_at_a_time)


def build_step(
    changes: pl.DataFrame,
    shape: Shape,
    step: Step,
    /,
    *,
    but: frozenset[int] = frozenset(),
    rows_at_a_time: int = _WINDOW,
) -> Iterator[pl.DataFrame]:
    """Yield the requests of one *step* of a plan with these *changes*, as `build_requests` does.

    Args:
        changes, shape, rows_at_a_time: as in `build_requests`.
        step: which of `steps_of`.
        but: numbers of requests that are left out, and not encoded.
    """
    size = shape.ids_per_request
    window = max(1, rows_at_a_time // size) * size
    for start in range(0, step.n_rows, window):
        n_rows = min(window, step.n_rows - start)
        first_batch = step.first_batch + start // size
        batch = (pl.int_range(pl.len(), dtype=pl.UInt32) // size + first_batch).cast(pl.UInt32).alias("batch")
        part = changes.slice(step.first_row + start, n_rows)
        left_out = but.intersection(range(first_batch, first_batch + -(-n_rows // size)))
        if left_out:
            part = part.with_columns(batch.alias(_BATCH)).filter(~pl.col(_BATCH).is_in(list(left_out)))
            batch = pl.col(_BATCH).alias("batch")
        if part.height:
            yield _requests(part, batch, shape)


def _requests(part: pl.DataFrame, batch: pl.Expr, shape: Shape) -> pl.DataFrame:
    body = pl.col("record").str.join(",")
    return (
        part.select("id", encode_records(part, shape).alias("record"), batch)
        .group_by("batch", maintain_order=True)
        .agg(
            ids=pl.col("id"),
            body=pl.concat_str(pl.lit("["), body, pl.lit("]")) if shape.route == "metadata" else body,
        )
        .select(
            pl.col("batch"),
            pl.lit("POST").alias("method"),
            pl.lit(shape.path).alias("path"),
            pl.col("ids"),
            pl.col("body"),
        )
    )
