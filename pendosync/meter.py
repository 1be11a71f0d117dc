"""How fast a run goes, and how long it will still take: from the times at which its batches were done."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

_WINDOW_S: Final = 30.0
"""The rate is that of the last so many seconds."""

_STARTS_S: Final = 5.0
_MOST: Final = 200
_ENOUGH: Final = 3
"""So many intervals are needed before a spread is told."""


class Meter:
    """Notes when batches are done; it may be asked from any thread.

    Example:
        >>> meter = Meter(0.0)
        >>> for second in (1, 2, 3, 4):
        ...     meter.note(second, n_ids=500)
        >>> meter.ids_per_s(4), meter.left_s(10)
        (500.0, (10.0, 10.0, 10.0))
    """

    def __init__(self, now: float) -> None:
        self._last = now
        self._done: deque[tuple[float, float, int]] = deque(maxlen=_MOST)

    def note(self, now: float, *, n_ids: int) -> None:
        """Say that a batch of *n_ids* was done at *now*, in seconds of a monotonic clock."""
        self._done.append((now, now - self._last, n_ids))
        self._last = now

    def skip(self, now: float) -> None:
        """Say that the time up to *now* was a pause, which tells nothing of the pace."""
        self._last = now

    def ids_per_s(self, now: float) -> float | None:
        """Return the ids a second of the last half minute, or None where nothing was done in it."""
        recent = [(took, n) for at, took, n in tuple(self._done) if at > now - _WINDOW_S]
        took = sum(took for took, _ in recent) + (max(0.0, now - self._last) if recent else 0.0)
        return sum(n for _, n in recent) / took if took > 0 else None

    def left_s(self, n_batches: int) -> tuple[float, float, float] | None:
        """Return the seconds that *n_batches* more will take, and the least and most to expect (about 95 %).

        None where too few are done to tell. The spread is that of a sum of intervals as irregular as those seen, the
        uncertainty of their mean included.
        """
        took = [took for _, took, _ in tuple(self._done)]
        if len(took) < _ENOUGH:
            return None
        mean = sum(took) / len(took)
        variance = sum((one - mean) ** 2 for one in took) / (len(took) - 1)
        spread = 2 * math.sqrt(variance * n_batches * (1 + n_batches / len(took)))
        expected = mean * n_batches
        return expected, max(0.0, expected - spread), expected + spread


class Starts:
    """Notes when requests start, and tells how many do in a second; it may be asked from any thread.

    Example:
        >>> starts = Starts()
        >>> for tenth in range(21):
        ...     starts.note(tenth / 10)
        >>> starts.per_s(2.0), starts.per_s(6.0), starts.per_s(60.0)
        (10.0, 2.0, 0.0)
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._recent: deque[float] = deque()

    def note(self, now: float) -> None:
        """Say that one starts at *now*, in seconds of a monotonic clock."""
        self._first = now if self._first is None else self._first
        self._recent.append(now)
        while self._recent[0] <= now - _STARTS_S:
            self._recent.popleft()

    def per_s(self, now: float) -> float | None:
        """Return the starts a second of the last five seconds, or None where they began less than a second ago."""
        since_s = 0.0 if self._first is None else now - self._first
        if since_s < 1:
            return None
        n = sum(at > now - _STARTS_S for at in tuple(self._recent))
        return n / _STARTS_S if since_s >= _STARTS_S else (n - 1) / since_s
