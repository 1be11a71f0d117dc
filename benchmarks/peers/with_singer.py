"""Singer: a target of Meltano's SDK with a BatchSink, fed with Singer messages as a tap writes them.

Its check of each record against the schema is turned off, as its setting `validate_records` allows.
"""

import io
import logging

import orjson
from common import BATCH, post, race, record, tables
from singer_sdk import Target
from singer_sdk import typing as th
from singer_sdk.contrib.msgspec import MsgSpecReader
from singer_sdk.sinks import BatchSink

SCHEMA = th.PropertiesList(
    *(
        th.Property(name, kind)
        for kind, names in (
            (th.StringType, ("user_id", "plan", "region", "email")),
            (th.IntegerType, ("seats", "logins")),
            (th.NumberType, ("score", "mrr")),
            (th.BooleanType, ("trial",)),
            (th.DateTimeType, ("since", "seen")),
        )
        for name in names
    )
).to_dict()


class BulkWrite(BatchSink):
    """POSTs a thousand records at a time."""

    max_size = BATCH

    def process_batch(self, context) -> None:
        post(self.config["url"], orjson.dumps([record(row) for row in context["records"]], default=float))


class Push(Target):
    """The target."""

    name = "target-bulk-write"
    config_jsonschema = th.PropertiesList(th.Property("url", th.StringType)).to_dict()
    default_sink_class = BulkWrite
    message_reader_class = MsgSpecReader


def lines(args):
    """Yield what a tap writes, a line a message."""
    schema = {"type": "SCHEMA", "stream": "users", "schema": SCHEMA, "key_properties": ["user_id"]}
    yield orjson.dumps(schema).decode()
    for batch in tables(args):
        for row in batch.to_pylist():
            yield orjson.dumps({"type": "RECORD", "stream": "users", "record": row}).decode()


class Pipe(io.TextIOBase):
    """The tap's end of the pipe, in this process."""

    def __init__(self, args) -> None:
        self._lines = lines(args)

    def __next__(self) -> str:
        return next(self._lines)


def push(args) -> None:
    target = Push(config={"url": args.url, "validate_records": False})
    target.listen(Pipe(args))


logging.disable(logging.INFO)
race(push, "singer-sdk")
