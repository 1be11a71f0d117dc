"""Selected visitors become an audience: created once at most, filled in order, accounted for, and taken back."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest

import pendosync as ps
from pendosync.answers import read_created, read_deletion, read_patch
from pendosync.audiences.creation import AudienceCalls
from pendosync.client import Answer
from pendosync.preview.plan_view import PlanPreview
from pendosync.shapes import CREATED, Audience, steps_of

MANY = [f"v-{n}" for n in range(2500)]
NAME = 'Power "users" & ü'
WRITES = ("POST", "PATCH", "DELETE")


def statuses(outcomes: pl.DataFrame) -> dict[str, int]:
    return dict(Counter(outcomes["status"]))


def writes(sandbox: ps.Sandbox) -> list[dict[str, str]]:
    return [request for request in sandbox.requests() if request["method"] in WRITES]


def calls(sandbox: ps.Sandbox) -> list[tuple[str, str]]:
    return [(request["method"], request["path"].rpartition("/")[2]) for request in writes(sandbox)]


def create(client: ps.Client, journal: ps.Journal, ids: list[str], name: str = NAME) -> tuple[str, str]:
    """Create an audience; return its id and the run's."""
    plan = ps.plan_audience(ids, client=client, name=name)
    run = ps.push(plan, client=client, journal=journal, show=False)
    run.wait()
    return created_id(journal, run.id), run.id


def created_id(journal: ps.Journal, run_id: str) -> str:
    with closing(sqlite3.connect(journal.path / run_id / "run.sqlite")) as db:
        ((id_,),) = db.execute("SELECT id FROM creation").fetchall()
    return str(id_)


def foreign(sandbox: ps.Sandbox, client: ps.Client, ids: list[str], name: str = "Theirs") -> str:
    """Create an audience that no journal knows of; return its id."""
    body = json.dumps({"name": name, "visitors": ids}).encode()
    answer = client.call(client.request, "POST", "/api/v1/segment/upload", body=body)
    sandbox.forget_requests()
    return str(answer.json()["segmentId"])


def members(sandbox: ps.Sandbox, audience: str) -> list[str]:
    found: list[str] = sandbox.audiences()[audience]["visitors"]
    return found


def push(plan: ps.Plan, client: ps.Client, journal: ps.Journal) -> pl.DataFrame:
    return ps.push(plan, client=client, journal=journal, show=False).wait()


def stopped(plan: ps.Plan, client: ps.Client, journal: ps.Journal) -> ps.PushError:
    with pytest.raises(ps.PushError) as caught:
        push(plan, client, journal)
    return caught.value


def shows_three_beats(error: pytest.ExceptionInfo[ps.PendosyncError]) -> bool:
    text = str(error.value)
    return 0 < text.find("Expected ") < text.find("Hint: ")


@pytest.fixture
def hasty(sandbox):
    """A client that gives up at once."""
    with ps.open_client(sandbox.settings, retry=ps.Retry(attempts=1)) as client:
        yield client


# The plan


def test_a_plan_of_an_audience_touches_nothing_and_says_what_it_does(sandbox, client) -> None:
    plan = ps.plan_audience(["a", "b"], client=client, name="Power users")
    assert writes(sandbox) == []
    assert plan.title.startswith("2 visitors → audience 'Power users', us (")
    assert repr(plan).startswith("Plan: add 2 · visitors → audience 'Power users', us (")
    assert "Creates the audience by its first request" in repr(plan)
    assert "1 in flight" in repr(plan)
    assert plan.fields == []


@pytest.mark.parametrize(
    "visitors",
    [
        ["a", "b"],
        ("a", "b"),
        pl.Series("x", ["a", "b"]),
        pl.DataFrame({"id": ["a", "b"]}),
        pl.LazyFrame({"id": ["a", "b"], "more": [1, 2]}),
        (one for one in "ab"),
    ],
    ids=["list", "tuple", "Series", "DataFrame", "LazyFrame", "generator"],
)
def test_visitors_come_in_any_form(client, visitors) -> None:
    plan = ps.plan_audience(visitors, client=client, name="x")
    assert plan.changes.select("row", "id", "action").rows() == [(0, "a", "add"), (1, "b", "add")]


def test_whole_numbers_are_ids(client) -> None:
    assert ps.plan_audience([7, 8], client=client, name="x").changes["id"].to_list() == ["7", "8"]


def test_the_selected_rows_of_a_plan_become_an_audience(sandbox, client) -> None:
    table = pl.DataFrame(
        {"user": ["u-0001", "u-0002", "u-0003"], "seats": [901, 902, 903], "team": ["x", "y", "z"]}
    )
    mapping = ps.Mapping("visitor", id="user", traits=["seats"])
    plan = ps.plan_table(table, mapping, client=client, keep=["team"])
    chosen = plan.select(ps.after("seats") > 901)
    audience = ps.plan_audience(chosen, client=client, name="x", keep=["team"])
    assert audience.changes.select("id", "team").rows() == [("u-0002", "y"), ("u-0003", "z")]
    assert audience.select(pl.col("team") == "z").changes["id"].to_list() == ["u-0003"]


def test_bad_ids_are_problems_and_stay_out(client) -> None:
    table = pl.DataFrame({"u": ["ok", None, "twice", "twice", "x" * 129, "_PENDO_T_1", " "]})
    plan = ps.plan_audience(table, client=client, name="x", id="u", keep=["u"])
    assert plan.changes["id"].to_list() == ["ok"]
    assert dict(Counter(plan.problems["rule"])) == {
        "missing_id": 2, "duplicate_id": 2, "long_id": 1, "anonymous_id": 1
    }  # fmt: skip


