"""Taking back what a run did to an audience: one that it created is deleted, the members of another go back."""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

import polars as pl

from pendosync.audiences.held import read_audience
from pendosync.client import Client
from pendosync.diffs import diff_values
from pendosync.errors import PlanError
from pendosync.frames import CHANGE_COLUMNS, VALUES, empty_changes
from pendosync.journal import (
    WRITTEN,
    Journal,
    derive_outcomes,
    may_be_written,
    read_creation,
    read_plan,
    read_runs,
)
from pendosync.planning import plan_members
from pendosync.plans import Plan
from pendosync.results import Creation
from pendosync.rules import no_problems, row_problems
from pendosync.shapes import Audience

_BY_JOURNAL: Final = "Who was a member before is told by this journal, from the audience's creation on; what others did is not known."
_UNKNOWN: Final = "Who was a member before can't be read: those that the run removed become members, whether or not they were."
_FOUND: Final = "The run may have created this audience: the answer was lost, and it was found by its name. So it is not deleted."


def undo_audience(
    journal: Journal,
    run_id: str,
    pushed: Plan,
    /,
    *,
    client: Client | None,
    absent: Literal["leave", "null"],
) -> Plan:
    """Return the plan that takes back a run of the route `audience`; see `plan_undo`."""
    audience, created = pushed.shape.audience or Audience(), read_creation(journal, run_id)
    _ensure_undoable(audience, created, run_id)
    there = dataclasses.replace(audience, id=created.id or audience.id)
    is_gone = client is not None and not _is_there(there, pushed, client)
    if audience.is_new and created.is_answered:
        undo = _deletion(there, pushed, is_gone=is_gone)
    else:
        undo = _members_back(journal, run_id, pushed, there, absent, is_gone=is_gone)
        undo = dataclasses.replace(undo, notes=(*undo.notes, *([_FOUND] if audience.is_new else [])))
    return dataclasses.replace(undo, undoes=run_id)


def _ensure_undoable(audience: Audience, created: Creation, run_id: str) -> None:
    if audience.is_deleted:
        raise PlanError(
            f"Run {run_id} deleted {audience}, which Pendo can't bring back. Expected a run that created or changed one. "
            f"Hint: plan_audience(read_plan(journal, …), client=client, name='…') creates another of an earlier run's ids."
        )
    if audience.is_new and not created.id:
        told = (
            "may have created an audience whose id is not known" if created.was_asked else "created nothing"
        )
        hint = (
            f"resume_push(journal, {run_id!r}, client=client) looks for it"
            if created.was_asked
            else "read_outcomes"
        )
        raise PlanError(f"Run {run_id} {told}. Expected an audience to take back. Hint: {hint}.")


def _is_there(audience: Audience, pushed: Plan, client: Client) -> bool:
    if pushed.target != client.target:
        raise PlanError(
            f"The run went to {pushed.target}, the client reads {client.target}. Expected the same place. "
            f"Hint: open_client with the run's region."
        )
    return client.call(read_audience, client, audience.id) is not None


def _deletion(audience: Audience, pushed: Plan, *, is_gone: bool) -> Plan:
    one = pl.DataFrame({"row": [0], "id": [audience.id], "raw": [None]}, schema=VALUES)
    changes = diff_values(one, before=None, mapping=pushed.mapping).with_columns(action=pl.lit("delete"))
    reason = "Pendo has no such audience any more; there is nothing to delete"
    gone = row_problems(one.head(int(is_gone)), reason, rule="not_in_pendo", severity="block_row")
    return plan_members(
        changes.head(0) if is_gone else changes,
        audience=dataclasses.replace(audience, is_deleted=True),
        mapping=pushed.mapping,
        target=pushed.target,
        problems=gone,
        batch_size=pushed.shape.batch_size,
        gates=pushed.gates,
    )


def _members_back(
    journal: Journal, run_id: str, pushed: Plan, audience: Audience, absent: str, *, is_gone: bool
) -> Plan:
    told = derive_outcomes(journal, run_id, pushed).select("status", "http_status")
    touched = (
        pushed.changes.select(CHANGE_COLUMNS).hstack(told).filter(may_be_written()).select(CHANGE_COLUMNS)
    )
    before = _members_before(journal, run_id, audience.id)
    was_member = pl.col("id").is_in(list(before)) if before is not None else pl.lit(None, dtype=pl.Boolean)
    marked = touched.rechunk().with_columns(was_member.alias(_WAS))
    added, removed = (marked.filter(action=action) for action in ("add", "remove"))
    out = added.filter(~pl.col(_WAS).fill_null(absent == "leave"))
    back = removed.filter(pl.col(_WAS).fill_null(True))
    changes = pl.concat([_as(back, "add"), _as(out, "remove")])
    problems = [_stays(added, absent), _was_none(removed)]
    if is_gone:
        reason = "Pendo has no such audience any more; there is nothing to take back"
        problems = [row_problems(changes, reason, rule="not_in_pendo", severity="block_row")]
        changes = empty_changes({})
    note = _BY_JOURNAL if before is not None else _UNKNOWN
    return plan_members(
        changes,
        audience=audience,
        mapping=pushed.mapping,
        target=pushed.target,
        problems=pl.concat([no_problems(), *problems]),
        batch_size=pushed.shape.batch_size,
        gates=pushed.gates,
        notes=(note,) if before is not None or back.height else (),
    )


_WAS: Final = "\0was member"


def _as(changes: pl.DataFrame, action: str) -> pl.DataFrame:
    return changes.with_columns(action=pl.lit(action)).select(CHANGE_COLUMNS)


def _stays(added: pl.DataFrame, absent: str) -> pl.DataFrame:
    """Return a warning for each id that was added and stays."""
    known = row_problems(
        added.filter(pl.col(_WAS)),
        "it was a member before, by an earlier run, and stays one",
        rule="already_held",
        severity="warn",
    )
    if absent == "null":
        return known
    reason = "whether it was a member before can't be read; it stays one (plan_undo(…, absent='null') takes it out)"
    unknown = row_problems(added.filter(pl.col(_WAS).is_null()), reason, rule="cannot_undo", severity="warn")
    return pl.concat([known, unknown])


def _was_none(removed: pl.DataFrame) -> pl.DataFrame:
    """Return a warning for each id that was removed without having been a member."""
    reason = "by the earlier runs it was no member before, and stays none"
    return row_problems(removed.filter(~pl.col(_WAS)), reason, rule="already_held", severity="warn")


def _members_before(journal: Journal, run_id: str, audience_id: str) -> set[str] | None:
    """Return the ids that were, or may have been, members before a run; None where the journal did not see it created."""
    members: set[str] | None = None
    runs = read_runs(journal)
    mine = runs.row(by_predicate=pl.col("run_id") == run_id, named=True)
    for earlier in runs.filter(route="audience", api_url=mine["api_url"])["run_id"]:
        if earlier == run_id:
            break
        plan = read_plan(journal, earlier)
        own, created = plan.shape.audience or Audience(), read_creation(journal, earlier)
        if (created.id or own.id) != audience_id or own.is_deleted:
            continue
        if own.is_new and created.is_answered:
            members = set()
        if members is not None:
            told = derive_outcomes(journal, earlier, plan).select("status", "http_status")
            touched = plan.changes.select("id", "action").hstack(told)
            members.update(touched.filter(may_be_written() & (pl.col("action") == "add"))["id"])
            is_out = (pl.col("action") == "remove") & pl.col("status").is_in(WRITTEN)
            members.difference_update(touched.filter(is_out)["id"])
    return members
