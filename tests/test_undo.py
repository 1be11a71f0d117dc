"""A run is taken back by a plan like any other; what can't be is listed."""

from __future__ import annotations

import json
from urllib.parse import quote

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


# --- what others did since


def others_write(client: ps.Client, id: str, field: str, value: object) -> None:
    """Write one value as somebody else would: past us."""
    path = f"/api/v1/metadata/visitor/custom/value/{quote(id, safe='')}/{field}"
    client.call(client.request, "PUT", path, body=json.dumps(value).encode())


def test_what_others_changed_is_left_alone_and_listed(sandbox, client, journal) -> None:
    before = sandbox.values("visitor", "custom")
    run = pushed(a_plan(client, IDS[:4]), client, journal)
    others_write(client, "u-0001", "plan", "theirs")
    others_write(client, "u-0002", "seats", before["u-0002"]["seats"])
    undo = ps.plan_undo(journal, run.id, client=client)
    (told,) = undo.problems.filter(rule="changed_since").to_dicts()
    assert (told["id"], told["field"], told["severity"]) == ("u-0001", "plan", "warn")
    assert told["reason"].startswith('"new-0" was pushed and "theirs" is held now; it is left alone')
    assert f'puts "{before["u-0001"]["plan"]}" back' in told["reason"]
    assert undo.changes.select("id", ps.changed("plan"), ps.changed("seats")).rows()[:2] == [
        ("u-0001", False, True),
        ("u-0002", True, False),
    ]
    assert undo.changes["before"][0] == {"plan": "theirs", "seats": 100}
    pushed(undo, client, journal)
    after = sandbox.values("visitor", "custom")
    assert after["u-0001"]["plan"] == "theirs"
    assert after["u-0001"]["seats"] == before["u-0001"]["seats"]
    assert {id: after[id] for id in IDS[1:4]} == {id: before[id] for id in IDS[1:4]}


def test_what_others_changed_can_be_overwritten(sandbox, client, journal) -> None:
    before = sandbox.values("visitor", "custom")
    run = pushed(a_plan(client, IDS[:4]), client, journal)
    others_write(client, "u-0001", "plan", "theirs")
    others_write(client, "u-0003", "seats", None)
    undo = ps.plan_undo(journal, run.id, client=client, theirs="overwrite")
    assert undo.problems.filter(rule="changed_since").is_empty()
    back = pushed(undo, client, journal)
    after = sandbox.values("visitor", "custom")
    assert {id: after[id] for id in IDS[:4]} == {id: before[id] for id in IDS[:4]}
    pushed(ps.plan_undo(journal, back.id, client=client), client, journal)
    assert sandbox.values("visitor", "custom")["u-0001"]["plan"] == "theirs"
    with pytest.raises(ps.MappingError, match="'overwrite'"):
        ps.plan_undo(journal, run.id, theirs="take")  # type: ignore[arg-type]


def test_what_is_back_already_is_left_out(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, IDS[:4]), client, journal)
    pushed(ps.plan_undo(journal, run.id, client=client), client, journal)
    for again, word in (
        (ps.plan_undo(journal, run.id, client=client), "the read lags"),
        (ps.plan_undo(journal, run.id), "a later run"),
    ):
        assert len(again) == 0
        assert again.problems.select("id", "field", "rule").rows() == [
            (id, None, "already_held") for id in IDS[:4]
        ]
        assert word in again.problems["reason"][0]


def test_a_read_that_lags_behind_the_push_is_told_and_not_taken_for_an_undo(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:3])
    sandbox.misbehave("lag", seconds=60)
    run = pushed(plan, client, journal)
    undo = ps.plan_undo(journal, run.id, client=client)
    assert (len(undo), undo.summary.warned) == (0, {"already_held": 3})
    sandbox.behave()
    assert len(ps.plan_undo(journal, run.id, client=client)) == 3


def test_an_undo_begins_at_what_is_held_in_all_fields(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:2]).changes
    only_plan = a_table(IDS[:2]).with_columns(seats=plan["before"].struct.field("seats"))
    run = pushed(ps.plan_table(only_plan, MAPPING, client=client), client, journal)
    others_write(client, "u-0001", "seats", 77)
    undo = ps.plan_undo(journal, run.id, client=client)
    first = undo.changes.row(0, named=True)
    assert (first["before"]["seats"], first["after"]["seats"], first["changed"]["seats"]) == (77, 77, False)
    assert undo.problems.is_empty()
    assert undo.notes == ()


