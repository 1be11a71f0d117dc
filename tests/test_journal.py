"""The journal: runs, outcomes and snapshots, readable while and after."""

from __future__ import annotations

import stat
from pathlib import Path

import polars as pl
import pytest

import pendosync as ps
from pendosync import plans
from pendosync.frames import OUTCOMES, VALUES
from pendosync.journal import RUNS
from tests.test_push import IDS, a_plan, a_table
from tests.test_undo import pushed


def test_an_empty_journal_has_no_runs(journal) -> None:
    assert ps.read_runs(journal).schema == RUNS
    assert repr(journal).startswith("Journal(0 runs in ")
    assert not journal.path.exists()


def test_a_large_plan_is_pushed_without_waiting_for_its_digest(client, journal, monkeypatch) -> None:
    monkeypatch.setattr(plans, "_FEW", 0)
    plan = a_plan(client, IDS[:3])
    ps.push(plan, client=client, journal=journal, show=False).wait()
    (run,) = ps.read_runs(journal).rows(named=True)
    assert run["digest"] is None
    assert ps.read_plan(journal, run["run_id"]).digest == plan.digest
    ps.push(a_plan(client, IDS[3:6]), client=client, journal=journal, show=False).wait()
    known = a_plan(client, IDS[6:9])
    approved = known.digest  # somebody looked at it before
    ps.push(known, client=client, journal=journal, show=False).wait()
    assert ps.read_runs(journal)["digest"].to_list() == [None, None, approved]


def test_a_run_is_listed_with_its_plan(sandbox, client, journal) -> None:
    plan = a_plan(client)
    run = pushed(plan, client, journal)
    (line,) = ps.read_runs(journal).to_dicts()
    assert (line["run_id"], line["state"], line["n_ids"], line["n_batches"], line["digest"]) == (
        run.id,
        "done",
        40,
        4,
        plan.digest,
    )
    assert line["started_at"] <= line["ended_at"]
    assert ps.read_plan(journal, run.id).digest == plan.digest
    assert ps.read_outcomes(journal, run.id).equals(run.outcomes)
    assert run.outcomes.schema == OUTCOMES


def test_folders_are_private_and_ignored_by_git(sandbox, client, journal) -> None:
    run = pushed(a_plan(client), client, journal)
    for folder in (journal.path, journal.path / run.id, journal.path / run.id / "plan"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (journal.path / ".gitignore").read_text() == "*\n"


def test_no_secret_stands_in_the_journal(sandbox, client, journal) -> None:
    pushed(a_plan(client, IDS[:2]), client, journal)
    pushed(a_plan(client, IDS[:2], route="webhook"), client, journal)
    secrets = [
        sandbox.settings.secret(name).reveal().encode()
        for name in ("integration_key", "app_key", "track_secret")
    ]
    files = [file for file in journal.path.rglob("*") if file.is_file()]
    assert len(files) > 6
    assert not [file for file in files for secret in secrets if secret in file.read_bytes()]


def test_the_snapshot_is_what_was_last_pushed(sandbox, client, journal) -> None:
    mapping = ps.Mapping("visitor", "user_id", ["plan", "seats"])
    pushed(a_plan(client, IDS[:3]), client, journal)
    second = a_table(IDS[1:2]).with_columns(plan=pl.lit("later"), seats=pl.lit(7, dtype=pl.Int64))
    pushed(ps.plan_table(second, mapping, client=client), client, journal)
    snapshot = ps.read_snapshot(journal, mapping, target=client.target)
    assert dict(zip(snapshot.columns[:3], snapshot.dtypes[:3], strict=True)) == dict(VALUES)
    assert snapshot.select("id", "plan", "seats").rows() == [
        ("u-0001", "new-0", 100), ("u-0002", "later", 7), ("u-0003", "new-2", 102),
    ]  # fmt: skip
    plan = ps.plan_table(a_table(IDS[:4]), mapping, client=client, before=snapshot)
    assert plan.changes.select("id", "action").rows() == [("u-0002", "update"), ("u-0004", "update")]


def test_the_snapshot_leaves_out_what_was_not_written(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:3])
    sandbox.misbehave("body", method="POST", text='{"total":3,"updated":2,"failed":1,"missing":["u-0002"]}')
    pushed(plan, client, journal)
    mapping = ps.Mapping("visitor", "user_id", ["plan", "seats"])
    assert ps.read_snapshot(journal, mapping, target=client.target)["id"].to_list() == ["u-0001", "u-0003"]
    other = ps.Mapping("account", "id", ["plan"])
    assert ps.read_snapshot(journal, other, target=client.target).is_empty()