def test_problems_of_ids_to_remove_count_on_from_those_to_add(client, sandbox) -> None:
    audience = foreign(sandbox, client, ["a"])
    plan = ps.plan_audience(["a", "b"], remove=["c", None], client=client, audience_id=audience)
    assert plan.changes.select("row", "action").rows() == [(0, "add"), (1, "add"), (2, "remove")]
    assert plan.problems.select("row", "rule").rows() == [(3, "missing_id")]


def test_problems_are_kept_with_the_plan(client) -> None:
    found = ps.plan_audience([None], client=client, name="x").problems
    assert ps.plan_audience(["a"], client=client, name="x", problems=found).problems.equals(found)


@pytest.mark.parametrize(
    ("options", "error", "word"),
    [
        ({}, ps.MappingError, "Neither"),
        ({"name": "x", "audience_id": "y"}, ps.MappingError, "Both"),
        ({"name": " "}, ps.MappingError, "blank"),
        ({"name": chr(0xD83D)}, ps.MappingError, "Unicode"),
        ({"audience_id": 7}, ps.MappingError, "audience_id is 7"),
        ({"name": "x", "remove": ["b"]}, ps.MappingError, "remove is given"),
        ({"audience_id": "nowhere"}, ps.PlanError, "no audience of the id 'nowhere'"),
        ({"name": "x", "batch_size": 0}, ps.PlanError, "batch_size is 0"),
        ({"name": "x", "visitors": "abc"}, ps.FrameError, "a str that gives no ids"),
        ({"name": "x", "visitors": 5}, ps.FrameError, "a int that gives no ids"),
        ({"name": "x", "visitors": [True]}, ps.FrameError, "gives no ids"),
        ({"name": "x", "visitors": ["a", 1]}, ps.FrameError, "gives no ids"),
        ({"name": "x", "visitors": [chr(0xD83D)]}, ps.FrameError, "gives no ids"),
    ],
)  # fmt: skip
def test_what_can_not_be_planned_is_told_in_three_beats(client, options, error, word) -> None:
    given = {"visitors": ["a"], **options}
    visitors = given.pop("visitors")
    with pytest.raises(error, match=word) as caught:
        ps.plan_audience(visitors, client=client, **given)
    assert shows_three_beats(caught)


def test_a_column_that_the_table_lacks_is_told(client) -> None:
    with pytest.raises(ps.ColumnNotFoundError, match="no column 'user'"):
        ps.plan_audience(pl.DataFrame({"id": ["a"]}), client=client, name="x", id="user")


def test_an_id_that_is_added_and_removed_is_refused(sandbox, client) -> None:
    audience = foreign(sandbox, client, ["a"])
    with pytest.raises(ps.PlanError, match="2 ids would be both added and removed: 'b', 'c'") as caught:
        ps.plan_audience(["a", "b", "c"], remove=["b", "c", "d"], client=client, audience_id=audience)
    assert shows_three_beats(caught)


def test_a_name_that_is_taken_is_refused_with_the_id_that_has_it(sandbox, client) -> None:
    audience = foreign(sandbox, client, ["a"], NAME)
    with pytest.raises(ps.PlanError, match=f"audience_id='{audience}'") as caught:
        ps.plan_audience(["b"], client=client, name=NAME)
    assert shows_three_beats(caught)
    with pytest.raises(ps.PlanError, match=f"audience_id='{audience}' is the one called so"):
        ps.plan_audience(["b"], client=client, audience_id=NAME)


@pytest.mark.parametrize(
    "fault", [{"fault": "body", "text": '{"segments": 1}'}, {"fault": "status", "status": 404}]
)
def test_a_list_that_can_not_be_read_leaves_a_note(sandbox, client, fault) -> None:
    sandbox.misbehave(**fault, path="/api/v1/segment")
    plan = ps.plan_audience(["a"], client=client, name="x")
    assert "Pendo does not say which audiences there are" in repr(plan)


def test_an_audience_without_a_name_to_read_is_changed_all_the_same(sandbox, client) -> None:
    audience = foreign(sandbox, client, ["a"])
    sandbox.misbehave("body", text="[]", path="/api/v1/segment/")
    plan = ps.plan_audience(["b"], client=client, audience_id=audience)
    assert f"audience '{audience}'" in plan.title


def test_without_an_integration_key_nothing_is_read_and_the_plan_says_so(sandbox) -> None:
    with ps.open_client(replace(sandbox.settings, integration_key=None)) as client:
        plan = ps.plan_audience(["a"], client=client, audience_id="x")
    assert "no integration key: whether that audience is there is not known" in repr(plan)
    assert sandbox.requests() == []


def test_only_plan_audience_makes_plans_of_this_route(client) -> None:
    with pytest.raises(ps.MappingError, match="plan_audience") as caught:
        ps.plan_table(
            pl.DataFrame({"id": ["a"]}), ps.Mapping("visitor", id="id", route="audience"), client=client
        )
    assert shows_three_beats(caught)


def test_a_plan_of_others_than_visitors_gives_no_members(sandbox, client, journal) -> None:
    _, run_id = create(client, journal, ["a"])
    deletion = ps.plan_undo(journal, run_id)
    accounts = ps.plan_table(
        pl.DataFrame({"id": ["acme"], "plan": ["x"]}),
        ps.Mapping("account", id="id", traits=["plan"]),
        client=client,
    )
    for plan in (deletion, accounts):
        with pytest.raises(ps.PlanError, match="no visitors'") as caught:
            ps.plan_audience(plan, client=client, name="y")
        assert shows_three_beats(caught)


