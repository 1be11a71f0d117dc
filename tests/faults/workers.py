"""Processes that push on command, kept warm: the next one starts while this one works."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pendosync as ps
from pendosync.sandbox import Sandbox

_SCRIPT = Path(__file__).with_name("worker.py")


class Worker:
    """One process. `ask` gives it a command and returns its answer; what it was told and may not survive, `tell`."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        max_per_second: float | None = None,
        max_at_once: int = 2,
    ) -> None:
        key = sandbox.settings.secret("integration_key").reveal()
        where = {"api_url": sandbox.url, "data_url": sandbox.url, "integration_key": key}
        pace = {"max_per_second": max_per_second, "max_at_once": max_at_once}
        told = json.dumps({**where, **pace})
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen([sys.executable, str(_SCRIPT), told], text=True, **pipes)
        self._is_ready = False

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, journal: ps.Journal, do: str, **command: Any) -> dict[str, Any]:
        """Return the answer to a command."""
        self.tell(journal, do, **command)
        return self.hear()

    def tell(self, journal: ps.Journal, do: str, **command: Any) -> None:
        """Give a command, and don't wait for its answer."""
        self.ensure_ready()
        assert self._process.stdin is not None
        line = json.dumps({"do": do, "journal": str(journal.path), **command})
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Return the answer to the oldest command that has none."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"the worker ended with {self._process.wait()}"
        content: dict[str, Any] = json.loads(line)
        return content

    def ensure_ready(self) -> None:
        """Wait until it has started."""
        if not self._is_ready:
            assert self.hear() == {"ready": True}
            self._is_ready = True

    def kill(self) -> None:
        """End it at this very instant."""
        self.send(signal.SIGKILL)
        self._process.communicate()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Workers:
    """Ready processes, one after another: the next one starts while this one works."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._next = Worker(sandbox)

    def take(self) -> Worker:
        """Return one that is ready, and is the caller's to kill."""
        taken, self._next = self._next, Worker(self._sandbox)
        taken.ensure_ready()
        return taken

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._next.kill()
