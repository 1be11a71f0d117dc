"""Does a table of any size plan in the same memory, and do workers lose nothing against one process?

    python -m benchmarks.scale [--rows 100000 1000000 …] [--workers 1 2 4] [--rounds 3] [--quick]

Each size is a folder of Parquet files of a million rows × ten traits at most, and another of what Pendo holds; all rows
change. It is planned in parts, dry-run to a folder and, up to ten million rows, pushed to a sink, each in a process of its
own; the peak is the most that process held (as in `benchmarks.memory`), or the largest of the workers. Planning by an
engine's workers, and by the one process, takes turns on a table of three million rows, with an engine that runs already.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

import pendosync as ps
from benchmarks.lines import Line, at_least, at_most, interleave, report, speed, told
from benchmarks.memory import GATES, MAPPING, ROOT, peak_mb
from benchmarks.ours import settings_for
from benchmarks.sink import Sink, open_sink
from benchmarks.tables import FIELDS, TYPES, change_some, make_users
from pendosync.buckets import bucket_of, write_run

SIZES: Final = (100_000, 1_000_000, 10_000_000, 50_000_000)
QUICK: Final = SIZES[:2]
WORKERS: Final = (1, 2, 4)
MILLION: Final = 1_000_000
MOST_PUSHED: Final = 10_000_000
BY_WORKERS: Final = 3 * MILLION
"""Rows of the table that workers plan: twelve parts."""

AT: Final = datetime(2026, 11, 26, tzinfo=UTC)
DEEDS: Final = ("plan", "dry run", "push")


def main() -> None:
    """Measure each size and the workers; or, started by itself, do one thing and print what it took."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--rows", type=int, nargs="+", default=SIZES)
    ask.add_argument("--workers", type=int, nargs="*", default=WORKERS)
    ask.add_argument("--rounds", type=int, default=3, help="plans by each number of workers")
    ask.add_argument("--quick", action="store_true", help="up to a million rows")
    ask.add_argument("--one", nargs=3, metavar=("DEED", "FOLDER", "PORT"), help=argparse.SUPPRESS)
    args = ask.parse_args()
    if args.one:
        print(json.dumps(do_one(args.one[0], Path(args.one[1]), Sink(int(args.one[2])))))
        return
    lines = measure(QUICK if args.quick else args.rows, args.workers, rounds=args.rounds)
    report("scale", lines, head=f"A plan in parts, {len(FIELDS)} traits, polars {pl.__version__}")


def measure(sizes: Sequence[int], workers: Sequence[int], *, rounds: int) -> list[Line]:
    """Return the lines of all sizes, then of the workers; prints each size as it is known."""
    told_of: dict[int, dict[str, dict[str, float]]] = {}
    lines: list[Line] = []
    print(f"{'rows':>11} " + " ".join(f"{deed:>9} {'rows/s':>9} {'peak MB':>8}" for deed in DEEDS))
    for rows in sizes:
        with tempfile.TemporaryDirectory() as name, open_sink(TYPES) as sink:
            folder = Path(name)
            make_tables(folder, rows)
            deeds = DEEDS if rows <= MOST_PUSHED else DEEDS[:2]
            told_of[rows] = {deed: in_process(deed, folder, sink) for deed in deeds}
            print(f"{rows:>11,} " + " ".join(_shown(one, rows) for one in told_of[rows].values()), flush=True)
    if workers:
        rows = min(BY_WORKERS, max(sizes))
        with tempfile.TemporaryDirectory() as name, open_sink(TYPES) as sink:
            make_tables(Path(name), rows)
            lines += list(of_workers(Path(name), rows, workers, sink, rounds=rounds))
    return [*of_sizes(told_of), *lines, *of_many_parts()]


def of_many_parts() -> Iterator[Line]:
    """Yield how fast rows are set aside where the parts are those of a billion rows: 4,000."""
    for n_rows in (250_000, 1_000_000):
        users = make_users(n_rows)
        for n_parts in (40, 4_000):
            with tempfile.TemporaryDirectory() as folder:
                began = time.perf_counter()
                parts = bucket_of(users["user_id"], n_parts)
                write_run(Path(folder) / "0.run", users, parts, n_parts)
                took_s = time.perf_counter() - began
                n_bytes = size_of(Path(folder))
            what = f"a run of {n_rows:,} rows into {n_parts:,} parts"
            yield told(f"{what}, set aside", n_rows / took_s, "rows/s")
            yield told(f"{what}, on the disk", n_bytes / n_rows, "bytes a row")


def make_tables(folder: Path, rows: int) -> None:
    """Write *rows* users, and what is held of them in another order, to files of a million rows at most."""
    for name in ("users", "held"):
        (folder / name).mkdir()
    users = make_users(min(rows, MILLION))
    held = ps.map_traits(change_some(users).sample(fraction=1, shuffle=True, seed=1), MAPPING)
    for first in range(0, rows, MILLION):
        n, number = min(MILLION, rows - first), first // MILLION
        for name, frame, id_ in (("users", users, "user_id"), ("held", held, "id")):
            moved = pl.format("u-{}", pl.col(id_).str.strip_prefix("u-").cast(pl.Int64) + first).alias(id_)
            frame.head(n).with_columns(moved).write_parquet(folder / name / f"{number:04}.parquet")


