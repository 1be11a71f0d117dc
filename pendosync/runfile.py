"""One run's file in the journal: what is being sent, what became of it, and who may push it.

Before a request its batch is written as `sending`, after it its outcome: what is left `sending` is unknown. An outcome
waits for the next write, so that batches in flight share what forcing a write out to the disk costs. A batch has one line, and only rows that differ from their batch have one of their own. A run has one pusher: it holds a lock
on `run.lock`, which the operating system frees when it dies, and a lease for machines that such a lock does not reach.
Every write says that the lease is still its own, so a pusher that was taken over stops before it sends again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from filelock import FileLock, Timeout

from pendosync.errors import HeldError
from pendosync.frames import Status
from pendosync.plans import Plan
from pendosync.results import IN_FLIGHT, BatchResult, Creation
from pendosync.rundb import FILE, LOCK_S, WriteCount, connect, ensure_whole, n_written, reading, told

LEASE_S: Final = 60.0
"""How long a pusher on another machine may be silent before it is taken for dead.

Machines that share a journal have clocks that agree to this. Where they don't, a pusher may be taken for dead that lives:
it stops before its next request."""

Wish = Literal["", "pause", "cancel"]
"""What someone asked of a run, perhaps from another process."""

_TABLES: Final = """
CREATE TABLE run (
    run_id TEXT NOT NULL, state TEXT NOT NULL, kind TEXT NOT NULL, "group" TEXT NOT NULL, route TEXT NOT NULL,
    api_url TEXT NOT NULL, n_ids INTEGER NOT NULL, n_batches INTEGER NOT NULL, digest TEXT NOT NULL, undoes TEXT,
    started_at INTEGER NOT NULL, ended_at INTEGER, note TEXT NOT NULL DEFAULT '', wish TEXT NOT NULL DEFAULT ''
);
CREATE TABLE lease (
    token TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, since INTEGER NOT NULL, beat_at INTEGER NOT NULL,
    writes INTEGER NOT NULL
);
CREATE TABLE batch (
    batch INTEGER PRIMARY KEY, first_row INTEGER NOT NULL, n_rows INTEGER NOT NULL, sha256 TEXT NOT NULL,
    state TEXT NOT NULL, status TEXT, reason TEXT, tries INTEGER NOT NULL DEFAULT 0, http_status INTEGER,
    resent INTEGER NOT NULL DEFAULT 0, sent_at INTEGER NOT NULL, done_at INTEGER
);
CREATE TABLE piece (
    batch INTEGER NOT NULL, first_row INTEGER NOT NULL, n_rows INTEGER NOT NULL, sha256 TEXT NOT NULL,
    status TEXT, reason TEXT, http_status INTEGER, sent_at INTEGER NOT NULL, done_at INTEGER
);
CREATE TABLE exception (
    row INTEGER PRIMARY KEY, batch INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL
);
CREATE TABLE step (step INTEGER PRIMARY KEY, passed_at INTEGER NOT NULL);
CREATE TABLE creation (asked_at INTEGER NOT NULL, id TEXT, is_answered INTEGER NOT NULL DEFAULT 0);
"""
_TAKE_S: Final = 1.0
"""How long to wait for the run's lock: longer than another takes to look whether it is held."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who pushes a run, or pushed it last. Times are epoch milliseconds."""

    host: str
    pid: int
    since: int
    beat_at: int

    @property
    def is_here(self) -> bool:
        """Whether it is, or was, a process of this machine."""
        return self.host == socket.gethostname()

    @property
    def silent_s(self) -> float:
        """Seconds since it last wrote, by this machine's clock; below 0 where that clock is behind."""
        return (now_ms() - self.beat_at) / 1000

    @property
    def free_in_s(self) -> float:
        """Seconds until its lease ends; 0 where it has ended, or where its last word lies too far ahead to be one."""
        return LEASE_S - self.silent_s if abs(self.silent_s) < LEASE_S else 0.0

    def holds(self, *, is_unlocked: bool) -> bool:
        """Whether it may still push the run.

        Args:
            is_unlocked: the run's lock was free: a process of this machine would hold it.
        """
        return self.free_in_s > 0 and not (self.is_here and is_unlocked)


