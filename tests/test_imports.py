"""What is loaded when: widgets, the server and the journal's database only when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

import pendosync as ps

HEAVY = (
    "ipywidgets anywidget IPython tornado altair sqlite3 filelock asyncio httpx polars pandas numpy dotenv "
    "dask distributed"
)


def loaded_after(statement: str) -> set[str]:
    """Return which of the heavy packages a fresh process has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY.split()!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_to_import_us_loads_nothing_heavy() -> None:
    assert loaded_after("import pendosync") == set()
    assert loaded_after("import pendosync; dir(pendosync), pendosync.__version__, pendosync.__doc__") == set()


def test_a_sandbox_starts_without_tables() -> None:
    assert "polars" not in loaded_after("import pendosync.sandbox.server")


@pytest.mark.parametrize(
    "verb", ["plan_table", "preview_plan", "edit_mapping", "workbench", "push", "open_sandbox", "open_client"]
)
def test_to_name_a_verb_loads_no_widget_and_no_server(verb: str) -> None:
    widgets = {"ipywidgets", "anywidget", "IPython", "tornado", "altair"}
    assert loaded_after(f"from pendosync import {verb}") & widgets == set()


def test_an_engine_is_loaded_only_where_one_is_opened() -> None:
    assert loaded_after("from pendosync import open_engine") == set()


def test_tables_are_planned_without_a_database() -> None:
    assert loaded_after("from pendosync import load_table, map_traits, diff_values, Mapping") == {"polars"}


@pytest.mark.parametrize("verb", ["push", "workbench"])
def test_a_verb_stays_one_where_its_room_is_imported(verb: str) -> None:
    code = f"import pendosync.{verb}, pendosync as ps; assert callable(ps.{verb}), ps.{verb}; from pendosync import {verb}"
    assert "polars" in loaded_after(code)


def test_a_name_that_does_not_exist_is_told() -> None:
    with pytest.raises(AttributeError, match="module 'pendosync' has no attribute 'plan_tabel'"):
        ps.plan_tabel  # type: ignore[attr-defined]  # noqa: B018
