"""What others changed since we pushed."""

from __future__ import annotations

import polars as pl

import pendosync as ps
from pendosync.drift import DRIFT
from tests.test_push import IDS, a_plan, a_table
from tests.test_undo import MAPPING, others_write, pushed


def test_nothing_drifts_that_nobody_touched(sandbox, client, journal) -> None:
    assert ps.check_drift(journal, MAPPING, client=client).schema == DRIFT
    assert sandbox.requests() == []
    pushed(a_plan(client), client, journal)
    drift = ps.check_drift(journal, MAPPING, client=client)
    assert (drift.schema, drift.height) == (DRIFT, 0)


def test_each_cell_that_others_changed_is_named_with_its_run(sandbox, client, journal) -> None:
    first = pushed(a_plan(client, IDS[:4]), client, journal)
    newer = a_table(IDS[3:4]).with_columns(plan=pl.lit("later"))
    second = pushed(ps.plan_table(newer, MAPPING, client=client), client, journal)
    others_write(client, "u-0001", "plan", "theirs")
    others_write(client, "u-0002", "seats", None)
    others_write(client, "u-0004", "plan", "new-3")  # what the first run pushed
    others_write(client, "u-0004", "region", "APAC")  # never pushed
    others_write(client, "u-0020", "plan", "x")
    drift = ps.check_drift(journal, MAPPING, client=client)
    assert drift.drop("pushed_at").rows() == [
        ("u-0001", "plan", "changed", '"new-0"', '"theirs"', first.id),
        ("u-0002", "seats", "cleared", "101", None, first.id),
        ("u-0004", "plan", "changed", '"later"', '"new-3"', second.id),
    ]
    began = dict(ps.read_runs(journal).select("run_id", "started_at").iter_rows())
    assert drift["pushed_at"].to_list() == [began[run_id] for run_id in drift["run_id"]]


def test_values_of_another_type_drift_too(sandbox, client, journal) -> None:
    sandbox.switch(wrong_types="kept")
    pushed(a_plan(client, IDS[:3]), client, journal)
    others_write(client, "u-0002", "seats", "101")
    others_write(client, "u-0003", "seats", 102.0)  # the same number
    drift = ps.check_drift(journal, MAPPING, client=client)
    assert drift.select("id", "pushed", "held").rows() == [("u-0002", "101", '"101"')]


def test_what_we_cleared_and_others_filled_with_another_type_drifts(sandbox, client, journal) -> None:
    sandbox.switch(wrong_types="kept")
    mapping = ps.Mapping("visitor", "user_id", [ps.Trait("seats", type="integer", null="clear")])
    table = pl.DataFrame({"user_id": ["u-0001"], "seats": [None]})
    pushed(ps.plan_table(table, mapping, client=client), client, journal)
    others_write(client, "u-0001", "seats", "many")
    drift = ps.check_drift(journal, mapping, client=client)
    assert drift.select("what", "pushed", "held").rows() == [("changed", None, '"many"')]


def test_what_we_cleared_and_others_filled_drifts(sandbox, client, journal) -> None:
    traits = [ps.Trait("plan", type="text", null="clear"), ps.Trait("signedup", type="date")]
    mapping = ps.Mapping("visitor", "user_id", traits)
    table = pl.DataFrame({"user_id": ["u-0001"], "plan": [None], "signedup": ["2026-03-01"]})
    pushed(ps.plan_table(table, mapping, client=client), client, journal)
    assert ps.check_drift(journal, mapping, client=client).is_empty()
    others_write(client, "u-0001", "plan", "theirs")
    others_write(client, "u-0001", "signedup", "2026-03-02T00:00:00Z")
    assert ps.check_drift(journal, mapping, client=client).select(
        "field", "what", "pushed", "held"
    ).rows() == [
        ("plan", "changed", None, '"theirs"'),
        ("signedup", "changed", '"2026-03-01T00:00:00.000+00:00"', '"2026-03-02T00:00:00.000+00:00"'),
    ]


def test_an_id_that_pendo_forgot_is_gone(sandbox, client, journal) -> None:
    pushed(a_plan(client, ["u-0001", "new-1", "new-2"], create="unknown_ids"), client, journal)
    plan = a_table(["u-0001", "new-1", "new-2"]).with_columns(
        plan=pl.Series(["new-0", "later", "new-2"]), seats=pl.Series([100, 101, 7])
    )
    last = pushed(ps.plan_table(plan, MAPPING, client=client), client, journal)
    sandbox.reset()
    drift = ps.check_drift(journal, MAPPING, client=client)
    gone = drift.filter(what="gone").drop("pushed_at")
    assert gone.rows() == [(id, None, "gone", None, None, last.id) for id in ("new-1", "new-2")]
    assert set(drift.filter(id="u-0001")["field"]) == {"plan", "seats"}


def test_only_the_fields_and_the_place_of_the_mapping_count(sandbox, client, journal) -> None:
    pushed(a_plan(client, IDS[:2]), client, journal)
    for field, value in (("plan", "theirs"), ("seats", 1)):
        others_write(client, "u-0001", field, value)
    only = ps.Mapping("visitor", "user_id", ["seats"])
    assert ps.check_drift(journal, only, client=client)["field"].to_list() == ["seats"]
    webhook = ps.Mapping("visitor", "user_id", ["seats"], route="webhook")
    assert ps.check_drift(journal, webhook, client=client).is_empty()
    with ps.open_client(sandbox.settings_for("eu")) as elsewhere:
        assert ps.check_drift(journal, MAPPING, client=elsewhere).is_empty()
