"""A push does what the plan says, and accounts for each id: against a real server on loopback."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import polars as pl
import pytest

import pendosync as ps
from pendosync.frames import OUTCOMES
from pendosync.regions import REGIONS, Pace
from pendosync.sandbox import Sandbox

IDS = [f"u-{n:04}" for n in range(1, 41)]
QUICK = ps.Retry(attempts=3, base_s=0.01, cap_s=0.02)


def a_table(ids: list[str] = IDS) -> pl.DataFrame:
    return pl.DataFrame(
        {"user_id": ids, "plan": [f"new-{n}" for n in range(len(ids))], "seats": range(100, 100 + len(ids))}
    )


def a_plan(client: ps.Client, ids: list[str] = IDS, *, route: str = "metadata", **options: object) -> ps.Plan:
    mapping = ps.Mapping(
        "visitor", "user_id", [ps.Trait("plan", type="text"), ps.Trait("seats", type="integer")], route=route
    )  # type: ignore[arg-type]
    return ps.plan_table(a_table(ids), mapping, client=client, **{"batch_size": 10, **options})  # type: ignore[arg-type]


def statuses(outcomes: pl.DataFrame) -> Counter[str]:
    return Counter(outcomes["status"])


def writes(sandbox: Sandbox) -> list[dict]:
    return [
        request
        for request in sandbox.requests()
        if request["method"] == "POST" and "aggregation" not in request["path"]
    ]


@pytest.fixture
def quick(sandbox: Sandbox):
    """A client that loses little time on retries."""
    with ps.open_client(sandbox.settings, retry=QUICK) as client:
        yield client


def test_every_id_is_written_and_has_one_outcome(sandbox, client, journal) -> None:
    plan = a_plan(client)
    outcomes = ps.push(plan, client=client, journal=journal).wait()
    assert outcomes.schema == OUTCOMES
    assert outcomes["id"].to_list() == IDS
    assert statuses(outcomes) == {"updated": 40}
    held = sandbox.values("visitor", "custom")
    assert all(held[id]["plan"] == f"new-{n}" and held[id]["seats"] == 100 + n for n, id in enumerate(IDS))


@pytest.mark.parametrize("route", ["metadata", "webhook"])
def test_what_travels_is_what_the_dry_run_shows(sandbox, client, journal, route: str) -> None:
    client = ps.open_client(replace(sandbox.settings, api_pace=Pace(None, 1), data_pace=Pace(None, 1)))
    with client:
        plan = a_plan(client, route=route, create="unknown_ids")
        ps.push(plan, client=client, journal=journal).wait()
    shown = ps.dry_run(plan).select("method", "path", "body").rows()
    assert [(sent["method"], sent["path"], sent["body"]) for sent in writes(sandbox)] == shown


def test_selected_ids_travel_and_no_others(sandbox, client, journal) -> None:
    before = sandbox.values("visitor", "custom")
    chosen = a_plan(client).select(ps.after("seats") >= 130)
    outcomes = ps.push(chosen, client=client, journal=journal).wait()
    assert outcomes["id"].to_list() == IDS[30:]
    after = sandbox.values("visitor", "custom")
    assert {id for id in after if after[id] != before[id]} == set(IDS[30:])


def test_a_push_returns_at_once_and_the_run_goes_on(sandbox, client, journal) -> None:
    plan = a_plan(client)
    sandbox.misbehave("latency", method="POST", seconds=0.2, times=None)
    run = ps.push(plan, client=client, journal=journal)
    assert not run.progress.is_over
    assert run.progress.n_ids == 40
    with pytest.raises(TimeoutError, match="goes on"):
        run.wait(timeout_s=0.01)
    assert statuses(run.wait()) == {"updated": 40}
    assert run.progress.state == "done"
    assert run.progress.counts == {"updated": 40}
    assert repr(run).startswith(f"Run {run.id}: 40 visitors → custom")


def test_missing_ids_are_named_though_the_answer_is_200(sandbox, client, journal) -> None:
    plan = a_plan(client)
    sandbox.reset()
    sandbox.misbehave(
        "body", method="POST", text='{"total":10,"updated":8,"failed":2,"missing":["u-0003","u-0007"]}'
    )
    outcomes = ps.push(plan.select(ids=IDS[:10]), client=client, journal=journal).wait()
    assert outcomes.filter(status="missing")["id"].to_list() == ["u-0003", "u-0007"]
    assert outcomes.filter(status="updated").height == 8
    assert "does not know this visitor" in outcomes.filter(status="missing")["reason"][0]


@pytest.mark.parametrize(
    ("answer", "expected", "word"),
    [
        ('{"total":10,"updated":9,"failed":1}', {"updated": 10}, ""),
        ('{"total":10,"updated":9,"failed":1,"errors":["bad value"]}', {"updated": 10}, ""),
        ('{"total":10,"updated":0,"failed":10,"errors":["no"]}', {"failed": 10}, "wrote no record"),
        ('{"total":10,"updated":8,"failed":2,"missing":["u-0001"]}', {"updated": 10}, ""),
        ('{"total":10,"updated":10,"failed":0,"missing":null,"errors":null}', {"updated": 10}, ""),
    ],
)  # fmt: skip
def test_a_200_is_read_and_not_believed(
    sandbox, client, journal, answer: str, expected: dict, word: str
) -> None:
    plan = a_plan(client, IDS[:10])
    sandbox.misbehave("body", method="POST", text=answer)
    outcomes = ps.push(plan, client=client, journal=journal).wait()
    assert statuses(outcomes) == expected
    assert any(word in reason for reason in outcomes["reason"].fill_null("")), outcomes["reason"][0]


DOUBTFUL = [
    ('{"total":10,"updated":10,"failed":0,"missing":["someone"]}', "do not add up"),
    ('{"total":10,"updated":9,"failed":1,"missing":["u-0001","someone"]}', "do not add up"),
    ('{"total":9,"updated":9,"failed":0}', "total 9"),
    ("{}", "without counting"),
    ("[]", "without counting"),
    ('{"total":true,"updated":true,"failed":false}', "without counting"),
    ('{"total":10,"updated":11,"failed":-1}', "do not add up"),
    ('{"total":10,"updated":-1,"failed":11}', "do not add up"),
    ('{"total":10,"updated":9,"failed":1,"missing":["someone"]}', "do not add up"),
    ('{"total":10,"updated":8,"failed":2,"missing":["u-0001","u-0001"]}', "do not add up"),
    ('{"total":10,"updated":9,"failed":1,"missing":"u-0001"}', "do not add up"),
    ('{"total":10,"updated":9,"failed":1,"missing":[1]}', "do not add up"),
    ('{"total":10,"updated":10,"failed":0,"errors":["no"]}', "It says: no"),
    ("<html>all is well</html>", "JSON"),
    ("", "JSON"),
]


@pytest.mark.parametrize(("answer", "word"), DOUBTFUL)
def test_an_answer_that_cannot_be_believed_is_asked_for_again(
    sandbox, client, journal, answer: str, word: str
) -> None:
    plan = a_plan(client, IDS[:10])
    sandbox.misbehave("body", method="POST", text=answer)
    run = ps.push(plan, client=client, journal=journal)
    assert statuses(run.wait()) == {"updated": 10}
    assert run.progress.requests == 2


@pytest.mark.parametrize(("answer", "word"), DOUBTFUL)
def test_a_server_that_cannot_be_believed_stops_the_run_and_leaves_it_in_doubt(
    sandbox, client, journal, answer: str, word: str
) -> None:
    plan = a_plan(client, IDS[:20]).select(ids=IDS[:10])
    sandbox.misbehave("body", method="POST", text=answer, times=None)
    with pytest.raises(ps.PushError, match=f"(?s){word}.*resume_push") as caught:
        ps.push(plan, client=client, journal=journal).wait()
    assert statuses(caught.value.outcomes) == {"unknown": 10}
    assert all(word in reason for reason in caught.value.outcomes["reason"])
    sandbox.behave()
    outcomes = ps.resume_push(journal, caught.value.run_id, client=client).wait()
    assert statuses(outcomes) == {"updated": 10}
    assert all("sent twice" in reason for reason in outcomes["reason"])


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_answer_that_cannot_be_unpacked_is_asked_for_again(
    sandbox, client, journal, encoding: str
) -> None:
    plan = a_plan(client, IDS[:10])
    sandbox.misbehave("wrap", method="POST", encoding=encoding, broken=True)
    run = ps.push(plan, client=client, journal=journal)
    assert statuses(run.wait()) == {"updated": 10}
    assert run.progress.requests == 2


def test_a_page_is_no_answer_of_the_webhook(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:4], route="webhook")
    sandbox.misbehave("body", method="POST", text=" <!doctype html><title>Sign in</title>", carry_out=False)
    run = ps.push(plan, client=client, journal=journal)
    assert statuses(run.wait()) == {"accepted": 4}
    assert run.progress.requests == 5
    assert len(sandbox.values("visitor", "segmentio")) >= 4


@pytest.mark.parametrize("status", [401, 403, 404, 405, 410])
def test_a_refusal_that_is_not_of_the_records_stops_the_run_and_condemns_nobody(
    sandbox, client, journal, status: int
) -> None:
    plan = a_plan(client)
    sandbox.misbehave("status", method="POST", status=status, times=None)
    with pytest.raises(ps.PushError, match=f"{status}") as caught:
        ps.push(plan, client=client, journal=journal).wait()
    assert statuses(caught.value.outcomes) == {"pending": 40}
    sandbox.behave()
    assert statuses(ps.resume_push(journal, caught.value.run_id, client=client).wait()) == {"updated": 40}


@pytest.mark.parametrize("doubt", [{"status": 503, "carry_out": True}, {"status": 200, "text": "<html>"}])
def test_a_refusal_says_nothing_of_an_earlier_try(sandbox, quick, journal, doubt: dict) -> None:
    plan = a_plan(quick, IDS[:10])
    sandbox.misbehave("body" if "text" in doubt else "status", method="POST", **doubt)
    sandbox.misbehave("status", method="POST", status=400, text="no such field", times=None)
    outcomes = ps.push(plan, client=quick, journal=journal).wait()
    assert statuses(outcomes) == {"unknown": 10}  # and Pendo holds all ten
    assert all("no such field" in reason for reason in outcomes["reason"])


def test_a_refused_batch_is_tried_in_parts_and_the_others_go_on(sandbox, client, journal) -> None:
    plan = a_plan(client)
    sandbox.misbehave("status", method="POST", status=400, text="field mapping missing: plan", times=1)
    run = ps.push(plan, client=client, journal=journal)
    assert statuses(run.wait()) == {"updated": 40}
    assert run.progress.requests == plan.n_requests + 2


def test_what_is_always_refused_fails_with_its_reason(sandbox, client, journal) -> None:
    plan = a_plan(client)
    sandbox.misbehave("status", method="POST", status=400, text="field mapping missing: plan", times=None)
    outcomes = ps.push(plan, client=client, journal=journal).wait()
    assert statuses(outcomes) == {"failed": 40}
    assert all("field mapping missing" in reason for reason in outcomes["reason"])


def test_busy_answers_are_tried_again(sandbox, quick, journal) -> None:
    plan = a_plan(quick)
    sandbox.misbehave("status", method="POST", status=503, times=1)
    sandbox.misbehave("status", method="POST", status=429, times=1)
    run = ps.push(plan, client=quick, journal=journal)
    assert statuses(run.wait()) == {"updated": 40}
    assert run.progress.requests == 6


def test_retry_after_holds_everyone_back(sandbox, quick, journal) -> None:
    plan = a_plan(quick, IDS[:10])
    sandbox.misbehave("status", method="POST", status=429, retry_after=1)
    began = time.monotonic()
    ps.push(plan, client=quick, journal=journal).wait()
    assert time.monotonic() - began >= 1


def test_a_server_that_stays_broken_stops_the_run(sandbox, quick, journal) -> None:
    plan = a_plan(quick)
    sandbox.misbehave("status", method="POST", status=503, times=None)
    with pytest.raises(ps.PushError, match=r"(?s)stopped.*503.*Hint:") as caught:
        ps.push(plan, client=quick, journal=journal).wait()
    told = statuses(caught.value.outcomes)
    assert set(told) <= {"unknown", "pending"}  # a 503 does not say that nothing was written
    assert told["unknown"] >= 10
    assert sum(told.values()) == 40
    assert ps.read_outcomes(journal, caught.value.run_id).equals(caught.value.outcomes)


def test_a_cut_connection_leaves_unknown_what_was_in_flight(sandbox, quick, journal) -> None:
    plan = a_plan(quick, IDS[:10])
    sandbox.misbehave("cut", method="POST", when="after", times=None)
    with pytest.raises(ps.PushError) as caught:
        ps.push(plan, client=quick, journal=journal).wait()
    assert statuses(caught.value.outcomes) == {"unknown": 10}


def test_an_unreachable_host_leaves_all_pending(journal, tmp_path) -> None:
    with ps.open_sandbox() as gone:
        settings = gone.settings
        with ps.open_client(settings) as client:
            plan = a_plan(client, IDS[:10])
    with ps.open_client(settings, retry=QUICK) as client, pytest.raises(ps.PushError) as caught:
        ps.push(plan, client=client, journal=journal).wait()
    assert statuses(caught.value.outcomes) == {"pending": 10}


def test_a_refused_key_stops_the_run_before_anything_is_written(sandbox, client, journal) -> None:
    plan = a_plan(client)
    before = sandbox.values("visitor", "custom")
    with ps.open_client(replace(sandbox.settings, integration_key="wrong")) as stranger:
        with pytest.raises(ps.PushError, match="key") as caught:
            ps.push(plan, client=stranger, journal=journal).wait()
    assert statuses(caught.value.outcomes) == {"pending": 40}
    assert sandbox.values("visitor", "custom") == before


def test_a_read_only_key_is_told_before_anything_is_sent(sandbox, client, journal) -> None:
    plan = a_plan(client)
    sandbox.forget_requests()
    with ps.open_client(sandbox.settings_for("us", read_only=True)) as reader:
        with pytest.raises(ps.PushError, match="Allow write access") as caught:
            ps.push(plan, client=reader, journal=journal).wait()
    assert statuses(caught.value.outcomes) == {"pending": 40}
    assert writes(sandbox) == []


def test_a_first_write_that_is_refused_is_not_taken_for_a_wrong_key(sandbox, client, journal) -> None:
    plan = a_plan(client)
    with ps.open_client(sandbox.settings) as fresh:
        sandbox.misbehave("status", method="POST", status=400, text="field mapping missing: plan", times=None)
        outcomes = ps.push(plan, client=fresh, journal=journal).wait()
    assert statuses(outcomes) == {"failed": 40}


def test_creating_must_be_planned(sandbox, client, journal) -> None:
    ids = [*IDS[:3], "new-1"]
    plan = a_plan(client, ids)
    assert plan.problems["rule"].to_list() == ["not_in_pendo"]
    creating = a_plan(client, ids, create="unknown_ids")
    run = ps.push(creating, client=client, journal=journal)
    outcomes = run.wait()
    assert outcomes.select("id", "status").rows() == [
        *((id, "updated") for id in ids[:3]),
        ("new-1", "created"),
    ]
    assert run.progress.counts == {"updated": 3, "created": 1}
    assert sandbox.values("visitor", "custom")["new-1"] == {"plan": "new-3", "seats": 103}


def test_the_webhook_is_accepted_and_lands_in_its_group(sandbox, client, journal) -> None:
    plan = a_plan(client, route="webhook")
    outcomes = ps.push(plan, client=client, journal=journal).wait()
    assert statuses(outcomes) == {"accepted": 40}
    held = sandbox.values("visitor", "segmentio")
    assert held["u-0002"] == {"plan": "new-1", "seats": 101}
    assert a_plan(client, route="webhook").summary.n_ids == 0


def test_cancel_finishes_what_is_in_flight_and_leaves_the_rest_pending(sandbox, journal) -> None:
    with ps.open_client(replace(sandbox.settings, api_pace=Pace(None, 2))) as client:
        plan = a_plan(client)
        sandbox.misbehave("latency", method="POST", seconds=0.3, times=None)
        run = ps.push(plan, client=client, journal=journal)
        run.cancel()
        outcomes = run.wait()
    told = statuses(outcomes)
    assert set(told) <= {"updated", "pending"}
    assert told["pending"] >= 20
    assert run.progress.state == "cancelled"
    assert ps.read_runs(journal)["state"].to_list() == ["cancelled"]
    assert outcomes.filter(status="pending")["batch"].null_count() == told["pending"]


def test_a_plan_goes_to_its_own_target_only(sandbox, client, journal) -> None:
    plan = a_plan(client)
    with (
        ps.open_client(sandbox.settings_for("eu")) as elsewhere,
        pytest.raises(ps.PlanError, match="was made for us"),
    ):
        ps.push(plan, client=elsewhere, journal=journal)
    with pytest.raises(ps.PlanError, match="nothing would change"):
        ps.push(plan.select(pl.lit(False)), client=client, journal=journal)
    assert ps.read_runs(journal).is_empty()


def test_a_missing_key_is_told_before_anything_is_sent(sandbox, client, journal) -> None:
    plan = a_plan(client)
    with ps.open_client(replace(sandbox.settings, integration_key=None)) as keyless:
        with pytest.raises(ps.SettingsError, match=r"needs the integration key.*Integrations"):
            ps.push(plan, client=keyless, journal=journal)


def test_a_journal_that_cannot_be_written_stops_the_push_before_sending(sandbox, client, tmp_path) -> None:
    plan = a_plan(client)
    sandbox.forget_requests()
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ps.JournalError, match="Hint:"):
        ps.push(plan, client=client, journal=ps.Journal(tmp_path / "file" / "journal"))
    assert writes(sandbox) == []


def test_a_journal_that_another_process_holds_stops_the_run_before_the_next_request(
    sandbox, client, journal
) -> None:
    with ps.open_client(replace(sandbox.settings, api_pace=Pace(None, 1))) as slow:
        plan = a_plan(slow)
        sandbox.misbehave("latency", method="POST", seconds=0.3, times=None)
        run = ps.push(plan, client=slow, journal=journal)
        while not writes(sandbox):
            time.sleep(0.01)
        holder = sqlite3.connect(journal.path / run.id / "run.sqlite", timeout=0)
        holder.execute("BEGIN EXCLUSIVE")
        try:
            with pytest.raises(ps.PushError, match="journal can't be written"):
                run.wait()
        finally:
            holder.rollback()
            holder.close()
    assert len(writes(sandbox)) < plan.n_requests
    outcomes = ps.read_outcomes(journal, run.id)
    assert outcomes.height == 40
    assert set(outcomes["status"]) <= {"updated", "unknown", "pending"}


def test_the_journal_says_sending_before_the_request(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:10])
    sandbox.misbehave("latency", method="POST", seconds=0.5)
    run = ps.push(plan, client=client, journal=journal)
    while not writes(sandbox):
        time.sleep(0.01)
    assert statuses(ps.read_outcomes(journal, run.id)) == {"unknown": 10}
    run.wait()
    with sqlite3.connect(journal.path / run.id / "run.sqlite") as db:
        lines = db.execute("SELECT sha256, state, tries FROM batch").fetchall()
    db.close()
    assert lines == [(hashlib.sha256(ps.dry_run(plan)["body"][0].encode()).hexdigest(), "done", 1)]


SCRIPT = """
import sys, time
import pendosync as ps, polars as pl
from dataclasses import replace
settings = ps.Settings(integration_key=sys.argv[2], api_url=sys.argv[1], data_url=sys.argv[1], api_pace=ps.Pace(20, 1), access="write")
table = pl.DataFrame({"user_id": [f"u-{n:04}" for n in range(1, 41)], "plan": ["late"] * 40})
with ps.open_client(replace(settings, api_pace=ps.Pace(None, 8))) as quick:
    plan = ps.plan_table(table, ps.Mapping("visitor", "user_id", ["plan"]), client=quick, batch_size=1)