class RunRecord:
    """The record of one run, written as it goes by the one who pushes it. Made by `create_record`, `take_record`.

    Attributes:
        run_id: which run.
        n_left: how many statements were left to be written with a later one, all in all.
        at_beat, at_close: called whenever the pusher says that it lives, and once it lets go.
    """

    def __init__(self, run_id: str, folder: Path, lock: FileLock) -> None:
        self.run_id = run_id
        self.at_beat: list[Callable[[], None]] = []
        self.at_close: list[Callable[[], None]] = []
        self._folder = folder
        self._lock = lock
        self._token = secrets.token_hex(8)
        self._turn = threading.Lock()  # rows are also written from beside the loop
        self.n_left = 0
        self._left: deque[tuple[str, Sequence[tuple[object, ...]]]] = deque()
        with told(folder), contextlib.ExitStack() as undoing:
            written = n_written(folder)
            self._count = WriteCount(folder)
            undoing.callback(self._count.close)
            self._db = connect(folder)
            undoing.callback(self._db.close)
            self._writes = self._take_lease(written)
            # a new run has none, and each request would ask for them
            self._has_lines = bool(self._db.execute("SELECT EXISTS (SELECT 1 FROM exception)").fetchone()[0])
            undoing.pop_all()

    def _take_lease(self, written: int) -> int:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            writes = ensure_whole(self._db, written) + 1
            _ensure_free(self._db, self.run_id, has_lock=self._lock.is_locked)
            self._db.execute("DELETE FROM lease")
            now = now_ms()
            line = (self._token, socket.gethostname(), os.getpid(), now, now, writes)
            self._db.execute("INSERT INTO lease VALUES (?, ?, ?, ?, ?, ?)", line)
            self._db.execute("UPDATE run SET state = 'running', ended_at = NULL, note = '', wish = ''")
        self._count.write(writes)
        return writes

    def record_sending(
        self, batch: int, *, first_row: int, n_rows: int, sha256: str, is_again: bool = False
    ) -> None:
        """Have it written that *batch* is about to be sent; what its rows had come to is forgotten.

        Nothing may be sent before it was written and forced out, see `write_left`.

        Args:
            batch, first_row, n_rows, sha256: which rows, and their bytes.
            is_again: they were sent before, and nobody learned what became of them.
        """
        if self._has_lines:
            self._leave(_FORGET_LINES, [(first_row, first_row + n_rows - 1)])
        self._leave(_PUT_BATCH, [(batch, first_row, n_rows, sha256, now_ms(), is_again)])

    def record_result(self, batch: int, result: BatchResult, *, first_row: int, tries: int) -> None:
        """Have it written what became of *batch*, exceptions included, with whatever is written next."""
        lines = [(first_row + at, batch, status, reason) for at, status, reason in result.exceptions]
        if lines:
            self._has_lines = True
            self._leave(_PUT_LINE, lines)
        told = (result.status, result.reason, tries, result.http_status, now_ms(), batch)
        self._leave(_PUT_RESULT, [told])

    @property
    def has_left(self) -> bool:
        """Whether something is left to be written."""
        return bool(self._left)

    def _leave(self, statement: str, lines: Sequence[tuple[object, ...]]) -> None:
        self._left.append((statement, lines))
        self.n_left += 1

    def write_left(self, upto: int) -> Callable[[], None]:
        """Write what was left to be written, and return what forces it out to the disk: that one is to be called, once.

        Any thread may call it: while the disk takes its time, another can go on.

        Args:
            upto: what `n_left` was when the last was left that is to be written.

        Raises:
            JournalError: it can't be written, or another pusher has taken over; what was left is lost.
        """
        self._turn.acquire()
        try:
            with told(self._folder):
                self._begin(upto)
        except BaseException:
            self._undo()
            raise
        return self._force_out

    def _force_out(self) -> None:
        """Commit what `write_left` has begun."""
        try:
            with told(self._folder):
                self._db.commit()
                self._count.write(self._writes)
        except BaseException:
            self._undo()
            raise
        self._turn.release()

    def _undo(self) -> None:
        try:
            with contextlib.suppress(sqlite3.Error):
                self._db.rollback()
        finally:
            self._turn.release()

    def record_piece(self, batch: int, *, first_row: int, n_rows: int, sha256: str) -> int:
        """Write that a part of *batch* is about to be sent alone, and return its number.

        Where the batch itself is not being sent, each row gets a line that says so.

        Raises:
            JournalError: it can't be written; nothing may be sent.
        """
        with self._writing() as db:
            is_told = db.execute(
                "SELECT 1 FROM batch WHERE batch = ? AND state = 'sending'", (batch,)
            ).fetchone()
            if not is_told:
                rows = range(first_row, first_row + n_rows)
                self._has_lines = True
                db.executemany(_PUT_LINE, [(row, batch, "unknown", IN_FLIGHT) for row in rows])
            line = db.execute(
                "INSERT INTO piece (batch, first_row, n_rows, sha256, sent_at) VALUES (?, ?, ?, ?, ?)",
                (batch, first_row, n_rows, sha256, now_ms()),
            )
            return int(line.lastrowid or 0)

    def record_piece_result(self, piece: int, result: BatchResult) -> None:
        """Write what became of a part.

        Raises:
            JournalError: it can't be written.
        """
        with self._writing() as db:
            db.execute(
                "UPDATE piece SET status = ?, reason = ?, http_status = ?, done_at = ? WHERE rowid = ?",
                (result.status, result.reason, result.http_status, now_ms(), piece),
            )

    def record_rows(self, lines: Iterable[tuple[int, int, Status, str]]) -> None:
        """Write what became of single rows, whatever their batch says: row, batch, status, reason.

        Raises:
            JournalError: it can't be written.
        """
        with self._writing() as db:
            self._has_lines = True
            db.executemany(_PUT_LINE, lines)

    def record_rest(self, batch: int) -> None:
        """Write that each row of *batch* has a line of its own by now.

        Raises:
            JournalError: it can't be written.
        """
        with self._writing() as db:
            db.execute(
                "UPDATE batch SET state = 'done', status = COALESCE(status, 'unknown') WHERE batch = ?",
                (batch,),
            )

    def record_step(self, step: int) -> None:
        """Write that a canary step has passed, or has stopped the run: it is not read back again.

        Raises:
            JournalError: it can't be written.
        """
        with self._writing() as db:
            db.execute("INSERT OR REPLACE INTO step VALUES (?, ?)", (step, now_ms()))

    def passed_steps(self) -> set[int]:
        """Return the canary steps that are not read back again."""
        with told(self._folder):
            return {step for (step,) in self._db.execute("SELECT step FROM step")}

    def record_creating(self) -> None:
        """Write that Pendo is about to be asked to create the run's audience.

        Raises:
            JournalError: it can't be written; nothing may be sent.
        """
        with self._writing() as db:
            db.execute("DELETE FROM creation")
            db.execute("INSERT INTO creation (asked_at) VALUES (?)", (now_ms(),))

    def record_created(self, id_: str, *, is_answered: bool) -> None:
        """Write the id of the audience that was created: as it was answered, or as it was found by its name.

        Raises:
            JournalError: it can't be written.
        """
        with self._writing() as db:
            db.execute("UPDATE creation SET id = ?, is_answered = ?", (id_, is_answered))

    def record_not_created(self) -> None:
        """Write that nothing was created.

        Raises:
            JournalError: it can't be written.
        """
        with self._writing() as db:
            db.execute("DELETE FROM creation")

    def creation(self) -> Creation:
        """Return what became of the audience that the run was to create."""
        with told(self._folder):
            return _creation_in(self._db)

    def beat(self) -> Wish:
        """Say that the pusher lives, and return what others asked of the run meanwhile.

        Raises:
            JournalError: it can't be written, or another pusher has taken over.
        """
        with self._writing() as db:
            (wish,) = db.execute("SELECT wish FROM run").fetchone()
        for call in self.at_beat:
            call()
        known: dict[str, Wish] = {"pause": "pause", "cancel": "cancel"}
        return known.get(wish, "")

    def record_end(self, state: Literal["done", "cancelled", "stopped"], note: str = "") -> None:
        """Write how the run ended, and let go of it.

        Raises:
            JournalError: it can't be written.
        """
        with self._writing() as db:
            db.execute("UPDATE run SET state = ?, note = ?, ended_at = ?", (state, note, now_ms()))
            db.execute("UPDATE lease SET beat_at = 0")

    def close(self) -> None:
        """Close the file and free the run for another pusher."""
        while self.at_close:
            self.at_close.pop()()
        try:
            with contextlib.suppress(sqlite3.Error):  # one plain file can be read from a read-only disk too
                self._db.execute("PRAGMA journal_mode = DELETE")
            self._db.close()
        finally:
            self._count.close()
            self._lock.release()

    def discard(self) -> None:
        """Forget a run that never began."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, which first makes sure that the run is still this pusher's, then writes what was left."""
        with told(self._folder), self._turn:
            with self._db:
                self._begin(self.n_left)
                yield self._db
            self._count.write(self._writes)

    def _begin(self, upto: int) -> None:
        self._writes += 1
        mine = self._db.execute(
            "UPDATE lease SET beat_at = ?, writes = ? WHERE token = ?", (now_ms(), self._writes, self._token)
        )
        if mine.rowcount != 1:
            raise HeldError.taken_over(self.run_id, _holder_in(self._db))
        while self._left and self.n_left - len(self._left) < upto:
            self._db.executemany(*self._left.popleft())