def test_who_leaves_one_audience_does_not_join_another_unseen(sandbox, client) -> None:
    audience = foreign(sandbox, client, ["c"])
    plan = ps.plan_audience(["a", "b"], client=client, audience_id=audience, remove=["c"])
    with pytest.raises(ps.PlanError, match="adds some visitors and removes others") as caught:
        ps.plan_audience(plan, client=client, name="y")
    assert shows_three_beats(caught)
    for action, ids in (("add", ["a", "b"]), ("remove", ["c"])):
        chosen = plan.select(pl.col("action") == action)
        assert ps.plan_audience(chosen, client=client, name="y").changes["id"].to_list() == ids


def test_a_plan_is_the_same_after_saving_and_loading(client, tmp_path: Path) -> None:
    plan = ps.plan_audience(MANY, client=client, name=NAME)
    again = ps.load_plan(plan.save(tmp_path / "plan"))
    assert again.digest == plan.digest
    assert again.shape.audience == Audience(name=NAME)
    assert ps.dry_run(again).equals(ps.dry_run(plan))
    assert ps.plan_audience(MANY, client=client, name="other").digest != plan.digest


def test_the_shape_of_other_plans_says_nothing_of_audiences(client) -> None:
    """So that plans that were saved before keep their digest."""
    mapping = ps.Mapping("visitor", id="id", traits=["plan"])
    plan = ps.plan_table(pl.DataFrame({"id": ["u-0001"], "plan": ["x"]}), mapping, client=client)
    assert "audience" not in plan._options()["shape"]


# The requests


def test_a_creation_is_a_step_of_its_own(client) -> None:
    plan = ps.plan_audience(MANY, client=client, name=NAME)
    assert [(step.n_rows, step.n_batches) for step in steps_of(2500, plan.shape)] == [(1000, 1), (1500, 2)]
    requests = ps.dry_run(plan)
    assert requests.select("method", "path").rows() == [
        ("POST", "/api/v1/segment/upload"),
        ("PATCH", f"/api/v1/segment/{CREATED}/visitor"),
        ("PATCH", f"/api/v1/segment/{CREATED}/visitor"),
    ]
    assert json.loads(requests["body"][0]) == {"name": NAME, "visitors": MANY[:1000]}
    assert json.loads(requests["body"][2]) == {
        "patch": [{"op": "add", "path": "/visitors", "value": MANY[2000:]}]
    }  # fmt: skip


def test_a_batch_of_adds_and_removes_has_two_operations(sandbox, client) -> None:
    audience = foreign(sandbox, client, ["a"], "x")
    plan = ps.plan_audience(['b"', "ü"], remove=["a"], client=client, audience_id=audience, batch_size=2)
    assert [json.loads(body) for body in ps.dry_run(plan)["body"]] == [
        {"patch": [{"op": "add", "path": "/visitors", "value": ['b"', "ü"]}]},
        {"patch": [{"op": "remove", "path": "/visitors", "value": ["a"]}]},
    ]
    (body,) = ps.dry_run(replace(plan, shape=replace(plan.shape, batch_size=5000)))["body"]
    assert body == (
        '{"patch":[{"op":"add","path":"/visitors","value":["b\\"","ü"]},'
        '{"op":"remove","path":"/visitors","value":["a"]}]}'
    )


def test_no_request_holds_more_than_a_thousand(client) -> None:
    plan = ps.plan_audience(MANY, client=client, name="x", batch_size=9000)
    assert ps.dry_run(plan)["ids"].list.len().to_list() == [1000, 1000, 500]


def test_an_id_is_percent_encoded_in_the_path() -> None:
    assert Audience("a/b ?#%").path == "/api/v1/segment/a%2Fb%20%3F%23%25"


def test_curl_lines_hold_methods_and_leave_the_id_to_the_shell(client, journal) -> None:
    lines = ps.build_curl(ps.plan_audience(["a", "b"], client=client, name=NAME, batch_size=1))
    assert lines[0].startswith("curl -X POST ")
    assert lines[1].startswith("curl -X PATCH ")
    assert '/segment/$SEGMENT_ID/visitor"' in lines[1]
    _, run_id = create(client, journal, ["a"])
    (line,) = ps.build_curl(ps.plan_undo(journal, run_id))
    assert line.startswith("curl -X DELETE ")
    assert "--data" not in line


@pytest.mark.skipif(sys.platform == "win32", reason="The lines are for a POSIX shell.")
def test_curl_lines_do_what_a_push_does(sandbox, client) -> None:
    plan = ps.plan_audience(["a", "b"], client=client, name=NAME, batch_size=1)
    key = sandbox.settings.secret("integration_key").reveal()
    first, second = ps.build_curl(plan)
    environment = {**os.environ, "PENDO_INTEGRATION_KEY": key}
    told = subprocess.run(
        ["sh", "-c", f"{first} -s"], env=environment, capture_output=True, text=True, check=True
    )
    environment["SEGMENT_ID"] = json.loads(told.stdout)["segmentId"]
    subprocess.run(["sh", "-c", f"{second} -s"], env=environment, capture_output=True, check=True)
    assert sandbox.audiences() == {environment["SEGMENT_ID"]: {"name": NAME, "visitors": ["a", "b"]}}


# The push


