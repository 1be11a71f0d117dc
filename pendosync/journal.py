"""What was pushed, when, and what became of each id: a folder a run, with its plan and a small SQLite file.

OUTCOMES is derived from the plan, the batches and the rows that differ from their batch.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, overload

import polars as pl

from pendosync.env import own_folder
from pendosync.errors import JournalError, PlanError, counted, listed
from pendosync.folders import make_hidden
from pendosync.frames import OUTCOMES, RunStateName, Status, is_unicode
from pendosync.plans import Plan
from pendosync.results import IN_FLIGHT, NOT_SENT, SENT_AGAIN, SKIPPED, Creation
from pendosync.rundb import FILE, reading, told
from pendosync.runfile import RunRecord, Wish, ask, create_record, creation_in, is_held, settle, take_record
from pendosync.saved import load_plan
from pendosync.scans import scan_frames
from pendosync.shapes import batch_numbers

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
"""One row is one run. `state` is `running`, `done`, `cancelled`, `stopped`, or `interrupted` where whoever pushed it is
gone. All but `done` can be resumed. `digest` is the plan's, null where it has more than 100,000 ids and nobody had asked
for it: `read_plan(journal, run_id).digest` computes it."""

WRITTEN: Final[tuple[Status, ...]] = ("updated", "created", "accepted")
"""The outcomes after which Pendo holds, or will hold, what was pushed."""


def may_be_written() -> pl.Expr:
    """Return whether Pendo holds, or may hold, what was pushed; over the columns of `derive_outcomes`."""
    refused = pl.col("http_status").is_between(400, 499).fill_null(False)
    unsure = (pl.col("status") == "unknown") | ((pl.col("status") == "failed") & ~refused)
    return pl.col("status").is_in(WRITTEN) | unsure


class Journal:
    """A folder of runs. Opened by `open_journal`; safe to open from several notebooks at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def record_run(self, plan: Plan, /) -> RunRecord:
        """Write *plan* and the start of its run, and return the record that the push writes to.

        Raises:
            JournalError: the folder can't be written.
        """
        with told(self.path):
            run_id = self._new_folder()
        folder = self.path / run_id
        try:
            plan.write_to(folder / "plan", plan.known_digest)
            return create_record(run_id, folder, plan)
        except PlanError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise JournalError(str(error)) from None
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def take_run(self, run_id: str, /) -> RunRecord:
        """Take over a run that nobody pushes any more, and return its record.

        Raises:
            HeldError: another process pushes it; the message says which.
            JournalError: no such run, or its file can't be written.
        """
        return take_record(run_id, self.folder_of(run_id))

    def ask(self, run_id: str, wish: Wish, /) -> None:
        """Leave a wish for whoever pushes a run: `pause`, `cancel`, or nothing.

        Raises:
            JournalError: no such run, or its file can't be written.
        """
        ask(self.folder_of(run_id), wish)

    def _new_folder(self) -> str:
        make_hidden(self.path)
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
        if run_id in ("", ".", "..") or Path(run_id).name != run_id or not (folder / FILE).is_file():
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


