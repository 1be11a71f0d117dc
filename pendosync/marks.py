"""Who pushes a plan at this moment: two runs of one plan are told of each other.

A run leaves a mark beside the plan that it pushes: in the plan's folder, where it was saved, else in its journal. A mark
says where its run is written. Where that can be reached, the run's own lock and lease tell whether it still goes; where
not, as on another machine with a journal of its own, the mark's age does, and whether its process lives.

Marks are left one after the other, under a lock: of two pushes at once exactly one goes. Where the disk knows no locks,
each leaves its own and then looks for the other's: at most one goes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from pendosync.errors import HeldError, PendosyncError
from pendosync.folders import write_whole
from pendosync.gates import Gates
from pendosync.journal import Journal
from pendosync.plans import Plan
from pendosync.rundb import FILE
from pendosync.runfile import LEASE_S, RunRecord, is_held, now_ms

_KEPT: Final = "marks"
"""A run's note of where its mark lies, for whoever goes on with it."""

_TAKE_S: Final = 5.0
"""So long is waited while another run leaves its mark, which takes milliseconds."""


def mark_plan(record: RunRecord, run_folder: Path, plan: Plan, place: Path) -> None:
    """Leave a mark that a run pushes *plan*, renewed with each of its beats, and taken away once it is closed.

    Where no mark can be left, as on a disk that is read only, there is none.

    Args:
        record: of the run.
        run_folder: where it is written.
        plan: what it pushes; nothing is marked where its digest is not known.
        place: the folder of the marks.

    Raises:
        HeldError: another run pushes the plan.
    """
    digest = _digest_of(plan)
    if digest is None or not place.parent.is_dir():
        return
    with contextlib.suppress(OSError):
        (run_folder / _KEPT).write_text(json.dumps({"place": str(place), "digest": digest}), encoding="utf-8")
    _take(record, run_folder, place, digest)


def _digest_of(plan: Plan) -> str | None:
    """Return what tells the plan from others, whichever of its gates were lifted; None where it is not known."""
    return dataclasses.replace(plan, gates=Gates()).known_digest or plan.known_digest


def marks_of(plan: Plan, journal: Journal) -> Path:
    """Return the folder of a plan's marks: beside its parts where it was saved, else in the journal."""
    folder = plan.parts.folder
    return folder / "runs" if folder and folder.is_dir() else journal.path / ".plans"


def renew_mark(record: RunRecord, run_folder: Path) -> None:
    """Leave the mark of a run again that somebody goes on with; raises as `mark_plan`."""
    try:
        kept = json.loads((run_folder / _KEPT).read_text(encoding="utf-8"))
        place, digest = Path(kept["place"]), str(kept["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    if place.parent.is_dir():
        _take(record, run_folder, place, digest)


def _take(record: RunRecord, run_folder: Path, place: Path, digest: str) -> None:
    mine = place / f"{digest[:16]}-{run_folder.name}.json"
    told = {"run": str(run_folder), "host": socket.gethostname(), "pid": os.getpid(), "since": now_ms()}
    try:
        place.mkdir(mode=0o700, exist_ok=True)
        with _in_turn(place / f"{digest[:16]}.lock"):
            write_whole(mine, json.dumps(told).encode())
            record.at_beat.append(lambda: _renew(mine))
            record.at_close.append(lambda: mine.unlink(missing_ok=True))
            for other in place.glob(f"{digest[:16]}-*.json"):
                theirs = None if other == mine else _read(other)
                if theirs is not None and _goes(other, theirs):
                    mine.unlink(missing_ok=True)
                    raise _pushed_already(theirs)
    except OSError:
        return


@contextlib.contextmanager
def _in_turn(path: Path) -> Iterator[None]:
    """One block at a time, where the disk knows locks and nobody holds one for long."""
    lock = FileLock(path, timeout=_TAKE_S, thread_local=False)
    with contextlib.suppress(Timeout, NotImplementedError):
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _renew(mark: Path) -> None:
    with contextlib.suppress(OSError):
        os.utime(mark)


def _read(mark: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(mark.read_text(encoding="utf-8"))
        return {
            "run": str(told["run"]),
            "host": told["host"],
            "pid": int(told["pid"]),
            "since": int(told["since"]),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _goes(mark: Path, theirs: dict[str, Any]) -> bool:
    """Return whether the run that left *mark* is pushed at this moment."""
    run_folder = Path(theirs["run"])
    if (run_folder / FILE).is_file():
        with contextlib.suppress(PendosyncError):
            return is_held(run_folder)
    if theirs["host"] == socket.gethostname() and not _lives(theirs["pid"]):
        return False
    with contextlib.suppress(OSError):
        return time.time() - mark.stat().st_mtime < LEASE_S
    return False


def _lives(pid: int) -> bool:
    """Return whether there may be a process of this number here."""
    if os.name == "nt":  # there the question would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def _pushed_already(theirs: dict[str, Any]) -> HeldError:
    run = Path(theirs["run"])
    return HeldError(
        f"Run {run.name} pushes this plan already: process {theirs['pid']} on {theirs['host']!r}. Expected one run of a plan "
        f"at a time; nothing was sent from here. Hint: attach_run(open_journal({str(run.parent)!r}), {run.name!r}) shows "
        f"it, and resume_push goes on with it once it has ended.",
        host=theirs["host"],
        pid=theirs["pid"],
    )
