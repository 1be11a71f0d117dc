"""From plans to the page of one visitor: who it is, which accounts, and what happened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import polars as pl

from pendosync.browser.calls import Group, browser_calls
from pendosync.browser.pages import BrowserPage, build_page
from pendosync.errors import PlanError, counted, listed, nearest
from pendosync.frames import ISO_MS
from pendosync.plans import Plan
from pendosync.settings import Settings

_ABOUT: Final = "about"
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

    On load it tells the visitor's values after the change, and the first of the visitor's accounts; each further
    account follows, and then each event, by its time. A null is left out, and so is a message whose `integrations`
    turn Pendo off.

    Args:
        plan: a plan of visitors, of any route.
        id: the visitor.
        groups: a plan of accounts, whose rows name their visitor.
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
    row = _row_of(plan, id)
    calls = []
    if not _is_off(row):
        accounts = [_group_of(one) for one in _rows_about(groups, id)]
        first = accounts[0] if accounts else None
        calls = browser_calls(
            settings or Settings(),
            {**_told(row), "id": id},
            first.account if first else None,
            parent_account=first.parent if first else None,
            groups=accounts[1:],
            events=[(_about(one, "event"), _told(one)) for one in _rows_about(events, id)],
        )
    return build_page(calls, title=f"What the browser of {id} tells Pendo")


def _row_of(plan: Plan, id_: str) -> dict[str, Any]:
    found = plan.changes.filter(pl.col("id") == id_) if isinstance(id_, str) else plan.changes.clear()
    if found.height:
        return _readable(found).row(0, named=True)
    known = plan.changes["id"].head(_MOST_KNOWN).to_list()
    near = nearest(str(id_), known) or known[:1]
    hint = f"did you mean {listed(near)}?" if near else "plan a visitor first."
    raise PlanError(
        f"The plan has no visitor {ascii(id_)[:80]}. Expected an id of its {counted(len(plan), 'change')}. Hint: {hint}"
    )


def _rows_about(plan: Plan | None, id_: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of *plan* that name this visitor and are meant for Pendo, by their time where they have one."""
    if plan is None or "visitor_id" not in _parts_of(plan.changes):
        return
    rows = plan.changes.filter(pl.col(_ABOUT).struct.field("visitor_id") == id_)
    if "at" in _parts_of(rows):
        rows = rows.sort(pl.col(_ABOUT).struct.field("at"), maintain_order=True)
    yield from (row for row in _readable(rows).iter_rows(named=True) if not _is_off(row))


def _parts_of(changes: pl.DataFrame) -> list[str]:
    struct = changes.schema.get(_ABOUT)
    return [part.name for part in struct.fields] if isinstance(struct, pl.Struct) else []


def _readable(rows: pl.DataFrame) -> pl.DataFrame:
    """Return *rows* with the dates of `after` as the text that travels."""
    types = dict(rows.schema["after"])  # type: ignore[call-overload]
    dates = [name for name, dtype in types.items() if dtype.is_temporal()]
    if not dates:
        return rows
    told = [pl.col("after").struct.field(name).dt.strftime(ISO_MS).alias(name) for name in dates]
    return rows.rechunk().with_columns(pl.col("after").struct.with_fields(told))


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """Return what Pendo will hold of a row; raw cells as they are."""
    raw = json.loads(row.get("after_raw") or "{}")
    return {name: raw.get(name, value) for name, value in (row["after"] or {}).items()}


def _group_of(row: dict[str, Any]) -> Group:
    parent = _about(row, "parent_account")
    account = {**_told(row), "id": _about(row, "account_id") or row["id"]}
    return Group.of(account, json.loads(parent) if parent else None)


def _is_off(row: dict[str, Any]) -> bool:
    """Tell whether a message's integrations keep it from Pendo."""
    turned = json.loads(_about(row, "integrations") or "{}")
    return isinstance(turned, dict) and turned.get("Pendo", turned.get("All", True)) is False


def _about(row: dict[str, Any], part: str) -> Any:
    return (row.get(_ABOUT) or {}).get(part)
