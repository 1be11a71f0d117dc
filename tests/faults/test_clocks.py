"""Clocks that jump: who holds a run, how long is waited, and what is shown, whatever the time is said to be."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from filelock import FileLock

import pendosync as ps
from pendosync.runfile import LEASE_S, RunRecord
from tests.test_push import IDS, a_plan, statuses, writes

HOURS_S = 5 * 3600.0


def set_lease(journal: ps.Journal, run_id: str, *, beat_s: float, host: str | None = None) -> None:
    """Let the lease's last word be *beat_s* from now, and perhaps another machine's."""
    beat_at = int((datetime.now(UTC).timestamp() + beat_s) * 1000)
    with closing(sqlite3.connect(journal.path / run_id / "run.sqlite")) as db, db:
        db.execute("UPDATE lease SET beat_at = ?, host = COALESCE(?, host)", (beat_at, host))


def a_stopped_run(sandbox: ps.Sandbox, client: ps.Client, journal: ps.Journal) -> str:
    plan = a_plan(client)
    sandbox.misbehave("status", method="POST", status=404, times=None)
    with pytest.raises(ps.PushError) as caught:
        ps.push(plan, client=client, journal=journal, show=False).wait()
    sandbox.behave()
    with closing(sqlite3.connect(journal.path / caught.value.run_id / "run.sqlite")) as db, db:
        db.execute("UPDATE run SET state = 'running'")
    return caught.value.run_id


@pytest.mark.parametrize("jump_s", [HOURS_S, -HOURS_S])
def test_a_pusher_of_this_machine_is_never_taken_over_however_its_clock_jumps(
    sandbox, client, journal, jump_s: float
) -> None:
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(25, 1))) as paced:
        run = ps.push(
            a_plan(paced, batch_size=1).lift(recheck=None), client=paced, journal=journal, show=False
        )
        while not writes(sandbox):
            time.sleep(0.01)
        set_lease(journal, run.id, beat_s=jump_s)
        with pytest.raises(ps.HeldError, match="one pusher at a time"):
            ps.resume_push(journal, run.id, client=client)
        assert ps.read_runs(journal)["state"].to_list() == ["running"]
        assert statuses(run.wait()) == {"updated": 40}
    assert set(sandbox.writes("visitor").values()) == {1}


@pytest.mark.parametrize(
    ("beat_s", "free_in_s"),
    [(-HOURS_S, 0), (-LEASE_S - 1, 0), (-20, 40), (-1, 59), (20, 80), (LEASE_S - 5, 115), (LEASE_S + 5, 0), (HOURS_S, 0)],
)  # fmt: skip
def test_another_machines_lease_ends_though_its_clock_be_ahead(
    sandbox, client, journal, beat_s: float, free_in_s: float
) -> None:
    run_id = a_stopped_run(sandbox, client, journal)
    set_lease(journal, run_id, beat_s=beat_s, host="elsewhere")
    (state,) = ps.read_runs(journal)["state"]
    assert state == ("running" if free_in_s else "interrupted")
    if not free_in_s:
        assert statuses(ps.resume_push(journal, run_id, client=client).wait()) == {"updated": 40}
        return
    with pytest.raises(
        ps.HeldError, match=r"'elsewhere', which last wrote \d+ s ago.*free in (\d+) s"
    ) as caught:
        ps.resume_push(journal, run_id, client=client)
    told_s = float(str(caught.value).partition("free in ")[2].partition(" s")[0])
    assert free_in_s - 5 <= told_s <= free_in_s
    assert ps.attach_run(journal, run_id, show=False).progress.state == "running"


def test_where_no_lock_can_be_had_the_lease_holds_here_too(sandbox, client, journal) -> None:
    run_id = a_stopped_run(sandbox, client, journal)
    folder = journal.path / run_id
    no_lock = FileLock(folder / "run.lock", thread_local=False)
    set_lease(journal, run_id, beat_s=-1)
    with pytest.raises(ps.HeldError, match=r"free in 5\d s"):
        RunRecord(run_id, folder, no_lock)
    set_lease(journal, run_id, beat_s=-LEASE_S - 1)
    RunRecord(run_id, folder, no_lock).close()


def test_a_run_that_began_in_the_future_has_lasted_no_time(sandbox, client, journal) -> None:
    run_id = a_stopped_run(sandbox, client, journal)
    with closing(sqlite3.connect(journal.path / run_id / "run.sqlite")) as db, db:
        db.execute("UPDATE run SET started_at = started_at + ?", (HOURS_S * 1000,))
    run = ps.attach_run(journal, run_id, show=False)
    assert run.progress.elapsed_s == 0
    assert "interrupted" in repr(run)


class LeapingClock:
    """A clock that leaps ahead whenever somebody has slept, as after a machine's sleep."""

    def __init__(self, leap_s: float) -> None:
        self._leap_s = leap_s
        self._ahead_s = 0.0

    def now(self) -> float:
        return time.monotonic() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.01))
        self._ahead_s += self._leap_s


def test_a_clock_that_leaps_ahead_ends_the_tries_and_loses_nobody(sandbox, client, journal) -> None:
    settings = replace(sandbox.settings, api_pace=ps.Pace(50, 2))
    with ps.open_client(settings, clock=LeapingClock(HOURS_S)) as leaping:
        plan = a_plan(leaping)
        sandbox.misbehave("status", method="POST", status=503, times=None, carry_out=True)
        with pytest.raises(ps.PushError, match="503") as caught:
            ps.push(plan, client=leaping, journal=journal, show=False).wait(timeout_s=20)
        assert set(statuses(caught.value.outcomes)) <= {"unknown", "pending"}
        sandbox.behave()
        outcomes = ps.resume_push(journal, caught.value.run_id, client=leaping).wait(timeout_s=20)
    assert statuses(outcomes) == {"updated": 40}
    assert {sandbox.values("visitor", "custom")[id]["seats"] for id in IDS} == set(range(100, 140))
