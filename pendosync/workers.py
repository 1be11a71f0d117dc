"""The workers of a Dask cluster, as an engine: what they are asked, and for how long they are waited for."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from pendosync.errors import EngineError, first_line

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE_S: Final = 30.0
_GLANCE_S: Final = 1.0
"""Without a result for this long, the engine is looked at."""
_ALIKE: Final = ("pendosync", "polars")
"""What must be of one version on each worker: another one may cut or compare a value in another way."""
_NONE: Final = "none"


class DaskEngine:
    """The workers of a Dask cluster. Made by `open_engine`; closes only what that started."""

    def __init__(
        self, client: Any, /, *, patience_s: float = PATIENCE_S, closing: contextlib.ExitStack | None = None
    ) -> None:
        self._client = client
        self._patience_s = patience_s
        self._closing = closing or contextlib.ExitStack()

    def __repr__(self) -> str:
        return f"DaskEngine({self._client.status})"

    @property
    def n_workers(self) -> int:
        """How many worker processes the cluster has now.

        Raises:
            EngineError: its scheduler doesn't answer.
        """
        try:
            return len(self._client.nthreads(callback_timeout=self._patience_s))
        except Exception as error:
            raise _unreachable(error) from None

    def map(self, do: Callable[[Item], Result], items: Sequence[Item], /) -> Iterator[Result]:
        """Yield *do* of each item, as each is done. An item whose worker dies is done again on another.

        Left early (an error, an interrupt, `close()` of the iterator), it calls back what has not begun.

        Args:
            do: a function at the top of a module, so that workers find it by its name.
            items: what it is called on; each travels to a worker, so names and numbers, not rows.

        Raises:
            EngineError: the scheduler is gone, or no worker was there for the engine's patience: `.n_done` of
                `.n_items`; or workers die of an item again and again; or a worker is of another version.
            Exception: what *do* raised, as it was.
        """
        if not items:
            return
        self._ensure_alike()
        watch = _Watch(self, len(items))
        finished: SimpleQueue[Any] = SimpleQueue()
        ahead = set(self._client.map(_Task(do, _versions()), items, key="pendosync", pure=False))
        try:
            for future in ahead:
                future.add_done_callback(finished.put)
            while ahead:
                future = watch.next_of(finished)
                result: Result = watch.result_of(future)
                ahead.discard(future)
                watch.n_done += 1
                del future
                yield result
        finally:
            self._call_back(list(ahead))

    def ensure_reach(self, folder: Path, /) -> None:
        """Return nothing where each worker is of our versions and reads and writes *folder*.

        A file of a random name is written there; whoever sees it sees the same folder.

        Raises:
            EngineError: a worker doesn't, or no worker comes.
        """
        self._ensure_alike()
        folder = Path(folder).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        token = folder / f".reach-{secrets.token_hex(8)}"
        token.touch()
        try:
            sees = self._ask(os.access, str(token), os.R_OK)
            writes = self._ask(os.access, str(folder), os.W_OK | os.X_OK)
        finally:
            token.unlink()
        if out := sorted(address for address in sees if not (sees[address] and writes.get(address, True))):
            raise EngineError.out_of_reach(folder, out)

    def close(self) -> None:
        """Close what `open_engine` started: its connection, its local workers. A cluster that was there stays."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ensure_alike(self) -> None:
        """Return nothing where each worker is of our versions.

        Raises:
            EngineError: one isn't, or no worker comes.
        """
        self._ensure_workers()
        for package, ours in _versions().items():
            theirs = self._ask(importlib.metadata.version, package)
            found = {
                address: _NONE if isinstance(answer, importlib.metadata.PackageNotFoundError) else str(answer)
                for address, answer in sorted(theirs.items())
            }
            if others := {address: version for address, version in found.items() if version != ours}:
                raise EngineError.other_versions(package, ours, others)

    def _ensure_workers(self) -> None:
        deadline = time.monotonic() + self._patience_s
        while not self.n_workers:
            if time.monotonic() > deadline:
                raise _no_worker(self._patience_s)
            time.sleep(0.1)

    def _ask(self, function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        """What a function of Python's own answers on each worker: one without our package could run no other.

        A worker that dies meanwhile is left out.
        """
        try:
            answers: dict[str, Any] = self._client.run(
                function, *args, on_error="return", callback_timeout=self._patience_s
            )
        except Exception as error:
            raise _unreachable(error) from None
        return {address: answer for address, answer in answers.items() if not isinstance(answer, OSError)}

    def _call_back(self, futures: list[Any]) -> None:
        if futures and self._client.status == "running":
            with contextlib.suppress(Exception):
                self._client.cancel(futures)


@dataclass(frozen=True)
class _Task(Generic[Item, Result]):
    """Runs on a worker; one that joined late, with another version, does nothing."""

    do: Callable[[Item], Result]
    versions: dict[str, str]

    def __call__(self, item: Item) -> Result:
        for package, theirs in self.versions.items():
            if (ours := _versions()[package]) != theirs:
                raise EngineError.other_versions(package, theirs, {"a worker that joined late": ours})
        return self.do(item)


@dataclass
class _Watch:
    """Waits for results as long as there is an engine to wait for."""

    engine: DaskEngine
    n_items: int
    n_done: int = 0
    _alone_since: float | None = None

    def next_of(self, finished: SimpleQueue[Any]) -> Any:
        while True:
            with contextlib.suppress(Empty):
                return finished.get(timeout=_GLANCE_S)
            self._look()

    def result_of(self, future: Any) -> Any:
        """The result; it may have died with its worker since, and is made again then."""
        while True:
            try:
                return future.result(timeout=_GLANCE_S)
            except BaseException as error:
                if future.status == "cancelled":
                    raise self._gone("the connection to its scheduler broke") from None
                if type(error).__name__ == "KilledWorker":
                    raise EngineError.given_up(self.n_done, self.n_items, why=first_line(error)) from None
                if future.status == "error" or not isinstance(error, TimeoutError):
                    raise
            self._look()

    def _look(self) -> None:
        try:
            n_workers = self.engine.n_workers
        except EngineError:
            raise self._gone("its scheduler doesn't answer") from None
        now = time.monotonic()
        if n_workers:
            self._alone_since = None
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since > self.engine._patience_s:
            raise self._gone(f"no worker for {self.engine._patience_s:g} s")

    def _gone(self, why: str) -> EngineError:
        return EngineError.gone(self.n_done, self.n_items, why=why)


@cache
def _versions() -> dict[str, str]:
    return {package: _version_of(package) for package in _ALIKE}


def _version_of(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # a checkout that was never installed
        return _NONE


def _unreachable(error: BaseException) -> EngineError:
    return EngineError(
        f"The engine's scheduler doesn't answer: {first_line(error)}. Expected one that runs. "
        f"Hint: start it again, and open_engine('tcp://…')."
    )


def _no_worker(patience_s: float) -> EngineError:
    return EngineError(
        f"The engine has had no worker for {patience_s:g} s. Expected one or more. "
        f"Hint: start one with dask worker tcp://…, or look whether they could start."
    )
