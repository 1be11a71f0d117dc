"""A plan in parts is a plan like any other, and each of its parts stands for itself."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import pendosync as ps
from pendosync import undo as undoing
from pendosync.buckets import bucket_of
from pendosync.errors import PlanError
from pendosync.journal import read_plan
from pendosync.remaining import all_of
from pendosync.saved import seal_plan, write_part
from tests.test_push import IDS, QUICK, a_plan, statuses, writes

SIZES = (13, 0, 20, 7)
"""Rows of each part of the forty ids; one has none."""


def in_parts(plan: ps.Plan, folder: Path, sizes: tuple[int, ...] = SIZES) -> ps.Plan:
    """Return *plan* in parts of so many rows each, saved to *folder*."""
    folder.mkdir(parents=True)
    first, entries = 0, []
    for number, size in enumerate(sizes):
        problems = plan.problems.filter(pl.lit(number == 0))
        part = plan.having(plan.changes.slice(first, size), problems)
        entries.append(write_part(folder, number, part))
        first += size
    seal_plan(folder, plan, entries)
    return ps.load_plan(folder)


@pytest.fixture
def quick(sandbox):
    with ps.open_client(replace(sandbox.settings, api_pace=ps.Pace(None, 2)), retry=QUICK) as client:
        yield client


@pytest.fixture
def pair(quick, tmp_path) -> tuple[ps.Plan, ps.Plan]:
    """The same plan, in memory and in parts."""
    whole = a_plan(quick)
    return whole, in_parts(whole, tmp_path / "plan")


def test_it_says_of_itself_what_the_plan_in_memory_does(pair) -> None:
    whole, parted = pair
    assert len(parted.parts) == 4
    assert (len(parted), parted.n_sent, parted.fields) == (40, 40, whole.fields)
    assert parted.changes.equals(whole.changes)
    assert parted.values.equals(whole.values)
    mine, theirs = (dataclasses.asdict(plan.summary) for plan in (parted, whole))
    assert parted.n_requests == mine.pop("n_requests") == 5  # 13 in 2, 20 in 2, 7 in 1
    assert theirs.pop("n_requests") == 4
    lies = f"Lies in 4 parts in '{parted.parts.folder}'; each is read as it is needed."
    assert lies in mine["notes"]
    for name in ("notes", "expected_s"):
        mine.pop(name), theirs.pop(name)
    assert mine == theirs


def test_the_dry_run_cuts_no_request_over_two_parts(pair) -> None:
    whole, parted = pair
    shown = ps.dry_run(parted)
    assert shown["batch"].to_list() == [0, 1, 2, 3, 4]
    assert shown["ids"].list.len().to_list() == [10, 3, 10, 10, 7]
    assert shown["ids"].explode(empty_as_null=True).to_list() == IDS
    records = [record for body in shown["body"] for record in json.loads(body)]
    assert records == [record for body in ps.dry_run(whole)["body"] for record in json.loads(body)]


def test_what_travels_is_what_the_dry_run_shows(sandbox, quick, journal, pair) -> None:
    _, parted = pair
    sandbox.forget_requests()
    outcomes = ps.push(parted, client=quick, journal=journal).wait()
    assert statuses(outcomes) == {"updated": 40}
    assert outcomes["id"].to_list() == IDS
    assert outcomes["batch"].to_list() == [0] * 10 + [1] * 3 + [2] * 10 + [3] * 10 + [4] * 7
    sent = sorted(request["body"] for request in writes(sandbox))
    assert sent == sorted(ps.dry_run(parted)["body"])
    held = sandbox.values("visitor", "custom")
    assert all(held[id]["plan"] == f"new-{n}" for n, id in enumerate(IDS))


def test_the_journal_keeps_it_without_a_second_copy(quick, journal, pair) -> None:
    _, parted = pair
    run = ps.push(parted, client=quick, journal=journal)
    run.wait()
    kept = journal.folder_of(run.id) / "plan"
    assert os.path.samefile(kept / "part-0002.parquet", parted.parts.folder / "part-0002.parquet")
    shutil.rmtree(parted.parts.folder)
    assert ps.read_outcomes(journal, run.id)["id"].to_list() == IDS
    assert ps.read_runs(journal)["digest"].to_list() == [parted.digest]


def test_ids_are_selected_part_by_part_and_saved(quick, pair, tmp_path) -> None:
    whole, parted = pair
    for chosen in (
        parted.select(ps.after("seats") >= 130, but=[IDS[35]]),
        parted.select(ids=[IDS[3], IDS[20], IDS[39]]),
        parted.select(ps.after("seats") < 0),
    ):
        wanted = set(chosen.changes["id"])
        same = whole.select(ids=wanted)
        assert chosen.changes.equals(same.changes)
        assert chosen.parts.counts.fields == (same.parts.counts.fields if wanted else {"plan": 0, "seats": 0})
        saved = ps.load_plan(chosen.save(tmp_path / f"chosen-{len(wanted)}"))
        assert saved.digest == chosen.digest
        assert saved.changes.equals(chosen.changes)
    with pytest.raises(PlanError, match=r"1 id can't be selected.*'nobody'"):
        parted.select(ids=["nobody"])
    with pytest.raises(PlanError, match=r"can't be computed on this plan"):
        parted.select(pl.col("no such column") > 1)


def test_the_digest_is_of_all_parts_and_their_order(quick, tmp_path) -> None:
    whole = a_plan(quick)
    one = in_parts(whole, tmp_path / "one", (40,))
    again = in_parts(whole, tmp_path / "again", (40,))
    other = in_parts(whole, tmp_path / "other", (20, 20))
    assert one.digest == again.digest != other.digest
    assert one.shape.nonce == again.shape.nonce != other.shape.nonce
    assert dataclasses.replace(one, shape=whole.shape).digest == whole.digest


def test_a_canary_is_read_back_through_parts(sandbox, quick, journal, tmp_path) -> None:
    plan = a_plan(quick, canary=ps.Canary((2, 30)))
    parted = in_parts(plan, tmp_path / "plan")
    assert [(step.part, step.n_rows, step.is_watched) for step in parted.steps] == [
        (0, 2, True), (0, 11, True), (2, 17, True), (2, 3, False), (3, 7, False),
    ]  # fmt: skip
    assert "Travels in steps of 2, 28, 10 ids" in repr(parted)
    sandbox.forget_requests()
    run = ps.push(parted.lift(recheck=None), client=quick, journal=journal)
    assert statuses(run.wait()) == {"updated": 40}
    reads = [request for request in sandbox.requests() if request["path"].startswith("/api/v1/visitor/")]
    assert len(reads) == 30


def test_rows_to_be_skipped_stand_at_the_end_of_each_part(quick, journal, tmp_path) -> None:
    plan = a_plan(quick)
    skips = plan.having(
        plan.changes.with_columns(
            action=pl.when(pl.col("row").is_in([11, 12, 30, 39])).then(pl.lit("skip")).otherwise("action")
        )
    )
    parted = in_parts(skips, tmp_path / "plan", (13, 18, 9))
    assert parted.parts.sent == [(0, 11), (13, 17), (31, 8)]
    assert all_of(parted).unsent_rows(9).to_list() == [0, 4, 8, 14, 18, 22, 26, 31, 35]
    outcomes = ps.push(parted, client=quick, journal=journal).wait()
    assert statuses(outcomes) == {"updated": 36, "skipped": 4}
    assert outcomes.filter(status="skipped")["id"].to_list() == [IDS[row] for row in (11, 12, 30, 39)]


@pytest.mark.parametrize("how", ["missing", "cut", "altered"])
def test_a_part_that_is_lost_is_told_and_the_rest_goes_on(sandbox, quick, journal, pair, how: str) -> None:
    _, parted = pair
    file = parted.parts.folder / "part-0002.parquet"
    content = file.read_bytes()
    bad = {"missing": b"", "cut": content[:-10], "altered": content[:50] + b"\xff" + content[51:]}[how]
    file.unlink()
    if bad:
        file.write_bytes(bad)
    run = ps.push(parted, client=quick, journal=journal)
    with pytest.raises(
        ps.PushError, match=r"1 part of 4 can't be read, and 20 ids there stay pending"
    ) as caught:
        run.wait()
    assert ("is missing" if how == "missing" else "digest of part-0002.parquet differs") in str(caught.value)
    outcomes = caught.value.outcomes
    assert statuses(outcomes) == {"updated": 20, "pending": 20}
    assert outcomes.filter(status="updated")["id"].to_list() == IDS[:13] + IDS[33:]
    assert outcomes["id"].null_count() == 20
    kept = journal.folder_of(run.id) / "plan" / "part-0002.parquet"
    kept.unlink(missing_ok=True)
    kept.write_bytes(content)  # as a backup would bring it back
    outcomes = ps.resume_push(journal, run.id, client=quick).wait()
    assert statuses(outcomes) == {"updated": 40}
    assert outcomes["id"].to_list() == IDS


def test_a_manifest_that_was_altered_is_refused(pair) -> None:
    _, parted = pair
    manifest = parted.parts.folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"n_rows": 20', '"n_rows": 21'))
    with pytest.raises(PlanError, match=r"digest of manifest.json differs"):
        ps.load_plan(parted.parts.folder)


KILLED = """
import json, os, sys
import pendosync as ps
from pendosync import undo as undoing
from pendosync.pusher import Pusher
begin = Pusher._send_step
async def die_at_the_second(self, step):
    if step.part == 2:
        os.kill(os.getpid(), 9)
    await begin(self, step)
