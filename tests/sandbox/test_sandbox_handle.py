"""What the handle tells of the sandbox, and how its side door is guarded."""

import asyncio
import time
from http.client import HTTPConnection
from pathlib import Path

import pytest
from sandbox_caller import Caller

from pendosync.errors import SandboxError, SettingsError
from pendosync.sandbox.control import _ROUTES
from pendosync.sandbox.exchange import Request
from pendosync.sandbox.faults import fault_of
from pendosync.sandbox.keys import ADDRESS, KEYS, TOKEN_HEADER
from pendosync.sandbox.pendo import Pendo
from pendosync.sandbox.received import Received
from pendosync.sandbox.seeds import WRONG_TYPES
from pendosync.sandbox.server import Options, Server
from pendosync.sandbox.switches import READINGS

VERIFY = "/api/v1/token/verify"
BULK = "/api/v1/metadata/visitor/custom/value"
PLAN = f"{BULK}/u-0001/plan"
DOCS = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_requests_are_told_as_they_came(call, sandbox):
    before = time.time()
    body = '[ {"visitorId":"ünï",  "values":{}} ]'.encode()
    call("POST", "/api/v1/metadata/visitor/custom/value?create=true", body)
    (one,) = sandbox.requests()
    assert one["path"] == "/api/v1/metadata/visitor/custom/value?create=true"
    assert (one["method"], one["region"], one["status"], one["body"].encode()) == ("POST", "us", 200, body)
    assert (one["bytes"], one["notes"]) == (len(body), [])
    assert before <= one["at_s"] <= time.time()


def test_requests_are_counted_on_and_can_be_forgotten(call, sandbox):
    for _ in range(3):
        call("GET", VERIFY)
    first, second, third = (one["n"] for one in sandbox.requests())
    assert (second, third) == (first + 1, first + 2)
    assert [one["n"] for one in sandbox.requests(since=first)] == [second, third]
    sandbox.forget_requests()
    assert sandbox.requests() == []
    call("GET", VERIFY)
    assert sandbox.requests()[0]["n"] == third + 1


def test_bytes_that_are_no_text_come_back_as_surrogates(call, sandbox):
    call("POST", "/api/v1/aggregation", b"\xff\xfe")
    assert sandbox.requests()[0]["body"].encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_received_keeps_the_latest_bodies_within_bounds():
    received = Received(most_bytes=10)
    for body in (b"12345", b"67890", b"abcde", b"x" * 11):
        received.note(Request("POST", "us", "/x", body=body))
    assert [entry.body for entry in received.since(0)] == [None, None, None, None]
    received.note(Request("POST", "us", "/x", body=b"last"))
    assert [(entry.n, entry.size) for entry in received.since(3)] == [(4, 11), (5, 4)]
    assert received.since(4)[0].body == b"last"


def test_values_of_a_group_have_every_id(sandbox):
    whole, custom = sandbox.values("visitor"), sandbox.values("visitor", "custom")
    assert list(whole) == list(custom) == sorted(whole)
    assert custom["u-0020"] == {}
    assert custom["u-0002"] == whole["u-0002"]["custom"]


def test_digest_is_the_same_as_long_as_the_values_are(call, sandbox):
    whole, custom, agent = (sandbox.digest("visitor", group) for group in (None, "custom", "agent"))
    old = call("GET", PLAN).content
    call("PUT", PLAN, '"other"')
    assert sandbox.digest("visitor") != whole
    assert (sandbox.digest("visitor", "custom") != custom, sandbox.digest("visitor", "agent")) == (
        True,
        agent,
    )
    call("PUT", PLAN, f'"{old}"')
    assert (sandbox.digest("visitor"), sandbox.digest("visitor", "custom")) == (whole, custom)
    assert sandbox.digest("visitor", region="eu") != whole != sandbox.digest("account")


def test_digest_takes_an_empty_group_for_none_and_an_id_for_something(call, sandbox):
    before = sandbox.digest("visitor"), sandbox.digest("visitor", "custom")
    bare = "/api/v1/metadata/visitor/custom/value/u-0020/plan"
    call("PUT", bare, '"x"'), call("PUT", bare, "null")
    assert sandbox.values("visitor")["u-0020"]["custom"] == {}
    assert (sandbox.digest("visitor"), sandbox.digest("visitor", "custom")) == before
    call("POST", f"{BULK}?create=true", [{"visitorId": "new", "values": {}}])
    assert sandbox.digest("visitor") != before[0] != sandbox.digest("visitor", "custom") != before[1]


