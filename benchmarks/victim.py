"""A process that pushes, made to be killed: it gets ready, waits for an order on stdin, and says how it goes on stdout.

    python -m benchmarks.victim URL KEY PLAN_FOLDER IN_FLIGHT

The order is one line of JSON; see `Order`. A line `ready` tells that it waits, `begun` that `push` has returned, `over`
that the run is.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import pendosync as ps
from benchmarks.trials import wait_for

Trace = Any


@dataclass(frozen=True)
class Order:
    """What a victim is to do.

    Args:
        journal: the journal's folder.
        resume: the run to go on with; None pushes the plan.
        then: once it has begun, `wait` for it; or, once *batches* are done, `fall_off` the end of the script, `raise`,
            `exit_hard` (`os._exit`), or wait for `stdin` to be closed and then fall off the end, as a kernel does.
        batches: see *then*.
        at_line: a signal to itself at the so-manieth line that it runs of *rooms*; 0 counts the lines only.
        rooms: modules of pendosync.
        within: only this function of them; all where empty.
        signal: which.
        linger_s: how long it stays at that line before, while other threads go on.
    """

    journal: str
    resume: str | None = None
    then: str = "wait"
    batches: int = 2
    at_line: int | None = None
    rooms: tuple[str, ...] = ()
    within: str = ""
    signal: int = signal.SIGKILL
    linger_s: float = 0.0


class LineCounter:
    """Counts the lines that run in some modules of pendosync, and sends a signal at one of them."""

    def __init__(self, order: Order) -> None:
        package = Path(ps.__file__).parent
        self._files = {str(package / f"{room}.py") for room in order.rooms}
        self._within = order.within
        self._at, self._signal, self._linger_s = order.at_line, order.signal, order.linger_s
        self.n = 0

    def start(self) -> None:
        """Begin, in this thread and those that start from now on; a signal of Python's own reaches the main one only."""
        if self._signal == signal.SIGKILL:
            threading.settrace(self._enter)
        sys.settrace(self._enter)

    def _enter(self, frame: FrameType, event: str, arg: object) -> Trace:
        code = frame.f_code
        is_watched = code.co_filename in self._files and self._within in ("", code.co_name)
        return self._line if is_watched else None

    def _line(self, frame: FrameType, event: str, arg: object) -> Trace:
        if event == "line":
            self.n += 1
            if self.n == self._at:
                time.sleep(self._linger_s)
                signal.raise_signal(self._signal)
        return self._line


def main() -> None:
    """Wait for the order and carry it out."""
    url, key, plan_folder, in_flight = sys.argv[1:]
    pace = ps.Pace(None, int(in_flight))
    settings = ps.Settings(integration_key=key, api_url=url, data_url=url, api_pace=pace, access="write")
    client = ps.open_client(settings)
    plan = ps.load_plan(plan_folder)
    say("ready")
    line = sys.stdin.readline()
    if not line:
        return  # nobody needs this victim
    order = Order(**json.loads(line))
    lines = LineCounter(order)
    if order.at_line is not None:
        lines.start()
    journal = ps.open_journal(order.journal)
    if order.resume:
        run = ps.resume_push(journal, order.resume, client=client, show=False)
    else:
        run = ps.push(plan, client=client, journal=journal, show=False)
    say("begun")
    end(run, order)
    if order.then == "wait":
        say(f"over {lines.n}")


def end(run: ps.Run, order: Order) -> None:
    """Let the run go as far as was ordered, and end as was ordered."""
    if order.then == "wait":
        run.wait()
        return
    wait_for(run, batches=order.batches)
    if order.then == "raise":
        raise ValueError("something else in this script went wrong")
    if order.then == "exit_hard":
        os._exit(3)
    if order.then == "stdin":
        sys.stdin.read()


def say(word: str) -> None:
    """Tell whoever started this process."""
    print(word, flush=True)


if __name__ == "__main__":
    main()
