"""The least that a server can be: it counts requests, bytes and records, and answers as Pendo and Segment do.

    with open_sink() as sink:
        sink.settle(latency_s=0.05)
        …                             # anything that POSTs to sink.url
        sink.counts()                 # Counts(requests=…, n_bytes=…, records=…)

It runs in a process of its own, so that it takes none of the time of what is measured but its share of the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Final
from urllib.parse import urlsplit

_RECORDS: Final = (b'"visitorId"', b'"userId"')
"""Each record or message has one of them once."""

_HEAD: Final = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


class _Sink:
    """What came so far, and how long an answer takes."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = fields
        self.requests = self.n_bytes = self.records = 0
        self.latency_s = 0.0

    def take(self, head: bytes, body: bytes | bytearray) -> tuple[bytes, float]:
        """Return the answer to a request and the seconds until it is to be sent."""
        path = head[head.index(b" ") + 1 : head.index(b" ", 9)]
        if path.startswith(b"/_sink/"):
            return _answer(self._ask(path[7:].decode())), 0.0
        records = sum(body.count(name) for name in _RECORDS)
        self.requests += 1
        self.n_bytes += len(body)
        self.records += records
        if path.startswith(b"/api/v1/metadata/schema/"):
            told: object = {"custom": {name: {"Type": kind} for name, kind in self.fields.items()}}
        elif path.startswith(b"/api/v1/metadata/"):
            told = {"total": records, "updated": records, "failed": 0, "missing": [], "errors": []}
        else:
            told = {"success": True, "valid": True, "writeAccess": True}
        return _answer(told), self.latency_s

    def _ask(self, question: str) -> dict[str, float]:
        verb, _, value = question.partition("/")
        if verb == "latency":
            self.latency_s = float(value)
        told = {"requests": self.requests, "n_bytes": self.n_bytes, "records": self.records}
        if verb == "reset":
            self.requests = self.n_bytes = self.records = 0
        return told


def _answer(told: object) -> bytes:
    body = json.dumps(told).encode()
    return _HEAD.format(len(body)).encode() + body


class _Connection(asyncio.Protocol):
    """One keep-alive connection of HTTP/1.1, without chunked bodies but those that it must read."""

    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._got = bytearray()
        self._needed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        while len(self._got) >= self._needed and self._take_one():
            pass

    def _take_one(self) -> bool:
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._got[:end])
        length = _length_in(head)
        if length is None:
            return self._take_chunked(head, end + 4)
        self._needed = end + 4 + length
        if len(self._got) < self._needed:
            if b"100-continue" in head.lower():
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return False
        body = self._got[end + 4 : self._needed]
        del self._got[: self._needed]
        self._needed = 0
        self._reply(head, body)
        return bool(self._got)

    def _take_chunked(self, head: bytes, at: int) -> bool:
        body = bytearray()
        while (end := self._got.find(b"\r\n", at)) >= 0:
            size = int(bytes(self._got[at:end]).split(b";")[0], 16)
            if len(self._got) < end + 2 + size + 2:
                return False
            body += self._got[end + 2 : end + 2 + size]
            at = end + 2 + size + 2
            if not size:
                del self._got[:at]
                self._reply(head, body)
                return bool(self._got)
        return False

    def _reply(self, head: bytes, body: bytearray) -> None:
        answer, wait_s = self._sink.take(head, body)
        if wait_s:
            asyncio.get_running_loop().call_later(wait_s, self._transport.write, answer)
        else:
            self._transport.write(answer)


def _length_in(head: bytes) -> int | None:
    """Return the length of the body, or None where it comes in chunks."""
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        return None if b"\r\ntransfer-encoding:" in lower else 0
    end = lower.find(b"\r\n", at + 2)
    return int(lower[at + 17 : end if end > 0 else None])


@dataclass(frozen=True, slots=True)
class Counts:
    """What a sink took: requests, bytes of their bodies, and records or messages in them."""

    requests: int
    n_bytes: int
    records: int


class Sink:
    """A handle on a sink that runs. Made by `open_sink`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def counts(self) -> Counts:
        """Return what came since the last time, and begin to count anew."""
        told = self._ask("reset")
        return Counts(int(told["requests"]), int(told["n_bytes"]), int(told["records"]))

    def settle(self, *, latency_s: float) -> None:
        """Answer each request after so many seconds from now on."""
        self._ask(f"latency/{latency_s}")

    def _ask(self, question: str) -> dict[str, float]:
        where = urlsplit(self.url)
        connection = HTTPConnection(where.hostname or "", where.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", f"/_sink/{question}")
            told: dict[str, float] = json.loads(connection.getresponse().read())
            return told


@contextlib.contextmanager
def open_sink(fields: Mapping[str, str] | None = None) -> Iterator[Sink]:
    """A sink on a free port of this machine, for the length of a block.

    Args:
        fields: the fields that it says it has, each with its type in Pendo's words.
    """
    command = [sys.executable, __file__, json.dumps(fields or {})]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        yield Sink(int(process.stdout.readline()))
    finally:
        process.stdin.close()  # which also ends it where this process was killed
        process.wait(10)
        process.stdout.close()


async def _serve() -> None:
    sink, loop = _Sink(json.loads(sys.argv[1])), asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(sink), "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