def test_digest_does_not_hang_on_the_order_of_writing(call, sandbox):
    found = []
    for ids in (["a", "b"], ["b", "a"]):
        sandbox.reset()
        for id_ in ids:
            values = {"plan": "x", "seats": 1} if id_ == ids[0] else {"seats": 1, "plan": "x"}
            call("POST", f"{BULK}?create=true", [{"visitorId": id_, "values": values}])
        found.append(sandbox.digest("visitor"))
    assert found[0] == found[1]


def test_digest_of_an_unknown_kind_is_told(sandbox):
    for ask in (sandbox.digest, sandbox.writes):
        with pytest.raises(SandboxError, match="visitor, account"):
            ask("user")


def test_writes_count_each_id_that_came_in_a_bulk_write(call, sandbox):
    def write(*ids):
        return call("POST", BULK, [{"visitorId": id_, "values": {"plan": "x"}} for id_ in ids]).status

    assert sandbox.writes("visitor") == {}
    assert (write("u-0001", "u-0002", "nobody"), write("u-0001", "u-0001")) == (200, 200)
    assert sandbox.writes("visitor") == {"u-0001": 3, "u-0002": 1, "nobody": 1}
    assert (sandbox.writes("account"), sandbox.writes("visitor", region="eu")) == ({}, {})
    sandbox.forget_requests()
    write("u-0001")
    assert sandbox.writes("visitor") == {"u-0001": 1}
    sandbox.reset()
    assert sandbox.writes("visitor") == {}


def test_writes_count_only_what_was_carried_out(call, sandbox):
    body = [{"visitorId": "u-0001", "values": {"plan": "x"}}]
    for fault, options in [
        ("status", {}),
        ("status", {"carry_out": True}),
        ("cut", {"when": "before"}),
        ("cut", {"when": "after", "reset": True}),
        ("stall", {"when": "before", "seconds": 0}),
        ("stall", {"when": "after", "seconds": 0}),
    ]:
        sandbox.misbehave(fault, **options)
        try:
            call("POST", BULK, body)
        except ConnectionError:
            pass
    call("POST", BULK, [*body, {"visitorId": "u-0002", "values": {"no_such_field": "x"}}])
    call("GET", PLAN)
    assert sandbox.writes("visitor") == {"u-0001": 3}


def test_writes_count_webhook_messages(call, sandbox):
    hook = "/data/segmentio/sandbox-us-app-key"
    identify = {"type": "identify", "userId": "u-0001", "traits": {"a": 1}}
    for message in (identify, identify, {"type": "group", "groupId": "acme", "userId": "u-0001"}):
        assert call("POST", hook, message).status == 200
    assert call("POST", hook, {"type": "identify"}).status == 400
    assert (sandbox.writes("visitor"), sandbox.writes("account")) == ({"u-0001": 2}, {"acme": 1})


def test_population_is_not_quite_clean(sandbox):
    for kind, id_, field, value in WRONG_TYPES:
        assert sandbox.values(kind, "custom")[id_][field] == value
    assert {"U-0007", "u-0007", "a/b", "ünï", "x y", "_PENDO_T_Ab3dE"} < set(sandbox.values("visitor"))
    assert len(sandbox.values("account")) == 20


def test_reset_brings_everything_back(call, sandbox):
    before = sandbox.values("visitor")
    sandbox.switch(agent_writable=False)
    sandbox.misbehave("status", times=None)
    sandbox.behave()
    call("PUT", "/api/v1/metadata/visitor/custom/value/u-0001/plan", '"x"')
    sandbox.misbehave("status", times=None)
    assert sandbox.values("visitor") != before
    sandbox.reset()
    assert (sandbox.values("visitor"), sandbox.faults(), sandbox.requests()) == (before, [], [])
    assert sandbox.switch()["agent_writable"] is True


def test_unknown_kind_or_region_is_told(sandbox):
    with pytest.raises(SandboxError, match="visitor, account"):
        sandbox.values("user")
    with pytest.raises(SandboxError, match="eu"):
        sandbox.values("visitor", region="mars")


