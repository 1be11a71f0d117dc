"""Plans of tables that are larger than memory: cut into parts on the disk, each planned by itself.

A row goes to the part that `bucket_of` its id says, so that duplicates, similar ids and what Pendo holds of an id meet in
one. A row without an id meets none: it goes by its number. Each part is planned by the very recipe of a plan in memory.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from pendosync.buckets import bucket_of, read_part, write_run
from pendosync.client import Client
from pendosync.engines import Engine, Here
from pendosync.env import new_plan_folder, plans_folder
from pendosync.errors import EngineError, MappingError, TableError, counted
from pendosync.folders import ensure_new, link_file, new_folder
from pendosync.frames import PROBLEMS, ROW, VALUES, as_words, field_names
from pendosync.heads import ids_of
from pendosync.mapping import Mapping
from pendosync.parted import merged_problems
from pendosync.plans import Plan
from pendosync.preview.making import Making
from pendosync.recipe import Recipe
from pendosync.rehearsal import Frame, is_cut_cheaply, rehearse
from pendosync.remote import iter_values
from pendosync.saved import load_plan, seal_plan, write_part
from pendosync.tables import count_rows, iter_table
from pendosync.values import count_lost, settled_types
from pendosync.work import Scattered, Work, files_of, left_by, write_done

PART_ROWS: Final = 250_000
"""Rows of a table for each part of its plan."""

_RUN_ROWS: Final = 250_000
"""Rows that are held while a table is cut. Measured: four times as many take as long, and twice the memory."""

_PIECE_ROWS: Final = 250
"""Rows of a run for each part. Measured: with 60 they take half as long again to set aside, and twice the room."""

_SLICE_RUNS: Final = 4
"""Runs of a slice, where a table is read from files a slice at a time. Measured: 10 million rows then take 0.4 GB, not 0.75."""


Say = Callable[[str, int, int | None], None]
"""Takes what is being done, how much of it is done, and of how much where that is known."""


def _say_nothing(_stage: str, _done: int, _of: int | None) -> None:
    """Show nothing."""


def plan_in_parts(
    table: Frame,
    recipe: Recipe,
    /,
    *,
    client: Client,
    before: Frame | None,
    folder: Path | None,
    engine: Engine,
    show: bool = False,
) -> Plan:
    """Return the plan of *table* by *recipe*, made in *folder* a part at a time: `plan_table` of a large table.

    The parts are planned beside it, in `FOLDER.work`. Killed, the same call goes on there: with the rows of the table as
    they were read then, where all of them were, and without the parts that are done.

    Args:
        table: n rows.
        recipe: all else that the plan hangs on.
        client: where Pendo is read, by this process alone.
        before: VALUES in place of what Pendo holds, or None.
        folder: where the plan is to lie; it must not exist or be empty. None is where such a call was left before, else
            a new one of our own.
        engine: who plans the parts.
        show: as in `plan_table`.

    Raises:
        MappingError: a trait or a parent account can't be computed from a part of the table.
        PlanError: *folder* holds something or can't be written, another process plans into it, or what was set aside
            was altered.
        TableError, RemoteError, FrameError, EngineError: what is to be read can't be, or whoever plans is gone.

    Cost: memory for a part or two; room on the disk for the table and for what Pendo holds, about half as large as in
    memory.
    """
    if folder is not None:
        ensure_new(folder)
    rehearse(table, recipe, before)
    n_rows = count_rows(table)
    n_parts = max(1, -(-n_rows // PART_ROWS))
    fingerprint = _fingerprint(table, recipe, before, n_rows, n_parts)
    folder = folder or left_by(fingerprint, plans_folder()) or new_plan_folder()
    with Work.open(folder, fingerprint) as work:
        try:
            making = (
                Making(f"Planning {counted(n_rows, 'row')} in {counted(n_parts, 'part')}") if show else None
            )
            say = making.tell if making else _say_nothing
            plan = _plan(
                table, recipe, work, n_rows, n_parts, client=client, before=before, engine=engine, say=say
            )
            if making:
                making.close()
            return plan
        except EngineError as error:
            raise error.of_folder(folder) from None


def _plan(
    table: Frame,
    recipe: Recipe,
    work: Work,
    n_rows: int,
    n_parts: int,
    *,
    client: Client,
    before: Frame | None,
    engine: Engine,
    say: Say,
) -> Plan:
    engine.ensure_reach(work.folder)
    recipe = dataclasses.replace(recipe, planned_at=recipe.planned_at or work.began)
    cut = work.scattered("table") or _scatter_table(table, recipe, work, n_rows, n_parts, engine, say)
    recipe = dataclasses.replace(recipe, types=settled_types(cut.lost))
    head, like = rehearse(table, recipe, before)
    held = None if recipe.mapping.is_message else work.scattered("held")
    if held is None and not recipe.mapping.is_message:
        held = (
            _scatter_pages(iter_values(client, recipe.mapping, like=like), work, n_parts, say)
            if before is None
            else _scatter_before(before, _columns_of(before, like), work, n_parts, engine, say)
        )
    if not recipe.mapping.is_message:
        like = like if before is None else before.lazy().select(_columns_of(before, like)).clear().collect()
    job = Job(recipe, work.folder, head.parts.nothing, None if held is None else like)
    _plan_parts(job, cut, held, work, engine, say)
    return _seal(head, work, n_parts)


# --- the table, and what is held, cut into parts ------------------------------------------------------------------


def _fingerprint(table: Frame, recipe: Recipe, before: Frame | None, n_rows: int, n_parts: int) -> str:
    """Return what tells two calls apart: which table by its form and the files it is read from, and all of the recipe."""
    options = {name: value for name, value in vars(recipe).items() if name not in ("mapping", "fields")}
    exprs = [trait.expr for trait in recipe.mapping.each_trait if isinstance(trait.expr, pl.Expr)]
    said = [
        {**options, "target": [recipe.target.region, recipe.target.api_url, recipe.target.data_url]},
        recipe.mapping.to_dict(),
        [_told(expr) for expr in exprs],
        None if recipe.fields is None else recipe.fields.to_dicts(),
        [_form(table, recipe.columns), None if before is None else _form(before)],
        [n_rows, n_parts, None if before is None else count_rows(before)],
        pl.__version__,
    ]
    return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()


def _told(expr: pl.Expr) -> str:
    try:
        return expr.meta.serialize().hex()
    except (ImportError, pl.exceptions.PolarsError):
        # it calls Python: nobody knows whether that does the same
        return secrets.token_hex(8)


def _form(frame: Frame, columns: Sequence[str] | None = None) -> str:
    """Return what tells a table from another: where it is read from, and what is in it as far as it lies in memory."""
    plan = re.sub(r"0x[0-9a-f]+", "", frame.lazy().explain())
    contents = ""
    if re.search(r"DF \[|SERIES|Series", plan):
        contents = _digest_of(frame, columns)
    return f"{plan}\n{frame.collect_schema()}\n{contents}"


def _digest_of(frame: Frame, columns: Sequence[str] | None) -> str:
    """Return SHA-256 over some columns of a table, or all: the same for the same table in one version of polars."""
    names = [name for name, dtype in frame.collect_schema().items() if dtype != pl.Object]
    digest = hashlib.sha256()
    for rows in iter_table(frame, columns=columns or names, n_rows=_RUN_ROWS):
        content = io.BytesIO()
        rows.rechunk().write_ipc_stream(content)
        digest.update(content.getbuffer())
    return digest.hexdigest()


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


def _scatter_table(
    table: Frame, recipe: Recipe, work: Work, n_rows: int, n_parts: int, engine: Engine, say: Say
) -> Scattered:
    folder = work.empty("table")
    slices = [Slice(table, recipe, folder, n_parts, *slice_) for slice_ in _slices_of(table, n_rows)]
    readers = engine if is_cut_cheaply(table) else Here()
    done = Scattered(n_rows=[0] * n_parts)
    for one in readers.map(scatter_slice, slices):
        done += one
        say("rows set aside", sum(done.n_rows), n_rows)
    if sum(done.n_rows) != n_rows:
        raise TableError(
            f"The table has {sum(done.n_rows):,} rows where it had {n_rows:,} a moment ago. Expected one that stays as it is "
            f"while it is read. Hint: plan a copy of it, or a version that no one writes to."
        )
    return work.keep("table", done)


def _run_rows(n_parts: int) -> int:
    """Return how many rows are held while a table is cut: more where a run would leave but a few for each part."""
    return max(_RUN_ROWS, min(_RUN_ROWS * _SLICE_RUNS, n_parts * _PIECE_ROWS))


def _slices_of(frame: Frame, n_rows: int) -> list[tuple[int, int]]:
    """Return the slices in which *frame* is read, as first row and how many: one where more would cost more."""
    size = _RUN_ROWS * _SLICE_RUNS if is_cut_cheaply(frame) else max(1, n_rows)
    return [(row, size) for row in range(0, n_rows, size)]


def _scatter_pages(pages: Iterable[pl.DataFrame], work: Work, n_parts: int, say: Say) -> Scattered:
    """Set aside what Pendo holds, as its pages come: by this process, which alone has the key."""
    folder, done = work.empty("held"), Scattered(n_rows=[0] * n_parts)
    for page in pages:
        done += _set_aside(page, folder, sum(done.n_rows), n_parts)
        say("ids that are held set aside", sum(done.n_rows), None)
    return work.keep("held", done)


def _scatter_before(
    before: Frame, columns: Sequence[str], work: Work, n_parts: int, engine: Engine, say: Say
) -> Scattered:
    """Set aside what is told to be held, by workers where it can be read a slice at a time."""
    folder, n_all = work.empty("held"), count_rows(before)
    slices = [HeldSlice(before, columns, folder, n_parts, *one) for one in _slices_of(before, n_all)]
    readers, done = engine if is_cut_cheaply(before) else Here(), Scattered(n_rows=[0] * n_parts)
    for one in readers.map(scatter_held, slices):
        done += one
        say("ids that are held set aside", sum(done.n_rows), n_all)
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


def _columns_of(before: Frame, like: pl.DataFrame) -> list[str]:
    names = set(before.collect_schema())
    return [name for name in (*VALUES, *field_names(like)) if name in names]


# --- a part, and all of them -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Job:
    """What all parts have in common. It can be pickled.

    Args:
        recipe: by which they are planned.
        folder: the work folder.
        nothing: CHANGES without a row, with the columns that each part is to have.
        held: VALUES without a row, as they were set aside, or None where nothing is held.
    """

    recipe: Recipe
    folder: Path
    nothing: pl.DataFrame
    held: pl.DataFrame | None


@dataclass(frozen=True)
class PartOf:
    """One part to be planned, and how many rows were set aside for it."""

    job: Job
    number: int
    n_rows: int
    n_held: int


def plan_part(item: PartOf) -> None:
    """Plan a part in the work folder: its files, and then a note that they are there."""
    job, recipe = item.job, item.job.recipe
    read = read_part(job.folder / "table", item.number, item.n_rows)
    held = job.held
    if held is not None and item.n_held:
        held = read_part(job.folder / "held", item.number, item.n_held)
    if read is None:
        return
    clean, problems = recipe.clean(read)
    plan = recipe.plan(read, clean, problems, held)
    _ensure_fields(plan, item)
    of_rows, of_columns = (plan.problems.filter(is_row) for is_row in _ROWS_AND_COLUMNS)
    entry = write_part(job.folder / "plan", item.number, plan.having(plan.changes, of_rows))
    told = {"entry": entry, "n_compared": plan.n_compared, "columns": of_columns.to_dicts()}
    write_done(job.folder, item.number, told)


_ROWS_AND_COLUMNS: Final = (pl.col("row").is_not_null(), pl.col("row").is_null())


def _ensure_fields(plan: Plan, item: PartOf) -> None:
    mine, theirs = plan.parts.nothing.schema, item.job.nothing.schema
    if mine == theirs:
        return
    here, there = (
        {part.name: as_words(part.dtype) for part in schema["after"].fields}  # type: ignore[attr-defined]
        for schema in (mine, theirs)
    )
    name = next(iter(name for name in {**there, **here} if here.get(name) != there.get(name)), "")
    raise MappingError(
        f"In part {item.number} the field {name!r} is {here.get(name, 'missing')}, by the table's columns it is "
        f"{there.get(name, 'missing')}. Expected the same in each part. Hint: Trait(…, field={name!r}, type='text'), or "
        f"return_dtype= where the expression calls Python.",
        field=name,
    )


def _plan_parts(
    job: Job, cut: Scattered, held: Scattered | None, work: Work, engine: Engine, say: Say
) -> None:
    done = work.done()
    n_held = held.n_rows if held is not None else [0] * len(cut.n_rows)
    items = [
        PartOf(job, number, n_rows, n_held[number])
        for number, n_rows in enumerate(cut.n_rows)
        if n_rows and number not in done
    ]
    for n_done, _ in enumerate(engine.map(plan_part, items), 1):
        say("parts planned", n_done, len(items))


def _seal(head: Plan, work: Work, n_parts: int) -> Plan:
    """Give the plan its folder: its parts, and one more for what is wrong with whole columns."""
    done = [told for _, told in sorted(work.done().items())]
    n_compared = None if head.mapping.is_message else sum(told["n_compared"] for told in done)
    head = dataclasses.replace(head, n_compared=n_compared)
    columns = [pl.DataFrame(told["columns"], schema=PROBLEMS) for told in done]
    of_columns = merged_problems(iter(columns)) if columns else head.problems
    entries = [told["entry"] for told in done if _says_something(told["entry"])]
    with new_folder(work.plan_folder, what="The plan") as place:
        for name in (name for entry in entries for name in files_of(entry)):
            link_file(work.folder / "plan" / name, place / name)
        if of_columns.height or not entries:
            last = max((entry["number"] for entry in entries), default=-1) + 1
            entries.append(write_part(place, last, head.having(head.changes, of_columns)))
        seal_plan(place, head, entries, cut=n_parts)
    work.remove()
    return load_plan(work.plan_folder)


def _says_something(entry: dict[str, Any]) -> bool:
    counts = entry["counts"]
    return bool(counts["n_rows"] or counts["blocked"] or counts["warned"])
