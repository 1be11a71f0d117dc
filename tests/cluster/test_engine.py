"""An engine of real processes: what is done where, what a death costs, and what is told when it is gone."""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest
from clusters import Cluster, until
from tasks import Slowly, add_one, die, make_partition, of_version, raise_it, say_where

import pendosync as ps
from pendosync.engines import ensure_engine
from pendosync.errors import EngineError, PendosyncError, PlanError, ProblemsError, PushError
from pendosync.tables import dasks
from pendosync.workers import DaskEngine, _Task


def test_each_item_is_done_once(engine: DaskEngine) -> None:
    assert sorted(engine.map(add_one, range(500))) == list(range(1, 501))
    assert list(engine.map(add_one, [])) == []
    assert engine.n_workers == 2


def test_a_function_of_a_notebook_may_use_us(engine: DaskEngine) -> None:
    assert set(engine.map(lambda number: ps.EngineError.__name__ + str(number), [1, 2])) == {
        "EngineError1",
        "EngineError2",
    }


def test_local_workers_share_the_cores_and_know_no_key(engine: DaskEngine) -> None:
    told = list(engine.map(say_where, range(20)))
    assert os.getpid() not in {pid for pid, _, _ in told}
    assert {n_threads for _, n_threads, _ in told} == {max(1, (os.cpu_count() or 1) // 2)}
    assert {name for _, _, known in told for name in known} == set()


@pytest.mark.parametrize(
    "error",
    [
        PlanError("It holds something already."),
        ProblemsError("3 rows are wrong.", problems=["one"]),
        PushError("It stopped.", run_id="r1", outcomes=["two"]),
        KeyError("a"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_a_task_raises_comes_back_as_it_was(engine: DaskEngine, error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        list(engine.map(raise_it, [pickle.dumps(error)]))
    assert (str(raised.value), vars(raised.value)) == (str(error), vars(error))
    assert list(engine.map(add_one, [1])) == [2]


def test_a_worker_that_is_killed_costs_its_item_a_second_try_and_nothing_else(tmp_path: Path) -> None:
    slowly = Slowly(tmp_path, 0.5)
    with ps.open_engine(workers=2) as engine:
        killed: list[int] = []

        def kill() -> None:
            until(lambda: bool(slowly.tries(0)))
            killed.append(slowly.tries(0)[0])
            os.kill(killed[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        done = list(engine.map(slowly, range(6)))
        killer.join()
    assert sorted(done) == list(range(6))
    tries = {item: slowly.tries(item) for item in range(6)}
    assert {item: len(pids) for item, pids in tries.items()} == {0: 2, 1: 1, 2: 1, 3: 1, 4: 1, 5: 1}
    assert killed[0] not in tries[0][1:]


def test_an_item_that_kills_each_worker_is_given_up() -> None:
    with ps.open_engine(workers=2) as engine:
        with pytest.raises(
            EngineError, match=r"gave a part up after 0 of 1 part: .* Hint: .*memory"
        ) as raised:
            list(engine.map(die, [1]))
    assert (raised.value.n_done, raised.value.n_items) == (0, 1)


def test_an_interrupt_calls_back_what_has_not_begun(tmp_path: Path, engine: DaskEngine) -> None:
    slowly = Slowly(tmp_path, 0.3)
    threading.Timer(0.8, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        list(engine.map(slowly, range(60)))
    assert list(engine.map(add_one, [1])) == [2]  # would wait for the sixty, were they still ahead of it
    assert 0 < slowly.n_begun() < 30


def test_who_stops_early_calls_back_the_rest(tmp_path: Path, engine: DaskEngine) -> None:
    slowly = Slowly(tmp_path, 0.2)
    results = engine.map(slowly, range(60))
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert list(engine.map(add_one, [1])) == [2]
    assert 0 < slowly.n_begun() < 30


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_a_scheduler_that_is_gone_is_told_with_what_was_done(
    tmp_path: Path, cluster: Cluster, how: signal.Signals
) -> None:
    cluster.start_worker()
    slowly = Slowly(tmp_path, 0.2)
    with ps.open_engine(cluster.address, patience_s=3) as engine:
        until(lambda: engine.n_workers == 1)
        results = engine.map(slowly, range(30))
        done = [next(results), next(results)]
        cluster.scheduler.send_signal(how)
        with pytest.raises(
            EngineError, match=r"went away after \d+ of 30 parts: .* Hint: .*same call goes on"
        ) as raised:
            done.extend(results)
        assert (raised.value.n_done, raised.value.n_items) == (len(done), 30)


def test_a_cluster_without_a_worker_is_waited_for_and_then_told(tmp_path: Path, cluster: Cluster) -> None:
    worker = cluster.start_worker()
    slowly = Slowly(tmp_path, 0.2)
    with ps.open_engine(cluster.address, patience_s=3) as engine:
        until(lambda: engine.n_workers == 1)
        results = engine.map(slowly, range(30))
        done = [next(results)]
        worker.kill()
        began = time.monotonic()
        with pytest.raises(EngineError, match=r"of 30 parts: no worker for 3 s. Expected") as raised:
            done.extend(results)
        assert time.monotonic() - began > 3
        assert (raised.value.n_done, raised.value.n_items) == (len(done), 30)
        with pytest.raises(EngineError, match=r"has had no worker for 3 s. Expected"):
            engine.ensure_reach(tmp_path)


def test_what_was_there_before_stays_open(standing: Cluster) -> None:
    from distributed import Client

    with Client(standing.address, set_as_default=False) as client:
        with ensure_engine(client) as engine:  # type: ignore[attr-defined]
            assert list(engine.map(add_one, [1])) == [2]
        assert client.status == "running"
    with ps.open_engine(standing.address) as again:
        assert list(again.map(add_one, [1])) == [2]


def test_a_filter_on_a_dask_frame_is_carried_out_on_the_cluster(
    standing: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    pd, frames = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    from distributed import Client

    meta = pd.DataFrame({"id": pd.Series([], dtype="int64"), "pid": pd.Series([], dtype="int64")})
    frame = frames.from_map(make_partition, range(4), meta=meta)
    handed_over = dasks._handed_over

    def only_types(rows: object) -> pl.DataFrame:
        assert len(rows) == 0  # type: ignore[arg-type]
        return handed_over(rows)

    monkeypatch.setattr(dasks, "_handed_over", only_types)
    with Client(standing.address, set_as_default=True):
        chosen = ps.load_table(frame).filter(pl.col("id") > 1).select("id").collect()
        assert chosen["id"].to_list() == [2, 3]
        with pytest.raises(ps.TableError, match="Partition 0"):  # unfiltered, the rows come here
            ps.tables.collect_table(ps.load_table(frame))


def test_the_partitions_of_a_dask_frame_are_computed_on_the_cluster(standing: Cluster) -> None:
    pd, frames = pytest.importorskip("pandas"), pytest.importorskip("dask.dataframe")
    from distributed import Client

    meta = pd.DataFrame({"id": pd.Series([], dtype="int64"), "pid": pd.Series([], dtype="int64")})
    with Client(standing.address):
        frame = frames.from_map(make_partition, range(3), meta=meta)
        table = ps.load_table(frame[frame.id > 0]).collect()  # type: ignore[union-attr]
    assert table["id"].to_list() == [1, 2]
    assert os.getpid() not in table["pid"].to_list()


def test_where_no_scheduler_is_that_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(EngineError, match=r"No scheduler answers at .* Expected .* Hint: open_engine"):
            ps.open_engine(address, patience_s=1)


def test_a_worker_of_another_version_is_told_before_any_work(tmp_path: Path, cluster: Cluster) -> None:
    of_version(tmp_path / "other", "polars", "0.0.1")
    cluster.start_worker()
    cluster.start_worker(tmp_path / "other")
    slowly = Slowly(tmp_path, 0)
    with ps.open_engine(cluster.address) as engine:
        until(lambda: engine.n_workers == 2)
        for use in (lambda: engine.ensure_reach(tmp_path), lambda: list(engine.map(slowly, [1]))):
            with pytest.raises(
                EngineError, match=r"has 1 worker with polars 0.0.1: .* Expected .* Hint: pip"
            ):
                use()
    assert slowly.tries(1) == []


@pytest.mark.parametrize("package", ["pendosync", "polars"])
def test_a_worker_that_joins_late_with_another_version_does_nothing(package: str) -> None:
    with pytest.raises(EngineError, match=rf"a worker that joined late'. Expected {package} 0.1"):
        _Task(add_one, {package: "0.1"})(1)


def test_workers_that_reach_the_folder_are_let_pass(tmp_path: Path, engine: DaskEngine) -> None:
    engine.ensure_reach(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="a path that means another folder in each process")
def test_a_worker_that_does_not_reach_the_folder_is_told_before_any_work(
    tmp_path: Path, engine: DaskEngine
) -> None:
    opened = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(
            EngineError, match=r"can't be read and written by 2 workers .* Expected .* Hint: .*shared"
        ):
            engine.ensure_reach(Path(f"/proc/self/fd/{opened}"))
    finally:
        os.close(opened)
    assert list(tmp_path.iterdir()) == []


def test_no_client_and_no_settings_travel(engine: DaskEngine, client: ps.Client) -> None:
    for secret in (client, ps.Settings(app_key="k" * 20)):
        with pytest.raises((TypeError, PendosyncError)):
            list(engine.map(str, [secret]))


@pytest.mark.parametrize("where", [3, Path("x"), ["tcp://a"]])
def test_what_is_no_cluster_is_told(where: object) -> None:
    with pytest.raises(EngineError, match=r"open_engine can't open a .* Expected .* Hint: open_engine"):
        ps.open_engine(where)


@pytest.mark.parametrize("workers", [0, -1, True, 1.5])
def test_no_workers_are_no_engine(workers: int) -> None:
    with pytest.raises(EngineError, match=r"workers is .* Expected .* Hint: open_engine"):
        ps.open_engine(workers=workers)
