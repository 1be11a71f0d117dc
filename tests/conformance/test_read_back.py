"""What our push sent is read back from the sandbox as a public client would read it from Pendo."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from rows import ROWS
from table import Row
from tools import ask, events_in

import pendosync as ps
from pendosync.sandbox.keys import KEYS

AT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)


def test_an_event_pushed_by_pendos_own_route_is_read_back(sandbox, client, journal) -> None:
    rows = pl.DataFrame([{"user": "u-0001", "account": "acme", "name": "Signed", "at": AT, "plan": "pro"}])
    columns = {"visitor_id": "user", "account_id": "account", "event": "name", "at": "at"}
    mapping = ps.Mapping("event", traits=["plan"], route="track", **columns)
    ps.push(ps.plan_table(rows, mapping, client=client), client=client, journal=journal).wait()
    (row,) = events_in(sandbox)
    assert (row["visitorId"], row["accountId"], row["properties"]) == ("u-0001", "acme", {"plan": "pro"})
    assert (row["numEvents"], row["firstTime"]) == (1, int(AT.timestamp() * 1000))


# The rows of the conformance table: planned, pushed over the webhook, read back


WEBHOOK = f"/data/segmentio/{KEYS['us'].app_key}"


def rows_of(*kinds: str) -> list[Any]:
    """Return the rows of a table that travel whole; integrations leave no trace in Pendo."""
    return [
        pytest.param(row, id=f"{row.each_kind}-{row.name}")
        for row in ROWS
        if row.each_kind in kinds
        and row.table
        and type(row.webhook) is dict
        and "integrations" not in row.webhook
    ]


def metadata_of(sandbox: ps.Sandbox, kind: str, id_: str) -> dict[str, Any]:
    """Return what the pipeline shows of one id: group → field → value."""
    pipeline = [
        {"source": {f"{kind}s": None}},
        {"filter": f"{kind}Id=={json.dumps(id_, ensure_ascii=False)}"},
    ]
    question = {"response": {"mimeType": "application/json"}, "request": {"pipeline": pipeline}}
    status, text = ask(sandbox, "POST", "/api/v1/aggregation", question)
    assert status == 200, text
    (row,) = json.loads(text)["results"]
    return row["metadata"]


@pytest.fixture
def push(sandbox, client, journal) -> Callable[[Row], None]:
    """Push a row of the table by the webhook; what travels is what the dry run shows, and there is no complaint."""

    def push(row: Row) -> None:
        mapping = ps.Mapping(row.each_kind, route="webhook", **row.mapping)
        plan = ps.plan_table(pl.DataFrame([row.table]), mapping, client=client, create="unknown_ids")
        sandbox.forget_requests()
        outcomes = ps.push(plan, client=client, journal=journal, show=False).wait()
        assert outcomes["status"].to_list() == ["accepted"]
        (request,) = [one for one in sandbox.requests() if one["path"].startswith("/data/")]
        assert (request["body"], request["notes"]) == (ps.dry_run(plan)["body"][0], [])

    return push


@pytest.mark.parametrize("row", rows_of("visitor"))
def test_an_identify_of_the_table_is_read_back(sandbox, push, row: Row) -> None:
    push(row)
    held = metadata_of(sandbox, "visitor", row.webhook["userId"])
    assert held["segmentio"] == row.webhook["traits"]


@pytest.mark.parametrize("row", rows_of("account", "membership"))
def test_a_group_of_the_table_is_read_back_with_its_parent_and_member(sandbox, push, row: Row) -> None:
    told, traits = row.webhook, dict(row.webhook["traits"])
    ask(sandbox, "POST", WEBHOOK, {"type": "identify", "userId": told["userId"], "traits": {"plan": "pro"}})
    push(row)
    parent = traits.pop("parentAccount", {"id": None})
    held = metadata_of(sandbox, "account", told["groupId"])
    assert held.get("segmentio", {}) == traits
    assert held.get("auto", {}).get("parentaccountid") == parent["id"]
    assert metadata_of(sandbox, "visitor", told["userId"])["auto"]["accountid"] == told["groupId"]


@pytest.mark.parametrize("row", rows_of("event"))
def test_a_track_of_the_table_is_read_back(sandbox, push, row: Row) -> None:
    sandbox.switch(track_events_enabled=True)
    push(row)
    told = row.webhook
    (seen,) = events_in(sandbox, n_hours=7 * 24)
    assert (seen["visitorId"], seen["accountId"]) == (told["userId"], told["properties"].get("groupId"))
    assert seen["firstTime"] == round(datetime.fromisoformat(told["timestamp"]).timestamp() * 1000)
    assert seen["properties"] == told["properties"]
