"""How much of an allowed rate is used, and is it ever exceeded: at the transport, and at the server?

    python -m benchmarks.pacing [--seconds 30] [--quick]

Reads from an embedded Pendo that answers after 120 ms and fails at first, at 5 and at 50 requests a second, tries again
included. Prints what was measured and what is promised, and writes build/bench/pacing.json.
"""

from __future__ import annotations

import argparse
import time
from bisect import bisect_left
from dataclasses import dataclass, replace

import httpx

import pendosync as ps
from benchmarks.lines import Line, at_least, at_most, report

LATENCY_S = 0.12
RATES = (5, 50)
WORKERS = 16
PATH = "/api/v1/token/verify"


class Meter(httpx.AsyncBaseTransport):
    """Notes when each request was handed to the transport."""

    def __init__(self) -> None:
        self.at_s: list[float] = []
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Note the time, and send."""
        self.at_s.append(time.perf_counter())
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close what sends."""
        await self._inner.aclose()


@dataclass(frozen=True)
class Kept:
    """How one run kept its rate.

    Attributes:
        used: the share of the rate that was used.
        started: most starts in any one-second window, at the transport.
        came: most arrivals in any one-second window, at the server.
        came_in_ten: most arrivals in any ten seconds.
    """

    used: float
    started: int
    came: int
    came_in_ten: int


def measure(sandbox: ps.Sandbox, rate: float, seconds: float) -> Kept:
    """Return how *rate* is kept over so many seconds by readers that are always ready for another read.

    The first twentieth of them fail, and are tried again.
    """
    sandbox.reset()
    n_failing = round(rate * seconds / 20)
    settings = replace(sandbox.settings, api_pace=ps.Pace(max_per_second=rate, max_at_once=None))
    meter = Meter()
    left = iter(range(round(rate * seconds) - n_failing))
    with ps.open_client(settings, transport=meter, retry=ps.Retry(attempts=99, base_s=0)) as client:

        async def read(_: int) -> None:
            for _ in left:
                await client.request("GET", PATH)

        client.call(client.request, "GET", PATH)  # the first imports what httpx needs
        meter.at_s.clear()
        sandbox.forget_requests()
        sandbox.misbehave("latency", seconds=LATENCY_S, times=None)
        sandbox.misbehave("status", status=503, times=n_failing)
        client.call_each(read, range(WORKERS))
    arrivals = [request["at_s"] for request in sandbox.requests()]
    return Kept(
        used=(len(meter.at_s) - 1) / (meter.at_s[-1] - meter.at_s[0]) / rate,
        started=busiest(meter.at_s, 1),
        came=busiest(arrivals, 1),
        came_in_ten=busiest(arrivals, 10),
    )


def busiest(times: list[float], window_s: float) -> int:
    """Return the most *times* in any half-open window of so many seconds."""
    times = sorted(times)
    return max(bisect_left(times, first + window_s) - at for at, first in enumerate(times))


def lines_of(rate: int, kept: Kept) -> list[Line]:
    """Return the lines of the report."""
    at = f"at {rate} a second"
    return [
        at_least(f"{at}: share of it used", kept.used, 0.98),
        at_most(f"{at}: most starts in a one-second window, at the transport", kept.started, rate),
        at_most(f"{at}: most arrivals in a second, at the server", kept.came, rate + 1),
        at_most(f"{at}: most arrivals in ten seconds, at the server", kept.came_in_ten, 10 * rate),
    ]


def main() -> None:
    """Run each rate and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--seconds", type=float, default=30)
    ask.add_argument("--quick", action="store_true", help="twelve seconds each")
    args = ask.parse_args()
    seconds = 12 if args.quick else args.seconds
    with ps.open_sandbox() as sandbox:
        lines = [line for rate in RATES for line in lines_of(rate, measure(sandbox, rate, seconds))]
    report("pacing", lines, head=f"{seconds:g} s at each rate, {LATENCY_S * 1000:g} ms until an answer")


if __name__ == "__main__":
    main()
