"""What the benchmarks told, read again: whether it holds, and as a table."""

from __future__ import annotations

import ast
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.lines import Line, shown, shown_target, table

Told = Mapping[str, "Report"]

_KEYS: Final = "{question, measured, target, is_most, unit, holds}"


class ReadingError(ValueError):
    """There is nothing to read, or it can't be read."""


@dataclass(frozen=True)
class Report:
    """What one benchmark told, and when."""

    lines: Sequence[Line]
    at: datetime

    @property
    def promised(self) -> list[Line]:
        """The lines that have a target."""
        return [line for line in self.lines if line["target"] is not None]


def list_benchmarks(folder: Path) -> dict[str, str]:
    """Return name → the question it answers, of each module that begins with one and says how it is run."""
    found = {}
    for path in sorted(folder.glob("*.py")):
        told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        question = told.partition("\n")[0]
        if question.endswith("?") and f"python -m benchmarks.{path.stem}" in told:
            found[path.stem] = question
    return found


def file_of(folder: Path, name: str) -> Path:
    """Return where a benchmark writes."""
    return folder / f"{name}.json"


def read_all(folder: Path) -> tuple[dict[str, Report], list[ReadingError]]:
    """Return name → report of each file in *folder*, whether or not a benchmark of that name is known, and what is damaged.

    Raises:
        ReadingError: there is no file.
    """
    reports, damaged = {}, []
    for path in sorted(folder.glob("*.json")):
        try:
            reports[path.stem] = read_report(path)
        except ReadingError as error:
            damaged.append(error)
    if not reports and not damaged:
        raise ReadingError(
            f"There is nothing to read in {folder}. Expected what the benchmarks write there. "
            f"Hint: python -m benchmarks --all"
        )
    return reports, damaged


def read_report(path: Path) -> Report:
    """Return what one file tells.

    Raises:
        ReadingError: it is no list of lines.
    """
    try:
        lines = [_line(told) for told in _list(json.loads(path.read_text(encoding="utf-8")))]
    except (ValueError, KeyError, TypeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ReadingError(
            f"{path} can't be read: {reason}. Expected a list of {_KEYS}. "
            f"Hint: python -m benchmarks.{path.stem} writes it anew; if there is no such benchmark, delete the file."
        ) from None
    return Report(lines, datetime.fromtimestamp(path.stat().st_mtime, UTC))


def _list(told: Any) -> list[Any]:
    if not isinstance(told, list):
        raise TypeError(f"it holds one {type(told).__name__}")
    return told


def _line(told: Any) -> Line:
    if not isinstance(told, dict):
        raise TypeError(f"a line is {told!r}"[:80])
    line = Line(
        question=told["question"],
        measured=told["measured"],
        target=told["target"],
        is_most=told["is_most"],
        unit=told["unit"],
        holds=told["holds"],
    )
    numbers = [line["measured"], *([] if line["target"] is None else [line["target"]])]
    is_right = (
        all(isinstance(one, str) for one in (line["question"], line["unit"]))
        and all(isinstance(one, bool) for one in (line["is_most"], line["holds"]))
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers)
    )
    if not is_right:
        raise TypeError(f"a line is {told!r}"[:200])
    return line


def check(told: Told) -> tuple[bool, list[str]]:
    """Return whether all that was promised holds, and the sentences that say so."""
    short = {name: [line for line in one.promised if not line["holds"]] for name, one in told.items()}
    n_promised = sum(len(one.promised) for one in told.values())
    n_short = sum(map(len, short.values()))
    if not n_promised:
        return False, [
            f"Nothing was promised of what was told ({_listed(told) or 'nothing'}). Expected lines with a target. "
            f"Hint: python -m benchmarks --all"
        ]
    if not n_short:
        return True, [f"{n_promised} of {n_promised} targets hold: {_listed(told)}."]
    sentences = [f"{n_short} of {n_promised} targets {'falls' if n_short == 1 else 'fall'} short:"]
    for name, lines in short.items():
        sentences += [f"  {name}: {text}" for text in table(lines)]
    return False, sentences


def _listed(told: Told) -> str:
    return ", ".join(f"{name} ({len(one.promised)})" for name, one in told.items())


def markdown(told: Told, order: Sequence[str]) -> str:
    """Return what was promised as a Markdown table below the machine that this is; *order* comes first."""
    names = sorted(told, key=lambda name: (order.index(name) if name in order else len(order), name))
    rows = [_row(line) for name in names for line in told[name].promised]
    days = sorted({f"{one.at:%Y-%m-%d}" for one in told.values()})
    when = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    head = f"Measured {when} on {machine()}."
    return "\n".join([head, "", "| question | target | measured | holds |", "|---|---|---|---|", *rows])


def _row(line: Line) -> str:
    question = line["question"].replace("|", "\\|")
    measured, holds = shown(line["measured"], line["unit"]), "yes" if line["holds"] else "**no**"
    return f"| {question} | {shown_target(line)} | {measured} | {holds} |"


def machine() -> str:
    """Return what this machine is and runs, as far as it can be told."""
    memory = ""
    if hasattr(os, "sysconf"):
        memory = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory, "
    versions = ", ".join(f"{name} {version(name)}" for name in ("polars", "httpx"))
    return f"{os.cpu_count()} cores ({_processor()}), {memory}Python {platform.python_version()}, {versions}"


def _processor() -> str:
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        told = []
    models = [line.partition(":")[2].strip() for line in told if line.startswith("model name")]
    return next(iter(models), platform.processor() or platform.machine())