Pusher._send_step = die_at_the_second
settings = ps.Settings(**json.loads(sys.argv[3]), access="write")
with ps.open_client(settings) as client:
    ps.push(ps.load_plan(sys.argv[1]), client=client, journal=ps.open_journal(sys.argv[2]), show=False).wait()
"""


def test_a_run_of_parts_is_taken_over_after_a_kill(sandbox, quick, journal, pair) -> None:
    _, parted = pair
    key = sandbox.settings.secret("integration_key").reveal()
    told = json.dumps({"api_url": sandbox.url, "data_url": sandbox.url, "integration_key": key})
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(parted.parts.folder), str(journal.path), told],
        timeout=60, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run_id = ps.read_runs(journal)["run_id"].item()
    assert statuses(ps.read_outcomes(journal, run_id)) == {"updated": 13, "pending": 27}
    outcomes = ps.resume_push(journal, run_id, client=quick).wait()
    assert statuses(outcomes) == {"updated": 40}
    assert not outcomes["reason"].drop_nulls().len()


def test_outcomes_are_lazy_where_they_are_asked_for_so(quick, journal, pair, monkeypatch) -> None:
    _, parted = pair
    run = ps.push(parted, client=quick, journal=journal)
    told = run.wait(lazy=True)
    assert isinstance(told, pl.LazyFrame)
    read: list[int] = []
    of_parts = ps.parted.Parts.read

    def noted(self, number: int) -> pl.DataFrame:
        read.append(number)
        return of_parts(self, number)

    monkeypatch.setattr(ps.parted.Parts, "read", noted)
    assert told.filter(pl.col("id").is_in(IDS[12:15])).select("status", "id").collect().rows() == [
        ("updated", id_) for id_ in IDS[12:15]
    ]
    assert read == [0, 1, 2, 3]
    assert told.head(3).collect()["id"].to_list() == IDS[:3]
    assert ps.read_outcomes(journal, run.id, lazy=True).collect().equals(ps.read_outcomes(journal, run.id))


def test_two_runs_of_one_plan_are_told_of_each_other(sandbox, quick, pair, tmp_path) -> None:
    """Whether it is in parts or not, and whichever journals they have."""
    whole, parted = pair
    for at, plan in enumerate((parted, ps.load_plan(whole.save(tmp_path / "whole")))):
        mine, theirs = (ps.open_journal(tmp_path / f"{name}-{at}") for name in ("mine", "theirs"))
        sandbox.misbehave("latency", method="POST", seconds=0.5, times=None)
        run = ps.push(plan, client=quick, journal=mine, show=False)
        again = ps.load_plan(plan.parts.folder)
        with pytest.raises(
            ps.HeldError, match=rf"Run {run.id} pushes this plan already: process \d+ on"
        ) as told:
            ps.push(again, client=quick, journal=theirs, show=False)
        assert f"attach_run(open_journal('{mine.path}'), '{run.id}')" in str(told.value)
        assert ps.read_runs(theirs).is_empty()
        other = again.select(ids=IDS[:3])  # another plan, which may go at the same time
        assert statuses(ps.push(other, client=quick, journal=theirs, show=False).wait()) == {"updated": 3}
        run.wait()
        sandbox.behave()
        assert list((plan.parts.folder / "runs").glob("*.json")) == []
        assert statuses(ps.push(again, client=quick, journal=theirs, show=False).wait()) == {"updated": 40}


def test_a_run_whose_journal_is_out_of_reach_is_believed_by_the_age_of_its_mark(
    quick, journal, pair, tmp_path
) -> None:
    _, parted = pair
    ps.push(parted.select(ids=IDS[:1]), client=quick, journal=journal, show=False).wait()
    bare = dataclasses.replace(parted, gates=ps.Gates())  # whichever gates are lifted, it is the same plan
    digest, marks = bare.digest[:16], parted.parts.folder / "runs"
    told = {"run": "/elsewhere/2026-11-26-abcdef", "host": "other", "pid": 7, "since": 1}
    mark = marks / f"{digest}-2026-11-26-abcdef.json"
    mark.write_text(json.dumps(told))
    for plan in (parted, parted.lift(max_ids=1_000)):
        with pytest.raises(ps.HeldError, match=r"process 7 on 'other'"):
            ps.push(plan, client=quick, journal=journal, show=False)
    assert ps.read_runs(journal).height == 1
    os.utime(mark, (1, 1))
    assert statuses(ps.push(parted, client=quick, journal=journal, show=False).wait()) == {"updated": 40}


def cut_in_parts(plan: ps.Plan, folder: Path, n: int = 3) -> ps.Plan:
    """Return *plan* in parts that are cut by its ids."""
    folder.mkdir(parents=True)
    numbers = bucket_of(plan.changes["id"], n)
    parts = [plan.having(plan.changes.filter(numbers == number)) for number in range(n)]
    entries = [write_part(folder, number, part) for number, part in enumerate(parts) if len(part)]
    seal_plan(folder, plan, entries, cut=n)
    return ps.load_plan(folder)


@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("cut", [True, False])
def test_a_run_of_parts_is_undone_part_by_part(
    sandbox, quick, journal, tmp_path, reads, cut, monkeypatch
) -> None:
    before = sandbox.values("visitor", "custom")
    plan = a_plan(quick)
    parted = (cut_in_parts if cut else in_parts)(plan, tmp_path / "plan")
    run = ps.push(parted, client=quick, journal=journal)
    run.wait()
    later = ps.push(a_plan(quick, IDS[:5], create="unknown_ids").having(
        plan.select(ids=IDS[:5]).changes.with_columns(
            before=pl.col("after"), after=pl.struct(plan=pl.lit("later"), seats=pl.lit(1, dtype=pl.Int64))
        )
    ).lift(recheck=None), client=quick, journal=journal)  # fmt: skip
    later.wait()
    client = quick if reads else None
    whole = plan_undo_in_memory(journal, run.id, client, monkeypatch)
    undo = ps.plan_undo(journal, run.id, client=client, folder=tmp_path / "undo")
    assert len(undo.parts) == len(parted.parts)
    assert undo.parts.cut == parted.parts.cut
    assert undo.changes.sort("row").equals(whole.changes.sort("row"))
    assert undo.problems.sort("row", "rule", "field").equals(whole.problems.sort("row", "rule", "field"))
    assert (undo.undoes, undo.n_compared, undo.summary.held) == (run.id, whole.n_compared, whole.summary.held)
    ps.push(undo, client=quick, journal=journal).wait()
    held = sandbox.values("visitor", "custom")
    plain = set(IDS[5:]) - set(undo.problems["id"])
    assert len(plain) > 25
    assert {id_: held[id_] for id_ in plain} == {id_: before[id_] for id_ in plain}
    assert {held[id_]["plan"] for id_ in IDS[:5]} == {"later"}


def plan_undo_in_memory(journal, run_id, client, monkeypatch) -> ps.Plan:
    """Return the undo as it is where the run's plan is in memory."""
    with monkeypatch.context() as patch:

        def read_whole(journal, run_id):
            plan = read_plan(journal, run_id)
            return plan if plan.parts.is_whole else plan.having(plan.changes)

        patch.setattr(undoing, "read_plan", read_whole)
        return ps.plan_undo(journal, run_id, client=client)


