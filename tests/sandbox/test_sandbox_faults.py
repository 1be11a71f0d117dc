"""A sandbox that misbehaves when told to."""

import time
from email.utils import parsedate_to_datetime
from http.client import IncompleteRead, RemoteDisconnected
from pathlib import Path

import pytest

from pendosync.errors import SandboxError
from pendosync.sandbox.faults import FAULTS
from pendosync.sandbox.store import Store

BULK = "/api/v1/metadata/visitor/custom/value"
VERIFY = "/api/v1/token/verify"
PLAN = f"{BULK}/u-0001/plan"


def write(call, plan="new", ids=("u-0001",)):
    return call("POST", BULK, [{"visitorId": id_, "values": {"plan": plan}} for id_ in ids])


def plan(sandbox, id_="u-0001"):
    return sandbox.values("visitor", "custom")[id_].get("plan")


def test_status_comes_as_often_as_asked_and_nothing_is_done(call, sandbox):
    sandbox.misbehave("status", status=503, times=2, retry_after=2)
    first, second, third = write(call), write(call), write(call, "third")
    assert [first.status, second.status, third.status] == [503, 503, 200]
    assert (first.headers["Retry-After"], first.text) == ("2", "")
    assert plan(sandbox) == "third"
    assert sandbox.faults() == []


def test_status_may_come_after_the_deed(call, sandbox):
    sandbox.misbehave("status", status=408, carry_out=True)
    assert (write(call).status, plan(sandbox)) == (408, "new")


def test_retry_after_may_be_a_date(call, sandbox):
    sandbox.misbehave("status", status=503, retry_after=60, as_date=True)
    wait_s = parsedate_to_datetime(call("GET", VERIFY).headers["Retry-After"]).timestamp() - time.time()
    assert 50 < wait_s <= 61


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("never", "never"),
        (-5, "-5"),
        (1e12, "1000000000000.0"),
        ("Thu, 01 Jan 1970 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"),
        ("Sat, 01 Jan 2400 00:00:00 GMT", "Sat, 01 Jan 2400 00:00:00 GMT"),
    ],
)
def test_retry_after_may_be_absurd(call, sandbox, given, sent):
    sandbox.misbehave("status", status=429, retry_after=given)
    sandbox.misbehave("rate_limit", max_per_second=0, retry_after=given, times=1, after=1)
    assert [call("GET", VERIFY).headers["Retry-After"] for _ in range(2)] == [sent, sent]


def test_retry_after_may_be_a_date_long_past_or_far_off(call, sandbox):
    for wait_s in (-1.7e9, 1.2e10):
        sandbox.misbehave("status", status=503, retry_after=wait_s, as_date=True)
        date = parsedate_to_datetime(call("GET", VERIFY).headers["Retry-After"])
        assert abs(date.timestamp() - time.time() - wait_s) < 5


def test_rate_limit_may_leave_retry_after_out(call, sandbox):
    sandbox.misbehave("rate_limit", max_per_second=0, retry_after=None)
    reply = call("GET", VERIFY)
    assert (reply.status, "Retry-After" in reply.headers) == (429, False)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("carry_out", [False, True])
def test_status_may_redirect_to_any_url(call, sandbox, status, carry_out):
    old = plan(sandbox)
    sandbox.misbehave("status", status=status, location="http://127.0.0.1:9/x?y=1", carry_out=carry_out)
    reply = write(call)
    assert (reply.status, reply.headers["Location"]) == (status, "http://127.0.0.1:9/x?y=1")
    assert plan(sandbox) == ("new" if carry_out else old)


def test_fault_waits_for_its_path_method_and_turn(call, sandbox):
    sandbox.misbehave("status", status=500, path=BULK, method="POST", after=1)
    assert [call("GET", VERIFY).status, call("GET", PLAN).status] == [200, 200]
    assert [write(call).status, write(call).status, write(call).status] == [200, 500, 200]


def test_faults_wait_in_line(call, sandbox):
    sandbox.misbehave("status", status=502)
    sandbox.misbehave("status", status=429)
    assert [call("GET", VERIFY).status for _ in range(3)] == [502, 429, 200]


def test_faults_without_end_end_with_behave(call, sandbox):
    sandbox.misbehave("status", status=500, times=None)
    assert [call("GET", VERIFY).status for _ in range(3)] == [500, 500, 500]
    sandbox.behave()
    assert call("GET", VERIFY).status == 200


@pytest.mark.parametrize("when", ["before", "after"])
def test_cut_connection_leaves_no_answer(call, sandbox, when):
    old = plan(sandbox)
    sandbox.misbehave("cut", when=when)
    with pytest.raises((RemoteDisconnected, ConnectionResetError)):
        write(call)
    assert plan(sandbox) == (old if when == "before" else "new")
    assert sandbox.requests()[-1]["status"] is None


