"""The webhook and track events."""

import time

import pytest

WEBHOOK = "/data/segmentio/sandbox-us-app-key"


def identify(id_="u-0001", **traits):
    return {"type": "identify", "userId": id_, "traits": traits}


def group(id_="acme", user="u-0001", **traits):
    return {"type": "group", "groupId": id_, "userId": user, "traits": traits}


def event(**changes):
    now = int(time.time() * 1000)
    return {
        "type": "track",
        "event": "Signed",
        "visitorId": "u-0001",
        "timestamp": now,
        "properties": {"a": 1},
    } | changes


def landed(sandbox, id_="u-0001", kind="visitor"):
    return sandbox.values(kind, "segmentio").get(id_)


def types(sandbox, kind="visitor", of="segmentio"):
    return {key: field["type"] for key, field in sandbox.fields(kind).get(of, {}).items()}


def test_identify_lands_in_segmentio_and_its_fields_appear(call, sandbox):
    traits = {"plan": "x", "seats": 5, "score": 1.5, "trial": True, "since": "2026-01-01T00:00:00.000Z"}
    assert call("POST", WEBHOOK, identify(**traits)).status == 200
    assert landed(sandbox) == traits
    expected = {"plan": "string", "seats": "integer", "score": "float", "trial": "boolean", "since": "string"}
    assert types(sandbox) == expected
    assert "segmentio" in call("GET", "/api/v1/metadata/schema/visitor").content
    assert "segmentio" not in sandbox.values("visitor")["u-0002"]


def test_group_lands_on_the_account_and_ties_the_visitor(call, sandbox):
    assert call("POST", WEBHOOK, group("hooli", seats=3)).status == 200
    assert landed(sandbox, "hooli", "account") == {"seats": 3}
    assert sandbox.values("visitor", "auto")["u-0001"]["accountid"] == "hooli"
    assert call("POST", WEBHOOK, {"type": "group", "groupId": "fresh", "traits": {}}).status == 200
    assert landed(sandbox, "fresh", "account") == {}


def test_unknown_ids_are_created_or_not(call, sandbox):
    call("POST", WEBHOOK, identify("new", a=1))
    assert landed(sandbox, "new") == {"a": 1}
    sandbox.switch(webhook_creates_unknown=False)
    assert call("POST", WEBHOOK, identify("newer", a=1)).status == 200
    assert landed(sandbox, "newer") is None
    assert sandbox.requests()[-1]["notes"] == ["unknown id: nothing happens"]


def test_whole_numbers_field_widens_and_other_types_are_held_as_they_come(call, sandbox):
    for value in (5, 5.5, "many"):
        call("POST", WEBHOOK, identify(seats=value))
    assert (types(sandbox)["seats"], landed(sandbox)["seats"]) == ("float", "many")


def test_null_and_empty_traits_follow_the_switches(call, sandbox):
    call("POST", WEBHOOK, identify(a="x", b="x"))
    call("POST", WEBHOOK, identify(a=None, b=""))
    assert landed(sandbox) == {"b": ""}
    sandbox.switch(null_in_writes="ignored", empty_text="clears")
    call("POST", WEBHOOK, identify(a="x"))
    call("POST", WEBHOOK, identify(a=None, b=""))
    assert landed(sandbox) == {"a": "x"}
    sandbox.switch(null_in_writes="refused")
    assert call("POST", WEBHOOK, identify(a=None)).status == 400


def test_lists_and_objects_are_dropped_or_kept(call, sandbox):
    traits = {"l": ["a"], "m": [1], "o": {"a": 1}}
    call("POST", WEBHOOK, identify(**traits))
    assert (landed(sandbox), len(sandbox.requests()[-1]["notes"])) == ({}, 3)
    sandbox.switch(lists_outside_agent="accepted", webhook_nested="kept")
    call("POST", WEBHOOK, identify(**traits))
    assert (landed(sandbox), types(sandbox)) == (traits, {"l": "list", "m": "", "o": ""})


def test_group_key_dates_and_folding_follow_the_switches(call, sandbox):
    sandbox.switch(segmentio_group="segment.io", segmentio_dates="time", fold_webhook_keys=True)
    call("POST", WEBHOOK, identify(**{"Signed Up": "1970-01-01T00:00:01.000Z"}))
    assert sandbox.values("visitor", "segment.io")["u-0001"] == {"signedup": 1000}
    assert types(sandbox, of="segment.io") == {"signedup": "time"}


@pytest.mark.parametrize(
    "message",
    [
        [],
        {},
        {"type": "page", "userId": "a"},
        {"type": ["identify"]},
        {"type": "identify", "traits": {}},
        {"type": "identify", "userId": "", "traits": {}},
        {"type": "identify", "userId": 5, "traits": {}},
        {"type": "identify", "userId": "a", "traits": []},
        {"type": "group", "userId": "a"},
        {"type": "track", "userId": "a"},
        {"batch": [{"type": "identify", "userId": "a"}]},
        "{",
    ],
)
def test_message_out_of_the_spec_is_400(call, message):
    assert call("POST", WEBHOOK, message).status == 400


