"""Rows whose Integrations object turns Pendo off: never sent, and told as such."""

from __future__ import annotations

import json
from types import MappingProxyType

import polars as pl
import pytest

import pendosync as ps
from tests.wire import Wire

OBJECTS = [None, {}, {"All": True}, {"Pendo": True}, {"Pendo": {"x": 1}}, {"All": False, "Pendo": True},
           {"Pendo": False}, {"All": False}, {"All": True, "Pendo": False}, {"All": False, "Amplitude": True}]  # fmt: skip
IS_SENT = [True] * 6 + [False] * 4
IDS = [f"u-{n:04}" for n in range(1, len(OBJECTS) + 1)]
TABLE = pl.DataFrame(
    {
        "id": IDS,
        "plan": ["later"] * len(IDS),
        "i": [None if one is None else json.dumps(one) for one in OBJECTS],
    }
)


def a_mapping(route: str = "webhook", **options: object) -> ps.Mapping:
    return ps.Mapping("visitor", "id", ["plan"], route=route, **{"integrations": "i", **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("route", ["webhook", "metadata"])
def test_what_turns_pendo_off_is_skipped_and_the_rest_travels(sandbox, client, journal, route: str) -> None:
    plan = ps.plan_table(
        TABLE, a_mapping(route), client=client, batch_size=4, gates=ps.Gates(max_changed_share=None)
    )
    assert plan.summary.actions == {"update": 6, "skip": 4}
    assert (
        plan.changes["id"].to_list() == [id for id, sent in zip(IDS, IS_SENT, strict=True) if sent] + IDS[6:]
    )
    assert "4 rows turn Pendo off" in repr(plan)
    sandbox.forget_requests()
    run = ps.push(plan, client=client, journal=journal, show=False)
    outcomes = run.wait()
    assert (
        outcomes["status"].to_list()
        == ["accepted" if route == "webhook" else "updated"] * 6 + ["skipped"] * 4
    )
    assert set(outcomes["reason"][6:]) == {"its integrations turn Pendo off"}
    assert outcomes["batch"][6:].null_count() == 4
    assert set(sandbox.writes("visitor")) == set(IDS[:6])
    assert run.progress.state == "done"
    watched = ps.attach_run(journal, run.id, show=False).progress
    for progress in (run.progress, watched):
        assert (progress.counts["skipped"], progress.n_known, progress.n_ids) == (4, 10, 10)
    held = sandbox.values("visitor", plan.shape.group)
    assert [held[id].get("plan") == "later" for id in IDS] == IS_SENT
    undo = ps.plan_undo(journal, run.id, client=client)
    assert set(undo.changes["id"]) | set(undo.problems["id"]) <= set(IDS[:6])


def test_the_object_travels_as_it_was_given(client) -> None:
    plan = ps.plan_table(TABLE, a_mapping(), client=client)
    sent = {json.loads(body)["userId"]: json.loads(body)["integrations"] for body in ps.dry_run(plan)["body"]}
    assert sent == {
        id: one or ({"Pendo": True} if one is None else one)
        for id, one in zip(IDS[:6], OBJECTS[:6], strict=True)
    }


@pytest.mark.parametrize(
    ("constant", "n_sent"), [({"Pendo": True}, 10), ({"All": False}, 0), ({"All": True}, 10)]
)
def test_one_object_may_stand_for_all_rows(
    sandbox, client, journal, constant: dict[str, bool], n_sent: int
) -> None:
    plan = ps.plan_table(TABLE, a_mapping(integrations=constant), client=client)
    assert ps.dry_run(plan).height == plan.n_requests == n_sent
    outcomes = ps.push(plan, client=client, journal=journal, show=False).wait()
    assert outcomes["status"].to_list() == (["accepted"] * 10 if n_sent else ["skipped"] * 10)


def test_gates_and_numbers_count_what_is_sent(client) -> None:
    plan = ps.plan_table(
        TABLE, a_mapping("metadata"), client=client, gates=ps.Gates(max_ids=6, max_changed_share=0.6)
    )
    assert (len(plan), plan.n_sent, plan.held_by) == (10, 6, [])
    assert plan.summary.fields == {"plan": 6}
    held = plan.lift(max_changed_share=0.5).held_by
    assert held[0].startswith("The plan changes 6 of the 10 ids compared")
    one = plan.select(ids=[IDS[9]])
    assert "1 row turns Pendo off by its integrations: it is never sent" in repr(one)
    assert one.lift(max_ids=0, max_changed_share=0).held_by == []


def test_a_struct_of_the_table_is_the_same_as_text(client) -> None:
    table = TABLE.select("id", "plan", i=pl.struct(All=pl.lit(True), Pendo=pl.col("id") != IDS[0]))
    plan = ps.plan_table(table, a_mapping(), client=client)
    assert plan.changes.filter(action="skip")["id"].to_list() == IDS[:1]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"All": False, "Pendo": {"x": [1, {"a": 2}], "y": None}}, {"All": False, "Pendo": {"x": [1, {"a": 2}]}}),
        (MappingProxyType({"Pendo": True}), {"Pendo": True}),
        ({"Pendo": (1, 2)}, {"Pendo": [1, 2]}),
        ({"Pendo": None}, {}),
        ({}, {}),
    ],
)  # fmt: skip
def test_an_object_is_kept_as_json_has_it_and_comes_back_from_files(
    client, tmp_path, given: object, kept: object
) -> None:
    mapping = a_mapping(integrations=given)
    assert mapping.integrations == kept
    (tmp_path / "m.toml").write_text(mapping.to_toml())
    assert ps.load_mapping(tmp_path / "m.toml") == mapping
    plan = ps.plan_table(TABLE, mapping, client=client)
    assert ps.load_plan(plan.save(tmp_path / "plan")).mapping == mapping


