"""What was pushed, when, and what became of each id: a folder a run, with its plan and a small SQLite file.

Before a request its batch is written as `sending`, after it its outcome: what is left `sending` is unknown. A batch
has one line and only exceptions have one of their own; OUTCOMES is derived from the plan, the batches and these.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from pendosync.errors import JournalError, PlanError, counted, listed
from pendosync.frames import OUTCOMES, Status
from pendosync.plans import Plan, load_plan
from pendosync.settings import find_env_file

RUNS: Final = pl.Schema(
    {
        "run_id": pl.String(),
        "state": pl.String(),
        "kind": pl.String(),
        "group": pl.String(),
        "route": pl.String(),
        "api_url": pl.String(),
        "n_ids": pl.UInt32(),
        "n_batches": pl.UInt32(),
        "digest": pl.String(),
        "undoes": pl.String(),
        "started_at": pl.Datetime("ms", "UTC"),
        "ended_at": pl.Datetime("ms", "UTC"),
        "note": pl.String(),
    }
)
"""One row is one run. `state` is `running`, `done`, `cancelled` or `stopped`; a killed run still says `running`."""

WRITTEN: Final[tuple[Status, ...]] = ("updated", "created", "accepted")
"""The outcomes after which Pendo holds, or will hold, what was pushed."""


def may_be_written() -> pl.Expr:
    """Return whether Pendo holds, or may hold, what was pushed; over the columns of `derive_outcomes`."""
    refused = pl.col("http_status").is_between(400, 499).fill_null(False)
    unsure = (pl.col("status") == "unknown") | ((pl.col("status") == "failed") & ~refused)
    return pl.col("status").is_in(WRITTEN) | unsure


_TABLES: Final = """
CREATE TABLE run (
    run_id TEXT NOT NULL, state TEXT NOT NULL, kind TEXT NOT NULL, "group" TEXT NOT NULL, route TEXT NOT NULL,
    api_url TEXT NOT NULL, n_ids INTEGER NOT NULL, n_batches INTEGER NOT NULL, digest TEXT NOT NULL, undoes TEXT,
    started_at INTEGER NOT NULL, ended_at INTEGER, note TEXT NOT NULL DEFAULT '', host TEXT NOT NULL, pid INTEGER NOT NULL
);
CREATE TABLE batch (
    batch INTEGER PRIMARY KEY, first_row INTEGER NOT NULL, n_rows INTEGER NOT NULL, sha256 TEXT NOT NULL,
    state TEXT NOT NULL, status TEXT, reason TEXT, tries INTEGER NOT NULL DEFAULT 0, http_status INTEGER,
    sent_at INTEGER NOT NULL, done_at INTEGER
);
CREATE TABLE piece (
    batch INTEGER NOT NULL, first_row INTEGER NOT NULL, n_rows INTEGER NOT NULL, sha256 TEXT NOT NULL,
    status TEXT, reason TEXT, http_status INTEGER, sent_at INTEGER NOT NULL, done_at INTEGER
);
CREATE TABLE exception (
    row INTEGER PRIMARY KEY, batch INTEGER NOT NULL, status TEXT NOT NULL, reason TEXT NOT NULL
);
"""
_LOCK_S: Final = 3.0
"""How long another process may hold the file. The push waits with it, so it is short."""

_NETWORK_FILES: Final = ("nfs", "cifs", "smb", "9p", "fuse.sshfs", "afs", "lustre", "ceph", "gluster")


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What an answer means for a batch: one status for its ids, and the exceptions.

    Args:
        status: of each id that is no exception; `updated` is `created` for an id that the plan creates.
        reason: why, in words; empty where all went well.
        exceptions: position in the batch, status, reason.
        http_status: the answer's, or None without an answer.
        n_unnamed: how many of the other ids failed, where the answer counts them and does not say which.
        is_refused: the whole request was refused, for perhaps one bad record, and nothing was written.
    """

    status: Status
    reason: str = ""
    exceptions: Sequence[tuple[int, Status, str]] = ()
    http_status: int | None = None
    n_unnamed: int = 0
    is_refused: bool = False

    @property
    def must_split(self) -> bool:
        """Whether smaller requests would say more."""
        return self.is_refused or self.n_unnamed > 0


