"""A run as it shows itself: below a notebook's cell, or as lines on stderr. Knows Progress and nothing else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from html import escape
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from pendosync.frames import Progress
from pendosync.preview.deeds import Deeds
from pendosync.preview.pages import is_for_a_page, kernel_shell
from pendosync.preview.run_words import (
    batches_of,
    ending_of,
    heading_of,
    hint_of,
    left_of,
    lowered_of,
    ordered,
    pace_of,
    run_line,
    state_of,
    wait_of,
)
from pendosync.reports import BOX, MUTED

if TYPE_CHECKING:
    from pendosync.preview.run_controls import RunControls

__all__ = ["open_run_view", "run_html", "run_line", "show_once"]

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
_LINE_EVERY_S: Final = 2.0
_HOPED_EVERY_S: Final = 1.0
_BENEATH_EVERY_S: Final = 5.0
"""How often the picture is drawn where a live view may come to lie over it, and where one does."""

_ROW: Final = "display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 16px"


def open_run_view(progress: Progress, deeds: Deeds) -> Callable[[Progress], None]:
    """Show a run, and return what to call, from any thread, when it has moved.

    In a notebook it is one output that is redrawn, and that stays as it last was when the notebook is read without
    a kernel; in a page that can, a live view with its buttons lies over it. Elsewhere it is a line on stderr at the
    start, every two seconds, and at the end.
    """
    shell = kernel_shell()
    return _NotebookView(progress, deeds, shell) if shell is not None else _open_in_terminal()


def show_once(progress: Progress, view: Callable[[Progress], None] | None = None) -> None:
    """Show a run as the value of a notebook's cell.

    Args:
        progress: where it stands.
        view: what `open_run_view` returned for this run: then this output is redrawn too, and the cell that the
            view was opened in gets no second one.
    """
    if isinstance(view, _NotebookView):
        view.show_again(progress)
    elif kernel_shell() is None:
        print(run_line(progress))  # noqa: T201
    else:
        from IPython.display import display

        display(_bundle(progress), raw=True)


def run_html(progress: Progress, mark: str = "") -> str:
    """Return a run as HTML that needs no script and no theme: a bar, the counts, the time.

    Args:
        progress: where it stands.
        mark: where a live view finds its place, if there is one.
    """
    left = left_of(progress)
    counts = [_count_html(name, n) for name, n in [*ordered(progress.counts), *([left] if left else [])]]
    facts = " · ".join([state_of(progress), *pace_of(progress), batches_of(progress)])
    held = [f"△ {text}" for text in (wait_of(progress), lowered_of(progress)) if text]
    below = [*held, *filter(None, [ending_of(progress), progress.note])]
    told = "".join(f"<div>{escape(text)}</div>" for text in below)
    told += f"<div style='{MUTED}'>{escape(hint)}</div>" if (hint := hint_of(progress)) else ""
    picture = (
        f"<div style='{BOX}'>"
        f"<div style='{_ROW}'><b>{heading_of(progress)} {escape(progress.title)}</b>"
        f"<span style='{MUTED}'>run {escape(progress.run_id)}</span></div>{_bar_html(progress)}"
        f"<div style='{_ROW}'><span>{' '.join(counts)}</span><span style='{MUTED}'>{escape(facts)}</span></div>"
        f"{told}</div>"
    )
    return f"<div data-pendosync-run='{mark}'>{picture}</div>" if mark else picture


class _NotebookView:
    """One output, or several of one run, that are redrawn together, and the live view over them."""

    def __init__(self, progress: Progress, deeds: Deeds, shell: Any) -> None:
        from IPython.display import DisplayHandle

        self._shell = shell
        self._cell = shell.execution_count
        self._handle = DisplayHandle()
        self._controls = _open_controls(progress, deeds) if is_for_a_page(shell) else None
        self._shown = self._picture(progress)
        self._state, self._drawn_s = progress.state, time.monotonic()
        self._lock = Lock()
        self._handle.display(self._shown, raw=True)

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            if self._controls is not None:
                self._controls.show(progress)
            with suppress(Exception):  # a picture that can't be drawn stops no run
                if self._is_due(progress):
                    self._draw(progress)

    def show_again(self, progress: Progress) -> None:
        with self._lock:
            if self._shell.execution_count != self._cell:
                self._shown = self._picture(progress)
                self._handle.display(self._shown, raw=True)

    def _is_due(self, progress: Progress) -> bool:
        if self._controls is None or progress.state != self._state or progress.is_over:
            return True
        every_s = _BENEATH_EVERY_S if self._controls.is_seen else _HOPED_EVERY_S
        return time.monotonic() - self._drawn_s >= every_s

    def _draw(self, progress: Progress) -> None:
        self._state, self._drawn_s = progress.state, time.monotonic()
        now = self._picture(progress)
        if now != self._shown:
            self._shown = now
            # In an empty context the update belongs to the cell that runs now, not to the one that pushed: nbclient
            # drops what belongs to a cell that has ended.
            Context().run(self._handle.update, now, raw=True)

    def _picture(self, progress: Progress) -> dict[str, str]:
        return _bundle(progress, self._controls.mark if self._controls is not None else "")


def _open_controls(progress: Progress, deeds: Deeds) -> RunControls | None:
    """Return the live view's kernel side, or None where it can't be: the picture does without."""
    with suppress(Exception):
        from pendosync.preview.run_controls import RunControls

        return RunControls(progress, deeds)
    return None


def _open_in_terminal() -> Callable[[Progress], None]:
    told_s = [0.0]

    def update(now: Progress) -> None:
        if now.is_over or time.monotonic() - told_s[0] >= _LINE_EVERY_S:
            told_s[0] = time.monotonic()
            with suppress(Exception):  # stderr may be closed, or a pipe that nobody reads any more
                print(f"pendosync: {run_line(now)}", file=sys.stderr, flush=True)  # noqa: T201

    return update


def _bundle(progress: Progress, mark: str = "") -> dict[str, str]:
    return {"text/html": run_html(progress, mark), "text/plain": run_line(progress)}


def _bar_html(progress: Progress) -> str:
    parts = "".join(
        f"<div title='{n:,} {name}' style='width:{100 * n / progress.n_ids:.4g}%;background:{_colour(name)}'></div>"
        for name, n in ordered(progress.counts)
    )
    return (
        f"<div role='progressbar' aria-label='ids with an outcome' aria-valuemin='0' "
        f"aria-valuemax='{progress.n_ids}' aria-valuenow='{progress.n_known}' style='display:flex;height:8px;border-radius:4px;"
        f"overflow:hidden;gap:1px;margin:6px 0;background:rgba(128,128,128,.3)'>{parts}</div>"
    )


def _count_html(name: str, n: int) -> str:
    dot = f"display:inline-block;width:9px;height:9px;border-radius:2px;margin-right:5px;background:{_colour(name)}"
    return f"<span style='display:inline-block;margin-right:14px'><span style='{dot}'></span><b>{n:,}</b> {name}</span>"


def _colour(name: str) -> str:
    return _COLOURS.get(name, _OTHER)
