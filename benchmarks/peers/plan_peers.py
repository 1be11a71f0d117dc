"""What others take to find the rows that differ: run by the Python of `.venv-peers`, by `python -m benchmarks.plan`.

    plan_peers.py users.parquet held.parquet [--threads 2]

Prints a line of JSON: way → seconds from both files to the changed rows in memory, after imports and one run that isn't
timed. Neither maps, checks nor plans.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable


def main() -> None:
    """Run each way and print its seconds."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("users", help="id in user_id, then the fields")
    ask.add_argument("held", help="id, and the same fields")
    ask.add_argument("--threads", type=int, default=2)
    args = ask.parse_args()
    os.environ["POLARS_MAX_THREADS"] = str(args.threads)
    ways = {
        "DuckDB": by_duckdb(args.users, args.held, args.threads),
        "DuckDB, a table of its own": by_duckdb(args.users, args.held, args.threads, keeps=True),
        "datacompy": by_datacompy(args.users, args.held),
    }
    seconds, rows = {}, {}
    for name, way in ways.items():
        way()
        began = time.perf_counter()
        rows[name] = way()
        seconds[name] = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "rows": rows}))


def by_duckdb(users: str, held: str, threads: int, *, keeps: bool = False) -> Callable[[], int]:
    """Return a join with `IS DISTINCT FROM` that gives a frame of polars, or, with *keeps*, a table of DuckDB's own."""
    import duckdb

    db = duckdb.connect(config={"threads": threads})
    fields = [
        name for name, *_ in db.sql(f"DESCRIBE SELECT * FROM '{users}'").fetchall() if name != "user_id"
    ]
    both = ", ".join(f'held."{name}" AS "{name}_before"' for name in fields)
    differs = " OR ".join(f'users."{name}" IS DISTINCT FROM held."{name}"' for name in fields)
    query = (
        f"SELECT users.*, {both} FROM '{users}' AS users LEFT JOIN '{held}' AS held ON users.user_id = held.id "
        f"WHERE {differs}"
    )

    def find() -> int:
        if not keeps:
            return int(db.sql(query).pl().height)
        db.execute(f"CREATE OR REPLACE TEMP TABLE changed AS {query}")
        return int(db.execute("SELECT count(*) FROM changed").fetchone()[0])

    return find


def by_datacompy(users: str, held: str) -> Callable[[], int]:
    """Return datacompy's comparison of two frames of polars, and the rows of its mismatches, as its docs show."""
    import datacompy
    import polars as pl

    def find() -> int:
        table, before = pl.read_parquet(users), pl.read_parquet(held)
        before = before.rename({"id": "user_id"}).select(table.columns)
        compared = datacompy.PolarsCompare(table, before, join_columns="user_id")
        return int(compared.all_mismatch().height)

    return find


if __name__ == "__main__":
    sys.exit(main())
