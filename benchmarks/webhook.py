"""How fast is a push of one message a request, and how near does it come to what the latency allows?

    python -m benchmarks.webhook [--quick] [--messages 4000] [--rounds 3] [--without-peers]

First without latency, 32 in flight, beside 32 workers over one httpx.AsyncClient that POST messages encoded before, and
beside Segment's and RudderStack's SDKs set to one message a request. Then with an answer after 50 ms, at 8, 32 and 128 in
flight: the ideal is n / in flight × 50 ms. At 128 a stack can't be held to more than its own ceiling, which is measured
in the same rounds without latency. Bare connections beside it show what the machine allows at that moment.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import polars as pl

import pendosync as ps
from benchmarks.lines import Line, at_least, report, speed, told
from benchmarks.ours import BEST, STACKS, plan_of, push_file, push_plan, settings_for
from benchmarks.peers import MISSING, PYTHON, SINGLE
from benchmarks.races import Way, closeness, race, rate, rates
from benchmarks.sink import Sink, open_sink
from benchmarks.tables import make_users

AT_ONCE: Final = 32
LATENCY_S: Final = 0.05
IN_FLIGHT: Final = (8, 32, 128)
PLAIN: Final = f"httpx.AsyncClient, {AT_ONCE} workers"


def main() -> None:
    """Run both parts and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--messages", type=int, default=4_000)
    ask.add_argument(
        "--waves", type=int, default=80, help="messages with latency, as a multiple of those in flight"
    )
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--quick", action="store_true", help="400 messages, 5 waves, one round")
    ask.add_argument("--without-peers", action="store_true")
    args = ask.parse_args()
    messages, waves, rounds = (400, 5, 1) if args.quick else (args.messages, args.waves, args.rounds)
    has_peers = PYTHON.exists() and not args.without_peers
    with open_sink() as sink:
        lines = measure_speed(sink, messages, rounds=rounds, warm=not args.quick, has_peers=has_peers)
        lines += measure_waiting(sink, waves, rounds=rounds, warm=not args.quick)
    head = f"One message a request, ten traits each, polars {pl.__version__}; {rounds} rounds"
    report("webhook", lines, head=head)
    if not has_peers and not args.without_peers:
        print(MISSING)


