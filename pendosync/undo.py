"""Taking a run back: a plan like any other."""

from __future__ import annotations

import dataclasses
from typing import Literal

import polars as pl

from pendosync.checks import no_problems, row_problems
from pendosync.errors import MappingError
from pendosync.frames import CHANGE_COLUMNS, change_fields, raw_cell, raw_of, struct_of
from pendosync.journal import Journal, derive_outcomes, may_be_written, read_plan
from pendosync.plans import Plan, plan_changes


def plan_undo(journal: Journal, run_id: str, /, *, absent: Literal["leave", "null"] = "leave") -> Plan:
    """Return the plan that puts back the values that stood before a run. Touches no network.

    Takes back each id whose outcome says that it was written, or that it may have been, so far as the run has come.
    Values of another type than their field's go back as they were, in the last batches, with a warning each. What was
    not there before can't be taken away: `plan.cannot_undo` lists it.

    Args:
        journal: where the run is written.
        run_id: which run.
        absent: values that were absent before are left as pushed (`leave`), or become null (`null`).

    Returns:
        A plan: previewed, dry-run and pushed like any other; `undoes` names the run.

    Raises:
        JournalError: no such run.
        PlanError: its plan was altered.
        MappingError: *absent* is none of its choices.

    Source: Pendo has no call that removes a value, and bulk delete marks ids for good (read 2026-11-23).
    """
    if absent not in ("leave", "null"):
        raise MappingError.bad_choice("absent", absent, ("leave", "null"))
    pushed = read_plan(journal, run_id)
    fields = change_fields(pushed.changes)
    touched = _touched(journal, run_id, pushed)
    back = _reversed(touched, fields, absent)
    problems = pl.concat([_cannot_undo(touched, fields, absent), _goes_back_raw(back, fields)])
    undo = plan_changes(
        back,
        mapping=pushed.mapping,
        target=pushed.target,
        problems=problems,
        batch_size=pushed.shape.batch_size,
    )
    return dataclasses.replace(undo, undoes=run_id)


def _touched(journal: Journal, run_id: str, pushed: Plan) -> pl.DataFrame:
    """Return the changes that Pendo wrote, or may have written: not those that were missing, refused or never sent."""
    told = derive_outcomes(journal, run_id, pushed).select("status", "http_status")
    touched = pushed.changes.select(CHANGE_COLUMNS).hstack(told).filter(may_be_written())
    return touched.drop("status", "http_status").rechunk()


def _had_value(name: str) -> pl.Expr:
    return pl.col("before").struct.field(name).is_not_null() | raw_cell(name, "before_raw").is_not_null()


def _reversed(touched: pl.DataFrame, fields: list[str], absent: str) -> pl.DataFrame:
    was_changed = {name: pl.col("changed").struct.field(name) for name in fields}
    goes_back = {
        name: expr & _had_value(name) if absent == "leave" else expr for name, expr in was_changed.items()
    }
    before = {name: pl.col("before").struct.field(name) for name in fields}
    after = {name: pl.col("after").struct.field(name) for name in fields}
    raws = [
        (
            name,
            pl.when(goes_back[name])
            .then(raw_cell(name, "before_raw"))
            .otherwise(raw_cell(name, "after_raw")),
        )
        for name in fields
    ]
    back = touched.select(
        "row",
        "id",
        pl.lit("update").alias("action"),
        struct_of(goes_back).alias("changed"),
        pl.col("after").alias("before"),
        struct_of({n: pl.when(goes_back[n]).then(before[n]).otherwise(after[n]) for n in fields}).alias(
            "after"
        ),
        pl.col("after_raw").alias("before_raw"),
        raw_of(raws).alias("after_raw"),
    )
    goes = back.filter(pl.any_horizontal([pl.col("changed").struct.field(name) for name in fields]))
    # Pendo may refuse a record with a cell of another type: such records come last, away from the others
    return goes.sort(pl.col("after_raw").is_not_null(), maintain_order=True)


def _goes_back_raw(back: pl.DataFrame, fields: list[str]) -> pl.DataFrame:
    """Return a warning for each value that goes back as another type than its field's."""
    lines = [no_problems()]
    for name in fields:
        raw = pl.when(pl.col("changed").struct.field(name)).then(raw_cell(name, "after_raw"))
        cells = back.select("row", "id", cell=raw).drop_nulls("cell")
        told = pl.format(
            "{} goes back, which is not of the field's type; Pendo may refuse the record", "cell"
        )
        lines.append(row_problems(cells, told, rule="goes_back_raw", severity="warn", field=name))
    return pl.concat(lines)


def _cannot_undo(touched: pl.DataFrame, fields: list[str], absent: str) -> pl.DataFrame:
    created = touched.filter(action="create")
    lines = [
        row_problems(
            created, "the run created this id; Pendo can't un-create it", rule="cannot_undo", severity="warn"
        )
    ]
    reason = "there was no value before; it is left as pushed (plan_undo(…, absent='null') sends null)"
    if absent == "leave":
        for name in fields:
            new = touched.filter(pl.col("changed").struct.field(name) & ~_had_value(name))
            lines.append(row_problems(new, reason, rule="cannot_undo", severity="warn", field=name))
    return pl.concat(lines)
