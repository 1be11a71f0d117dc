"""From changes to the plan that carries them, and from a plan to another of today."""

from __future__ import annotations

import dataclasses
import secrets
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final, Literal

import polars as pl

from pendosync.diffs import ensure_changes, skips_last
from pendosync.errors import MappingError, PlanError
from pendosync.frames import PROBLEMS, ensure_about, ensure_frame
from pendosync.gates import Canary, Gates
from pendosync.mapping import Mapping
from pendosync.parted import Parts
from pendosync.plans import Plan
from pendosync.regions import Target
from pendosync.rules import no_problems, row_problems
from pendosync.shapes import Audience, Shape

BATCH_SIZE: Final = 500
"""Ids in a bulk write, by default. Source: a public client sends as many; Pendo names no limit (read 2026-11-23)."""


def plan_changes(
    changes: pl.DataFrame,
    /,
    *,
    mapping: Mapping,
    target: Target,
    problems: pl.DataFrame | None = None,
    create: Literal["never", "unknown_ids"] = "never",
    batch_size: int = BATCH_SIZE,
    send: Literal["changed", "all"] = "changed",
    planned_at: datetime | None = None,
    canary: Canary | None = None,
    gates: Gates | None = None,
    n_compared: int | None = None,
    against: Literal["pendo", "snapshot"] = "pendo",
) -> Plan:
    """Return the plan that carries *changes* to *target*. Touches no network.

    Args:
        changes: CHANGES frame (n rows), from `diff_values`.
        mapping: gives kind, group and route.
        target: where to, and nowhere else: `client.target`.
        problems: PROBLEMS frame, to be kept with the plan.
        create: `never` turns ids that Pendo does not know into problems `not_in_pendo`; `unknown_ids` creates them.
        batch_size: ids in a bulk write; a webhook message always has one.
        send: `changed` fields only, or `all` that have a value.
        planned_at: the plan's time, now when left out; the timestamp of webhook messages.
        canary: steps in which it travels, each read back before the next; None is all at once.
        gates: what a push of it may do at most; None takes `Gates()`.
        n_compared: how many ids were compared, for the gate `max_changed_share`.
        against: as in `diff_values`; before sending, what moved since is judged by it.

    Raises:
        FrameError: *changes* or *problems* breaks its brick.
        MappingError: an option is none of its choices.
        PlanError: *batch_size* is no whole number from 1 up.

    Source: Pendo advises against creating ids by API in nearly all cases (tech note, read 2026-11-23).
    """
    if mapping.route == "audience":
        raise MappingError(
            "A mapping of the route 'audience' does not say which audience. Expected plan_audience. "
            "Hint: plan_audience(table, client=client, name='Power users', id='user_id')."
        )
    ensure_changes(changes)
    ensure_about(changes, [*mapping.about], "changes")
    _ensure_options(create=create, send=send, against=against)
    _ensure_numbers(batch_size=batch_size, planned_at=planned_at)
    known = ensure_frame(problems, PROBLEMS, "problems") if problems is not None else no_problems()
    changes, known = _without_creates(skips_last(changes), known, mapping, create)
    if canary is not None and mapping.is_message:
        raise PlanError(
            f"A canary can't go before {mapping.kind}s: each of its steps is read back. Expected visitors or accounts. "
            f"Hint: leave canary= out, and push plan.select(ids=[…]) of a few first."
        )
    shape = dataclasses.replace(
        _new_shape(mapping, batch_size, planned_at), create=create, send=send, canary=canary
    )
    return Plan(
        mapping=mapping,
        target=target,
        shape=shape,
        parts=Parts.of(changes, known),
        gates=gates or Gates(),
        n_compared=n_compared,
        against=against,
    )


def plan_members(
    changes: pl.DataFrame,
    /,
    *,
    audience: Audience,
    mapping: Mapping,
    target: Target,
    problems: pl.DataFrame,
    batch_size: int,
    gates: Gates | None = None,
    notes: tuple[str, ...] = (),
) -> Plan:
    """Return the plan of who joins or leaves *audience*, or of its deletion. Touches no network.

    Args:
        changes: CHANGES frame (n rows) of the actions `add` and `remove`, in that order, or one `delete`.
        audience: which one.
        mapping: a mapping of visitors by the route `audience`.
        target, problems, batch_size, gates: as in `plan_changes`.
        notes: as in Plan.
    """
    ensure_changes(changes)
    _ensure_numbers(batch_size=batch_size, planned_at=None)
    shape = dataclasses.replace(_new_shape(mapping, batch_size), audience=audience)
    parts = Parts.of(changes, problems)
    return Plan(mapping, target, shape, parts, gates=gates or Gates(), notes=notes)


def _new_shape(mapping: Mapping, batch_size: int, planned_at: datetime | None = None) -> Shape:
    """Return the shape of a plan that is made now."""
    return Shape(
        kind=mapping.kind,
        route=mapping.route,
        group=mapping.group,
        batch_size=batch_size,
        create="never",
        send="changed",
        planned_at=(planned_at or datetime.now(UTC)).astimezone(UTC),
        nonce=secrets.token_hex(8),
        library=version("pendosync"),
        has_own_ids=mapping.is_message and bool(mapping.id),
    )


def plan_again(
    plan: Plan,
    changes: pl.DataFrame,
    /,
    *,
    problems: pl.DataFrame,
    create: Literal["never", "unknown_ids"] | None = None,
) -> Plan:
    """Return *plan* with other *changes* and *problems*: the same place and options, of now and with a new nonce.

    Args:
        plan: gives all that shapes bytes and batches.
        changes: CHANGES frame (n rows).
        problems: PROBLEMS frame, in place of the plan's.
        create: in place of the plan's; `never` turns ids that are to be created into problems.
    """
    creates = create or plan.shape.create
    changes, problems = _without_creates(skips_last(changes), problems, plan.mapping, creates)
    fresh = {"nonce": secrets.token_hex(8), "planned_at": datetime.now(UTC)}
    shape = dataclasses.replace(plan.shape, create=creates, **fresh)  # type: ignore[arg-type]
    return dataclasses.replace(plan, shape=shape).having(changes, problems)


def _without_creates(
    changes: pl.DataFrame, problems: pl.DataFrame, mapping: Mapping, create: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return changes and problems; where creating is off, ids that Pendo does not know stand in the latter."""
    if create != "never":
        return changes, problems
    unknown = changes.filter(action="create")
    return changes.filter(pl.col("action") != "create"), pl.concat(
        [problems, _not_in_pendo(unknown, mapping)]
    )


def _ensure_options(*, create: str, send: str, against: str) -> None:
    for name, value, choices in (
        ("create", create, ("never", "unknown_ids")),
        ("send", send, ("changed", "all")),
        ("against", against, ("pendo", "snapshot")),
    ):
        if value not in choices:
            raise MappingError.bad_choice(name, value, choices)


def _ensure_numbers(*, batch_size: int, planned_at: datetime | None) -> None:
    if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
        raise PlanError(
            f"batch_size is {batch_size!r}. Expected a whole number from 1 up. Hint: batch_size={BATCH_SIZE}."
        )
    if planned_at is not None and not isinstance(planned_at, datetime):
        raise PlanError(f"planned_at is {planned_at!r}. Expected a datetime. Hint: datetime.now(UTC).")


def _not_in_pendo(unknown: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    reason = f"Pendo does not know this {mapping.kind}, and creating is off; plan with create='unknown_ids' to create it"
    return row_problems(unknown, reason, rule="not_in_pendo", severity="block_row")
