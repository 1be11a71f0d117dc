"""Work in threads of its own."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
import time

import polars as pl
import pytest

import pendosync as ps
from pendosync.beside import two_at_a_time


def test_two_calls_run_at_a_time_and_their_results_come_in_order() -> None:
    running: set[int] = set()
    most = 0

    def work(number: int, seconds: float) -> int:
        nonlocal most
        running.add(number)
        most = max(most, len(running))
        time.sleep(seconds)
        running.discard(number)
        return number * number

    numbers = range(6)
    made = two_at_a_time(work, numbers, [0.03 if number % 2 else 0.01 for number in numbers])
    assert list(made) == [0, 1, 4, 9, 16, 25]
    assert most == 2


def test_where_one_raises_the_other_is_over_before_that_is_heard() -> None:
    over = threading.Event()

    def work(number: int) -> None:
        if number == 0:
            raise OSError("full")
        time.sleep(0.05)
        over.set()

    with pytest.raises(OSError, match="full"):
        list(two_at_a_time(work, range(2)))
    assert over.is_set()


def test_without_a_thread_to_be_had_a_plan_is_saved_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    mapping = ps.Mapping("visitor", id="id", traits=["n"])
    values = ps.map_traits(pl.DataFrame({"id": ["ann", "bo"], "n": [1, 2]}), mapping)
    changes = ps.diff_values(values, before=values.clear(), mapping=mapping)
    plan = ps.plan_changes(changes, mapping=mapping, target=ps.Settings().target, create="unknown_ids")
    with monkeypatch.context() as patch:
        patch.setattr(_thread, "start_new_thread", refuse)
        plan.save(tmp_path / "plan")
        assert list(two_at_a_time(lambda number: number, range(4))) == [0, 1, 2, 3]
    assert ps.load_plan(tmp_path / "plan").digest == plan.digest


def test_two_lists_of_unlike_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        list(two_at_a_time(lambda one, other: None, range(2), range(1)))


LATE = """
import threading, time
import polars as pl
import pendosync as ps

def push() -> None:
    threading.main_thread().join()
    with ps.open_sandbox() as sandbox, ps.open_client(sandbox.settings) as client:
        table = pl.DataFrame({"id": ["u-0001", "u-0002"], "plan": ["late", "late"]})
        mapping = ps.Mapping("visitor", id="id", traits=["plan"])
        plan = ps.plan_table(table, mapping, client=client)
        print(ps.push(plan, client=client, journal=ps.open_journal("journal"), show=False).wait()["status"].to_list())

threading.Thread(target=push).start()
"""


def test_a_thread_may_push_once_the_main_thread_is_over(tmp_path) -> None:
    """Pools of threads take no work any more then."""
    done = subprocess.run(
        [sys.executable, "-c", LATE], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert done.stdout.strip() == "['updated', 'updated']", done.stderr
