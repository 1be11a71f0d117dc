"""The pace: never more in a second than allowed, nearly all of what is allowed, and nobody lost."""

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from math import ceil

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pendosync import throttle as rooms
from pendosync.regions import Pace
from pendosync.throttle import (
    LONGEST_PAUSE_S,
    ON_START,
    FakeClock,
    RealClock,
    Throttle,
    ThrottledTransport,
    parse_retry_after,
    throttle_for,
)

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class LateClock(FakeClock):
    """A clock whose sleeps end late by up to so many seconds, as real ones do."""

    def __init__(self, late_s: float, seed: int = 0) -> None:
        super().__init__()
        self._late_s = late_s
        self.random = random.Random(seed)

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + self.random.uniform(0, self._late_s))


def starts_of(pace: Pace, n: int, *, late_s: float = 0.0, work_s: float = 0.0, seed: int = 0) -> list[float]:
    """Return when each of *n* requests started, all of them wanting to at time 0."""
    clock = LateClock(late_s, seed)
    throttle = Throttle(pace, clock)
    starts: list[float] = []
    in_flight = 0

    async def one() -> None:
        nonlocal in_flight
        await throttle.acquire()
        starts.append(clock.now())
        in_flight += 1
        assert in_flight <= pace.max_at_once
        if work_s:
            await FakeClock.sleep(clock, clock.random.uniform(0, work_s))
        in_flight -= 1
        throttle.release()

    async def everyone() -> None:
        await asyncio.gather(*(one() for _ in range(n)))

    asyncio.run(everyone())
    return starts


def busiest_second(starts: list[float]) -> int:
    """Return the most starts in any half-open second."""
    return max(sum(start <= other < start + 1 for other in starts) for start in starts)


# --- clocks


def test_fake_clock_wakes_sleepers_in_the_order_of_their_times() -> None:
    clock, woken = FakeClock(), list[tuple[str, float]]()

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now()))

    async def both() -> None:
        await asyncio.gather(sleeper("late", 3), sleeper("early", 1), sleeper("early too", 1))

    asyncio.run(both())
    assert woken == [("early", 1), ("early too", 1), ("late", 3)]


def test_fake_clock_forgets_a_cancelled_sleeper() -> None:
    clock = FakeClock()

    async def cancelled() -> None:
        task = asyncio.create_task(clock.sleep(100))
        other = asyncio.create_task(clock.sleep(1))
        await asyncio.sleep(0)
        task.cancel()
        await other
        assert clock.now() == 1

    asyncio.run(cancelled())


# --- the pace


@given(
    rate=st.one_of(st.integers(1, 40), st.floats(0.05, 40)),
    at_once=st.integers(1, 6),
    n=st.integers(1, 60),
    late_s=st.sampled_from([0, 0.001, 0.02, 0.3]),
    work_s=st.sampled_from([0, 0.05, 1.5]),
    seed=st.integers(0, 9),
)
@example(rate=20, at_once=6, n=60, late_s=0.02, work_s=0.0, seed=1)
def test_never_more_starts_in_any_second_than_allowed(
    rate: float, at_once: int, n: int, late_s: float, work_s: float, seed: int
) -> None:
    starts = starts_of(Pace(rate, at_once), n, late_s=late_s, work_s=work_s, seed=seed)
    assert len(starts) == n
    assert busiest_second(starts) <= max(1, ceil(rate))
    if rate < 1:
        assert all(later - earlier >= 1 / rate for earlier, later in pairwise(starts))


@pytest.mark.parametrize("rate", [0.5, 1, 2.5, 5, 20, 60])
@pytest.mark.parametrize("late_s", [0, 0.005, 0.02])
def test_nearly_all_of_the_rate_is_used(rate: float, late_s: float) -> None:
    starts = starts_of(Pace(rate, 2), max(30, int(rate * 8)), late_s=late_s)
    assert (len(starts) - 1) / (starts[-1] - starts[0]) >= 0.98 * rate


def test_starts_are_spread_evenly_from_the_first_on() -> None:
    gaps = [later - earlier for earlier, later in pairwise(starts_of(Pace(10, 4), 30))]
    assert min(gaps) == pytest.approx(max(gaps)) == pytest.approx(0.1, rel=0.02)


def test_idle_time_is_not_made_up_for() -> None:
    clock = FakeClock()
    throttle = Throttle(Pace(10, 1), clock)

    async def after_a_rest() -> list[float]:
        await throttle.acquire()
        throttle.release()
        await clock.sleep(60)
        starts = []
        for _ in range(3):
            await throttle.acquire()
            starts.append(clock.now())
            throttle.release()
        return starts

    assert asyncio.run(after_a_rest()) == pytest.approx([60, 60.1, 60.2], abs=0.01)


def test_without_a_rate_only_the_places_count() -> None:
    assert starts_of(Pace(None, 3), 50) == [0.0] * 50
    assert starts_of(Pace(float("inf"), 3), 50)[-1] < 0.01


