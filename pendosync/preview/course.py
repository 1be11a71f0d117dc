"""How fast a run went from its start until now, in few enough numbers for a small line."""

from __future__ import annotations

from typing import Final

from pendosync.frames import Progress

MOST: Final = 120
"""So many stretches are kept at most; then each two become one."""


class Course:
    """Ids a second in each stretch of a run. Stretches are a second long, and twice as long whenever there are too many.

    Ids whose outcomes come together count for the time since the ones before, without that in which the run rested.

    Example:
        >>> course = Course()
        >>> for second, n in enumerate((0, 10, 30)):
        ...     course.note(Progress("r", "", "running", 40, 4, 0, 0, {"updated": n}, second))
        >>> course.per_s()
        [10.0, 20.0]
    """

    def __init__(self) -> None:
        self.width_s = 1.0
        self._ids: list[float] = []
        self._from_s: float | None = None
        self._at_s = 0.0
        self._n_known = 0

    def note(self, progress: Progress) -> None:
        """Take in where a run stands; it begins with the first note, and what was done by then is not counted."""
        if self._from_s is None:
            self._from_s, self._n_known = progress.elapsed_s, progress.n_known
        now = max(progress.elapsed_s - self._from_s, self._at_s)  # another process's clock may be set back
        n_new = progress.n_known - self._n_known
        self._reach(now)
        if n_new > 0:
            self._spread(n_new, self._at_s, now)
        if n_new > 0 or progress.state == "paused" or progress.waits_s > 0:
            self._at_s = now
        self._n_known = progress.n_known

    def per_s(self) -> list[float]:
        """Return the ids a second of each stretch, to three digits; the last one may not be whole yet."""
        return [float(f"{n / self.width_s:.3g}") for n in self._ids]

    def _reach(self, now: float) -> None:
        """See to it that there is a stretch for each moment before *now*."""
        while now > MOST * self.width_s:
            pairs = range(0, len(self._ids), 2)
            self._ids = [sum(self._ids[at : at + 2]) for at in pairs]
            self.width_s *= 2
        while len(self._ids) * self.width_s < now:
            self._ids.append(0.0)

    def _spread(self, n: int, start_s: float, end_s: float) -> None:
        """Count *n* ids evenly over the time from *start_s* to *end_s*."""
        if end_s <= start_s:
            self._ids = self._ids or [0.0]
            self._ids[-1] += n
            return
        for at in range(int(start_s / self.width_s), len(self._ids)):
            low, high = at * self.width_s, (at + 1) * self.width_s
            self._ids[at] += n * max(0.0, min(high, end_s) - max(low, start_s)) / (end_s - start_s)
