"""Reading back what was pushed."""

from __future__ import annotations

from typing import Final

import polars as pl

from pendosync.client import Client
from pendosync.comparison import read_back
from pendosync.frames import OUTCOMES
from pendosync.held import held_in_parts
from pendosync.journal import Journal, derive_outcomes, each_told, read_plan, record_verified
from pendosync.plans import Plan
from pendosync.remote import fetch_held

_LOOK_S: Final = 1.0
"""Between two looks at what is not seen yet."""

_SEEN: Final = {"id": pl.String(), "seen": pl.String(), "fields": pl.List(pl.String())}
_NEVER_SENT: Final = ("pending", "refused", "skipped")
_OPEN: Final = ("accepted", "unknown")


def verify_run(journal: Journal, run_id: str, /, *, client: Client, settle_s: float = 0.0) -> pl.DataFrame:
    """Return what became of each id of a run that is over, read back from Pendo.

    A read may lag behind a write: what is not seen yet has not failed. What reading back settles is written to the
    journal, so that `read_outcomes` says it from then on: an id whose outcome was open (`accepted`, `unknown`) becomes
    `updated` or `created` where Pendo holds what was pushed, and `missing` where Pendo does not know it. All else stays
    as it was told; `seen` says what is held.

    Args:
        journal: where the run is written.
        run_id: which run.
        client: where Pendo is read; it must go to the run's target.
        settle_s: look again, every second, at the ids that are not seen as pushed, for so many seconds at most.

    Returns:
        OUTCOMES frame (n rows), in the order of the plan, with `seen` and `fields`. `seen` is `as_pushed`, `not_yet`
        (what was there before), `other` (something else stands in `fields`) or `missing`, and null for ids that were
        not sent.

    Raises:
        JournalError: no such run, or its file can't be read or written.
        PlanError: its plan was altered, or *client* goes to another target.
        RemoteError: Pendo can't be read.

    Cost: per look one request an id up to 200 ids, above that all that Pendo holds, by pages of 100,000.

    Example:
        `verify_run(journal, run.id, client=client, settle_s=60).filter(pl.col("seen") != "as_pushed")`
    """
    plan = read_plan(journal, run_id)
    told = derive_outcomes(journal, run_id, plan)
    look = _look if plan.parts.is_whole else _look_in_parts
    seen = look(plan, journal, run_id, client, settle_s)
    looked = told.join(seen, on="id", how="left", maintain_order="left")
    settled = _settled(looked, plan)
    if settled.height:
        record_verified(journal, run_id, settled)
        told = derive_outcomes(journal, run_id, plan)
    return told.select(OUTCOMES.names()).hstack(looked.select("seen", "fields"))


def _look(plan: Plan, journal: Journal, run_id: str, client: Client, settle_s: float) -> pl.DataFrame:
    """Return `id`, `seen`, `fields` of what was sent, looking again until all is seen or the time is up."""
    end_s = client.clock.now() + settle_s
    done: list[pl.DataFrame] = []
    ((_, changes, told),) = each_told(journal, run_id, plan)
    sent = changes.filter(_was_sent(told))
    while True:
        looked = read_back(sent, fetch_held(client, plan, ids=sent["id"])).select("id", "seen", "fields")
        is_seen = looked["seen"] == "as_pushed"
        left_s = end_s - client.clock.now()
        if is_seen.all() or left_s <= 0:
            return pl.concat([*done, looked])
        done.append(looked.filter(is_seen))
        sent = sent.filter(~is_seen)
        client.call(client.clock.sleep, min(_LOOK_S, left_s))


def _look_in_parts(
    plan: Plan, journal: Journal, run_id: str, client: Client, settle_s: float
) -> pl.DataFrame:
    """Return what `_look` does, a part at a time: each look reads all that Pendo holds once."""
    end_s = client.clock.now() + settle_s
    while True:
        looked = [pl.DataFrame(schema=_SEEN)]
        with held_in_parts(client, plan, within=journal.folder_of(run_id)) as held_of:
            for at, changes, told in each_told(journal, run_id, plan, but_lost=True):
                sent = changes.filter(_was_sent(told))
                looked.append(read_back(sent, held_of(plan.parts[at].number)).select("id", "seen", "fields"))
        seen = pl.concat(looked)
        left_s = end_s - client.clock.now()
        if (seen["seen"] == "as_pushed").all() or left_s <= 0:
            return seen
        client.call(client.clock.sleep, min(_LOOK_S, left_s))


def _was_sent(told: pl.DataFrame) -> pl.Series:
    return ~told["status"].is_in(_NEVER_SENT)


def _settled(looked: pl.DataFrame, plan: Plan) -> pl.DataFrame:
    """Return `at`, `batch`, `status`, `reason` of those ids whose outcome was open and is not any more."""
    told, seen = pl.col("status"), pl.col("seen")
    # the webhook answers for no row: only a look can have said that an id is missing
    is_open = told.is_in(_OPEN if plan.shape.route == "metadata" else (*_OPEN, "missing"))
    status = seen.replace_strict({"as_pushed": "updated", "missing": "missing"}, default=None)
    was = pl.when(told == "unknown").then(pl.lit("it was in flight, and ")).otherwise(pl.lit(""))
    missing = pl.lit(f"Pendo does not know this {plan.shape.kind}: read back")
    reason = pl.when(seen == "missing").then(missing).otherwise(pl.format("{}verified by reading back", was))
    at = pl.int_range(pl.len(), dtype=pl.UInt32).alias("at")
    lines = looked.with_columns(at).filter(is_open & (status != told)).rechunk()
    return lines.select("at", "batch", status.alias("status"), reason.alias("reason"))
