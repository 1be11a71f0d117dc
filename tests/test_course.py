"""A run's course is told in few numbers, however long it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendosync.frames import Progress
from pendosync.preview.course import MOST, Course

START = Progress("r", "", "running", 10_000, 100, 0, 0)


def course_of(*known: tuple[float, int]) -> Course:
    course = Course()
    for at_s, n in known:
        course.note(replace(START, elapsed_s=at_s, counts={"updated": n}))
    return course


def test_ids_that_come_together_count_for_the_time_since_the_last() -> None:
    assert course_of((0, 0), (1, 0), (2, 0), (3, 300), (4, 300), (5, 500)).per_s() == [
        100,
        100,
        100,
        100,
        100,
    ]


def test_a_rest_counts_as_one() -> None:
    course = course_of((0, 0), (1, 100))
    for at_s in (2, 3):
        course.note(replace(START, elapsed_s=at_s, counts={"updated": 100}, waits_s=9.0))
    course.note(replace(START, elapsed_s=4, counts={"updated": 100}, state="paused"))
    course.note(replace(START, elapsed_s=5, counts={"updated": 200}))
    assert course.per_s() == [100, 0, 0, 0, 100]


def test_what_was_done_before_the_first_note_is_not_counted() -> None:
    assert course_of((500, 4000), (501, 4100)).per_s() == [100]


@pytest.mark.parametrize("seconds", [MOST, MOST + 1, 1000, 100_000])
def test_a_long_run_has_no_more_stretches_and_loses_no_id(seconds: int) -> None:
    step = max(1, seconds // 5000)
    course = course_of(*((at_s, 3 * at_s) for at_s in range(0, seconds + 1, step)))
    told = course.per_s()
    assert len(told) <= MOST
    assert told[:-1] == [pytest.approx(3)] * (len(told) - 1)


def test_a_clock_that_was_set_back_breaks_nothing() -> None:
    assert course_of((10, 0), (11, 100), (4, 200), (12, 300)).per_s() == [200, 100]
