"""The verbs that change the world: push a plan, and go on with a push that ended early."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from pendosync.audiences.creation import settle_creation
from pendosync.client import Client
from pendosync.errors import MappingError, PlanError, counted
from pendosync.frames import about_of, n_sent
from pendosync.journal import Journal, read_plan
from pendosync.marks import mark_plan, marks_of, renew_mark
from pendosync.message_checks import OLDEST
from pendosync.plans import Plan
from pendosync.pusher import Pusher
from pendosync.remaining import Remaining, all_of, left_of
from pendosync.results import TOO_OLD
from pendosync.runfile import RunRecord
from pendosync.runs import Elsewhere, Run, show_run, start_run, watch
from pendosync.shapes import batch_at

__all__ = ["Run", "attach_run", "push", "resume_push"]


def push(plan: Plan, /, *, client: Client, journal: Journal, show: bool = True) -> Run:
    """Send what *plan* says, and return the run at once; it goes on in the background.

    First what the plan was made on is read again, as its gate `recheck` says: if it has moved, nothing is sent. Each
    batch is written to the journal before it is sent, and what became of it after. What travels is what `dry_run`
    shows. A 200 is read, not believed; where it counts failures and does not name them, or the whole request is refused,
    its records are sent again in smaller requests until each has its own answer. A request that got no answer, or a
    busy one, is tried again, as metadata writes and messages with the same `messageId` may be repeated. Before a bulk
    write the key's write access is asked for, so that a read-only key is told before anything is sent.

    The requests of an audience go one after another. The one that creates it is never repeated where it may have been
    carried out: `resume_push` looks for the audience by its name.

    Args:
        plan: what to send, and only that.
        client: where to; its target must be the plan's, its settings' access `write`.
        journal: where the account is kept.
        show: show the run as it goes: in a notebook below the cell, elsewhere as lines on stderr.

    Returns:
        The run: `wait()` gives OUTCOMES, `pause()` lets it rest, `cancel()` stops cleanly.

    Raises:
        PlanError: the plan is empty, made for another target, or held back by a gate: `plan.held_by` says why.
        SettingsError: the key that the plan's route needs is not set, or the settings may not write.
        HeldError: another run pushes this plan at this moment; the message says which. Nothing was sent.
        JournalError: the journal can't be written; nothing was sent.
    """
    _ensure_pushable(plan, client)
    record, place = journal.record_run(plan), marks_of(plan, journal)
    try:
        if (
            not plan.parts.is_whole
        ):  # it has files of its own by now: what becomes of the plan's folder is no matter
            plan = read_plan(journal, record.run_id)
        mark_plan(record, journal.folder_of(record.run_id), plan, place)
    except BaseException:
        record.discard()
        raise
    return _start(plan, client, journal, record, all_of(plan), show=show, give_up=record.discard)


def resume_push(
    journal: Journal,
    run_id: str,
    /,
    *,
    client: Client,
    resend: Literal["safe", "all"] = "safe",
    show: bool = True,
) -> Run:
    """Go on with a run that was killed, interrupted, cancelled or stopped, and return it at once.

    Sends what has no outcome yet: ids that are `pending`, and those that are `unknown` once more, which may be sent
    twice then; their outcome's reason says so. Events that are `unknown` stay so, as they might count twice, unless
    *resend* is `all`; those that were never sent and are older than 7 days by now are `refused`, as Pendo would drop
    them. What was written, refused or failed stays as it is. The values of the ids that were never sent are read again
    first, as in `push`. A run with nothing left is returned as it is.

    Args:
        journal: where the run is written.
        run_id: which run.
        client, show: as in `push`.
        resend: `safe` sends again only what may be repeated; `all` also events of which nobody knows whether they came,
            and an audience that perhaps was created is created again where none has its name.

    Raises:
        MappingError: *resend* is none of its choices.
        HeldError: another process pushes this run, or another run its plan; the message says which.
        JournalError: no such run, or its file can't be written.
        PlanError: its plan was altered, or made for another target.
        SettingsError: as in `push`.

    Example: `resume_push(open_journal(), read_runs(journal)["run_id"][-1], client=client).wait()`.
    """
    if resend not in ("safe", "all"):
        raise MappingError.bad_choice("resend", resend, ("safe", "all"))
    plan = read_plan(journal, run_id)
    _ensure_target(plan, client)
    record = journal.take_run(run_id)
    try:
        renew_mark(record, journal.folder_of(run_id))
        settle_creation(record, plan, client, again=resend == "all")
        may_repeat = plan.shape.may_repeat or resend == "all"
        remaining = left_of(journal, run_id, plan, unknown=may_repeat)
        if _refuse_old(record, plan, remaining):
            remaining = left_of(journal, run_id, plan, unknown=may_repeat)
        if remaining.is_empty:
            record.record_end("done")
    except BaseException:
        record.close()
        raise
    if not remaining.is_empty:
        return _start(plan, client, journal, record, remaining, show=show, give_up=record.close)
    record.close()
    return attach_run(journal, run_id, show=show)


def attach_run(journal: Journal, run_id: str, /, *, show: bool = True) -> Run:
    """Return a run of the journal to be watched: one that another process pushes, or one that is over.

    `pause`, `proceed` and `cancel` reach its pusher within seconds, through the journal. A run whose process is gone
    is `interrupted`: `resume_push` goes on with it.

    Args:
        journal: where the run is written.
        run_id: which run.
        show: show it, as in `push`.

    Raises:
        JournalError: no such run, or its file can't be read.
        PlanError: its plan was altered.
    """
    plan = read_plan(journal, run_id)
    run = Run(run_id, plan, journal, Elsewhere(journal, run_id, plan))
    if show:
        redraw = show_run(run)
        if not run.progress.is_over:
            watch(run, redraw)
    return run


def _start(
    plan: Plan,
    client: Client,
    journal: Journal,
    record: RunRecord,
    remaining: Remaining,
    *,
    show: bool,
    give_up: Callable[[], None],
) -> Run:
    """Begin a run. Where that fails or is interrupted, a run that has begun ends by itself, another is given up."""
    pusher: Pusher | None = None
    try:
        pusher = Pusher(plan, client, journal, record, remaining)
        return start_run(pusher, client, journal, record.run_id, show=show)
    except BaseException:
        if pusher is None or not pusher.call_off():
            give_up()
        raise


def _ensure_pushable(plan: Plan, client: Client) -> None:
    if not len(plan):
        raise PlanError(
            "The plan is empty: nothing would change. Expected at least one change. "
            "Hint: look at plan.problems for what was blocked."
        )
    if plan.shape.route == "browser":
        raise PlanError(
            "A plan of the route 'browser' is shown, never pushed: a visitor's own browser sends it. Expected another route. "
            "Hint: browser_page(plan, id) shows what that is; Mapping(…, route='webhook') can be pushed."
        )
    _ensure_target(plan, client)
    _ensure_young(plan)
    if plan.held_by:
        raise PlanError(f"The plan is held back. {' '.join(plan.held_by)}")


def _ensure_young(plan: Plan) -> None:
    """Raise where events have grown too old since they were checked."""
    if plan.shape.kind != "event":
        return
    n_old = 0
    for number in range(len(plan.parts)):
        with contextlib.suppress(PlanError):  # what can't be read is not sent, and the rest is
            changes = plan.parts.read(number)
            n_old += changes.head(n_sent(changes)).filter(_is_old()).height
    if n_old:
        are = "is" if n_old == 1 else "are"
        raise PlanError(
            f"{counted(n_old, 'event')} of the plan {are} older than 7 days by now, and Pendo would drop them. Expected younger "
            f"ones. Hint: plan = plan.select(ps.about('at') > datetime.now(UTC) - timedelta(days=7))."
        )


def _is_old() -> pl.Expr:
    return about_of("at") < datetime.now(UTC) - OLDEST


def _refuse_old(record: RunRecord, plan: Plan, remaining: Remaining) -> int:
    """Write those events that were never sent, and have grown too old, as refused; return how many."""
    if plan.shape.kind != "event":
        return 0
    old = []
    for first_row, n_rows in remaining.unsent:
        try:
            rows = plan.parts.slice(first_row, n_rows)
        except PlanError:
            continue  # what can't be read is not sent
        old += [first_row + at for at in rows.select(_is_old().arg_true()).to_series()]
    record.record_rows((row, batch_at(row, plan.steps, plan.shape), "refused", TOO_OLD) for row in old)
    return len(old)


def _ensure_target(plan: Plan, client: Client) -> None:
    if plan.target != client.target:
        raise PlanError(
            f"The plan was made for {plan.target}, the client goes to {client.target}. Expected the same place. "
            f"Hint: plan again with this client, or open_client with the plan's region."
        )
    client.settings.ensure_write()
    client.settings.secret(plan.shape.secret)