def test_without_a_client_the_journal_says_what_happened_since(sandbox, client, journal) -> None:
    first = pushed(a_plan(client, IDS[:3]), client, journal)
    newer = a_table(IDS[:2]).with_columns(plan=pl.lit("later"))
    second = pushed(ps.plan_table(newer, MAPPING, client=client), client, journal)
    undo = ps.plan_undo(journal, first.id)
    assert "Pendo was not read" in repr(undo)
    told = undo.problems.filter(rule="changed_since")
    assert told.select("id", "field").rows() == [("u-0001", "plan"), ("u-0002", "plan")]
    assert '"later" is held now' in told["reason"][0]
    assert undo.changes["before"].to_list() == [
        {"plan": "later", "seats": 100},
        {"plan": "later", "seats": 101},
        {"plan": "new-2", "seats": 102},
    ]
    assert undo.changes.select(ps.changed("plan")).to_series().to_list() == [False, False, True]
    over = ps.plan_undo(journal, first.id, theirs="overwrite")
    assert over.changes.select(ps.changed("plan")).to_series().all()
    pushed(ps.plan_undo(journal, second.id), client, journal)  # the later run was taken back
    again = ps.plan_undo(journal, first.id)
    assert again.problems.filter(rule="changed_since").is_empty()
    assert again.changes["before"][0] == {"plan": "new-0", "seats": 100}
    saved = ps.load_plan(again.save(journal.path.parent / "undo"))
    assert (saved.notes, saved.digest) == (again.notes, again.digest)


def test_without_a_client_an_undo_that_may_not_be_written_is_tried_again(sandbox, journal) -> None:
    with ps.open_client(sandbox.settings, retry=QUICK) as client:
        run = pushed(a_plan(client, IDS[:3]), client, journal)
        undo = ps.plan_undo(journal, run.id)
        sandbox.misbehave("cut", method="POST", times=None)
        with pytest.raises(ps.PushError):
            pushed(undo, client, journal)
        sandbox.behave()
        again = ps.plan_undo(journal, run.id)
        assert again.changes.equals(undo.changes)
        newer = ps.plan_table(a_table(IDS[:1]).with_columns(plan=pl.lit("later")), MAPPING, client=client)
        sandbox.misbehave("cut", method="POST", times=None)
        with pytest.raises(ps.PushError):
            pushed(newer, client, journal)
    told = ps.plan_undo(journal, run.id).problems.filter(rule="changed_since")
    assert told.select("id", "field").rows() == [("u-0001", "plan")]  # it may be somebody else's


def test_without_a_client_a_later_run_may_have_other_fields_and_types(sandbox, client, journal) -> None:
    sandbox.switch(wrong_types="kept")
    first = pushed(a_plan(client, IDS[:2]), client, journal)
    mapping = ps.Mapping("visitor", "user_id", [ps.Trait("seats", type="text"), "region"])
    table = pl.DataFrame({"user_id": IDS[:1], "seats": ["many"], "region": ["EMEA+"]})
    values = ps.map_traits(table, mapping)
    held = ps.fetch_values(client, mapping, like=values)
    changes = ps.diff_values(values, before=held, mapping=mapping)
    pushed(ps.plan_changes(changes, mapping=mapping, target=client.target), client, journal)
    undo = ps.plan_undo(journal, first.id)
    assert undo.problems.filter(rule="changed_since").select("id", "field").rows() == [("u-0001", "seats")]
    assert undo.changes.filter(id="u-0001")["before_raw"].item() == r'{"seats":"\"many\""}'
    read = ps.plan_undo(journal, first.id, client=client)
    assert read.changes.equals(undo.changes)


def test_an_id_that_pendo_forgot_has_nothing_to_put_back(sandbox, client, journal) -> None:
    pushed(a_plan(client, ["new-1"], create="unknown_ids"), client, journal)
    newer = a_table(["new-1", "u-0001"]).with_columns(plan=pl.lit("later"))
    run = pushed(ps.plan_table(newer, MAPPING, client=client), client, journal)
    created = pushed(a_plan(client, ["new-2"], create="unknown_ids"), client, journal)
    sandbox.reset()
    undo = ps.plan_undo(journal, run.id, client=client)
    (told,) = undo.problems.filter(id="new-1").to_dicts()
    assert (told["rule"], told["field"], told["severity"]) == ("not_in_pendo", None, "block_row")
    assert len(undo) == 0  # the seeds are back
    assert ps.plan_undo(journal, created.id, client=client).problems.is_empty()


def test_only_our_own_value_can_not_be_undone(sandbox, client, journal) -> None:
    run = pushed(a_plan(client, ["u-0020", "u-0040"]), client, journal)  # they held nothing
    others_write(client, "u-0020", "plan", None)
    others_write(client, "u-0020", "seats", 7)
    undo = ps.plan_undo(journal, run.id, client=client)
    assert undo.cannot_undo.select("id", "field").rows() == [("u-0040", "plan"), ("u-0040", "seats")]
    (told,) = undo.problems.filter(rule="changed_since").to_dicts()
    assert (told["id"], told["field"]) == ("u-0020", "seats")
    assert told["reason"] == "100 was pushed and 7 is held now; it is left alone"
    nulls = ps.plan_undo(journal, run.id, client=client, absent="null", theirs="overwrite")
    assert nulls.cannot_undo.is_empty()
    pushed(nulls, client, journal)
    held = sandbox.values("visitor", "custom")
    assert [held[id].get(name) for id in ("u-0020", "u-0040") for name in ("plan", "seats")] == [None] * 4
