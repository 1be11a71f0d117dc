"""The rules of Segment's Pendo destination, each as a row: what goes in, and what Pendo is told by each route."""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl
import pytest
from rows import ROWS
from table import SKIPPED, UNSAID, Blocked, Row, Without

import pendosync as ps

CASES = [
    pytest.param(row, route, how, id=f"{row.each_kind}-{row.name}-{route}-{how}")
    for row in ROWS
    for route in ("webhook", "browser", "track")
    for how, given in (("table", row.table), ("message", row.message))
    if given is not None and getattr(row, route) is not UNSAID and not (how == "message" and row.left_out)
]
LEFT_OUT = [row for row in ROWS if row.message is not None and row.left_out]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
CALL = re.compile(r"pendo\.(\w+)\((.*)\)", re.DOTALL)


def planned(row: Row, route: str, how: str, client: ps.Client) -> ps.Plan:
    """Plan the one row: as the analyst's table, or as Segment's message."""
    if how == "table":
        table = pl.DataFrame([row.table])
        mapping = ps.Mapping(row.each_kind, route=route, **row.mapping)  # type: ignore[arg-type]
    else:
        messages = ps.load_segment_messages([row.message])
        assert messages.left_out.is_empty()
        table = getattr(messages, f"{row.each_kind}s")
        mapping = messages.mapping(row.each_kind, route=route)  # type: ignore[arg-type]
    assert table.height == 1
    return ps.plan_table(table, mapping, client=client, create="unknown_ids")


def exactly(told: Any) -> str:
    """Return *told* as text that differs where a type does: 1 is neither True nor 1.0."""
    return json.dumps(told, sort_keys=True, ensure_ascii=False)


def blocked_by(plan: ps.Plan, severity: str) -> list[str]:
    return plan.problems.filter(severity=severity)["rule"].to_list()


def is_on(integrations: Any) -> bool:
    """Whether the message is for Pendo, by Segment's docs."""
    return integrations.get("Pendo", integrations.get("All", True)) is not False


def called(body: str) -> list[Any]:
    """Return the name and the arguments of a browser's call."""
    name, arguments = CALL.fullmatch(body).groups()  # type: ignore[union-attr]
    return [name, *json.loads(f"[{arguments}]")]


def without_volatile(
    plan: ps.Plan, body: str, expected: dict[str, Any], row: Row, how: str
) -> dict[str, Any]:
    """Check the parts of a message that are new in each plan, and return the others."""
    told = json.loads(body)
    own_id = (
        row.message.get("messageId")
        if row.message and row.each_kind == "event" and how == "message"
        else None
    )
    message_id = told.pop("messageId")
    assert isinstance(message_id, str)
    assert message_id.strip()
    assert own_id in (None, message_id)
    library = told.pop("context")["library"]
    assert library == {"name": "pendosync", "version": plan.shape.library}
    assert library["version"]
    assert TIME.fullmatch(told["timestamp"])
    if "timestamp" not in expected:
        assert told.pop("timestamp") == plan.shape.planned_at.isoformat(timespec="milliseconds").replace(
            "+00:00", "Z"
        )
    assert is_on(told["integrations"])
    if "integrations" not in expected or (how == "message" and row.each_kind != "event"):
        told.pop(
            "integrations"
        )  # told for many messages at once, when each says for itself that it is for Pendo
    return told


@pytest.mark.parametrize(("row", "route", "how"), CASES)
def test_table_row_is_told_as_the_sources_say(client, row: Row, route: str, how: str) -> None:
    plan = planned(row, route, how, client)
    expected = getattr(row, route)
    bodies = ps.dry_run(plan)["body"].to_list()
    assert bodies == ps.dry_run(plan)["body"].to_list()
    if expected == SKIPPED:
        assert (bodies, plan.changes["action"].to_list()) == ([], ["skip"])
        return
    if isinstance(expected, Blocked):
        assert (bodies, plan.changes.height) == ([], 0)
        assert (expected.rule, 0) in plan.problems.filter(severity="block_row").select("rule", "row").rows()
        return
    body, rules = (
        (expected.body, expected.rules) if isinstance(expected, Without) else (expected, frozenset())
    )
    assert blocked_by(plan, "block_row") == []
    assert set(blocked_by(plan, "block_field")) == rules
    assert len(bodies) == 1
    if route == "browser":
        assert exactly(called(bodies[0])) == exactly(list(body))
    elif route == "track":
        assert exactly(json.loads(bodies[0])) == exactly(body)
    else:
        told = without_volatile(plan, bodies[0], body, row, how)
        shown = {name: part for name, part in body.items() if name in told or name != "integrations"}
        assert exactly(told) == exactly(shown)
        assert set(row.warns) <= set(blocked_by(plan, "warn"))


@pytest.mark.parametrize("row", LEFT_OUT, ids=lambda row: f"{row.each_kind}-{row.name}")
def test_table_message_without_a_place_is_left_out_with_its_reason(row: Row) -> None:
    messages = ps.load_segment_messages([row.message])
    assert messages.left_out["reason"].to_list() == [row.left_out]
    assert messages.taken == {}


def test_each_row_of_the_table_names_its_source_and_has_a_name_of_its_own() -> None:
    names = [(row.each_kind, row.name) for row in ROWS]
    assert len(names) == len(set(names))
    assert all(row.source and (row.message or row.table) for row in ROWS)
    assert len(ROWS) > 100


OFF = [row for row in ROWS if row.webhook == SKIPPED and row.name.endswith("Pendo false, as a column")]


@pytest.mark.parametrize("row", OFF, ids=lambda row: row.each_kind)
def test_table_row_that_is_not_for_pendo_ends_as_skipped(sandbox, client, journal, row: Row) -> None:
    plan = planned(row, "webhook", "table", client)
    sandbox.forget_requests()
    outcomes = ps.push(plan, client=client, journal=journal, show=False).wait()
    assert outcomes["status"].to_list() == ["skipped"]
    assert [one for one in sandbox.requests() if one["path"].startswith("/data/")] == []