def open_journal(path: str | Path | None = None, /) -> Journal:
    """Return the journal in *path*, which is made at the first run.

    Args:
        path: a folder; by default `.pendosync/journal` beside the nearest `.env` at or above the working directory,
            or in the working directory where there is none.

    Raises:
        JournalError: *path* is no folder.
    """
    folder = Path(path) if path is not None else own_folder() / "journal"
    if "\0" in str(folder) or not is_unicode(str(folder)):
        raise JournalError(
            f"The journal {str(folder)!r} can't be a folder: no file system takes that name. Expected a plain path. "
            f"Hint: open_journal('journal')."
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
        with reading(folder) as db:
            run_id, state, *rest = db.execute(_READ_RUN).fetchone()
        rows.append((run_id, _state_now(state, folder), *rest))
    times = {name: pl.Int64() for name in ("started_at", "ended_at")}
    frame = pl.DataFrame(rows, schema={**RUNS, **times}, orient="row")
    return frame.with_columns(pl.col(name).cast(RUNS[name]) for name in times).sort(
        "started_at", maintain_order=True
    )


_READ_RUN: Final = (
    "SELECT run_id, state, kind, \"group\", route, api_url, n_ids, n_batches, NULLIF(digest, ''), undoes, started_at, "
    "ended_at, note FROM run"
)


def _state_now(state: RunStateName, folder: Path) -> RunStateName:
    """Return how a run stands: what says `running` and is pushed by nobody was interrupted."""
    return "interrupted" if state == "running" and not is_held(folder) else state


@dataclass(frozen=True, slots=True)
class RunState:
    """How a run stands by its file, in counts only. Times are epoch milliseconds."""

    state: RunStateName
    note: str
    wish: str
    started_at: int
    ended_at: int | None
    batches_done: int
    requests: int
    counts: AbstractMapping[str, int]


def read_state(journal: Journal, run_id: str, /) -> RunState:
    """Return how a run stands, also while another process pushes it. `updated` counts created ids too.

    Raises:
        JournalError: no such run, or its file can't be read.
    """
    folder = journal.folder_of(run_id)
    with reading(folder) as db:
        state, note, wish, started_at, ended_at = db.execute(
            "SELECT state, note, wish, started_at, ended_at FROM run"
        ).fetchone()
        (last_beat,) = db.execute("SELECT MAX(beat_at) FROM lease").fetchone()
        n_done, tries = db.execute("SELECT COUNT(*), TOTAL(tries) FROM batch WHERE state = 'done'").fetchone()
        (n_pieces,) = db.execute("SELECT COUNT(*) FROM piece").fetchone()
        counts: Counter[str] = Counter(dict(db.execute(_COUNT_IDS).fetchall()))
        in_flight = db.execute(_COUNT_IN_FLIGHT).fetchone()[0]
    now = _state_now(state, folder)
    if now != "running" and in_flight:
        counts["unknown"] += in_flight
    if now == "interrupted":
        ended_at = last_beat
    return RunState(now, note, wish, started_at, ended_at, n_done, int(tries) + n_pieces, counts)


_COUNT_IN_FLIGHT: Final = """
SELECT COALESCE(SUM(n_rows), 0) - (
    SELECT COUNT(*) FROM exception WHERE batch IN (SELECT batch FROM batch WHERE state = 'sending')
) FROM batch WHERE state = 'sending'
"""
_COUNT_IDS: Final = """
SELECT status, SUM(n) FROM (
    SELECT b.status AS status, b.n_rows - COUNT(e.row) AS n
    FROM batch b LEFT JOIN exception e ON e.batch = b.batch WHERE b.state = 'done' GROUP BY b.batch
    UNION ALL
    SELECT status, COUNT(*) FROM exception GROUP BY status
) WHERE status IS NOT NULL GROUP BY status HAVING SUM(n) > 0
"""


def read_plan(journal: Journal, run_id: str, /) -> Plan:
    """Return the plan that a run pushed.

    Raises:
        JournalError: no such run.
        PlanError: its plan was altered.
    """
    folder = journal.folder_of(run_id)
    try:
        return load_plan(folder / "plan")
    except PlanError as error:
        raise _unreadable(run_id, error) from None


def _unreadable(run_id: str, error: PlanError) -> PlanError:
    happened = str(error).partition(" Expected ")[0]
    return PlanError(
        f"The plan of run {run_id} can't be read: {happened} Expected it as the push saved it. Hint: plan the "
        f"table again, with plan_table(…): what Pendo holds already falls out."
    )


def read_creation(journal: Journal, run_id: str, /) -> Creation:
    """Return what became of the audience that a run was to create.

    Raises:
        JournalError: no such run, or its file can't be read.
    """
    return creation_in(journal.folder_of(run_id))


@overload
def read_outcomes(journal: Journal, run_id: str, /, *, lazy: Literal[False] = False) -> pl.DataFrame: ...
@overload
def read_outcomes(journal: Journal, run_id: str, /, *, lazy: Literal[True]) -> pl.LazyFrame: ...
def read_outcomes(journal: Journal, run_id: str, /, *, lazy: bool = False) -> pl.DataFrame | pl.LazyFrame:
    """Return what became of each id of a run, as far as it is written, also while it runs.

    Args:
        journal: where the run is written.
        run_id: which run.
        lazy: return a lazy frame, which reads the parts of the plan one at a time whenever it is collected.

    Returns:
        OUTCOMES frame, one row for each id of the plan, in its order. Of a part of the plan that can't be read any more
        the ids are null.

    Raises:
        JournalError: no such run, or its file can't be read.
        PlanError: its plan was altered.
    """
    plan = read_plan(journal, run_id)
    return scan_outcomes(journal, run_id, plan) if lazy else outcomes_of(journal, run_id, plan)


def outcomes_of(journal: Journal, run_id: str, plan: Plan, /) -> pl.DataFrame:
    """Return OUTCOMES of a run whose plan is at hand."""
    return derive_outcomes(journal, run_id, plan).select(OUTCOMES.names())


def scan_outcomes(journal: Journal, run_id: str, plan: Plan, /) -> pl.LazyFrame:
    """Return `outcomes_of`, lazily: one part of the plan is read at a time, whenever it is collected."""
    return scan_frames(lambda _columns: each_outcome(journal, run_id, plan), OUTCOMES)


def record_verified(journal: Journal, run_id: str, verified: pl.DataFrame, /) -> None:
    """Write what reading back says of some ids of a run, in place of what was known of them.

    Args:
        journal: where the run is written.
        run_id: which run; it must be over.
        verified: a frame `at` (position in the plan), `batch`, `status`, `reason`. A batch whose ids are all there,
            with one status, keeps one line.

    Raises:
        HeldError: another process pushes the run.
        JournalError: no such run, or its file can't be written.
    """
    folder = journal.folder_of(run_id)
    with reading(folder) as db:
        lines = db.execute("SELECT batch, n_rows FROM batch").fetchall()
    sizes = pl.DataFrame(lines, schema={"batch": pl.UInt32, "size": pl.UInt32}, orient="row")
    marked = verified.join(sizes, on="batch", how="left", maintain_order="left").with_columns(
        is_whole=(pl.len().over("batch") == pl.col("size")) & (pl.col("status").n_unique().over("batch") == 1)
    )
    batches = (
        marked.filter("is_whole").unique("batch", maintain_order=True).select("batch", "status", "reason")
    )
    rows = marked.filter(~pl.col("is_whole")).select("at", "batch", "status", "reason")
    settle(run_id, folder, batches=batches.rows(), rows=rows.rows())


def derive_outcomes(journal: Journal, run_id: str, plan: Plan, /) -> pl.DataFrame:
    """Return OUTCOMES of a run whose plan is at hand, in memory, and `http_status`: what the batch was answered with."""
    return pl.concat(list(each_outcome(journal, run_id, plan)))


def derive_part(journal: Journal, run_id: str, plan: Plan, part: int, /) -> pl.DataFrame:
    """Return what `derive_outcomes` does of one part of the plan."""
    return next(each_outcome(journal, run_id, plan, parts=[part]))


def each_outcome(
    journal: Journal, run_id: str, plan: Plan, /, *, parts: Iterable[int] | None = None
) -> Iterator[pl.DataFrame]:
    """Yield what `derive_outcomes` returns, a part of the plan at a time.

    The ids of a part that can't be read are null; what became of its rows is told all the same.

    Args:
        journal, run_id, plan: which run.
        parts: of which parts; all when left out.
    """
    with reading(journal.folder_of(run_id)) as db:
        batches = pl.DataFrame(
            db.execute("SELECT batch, state, status, reason, http_status, resent FROM batch").fetchall(),
            schema=_BATCH_LINES,
            orient="row",
        )
        lines = db.execute("SELECT row, status, reason FROM exception").fetchall()
    exceptions = pl.DataFrame(lines, schema=_ROW_LINES, orient="row")
    for part in range(len(plan.parts)) if parts is None else parts:
        rows = _rows_of(plan, part)
        joined = rows.join(batches, on="batch", how="left", maintain_order="left").join(
            exceptions, on="at", how="left", maintain_order="left"
        )
        yield joined.rechunk().select(pl.lit(run_id).alias("run_id"), *_outcome_exprs(), "http_status")


def each_told(
    journal: Journal,
    run_id: str,
    plan: Plan,
    /,
    *,
    parts: Iterable[int] | None = None,
    but_lost: bool = False,
) -> Iterator[tuple[int, pl.DataFrame, pl.DataFrame]]:
    """Yield the place of each part of the plan, its CHANGES, and what became of each.

    Args:
        journal, run_id, plan, parts: as in `each_outcome`.
        but_lost: leave out parts that can't be read, in place of raising.

    Yields:
        The place, CHANGES, and what `each_outcome` yields.

    Raises:
        PlanError: a part can't be read.
    """
    places = list(range(len(plan.parts)) if parts is None else parts)
    for at, outcomes in zip(places, each_outcome(journal, run_id, plan, parts=places), strict=True):
        try:
            changes = plan.parts.read(at)
        except PlanError as error:
            if but_lost:
                continue
            raise _unreadable(run_id, error) from None
        yield at, changes, outcomes


def _rows_of(plan: Plan, part: int) -> pl.DataFrame:
    """Return `id`, `action`, `at` and `batch` of each row of a part, also where its changes can't be read."""
    (first_row, n_sent), end = plan.parts.sent[part], plan.parts.first_rows[part + 1]
    steps = [step for step in plan.steps if step.part == part]
    at = pl.int_range(first_row, end, dtype=pl.UInt32, eager=True).alias("at")
    numbers = batch_numbers(steps, plan.shape, n_skipped=end - first_row - n_sent)
    try:
        told = plan.parts.read(part).select("id", "action")
    except PlanError:
        action = pl.when(pl.int_range(pl.len()) < n_sent).then(pl.lit("update")).otherwise(pl.lit("skip"))
        told = at.to_frame().select(pl.lit(None, dtype=pl.String).alias("id"), action.alias("action"))
    return told.with_columns(at, numbers)


_BATCH_LINES: Final = {
    "batch": pl.UInt32, "state": pl.String, "status": pl.String, "reason": pl.String, "http_status": pl.Int64,
    "resent": pl.UInt32,
}  # fmt: skip
_ROW_LINES: Final = {"at": pl.UInt32, "own_status": pl.String, "own_reason": pl.String}


def _outcome_exprs() -> list[pl.Expr]:
    sent, over = pl.col("state").is_not_null(), pl.col("state") == "done"
    lost = pl.when(sent).then(pl.lit("unknown")).otherwise(pl.lit("pending"))
    told_status = pl.coalesce("own_status", pl.when(over).then(pl.col("status")), lost)
    creates = (told_status == "updated") & (pl.col("action") == "create")
    is_skipped = pl.col("action") == "skip"
    written = pl.when(creates).then(pl.lit("created")).otherwise(told_status)
    status = pl.when(is_skipped).then(pl.lit("skipped")).otherwise(written)
    again = pl.when(pl.col("resent") > 0).then(pl.lit(SENT_AGAIN))
    told = pl.when(pl.col("reason") != "").then(pl.col("reason"))
    of_batch = pl.concat_str(told, again, separator="; ", ignore_nulls=True)
    fallback = pl.when(sent).then(pl.lit(IN_FLIGHT)).otherwise(pl.lit(NOT_SENT))
    reason = (
        pl.when(is_skipped)
        .then(pl.lit(SKIPPED))
        .when(pl.col("own_status").is_not_null())
        .then(pl.col("own_reason"))
        .when(over)
        .then(of_batch)
        .otherwise(fallback)
    )
    is_sent = (sent | pl.col("own_status").is_not_null()) & ~status.is_in(["pending", "refused", "skipped"])
    return [
        pl.when(is_sent).then(pl.col("batch")).alias("batch"),
        pl.col("id"),
        status.alias("status"),
        pl.when(reason != "").then(reason).alias("reason"),
    ]


def _run_folders(path: Path) -> list[Path]:
    return sorted(file.parent for file in path.glob(f"*/{FILE}"))
