"""How fast do changes become the bytes of requests, when only changed fields travel?

    python -m benchmarks.encode [--rows 200000] [--rounds 9] [--quick]

A row sends about half of its ten fields: all rows the same, one of eight patterns by chance, or each its own by
chance. The yardstick is polars writing the same frame with all its fields, as JSON in slices of a request's size.
Both run in one thread of Python. That batches are filled in the table's order, whatever the patterns, is looked at.
"""

from __future__ import annotations

import argparse
import io
import json
import random
from collections.abc import Iterator

import polars as pl

import pendosync as ps
from benchmarks.lines import Line, at_least, interleave, report, speed, told
from benchmarks.tables import FIELDS, make_users
from pendosync.wire import build_bodies, windows_of

BATCH = 1_000
MAPPING = ps.Mapping("visitor", id="user_id", traits=FIELDS)
WAYS = {"one pattern": (1, 0.6), "eight patterns": (8, 0.6), "random patterns": (None, 0.25)}
"""What is measured → how many patterns there are (any, if None), and the least speed."""


def make_plan(rows: int) -> ps.Plan:
    """Return a plan of so many visitors, of each of whom all ten fields change."""
    values = ps.map_traits(make_users(rows), MAPPING).with_columns(pl.col(FIELDS).backward_fill())
    changes = ps.diff_values(values, before=values.clear(), mapping=MAPPING)
    return ps.plan_changes(
        changes, mapping=MAPPING, target=ps.Settings().target, create="unknown_ids", batch_size=BATCH
    )


def with_patterns(plan: ps.Plan, n: int | None, *, seed: int = 6) -> ps.Plan:
    """Return the plan with about half of the fields changed in each row, in *n* ways; each row its own way if None."""
    drawn = random.Random(seed)
    rows = range(len(plan))
    if n is None:
        masks = [[drawn.random() < 0.5 for _ in rows] for _ in FIELDS]
    else:
        ways = [[drawn.random() < 0.5 for _ in FIELDS] for _ in range(n)]
        which = [drawn.randrange(n) for _ in rows]
        masks = [[ways[one][at] for one in which] for at in range(len(FIELDS))]
    changed = pl.DataFrame(dict(zip(FIELDS, masks, strict=True))).to_struct("changed")
    return plan.having(plan.changes.with_columns(changed))


def encode(plan: ps.Plan) -> int:
    """Encode all requests of a plan as a push does, and return how many bytes they are."""
    return sum(len(body) for body in _bodies(plan))


def _bodies(plan: ps.Plan) -> Iterator[bytes]:
    for step in plan.steps:
        for window in windows_of(step, plan.shape):
            yield from (body for *_, body in build_bodies(plan.parts, plan.shape, window))


def write_json(frame: pl.DataFrame) -> int:
    """Write a frame as JSON, a slice a request, and return how many bytes that is."""
    n_bytes = 0
    for part in frame.iter_slices(BATCH):
        text = io.BytesIO()
        part.write_json(text)
        n_bytes += len(text.getbuffer())
    return n_bytes


def keeps_order(plan: ps.Plan) -> bool:
    """Whether each request holds the plan's next thousand ids, in order."""
    ids = plan.changes["id"].to_list()
    sent = [[record["visitorId"] for record in json.loads(body)] for body in _bodies(plan)]
    return sent == [ids[at : at + BATCH] for at in range(0, len(ids), BATCH)]


def measure(rows: int, rounds: int) -> list[Line]:
    """Return the lines of the report."""
    plan = make_plan(rows)
    frame = plan.changes.select(pl.col("id").alias("visitorId"), pl.col("after").alias("values"))
    plans = {name: with_patterns(plan, n) for name, (n, _) in WAYS.items()}
    plans["all fields"] = plan
    seconds = interleave(
        {
            "write_json": lambda: write_json(frame),
            **{name: lambda one=one: encode(one) for name, one in plans.items()},
        },
        rounds=rounds,
    )
    lines = [
        at_least(f"{name}: speed, as a share of write_json's", speed(seconds, name, "write_json"), least)
        for name, (_, least) in WAYS.items()
    ]
    lines.append(
        told("all fields: speed, as a share of write_json's", speed(seconds, "all fields", "write_json"))
    )
    in_order = sum(keeps_order(one) for one in plans.values())
    lines.append(at_least("plans whose requests are filled in the table's order", in_order, len(plans)))
    best = {name: rows / min(took) for name, took in seconds.items()}
    return [*lines, *(told(f"{name}: rows a second", best[name], "rows/s") for name in best)]


def main() -> None:
    """Measure and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rows", type=int, default=200_000)
    ask.add_argument("--rounds", type=int, default=9)
    ask.add_argument("--quick", action="store_true", help="a quarter of the rows, three rounds")
    args = ask.parse_args()
    rows, rounds = (args.rows // 4, 3) if args.quick else (args.rows, args.rounds)
    lines = measure(rows, rounds)
    head = f"{rows:,} ids × {len(FIELDS)} fields, {BATCH:,} a request, polars {pl.__version__}; medians of {rounds} rounds"
    report("encode", lines, head=head)


if __name__ == "__main__":
    main()
