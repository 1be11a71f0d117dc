"""The watchman itself: a test that shows a key is failed, and told where, without the key."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import watchman

import pendosync

HEAD = """
import base64, logging, os, sys
import polars as pl
import pytest

KEY = "-".join(("sandbox", "eu", "app", "key"))
OWN = "/".join(("my", "k3y"))

@pytest.fixture
def before(): print(KEY)

@pytest.fixture
def after():
    yield
    print(KEY)
"""
SHOWS = [
    ("print", "stdout", "print(KEY)"),
    ("error", "stderr", "print('at', KEY, file=sys.stderr)"),
    ("process", "stdout", "os.system(f'echo {KEY}')"),
    ("log", "log", "logging.getLogger('httpcore.http11').debug('sent %s', KEY)"),
    ("logged_error", "log", "try: raise KeyError(KEY)\n    except KeyError: logging.exception('')"),
    ("begin(before)", "stdout", "pass"),
    ("end(after)", "stdout", "pass"),
    ("read(capsys)", "stdout", "print(KEY)\n    capsys.readouterr()"),
    ("read_error(capfd)", "stderr", "os.system(f'echo {KEY} >&2')\n    capfd.readouterr()"),
    ("failure", "the failure's text", "raise ValueError(f'no {KEY}')"),
    ("file(tmp_path)", "deep/note.txt",
     "(tmp_path / 'deep').mkdir()\n    (tmp_path / 'deep' / 'note.txt').write_text(KEY)"),
    ("parquet(tmp_path)", "part.parquet",
     "pl.DataFrame({'deep': [[{'id': KEY * 9}]] * 9}).write_parquet(tmp_path / 'part.parquet')"),
    ("other_folder(tmp_path_factory)", "page.html",
     "(tmp_path_factory.mktemp('x') / 'page.html').write_text(KEY)"),
    ("base64", "stdout", "print(base64.b64encode(b'Basic ' + KEY.encode()).decode())"),
    ("own", "stdout", "print('/data/my%2Fk3y')"),
]  # fmt: skip
MORE = """
test_own = pytest.mark.keys(OWN)(test_own)

def test_nothing(): print("a sandbox-eu key")

@pytest.mark.holds_key("*.env", reason="keys are read from it")
def test_may(tmp_path): (tmp_path / "my.env").write_text(KEY)
"""
NO_REASON = "@pytest.mark.holds_key('*', reason=' ')\ndef test_it(): print(KEY)\n"
pytestmark = pytest.mark.holds_key("made/*", reason="the tests that are watched here leave it there")
KEYS = ("sandbox-eu-app-key", "my/k3y", "my%2Fk3y")


def run(folder: Path, tests: str) -> tuple[str, dict[str, str]]:
    """Run *tests* in a process of their own; return all that it says, and of each test why it failed."""
    file, report = folder / "test_made.py", folder / "report.xml"
    file.write_text(f"{HEAD}\n{tests}", encoding="utf-8")
    paths = [str(Path(watchman.__file__).parent), str(Path(pendosync.__file__).parents[1])]
    options = [
        "-p",
        "watchman",
        "-p",
        "no:cacheprovider",
        "--rootdir=.",
        "--basetemp=made",
        "-o",
        "log_level=DEBUG",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--junitxml={report}", str(file)],
        capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
    text = report.read_text(encoding="utf-8") if report.exists() else ""
    cases = ElementTree.fromstring(text).iter("testcase") if text else []
    told = {case.get("name", ""): "".join(part.text or "" for part in case) for case in cases}
    return done.stdout + done.stderr + text, told


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    tests = [f"def test_{name if '(' in name else name + '()'}:\n    {body}\n" for name, _, body in SHOWS]
    return run(tmp_path_factory.mktemp("watched"), "\n".join([*tests, MORE]))


@pytest.mark.parametrize(("name", "place"), [(name.partition("(")[0], place) for name, place, _ in SHOWS])
def test_a_test_that_shows_a_key_is_failed(told: tuple[str, dict[str, str]], name: str, place: str) -> None:
    assert f"A key shows in {place}.\n" in told[1][f"test_{name}"]


def test_one_that_shows_none_or_where_it_may_passes(told: tuple[str, dict[str, str]]) -> None:
    assert (told[1]["test_nothing"], told[1]["test_may"]) == ("", "")


def test_the_watchman_shows_no_key_itself(told: tuple[str, dict[str, str]]) -> None:
    assert "A key shows in" in told[0]
    assert [key for key in KEYS if key in told[0]] == []


def test_an_exception_names_its_reason(tmp_path: Path) -> None:
    assert "holds_key names no place, or no reason" in run(tmp_path, NO_REASON)[0]


def test_the_keys_watched_for_are_those_of_every_region() -> None:
    assert len(watchman.SANDBOX_KEYS) == 20
    assert "sandbox-jpn-track-secret" in watchman.SANDBOX_KEYS
