"""What a run could not write, as a plan that can be mended and pushed again."""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

import polars as pl

from pendosync.checks import check_values, drop_blocked
from pendosync.comparison import is_change, rebase_changes
from pendosync.errors import FrameError, MappingError, PlanError, counted, listed, nearest
from pendosync.frames import (
    OUTCOMES,
    REJECTED,
    VALUES,
    about_column,
    change_fields,
    ensure_frame,
    field_names,
    raw_cell,
    raw_of,
    struct_of,
)
from pendosync.journal import Journal, each_told, read_creation, read_plan
from pendosync.mapping import Mapping
from pendosync.planning import plan_again
from pendosync.plans import Plan
from pendosync.rules import row_problems

_MENDED: Final = "\0mended "
_IS_MENDED: Final = "\0is mended "
_CLEAN: Final = "\0clean "


def plan_rejected(
    journal: Journal,
    run_id: str,
    /,
    *,
    mended: pl.DataFrame | None = None,
    create: Literal["never", "unknown_ids"] = "never",
) -> Plan:
    """Return the plan of the ids that a run could not write, as they were planned. Touches no network.

    The loop: look at the reasons, mend the values with polars, plan them, push.

    Args:
        journal: where the run is written.
        run_id: which run.
        mended: VALUES, from `Plan.values` of this plan, with other cells; only its ids are planned. A cell that was
            made null is not pushed, or clears where the mapping says so; columns that it lacks stay as planned. `row`
            and `raw` may be left out.
        create: `unknown_ids` creates the ids that were `missing`; `never` leaves ids to be created out, with a problem
            each.

    Returns:
        A plan (0 to n ids), in the order of the run's, with all its other options. `problems` says of each id why it
        was rejected (`was_rejected`), what `check_values` finds in mended cells, which are not pushed where it blocks
        them, and which ids have nothing left to change (`already_held`).

    Raises:
        JournalError: no such run, or its file can't be read.
        PlanError: its plan was altered, or *mended* holds ids that were not rejected.
        FrameError: *mended* is no frame of values: fields that the plan lacks, other types, ids twice.
        MappingError: *create* is none of its choices.

    Example:
        >>> def mend(journal, run, client):
        ...     rejected = plan_rejected(journal, run.id)
        ...     print(rejected.problems.select("id", "reason"))
        ...     mended = rejected.values.with_columns(pl.col("note").str.slice(0, 1500))
        ...     again = plan_rejected(journal, run.id, mended=mended)
        ...     return push(again, client=client, journal=journal)
    """
    if create not in ("never", "unknown_ids"):
        raise MappingError.bad_choice("create", create, ("never", "unknown_ids"))
    plan = _gone_on_with(read_plan(journal, run_id), journal, run_id)
    if plan.shape.audience is not None:
        create = "never"
        _ensure_unmended(mended)
    rejected, told, lost = _rejected_of(journal, run_id, plan)
    if create == "unknown_ids":
        rejected = _as_created(rejected, told["status"] == "missing")
    reason = pl.format("{}: {}", "status", pl.col("reason").fill_null("no reason was given"))
    lines = rejected.select("row", "id").hstack(told)
    problems = row_problems(lines, reason, rule="was_rejected", severity="warn")
    if mended is not None:
        cells = _ensure_mended(mended, rejected)
        rejected, found = _mend(rejected, cells, plan.mapping)
        asked = problems.join(cells.select("id"), on="id", how="semi", maintain_order="left")
        problems = pl.concat([asked, found])
    again = plan_again(plan, rejected, problems=problems, create=create)
    return dataclasses.replace(again, notes=(*again.notes, *lost))


def _rejected_of(journal: Journal, run_id: str, plan: Plan) -> tuple[pl.DataFrame, pl.DataFrame, list[str]]:
    """Return CHANGES that could not be written, `status` and `reason` of each, and what to say of parts that are lost."""
    n_lost = len(plan.parts)
    found = [plan.parts.nothing], [OUTCOMES.to_frame().select("status", "reason")]
    for _, changes, told in each_told(journal, run_id, plan, but_lost=True):
        n_lost -= 1
        is_rejected = told["status"].is_in(REJECTED)
        found[0].append(changes.filter(is_rejected))
        found[1].append(told.select("status", "reason").filter(is_rejected))
    lost = f"{counted(n_lost, 'part')} of the run's plan can't be read: what was rejected there is not planned again."
    told = pl.concat(found[1], rechunk=True)
    return pl.concat(found[0], rechunk=True), told, [lost] if n_lost else []


