"""How much longer does `import pendosync` take than the two libraries that no frame and no request can do without?

    python -m benchmarks.imports [--rounds 25] [--quick]

Each import is made by a fresh process, in turn, and timed within it: the interpreter's own start would flatter the
ratio. Bytecode is written once, before the rounds, to a folder of this run.

Prints medians of seconds and of the ratios within a round, and writes build/bench/imports.json.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from benchmarks.lines import at_most, ratio, report, told

OURS: Final = "import pendosync"
FLOOR: Final = "import polars, httpx"
ALL: Final = "from pendosync import *"
"""Fetches each public name, which nobody does: rooms load when something of theirs is first used."""

STATEMENTS: Final = (FLOOR, OURS, ALL)
MOST: Final = 1.3
_TIMED: Final = (
    "import time; wall, cpu = time.perf_counter(), time.process_time(); {}; "
    "print(time.perf_counter() - wall, time.process_time() - cpu)"
)


def import_once(statement: str, env: Mapping[str, str]) -> tuple[float, float]:
    """Return the seconds of wall and of CPU that a fresh process needs for a statement."""
    done = subprocess.run(
        [sys.executable, "-c", _TIMED.format(statement)],
        env=env,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    wall, cpu = done.stdout.split()
    return float(wall), float(cpu)


def main() -> None:
    """Run the rounds and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rounds", type=int, default=25)
    ask.add_argument("--quick", action="store_true", help="seven rounds")
    args = ask.parse_args()
    rounds = 7 if args.quick else args.rounds
    wall: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = folder
        for round_ in range(-1, rounds):
            for statement in STATEMENTS:
                seconds = import_once(statement, env)
                if round_ >= 0:
                    for kept, one in zip((wall, cpu), seconds, strict=True):
                        kept[statement].append(one)
    lines = [told(statement, statistics.median(wall[statement]), "s") for statement in STATEMENTS]
    lines.append(at_most(f"`{OURS}` against `{FLOOR}`, seconds", ratio(wall, OURS, FLOOR), MOST))
    lines.append(at_most(f"`{OURS}` against `{FLOOR}`, CPU", ratio(cpu, OURS, FLOOR), MOST))
    lines.append(told(f"`{ALL}` against `{FLOOR}`, CPU", ratio(cpu, ALL, FLOOR)))
    report("imports", lines, head=f"Fresh processes, {rounds} rounds, one after the other")


if __name__ == "__main__":
    main()
