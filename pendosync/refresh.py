"""Planning again on what Pendo holds now."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from pendosync.client import Client
from pendosync.comparison import cell_problems, gone_ids, held_cells, rebase_changes
from pendosync.env import new_plan_folder
from pendosync.folders import new_folder
from pendosync.held import held_in_parts
from pendosync.planning import plan_again
from pendosync.plans import Plan
from pendosync.remote import fetch_held
from pendosync.rules import no_problems, row_problems
from pendosync.saved import load_plan, seal_plan, write_part


def refresh_plan(plan: Plan, /, *, client: Client, folder: str | Path | None = None) -> Plan:
    """Return *plan* as it is on today's values: the same wishes, place and options, of now and with a new nonce.

    Reads the plan's ids and writes nothing. A field that was to change still gets the plan's value, unless Pendo holds
    it already; any other field stays as it is now. What fell out stands in `problems`: `already_held` for values, and
    ids left without any change; `not_in_pendo` for ids that Pendo does not know any more. It knows the plan only: a
    value that was right when planned and has moved since is brought back by planning the table again.

    Args:
        plan: what was planned; it is not changed.
        client: where Pendo is read; it must go to the plan's target.
        folder: where a plan in parts is written anew; by default a new one in `.pendosync/plans`.

    Returns:
        A plan (0 to n ids), in the order of *plan*.

    Raises:
        PlanError: the plan was made for another target.
        RemoteError: Pendo can't be read.

    Cost: one request an id up to 200 ids, above that all that Pendo holds, by pages of 100,000.

    Example:
        `plan = refresh_plan(plan, client=client)`, then preview and push it like any other.
    """
    if plan.parts.is_whole:
        return _refreshed(plan, fetch_held(client, plan))
    place = new_plan_folder() if folder is None else Path(folder)
    now, entries = datetime.now(UTC), []
    with (
        new_folder(place, what="The plan") as beside,
        held_in_parts(client, plan, within=place.parent) as held_of,
    ):
        for part in plan.parts:
            alone = plan.having(part.read(), part.problems())
            entries.append(write_part(beside, part.number, _refreshed(alone, held_of(part.number))))
        head = dataclasses.replace(
            plan.having(plan.parts.nothing, no_problems()),
            shape=dataclasses.replace(plan.shape, planned_at=now),
        )
        seal_plan(beside, head, entries, cut=plan.parts.cut)
    return load_plan(place)


def _refreshed(plan: Plan, held: pl.DataFrame) -> Plan:
    changes = plan.changes
    rebased, gone = rebase_changes(changes, held), gone_ids(changes, held)
    reason = (
        f"Pendo does not know this {plan.shape.kind} any more; plan its table again with create='unknown_ids' to "
        f"create it"
    )
    lost = row_problems(gone, reason, rule="not_in_pendo", severity="block_row")
    there = held_cells(changes, held, what="after")
    known = cell_problems(there, "Pendo holds it already", rule="already_held", severity="warn")
    return plan_again(plan, rebased, problems=pl.concat([plan.problems, lost, known]))
