"""The benchmarks of pushing measure what they say: every row arrives, and the sink can be trusted to count."""

from __future__ import annotations

import ast
import json
import re
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest

from benchmarks import peers, push, webhook
from benchmarks.lines import report
from benchmarks.peers import BULK, HERE, SINGLE, Peer
from benchmarks.races import Way, race
from benchmarks.sink import Counts, Sink, open_sink

RECORD = b'{"visitorId":"a","values":{}}'


@pytest.fixture(scope="module")
def opened() -> Iterator[Sink]:
    with open_sink() as sink:
        yield sink


@pytest.fixture
def sink(opened: Sink) -> Iterator[Sink]:
    opened.counts()
    yield opened
    opened.settle(latency_s=0.0)


def connect(sink: Sink) -> socket.socket:
    where = urlsplit(sink.url)
    connection = socket.create_connection((where.hostname or "", where.port or 0), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def request(body: bytes, path: str = push.PATH) -> bytes:
    return b"POST %s HTTP/1.1\r\nHost: sink\r\nContent-Length: %d\r\n\r\n" % (path.encode(), len(body)) + body


# The sink


def test_the_sink_counts_requests_bytes_and_records_once(sink: Sink) -> None:
    body = b"[" + b",".join([RECORD] * 3) + b"]"
    with connect(sink) as connection:
        connection.sendall(request(body))
        answer = json.loads(push.read_answer(connection))
    assert answer == {"total": 3, "updated": 3, "failed": 0, "missing": [], "errors": []}
    assert sink.counts() == Counts(requests=1, n_bytes=len(body), records=3)
    assert sink.counts() == Counts(requests=0, n_bytes=0, records=0)


def test_the_sink_answers_a_message_as_the_webhook_does(sink: Sink) -> None:
    with connect(sink) as connection:
        connection.sendall(request(b'{"type":"identify","userId":"a"}', "/data/segmentio/key"))
        assert json.loads(push.read_answer(connection))["success"]
    assert sink.counts().records == 1


def test_the_sink_keeps_a_connection(sink: Sink) -> None:
    with connect(sink) as connection:
        for _ in range(3):
            connection.sendall(request(RECORD))
            assert json.loads(push.read_answer(connection))["total"] == 1
    assert sink.counts() == Counts(requests=3, n_bytes=3 * len(RECORD), records=3)


def test_the_sink_takes_a_request_byte_by_byte(sink: Sink) -> None:
    with connect(sink) as connection:
        for byte in request(RECORD):
            connection.sendall(bytes([byte]))
        assert json.loads(push.read_answer(connection))["total"] == 1
    assert sink.counts() == Counts(requests=1, n_bytes=len(RECORD), records=1)


def test_the_sink_takes_two_requests_in_one_packet(sink: Sink) -> None:
    with connect(sink) as connection:
        connection.sendall(request(RECORD) * 2)
        got = b""
        while got.count(b'"updated": 1') < 2:
            got += connection.recv(65_536)
    assert sink.counts().requests == 2


@pytest.mark.parametrize("is_split", [False, True])
def test_the_sink_takes_chunked_bodies(sink: Sink, is_split: bool) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (RECORD[:7], RECORD[7:])) + b"0\r\n\r\n"
    whole = b"POST %s HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" % push.PATH.encode() + chunks
    with connect(sink) as connection:
        for at in range(0, len(whole), 5 if is_split else len(whole)):
            connection.sendall(whole[at : at + (5 if is_split else len(whole))])
        assert json.loads(push.read_answer(connection))["total"] == 1
        connection.sendall(request(RECORD))
        assert json.loads(push.read_answer(connection))["total"] == 1
    assert sink.counts() == Counts(requests=2, n_bytes=2 * len(RECORD), records=2)


def test_the_sink_lets_all_wait_at_once(sink: Sink) -> None:
    sink.settle(latency_s=0.2)
    connections = [connect(sink) for _ in range(8)]
    began = time.monotonic()
    for connection in connections:
        connection.sendall(request(RECORD))
    for connection in connections:
        push.read_answer(connection)
        connection.close()
    assert 0.2 <= time.monotonic() - began < 8 * 0.2
    assert sink.counts().requests == 8


# The races


def test_a_row_that_did_not_arrive_is_no_speed(sink: Sink) -> None:
    with pytest.raises(AssertionError, match="nobody pushed 2 rows, 0 arrived"):
        race({"nobody": Way(lambda: 1.0, 2)}, sink, rounds=1, warm=False)


def test_a_race_tells_seconds_a_row_and_leaves_the_warm_round_out(sink: Sink) -> None:
    seconds = iter([9.0, 4.0, 6.0])

    def send() -> float:
        with connect(sink) as connection:
            connection.sendall(request(RECORD * 2))
            push.read_answer(connection)
        return next(seconds)

    assert race({"one": Way(send, 2)}, sink, rounds=2, warm=True) == {"one": [2.0, 3.0]}


@pytest.mark.parametrize("name", ["push", "webhook"])
def test_each_way_of_ours_runs_and_tells_its_lines(
    name: str, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if name == "push":
        lines = push.measure(2_300, rounds=1, warm=False, has_peers=False)
    else:
        lines = webhook.measure_speed(sink, 120, rounds=1, warm=False, has_peers=False)
        lines += webhook.measure_waiting(sink, 2, rounds=1, warm=False, in_flight=(2, 8))
    report(name, lines, head=name)
    written = json.loads((tmp_path / f"build/bench/{name}.json").read_text(encoding="utf-8"))
    assert {"question", "measured", "target", "holds"} <= set.intersection(*(set(line) for line in written))
    assert all(line["measured"] > 0 for line in written)
    assert [line["question"] for line in written if line["target"]]


@pytest.mark.parametrize(("rows", "requests"), [(2_300, 3), (8_001, 9), (17_000, 17)])
def test_raw_sockets_read_every_answer(sink: Sink, rows: int, requests: int) -> None:
    push.raw_sockets(pl.select(visitorId=pl.int_range(rows)), sink)
    assert (counts := sink.counts()).records == rows
    assert counts.requests == requests


# The peers


def test_each_script_of_a_peer_is_run_and_knows_nothing_of_ours() -> None:
    scripts = {path.name for path in HERE.glob("with_*.py")}
    assert {peer.script for peer in (*BULK, *SINGLE)} == scripts
    for path in HERE.glob("[!_]*.py"):
        names = {
            name.partition(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert names & {"benchmarks", "pendosync"} == set(), path.name


def test_without_the_peers_a_sentence_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(push, "PYTHON", tmp_path / "python")
    monkeypatch.setattr(sys, "argv", ["push", "--rows", "300", "--rounds", "1"])
    push.main()
    assert "Hint: make .venv-peers/.peers" in capsys.readouterr().out.splitlines()[-1]


def test_a_peer_that_fails_is_no_speed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peers, "PYTHON", Path(sys.executable))
    with pytest.raises(RuntimeError, match=r"^lost failed\. Expected it to push 3 rows\."):
        Peer("lost", "with_nothing.py").push("http://127.0.0.1:1", tmp_path, 3)


def test_every_version_of_the_peers_is_pinned() -> None:
    text = (HERE / "requirements.txt").read_text(encoding="utf-8")
    listed = [line for line in text.splitlines() if not line.startswith("#")]
    assert [line for line in listed if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert len(listed) > 100


def test_a_slow_peer_takes_fewer_rows_but_not_too_few() -> None:
    slow = Peer("slow", "", share=0.1)
    assert (slow.rows(200_000), slow.rows(5_000), slow.rows(300)) == (20_000, 2_000, 300)
