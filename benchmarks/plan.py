"""How long is a million users × ten traits on the way from a Parquet file to the bytes of a push?

    python -m benchmarks.plan [--rows 1000000] [--rounds 3]

Prints seconds a step and their ratio to polars reading both files, all in one interleaved run.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

import pendosync as ps
from benchmarks.tables import FIELDS, change_some, make_users

MAPPING = ps.Mapping("visitor", id="user_id", traits=FIELDS)
TARGET = ps.Settings().target


def main() -> None:
    """Run the rounds and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rows", type=int, default=1_000_000)
    ask.add_argument("--rounds", type=int, default=3)
    args = ask.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        users = make_users(args.rows)
        users.write_parquet(f"{folder}/users.parquet")
        change_some(users).write_parquet(f"{folder}/before.parquet")
        seconds: dict[str, list[float]] = defaultdict(list)
        for _ in range(args.rounds):
            for name, took in one_round(Path(folder)).items():
                seconds[name].append(took)
    report(args.rows, seconds)


def one_round(folder: Path) -> dict[str, float]:
    """Return the seconds of each step, once."""
    took: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        made = step()
        took[name] = time.perf_counter() - began
        return made

    timed(
        "polars reads both files",
        lambda: [pl.read_parquet(folder / f"{n}.parquet") for n in ("users", "before")],
    )
    before = ps.map_traits(pl.scan_parquet(folder / "before.parquet"), MAPPING)
    values = timed("load and map", lambda: ps.map_traits(ps.load_table(folder / "users.parquet"), MAPPING))
    problems = timed("check", lambda: ps.check_values(values, mapping=MAPPING))
    clean = timed("drop blocked", lambda: ps.drop_blocked(values, problems))
    changes = timed("diff", lambda: ps.diff_values(clean, before=before, mapping=MAPPING))
    plan = timed("plan", lambda: ps.plan_changes(changes, mapping=MAPPING, target=TARGET, problems=problems))
    requests = timed("encode (dry run)", lambda: ps.dry_run(plan))
    assert requests["ids"].list.len().sum() == len(plan)
    timed("digest", lambda: plan.digest)
    assert len(plan.digest) == hashlib.sha256().digest_size * 2
    return took


def report(rows: int, seconds: dict[str, list[float]]) -> None:
    """Print the table and write build/bench/plan.json."""
    medians = {name: statistics.median(took) for name, took in seconds.items()}
    floor = medians["polars reads both files"]
    print(
        f"{rows:,} users × {len(FIELDS)} traits, polars {pl.__version__}; medians of {len(seconds['diff'])} rounds"
    )
    lines = []
    for name, median in medians.items():
        print(f"  {name:24} {median:7.2f} s   {median / floor:6.1f} × reading")
        lines.append(
            {"question": f"{name}, {rows} rows", "measured": round(median, 3), "target": None, "holds": True}
        )
    whole = sum(
        median for name, median in medians.items() if name not in ("polars reads both files", "digest")
    )
    print(
        f"  {'table to bytes':24} {whole:7.2f} s   {whole / floor:6.1f} × reading   {rows / whole:,.0f} rows/s"
    )
    lines.append(
        {
            "question": f"table to bytes, {rows} rows, seconds",
            "measured": round(whole, 3),
            "target": 10.0,
            "holds": whole <= 10,
        }
    )
    Path("build/bench").mkdir(parents=True, exist_ok=True)
    Path("build/bench/plan.json").write_text(json.dumps(lines, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