client = ps.open_client(settings)
run = ps.push(plan.lift(recheck=None), client=client, journal=ps.open_journal(sys.argv[3]))
while run.progress.batches_done < 3: time.sleep(0.01)
"""


def run_script(sandbox: Sandbox, journal: ps.Journal, more: str = "") -> subprocess.Popen[str]:
    key = sandbox.settings.secret("integration_key").reveal()
    arguments = [sys.executable, "-c", SCRIPT + more, sandbox.url, key, str(journal.path)]
    return subprocess.Popen(arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def killed_run(sandbox: Sandbox, journal: ps.Journal) -> str:
    """Push in another process, kill it on the way, and return the run's id."""
    script = run_script(sandbox, journal, "print('go', flush=True)\nrun.wait()")
    assert script.stdout is not None
    script.stdout.readline()
    script.kill()
    script.communicate()
    (run_id,) = ps.read_runs(journal)["run_id"]
    return run_id


def test_a_script_that_ends_stops_its_run_cleanly_and_says_so(sandbox, journal) -> None:
    script = run_script(sandbox, journal)
    _, told = script.communicate(timeout=60)
    assert script.returncode == 0
    (run,) = ps.read_runs(journal).to_dicts()
    assert run["state"] == "cancelled"
    assert f"run {run['run_id']} was stopped cleanly at exit" in told
    counts = statuses(ps.read_outcomes(journal, run["run_id"]))
    assert set(counts) == {"updated", "pending"}
    assert counts["updated"] == sum(
        values.get("plan") == "late" for values in sandbox.values("visitor", "custom").values()
    )