_FORGET_LINES: Final = "DELETE FROM exception WHERE row BETWEEN ? AND ?"
_PUT_BATCH: Final = (
    "INSERT INTO batch (batch, first_row, n_rows, sha256, state, sent_at) VALUES (?, ?, ?, ?, 'sending', ?) "
    "ON CONFLICT (batch) DO UPDATE SET state = 'sending', resent = resent + ?, sent_at = excluded.sent_at"
)
_PUT_RESULT: Final = (
    "UPDATE batch SET state = 'done', status = ?, reason = ?, tries = tries + ?, http_status = ?, done_at = ? "
    "WHERE batch = ?"
)
_PUT_LINE: Final = "INSERT OR REPLACE INTO exception (row, batch, status, reason) VALUES (?, ?, ?, ?)"


def create_record(run_id: str, folder: Path, plan: Plan) -> RunRecord:
    """Write the file of a run that begins, and return its record; it is there with its first line, or not at all.

    Raises:
        JournalError: it can't be written.
    """
    with told(folder):
        lock = _locked(run_id, folder)
        new = (folder / FILE).with_suffix(".new")
        with contextlib.closing(sqlite3.connect(new)) as db, db:
            db.executescript(_TABLES)
            line = (
                run_id, "running", plan.shape.kind, plan.shape.group, plan.shape.route, plan.target.api_url, len(plan),
                plan.n_requests, plan.known_digest or "", plan.undoes, now_ms(),
            )  # fmt: skip
            db.execute(f"INSERT INTO run VALUES ({', '.join('?' * len(line))}, NULL, '', '')", line)
        new.rename(folder / FILE)
    return RunRecord(run_id, folder, lock)


