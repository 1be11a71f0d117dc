"""What a benchmark tells: lines of {question, measured, target, is_most, unit, holds}, printed and written to build/bench/NAME.json."""

from __future__ import annotations

import gc
import json
import statistics
import time
from collections.abc import Callable, Sequence
from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import Any, Final, TypedDict

FOLDER: Final = Path("build/bench")
"""Where benchmarks write, below the working directory."""


class Line(TypedDict):
    """One question and its answer.

    `target` is None where nothing was promised; `is_most` says whether it is the most that is allowed, else it is the
    least. `unit` is empty for a ratio.
    """

    question: str
    measured: float
    target: float | None
    is_most: bool
    unit: str
    holds: bool


def at_least(question: str, measured: float, target: float, unit: str = "") -> Line:
    """Return the line of a number that is to be no smaller than *target*."""
    return _line(question, measured, target, unit, is_most=False, holds=measured >= target)


def at_most(question: str, measured: float, target: float, unit: str = "") -> Line:
    """Return the line of a number that is to be no larger than *target*."""
    return _line(question, measured, target, unit, is_most=True, holds=measured <= target)


def told(question: str, measured: float, unit: str = "") -> Line:
    """Return the line of a number that nothing was promised of."""
    return _line(question, measured, None, unit, is_most=False, holds=True)


def _line(
    question: str, measured: float, target: float | None, unit: str, *, is_most: bool, holds: bool
) -> Line:
    return Line(
        question=question, measured=_rounded(measured), target=target, is_most=is_most, unit=unit, holds=holds
    )


def _rounded(number: float) -> float:
    """Return the number with four digits that mean something."""
    return float(f"{number:.4g}") if abs(number) < 1000 else round(number)


def report(name: str, lines: Sequence[Line], *, head: str) -> None:
    """Print a table below *head* and write build/bench/NAME.json."""
    print(head)
    for line in table(lines):
        print(f"  {line}")
    save(name, lines)


def save(name: str, lines: Sequence[Line]) -> None:
    """Write build/bench/NAME.json, for a benchmark that prints a table of its own."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.json").write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")


def table(lines: Sequence[Line]) -> list[str]:
    """Return the lines as text, one under the other."""
    rows = [
        (line["question"], shown(line["measured"], line["unit"]), shown_target(line), verdict(line))
        for line in lines
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(3)] if rows else []
    return [
        f"{question:{widths[0]}}  {measured:>{widths[1]}}  {target:>{widths[2]}}  {said}".rstrip()
        for question, measured, target, said in rows
    ]


def shown(number: float, unit: str) -> str:
    """Return a number with its unit; a ratio as it is."""
    text = f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"
    return f"{text} {unit}".rstrip()


def shown_target(line: Line) -> str:
    """Return what was promised, in words."""
    if line["target"] is None:
        return ""
    return f"{'≤' if line['is_most'] else '≥'} {shown(line['target'], line['unit'])}"


def verdict(line: Line) -> str:
    """Return whether a line holds, or nothing where nothing was promised."""
    return "" if line["target"] is None else "holds" if line["holds"] else "FALLS SHORT"


def interleave(
    ways: AbstractMapping[str, Callable[[], Any]], *, rounds: int, warm: bool = True
) -> dict[str, list[float]]:
    """Return the seconds of each way, taken in turn, round after round: what slows the machine slows them all.

    Args:
        ways: name → what is timed.
        rounds: how often each.
        warm: once more before, not timed.
    """
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(-1 if warm else 0, rounds):
        for name, way in ways.items():
            gc.collect()
            began = time.perf_counter()
            way()
            if round_ >= 0:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio(seconds: AbstractMapping[str, Sequence[float]], of: str, to: str) -> float:
    """Return the median over the rounds of the time of one way as a multiple of another's in the same round."""
    return statistics.median(one / other for one, other in zip(seconds[of], seconds[to], strict=True))


def speed(seconds: AbstractMapping[str, Sequence[float]], of: str, to: str) -> float:
    """Return how fast one way is as a multiple of another's speed: `ratio` the other way round."""
    return ratio(seconds, to, of)