@pytest.mark.parametrize("given", [{"x": object()}, {"x": float("nan")}, {"x": chr(0xD800)}])
def test_what_no_json_can_hold_is_refused_where_it_is_declared(given: object) -> None:
    with pytest.raises(ps.MappingError, match="can't be written as JSON"):
        a_mapping(integrations=given)


def test_an_object_is_the_mappings_own() -> None:
    given = {"Pendo": {"x": 1}}
    mapping = a_mapping(integrations=given)
    given["Pendo"]["x"] = 2
    assert mapping.integrations == {"Pendo": {"x": 1}}


def test_what_is_no_object_is_a_problem() -> None:
    mapping = a_mapping()
    values = ps.map_traits(TABLE.head(3).with_columns(i=pl.Series(["nope", "[1]", '{"a": 1'])), mapping)
    problems = ps.check_values(values, mapping=mapping)
    assert problems.select("rule", "row").rows() == [
        ("wrong_integrations", 0),
        ("wrong_integrations", 1),
        ("wrong_integrations", 2),
    ]


def test_skipped_rows_are_selected_resumed_saved_and_previewed_like_others(
    sandbox, client, journal, tmp_path
) -> None:
    plan = ps.plan_table(TABLE, a_mapping(), client=client).select(ids=[IDS[0], IDS[7], IDS[3]])
    assert plan.changes["id"].to_list() == [IDS[0], IDS[3], IDS[7]]
    loaded = ps.load_plan(plan.save(tmp_path / "plan"))
    assert (loaded.digest, loaded.n_sent) == (plan.digest, 2)
    wire = Wire()
    view = ps.preview_plan(plan)
    view.comm = wire
    skipped, sent = (wire.ask("row", at=at)["answer"] for at in (2, 1))
    assert (skipped["action"], skipped["batch"], sent["batch"]) == ("skip", None, [2, 2])
    sandbox.misbehave("status", status=503, path="/data/", times=None)
    with ps.open_client(sandbox.settings, retry=ps.Retry(attempts=1)) as hasty:
        with pytest.raises(ps.PushError) as caught:
            ps.push(loaded, client=hasty, journal=journal, show=False).wait()
    sandbox.behave()
    run_id = caught.value.run_id
    assert ps.read_outcomes(journal, run_id)["status"][2] == "skipped"
    outcomes = ps.resume_push(journal, run_id, client=client, show=False).wait()
    assert outcomes["status"].to_list() == ["accepted", "accepted", "skipped"]