def test_what_travels_is_what_the_dry_run_shows(sandbox, client, journal) -> None:
    plan = ps.plan_audience(MANY, client=client, name=NAME)
    outcomes = push(plan, client, journal)
    assert statuses(outcomes) == {"updated": 2500}
    ((audience, held),) = sandbox.audiences().items()
    assert held == {"name": NAME, "visitors": MANY}
    shown, came = ps.dry_run(plan), writes(sandbox)
    assert [request["body"] for request in came] == shown["body"].to_list()
    assert [request["method"] for request in came] == shown["method"].to_list()
    assert [request["path"] for request in came] == [
        path.replace(CREATED, audience) for path in shown["path"]
    ]
    assert created_id(journal, ps.read_runs(journal)["run_id"][0]) == audience


def test_an_audience_is_changed(sandbox, client, journal) -> None:
    audience = foreign(sandbox, client, ["a", "b", "c"])
    plan = ps.plan_audience(["x", "a"], remove=["b", "never"], client=client, audience_id=audience)
    assert statuses(push(plan, client, journal)) == {"updated": 4}
    assert members(sandbox, audience) == ["a", "c", "x"]
    assert [request["body"] for request in writes(sandbox)] == ps.dry_run(plan)["body"].to_list()


@pytest.mark.parametrize("status", [200, 207])
def test_both_statuses_of_a_patch_are_read(sandbox, client, journal, status) -> None:
    sandbox.switch(patch_status=status)
    audience = foreign(sandbox, client, ["a"])
    plan = ps.plan_audience(["b"], client=client, audience_id=audience)
    assert statuses(push(plan, client, journal)) == {"updated": 1}


def test_a_write_in_progress_is_waited_for(sandbox, client, journal) -> None:
    plan = ps.plan_audience(MANY[:1500], client=client, name=NAME)
    sandbox.misbehave("status", status=409, times=2, path="/api/v1/segment", method="POST")
    sandbox.misbehave("status", status=409, times=2, path="/api/v1/segment", method="PATCH")
    assert statuses(push(plan, client, journal)) == {"updated": 1500}
    assert [request["status"] for request in writes(sandbox)] == [409, 409, 200, 409, 409, 200]
    assert len(sandbox.audiences()) == 1


def test_one_request_is_in_flight_at_a_time(sandbox, journal) -> None:
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(None, 8))) as client:
        audience = foreign(sandbox, client, ["a"])
        plan = ps.plan_audience(MANY[:6], client=client, audience_id=audience, batch_size=1)
        sandbox.misbehave("latency", seconds=0.1, when="after", times=None, method="PATCH")
        push(plan, client, journal)
    times = [request["at_s"] for request in writes(sandbox)]
    assert len(times) == 6
    assert min(after - before for before, after in pairwise(times)) >= 0.09


def test_a_lost_answer_of_a_change_is_asked_again(sandbox, client, journal) -> None:
    audience = foreign(sandbox, client, ["a"])
    plan = ps.plan_audience(["b"], client=client, audience_id=audience)
    sandbox.misbehave("cut", when="after", method="PATCH")
    assert statuses(push(plan, client, journal)) == {"updated": 1}
    assert calls(sandbox) == [("PATCH", "visitor")] * 2


def test_a_name_that_was_taken_meanwhile_stops_the_run_before_it_creates(sandbox, client, journal) -> None:
    plan = ps.plan_audience(["a"], client=client, name=NAME)
    foreign(sandbox, client, ["z"], NAME)
    error = stopped(plan, client, journal)
    assert "came to be since the plan was made" in str(error)
    assert statuses(ps.read_outcomes(journal, error.run_id)) == {"pending": 1}
    assert writes(sandbox) == []


def test_ids_that_pendo_refuses_are_found_and_the_audience_is_created_once(sandbox, client, journal) -> None:
    """A refused creation is cut into parts: the first that is taken creates, the others are added."""
    plan = ps.plan_audience(MANY[:8], client=client, name=NAME)
    sandbox.misbehave("status", status=400, times=2, path="/api/v1/segment/upload")
    assert statuses(push(plan, client, journal)) == {"updated": 8}
    assert calls(sandbox) == [("POST", "upload")] * 3 + [("PATCH", "visitor")] * 2
    ((_, held),) = sandbox.audiences().items()
    assert sorted(held["visitors"]) == MANY[:8]


def test_a_refused_operation_is_cut_until_each_id_has_its_own_answer(sandbox, client, journal) -> None:
    audience = foreign(sandbox, client, ["a"])
    plan = ps.plan_audience(MANY[:4], client=client, audience_id=audience)
    refused = '{"multistatus":[{"status":400,"message":"bad visitor","operation":{"op":"add"}}]}'
    sandbox.misbehave("body", text=refused, status=207, carry_out=False, times=3, method="PATCH")
    outcomes = push(plan, client, journal)
    assert outcomes.select("id", "status").rows() == [
        ("v-0", "failed"), ("v-1", "updated"), ("v-2", "updated"), ("v-3", "updated")
    ]  # fmt: skip
    assert "bad visitor" in outcomes["reason"][0]
    assert members(sandbox, audience) == ["a", "v-1", "v-2", "v-3"]


def test_where_no_first_id_is_taken_nothing_is_sent_after_it(sandbox, client, journal) -> None:
    plan = ps.plan_audience(["a", "b"], client=client, name=NAME, batch_size=1)
    sandbox.misbehave("status", status=400, path="/api/v1/segment/upload")
    error = stopped(plan, client, journal)
    assert "was not created" in str(error)
    assert calls(sandbox) == [("POST", "upload")]
    assert statuses(ps.read_outcomes(journal, error.run_id)) == {"failed": 1, "pending": 1}


