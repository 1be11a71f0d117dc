"""Track events read back through the aggregation pipeline."""

import time
from datetime import UTC, datetime

import pytest

WEBHOOK = "/data/segmentio/sandbox-us-app-key"
HOUR_MS, DAY_MS = 3_600_000, 86_400_000
NOW_MS = int(time.time() * 1000)
NOON_MS = NOW_MS - NOW_MS % DAY_MS - DAY_MS // 2
"""Noon of yesterday, in UTC."""


@pytest.fixture
def send(track):
    def send(visitor="u-0001", event="Signed", at_ms=NOON_MS, account="acme", **properties):
        told = {"event": event, "visitorId": visitor, "accountId": account, "timestamp": at_ms}
        assert track("POST", "/data/track", {"type": "track", **told, "properties": properties}).status == 200

    return send


@pytest.fixture
def aggregate(call):
    def aggregate(*steps):
        asked = {"response": {"mimeType": "application/json"}, "request": {"pipeline": list(steps)}}
        return call("POST", "/api/v1/aggregation", asked)

    return aggregate


def source(asked=None, period="dayRange", **span):
    return {"source": {"trackEvents": asked, "timeSeries": {"period": period, **span}}}


WEEK = source(first=NOON_MS - 7 * DAY_MS, last="now()")
TYPES = {"source": {"trackTypes": None}}


def rows(reply):
    assert reply.status == 200, reply.text
    return reply.content["results"]


def test_an_event_is_read_back_as_it_was_sent(send, aggregate):
    send(plan="pro", seats=5)
    (type_,) = rows(aggregate(TYPES, {"sort": ["id"]}))
    assert (type_["name"], type_["kind"]) == ("Signed", "TrackType")
    assert rows(
        aggregate(source({"trackTypeId": type_["id"]}, first=NOON_MS, last="now()"), {"sort": ["day"]})
    ) == [
        {
            "visitorId": "u-0001",
            "accountId": "acme",
            "trackTypeId": type_["id"],
            "day": NOON_MS - DAY_MS // 2,
            "properties": {"plan": "pro", "seats": 5},
            "numEvents": 1,
            "firstTime": NOON_MS,
            "lastTime": NOON_MS,
        }
    ]


def test_only_processed_events_are_shown(call, send, aggregate, sandbox):
    send(at_ms=NOW_MS - 8 * DAY_MS)
    call("POST", WEBHOOK, {"type": "track", "userId": "u-0001", "event": "Hooked", "properties": {}})
    assert [event["processed"] for event in sandbox.events()] == [False, False]
    assert rows(aggregate(TYPES)) == rows(aggregate(source(first=0, last="now()"))) == []


def test_a_webhook_event_is_read_back_too(call, aggregate, sandbox):
    sandbox.switch(track_events_enabled=True)
    at = datetime.fromtimestamp(NOON_MS / 1000, UTC).isoformat()
    told = {"event": "Signed", "timestamp": at, "properties": {"groupId": "acme", "n": 1}}
    call("POST", WEBHOOK, {"type": "track", "userId": "u-0001", **told})
    (row,) = rows(aggregate(WEEK))
    assert (row["visitorId"], row["accountId"], row["firstTime"]) == ("u-0001", "acme", NOON_MS)
    assert row["properties"] == {"groupId": "acme", "n": 1}


def test_a_row_sums_up_a_day_or_an_hour(send, aggregate):
    for at_ms in (NOON_MS + 5, NOON_MS, NOON_MS + HOUR_MS):
        send(at_ms=at_ms)
    (day,) = rows(aggregate(WEEK))
    assert (day["numEvents"], day["firstTime"], day["lastTime"]) == (3, NOON_MS, NOON_MS + HOUR_MS)
    hours = rows(aggregate(source(period="hourRange", first=NOON_MS, last="now()"), {"sort": ["hour"]}))
    assert [(row["hour"], row["numEvents"]) for row in hours] == [(NOON_MS, 2), (NOON_MS + HOUR_MS, 1)]


