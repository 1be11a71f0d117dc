"""What a run's view may have done: handed in by whoever holds the run, as a view itself can't write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True)
class Deeds:
    """What a run's view may ask of the run, from any thread; each but `outcomes` returns at once.

    Attributes:
        pause, proceed, cancel: as the run's own.
        outcomes: returns OUTCOMES; it holds the run's plan no longer than it takes.
        is_here: whether this process pushes, so that interrupting a wait for the run stops it.
    """

    pause: Callable[[], None]
    proceed: Callable[[], None]
    cancel: Callable[[], None]
    outcomes: Callable[[], pl.DataFrame]
    is_here: bool