def test_the_journal_lies_beside_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "deep" / "notebooks").mkdir(parents=True)
    (tmp_path / ".env").write_text("")
    monkeypatch.chdir(tmp_path / "deep" / "notebooks")
    assert ps.open_journal().path == tmp_path / ".pendosync" / "journal"
    assert ps.open_journal("mine").path == tmp_path / "deep" / "notebooks" / "mine"


def test_a_file_is_no_journal(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(ps.JournalError, match="is a file"):
        ps.open_journal(tmp_path / "x")


def test_damaged_runs_are_told(sandbox, client, journal) -> None:
    run = pushed(a_plan(client), client, journal)
    (journal.path / run.id / "plan" / "part-0000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ps.PlanError, match="altered"):
        ps.read_outcomes(journal, run.id)
    (journal.path / run.id / "run.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(ps.JournalError, match="Hint:"):
        ps.read_runs(journal)


def test_the_snapshot_leaves_out_what_may_have_been_written_since(sandbox, client, journal) -> None:
    mapping = ps.Mapping("visitor", "user_id", ["plan", "seats"])
    pushed(a_plan(client, IDS[:2]), client, journal)
    second = ps.plan_table(a_table(IDS[:2]).with_columns(plan=pl.lit("v2")), mapping, client=client)
    sandbox.misbehave("body", method="POST", text="<html>", times=None)
    with pytest.raises(ps.PushError):
        pushed(second, client, journal)
    snapshot = ps.read_snapshot(journal, mapping, target=client.target)
    assert snapshot["plan"].to_list() == [None, None]
    assert snapshot["seats"].to_list() == [100, 101]


def test_a_run_that_was_killed_at_birth_does_not_lock_the_journal(sandbox, client, journal) -> None:
    run = pushed(a_plan(client), client, journal)
    (journal.path / "2026-01-01-dead00").mkdir()
    (journal.path / "2026-01-01-dead00" / "run.new").write_bytes(b"")
    assert ps.read_runs(journal)["run_id"].to_list() == [run.id]
    with pytest.raises(ps.JournalError, match="holds no run"):
        ps.read_outcomes(journal, "2026-01-01-dead00")


def test_a_journal_may_lie_in_any_folder(sandbox, client, tmp_path: Path) -> None:
    journal = ps.open_journal(tmp_path / "q[old] *ü" / "journal")
    run = pushed(a_plan(client), client, journal)
    assert len(ps.plan_undo(journal, run.id)) > 0


def test_writes_that_are_gone_are_told(sandbox, client, journal) -> None:
    run = pushed(a_plan(client), client, journal)
    count = journal.path / run.id / "run.count"
    count.write_bytes((int.from_bytes(count.read_bytes(), "big") + 1).to_bytes(8, "big"))
    told = rf"written last is gone: 1 write.*read_plan\(journal, '{run.id}'\).*refresh_plan"
    with pytest.raises(ps.JournalError, match=told):
        ps.read_outcomes(journal, run.id)
    with pytest.raises(ps.JournalError, match=told):
        ps.resume_push(journal, run.id, client=client)
    assert ps.read_plan(journal, run.id).digest == run.plan.digest
    count.unlink()  # without it nobody knows better
    assert ps.read_outcomes(journal, run.id).height == 40


def test_a_file_that_was_emptied_is_damaged_and_not_merely_unreadable(sandbox, client, journal) -> None:
    run = pushed(a_plan(client), client, journal)
    (journal.path / run.id / "run.sqlite").write_bytes(b"")
    with pytest.raises(ps.JournalError, match=r"damaged \(no such table: run\).*read_plan"):
        ps.read_outcomes(journal, run.id)


def test_a_run_whose_plan_is_damaged_says_what_to_plan_again(sandbox, client, journal) -> None:
    run = pushed(a_plan(client), client, journal)
    (journal.path / run.id / "plan" / "manifest.json").unlink()
    with pytest.raises(ps.PlanError, match=rf"run {run.id} .*manifest.json is missing.*plan_table"):
        ps.resume_push(journal, run.id, client=client)
