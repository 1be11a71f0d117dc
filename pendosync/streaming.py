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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from pendosync.buckets import read_part
from pendosync.client import Client
from pendosync.engines import Engine
from pendosync.env import new_plan_folder, plans_folder
from pendosync.errors import EngineError, MappingError, counted
from pendosync.folders import ensure_new, link_file, new_folder
from pendosync.frames import PROBLEMS, as_words
from pendosync.parted import merged_problems
from pendosync.plans import Plan
from pendosync.preview.making import Making
from pendosync.recipe import Recipe
from pendosync.rehearsal import Frame, rehearse
from pendosync.remote import iter_values
from pendosync.saved import load_plan, seal_plan, write_part
from pendosync.scattering import (
    RUN_ROWS,
    Say,
    columns_held,
    say_nothing,
    scatter_before,
    scatter_pages,
    scatter_table,
)
from pendosync.tables import count_rows, iter_table
from pendosync.values import settled_types
from pendosync.work import Scattered, Work, files_of, left_by, write_done

PART_ROWS: Final = 250_000
"""Rows of a table for each part of its plan."""


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
            say = making.tell if making else say_nothing
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
    cut = work.scattered("table") or scatter_table(table, recipe, work, n_rows, n_parts, engine, say)
    recipe = dataclasses.replace(recipe, types=settled_types(cut.lost))
    head, like = rehearse(table, recipe, before)
    held = None if recipe.mapping.is_message else work.scattered("held")
    if held is None and not recipe.mapping.is_message:
        held = (
            scatter_pages(iter_values(client, recipe.mapping, like=like), work, n_parts, say)
            if before is None
            else scatter_before(before, columns_held(before, like), work, n_parts, engine, say)
        )
    if not recipe.mapping.is_message:
        like = like if before is None else before.lazy().select(columns_held(before, like)).clear().collect()
    job = Job(recipe, work.folder, head.parts.nothing, None if held is None else like)
    _plan_parts(job, cut, held, work, engine, say)
    return _seal(head, work, n_parts)


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
    for rows in iter_table(frame, columns=columns or names, n_rows=RUN_ROWS):
        content = io.BytesIO()
        rows.rechunk().write_ipc_stream(content)
        digest.update(content.getbuffer())
    return digest.hexdigest()


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
