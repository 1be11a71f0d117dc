"""What a webhook message says beside its traits: parent accounts, whose it is, and the limits of its events."""

import time
from datetime import UTC, datetime, timedelta

import pytest

WEBHOOK = "/data/segmentio/sandbox-us-app-key"


@pytest.fixture
def post(call, sandbox):
    """Post a message and return what was noted of it."""

    def post(**message):
        assert call("POST", WEBHOOK, message).status == 200
        return sandbox.requests()[-1]["notes"]

    return post


def group(post, **traits):
    return post(type="group", userId="u-0001", groupId="acme", traits=traits)


def test_a_parent_account_is_lifted_out_of_the_accounts_traits(post, sandbox):
    assert group(post, plan="pro", parentAccount={"id": "holding", "tier": "gold", "seats": 5}) == []
    assert sandbox.values("account", "segmentio")["acme"] == {"plan": "pro"}
    assert sandbox.values("parentAccount", "segmentio") == {"holding": {"tier": "gold", "seats": 5}}
    assert sandbox.values("account", "auto")["acme"]["parentaccountid"] == "holding"
    assert sandbox.fields("parentAccount")["segmentio"].keys() == {"tier", "seats"}
    assert sandbox.fields("account")["auto"]["parentaccountid"]["type"] == "string"


def test_a_parent_account_can_be_a_bare_id_or_an_object_of_its_id_alone(post, sandbox):
    for parent in ("first", {"id": "second"}):
        assert group(post, parentAccount=parent) == []
    assert sandbox.values("parentAccount", "segmentio") == {"first": {}, "second": {}}
    assert sandbox.values("account", "auto")["acme"]["parentaccountid"] == "second"
    assert sandbox.writes("parentAccount") == {"first": 1, "second": 1}


@pytest.mark.parametrize("parent", [5, "", [], {}, {"id": 5}, {"id": ""}, {"tier": "gold"}])
def test_a_parent_account_without_an_id_is_dropped_and_told(post, sandbox, parent):
    assert group(post, plan="pro", parentAccount=parent) == [
        "parentAccount has no id that is a text: dropped"
    ]
    assert sandbox.values("account", "segmentio")["acme"] == {"plan": "pro"}
    assert sandbox.values("parentAccount") == {}
    assert "parentaccountid" not in sandbox.values("account", "auto")["acme"]


def test_a_visitors_parent_account_is_a_trait_like_any_other(post, sandbox):
    post(type="identify", userId="u-0001", traits={"parentAccount": "holding"})
    assert sandbox.values("visitor", "segmentio")["u-0001"] == {"parentAccount": "holding"}
    assert sandbox.values("parentAccount") == {}


def test_unknown_parent_accounts_follow_the_switch(post, sandbox):
    sandbox.switch(webhook_creates_unknown=False)
    assert group(post, parentAccount="holding") == ["unknown id: nothing happens"]
    assert sandbox.values("parentAccount") == {}


@pytest.mark.parametrize(
    ("message", "is_told"),
    [
        ({"type": "group", "groupId": "acme"}, True),
        ({"type": "track", "event": "Signed", "userId": ""}, True),
        ({"type": "identify", "anonymousId": None}, True),
        ({"type": "group", "groupId": "acme", "userId": "u-0001"}, False),
        ({"type": "track", "event": "Signed", "anonymousId": "a"}, False),
    ],
)
def test_a_message_of_nobody_is_told(post, message, is_told):
    assert ("Segment's spec asks for userId or anonymousId" in post(**message)) is is_told


def track(post, sandbox, **message):
    """Return why the event was not processed, and what was noted."""
    notes = post(type="track", userId="u-0001", event="Signed", **message)
    return sandbox.events()[-1]["why"], notes


def text_of(age):
    return (datetime.now(UTC) - age).isoformat(timespec="milliseconds")


OVER = [
    ({"properties": {"a": "x" * 505}}, "properties over 512 bytes"),
    ({"properties": {"first name": 1}}, "a property's name is not legal"),
    ({"properties": []}, "properties is not an object"),
    ({"timestamp": text_of(timedelta(days=7, minutes=1))}, "older than 7 days"),
    ({"timestamp": int(time.time() * 1000) - 8 * 86_400_000}, "older than 7 days"),
]


@pytest.mark.parametrize(("message", "why"), OVER)
def test_a_webhook_event_over_the_limits_is_not_processed_or_it_is(post, sandbox, message, why):
    sandbox.switch(track_events_enabled=True)
    assert track(post, sandbox, **message) == (why, [f"not processed: {why}"])
    sandbox.switch(webhook_event_limits="none")
    assert track(post, sandbox, **message) == (None, [])


@pytest.mark.parametrize(
    "message",
    [
        {"properties": {"groupId": "acme", "a" * 32: 1}},
        {"properties": None},
        {"timestamp": text_of(timedelta(days=6, hours=23))},
        {"timestamp": "long ago"},
    ],
)
def test_a_webhook_event_within_the_limits_is_processed(post, sandbox, message):
    sandbox.switch(track_events_enabled=True)
    assert track(post, sandbox, **message) == (None, [])
