"""What a run could not write is mended and pushed again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

import pendosync as ps
from pendosync.frames import VALUES
from tests.test_push import IDS, a_plan, a_table, statuses
from tests.test_undo import MAPPING, others_write, pushed


def rejected_run(
    sandbox: Any, client: ps.Client, journal: ps.Journal, ids: list[str], **options: Any
) -> ps.Run:
    """Push with failures at u-0002 and u-0005."""
    plan = a_plan(client, ids, **options)
    sandbox.misbehave("fail_records", ids=["u-0002", "u-0005"], named=True, times=None)
    run = pushed(plan, client, journal)
    sandbox.behave()
    return run


def test_the_rejected_ids_come_back_as_they_were_planned(sandbox, client, journal) -> None:
    run = rejected_run(sandbox, client, journal, IDS[:10], keep=["user_id"], send="all")
    again = ps.plan_rejected(journal, run.id)
    assert again.changes.equals(run.plan.select(ids=["u-0002", "u-0005"]).changes)
    told = again.problems
    assert told.select("id", "field", "rule", "severity").rows() == [
        (id, None, "was_rejected", "warn") for id in ("u-0002", "u-0005")
    ]
    reasons = run.outcomes.filter(status="failed")["reason"].to_list()
    assert told["reason"].to_list() == [f"failed: {reason}" for reason in reasons]
    assert (again.shape.batch_size, again.shape.send) == (10, "all")
    assert again.shape.nonce != run.plan.shape.nonce
    assert statuses(pushed(again, client, journal).outcomes) == {"updated": 2}
    held = sandbox.values("visitor", "custom")
    assert (held["u-0005"]["plan"], held["u-0005"]["seats"]) == ("new-4", 104)


def test_a_run_without_rejected_ids_gives_an_empty_plan(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, IDS[:3]), client, journal)
    again = ps.plan_rejected(journal, run.id)
    assert (len(again), again.problems.height) == (0, 0)
    assert ps.plan_rejected(journal, run.id, mended=again.values).changes.is_empty()
    with pytest.raises(ps.JournalError, match="holds no run 'x'"):
        ps.plan_rejected(journal, "x")


def test_values_are_the_cells_that_a_plan_changes(sandbox, client) -> None:
    plan = a_plan(client, IDS[:2])
    values = plan.values
    assert list(values.schema.items()) == [*VALUES.items(), ("plan", pl.String()), ("seats", pl.Int64())]
    assert values.select("id", "plan", "seats").rows() == [("u-0001", "new-0", 100), ("u-0002", "new-1", 101)]
    held = plan.changes["before"].struct.field("seats")
    same = ps.plan_table(a_table(IDS[:2]).with_columns(seats=held), MAPPING, client=client)
    assert same.values.select("plan", "seats").rows() == [("new-0", None), ("new-1", None)]


def test_mended_cells_are_pushed_in_place_of_what_was_planned(sandbox, client, journal) -> None:
    run = rejected_run(sandbox, client, journal, IDS[:10])
    values = ps.plan_rejected(journal, run.id).values
    mended = values.with_columns(plan=pl.col("plan") + "!").filter(id="u-0005")
    again = ps.plan_rejected(journal, run.id, mended=mended)
    assert again.values.select("id", "plan", "seats").rows() == [("u-0005", "new-4!", 104)]
    assert again.problems["id"].to_list() == ["u-0005"]
    assert again.changes["before"].to_list() == run.plan.select(ids=["u-0005"]).changes["before"].to_list()
    pushed(again, client, journal)
    assert sandbox.values("visitor", "custom")["u-0005"]["plan"] == "new-4!"


def test_fields_that_mended_lacks_stay_as_planned_and_others_may_come_in(sandbox, client, journal) -> None:
    table = a_table(IDS[:10]).with_columns(seats=pl.lit(None, dtype=pl.Int64))
    plan = ps.plan_table(table, MAPPING, client=client, batch_size=10)
    sandbox.misbehave("fail_records", ids=["u-0002"], times=None)
    run = pushed(plan, client, journal)
    mended = pl.DataFrame({"id": ["u-0002"], "seats": [9]})
    again = ps.plan_rejected(journal, run.id, mended=mended)
    assert again.values.select("plan", "seats").rows() == [("new-1", 9)]


def test_a_cell_made_null_is_not_pushed_and_an_id_without_any_falls_out(sandbox, client, journal) -> None:
    run = rejected_run(sandbox, client, journal, IDS[:10])
    values = ps.plan_rejected(journal, run.id).values
    held = run.plan.select(ids=["u-0002"]).changes["before"][0]
    mended = values.with_columns(
        seats=pl.lit(None),
        plan=pl.when(pl.col("id") == "u-0002").then(pl.lit(held["plan"])).otherwise("plan"),
    )
    again = ps.plan_rejected(journal, run.id, mended=mended)
    assert again.changes.select("id", ps.changed("seats")).rows() == [("u-0005", False)]
    assert again.changes["before_raw"].to_list() == again.changes["after_raw"].to_list()
    told = again.problems.filter(rule="already_held")
    assert told.select("id", "severity").rows() == [("u-0002", "warn")]


def test_a_cell_made_null_clears_where_the_mapping_says_so(sandbox, client, journal) -> None:
    traits = [ps.Trait("plan", type="text", null="clear"), ps.Trait("seats", type="integer", null="clear")]
    mapping = ps.Mapping("visitor", "user_id", traits)
    held = sandbox.values("visitor", "custom")
    table = a_table(IDS[:3]).with_columns(
        seats=pl.Series([held[id].get("seats") for id in IDS[:3]], dtype=pl.Int64)
    )
    sandbox.misbehave("fail_records", ids=["u-0002", "u-0003"], times=None)
    run = pushed(ps.plan_table(table, mapping, client=client), client, journal)
    sandbox.behave()
    values = ps.plan_rejected(journal, run.id).values
    mended = values.with_columns(plan=pl.when(pl.col("id") != "u-0002").then("plan"))
    again = ps.plan_rejected(journal, run.id, mended=mended)
    # seats did not change when planned: its null in the frame of values clears nothing
    assert again.changes.select("id", ps.changed("plan"), ps.changed("seats").alias("s")).rows() == [
        ("u-0002", True, False),
        ("u-0003", True, False),
    ]
    pushed(again, client, journal)
    now = sandbox.values("visitor", "custom")
    assert "plan" not in now["u-0002"]
    assert now["u-0002"]["seats"] == held["u-0002"]["seats"]


def test_mended_values_are_checked(sandbox, client, journal) -> None:
    run = rejected_run(sandbox, client, journal, IDS[:10])
    values = ps.plan_rejected(journal, run.id).values
    mended = values.with_columns(
        seats=pl.when(pl.col("id") == "u-0002").then(2**60).otherwise("seats"), plan=pl.lit("x" * 2000)
    )
    again = ps.plan_rejected(journal, run.id, mended=mended)
    told = again.problems.filter(pl.col("rule") != "was_rejected")
    assert told.select("id", "field", "rule").rows() == [
        ("u-0002", "seats", "unsafe_integer"),
        ("u-0002", "plan", "long_text"),
        ("u-0005", "plan", "long_text"),
    ]
    assert again.changes.select("id", ps.changed("seats")).rows() == [("u-0002", False), ("u-0005", True)]
    assert again.problems.filter(rule="already_held").is_empty()


def test_an_id_whose_mended_values_are_all_blocked_is_told_by_that_alone(sandbox, client, journal) -> None:
    sandbox.switch(lists_outside_agent="accepted")
    body = b'[{"name": "tags", "displayname": "Tags", "type": "list"}]'
    client.call(client.request, "POST", "/api/v1/metadata/schema/visitor/custom", body=body)
    others_write(client, "u-0001", "tags", ["old"])
    mapping = ps.Mapping("visitor", "id", [ps.Trait("tags", null="clear"), ps.Trait("seats", type="integer")])
    table = pl.DataFrame({"id": ["u-0001", "u-0002"], "tags": [["a"], ["b"]], "seats": [None, 9]})
    values = ps.map_traits(table, mapping)
    held = ps.fetch_values(client, mapping, like=values)
    changes = ps.diff_values(values, before=held, mapping=mapping)  # past the checks, which block such lists
    sandbox.misbehave("fail_records", ids=["u-0001", "u-0002"], times=None)
    run = pushed(ps.plan_changes(changes, mapping=mapping, target=client.target), client, journal)
    planned = ps.plan_rejected(journal, run.id).values
    is_first = pl.col("id") == "u-0001"
    mended = planned.with_columns(
        tags=pl.when(is_first).then(pl.lit(["c"])).otherwise("tags"),
        seats=pl.when(~is_first).then(2**60),
    )
    again = ps.plan_rejected(journal, run.id, mended=mended)
    assert again.values.select("id", "tags", "seats").rows() == [("u-0002", ["b"], None)]
    rules = again.problems.filter(pl.col("rule") != "was_rejected").select("rule", "id").rows()
    assert rules == [("list_outside_agent", None), ("unsafe_integer", "u-0002")]


@pytest.mark.parametrize(
    ("mended", "beat"),
    [
        (
            pl.DataFrame({"id": ["u-0002"], "Plan": ["x"]}),
            r"no fields of the plan: 'Plan'.*did you mean 'plan'",
        ),
        (pl.DataFrame({"id": ["u-0002"], "seats": ["9"]}), "seats: is String, expected Int64"),
        (pl.DataFrame({"id": [2], "seats": [9]}), "id: is Int64, expected String"),
        (pl.DataFrame({"seats": [9]}), "mended has no column 'id'"),
        (pl.DataFrame({"id": ["u-0002", "u-0002"]}), "null or repeat: 'u-0002'.*Hint: mended.unique"),
        (
            pl.DataFrame({"id": ["u-0001"]}),
            "holds 1 id that this run did not reject: 'u-0001'.*did you mean 'u-0005', 'u-0002'",
        ),
        ([], "mended is a list"),
    ],
)
def test_frames_that_do_not_fit_are_refused(sandbox, client, journal, mended: Any, beat: str) -> None:
    run = rejected_run(sandbox, client, journal, IDS[:10])
    with pytest.raises((ps.FrameError, ps.PlanError), match=beat) as caught:
        ps.plan_rejected(journal, run.id, mended=mended)
    assert "Hint:" in str(caught.value)


def test_missing_ids_can_be_created_by_name(sandbox, client, journal) -> None:
    pushed(a_plan(client, ["lost"], create="unknown_ids"), client, journal)
    newer = a_table(["u-0001", "lost"]).with_columns(plan=pl.lit("later"))
    plan = ps.plan_table(newer, MAPPING, client=client).lift(recheck=None)
    sandbox.reset()
    run = pushed(plan, client, journal)
    assert statuses(run.outcomes) == {"updated": 1, "missing": 1}
    again = ps.plan_rejected(journal, run.id)
    assert again.changes.select("id", "action").rows() == [("lost", "update")]
    assert again.problems["reason"].to_list() == ["missing: Pendo does not know this visitor"]
    creating = ps.plan_rejected(journal, run.id, create="unknown_ids")
    (line,) = creating.changes.to_dicts()
    assert (line["action"], line["before"]) == ("create", {"plan": None, "seats": None})
    assert statuses(pushed(creating, client, journal).outcomes) == {"created": 1}
    assert sandbox.values("visitor", "custom")["lost"]["plan"] == "later"
    with pytest.raises(ps.MappingError, match="'unknown_ids'"):
        ps.plan_rejected(journal, run.id, create="all")  # type: ignore[arg-type]


def test_creating_must_be_named_again(sandbox, client, journal) -> None:
    plan = a_plan(client, ["new-1", "new-2"], create="unknown_ids")
    sandbox.misbehave("fail_records", ids=["new-2"], named=True, times=None)
    run = pushed(plan, client, journal)
    sandbox.behave()
    kept_off = ps.plan_rejected(journal, run.id)
    assert (len(kept_off), kept_off.problems["rule"].to_list()) == (0, ["was_rejected", "not_in_pendo"])
    again = ps.plan_rejected(journal, run.id, create="unknown_ids")
    assert again.changes.equals(plan.select(ids=["new-2"]).changes)
    mended = again.values.with_columns(plan=pl.lit("mended"))
    pushed(ps.plan_rejected(journal, run.id, create="unknown_ids", mended=mended), client, journal)
    assert sandbox.values("visitor", "custom")["new-2"] == {"plan": "mended", "seats": 101}


def test_a_value_that_pendo_would_not_take_back_is_mended_in_an_undo(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, IDS[:12]), client, journal)
    back = pushed(ps.plan_undo(journal, run.id), client, journal)  # a strict Pendo refuses "5" in seats
    rejected = ps.plan_rejected(journal, back.id)
    assert set(rejected.changes["id"]) == {"u-0005", "u-0011"}
    assert rejected.undoes == run.id
    same = ps.plan_rejected(journal, back.id, mended=rejected.values)
    assert same.changes.equals(rejected.changes)
    assert same.problems.equals(rejected.problems)
    mended = rejected.values.with_columns(
        plan=pl.when(pl.col("id") == "u-0011").then(pl.lit("7")).otherwise("plan"),
        raw=pl.lit(None),
    )
    again = ps.plan_rejected(journal, back.id, mended=mended)
    assert statuses(pushed(again, client, journal).outcomes) == {"updated": 2}
    held = sandbox.values("visitor", "custom")
    assert held["u-0011"]["plan"] == "7"
    assert held["u-0005"]["seats"] == 104  # its raw cell was taken out: it is left alone


def test_events_that_were_refused_are_mended_and_checked_as_wholes(sandbox, client, journal) -> None:
    at = datetime.now(UTC)
    table = pl.DataFrame(
        {"user": IDS[:4], "org": "acme", "what": "Left", "at": at, "note": "x", "more": "y" * 300}
    )
    mapping = ps.Mapping(
        "event",
        visitor_id="user",
        account_id="org",
        event="what",
        at="at",
        traits=["note", "more"],
        route="webhook",
    )
    plan = ps.plan_table(table, mapping, client=client)
    pushed(plan.select(ids=["0"]), client, journal)  # so that a refusal is no word on the key
    sandbox.misbehave("status", path="/data/", status=400, times=3)
    run = pushed(plan.select(but=["0"]), client, journal)
    sandbox.behave()
    assert statuses(run.outcomes) == {"failed": 3}
    values = ps.plan_rejected(journal, run.id).values
    assert ps.check_values(values, mapping=mapping).is_empty()
    notes = pl.Series(["mended", "z" * 300, None])
    again = ps.plan_rejected(journal, run.id, mended=values.drop("more").with_columns(note=notes))
    assert again.problems.filter(severity="block_row").select("id", "rule").rows() == [
        (values["id"][1], "large_properties")
    ]
    assert [json.loads(body)["properties"] for body in ps.dry_run(again)["body"]] == [
        {"note": "mended", "more": "y" * 300, "groupId": "acme"},
        {"more": "y" * 300, "groupId": "acme"},
    ]
    assert statuses(pushed(again, client, journal).outcomes) == {"accepted": 2}