class Journal:
    """A folder of runs. Opened by `open_journal`; safe to open from several notebooks at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def record_run(self, plan: Plan, /) -> RunRecord:
        """Write *plan* and the start of its run, and return the record that the push writes to.

        Raises:
            JournalError: the folder can't be written.
        """
        with _told(self.path):
            run_id = self._new_folder()
        folder = self.path / run_id
        try:
            plan.save(folder / "plan")
            return RunRecord(run_id, folder, plan)
        except PlanError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise JournalError(str(error)) from None
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _new_folder(self) -> str:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (
            contextlib.suppress(FileExistsError),
            open(self.path / ".gitignore", "x", encoding="utf-8") as file,
        ):
            file.write("*\n")
        while True:
            run_id = f"{datetime.now(UTC):%Y-%m-%d}-{secrets.token_hex(3)}"
            with contextlib.suppress(FileExistsError):
                (self.path / run_id).mkdir(mode=0o700)
                return run_id

    def folder_of(self, run_id: str) -> Path:
        """Return the folder of a run.

        Raises:
            JournalError: the journal holds no such run; the message lists the latest.
        """
        folder = self.path / run_id
        if run_id in ("", ".", "..") or Path(run_id).name != run_id or not (folder / "run.sqlite").is_file():
            known = read_runs(self)["run_id"].tail(5).to_list()
            raise JournalError(
                f"The journal {str(self.path)!r} holds no run {run_id!r}. Its latest are {listed(known) or 'none'}. "
                f"Hint: read_runs(journal)."
            )
        return folder

    def close(self) -> None:
        """Do nothing: each run's record closes with its run. For use in a `with`."""

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Journal({counted(len(_run_folders(self.path)), 'run')} in {str(self.path)!r})"