def test_a_change_of_an_audience_that_is_gone_stops_the_run(sandbox, client, journal) -> None:
    audience, run_id = create(client, journal, ["a"])
    plan = ps.plan_audience(["b"], client=client, audience_id=audience)
    push(ps.plan_undo(journal, run_id), client, journal)
    assert "404" in str(stopped(plan, client, journal))


# Lost answers, and runs that end early


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "cut", "when": "after"},
        {"fault": "status", "status": 503, "carry_out": True},
        {"fault": "status", "status": 408, "carry_out": True},
        {"fault": "body", "text": "{}"},
        {"fault": "body", "text": "<html>"},
        {"fault": "wrap", "encoding": "gzip", "broken": True},
    ],
    ids=["cut", "503", "408", "no id", "page", "broken gzip"],
)
def test_a_creation_whose_answer_was_lost_is_found_by_its_name_and_not_repeated(
    sandbox, client, journal, fault
) -> None:
    plan = ps.plan_audience(MANY, client=client, name=NAME)
    sandbox.misbehave(**fault, path="/api/v1/segment/upload")
    error = stopped(plan, client, journal)
    assert "created already" not in str(error)
    assert statuses(ps.read_outcomes(journal, error.run_id)) == {"unknown": 1000, "pending": 1500}
    assert calls(sandbox) == [("POST", "upload")]
    run = ps.resume_push(journal, error.run_id, client=client, show=False)
    assert statuses(run.wait()) == {"updated": 2500}
    assert calls(sandbox) == [("POST", "upload"), *[("PATCH", "visitor")] * 3]
    ((_, held),) = sandbox.audiences().items()
    assert held == {"name": NAME, "visitors": MANY}


def test_a_creation_that_never_came_is_not_repeated_unless_asked(sandbox, client, journal) -> None:
    plan = ps.plan_audience(["a"], client=client, name=NAME)
    sandbox.misbehave("cut", when="before", path="/api/v1/segment/upload")
    error = stopped(plan, client, journal)
    with pytest.raises(ps.PushError, match="no audience of that name is listed") as caught:
        ps.resume_push(journal, error.run_id, client=client, show=False)
    assert shows_three_beats(caught)
    assert "resend='all'" in str(caught.value)
    assert ps.read_runs(journal)["state"].to_list() == ["stopped"]
    run = ps.resume_push(journal, error.run_id, client=client, resend="all", show=False)
    assert statuses(run.wait()) == {"updated": 1}
    assert len(sandbox.audiences()) == 1


def test_two_audiences_of_the_name_stop_a_resume(sandbox, client, journal) -> None:
    plan = ps.plan_audience(["a"], client=client, name=NAME)
    sandbox.misbehave("cut", when="after", path="/api/v1/segment/upload")
    error = stopped(plan, client, journal)
    foreign(sandbox, client, ["z"], NAME)
    for resend in ("safe", "all"):
        with pytest.raises(ps.PushError, match="2 audiences of that name are there"):
            ps.resume_push(journal, error.run_id, client=client, resend=resend, show=False)
    sandbox.misbehave("body", text="7", path="/api/v1/segment")
    with pytest.raises(ps.PushError, match="can't be listed") as caught:
        ps.resume_push(journal, error.run_id, client=client, show=False)
    assert shows_three_beats(caught)
    assert writes(sandbox) == []
    with pytest.raises(ps.PlanError, match="whose id is not known") as no_undo:
        ps.plan_undo(journal, error.run_id)
    assert shows_three_beats(no_undo)


def test_a_creation_that_was_surely_refused_is_tried_again_by_a_resume(sandbox, hasty, journal) -> None:
    plan = ps.plan_audience(["a"], client=hasty, name=NAME)
    sandbox.misbehave("status", status=409, path="/api/v1/segment/upload")
    error = stopped(plan, hasty, journal)
    assert statuses(ps.read_outcomes(journal, error.run_id)) == {"pending": 1}
    with pytest.raises(ps.PlanError, match="created nothing"):
        ps.plan_undo(journal, error.run_id)
    assert statuses(ps.resume_push(journal, error.run_id, client=hasty, show=False).wait()) == {"updated": 1}


def test_a_cancelled_run_goes_on_with_the_audience_that_it_created(sandbox, client, journal) -> None:
    plan = ps.plan_audience(MANY, client=client, name=NAME)
    sandbox.misbehave("latency", seconds=0.3, times=None, method="PATCH")
    run = ps.push(plan, client=client, journal=journal, show=False)
    while run.progress.batches_done < 1:
        time.sleep(0.01)
    run.cancel()
    assert statuses(run.wait())["pending"] >= 500
    sandbox.behave()
    assert statuses(ps.resume_push(journal, run.id, client=client, show=False).wait()) == {"updated": 2500}
    assert Counter(calls(sandbox))["POST", "upload"] == 1
    ((_, held),) = sandbox.audiences().items()
    assert held["visitors"] == MANY


def test_a_run_cancelled_while_its_creation_waits_to_be_tried_again_creates_later(
    sandbox, client, journal
) -> None:
    plan = ps.plan_audience(["a"], client=client, name=NAME)
    sandbox.misbehave("status", status=409, times=None, path="/api/v1/segment/upload")
    run = ps.push(plan, client=client, journal=journal, show=False)
    while not writes(sandbox):
        time.sleep(0.01)
    run.cancel()
    run.wait()
    sandbox.behave()
    assert statuses(ps.resume_push(journal, run.id, client=client, show=False).wait()) == {"updated": 1}
    assert [held["name"] for held in sandbox.audiences().values()] == [NAME]