def test_a_killed_push_leaves_each_id_with_one_outcome(sandbox, journal) -> None:
    script = run_script(sandbox, journal, "print('go', flush=True)\nrun.wait()")
    assert script.stdout is not None
    script.stdout.readline()
    os.kill(script.pid, 9)
    script.communicate()
    (run,) = ps.read_runs(journal).to_dicts()
    assert run["state"] == "interrupted"
    outcomes = ps.read_outcomes(journal, run["run_id"])
    counts = statuses(outcomes)
    assert set(counts) <= {"updated", "unknown", "pending"}
    assert counts["unknown"] <= 1
    held = sandbox.values("visitor", "custom")
    assert all(held[id]["plan"] == "late" for id in outcomes.filter(status="updated")["id"])
    assert all(held[id].get("plan") != "late" for id in outcomes.filter(status="pending")["id"])


def test_interrupting_wait_stops_the_run_cleanly(sandbox, journal) -> None:
    script = run_script(sandbox, journal, "print('go', flush=True)\nrun.wait()")
    assert script.stdout is not None
    script.stdout.readline()
    script.send_signal(2)
    _, told = script.communicate(timeout=60)
    assert "KeyboardInterrupt" in told
    (run,) = ps.read_runs(journal).to_dicts()
    assert run["state"] == "cancelled"
    assert set(statuses(ps.read_outcomes(journal, run["run_id"]))) == {"updated", "pending"}


