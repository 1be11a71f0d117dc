"""A push that starts small: each step is read back from Pendo and compared before the next."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pendosync as ps
from pendosync.shapes import batch_numbers, steps_of
from pendosync.wire import build_requests
from tests.test_push import IDS, SCRIPT, a_plan, statuses, writes

STEPS = ps.Canary((1, 0.25), settle_s=0)


def sizes(sandbox: ps.Sandbox) -> list[int]:
    return [request["body"].count("visitorId") for request in writes(sandbox)]


@given(
    n=st.integers(1, 300),
    size=st.integers(1, 50),
    steps=st.lists(st.integers(1, 40) | st.floats(0.001, 0.99), min_size=1),
)
def test_steps_cut_requests_and_leave_none_out(n: int, size: int, steps: list[float]) -> None:
    shape = replace(SHAPE, batch_size=size, canary=ps.Canary(tuple(steps)))
    cut = steps_of(n, shape)
    assert [step.number for step in cut] == list(range(len(cut)))
    assert sum(step.n_rows for step in cut) == n
    numbers = batch_numbers(cut, shape)
    assert numbers.unique().to_list() == list(range(sum(step.n_batches for step in cut)))
    for step in cut:
        rows = numbers.slice(step.first_row, step.n_rows)
        assert set(rows) == set(step.batches)
        assert rows.value_counts()["count"].max() <= size


def a_shape() -> ps.plans.Shape:  # type: ignore[name-defined]
    mapping = ps.Mapping("visitor", "user_id", ["plan"])
    values = ps.map_traits(pl.DataFrame({"user_id": ["a"], "plan": ["x"]}), mapping)
    changes = ps.diff_values(values, before=values.clear(), mapping=mapping)
    return ps.plan_changes(changes, mapping=mapping, target=ps.Settings().target).shape


SHAPE = a_shape()


def test_the_dry_run_shows_the_steps(client) -> None:
    plan = a_plan(client, canary=STEPS)
    shown = ps.dry_run(plan)
    assert shown["ids"].list.len().to_list() == [1, 9, 10, 10, 10]
    assert shown["batch"].to_list() == [0, 1, 2, 3, 4]
    assert plan.n_requests == 5
    assert "Travels in steps of 1, 9, 30 ids" in repr(plan)
    windows = pl.concat(build_requests(plan.changes, plan.shape, rows_at_a_time=7))
    assert windows.equals(shown)


def test_each_step_is_read_back_before_the_next(sandbox, journal) -> None:
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(None, 1))) as client:
        plan = a_plan(client, canary=STEPS).lift(recheck=None)
        sandbox.forget_requests()
        run = ps.push(plan, client=client, journal=journal)
        assert statuses(run.wait()) == {"updated": 40}
    order = "".join("w" if request["method"] == "POST" else "r" for request in sandbox.requests())
    assert order == "r" + "w" + "r" + "w" + "r" * 9 + "www"  # the key's access, then step by step
    sent = [request["body"] for request in writes(sandbox)]
    assert sent == ps.dry_run(plan)["body"].to_list()


def test_a_canary_that_fails_stops_the_run_before_the_rest(sandbox, client, journal) -> None:
    plan = a_plan(client, canary=STEPS)
    sandbox.misbehave("status", method="POST", status=400, text="no such field", times=1)
    with pytest.raises(
        ps.PushError, match=r"Canary step 1 failed: of 1 id none was written.*resume_push"
    ) as caught:
        ps.push(plan, client=client, journal=journal).wait()
    assert statuses(caught.value.outcomes) == {"failed": 1, "pending": 39}
    assert sizes(sandbox) == [1]


def test_resuming_is_the_word_to_go_on_after_a_step_that_failed(sandbox, client, journal) -> None:
    plan = a_plan(client, canary=STEPS)
    sandbox.misbehave("fail_records", method="POST", ids=[IDS[0]], times=None)
    with pytest.raises(ps.PushError, match="Canary step 1 failed: of 1 id none was written") as caught:
        ps.push(plan, client=client, journal=journal).wait()
    outcomes = ps.resume_push(journal, caught.value.run_id, client=client).wait()
    assert statuses(outcomes) == {"failed": 1, "updated": 39}


def test_a_canary_that_pendo_denies_to_know_is_not_said_to_have_failed(sandbox, client, journal) -> None:
    """Pendo answers 404 too where a read is not allowed; the id was written."""
    plan = a_plan(client, canary=STEPS).lift(recheck=None)
    sandbox.misbehave("status", status=404, path=f"/api/v1/visitor/{IDS[0]}")
    with pytest.raises(ps.PushError, match="read back otherwise") as caught:
        ps.push(plan, client=client, journal=journal).wait()
    assert statuses(caught.value.outcomes) == {"unknown": 1, "pending": 39}
    assert "does not know it when read back" in caught.value.outcomes["reason"][0]
    outcomes = ps.resume_push(journal, caught.value.run_id, client=client).wait()
    assert statuses(outcomes) == {"updated": 40}


def test_a_canary_that_reads_back_otherwise_stops_the_run(sandbox, client, journal) -> None:
    plan = a_plan(client, canary=ps.Canary((2,), settle_s=0))
    sandbox.misbehave("body", method="POST", text='{"total":2,"updated":2,"failed":0}', carry_out=False)
    other = '"something else"'
    url = f"/api/v1/metadata/visitor/custom/value/{IDS[1]}/plan"
    sandbox.misbehave("latency", method="POST", seconds=0.5)
    run = ps.push(plan.lift(recheck=None), client=client, journal=journal)
    with ps.open_client(sandbox.settings) as someone:
        someone.call(someone.request, "PUT", url, body=other.encode())
    with pytest.raises(ps.PushError, match="1 id read back otherwise than pushed: 'u-0002'") as caught:
        run.wait()
    told = caught.value.outcomes
    assert told.filter(status="failed")["id"].to_list() == [IDS[1]]
    assert "holds other values when read back: 'plan'" in told.filter(status="failed")["reason"][0]
    assert run.progress.counts == {"failed": 1, "updated": 1}
    assert sizes(sandbox) == [2]


def test_what_cannot_be_seen_yet_is_no_failure(sandbox, client, journal) -> None:
    plan = a_plan(client, canary=ps.Canary((3,), settle_s=0))
    sandbox.misbehave("lag", seconds=60)
    with pytest.raises(
        ps.PushError, match=r"3 ids can't be seen yet after 0 s, which is no failure"
    ) as caught:
        ps.push(plan, client=client, journal=journal).wait()
    assert statuses(caught.value.outcomes) == {"updated": 3, "pending": 37}
    sandbox.behave()  # the veil lifts
    outcomes = ps.resume_push(journal, caught.value.run_id, client=client).wait()
    assert statuses(outcomes) == {"updated": 40}
    assert sizes(sandbox) == [3, 10, 10, 10, 7]


def test_a_canary_waits_until_what_was_pushed_can_be_read(sandbox, client, journal) -> None:
    plan = a_plan(client, canary=ps.Canary((3,), settle_s=30))
    sandbox.misbehave("lag", seconds=0.7)
    assert statuses(ps.push(plan, client=client, journal=journal).wait()) == {"updated": 40}


def test_a_canary_may_go_on_unseen(sandbox, client, journal) -> None:
    plan = a_plan(client, canary=ps.Canary((3,), settle_s=0, unseen="go_on"))
    sandbox.misbehave("lag", seconds=60)
    assert statuses(ps.push(plan, client=client, journal=journal).wait()) == {"updated": 40}


def test_a_passed_step_is_not_read_again_on_resume(sandbox, client, journal) -> None:
    plan = a_plan(client, canary=STEPS).lift(recheck=None)
    sandbox.misbehave("status", method="POST", status=400, text="no", times=1, after=2)
    sandbox.misbehave("status", method="POST", status=503, times=None, after=2)
    with ps.open_client(sandbox.settings, retry=ps.Retry(attempts=1)) as hasty:
        with pytest.raises(ps.PushError):
            ps.push(plan, client=hasty, journal=journal).wait()
    run_id = ps.read_runs(journal)["run_id"][0]
    sandbox.behave()
    sandbox.forget_requests()
    ps.resume_push(journal, run_id, client=client).wait()
    reads = [request for request in sandbox.requests() if request["path"].startswith("/api/v1/visitor/")]
    assert reads == []


@pytest.mark.parametrize(
    "wrong",
    [{"steps": ()}, {"steps": (0,)}, {"steps": (1.5,)}, {"steps": ("x",)}, {"settle_s": -1}, {"unseen": "hope"}],
)  # fmt: skip
def test_canaries_that_cannot_be_are_refused(wrong) -> None:
    with pytest.raises(ps.PlanError, match=r"Expected .* Hint: Canary\("):
        ps.Canary(**wrong)


def test_a_script_that_ends_while_a_step_is_read_back_stops_its_run_cleanly(sandbox, journal) -> None:
    sandbox.misbehave("lag", seconds=60)
    script = SCRIPT.replace("batch_size=1)", "batch_size=1, canary=ps.Canary((3,), settle_s=60))")
    key = sandbox.settings.secret("integration_key").reveal()
    arguments = [sys.executable, "-c", f"{script}time.sleep(0.3)", sandbox.url, key, str(journal.path)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
    assert "was stopped cleanly at exit, 37 ids not sent" in done.stderr
    assert ps.read_runs(journal)["note"].to_list() == ["The rest was not sent."]
