"""A thread with an event loop of its own: plain calls on the surface, async underneath."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final, ParamSpec, TypeVar

from pendosync.errors import ClientError

P = ParamSpec("P")
T = TypeVar("T")

_CLOSE_S: Final = 10.0


class LoopThread:
    """A daemon thread with an event loop, started when it is first needed."""

    def __init__(self, at_end: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self.is_closed = False
        self._at_end = at_end
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._is_ready = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        try:
            if os.getpid() != self._pid:
                raise _forked_error()
            with self._lock:
                if self.is_closed:
                    raise closed_error()
                return asyncio.run_coroutine_threadsafe(coroutine, self._running_loop())
        except BaseException:
            coroutine.close()
            raise

    def ensure_other(self, verb: str) -> None:
        """Raise where this is the loop's own thread, which would wait for itself."""
        if threading.current_thread() is self._thread:
            raise ClientError(
                f"{verb} was called on the client's own thread, and would wait for itself for ever. Expected another "
                f"thread. Hint: call {verb} outside of the coroutine; inside, await client.request(…)."
            )

    def close(self) -> None:
        if os.getpid() != self._pid:  # the thread is the parent's, and perhaps the lock is held there
            return
        with self._lock:
            self.is_closed = True
            thread = self._thread
        if thread is None:
            return
        try:
            self._loop.call_soon_threadsafe(self._end.set)
        except RuntimeError:  # its loop is closed already
            return
        if thread is not threading.current_thread():
            thread.join(_CLOSE_S)

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="pendosync-client", daemon=True)
            self._thread.start()
            self._is_ready.wait()
        return self._loop

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._live())

    async def _live(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        self._is_ready.set()
        await self._end.wait()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._at_end()


async def run_beside(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what *function* returns, which runs in a thread beside the loop.

    Unlike asyncio's own, such a thread still begins while the interpreter waits for a script's other threads or for
    what is to be done at exit, and holds up neither.
    """
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()

    def work() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="pendosync-beside", daemon=True).start()
    return await asyncio.wrap_future(future)


def closed_error() -> ClientError:
    """Return the error of a client that was closed."""
    return ClientError(
        "The client is closed. Expected an open one. Hint: client = open_client(settings), and close it last."
    )


def _forked_error() -> ClientError:
    return ClientError(
        "The client was opened in another process, and its thread did not come along. Expected each process to open "
        "its own. Hint: open_client(Settings.from_env()) in the worker."
    )