SCRIPT = """
import sys, pendosync as ps
url, key, journal, folder = sys.argv[1:]
settings = ps.Settings(api_url=url, data_url=url, integration_key=key, access="write", api_pace=ps.Pace(None, None))
run = ps.push(ps.load_plan(folder), client=ps.open_client(settings), journal=ps.open_journal(journal), show=False)
run.wait()
"""


@pytest.mark.parametrize(("method", "when"), [("POST", "after"), ("POST", "before"), ("PATCH", "before")])
def test_a_killed_run_creates_no_second_audience(
    sandbox, client, journal, tmp_path: Path, method: str, when: str
) -> None:
    plan = ps.plan_audience(MANY, client=client, name=NAME)
    plan.save(tmp_path / "plan")
    sandbox.misbehave("latency", seconds=30, when=when, method=method, path="/api/v1/segment")
    key = sandbox.settings.secret("integration_key").reveal()
    arguments = [sandbox.url, key, str(journal.path), str(tmp_path / "plan")]
    script = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], stderr=subprocess.PIPE, text=True)
    while not is_under_way(sandbox, journal, method, when):
        assert script.poll() is None
        time.sleep(0.01)
    script.kill()
    script.communicate()
    sandbox.behave()
    (run_id,) = ps.read_runs(journal)["run_id"]
    resend = "all" if (method, when) == ("POST", "before") else "safe"
    run = ps.resume_push(journal, run_id, client=client, resend=resend, show=False)
    assert statuses(run.wait()) == {"updated": 2500}
    ((_, held),) = sandbox.audiences().items()
    assert held == {"name": NAME, "visitors": MANY}


def is_under_way(sandbox: ps.Sandbox, journal: ps.Journal, method: str, when: str) -> bool:
    """Whether the request that is held up has been sent, and carried out where it is held up after that."""
    if when == "after":
        return bool(sandbox.audiences())
    for run_id in ps.read_runs(journal)["run_id"]:
        with closing(sqlite3.connect(journal.path / run_id / "run.sqlite")) as db:
            n_sent = db.execute("SELECT COUNT(*) FROM batch").fetchone()[0]
            return n_sent == (1 if method == "POST" else 2)
    return False


def test_an_id_written_down_before_its_batch_is_gone_on_with(sandbox, client, journal) -> None:
    """As a run is left that is killed right after the id of its audience was written."""
    audience, run_id = create(client, journal, ["a", "b"])
    with closing(sqlite3.connect(journal.path / run_id / "run.sqlite")) as db, db:
        db.execute("UPDATE batch SET state = 'sending', status = NULL")
        db.execute("UPDATE run SET state = 'running', ended_at = NULL")
    assert statuses(ps.read_outcomes(journal, run_id)) == {"unknown": 2}
    sandbox.forget_requests()
    assert statuses(ps.resume_push(journal, run_id, client=client, show=False).wait()) == {"updated": 2}
    assert [(one["method"], one["path"]) for one in writes(sandbox)] == [
        ("PATCH", f"/api/v1/segment/{audience}/visitor")
    ]  # fmt: skip


def test_a_run_of_before_there_were_audiences_can_be_read(sandbox, client, journal) -> None:
    mapping = ps.Mapping("visitor", id="id", traits=["seats"])
    plan = ps.plan_table(pl.DataFrame({"id": ["u-0001"], "seats": [901]}), mapping, client=client)
    run = ps.push(plan, client=client, journal=journal, show=False)
    run.wait()
    with closing(sqlite3.connect(journal.path / run.id / "run.sqlite")) as db, db:
        db.execute("DROP TABLE creation")
    assert statuses(ps.read_outcomes(journal, run.id)) == {"updated": 1}
    assert len(ps.plan_undo(journal, run.id)) == 1
    assert ps.resume_push(journal, run.id, client=client, show=False).progress.state == "done"


# Taking back


def test_an_audience_that_a_run_created_is_deleted(sandbox, client, journal) -> None:
    theirs = foreign(sandbox, client, ["z"])
    audience, run_id = create(client, journal, ["a", "b"])
    undo = ps.plan_undo(journal, run_id, client=client)
    assert undo.undoes == run_id
    assert undo.changes.select("id", "action").rows() == [(audience, "delete")]
    assert f"delete audience {NAME!r}" in repr(undo)
    assert "whoever else was put into it since" in repr(undo)
    (request,) = ps.dry_run(undo).to_dicts()
    assert (request["method"], request["path"], request["body"]) == (
        "DELETE",
        f"/api/v1/segment/{audience}",
        "",
    )
    sandbox.forget_requests()
    assert statuses(push(undo, client, journal)) == {"updated": 1}
    assert [(one["method"], one["path"], one["body"]) for one in writes(sandbox)] == [
        ("DELETE", f"/api/v1/segment/{audience}", "")
    ]  # fmt: skip
    assert list(sandbox.audiences()) == [theirs]


def test_a_deletion_whose_answer_was_lost_is_a_deletion(sandbox, client, journal) -> None:
    _, run_id = create(client, journal, ["a"])
    sandbox.misbehave("cut", when="after", method="DELETE")
    outcomes = push(ps.plan_undo(journal, run_id), client, journal)
    assert outcomes.select("status", "reason").rows() == [
        ("updated", "it was in flight, and the audience is gone")
    ]
    assert sandbox.audiences() == {}


def test_an_audience_that_is_gone_has_nothing_to_take_back(sandbox, client, journal) -> None:
    audience, run_id = create(client, journal, ["a"])
    push(ps.plan_audience(["b"], client=client, audience_id=audience), client, journal)
    change = ps.read_runs(journal)["run_id"][-1]
    blind = ps.plan_undo(journal, run_id)
    push(blind, client, journal)
    assert statuses(push(blind, client, journal)) == {"missing": 1}
    for one in (run_id, change):
        undo = ps.plan_undo(journal, one, client=client)
        assert len(undo) == 0
        assert undo.problems["rule"].to_list() == ["not_in_pendo"]


