"""A thread with an event loop of its own: plain calls on the surface, async underneath."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Final, Generic, ParamSpec, TypeVar

from pendosync.beside import begin_beside
from pendosync.errors import ClientError

P = ParamSpec("P")
T = TypeVar("T")

_CLOSE_S: Final = 10.0
_REST_S: Final = 0.001
_SLOW_S: Final = 0.005
_SLOW_TIMES: Final = 5
_TRY_AGAIN: Final = 100
"""After so many times beside the loop, whether the work is still slow is looked at."""


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


class Shared:
    """Work that is done for many at once, those who asked first before the others. For one loop only.

    It rests for a millisecond after each time, so that who asks meanwhile shares the next. It is ended on the loop
    while that is quick: measured, a thread beside a busy loop waits ten times as long for Python's lock as a good disk
    takes. Where it was slow several times in a row it is ended beside the loop, half of those who wait at a time. All at
    once would keep in step who asks again when served: measured, 32 requests in flight of 50 ms each then came and
    went together, and the time that each takes here added up while none was under way.

    Args:
        begin: begins the work up to a place, on the loop, and returns what ends it, on the loop or beside it.
        place: returns the place up to which there is work at this moment.
    """

    def __init__(self, begin: Callable[[int], Callable[[], None]], place: Callable[[], int]) -> None:
        self._begin = begin
        self._place = place
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._is_busy = False
        self._rests_until = 0.0
        self._n_slow = 0
        self._n_beside = 0

    async def done(self) -> None:
        """Return when the work is over that there is by now; raises what it raises."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((self._place(), future))
        self._serve()
        await future

    def _serve(self) -> None:
        if self._waiting and not self._is_busy:
            self._is_busy = True
            asyncio.get_running_loop().call_at(self._rests_until, self._work)

    def _work(self) -> None:
        """Do the work of those who wait, or in a thread that of some."""
        is_slow = self._n_slow >= _SLOW_TIMES
        n = -(-len(self._waiting) // 2) if is_slow else len(self._waiting)
        group = [self._waiting.popleft() for _ in range(n)]
        try:
            end = self._begin(group[-1][0])
        except Exception as error:
            self._ended(group, error)
            return
        if not (is_slow and self._work_beside(end, group)):
            began_s = time.monotonic()
            raised = _error_of(end)
            self._n_slow = self._n_slow + 1 if time.monotonic() - began_s > _SLOW_S else 0
            self._ended(group, raised)

    def _work_beside(
        self, end: Callable[[], None], group: Sequence[tuple[int, asyncio.Future[None]]]
    ) -> bool:
        """Return whether there was a thread to be had, which ends the work."""
        loop = asyncio.get_running_loop()

        def work() -> None:
            error = _error_of(end)
            with contextlib.suppress(RuntimeError):  # the loop is closed, and nobody waits
                loop.call_soon_threadsafe(self._ended, group, error)

        try:
            begin_beside(work)
        except RuntimeError:
            return False
        self._n_beside += 1
        if self._n_beside % _TRY_AGAIN == 0:
            self._n_slow = _SLOW_TIMES - 1
        return True

    def _ended(self, group: Sequence[tuple[int, asyncio.Future[None]]], error: BaseException | None) -> None:
        self._is_busy = False
        self._rests_until = asyncio.get_running_loop().time() + _REST_S
        _settle(group, error)
        self._serve()


def _error_of(work: Callable[[], None]) -> BaseException | None:
    try:
        work()
    except BaseException as error:
        return error
    return None


def _settle(group: Iterable[tuple[int, asyncio.Future[None]]], error: BaseException | None) -> None:
    for _, future in group:
        if future.done():  # who waited was cancelled
            continue
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)


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
