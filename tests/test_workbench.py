"""The workbench's kernel side: a desk's way from the table to the push, as its tabs ask for it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

import pendosync as ps
from pendosync.preview.plan_view import PlanPreview
from pendosync.workbench.bench import Workbench
from tests.wire import Wire

N = 30
USERS = pl.DataFrame(
    {
        "user_id": [f"u-{n:04}" for n in range(1, N + 1)] + ["nobody"],
        "plan": [f"tier-{n % 3}" for n in range(N)] + ["tier-1"],
        "team": ["red", "blue", "green"] * 10 + ["red"],
    }
)


@pytest.fixture
def bench(client: ps.Client, journal: ps.Journal) -> Iterator[Workbench]:
    mapping = ps.Mapping("visitor", "user_id", ["plan"])
    opened = ps.workbench(USERS, client=client, journal=journal, mappings=[mapping], keep=["team"])
    opened.comm = Wire()
    yield opened
    if opened.run is not None:
        opened.run.cancel()
        opened.run.wait()
    opened.close()


def ask(bench: Workbench, what: str, /, **args: Any) -> Any:
    said = bench.comm.ask(what, **({} if what == "open" else {"kind": bench.kind, **args}))
    return said.get("answer", said)


def compare(bench: Workbench) -> None:
    bench.desk.compare()


def test_it_opens_on_the_table_with_a_suggested_mapping(client: ps.Client, journal: ps.Journal) -> None:
    bench = ps.workbench(USERS, client=client, journal=journal)
    assert (bench.kind, [trait.field for trait in bench.mapping.each_trait]) == ("visitor", ["plan"])
    assert repr(bench).startswith("Workbench for visitors → us")


@pytest.mark.parametrize("given", [{}, {"mappings": [ps.Mapping("account", "id", ["plan"])]}])
def test_it_needs_a_table_for_each_mapping(client: ps.Client, journal: ps.Journal, given: Any) -> None:
    tables = [USERS] if given else []
    with pytest.raises(ps.MappingError, match="Expected a table of users or accounts"):
        ps.workbench(*tables, client=client, journal=journal, **given)


def test_a_column_to_keep_that_no_table_has_is_told(client: ps.Client, journal: ps.Journal) -> None:
    with pytest.raises(ps.ColumnNotFoundError, match=r"'taem'.*did you mean 'team'"):
        ps.workbench(USERS, client=client, journal=journal, keep=["taem"])


def test_a_part_answers_what_is_asked_of_it(bench: Workbench) -> None:
    question = {"from": "page", "number": 1, "kind": "open", "args": {}, "part": "map visitor"}
    bench.comm.handle_msg({"content": {"data": {"method": "custom", "content": question}}, "buffers": []})
    answer = bench.comm.sent.pop()
    assert (answer["part"], answer["answer"]["picture"]["kind"]) == ("map visitor", "visitor")


def test_the_check_counts_rows_by_rule(client: ps.Client, journal: ps.Journal) -> None:
    users = pl.concat([USERS, USERS.head(2)])
    bench = ps.workbench(users, client=client, journal=journal)
    bench.comm = Wire()
    answer = ask(bench, "check")
    assert (answer["n_rows"], answer["n_blocked"]) == (N + 3, 4)
    assert [(rule["rule"], rule["n"]) for rule in answer["rules"]] == [("duplicate_id", 4)]
    rows = ask(bench, "problems", rule="duplicate_id", start=0, n=10)
    assert (rows["n"], rows["rows"][0][:2]) == (4, ["u-0001", 0])


@pytest.mark.parametrize("kind", ["requests", "push"])
def test_nothing_is_shown_of_a_plan_before_the_comparison(bench: Workbench, kind: str) -> None:
    args = {"start": 0, "n": 5} if kind == "requests" else {}
    assert "nothing was compared" in ask(bench, kind, **args)["error"]
    assert "plan_table" in bench.code
    assert "push" not in bench.code


def test_a_comparison_ends_with_a_plan(bench: Workbench) -> None:
    assert ask(bench, "compare")["has_plan"] is False
    for _ in range(200):
        if bench.desk.preview is not None:
            break
        time.sleep(0.02)
    assert len(bench.plan) == N
    assert bench.plan.kept == ["team"]


def test_a_comparison_that_fails_says_why(bench: Workbench, sandbox: ps.Sandbox) -> None:
    sandbox.misbehave("status", status=403, times=None)
    ask(bench, "compare")
    while bench.desk.compares_since_s is not None:
        time.sleep(0.02)
    told = ask(bench, "look")
    assert "403" in told["trouble"]
    assert (told["has_plan"], told["comparing_s"]) == (False, None)


def test_the_requests_are_those_of_the_dry_run_page_by_page(bench: Workbench) -> None:
    compare(bench)
    plan = bench.plan
    shape = dataclasses.replace(plan.shape, batch_size=4, canary=ps.Canary(steps=(1, 10)))
    bench.desk.preview = PlanPreview(dataclasses.replace(plan, shape=shape))
    whole = ps.dry_run(bench.chosen)
    pages = [bench.desk.requests(start, 3) for start in range(0, whole.height, 3)]
    assert pl.concat(pages).equals(whole)
    assert ask(bench, "body", batch=2)["body"] == whole["body"][2]
    assert bench.desk.requests(whole.height, 3).is_empty()


def test_the_choice_reaches_the_requests_and_the_code(bench: Workbench) -> None:
    compare(bench)
    question = {"start": 0, "n": 9, "columns": ["plan"], "do": {"what": "tick", "place": 1, "on": False}}
    bench.hear({"from": "page", "number": 1, "kind": "rows", "args": question, "part": "changes visitor"})
    assert {message["part"] for message in bench.comm.sent} == {"changes visitor"}
    bench.comm.sent.clear()
    assert bench.selection.but == ("u-0002",)
    assert len(bench.chosen) == N - 1
    assert ask(bench, "requests", start=0, n=9)["n_ids"] == N - 1
    assert "but=['u-0002']" in ask(bench, "push")["code"]


def test_the_code_does_the_same(bench: Workbench, client: ps.Client, journal: ps.Journal) -> None:
    ask(bench, "creates", on=True)
    compare(bench)
    bench.hear({"from": "p", "number": 1, "kind": "rows", "part": "changes visitor",
                "args": {"start": 0, "n": 1, "columns": [], "do": {"what": "range", "first": 3, "last": 9, "on": False}}})  # fmt: skip
    made: dict[str, Any] = {"users": USERS, "client": client, "journal": journal, "pl": pl}
    exec(bench.code.rpartition("\n")[0], made)
    assert ps.dry_run(made["chosen"])["body"].to_list() == ps.dry_run(bench.chosen)["body"].to_list()
    assert "create='unknown_ids'" in bench.code
    assert bench.code.endswith("run = ps.push(chosen, client=client, journal=journal)")


@pytest.mark.parametrize("typed", ["", "30", "31 us", "30 eu"])
def test_a_push_is_not_begun_by_other_words(bench: Workbench, sandbox: ps.Sandbox, typed: str) -> None:
    compare(bench)
    assert "Expected how many ids go where: 30 us" in ask(bench, "start", typed=typed)["error"]
    assert (bench.run, [one for one in sandbox.requests() if "/value" in one["path"]]) == (None, [])


def test_a_push_is_begun_by_the_number_and_the_region(bench: Workbench, sandbox: ps.Sandbox) -> None:
    compare(bench)
    assert ask(bench, "start", typed=" 30  US ")["run_mark"]
    assert bench.run is not None
    assert bench.run.wait()["status"].to_list() == ["updated"] * N
    assert sandbox.values("visitor", "custom")["u-0002"]["plan"] == "tier-1"


def test_a_stale_plan_is_not_pushed(bench: Workbench) -> None:
    compare(bench)
    bench.hear({"from": "p", "number": 1, "kind": "set", "part": "map visitor",
                "args": {"index": 0, "changes": {"null": "clear"}}})  # fmt: skip
    assert ask(bench, "push")["is_stale"] is True
    assert "changed since the comparison" in ask(bench, "start", typed="30 us")["error"]


def test_a_gate_holds_the_push_until_it_is_lifted_by_name(bench: Workbench) -> None:
    compare(bench)
    bench.desk.preview = PlanPreview(dataclasses.replace(bench.plan, gates=ps.Gates(max_ids=5)))
    assert [gate for gate, _, _ in ask(bench, "push")["held"]] == ["max_ids"]
    assert "held back" in ask(bench, "start", typed="30 us")["error"]
    lifted = ask(bench, "lift", gate="max_ids", on=True)
    assert (lifted["held"], lifted["lifted"]) == ([], [["max_ids", "30"]])
    assert "chosen = plan.lift(max_ids=30)" in bench.code
    assert ask(bench, "lift", gate="max_ids", on=False)["lifted"] == []


def test_one_push_at_a_time(bench: Workbench, sandbox: ps.Sandbox) -> None:
    compare(bench)
    sandbox.misbehave("latency", seconds=2, times=None, path="/value")
    ask(bench, "start", typed="30 us")
    assert "Expected one push at a time" in ask(bench, "start", typed="30 us")["error"]


def test_both_kinds_have_a_desk(client: ps.Client, journal: ps.Journal) -> None:
    accounts = pl.DataFrame({"account_id": ["acc-001"], "plan": ["pro"]})
    bench = ps.workbench(USERS, accounts, client=client, journal=journal)
    bench.comm = Wire()
    assert ask(bench, "open")["kinds"] == ["visitor", "account"]
    ask(bench, "show", kind="account")
    assert bench.mapping.kind == "account"
    assert "plan_table(accounts, mapping" in bench.code


def test_a_plan_is_pushed_once(bench: Workbench) -> None:
    compare(bench)
    ask(bench, "start", typed="30 us")
    assert bench.run is not None
    bench.run.wait()
    assert ask(bench, "push")["pushed"] == bench.run.id
    assert "was pushed in run" in ask(bench, "start", typed="30 us")["error"]
    compare(bench)
    assert len(bench.plan) == 0
    assert ask(bench, "push")["pushed"] is None


def test_a_question_about_a_desk_is_answered_of_that_desk(client: ps.Client, journal: ps.Journal) -> None:
    """Two views of one workbench may show either."""
    accounts = pl.DataFrame({"account_id": ["acc-001", "acc-001"], "plan": ["pro", "free"]})
    bench = ps.workbench(USERS, accounts, client=client, journal=journal)
    bench.comm = Wire()
    assert (ask(bench, "check", kind="account")["n_rows"], ask(bench, "check")["n_rows"]) == (2, N + 1)
    assert bench.kind == "visitor"
