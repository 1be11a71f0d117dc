"""The HTTP server: takes requests off the wire, applies faults, saves, and knows when to end."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any, Final, cast

from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)
from tornado.netutil import bind_sockets

from pendosync.errors import SandboxError
from pendosync.sandbox import state as state_file
from pendosync.sandbox.control import PREFIX, answer_control
from pendosync.sandbox.delivery import deliver, send
from pendosync.sandbox.exchange import Answer, Request, text_answer
from pendosync.sandbox.faults import is_carried_out, spoiled
from pendosync.sandbox.keys import ADDRESS, TOKEN_HEADER
from pendosync.sandbox.pendo import Pendo
from pendosync.sandbox.received import Entry
from pendosync.sandbox.state import Place

_LARGEST_BODY: Final = 2**30
_FIRST_LEASH_S: Final = 60.0
_QUIET_S: Final = 0.2
_LONGEST_UNSAVED_S: Final = 3.0
_SAVING_SHARE: Final = 10


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for.

    Args:
        port: 0 takes a free one.
        state: file that keeps the contents.
        leashed: end when the last process that holds a leash has gone.
    """

    region: str = "us"
    port: int = 0
    seed: int = 0
    visitors: int = 200
    state: Path | None = None
    switches: dict[str, Any] = field(default_factory=dict)
    keep_mb: int = 256
    leashed: bool = False


def run_server(options: Options, announce: Callable[[Place], None]) -> None:
    """Serve until told to stop; *announce* is called once, when requests are taken.

    Raises:
        SandboxError: the port is taken, the state file can't be used, or a switch does not exist.
    """
    if options.state is not None:
        state_file.running(options.state)
    pendo = _loaded(options)
    asyncio.run(Server(pendo, options).serve(announce))