@pytest.mark.parametrize("path", [BULK, f"{BULK}?create=true"])
def test_cut_in_the_body_leaves_half_an_answer(call, sandbox, path):
    sandbox.misbehave("cut", when="mid_body")
    with pytest.raises(IncompleteRead):
        call("POST", path, [{"visitorId": "u-0001", "values": {"plan": "new"}}])
    assert plan(sandbox) == "new"


def test_cut_in_an_empty_body_is_seen_too(call, sandbox):
    sandbox.misbehave("cut", when="mid_body")
    with pytest.raises(IncompleteRead):
        call("PUT", PLAN, '"new"')


def test_latency_delays_the_answer(call, sandbox):
    sandbox.misbehave("latency", seconds=0.15)
    began = time.monotonic()
    assert call("GET", VERIFY).status == 200
    assert time.monotonic() - began >= 0.15
    assert sandbox.faults() == []


def test_latency_after_the_deed_has_it_done_meanwhile(call, sandbox):
    sandbox.misbehave("latency", seconds=0.15, when="after")
    assert (write(call).status, plan(sandbox)) == (200, "new")


def test_garbage_comes_with_a_status_of_its_own(call, sandbox):
    sandbox.misbehave("body", text="<html>oops</html>", status=200)
    reply = write(call)
    assert (reply.status, reply.text, plan(sandbox)) == (200, "<html>oops</html>", "new")


def test_garbage_may_be_no_text_at_all(call, sandbox):
    sandbox.misbehave("body", text="\udcff")
    with pytest.raises(UnicodeDecodeError):
        call.listen("GET", VERIFY).body.decode()


def test_failed_records_are_named_or_not(call, sandbox):
    ids = ("u-0001", "u-0002", "u-0003")
    sandbox.misbehave("fail_records", ids=["u-0002"])
    assert write(call, ids=ids).content == {"total": 3, "updated": 2, "failed": 1}
    assert (plan(sandbox, "u-0003"), plan(sandbox, "u-0002") == "new") == ("new", False)
    sandbox.misbehave("fail_records", count=2, named=True)
    counts = write(call, "newer", ids).content
    assert (counts["updated"], counts["failed"], len(counts["errors"])) == (1, 2, 2)
    assert "u-0001" in counts["errors"][0]


def test_failing_id_waits_for_a_request_that_has_it(call, sandbox):
    sandbox.misbehave("fail_records", ids=["u-0002"])
    assert write(call).content["failed"] == 0
    assert write(call, ids=("u-0002",)).content["failed"] == 1
    assert write(call, ids=("u-0002",)).content["failed"] == 0


def test_counts_do_not_add_up(call, sandbox):
    sandbox.misbehave("counts", updated=1, failed=2)
    assert write(call).content == {"total": 1, "updated": 2, "failed": 2}


def test_names_are_added_to_those_of_a_true_answer(call, sandbox):
    sandbox.misbehave("names", missing=["never-sent", "nobody", "nobody"], errors=["a record is wrong"])
    told = write(call, ids=("u-0001", "nobody")).content
    assert told == {
        "total": 2,
        "updated": 1,
        "failed": 1,
        "missing": ["nobody", "never-sent", "nobody", "nobody"],
        "errors": ["a record is wrong"],
    }
    assert write(call).content == {"total": 1, "updated": 1, "failed": 0}


def test_names_may_be_counted(call, sandbox):
    sandbox.switch(missing_when_empty="null")
    sandbox.misbehave("names", missing=["never-sent"], counted=True)
    told = write(call).content
    assert (told["total"], told["updated"], told["failed"], told["missing"]) == (1, 0, 1, ["never-sent"])


def test_names_and_counts_combine(call, sandbox):
    sandbox.misbehave("names", errors=["a", "b"])
    sandbox.misbehave("counts", failed=5)
    assert write(call).content == {"total": 1, "updated": 1, "failed": 5, "errors": ["a", "b"]}


def test_share_befalls_some_and_the_same_again(call, sandbox):
    runs = []
    for seed in (1, 1, 2):
        sandbox.misbehave("status", status=500, share=0.2, seed=seed, times=None)
        runs.append([call("GET", VERIFY).status for _ in range(150)])
        sandbox.behave()
    assert runs[0] == runs[1] != runs[2]
    assert all(12 <= run.count(500) <= 50 for run in runs)


def test_shares_of_several_faults_do_not_fall_together(call, sandbox):
    for status in (500, 502, 504):
        sandbox.misbehave("status", status=status, share=0.3, times=None)
    seen = [call("GET", VERIFY).status for _ in range(150)]
    assert all(seen.count(status) >= 10 for status in (200, 500, 502, 504))


def test_share_draws_among_matching_requests_and_counts_hits(call, sandbox):
    sandbox.misbehave("status", status=500, share=0.5, times=3, after=2, method="POST")
    assert [call("GET", VERIFY).status for _ in range(20)] == [200] * 20
    seen = [write(call).status for _ in range(60)]
    assert (seen[:2], seen.count(500)) == ([200, 200], 3)


