"""How far a long planning has come is shown, and a short one is quiet."""

from __future__ import annotations

import polars as pl
import pytest

import pendosync as ps
from pendosync import streaming
from pendosync.preview import making
from pendosync.preview.making import Making, making_html

TABLE = pl.DataFrame({"id": [f"u-{n:04}" for n in range(1, 21)], "plan": ["new"] * 20})
MAPPING = ps.Mapping("visitor", "id", ["plan"])


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "_QUIET_S", 0.0)
    monkeypatch.setattr(making, "_EVERY_S", {True: 0.0, False: 0.0})
    monkeypatch.setattr(streaming, "PART_ROWS", 7)


def test_planning_in_parts_says_how_far_it_has_come(client, tmp_path, impatient, capsys) -> None:
    ps.plan_table(TABLE, MAPPING, client=client, folder=tmp_path / "plan")
    told = capsys.readouterr().err.splitlines()
    assert all(line.startswith("pendosync: Planning 20 rows in 3 parts: ") for line in told)
    stages = [line.partition("parts: ")[2] for line in told]
    assert stages[0].startswith("20 of 20 rows read")
    assert stages[1].endswith("held ids read")
    assert [stage[:6] for stage in stages[2:5]] == ["1 of 3", "2 of 3", "3 of 3"]
    assert stages[5] == "done in under a second"
    assert len(stages) == 6


def test_it_is_quiet_where_it_is_asked_to_or_soon_over(
    client, tmp_path, impatient, capsys, monkeypatch
) -> None:
    ps.plan_table(TABLE, MAPPING, client=client, folder=tmp_path / "one", show=False)
    monkeypatch.setattr(making, "_QUIET_S", 60.0)
    ps.plan_table(TABLE, MAPPING, client=client, folder=tmp_path / "two")
    assert capsys.readouterr().err == ""


def test_it_says_how_long_the_rest_takes(impatient, capsys, monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(making.time, "monotonic", lambda: now[0])
    shown = Making("Planning")
    shown.tell("parts planned", 0, 40)
    now[0] = 130.0
    shown.tell("parts planned", 10, 40)
    now[0] = 220.0
    shown.close()
    assert capsys.readouterr().err.splitlines()[1:] == [
        "pendosync: Planning: 10 of 40 parts planned, about 2 min left",
        "pendosync: Planning: done in 2 min",
    ]


def test_what_a_notebook_shows_has_a_bar_and_no_markup_of_others() -> None:
    page = making_html("<b>", "1 & 2", 0.25)
    assert "<b>&lt;b&gt;</b>" in page
    assert "1 &amp; 2" in page
    assert "width:25%" in page
    assert "aria-valuenow='25'" in page
    assert "width:0%" in making_html("a", "b", None)