def _gone_on_with(plan: Plan, journal: Journal, run_id: str) -> Plan:
    """Return the plan with the audience that its run created, where it did: it is not created again."""
    if not plan.shape.creates_audience:
        return plan
    created = read_creation(journal, run_id)
    if created.is_in_doubt:
        raise PlanError(
            f"Run {run_id} may have created {plan.shape.audience}, and its id is not known. Expected to know it first. "
            f"Hint: resume_push(journal, {run_id!r}, client=client) looks for it."
        )
    return dataclasses.replace(plan, shape=plan.shape.joined(created.id)) if created.id else plan


def _ensure_unmended(mended: pl.DataFrame | None) -> None:
    if mended is not None:
        raise FrameError(
            "mended was given for an audience, whose members have no values. Expected None. "
            "Hint: plan_rejected(journal, run_id).select(ids=[…])."
        )


def _as_created(rejected: pl.DataFrame, is_missing: pl.Series) -> pl.DataFrame:
    """Return *rejected* with the missing ids to be created: then nothing was there before."""
    before = [pl.col("before").struct.field(name).alias(name) for name in change_fields(rejected)]
    known = rejected.filter((rejected["action"] == "update") & ~is_missing)
    held = known.select("row", "id", pl.col("before_raw").alias("raw"), *before)
    action = rejected.select(pl.when(is_missing).then(pl.lit("create")).otherwise("action").alias("action"))
    return rebase_changes(rejected.with_columns(action), held)


def _ensure_mended(mended: pl.DataFrame, rejected: pl.DataFrame) -> pl.DataFrame:
    """Return `id` and the cells of *mended*, or raise where they don't fit what was rejected."""
    ensure_frame(mended, pl.Schema({"id": VALUES["id"]}), "mended")
    types = dict(rejected.schema["after"])  # type: ignore[call-overload]
    names = field_names(mended)
    strange = [name for name in names if name not in types]
    if strange:
        near = [hit for name in strange for hit in nearest(name, types)[:1]]
        raise FrameError(
            f"mended has columns that are no fields of the plan: {listed(strange)}. Expected some of {listed(types)}. "
            f"Hint: {f'did you mean {listed(near)}?' if near else f'mended.drop({strange[0]!r}).'}",
            available=list(types),
        )
    held = {name: mended.schema[name] for name in names}
    wrong = {
        name: f"is {dtype}, expected {types[name]}"
        for name, dtype in held.items()
        if dtype not in (types[name], pl.Null)
    }
    if wrong:
        raise FrameError.wrong_type("mended", wrong)
    _ensure_ids(mended, rejected)
    raw = [pl.col("raw").cast(pl.String).alias(f"{_MENDED}raw")] if "raw" in mended.columns else []
    return mended.select(
        "id", *raw, *(pl.col(name).cast(types[name]).alias(f"{_MENDED}{name}") for name in names)
    )


def _ensure_ids(mended: pl.DataFrame, rejected: pl.DataFrame) -> None:
    twice = mended.filter(pl.col("id").is_duplicated() | pl.col("id").is_null())["id"].unique(
        maintain_order=True
    )
    if len(twice):
        raise FrameError(
            f"Ids of 'mended' are null or repeat: {listed(twice)}. Expected one row for each id. "
            f"Hint: mended.unique('id', keep='last')."
        )
    strange = mended.join(rejected, on="id", how="anti", maintain_order="left")["id"].to_list()
    if strange:
        known = rejected["id"].head(10_000).to_list()
        near = nearest(strange[0], known) or known[:1]
        hint = f"did you mean {listed(near)}?" if near else "look at plan_rejected(journal, run_id)."
        raise PlanError(
            f"mended holds {counted(len(strange), 'id')} that this run did not reject: {listed(strange)}. Expected some of "
            f"its {counted(rejected.height, 'rejected id')}. Hint: {hint}"
        )


