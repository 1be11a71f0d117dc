"""Every notebook is committed without outputs and runs from top to bottom."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import watchman

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(ROOT.glob("notebooks/*.ipynb"))
RUN = ROOT / "notebooks" / "run.py"


def run(notebook: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(RUN), str(notebook), *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)


def assert_holds_no_key(text: str) -> None:
    """Look at what a process said; the files that it left are looked at after each test."""
    assert not watchman.pattern_of().search(text.encode())


def notebook_of(folder: Path, *sources: str, tags: tuple[str, ...] = ()) -> Path:
    cells = [
        {"cell_type": "code", "id": f"cell-{n}", "metadata": {"tags": list(tags)}, "source": source,
         "execution_count": None, "outputs": []}
        for n, source in enumerate(sources)
    ]  # fmt: skip
    path = folder / "made.ipynb"
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_committed_without_outputs(notebook: Path) -> None:
    content = json.loads(notebook.read_text(encoding="utf-8"))
    code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
    assert [cell["outputs"] for cell in code if cell["outputs"]] == []
    assert [cell["execution_count"] for cell in code if cell["execution_count"]] == []
    assert "widgets" not in content["metadata"]
    assert content["metadata"]["kernelspec"]["name"] == "python3"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(notebook: Path, tmp_path: Path) -> None:
    before = notebook.read_bytes()
    done = run(notebook, "--html", str(tmp_path), "--ipynb", str(tmp_path))
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr == ""
    assert notebook.read_bytes() == before
    page = (tmp_path / notebook.with_suffix(".html").name).read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" not in page
    executed = json.loads((tmp_path / notebook.name).read_text(encoding="utf-8"))
    assert any(cell.get("outputs") for cell in executed["cells"])
    assert_holds_no_key(done.stdout)


def test_the_runner_prints_the_account_and_hides_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENDO_APP_KEY", "secret")
    (tmp_path / ".env").write_text("PENDO_APP_KEY=secret\n")
    (tmp_path / "users.csv").write_text("id\n")
    code = "import os, sys\nprint('loaded', os.environ.get('PENDO_APP_KEY'), sorted(os.listdir()), sys.executable)"
    done = run(notebook_of(tmp_path, code, tags=("account",)))
    assert done.stdout.splitlines()[0] == f"loaded None ['made.ipynb', 'users.csv'] {sys.executable}"
    assert done.stderr == ""


def test_the_runner_names_the_cell_that_fails(tmp_path: Path) -> None:
    done = run(notebook_of(tmp_path, "seats = 1", "seats / 0"))
    assert done.returncode == 1
    assert "cell 2 of 2:\n\nseats / 0\n\nZeroDivisionError: division by zero\n" in done.stderr
    late = run(notebook_of(tmp_path, "import time; time.sleep(60)"), "--timeout", "1")
    assert "more than 1 s" in late.stderr
