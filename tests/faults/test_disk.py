"""The journal's disk may be full, read-only, locked or damaged: no outcome is wrong, and what the error says works."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from random import Random

import pytest

import pendosync as ps
from benchmarks.disks import (
    DAMAGES,
    damaged,
    full_disk,
    killed_push,
    locked_file,
    push_what_is_missing,
    read_only_disk,
)
from benchmarks.kills import Victims
from benchmarks.trials import Judge, SkippedError, Stage, only_run, open_stage

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows keeps open files from being damaged."
)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with open_stage(rows=400, batch_size=20, in_flight=2, latency_s=0.02) as opened:
        yield opened


@pytest.fixture(scope="module")
def victims(stage: Stage) -> Iterator[Victims]:
    with Victims(stage) as opened:
        yield opened


def ensure_true(judge: Judge) -> None:
    assert (judge.lost, judge.twice, judge.wrong) == (0, 0, 0)


def staged(trial: Callable[[], Judge]) -> Judge:
    """Run a trial that needs a disk of its own; skipped where none can be mounted."""
    try:
        return trial()
    except SkippedError as skipped:
        pytest.skip(str(skipped))


@pytest.mark.parametrize("seed", [2, 5])
def test_a_full_disk_stops_the_run_until_there_is_room(stage, seed: int) -> None:
    ensure_true(staged(lambda: full_disk(stage, Random(seed))))  # 2: from the start, 5: after fifteen batches


def test_a_read_only_disk_lets_a_run_be_read_and_not_gone_on_with(stage, victims) -> None:
    ensure_true(staged(lambda: read_only_disk(stage, victims, Random(1))))


def test_a_journal_that_is_locked_for_a_moment_is_waited_for(stage) -> None:
    judge = locked_file(stage, Random(1), hold_s=0.5)
    ensure_true(judge)
    assert judge.again == 0


def test_a_journal_that_stays_locked_stops_the_run(stage) -> None:
    ensure_true(locked_file(stage, Random(1), hold_s=3.5))


@pytest.mark.parametrize("what", DAMAGES)
def test_damage_is_told_or_does_no_harm(stage, victims, what: str) -> None:
    ensure_true(damaged(stage, victims, DAMAGES[what], Random(1)))


def test_writes_that_are_gone_are_told_though_the_file_can_be_read(stage, victims) -> None:
    stage.begin()
    journal = killed_push(stage, victims, Random(1))
    run_id = str(only_run(journal))
    DAMAGES["its log removed"](journal.path / run_id, Random(1))
    with pytest.raises(
        ps.JournalError, match=rf"written last is gone: \d+ writes.*read_plan\(journal, '{run_id}'\)"
    ) as caught:
        ps.read_outcomes(journal, run_id)
    with stage.client() as client, pytest.raises(ps.JournalError, match="written last is gone"):
        ps.resume_push(journal, run_id, client=client, show=False)
    push_what_is_missing(stage, journal, run_id, caught.value)
    assert stage.sandbox.digest("visitor") == stage.expected


def test_a_run_whose_plan_is_damaged_keeps_its_table(stage, victims) -> None:
    stage.begin()
    journal = killed_push(stage, victims, Random(1))
    run_id = str(only_run(journal))
    DAMAGES["a part of its plan missing"](journal.path / run_id, Random(1))
    with pytest.raises(
        ps.PlanError, match=rf"(?s)run {run_id} .*part-0000.parquet is missing.*plan_table"
    ) as caught:
        ps.read_outcomes(journal, run_id)
    push_what_is_missing(stage, journal, run_id, caught.value)
    assert stage.sandbox.digest("visitor") == stage.expected
