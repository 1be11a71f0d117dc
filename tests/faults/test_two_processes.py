"""One run, two processes: who holds it, who may watch and stop it, and what becomes of one that was taken over."""

from __future__ import annotations

import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

import pendosync as ps
from pendosync.runfile import LEASE_S
from tests.faults.workers import Worker
from tests.test_push import a_plan, statuses, writes

SOON_S = 4.0
"""A pusher listens every two seconds."""


@pytest.fixture
def worker(sandbox) -> Iterator[Worker]:
    """A process that pushes seven requests a second, one at a time."""
    with Worker(sandbox, max_per_second=7, max_at_once=1) as opened:
        yield opened


def begin(
    worker: Worker,
    sandbox: ps.Sandbox,
    client: ps.Client,
    journal: ps.Journal,
    tmp_path: Path,
    *,
    batch_size: int = 1,
) -> str:
    """Let the worker push 40 ids, and return the run once it sends."""
    plan = a_plan(client, batch_size=batch_size).lift(recheck=None)
    sandbox.forget_requests()
    run_id = worker.ask(journal, "push", plan=str(plan.save(tmp_path / "plan")))["run_id"]
    until(lambda: writes(sandbox))
    return run_id


def until(is_so: Callable[[], object], *, within_s: float = 20.0) -> None:
    end_s = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.02)


def test_a_second_process_is_told_who_pushes_and_can_neither_push_nor_hurt(
    sandbox, client, journal, worker, tmp_path
) -> None:
    with Worker(sandbox) as second:  # it is there before the run begins, however long it takes to come
        run_id = begin(worker, sandbox, client, journal, tmp_path, batch_size=2)
        told = second.ask(journal, "resume", run_id=run_id)
    assert told["error"] == "HeldError"
    assert f"process {worker.pid} on {socket.gethostname()!r}" in told["told"]
    assert "attach_run" in told["told"]
    assert worker.ask(journal, "wait")["counts"] == {"updated": 40}
    assert set(sandbox.writes("visitor").values()) == {1}


def test_a_second_process_watches_pauses_lets_go_on_and_cancels(
    sandbox, client, journal, worker, tmp_path
) -> None:
    run_id = begin(worker, sandbox, client, journal, tmp_path)
    run = ps.attach_run(journal, run_id, show=False)
    before = run.progress.batches_done
    until(lambda: run.progress.batches_done > before)
    assert run.progress.state == "running"
    run.pause()
    until(lambda: worker.ask(journal, "look")["state"] == "paused", within_s=SOON_S)
    sent = len(writes(sandbox))
    time.sleep(0.3)
    assert len(writes(sandbox)) <= sent + 1  # what was in flight
    assert run.progress.state == "paused"
    run.proceed()
    until(lambda: len(writes(sandbox)) > sent + 1, within_s=SOON_S)
    run.cancel()
    outcomes = run.wait(timeout_s=SOON_S)
    assert (run.progress.state, worker.ask(journal, "look")["state"]) == ("cancelled", "cancelled")
    assert set(statuses(outcomes)) == {"updated", "pending"}
    assert statuses(ps.resume_push(journal, run_id, client=client).wait()) == {"updated": 40}


def test_a_process_that_was_halted_still_holds_its_run(sandbox, client, journal, worker, tmp_path) -> None:
    """Silent for longer than any lease, on this machine: it may wake up and go on."""
    run_id = begin(worker, sandbox, client, journal, tmp_path, batch_size=2)
    halt(worker, journal, run_id, silent_s=10 * LEASE_S)
    sent = len(writes(sandbox))
    with pytest.raises(ps.HeldError, match=rf"process {worker.pid} on .*last wrote 60\d s ago") as caught:
        ps.resume_push(journal, run_id, client=client)
    assert (caught.value.pid, caught.value.host) == (worker.pid, socket.gethostname())
    assert ps.attach_run(journal, run_id, show=False).progress.state == "running"
    assert len(writes(sandbox)) == sent
    worker.send(signal.SIGCONT)
    assert worker.ask(journal, "wait")["counts"] == {"updated": 40}


