"""What was pushed is read back, and what that settles is written down."""

from __future__ import annotations

import sqlite3
import time
from collections import Counter

import polars as pl
import pytest

import pendosync as ps
from pendosync.frames import OUTCOMES
from pendosync.throttle import FakeClock
from tests.test_push import IDS, QUICK, a_plan, statuses
from tests.test_undo import others_write, pushed


def seen(frame: pl.DataFrame) -> Counter[str]:
    return Counter(frame["seen"])


def lines_in(journal: ps.Journal, run_id: str, table: str) -> list[tuple]:
    db = sqlite3.connect(journal.path / run_id / "run.sqlite")
    try:
        return db.execute(f"SELECT * FROM {table}").fetchall()
    finally:
        db.close()


def test_what_was_pushed_is_seen(sandbox, client, journal) -> None:
    run = pushed(a_plan(client), client, journal)
    sandbox.forget_requests()
    told = ps.verify_run(journal, run.id, client=client)
    assert dict(list(told.schema.items())[:5]) == dict(OUTCOMES)
    assert told.select(OUTCOMES.names()).equals(run.outcomes)
    assert told.columns[5:] == ["seen", "fields"]
    assert seen(told) == {"as_pushed": 40}
    assert told["fields"].null_count() == 40
    assert {request["method"] for request in sandbox.requests()} == {"GET"}


def test_what_others_changed_is_named_and_the_outcome_stays(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, IDS[:3]), client, journal)
    others_write(client, "u-0002", "seats", 7)
    told = ps.verify_run(journal, run.id, client=client)
    assert told.select("id", "status", "seen", "fields").rows() == [
        ("u-0001", "updated", "as_pushed", None),
        ("u-0002", "updated", "other", ["seats"]),
        ("u-0003", "updated", "as_pushed", None),
    ]


def test_accepted_becomes_updated_for_good(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, IDS[:3], route="webhook"), client, journal)
    told = ps.verify_run(journal, run.id, client=client)
    assert statuses(told) == {"updated": 3}
    assert set(told["reason"]) == {"verified by reading back"}
    assert ps.read_outcomes(journal, run.id).equals(told.select(OUTCOMES.names()))
    assert run.outcomes.equals(told.select(OUTCOMES.names()))
    assert lines_in(journal, run.id, "exception") == []  # a message has a line already: its batch's


def test_accepted_becomes_created_where_that_was_planned(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, ["u-0001", "new-1"], route="webhook", create="unknown_ids"), client, journal)
    assert ps.verify_run(journal, run.id, client=client)["status"].to_list() == ["updated", "created"]


def test_accepted_becomes_missing_where_pendo_does_not_know_the_id(sandbox, client, journal) -> None:
    mapping = ps.Mapping("visitor", "id", ["plan"], route="webhook")
    pushed(a_plan(client, ["gone"], create="unknown_ids"), client, journal)
    table = pl.DataFrame({"id": ["u-0001", "gone"], "plan": ["a", "a"]})
    plan = ps.plan_table(table, mapping, client=client)
    assert len(plan) == 2
    sandbox.reset()
    sandbox.switch(webhook_creates_unknown=False)
    run = pushed(plan.lift(recheck=None), client, journal)
    told = ps.verify_run(journal, run.id, client=client)
    assert told.select("id", "status", "seen").rows() == [
        ("u-0001", "updated", "as_pushed"),
        ("gone", "missing", "missing"),
    ]
    assert "does not know this visitor" in told["reason"][1]
    assert set(ps.plan_undo(journal, run.id).problems["id"]) == {"u-0001"}
    pushed(a_plan(client, ["gone"], create="unknown_ids"), client, journal)
    pushed(ps.plan_table(table, mapping, client=client), client, journal)
    assert statuses(ps.verify_run(journal, run.id, client=client)) == {"updated": 2}  # it was a lagging read


def test_not_yet_visible_is_not_failed(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, IDS[:3], route="webhook"), client, journal)
    sandbox.misbehave("lag", seconds=60)
    later = pushed(a_plan(client, IDS[10:13], route="webhook"), client, journal)
    assert seen(ps.verify_run(journal, run.id, client=client)) == {"as_pushed": 3}
    told = ps.verify_run(journal, later.id, client=client)
    assert seen(told) == {"not_yet": 3}
    assert statuses(told) == {"accepted": 3}
    sandbox.behave()
    assert statuses(ps.verify_run(journal, later.id, client=client)) == {"updated": 3}


def test_it_looks_again_until_all_is_seen(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:4], route="webhook")
    sandbox.misbehave("lag", seconds=2)
    run = pushed(plan, client, journal)
    sandbox.forget_requests()
    began = time.monotonic()
    told = ps.verify_run(journal, run.id, client=client, settle_s=30)
    assert time.monotonic() - began < 20
    assert (seen(told), statuses(told)) == ({"as_pushed": 4}, {"updated": 4})
    reads = Counter(request["path"] for request in sandbox.requests())
    assert len(reads) == 4
    assert all(2 <= n <= 6 for n in reads.values())