def test_a_deletion_is_not_taken_back(sandbox, client, journal) -> None:
    _, run_id = create(client, journal, ["a"])
    push(ps.plan_undo(journal, run_id), client, journal)
    with pytest.raises(ps.PlanError, match="can't bring back") as caught:
        ps.plan_undo(journal, ps.read_runs(journal)["run_id"][-1])
    assert shows_three_beats(caught)
    again = ps.plan_audience(ps.read_plan(journal, run_id), client=client, name=NAME)
    assert again.changes["id"].to_list() == ["a"]


def test_a_change_of_our_own_audience_is_taken_back_by_what_the_journal_knows(
    sandbox, client, journal
) -> None:
    audience, _ = create(client, journal, ["a", "b", "c"])
    change = ps.plan_audience(["b", "x"], remove=["c", "never"], client=client, audience_id=audience)
    push(change, client, journal)
    assert members(sandbox, audience) == ["a", "b", "x"]
    undo = ps.plan_undo(journal, ps.read_runs(journal)["run_id"][-1], client=client)
    assert undo.changes.select("id", "action").rows() == [("c", "add"), ("x", "remove")]
    assert undo.problems.select("id", "rule").rows() == [("b", "already_held"), ("never", "already_held")]
    push(undo, client, journal)
    assert members(sandbox, audience) == ["a", "b", "c"]


def test_who_was_added_to_an_audience_of_others_leaves_it_only_where_that_is_named(
    sandbox, client, journal
) -> None:
    audience = foreign(sandbox, client, ["a", "b"])
    push(ps.plan_audience(["a", "x"], remove=["b"], client=client, audience_id=audience), client, journal)
    (run_id,) = ps.read_runs(journal)["run_id"]
    undo = ps.plan_undo(journal, run_id)
    assert undo.changes.select("id", "action").rows() == [("b", "add")]
    assert undo.cannot_undo["id"].to_list() == ["a", "x"]
    assert "absent='null'" in undo.cannot_undo["reason"][0]
    assert "Who was a member before can't be read" in repr(undo)
    named = ps.plan_undo(journal, run_id, absent="null")
    assert named.changes.select("id", "action").rows() == [("b", "add"), ("a", "remove"), ("x", "remove")]
    assert named.cannot_undo.height == 0
    push(named.select(but=["a"]), client, journal)
    assert members(sandbox, audience) == ["a", "b"]


def test_an_audience_that_was_found_by_its_name_is_not_deleted(sandbox, client, journal) -> None:
    """The journal does not show that we created it."""
    plan = ps.plan_audience(["a"], client=client, name=NAME)
    sandbox.misbehave("cut", when="after", path="/api/v1/segment/upload")
    run_id = stopped(plan, client, journal).run_id
    ps.resume_push(journal, run_id, client=client, show=False).wait()
    undo = ps.plan_undo(journal, run_id, absent="null")
    assert undo.changes.select("id", "action").rows() == [("a", "remove")]
    assert "So it is not deleted" in repr(undo)
    assert ps.dry_run(undo)["path"].to_list() == [f"/api/v1/segment/{created_id(journal, run_id)}/visitor"]


def test_who_was_taken_out_before_was_no_member_when_put_in_again(sandbox, client, journal) -> None:
    audience, _ = create(client, journal, ["a", "b"])
    options = {"client": client, "audience_id": audience}
    push(ps.plan_audience([], remove=["a"], **options), client, journal)
    run = ps.push(ps.plan_audience(["a", "b"], **options), client=client, journal=journal, show=False)
    run.wait()
    undo = ps.plan_undo(journal, run.id, client=client)
    assert undo.changes.select("id", "action").rows() == [("a", "remove")]
    push(undo, client, journal)
    assert members(sandbox, audience) == ["b"]


def test_of_an_audience_found_by_its_name_nobody_knows_who_was_in_it(sandbox, client, journal) -> None:
    sandbox.misbehave("cut", when="after", path="/api/v1/segment/upload")
    error = stopped(ps.plan_audience(["a"], client=client, name=NAME), client, journal)
    ps.resume_push(journal, error.run_id, client=client, show=False).wait()
    plan = ps.plan_audience(["b"], client=client, audience_id=created_id(journal, error.run_id))
    run = ps.push(plan, client=client, journal=journal, show=False)
    run.wait()
    undo = ps.plan_undo(journal, run.id, client=client)
    assert (len(undo), undo.cannot_undo["id"].to_list()) == (0, ["b"])


def test_a_creation_is_begun_once(client, journal) -> None:
    plan = ps.plan_audience(["a"], client=client, name=NAME)
    record = journal.record_run(plan)
    calls = AudienceCalls(plan, client, record)
    calls.begin()
    with pytest.raises(ps.PushError, match="created already"):
        calls.begin()
    calls.give_back()
    calls.begin()
    record.close()


def test_only_what_was_written_is_taken_back(sandbox, client, journal) -> None:
    audience, _ = create(client, journal, ["a"])
    refused = '{"multistatus":[{"status":400,"message":"","operation":null}]}'
    sandbox.misbehave("body", text=refused, status=207, carry_out=False, times=3, method="PATCH")
    push(ps.plan_audience(["x", "y", "z"], client=client, audience_id=audience), client, journal)
    run_id = ps.read_runs(journal)["run_id"][-1]
    told = ps.read_outcomes(journal, run_id)
    written = told.filter(status="updated")["id"].to_list()
    assert 0 < len(written) < 3
    assert ps.plan_undo(journal, run_id).changes["id"].to_list() == written


