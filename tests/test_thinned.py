"""What a saved plan leaves out is there again once it is read, to the bit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pendosync.folders import digest_of_file, read_manifest, write_manifest
from pendosync.frames import DTYPES, empty_changes
from pendosync.saved import load_plan, seal_plan, write_part
from pendosync.thinned import restored, thin_fields, thinned
from tests.test_plans import a_plan

CELLS: dict[str, list[Any]] = {
    "text": [None, "", "pro", "ü"],
    "boolean": [None, True, False],
    "integer": [None, 0, 7],
    "float": [None, 0.0, -0.0, 0.5, 5e-324],
    "date": [None, datetime(2026, 1, 2, tzinfo=UTC), datetime(1969, 1, 2, tzinfo=UTC)],
    "list": [None, [], [None], ["a"], ["a", None]],
}


def some(kind: str) -> st.SearchStrategy[tuple[Any, Any, bool | None]]:
    """A cell before and after, and whether it changes: mostly one that stays."""
    cell = st.sampled_from(CELLS[kind])
    return st.one_of(
        cell.map(lambda one: (one, one, False)),
        cell.map(lambda one: (one, one, False)),
        st.tuples(cell, cell, st.sampled_from([True, True, False, None])),
    )


ROWS = st.lists(
    st.fixed_dictionaries(
        {kind: some(kind) for kind in CELLS},
        optional={"no before": st.just(True), "no after": st.just(True), "raw": st.just('{"text":1}')},
    ),
    max_size=8,
)


def changes_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return CHANGES of so many cells, with a column that was kept."""
    cells = [{kind: row[kind] for kind in CELLS} for row in rows]
    return pl.DataFrame(
        {
            "row": range(len(rows)),
            "id": [f"u-{n}" for n in range(len(rows))],
            "action": ["update"] * len(rows),
            "changed": [{kind: triple[2] for kind, triple in row.items()} for row in cells],
            "before": [
                None if "no before" in row else {kind: row[kind][0] for kind in CELLS} for row in rows
            ],
            "after": [None if "no after" in row else {kind: row[kind][1] for kind in CELLS} for row in rows],
            "before_raw": [row.get("raw") for row in rows],
            "after_raw": [None] * len(rows),
            "kept": [None] * len(rows),
        },
        schema={**empty_changes(DTYPES).schema, "kept": pl.Null()},
    )


def told(frame: pl.DataFrame) -> str:
    """Return all that a frame holds, where 0.0 and -0.0 are two."""
    return repr((frame.schema, frame.rows()))


@given(ROWS)
@example([{kind: (cells[1], cells[1], False) for kind, cells in CELLS.items()}])
@example([{**dict.fromkeys(CELLS, (None, None, False)), "float": (0.0, -0.0, False)}])
def test_changes_are_whole_again_to_the_bit(rows: list[dict[str, Any]]) -> None:
    changes = changes_of(rows)
    fields = thin_fields(changes)
    assert told(restored(thinned(changes, fields), fields, changes.clear())) == told(changes)


@given(st.lists(ROWS, min_size=1, max_size=3))
def test_a_saved_plan_loads_to_the_bit_in_one_part_and_in_many(parts: list[list[dict[str, Any]]]) -> None:
    frames = [changes_of(rows) for rows in parts]
    plan = a_plan().having(pl.concat(frames))
    with TemporaryDirectory() as name:
        folder = Path(name)
        loaded = load_plan(plan.save(folder / "whole"))
        assert told(loaded.changes) == told(plan.changes)
        entries = [write_part(folder, at, plan.having(frame)) for at, frame in enumerate(frames)]
        seal_plan(folder, plan, entries)
        for part, frame in zip(load_plan(folder).parts, frames, strict=True):
            assert told(part.read()) == told(frame)
            for columns in (["after"], ["id", "after", "after_raw"], ["before", "kept"], []):
                assert told(part.read(columns)) == told(frame.select(columns))


def test_cells_that_stay_are_written_once() -> None:
    stays: dict[str, Any] = {kind: (cells[1], cells[1], False) for kind, cells in CELLS.items()}
    rows = [{**stays, "text": ("free", "pro", True)}] * 3
    changes = changes_of(rows)
    fields = thin_fields(changes)
    assert fields == ["boolean", "integer", "float", "date", "list"]
    thin = thinned(changes, fields)
    assert thin["after"].struct.unnest().null_count().row(0) == (0, 3, 3, 3, 3, 3)
    assert (thin.schema["before_raw"], thin.schema["after_raw"]) == (pl.Null, pl.Null)


@pytest.mark.parametrize(("cell", "thin"), [((0.0, -0.0, False), []), ((-0.0, -0.0, False), ["float"])])
def test_a_zero_keeps_its_sign(cell: tuple[float, float, bool], thin: list[str]) -> None:
    row: dict[str, Any] = {**dict.fromkeys(CELLS, (None, None, False)), "float": cell}
    assert thin_fields(changes_of([row])) == thin


def test_a_field_of_which_most_cells_change_is_written_whole() -> None:
    stays: dict[str, Any] = {kind: (cells[1], cells[1], False) for kind, cells in CELLS.items()}
    changes = {kind: (cells[1], cells[2], True) for kind, cells in CELLS.items()}
    assert thin_fields(changes_of([stays, changes, changes])) == []
    assert thin_fields(changes_of([stays, changes])) == [*CELLS]


def test_where_nothing_was_held_before_nothing_is_written_of_it() -> None:
    created: dict[str, Any] = {kind: (None, cells[1], True) for kind, cells in CELLS.items()}
    thin = thinned(changes_of([created] * 2), [])
    assert thin.schema["before"] == pl.Null


def test_a_plan_that_was_saved_whole_loads_as_ever(tmp_path: Path) -> None:
    plan = a_plan(3)
    folder = plan.save(tmp_path / "p")
    part, manifest = folder / "part-0000.parquet", read_manifest(folder)
    del manifest["thin"]
    plan.changes.write_parquet(part)
    manifest["files"][part.name] = digest_of_file(part)
    write_manifest(folder, manifest)
    assert "thin" not in json.loads((folder / "manifest.json").read_text())
    assert told(load_plan(folder).changes) == told(plan.changes)
