"""dlt: a custom destination, which is its way to push rows to an API, fed with Arrow tables or with pages of dicts.

Its files are cut so that several load jobs run at once, as its page on performance says.
"""

import os
import tempfile

os.environ.update(
    {
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
        "NORMALIZE__DATA_WRITER__FILE_MAX_ITEMS": "50000",
        "LOAD__WORKERS": "8",
    }
)

import dlt
from common import BATCH, post, race, record, tables
from dlt.common.json import json


def push(args) -> None:
    is_arrow = args.feed == "arrow"

    @dlt.destination(
        batch_size=BATCH,
        loader_file_format="parquet" if is_arrow else "typed-jsonl",
        name="bulk_write",
        loader_parallelism_strategy="parallel",
    )
    def bulk_write(items, table) -> None:
        rows = items.to_pylist() if is_arrow else items
        post(args.url, json.dumpb([record(row) for row in rows]))

    @dlt.resource(name="users")
    def users():
        if is_arrow:
            yield from tables(args, 50_000)
        else:
            for batch in tables(args, 5_000):
                yield batch.to_pylist()

    with tempfile.TemporaryDirectory() as folder:
        pipeline = dlt.pipeline("bench", destination=bulk_write, pipelines_dir=folder)
        pipeline.run(users()).raise_on_failed_jobs()


race(push, "dlt", feed="arrow")