def test_an_undo_for_another_place_is_refused(sandbox, client, journal) -> None:
    _, run_id = create(client, journal, ["a"])
    with ps.open_client(sandbox.settings_for("eu")) as other:
        with pytest.raises(ps.PlanError, match="The run went to us") as caught:
            ps.plan_undo(journal, run_id, client=other)
    assert shows_three_beats(caught)


# What else is done with plans and runs


def test_rejected_ids_go_to_the_audience_that_was_created(sandbox, client, journal) -> None:
    plan = ps.plan_audience(["a", "b"], client=client, name=NAME, batch_size=1)
    sandbox.misbehave("status", status=400, method="PATCH")
    run = ps.push(plan, client=client, journal=journal, show=False)
    assert statuses(run.wait()) == {"updated": 1, "failed": 1}
    rejected = ps.plan_rejected(journal, run.id)
    assert ps.dry_run(rejected)["method"].to_list() == ["PATCH"]
    assert statuses(push(rejected, client, journal)) == {"updated": 1}
    ((_, held),) = sandbox.audiences().items()
    assert held["visitors"] == ["a", "b"]
    with pytest.raises(ps.FrameError, match="no values") as caught:
        ps.plan_rejected(journal, run.id, mended=rejected.values)
    assert shows_three_beats(caught)


def test_members_can_not_be_read_back_and_that_is_said(sandbox, client, journal) -> None:
    _, run_id = create(client, journal, ["a"])
    plan = ps.read_plan(journal, run_id)
    for look in (
        lambda: ps.verify_run(journal, run_id, client=client),
        lambda: ps.refresh_plan(plan, client=client),
    ):
        with pytest.raises(ps.PlanError, match="can't be read from Pendo") as caught:
            look()
        assert shows_three_beats(caught)


def test_a_preview_shows_ids_actions_and_requests(sandbox, client, journal) -> None:
    plan = ps.plan_audience(MANY, client=client, name=NAME)
    preview = PlanPreview(plan)
    assert preview._row(3)["path"] == "POST /api/v1/segment/upload"
    row = preview._row(1500)
    assert (row["action"], row["batch"], row["body"]) == ("add", [2, 3], '"v-1500"')
    assert row["path"] == f"PATCH /api/v1/segment/{CREATED}/visitor"
    assert "-X PATCH" in row["curl"]
    view = ps.preview_plan(plan)
    assert view.n_selected == 2500
    assert plan.select(view.selection).digest == plan.digest
    audience, _ = create(client, journal, ["a"])
    change = ps.plan_audience(["b"], remove=["<a>"], client=client, audience_id=audience)
    assert "<a>" not in change._repr_html_()
    assert ">remove<" in change._repr_html_()


# Answers


PATCH = b'{"patch":[{"op":"add","value":["a","b"]},{"op":"remove","value":["c"]}]}'


def answer(content: object, status: int = 207) -> Answer:
    return Answer(status, json.dumps(content).encode(), "PATCH", "/x")


def statused(*operations: tuple[int, str]) -> Answer:
    each = [{"status": n, "message": f"m{n}", "operation": {"op": op}} for n, op in operations]
    return answer({"multistatus": each})


def test_an_operation_that_failed_fails_its_ids_alone() -> None:
    told = read_patch(statused((200, "add"), (500, "remove")), PATCH)
    assert (told.status, told.is_doubtful) == ("updated", False)
    assert told.exceptions == [(2, "failed", "Pendo refused to remove (500): m500")]
    told = read_patch(statused((404, "add"), (204, "remove")), PATCH)
    assert [at for at, _, _ in told.exceptions] == [0, 1]


def test_an_operation_that_was_refused_for_what_it_holds_is_asked_in_parts() -> None:
    told = read_patch(statused((200, "add"), (422, "remove")), PATCH)
    assert told.is_refused
    assert told.must_split
    assert not told.leaves_doubt


@pytest.mark.parametrize(
    "content",
    [
        None, [], {}, {"multistatus": []}, {"multistatus": [{"status": 200}]}, {"multistatus": "200"},
        {"multistatus": [{"status": 200}, {"status": "200"}]}, {"multistatus": [{"status": 200}, {"status": True}]},
        {"multistatus": [{"status": 200}, {"message": ""}]}, {"multistatus": [{"status": 200}, 7]},
        {"multistatus": [{"status": 200, "operation": {"op": "remove"}}, {"status": 200}]},
        {"multistatus": [{"status": 200}] * 3},
    ],
)  # fmt: skip
def test_an_answer_that_does_not_speak_of_each_operation_is_doubted(content) -> None:
    told = read_patch(answer(content), PATCH)
    assert (told.status, told.is_doubtful) == ("unknown", True)
    assert "may or may not" in told.reason


@pytest.mark.parametrize(
    "content", [None, {}, {"segmentId": None}, {"segmentId": " "}, {"segmentId": 7}, ["x"]]
)
def test_a_creation_without_an_id_is_doubted(content) -> None:
    told, id_ = read_created(answer(content, 200))
    assert (told.is_doubtful, id_) == (True, "")


def test_a_deletion_answered_by_a_page_is_doubted() -> None:
    assert read_deletion(Answer(200, b"<html>", "DELETE", "/x")).is_doubtful
    assert read_deletion(Answer(204, b"", "DELETE", "/x")).status == "updated"
