"""Failures that an answer counts but does not name are found, at little cost."""

from __future__ import annotations

import asyncio
import math
import sqlite3

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pendosync as ps
from pendosync.results import BatchResult
from pendosync.splitting import RequestSize, ask_in_parts, name_failures
from tests.test_push import IDS, a_plan, statuses, writes


class Server:
    """Takes records by number; the bad ones fail, counted or with the whole request."""

    def __init__(self, bad: set[int], *, refuses: bool, missing: frozenset[int] = frozenset()) -> None:
        self.bad, self.missing, self.refuses = bad, missing, refuses
        self.written: set[int] = set()
        self.n_asked = 0

    def answer(self, start: int, stop: int) -> BatchResult:
        self.n_asked += 1
        bad = [at for at in range(start, stop) if at in self.bad]
        if bad and self.refuses:
            return BatchResult("failed", "refused", http_status=400, is_refused=True)
        exceptions = [(at - start, "missing", "unknown") for at in range(start, stop) if at in self.missing]
        good = set(range(start, stop)) - self.bad - self.missing
        self.written |= good
        if bad and good:
            return BatchResult("failed", "some failed", exceptions, 200, n_unnamed=len(bad))
        return BatchResult("failed" if bad else "updated", "failed" if bad else "", exceptions, 200)

    def name(self, n: int) -> BatchResult:
        async def ask(start: int, stop: int) -> BatchResult:
            return self.answer(start, stop)

        told = self.answer(0, n)
        return asyncio.run(name_failures(told, n, ask)) if told.must_split else told


NUMBERS = st.sets(st.integers(0, 63), max_size=64)


@given(bad=NUMBERS, missing=NUMBERS, n=st.integers(1, 64))
def test_each_counted_failure_is_named_and_the_rest_is_written(
    bad: set[int], missing: set[int], n: int
) -> None:
    server = Server(bad, refuses=False, missing=frozenset(missing - bad))
    told = server.name(n)
    statuses_of = dict.fromkeys(range(n), told.status) | {at: status for at, status, _ in told.exceptions}
    expected = {at: "failed" if at in bad else "missing" if at in missing else "updated" for at in range(n)}
    assert statuses_of == expected


@given(bad=st.sets(st.integers(0, 63), max_size=3), n=st.integers(4, 64))
def test_a_few_bad_records_do_not_cost_a_refused_batch(bad: set[int], n: int) -> None:
    server = Server(bad, refuses=True)
    told = server.name(n)
    assert {at for at, _, _ in told.exceptions} == {at for at in bad if at < n}
    assert server.written == set(range(n)) - bad


@given(at=st.integers(0, 511))
def test_the_cost_of_one_bad_record_is_logarithmic(at: int) -> None:
    counted, refused = Server({at}, refuses=False), Server({at}, refuses=True)
    counted.name(512)
    refused.name(512)
    assert counted.n_asked <= 2 + math.log2(512)
    assert refused.n_asked <= 2 + 2 * math.log2(512)


def test_bad_records_side_by_side_cost_no_more_than_one() -> None:
    server = Server(set(range(256)), refuses=False)
    server.name(512)
    assert server.n_asked == 2


def test_a_batch_in_which_all_are_refused_is_given_up_soon() -> None:
    server = Server(set(range(512)), refuses=True)
    told = server.name(512)
    assert {status for _, status, _ in told.exceptions} == {"failed"}
    assert len(told.exceptions) == 512
    assert server.n_asked <= 20
    assert "not tried alone" in told.exceptions[-1][2]


def test_many_bad_records_side_by_side_do_not_condemn_the_rest() -> None:
    server = Server(set(range(20)), refuses=True)
    told = server.name(64)
    assert {at for at, _, _ in told.exceptions} == set(range(20))
    assert server.written == set(range(20, 64))


def test_what_a_look_elsewhere_wrote_stays_written() -> None:
    """The last record is accepted when tried alone, and refused with the others later."""
    tried = []

    async def ask(start: int, stop: int) -> BatchResult:
        tried.append((start, stop))
        if (start, stop) == (7, 8) and tried.count((7, 8)) == 1:
            return BatchResult("updated", http_status=200)
        return BatchResult("failed", "refused", http_status=400, is_refused=True)

    refused = BatchResult("failed", "refused", http_status=400, is_refused=True)
    told = asyncio.run(name_failures(refused, 8, ask))
    assert [at for at, _, _ in told.exceptions] == list(range(7))
    assert tried.count((7, 8)) == 2


