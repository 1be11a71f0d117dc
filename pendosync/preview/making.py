"""How far something long has come that a cell waits for: a line and a bar below the cell, or lines on stderr."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from html import escape
from typing import Any, Final

from pendosync.preview.pages import kernel_shell
from pendosync.reports import BOX, MUTED, duration

_QUIET_S: Final = 2.0
"""What is over sooner is not shown."""

_EVERY_S: Final = {True: 0.5, False: 5.0}
"""How often it is shown: in a notebook, and elsewhere."""


class Making:
    """Shows how far something has come, from the thread that does it.

    Args:
        title: what is made.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._began_s = self._stage_s = time.monotonic()
        self._shown_s = self._began_s + _QUIET_S - _EVERY_S[False]
        self._stage = ""
        self._shell = kernel_shell()
        self._handle: Any = None

    def tell(self, stage: str, done: int, of: int | None = None) -> None:
        """Say that *done* of so many are done of a stage; *of* is None where nobody knows how many there are."""
        now_s = time.monotonic()
        if stage != self._stage:
            self._stage, self._stage_s = stage, now_s
        is_due = now_s - self._shown_s >= _EVERY_S[self._shell is not None]
        if not is_due or now_s - self._began_s < _QUIET_S:
            return
        self._shown_s = now_s
        many = f"{done:,}" if of is None else f"{done:,} of {of:,}"
        left_s = (now_s - self._stage_s) * (of - done) / done if of and done else None
        left = f", about {duration(left_s)} left" if left_s else ""
        self._show(f"{many} {stage}{left}", done / of if of else None)

    def close(self) -> None:
        """Say how long it took, where it was shown at all."""
        took_s = time.monotonic() - self._began_s
        if took_s >= _QUIET_S and (self._handle is not None or self._shell is None):
            self._show(f"done in {duration(took_s)}", 1.0)

    def _show(self, told: str, share: float | None) -> None:
        with suppress(Exception):  # a picture that can't be drawn stops nothing; stderr may be closed
            if self._shell is None:
                print(f"pendosync: {self._title}: {told}", file=sys.stderr, flush=True)  # noqa: T201
                return
            from IPython.display import DisplayHandle

            picture = {
                "text/html": making_html(self._title, told, share),
                "text/plain": f"{self._title}: {told}",
            }
            if self._handle is None:
                self._handle = DisplayHandle()
                self._handle.display(picture, raw=True)
            else:
                self._handle.update(picture, raw=True)


def making_html(title: str, told: str, share: float | None) -> str:
    """Return how far it has come as HTML that needs no script and no theme."""
    width = 0 if share is None else 100 * min(1.0, share)
    return (
        f"<div style='{BOX}'><div style='display:flex;flex-wrap:wrap;justify-content:space-between;gap:0 16px'>"
        f"<b>{escape(title)}</b><span style='{MUTED}'>{escape(told)}</span></div>"
        f"<div role='progressbar' aria-label='{escape(title)}' aria-valuemin='0' aria-valuemax='100' "
        f"aria-valuenow='{width:.0f}' style='height:8px;border-radius:4px;overflow:hidden;margin:6px 0;"
        f"background:rgba(128,128,128,.3)'><div style='width:{width:.4g}%;height:100%;background:#3b82f6'></div></div></div>"
    )
