"""The arithmetic of a pace: what may start when, and at what rate."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.pacing import LOWEST_PER_SECOND, RECOVERY_S, Limit, Pacing, Rate


def spent(limit: Limit, *amounts: float) -> list[float]:
    """Return when each amount came, one after the other and each as early as may be."""
    now, came = 0.0, list[float]()
    for amount in amounts:
        now = max(now, limit.earliest(amount))
        limit.spend(amount, now)
        came.append(now)
    return came


# --- how things stand


@pytest.mark.parametrize(
    ("pacing", "told"),
    [
        (Pacing(5, 5, 0, 2), ""),
        (Pacing(None, None, 0, 0), ""),
        (Pacing(2.5, 5, 0, 2), "rate 2.5 of 5 a second"),
        (Pacing(0.3125, 5, 0, 2), "rate 0.31 of 5 a second"),
        (Pacing(4, None, 0, 2), "rate 4 a second"),
        (Pacing(1234.567, None, 0, 2), "rate 1234.57 a second"),
        (Pacing(5, 5, 11.2, 0), "held back by Pendo for 12 s"),
        (Pacing(2.5, 5, 0.01, 0), "held back by Pendo for 1 s, rate 2.5 of 5 a second"),
    ],
)
def test_pacing_says_what_holds_back_besides_the_pace(pacing: Pacing, told: str) -> None:
    assert pacing.note == told
    assert pacing.is_lowered is ("rate" in told)


# --- limits


def test_a_limit_spreads_evenly() -> None:
    came = spent(Limit(10), *[1] * 21)
    assert came[1:] == pytest.approx([0.1014 * n for n in range(1, 21)])


def test_no_limit_and_nothing_wait_for_nothing() -> None:
    assert spent(Limit(None), 5, 500, 1) == [0, 0, 0]
    assert spent(Limit(float("inf")), 5, 500, 1) == [0, 0, 0]
    full = Limit(10)
    spent(full, 10)
    assert full.earliest(0) == -math.inf
    assert full.earliest(1) > 1


def test_what_is_larger_than_the_limit_has_its_time_for_itself() -> None:
    came = spent(Limit(100), 50, 250, 10)
    assert came[1] > 1, "what came before is out of its second"
    assert came[2] - came[1] == pytest.approx(2.5, rel=0.02)
    assert came[2] - came[1] >= 2.5


def test_a_limit_that_is_lowered_holds_for_what_came_before() -> None:
    limit = Limit(20)
    came = spent(limit, *[1] * 20)
    limit.per_second = 5
    assert limit.earliest(1) >= came[15] + 1, "four of the twenty are left in the window then"


def test_a_limit_out_of_the_blue_counts_what_came_before_it() -> None:
    limit = Limit(None)
    spent(limit, *[1] * 8)
    limit.per_second = 4
    assert limit.earliest(1) >= 1


def test_what_came_is_measured_over_the_last_second_or_since_the_first_in_it() -> None:
    limit = Limit(None)
    for at in (0, 2.0, 2.25, 2.5):
        limit.spend(1, at)
    assert limit.measured(2.5) == pytest.approx(3 / 0.5)
    assert limit.measured(2.9) == pytest.approx(3 / 0.9)
    assert limit.measured(3.4) == pytest.approx(1 / 0.9)
    assert limit.measured(6.5) == pytest.approx(1 / 4), "long ago: the last one counts"
    burst = Limit(None)
    spent(burst, *[1] * 8)
    assert burst.measured(0.0) == 160, "a burst is no rate"


# --- the rate


def test_a_refusal_halves_and_success_raises_by_steps() -> None:
    rate = Rate()
    rate.set(6)
    rate.lower(started_s=0.5, now=1, measured=99)
    assert (rate.per_second, rate.max_per_second) == (3, 6)
    rate.lift(started_s=1.1, now=1.9)
    assert rate.per_second == 3, "not yet: one step a second"
    seen, now = [rate.per_second], 1.0
    while rate.per_second != 6:
        now += 1
        rate.lift(now, now)
        rate.lift(now, now)
        seen.append(rate.per_second)
    assert seen == pytest.approx([3 + 0.2 * n for n in range(16)])
    assert now - 1 == RECOVERY_S / 2
    rate.lift(now + 9, now + 9)
    assert rate.per_second == 6


def test_what_was_in_flight_together_halves_once() -> None:
    rate = Rate()
    rate.set(8)
    for started in (0.0, 0.1, 0.2, 1.0):
        rate.lower(started, now=1, measured=0)
    rate.lift(1.0, now=5)
    assert rate.per_second == 4, "an answer to what started before says nothing of the lower rate"
    rate.lower(1.2, now=6, measured=0)
    assert rate.per_second == 2


def test_a_rate_has_a_floor() -> None:
    rate = Rate()
    rate.set(5)
    for now in range(1, 20):
        rate.lower(now, now, measured=0)
    assert rate.per_second == LOWEST_PER_SECOND
    slow = Rate()
    slow.set(LOWEST_PER_SECOND / 2)
    slow.lower(1, 1, measured=0)
    assert slow.per_second == LOWEST_PER_SECOND / 2, "a slower pace of one's own is not raised"


def test_without_a_set_rate_a_refusal_brings_one_in_and_success_takes_it_away() -> None:
    rate = Rate()
    rate.set(None)
    rate.lower(1, 1, measured=30)
    assert rate.per_second == 15
    rate.lower(2, 2, measured=15)
    assert rate.per_second == 7.5
    for now in range(3, 40):
        rate.lift(now, now)
    assert rate.per_second is None


def test_a_rate_that_no_process_reaches_is_none() -> None:
    rate = Rate()
    rate.set(float("inf"))
    assert rate.max_per_second is None
    rate.lower(1, 1, measured=30)
    assert rate.per_second == 15


def test_another_set_rate_does_not_undo_what_was_learnt() -> None:
    rate = Rate()
    rate.set(8)
    rate.lower(1, 1, measured=0)
    rate.set(16)
    assert (rate.per_second, rate.max_per_second) == (4, 16)
    rate.set(None)
    assert rate.per_second == 4
    rate.set(3)
    assert rate.per_second == 3
    rate.set(20)
    assert rate.per_second == 20, "all that was learnt is below 4, and 3 was reached"


@given(
    set_rate=st.one_of(st.none(), st.floats(0.01, 1000)),
    told=st.lists(st.tuples(st.booleans(), st.floats(0, 3), st.floats(0, 5)), max_size=60),
)
def test_a_rate_stays_between_its_floor_and_the_set_one(
    set_rate: float | None, told: list[tuple[bool, float, float]]
) -> None:
    rate, now = Rate(), 0.0
    rate.set(set_rate)
    for is_refused, later_s, ago_s in told:
        now += later_s
        if is_refused:
            rate.lower(now - ago_s, now, measured=40.0)
        else:
            rate.lift(now - ago_s, now)
        most = set_rate or math.inf
        assert (rate.per_second or math.inf) <= most
        assert (rate.per_second or math.inf) >= min(LOWEST_PER_SECOND, most)
