"""From plans to the page of one visitor: who it is, which accounts, and what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl

from pendosync.browser.calls import Call, Group, Traits, browser_calls
from pendosync.browser.pages import BrowserPage, build_page
from pendosync.errors import PlanError, counted, listed, nearest
from pendosync.frames import about_of, about_parts, date_text, is_unicode
from pendosync.heads import is_off
from pendosync.plans import Plan
from pendosync.settings import Settings

_MOST_KNOWN: Final = 10_000


def browser_page(
    plan: Plan,
    id: str,
    /,
    *,
    groups: Plan | None = None,
    events: Plan | None = None,
    settings: Settings | None = None,
) -> BrowserPage:
    """Return a page that shows what one visitor's browser would tell Pendo. Nothing is sent, and no key is needed.

    On load it tells the visitor's values after the change, and the first of the visitor's accounts, or the one that the
    visitor's own row names; each further account follows, and then each event, by its time. A null is left out, and so
    is a message whose `integrations` turn Pendo off.

    Args:
        plan: a plan of visitors, of any route.
        id: the visitor.
        groups: a plan of accounts or memberships, whose rows name their visitor.
        events: a plan of events, whose rows name their visitor.
        settings: what is told on load, and the trait that holds the account's id; None is `Settings()`.

    Raises:
        PlanError: *plan* is none of visitors, or has no such id.
        MappingError: a value that no browser can tell.

    Source: Segment's public browser integration with Pendo, read 2026-11-26.
    """
    if plan.shape.kind != "visitor":
        raise PlanError(
            f"This is a plan of {plan.shape.kind}s. Expected one of visitors, as a browser is a visitor's. "
            f"Hint: browser_page(visitors, id, groups=…)."
        )
    rows = _meant_for_pendo(_row_of(plan, id)).rows(named=True)
    accounts = [_group_of(row) for row in _rows_about(groups, id)]
    happened = [(_about(row, "event"), _properties_of(row)) for row in _rows_about(events, id)]
    calls = _calls_of(rows[0], accounts, happened, settings or Settings()) if rows else []
    return build_page(calls, title=f"What the browser of {id} tells Pendo")


def _calls_of(
    row: dict[str, Any], groups: Sequence[Group], events: Sequence[tuple[str, Traits]], settings: Settings
) -> list[Call]:
    """Return the calls of one visitor: on load with the first account, or with the one that its own row names."""
    own = _about(row, "account_id")
    known = list(groups) or ([Group({"id": own})] if own else [])
    first = known[0] if known else None
    return browser_calls(
        settings,
        {**_told(row), "id": row["id"]},
        first.account if first else None,
        parent_account=first.parent if first else None,
        groups=known[1:],
        events=events,
    )


def _row_of(plan: Plan, id_: str) -> pl.DataFrame:
    is_text = isinstance(id_, str) and is_unicode(id_)
    found = plan.changes.filter(pl.col("id") == id_) if is_text else plan.changes.clear()
    if found.height:
        return _readable(found)
    known = plan.changes["id"].head(_MOST_KNOWN).to_list()
    near = nearest(str(id_), known) or known[:1]
    hint = f"did you mean {listed(near)}?" if near else "plan a visitor first."
    raise PlanError(
        f"The plan has no visitor {ascii(id_)[:80]}. Expected an id of its {counted(len(plan), 'change')}. Hint: {hint}"
    )


def _rows_about(plan: Plan | None, id_: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of *plan* that name this visitor and are meant for Pendo, by their time where they have one."""
    if plan is None or "visitor_id" not in about_parts(plan.changes):
        return
    rows = plan.changes.filter(about_of("visitor_id") == id_)
    if "at" in about_parts(rows):
        rows = rows.sort(about_of("at"), maintain_order=True)
    yield from _readable(_meant_for_pendo(rows)).iter_rows(named=True)


def _meant_for_pendo(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(~is_off()) if "integrations" in about_parts(rows) else rows


def _readable(rows: pl.DataFrame) -> pl.DataFrame:
    """Return *rows* with the dates of `after` as the text that travels."""
    types = dict(rows.schema["after"])  # type: ignore[call-overload]
    dates = [name for name, dtype in types.items() if dtype.is_temporal()]
    if not dates:
        return rows
    told = [date_text(pl.col("after").struct.field(name)).alias(name) for name in dates]
    return rows.rechunk().with_columns(pl.col("after").struct.with_fields(told))


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """Return what Pendo will hold of a row; raw cells as they are."""
    raw = json.loads(row.get("after_raw") or "{}")
    return {name: raw.get(name, value) for name, value in (row["after"] or {}).items()}


def _group_of(row: dict[str, Any]) -> Group:
    parent = _about(row, "parent_account")
    account = {**_told(row), "id": _about(row, "account_id") or row["id"]}
    return Group.of(account, json.loads(parent) if parent else None)


def _properties_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return an event's properties, with the account's id among them where a message has it, too."""
    account = _about(row, "account_id")
    return {**_told(row), **({"groupId": account} if account else {})}


def _about(row: dict[str, Any], part: str) -> Any:
    return (row.get("about") or {}).get(part)
