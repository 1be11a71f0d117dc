"""A table planned by a cluster's workers, and pushed by whoever is left."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from tasks import Noted

import pendosync as ps
from pendosync import streaming
from pendosync.engines import Here
from pendosync.errors import EngineError
from pendosync.workers import DaskEngine
from tests.faults.workers import Worker

AT = datetime(2026, 11, 26, 9, tzinfo=UTC)
MAPPING = ps.Mapping("visitor", "user_id", ["plan", "seats", "score"])
GATES = ps.Gates(max_ids=None, max_changed_share=None, max_cleared=None)
PER_PART = 50_000
N_PUSHED = 200_000


def a_lake(folder: Path, n: int, *, files: int = 4) -> pl.LazyFrame:
    """Write *n* users to a few files, and return them as a lazy table."""
    folder.mkdir()
    at = pl.int_range(n)
    users = pl.select(
        user_id=pl.format("u-{}", at.cast(pl.String).str.zfill(4)),
        plan=pl.Series(["free", "team", None, "業務"]).gather(at % 4),
        seats=at * 7_919 % 500,
        score=(at * 104_729 % 10_000) / 7,
        region=pl.format("r{}", at % 5),
    )
    for number, rows in enumerate(users.iter_slices(-(-n // files))):
        rows.write_parquet(folder / f"{number}.parquet")
    return ps.load_table(folder).lazy()


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PART_ROWS", PER_PART)


def planned(table: pl.LazyFrame, client: ps.Client, folder: Path, engine: object = None) -> ps.Plan:
    return ps.plan_table(
        table, MAPPING, client=client, keep=["region"], create="unknown_ids", planned_at=AT, gates=GATES,
        folder=folder, engine=engine,
    )  # fmt: skip


class Noting:
    """An engine whose tasks are noted down; one of them ends its worker while it plans."""

    def __init__(self, engine: DaskEngine | Here, notes: Path, *, dies_of: int | None = None) -> None:
        notes.mkdir()
        self._engine, self.notes, self._dies_of = engine, notes, dies_of

    def ensure_reach(self, folder: Path) -> None:
        self._engine.ensure_reach(folder)

    @property
    def n_workers(self) -> int:
        return self._engine.n_workers

    def map(self, do, items):
        return self._engine.map(Noted(self.notes, do, self._dies_of), items)

    def tries(self, kind: str) -> dict[str, int]:
        """How often each task of a kind was begun."""
        return {
            file.stem: len(file.read_text().split()) for file in sorted(self.notes.glob(f"{kind}-*.tries"))
        }


def test_workers_make_the_plan_that_one_process_makes(engine, client, tmp_path) -> None:
    table = a_lake(tmp_path / "lake", 220_000)
    alone = planned(table, client, tmp_path / "alone")
    noting = Noting(engine, tmp_path / "notes")
    theirs = planned(table, client, tmp_path / "theirs", noting)
    assert theirs.digest == alone.digest
    assert theirs.changes.equals(alone.changes)
    assert theirs.problems.equals(alone.problems)
    assert len(theirs) == 220_000
    assert len(theirs.parts) == 5
    assert noting.tries("PartOf") == {f"PartOf-{number}": 1 for number in range(5)}


def test_a_worker_that_is_killed_costs_its_part_a_second_try(client, tmp_path) -> None:
    table = a_lake(tmp_path / "lake", 220_000)
    alone = planned(table, client, tmp_path / "alone")
    with ps.open_engine(workers=2) as engine:
        noting = Noting(engine, tmp_path / "notes", dies_of=3)
        theirs = planned(table, client, tmp_path / "theirs", noting)
    tries = noting.tries("PartOf")
    assert tries.pop("PartOf-3") == 2
    assert set(tries.values()) <= {1, 2}  # what its worker had finished, and not handed over yet
    assert list(tries.values()).count(2) <= 1
    assert theirs.digest == alone.digest


def test_an_engine_that_goes_away_leaves_a_plan_to_go_on_with(cluster, client, tmp_path) -> None:
    table = a_lake(tmp_path / "lake", 220_000)
    alone = planned(table, client, tmp_path / "alone")
    cluster.start_worker()
    with ps.open_engine(cluster.address, patience_s=6.0) as engine:
        noting = Noting(engine, tmp_path / "notes", dies_of=3)  # the only worker, and nobody starts another
        with pytest.raises(EngineError, match=r"(?s)\d of 5.*the same call.*goes on") as raised:
            planned(table, client, tmp_path / "theirs", noting)
    assert str(tmp_path / "theirs") in str(raised.value)
    done = set(noting.tries("PartOf")) - {"PartOf-3"}
    again = Noting(Here(), tmp_path / "again")
    theirs = planned(table, client, tmp_path / "theirs", again)
    assert theirs.digest == alone.digest
    assert not done & set(again.tries("PartOf"))
    assert again.tries("Slice") == {}  # what was set aside is not read again
    assert not (tmp_path / "theirs.work").exists()


def test_a_push_is_taken_over_by_another_process(sandbox, tmp_path) -> None:
    """200,000 rows in four parts; the pusher is killed in the midst, and all ends as undisturbed."""
    table = a_lake(tmp_path / "lake", N_PUSHED)
    quick = ps.Settings(
        api_url=sandbox.url, data_url=sandbox.url, access="write", api_pace=ps.Pace(None, 4),
        integration_key=sandbox.settings.secret("integration_key").reveal(),
    )  # fmt: skip
    with ps.open_client(quick) as client:
        plan = planned(table, client, tmp_path / "plan")
        assert len(plan.parts) == 4
        undisturbed = ps.push(plan, client=client, journal=ps.open_journal(tmp_path / "calm"), show=False)
        assert outcomes_of(undisturbed.wait(lazy=True)) == Counter(created=N_PUSHED - 200, updated=200)
        expected = sandbox.digest("visitor", "custom")
        sandbox.reset()
        journal = ps.open_journal(tmp_path / "journal")
        with Worker(sandbox, max_at_once=4) as first, Worker(sandbox, max_at_once=4) as second:
            run_id = first.ask(journal, "push", plan=str(plan.parts.folder))["run_id"]
            second.ensure_ready()
            while sum(ps.journal.read_state(journal, run_id).counts.values()) < 60_000:
                time.sleep(0.02)
            os.kill(first.pid, signal.SIGKILL)
            second.ask(journal, "resume", run_id=run_id)
            assert second.ask(journal, "wait")["state"] == "done"
    told = ps.read_outcomes(journal, run_id)
    assert outcomes_of(told.lazy()) == Counter(created=N_PUSHED - 200, updated=200)
    assert told["id"].n_unique() == told.height == N_PUSHED
    assert sandbox.digest("visitor", "custom") == expected
    sent = Counter(sandbox.writes("visitor"))
    twice = [id_ for id_, n in sent.items() if n > 1]
    assert len(sent) == N_PUSHED
    assert len(twice) <= 4 * plan.shape.batch_size  # at most what was in flight


def outcomes_of(told: pl.LazyFrame) -> Counter[str]:
    return Counter(dict(told.group_by("status").len().collect().iter_rows()))