def test_it_looks_again_only_at_what_is_not_seen_and_until_the_time_is_up(sandbox, journal) -> None:
    clock = FakeClock()
    with ps.open_client(sandbox.settings, clock=clock) as client:
        run = pushed(a_plan(client, IDS[:3]), client, journal)
        others_write(client, "u-0002", "plan", "theirs")
        sandbox.forget_requests()
        began = clock.now()
        told = ps.verify_run(journal, run.id, client=client, settle_s=2.5)
        assert clock.now() - began == 2.5
    assert seen(told) == {"as_pushed": 2, "other": 1}
    assert told["id"].to_list() == IDS[:3]
    assert Counter(request["path"].rpartition("/")[2] for request in sandbox.requests()) == {
        "u-0001": 1, "u-0002": 4, "u-0003": 1,
    }  # fmt: skip


def test_unknown_is_settled_by_reading_back(sandbox, journal) -> None:
    with ps.open_client(sandbox.settings, retry=QUICK) as client:
        plan = a_plan(client, IDS[:10])
        sandbox.misbehave("cut", method="POST", when="after", times=None)
        run = ps.push(plan, client=client, journal=journal, show=False)
        with pytest.raises(ps.PushError):
            run.wait()
        sandbox.behave()
        assert statuses(run.outcomes) == {"unknown": 10}
        others_write(client, "u-0003", "plan", "theirs")
        told = ps.verify_run(journal, run.id, client=client)
        assert statuses(told) == {"updated": 9, "unknown": 1}
        assert told.filter(status="unknown").select("id", "seen").rows() == [("u-0003", "other")]
        assert told["reason"][0] == "it was in flight, and verified by reading back"
        assert ps.read_outcomes(journal, run.id).equals(told.select(OUTCOMES.names()))
        others_write(client, "u-0003", "plan", "new-2")
        assert statuses(ps.verify_run(journal, run.id, client=client)) == {"updated": 10}


def test_records_that_were_cut_off_while_a_batch_was_split_are_settled(sandbox, journal) -> None:
    with ps.open_client(sandbox.settings, retry=QUICK) as client:
        plan = a_plan(client, IDS[:10])
        sandbox.misbehave("fail_records", ids=["u-0002"])
        sandbox.misbehave("cut", method="POST", when="after", after=1, times=None)
        run = ps.push(plan, client=client, journal=journal, show=False)
        with pytest.raises(ps.PushError):
            run.wait()
        sandbox.behave()
        assert statuses(run.outcomes)["unknown"] >= 5
        assert lines_in(journal, run.id, "exception")
        assert statuses(ps.verify_run(journal, run.id, client=client)) == {"updated": 10}


def test_a_batch_that_is_settled_whole_keeps_one_line(sandbox, journal) -> None:
    with ps.open_client(sandbox.settings, retry=QUICK) as client:
        plan = a_plan(client, IDS[:10])
        sandbox.misbehave("cut", method="POST", when="after", times=None)
        run = ps.push(plan, client=client, journal=journal, show=False)
        with pytest.raises(ps.PushError):
            run.wait()
        sandbox.behave()
        assert statuses(ps.verify_run(journal, run.id, client=client)) == {"updated": 10}
    assert lines_in(journal, run.id, "exception") == []


def test_unknown_ids_that_hold_what_was_there_before_stay_unknown(sandbox, journal) -> None:
    with ps.open_client(sandbox.settings, retry=QUICK) as client:
        plan = a_plan(client, IDS[:10])
        sandbox.misbehave("cut", method="POST", when="before", times=None)
        run = ps.push(plan, client=client, journal=journal, show=False)
        with pytest.raises(ps.PushError):
            run.wait()
        sandbox.behave()
        told = ps.verify_run(journal, run.id, client=client)
    assert seen(told) == {"not_yet": 10}
    assert told.select(OUTCOMES.names()).equals(run.outcomes)


def test_what_pendo_told_stays_and_what_is_seen_stands_beside_it(sandbox, client, journal) -> None:
    for text, status in (
        ('{"total":10,"updated":9,"failed":1,"missing":["u-0002"]}', "missing"),
        ('{"total":10,"updated":0,"failed":10,"errors":["no"]}', "failed"),
    ):
        plan = a_plan(client, IDS[:10])
        sandbox.misbehave("body", method="POST", text=text)
        run = pushed(plan, client, journal)
        told = ps.verify_run(journal, run.id, client=client)
        assert told.select(OUTCOMES.names()).equals(run.outcomes)
        assert told.filter(status=status).select("id", "seen").row(0)[1] == "as_pushed"
        sandbox.reset()


def test_ids_that_were_not_sent_are_not_read(sandbox, client, journal) -> None:
    plan = a_plan(client)
    run = ps.push(plan, client=client, journal=journal, show=False)
    run.cancel()
    outcomes = run.wait()
    pending = set(outcomes.filter(status="pending")["id"])
    assert pending
    sandbox.forget_requests()
    told = ps.verify_run(journal, run.id, client=client)
    assert set(told.filter(pl.col("seen").is_null())["id"]) == pending
    assert not pending & {request["path"].rpartition("/")[2] for request in sandbox.requests()}


def test_a_run_is_verified_where_it_went(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, IDS[:1]), client, journal)
    with ps.open_client(sandbox.settings_for("eu")) as elsewhere:
        with pytest.raises(ps.PlanError, match="was made for us"):
            ps.verify_run(journal, run.id, client=elsewhere)
    with pytest.raises(ps.JournalError, match="holds no run 'x'"):
        ps.verify_run(journal, "x", client=client)
