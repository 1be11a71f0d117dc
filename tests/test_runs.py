"""A run is watched, paused and stopped while other work goes on, from here or from another process."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

import pendosync as ps
from pendosync.meter import Meter
from pendosync.throttle import RealClock
from tests.test_push import IDS, a_plan, killed_run, run_script, statuses, writes


@pytest.fixture
def paced(sandbox):
    """A client whose push of forty ids one by one takes two seconds."""
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(20, 1))) as client:
        yield client


def until(is_so, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.02)


def test_a_paused_run_begins_nothing_until_it_proceeds(sandbox, client, paced, journal) -> None:
    run = ps.push(a_plan(client, batch_size=1).lift(recheck=None), client=paced, journal=journal, show=False)
    until(lambda: run.progress.batches_done >= 2)
    run.pause()
    time.sleep(0.2)  # what was due or in flight is finished
    n_done = run.progress.batches_done
    time.sleep(0.3)
    assert (run.progress.state, run.progress.batches_done) == ("paused", n_done)
    assert len(writes(sandbox)) == n_done < 40
    run.proceed()
    assert statuses(run.wait()) == {"updated": 40}
    assert run.progress.state == "done"


def test_a_paused_run_can_be_cancelled(sandbox, client, paced, journal) -> None:
    run = ps.push(a_plan(client, batch_size=1).lift(recheck=None), client=paced, journal=journal, show=False)
    run.pause()
    run.cancel()
    run.wait(timeout_s=10)
    assert run.progress.state == "cancelled"


class OwnClock(RealClock):
    """Equal to no other: what Pendo asks of its client holds back no later test."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__


@pytest.fixture
def held(sandbox):
    """A client with two requests in flight, which Pendo will ask to wait for long."""
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(None, 2)), clock=OwnClock()) as client:
        yield client


def test_a_cancelled_run_does_not_wait_until_pendo_lets_it_go_on(sandbox, client, held, journal) -> None:
    plan = a_plan(client)
    sandbox.misbehave("status", method="POST", status=429, retry_after=60, times=None)
    run = ps.push(plan, client=held, journal=journal, show=False)
    until(lambda: run.progress.held.startswith("held back by Pendo for"))
    now = run.progress
    assert 50 < now.waits_s <= 60
    assert now.most_per_s is None
    assert now.allowed_per_s is not None  # what was measured, halved
    run.cancel()
    told = statuses(run.wait(timeout_s=10))
    assert run.progress.waits_s == 0
    assert told["pending"] >= 20
    assert sum(told.values()) == 40
    assert run.progress.state == "cancelled"


def test_a_run_that_stops_does_not_wait_until_pendo_lets_it_go_on(sandbox, client, held, journal) -> None:
    plan = a_plan(client)
    sandbox.misbehave("status", method="POST", status=429, retry_after=1e12, times=None)
    run = ps.push(plan, client=held, journal=journal, show=False)
    with pytest.raises(ps.PushError, match="more than a day"):
        run.wait(timeout_s=10)
    assert statuses(run.outcomes) == {"pending": 40}


def test_progress_tells_rate_and_what_is_left_with_its_spread(sandbox, client, paced, journal) -> None:
    run = ps.push(a_plan(client, batch_size=1).lift(recheck=None), client=paced, journal=journal, show=False)
    until(lambda: run.progress.batches_done >= 10)
    now = run.progress
    assert now.ids_per_s is not None
    assert 5 < now.ids_per_s < 30
    assert (now.allowed_per_s, now.most_per_s) == (20, 20)
    assert now.left_s is not None
    assert now.left_range_s is not None
    assert now.left_range_s[0] <= now.left_s <= now.left_range_s[1]
    until(lambda: run.progress.requests_per_s is not None)
    assert 5 < (run.progress.requests_per_s or 0) <= 20
    run.wait()
    assert run.progress.requests_per_s is None
    assert (run.progress.left_s, run.progress.ids_per_s, run.progress.left_range_s) == (None, None, None)


def test_the_spread_covers_what_is_irregular() -> None:
    meter, regular = Meter(0.0), Meter(0.0)
    at = 0.0
    for n in range(50):
        at += 0.5 if n % 2 else 1.5
        meter.note(at, n_ids=10)
        regular.note(n + 1.0, n_ids=10)
    expected, low, high = meter.left_s(100) or (0, 0, 0)
    assert expected == pytest.approx(100)
    assert low < 90
    assert high > 110
    assert regular.left_s(100) == (100, 100, 100)


