"""Starting the server's process, and finding one that runs already."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Final

from pendosync.errors import SandboxError
from pendosync.sandbox import state as state_file
from pendosync.sandbox.state import Place

_START_S: Final = 60.0


def find_running(path: Path | None, port: int | None) -> Place | None:
    """Return where the server of this state file runs, or None.

    Raises:
        SandboxError: it runs on another port than the one asked for.
    """
    place = None if path is None else state_file.running(path)
    if place is not None and port not in (None, place.port):
        raise SandboxError(
            f"The sandbox of {str(path)!r} runs already, on port {place.port} and not {port}. Expected one "
            f"server for one file. Hint: leave the port out."
        )
    return place


def start_server(
    options: Mapping[str, Any], path: Path | None, switches: Mapping[str, Any] | None
) -> tuple[Place, subprocess.Popen[str]]:
    """Start a server that lives as long as somebody holds a leash, and return it when it answers.

    Raises:
        SandboxError: it ended at once, with its own words, or did not answer in time.
    """
    arguments = [f"--{name}={value}" for name, value in options.items()]
    arguments += [f"--switch={name}={json.dumps(value)}" for name, value in (switches or {}).items()]
    arguments += [] if path is None else [f"--state={path}"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        process = _spawned(arguments, complaints)
        place = _announced(process)
        if place is not None:
            return place, process
        process.kill()
        process.wait()
        complaints.seek(0)
        raise _not_started(complaints.read())


def _spawned(arguments: list[str], complaints: IO[str]) -> subprocess.Popen[str]:
    # -P keeps modules of the working directory out; a session of its own keeps a notebook's interrupt out
    package = Path(__file__).resolve().parents[2]
    paths = [str(package), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "pendosync", "sandbox", "--leashed", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=complaints,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUTF8": "1"},
        encoding="utf-8",
        start_new_session=True,
    )


def _announced(process: subprocess.Popen[str]) -> Place | None:
    """Wait for the line that says where the server is; None where it ended, or did not come in time."""
    assert process.stdout is not None
    timer = threading.Timer(_START_S, process.kill)
    timer.start()
    try:
        with process.stdout as lines:
            line = lines.readline()
    finally:
        timer.cancel()
    return Place(**json.loads(line)) if line else None


def _not_started(complaint: str) -> SandboxError:
    last = complaint.strip().splitlines()[-1:] or ["it said nothing"]
    if "Hint:" in last[0]:
        return SandboxError(last[0])
    return SandboxError(
        f"The sandbox did not start: {last[0]}. Expected it to answer within {_START_S:.0f} s. "
        f"Hint: run `{Path(sys.executable).name} -m pendosync sandbox` to see all it says."
    )
