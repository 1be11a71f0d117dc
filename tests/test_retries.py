"""When a failed request is tried again, and what `Retry-After` asks for, sense or nonsense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.errors import SettingsError
from pendosync.retries import LONGEST_PAUSE_S, Retry, asked_wait_s, parse_retry_after, retry_after_of

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
YEAR_S = 365 * 86_400


# --- waits


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"base_s": -1}, {"cap_s": float("nan")}, {"total_s": -1}])
def test_retry_refuses_what_can_not_be(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingsError):
        Retry(**wrong)  # type: ignore[arg-type]


def test_the_longest_wait_is_capped() -> None:
    waits = [Retry(cap_s=3).wait_s(tries) for tries in (1, 5, 1000) for _ in range(200)]
    assert 0 <= min(waits) < max(waits) <= 3


def test_those_who_were_told_the_same_time_do_not_come_back_together() -> None:
    waits = [Retry(base_s=0.5).wait_s(1, retry_after_s=40) for _ in range(200)]
    assert 40 <= min(waits) < max(waits) <= 40.5
    assert max(waits) - min(waits) > 0.3


# --- Retry-After


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
        ("Monday, 23-Nov-26 12:00:30 GMT", 30),
        ("Mon Nov 23 12:00:30 2026", 30),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sat, 01 Jan 2400 00:00:00 GMT", LONGEST_PAUSE_S),
        ("Fri, 31 Dec 9999 23:59:59 -2359", LONGEST_PAUSE_S),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0),
        ("1000000000000", LONGEST_PAUSE_S),
        ("1e12", None),
        ("never", None),
        ("   ", None),
        ("5, 10", None),
        ("5 s", None),
    ],
)
def test_retry_after_is_read(text: str, seconds: float | None) -> None:
    assert parse_retry_after(text, NOON) == seconds


@given(st.text())
def test_retry_after_never_raises_and_never_asks_too_much(text: str) -> None:
    seconds = parse_retry_after(text, NOON)
    assert seconds is None or 0 <= seconds <= LONGEST_PAUSE_S


DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "Sun", ""]), st.integers(0, 40), st.sampled_from(["Jan", "Nov", "Foo", "13"]),
    st.integers(0, 99_999), st.integers(0, 30), st.integers(0, 70), st.integers(0, 70),
    st.sampled_from(["GMT", "+0000", "-2359", "+9999", "EST", "", "-99999999999"]),
)  # fmt: skip


@given(DATES, DATES)
def test_no_date_is_too_absurd(text: str, said: str) -> None:
    seconds = parse_retry_after(text, NOON)
    assert seconds is None or 0 <= seconds <= LONGEST_PAUSE_S
    seconds = retry_after_of({"retry-after": text, "date": said})
    assert seconds is None or 0 <= seconds <= LONGEST_PAUSE_S


@pytest.mark.parametrize("years", [-40, 0, 40])
def test_a_date_is_read_against_the_answers_own(years: int) -> None:
    there = NOON + timedelta(seconds=years * YEAR_S)
    told = {"retry-after": format_datetime(there + timedelta(seconds=9)), "date": format_datetime(there)}
    assert retry_after_of(told) == 9, "whatever the clock of this machine says"


@pytest.mark.parametrize("date", [{}, {"date": ""}, {"date": "yesterday"}])
def test_without_a_date_this_machines_clock_is_all_there_is(date: dict[str, str]) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=60)
    seconds = retry_after_of({"retry-after": format_datetime(soon), **date})
    assert seconds is not None
    assert 50 < seconds <= 60


def test_what_is_asked_is_known_uncut() -> None:
    assert asked_wait_s({}) is retry_after_of({}) is None
    assert asked_wait_s({"retry-after": "86400"}) == 86_400
