"""Answers that stop half-way, break off, or come wrapped: seen over the bare wire."""

import errno
import gzip
import json
import zlib
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead

import pytest

BULK = "/api/v1/metadata/visitor/custom/value"
VERIFY = "/api/v1/token/verify"
PLAN = f"{BULK}/u-0001/plan"
ONE = b'[{"visitorId": "u-0001", "values": {"plan": "new"}}]'
DONE = b'{"total":1,"updated":1,"failed":0}'
UNPACKED = {"gzip": gzip.decompress, "deflate": zlib.decompress}


def plan(sandbox):
    return sandbox.values("visitor", "custom")["u-0001"].get("plan")


@pytest.mark.parametrize(
    ("when", "heard", "held"), [("before", b"", "old"), ("after", b"", "new"), ("mid_body", DONE[:17], "new")]
)
def test_cut_with_reset_tears_the_connection_down(call, sandbox, when, heard, held):
    call("PUT", PLAN, '"old"')
    sandbox.misbehave("cut", when=when, reset=True)
    answer = call.listen("POST", BULK, ONE)
    assert (answer.error.errno, answer.body, plan(sandbox)) == (errno.ECONNRESET, heard, held)
    assert sandbox.requests()[-1]["status"] is None
    sandbox.misbehave("cut", when=when)
    assert (call.listen("POST", BULK, ONE).error, call("GET", VERIFY).status) == (None, 200)


@pytest.mark.parametrize(("when", "first"), [("headers", b""), ("mid_body", DONE[:17])])
def test_stall_halts_the_answer_and_goes_on(call, sandbox, when, first):
    sandbox.misbehave("stall", seconds=0.4, when=when)
    answer = call.listen("POST", BULK, ONE)
    assert answer.silence_s >= 0.2
    assert answer.before_silence.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.before_silence.partition(b"\r\n\r\n")[1:] == (b"\r\n\r\n", first)
    assert (answer.body, answer.error, plan(sandbox)) == (DONE, None, "new")
    assert sandbox.requests()[-1]["status"] == 200


@pytest.mark.parametrize("when", ["headers", "mid_body"])
def test_stall_without_a_body_holds_the_last_byte_back(call, sandbox, when):
    sandbox.misbehave("stall", seconds=0.4, when=when)
    answer = call.listen("PUT", PLAN, b'"new"')
    assert answer.silence_s >= 0.2
    assert (answer.before_silence, answer.whole[-4:]) == (answer.whole[:-1], b"\r\n\r\n")


@pytest.mark.parametrize(("when", "held"), [("before", "old"), ("after", "new")])
def test_stall_may_leave_a_request_unanswered(call, sandbox, when, held):
    call("PUT", PLAN, '"old"')
    sandbox.misbehave("stall", seconds=0.4, when=when)
    answer = call.listen("POST", BULK, ONE)
    assert (answer.took_s >= 0.2, answer.whole, answer.error, plan(sandbox)) == (True, b"", None, held)
    assert sandbox.requests()[-1]["status"] is None


def test_stall_holds_nobody_else_up(call, sandbox):
    sandbox.misbehave("stall", seconds=60, path=BULK)
    left = HTTPConnection("127.0.0.1", sandbox.port, timeout=20)
    left.request("POST", f"/us{BULK}", ONE, {"x-pendo-integration-key": call.key})
    assert left.getresponse().read(17) == DONE[:17]
    assert call("GET", VERIFY).status == 200
    left.close()
    assert call("POST", BULK, ONE).status == 200


