"""A run is taken back by a plan like any other; what can't be is listed."""

from __future__ import annotations

import polars as pl
import pytest

import pendosync as ps
from tests.test_push import IDS, QUICK, a_plan, a_table, statuses

MAPPING = ps.Mapping("visitor", "user_id", [ps.Trait("plan", type="text"), ps.Trait("seats", type="integer")])


def pushed(plan: ps.Plan, client: ps.Client, journal: ps.Journal) -> ps.Run:
    run = ps.push(plan, client=client, journal=journal, show=False)
    run.wait()
    return run


def present(values: dict, fields: tuple[str, ...] = ("plan", "seats")) -> dict:
    return {
        id: {name: held[name] for name in fields if held.get(name) is not None} for id, held in values.items()
    }


def test_undo_brings_back_every_value_that_was_present(sandbox, client, journal) -> None:
    sandbox.switch(wrong_types="kept")
    before = sandbox.values("visitor", "custom")
    run = pushed(a_plan(client), client, journal)
    undo = ps.plan_undo(journal, run.id)
    assert undo.undoes == run.id
    assert f"Takes back run {run.id}" in repr(undo)
    pushed(undo, client, journal)
    after = sandbox.values("visitor", "custom")
    for id, held in present(before).items():
        assert {name: after[id][name] for name in held} == held
    assert before["u-0005"]["seats"] == after["u-0005"]["seats"] == "5"  # of another type than the field's
    assert after["u-0011"]["plan"] == 7


def test_what_was_absent_is_listed_and_left(sandbox, client, journal) -> None:
    empty = [id for id in IDS if not sandbox.values("visitor", "custom")[id].get("plan")]
    assert empty
    run = pushed(a_plan(client), client, journal)
    undo = ps.plan_undo(journal, run.id)
    told = undo.cannot_undo
    assert set(told["id"]) == set(empty)
    assert set(told["field"]) == {"plan", "seats"}
    assert "there was no value before" in told["reason"][0]
    assert not set(undo.changes["id"]) & set(empty)
    assert "can't be put back" in repr(undo)


def test_what_was_absent_can_be_sent_as_null(sandbox, client, journal) -> None:
    run = pushed(a_plan(client), client, journal)
    undo = ps.plan_undo(journal, run.id, absent="null")
    assert undo.cannot_undo.is_empty()
    sandbox.switch(wrong_types="kept")
    assert statuses(pushed(undo, client, journal).outcomes) == {"updated": 40}
    empty = sandbox.values("visitor", "custom")["u-0020"]
    assert empty.get("plan") is None
    assert empty.get("seats") is None


def test_created_ids_cannot_be_undone(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, ["new-1"], create="unknown_ids"), client, journal)
    undo = ps.plan_undo(journal, run.id)
    assert len(undo) == 0
    assert undo.cannot_undo.select("id", "field").rows() == [
        ("new-1", None),
        ("new-1", "plan"),
        ("new-1", "seats"),
    ]


def test_the_webhook_is_undone_by_the_webhook(sandbox, client, journal) -> None:
    ids = IDS[:3]
    first = pushed(a_plan(client, ids, route="webhook"), client, journal)
    assert len(ps.plan_undo(journal, first.id)) == 0  # nothing was there before
    held = sandbox.values("visitor", "segmentio")
    table = a_table(ids).with_columns(plan=pl.lit("other"))
    mapping = ps.Mapping("visitor", "user_id", ["plan"], route="webhook")
    second = pushed(ps.plan_table(table, mapping, client=client), client, journal)
    assert sandbox.values("visitor", "segmentio") != held
    pushed(ps.plan_undo(journal, second.id), client, journal)
    assert sandbox.values("visitor", "segmentio") == held


def test_an_undo_is_undone_like_any_other_run(sandbox, client, journal) -> None:
    sandbox.switch(wrong_types="kept")
    run = pushed(a_plan(client), client, journal)
    as_pushed = sandbox.values("visitor", "custom")
    back = pushed(ps.plan_undo(journal, run.id), client, journal)
    assert sandbox.values("visitor", "custom") != as_pushed
    pushed(ps.plan_undo(journal, back.id), client, journal)
    assert sandbox.values("visitor", "custom") == as_pushed


def test_only_what_was_or_may_have_been_written_is_taken_back(sandbox, journal) -> None:
    with ps.open_client(sandbox.settings, retry=QUICK) as client:
        plan = a_plan(client)
        answers = [
            {"text": '{"total":10,"updated":9,"failed":1,"missing":["u-0002"]}'},
            {"text": "refused", "status": 400, "times": None},
            {"text": '{"total":10,"updated":9,"failed":1}'},
        ]
        for n, answer in enumerate(answers):
            sandbox.misbehave("body", method="POST", **answer)
            run = ps.push(
                plan.select(ids=IDS[10 * n : 10 * n + 10]), client=client, journal=journal, show=False
            )
            run.wait()
            sandbox.behave()
            expected = {0: set(IDS[:10]) - {"u-0002"}, 1: set(), 2: set(IDS[20:30])}[n]
            undo = ps.plan_undo(journal, run.id)
            assert set(undo.changes["id"]) | set(undo.cannot_undo["id"]) == expected


def test_undo_names_runs_that_are_not_there(journal) -> None:
    with pytest.raises(ps.JournalError, match=r"holds no run '\.\./x'"):
        ps.plan_undo(journal, "../x")
    with pytest.raises(ps.MappingError, match="'leave'"):
        ps.plan_undo(journal, "x", absent="drop")  # type: ignore[arg-type]


def test_values_of_another_type_go_back_last_and_with_a_warning(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, IDS[:12]), client, journal)
    undo = ps.plan_undo(journal, run.id)
    told = undo.problems.filter(rule="goes_back_raw")
    assert told.select("id", "field").rows() == [("u-0011", "plan"), ("u-0005", "seats")]
    assert set(undo.changes["id"].tail(2)) == {"u-0005", "u-0011"}
    assert "<s style" in undo._repr_html_()
    outcomes = pushed(undo, client, journal).outcomes  # a strict Pendo refuses the last batch only
    assert set(outcomes.filter(status="updated")["id"]) >= set(undo.changes["id"].head(len(undo) // 10 * 10))


def test_kept_columns_of_any_name_do_not_stand_in_an_undos_way(sandbox, client, journal) -> None:
    table = a_table(IDS[:3]).with_columns(status=pl.lit("x"), http_status=pl.lit(1))
    plan = ps.plan_table(table, MAPPING, client=client, keep=["status", "http_status"])
    run = pushed(plan.select(pl.col("status") == "x"), client, journal)
    assert len(ps.plan_undo(journal, run.id)) == 3
