"""What holds a push back: each refusal tells the number, the limit and what to type."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

import pendosync as ps
from pendosync.gates import Facts, held_by
from tests.test_push import IDS, a_plan, a_table, statuses, writes

CLEARS = ps.Mapping("visitor", "id", [ps.Trait("plan", null="clear")])
SMALL = Facts(n_ids=10, n_compared=10, n_cleared=0, writes_agent=False)


def test_a_small_plan_passes_as_it_is() -> None:
    assert held_by(ps.Gates(), SMALL) == []


@pytest.mark.parametrize(
    ("facts", "gates", "words"),
    [
        ({"n_ids": 100_001, "n_compared": None}, {}, ["100,001 ids", "at most 100,000", "plan.lift(max_ids=100001)"]),
        ({"n_ids": 1_001, "n_compared": 2_000}, {}, ["1,001 of the 2,000", "50.05%", "lift(max_changed_share=None)"]),
        ({"n_ids": 4, "n_compared": 10}, {"max_changed_share": 0.3}, ["4 of the 10", "40.00%", "30.00%"]),
        ({"n_cleared": 101}, {}, ["101 values", "at most 100", "plan.lift(max_cleared=101)"]),
        ({"writes_agent": True}, {}, ["10 ids", "0 may be written", "next page load", "plan.lift(agent_fields=True)"]),
    ],
)  # fmt: skip
def test_a_gate_tells_the_number_the_limit_and_what_to_type(facts, gates, words) -> None:
    sentence = str(*held_by(ps.Gates(**gates), replace(SMALL, **facts)))
    assert all(word in sentence for word in words), sentence
    assert "Hint:" in sentence


@pytest.mark.parametrize(
    ("facts", "gates"),
    [
        ({"n_ids": 100_000, "n_compared": None}, {}),
        ({"n_ids": 1_000, "n_compared": 1_000}, {}),
        ({"n_ids": 1_000_000, "n_compared": 1_000_000}, {"max_ids": None, "max_changed_share": None}),
        ({"n_cleared": 101}, {"max_cleared": 101}),
        ({"writes_agent": True}, {"agent_fields": True}),
    ],
)
def test_a_gate_lets_pass_up_to_its_limit_and_can_be_lifted(facts, gates) -> None:
    assert held_by(ps.Gates(**gates), replace(SMALL, **facts)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_ids": -1}, {"max_ids": 1.5}, {"max_ids": True}, {"max_changed_share": 2}, {"max_changed_share": "most"},
        {"max_cleared": "all"}, {"agent_fields": 1}, {"recheck": -3}, {"max_failed": -1}, {"max_failed": 1.5},
    ],
)  # fmt: skip
def test_gates_that_cannot_be_are_refused(wrong) -> None:
    with pytest.raises(ps.PlanError, match=r"Expected .* Hint: Gates\("):
        ps.Gates(**wrong)


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        ({}, ["at most 100,000 ids in the plan", "at most 50% of the ids compared change, where more than 1,000 do",
              "at most 100 values cleared", "not written", "at most 200 ids read again", "any number of ids failed"]),
        ({"max_ids": None, "max_changed_share": None, "max_cleared": 1, "agent_fields": True, "recheck": None},
         ["any number of ids in the plan", "any share of the ids", "at most 1 value cleared", "group agent written",
          "at most 0 ids read again"]),
        ({"max_changed_share": 0.125, "max_failed": 0.05}, ["at most 12.5% of the ids compared change<", "at most 5% of the ids failed"]),
        ({"max_failed": 3}, ["at most 3 ids failed, then the run stops"]),
    ],
)  # fmt: skip
def test_gates_say_what_they_let_through(gates, words) -> None:
    html = ps.Gates(**gates)._repr_html_()
    assert [word for word in words if word not in html] == []


def test_a_held_plan_says_so_before_it_is_pushed_and_nothing_is_written(sandbox, client, journal) -> None:
    plan = a_plan(client, gates=ps.Gates(max_ids=39))
    assert "held back The plan has 40 ids, at most 39" in repr(plan)
    assert "held back" in plan._repr_html_()
    sandbox.forget_requests()
    with pytest.raises(ps.PlanError, match=r"held back.*40 ids.*at most 39.*lift\(max_ids=40\)"):
        ps.push(plan, client=client, journal=journal)
    assert sandbox.requests() == []
    assert ps.read_runs(journal).is_empty()
    lifted = plan.lift(max_ids=40)
    assert lifted.digest != plan.digest
    assert statuses(ps.push(lifted, client=client, journal=journal).wait()) == {"updated": 40}


def test_a_plan_says_how_much_is_read_again_before_it_is_sent(client) -> None:
    assert "each id is read again" in repr(a_plan(client))
    assert "12 of 40 ids are read again" in repr(a_plan(client).lift(recheck=12))
    assert "read again" not in repr(a_plan(client).lift(recheck=None))


def test_several_gates_are_told_at_once(client) -> None:
    plan = a_plan(client, gates=ps.Gates(max_ids=1, max_changed_share=0.1))
    assert len(plan.held_by) == 2


def test_selecting_fewer_ids_opens_a_gate(client) -> None:
    plan = a_plan(client, gates=ps.Gates(max_ids=3, max_changed_share=0.1))
    assert plan.select(ids=IDS[:3]).held_by == []


def test_an_unknown_gate_is_told(client) -> None:
    with pytest.raises(ps.PlanError, match=r"no gate 'max_rows'.*max_ids"):
        a_plan(client).lift(max_rows=3)


def test_values_that_are_cleared_are_counted(sandbox, client) -> None:
    held = sandbox.values("visitor", "custom")
    n_held = sum(held[id].get("plan") is not None for id in IDS)
    mapping = ps.Mapping("visitor", "user_id", [ps.Trait("plan", type="text", null="clear"), "seats"])
    table = a_table().with_columns(plan=pl.lit(None, pl.String))
    plan = ps.plan_table(table, mapping, client=client, gates=ps.Gates(max_cleared=0))
    (sentence,) = plan.held_by
    assert f"clears {n_held} values, at most 0" in sentence  # one of them is a number in a text field


def test_agent_fields_are_held_until_lifted_by_name(sandbox, client, journal) -> None:
    mapping = ps.Mapping("visitor", "user_id", [ps.Trait("plan", field="role", type="text")], group="agent")
    plan = ps.plan_table(a_table(IDS[:3]), mapping, client=client)
    with pytest.raises(ps.PlanError, match="agent fields of 3 ids"):
        ps.push(plan, client=client, journal=journal)
    run = ps.push(plan.lift(agent_fields=True), client=client, journal=journal)
    assert statuses(run.wait()) == {"updated": 3}


def test_settings_that_may_only_read_push_nothing(sandbox, client, journal) -> None:
    plan = a_plan(client)
    with ps.open_client(replace(sandbox.settings, access="read")) as reader:
        with pytest.raises(ps.SettingsError, match=r"access is 'read'.*access='write'.*PENDO_ACCESS=write"):
            ps.push(plan, client=reader, journal=journal)
        assert ps.fetch_fields(reader, kind="visitor").height > 0
    assert ps.Settings(integration_key="x").access == "read"
    assert ps.read_runs(journal).is_empty()


def test_gates_and_canary_are_saved_with_the_plan(client, tmp_path) -> None:
    plan = a_plan(client, gates=ps.Gates(max_failed=0.5, recheck=7), canary=ps.Canary((2, 0.5), settle_s=3))
    again = ps.load_plan(plan.save(tmp_path / "plan"))
    assert (again.gates, again.shape.canary, again.n_compared) == (plan.gates, plan.shape.canary, 40)
    assert again.digest == plan.digest


def test_an_error_budget_stops_the_run_which_can_be_resumed(sandbox, journal) -> None:
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(None, 1))) as client:
        plan = a_plan(client, gates=ps.Gates(max_failed=12))
        sandbox.misbehave("status", method="POST", status=400, text="no such field", times=None)
        with pytest.raises(ps.PushError, match=r"budget.*20 ids failed.*at most 12.*resume_push") as caught:
            ps.push(plan, client=client, journal=journal).wait()
        assert statuses(caught.value.outcomes) == {"failed": 20, "pending": 20}
        sandbox.behave()
        sandbox.forget_requests()
        outcomes = ps.resume_push(journal, caught.value.run_id, client=client).wait()
    assert statuses(outcomes) == {"failed": 20, "updated": 20}
    assert [request["status"] for request in writes(sandbox)] == [200, 200]


def test_a_share_of_errors_is_a_budget_too(sandbox, journal) -> None:
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(None, 1))) as client:
        plan = a_plan(client, gates=ps.Gates(max_failed=0.05))
        sandbox.misbehave("fail_records", method="POST", ids=IDS[2:5], named=False, times=None)
        with pytest.raises(ps.PushError, match="3 ids failed or are missing, at most 2 may"):
            ps.push(plan, client=client, journal=journal).wait()


def test_a_plan_says_what_would_lift_its_gates() -> None:
    values = ps.map_traits(
        pl.DataFrame({"id": ["ann", "bo"], "plan": [None, None]}, schema_overrides={"plan": pl.String}),
        CLEARS,
    )
    held = ps.map_traits(pl.DataFrame({"id": ["ann", "bo"], "plan": ["pro", "pro"]}), CLEARS)
    changes = ps.diff_values(values, before=held, mapping=CLEARS)
    target = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")
    plan = ps.plan_changes(changes, mapping=CLEARS, target=target, gates=ps.Gates(max_cleared=1, max_ids=1))
    assert plan.lifts == {"max_ids": 2, "max_cleared": 2}
    assert plan.lift(**plan.lifts).held_by == []
