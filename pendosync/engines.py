"""Where the parts of a large table are planned: in this process, or on the workers of a Dask cluster.

An engine does one thing: it calls a function on each of many items. What is called is a plain function of this package
on names and numbers; the rows lie in a folder that each worker reaches. No client, no settings and no key ever travel.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from pendosync.errors import EngineError, first_line
from pendosync.workers import PATIENCE_S, DaskEngine

Item = TypeVar("Item")
Result = TypeVar("Result")


_CLOSING_S: Final = 5.0
"""How long to wait until the processes of this machine have ended."""


class Engine(Protocol):
    """Calls a function on many items, wherever its workers are."""

    @property
    def n_workers(self) -> int:
        """How many items are worked on at once."""
        ...

    def map(self, do: Callable[[Item], Result], items: Sequence[Item], /) -> Iterator[Result]:
        """Yield *do* of each item, in any order. An item whose worker dies is done again on another.

        Raises:
            EngineError: the engine went away, or its workers can't be used.
            Exception: what *do* raised, as it was.
        """
        ...

    def ensure_reach(self, folder: Path, /) -> None:
        """Return nothing where each worker is of our versions and reads and writes *folder*, else raise EngineError."""
        ...


class Here:
    """The engine that is this process: one item after the other, in their order."""

    n_workers = 1

    def map(self, do: Callable[[Item], Result], items: Sequence[Item], /) -> Iterator[Result]:
        """Yield *do* of each item."""
        return map(do, items)

    def ensure_reach(self, folder: Path, /) -> None:
        """Return nothing: this process is of its own versions."""


def ensure_engine(engine: object | None, /) -> Engine:
    """Return an engine for what a verb's `engine=` was given: None is this process, a `distributed.Client` its cluster.

    Raises:
        EngineError: it is something else.
    """
    if engine is None:
        return Here()
    distributed = sys.modules.get("distributed")
    if distributed is not None and isinstance(engine, distributed.Client):
        return open_engine(engine)
    missing = [name for name in ("map", "n_workers", "ensure_reach") if not hasattr(type(engine), name)]
    if missing or isinstance(engine, type):
        raise EngineError(
            f"{engine!r:.80} is no engine. Expected what open_engine returns, or a distributed.Client. "
            f"Hint: engine=open_engine('tcp://…'), or engine=open_engine() for workers on this machine."
        )
    return engine  # type: ignore[return-value]


def open_engine(where: Any = None, /, *, workers: int = 2, patience_s: float = PATIENCE_S) -> DaskEngine:
    """Return the workers of a Dask cluster as an engine, for the verbs that take `engine=`.

    A context manager that closes only what it started: your cluster and your client stay open. On a cluster the
    workers need this package in the version of this process, and a folder that they reach under the same path; both
    are looked at before any work. They get no key and no address of Pendo's.

    Args:
        where: the address of a scheduler (`tcp://host:8786`), a `distributed.Client`, or None: processes on this
            machine, which share its cores.
        workers: without *where*, how many processes to start.
        patience_s: how long, in seconds, to wait for a scheduler, or without any worker, before giving up.

    Raises:
        EngineError: the extra isn't installed, no scheduler answers there, or it is neither address nor client.

    Cost: about a second, and for each local process 65 MB, 110 MB once it has loaded what plans.
    Source: docs/scale.md compares the engines. In a script, local processes start the script anew: keep the call below
    `if __name__ == "__main__":`, as Python's multiprocessing asks for.
    """
    distributed = _distributed()
    if where is None:
        return _open_local(distributed, workers, patience_s)
    if isinstance(where, distributed.Client):
        if where.asynchronous:
            raise EngineError(
                "The client is an asynchronous one. Expected one that waits for its answers. "
                "Hint: open_engine(client.scheduler.address) opens one of its own."
            )
        return DaskEngine(where, patience_s=patience_s)
    if not isinstance(where, str):
        raise EngineError(
            f"open_engine can't open a {type(where).__name__}. Expected the address of a scheduler, a "
            f"distributed.Client, or nothing. Hint: open_engine('tcp://…'), or open_engine(workers=2)."
        )
    closing = contextlib.ExitStack()
    try:
        client = closing.enter_context(
            distributed.Client(where, timeout=patience_s, set_as_default=False, direct_to_workers=False)
        )
    except (OSError, ValueError) as error:
        raise EngineError(
            f"No scheduler answers at {where!r}: {first_line(error)}. Expected the address that the scheduler printed when "
            f"it started. Hint: open_engine('tcp://host:8786'); dask scheduler starts one."
        ) from None
    return DaskEngine(client, patience_s=patience_s, closing=closing)


def _open_local(distributed: Any, workers: int, patience_s: float) -> DaskEngine:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise EngineError(
            f"workers is {workers!r}. Expected how many processes to start, 1 or more. Hint: open_engine(workers=2)."
        )
    with contextlib.ExitStack() as opened:
        cluster = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.CRITICAL,
            env=_env_of_worker(workers),
        )
        opened.callback(_close, cluster)
        client = opened.enter_context(
            distributed.Client(cluster, set_as_default=False, direct_to_workers=False)
        )
        return DaskEngine(client, patience_s=patience_s, closing=opened.pop_all())


def _close(cluster: Any) -> None:
    """Close a cluster of this machine. One that just starts a worker again may never say that it is closed."""
    pids = [pid for nanny in cluster.workers.values() if (pid := getattr(nanny, "pid", None))]
    try:
        cluster.close(timeout=_CLOSING_S)
    except TimeoutError:
        for pid in pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGTERM)


def _env_of_worker(workers: int) -> dict[str, str]:
    """Together they take as many threads as the machine has cores; no key of this process reaches them."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    hidden = {name: "" for name in os.environ if name.startswith("PENDO_")}
    return {"POLARS_MAX_THREADS": str(threads), **hidden}


def _distributed() -> Any:
    try:
        import distributed
    except ImportError:
        raise EngineError(
            "The extra that works on a cluster is not installed. Expected the package distributed. "
            "Hint: pip install 'pendosync[cluster]'"
        ) from None
    return distributed
