"""A run's SQLite file: opened to write or to read, what its errors mean, and whether any of what was written is gone.

SQLite passes over a log (WAL) that was cut short or overwritten, and shows the file as it was before. So the number of
the last write also stands in a small file beside it: where SQLite knows of fewer writes, some were lost.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pendosync.errors import JournalError, counted

FILE: Final = "run.sqlite"
LOCK_S: Final = 3.0
"""How long another process may hold the file. The push waits with it, so it is short."""

_COUNT: Final = "run.count"
_NETWORK_FILES: Final = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "afs", "lustre", "ceph", "gluster")
_OUTER_TROUBLES: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_AUTH,
    }
)
"""What SQLite says of the disk and of others; all else it says of what stands in the file."""


class WriteCount:
    """The number of a run's last write. Not forced to the disk: it may lag behind the file, and never leads it."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / _COUNT, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)

    def write(self, n: int) -> None:
        """Write that the run's file was written for the *n*-th time."""
        _write_at_start(self._file, n.to_bytes(8, "big"))

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _write_at_start(file: int, content: bytes) -> None:
    """Write *content* in one call where there is one: after each, a thread has to wait for Python's lock again."""
    if hasattr(os, "pwrite"):
        os.pwrite(file, content, 0)
    else:
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, content)


def n_written(folder: Path) -> int:
    """Return how often the run's file was written at least. Read it before the file itself, which may be written on."""
    try:
        return int.from_bytes((folder / _COUNT).read_bytes()[:8], "big")
    except FileNotFoundError:
        return 0


def ensure_whole(db: sqlite3.Connection, written: int) -> int:
    """Return how many writes SQLite knows of.

    Raises:
        sqlite3.DatabaseError: they are fewer than the *written* ones; `told` says what that means.
    """
    line = db.execute("SELECT writes FROM lease").fetchone()
    known = int(line[0]) if line else 0
    if known < written:
        raise sqlite3.DatabaseError(f"what was written last is gone: {counted(written - known, 'write')}")
    return known


def connect(folder: Path) -> sqlite3.Connection:
    """Return a connection that writes."""
    db = sqlite3.connect(folder / FILE, timeout=LOCK_S, check_same_thread=False)
    try:
        mode = "TRUNCATE" if _is_on_network(folder) else "WAL"
        db.execute(f"PRAGMA journal_mode = {mode}")
        db.execute("PRAGMA synchronous = FULL")
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads; also on a read-only disk.

    Raises:
        JournalError: the file can't be read, or some of what was written is gone.
    """
    with told(folder):
        written = n_written(folder)
        db = _reader(folder / FILE)
        try:
            ensure_whole(db, written)
            yield db
        finally:
            db.close()


@contextlib.contextmanager
def told(place: Path) -> Iterator[None]:
    """Turn what the disk or SQLite says into an error of our own.

    Raises:
        JournalError: in place of an OSError or an error of SQLite.
    """
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if _is_damage(error):
            raise _damaged(place, error) from None
        raise _unwritable(place, getattr(error, "strerror", None) or str(error)) from None


def _is_damage(error: Exception) -> bool:
    """Whether the file is not as it was written: what SQLite can't read, and tables or texts that are none."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return False
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    return code & 0xFF not in _OUTER_TROUBLES


def _unwritable(place: Path, why: str) -> JournalError:
    return JournalError(
        f"The journal can't be written or read at {str(place)!r} ({why}). Expected a folder on a disk with room, "
        f"that no other process holds. Hint: make room and resume_push, or open_journal('another-folder')."
    )


def _damaged(place: Path, error: Exception) -> JournalError:
    return JournalError(
        f"The journal's file in {str(place)!r} is damaged ({error}). Expected it as it was written. What was pushed is "
        f"no longer known there; the plan is. Hint: read_plan(journal, {place.name!r}), then refresh_plan(plan, "
        f"client=client): what Pendo holds already falls out."
    )


def _reader(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=LOCK_S)
    try:
        db.execute("SELECT 1 FROM run")
    except sqlite3.OperationalError:
        db.close()
        if os.access(path.parent, os.W_OK) or path.with_name(f"{FILE}-wal").exists():
            raise
        db = sqlite3.connect(f"{path.absolute().as_uri()}?immutable=1", uri=True)
    except BaseException:
        db.close()
        raise
    return db


def _is_on_network(path: Path) -> bool:
    """Whether *path* lies on a network file system, where SQLite's WAL is not safe."""
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return False
    here = [
        kind
        for place, kind in sorted(mounts, key=lambda mount: len(mount[0]))
        if path.absolute().is_relative_to(place)
    ]
    return bool(here) and here[-1].startswith(_NETWORK_FILES)
