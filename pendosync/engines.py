"""Where the parts of a large table are planned: in this process, or on the workers of an engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Calls a function on many items, wherever its workers are."""

    @property
    def n_workers(self) -> int:
        """How many items are worked on at once."""
        ...

    def map(self, do: Callable[[Item], Result], items: Sequence[Item], /) -> Iterator[Result]:
        """Yield *do* of each item, in any order. An item whose worker dies is done again on another."""
        ...

    def ensure_reach(self, folder: Path, /) -> None:
        """Return nothing where each worker is of our versions and reads and writes *folder*."""
        ...


class Here:
    """The process that calls: one item after the other, in their order."""

    n_workers = 1

    def map(self, do: Callable[[Item], Result], items: Sequence[Item], /) -> Iterator[Result]:
        """Yield *do* of each item."""
        return map(do, items)

    def ensure_reach(self, folder: Path, /) -> None:
        """Return nothing: this process is of its own versions."""


def ensure_engine(engine: object | None, /) -> Engine:
    """Return an engine for what a verb's `engine=` was given; None is this process."""
    return Here() if engine is None else engine  # type: ignore[return-value]
