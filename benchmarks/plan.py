"""How long is a million users × ten traits on the way from a Parquet file to a plan, and to the bytes of a push?

    python -m benchmarks.plan [--rows 1000000] [--rounds 5] [--quick]

The floor is polars reading both Parquet files, the users and what is held of them, and joining them with `ne_missing`
over all columns, lazily or not, whichever is faster in this run. DuckDB's join with `IS DISTINCT FROM` and datacompy do
the same with as many threads, to a frame of polars; they are run by `.venv-peers`, and left out where there is none. None of them maps, checks
or plans. All rows differ; the held ones lie in another order. What is compared is timed in turn, in one run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

import pendosync as ps
from benchmarks.lines import Line, at_least, at_most, interleave, ratio, report, speed, told
from benchmarks.tables import FIELDS, change_some, make_users

MAPPING: Final = ps.Mapping("visitor", id="user_id", traits=FIELDS)
TARGET: Final = ps.Settings().target
PEERS: Final = Path(".venv-peers/bin/python")
SCRIPT: Final = Path(__file__).parent / "peers" / "plan_peers.py"
PLAN: Final = "from both files to a plan"
FLOORS: Final = ("polars, frame by frame", "polars, lazily")
OTHERS: Final = ("DuckDB", "datacompy")
INSIDE: Final = "DuckDB, a table of its own"


def main() -> None:
    """Run the rounds and print the table."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--rows", type=int, default=1_000_000)
    ask.add_argument("--rounds", type=int, default=5)
    ask.add_argument("--quick", action="store_true", help="100,000 rows, 3 rounds")
    ask.add_argument("--peers", type=Path, default=PEERS, help="the Python that has DuckDB and datacompy")
    args = ask.parse_args()
    rows, rounds = (100_000, 3) if args.quick else (args.rows, args.rounds)
    lines = measure(rows, rounds=rounds, peers=args.peers)
    head = f"{rows:,} users × {len(FIELDS)} traits, polars {pl.__version__}, {pl.thread_pool_size()} threads"
    report("plan", lines, head=f"{head}; medians of {rounds} rounds")


def measure(rows: int, *, rounds: int, peers: Path) -> list[Line]:
    """Return the lines of one run; without *peers* those of the others are left out."""
    with tempfile.TemporaryDirectory() as folder:
        users, held = Path(folder) / "users.parquet", Path(folder) / "held.parquet"
        table = make_users(rows)
        table.write_parquet(users)
        ps.map_traits(change_some(table).sample(fraction=1, shuffle=True, seed=1), MAPPING).write_parquet(
            held
        )
        del table
        steps: dict[str, list[float]] = defaultdict(list)
        others: dict[str, list[float]] = defaultdict(list)
        columns = ["id", *FIELDS]
        ways: dict[str, Callable[[], Any]] = {
            "polars reads both": lambda: (pl.read_parquet(users), pl.read_parquet(held, columns=columns)),
            FLOORS[0]: lambda: find_changed(pl.read_parquet(users), pl.read_parquet(held, columns=columns)),
            FLOORS[1]: lambda: find_changed(pl.scan_parquet(users), pl.scan_parquet(held).select(columns)),
            PLAN: lambda: plan_files(users, held, steps),
        }
        if peers.exists():
            ways["both"] = lambda: ask_others(peers, users, held, rows, others)
        else:
            print(f"DuckDB and datacompy are left out: {peers} is not there.")
        seconds = interleave(ways, rounds=rounds)
        plan = plan_files(users, held, defaultdict(list))
    last = interleave(
        {"encode (dry run)": lambda: ps.dry_run(plan), "digest": lambda: replace(plan).digest}, rounds=rounds
    )
    timed = {**seconds, **{name: took[-rounds:] for name, took in others.items()}}
    return [*_seconds({**{name: took[-rounds:] for name, took in steps.items()}, **last}), *_compared(timed)]


def find_changed(users: Any, held: Any) -> int:
    """Return how many of *users* differ from what is *held*, once they are in memory with it: two frames, lazy or not."""
    joined = users.join(held, left_on="user_id", right_on="id", how="left", suffix="_before")
    differs = [pl.col(name).ne_missing(pl.col(f"{name}_before")) for name in FIELDS]
    return int(joined.filter(pl.any_horizontal(differs)).lazy().collect().height)


def plan_files(users: Path, held: Path, steps: AbstractMapping[str, list[float]]) -> ps.Plan:
    """Return the plan of both files, and add the seconds of each step to *steps*."""

    def timed(name: str, step: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        made = step()
        steps[name].append(time.perf_counter() - began)
        return made

    before = timed("read what is held", lambda: pl.read_parquet(held))
    values = timed("load and map", lambda: ps.map_traits(ps.load_table(users), MAPPING))
    problems = timed("check", lambda: ps.check_values(values, mapping=MAPPING))
    clean = timed("drop blocked", lambda: ps.drop_blocked(values, problems))
    changes = timed("diff", lambda: ps.diff_values(clean, before=before, mapping=MAPPING))
    plan: ps.Plan = timed(
        "plan", lambda: ps.plan_changes(changes, mapping=MAPPING, target=TARGET, problems=problems)
    )
    assert len(plan) == values.height
    return plan


def ask_others(
    python: Path, users: Path, held: Path, rows: int, seconds: AbstractMapping[str, list[float]]
) -> None:
    """Add the seconds that DuckDB and datacompy take, each in a process of its own and warm, to *seconds*."""
    command = [python, SCRIPT, users, held, "--threads", str(pl.thread_pool_size())]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    answer = json.loads(done.stdout.splitlines()[-1])
    assert set(answer["rows"].values()) == {rows}, answer
    for name in (*OTHERS, INSIDE):
        seconds[name].append(answer["seconds"][name])


def _seconds(steps: AbstractMapping[str, Sequence[float]]) -> Iterator[Line]:
    for name, took in steps.items():
        yield told(name, statistics.median(took), "s")


def _compared(seconds: AbstractMapping[str, Sequence[float]]) -> Iterator[Line]:
    ways = [way for way in ("polars reads both", *FLOORS, *OTHERS, INSIDE, PLAN) if way in seconds]
    yield from _seconds({way: seconds[way] for way in ways})
    for way in FLOORS:
        yield at_most(f"{PLAN}, × {way}", ratio(seconds, PLAN, way), 3)
    for way in OTHERS:
        if way in seconds:
            yield at_least(f"{PLAN}: speed, × {way}", speed(seconds, PLAN, way), 1)
    if INSIDE in seconds:
        yield told(f"{PLAN}: speed, × {INSIDE}", speed(seconds, PLAN, INSIDE))


if __name__ == "__main__":
    main()