def test_await_gives_the_outcomes(sandbox, client, journal) -> None:
    import asyncio

    async def pushed() -> pl.DataFrame:
        return await ps.push(a_plan(client), client=client, journal=journal)

    assert statuses(asyncio.run(pushed())) == {"updated": 40}


def test_in_a_terminal_the_end_is_a_line(sandbox, client, journal, capsys) -> None:
    ps.push(a_plan(client), client=client, journal=journal).wait()
    assert "pendosync: 40 visitors → custom, us (127.0.0.1" in capsys.readouterr().err
    ps.push(a_plan(client, ["u-0100"]), client=client, journal=journal, show=False).wait()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("region", list(REGIONS))
@pytest.mark.parametrize("route", ["metadata", "webhook"])
def test_every_region_is_a_target(sandbox, journal, region: str, route: str) -> None:
    with ps.open_client(sandbox.settings_for(region)) as client:
        plan = a_plan(client, IDS[:3], route=route, create="unknown_ids")
        assert str(plan.target).startswith(f"{region} (")
        ps.push(plan, client=client, journal=journal).wait()
    assert {request["region"] for request in sandbox.requests()} == {region}
    group = "custom" if route == "metadata" else "segmentio"
    held = sandbox.values("visitor", group, region=region)["u-0002"]
    assert (held["plan"], held["seats"]) == ("new-1", 101)