def measure_speed(sink: Sink, messages: int, *, rounds: int, warm: bool, has_peers: bool) -> list[Line]:
    """Return what the rounds without latency told."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "users.parquet"
        users = make_users(messages)
        users.write_parquet(path)
        ways = ways_of_ours(users, path, sink)
        peers = {}
        if has_peers:
            peers = {
                peer.name: Way(partial(peer.push, sink.url, path, peer.rows(messages)), peer.rows(messages))
                for peer in SINGLE
            }
        took = race({**ways, **peers}, sink, rounds=rounds, warm=warm)
    lines = rates(took, {**ways, **peers}, "messages/s")
    for stack in STACKS:
        name = f"push of a plan, {stack}"
        lines.append(line(stack, f"{name} ÷ {PLAIN}", speed(took, name, PLAIN), 7.0))
        for peer in peers:
            target = 2.5 if peer == SINGLE[0].name else None
            name = f"from the file, {stack}"
            lines.append(line(stack, f"{name} ÷ {peer}", speed(took, name, peer), target))
    return lines


def line(stack: str, question: str, measured: float, target: float | None) -> Line:
    """Return a line that is held to its target where the stack is the best that can be installed."""
    return (
        told(question, measured) if target is None or stack != BEST else at_least(question, measured, target)
    )


def ways_of_ours(users: pl.DataFrame, path: Path, sink: Sink) -> dict[str, Way]:
    """Return the ways that need nothing but this project's own Python."""
    settings = settings_for(sink, at_once=AT_ONCE)
    plan = plan_of(users, settings, route="webhook", batch_size=1)
    n = users.height
    encoded = [body.encode() for body in ps.dry_run(plan)["body"].head(max(1, n // 4))]
    ways = {PLAIN: Way(partial(plain_client, encoded, sink), len(encoded))}
    for stack, open_client in STACKS.items():
        ways[f"push of a plan, {stack}"] = Way(partial(push_plan, plan, settings, open_client), n)
        whole = partial(push_file, path, settings, open_client, rows=n, route="webhook", batch_size=1)
        ways[f"from the file, {stack}"] = Way(whole, n)
    return ways


def plain_client(encoded: list[bytes], sink: Sink) -> float:
    """POST each message over one httpx.AsyncClient that as many workers share, and read each answer."""

    async def post_all() -> None:
        waiting = iter(encoded)
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        async with httpx.AsyncClient(base_url=sink.url, limits=limits, trust_env=False, timeout=60) as client:

            async def work() -> None:
                for body in waiting:
                    answer = await client.post(
                        "/data/segmentio/key", content=body, headers={"Content-Type": "application/json"}
                    )
                    answer.raise_for_status()

            await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    began = time.perf_counter()
    asyncio.run(post_all())
    return time.perf_counter() - began


def bare_streams(encoded: list[bytes], sink: Sink, *, at_once: int) -> float:
    """POST each message over as many bare connections: what this machine and the sink allow at this moment."""
    where = urlsplit(sink.url)

    async def post_all() -> None:
        waiting = iter(encoded)

        async def work() -> None:
            reader, writer = await asyncio.open_connection(where.hostname, where.port)
            for body in waiting:
                writer.write(
                    b"POST /data/segmentio/key HTTP/1.1\r\nHost: sink\r\nContent-Length: %d\r\n\r\n"
                    % len(body)
                )
                writer.write(body)
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.lower().partition(b"content-length:")[2].split()[0]))
            writer.close()

        await asyncio.gather(*(work() for _ in range(at_once)))

    began = time.perf_counter()
    asyncio.run(post_all())
    return time.perf_counter() - began


def measure_waiting(
    sink: Sink, waves: int, *, rounds: int, warm: bool, in_flight: Sequence[int] = IN_FLIGHT
) -> list[Line]:
    """Return how near each stack comes to the ideal, where an answer takes its time."""
    ways, most = {}, max(in_flight)
    for at_once in in_flight:
        n, settings = at_once * waves, settings_for(sink, at_once=at_once)
        plan = plan_of(make_users(n), settings, route="webhook", batch_size=1)
        encoded = [body.encode() for body in ps.dry_run(plan)["body"]]
        bare = partial(bare_streams, encoded, sink, at_once=at_once)
        ways[bare_name(at_once)] = Way(bare, n, LATENCY_S)
        for stack, open_client in STACKS.items():
            push = partial(push_plan, plan, settings, open_client)
            ways[waiting(stack, at_once)] = Way(push, n, LATENCY_S)
            if at_once == most:
                ways[ceiling(stack, most)] = Way(push, n)
    took = race(ways, sink, rounds=rounds, warm=warm)
    lines = rates(took, ways, "messages/s")
    for at_once in in_flight:
        name = bare_name(at_once)
        lines.append(told(f"{name} ÷ the ideal", closeness(took, name, LATENCY_S / at_once)))
    for stack in STACKS:
        for at_once in in_flight:
            name, least_s = waiting(stack, at_once), LATENCY_S / at_once
            share = closeness(took, name, least_s)
            if at_once < most or rate(took, ceiling(stack, most)) > 1 / least_s:
                lines.append(line(stack, f"{name} ÷ the ideal", share, 0.85))
                continue
            of_ceiling = speed(took, name, ceiling(stack, most))
            lines.append(told(f"{name} ÷ the ideal", share))
            lines.append(line(stack, f"{name} ÷ its own ceiling", of_ceiling, 0.85))
    return lines


def waiting(stack: str, at_once: int) -> str:
    """Return the name of a push whose answers take their time."""
    return f"push of a plan, {at_once} in flight, {LATENCY_S * 1000:.0f} ms, {stack}"


def bare_name(at_once: int) -> str:
    """Return the name of the bare connections."""
    return f"bare connections, {at_once} in flight, {LATENCY_S * 1000:.0f} ms"


def ceiling(stack: str, at_once: int) -> str:
    """Return the name of a push whose answers come at once."""
    return f"push of a plan, {at_once} in flight, no latency, {stack}"


if __name__ == "__main__":
    main()
