"""How many bulk-written rows does the embedded Pendo take, and how fast does a push to it go?

    python -m benchmarks.sandbox [--rows 1000000] [--batch 1000]

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


def main() -> None:
    """Run both and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rows", type=int, default=1_000_000)
    ask.add_argument("--batch", type=int, default=1_000)
    args = ask.parse_args()
    with ps.open_sandbox(visitors=0, keep_mb=1) as sandbox, tempfile.TemporaryDirectory() as folder:
        plan = a_plan(sandbox, args.rows, args.batch)
        plain_s = plain_posts(sandbox, plan)
        sandbox.reset()
        push_s, counts = whole_push(sandbox, plan, Path(folder))
    lines = [
        line("plain POSTs, rows a minute", args.rows / plain_s * 60, 1_000_000),
        line("push with journal and outcomes, rows a minute", args.rows / push_s * 60, 1_000_000),
    ]
    print(f"{args.rows:,} rows of four fields, {args.batch:,} a request; outcomes {counts}")
    for told in lines:
        print(f"  {told['question']:48} {told['measured']:14,.0f}   target {told['target']:,}")
    Path("build/bench").mkdir(parents=True, exist_ok=True)
    Path("build/bench/sandbox.json").write_text(json.dumps(lines, indent=1), encoding="utf-8")


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


def line(question: str, measured: float, target: int) -> dict[str, object]:
    """Return one line of the report."""
    return {"question": question, "measured": round(measured), "target": target, "holds": measured >= target}


if __name__ == "__main__":
    main()
