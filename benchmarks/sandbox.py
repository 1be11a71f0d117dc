"""How many bulk-written rows does the embedded Pendo take, and how fast does a push to it go?

    python -m benchmarks.sandbox [--rows 1000000] [--batch 1000] [--quick]

Prints rows per minute for plain POSTs over one connection, and for a whole push with journal and outcomes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl

import pendosync as ps
from benchmarks.lines import at_least, report


def main() -> None:
    """Run both and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rows", type=int, default=1_000_000)
    ask.add_argument("--batch", type=int, default=1_000)
    ask.add_argument("--quick", action="store_true", help="a fifth of the rows")
    args = ask.parse_args()
    args.rows = args.rows // 5 if args.quick else args.rows
    with ps.open_sandbox(visitors=0, keep_mb=1) as sandbox, tempfile.TemporaryDirectory() as folder:
        plan = a_plan(sandbox, args.rows, args.batch)
        plain_s = plain_posts(sandbox, plan)
        sandbox.reset()
        push_s, counts = whole_push(sandbox, plan, Path(folder))
    lines = [
        at_least("plain POSTs", args.rows / plain_s * 60, 1_000_000, "rows/min"),
        at_least("push with journal and outcomes", args.rows / push_s * 60, 1_000_000, "rows/min"),
    ]
    head = f"{args.rows:,} rows of four fields, {args.batch:,} a request; outcomes {counts}"
    report("sandbox", lines, head=head)


def a_plan(sandbox: ps.Sandbox, rows: int, batch: int) -> ps.Plan:
    """Return a plan that creates *rows* visitors."""
    table = pl.select(
        user_id=pl.format("v-{}", pl.int_range(rows)),
        plan=pl.lit("pro"),
        seats=pl.int_range(rows) % 500,
        score=pl.int_range(rows) / 8,
        trial=pl.int_range(rows) % 2 == 0,
    )
    mapping = ps.Mapping("visitor", "user_id", ["plan", "seats", "score", "trial"])
    values = ps.map_traits(table, mapping)
    changes = ps.diff_values(values, before=values.clear(), mapping=mapping)
    return ps.plan_changes(
        changes,
        mapping=mapping,
        target=sandbox.settings.target,
        create="unknown_ids",
        batch_size=batch,
        gates=ps.Gates(max_ids=None),
    )


def plain_posts(sandbox: ps.Sandbox, plan: ps.Plan) -> float:
    """Return the seconds of POSTing the plan's bodies one after the other."""
    bodies = ps.dry_run(plan)["body"].to_list()
    where = urlsplit(sandbox.url)
    headers = {"x-pendo-integration-key": sandbox.settings.secret("integration_key").reveal()}
    connection = HTTPConnection(where.hostname or "", where.port)
    began = time.perf_counter()
    for body in bodies:
        connection.request("POST", f"{where.path}{plan.shape.path}", body.encode(), headers)
        answer = connection.getresponse()
        assert json.loads(answer.read())["failed"] == 0
    connection.close()
    return time.perf_counter() - began


def whole_push(sandbox: ps.Sandbox, plan: ps.Plan, folder: Path) -> tuple[float, dict[str, int]]:
    """Return the seconds from `push` to the last outcome, and the outcomes' counts."""
    with ps.open_client(sandbox.settings) as client:
        began = time.perf_counter()
        run = ps.push(plan, client=client, journal=ps.open_journal(folder / "journal"), show=False)
        outcomes = run.wait()
        return time.perf_counter() - began, dict(outcomes["status"].value_counts().iter_rows())


if __name__ == "__main__":
    main()