def test_a_pause_does_not_count_as_slowness() -> None:
    meter = Meter(0.0)
    for second in (1, 2, 3):
        meter.note(second, n_ids=10)
    meter.skip(1000.0)
    meter.note(1001.0, n_ids=10)
    assert meter.left_s(10) == (10, 10, 10)
    assert meter.ids_per_s(1001.0) == 10
    assert meter.ids_per_s(2000.0) is None


def test_another_process_watches_pauses_and_cancels_a_run(sandbox, client, journal) -> None:
    script = run_script(sandbox, journal, "print('go', flush=True)\nrun.wait()\nprint(run.progress.state)")
    assert script.stdout is not None
    script.stdout.readline()
    (run_id,) = ps.read_runs(journal)["run_id"]
    run = ps.attach_run(journal, run_id, show=False)
    assert (run.progress.state, run.progress.n_ids) == ("running", 40)
    run.pause()
    until(lambda: run.progress.state == "paused")
    run.proceed()
    run.cancel()
    outcomes = run.wait(timeout_s=20)
    assert set(statuses(outcomes)) == {"updated", "pending"}
    assert run.progress.state == "cancelled"
    assert run.progress.counts == {"updated": statuses(outcomes)["updated"]}
    assert script.communicate(timeout=20)[0].split() == ["cancelled"]


def test_a_run_whose_process_is_gone_is_interrupted(sandbox, journal, capsys) -> None:
    run_id = killed_run(sandbox, journal)
    run = ps.attach_run(journal, run_id)
    assert run.progress.is_over
    assert run.progress.state == "interrupted"
    assert "interrupted" in repr(run)
    with pytest.raises(ps.PushError, match=r"is gone.*resume_push") as caught:
        run.wait()
    assert caught.value.outcomes.height == 40


def test_a_run_that_is_over_is_shown_as_it_ended(sandbox, client, journal) -> None:
    first = ps.push(a_plan(client), client=client, journal=journal, show=False)
    first.wait()
    run = ps.attach_run(journal, first.id, show=False)
    assert (run.progress.state, run.progress.counts) == ("done", {"updated": 40})
    assert run.progress.requests == first.progress.requests
    assert run.wait().equals(first.outcomes)
    assert asyncio.run(awaited(run)).height == 40


async def awaited(run: ps.Run):
    return await run


def test_an_attached_run_tells_why_it_stopped(sandbox, journal) -> None:
    with ps.open_client(sandbox.settings, retry=ps.Retry(attempts=1)) as client:
        plan = a_plan(client, IDS[:10])
        sandbox.misbehave("status", method="POST", status=503, times=None)
        with pytest.raises(ps.PushError) as first:
            ps.push(plan, client=client, journal=journal, show=False).wait()
    with pytest.raises(ps.PushError, match="503") as again:
        ps.attach_run(journal, first.value.run_id, show=False).wait()
    assert again.value.outcomes.equals(first.value.outcomes)


def test_a_run_goes_on_while_other_calls_use_its_client(sandbox, client, paced, journal) -> None:
    run = ps.push(a_plan(client, batch_size=2).lift(recheck=None), client=paced, journal=journal, show=False)
    assert ps.fetch_fields(paced, kind="visitor").height > 0
    assert not run.progress.is_over
    assert statuses(run.wait()) == {"updated": 40}


def test_a_run_says_that_it_looks_again_before_it_sends(sandbox, client, journal) -> None:
    plan = a_plan(client)
    sandbox.misbehave("latency", method="GET", seconds=0.1, times=None)
    run = ps.push(plan, client=client, journal=journal, show=False)
    until(lambda: "reading 40 ids again" in run.progress.note)
    assert run.progress.state == "preparing"
    run.wait()
    assert run.progress.note == ""


def test_a_run_that_looks_again_stops_soon(sandbox, client, journal) -> None:
    plan = a_plan(client)
    sandbox.forget_requests()
    sandbox.misbehave("latency", method="GET", path="/api/v1/visitor", seconds=0.5, times=None)
    run = ps.push(plan, client=client, journal=journal, show=False)
    until(lambda: "reading" in run.progress.note)
    run.cancel()
    assert statuses(run.wait(timeout_s=10)) == {"pending": 40}
    assert len([request for request in sandbox.requests() if "/visitor/u-" in request["path"]]) < 40