def test_batches_are_taken_by_switch(call, sandbox):
    sandbox.switch(webhook_batches=True)
    assert call("POST", WEBHOOK, {"batch": [identify("b1", a=1), identify("b2", a=2)]}).status == 200
    assert (landed(sandbox, "b1"), landed(sandbox, "b2")) == ({"a": 1}, {"a": 2})


@pytest.mark.parametrize("integrations", [{"Pendo": False}, {"All": False}])
def test_message_that_must_not_be_sent_is_flagged(call, sandbox, integrations):
    call("POST", WEBHOOK, identify(a=1) | {"integrations": integrations})
    assert "must not be sent" in sandbox.requests()[-1]["notes"][0]


def test_message_for_pendo_alone_is_not_flagged(call, sandbox):
    call("POST", WEBHOOK, identify(a=1) | {"integrations": {"All": False, "Pendo": True}})
    assert sandbox.requests()[-1]["notes"] == []


def test_anonymous_identify_is_taken_and_does_nothing(call, sandbox):
    before = sandbox.values("visitor")
    assert call("POST", WEBHOOK, {"type": "identify", "anonymousId": "x", "traits": {"a": 1}}).status == 200
    assert sandbox.values("visitor") == before


def test_webhook_track_needs_the_setting_that_pendo_turns_on(call, sandbox):
    message = {
        "type": "track",
        "userId": "u-0001",
        "event": "Signed",
        "properties": {"groupId": "acme"},
        "messageId": "m1",
    }
    assert call("POST", WEBHOOK, message).status == 200
    sandbox.switch(track_events_enabled=True)
    assert call("POST", WEBHOOK, message).status == 200
    first, second = sandbox.events()
    assert (first["processed"], second["processed"]) == (False, True)
    assert (second["visitorId"], second["accountId"], second["messageId"]) == ("u-0001", "acme", "m1")


def test_webhook_masks_its_key(call, sandbox):
    call("POST", WEBHOOK, identify())
    call("POST", "/data/segmentio/some-other-secret", identify())
    assert [one["path"] for one in sandbox.requests()] == ["/data/segmentio/***"] * 2


def test_track_event_is_processed(track, sandbox):
    assert track("POST", "/data/track", event(accountId="acme")).status == 200
    (found,) = sandbox.events()
    assert (found["event"], found["accountId"], found["processed"], found["route"]) == (
        "Signed",
        "acme",
        True,
        "track",
    )


def test_track_event_older_than_seven_days_is_not_processed(track, sandbox):
    old = int((time.time() - 7 * 86_400 - 60) * 1000)
    assert track("POST", "/data/track", event(timestamp=old)).status == 200
    assert sandbox.events()[0]["why"] == "older than 7 days"


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "event"},
        {"event": ""},
        {"visitorId": None},
        {"accountId": 5},
        {"timestamp": "2026-01-01T00:00:00Z"},
        {"timestamp": 1.5},
        {"timestamp": True},
        {"properties": []},
    ],
)
def test_track_event_out_of_shape_is_400(track, sandbox, changes):
    assert track("POST", "/data/track", event(**changes)).status == 400
    assert sandbox.events() == []


@pytest.mark.parametrize("properties", [{"a": "x" * 505}, {"a" * 33: 1}, {"1a": 1}, {"a-b": 1}])
def test_track_event_over_the_limits_is_400_or_not_processed(track, sandbox, properties):
    assert track("POST", "/data/track", event(properties=properties)).status == 400
    sandbox.switch(track_over_limits="not_processed")
    assert track("POST", "/data/track", event(properties=properties)).status == 200
    assert not sandbox.events()[0]["processed"]


def test_track_event_at_the_limits_is_processed(track, sandbox):
    track("POST", "/data/track", event(properties={"a" * 32: "x" * (512 - 32 - 7)}))
    assert sandbox.events()[0]["processed"]


def test_half_a_character_in_an_events_properties_is_no_fault_of_ours(track, sandbox):
    assert track("POST", "/data/track", event(properties={"a": "\ud800"})).status == 200
    assert sandbox.events()[0]["properties"] == {"a": "\ud800"}


def test_what_is_nested_as_deep_as_is_taken_can_be_read_back(call, sandbox):
    """Deeper than JSON can be read is refused; just below, it must not break who reads."""
    sandbox.switch(webhook_nested="kept")

    def is_taken(depth):
        text = f'{{"type":"identify","userId":"u-0001","traits":{{"a":{"[" * depth}{"]" * depth}}}}}'
        return call("POST", WEBHOOK, text).status == 200

    taken, refused = 1, 4_000_000
    while refused - taken > 1:
        depth = (taken + refused) // 2
        taken, refused = (depth, refused) if is_taken(depth) else (taken, depth)
    assert taken > 100
    assert call("GET", "/api/v1/visitor/u-0001").status == 200
    assert call("POST", WEBHOOK, identify(a=1)).status == 200
