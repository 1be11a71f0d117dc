"""A plan is planned again on today's values."""

from __future__ import annotations

import polars as pl
import pytest

import pendosync as ps
from tests.test_push import IDS, a_plan, a_table
from tests.test_undo import others_write, pushed


def test_the_plans_wishes_stand_on_todays_values(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:4])
    others_write(client, "u-0001", "plan", "theirs")
    others_write(client, "u-0002", "plan", "new-1")
    for field, value in (("plan", "new-2"), ("seats", 102)):
        others_write(client, "u-0003", field, value)
    fresh = ps.refresh_plan(plan, client=client)
    assert fresh.changes["id"].to_list() == ["u-0001", "u-0002", "u-0004"]
    assert [held["plan"] for held in fresh.changes["before"]][:2] == ["theirs", "new-1"]
    assert fresh.changes.select(ps.changed("plan")).to_series().to_list() == [True, False, True]
    told = fresh.problems.filter(rule="already_held")
    assert told.select("id", "field").rows() == [("u-0003", None), ("u-0002", "plan")]
    assert set(told["severity"]) == {"warn"}
    pushed(fresh, client, journal)
    held = sandbox.values("visitor", "custom")
    assert [(held[id]["plan"], held[id]["seats"]) for id in IDS[:4]] == [
        (f"new-{n}", 100 + n) for n in range(4)
    ]


def test_nothing_is_written_and_the_options_stay(sandbox, client) -> None:
    plan = a_plan(client, IDS[:3], batch_size=2, send="all", create="unknown_ids", keep=["user_id"])
    sandbox.forget_requests()
    fresh = ps.refresh_plan(plan, client=client)
    assert {request["method"] for request in sandbox.requests()} == {"GET"}
    assert fresh.changes.equals(plan.changes)
    assert fresh.shape.nonce != plan.shape.nonce
    assert fresh.shape.planned_at > plan.shape.planned_at
    for name in ("batch_size", "send", "create", "route", "group"):
        assert getattr(fresh.shape, name) == getattr(plan.shape, name)
    assert (fresh.target, fresh.mapping, fresh.digest != plan.digest) == (plan.target, plan.mapping, True)


def test_a_plan_on_a_snapshot_learns_what_pendo_holds(sandbox, client, journal) -> None:
    mapping = ps.Mapping("visitor", "user_id", ["plan", "seats"])
    nothing = ps.read_snapshot(journal, mapping, target=client.target)
    plan = ps.plan_table(a_table([*IDS[:2], "nobody"]), mapping, client=client, before=nothing)
    assert set(plan.changes["action"]) == {"update"}
    fresh = ps.refresh_plan(plan, client=client)
    assert fresh.changes["id"].to_list() == IDS[:2]
    assert fresh.changes["before"][0]["plan"] == sandbox.values("visitor", "custom")["u-0001"]["plan"]
    (told,) = fresh.problems.filter(rule="not_in_pendo").to_dicts()
    assert (told["id"], told["field"], told["severity"]) == ("nobody", None, "block_row")
    assert "does not know this visitor any more" in told["reason"]
    assert len(plan) == 3


def test_ids_to_be_created_are_created_still_or_updated(sandbox, client, journal) -> None:
    plan = a_plan(client, ["new-1", "new-2"], create="unknown_ids")
    pushed(a_plan(client, ["new-2"], create="unknown_ids"), client, journal)
    others_write(client, "new-2", "plan", "theirs")
    fresh = ps.refresh_plan(plan, client=client)
    assert fresh.changes.select("id", "action").rows() == [("new-1", "create"), ("new-2", "update")]
    assert fresh.changes["before"][1] == {"plan": "theirs", "seats": 100}


def test_an_undo_is_refreshed_and_stays_one(sandbox, client, journal) -> None:
    sandbox.switch(wrong_types="kept")
    run = pushed(a_plan(client, IDS[:6]), client, journal)
    undo = ps.plan_undo(journal, run.id)
    others_write(client, "u-0005", "seats", "5")  # as it was before, of another type than the field's
    fresh = ps.refresh_plan(undo, client=client)
    assert (fresh.undoes, fresh.notes) == (run.id, undo.notes)
    assert fresh.changes.filter(pl.col("after_raw").is_not_null()).select(
        "id", ps.changed("seats")
    ).rows() == [("u-0005", False)]


def test_a_plan_is_refreshed_where_it_was_made_for(sandbox, client) -> None:
    plan = a_plan(client, IDS[:1])
    with ps.open_client(sandbox.settings_for("eu")) as elsewhere:
        with pytest.raises(ps.PlanError, match=r"was made for us.*reads eu.*Hint:"):
            ps.refresh_plan(plan, client=elsewhere)
    assert len(ps.refresh_plan(plan.select(pl.lit(False)), client=client)) == 0
