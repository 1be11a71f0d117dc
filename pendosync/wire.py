"""From changes to the requests that travel: the records of `encoding`, batch by batch, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

import polars as pl

from pendosync.encoding import encode_records
from pendosync.frames import n_sent
from pendosync.shapes import Audience, Shape, Step, steps_of

WINDOW: Final = 20_000
"""Rows encoded at a time, about. Measured: more costs memory and no less time."""

_OPERATIONS: Final = ("add", "remove")


class Rows(Protocol):
    """CHANGES of which some that lie side by side can be had: a frame, or all parts of a plan."""

    def slice(self, first_row: int, n_rows: int, /) -> pl.DataFrame:
        """Return those rows."""
        ...


def build_requests(
    changes: pl.DataFrame, shape: Shape, /, *, rows_at_a_time: int = WINDOW
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
    changes: Rows, shape: Shape, steps: Iterable[Step], /, *, rows_at_a_time: int = WINDOW
) -> Iterator[pl.DataFrame]:
    """Yield the requests of some *steps* of a plan with these *changes*, as `build_requests` does."""
    for step in steps:
        for window in windows_of(step, shape, rows_at_a_time=rows_at_a_time):
            yield build_window(changes, shape, window)


def windows_of(step: Step, shape: Shape, /, *, rows_at_a_time: int = WINDOW) -> Iterator[Step]:
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
    calls = [shape.call_of(number) for number in window.batches]
    batch = (pl.int_range(pl.len(), dtype=pl.UInt32) // shape.ids_per_request).alias("batch")
    ids = part.select("id", batch).group_by("batch", maintain_order=True).agg(pl.col("id").alias("ids"))
    bodies = _bodies(part, shape, window.batches)
    return pl.DataFrame(
        {
            "batch": pl.Series(window.batches, dtype=pl.UInt32),
            "method": pl.Series([method for method, _ in calls], dtype=pl.String),
            "path": pl.Series([path for _, path in calls], dtype=pl.String),
            "ids": ids["ids"],
            "body": pl.Series(bodies, dtype=pl.Binary).cast(pl.String),
        }
    )


def build_bodies(
    changes: Rows, shape: Shape, window: Step, /, *, but: frozenset[int] = frozenset()
) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield the bodies of `build_window` alone, in bytes; from any thread.

    Args:
        changes, shape, window: as in `build_window`.
        but: numbers of requests that are left out, and not encoded.

    Yields:
        Of each request its number, its first row, how many rows it has, and its body. Measured: a body in text, which
        Python then has to encode, takes four times as long.
    """
    part, size = changes.slice(window.first_row, window.n_rows), shape.ids_per_request
    numbers = [number for number in window.batches if number not in but]
    if len(numbers) < window.n_batches:
        batch = pl.int_range(pl.len(), dtype=pl.UInt32) // size + window.first_batch
        part = part.filter(batch.is_in(numbers))
    for number, body in zip(numbers, _bodies(part, shape, numbers), strict=True):
        first_row = window.first_row + (number - window.first_batch) * size
        yield number, first_row, min(size, window.end - first_row), body


def _bodies(part: pl.DataFrame, shape: Shape, numbers: Sequence[int]) -> Iterable[bytes]:
    """Return the bodies of the requests with these *numbers*, in which the rows of *part* travel in order."""
    records, size = encode_records(part, shape), shape.ids_per_request
    if shape.audience is not None:
        return _audience_bodies(shape.audience, part.select("action", records), size, numbers)
    if shape.route == "metadata":
        return [_bulk_body(records.slice(start, size)) for start in range(0, part.height, size)]
    return _texts(records)


def _bulk_body(records: pl.Series) -> bytes:
    """Return the JSON list of *records*.

    Measured: polars takes twice as long to join them, and what it joined is copied twice more.
    """
    texts = _texts(records)
    texts[0] = b"[" + texts[0]
    texts[-1] += b"]"
    return b",".join(texts)


def _texts(records: pl.Series) -> list[bytes]:
    return records.cast(pl.Binary).to_list()


def _audience_bodies(
    audience: Audience, part: pl.DataFrame, size: int, numbers: Sequence[int]
) -> Iterator[bytes]:
    """Yield what creates an audience, changes its members, or, with no body at all, deletes it.

    Args:
        audience: which one.
        part: `action` and `record` (the id as JSON) of each member.
        size: how many members a request has.
        numbers: the requests' numbers.
    """
    name = json.dumps(audience.name, ensure_ascii=False)
    for number, some in zip(numbers, part.iter_slices(size), strict=True):
        texts = {op: b",".join(_texts(some.filter(action=op)["record"])).decode() for op in _OPERATIONS}
        patch = ",".join(
            f'{{"op":"{op}","path":"/visitors","value":[{text}]}}' for op, text in texts.items() if text
        )
        if audience.is_deleted:
            yield b""
        elif audience.is_new and number == 0:
            yield f'{{"name":{name},"visitors":[{texts["add"]}]}}'.encode()
        else:
            yield f'{{"patch":[{patch}]}}'.encode()
