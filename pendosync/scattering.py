"""A table, and what is held of it, set aside on the disk part by part, by one process or by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pendosync.buckets import bucket_of, write_run
from pendosync.engines import Engine, Here
from pendosync.errors import TableError
from pendosync.frames import ROW, VALUES, field_names
from pendosync.heads import ids_of
from pendosync.mapping import Mapping
from pendosync.recipe import Recipe
from pendosync.rehearsal import Frame, is_cut_cheaply
from pendosync.tables import count_rows, iter_table
from pendosync.values import count_lost
from pendosync.work import Scattered, Work

RUN_ROWS: Final = 250_000
"""Rows that are held while a table is cut. Measured: four times as many take as long, and twice the memory."""

_PIECE_ROWS: Final = 250
"""Rows of a run for each part. Measured: with 60 they take half as long again to set aside, and twice the room."""

_SLICE_RUNS: Final = 4
"""Runs of a slice, where a table is read from files a slice at a time. Measured: 10 million rows then take 0.4 GB, not 0.75."""

Say = Callable[[str, int, int | None], None]
"""Takes what is being done, how much of it is done, and of how much where that is known."""


def say_nothing(_stage: str, _done: int, _of: int | None) -> None:
    """Show nothing."""


@dataclass(frozen=True)
class Slice:
    """Rows of a table, to be cut into parts. It can be pickled, where the table is read from files."""

    table: Frame
    recipe: Recipe
    folder: Path
    n_parts: int
    first_row: int
    n_rows: int


def scatter_slice(item: Slice) -> Scattered:
    """Write the rows of a slice to the folder, part by part, and return what was written."""
    mapping, row, done = item.recipe.mapping, item.first_row, Scattered()
    table = item.table.lazy().slice(item.first_row, item.n_rows)
    for batch in iter_table(table, columns=item.recipe.columns, n_rows=_run_rows(item.n_parts)):
        numbers = pl.int_range(row, row + batch.height, dtype=pl.UInt32, eager=True).alias(ROW)
        read = batch.rechunk().insert_column(0, numbers)
        name = f"{row:012}.run"
        digest, n_rows = write_run(
            item.folder / name, read, _parts_of(read, mapping, item.n_parts), item.n_parts
        )
        done += Scattered({name: digest}, n_rows, count_lost(read, mapping))
        row += batch.height
    return done


def _parts_of(read: pl.DataFrame, mapping: Mapping, n_parts: int) -> pl.Series:
    ids = read.select(ids_of(read, mapping).alias("id"))["id"]
    is_named = (ids.str.strip_chars() != "").fill_null(False)
    return bucket_of(ids, n_parts).zip_with(is_named, read[ROW] % n_parts)


def scatter_table(
    table: Frame, recipe: Recipe, work: Work, n_rows: int, n_parts: int, engine: Engine, say: Say
) -> Scattered:
    """Set aside the rows of a table, by workers where it can be read a slice at a time, and return what was written.

    Raises:
        TableError: the table changed while it was read.
    """
    folder = work.empty("table")
    slices = [Slice(table, recipe, folder, n_parts, *slice_) for slice_ in _slices_of(table, n_rows)]
    readers = engine if is_cut_cheaply(table) else Here()
    done = Scattered(n_rows=[0] * n_parts)
    for one in readers.map(scatter_slice, slices):
        done += one
        say("rows read", sum(done.n_rows), n_rows)
    if sum(done.n_rows) != n_rows:
        raise TableError(
            f"The table has {sum(done.n_rows):,} rows where it had {n_rows:,} a moment ago. Expected one that stays as it is "
            f"while it is read. Hint: plan a copy of it, or a version that no one writes to."
        )
    return work.keep("table", done)


def _run_rows(n_parts: int) -> int:
    """Return how many rows are held while a table is cut: more where a run would leave but a few for each part."""
    return max(RUN_ROWS, min(RUN_ROWS * _SLICE_RUNS, n_parts * _PIECE_ROWS))


def _slices_of(frame: Frame, n_rows: int) -> list[tuple[int, int]]:
    """Return the slices in which *frame* is read, as first row and how many: one where more would cost more."""
    size = RUN_ROWS * _SLICE_RUNS if is_cut_cheaply(frame) else max(1, n_rows)
    return [(row, size) for row in range(0, n_rows, size)]


def scatter_pages(pages: Iterable[pl.DataFrame], work: Work, n_parts: int, say: Say) -> Scattered:
    """Set aside what Pendo holds, as its pages come: by this process, which alone has the key."""
    folder, done = work.empty("held"), Scattered(n_rows=[0] * n_parts)
    for page in pages:
        done += _set_aside(page, folder, sum(done.n_rows), n_parts)
        say("held ids read", sum(done.n_rows), None)
    return work.keep("held", done)


def scatter_before(
    before: Frame, columns: Sequence[str], work: Work, n_parts: int, engine: Engine, say: Say
) -> Scattered:
    """Set aside what is told to be held, by workers where it can be read a slice at a time."""
    folder, n_all = work.empty("held"), count_rows(before)
    slices = [HeldSlice(before, columns, folder, n_parts, *one) for one in _slices_of(before, n_all)]
    readers, done = engine if is_cut_cheaply(before) else Here(), Scattered(n_rows=[0] * n_parts)
    for one in readers.map(scatter_held, slices):
        done += one
        say("held ids read", sum(done.n_rows), n_all)
    return work.keep("held", done)


@dataclass(frozen=True)
class HeldSlice:
    """Rows of what is held, to be cut into parts. It can be pickled, where they are read from files."""

    before: Frame
    columns: Sequence[str]
    folder: Path
    n_parts: int
    first_row: int
    n_rows: int


def scatter_held(item: HeldSlice) -> Scattered:
    """Write the rows of a slice to the folder, part by part, and return what was written."""
    row, done = item.first_row, Scattered()
    rows = item.before.lazy().slice(item.first_row, item.n_rows)
    for batch in iter_table(rows, columns=item.columns, n_rows=_run_rows(item.n_parts)):
        done += _set_aside(batch, item.folder, row, item.n_parts)
        row += batch.height
    return done


def _set_aside(held: pl.DataFrame, folder: Path, row: int, n_parts: int) -> Scattered:
    name = f"{row:012}.run"
    digest, n_rows = write_run(folder / name, held.rechunk(), bucket_of(held["id"], n_parts), n_parts)
    return Scattered({name: digest}, n_rows)


def columns_held(before: Frame, like: pl.DataFrame) -> list[str]:
    """Return the columns of VALUES that are held which can be compared with *like*: our own, and its fields."""
    names = set(before.collect_schema())
    return [name for name in (*VALUES, *field_names(like)) if name in names]