def test_a_push_keeps_the_pace_with_all_who_share_the_key(sandbox, client, journal) -> None:
    plan = a_plan(client, batch_size=2).lift(recheck=None)
    paced = replace(sandbox.settings, api_pace=Pace(max_per_second=10, max_at_once=4))
    sandbox.forget_requests()
    with ps.open_client(paced) as one, ps.open_client(paced) as other:
        runs = [
            ps.push(plan.select(ids=ids), client=who, journal=journal, show=False)
            for who, ids in ((one, IDS[:20]), (other, IDS[20:]))
        ]
        for run in runs:
            run.wait()
    starts = [request["at_s"] for request in sandbox.requests()]
    assert len(starts) == 22  # each run asks for its key's access first
    assert (
        max(sum(1 for at in starts if begin <= at < begin + 1) for begin in starts) <= 11
    )  # arrival may jitter by one


def test_closing_the_client_ends_its_run_and_leaves_in_flight_unknown(journal) -> None:
    with (
        ps.open_sandbox() as own,  # what was in flight arrives there, and in no other test
        ps.open_client(replace(own.settings, api_pace=Pace(None, 1))) as client,
    ):
        plan = a_plan(client)
        own.misbehave("latency", method="POST", seconds=0.5, times=None)
        run = ps.push(plan, client=client, journal=journal)
        while not run.progress.requests:
            time.sleep(0.01)
    outcomes = run.wait(timeout_s=10)
    assert statuses(outcomes) == {"unknown": 10, "pending": 30}
    assert run.progress.state == "cancelled"


