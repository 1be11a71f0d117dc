"""What the peers' scripts share: their arguments, their clock, and the one line of JSON that they print.

Each script is run by a Python that has the peers and not pendosync, with this folder as its first place to import from:

    .venv-peers/bin/python benchmarks/peers/with_pandas.py http://127.0.0.1:8000 users.parquet 20000
"""

import argparse
import json
import threading
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import requests

PATH = "/api/v1/metadata/visitor/custom/value"
BATCH = 1_000
_own = threading.local()


def race(way: Callable[[argparse.Namespace], None], package: str, **options: Any) -> None:
    """Time *way* from reading the Parquet file to the last answer, and print rows, seconds, CPU seconds and version.

    Args:
        way: takes the arguments: `url` of the sink, `path` of the file, `rows` to push, and the options.
        package: whose version is told.
        options: further options of the command line, with their defaults.
    """
    ask = argparse.ArgumentParser()
    ask.add_argument("url")
    ask.add_argument("path")
    ask.add_argument("rows", type=int)
    ask.add_argument("--times", choices=("datetime", "text"), default="datetime")
    for name, default in options.items():
        ask.add_argument(f"--{name}", type=type(default), default=default)
    args = ask.parse_args()
    began, cpu = time.perf_counter(), time.process_time()
    way(args)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu
    told = {
        "rows": args.rows,
        "seconds": round(seconds, 4),
        "cpu_s": round(cpu_s, 4),
        "version": version(package),
    }
    print(json.dumps(told))


def tables(args: argparse.Namespace, size: int = BATCH) -> Iterator[pa.Table]:
    """Yield the first rows of the file, *size* at a time."""
    left = args.rows
    for batch in pq.ParquetFile(args.path).iter_batches(batch_size=size):
        table = pa.Table.from_batches([batch.slice(0, left)])
        yield with_texts(table) if args.times == "text" else table
        left -= batch.num_rows
        if left <= 0:
            return


def with_texts(table: pa.Table) -> pa.Table:
    """Return a table with its times as text: no documentation says so, but a time becomes a Python object slowly."""
    for at, column in enumerate(table.schema):
        if pa.types.is_timestamp(column.type):
            text = table[at].cast(pa.timestamp("ms")).cast(pa.string())
            text = pc.binary_join_element_wise(pc.replace_substring(text, " ", "T"), "Z", "")
            table = table.set_column(at, column.name, text)
    return table


def record(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row as Pendo's bulk write wants it; takes the id out of the row."""
    return {"visitorId": row.pop("user_id"), "values": row}


def post(url: str, body: bytes | str, path: str = PATH) -> None:
    """POST JSON on a connection that this thread keeps, and raise unless the answer is good."""
    session = getattr(_own, "session", None)
    if session is None:
        session = _own.session = requests.Session()
        session.trust_env = False  # spares it a look at the environment and .netrc with each request
    answer = session.post(url + path, data=body, headers={"Content-Type": "application/json"})
    answer.raise_for_status()
    answer.json()
