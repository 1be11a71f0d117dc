"""A run in words: the same for a terminal, for a picture that is read without a kernel, and for the live view."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from pendosync.errors import counted
from pendosync.frames import REJECTED, STATUSES, Progress
from pendosync.reports import duration

GOOD: Final = ("updated", "created", "accepted")
_CALLED: Final = {
    "done": "Pushed",
    "paused": "Push paused:",
    "cancelled": "Push cancelled:",
    "stopped": "Push stopped:",
    "interrupted": "Push interrupted:",
}


def run_line(progress: Progress) -> str:
    """Return a run in one line.

    Example:
        >>> run_line(Progress("r", "3 visitors → custom", "done", 3, 1, 1, 1, {"updated": 3}, 0.5))
        '3 visitors → custom: done in under a second; 3 updated; 1 request'
    """
    counts = ", ".join(_each(ordered(progress.counts))) or "nothing yet"
    note = f"; {progress.note}" if progress.note else ""
    held = [progress.held] if progress.held else []
    state = ", ".join([state_of(progress), *held, *pace_of(progress)])
    return f"{progress.title}: {state}; {counts}; {counted(progress.requests, 'request')}{note}"


def heading_of(progress: Progress) -> str:
    """Return what is being done, or how it ended; the run's title follows."""
    return _CALLED.get(progress.state, "Pushing")


def state_of(progress: Progress) -> str:
    """Return the state, and since when."""
    took = duration(progress.elapsed_s)
    if progress.is_over:
        return f"{progress.state} {'in' if progress.state == 'done' else 'after'} {took}"
    return f"{progress.state}, {took} so far"


def pace_of(progress: Progress) -> Iterator[str]:
    """Yield how fast it goes, against what is allowed, and how long it may take; nothing while it rests."""
    if progress.state == "paused" or progress.is_over:
        return
    if progress.requests_per_s is not None:
        of = "" if progress.most_per_s is None else f" of {progress.most_per_s:.3g}"
        yield f"{_rate(progress.requests_per_s)}{of} requests/s"
    if progress.ids_per_s is not None:
        yield f"{_rate(progress.ids_per_s)} ids/s"
    if progress.left_s is not None:
        about = "about " if progress.left_s >= 1 else ""
        yield f"{about}{duration(progress.left_s)} left{_spread(progress)}"


def batches_of(progress: Progress) -> str:
    """Return how many batches are done, and in how many requests."""
    done = f"{progress.batches_done:,} of {counted(progress.n_batches, 'batch', 'batches')}"
    return f"{done} in {counted(progress.requests, 'request')}"


def wait_of(progress: Progress) -> str:
    """Return for how long Pendo holds everything back, or nothing.

    Example:
        >>> wait_of(Progress("r", "", "running", 3, 1, 0, 1, waits_s=11.2))
        'Pendo asked to wait: going on in 12 s'
    """
    if progress.is_over or progress.waits_s <= 0:
        return ""
    return f"Pendo asked to wait: going on in {duration(-(-progress.waits_s // 1))}"


def lowered_of(progress: Progress) -> str:
    """Return how far Pendo's refusals hold the rate below the set pace, or nothing."""
    if progress.is_over or progress.allowed_per_s is None or progress.allowed_per_s == progress.most_per_s:
        return ""
    most = "" if progress.most_per_s is None else f" instead of {progress.most_per_s:.3g}"
    return f"Pendo asked for less: {progress.allowed_per_s:.3g} requests/s{most}, until it answers well for a while"


def ending_of(progress: Progress) -> str:
    """Return a sentence on how a run ended, or nothing where it goes on.

    Example:
        >>> ending_of(Progress("r", "3 visitors → custom", "done", 3, 1, 1, 1, {"updated": 3}, 90))
        'All 3 visitors were updated in 2 min.'
        >>> ending_of(Progress("r", "3 visitors", "done", 3, 1, 1, 1, {"updated": 1, "missing": 2}, 9))
        'In 9 s: 1 updated; 2 rejected: 2 missing.'
    """
    if not progress.is_over:
        return ""
    took, told = duration(progress.elapsed_s), ordered(progress.counts)
    if progress.state == "done" and len(told) == 1 and told[0][0] in GOOD:
        what = progress.title.partition(" → ")[0]
        return (
            f"{what} was {told[0][0]} in {took}."
            if progress.n_ids == 1
            else f"All {what} were {told[0][0]} in {took}."
        )
    return f"{'In' if progress.state == 'done' else 'After'} {took}: {'; '.join(_endings(progress)) or 'nothing was sent'}."


def hint_of(progress: Progress) -> str:
    """Return what to type next, where nothing can be clicked."""
    if progress.state == "paused":
        return "run.proceed() goes on; run.cancel() stops the run cleanly."
    if not progress.is_over:
        return "run.pause() lets it rest, run.cancel() stops it cleanly; so does interrupting (■) a cell that waits for it."
    if progress.state != "done":
        return f"{resume_code(progress)} goes on; run.outcomes says what became of each id."
    return "run.outcomes says what became of each id, and why." if progress.counts.keys() - set(GOOD) else ""


def next_of(progress: Progress) -> str:
    """Return what else there is to know, where the rest can be clicked."""
    if not progress.is_over:
        return "Interrupting (■) a cell that waits for the run stops it cleanly, too."
    return "" if progress.state == "done" else f"{resume_code(progress)} goes on."


def resume_code(progress: Progress) -> str:
    """Return the code that goes on with a run."""
    return f"resume_push(journal, {progress.run_id!r}, client=client)"


def ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return the outcomes that there are, with their counts, in the order of the statuses."""
    return [(name, counts[name]) for name in STATUSES if counts.get(name) and name != "pending"]


def left_of(progress: Progress) -> tuple[str, int] | None:
    """Return what the ids without an outcome are called, and how many there are."""
    left = progress.n_ids - progress.n_known
    return ("pending" if progress.is_over else "to go", left) if left else None


def _endings(progress: Progress) -> Iterator[str]:
    told = ordered(progress.counts)
    if good := [one for one in told if one[0] in GOOD]:
        yield ", ".join(_each(good))
    if bad := [one for one in told if one[0] in REJECTED]:
        yield f"{progress.n_rejected:,} rejected: {', '.join(_each(bad))}"
    left = left_of(progress)
    rest = [one for one in told if one[0] not in (*GOOD, *REJECTED)] + ([left] if left else [])
    if rest:
        yield ", ".join(_each(rest))


def _each(counts: Iterable[tuple[str, int]]) -> list[str]:
    return [f"{n:,} {name}" for name, n in counts]


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 10 else f"{per_s:.1f}"


def _spread(progress: Progress) -> str:
    """Return the range to expect, where it says more than the number alone."""
    if progress.left_range_s is None:
        return ""
    low, high = map(duration, progress.left_range_s)
    return "" if low == high or progress.left_range_s[1] < 2 else f" ({low} to {high})"