def test_first_come_first_served() -> None:
    clock, order = FakeClock(), list[int]()
    throttle = Throttle(Pace(10, 1), clock)

    async def one(number: int) -> None:
        await throttle.acquire()
        order.append(number)
        throttle.release()

    async def everyone() -> None:
        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(everyone())
    assert order == list(range(20))


def test_a_real_clock_keeps_the_pace_across_two_loops() -> None:
    throttle = Throttle(Pace(40, 4))
    starts: list[float] = []

    async def some() -> None:
        for _ in range(30):
            await throttle.acquire()
            starts.append(time.monotonic())
            throttle.release()

    threads = [threading.Thread(target=asyncio.run, args=(some(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(starts) == 60
    assert busiest_second(starts) <= 40
    assert RealClock() == RealClock()


# --- pausing, changing, cancelling


def test_a_pause_holds_back_those_who_wait_already() -> None:
    clock, starts = FakeClock(), list[float]()
    throttle = Throttle(Pace(10, 3), clock)

    async def one() -> None:
        await throttle.acquire()
        starts.append(clock.now())
        throttle.release()

    async def paused() -> None:
        tasks = [asyncio.create_task(one()) for _ in range(4)]
        await clock.sleep(0.15)
        throttle.pause(30)
        throttle.pause(5)  # shortens nothing
        await asyncio.gather(*tasks)

    asyncio.run(paused())
    assert starts[:2] == pytest.approx([0, 0.1], abs=0.01)
    assert starts[2:] == pytest.approx([30.15, 30.25], abs=0.01)


def test_another_pace_holds_for_those_who_wait() -> None:
    clock, in_flight = FakeClock(), list[int]()
    throttle = Throttle(Pace(None, 1), clock)

    async def one(number: int) -> None:
        await throttle.acquire()
        in_flight.append(number)

    async def changed() -> None:
        tasks = [asyncio.create_task(one(number)) for number in range(3)]
        await clock.sleep(1)
        assert in_flight == [0]
        throttle.set_pace(Pace(5, 3))
        await asyncio.gather(*tasks)
        assert throttle.pace == Pace(5, 3)

    asyncio.run(changed())
    assert in_flight == [0, 1, 2]


async def _all_places_are_free(throttle: Throttle) -> None:
    for _ in range(throttle.pace.max_at_once):
        await asyncio.wait_for(throttle.acquire(), 5)
    for _ in range(throttle.pace.max_at_once):
        throttle.release()


@given(
    seed=st.integers(0, 10_000),
    at_once=st.integers(1, 3),
    rate=st.sampled_from([None, 5, 20]),
)
def test_cancelling_loses_no_place_and_no_turn(seed: int, at_once: int, rate: float | None) -> None:
    clock, chance = FakeClock(), random.Random(seed)
    throttle = Throttle(Pace(rate, at_once), clock)
    through: list[int] = []

    async def one(number: int) -> None:
        await throttle.acquire()
        try:
            through.append(number)
            await clock.sleep(chance.random())
        finally:
            throttle.release()

    async def some_cancelled() -> None:
        tasks = [asyncio.create_task(one(number)) for number in range(12)]
        doomed = chance.sample(range(12), 6)
        for number in doomed:
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            tasks[number].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert set(range(12)) - set(doomed) <= set(through)
        await _all_places_are_free(throttle)

    asyncio.run(some_cancelled())


def test_a_waiter_whose_loop_is_gone_is_passed_over() -> None:
    throttle = Throttle(Pace(None, 1))
    gone = asyncio.new_event_loop()
    held = asyncio.new_event_loop()
    held.run_until_complete(throttle.acquire())
    waiting = gone.create_task(throttle.acquire())
    gone.run_until_complete(asyncio.sleep(0))
    waiting.get_loop()._ready.clear()  # type: ignore[attr-defined]
    gone.close()
    throttle.release()
    held.run_until_complete(_all_places_are_free(throttle))
    assert not waiting.done()
    held.close()
    waiting._log_destroy_pending = False  # type: ignore[attr-defined]


# --- shared throttles


def test_one_throttle_for_a_host_and_key() -> None:
    clock = FakeClock()
    first = throttle_for("app.pendo.io", "key", Pace(5, 2), clock)
    assert throttle_for("app.pendo.io", "key", Pace(5, 2), clock) is first
    assert throttle_for("app.pendo.io", "other", Pace(5, 2), clock) is not first
    assert throttle_for("data.pendo.io", "key", Pace(5, 2), clock) is not first
    assert throttle_for("app.pendo.io", "key", Pace(5, 2), FakeClock()) is not first


def test_real_clocks_share_and_the_latest_pace_holds() -> None:
    first = throttle_for("here", "key", Pace(5, 2))
    assert throttle_for("here", "key", Pace(3, 1)) is first
    assert first.pace == Pace(3, 1)


def test_the_registry_holds_no_key_and_nothing_that_nobody_uses() -> None:
    held = throttle_for("here", "s3cret-key", Pace(5, 2))
    assert "s3cret-key" not in repr(list(rooms._shared))
    del held
    gc.collect()
    assert not [name for name in rooms._shared if name[0] == "here"]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="no fork on this system")
def test_a_forked_process_begins_with_no_throttle() -> None:
    script = (
        "import os; from pendosync.throttle import throttle_for; from pendosync.regions import Pace\n"
        "first = throttle_for('h', 'k', Pace(5, 2))\n"
        "pid = os.fork()\n"
        "if not pid: os._exit(throttle_for('h', 'k', Pace(5, 2)) is first)\n"
        "raise SystemExit(os.waitpid(pid, 0)[1])"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


# --- the transport


class Scripted(httpx.AsyncBaseTransport):
    """Answers as told, and remembers whether it was closed."""

    def __init__(self, answer: Callable[[httpx.Request], Awaitable[httpx.Response]]) -> None:
        self._answer = answer
        self.is_closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._answer(request)

    async def aclose(self) -> None:
        self.is_closed = True


def answering(*answers: httpx.Response) -> Scripted:
    left = list(answers)

    async def answer(_: httpx.Request) -> httpx.Response:
        return left.pop(0) if len(left) > 1 else left[0]

    return Scripted(answer)


REQUEST = httpx.Request("GET", "https://app.pendo.io/")


def test_a_place_is_free_once_the_body_is_closed() -> None:
    async def read() -> None:
        throttle = Throttle(Pace(None, 1), FakeClock())
        transport = ThrottledTransport(answering(httpx.Response(200, content=b"abc")), throttle)
        response = await transport.handle_async_request(REQUEST)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(throttle.acquire(), 0.01)
        assert await response.aread() == b"abc"
        await response.aclose()
        await response.aclose()
        await _all_places_are_free(throttle)

    asyncio.run(read())


def test_a_place_is_free_after_an_error_and_after_a_cancelled_body() -> None:
    async def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("cut")

    async def endless(_: httpx.Request) -> httpx.Response:
        async def chunks() -> AsyncIterator[bytes]:
            while True:
                yield b"x"
                await asyncio.sleep(0.001)

        return httpx.Response(200, content=chunks())

    def stop() -> None:
        raise KeyError("stopped")

    async def each() -> None:
        throttle = Throttle(Pace(None, 1), FakeClock())
        with pytest.raises(httpx.ReadError):
            await ThrottledTransport(Scripted(broken), throttle).handle_async_request(REQUEST)
        await _all_places_are_free(throttle)
        async with httpx.AsyncClient(transport=ThrottledTransport(Scripted(endless), throttle)) as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.get("https://app.pendo.io/"), 0.05)
            await _all_places_are_free(throttle)
            with pytest.raises(KeyError):
                await client.get("https://app.pendo.io/", extensions={ON_START: stop})
        await _all_places_are_free(throttle)

    asyncio.run(each())


@pytest.mark.parametrize(
    ("status", "headers", "paused_s"),
    [
        (429, {"Retry-After": "7"}, 7),
        (503, {"Retry-After": "2.5"}, 2.5),
        (
            503,
            {"Retry-After": format_datetime(NOON + timedelta(seconds=9)), "Date": format_datetime(NOON)},
            9,
        ),
        (429, {"Retry-After": "soon"}, 0),
        (429, {}, 0),
        (200, {"Retry-After": "7"}, 0),
        (500, {"Retry-After": "7"}, 0),
    ],
)
def test_retry_after_holds_back_everyone(status: int, headers: dict[str, str], paused_s: float) -> None:
    clock = FakeClock()
    throttle = Throttle(Pace(None, 2), clock)

    async def asked() -> float:
        transport = ThrottledTransport(answering(httpx.Response(status, headers=headers)), throttle)
        await (await transport.handle_async_request(REQUEST)).aclose()
        await throttle.acquire()
        return clock.now()

    assert asyncio.run(asked()) == pytest.approx(paused_s, abs=0.001)


def test_the_inner_transport_is_closed() -> None:
    inner = answering(httpx.Response(200))
    asyncio.run(ThrottledTransport(inner, Throttle(Pace(5, 2))).aclose())
    assert inner.is_closed


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        (" 30 ", 30),
        ("1.5", 1.5),
        ("86400", LONGEST_PAUSE_S),
        ("9" * 400, LONGEST_PAUSE_S),
        ("Mon, 23 Nov 2026 12:00:30 GMT", 30),
        ("Mon, 23 Nov 2026 13:00:30 +0100", 30),
        ("Mon, 23 Nov 2026 12:00:30 -0000", 30),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0),
        ("Mon, 23 Nov 2099 12:00:00 GMT", LONGEST_PAUSE_S),
        ("-5", None),
        ("inf", None),
        ("nan", None),
        ("1e3", None),
        ("٣", None),
        ("", None),
        ("Mon, 99 Nov 2026 12:00:30 GMT", None),
    ],
)
def test_retry_after_is_read(text: str, seconds: float | None) -> None:
    assert parse_retry_after(text, NOON) == seconds


@given(st.text())
def test_retry_after_never_raises_and_never_asks_too_much(text: str) -> None:
    seconds = parse_retry_after(text, NOON)
    assert seconds is None or 0 <= seconds <= LONGEST_PAUSE_S