def test_stalls_cuts_and_refusals_combine(call, sandbox):
    sandbox.misbehave("status", status=500, text="four")
    sandbox.misbehave("stall", seconds=0.4)
    sandbox.misbehave("wrap", encoding="chunked")
    answer = call.listen("GET", VERIFY)
    assert answer.whole.startswith(b"HTTP/1.1 500 ")
    assert (answer.before_silence != answer.whole, answer.body) == (True, b"2\r\nfo\r\n2\r\nur\r\n0\r\n\r\n")
    sandbox.misbehave("stall", seconds=0.4, when="headers")
    sandbox.misbehave("cut", when="mid_body", reset=True)
    answer = call.listen("POST", BULK, ONE)
    assert (answer.before_silence[-4:], answer.body) == (b"\r\n\r\n", DONE[:17])
    assert answer.error.errno == errno.ECONNRESET


@pytest.mark.parametrize("encoding", UNPACKED)
def test_wrapped_answer_is_the_true_one(call, sandbox, encoding):
    sandbox.misbehave("wrap", encoding=encoding)
    answer = call.listen("POST", BULK, ONE)
    assert f"\r\nContent-Encoding: {encoding}\r\n".encode() in answer.whole
    assert (UNPACKED[encoding](answer.body), plan(sandbox)) == (DONE, "new")


def test_chunked_answer_is_the_true_one(call, sandbox):
    sandbox.misbehave("wrap", encoding="chunked", times=None)
    reply = call("POST", BULK, ONE)
    assert (reply.headers["Transfer-Encoding"], "Content-Length" in reply.headers) == ("chunked", False)
    assert (reply.text.encode(), plan(sandbox)) == (DONE, "new")
    assert (call("PUT", PLAN, '"newer"').text, plan(sandbox)) == ("", "newer")


@pytest.mark.parametrize(("interim", "line"), [(100, b"100 Continue"), (103, b"103 Early Hints")])
def test_interim_answer_comes_before_the_real_one(call, sandbox, interim, line):
    sandbox.misbehave("wrap", interim=interim)
    early, _, real = call.listen("POST", BULK, ONE).whole.partition(b"\r\n\r\n")
    assert early.startswith(b"HTTP/1.1 " + line)
    assert (real.startswith(b"HTTP/1.1 200 OK\r\n"), real.endswith(b"\r\n\r\n" + DONE)) == (True, True)


@pytest.mark.parametrize("encoding", UNPACKED)
def test_broken_packing_is_none(call, sandbox, encoding):
    sandbox.misbehave("wrap", encoding=encoding, broken=True)
    answer = call.listen("POST", BULK, ONE)
    assert f"\r\nContent-Encoding: {encoding}\r\n".encode() in answer.whole
    with pytest.raises((zlib.error, gzip.BadGzipFile)):
        UNPACKED[encoding](answer.body)
    with pytest.raises(zlib.error):
        zlib.decompress(answer.body, wbits=-zlib.MAX_WBITS)
    assert plan(sandbox) == "new"


@pytest.mark.parametrize("encoding", [None, "chunked"])
@pytest.mark.parametrize(("method", "path", "body"), [("POST", BULK, ONE), ("PUT", PLAN, b'"new"')])
def test_broken_length_or_chunks_end_too_soon(call, sandbox, encoding, method, path, body):
    sandbox.misbehave("wrap", encoding=encoding, broken=True)
    with pytest.raises(IncompleteRead):
        call(method, path, body)
    assert (plan(sandbox), sandbox.requests()[-1]["status"]) == ("new", 200)


@pytest.mark.parametrize(
    "options",
    [{"encoding": "chunked"}, {"interim": 100}, {"encoding": "gzip"}, {"encoding": "gzip", "broken": True}],
)
def test_connection_serves_on_after_a_wrapped_answer(call, sandbox, options):
    sandbox.misbehave("wrap", times=2, **options)
    sandbox.misbehave("stall", times=2, seconds=0)
    with closing(HTTPConnection("127.0.0.1", sandbox.port, timeout=20)) as connection:
        ports = set()
        for _ in range(3):
            connection.request("GET", f"/us{VERIFY}", headers={"x-pendo-integration-key": call.key})
            last = connection.getresponse().read()
            ports.add(connection.sock.getsockname()[1])
    assert (json.loads(last)["valid"], len(ports)) == (True, 1)
