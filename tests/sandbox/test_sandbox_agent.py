"""The stand-in agent's script, and what it posts; in a browser it is tested among the browser's tests."""

import json

import pytest

KEY = "sandbox-us-app-key"
SCRIPT = f"/agent/static/{KEY}/pendo.js"
RECEIVED = f"/agent/received/{KEY}"


def metadata(**parts):
    return {"type": "metadata", "visitor": {"id": "u-0001"}, **parts}


def event(**changes):
    return {
        "type": "track",
        "event": "Signed",
        "visitorId": "u-0001",
        "accountId": "acme",
        "properties": {"a": 1},
    } | changes


@pytest.fixture
def post(call):
    def post(*messages):
        return call("POST", RECEIVED, json.dumps({"messages": messages})).status

    return post


def held(sandbox, kind, id_, group="agent"):
    return sandbox.values(kind, group).get(id_)


def test_the_script_is_served_as_a_cdn_would(call):
    script = call("GET", SCRIPT)
    assert (script.status, script.headers["Content-Type"]) == (200, "text/javascript; charset=utf-8")
    assert "A stand-in for Pendo's browser agent" in script.text
    assert KEY not in script.text


@pytest.mark.parametrize("key", ["nobody", "sandbox-eu-app-key", "sandbox-us-integration-key", ""])
def test_a_cdn_has_no_script_for_a_wrong_key(call, key):
    assert call("GET", f"/agent/static/{key}/pendo.js").status == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", f"/agent/static/{KEY}/other.js", 404), ("GET", f"/agent/static/{KEY}", 404), ("POST", SCRIPT, 405),
        ("GET", RECEIVED, 405), ("POST", "/agent/received/nobody", 403), ("POST", "/agent/received/sandbox-eu-app-key", 403),
    ],
)  # fmt: skip
def test_there_is_nothing_else(call, method, path, status):
    assert call(method, path, "{}").status == status


def test_neither_path_shows_its_key(call, sandbox):
    for method, path in [
        ("GET", SCRIPT),
        ("POST", RECEIVED),
        ("GET", "/agent/static/another-secret"),
        ("GET", f"{SCRIPT}?a=b"),
    ]:
        call(method, path)
    assert [one["path"] for one in sandbox.requests()] == [
        "/agent/static/***/pendo.js", "/agent/received/***", "/agent/static/***", "/agent/static/***/pendo.js?a=b",
    ]  # fmt: skip


def test_traits_land_in_the_agent_group_lists_too(post, sandbox):
    visitor = {"id": "u-0001", "plan": "pro", "seats": 5, "score": 1.5, "trial": True, "likes": ["a", "b"]}
    told = metadata(
        visitor=visitor, account={"id": "hooli", "tier": 1}, parentAccount={"id": "holding", "region": "EU"}
    )
    assert post(told) == 200
    seeded = {"email", "firstname", "lastname", "role"}
    assert {name: value for name, value in held(sandbox, "visitor", "u-0001").items() if name not in seeded} == {
        "plan": "pro", "seats": 5, "score": 1.5, "trial": True, "likes": ["a", "b"],
    }  # fmt: skip
    assert held(sandbox, "account", "hooli")["tier"] == 1
    assert held(sandbox, "parentAccount", "holding") == {"region": "EU"}
    assert held(sandbox, "visitor", "u-0001", "auto")["accountid"] == "hooli"
    fields = sandbox.fields("visitor")["agent"]
    assert [fields[name]["type"] for name in ("plan", "seats", "score", "trial", "likes")] == [
        "string", "integer", "float", "boolean", "list",
    ]  # fmt: skip


def test_nested_traits_are_dropped_and_nulls_clear(post, sandbox):
    assert post(metadata(visitor={"id": "v", "a": {"b": 1}, "c": [1], "d": "x"})) == 200
    assert held(sandbox, "visitor", "v") == {"d": "x"}
    assert len(sandbox.requests()[-1]["notes"]) == 2
    post(metadata(visitor={"id": "v", "d": None}))
    assert held(sandbox, "visitor", "v") == {}


def test_an_anonymous_visitor_is_held_as_such(call, post, sandbox):
    post(metadata(visitor={"id": "_PENDO_T_fresh", "plan": "x"}))
    assert held(sandbox, "visitor", "_PENDO_T_fresh") == {"plan": "x"}
    pipeline = [{"source": {"visitors": {"identified": True}}}]
    read = call(
        "POST",
        "/api/v1/aggregation",
        {"response": {"mimeType": "application/json"}, "request": {"pipeline": pipeline}},
    )
    assert "u-0001" in read.text
    assert "_PENDO_T_fresh" not in read.text


def test_events_are_kept_with_their_route(post, sandbox):
    page = event(
        type="page", event="page", accountId=None, properties={"url": "http://127.0.0.1/x" * 60}, timestamp=5
    )
    assert post(page, event()) == 200
    first, second = sandbox.events()
    assert (first["event"], first["visitorId"], first["accountId"], first["timestamp"]) == (
        "page",
        "u-0001",
        None,
        5,
    )
    assert (second["event"], second["accountId"], second["properties"]) == ("Signed", "acme", {"a": 1})
    assert {(one["route"], one["processed"]) for one in (first, second)} == {("browser", True)}


@pytest.mark.parametrize("properties", [{"a": "x" * 505}, {"a-b": 1}])
def test_a_track_event_over_the_limits_is_not_processed(post, sandbox, properties):
    assert post(event(properties=properties)) == 200
    assert not sandbox.events()[0]["processed"]


@pytest.mark.parametrize(
    "message",
    [
        "text", {}, {"type": "click"}, {"type": "initialize"}, metadata(visitor=None), metadata(visitor={}), metadata(visitor={"id": 7}),
        metadata(account={}), metadata(account=[]), metadata(parentAccount={"id": ""}), event(visitorId=None), event(properties=None),
        event(event=""),
    ],
)  # fmt: skip
def test_a_post_with_one_bad_message_does_nothing(post, sandbox, message):
    before = sandbox.digest("visitor")
    assert post(metadata(visitor={"id": "new"}), message) == 400
    assert (sandbox.digest("visitor"), sandbox.events()) == (before, [])


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"messages": {}}'])
def test_a_post_that_is_no_list_of_messages_is_400(call, body):
    assert call("POST", RECEIVED, body).status == 400


def test_the_settings_of_a_sandbox_name_its_own_agent(sandbox):
    assert sandbox.settings.agent_url == sandbox.url
    assert sandbox.settings_for("au").agent_url == sandbox.url_of("au")