def _mend(
    rejected: pl.DataFrame, mended: pl.DataFrame, mapping: Mapping
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the changes with their *mended* cells, and the problems of these."""
    names = [name for name in change_fields(rejected) if f"{_MENDED}{name}" in mended.columns]
    chosen = rejected.join(mended, on="id", how="inner", maintain_order="left").rechunk()
    marked = chosen.with_columns(_is_mended(name, chosen).alias(f"{_IS_MENDED}{name}") for name in names)
    values = _to_check(marked, names, mapping)
    found = check_values(values, mapping=mapping)
    clean = drop_blocked(values, found)
    sound = clean.select("id", *(pl.col(name).alias(f"{_CLEAN}{name}") for name in field_names(clean)))
    joined = marked.join(sound, on="id", how="inner", maintain_order="left").rechunk()
    whole = _with_cells(joined, names, mapping)
    is_left = is_change(change_fields(whole))
    out = whole.filter(~is_left & ~_is_any_blocked(joined, names))
    reason = "what was mended is what Pendo held when it was planned; nothing is left to change"
    lines = row_problems(out, reason, rule="already_held", severity="warn")
    return whole.filter(is_left).select(rejected.columns), pl.concat([found, lines])


def _to_check(marked: pl.DataFrame, names: list[str], mapping: Mapping) -> pl.DataFrame:
    """Return VALUES of the mended cells; of messages also of the others, as a message is checked as a whole."""
    cells = {}
    for name in change_fields(marked) if mapping.is_message else names:
        changed, after = (pl.col(what).struct.field(name) for what in ("changed", "after"))
        planned = pl.when(changed & mapping.is_message).then(after)
        cells[name] = (
            pl.when(f"{_IS_MENDED}{name}").then(f"{_MENDED}{name}").otherwise(planned)
            if name in names
            else planned
        )
    no_raw = pl.lit(None, dtype=VALUES["raw"]).alias("raw")
    about = about_column(marked)
    return marked.select("row", "id", no_raw, *about, *(cell.alias(name) for name, cell in cells.items()))


def _is_any_blocked(joined: pl.DataFrame, names: list[str]) -> pl.Expr:
    """Return whether a check blocked a mended cell of the row."""
    cells = {name: pl.col(f"{_IS_MENDED}{name}") & pl.col(f"{_MENDED}{name}").is_not_null() for name in names}
    cleans = {name: f"{_CLEAN}{name}" for name in names}
    blocked = [
        cell & pl.col(cleans[name]).is_null() if cleans[name] in joined.columns else cell
        for name, cell in cells.items()
    ]
    return pl.any_horizontal(False, *blocked)


def _is_mended(name: str, chosen: pl.DataFrame) -> pl.Expr:
    """Return whether a cell is another than `Plan.values` showed."""
    changed, value = pl.col("changed").struct.field(name), pl.col(f"{_MENDED}{name}")
    planned = pl.when(changed).then(pl.col("after").struct.field(name))
    if f"{_MENDED}raw" not in chosen.columns:
        return value.ne_missing(planned)
    planned_raw = pl.when(changed).then(raw_cell(name, "after_raw"))
    raw = pl.when(value.is_null()).then(raw_cell(name, f"{_MENDED}raw"))
    return value.ne_missing(planned) | raw.ne_missing(planned_raw)


def _with_cells(joined: pl.DataFrame, names: list[str], mapping: Mapping) -> pl.DataFrame:
    """Put the mended cells into the changes."""
    fields = change_fields(joined)
    cells = {
        name: _mended_cell(joined, name, clears=mapping.clears(name))
        if name in names
        else _planned_cell(name)
        for name in fields
    }
    return joined.with_columns(
        changed=struct_of({name: changed for name, (changed, _, _) in cells.items()}),
        after=struct_of({name: after for name, (_, after, _) in cells.items()}),
        after_raw=raw_of([(name, raw) for name, (_, _, raw) in cells.items()]),
    )


def _planned_cell(name: str) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    changed, after = (pl.col(what).struct.field(name) for what in ("changed", "after"))
    return changed, after, raw_cell(name, "after_raw")


def _mended_cell(joined: pl.DataFrame, name: str, *, clears: bool) -> tuple[pl.Expr, pl.Expr, pl.Expr]:
    """Return whether a cell changes, its value and its raw text: mended, or as planned.

    A cell that is null now, or whose value was blocked, changes nothing unless a null clears.
    """
    before, before_raw = pl.col("before").struct.field(name), raw_cell(name, "before_raw")
    dtype = dict(joined.schema["before"])[name]  # type: ignore[call-overload]
    clean = f"{_CLEAN}{name}"
    new = pl.col(clean) if clean in joined.columns else pl.lit(None, dtype=dtype)
    goes = new.is_not_null() | (pl.col(f"{_MENDED}{name}").is_null() & clears)
    differs = new.ne_missing(before) | before_raw.is_not_null()
    mended = (goes & differs, pl.when(goes).then(new).otherwise(before), pl.when(~goes).then(before_raw))
    is_mended = pl.col(f"{_IS_MENDED}{name}")
    changed, after, raw = (
        pl.when(is_mended).then(one).otherwise(planned)
        for one, planned in zip(mended, _planned_cell(name), strict=True)
    )
    return changed, after, raw
