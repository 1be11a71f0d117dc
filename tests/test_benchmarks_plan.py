"""The benchmarks of planning run, and their lines say what they should; how fast it is, they tell themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

import pendosync as ps
from benchmarks import memory, plan
from benchmarks.tables import change_some, make_users


def test_a_small_run_tells_each_step_and_each_ratio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = plan.measure(2_000, rounds=1, peers=tmp_path / "python")
    assert "DuckDB and datacompy are left out" in capsys.readouterr().out
    told = {line["question"]: line["measured"] for line in lines}
    assert {"load and map", "check", "diff", "plan", "digest", plan.PLAN} < told.keys()
    assert [line["target"] for line in lines if line["question"].startswith(f"{plan.PLAN}, ×")] == [3, 3]
    assert min(told.values()) > 0


def test_what_others_find_is_what_is_planned(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    from benchmarks.peers import plan_peers

    users, held = tmp_path / "users.parquet", tmp_path / "held.parquet"
    table = make_users(100)
    table.write_parquet(users)
    ps.map_traits(change_some(table, every=3), plan.MAPPING).write_parquet(held)
    found = plan_peers.by_duckdb(str(users), str(held), 2, keeps=True)()
    values = ps.map_traits(table, plan.MAPPING)
    before = ps.map_traits(change_some(table, every=3), plan.MAPPING)
    assert found == ps.diff_values(values, before=before, mapping=plan.MAPPING).height == 34


def test_a_small_run_tells_peaks_growth_and_the_journals_share() -> None:
    lines = memory.measure([300, 600], rounds=1)
    told = {line["question"]: line["measured"] for line in lines}
    assert told["peak memory, 300 rows"] > 20
    assert {"exponent of the time's growth with the rows", "of that, writing the plan down"} < told.keys()
    assert told["a push with nothing written down, 600 rows"] > 0


@pytest.mark.parametrize("power", [1, 2])
def test_the_exponent_is_the_power_of_the_growth(power: int) -> None:
    runs = [{"rows": rows, "seconds": {"map": rows**power, "push": rows**power}} for rows in (10, 200, 3_000)]
    assert memory.exponent(runs) == pytest.approx(power)
