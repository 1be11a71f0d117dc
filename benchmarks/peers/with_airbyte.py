"""Airbyte: a destination of its CDK that buffers record messages and POSTs a thousand at a time.

The messages are handed to `write` as objects. An Airbyte connection pipes them as JSON lines from a source's process,
which costs more; that is left out in its favour.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson
from airbyte_cdk.destinations import Destination
from airbyte_cdk.models import (
    AirbyteConnectionStatus,
    AirbyteMessage,
    AirbyteRecordMessage,
    AirbyteStateMessage,
    AirbyteStateType,
    ConfiguredAirbyteCatalog,
    Status,
    Type,
)
from common import BATCH, post, race, record, tables


class BulkWrite(Destination):
    """The destination; confirms with a state message what was written."""

    def check(self, logger, config):
        return AirbyteConnectionStatus(status=Status.SUCCEEDED)

    def write(
        self,
        config: Mapping[str, Any],
        configured_catalog: ConfiguredAirbyteCatalog,
        input_messages: Iterable[AirbyteMessage],
    ) -> Iterator[AirbyteMessage]:
        buffer: list[dict[str, Any]] = []
        for message in input_messages:
            if message.type == Type.RECORD:
                buffer.append(record(message.record.data))
                if len(buffer) == BATCH:
                    post(config["url"], orjson.dumps(buffer))
                    buffer.clear()
            elif message.type == Type.STATE:
                if buffer:
                    post(config["url"], orjson.dumps(buffer))
                    buffer.clear()
                yield message


def messages(args) -> Iterator[AirbyteMessage]:
    now = int(time.time() * 1000)
    for batch in tables(args):
        for row in batch.to_pylist():
            yield AirbyteMessage(Type.RECORD, record=AirbyteRecordMessage("users", row, now))
    yield AirbyteMessage(Type.STATE, state=AirbyteStateMessage(AirbyteStateType.GLOBAL))


def push(args) -> None:
    catalog = ConfiguredAirbyteCatalog(streams=[])
    confirmed = list(BulkWrite().write({"url": args.url}, catalog, messages(args)))
    assert len(confirmed) == 1


race(push, "airbyte-cdk")
