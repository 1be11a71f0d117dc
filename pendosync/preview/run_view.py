"""A run as it shows itself: below a notebook's cell, or as lines on stderr. Knows Progress and nothing else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from contextvars import Context
from html import escape
from threading import Lock
from typing import Any, Final

from pendosync.errors import counted
from pendosync.frames import STATUSES, Progress
from pendosync.reports import BOX, MUTED, duration

# Seen on white and on black alike (3:1 or more), and kept where a theme's own colours are not known.
_COLOURS: Final = {
    "updated": "#2ea043",
    "created": "#0d9488",
    "accepted": "#3b82f6",
    "missing": "#e5484d",
    "failed": "#e5484d",
    "unknown": "#c27803",
    "refused": "#c27803",
}
_OTHER: Final = "#8b949e"
_GOOD: Final = {"updated", "created", "accepted"}
_CALLED: Final = {
    "done": "Pushed",
    "paused": "Push paused:",
    "cancelled": "Push cancelled:",
    "stopped": "Push stopped:",
    "interrupted": "Push interrupted:",
}
_LINE_EVERY_S: Final = 2.0
_ROW: Final = "display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 16px"


def open_run_view(progress: Progress) -> Callable[[Progress], None]:
    """Show a run, and return what to call, from any thread, when it has moved.

    In a notebook it is one output that is redrawn, and that stays as it last was when the notebook is read without
    a kernel. Elsewhere it is a line on stderr at the start, every two seconds, and at the end.
    """
    shell = _kernel_shell()
    return _NotebookView(progress, shell) if shell is not None else _open_in_terminal()


def show_once(progress: Progress, view: Callable[[Progress], None] | None = None) -> None:
    """Show a run as the value of a notebook's cell.

    Args:
        progress: where it stands.
        view: what `open_run_view` returned for this run: then this output is redrawn too, and the cell that the
            view was opened in gets no second one.
    """
    if isinstance(view, _NotebookView):
        view.show_again()
    elif _kernel_shell() is None:
        print(run_line(progress))  # noqa: T201
    else:
        from IPython.display import display

        display(_bundle(progress), raw=True)


def run_line(progress: Progress) -> str:
    """Return a run in one line.

    Example:
        >>> run_line(Progress("r", "3 visitors → custom", "done", 3, 1, 1, 1, {"updated": 3}, 0.5))
        '3 visitors → custom: done in under a second; 3 updated; 1 request'
    """
    counts = ", ".join(_each_count(progress.counts)) or "nothing yet"
    note = f"; {progress.note}" if progress.note else ""
    return f"{progress.title}: {_state(progress)}; {counts}; {counted(progress.requests, 'request')}{note}"


def run_html(progress: Progress) -> str:
    """Return a run as HTML that needs no script and no theme: a bar, the counts, the time."""
    known = sum(progress.counts.values())
    left = progress.n_ids - known
    counts = [_count_html(name, n) for name, n in _ordered(progress.counts)]
    counts += [_count_html("pending" if progress.is_over else "to go", left)] if left else []
    facts = (
        f"{_state(progress)} · {progress.batches_done:,} of {counted(progress.n_batches, 'batch', 'batches')} "
        f"in {counted(progress.requests, 'request')}"
    )
    below = f"<div>{escape(progress.note)}</div>" if progress.note else ""
    below += f"<div style='{MUTED}'>{escape(hint)}</div>" if (hint := _hint(progress)) else ""
    return (
        f"<div style='{BOX}'>"
        f"<div style='{_ROW}'><b>{_CALLED.get(progress.state, 'Pushing')} {escape(progress.title)}</b>"
        f"<span style='{MUTED}'>run {escape(progress.run_id)}</span></div>{_bar_html(progress, known)}"
        f"<div style='{_ROW}'><span>{' '.join(counts)}</span><span style='{MUTED}'>{escape(facts)}</span></div>"
        f"{below}</div>"
    )


class _NotebookView:
    """One output, or several of one run, that are redrawn together."""

    def __init__(self, progress: Progress, shell: Any) -> None:
        from IPython.display import DisplayHandle

        self._shell = shell
        self._cell = shell.execution_count
        self._handle = DisplayHandle()
        self._shown = _bundle(progress)
        self._lock = Lock()
        self._handle.display(self._shown, raw=True)

    def __call__(self, progress: Progress) -> None:
        now = _bundle(progress)
        with self._lock, suppress(Exception):  # a picture that can't be drawn stops no run
            if now != self._shown:
                self._shown = now
                # In an empty context the update belongs to the cell that runs now, not to the one that pushed:
                # nbclient drops what belongs to a cell that has ended.
                Context().run(self._handle.update, now, raw=True)

    def show_again(self) -> None:
        with self._lock:
            if self._shell.execution_count != self._cell:
                self._handle.display(self._shown, raw=True)


def _open_in_terminal() -> Callable[[Progress], None]:
    told_s = [0.0]

    def update(now: Progress) -> None:
        if now.is_over or time.monotonic() - told_s[0] >= _LINE_EVERY_S:
            told_s[0] = time.monotonic()
            with suppress(Exception):  # stderr may be closed, or a pipe that nobody reads any more
                print(f"pendosync: {run_line(now)}", file=sys.stderr, flush=True)  # noqa: T201

    return update


def _bundle(progress: Progress) -> dict[str, str]:
    return {"text/html": run_html(progress), "text/plain": run_line(progress)}


def _state(progress: Progress) -> str:
    took = duration(progress.elapsed_s)
    if progress.is_over:
        return f"{progress.state} {'in' if progress.state == 'done' else 'after'} {took}"
    return ", ".join([f"{progress.state}, {took} so far", *_pace(progress)])


def _pace(progress: Progress) -> Iterator[str]:
    """Yield how fast it goes and how long it may take; nothing while it rests."""
    if progress.held:
        yield progress.held
    if progress.state == "paused":
        return
    if progress.ids_per_s is not None:
        yield f"{_rate(progress.ids_per_s)} ids/s"
    if progress.left_s is not None:
        about = "about " if progress.left_s >= 1 else ""
        yield f"{about}{duration(progress.left_s)} left{_spread(progress)}"


def _rate(per_s: float) -> str:
    return f"{per_s:,.0f}" if per_s >= 10 else f"{per_s:.1f}"


def _spread(progress: Progress) -> str:
    """Return the range to expect, where it says more than the number alone."""
    if progress.left_range_s is None:
        return ""
    low, high = map(duration, progress.left_range_s)
    return "" if low == high or progress.left_range_s[1] < 2 else f" ({low} to {high})"


def _hint(progress: Progress) -> str:
    if progress.state == "paused":
        return "run.proceed() goes on; run.cancel() stops the run cleanly."
    if not progress.is_over:
        return "run.pause() lets it rest, run.cancel() stops it cleanly; so does interrupting (■) a cell that waits for it."
    if progress.state != "done":
        return f"resume_push(journal, {progress.run_id!r}, client=client) goes on; run.outcomes says what became of each id."
    return "run.outcomes says what became of each id, and why." if progress.counts.keys() - _GOOD else ""


def _each_count(counts: Mapping[str, int]) -> list[str]:
    return [f"{n:,} {name}" for name, n in _ordered(counts)]


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(name, counts[name]) for name in STATUSES if counts.get(name)]


def _bar_html(progress: Progress, known: int) -> str:
    parts = "".join(
        f"<div title='{n:,} {name}' style='width:{100 * n / progress.n_ids:.4g}%;background:{_colour(name)}'></div>"
        for name, n in _ordered(progress.counts)
    )
    return (
        f"<div role='progressbar' aria-label='ids with an outcome' aria-valuemin='0' "
        f"aria-valuemax='{progress.n_ids}' aria-valuenow='{known}' style='display:flex;height:8px;border-radius:4px;"
        f"overflow:hidden;gap:1px;margin:6px 0;background:rgba(128,128,128,.3)'>{parts}</div>"
    )


def _count_html(name: str, n: int) -> str:
    dot = f"display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:5px;background:{_colour(name)}"
    return f"<span style='display:inline-block;margin-right:14px'><span style='{dot}'></span><b>{n:,}</b> {name}</span>"


def _colour(name: str) -> str:
    return _COLOURS.get(name, _OTHER)


def _kernel_shell() -> Any:
    """Return IPython's shell where a notebook's kernel runs us, else None; never imports IPython by itself."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if shell is not None and hasattr(shell, "kernel") else None
