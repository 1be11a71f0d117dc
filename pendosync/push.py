"""The one verb that changes the world, and the run that accounts for it."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import hashlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal

import polars as pl

from pendosync.answers import read_answer, read_error, stops_the_run
from pendosync.client import Client
from pendosync.errors import (
    JournalError,
    PendosyncError,
    PlanError,
    PushError,
    RemoteError,
    counted,
)
from pendosync.frames import OUTCOMES, Progress
from pendosync.journal import BatchResult, Journal, RunRecord, derive_outcomes
from pendosync.plans import Plan
from pendosync.remote import ensure_write_access
from pendosync.splitting import name_failures
from pendosync.wire import build_requests

_SHOW_EVERY_S: Final = 0.1
_PATIENCE_S: Final = 30.0
_LOOK_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class _Batch:
    number: int
    first_row: int
    method: str
    path: str
    ids: list[str]
    body: bytes


def push(plan: Plan, /, *, client: Client, journal: Journal, show: bool = True) -> Run:
    """Send what *plan* says, and return the run at once; it goes on in the background.

    Each batch is written to the journal before it is sent, and what became of it after. What travels is what
    `dry_run` shows. A 200 is read, not believed; where it counts failures and does not name them, or the whole request
    is refused, its records are sent again in smaller requests until each has its own answer. A request that got no answer, or a busy one, is tried again, as
    metadata writes and messages with the same `messageId` may be repeated. Before a bulk write the key's write access
    is asked for, so that a read-only key is told before anything is sent.

    Args:
        plan: what to send, and only that.
        client: where to; its target must be the plan's.
        journal: where the account is kept.
        show: show the run as it goes: in a notebook below the cell, elsewhere as lines on stderr.

    Returns:
        The run: `wait()` gives OUTCOMES, `cancel()` stops cleanly.

    Raises:
        PlanError: the plan is empty, or made for another target.
        SettingsError: the key that the plan's route needs is not set.
        JournalError: the journal can't be written; nothing was sent.
    """
    _ensure_pushable(plan, client)
    client.settings.secret("integration_key" if plan.shape.route == "metadata" else "app_key")
    record = journal.record_run(plan)
    try:
        run = Run(plan, client, journal, record)
        run._start(show=show)
    except BaseException:
        record.discard()
        raise
    return run


def _ensure_pushable(plan: Plan, client: Client) -> None:
    if not len(plan):
        raise PlanError(
            "The plan is empty: nothing would change. Expected at least one change. "
            "Hint: look at plan.problems for what was blocked."
        )
    if plan.target != client.target:
        raise PlanError(
            f"The plan was made for {plan.target}, the client goes to {client.target}. Expected the same place. "
            f"Hint: plan again with this client, or open_client with the plan's region."
        )


class _StoppedError(Exception):
    """The run was stopped while a request waited for its turn."""


class Run:
    """One push, under way or over. Made by `push`.

    Attributes:
        id: the run's name in the journal.
        plan: what it sends.
    """

    def __init__(self, plan: Plan, client: Client, journal: Journal, record: RunRecord) -> None:
        self.id = record.run_id
        self.plan = plan
        self._client = client
        self._journal = journal
        self._record = record
        self._counts: Counter[str] = Counter()
        self._batches_done = 0
        self._requests = 0
        self._state: Literal["preparing", "running", "stopping", "done", "cancelled", "stopped"] = "preparing"
        self._note = ""
        self._error: PendosyncError | None = None
        self._cancelled = False
        self._began_s = time.monotonic()
        self._ended_s: float | None = None
        self._last_done_s = 0.0
        self._creates = plan.shape.create == "unknown_ids"
        self._show: Callable[[Progress], None] | None = None
        self._over = threading.Event()
        self._future: concurrent.futures.Future[None] | None = None

    @property
    def progress(self) -> Progress:
        """Where the run stands: counts only."""
        elapsed = (self._ended_s or time.monotonic()) - self._began_s
        n_batches = self.plan.n_requests
        left = n_batches - self._batches_done
        pace = self.plan.pace.expected_s(left)
        measured = self._last_done_s / self._batches_done * left if self._batches_done else None
        return Progress(
            run_id=self.id,
            title=f"{counted(len(self.plan), self.plan.shape.kind)} → {self.plan.shape.group}, {self.plan.target}",
            state=self._state,
            n_ids=len(self.plan),
            n_batches=n_batches,
            batches_done=self._batches_done,
            requests=self._requests,
            counts=dict(self._counts),
            elapsed_s=elapsed,
            left_s=None if self._over.is_set() else measured if pace is None else max(pace, measured or 0.0),
            note=self._note,
        )

    @property
    def outcomes(self) -> pl.DataFrame:
        """OUTCOMES frame as it stands: one row for each id of the plan."""
        return derive_outcomes(self._journal, self.id, self.plan).select(OUTCOMES.names())

    def wait(self, timeout_s: float | None = None) -> pl.DataFrame:
        """Return OUTCOMES once the run is over. Interrupting the wait (■) stops the run cleanly.

        Args:
            timeout_s: give up waiting after so many seconds; the run goes on.

        Raises:
            PushError: the run stopped before its end; `.outcomes` says what became of each id.
            TimeoutError: it is not over yet.
        """
        try:
            self._wait_until_over(timeout_s)
        except KeyboardInterrupt:
            self.cancel()
            if not self._over.wait(_PATIENCE_S):
                self._cut()
            raise
        if self._error is not None:
            raise PushError(
                self._stopped_sentence(self._error), run_id=self.id, outcomes=self._outcomes_or_none()
            )
        return self.outcomes

    def _wait_until_over(self, timeout_s: float | None) -> None:
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._over.wait(
            _LOOK_S if end_s is None else max(0.0, min(_LOOK_S, end_s - time.monotonic()))
        ):
            # in short steps, as an endless wait can miss an interrupt that another thread was given
            if end_s is not None and time.monotonic() >= end_s:
                raise TimeoutError(
                    f"Run {self.id} is not over after {timeout_s} s. It goes on. Hint: run.wait()."
                )

    def cancel(self) -> None:
        """Stop cleanly: what is in flight is finished and written down, the rest stays `pending`."""
        if not self._over.is_set():
            self._cancelled = True
            self._state = "stopping"
            self._note = "stopping: what is in flight is being finished"

    def __await__(self) -> Generator[Any, None, pl.DataFrame]:
        if self._future is not None:
            yield from asyncio.shield(
                asyncio.wrap_future(self._future)
            ).__await__()  # a timeout ends the wait, not the run
        return self.wait()

    def __repr__(self) -> str:
        from pendosync.preview.run_view import run_line

        return f"Run {self.id}: {run_line(self.progress)}"

    def _ipython_display_(self) -> None:
        from pendosync.preview.run_view import show_once

        show_once(self.progress, self._show)

    # --- below here: the loop thread -------------------------------------------------------------------------

    def _start(self, *, show: bool) -> None:
        if show:
            from pendosync.preview.run_view import open_run_view

            self._show = open_run_view(self.progress)
        self._future = self._client.start(self._work())
        atexit.register(self._stop_at_exit)

    async def _work(self) -> None:
        ticker = asyncio.create_task(self._tick())
        try:
            if self.plan.shape.route == "metadata":
                await ensure_write_access(self._client)
            self._state = "stopping" if self._cancelled else "running"
            batches = self._batches()
            async with asyncio.TaskGroup() as workers:
                for _ in range(self.plan.pace.at_once):
                    workers.create_task(self._send_all(batches))
        except PendosyncError as error:
            self._error = error
        except asyncio.CancelledError:
            self._cancelled = True
        finally:
            ticker.cancel()
            self._end()

    def _batches(self) -> Iterator[_Batch]:
        size = self.plan.shape.ids_per_request
        for requests in build_requests(self.plan.changes, self.plan.shape):
            for number, method, path, ids, body in requests.iter_rows():
                yield _Batch(number, number * size, method, path, ids, body.encode())

    async def _send_all(self, batches: Iterator[_Batch]) -> None:
        try:
            for batch in batches:
                if self._cancelled or self._error:
                    return
                await self._send(batch)
        except PendosyncError as error:
            self._error = self._error or error
        except Exception as error:  # a run never hangs, and never ends without a word
            unforeseen = PushError(f"An unforeseen {type(error).__name__} came up.", run_id=self.id)
            unforeseen.__cause__ = error
            self._error = self._error or unforeseen

    async def _send(self, batch: _Batch) -> None:
        tries = 0

        def let_through(number: int) -> None:
            """Say "sending" at the last moment: what still waits for its turn was not sent."""
            nonlocal tries
            self._ensure_going(number)
            if number == 1:
                self._record_sending(batch)
            tries = number

        result = await self._ask(batch, let_through)
        if result is None and not tries:
            return
        result = result or BatchResult(
            "unknown", "the run was stopped between two tries; it may or may not be written"
        )
        if not tries:
            self._record_sending(batch)
        if result.must_split and len(batch.ids) > 1:
            result = await name_failures(result, len(batch.ids), partial(self._ask_part, batch))
        self._record.record_result(batch.number, result, first_row=batch.first_row, tries=tries)
        self._count(batch, result)

    async def _ask_part(self, batch: _Batch, start: int, stop: int) -> BatchResult | None:
        """Send some records of a batch alone, as the same bytes, and return what that says of them."""
        part = self._part(batch, start, stop)
        piece: int | None = None

        def let_through(number: int) -> None:
            nonlocal piece
            self._ensure_going(number)
            if number == 1:
                digest = hashlib.sha256(part.body).hexdigest()
                piece = self._record.record_piece(
                    batch.number, first_row=part.first_row, n_rows=len(part.ids), sha256=digest
                )

        result = await self._ask(part, let_through)
        if result is not None and piece is not None:
            self._record.record_piece_result(piece, result)
        return result

    async def _ask(self, batch: _Batch, let_through: Callable[[int], None]) -> BatchResult | None:
        """Send a batch and read the answer; None where the run was stopped first."""
        shape = self.plan.shape
        host: Literal["api", "data"] = "api" if shape.route == "metadata" else "data"
        try:
            answer = await self._client.request(
                batch.method, batch.path, host=host, body=batch.body, on_try=let_through
            )
            return read_answer(answer, batch.ids, route=shape.route, kind=shape.kind)
        except _StoppedError:
            return None
        except RemoteError as error:
            if stops_the_run(error):
                self._error = self._error or error
            return read_error(error)

    def _ensure_going(self, number: int) -> None:
        if self._cancelled or (self._error and number == 1):
            raise _StoppedError
        self._requests += 1

    def _part(self, batch: _Batch, start: int, stop: int) -> _Batch:
        rows = self.plan.changes.slice(batch.first_row + start, stop - start)
        (request,) = build_requests(rows, replace(self.plan.shape, batch_size=stop - start))
        _, method, path, ids, body = request.row(0)
        return _Batch(batch.number, batch.first_row + start, method, path, ids, body.encode())

    def _record_sending(self, batch: _Batch) -> None:
        digest = hashlib.sha256(batch.body).hexdigest()
        self._record.record_sending(
            batch.number, first_row=batch.first_row, n_rows=len(batch.ids), sha256=digest
        )

    def _count(self, batch: _Batch, result: BatchResult) -> None:
        self._batches_done += 1
        self._last_done_s = time.monotonic() - self._began_s
        own = {at for at, _, _ in result.exceptions}
        self._counts.update(status for _, status, _ in result.exceptions)
        if result.status == "updated" and self._creates:
            actions = self.plan.changes["action"].slice(batch.first_row, len(batch.ids)).to_list()
            self._counts.update(f"{action}d" for at, action in enumerate(actions) if at not in own)
        elif len(batch.ids) > len(own):
            self._counts[result.status] += len(batch.ids) - len(own)

    async def _tick(self) -> None:
        while True:
            self._tell()
            await asyncio.sleep(_SHOW_EVERY_S)

    def _tell(self) -> None:
        if self._show is not None:
            self._show(self.progress)

    def _end(self) -> None:
        all_done = self._batches_done == self.plan.n_requests and self._error is None
        self._state = "done" if all_done else "stopped" if self._error else "cancelled"
        self._note = "" if all_done else str(self._error) if self._error else "The rest was not sent."
        self._ended_s = time.monotonic()
        try:
            self._record.record_end(self._state, self._note)
        except JournalError as error:
            self._error = self._error or error
        finally:
            self._record.close()
            atexit.unregister(self._stop_at_exit)
            try:
                self._tell()
            finally:
                self._over.set()

    def _cut(self) -> None:
        if self._future is not None:
            self._future.cancel()
        self._over.wait(_PATIENCE_S)

    def _stop_at_exit(self) -> None:
        if self._over.is_set():
            return
        self.cancel()
        if not self._over.wait(_PATIENCE_S):
            self._cut()
        left = self._n_not_sent()
        print(  # noqa: T201
            f"pendosync: run {self.id} was stopped cleanly at exit, {counted(left, 'id')} not sent. "
            f"read_outcomes(open_journal({str(self._journal.path)!r}), {self.id!r}) says which.",
            file=sys.stderr,
        )

    def _stopped_sentence(self, error: PendosyncError) -> str:
        left = self._n_not_sent()
        return (
            f"Run {self.id} stopped: {error} {counted(left, 'id')} of {len(self.plan):,} were not sent. "
            f"Hint: read_outcomes(journal, {self.id!r}) says what became of each."
        )

    def _n_not_sent(self) -> int:
        return len(self.plan) - sum(n for status, n in self._counts.items() if status != "pending")

    def _outcomes_or_none(self) -> pl.DataFrame | None:
        try:
            return self.outcomes
        except PendosyncError:
            return None