def test_what_differs_in_anything_has_a_row_of_its_own(send, aggregate):
    for changes in ({}, {"visitor": "u-0002"}, {"account": "hooli"}, {"event": "Left"}, {"plan": "pro"}):
        send(**changes)
    assert [row["numEvents"] for row in rows(aggregate(WEEK))] == [1] * 5
    assert [type_["name"] for type_ in rows(aggregate(TYPES))] == ["Signed", "Left"]


@pytest.mark.parametrize(
    ("span", "days"),
    [
        ({"first": NOON_MS, "last": NOON_MS}, [0]),
        ({"first": NOON_MS - 2 * DAY_MS, "last": NOON_MS - DAY_MS}, [-2, -1]),
        ({"first": NOON_MS - 2 * DAY_MS, "count": 2}, [-2, -1]),
        ({"first": NOON_MS, "count": -2}, [-1, 0]),
        ({"first": NOON_MS, "count": 1}, [0]),
        ({"first": "now()", "count": -1}, []),
        ({"first": NOON_MS, "last": NOON_MS - DAY_MS}, []),
        ({"first": "date(2020, 1, 1)", "last": "now()"}, [-2, -1, 0]),
    ],
)
def test_a_time_series_takes_whole_periods(send, aggregate, span, days):
    for day in (-2, -1, 0):
        send(at_ms=NOON_MS + day * DAY_MS)
    found = rows(aggregate(source(**span), {"sort": ["day"]}))
    assert [row["firstTime"] for row in found] == [NOON_MS + day * DAY_MS for day in days]


def test_rows_are_sorted_filtered_and_limited(send, aggregate):
    for visitor, event in (("b", "One"), ("a", "Two"), ("a", "One"), ("c", "One")):
        send(visitor, event)

    def found(*steps):
        return "".join(row["visitorId"] for row in rows(aggregate(WEEK, *steps)))

    assert found({"sort": ["-visitorId"]}) == "cbaa"
    assert found({"sort": ["day", "visitorId"]}, {"limit": 3}) == "aab"
    assert found({"filter": 'visitorId>="b" && accountId=="acme"'}) == "bc"
    names = [type_["name"] for type_ in rows(aggregate(TYPES, {"filter": 'name!="Two"'}))]
    assert names == ["One"]


@pytest.mark.parametrize(
    "steps",
    [
        [{"source": {"trackTypes": {}}}],
        [{"source": {"trackTypes": None, "trackEvents": None}}],
        [{"source": {"trackEvents": None}}],
        [{"source": {"trackEvents": None, "timeSeries": None}}],
        [source()],
        [source(first=1)],
        [source(first=1, last=2, count=3)],
        [source(first=True, last="now()")],
        [source(first="date(2026, 2, 30)", last="now()")],
        [source(first="yesterday", last="now()")],
        [source(first=1, count=0)],
        [source(first=1, count="5")],
        [source(period="weekRange", first=1, last=2)],
        [source(period=["dayRange"], first=1, last=2)],
        [source({"featureId": "x"}, first=1, last=2)],
        [source("x", first=1, last=2)],
        [WEEK, {"sort": ["hour"]}],
        [WEEK, {"sort": "day"}],
        [WEEK, {"sort": [None]}],
        [WEEK, {"filter": 'day>"1"&&plan=="x"'}],
        [WEEK, {"filter": 5}],
        [WEEK, {"limit": 0}],
    ],
)
def test_event_pipeline_that_is_not_understood_is_400(aggregate, steps):
    assert aggregate(*steps).status == 400


def test_an_account_that_a_group_call_named_is_seen_in_the_pipeline(call, aggregate):
    call("POST", WEBHOOK, {"type": "group", "userId": "u-0001", "groupId": "hooli", "traits": {}})
    found = rows(aggregate({"source": {"visitors": None}}, {"filter": 'visitorId=="u-0001"'}))
    assert found[0]["metadata"]["auto"]["accountid"] == "hooli"
