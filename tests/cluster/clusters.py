"""A Dask cluster of processes of its own, to be killed in parts."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


class Cluster:
    """A scheduler and its workers as processes of their own, as on a cluster that is there already."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scheduler.json"
        self._folder = folder
        self.workers: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.address = self._address()

    def start_worker(self, *looks_into: Path) -> subprocess.Popen[bytes]:
        """Start a worker that nobody starts again when it dies, and that looks for packages in these folders first."""
        words = ("worker", "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        self.workers.append(self._start(*words, looks_into=looks_into))
        return self.workers[-1]

    def close(self) -> None:
        for process in [*self.workers, self.scheduler]:
            process.kill()
            process.wait()

    def _start(self, *words: str, looks_into: Sequence[Path] = ()) -> subprocess.Popen[bytes]:
        paths = os.pathsep.join(str(folder) for folder in (*looks_into, ROOT, HERE))
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *words, "--scheduler-file", str(self._file)],
            cwd=self._folder, env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def _address(self) -> str:
        while True:
            with contextlib.suppress(OSError, ValueError):
                return str(json.loads(self._file.read_text(encoding="utf-8"))["address"])
            assert self.scheduler.poll() is None
            time.sleep(0.05)


def until(holds: Callable[[], bool]) -> None:
    """Wait for it; the test's time is the limit."""
    while not holds():
        time.sleep(0.02)
