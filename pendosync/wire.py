"""From changes to the requests that travel: the records of `encoding`, batch by batch, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import polars as pl

from pendosync.encoding import encode_records
from pendosync.frames import n_sent
from pendosync.shapes import Audience, Shape, Step, steps_of

_WINDOW: Final = 20_000
"""Rows encoded at a time, about. Measured: more costs memory and no less time."""

_BATCH: Final = "\0batch"
_OPERATIONS: Final = ("add", "remove")


class Rows(Protocol):
    """CHANGES of which some that lie side by side can be had: a frame, or all parts of a plan."""

    def slice(self, first_row: int, n_rows: int, /) -> pl.DataFrame:
        """Return those rows."""
        ...


def build_requests(
    changes: pl.DataFrame, shape: Shape, /, *, rows_at_a_time: int = _WINDOW
) -> Iterator[pl.DataFrame]:
    """Yield the requests that *changes* make, window by window, in order.

    Args:
        changes: CHANGES frame (n rows), all of a plan.
        shape: kind, route, batch size and what else shapes bytes.
        rows_at_a_time: ids in a window, about; it does not show in the bytes.

    Yields:
        REQUESTS frames; `batch` counts from 0 through all of them.
    """
    return build_steps(changes, shape, steps_of(n_sent(changes), shape), rows_at_a_time=rows_at_a_time)


def build_steps(
    changes: Rows, shape: Shape, steps: Iterable[Step], /, *, rows_at_a_time: int = _WINDOW
) -> Iterator[pl.DataFrame]:
    """Yield the requests of some *steps* of a plan with these *changes*, as `build_requests` does."""
    for step in steps:
        for window in windows_of(step, shape, rows_at_a_time=rows_at_a_time):
            yield build_window(changes, shape, window)


def windows_of(step: Step, shape: Shape, /, *, rows_at_a_time: int = _WINDOW) -> Iterator[Step]:
    """Yield the parts of a *step* that are encoded at a time, each a step of its own. For the rest as `build_requests`."""
    size = shape.ids_per_request
    window = max(1, rows_at_a_time // size) * size
    for start in range(0, step.n_rows, window):
        n_rows = min(window, step.n_rows - start)
        yield Step(
            step.number, step.first_row + start, n_rows, step.first_batch + start // size, -(-n_rows // size)
        )


def build_window(changes: Rows, shape: Shape, window: Step, /) -> pl.DataFrame:
    """Return the REQUESTS of a part of a plan with these *changes*.

    Args:
        changes, shape: as in `build_requests`.
        window: one of `windows_of`.
    """
    part = changes.slice(window.first_row, window.n_rows)
    (first_method, first_path), (method, path) = shape.call_of(0), shape.call_of(1)
    is_first = pl.col("batch") == 0
    return _bodies(part, _number(shape, window), shape, ids=pl.col("id")).select(
        pl.col("batch"),
        pl.when(is_first).then(pl.lit(first_method)).otherwise(pl.lit(method)).alias("method"),
        pl.when(is_first).then(pl.lit(first_path)).otherwise(pl.lit(path)).alias("path"),
        pl.col("ids"),
        pl.col("body"),
    )


def build_bodies(
    changes: Rows, shape: Shape, window: Step, /, *, but: frozenset[int] = frozenset()
) -> pl.DataFrame:
    """Return the bodies of `build_window` alone, in bytes; from any thread.

    Args:
        changes, shape, window: as in `build_window`.
        but: numbers of requests that are left out, and not encoded.

    Returns:
        A frame `batch`, `n_rows`, `body`, one row a request. Measured: a body in text, which Python then has to encode,
        takes four times as long.
    """
    part, batch = changes.slice(window.first_row, window.n_rows), _number(shape, window)
    left_out = but.intersection(window.batches)
    if left_out:
        part = part.with_columns(batch.alias(_BATCH)).filter(~pl.col(_BATCH).is_in(list(left_out)))
        batch = pl.col(_BATCH)
    bodies = _bodies(part, batch, shape, n_rows=pl.len())
    return bodies.select("batch", "n_rows", pl.col("body").cast(pl.Binary))


def _number(shape: Shape, window: Step) -> pl.Expr:
    """Return the number of the request of each row of a window."""
    return (pl.int_range(pl.len(), dtype=pl.UInt32) // shape.ids_per_request + window.first_batch).cast(
        pl.UInt32
    )


def _bodies(part: pl.DataFrame, batch: pl.Expr, shape: Shape, **of_rows: pl.Expr) -> pl.DataFrame:
    """Return the number and body of each request, and what *of_rows* says of its rows."""
    return (
        part.select("id", "action", encode_records(part, shape).alias("record"), batch.alias("batch"))
        .group_by("batch", maintain_order=True)
        .agg(**of_rows, **_pieces(shape))
        .rechunk()
        .with_columns(_body(shape).alias("body"))
    )


def _pieces(shape: Shape) -> dict[str, pl.Expr]:
    """Return what a body is made of: its records, those of an audience by what is done with them."""
    record = pl.col("record")
    if shape.audience is None:
        return {"records": record.str.join(",")}
    return {name: record.filter(pl.col("action") == name).str.join(",") for name in _OPERATIONS}


def _body(shape: Shape) -> pl.Expr:
    records = pl.col("records")
    if shape.audience is not None:
        return _audience_body(shape.audience)
    return pl.concat_str(pl.lit("["), records, pl.lit("]")) if shape.route == "metadata" else records


def _audience_body(audience: Audience) -> pl.Expr:
    """Return what creates an audience, changes its members, or, with no body at all, deletes it."""
    if audience.is_deleted:
        return pl.lit("")
    operations = [
        pl.when(pl.col(name) != "").then(
            pl.concat_str(pl.lit(f'{{"op":"{name}","path":"/visitors","value":['), pl.col(name), pl.lit("]}"))
        )
        for name in _OPERATIONS
    ]
    patch = pl.concat_str(
        pl.lit('{"patch":['), pl.concat_str(operations, separator=",", ignore_nulls=True), pl.lit("]}")
    )
    if not audience.is_new:
        return patch
    name = json.dumps(audience.name, ensure_ascii=False)
    first = pl.concat_str(pl.lit(f'{{"name":{name},"visitors":['), pl.col("add"), pl.lit("]}"))
    return pl.when(pl.col("batch") == 0).then(first).otherwise(patch)
