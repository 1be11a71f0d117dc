"""A thread with an event loop of its own: plain calls on the surface, async underneath."""

from __future__ import annotations

import _thread
import asyncio
import concurrent.futures
import os
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Generic, ParamSpec, TypeVar

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
    """Return what *function* returns, which runs in a thread beside the loop; as `begin_beside`."""
    return await asyncio.wrap_future(begin_beside(function, *args, **kwargs))


def begin_beside(
    function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> concurrent.futures.Future[T]:
    """Return the future of what *function* returns, which runs in a thread of its own.

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

    # not by way of threading, whose start would hold up the loop until the thread has begun
    _thread.start_new_thread(work, ())
    return future


class Shared:
    """Work that is done once for all who ask for it before it begins, beside the loop. For one loop only."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._now: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def done(self) -> None:
        """Return when the work is over that began after this was asked for; raises what that raises."""
        if self._next is None:
            self._next = asyncio.create_task(self._begin_after(self._now))
            self._next.add_done_callback(_look_at)
        await asyncio.shield(self._next)

    async def _begin_after(self, now: asyncio.Task[None] | None) -> None:
        if now is None:
            await asyncio.sleep(0)  # who asks within this turn of the loop is served along
        else:
            await asyncio.wait([now])
        self._now, self._next = self._next, None
        await run_beside(self._work)


def _look_at(task: asyncio.Task[Any]) -> None:
    """Take note of an error that nobody may be left to hear."""
    if not task.cancelled():
        task.exception()


class Supply(Generic[T]):
    """Hands out, one by one and in order, what is made beside the loop a little ahead. For one loop only.

    Args:
        makers: each makes some, slowly, in a thread of its own.
        ahead: how many of them may be at work.
    """

    def __init__(self, makers: Iterable[Callable[[], Iterable[T]]], *, ahead: int = 2) -> None:
        self._makers = iter(makers)
        self._ahead = ahead
        self._ready: deque[T] = deque()
        self._coming: deque[asyncio.Task[Iterable[T]]] = deque()
        self._turn = asyncio.Lock()
        self._begin()

    async def next(self) -> T | None:
        """Return the next one, or None where there are no more; raises what its maker raises."""
        while not self._ready:
            async with self._turn:
                if self._ready:
                    break
                if not self._coming:
                    return None
                self._ready.extend(await asyncio.shield(self._coming[0]))
                self._coming.popleft()
                self._begin()
        return self._ready.popleft()

    def _begin(self) -> None:
        while len(self._coming) < self._ahead and (make := next(self._makers, None)) is not None:
            task = asyncio.create_task(run_beside(make))
            task.add_done_callback(_look_at)
            self._coming.append(task)


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
