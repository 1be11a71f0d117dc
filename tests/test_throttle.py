"""The pace: never more in a second than allowed, nearly all of what is allowed, and nobody lost."""

from __future__ import annotations

import asyncio
import gc
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise
from math import ceil

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pendosync import throttle as rooms
from pendosync.pacing import Pacing
from pendosync.regions import Pace
from pendosync.throttle import (
    ON_START,
    FakeClock,
    RealClock,
    Throttle,
    ThrottledTransport,
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


def starts_of(
    pace: Pace,
    n: int,
    *,
    rows: Sequence[int] = (0,),
    late_s: float = 0.0,
    work_s: float = 0.0,
    seed: int = 0,
) -> list[float]:
    """Return when each of *n* requests started, all of them wanting to at time 0; *rows* are theirs in turn."""
    clock = LateClock(late_s, seed)
    throttle = Throttle(pace, clock)
    starts: list[float] = []
    in_flight = 0

    async def one(carries: int) -> None:
        nonlocal in_flight
        await throttle.acquire(carries)
        starts.append(clock.now())
        in_flight += 1
        assert in_flight <= (pace.max_at_once or n)
        if work_s:
            await FakeClock.sleep(clock, clock.random.uniform(0, work_s))
        in_flight -= 1
        throttle.release()

    async def everyone() -> None:
        await asyncio.gather(*(one(rows[at % len(rows)]) for at in range(n)))

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


@pytest.mark.parametrize("rate", [2, 5, 20, 50])
@pytest.mark.parametrize("late_s", [0, 0.02, 0.3])
def test_where_it_arrives_a_second_holds_one_more_at_most(rate: int, late_s: float) -> None:
    jitter = random.Random(0)
    starts = starts_of(Pace(rate, None), rate * 30, late_s=late_s)
    arrivals = sorted(start + jitter.uniform(0, 0.75 / rate) for start in starts)
    assert busiest_second(arrivals) <= rate + 1


@pytest.mark.parametrize("rate", [0.5, 1, 2.5, 5, 20, 60])
@pytest.mark.parametrize("late_s", [0, 0.005, 0.02])
def test_nearly_all_of_the_rate_is_used(rate: float, late_s: float) -> None:
    starts = starts_of(Pace(rate, 2), max(30, int(rate * 8)), late_s=late_s)
    assert (len(starts) - 1) / (starts[-1] - starts[0]) >= 0.98 * rate


def test_starts_are_spread_evenly_from_the_first_on() -> None:
    gaps = [later - earlier for earlier, later in pairwise(starts_of(Pace(10, 4), 30))]
    assert min(gaps) == pytest.approx(max(gaps)) == pytest.approx(0.1, rel=0.02)


@pytest.mark.parametrize("rate", [5, 50])
def test_time_that_a_busy_loop_took_is_made_up_for(rate: int) -> None:
    stalls_s = [0.0] * rate * 10
    stalls_s[rate * 3 :: rate * 10] = [0.1]
    at = handed_over(Pace(rate, None), rate * 60, stalls_s)
    assert (len(at) - 1) / (at[-1] - at[0]) >= 0.98 * rate
    assert busiest_second(at) <= rate


def test_what_holds_up_a_start_on_its_way_breaks_no_limit() -> None:
    """Between being let through and being handed over, a thread may be held up for as long as the system likes."""
    clock, at = WorkClock(), list[float]()
    throttle = Throttle(Pace(5, None), clock)

    async def one(number: int) -> None:
        await throttle.acquire()
        clock.work(0.15 if number % 7 == 3 else 0)
        at.append(clock.now())

    async def everyone() -> None:
        await asyncio.gather(*(one(number) for number in range(100)))

    asyncio.run(everyone())
    assert busiest_second(at) <= 5


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


def test_without_any_limit_everything_starts_at_once() -> None:
    assert starts_of(Pace(None, None), 500, work_s=9.0) == [0.0] * 500


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


# --- rows


def rows_in_busiest_second(starts: list[float], rows: Sequence[int]) -> list[int]:
    """Return the rows of each request in the half-open second that holds most of them."""
    came = [(at, rows[number % len(rows)]) for number, at in enumerate(starts)]
    windows = ([carried for at, carried in came if first <= at < first + 1] for first, _ in came)
    return max(windows, key=sum)


@given(
    limit=st.one_of(st.integers(1, 2000), st.floats(0.5, 2000)),
    rate=st.sampled_from([None, 3, 20]),
    at_once=st.sampled_from([None, 1, 4]),
    rows=st.lists(st.integers(0, 1500), min_size=1, max_size=6),
    late_s=st.sampled_from([0, 0.02, 0.3]),
    work_s=st.sampled_from([0, 0.5]),
)
@example(limit=1000, rate=None, at_once=None, rows=[600], late_s=0, work_s=0)
def test_never_more_rows_in_any_second_than_allowed(
    limit: float, rate: float | None, at_once: int | None, rows: list[int], late_s: float, work_s: float
) -> None:
    starts = starts_of(Pace(rate, at_once, limit), 24, rows=rows, late_s=late_s, work_s=work_s)
    most = rows_in_busiest_second(starts, rows)
    assert sum(most) <= ceil(limit) or len([carried for carried in most if carried]) == 1
    assert rate is None or busiest_second(starts) <= rate
    carrying = [
        (at, rows[number % len(rows)]) for number, at in enumerate(starts) if rows[number % len(rows)]
    ]
    assert all(
        later - at >= carried / limit for (at, carried), (later, _) in pairwise(carrying) if carried > limit
    )


@pytest.mark.parametrize("batch", [7, 9, 10, 20, 100, 125, 200, 250, 333, 500, 1000, 1001, 1500, 4000])
@pytest.mark.parametrize("late_s", [0, 0.005])
def test_nearly_all_of_the_row_limit_is_used(batch: int, late_s: float) -> None:
    n = max(30, 10_000 // batch)
    starts = starts_of(Pace(None, None, 1000), n, rows=[batch], late_s=late_s)
    assert (n - 1) * batch / (starts[-1] - starts[0]) >= 0.98 * 1000


def test_only_whole_batches_fit_into_a_second() -> None:
    starts = starts_of(Pace(None, None, 1000), 20, rows=[600])
    assert 19 * 600 / starts[-1] == pytest.approx(600, rel=0.02)
    assert Pace(None, None, 1000).expected_s(20, rows=12_000) == 20


def test_requests_without_rows_pass_by_the_row_limit() -> None:
    starts = starts_of(Pace(None, 1, 100), 6, rows=[100, 0, 0])
    assert starts[:3] == [0, 0, 0]
    assert starts[3:] == pytest.approx([1.014] * 3)


def test_a_large_request_is_not_passed_over_by_small_ones() -> None:
    starts = starts_of(Pace(None, None, 100), 12, rows=[30, 30, 100, 10, 10, 10])
    assert starts == sorted(starts)
    assert starts[2] < starts[3], "it has a second of its own, though those behind it would fit in before"


# --- what is done at a start


class WorkClock(FakeClock):
    """A clock on which work takes time that no one else can use."""

    def work(self, seconds: float) -> None:
        self._now += seconds


def handed_over(pace: Pace, n: int, works_s: Sequence[float]) -> list[float]:
    """Return when each of *n* requests was handed to the transport, each after work of so many seconds."""
    clock, at, begun = WorkClock(), list[float](), list[float]()

    async def hand_over(_: httpx.Request) -> httpx.Response:
        at.append(clock.now())
        return httpx.Response(200)

    async def one(number: int) -> None:
        async def begin() -> None:
            begun.append(clock.now())
            clock.work(works_s[number % len(works_s)])

        request = httpx.Request("GET", "https://app.pendo.io/", extensions={ON_START: begin})
        await (await transport.handle_async_request(request)).aclose()

    async def everyone() -> None:
        await asyncio.gather(*(one(number) for number in range(n)))

    transport = ThrottledTransport(Scripted(hand_over), Throttle(pace, clock))
    asyncio.run(everyone())
    assert all(late - early <= max(works_s) + 0.1 + 1e-6 for early, late in zip(begun, at, strict=True))
    return at


@given(
    rate=st.one_of(st.integers(1, 40), st.floats(0.3, 40)),
    works_s=st.lists(st.sampled_from([0, 0.001, 0.01, 0.03, 0.2, 1.5]), min_size=1, max_size=7),
)
@example(rate=5, works_s=[1.5, 0])
def test_what_is_done_at_a_start_breaks_no_limit(rate: float, works_s: list[float]) -> None:
    assert busiest_second(handed_over(Pace(rate, None), 40, works_s)) <= max(1, ceil(rate))


@pytest.mark.parametrize("work_s", [0, 0.005, 0.03])
@pytest.mark.parametrize("rate", [1, 5, 20])
def test_what_is_done_at_a_start_costs_no_rate(rate: float, work_s: float) -> None:
    at = handed_over(Pace(rate, None), int(rate * 10) + 1, [work_s])
    assert (len(at) - 1) / (at[-1] - at[0]) >= 0.98 * rate


def test_what_stops_a_start_takes_no_turn_and_no_room() -> None:
    clock = FakeClock()
    throttle = Throttle(Pace(1, 1), clock)

    async def stopped() -> float:
        with pytest.raises(KeyError):
            await throttle.acquire(0, stop)
        return await asyncio.wait_for(throttle.acquire(), 5)

    async def stop() -> None:
        raise KeyError

    assert asyncio.run(stopped()) == 0
    assert throttle.pacing.in_flight == 1


# --- what Pendo says


def told(throttle: Throttle, *statuses: int, latency_s: float = 0.0, **headers: str) -> list[Pacing]:
    """Return how the throttle stands after each of these answers, one request after the other."""
    clock, left = throttle._clock, list(statuses)

    async def answer(_: httpx.Request) -> httpx.Response:
        await clock.sleep(latency_s)
        return httpx.Response(left.pop(0), headers=headers)

    async def each() -> list[Pacing]:
        transport, stands = ThrottledTransport(Scripted(answer), throttle), list[Pacing]()
        for _ in statuses:
            await (await transport.handle_async_request(REQUEST)).aclose()
            stands.append(throttle.pacing)
        return stands

    return asyncio.run(each())


@pytest.mark.parametrize("status", [429, 408])
def test_too_much_halves_the_rate_and_success_raises_it_to_the_set_one(status: int) -> None:
    throttle = Throttle(Pace(6, 2), FakeClock())
    rates = [stands.per_second for stands in told(throttle, status, status, *[200] * 200)]
    assert rates[:3] == [3, 1.5, 1.5]
    assert rates == sorted(rates[:2], reverse=True) + sorted(rates[2:], key=float)
    assert rates[-1] == 6
    steps = [later - rate for rate, later in pairwise(rates[2:]) if later != rate]
    assert steps[:-1] == pytest.approx([6 / 30] * (len(steps) - 1))


@pytest.mark.parametrize("status", [200, 400, 404, 409, 425, 500, 503])
def test_other_answers_lower_nothing(status: int) -> None:
    assert told(Throttle(Pace(6, 2), FakeClock()), status)[0].per_second == 6


def test_only_success_raises_a_rate() -> None:
    throttle = Throttle(Pace(6, 2), FakeClock())
    assert {stands.per_second for stands in told(throttle, 429, *[404, 500, 302, 503] * 5)} == {3}


def test_a_burst_of_refusals_halves_once() -> None:
    clock = FakeClock()
    throttle = Throttle(Pace(None, 8), clock)

    async def answer(_: httpx.Request) -> httpx.Response:
        await clock.sleep(0.5)
        return httpx.Response(429)

    async def burst() -> None:
        transport = ThrottledTransport(Scripted(answer), throttle)

        async def one() -> None:
            await (await transport.handle_async_request(REQUEST)).aclose()

        await asyncio.gather(*(one() for _ in range(8)))

    asyncio.run(burst())
    assert throttle.pacing.per_second == 8, "eight in half a second, halved"


def test_without_a_set_rate_one_is_brought_in_and_lifted_away_again() -> None:
    throttle = Throttle(Pace(None, 1), FakeClock())
    stands = told(throttle, *[200] * 9, 429, *[200] * 200, latency_s=0.1)
    rates = [one.per_second for one in stands]
    assert rates[:9] == [None] * 9
    assert rates[9] == pytest.approx(5, rel=0.01), "ten a second, halved"
    assert rates[-1] is None
    assert {one.max_per_second for one in stands} == {None}


def test_a_lowered_rate_is_kept() -> None:
    clock = FakeClock()
    throttle = Throttle(Pace(20, None), clock)
    told(throttle, 429)
    starts: list[float] = []

    async def one() -> None:
        await throttle.acquire()
        starts.append(clock.now())
        throttle.release()

    async def some() -> None:
        await clock.sleep(1)
        await asyncio.gather(*(one() for _ in range(30)))

    asyncio.run(some())
    assert busiest_second(starts) == 10


def test_the_pace_settles_below_what_is_borne() -> None:
    """A Pendo that bears eight a second, of twenty that are set: few refusals, and most of the eight are used."""
    clock, came, refused = FakeClock(), list[float](), list[float]()
    throttle = Throttle(Pace(20, 4), clock)

    async def answer(_: httpx.Request) -> httpx.Response:
        now = clock.now()
        is_full = sum(at > now - 1 for at in came) >= 8
        (refused if is_full else came).append(now)
        await clock.sleep(0.1)
        return httpx.Response(429 if is_full else 200, headers={"Retry-After": "1"})

    async def worker() -> None:
        transport = ThrottledTransport(Scripted(answer), throttle)
        while clock.now() < 300:
            await (await transport.handle_async_request(REQUEST)).aclose()

    async def everyone() -> None:
        await asyncio.gather(*(worker() for _ in range(4)))

    asyncio.run(everyone())
    assert len(came) >= 0.6 * 8 * 300
    assert len(refused) <= 0.04 * len(came)


def test_pacing_tells_how_things_stand() -> None:
    clock = FakeClock()
    throttle = Throttle(Pace(5, 2), clock)
    assert throttle.pacing == Pacing(5, 5, pause_s=0, in_flight=0)

    async def seen() -> list[Pacing]:
        stands = []
        await throttle.acquire()
        throttle.pause(12)
        waiting = asyncio.create_task(throttle.acquire())
        for _ in range(2):
            stands.append(throttle.pacing)
            await clock.sleep(10)
        await waiting
        stands.append(throttle.pacing)
        return stands

    stands = asyncio.run(seen())
    assert [(one.pause_s, one.in_flight) for one in stands] == [(12, 1), (2, 1), (0, 2)]
    assert stands[1].note == "held back by Pendo for 2 s"


# --- clocks that jump


def test_the_days_time_plays_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = random.Random(0)
    monkeypatch.setattr(time, "time", lambda: jumps.uniform(0, 4e9))
    throttle = Throttle(Pace(40, 4))
    starts: list[float] = []

    async def some() -> None:
        for _ in range(60):
            await throttle.acquire()
            starts.append(time.perf_counter())
            throttle.release()

    asyncio.run(asyncio.wait_for(some(), 20))
    assert busiest_second(starts) <= 40
    assert 59 / (starts[-1] - starts[0]) >= 0.9 * 40


def test_a_leap_of_the_clock_is_idle_time() -> None:
    clock = WorkClock()
    throttle = Throttle(Pace(5, None), clock)
    starts: list[float] = []

    async def some() -> None:
        for number in range(20):
            if number == 7:
                clock.work(86_400)
            await throttle.acquire()
            starts.append(clock.now())

    asyncio.run(some())
    assert busiest_second(starts) <= 5
    assert starts[-1] - starts[0] == pytest.approx(86_400 + 18 * 0.2, rel=0.01)


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


def test_another_client_with_another_pace_does_not_undo_what_was_learnt() -> None:
    clock = FakeClock()
    first = throttle_for("here", "key", Pace(8, 2), clock)
    told(first, 429)
    for pace, rate in ((Pace(16, 2), 4), (Pace(3, 2), 3)):
        throttle_for("here", "key", pace, clock)
        assert (first.pacing.per_second, first.pacing.max_per_second) == (rate, pace.max_per_second)


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


def test_a_place_is_free_once_the_body_is_read() -> None:
    async def read() -> None:
        throttle, has_come = Throttle(Pace(None, 1), FakeClock()), asyncio.Event()

        async def body() -> AsyncIterator[bytes]:
            yield b"a"
            await has_come.wait()
            yield b"bc"

        transport = ThrottledTransport(answering(httpx.Response(200, content=body())), throttle)
        answer = asyncio.create_task(transport.handle_async_request(REQUEST))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(throttle.acquire(), 0.01)
        has_come.set()
        assert await (await answer).aread() == b"abc"
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

    async def stop() -> None:
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
