"""The front door of the benchmarks: what it lists, reads, holds to its targets and draws."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks import reading
from benchmarks.__main__ import ORDER
from benchmarks.lines import Line, at_least, at_most, told
from benchmarks.reading import ReadingError, check, list_benchmarks, markdown, read_all

ROOT = Path(__file__).parent.parent
GOOD = at_most("seconds to wait", 0.4, 0.5, "s")
BAD = at_least("push | a plan ÷ raw sockets", 0.4, 0.5)


def door(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "benchmarks", *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def put(folder: Path, name: str, lines: Any) -> None:
    path = folder / "build" / "bench" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(lines if isinstance(lines, str) else json.dumps(lines), encoding="utf-8")


def test_the_door_lists_each_benchmark_with_its_question(tmp_path: Path) -> None:
    done = door(tmp_path)
    assert done.returncode == 0, done.stderr
    listed = {line.split()[0] for line in done.stdout.splitlines()}
    assert {"imports", "kernel", "pacing", "plan", "preview", "faults"} <= listed
    assert listed & {"lines", "tables", "sink", "reading", "victim", "__main__"} == set()
    assert all(line.endswith("?") for line in done.stdout.splitlines())


def test_each_benchmark_but_the_longest_is_run_by_all() -> None:
    assert {*list_benchmarks(ROOT / "benchmarks")} - {*ORDER} == {"faults"}


def test_nothing_to_read_is_no_success(tmp_path: Path) -> None:
    for option in ("--check", "--table", "--plot"):
        done = door(tmp_path, option)
        assert (done.returncode, done.stdout) == (1, ""), option
        assert done.stderr.startswith("There is nothing to read in build")
        assert done.stderr.endswith("Hint: python -m benchmarks --all\n")


def test_all_that_holds_is_counted(tmp_path: Path) -> None:
    put(tmp_path, "plan", [GOOD, told("seconds", 3.0, "s")])
    put(tmp_path, "of_somebody_else", [GOOD, GOOD])
    done = door(tmp_path, "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "3 of 3 targets hold: of_somebody_else (2), plan (1).\n"


def test_what_falls_short_is_named(tmp_path: Path) -> None:
    put(tmp_path, "plan", [GOOD])
    put(tmp_path, "push", [GOOD, BAD])
    done = door(tmp_path, "--check")
    assert done.returncode == 1
    first, second = done.stdout.splitlines()
    assert first == "1 of 3 targets falls short:"
    assert " ".join(second.split()) == "push: push | a plan ÷ raw sockets 0.4 ≥ 0.5 FALLS SHORT"


def test_numbers_without_a_promise_are_no_success(tmp_path: Path) -> None:
    put(tmp_path, "plan", [told("seconds", 3.0, "s")])
    done = door(tmp_path, "--check")
    assert done.returncode == 1
    assert "Nothing was promised" in done.stdout


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("[{", "Expecting property name"),
        ('{"seconds": 3}', "it holds one dict"),
        ("[3]", "a line is 3"),
        ([{key: one for key, one in GOOD.items() if key != "is_most"}], "it lacks 'is_most'"),
        ([{**GOOD, "measured": "fast"}], "a line is {'question'"),
        ([{**GOOD, "holds": "yes"}], "a line is {'question'"),
    ],
)
def test_a_damaged_file_is_told_and_the_others_are_read(tmp_path: Path, lines: Any, reason: str) -> None:
    put(tmp_path, "damaged", lines)
    put(tmp_path, "plan", [GOOD])
    done = door(tmp_path, "--check")
    assert done.returncode == 1
    assert done.stdout == "1 of 1 targets hold: plan (1).\n"
    assert f"damaged.json can't be read: {reason}" in done.stderr
    assert "Expected a list of {question, measured, target, is_most, unit, holds}. Hint: " in done.stderr


def test_a_file_that_is_no_text_is_damaged(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_bytes(b"\xff\xfe\x00")
    reports, (error,) = read_all(tmp_path)
    assert reports == {}
    assert "odd.json can't be read" in str(error)
    assert check(reports) == (False, [check({})[1][0]])


def test_the_table_stands_below_the_machine(tmp_path: Path) -> None:
    put(tmp_path, "zoo", [GOOD])
    put(tmp_path, "push", [BAD, told("rows", 12.0, "rows/s")])
    put(tmp_path, "plan", [at_most("ids lost", 0, 0)])
    reports, _ = read_all(tmp_path / "build" / "bench")
    head, blank, *rows = markdown(reports, ["plan", "push"]).splitlines()
    assert blank == ""
    for word in ("Measured 2", " cores (", "Python 3.", "polars ", "httpx "):
        assert word in head
    assert rows == [
        "| question | target | measured | holds |",
        "|---|---|---|---|",
        "| ids lost | ≤ 0 | 0 | yes |",
        "| push \\| a plan ÷ raw sockets | ≥ 0.5 | 0.4 | **no** |",
        "| seconds to wait | ≤ 0.5 s | 0.4 s | yes |",
    ]


def test_a_report_without_a_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ReadingError, match="nothing to read"):
        reading.read_all(tmp_path)


def test_quick_runs_a_benchmark_from_end_to_end(tmp_path: Path) -> None:
    for module, options in (("imports", ["--rounds", "1"]), ("kernel", ["--quick", "--rows", "2000"])):
        done = subprocess.run(
            [sys.executable, "-P", "-m", f"benchmarks.{module}", *options],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    reports, damaged = read_all(tmp_path / "build" / "bench")
    assert damaged == []
    assert {name: len(one.promised) for name, one in reports.items()} == {"imports": 2, "kernel": 4}


def test_the_pictures_show_each_way_and_each_promise(tmp_path: Path) -> None:
    pytest.importorskip("altair", reason="the pictures need altair: make .venv/.bench")
    pytest.importorskip("vl_convert", reason="the pictures need vl-convert-python: make .venv/.bench")
    from benchmarks.plots import draw_all, margin

    ways: list[Line] = [
        told(name, rate, "rows/s") for name, rate in (("push of a plan", 5e5), ("a peer", 7e4))
    ]
    put(tmp_path, "push", [*ways, GOOD, BAD])
    reports, _ = read_all(tmp_path / "build" / "bench")
    files = draw_all(reports, [tmp_path / "pictures"])
    names = [f"bench_{name}.{kind}" for name in ("push", "promises") for kind in ("svg", "png")]
    assert [path.name for path in files] == names
    texts = [path.read_text(encoding="utf-8") for path in files if path.suffix == ".svg"]
    assert all(word in texts[0] for word in ("push of a plan", "a peer", "pendosync", "500,000"))
    assert all(word in texts[1] for word in ("seconds to wait", "falls short"))
    assert files[1].read_bytes().startswith(b"\x89PNG")
    assert [round(margin(line), 2) for line in (GOOD, BAD)] == [1.25, 0.8]