def take_record(run_id: str, folder: Path) -> RunRecord:
    """Take over a run that nobody pushes any more, and return its record.

    Raises:
        HeldError: another process pushes it; the message says which.
        JournalError: its file can't be written.
    """
    with told(folder):
        lock = _locked(run_id, folder)
    try:
        return RunRecord(run_id, folder, lock)
    except BaseException:
        lock.release()
        raise


def is_held(folder: Path) -> bool:
    """Whether somebody pushes the run at this moment."""
    lock, is_free = FileLock(folder / "run.lock", timeout=0, thread_local=False), False
    try:
        with lock:
            is_free = True
    except Timeout:
        return True
    except (OSError, NotImplementedError):
        pass  # no lock can be had here: the lease tells
    with reading(folder) as db:
        holder = _holder_in(db)
    return holder is not None and holder.holds(is_unlocked=is_free)


def ask(folder: Path, wish: Wish) -> None:
    """Leave a wish for whoever pushes the run.

    Raises:
        JournalError: it can't be written.
    """
    with told(folder), contextlib.closing(sqlite3.connect(folder / FILE, timeout=LOCK_S)) as db, db:
        db.execute("UPDATE run SET wish = ?", (wish,))


def settle(
    run_id: str,
    folder: Path,
    *,
    batches: Sequence[tuple[int, Status, str]],
    rows: Sequence[tuple[int, int, Status, str]],
) -> None:
    """Write what became of whole batches (batch, status, reason) and of rows (row, batch, status, reason) of a run.

    Raises:
        HeldError: somebody pushes the run.
        JournalError: it can't be written.
    """
    if is_held(folder):
        with reading(folder) as db:
            raise HeldError.held(run_id, _holder_in(db))
    with told(folder), contextlib.closing(connect(folder)) as db, db:
        db.executemany("DELETE FROM exception WHERE batch = ?", [(batch,) for batch, _, _ in batches])
        db.executemany(
            "UPDATE batch SET state = 'done', status = ?, reason = ?, done_at = COALESCE(done_at, ?) WHERE batch = ?",
            [(status, reason, now_ms(), batch) for batch, status, reason in batches],
        )
        db.executemany(_PUT_LINE, rows)


def creation_in(folder: Path) -> Creation:
    """Return what became of the audience that a run was to create.

    Raises:
        JournalError: its file can't be read.
    """
    with reading(folder) as db:
        return _creation_in(db)


def now_ms() -> int:
    """Return the time as epoch milliseconds."""
    return time.time_ns() // 1_000_000


def _locked(run_id: str, folder: Path) -> FileLock:
    lock = FileLock(folder / "run.lock", timeout=_TAKE_S, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        with reading(folder) as db:
            raise HeldError.held(run_id, _holder_in(db)) from None
    except NotImplementedError:
        pass  # a disk without locks: the lease alone decides
    return lock


def _ensure_free(db: sqlite3.Connection, run_id: str, *, has_lock: bool) -> None:
    """Return nothing where the lease is free: its holder was on this machine and lost the lock, or is long silent."""
    holder = _holder_in(db)
    if holder is not None and holder.holds(is_unlocked=has_lock):
        raise HeldError.held(run_id, holder, free_in_s=holder.free_in_s)


def _creation_in(db: sqlite3.Connection) -> Creation:
    """Runs that were written before there were audiences have no such table."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'creation'").fetchone():
        return Creation()
    line = db.execute("SELECT id, is_answered FROM creation").fetchone()
    return Creation() if line is None else Creation(True, line[0] or "", bool(line[1]))


def _holder_in(db: sqlite3.Connection) -> Holder | None:
    line = db.execute("SELECT host, pid, since, beat_at FROM lease").fetchone()
    return None if line is None else Holder(*line)