def test_a_closed_client_leaves_no_run_behind(sandbox, client, journal) -> None:
    plan = a_plan(client)
    client.close()
    with pytest.raises(ps.ClientError, match="closed"):
        ps.push(plan, client=client, journal=journal)
    assert ps.read_runs(journal).is_empty()


def test_a_stopped_run_counts_pending_ids_as_not_sent(journal) -> None:
    with ps.open_sandbox() as gone, ps.open_client(gone.settings, retry=QUICK) as client:
        plan = a_plan(client)
        gone.close()
        with pytest.raises(ps.PushError, match="40 ids of 40 were not sent"):
            ps.push(plan, client=client, journal=journal).wait()


def test_a_timeout_of_await_ends_the_wait_and_not_the_run(sandbox, client, journal) -> None:
    import asyncio

    plan = a_plan(client)
    sandbox.misbehave("latency", method="POST", seconds=0.3, times=None)

    async def impatient() -> ps.Run:
        run = ps.push(plan, client=client, journal=journal)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run, 0.05)
        return run

    assert statuses(asyncio.run(impatient()).wait()) == {"updated": 40}


def test_kept_columns_belong_to_their_rows_whatever_the_source(sandbox, client) -> None:
    many = pl.DataFrame(
        {
            "user_id": [f"v-{n}" for n in range(20_000)] * 2,
            "plan": "x",
            "mine": [f"v-{n}" for n in range(20_000)] * 2,
        }
    )
    lazy = many.lazy().group_by("user_id").agg(pl.col("plan").first(), pl.col("mine").first())
    mapping = ps.Mapping("visitor", "user_id", [ps.Trait("plan", type="text")])
    plan = ps.plan_table(lazy, mapping, client=client, keep="mine", create="unknown_ids")
    assert len(plan) == 20_000
    assert plan.select(pl.col("mine") != pl.col("id")).changes.is_empty()


@pytest.mark.parametrize(
    ("keep", "word"),
    [(["id"], "can't be kept"), (["nope"], "no column 'nope'"), (["thing"], "Python objects")],
)
def test_columns_that_cannot_be_kept_are_told(sandbox, client, keep: list[str], word: str) -> None:
    table = a_table(IDS[:2]).with_columns(
        pl.Series("id", ["a", "b"]), pl.Series("thing", [object(), object()], dtype=pl.Object)
    )
    mapping = ps.Mapping("visitor", "user_id", ["plan"])
    with pytest.raises(ps.PendosyncError, match=word):
        ps.plan_table(table, mapping, client=client, keep=keep)
