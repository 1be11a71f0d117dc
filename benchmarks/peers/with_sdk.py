"""Segment's and RudderStack's SDKs for Python: `identify` for each row, sent by the SDK's threads in batches of its size.

    with_sdk.py URL PATH ROWS --sdk segment --batch 100 --threads 1

`--batch 1` is one message a request. The queue is as long as the table, as both drop what finds it full; bodies are not
compressed, and the last batch waits for more for a tenth of a second in place of half of one.
"""

import sys

from common import race, tables

SDK = sys.argv[sys.argv.index("--sdk") + 1]
if SDK == "segment":
    from segment.analytics.client import Client

    PACKAGE = "segment-analytics-python"
else:
    from rudderstack.analytics.client import Client

    PACKAGE = "rudder-sdk-python"


def push(args) -> None:
    failed = []
    client = Client(
        "key",
        host=args.url,
        max_queue_size=args.rows + 1,
        upload_size=args.batch,
        upload_interval=0.1,
        thread=args.threads,
        gzip=False,
        on_error=lambda error, batch: failed.append(error),
    )
    for batch in tables(args):
        for row in batch.to_pylist():
            client.identify(row.pop("user_id"), row)
    client.flush()
    assert not failed, failed[0]


race(push, PACKAGE, sdk="segment", batch=100, threads=1)