def in_process(deed: str, folder: Path, sink: Sink) -> dict[str, float]:
    """Return what one thing took, in a new process."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.scale",
        "--one",
        deed,
        str(folder),
        sink.url.rpartition(":")[2],
    ]
    done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def do_one(deed: str, folder: Path, sink: Sink) -> dict[str, float]:
    """Plan the tables in *folder*, or dry-run or push that plan, and return seconds and peak."""
    with ps.open_client(settings_for(sink, at_once=8)) as client:
        began, found = time.perf_counter(), {}
        if deed == "plan":
            with watched(folder / "plan.work") as most:
                plan_tables(folder, client, folder / "plan")
            found = {"work_mb": most[0] / 1e6, "plan_mb": size_of(folder / "plan") / 1e6}
        elif deed == "dry run":
            ps.dry_run(ps.load_plan(folder / "plan"), folder=folder / "requests")
            shutil.rmtree(folder / "requests")
        else:
            push_plan(ps.load_plan(folder / "plan"), client, folder / "journal")
        return {"seconds": time.perf_counter() - began, "peak_mb": peak_mb(), **found}


@contextmanager
def watched(folder: Path) -> Iterator[list[int]]:
    """The most bytes that *folder* holds during a block, known after it."""
    most, is_over = [0], threading.Event()

    def look() -> None:
        while not is_over.wait(0.2):
            most[0] = max(most[0], size_of(folder))

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    yield most
    is_over.set()
    watcher.join()


def size_of(folder: Path) -> int:
    """Return the bytes of all files below *folder*; of one that goes meanwhile none."""
    sizes = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            sizes += path.stat().st_size if path.is_file() else 0
    return sizes


def plan_tables(folder: Path, client: ps.Client, to: Path, engine: Any = None) -> ps.Plan:
    """Return the plan of the tables in *folder*, in parts."""
    return ps.plan_table(
        ps.load_table(folder / "users"),
        MAPPING,
        client=client,
        before=pl.scan_parquet(folder / "held"),
        planned_at=AT,
        gates=GATES,
        folder=to,
        engine=engine,
    )


def push_plan(plan: ps.Plan, client: ps.Client, journal: Path) -> None:
    """Push *plan*, and count what became of its ids a part at a time."""
    run = ps.push(plan, client=client, journal=ps.open_journal(journal), show=False)
    outcomes = run.wait(lazy=True).group_by("status").len().collect()
    assert outcomes.rows() == [("updated", len(plan))], outcomes


def of_workers(folder: Path, rows: int, workers: Sequence[int], sink: Sink, *, rounds: int) -> Iterator[Line]:
    """Yield how fast so many workers plan against the one process, taken in turn; each plan's digest is the same."""
    digests: set[str] = set()
    names = {n: f"{n} worker{'s' if n > 1 else ''}" for n in workers}
    with ps.open_client(settings_for(sink, at_once=8)) as client:

        def plan(engine: Any = None) -> None:
            digests.add(plan_tables(folder, client, folder / "again", engine).digest)
            shutil.rmtree(folder / "again")

        for n, name in names.items():
            with ps.open_engine(workers=n) as engine:
                ways = {"one process": plan, name: lambda engine=engine: plan(engine)}
                seconds = interleave(ways, rounds=rounds)
                peak = max(engine.map(peak_of_worker, range(8 * n)))
            yield told(f"{name}, {rows:,} rows planned", rows / statistics.median(seconds[name]), "rows/s")
            yield told(f"the largest peak of {name}, {rows:,} rows planned", peak, "MB")
            how = f"{name} v. one process, {rows:,} rows planned"
            measured = speed(seconds, name, "one process")
            yield at_least(how, measured, 0.85) if n == 2 else told(how, measured)
    yield at_most("different digests of one table's plan, by the process and by workers", len(digests), 1)


def peak_of_worker(_: int) -> float:
    """Return the most memory that the worker held which does this; long enough that each of them does."""
    time.sleep(0.1)
    return peak_mb()


def of_sizes(told_of: dict[int, dict[str, dict[str, float]]]) -> Iterator[Line]:
    """Yield rows a second and peak of each size, and how the peak grows."""
    for rows, deeds in told_of.items():
        for deed, took in deeds.items():
            yield told(f"{deed}, {rows:,} rows", rows / took["seconds"], "rows/s")
            question = f"peak memory of the {deed}, {rows:,} rows"
            is_promised = deed == "plan" and rows == 10 * MILLION
            yield (
                at_most(question, took["peak_mb"], 3_000, "MB")
                if is_promised
                else told(question, took["peak_mb"], "MB")
            )
        plan = deeds["plan"]
        yield told(f"the plan on the disk, {rows:,} rows", plan["plan_mb"] * 1e6 / rows, "bytes a row")
        yield told(
            f"the most on the disk while planning, {rows:,} rows", plan["work_mb"] * 1e6 / rows, "bytes a row"
        )
    least = told_of.get(MILLION, {})
    for rows in (rows for rows in told_of if rows > MILLION):
        for deed, took in told_of[rows].items():
            growth = took["peak_mb"] / least[deed]["peak_mb"]
            yield at_most(f"peak of the {deed}, {rows:,} rows v. a million", growth, 4 / 3)


def _shown(took: dict[str, float], rows: int) -> str:
    return f"{took['seconds']:>8.1f}s {rows / took['seconds']:>9,.0f} {took['peak_mb']:>8,.0f}"


if __name__ == "__main__":
    main()
