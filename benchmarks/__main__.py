"""The benchmarks: which there are, all of them in a row, and whether what was promised holds.

python -m benchmarks                     # the list
python -m benchmarks --all [--quick]     # run each, then plot and check
python -m benchmarks --check             # what falls short of what build/bench/*.json were to reach; 1 if anything
python -m benchmarks --table             # the promises as a Markdown table, with the machine
python -m benchmarks --plot              # pictures, into build/bench/ and docs/pictures/
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.lines import FOLDER
from benchmarks.reading import ReadingError, Told, check, file_of, list_benchmarks, markdown, read_all

ROOT: Final = Path(__file__).parent.parent
PICTURES: Final = ROOT / "docs" / "pictures"
ORDER: Final = (
    *("imports", "encode", "plan", "push", "webhook", "memory", "pacing", "kernel"),
    *("preview", "sandbox", "messages", "scale"),
)
"""What `--all` runs. `faults` takes long and has a target of its own: `make faults`."""

_BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")


def main() -> int:
    """Do what the options say; return the exit code."""
    ask = argparse.ArgumentParser(prog="python -m benchmarks", description="The benchmarks.")
    what = ask.add_mutually_exclusive_group()
    what.add_argument("--all", action="store_true", help="run each, then plot and check")
    what.add_argument(
        "--check", action="store_true", help="say what falls short; ends with 1 if anything does"
    )
    what.add_argument("--table", action="store_true", help="print what was promised as a Markdown table")
    what.add_argument(
        "--plot", action="store_true", help="draw pictures into build/bench/ and docs/pictures/"
    )
    ask.add_argument("--quick", action="store_true", help="with --all: less of each")
    args = ask.parse_args()
    try:
        if args.all:
            return run_all(quick=args.quick)
        if args.check or args.table or args.plot:
            return tell(tell_check if args.check else tell_table if args.table else tell_plots)
    except ReadingError as error:
        print(error, file=sys.stderr)
        return 1
    for name, told in list_benchmarks(ROOT / "benchmarks").items():
        print(f"  {name:10} {told}")
    return 0


def tell(*ways: Callable[[Told], bool]) -> int:
    """Tell what is in build/bench/ in one or more ways; return 1 where one of them says no, or a file is damaged.

    Raises:
        ReadingError: there is nothing.
    """
    told, damaged = read_all(FOLDER)
    for error in damaged:
        print(error, file=sys.stderr)
    answers = [way(told) for way in ways]
    return 0 if all(answers) and not damaged else 1


def run_all(*, quick: bool) -> int:
    """Run each benchmark in a process of its own, one after the other; then plot and check. Return the exit code."""
    there = list_benchmarks(ROOT / "benchmarks")
    failed = []
    for name in (name for name in ORDER if name in there):
        if name == "preview" and not any(shutil.which(browser) for browser in _BROWSERS):
            print("\npreview: left out, no Chromium on the PATH. Hint: bash .ci/chromium")
            continue
        print(f"\n{name}: {there[name]}", flush=True)
        file_of(FOLDER, name).unlink(missing_ok=True)  # what is checked below was measured now
        if run_one(name, quick=quick) != 0:
            failed.append(name)
    print()
    code = tell(tell_plots, tell_check)
    if failed:
        print(f"Ended with an error: {', '.join(failed)}.")
    return 1 if failed else code


def run_one(name: str, *, quick: bool) -> int:
    """Run one benchmark as it is run by hand, and return its exit code."""
    knows_quick = '"--quick"' in (ROOT / "benchmarks" / f"{name}.py").read_text(encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *(["--quick"] if quick and knows_quick else [])],
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    ).returncode


def tell_check(told: Told) -> bool:
    """Print what falls short, or that all holds; return whether it does."""
    holds, sentences = check(told)
    print("\n".join(sentences))
    return holds


def tell_table(told: Told) -> bool:
    """Print what was promised as a Markdown table."""
    print(markdown(told, ORDER))
    return True


def tell_plots(told: Told) -> bool:
    """Draw the pictures, and print where they are; return whether they could be drawn."""
    try:
        from benchmarks.plots import draw_all
    except ImportError as error:
        print(f"No pictures: {error}. Expected altair and vl-convert-python. Hint: make .venv/.bench")
        return False
    for path in draw_all(told, [FOLDER]):
        if path.suffix == ".svg":  # which the documents show; the other is ten times as large
            shutil.copy(path, PICTURES)
        print(path)
    return True


if __name__ == "__main__":
    sys.exit(main())
