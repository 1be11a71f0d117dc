"""The benchmark of faults runs, holds, and says so; how much it finds is told by its own full run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.kills import ROOT
from benchmarks.lines import Line

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no signals like these.")


def test_a_tiny_run_of_the_benchmark_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "benchmarks.faults", "--trials", "1", "--rows", "400"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = json.loads((tmp_path / "build/bench/faults.json").read_text(encoding="utf-8"))
    assert {tuple(line) for line in lines} == {tuple(Line.__annotations__)}
    assert [line for line in lines if not line["holds"]] == []
    faults = {
        line["question"].partition(": ids lost")[0] for line in lines if ": ids lost" in line["question"]
    }
    assert len(faults) >= 40
    assert {"kill -9 at any instant", "5 % of all writes fail, 100 rows"} <= faults
