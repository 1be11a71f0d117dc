"""How an answer goes onto the wire: plain, or in the manner that a fault asked for."""

from __future__ import annotations

import asyncio
import gzip
import os
import socket
import struct
import zlib
from collections.abc import Mapping
from http.client import responses
from typing import Final

from tornado.http1connection import HTTP1Connection
from tornado.httputil import HTTPHeaders, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError

from pendosync.sandbox.exchange import Answer, Manner

_NO_PACK: Final = b"not packed: "
"""Begins what is called gzip or deflate and is neither; no decoder takes it."""

_INTERIM_HEADERS: Final[Mapping[int, Mapping[str, str]]] = {103: {"Link": "</hint>; rel=preload"}}
_LINGER_NO_TIME: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


def send(connection: HTTP1Connection, answer: Answer) -> None:
    """Send *answer* plain, whole and at once."""
    headers = HTTPHeaders({**answer.headers, "Content-Length": str(len(answer.body))})
    line = ResponseStartLine("HTTP/1.1", answer.status, _reason(answer.status))
    connection.write_headers(line, headers, answer.body)
    connection.finish()


async def deliver(connection: HTTP1Connection, answer: Answer) -> None:
    """Send *answer* in its manner; a client that leaves meanwhile does no harm."""
    if answer.manner is None:
        send(connection, answer)
        return
    try:
        for step in steps(answer, answer.manner):
            if isinstance(step, bytes):
                await connection.stream.write(step)
            else:
                await asyncio.sleep(step)
    except StreamClosedError:
        return
    if _is_cut_off(answer.manner):
        _close(connection.stream, with_reset=answer.manner.reset)
    else:
        connection.finish()


def steps(answer: Answer, manner: Manner) -> list[bytes | float]:
    r"""Return what happens on the wire: bytes to send, and seconds of silence.

    Example:
        >>> steps(Answer(200, b"{}"), Manner(cut="mid_body", stall="headers", stall_s=2.0))
        [b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n', 2.0, b'{']
    """
    head, body = _wrapped(answer, manner)
    whole = head + body
    points = {"start": 0, "headers": len(head), "mid_body": len(head) + len(body) // 2}
    end = len(whole) if manner.cut is None else points[manner.cut]
    if manner.stall is None:
        return [whole[:end]]
    # without a body, silence before the headers' last byte is the only one that a client can notice
    halt = min(points[manner.stall], end, len(whole) - 1)
    return [whole[:halt], manner.stall_s, whole[halt:end]]


def _wrapped(answer: Answer, manner: Manner) -> tuple[bytes, bytes]:
    """Return all that comes before the body, and the body."""
    headers, body = dict(answer.headers), answer.body
    if manner.encoding in ("gzip", "deflate"):
        headers["Content-Encoding"] = manner.encoding
        packed = gzip.compress(body, mtime=0) if manner.encoding == "gzip" else zlib.compress(body)
        body = _NO_PACK + body if manner.broken else packed
    if manner.encoding == "chunked":
        headers["Transfer-Encoding"] = "chunked"
        body = _chunked(body, is_ended=not manner.broken)
    else:
        headers["Content-Length"] = str(len(body) + _is_short(manner, body))
    interim = b""
    if manner.interim is not None:
        interim = _head(manner.interim, _INTERIM_HEADERS.get(manner.interim, {}))
    return interim + _head(answer.status, headers), body


def _is_short(manner: Manner, body: bytes) -> bool:
    """Tell whether one byte more is promised than comes: an empty body can't be cut otherwise."""
    return (manner.broken and manner.encoding is None) or (manner.cut == "mid_body" and not body)


def _is_cut_off(manner: Manner) -> bool:
    """Tell whether the connection ends with this answer; packing that is none leaves it whole."""
    return manner.cut is not None or (manner.broken and manner.encoding in (None, "chunked"))


def _chunked(body: bytes, *, is_ended: bool) -> bytes:
    half = (len(body) + 1) // 2
    chunks = [chunk for chunk in (body[:half], body[half:]) if chunk]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return framed + b"0\r\n\r\n" if is_ended else framed


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {_reason(status)}", *(f"{name}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "\r\n"]).encode("latin1")


def _reason(status: int) -> str:
    return responses.get(status, "Unknown")


def _close(stream: IOStream, *, with_reset: bool) -> None:
    if with_reset and not stream.closed():
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NO_TIME)
    stream.close()
