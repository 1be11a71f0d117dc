"""How much may start when: the arithmetic of a pace. Knows no clock, waits for nobody, and is locked by who uses it.

All times are monotonic seconds that are handed in; the day's time plays no part.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

LOWEST_PER_SECOND: Final = 0.1
"""No refusal lowers a rate below one request in ten seconds: what is lower can't learn that it may rise again."""

RECOVERY_S: Final = 30.0
"""How long success takes to raise a rate from nothing to all of it; from half, half of that."""

_STEP_S: Final = 1.0
_SHORTEST_LOOK_S: Final = 0.05

_MARGIN_S: Final = 0.003
"""Added to the window, for clocks that are not that fine."""

_SLACK: Final = 0.014
"""The schedule runs this share below the rate: room for timers that wake late, and for what is under way unevenly."""

_LEAST_SLACK: Final = 0.005
"""It runs this much below while it makes up for time that was lost, as when a busy cell held up the loop."""

_CATCH_UP_S: Final = 0.05
"""Lateness it makes up for at once, at least; one interval where that is longer."""

_EVEN: Final = 0.75
"""One more than the limit comes this share of an interval later than it might: so one that arrives late by less makes
a second hold one more than the limit where it arrives, and not two."""

_LONGEST_LOSS_S: Final = 1.0
"""Who comes later than this was not held up, but had nothing to start."""

_MOST_PER_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Pacing:
    """How hard a host is driven at this moment, by all who share its throttle.

    Attributes:
        per_second: requests a second that may start now; None is unlimited.
        max_per_second: the set pace; None is unlimited.
        pause_s: seconds for which Pendo holds everything back; 0 where it does not.
        in_flight: requests that were started and not answered to the end.

    Example:
        >>> Pacing(2.5, 5, pause_s=12, in_flight=0).note
        'held back by Pendo for 12 s, rate 2.5 of 5 a second'
    """

    per_second: float | None
    max_per_second: float | None
    pause_s: float
    in_flight: int

    @property
    def is_lowered(self) -> bool:
        """Whether refusals hold the rate below the set pace."""
        return self.per_second != self.max_per_second

    @property
    def note(self) -> str:
        """What holds requests back besides the set pace, in words; empty where nothing does."""
        told = [f"held back by Pendo for {math.ceil(self.pause_s)} s"] if self.pause_s > 0 else []
        if self.is_lowered:
            most = "" if self.max_per_second is None else f" of {self.max_per_second:g}"
            told.append(f"rate {round(self.per_second or 0, 2):g}{most} a second")
        return ", ".join(told)


@dataclass(slots=True)
class Spent:
    """What came, and when."""

    came_s: float
    amount: float


class Limit:
    """At most so much a second of one thing: of starts, or of the rows they carry.

    Two means keep it. A schedule spreads what comes evenly and a little below the limit; it makes up for lateness by
    about one interval, and for more by running closer to the limit for a while. A log of what really came is the hard
    bound: no one-second window (its end excluded) holds more than the limit, rounded up where that is no whole number.
    What is alone larger than the limit has the time amount / limit for itself.

    Attributes:
        per_second: the limit, None for none. It may change at any time.
    """

    def __init__(self, per_second: float | None = None) -> None:
        self.per_second = per_second
        self._next_s = -math.inf
        self._lost_s = 0.0
        self._log: deque[Spent] = deque()
        self._logged = 0.0

    def earliest(self, amount: float) -> float:
        """Return when *amount* may come; the past, where it may at once."""
        rate = _bounded(self.per_second)
        if rate is None or not amount:
            return -math.inf
        room_s, even_s, left = -math.inf, -math.inf, self._logged
        for one in self._log:
            if left + amount <= math.ceil(rate):
                break
            left -= one.amount
            even_s = room_s + _EVEN * one.amount / rate
            room_s = max(room_s, self._end_s(one))
        return max(self._next_s, room_s, even_s)

    def spend(self, amount: float, now: float) -> Spent:
        """Note that *amount* comes now, and return the note: its time may be put off a little."""
        spent = Spent(now, amount)
        if amount:
            while len(self._log) > 1 and self._end_s(self._log[1]) <= now:  # one is kept for `_EVEN`
                self._logged -= self._log.popleft().amount
            self._log.append(spent)
            self._logged += amount
            if rate := _bounded(self.per_second):
                self._schedule(amount / rate, now)
        return spent

    def _schedule(self, share_s: float, now: float) -> None:
        """Move the schedule on by what took *share_s* of the rate."""
        interval_s = share_s * (1 + (_LEAST_SLACK if self._lost_s > 0 else _SLACK))
        late_s = now - self._next_s
        if late_s <= max(interval_s, _CATCH_UP_S):
            self._lost_s = max(self._lost_s - share_s * (_SLACK - _LEAST_SLACK), 0.0)
            self._next_s += interval_s
        else:
            self._lost_s = min(self._lost_s + late_s, _LONGEST_LOSS_S) if late_s < _LONGEST_LOSS_S else 0.0
            self._next_s = now + interval_s

    def measured(self, now: float) -> float:
        """Return how much a second came of late: since the first start in the last second, or else since the last."""
        came = [one for one in self._log if one.came_s > now - 1] or [self._log[-1]]
        return sum(one.amount for one in came) / max(now - came[0].came_s, _SHORTEST_LOOK_S)

    def _end_s(self, spent: Spent) -> float:
        """Return until when something counts that came."""
        rate = _bounded(self.per_second)
        return spent.came_s + max(1.0, spent.amount / rate if rate else 0.0) + _MARGIN_S


class Rate:
    """The rate that holds now: the set one, halved where Pendo asks for less, and raised again where it answers.

    A refusal halves it once for all that was in flight together: what had started before says nothing of the lower
    rate. Each second that sees a success raises it by a thirtieth of the set rate. Where none is set, a refusal brings
    one in, half of what was just measured, and it is lifted away again once success has raised it to that.

    Source: additive increase, multiplicative decrease, as TCP (RFC 5681, section 3.1); Pendo documents no limit.
    """

    def __init__(self) -> None:
        self.max_per_second: float | None = None
        self._lowered: float | None = None
        self._full = 0.0
        self._lowered_at = self._changed_at = -math.inf

    @property
    def per_second(self) -> float | None:
        """What may start in a second; None is unlimited."""
        return self.max_per_second if self._lowered is None else self._lowered

    def set(self, max_per_second: float | None) -> None:
        """Set another rate; one that was lowered stays so, as Pendo has not changed its mind."""
        self.max_per_second = _bounded(max_per_second)
        self._full = self.max_per_second or self._full
        self._settle(self._lowered)

    def lower(self, started_s: float, now: float, measured: float) -> None:
        """Halve the rate because of the answer to a request that started at *started_s*."""
        if started_s <= self._lowered_at:
            return
        if self._lowered is None:
            self._full = self.max_per_second or measured
        self._lowered_at = self._changed_at = now
        self._settle(max((self._lowered or self._full) / 2, LOWEST_PER_SECOND))

    def lift(self, started_s: float, now: float) -> None:
        """Raise a lowered rate by a step because of the answer to a request that started at *started_s*."""
        if self._lowered is None or started_s <= self._lowered_at or now < self._changed_at + _STEP_S:
            return
        self._changed_at = now
        self._settle(self._lowered + self._full * _STEP_S / RECOVERY_S)

    def _settle(self, lowered: float | None) -> None:
        self._lowered = lowered if lowered is not None and lowered < self._full else None


def _bounded(rate: float | None) -> float | None:
    """Return None for a rate that no process can reach."""
    return None if rate is None or rate >= _MOST_PER_SECOND else rate