def test_settings_reach_it_with_all_secrets(sandbox):
    settings = sandbox.settings
    assert (settings.region, settings.api_url, settings.data_url) == ("us", sandbox.url, sandbox.url)
    assert settings.secret("integration_key").reveal() == "sandbox-us-integration-key"
    assert settings.secret("app_key").reveal() == "sandbox-us-app-key"
    assert settings.secret("track_secret").reveal() == "sandbox-us-track-secret"
    assert (settings.api_pace.max_per_second, settings.api_pace.max_at_once) == (None, 8)


def test_settings_of_another_region_and_of_a_reader(sandbox):
    europe = sandbox.settings_for("eu")
    assert (europe.region, europe.api_url) == ("eu", f"http://127.0.0.1:{sandbox.port}/eu")
    assert Caller(sandbox.port, "eu", europe.secret("integration_key").reveal())("GET", VERIFY).status == 200
    reader = sandbox.settings_for("us", read_only=True).secret("integration_key").reveal()
    assert Caller(sandbox.port, "us", reader)("GET", VERIFY).content["writeAccess"] is False
    with pytest.raises(SettingsError):
        sandbox.settings_for("mars")


@pytest.mark.parametrize(
    ("readings", "told"),
    [
        ({"null_in_write": "clears"}, "did you mean 'null_in_writes'?"),
        ({"null_in_writes": "clear"}, "'clears', 'ignored', 'refused'"),
        ({"agent_writable": 1}, "True, False"),
        ({"max_requests_per_second": -1}, "a number above 0"),
    ],
)
def test_unknown_switch_or_reading_is_told(sandbox, readings, told):
    before = sandbox.switch()
    with pytest.raises(SandboxError, match="Hint: ") as error:
        sandbox.switch(empty_text="clears", **readings)
    assert told in str(error.value)
    assert sandbox.switch() == before


def test_docs_tell_every_switch_with_every_reading():
    rows = {
        line.split("`")[1]: line for line in DOCS.read_text("utf-8").splitlines() if line.startswith("| `")
    }
    for name, readings in READINGS.items():
        shown = ["a number" if reading is float else f"`{reading!r}`" for reading in readings]
        assert all(reading in rows[name] for reading in shown), name


def test_docs_tell_every_call_of_the_side_door():
    text = DOCS.read_text("utf-8")
    for method, pattern, _ in _ROUTES._routes:
        assert f"`{method} /_sandbox/{'/'.join(pattern)}`" in text


@pytest.mark.parametrize("token", [None, "wrong"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "hello"), ("POST", "reset"), ("POST", "close"), ("GET", "leash")]
)
def test_side_door_needs_the_token(sandbox, token, method, path):
    connection = HTTPConnection("127.0.0.1", sandbox.port, timeout=10)
    connection.request(method, f"/_sandbox/{path}", headers={"x-sandbox-token": token} if token else {})
    assert connection.getresponse().status == 403
    connection.close()


def test_side_door_is_not_among_the_requests(sandbox):
    sandbox.values("account")
    assert sandbox.requests() == []


async def closed_with_a_write_in_flight(path: Path) -> tuple[Pendo, bytes]:
    """End a server while a write waits to be carried out; return its contents and what the client was told."""
    pendo, places = Pendo(), asyncio.Queue()
    pendo.faults.coming.append(fault_of({"name": "latency", "seconds": 0.1}))
    serving = asyncio.create_task(Server(pendo, Options(state=path)).serve(places.put_nowait))
    place = await places.get()
    (told, writer), (_, closer) = [await asyncio.open_connection(ADDRESS, place.port) for _ in range(2)]
    key = KEYS["us"].integration_key
    head = f"PUT /us{PLAN} HTTP/1.1\r\nx-pendo-integration-key: {key}\r\nContent-Length: 5\r\n\r\n"
    writer.write(f'{head}"new"'.encode())
    await asyncio.sleep(0.05)
    head = f"POST /_sandbox/close HTTP/1.1\r\n{TOKEN_HEADER}: {place.token}\r\nContent-Length: 0\r\n\r\n"
    closer.write(head.encode())
    await serving
    await asyncio.sleep(0.1)
    for one in (writer, closer):
        one.close()
    told.feed_eof()
    return pendo, await told.read()


def test_what_was_not_saved_at_the_end_is_neither_done_nor_confirmed(tmp_path):
    pendo, told = asyncio.run(closed_with_a_write_in_flight(tmp_path / "state"))
    assert told == b""
    assert pendo.stores["us"].records["visitor"]["u-0001"]["custom"]["plan"] != "new"
