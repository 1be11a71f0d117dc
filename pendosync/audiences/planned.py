"""Selected visitors become an audience, which Pendo calls a segment: from ids to the plan that adds and removes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import polars as pl

from pendosync.audiences.held import read_audience, read_audiences
from pendosync.checks import check_values, drop_blocked
from pendosync.client import Client
from pendosync.diffs import diff_values
from pendosync.errors import (
    AnswerError,
    FrameError,
    KeyRefusedError,
    MappingError,
    PlanError,
    RefusedError,
    counted,
    first_line,
    listed,
)
from pendosync.frames import PROBLEMS, Action, ensure_frame, is_unicode
from pendosync.gates import Gates
from pendosync.mapping import Mapping
from pendosync.planning import plan_members
from pendosync.plans import Plan
from pendosync.recipe import kept_columns, with_kept
from pendosync.shapes import MOST_MEMBERS, Audience
from pendosync.tables import collect_table
from pendosync.values import columns_of, map_traits

Visitors: TypeAlias = Plan | pl.DataFrame | pl.LazyFrame | pl.Series | Iterable[str]

_UNREAD: Final = "Pendo was not read, as the client has no integration key: whether {} is not known."
_UNCLEAR: Final = "Pendo does not say which audiences there are: whether {} is not known."


def plan_audience(
    visitors: Visitors,
    /,
    *,
    client: Client,
    name: str | None = None,
    audience_id: str | None = None,
    id: str = "id",
    remove: Visitors | None = None,
    problems: pl.DataFrame | None = None,
    gates: Gates | None = None,
    batch_size: int = MOST_MEMBERS,
    keep: Sequence[str] = (),
) -> Plan:
    """Return the plan that puts *visitors* into an audience, which Pendo calls a segment. Writes nothing.

    With *name* it creates one, with *audience_id* it changes one that is there. Asks Pendo whether the audience is
    there, or the name free; where it does not say, or the client has no integration key, the plan's notes tell so. Who
    is a member can't be read: an id that is one already stays one.

    Args:
        visitors: whom to add (n ids): a table, lazy or not, a Series, a list, or a plan of visitors, such as the rows
            that a preview selected; an empty list adds nobody.
        client: where Pendo is read, and where the plan will go.
        name: of the audience to create; nobody can be removed from it.
        audience_id: of the audience to change.
        id: the column of tables that holds the visitors' ids.
        remove: whom to remove, as *visitors*; after all others were added.
        problems: PROBLEMS frame, to be kept with the plan beside those of the ids.
        gates: what a push of it may do at most; None takes `Gates()`.
        batch_size: ids in a request, at most 1,000.
        keep: columns of the table, or of the plan, to carry for `Plan.select`; they never travel.

    Returns:
        A plan (0 to n ids) of the actions `add` and `remove`, without those that `plan.problems` blocks: missing,
        twice, too long, or anonymous. Its `row` counts through the ids to add, then through those to remove.

    Raises:
        MappingError: not one of *name* and *audience_id*, a name that can't be, or *keep* names a column that can't be
            kept.
        PlanError: no audience of that id, one of that name, an id to be both added and removed, a plan of others than
            visitors.
        FrameError: ids that are no texts or whole numbers; a ColumnNotFoundError where a table lacks a column.
        RemoteError: Pendo can't be reached.

    Source: `POST /api/v1/segment/upload` and `PATCH /api/v1/segment/{id}/visitor` as Segment's public Pendo Audiences
    destination calls them, at most 1,000 visitors a request, read 2026-11-23.

    Example:
        `plan_audience(plan.select(ps.after("plan") == "pro"), client=client, name="Power users")`
    """
    wanted = _wanted(name, audience_id)
    if wanted.is_new and remove is not None:
        raise MappingError(
            f"remove is given with name={name!r}. Expected audience_id: nobody is in an audience that is yet to be created. "
            f"Hint: leave remove= out."
        )
    known = ensure_frame(problems, PROBLEMS, "problems") if problems is not None else PROBLEMS.to_frame()
    mapping = Mapping("visitor", id=id, route="audience")
    added, found, n_rows = _members(visitors, mapping, "add", keep)
    removed, found_too, _ = _members([] if remove is None else remove, mapping, "remove", first_row=n_rows)
    _ensure_apart(added, removed)
    audience, notes = _asked(wanted, client)
    return plan_members(
        pl.concat([added, removed], how="diagonal"),
        audience=audience,
        mapping=mapping,
        target=client.target,
        problems=pl.concat([known, found, found_too]),
        batch_size=batch_size,
        gates=gates,
        notes=notes,
    )


def _wanted(name: str | None, audience_id: str | None) -> Audience:
    """Return the audience that was named, in one way and not in both."""
    if (name is None) == (audience_id is None):
        told = "Neither name nor audience_id is" if name is None else "Both name and audience_id are"
        raise MappingError(
            f"{told} given. Expected one of them: a name creates an audience, an id changes one. "
            f"Hint: plan_audience(table, client=client, name='Power users', id='user_id')."
        )
    for what, text in (("name", name), ("audience_id", audience_id)):
        if text is not None and not (isinstance(text, str) and text.strip() and is_unicode(text)):
            raise MappingError(
                f"{what} is {text!r}. Expected a text in Unicode that is not blank. Hint: {what}='…'."
            )
    return Audience(id=audience_id or "", name=name or "")


def _members(
    visitors: Visitors, mapping: Mapping, action: Action, keep: Sequence[str] = (), *, first_row: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame, int]:
    """Return CHANGES of those that are to be members, or not; PROBLEMS of the others; and how many there were."""
    table = _table_of(visitors, mapping.id)
    kept = kept_columns(table, mapping, keep)
    whole = collect_table(table, columns=list(dict.fromkeys([*columns_of(mapping), *kept])))
    values = map_traits(whole, mapping)
    problems = check_values(values, mapping=mapping)
    changes = diff_values(drop_blocked(values, problems), before=None, mapping=mapping)
    row = (pl.col("row") + first_row).cast(pl.UInt32)
    with_action = with_kept(changes, whole, kept).with_columns(row, action=pl.lit(action, dtype=pl.String))
    return with_action, problems.with_columns(row), values.height


def _table_of(visitors: Visitors, id: str) -> pl.DataFrame | pl.LazyFrame:
    """Return a table with the ids in the column *id*."""
    if isinstance(visitors, pl.DataFrame | pl.LazyFrame):
        return visitors
    if isinstance(visitors, Plan):
        return _table_of_plan(visitors, id)
    ids = visitors if isinstance(visitors, pl.Series) else _series_of(visitors)
    return (ids.cast(pl.String) if ids.dtype == pl.Null else ids).alias(id).to_frame()


def _table_of_plan(plan: Plan, id: str) -> pl.DataFrame:
    audience = plan.shape.audience
    if plan.shape.kind != "visitor" or (audience is not None and audience.is_deleted):
        raise PlanError(
            f"The plan is {plan.title!r}, whose ids are no visitors'. Expected a plan of visitors. "
            f"Hint: take the column of a table: plan_audience(table, id='user_id', …)."
        )
    going = plan.changes.filter(pl.col("action") != "skip")
    if going["action"].is_in(["add", "remove"]).any() and going["action"].n_unique() > 1:
        raise PlanError(
            f"The plan {plan.title!r} adds some visitors and removes others. Expected which of them are meant. "
            f"Hint: plan_audience(plan.select(pl.col('action') == 'add'), …)."
        )
    return going.select(pl.col("id").alias(id), *(name for name in plan.kept if name != id))


def _series_of(visitors: Iterable[str]) -> pl.Series:
    is_list = isinstance(visitors, Iterable) and not isinstance(visitors, str | bytes)
    ids = list(visitors) if is_list else []
    try:
        if not is_list or not all(
            isinstance(one, str | int | None) and not isinstance(one, bool) for one in ids
        ):
            raise TypeError("no list of texts or whole numbers")
        return pl.Series(ids, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise FrameError(
            f"The visitors are a {type(visitors).__name__} that gives no ids ({first_line(error)}). Expected a table, a "
            f"Series, a list of texts, or a plan of visitors. Hint: plan_audience(['u-1', 'u-2'], …)."
        ) from None


def _ensure_apart(added: pl.DataFrame, removed: pl.DataFrame) -> None:
    both = added.join(removed, on="id", how="semi", maintain_order="left")["id"]
    if len(both):
        raise PlanError(
            f"{counted(len(both), 'id')} would be both added and removed: {listed(both)}. Expected each id once. "
            f"Hint: leave them out of one of the two: table.filter(~pl.col('id').is_in(…))."
        )


def _asked(wanted: Audience, client: Client) -> tuple[Audience, tuple[str, ...]]:
    """Return the audience as Pendo has it, and notes on what it does not say."""
    question = "that name is free" if wanted.is_new else "that audience is there"
    if client.settings.integration_key is None:
        return wanted, (_UNREAD.format(question),)
    return _ensure_free(wanted, client) if wanted.is_new else _ensure_there(wanted, client)


def _ensure_free(wanted: Audience, client: Client) -> tuple[Audience, tuple[str, ...]]:
    known = _listed(client)
    same = [id_ for id_, name in (known or {}).items() if name == wanted.name]
    if same:
        raise PlanError(
            f"An audience called {wanted.name!r} is there already ({listed(same)}). Expected a name that is free. "
            f"Hint: audience_id={same[0]!r} adds to it; or choose another name."
        )
    return wanted, () if known is not None else (_UNCLEAR.format("that name is free"),)


def _ensure_there(wanted: Audience, client: Client) -> tuple[Audience, tuple[str, ...]]:
    try:
        held = client.call(read_audience, client, wanted.id)
    except AnswerError:
        return wanted, (_UNCLEAR.format("that audience is there"),)
    if held is None:
        known = _listed(client) or {}
        called_so = [id_ for id_, name in known.items() if name == wanted.id]
        hint = f"audience_id={called_so[0]!r} is the one called so" if called_so else "name='…' creates one"
        raise PlanError(
            f"Pendo has no audience of the id {wanted.id!r}, or not for this key. Expected the id of a segment, as its "
            f"address in Pendo ends. Hint: {hint}."
        )
    return held, ()


def _listed(client: Client) -> dict[str, str] | None:
    """Return the audiences by id, or None where Pendo does not say."""
    try:
        return client.call(read_audiences, client)
    except KeyRefusedError:
        raise
    except (AnswerError, RefusedError):
        return None
