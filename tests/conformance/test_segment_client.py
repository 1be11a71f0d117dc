"""Segment's own Python client and our push leave the same in Pendo.

The client posts batches to Segment; the go-between here hands each message on to the webhook, one a request, as
Segment's webhook destination does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import polars as pl
import pytest
from tools import ask, events_in, tool

import pendosync as ps
from pendosync.sandbox.keys import KEYS

Segment = tool("segment.analytics.client").Client

WEBHOOK = f"/data/segmentio/{KEYS['us'].app_key}"
AT = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
USERS = [
    {
        "id": "u-0001",
        "plan": "pro",
        "seats": 5,
        "score": 1.5,
        "trial": True,
        "since": "2026-01-01T00:00:00.000Z",
    },
    {"id": "new", "plan": "ünï", "seats": 0, "score": -0.25, "trial": False, "since": None},
]
TYPES = {"plan": "text", "seats": "integer", "score": "float", "trial": "boolean", "since": "text"}


class GoBetween(HTTPServer):
    """Takes the client's batches and hands each message on."""

    def __init__(self, sandbox: ps.Sandbox) -> None:
        super().__init__(("127.0.0.1", 0), _Taker)
        self.sandbox = sandbox
        self.taken: list[dict[str, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def hand_on(self, message: dict[str, Any]) -> int:
        self.taken.append(message)
        return ask(self.sandbox, "POST", WEBHOOK, message)[0]


class _Taker(BaseHTTPRequestHandler):
    server: GoBetween

    def do_POST(self) -> None:
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["batch"]
        statuses = {self.server.hand_on(message) for message in batch}
        self.send_response(200 if self.path == "/v1/batch" and statuses == {200} else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def go_between(sandbox: ps.Sandbox) -> Iterator[GoBetween]:
    with GoBetween(sandbox) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def segment(go_between: GoBetween) -> Any:
    """Segment's client, which sends at once and starts no thread."""
    return Segment("a-write-key", host=go_between.url, sync_mode=True, max_retries=0)


def traits_of(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id" and value is not None}


def held(sandbox: ps.Sandbox) -> dict[str, Any]:
    """Return all that the webhook can touch: values, whose each record is, fields, and events but for their times."""
    untold = ("at_s", "messageId", "timestamp")
    return {
        **{kind: sandbox.values(kind) for kind in ("visitor", "account", "parentAccount")},
        "fields": {kind: sandbox.fields(kind) for kind in ("visitor", "account", "parentAccount")},
        "events": [
            {key: value for key, value in event.items() if key not in untold} for event in sandbox.events()
        ],
    }


def webhook(kind: str, *, traits: dict[str, str] | None = None, **columns: str) -> ps.Mapping:
    each = [ps.Trait(name, type=type_) for name, type_ in (traits or {}).items()]
    return ps.Mapping(kind, traits=each, route="webhook", **columns)


@pytest.fixture
def push(client: ps.Client, journal: ps.Journal) -> Any:
    """Push all rows of a table by our own."""

    def push(rows: list[dict[str, Any]], mapping: ps.Mapping) -> None:
        plan = ps.plan_table(pl.DataFrame(rows), mapping, client=client, create="unknown_ids")
        outcomes = ps.push(plan, client=client, journal=journal).wait()
        assert outcomes["status"].to_list() == ["accepted"] * len(rows)

    return push


def test_the_clients_identify_and_our_push_leave_the_same(sandbox, segment, push) -> None:
    for row in USERS:
        segment.identify(row["id"], traits_of(row))
    by_segment = held(sandbox)
    sandbox.reset()
    push(USERS, webhook("visitor", id="id", traits=TYPES))
    assert held(sandbox) == by_segment
    assert by_segment["visitor"]["new"] == {"segmentio": traits_of(USERS[1])}


def test_the_clients_group_and_our_push_of_accounts_leave_the_same(sandbox, segment, push) -> None:
    rows = [
        {
            "id": "hooli",
            "user": "u-0001",
            "plan": "pro",
            "seats": 50,
            "parent": {"id": "holding", "tier": "gold"},
        },
        {"id": "fresh", "user": "u-0002", "plan": "free", "seats": None, "parent": None},
    ]
    segment.group("u-0001", "hooli", {"plan": "pro", "seats": 50, "parentAccount": rows[0]["parent"]})
    segment.group("u-0002", "fresh", {"plan": "free"})
    by_segment = held(sandbox)
    sandbox.reset()
    columns = {"id": "id", "visitor_id": "user", "parent_account": "parent"}
    push(rows, webhook("account", traits={"plan": "text", "seats": "integer"}, **columns))
    assert held(sandbox) == by_segment
    assert by_segment["account"]["hooli"]["segmentio"] == {"plan": "pro", "seats": 50}
    assert by_segment["account"]["hooli"]["auto"]["parentaccountid"] == "holding"
    assert by_segment["visitor"]["u-0002"]["auto"]["accountid"] == "fresh"


def test_the_clients_group_and_our_push_of_memberships_leave_the_same(sandbox, segment, push) -> None:
    rows = [{"user": "u-0001", "account": "hooli"}, {"user": "u-0002", "account": "hooli"}]
    for row in rows:
        segment.group(row["user"], row["account"])
    by_segment = held(sandbox)
    sandbox.reset()
    push(rows, webhook("membership", visitor_id="user", account_id="account"))
    assert held(sandbox) == by_segment
    assert {by_segment["visitor"][row["user"]]["auto"]["accountid"] for row in rows} == {"hooli"}


def test_the_clients_track_and_our_push_of_events_leave_the_same(sandbox, segment, push) -> None:
    rows = [
        {"user": "u-0001", "account": "acme", "name": "Signed", "at": AT, "plan": "pro", "seats": 5},
        {
            "user": "u-0002",
            "account": None,
            "name": "Left",
            "at": AT + timedelta(hours=1),
            "plan": None,
            "seats": 0,
        },
    ]
    sandbox.switch(track_events_enabled=True)
    segment.track("u-0001", "Signed", {"plan": "pro", "seats": 5, "groupId": "acme"}, timestamp=AT)
    segment.track("u-0002", "Left", {"seats": 0}, timestamp=AT + timedelta(hours=1))
    by_segment, seen = held(sandbox), events_in(sandbox)
    sandbox.reset()
    sandbox.switch(track_events_enabled=True)
    columns = {"visitor_id": "user", "account_id": "account", "event": "name", "at": "at"}
    push(rows, webhook("event", traits={"plan": "text", "seats": "integer"}, **columns))
    assert held(sandbox) == by_segment
    assert events_in(sandbox) == seen
    assert [(row["visitorId"], row["accountId"], row["firstTime"]) for row in seen] == [
        ("u-0001", "acme", int(AT.timestamp() * 1000)),
        ("u-0002", None, int(AT.timestamp() * 1000) + 3_600_000),
    ]


def test_each_of_the_clients_messages_is_one_request_without_a_complaint(
    sandbox, segment, go_between
) -> None:
    sandbox.switch(track_events_enabled=True)
    segment.identify("u-0001", {"plan": "pro"})
    segment.group("u-0001", "acme", {"plan": "pro"})
    segment.track("u-0001", "Signed", {"groupId": "acme"})
    asked = sandbox.requests()
    assert [one["path"] for one in asked] == ["/data/segmentio/***"] * 3
    assert [one["notes"] for one in asked] == [[], [], []]
    assert [json.loads(one["body"]) for one in asked] == go_between.taken
    assert len({message["messageId"] for message in go_between.taken}) == 3


def test_what_the_client_is_told_not_to_send_to_pendo_is_noted(sandbox, segment) -> None:
    segment.identify("u-0001", {"plan": "pro"}, integrations={"Pendo": False})
    (asked,) = sandbox.requests()
    assert asked["notes"] == ["integrations turns Pendo off: this must not be sent"]