def test_lag_hides_what_was_written_until_behave(call, sandbox):
    old = call("GET", PLAN).content
    sandbox.misbehave("lag", seconds=60)
    write(call, "first"), write(call, "second")
    call("POST", f"{BULK}?create=true", [{"visitorId": "late", "values": {"plan": "x"}}])
    assert (call("GET", PLAN).content, plan(sandbox)) == (old, "second")
    assert call("GET", "/api/v1/visitor/late").status == 404
    seen = _aggregated(call)
    assert ("late" in seen, seen["u-0001"]) == (False, old)
    sandbox.behave()
    seen = _aggregated(call)
    assert (call("GET", PLAN).content, seen["u-0001"], seen["late"]) == ("second", "second", "x")


def test_lag_passes_by_itself(call, sandbox):
    sandbox.misbehave("lag", seconds=0.1)
    write(call)
    time.sleep(0.15)
    assert (call("GET", PLAN).content, _aggregated(call)["u-0001"]) == ("new", "new")


def test_lag_shows_each_write_in_its_turn():
    now = [0.0]
    store = Store(clock=lambda: now[0])
    store.write("visitor", "ann", "custom", {"plan": "a"})
    store.write("visitor", "ann", "custom", {"plan": "b"}, lag_s=2)
    now[0] = 1.0
    store.write("visitor", "ann", "custom", {"plan": "c"}, lag_s=2)
    seen = []
    for now[0] in (1.9, 2.0, 2.9, 3.0):
        seen.append(store.seen("visitor", "ann")["custom"]["plan"])
    assert seen == ["a", "b", "b", "c"]


def test_rate_limit_refuses_what_comes_too_soon(call, sandbox):
    sandbox.misbehave("rate_limit", max_per_second=3, retry_after=1)
    replies = [call("GET", VERIFY) for _ in range(5)]
    assert [reply.status for reply in replies] == [200, 200, 200, 429, 429]
    assert (replies[-1].headers["Retry-After"], replies[-1].text) == ("1", "")
    sandbox.behave()
    assert call("GET", VERIFY).status == 200


def test_standing_limit_counts_each_kind_of_host(call, track, sandbox):
    sandbox.switch(max_requests_per_second=2)
    assert [call("GET", VERIFY).status for _ in range(3)] == [200, 200, 429]
    assert track("POST", "/data/track", {}).status == 400


@pytest.mark.parametrize(
    ("fault", "options", "told"),
    [
        ("latncy", {}, "did you mean 'latency'?"),
        ("status", {"code": 500}, "There is no option of status 'code'"),
        ("cut", {"when": "later"}, "'before', 'after', 'mid_body'"),
        ("latency", {"seconds": "1"}, "a number from 0 up"),
        ("status", {"status": "503"}, "an HTTP status"),
        ("status", {"status": 103}, "an HTTP status"),
        ("status", {"location": "/a\r\nX: y"}, "a URL"),
        ("status", {"location": "/ünï"}, "a URL"),
        ("status", {"retry_after": "1\n"}, "one line"),
        ("status", {"retry_after": True}, "one line"),
        ("status", {"retry_after": 1e12, "as_date": True}, "four digits"),
        ("status", {"retry_after": "never", "as_date": True}, "four digits"),
        ("stall", {"when": "late"}, "'before', 'after', 'headers', 'mid_body'"),
        ("stall", {"seconds": float("inf")}, "seconds=3600"),
        ("cut", {"reset": 1}, "True or False"),
        ("wrap", {"encoding": "br"}, "gzip, deflate, chunked or None"),
        ("wrap", {"interim": 101}, "100, 103 or None"),
        ("names", {"missing": "u-0001"}, "a list of ids"),
        ("names", {"errors": None}, "a list of texts"),
        ("counts", {"failed": "1"}, "a whole number"),
        ("status", {"share": 0}, "share=0.05"),
        ("status", {"share": 1.5}, "over 0 and up to 1"),
        ("status", {"seed": 0.5}, "a whole number"),
        ("status", {"after": -1}, "from 0 up"),
        ("status", {"path": 5}, "how a path begins"),
        ("fail_records", {"ids": "u-0001"}, "a list of ids"),
        ("fail_records", {"ids": {"u-0001"}}, "a list in place of a set"),
        ("fail_records", {"count": 0}, "from 1 up"),
        ("status", {"times": 0}, "times=3"),
    ],
)
def test_unknown_fault_is_told_in_three_beats(sandbox, fault, options, told):
    with pytest.raises(SandboxError, match="Hint: ") as error:
        sandbox.misbehave(fault, **options)
    assert told in str(error.value)


def test_docs_tell_every_fault_and_option():
    text = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text("utf-8")
    for fault, options in FAULTS.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| `{fault}"))
        assert all(option in row for option in options), fault


def _aggregated(call):
    steps = [{"source": {"visitors": {"identified": True}}}, {"sort": ["visitorId"]}]
    asked = {"response": {"mimeType": "application/json"}, "request": {"pipeline": steps}}
    rows = call("POST", "/api/v1/aggregation", asked).content["results"]
    return {row["visitorId"]: row["metadata"].get("custom", {}).get("plan") for row in rows}
