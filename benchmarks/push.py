"""How fast is a push of many records a request, beside raw sockets and beside what one could pick in its place?

    python -m benchmarks.push [--quick] [--rows 200000] [--rounds 5] [--without-peers]

Each way pushes rows of the same table to the same sink, taken in turn, and the sink counts that every row arrived. Ours
has its throttle off, its journal on, and ends with an outcome for each row. A slow peer takes fewer rows: the number
stands behind its name, and all are compared by rows a second.
"""

from __future__ import annotations

import argparse
import io
import socket
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import polars as pl

from benchmarks.lines import Line, at_least, report, speed, told
from benchmarks.ours import BEST, STACKS, plan_of, push_file, push_plan, settings_for
from benchmarks.peers import BULK, MISSING, PYTHON
from benchmarks.races import Way, fastest, race, rates
from benchmarks.sink import Sink, open_sink
from benchmarks.tables import FIELDS, make_users

PATH: Final = "/api/v1/metadata/visitor/custom/value"
BATCH: Final = 1_000
AT_ONCE: Final = 8
RAW: Final = "polars write_json over raw sockets"
PLAIN: Final = "polars write_json + httpx.Client"


def main() -> None:
    """Run the rounds and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rows", type=int, default=200_000)
    ask.add_argument("--rounds", type=int, default=5)
    ask.add_argument("--quick", action="store_true", help="20,000 rows, one round")
    ask.add_argument("--without-peers", action="store_true")
    args = ask.parse_args()
    rows, rounds = (20_000, 1) if args.quick else (args.rows, args.rounds)
    has_peers = PYTHON.exists() and not args.without_peers
    lines = measure(rows, rounds=rounds, warm=not args.quick, has_peers=has_peers)
    head = f"{rows:,} users × {len(FIELDS)} traits, {BATCH:,} a request, polars {pl.__version__}; {rounds} rounds"
    report("push", lines, head=head)
    if not has_peers and not args.without_peers:
        print(MISSING)


def measure(rows: int, *, rounds: int, warm: bool, has_peers: bool) -> list[Line]:
    """Return what the rounds told."""
    with open_sink() as sink, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "users.parquet"
        users = make_users(rows)
        users.write_parquet(path)
        ways = ways_of_ours(users, path, sink)
        peers = {}
        if has_peers:
            peers = {
                peer.name: Way(partial(peer.push, sink.url, path, peer.rows(rows)), peer.rows(rows))
                for peer in BULK
            }
        took = race({**ways, **peers}, sink, rounds=rounds, warm=warm)
    lines = rates(took, {**ways, **peers}, "rows/s")
    for stack in STACKS:
        of_stack = f"push of a plan, {stack}"
        lines.append(line(stack, f"{of_stack} ÷ {RAW}", speed(took, of_stack, RAW), 0.5))
        if peers:
            best = fastest(took, [peer.name for peer in BULK if not peer.is_tuned])
            for name in (of_stack, f"from the file, {stack}"):
                lines.append(line(stack, f"{name} ÷ the best peer, {best}", speed(took, name, best), 5.0))
                lines += [
                    told(f"{name} ÷ {peer.name}", speed(took, name, peer.name))
                    for peer in BULK
                    if peer.is_tuned
                ]
    return lines


def line(stack: str, question: str, measured: float, target: float) -> Line:
    """Return a line that is held to its target where the stack is the best that can be installed."""
    return at_least(question, measured, target) if stack == BEST else told(question, measured)


def ways_of_ours(users: pl.DataFrame, path: Path, sink: Sink) -> dict[str, Way]:
    """Return the ways that need nothing but this project's own Python."""
    settings = settings_for(sink, at_once=AT_ONCE)
    plan = plan_of(users, settings, route="metadata", batch_size=BATCH)
    nested = users.select(visitorId="user_id", values=pl.struct(FIELDS))
    n = users.height
    ways = {
        RAW: Way(partial(raw_sockets, nested, sink), n),
        PLAIN: Way(partial(plain_client, nested, sink), n),
    }
    for stack, open_client in STACKS.items():
        ways[f"push of a plan, {stack}"] = Way(partial(push_plan, plan, settings, open_client), n)
        whole = partial(push_file, path, settings, open_client, rows=n, route="metadata", batch_size=BATCH)
        ways[f"from the file, {stack}"] = Way(whole, n)
    return ways


def bodies(nested: pl.DataFrame) -> Iterator[memoryview]:
    """Yield the body of each request as polars writes it."""
    for part in nested.iter_slices(BATCH):
        body = io.BytesIO()
        part.write_json(body)
        yield body.getbuffer()


def raw_sockets(nested: pl.DataFrame, sink: Sink) -> float:
    """Write each slice to the next of some sockets, and read its answer before the next write to it."""
    where = urlsplit(sink.url)
    began = time.perf_counter()
    sockets = [socket.create_connection((where.hostname or "", where.port or 80)) for _ in range(AT_ONCE)]
    for at, body in enumerate(bodies(nested)):
        to = sockets[at % AT_ONCE]
        if at >= AT_ONCE:
            read_answer(to)
        to.sendall(
            b"POST %s HTTP/1.1\r\nHost: sink\r\nContent-Length: %d\r\n\r\n" % (PATH.encode(), len(body))
        )
        to.sendall(body)
    for to in sockets[: -(-nested.height // BATCH)]:
        read_answer(to)
    seconds = time.perf_counter() - began
    for to in sockets:
        to.close()
    return seconds


def read_answer(connection: socket.socket) -> bytes:
    """Read one answer to its end, and return its body."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65_536)
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), head
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return body


def plain_client(nested: pl.DataFrame, sink: Sink) -> float:
    """POST each slice over one httpx.Client, one after the other, and read each answer."""
    began = time.perf_counter()
    with httpx.Client(base_url=sink.url, trust_env=False) as client:
        for body in bodies(nested):
            answer = client.post(PATH, content=bytes(body), headers={"Content-Type": "application/json"})
            assert answer.raise_for_status().json()["failed"] == 0
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
