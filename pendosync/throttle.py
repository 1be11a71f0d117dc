"""The one place where requests wait: a pace shared by all clients of a host and key, and the transport that keeps it."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import math
import os
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol
from weakref import WeakValueDictionary

import httpx

from pendosync.pacing import Limit, Pacing, Rate, Spent
from pendosync.regions import Pace
from pendosync.retries import retry_after_of
from pendosync.transports import read_whole

ON_START: Final = "pendosync.on_start"
"""The request extension whose callable is called when a request is let through, just before it is handed over."""

ROWS: Final = "pendosync.rows"
"""The request extension that says how many records a request carries."""

_TOO_MUCH: Final = (408, 429)
"""Answers that lower the rate. Source: 408 is Pendo's word for a bulk write that ran too long (read 2026-11-23)."""

_COME_BACK: Final = (429, 503)
"""Answers whose `Retry-After` is meant for everyone."""

_TINY_S: Final = 1e-6
"""A wait as short as rounding: not waited for, as a clock might not move by so little."""

_MOST_LEAD_S: Final = 0.1
"""What is called at a start may begin this much ahead of it, at most."""


class Clock(Protocol):
    """What waits: passed in, so that a test takes no time."""

    def now(self) -> float:
        """Return monotonic seconds."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


@dataclass(frozen=True)
class RealClock:
    """The machine's clock. All of them are equal."""

    def now(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""
        await asyncio.sleep(seconds)


class FakeClock:
    """A clock for tests: it moves only when everybody sleeps, and then at once to the earliest who wakes.

    Example:
        >>> clock = FakeClock()
        >>> asyncio.run(clock.sleep(3600))
        >>> clock.now()
        3600.0
    """

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._wakes: list[float] = []
        self._lock = threading.Lock()

    def now(self) -> float:
        """Return the seconds that have gone by."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Let the others run, then move to the time when this sleep ends."""
        wake = self._now + seconds
        with self._lock:
            heapq.heappush(self._wakes, wake)
        try:
            while self._now < wake:
                for _ in range(3):
                    await asyncio.sleep(0)
                with self._lock:
                    if self._wakes[0] == wake:
                        self._now = max(self._now, wake)
            await asyncio.sleep(0)
        finally:
            with self._lock:
                self._wakes.remove(wake)
                heapq.heapify(self._wakes)


class _Waiter:
    """One who waits for the turn, on whichever loop."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.turn: asyncio.Future[None] = self.loop.create_future()

    def tell(self) -> bool:
        """Say that the turn has come; return False where its loop is gone."""
        try:
            if (
                _running_loop() is self.loop
            ):  # no other thread to wake: nothing that could cost a start its time
                self._wake()
            else:
                self.loop.call_soon_threadsafe(self._wake)
        except RuntimeError:
            return False
        return True

    def _wake(self) -> None:
        if not self.turn.done():
            self.turn.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Throttle:
    """Lets requests start at a pace, whichever thread and event loop they come from.

    One at a time has the turn: it waits until a place is free and its start breaks no limit, starts, and hands the turn
    on. So it is first come, first served, whatever each carries. Where no rate is to be kept, all who find a place have
    it at once.

    No one-second window (its end excluded) ever holds more starts than `max_per_second`, rounded up where that is no
    whole number; below one a second, they lie at least 1/rate seconds apart. Nor does it hold more rows than
    `max_rows_per_second`, save for a request that alone has more: that one has rows/limit seconds for itself. In the
    long run at least 98 % of the rate is used. Of the row limit that is so for batches that divide it without a rest
    (of 1,000 a second: 1,000, 500, 250, 200 …), that are larger than it, or at most a hundredth of it; others use
    floor(limit / batch) batches a second: 600 rows of 1,000 with batches of 600.

    Refusals lower the rate for all and success raises it again, see `Rate`. Only monotonic time counts: a change of the
    day's time moves no start.

    Args:
        pace: starts and rows per second, and how many in flight; None is unlimited.
        clock: what waits.

    Source: measured on a limit of 20 a second, spacing alone lets 21 through, with the log it is 20.
    """

    def __init__(self, pace: Pace, clock: Clock | None = None) -> None:
        self._clock = clock or RealClock()
        self._lock = threading.Lock()  # never held while waiting
        self._waiting: deque[_Waiter] = deque()
        self._turns = 0
        self._in_flight = 0
        self._paused_until = -math.inf
        self._lead_s = 0.0
        self._rate = Rate()
        self._starts, self._rows = Limit(), Limit()
        self.set_pace(pace)

    @property
    def pace(self) -> Pace:
        """The pace that was set last."""
        return self._pace

    @property
    def pacing(self) -> Pacing:
        """How things stand at this moment; from any thread."""
        with self._lock:
            pause_s = max(self._paused_until - self._clock.now(), 0.0)
            return Pacing(self._rate.per_second, self._rate.max_per_second, pause_s, self._in_flight)

    def set_pace(self, pace: Pace) -> None:
        """Keep another pace from now on, for all who share this throttle. A lowered rate is not raised by it."""
        with self._lock:
            self._pace = pace
            self._rate.set(pace.max_per_second)
            self._starts.per_second = self._rate.per_second
            self._rows.per_second = pace.max_rows_per_second
            self._hand_on()

    def pause(self, seconds: float) -> None:
        """Let nobody start for so many seconds from now, not even those who wait already. Never shortens a pause."""
        with self._lock:
            self._paused_until = max(self._paused_until, self._clock.now() + seconds)

    def lower(self, started_s: float) -> None:
        """Halve the rate for all, as a request that started then was too much; once for what was in flight together."""
        with self._lock:
            now = self._clock.now()
            self._rate.lower(started_s, now, self._starts.measured(now))
            self._starts.per_second = self._rate.per_second

    def lift(self, started_s: float) -> None:
        """Raise a lowered rate by a step, as a request that started then was answered well; one step a second."""
        with self._lock:
            self._rate.lift(started_s, self._clock.now())
            self._starts.per_second = self._rate.per_second

    async def acquire(self, rows: int = 0, on_start: Callable[[], Awaitable[None]] | None = None) -> float:
        """Return when one request may start, and its time; each needs its `release`.

        Cancelling the wait takes nobody's turn. *on_start* is awaited at the last moment, while nobody else may start
        where a rate is kept; what it raises stops the start. The time it takes is not lost to the rate: it is called
        that much ahead, up to a tenth of a second. Who was let through so far waits for no pause that begins meanwhile:
        what it has written down of its start would no longer be so.

        Args:
            rows: records that the request carries.
            on_start: what is to be done before it may be handed over.
        """
        await self._take_turn()
        try:
            if on_start is not None:
                await self._wait(rows, early_s=self._lead_s)
                await self._call(on_start)
            await self._wait(rows, is_let_through=on_start is not None)
            return self._start(rows)
        finally:
            self._pass_turn()

    def release(self) -> None:
        """Say that one request is over."""
        with self._lock:
            self._in_flight -= 1
            self._hand_on()

    async def _take_turn(self) -> None:
        with self._lock:
            if self._is_turn_free():  # then nobody waits
                self._turns += 1
                return
            waiter = _Waiter()
            self._waiting.append(waiter)
        try:
            await waiter.turn
        except BaseException:
            self._leave(waiter)
            raise

    def _leave(self, waiter: _Waiter) -> None:
        with self._lock:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
                return
        self._pass_turn()

    def _pass_turn(self) -> None:
        with self._lock:
            self._turns -= 1
            self._hand_on()

    def _hand_on(self) -> None:
        """Give a free turn to who waits longest. The lock is held."""
        while self._waiting and self._is_turn_free():
            self._turns += self._waiting.popleft().tell()

    def _is_turn_free(self) -> bool:
        most = self._pace.max_at_once
        is_place_free = most is None or self._in_flight + self._turns < most
        return is_place_free and not (self._keeps_rate and self._turns)

    @property
    def _keeps_rate(self) -> bool:
        return self._starts.per_second is not None or self._rows.per_second is not None

    async def _wait(self, rows: int, *, early_s: float = 0.0, is_let_through: bool = False) -> None:
        while (wait_s := self._wait_s(rows, is_let_through) - early_s) > _TINY_S:
            await self._clock.sleep(wait_s)

    def _wait_s(self, rows: int, is_let_through: bool) -> float:
        with self._lock:
            earliest = max(self._starts.earliest(1), self._rows.earliest(rows))
            return (earliest if is_let_through else max(earliest, self._paused_until)) - self._clock.now()

    async def _call(self, on_start: Callable[[], Awaitable[None]]) -> None:
        began = self._clock.now()
        await on_start()
        self._lead_s = min(self._clock.now() - began, _MOST_LEAD_S)

    def _start(self, rows: int) -> float:
        with self._lock:
            now = self._clock.now()
            self._in_flight += 1
            spent = (self._starts.spend(1, now), self._rows.spend(rows, now))
            keeps_rate = self._keeps_rate
        if keeps_rate:
            asyncio.get_running_loop().call_soon(self._put_off, spent)
        return now

    def _put_off(self, spent: Iterable[Spent]) -> None:
        """Take this moment, when it has been handed over, for the start: whatever held up this thread, no limit breaks."""
        with self._lock:
            now = self._clock.now()
            for one in spent:
                one.came_s = now


_shared: WeakValueDictionary[tuple[str, str, Clock], Throttle] = WeakValueDictionary()
_shared_lock = threading.Lock()


def throttle_for(host: str, key: str, pace: Pace, clock: Clock | None = None) -> Throttle:
    """Return the throttle that all clients of one host and key share.

    The latest pace given holds for all of them. Only a digest of *key* is kept, and a throttle goes with the last
    client that holds it. A forked process begins with none.

    Args:
        host: name and port.
        key: the secret that the requests carry.
        pace: starts and rows per second, and how many in flight.
        clock: what waits; clocks that are not equal share nothing.
    """
    clock = clock or RealClock()
    name = (host, hashlib.sha256(key.encode()).hexdigest(), clock)
    with _shared_lock:
        throttle = _shared.get(name)
        if throttle is None:
            throttle = _shared[name] = Throttle(pace, clock)
    if throttle.pace != pace:
        throttle.set_pace(pace)
    return throttle


def _forget_shared() -> None:
    """Begin anew after a fork: the parent's waiters, and perhaps a held lock, came along."""
    global _shared, _shared_lock
    _shared, _shared_lock = WeakValueDictionary(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_shared)


class ThrottledTransport(httpx.AsyncBaseTransport):
    """Hands requests to *inner* at the throttle's pace; a place is free again once the answer's body is read.

    A 429 or 503 with `Retry-After` holds back everyone who shares the throttle, a 429 or 408 lowers their rate, and a
    2xx raises it again.

    Args:
        inner: what sends.
        throttle: what waits.

    Source: measured, a limit of 20 kept above the retry let 59 requests through in a second; kept here it is 20.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, throttle: Throttle) -> None:
        self._inner = inner
        self._throttle = throttle

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Wait for a start, send, and give the answer with its body read."""
        marks = request.extensions
        started_s = await self._throttle.acquire(marks.get(ROWS, 0), marks.get(ON_START))
        try:
            response = await self._inner.handle_async_request(request)
            self._heed(response, started_s)
            return await read_whole(response)
        finally:
            self._throttle.release()

    def _heed(self, response: httpx.Response, started_s: float) -> None:
        status = response.status_code
        if status in _COME_BACK and (pause_s := retry_after_of(response.headers)):
            self._throttle.pause(pause_s)
        if status in _TOO_MUCH:
            self._throttle.lower(started_s)
        elif response.is_success:
            self._throttle.lift(started_s)

    async def aclose(self) -> None:
        """Close what sends."""
        await self._inner.aclose()