COUNTED = BatchResult("failed", "one of them", http_status=200, n_unnamed=1)
TOO_LONG = BatchResult("unknown", "five minutes", http_status=408, is_too_long=True)
REFUSED = BatchResult("failed", "refused", http_status=400, is_refused=True)
IN_DOUBT = BatchResult("unknown", "refused, after no answer", http_status=400, is_refused=True)


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        (REFUSED, REFUSED, "failed"),
        (COUNTED, REFUSED, "unknown"),
        (TOO_LONG, REFUSED, "unknown"),
        (IN_DOUBT, REFUSED, "unknown"),
        (REFUSED, None, "pending"),
        (COUNTED, None, "unknown"),
        (TOO_LONG, None, "unknown"),
        (COUNTED, BatchResult("failed", "wrote none", http_status=200), "unknown"),
    ],
)
def test_what_was_sent_before_is_in_doubt_whatever_is_said_of_it_alone(
    first: BatchResult, then: BatchResult | None, expected: str
) -> None:
    async def ask(start: int, stop: int) -> BatchResult | None:
        return then

    told = asyncio.run(name_failures(first, 4, ask))
    assert {status for _, status, _ in told.exceptions} == {expected}
    assert len(told.exceptions) == 4


@pytest.mark.parametrize("outer", [REFUSED, None])
def test_a_part_that_ran_too_long_leaves_its_own_records_in_doubt_and_no_others(
    outer: BatchResult | None,
) -> None:
    async def ask(start: int, stop: int) -> BatchResult | None:
        return TOO_LONG if (start, stop) == (0, 4) else None

    told = asyncio.run(ask_in_parts(8, 4, ask) if outer is None else name_failures(outer, 8, ask))
    assert [status for _, status, _ in told.exceptions] == ["unknown"] * 4 + ["pending"] * 4


def test_a_stopped_search_says_what_may_be_written() -> None:
    async def stopped(start: int, stop: int) -> None:
        return None

    for refused, expected in ((False, "unknown"), (True, "pending")):
        told = BatchResult(
            "failed",
            "x",
            http_status=400 if refused else 200,
            n_unnamed=0 if refused else 1,
            is_refused=refused,
        )
        found = asyncio.run(name_failures(told, 4, stopped))
        assert {status for _, status, _ in found.exceptions} == {expected}


def test_unnamed_failures_end_with_their_ids(sandbox, client, journal) -> None:
    plan = a_plan(client, batch_size=40)
    sandbox.misbehave("fail_records", method="POST", ids=["u-0013", "u-0040"], named=False, times=None)
    run = ps.push(plan, client=client, journal=journal)
    outcomes = run.wait()
    assert outcomes.filter(status="failed")["id"].to_list() == ["u-0013", "u-0040"]
    assert statuses(outcomes) == {"updated": 38, "failed": 2}
    assert run.progress.requests == len(writes(sandbox)) <= 14
    with sqlite3.connect(journal.path / run.id / "run.sqlite") as db:
        pieces = db.execute("SELECT n_rows, status FROM piece").fetchall()
    db.close()
    assert len(pieces) == run.progress.requests - 1
    assert all(status for _, status in pieces)


def test_wrong_types_cost_their_own_records_only(sandbox, client, journal) -> None:
    """The embedded Pendo names no id in its errors, as Pendo's texts are not known."""
    undo_of = ps.push(a_plan(client), client=client, journal=journal)
    undo_of.wait()
    undo = ps.plan_undo(journal, undo_of.id)
    outcomes = ps.push(undo, client=client, journal=journal).wait()
    assert set(outcomes.filter(status="failed")["id"]) == set(
        undo.problems.filter(rule="goes_back_raw")["id"]
    )
    assert "is not" in outcomes.filter(status="failed")["reason"][0]


def test_a_400_for_one_field_costs_its_row_alone(sandbox, client, journal) -> None:
    table = pl.DataFrame({"user_id": IDS, "plan": "new", "hasnote": [None] * 20 + ["later"] + [None] * 19})
    mapping = ps.Mapping(
        "visitor", "user_id", [ps.Trait("plan", type="text"), ps.Trait("hasnote", type="text")]
    )
    plan = ps.plan_table(table, mapping, client=client, batch_size=40)
    client.call(client.request, "DELETE", "/api/v1/metadata/schema/visitor/custom/hasnote")
    outcomes = ps.push(plan, client=client, journal=journal).wait()
    assert outcomes.filter(status="failed")["id"].to_list() == [IDS[20]]
    assert statuses(outcomes) == {"updated": 39, "failed": 1}


def test_pieces_are_the_same_bytes(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:8], batch_size=8)
    sandbox.misbehave("fail_records", method="POST", ids=["u-0003"], named=False, times=None)
    ps.push(plan, client=client, journal=journal).wait()
    whole, *pieces = [request["body"] for request in writes(sandbox)]
    assert [whole] == ps.dry_run(plan)["body"].to_list()
    assert pieces
    assert all(piece[1:-1] in whole for piece in pieces)


def test_requests_grow_again_once_all_goes_well() -> None:
    size = RequestSize(500)
    too_long = BatchResult("unknown", "x", http_status=408, is_too_long=True)
    size.learn(too_long, 500)
    size.learn(too_long, 250)
    assert size.n_ids == 125
    sizes = []
    for _ in range(30):
        size.learn(BatchResult("updated"), size.n_ids)
        sizes.append(size.n_ids)
    assert (sizes[8], sizes[9], sizes[19], sizes[29]) == (125, 250, 500, 500)
    size.learn(too_long, 1)
    assert size.n_ids == 500  # one record alone can't be cut
