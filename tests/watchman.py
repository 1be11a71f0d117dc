"""The watchman over every test: no key shows in what it printed, logged and failed with, or left in a file.

The sandbox's keys are watched for everywhere, and `@pytest.mark.keys("…")` names more of a test's own. A test that
must hold one says where and why: `@pytest.mark.holds_key(".env", reason="…")`.
"""

from __future__ import annotations

import io
import json
import os
import re
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import astuple
from fnmatch import fnmatch
from functools import cache
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest

from pendosync.sandbox.keys import KEYS

MASK = "***"
SANDBOX_KEYS = tuple(sorted({key for keys in KEYS.values() for key in astuple(keys)}))
_READ = pytest.StashKey[list[tuple[str, str]]]()
_N_SEEN = pytest.StashKey[int]()
_SEARCHED = pytest.StashKey[set[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "keys(*texts): secrets of this test's own, which must not show")
    config.addinivalue_line("markers", "holds_key(*places, reason): where this test may hold a key, and why")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for mark in item.iter_markers("holds_key"):
            if not mark.args or not str(mark.kwargs.get("reason", "")).strip():
                raise pytest.UsageError(f"{item.nodeid}: holds_key names no place, or no reason")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield  # type: ignore[assignment, misc]
    pattern = pattern_of(*(text for mark in item.iter_markers("keys") for text in mark.args))
    found = [place for place, content in contents(item, report) if pattern.search(content)]
    wrong = [place for place in found if not may_hold(item, place)]
    if found:
        hide(report, pattern)
    if wrong:
        report.outcome = "failed"
        report.longrepr = (
            f"A key shows in {', '.join(dict.fromkeys(wrong))}.\nExpected it nowhere.\nHint: find what shows it; a test that must hold "
            f"one says so: @pytest.mark.holds_key({wrong[0]!r}, reason='…').\n\n{report.longrepr or ''}"
        )
    return report  # type: ignore[return-value]


@pytest.fixture
def capfd(capfd: Any, request: pytest.FixtureRequest) -> Any:
    return listened(capfd, request.node)


@pytest.fixture
def capsys(capsys: Any, request: pytest.FixtureRequest) -> Any:
    return listened(capsys, request.node)


def listened(capture: Any, item: pytest.Item) -> Any:
    """Note what the test reads of its own output, as pytest forgets it then."""
    read, texts = capture.readouterr, item.stash.setdefault(_READ, [])

    def readouterr() -> Any:
        told = read()
        texts.extend((("stdout", told.out), ("stderr", told.err)))
        return told

    capture.readouterr = readouterr
    return capture


def may_hold(item: pytest.Item, place: str) -> bool:
    patterns = [pattern for mark in item.iter_markers("holds_key") for pattern in mark.args]
    return any(fnmatch(place, pattern) for pattern in patterns)


def hide(report: pytest.TestReport, pattern: re.Pattern[bytes]) -> None:
    """Take the keys out of what pytest prints of the test."""

    def masked(text: str) -> str:
        return pattern.sub(MASK.encode(), text.encode("utf-8", "replace")).decode()

    report.sections = [(name, masked(text)) for name, text in report.sections]
    if report.longrepr is not None and pattern.search(str(report.longrepr).encode("utf-8", "replace")):
        report.longrepr = masked(str(report.longrepr))


def contents(item: pytest.Item, report: pytest.TestReport) -> Iterator[tuple[str, bytes]]:
    """Yield what is new since the last report of this test, and where it stands."""
    n_seen = item.stash.get(_N_SEEN, 0)
    item.stash[_N_SEEN] = len(report.sections)
    texts = [
        (name.split()[1] if name.startswith("Captured ") else name, text) for name, text in report.sections
    ]
    texts = texts[n_seen:]
    if report.longrepr is not None:
        texts.append(("the failure's text", str(report.longrepr)))
    if report.when == "teardown":
        texts.extend(item.stash.get(_READ, []))
        yield from files_of(item)
    yield from ((place, text.encode("utf-8", "replace")) for place, text in texts)


def files_of(item: pytest.Item) -> Iterator[tuple[str, bytes]]:
    """Yield the files in the folders that pytest made since it last was asked."""
    arguments = getattr(item, "funcargs", None) or {}
    if "tmp_path_factory" in arguments:  # tmp_path stands on it
        base, searched = (
            arguments["tmp_path_factory"].getbasetemp(),
            item.session.stash.setdefault(_SEARCHED, set()),
        )
        new = [name for name in os.listdir(base) if name not in searched]
        searched.update(new)
        for folder in (base / name for name in new):
            if not folder.is_symlink():
                yield from files_in(folder)


def files_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    for root, _, names in os.walk(folder):
        for path in (Path(root) / name for name in names):
            yield path.relative_to(folder).as_posix(), bytes_of(path)


def bytes_of(path: Path) -> bytes:
    """Return a file's bytes; of Parquet, whose pages are compressed, those of its values too."""
    if not path.is_file():  # a socket, or a link to nowhere
        return b""
    content = path.read_bytes()
    if content[:4] == content[-4:] == b"PAR1" and len(content) > 12:
        try:
            plain = io.BytesIO()
            pl.read_parquet(io.BytesIO(content)).write_ipc(plain, compression="uncompressed")
        except pl.exceptions.PolarsError:
            return content
        return content + plain.getvalue()
    return content


@cache
def pattern_of(*more: str) -> re.Pattern[bytes]:
    forms = {form for key in (*SANDBOX_KEYS, *more) for form in forms_of(key)}
    return re.compile(b"|".join(map(re.escape, sorted(forms, key=len, reverse=True))))


def forms_of(key: str) -> Iterator[bytes]:
    """Yield the key as it would stand in a text, a path, JSON, HTML, and Base64 at each of its three places."""
    yield from (form.encode() for form in (key, quote(key, safe=""), json.dumps(key)[1:-1], escape(key)))
    for shift in range(3):
        text = key.encode()[: (len(key) + shift) // 3 * 3 - shift]  # whole groups of three
        yield b64encode(b"\0" * shift + text)[4 if shift else 0 :]