class RunRecord:
    """The record of one run, written as it goes. Owned by one push."""

    def __init__(self, run_id: str, folder: Path, plan: Plan) -> None:
        self.run_id = run_id
        self._folder = folder
        file = folder / "run.sqlite"
        with _told(folder):
            _write_run(file.with_suffix(".new"), run_id, plan)
            file.with_suffix(".new").rename(
                file
            )  # a run is in the journal with its first line, or not at all
            self._db = _connect(file)

    def record_sending(self, batch: int, *, first_row: int, n_rows: int, sha256: str) -> None:
        """Write that *batch* is about to be sent.

        Raises:
            JournalError: it can't be written; nothing may be sent.
        """
        self._write(
            "INSERT OR REPLACE INTO batch (batch, first_row, n_rows, sha256, state, sent_at) VALUES (?, ?, ?, ?, 'sending', ?)",
            (batch, first_row, n_rows, sha256, _now_ms()),
        )

    def record_result(self, batch: int, result: BatchResult, *, first_row: int, tries: int) -> None:
        """Write what became of *batch*, exceptions included, in one transaction.

        Raises:
            JournalError: it can't be written.
        """
        lines = [(first_row + at, batch, status, reason) for at, status, reason in result.exceptions]
        with _told(self._folder), self._db:
            self._db.executemany("INSERT OR REPLACE INTO exception VALUES (?, ?, ?, ?)", lines)
            self._db.execute(
                "UPDATE batch SET state = 'done', status = ?, reason = ?, tries = ?, http_status = ?, done_at = ? WHERE batch = ?",
                (result.status, result.reason, tries, result.http_status, _now_ms(), batch),
            )

    def record_piece(self, batch: int, *, first_row: int, n_rows: int, sha256: str) -> int:
        """Write that a part of *batch* is about to be sent alone, and return its number.

        Raises:
            JournalError: it can't be written; nothing may be sent.
        """
        with _told(self._folder), self._db:
            line = self._db.execute(
                "INSERT INTO piece (batch, first_row, n_rows, sha256, sent_at) VALUES (?, ?, ?, ?, ?)",
                (batch, first_row, n_rows, sha256, _now_ms()),
            )
            return int(line.lastrowid or 0)

    def record_piece_result(self, piece: int, result: BatchResult) -> None:
        """Write what became of a part.

        Raises:
            JournalError: it can't be written.
        """
        self._write(
            "UPDATE piece SET status = ?, reason = ?, http_status = ?, done_at = ? WHERE rowid = ?",
            (result.status, result.reason, result.http_status, _now_ms(), piece),
        )

    def record_end(self, state: Literal["done", "cancelled", "stopped"], note: str = "") -> None:
        """Write how the run ended.

        Raises:
            JournalError: it can't be written.
        """
        self._write("UPDATE run SET state = ?, note = ?, ended_at = ?", (state, note, _now_ms()))

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def discard(self) -> None:
        """Forget a run that never began."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, sql: str, values: Sequence[Any]) -> None:
        with _told(self._folder), self._db:
            self._db.execute(sql, values)


def open_journal(path: str | Path | None = None, /) -> Journal:
    """Return the journal in *path*, which is made at the first run.

    Args:
        path: a folder; by default `.pendosync/journal` beside the nearest `.env` at or above the working directory,
            or in the working directory where there is none.

    Raises:
        JournalError: *path* is no folder.
    """
    env = find_env_file()
    folder = (
        Path(path) if path is not None else (env.parent if env else Path.cwd()) / ".pendosync" / "journal"
    )
    if folder.exists() and not folder.is_dir():
        raise JournalError(
            f"The journal {str(folder)!r} is a file. Expected a folder. Hint: open_journal('journal')."
        )
    return Journal(folder.absolute())


def read_runs(journal: Journal, /) -> pl.DataFrame:
    """Return the runs of *journal*, oldest first.

    Returns:
        RUNS frame, one row a run.

    Raises:
        JournalError: a run's file can't be read.
    """
    rows: list[tuple[Any, ...]] = []
    for folder in _run_folders(journal.path):
        with _reading(folder) as db:
            rows += db.execute(
                'SELECT run_id, state, kind, "group", route, api_url, n_ids, n_batches, digest, undoes, started_at, '
                "ended_at, note FROM run"
            ).fetchall()
    times = {name: pl.Int64() for name in ("started_at", "ended_at")}
    frame = pl.DataFrame(rows, schema={**RUNS, **times}, orient="row")
    return frame.with_columns(pl.col(name).cast(RUNS[name]) for name in times).sort(
        "started_at", maintain_order=True
    )


def read_plan(journal: Journal, run_id: str, /) -> Plan:
    """Return the plan that a run pushed.

    Raises:
        JournalError: no such run.
        PlanError: its plan was altered.
    """
    return load_plan(journal.folder_of(run_id) / "plan")


def read_outcomes(journal: Journal, run_id: str, /) -> pl.DataFrame:
    """Return what became of each id of a run, as far as it is written, also while it runs.

    Returns:
        OUTCOMES frame, one row for each id of the plan, in its order.

    Raises:
        JournalError: no such run, or its file can't be read.
        PlanError: its plan was altered.
    """
    return derive_outcomes(journal, run_id, read_plan(journal, run_id)).select(OUTCOMES.names())


def record_verified(journal: Journal, run_id: str, verified: pl.DataFrame, /) -> None:
    """Write what reading back says of some ids of a run, in place of what was known of them.

    Args:
        journal: where the run is written.
        run_id: which run; it must be over.
        verified: a frame `at` (position in the plan), `batch`, `status`, `reason`. A batch whose ids are all there,
            with one status, keeps one line.

    Raises:
        JournalError: no such run, or its file can't be written.
    """
    folder = journal.folder_of(run_id)
    with _told(folder), contextlib.closing(_connect(folder / "run.sqlite")) as db, db:
        sizes = pl.DataFrame(
            db.execute("SELECT batch, n_rows FROM batch").fetchall(),
            schema={"batch": pl.UInt32, "size": pl.UInt32},
            orient="row",
        )
        marked = verified.join(sizes, on="batch", how="left", maintain_order="left").with_columns(
            is_whole=(pl.len().over("batch") == pl.col("size"))
            & (pl.col("status").n_unique().over("batch") == 1)
        )
        batches = marked.filter("is_whole").unique("batch", maintain_order=True)
        exceptions = marked.filter(~pl.col("is_whole")).select("at", "batch", "status", "reason")
        db.executemany("DELETE FROM exception WHERE row = ?", marked.select("at").rows())
        db.executemany("INSERT INTO exception VALUES (?, ?, ?, ?)", exceptions.rows())
        db.executemany(
            "UPDATE batch SET state = 'done', status = ?, reason = ?, done_at = COALESCE(done_at, ?) WHERE batch = ?",
            batches.select("status", "reason", pl.lit(_now_ms()).alias("now"), "batch").rows(),
        )


def derive_outcomes(journal: Journal, run_id: str, plan: Plan, /) -> pl.DataFrame:
    """Return OUTCOMES of a run whose plan is at hand, and `http_status`: what the batch was answered with."""
    with _reading(journal.folder_of(run_id)) as db:
        batches = pl.DataFrame(
            db.execute("SELECT batch, state, status, reason, http_status FROM batch").fetchall(),
            schema={
                "batch": pl.UInt32,
                "state": pl.String,
                "status": pl.String,
                "reason": pl.String,
                "http_status": pl.Int64,
            },
            orient="row",
        )
        exceptions = pl.DataFrame(
            db.execute("SELECT row, status, reason FROM exception").fetchall(),
            schema={"at": pl.UInt32, "own_status": pl.String, "own_reason": pl.String},
            orient="row",
        )
    at = pl.int_range(pl.len(), dtype=pl.UInt32)
    rows = plan.changes.select(
        "id", "action", at.alias("at"), (at // plan.shape.ids_per_request).cast(pl.UInt32).alias("batch")
    )
    joined = rows.join(batches, on="batch", how="left", maintain_order="left").join(
        exceptions, on="at", how="left", maintain_order="left"
    )
    return joined.rechunk().select(pl.lit(run_id).alias("run_id"), *_outcome_exprs(), "http_status")


def _outcome_exprs() -> list[pl.Expr]:
    sent, over = pl.col("state").is_not_null(), pl.col("state") == "done"
    told = pl.coalesce("own_status", pl.when(over).then(pl.col("status")))
    creates = (told == "updated") & (pl.col("action") == "create")
    status = pl.when(creates).then(pl.lit("created")).otherwise(told)
    lost = "it was in flight when the run ended: Pendo may or may not have written it"
    fallback = pl.when(sent).then(pl.lit("unknown")).otherwise(pl.lit("pending"))
    why = pl.when(sent).then(pl.lit(lost)).otherwise(pl.lit("not sent"))
    reason = pl.coalesce("own_reason", pl.when(over).then(pl.col("reason")).otherwise(why))
    return [
        pl.when(sent & (status.fill_null("") != "pending")).then(pl.col("batch")).alias("batch"),
        pl.col("id"),
        pl.coalesce(status, fallback).alias("status"),
        pl.when(reason != "").then(reason).alias("reason"),
    ]


def _run_folders(path: Path) -> list[Path]:
    return sorted(file.parent for file in path.glob("*/run.sqlite"))


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    with _told(folder):
        db = sqlite3.connect(folder / "run.sqlite", timeout=_LOCK_S)
        try:
            yield db
        finally:
            db.close()


@contextlib.contextmanager
def _told(place: Path) -> Iterator[None]:
    """Turn what the disk or SQLite says into an error of our own."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise JournalError(
            f"The journal can't be written or read at {str(place)!r} ({told}). Expected a folder on a disk with room, "
            f"that no other process holds. Hint: open_journal('another-folder')."
        ) from None


def _write_run(path: Path, run_id: str, plan: Plan) -> None:
    """Write the tables and the line of a run that begins."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.executescript(_TABLES)
        db.execute(
            "INSERT INTO run VALUES (?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, '', ?, ?)",
            (
                run_id, plan.shape.kind, plan.shape.group, plan.shape.route, plan.target.api_url, len(plan),
                plan.n_requests, plan.digest, plan.undoes, _now_ms(), socket.gethostname(), os.getpid(),
            ),
        )  # fmt: skip


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=_LOCK_S, check_same_thread=False)
    mode = "TRUNCATE" if _is_on_network(path) else "WAL"
    db.execute(f"PRAGMA journal_mode = {mode}")
    db.execute("PRAGMA synchronous = FULL")
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


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