def test_a_process_that_was_halted_and_killed_holds_nothing(
    sandbox, client, journal, worker, tmp_path
) -> None:
    run_id = begin(worker, sandbox, client, journal, tmp_path)
    worker.send(signal.SIGSTOP)
    worker.kill()
    assert ps.read_runs(journal)["state"].to_list() == ["interrupted"]
    assert statuses(ps.resume_push(journal, run_id, client=client).wait()) == {"updated": 40}


def test_a_process_that_was_taken_over_stops_before_its_next_request(
    sandbox, client, journal, worker, tmp_path
) -> None:
    """As another machine does that could not reach the lock, and found the lease to have ended."""
    run_id = begin(worker, sandbox, client, journal, tmp_path)
    set_lease(journal, run_id, silent_s=0, token="another", host="elsewhere", pid=7)
    sent = len(writes(sandbox))
    told = worker.ask(journal, "wait")
    assert told["error"] == "PushError"
    assert "was taken over by process 7 on 'elsewhere'" in told["told"]
    assert "nothing more is sent from here" in told["told"]
    assert len(writes(sandbox)) <= sent + 1  # what was in flight
    with pytest.raises(ps.HeldError, match=r"free in \d+ s") as caught:
        ps.resume_push(journal, run_id, client=client)
    assert (caught.value.host, caught.value.pid) == ("elsewhere", 7)
    set_lease(journal, run_id, silent_s=LEASE_S + 1)
    outcomes = ps.resume_push(journal, run_id, client=client).wait()
    assert statuses(outcomes) == {"updated": 40}
    twice = {id for id, n in sandbox.writes("visitor").items() if n > 1}
    assert len(twice) <= 1


def test_a_pusher_that_tries_again_and_again_is_stopped_by_a_takeover_too(sandbox, client, journal) -> None:
    plan = a_plan(client, batch_size=40).lift(recheck=None)
    sandbox.misbehave("status", method="POST", status=503, times=None)
    with ps.open_client(sandbox.settings, retry=ps.Retry(attempts=50, base_s=0.1, cap_s=0.1)) as patient:
        run = ps.push(plan, client=patient, journal=journal, show=False)
        until(lambda: len(writes(sandbox)) > 1)
        set_lease(journal, run.id, silent_s=0, token="another", host="elsewhere", pid=7)
        sent = len(writes(sandbox))
        with pytest.raises(ps.PushError, match="was taken over by process 7 on 'elsewhere'"):
            run.wait(timeout_s=20)
    assert len(writes(sandbox)) <= sent + 1
    assert statuses(ps.read_outcomes(journal, run.id)) == {"unknown": 40}


def halt(worker, journal: ps.Journal, run_id: str, *, silent_s: float) -> None:
    """Stop the worker's process at an instant at which it does not hold the journal, as if it were long silent."""
    while True:
        worker.send(signal.SIGSTOP)
        time.sleep(0.2)
        try:
            return set_lease(journal, run_id, silent_s=silent_s, timeout_s=0.5)
        except sqlite3.OperationalError:  # it was halted while it wrote
            worker.send(signal.SIGCONT)
            time.sleep(0.05)


def set_lease(
    journal: ps.Journal, run_id: str, *, silent_s: float, timeout_s: float = 5, **columns: object
) -> None:
    beat_at = int((datetime.now(UTC).timestamp() - silent_s) * 1000)
    names = ", ".join(f"{name} = ?" for name in columns)
    with closing(sqlite3.connect(journal.path / run_id / "run.sqlite", timeout=timeout_s)) as db, db:
        db.execute(
            f"UPDATE lease SET beat_at = ?{', ' + names if names else ''}", (beat_at, *columns.values())
        )
