"""Whatever ended a run early, it can be resumed: nothing is lost, and nothing is sent twice but what was in flight."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

import pendosync as ps
from pendosync.remaining import left_of
from pendosync.runfile import LEASE_S
from tests.test_push import IDS, QUICK, a_plan, killed_run, run_script, statuses, writes


def arrivals(sandbox: ps.Sandbox) -> Counter[str]:
    """How often each id arrived in a bulk write."""
    return Counter(sandbox.writes("visitor"))


def stopped(plan: ps.Plan, client: ps.Client, journal: ps.Journal) -> str:
    """Push until the run stops, and return its id."""
    with pytest.raises(ps.PushError) as caught:
        ps.push(plan, client=client, journal=journal, show=False).wait()
    return caught.value.run_id


@pytest.fixture
def single(sandbox):
    """A client with one request in flight, that gives up at once."""
    settings = replace(sandbox.settings, api_pace=ps.Pace(None, 1))
    with ps.open_client(settings, retry=ps.Retry(attempts=1)) as client:
        yield client


def test_a_run_that_was_stopped_goes_on_where_it_was(sandbox, single, journal) -> None:
    plan = a_plan(single)
    sandbox.misbehave("status", method="POST", status=503, after=2, times=None)
    run_id = stopped(plan, single, journal)
    sandbox.behave()
    sandbox.forget_requests()
    run = ps.resume_push(journal, run_id, client=single)
    assert run.id == run_id
    outcomes = run.wait()
    assert statuses(outcomes) == {"updated": 40}
    assert [request["body"] for request in writes(sandbox)] == ps.dry_run(plan)["body"].to_list()[2:]
    assert run.progress.counts == {"updated": 40}
    assert run.progress.batches_done == 4
    assert ps.read_runs(journal)["state"].to_list() == ["done"]


def test_what_was_in_flight_is_sent_again_and_named(sandbox, single, journal) -> None:
    plan = a_plan(single)
    sandbox.misbehave("cut", method="POST", when="after", after=1, times=None)
    run_id = stopped(plan, single, journal)
    sandbox.behave()
    outcomes = ps.resume_push(journal, run_id, client=single).wait()
    twice = outcomes.filter(pl.col("reason").str.contains("sent twice"))["id"].to_list()
    assert twice == IDS[10:20]
    assert {id for id, n in arrivals(sandbox).items() if n > 1} == set(twice)


def test_a_cancelled_run_is_resumed(sandbox, journal) -> None:
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(None, 1))) as client:
        plan = a_plan(client)
        sandbox.misbehave("latency", method="POST", seconds=0.2, times=None)
        run = ps.push(plan, client=client, journal=journal)
        while not writes(sandbox):
            time.sleep(0.01)
        run.cancel()
        assert statuses(run.wait()) == {"updated": 10, "pending": 30}
        outcomes = ps.resume_push(journal, run.id, client=client).wait()
    assert statuses(outcomes) == {"updated": 40}
    assert set(arrivals(sandbox).values()) == {1}


def test_a_killed_run_is_resumed_by_another_process(sandbox, client, journal) -> None:
    run_id = killed_run(sandbox, journal)
    outcomes = ps.resume_push(journal, run_id, client=client).wait()
    assert statuses(outcomes) == {"updated": 40}
    held = sandbox.values("visitor", "custom")
    assert {held[id]["plan"] for id in IDS} == {"late"}
    twice = {id for id, n in arrivals(sandbox).items() if n > 1}
    assert len(twice) <= 1
    assert twice <= set(outcomes.filter(pl.col("reason").str.contains("sent twice"))["id"])


def test_a_run_that_is_done_is_returned_as_it_is(sandbox, client, journal) -> None:
    first = ps.push(a_plan(client), client=client, journal=journal)
    outcomes = first.wait()
    sandbox.forget_requests()
    again = ps.resume_push(journal, first.id, client=client)
    assert again.wait().equals(outcomes)
    assert again.progress.state == "done"
    assert sandbox.requests() == []


def test_what_failed_stays_failed(sandbox, single, journal) -> None:
    plan = a_plan(single)
    sandbox.misbehave("fail_records", method="POST", ids=[IDS[3]], times=None)
    sandbox.misbehave("status", method="POST", status=503, path="/api/v1/metadata", after=6, times=None)
    run_id = stopped(plan, single, journal)
    assert ps.read_outcomes(journal, run_id).filter(status="failed")["id"].to_list() == [IDS[3]]
    sandbox.behave()
    outcomes = ps.resume_push(journal, run_id, client=single).wait()
    assert statuses(outcomes) == {"updated": 39, "failed": 1}


def test_a_batch_that_was_being_split_goes_on_with_its_open_rows_only(sandbox, single, journal) -> None:
    plan = a_plan(single, batch_size=40)
    sandbox.misbehave("fail_records", method="POST", ids=[IDS[0], IDS[39]], times=None)
    sandbox.misbehave("status", method="POST", status=429, after=4, times=None)
    run_id = stopped(plan, single, journal)
    before = ps.read_outcomes(journal, run_id)
    is_open = before["status"].is_in(["pending", "unknown"])
    assert 0 < is_open.sum() < 40
    assert len(left_of(journal, run_id, plan).partial) == 1
    sandbox.behave()
    sandbox.forget_requests()
    outcomes = ps.resume_push(journal, run_id, client=single).wait()
    assert set(arrivals(sandbox)) == set(before.filter(is_open)["id"])
    assert set(statuses(outcomes)) <= {"updated", "failed"}
    assert statuses(outcomes)["updated"] >= 38
    doubted = set(before.filter(status="unknown")["id"])
    assert set(outcomes.filter(pl.col("reason").str.contains("sent twice"))["id"]) <= doubted


def test_only_what_was_never_sent_is_looked_at_again(sandbox, single, journal) -> None:
    plan = a_plan(single)
    sandbox.misbehave("cut", method="POST", when="after", after=1, times=None)
    run_id = stopped(plan, single, journal)
    sandbox.behave()
    sandbox.forget_requests()
    ps.resume_push(journal, run_id, client=single).wait()
    read = [
        r["path"].rpartition("/")[2] for r in sandbox.requests() if r["path"].startswith("/api/v1/visitor/")
    ]
    assert sorted(read) == IDS[20:]


def test_rows_that_were_refused_as_stale_stay_out_of_a_resumed_run(sandbox, client, journal) -> None:
    plan = a_plan(client)
    url = f"/api/v1/metadata/visitor/custom/value/{IDS[4]}/plan"
    client.call(client.request, "PUT", url, body=b'"someone else"')
    sandbox.forget_requests()
    with pytest.raises(
        ps.StalePlanError, match=r"stale: of 1 id .* in 'plan'.*'u-0005'.*refresh_plan"
    ) as caught:
        ps.push(plan, client=client, journal=journal).wait()
    assert writes(sandbox) == []
    assert caught.value.moved.select("id", "field", "rule").rows() == [(IDS[4], "plan", "moved")]
    assert statuses(caught.value.outcomes) == {"refused": 1, "pending": 39}
    assert "someone else" in caught.value.outcomes.filter(status="refused")["reason"][0]
    outcomes = ps.resume_push(journal, caught.value.run_id, client=client).wait()
    assert statuses(outcomes) == {"refused": 1, "updated": 39}
    assert outcomes.filter(pl.col("batch").is_null())["id"].to_list() == [IDS[4]]
    assert sandbox.values("visitor", "custom")[IDS[4]]["plan"] == "someone else"


def test_a_large_plan_is_looked_at_by_a_sample(sandbox, client, journal) -> None:
    plan = a_plan(client).lift(recheck=8)
    sandbox.forget_requests()
    ps.push(plan, client=client, journal=journal).wait()
    read = [
        r["path"].rpartition("/")[2] for r in sandbox.requests() if r["path"].startswith("/api/v1/visitor/")
    ]
    assert sorted(read) == IDS[::5]


def test_values_that_are_as_pushed_already_are_not_stale(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:3])
    url = f"/api/v1/metadata/visitor/custom/value/{IDS[1]}/plan"
    client.call(client.request, "PUT", url, body=b'"new-1"')
    assert statuses(ps.push(plan, client=client, journal=journal).wait()) == {"updated": 3}


def test_a_key_that_can_only_reach_the_webhook_is_not_asked_to_read(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:3], route="webhook")
    with ps.open_client(replace(sandbox.settings, integration_key=None)) as sender:
        assert statuses(ps.push(plan, client=sender, journal=journal).wait()) == {"accepted": 3}


# One pusher for a run


def test_a_second_pusher_is_told_who_holds_the_run(sandbox, client, journal) -> None:
    script = run_script(sandbox, journal, "print('go', flush=True)\nrun.wait()")
    assert script.stdout is not None
    script.stdout.readline()
    (run_id,) = ps.read_runs(journal)["run_id"]
    assert ps.read_runs(journal)["state"].to_list() == ["running"]
    with pytest.raises(ps.HeldError, match=rf"process {script.pid} on .*attach_run") as caught:
        ps.resume_push(journal, run_id, client=client)
    assert caught.value.pid == script.pid
    script.send_signal(signal.SIGKILL)
    script.communicate()
    assert ps.read_runs(journal)["state"].to_list() == ["interrupted"]


def test_a_run_cannot_be_resumed_while_it_runs_here(sandbox, client, journal) -> None:
    plan = a_plan(client, batch_size=1)
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(20, 1))) as paced:
        run = ps.push(plan, client=paced, journal=journal)
        with pytest.raises(ps.HeldError, match="one pusher at a time"):
            ps.resume_push(journal, run.id, client=client)
        run.cancel()
        run.wait()


def give_to_another_host(journal: ps.Journal, run_id: str, *, silent_s: float) -> None:
    beat_at = int((datetime.now(UTC).timestamp() - silent_s) * 1000)
    with closing(sqlite3.connect(journal.path / run_id / "run.sqlite")) as db, db:
        db.execute("UPDATE lease SET host = 'elsewhere', pid = 7, beat_at = ?", (beat_at,))


def test_another_machines_lease_holds_until_it_is_silent_for_long(sandbox, single, journal) -> None:
    sandbox.misbehave("status", method="POST", status=503, after=1, times=None)
    run_id = stopped(a_plan(single), single, journal)
    sandbox.behave()
    give_to_another_host(journal, run_id, silent_s=10)
    with pytest.raises(ps.HeldError, match=r"process 7 on 'elsewhere'.*free in \d\d s") as caught:
        ps.resume_push(journal, run_id, client=single)
    assert caught.value.host == "elsewhere"
    give_to_another_host(journal, run_id, silent_s=LEASE_S + 1)
    assert statuses(ps.resume_push(journal, run_id, client=single).wait()) == {"updated": 40}


def test_a_pusher_that_was_taken_over_sends_nothing_more(sandbox, client, journal) -> None:
    plan = a_plan(client, batch_size=1).lift(recheck=None)
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(20, 1))) as paced:
        run = ps.push(plan, client=paced, journal=journal)
        while not writes(sandbox):
            time.sleep(0.01)
        with closing(sqlite3.connect(journal.path / run.id / "run.sqlite")) as db, db:
            db.execute("UPDATE lease SET token = 'another', host = 'elsewhere', pid = 7")
        with pytest.raises(ps.PushError, match="was taken over by process 7 on 'elsewhere'"):
            run.wait()
    assert len(writes(sandbox)) < 40


RESUMES = """
import sys
import pendosync as ps
from pathlib import Path
where = dict(api_url=sys.argv[1], data_url=sys.argv[1], api_pace=ps.Pace(None, 8))
settings = ps.Settings(integration_key=sys.argv[2], access="write", **where)
client = ps.open_client(settings)
open_journal, resume_push = ps.open_journal, ps.resume_push
line = sys.stdin.read()
run = eval(line)
print(dict(run.wait()["status"].value_counts().iter_rows()))
"""


def test_the_line_that_is_printed_at_exit_resumes_the_run(sandbox, journal) -> None:
    script = run_script(sandbox, journal)
    _, told = script.communicate(timeout=60)
    line = told.partition("To go on: ")[2].strip()
    key = sandbox.settings.secret("integration_key").reveal()
    done = subprocess.run(
        [sys.executable, "-c", RESUMES, sandbox.url, key],
        input=line,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.strip() == "{'updated': 40}", done.stderr


def test_a_resume_needs_the_same_place_and_the_same_right(sandbox, single, journal) -> None:
    sandbox.misbehave("status", method="POST", status=503, times=None)
    run_id = stopped(a_plan(single), single, journal)
    with ps.open_client(sandbox.settings_for("eu")) as elsewhere:
        with pytest.raises(ps.PlanError, match="was made for us"):
            ps.resume_push(journal, run_id, client=elsewhere)
    with ps.open_client(replace(sandbox.settings, access="read")) as reader:
        with pytest.raises(ps.SettingsError, match="access"):
            ps.resume_push(journal, run_id, client=reader)
    with pytest.raises(ps.JournalError, match="no run 'nope'"):
        ps.resume_push(journal, "nope", client=single)
    assert ps.read_runs(journal)["state"].to_list() == ["stopped"]


def test_an_answer_of_408_halves_the_requests_until_all_goes_well(sandbox, journal) -> None:
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(None, 1)), retry=QUICK) as client:
        plan = a_plan(client, batch_size=16)
        sandbox.misbehave("status", method="POST", status=408, times=2)
        run = ps.push(plan, client=client, journal=journal)
        assert statuses(run.wait()) == {"updated": 40}
    sizes = [request["body"].count("visitorId") for request in writes(sandbox)]
    assert sizes[:2] == [16, 8]
    assert max(sizes[2:]) <= 8
    assert sum(sizes[2:]) >= 40 - 8


def test_a_request_that_is_too_large_is_cut(sandbox, client, journal) -> None:
    sandbox.switch(max_body_mb=0.0005)
    plan = a_plan(client, batch_size=40)
    assert statuses(ps.push(plan, client=client, journal=journal).wait()) == {"updated": 40}