class Server:
    """One process's server. Everything happens on one loop, so no two requests meet half-way."""

    def __init__(self, pendo: Pendo, options: Options) -> None:
        self._pendo = pendo
        self._options = options
        self._leashes = 0
        self._end = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._saved = pendo.changes
        self._place = Place(0, pendo.token, os.getpid())

    async def serve(self, announce: Callable[[Place], None]) -> None:
        """Listen, announce, and stay until the end; then save once more."""
        sockets = _bound(self._options.port)
        self._place = Place(sockets[0].getsockname()[1], self._pendo.token, os.getpid())
        if self._options.state is not None:
            state_file.claim(self._options.state, self._place)
        server = HTTPServer(_Door(self), max_body_size=_LARGEST_BODY, max_buffer_size=_LARGEST_BODY)
        server.add_sockets(sockets)
        try:
            self._listen_for_signals()
            announce(self._place)
            await self._stay()
        finally:
            self._leave()

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._end.set)
            except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead
                return

    async def _stay(self) -> None:
        watchers = [asyncio.create_task(self._keep_saving())]
        if self._options.leashed:
            watchers.append(asyncio.create_task(self._await_first_leash()))
        await self._end.wait()
        for watcher in watchers:
            watcher.cancel()

    def _leave(self) -> None:
        for task in self._tasks:
            task.cancel()  # what is not carried out by now would be missing from the last save
        if self._options.state is not None:
            try:
                self._save()
            finally:
                state_file.note_path(self._options.state).unlink(missing_ok=True)

    async def _await_first_leash(self) -> None:
        await asyncio.sleep(_FIRST_LEASH_S)
        if not self._leashes:
            self._end.set()

    async def _keep_saving(self) -> None:
        """Save when changes have come to rest, and every few seconds while they don't."""
        seen, dirty_s = self._saved, 0.0
        while self._options.state is not None:
            await asyncio.sleep(_QUIET_S)
            changes = self._pendo.changes
            dirty_s = 0.0 if changes == self._saved else dirty_s + _QUIET_S
            if dirty_s and (changes == seen or dirty_s > _LONGEST_UNSAVED_S):
                began = time.monotonic()
                self._save()
                await asyncio.sleep(_SAVING_SHARE * (time.monotonic() - began))
            seen = changes

    def _save(self) -> None:
        pendo, path = self._pendo, self._options.state
        if path is None or (self._saved == pendo.changes and path.exists()):
            return
        try:
            state_file.save(path, pendo.header(), pendo.saved())
        except OSError as error:
            sys.stderr.write(f"pendosync sandbox: {path} can't be saved: {error}\n")
        self._saved = pendo.changes

    def take(self, request: Request, arrived_s: float, connection: HTTP1Connection) -> None:
        """Begin to answer *request*."""
        if request.region == PREFIX and request.path in ("/leash", "/close"):
            self._take_lifeline(request, connection)
            return
        if self._end.is_set() and request.region != PREFIX:
            return  # too late: the connection ends without a word
        task = asyncio.get_running_loop().create_task(self._respond(request, arrived_s, connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take_lifeline(self, request: Request, connection: HTTP1Connection) -> None:
        if request.headers.get(TOKEN_HEADER) != self._pendo.token:
            send(connection, Answer(403))
        elif request.path == "/close":
            send(connection, Answer(200))
            self._end.set()
        else:
            self._leashes += 1
            connection.set_close_callback(self._lose_leash)

    def _lose_leash(self) -> None:
        self._leashes -= 1
        if self._options.leashed and not self._leashes:
            self._end.set()

    async def _respond(self, request: Request, arrived_s: float, connection: HTTP1Connection) -> None:
        try:
            answer = await self._answered(request, arrived_s)
        except Exception:  # a fault of the sandbox itself: show it to whoever asked
            answer = text_answer(traceback.format_exc(), 500)
        await deliver(connection, answer)

    async def _answered(self, request: Request, arrived_s: float) -> Answer:
        if request.region == PREFIX:
            return answer_control(self._pendo, request, self._about())
        entry = self._pendo.received.note(request, arrived_s)
        answer = await self._answer(request, entry)
        entry.status = None if answer.manner and answer.manner.cut else answer.status
        return answer

    async def _answer(self, request: Request, entry: Entry) -> Answer:
        """Let the faults that were asked for befall the request; Pendo itself knows nothing of them."""
        faults = self._pendo.faults
        refusal = faults.refused(request, self._pendo.switches.max_requests_per_second)
        if refusal is not None:
            return refusal
        latency, spoiling = faults.take(request, "latency"), faults.spoiling(request)
        if latency is not None and latency.options["when"] == "before":
            await asyncio.sleep(latency.options["seconds"])
        is_done = all(is_carried_out(fault) for fault in spoiling)
        answer = self._pendo.answer(request, entry) if is_done else Answer(503)
        if latency is not None and latency.options["when"] == "after":
            await asyncio.sleep(latency.options["seconds"])
        return reduce(spoiled, spoiling, answer)

    def _about(self) -> dict[str, Any]:
        state = None if self._options.state is None else str(self._options.state)
        return {
            "port": self._place.port,
            "pid": self._place.pid,
            "state": state,
            "closing": self._end.is_set(),
        }


class _Door(HTTPServerConnectionDelegate):
    """Tornado's lowest floor: no routing, no rewriting of paths, and the connection at hand to cut."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        return _Message(self._server, cast(HTTP1Connection, request_conn))


class _Message(HTTPMessageDelegate):
    def __init__(self, server: Server, connection: HTTP1Connection) -> None:
        self._server = server
        self._connection = connection
        self._chunks: list[bytes] = []

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        self._arrived_s = time.time()
        self._line, self._headers = cast(RequestStartLine, start_line), headers

    def data_received(self, chunk: bytes) -> None:
        self._chunks.append(chunk)

    def finish(self) -> None:
        body = b"".join(self._chunks)
        request = Request.of(self._line.method, self._line.path, self._headers, body)
        self._server.take(request, self._arrived_s, self._connection)

    def on_connection_close(self) -> None:
        self._chunks.clear()


def _bound(port: int) -> list[Any]:
    try:
        return bind_sockets(port, ADDRESS)
    except OSError as error:
        raise SandboxError(
            f"Port {port} on {ADDRESS} can't be used ({error.strerror}). Expected a free port. "
            f"Hint: leave the port out, and a free one is taken."
        ) from None


def _loaded(options: Options) -> Pendo:
    arguments: dict[str, Any] = {"region": options.region, "seed": options.seed, "visitors": options.visitors}
    if options.state is None or not options.state.exists():
        return Pendo(**arguments, switches=options.switches, keep_mb=options.keep_mb)
    header, pieces = state_file.load(options.state)
    try:
        kept = {name: header[name] for name in arguments}
        pendo = Pendo(**kept, switches={**header["switches"], **options.switches}, keep_mb=options.keep_mb)
        pendo.restore(pieces)
    except (KeyError, TypeError, AttributeError) as error:
        raise state_file.unreadable(options.state, error) from None
    return pendo
