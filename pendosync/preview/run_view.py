"""A run as it shows itself: below a notebook's cell, or as lines on stderr. Knows Progress and nothing else."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from html import escape
from typing import Any, Final

from pendosync.frames import STATUSES, Progress
from pendosync.reports import duration

_COLOURS: Final = {
    "updated": "#1a7f37",
    "created": "#1a7f37",
    "accepted": "#1f6feb",
    "missing": "#b42318",
    "failed": "#b42318",
    "unknown": "#9a6700",
    "pending": "#8b949e",
}
_LINE_EVERY_S: Final = 2.0
_BOX: Final = (
    "border:1px solid var(--jp-border-color2,#ccc);border-radius:4px;padding:10px 12px;margin:4px 0;font-size:13px;"
    "line-height:1.6;font-family:var(--jp-ui-font-family,sans-serif)"
)
_MUTED: Final = "color:var(--jp-ui-font-color2,#666)"


def open_run_view(progress: Progress) -> Callable[[Progress], None]:
    """Show a run, and return what to call, from any thread, when it has moved.

    In a notebook it is one output that is redrawn, and that stays as it last was when the notebook is read without
    a kernel. Elsewhere it is a line on stderr at the start, every two seconds, and at the end.
    """
    shell = _kernel_shell()
    return _open_in_notebook(progress) if shell is not None else _open_in_terminal()


def show_once(progress: Progress) -> None:
    """Show a run as it stands now, as the value of a notebook's cell."""
    if _kernel_shell() is None:
        print(run_line(progress))  # noqa: T201
        return
    from IPython.display import display

    display(_bundle(progress), raw=True)


def run_line(progress: Progress) -> str:
    """Return a run in one line.

    Example:
        >>> run_line(Progress("r", "3 visitors → custom", "done", 3, 1, 1, 1, {"updated": 3}, 0.5))
        '3 visitors → custom: done in under a second; 3 updated; 1 request'
    """
    requests = f"{progress.requests:,} request{'' if progress.requests == 1 else 's'}"
    counts = ", ".join(_each_count(progress.counts)) or "nothing yet"
    note = f"; {progress.note}" if progress.note else ""
    return f"{progress.title}: {_state(progress)}; {counts}; {requests}{note}"


def run_html(progress: Progress) -> str:
    """Return a run as HTML that needs no script: a bar, the counts, the time."""
    known = sum(progress.counts.values())
    parts = "".join(_bar_part(name, n, progress.n_ids) for name, n in _ordered(progress.counts))
    bar = (
        f"<div role='progressbar' aria-valuemin='0' aria-valuemax='{progress.n_ids}' aria-valuenow='{known}' "
        f"style='display:flex;height:8px;border-radius:4px;overflow:hidden;margin:6px 0;"
        f"background:var(--jp-layout-color3,#e1e4e8)'>{parts}</div>"
    )
    counts = " &nbsp; ".join(
        f"<b style='color:{_COLOURS.get(name, 'inherit')}'>{n:,}</b> {name}"
        for name, n in _ordered(progress.counts)
    )
    to_go = f" &nbsp; {progress.n_ids - known:,} to go" if known < progress.n_ids else ""
    note = f"<div>{escape(progress.note)}</div>" if progress.note else ""
    hint = (
        ""
        if progress.is_over
        else f"<div style='{_MUTED}'>While a cell waits, interrupt (■) stops the run cleanly.</div>"
    )
    return (
        f"<div style='{_BOX}'><b>{'Pushed' if progress.state == 'done' else 'Pushing'} {escape(progress.title)}</b> "
        f"<code style='{_MUTED}'>run {escape(progress.run_id)}</code>{bar}"
        f"<div>{counts}{to_go}<span style='float:right;{_MUTED}'>{escape(_state(progress))} · "
        f"{progress.requests:,} of {progress.n_batches:,} requests</span></div>{note}{hint}</div>"
    )


def _open_in_notebook(progress: Progress) -> Callable[[Progress], None]:
    from IPython.display import DisplayHandle

    handle = DisplayHandle()
    handle.display(_bundle(progress), raw=True)
    last = [progress]

    def update(now: Progress) -> None:
        if _looks_other(now, last[0]):
            last[0] = now
            handle.update(_bundle(now), raw=True)

    return update


def _open_in_terminal() -> Callable[[Progress], None]:
    told_s = [0.0]

    def update(now: Progress) -> None:
        if now.is_over or time.monotonic() - told_s[0] >= _LINE_EVERY_S:
            told_s[0] = time.monotonic()
            print(f"pendosync: {run_line(now)}", file=sys.stderr, flush=True)  # noqa: T201

    return update


def _bundle(progress: Progress) -> dict[str, str]:
    return {"text/html": run_html(progress), "text/plain": run_line(progress)}


def _looks_other(now: Progress, last: Progress) -> bool:
    return (now.counts, now.state, now.note, now.requests) != (
        last.counts,
        last.state,
        last.note,
        last.requests,
    )


def _state(progress: Progress) -> str:
    took = duration(progress.elapsed_s)
    if progress.is_over:
        return f"{progress.state} in {took}" if progress.state == "done" else f"{progress.state} after {took}"
    left = f", about {duration(progress.left_s)} left" if progress.left_s is not None else ""
    return f"{progress.state} since {took}{left}"


def _each_count(counts: Mapping[str, int]) -> list[str]:
    return [f"{n:,} {name}" for name, n in _ordered(counts)]


def _ordered(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return [(name, counts[name]) for name in STATUSES if counts.get(name)]


def _bar_part(name: str, n: int, total: int) -> str:
    return f"<div title='{n:,} {name}' style='width:{100 * n / max(total, 1):.4g}%;background:{_COLOURS.get(name, '#8b949e')}'></div>"


def _kernel_shell() -> Any:
    """Return IPython's shell where a notebook's kernel runs us, else None; never imports IPython by itself."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell if shell is not None and hasattr(shell, "kernel") else None
