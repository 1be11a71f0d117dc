"""Ways to push the same to one sink, side by side: each tells its seconds, and the sink whether every row arrived."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass

from benchmarks.lines import Line, interleave, ratio, told
from benchmarks.sink import Sink


@dataclass(frozen=True)
class Way:
    """One way to push: it returns its own seconds, so that what it needs before and after counts for nothing.

    `rows` is how many it pushes: a slow one takes fewer, and all are compared by rows a second.
    """

    push: Callable[[], float]
    rows: int
    latency_s: float = 0.0


def race(ways: AbstractMapping[str, Way], sink: Sink, *, rounds: int, warm: bool) -> dict[str, list[float]]:
    """Return the seconds a row of each way, round after round.

    Raises:
        AssertionError: the sink did not get as many records as a way was to push.
    """
    took: dict[str, list[float]] = defaultdict(list)

    def run(name: str, way: Way) -> Callable[[], None]:
        def push() -> None:
            sink.settle(latency_s=way.latency_s)
            seconds, counts = way.push(), sink.counts()
            assert counts.records == way.rows, f"{name} pushed {way.rows:,} rows, {counts.records:,} arrived"
            took[name].append(seconds / way.rows)

        return push

    interleave({name: run(name, way) for name, way in ways.items()}, rounds=rounds, warm=warm)
    sink.settle(latency_s=0.0)
    return {name: seconds[-rounds:] for name, seconds in took.items()}


def rate(took: AbstractMapping[str, Sequence[float]], name: str) -> float:
    """Return the rows a second of one way, the median of its rounds."""
    return 1 / statistics.median(took[name])


def rates(
    took: AbstractMapping[str, Sequence[float]], ways: AbstractMapping[str, Way], unit: str
) -> list[Line]:
    """Return a line for each way, with the rows that it pushed."""
    return [told(f"{name} ({ways[name].rows:,} rows)", rate(took, name), unit) for name in took]


def fastest(took: AbstractMapping[str, Sequence[float]], names: Sequence[str]) -> str:
    """Return which of some ways is the fastest, by its median."""
    return max(names, key=lambda name: rate(took, name))


def closeness(took: AbstractMapping[str, Sequence[float]], name: str, least_s: float) -> float:
    """Return which share of the best that can be a way reaches, where a row takes *least_s* at least."""
    return ratio({"best": [least_s] * len(took[name]), name: took[name]}, "best", name)
