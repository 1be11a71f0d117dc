"""Work in threads of its own, beside what goes on."""

from __future__ import annotations

import _thread
import concurrent.futures
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


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
        sys.settrace(threading.gettrace())  # as threading does: debuggers look in here too
        try:
            future.set_result(function(*args, **kwargs))
        except BaseException as error:
            future.set_exception(error)

    # not by way of threading, whose start would hold up the loop until the thread has begun
    _thread.start_new_thread(work, ())
    return future


def two_at_a_time(function: Callable[..., T], /, *arguments: Iterable[Any]) -> Iterator[T]:
    """Yield what *function* returns for each of *arguments*, as `map` does, while two calls run.

    None runs any more once this is over, also where one has raised. Without a thread to be had, it is called here.
    """
    coming: deque[concurrent.futures.Future[T]] = deque()
    try:
        for args in zip(*arguments, strict=True):
            if len(coming) == 2:
                yield coming.popleft().result()
            try:
                coming.append(begin_beside(function, *args))
            except RuntimeError:
                while coming:
                    yield coming.popleft().result()
                yield function(*args)
        while coming:
            yield coming.popleft().result()
    finally:
        concurrent.futures.wait(coming)