@pytest.mark.parametrize("cut", [True, False])
def test_a_plan_in_parts_is_refreshed_and_a_run_of_it_verified(
    sandbox, quick, journal, tmp_path, cut
) -> None:
    whole = a_plan(quick)
    parted = (cut_in_parts if cut else in_parts)(whole, tmp_path / "plan")
    ps.push(whole.select(ids=IDS[10:15]), client=quick, journal=journal).wait()
    fresh = ps.refresh_plan(parted, client=quick, folder=tmp_path / "fresh")
    same = ps.refresh_plan(whole, client=quick)
    assert fresh.changes.sort("row").equals(same.changes.sort("row"))
    assert fresh.problems.sort("row", "field").equals(same.problems.sort("row", "field"))
    run = ps.push(parted, client=quick, journal=journal)
    run.wait()
    told = ps.verify_run(journal, run.id, client=quick)
    assert Counter(told["seen"]) == {"as_pushed": 40}
    assert set(told["id"]) == set(IDS)


def test_rejected_ids_of_parts_are_planned_again(sandbox, quick, journal, pair) -> None:
    _, parted = pair
    sandbox.misbehave("fail_records", ids=[IDS[2], IDS[30]], times=None)
    run = ps.push(parted, client=quick, journal=journal)
    assert statuses(run.wait()) == {"updated": 38, "failed": 2}
    sandbox.behave()
    again = ps.plan_rejected(journal, run.id)
    assert again.changes["id"].to_list() == [IDS[2], IDS[30]]
    mapping = again.mapping
    snapshot = ps.read_snapshot(journal, mapping, target=quick.target)
    assert snapshot.height == 38
