"""What a run does on the client's loop: sends a plan's requests, step by step, and writes down what becomes of each."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

import polars as pl

from pendosync.answers import read_answer, read_error, stops_the_run
from pendosync.audiences.creation import AudienceCalls
from pendosync.client import Client
from pendosync.errors import (
    AnswerError,
    HeldError,
    JournalError,
    PendosyncError,
    PlanError,
    PushError,
    RemoteError,
    StalePlanError,
    counted,
)
from pendosync.frames import Progress, RunStateName
from pendosync.journal import Journal, each_outcome
from pendosync.lookback import Lookback
from pendosync.loops import Shared, Supply, run_beside
from pendosync.meter import Starts
from pendosync.plans import Plan
from pendosync.remaining import Remaining
from pendosync.remote import ensure_write_access
from pendosync.results import BatchResult
from pendosync.runfile import RunRecord
from pendosync.shapes import Step
from pendosync.splitting import RequestSize, ask_in_parts, name_failures
from pendosync.tally import Tally
from pendosync.turns import StoppedError, Turns
from pendosync.wire import WINDOW, build_bodies, windows_of

_SHOW_EVERY_S: Final = 0.1
_BEAT_EVERY_S: Final = 2.0
_LOOK_S: Final = 0.05
_REQUESTS_AT_A_TIME: Final = 2_000
"""Requests that are made at a time, at most: the first are sent once these are made."""

_SETTLED: Final = ("updated", "missing")
_BELIEVED: Final = 3
"""So often a request is sent whose answer can't be believed, before the run stops."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One request: some records of the plan, as they travel."""

    number: int
    first_row: int
    n_rows: int
    method: str
    path: str
    body: bytes
    sha256: str


class Pusher:
    """Sends what is left of a plan. Everything but `pause`, `proceed`, `cancel` and `progress` is for the client's loop.

    Args:
        plan: what to send.
        client: where to.
        journal, record: where it is written down; the record is this pusher's until the end.
        remaining: which rows are left; all of them in a new run.
    """

    def __init__(
        self, plan: Plan, client: Client, journal: Journal, record: RunRecord, remaining: Remaining
    ) -> None:
        self.plan = plan
        self.error: PendosyncError | None = None
        self.on_move: Callable[[Progress], None] | None = None
        self._client = client
        self._host: Literal["api", "data"] = plan.shape.host
        self._pace = client.target.pace_of(plan.shape.route)
        self._journal = journal
        self._record = record
        self._remaining = remaining
        self._lookback = Lookback(plan, client, journal, record, is_stopping=self._is_stopping, say=self._say)
        self._audience = AudienceCalls(plan, client, record)
        self._tally = Tally(plan, remaining)
        self._size = RequestSize(plan.shape.ids_per_request)
        self._lost: dict[int, PlanError] = {}
        self._requests = 0
        self._starts = Starts()
        self._state: RunStateName = "preparing"
        self._note = ""
        self._turns = Turns()
        self._written = Shared(record.write_left, lambda: record.n_left)
        self._has_begun = False
        self._is_cancelled = False
        self._is_paused = False
        self._wish = ""
        self._began_s = time.monotonic()
        self._ended_s: float | None = None

    # --- from any thread ---------------------------------------------------------------------------------------

    @property
    def progress(self) -> Progress:
        """Where the run stands: counts only."""
        now = self._ended_s or time.monotonic()
        is_over = self._ended_s is not None
        left_s, left_range_s = (None, None) if is_over else self._tally.left_s(self._pace)
        pacing = self._client.pacing(self._host)
        return Progress(
            run_id=self._record.run_id,
            title=self.plan.title,
            state=self._state,
            n_ids=len(self.plan),
            n_batches=self.plan.n_requests,
            batches_done=self._tally.batches_done,
            requests=self._requests,
            counts=dict(self._tally.counts),
            elapsed_s=now - self._began_s,
            left_s=left_s,
            note=self._note,
            ids_per_s=None if is_over else self._tally.meter.ids_per_s(now),
            left_range_s=left_range_s,
            held="" if is_over else pacing.note,
            requests_per_s=None if is_over else self._starts.per_s(now),
            allowed_per_s=pacing.per_second,
            most_per_s=pacing.max_per_second,
            waits_s=0.0 if is_over else pacing.pause_s,
        )

    def cancel(self) -> None:
        """Stop cleanly: what is in flight is finished and written down, the rest stays `pending`."""
        if self._ended_s is None:
            self._is_cancelled = True
            self._state = "stopping"
            self._note = "stopping: what is in flight is being finished"

    def call_off(self) -> bool:
        """Cancel, and return whether work has begun, which then writes down its own end; else it sends nothing."""
        self.cancel()
        return self._has_begun

    def pause(self) -> None:
        """Begin no more batches until `proceed`; what is in flight is finished."""
        if self._ended_s is None and not self._is_cancelled:
            self._is_paused = True
            self._state = "paused"

    def proceed(self) -> None:
        """Go on after a pause."""
        if self._is_paused and not self._is_cancelled:
            self._state = "running"
        self._is_paused = False

    # --- on the client's loop ----------------------------------------------------------------------------------

    async def work(self) -> None:
        """Send everything, then write down how it ended. Raises nothing: `error` says what stopped it."""
        self._has_begun = True
        ticker = asyncio.create_task(self._tick())
        try:
            await self._prepare()
            for step in self.plan.steps:
                if not await self._can_read(step):
                    continue
                await self._send_step(step)
                if not self._is_stopping():
                    await self._lookback.wait_for(step)
                if self._is_stopping():
                    break
        except PendosyncError as error:
            self.error = self.error or error
        except asyncio.CancelledError:
            self._is_cancelled = True
        except Exception as error:  # a run never hangs, and never ends without a word
            self.error = self.error or self._unforeseen(error)
        finally:
            ticker.cancel()
            self._end()

    async def _prepare(self) -> None:
        if self.plan.shape.host == "api":
            await ensure_write_access(self._client)
        await self._audience.ensure_free()
        if self._is_stopping():
            return
        moved = await self._lookback.moved(self._remaining)
        if moved.height:
            raise StalePlanError(
                self._lookback.moved_sentence(moved), moved=moved, run_id=self._record.run_id
            )
        if self._state == "preparing":
            self._state = "running"
        self._tally.meter.skip(time.monotonic())

    async def _can_read(self, step: Step) -> bool:
        """Return whether the part of a step is as it was written; what can't be read stays `pending`, and the rest goes on."""
        try:
            await run_beside(self.plan.parts.read, step.part)
        except PlanError as error:
            self._lost.setdefault(step.part, error)
            return False
        return True

    def _is_stopping(self) -> bool:
        return self._is_cancelled or self.error is not None

    async def _send_step(self, step: Step) -> None:
        self._audience.ensure_created(step)
        rest = iter([number for number in self._remaining.partial if number in step.batches])
        batches = Supply(self._makers(step))
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(self.plan.shape.at_once or self._pace.at_once, step.n_batches)):
                workers.create_task(self._send_all(rest, batches))
        await self._write_left(wait=True)

    def _say(self, note: str) -> None:
        if not self._is_stopping():
            self._note = note

    def _makers(self, step: Step) -> Iterator[Callable[[], list[Batch]]]:
        """Yield what makes the batches of a step that are left, some at a time."""
        known = frozenset(self._remaining.settled | self._remaining.partial.keys())
        rows = min(WINDOW, _REQUESTS_AT_A_TIME * self.plan.shape.ids_per_request)
        for window in windows_of(step, self.plan.shape, rows_at_a_time=rows):
            if not known.issuperset(window.batches):
                yield partial(self._make_batches, window, known)

    def _make_batches(self, window: Step, known: frozenset[int]) -> list[Batch]:
        """Return the batches of a window that are not *known*; called beside the loop."""
        shape = self._audience.shape
        bodies = build_bodies(self.plan.parts, shape, window, but=known)
        return [
            _batch(number, first_row, n_rows, shape.call_of(number), body)
            for number, first_row, n_rows, body in bodies
        ]

    async def _send_all(self, rest: Iterator[int], batches: Supply[Batch]) -> None:
        try:
            for number in rest:
                if not await self._may_begin():
                    return
                await self._send_rest(number)
            while await self._may_begin() and (batch := await batches.next()) is not None:
                await self._send(batch)
        except PendosyncError as error:
            self.error = self.error or error
        except Exception as error:
            self.error = self.error or self._unforeseen(error)

    async def _may_begin(self) -> bool:
        """Return whether another batch may begin, once a pause is over."""
        while self._is_paused and not self._is_stopping():
            await asyncio.sleep(_LOOK_S)
            self._tally.meter.skip(time.monotonic())
        return not self._is_stopping()

    async def _send(self, batch: Batch) -> None:
        tries = 0

        async def say_sending() -> None:
            """Say "sending" at the last moment: what still waits for its turn was not sent."""
            nonlocal tries
            if tries:
                self._record.beat()  # nothing is sent again from a run that was taken over
            else:
                await self._record_sending(batch)
            tries += 1

        if batch.n_rows > self._size.n_ids:
            await self._record_sending(batch)
            result = await self._ask_in_parts(batch, self._size.n_ids)
        else:
            told = await self._ask(batch, say_sending)
            if told is None:
                return
            result = told
            if not tries:
                await self._record_sending(batch)
            if result.must_split and batch.n_rows > 1:
                result = await name_failures(result, batch.n_rows, partial(self._ask_part, batch))
        self._record.record_result(batch.number, result, first_row=batch.first_row, tries=tries)
        self._tally.batches_done += 1
        self._take_in(batch.first_row, batch.n_rows, result)

    async def _send_rest(self, number: int) -> None:
        """Send those rows of a batch that a run before this one left open; the others have their outcome."""
        for first_row, n_rows in self._remaining.partial[number]:
            if self._is_stopping():
                return
            part = self._cut(number, first_row, n_rows)
            result = await self._ask_in_parts(part, min(n_rows, self._size.n_ids))
            self._record.record_rows(self._remaining.lines(number, first_row, n_rows, result))
            self._take_in(first_row, n_rows, result)
        self._record.record_rest(number)
        self._tally.batches_done += 1

    async def _ask_in_parts(self, batch: Batch, size: int) -> BatchResult:
        ask = partial(self._ask_part, batch)
        return await ask_in_parts(batch.n_rows, size, ask, in_doubt=self._is_in_doubt(batch))

    def _is_in_doubt(self, batch: Batch) -> bool:
        """Whether a run before this one sent these rows, and did not learn what became of them."""
        return batch.first_row in self._remaining.in_doubt

    async def _ask_part(self, batch: Batch, start: int, stop: int) -> BatchResult | None:
        """Send some records of a batch alone, as the same bytes, and return what that says of them."""
        part = self._cut(batch.number, batch.first_row + start, stop - start)
        piece: int | None = None

        async def say_sending() -> None:
            nonlocal piece
            if piece is not None:
                self._record.beat()
                return
            piece = self._record.record_piece(
                part.number, first_row=part.first_row, n_rows=part.n_rows, sha256=part.sha256
            )

        result = await self._ask(part, say_sending)
        if result is not None and piece is not None:
            self._record.record_piece_result(piece, result)
        return result

    async def _ask(self, batch: Batch, say_sending: Callable[[], Awaitable[None]]) -> BatchResult | None:
        """Send a batch and read the answer, again where it can't be believed; None where the run was stopped first."""
        is_sent, n_asked = False, 0
        result: BatchResult | None = None

        async def let_through(number: int) -> None:
            nonlocal is_sent
            self._ensure_going(number)
            await say_sending()
            is_sent = True

        try:
            most = _BELIEVED if self._may_repeat(batch) else 1
            while result is None or (result.is_doubtful and n_asked < most):
                in_doubt = result is not None or self._is_in_doubt(batch)
                result = await self._ask_once(batch, let_through, in_doubt=in_doubt)
                n_asked += 1
        except StoppedError:
            between = "the run was stopped between two tries; it may or may not be written"
            return result or (BatchResult("unknown", between) if is_sent else None)
        if result.is_doubtful:
            self.error = self.error or AnswerError(f"{result.reason.rstrip('.')}. Asked {n_asked} times.")
        self._size.learn(result, batch.n_rows)
        return result

    async def _ask_once(
        self, batch: Batch, let_through: Callable[[int], Awaitable[None]], *, in_doubt: bool
    ) -> BatchResult:
        """Send a batch until it is answered, and return what the answer says; some errors stop the run."""
        shape, is_creating = self.plan.shape, self._audience.is_creating(batch.method)
        try:
            with self._turns.turn() as turn:

                async def begin(number: int) -> None:
                    turn.begin()  # once it is written that it is sent, it is sent
                    await let_through(number)
                    if is_creating:
                        self._audience.begin()

                def wait() -> None:
                    if is_creating:
                        self._audience.give_back()  # had it perhaps been done, it would not be tried again
                    turn.wait()

                answer = await self._client.request(
                    batch.method,
                    batch.path,
                    host=self._host,
                    body=batch.body or None,
                    rows=batch.n_rows,
                    on_try=begin,
                    on_wait=wait,
                    never_again=(408,) if batch.n_rows > 1 else (),
                    may_repeat=self._may_repeat(batch),
                )
        except RemoteError as error:
            result = self._audience.read_error(batch.method, error, read_error(error, in_doubt=in_doubt))
            is_over = stops_the_run(error) and result.status not in _SETTLED
            if is_over and not (result.is_too_long and batch.n_rows > 1):
                self.error = self.error or error
            return result
        if shape.route == "audience":
            return self._audience.read(batch.method, batch.body, answer)
        ids = partial(self._ids_of, batch)
        return read_answer(answer, batch.n_rows, ids, route=shape.route, kind=shape.kind)

    def _ids_of(self, batch: Batch) -> pl.Series:
        return self.plan.parts.slice(batch.first_row, batch.n_rows)["id"]

    def _may_repeat(self, batch: Batch) -> bool:
        return self.plan.shape.may_repeat and not self._audience.is_creating(batch.method)

    def _ensure_going(self, number: int) -> None:
        if self._is_cancelled or (self.error and number == 1):
            raise StoppedError
        self._requests += 1
        self._starts.note(time.monotonic())

    def _cut(self, number: int, first_row: int, n_rows: int) -> Batch:
        """Return a request of these rows alone, each record as the same bytes."""
        shape = replace(self._audience.shape, batch_size=n_rows, canary=None)
        alone = Step(0, first_row, n_rows, first_batch=0, n_batches=1)
        ((*_, body),) = build_bodies(self.plan.parts, shape, alone)
        return _batch(number, first_row, n_rows, shape.call_of(0), body)

    async def _record_sending(self, batch: Batch) -> None:
        self._record.record_sending(
            batch.number,
            first_row=batch.first_row,
            n_rows=batch.n_rows,
            sha256=batch.sha256,
            is_again=self._is_in_doubt(batch),
        )
        await self._written.done()

    def _take_in(self, first_row: int, n_rows: int, result: BatchResult) -> None:
        self._tally.note(first_row, n_rows, result)
        sentence = self._tally.overdrawn()
        if sentence and self.error is None:
            self.error = PushError(sentence, run_id=self._record.run_id)

    def _lost_error(self) -> PushError:
        """Return what to say of parts that can't be read."""
        n_rows = sum(step.n_rows for step in self.plan.steps if step.part in self._lost)
        first = next(iter(self._lost.values()))
        return PushError(
            f"{counted(len(self._lost), 'part')} of {len(self.plan.parts):,} can't be read, and {counted(n_rows, 'id')} "
            f"there stay pending; the others were sent. {first}",
            run_id=self._record.run_id,
        )

    def _unforeseen(self, error: Exception) -> PushError:
        unforeseen = PushError(f"An unforeseen {type(error).__name__} came up.", run_id=self._record.run_id)
        unforeseen.__cause__ = error
        return unforeseen

    async def _tick(self) -> None:
        """Show how it goes, say every now and then that the pusher lives, and once it stops call off who waits."""
        next_beat_s = 0.0
        while True:
            self._tell()
            await self._write_left()
            if self._is_stopping():
                self._turns.call_off(tried_too=self._is_cancelled)
            if time.monotonic() >= next_beat_s:
                self._beat()
                next_beat_s = time.monotonic() + _BEAT_EVERY_S
            await asyncio.sleep(_SHOW_EVERY_S)

    async def _write_left(self, *, wait: bool = False) -> None:
        """Write outcomes that no next request has taken along by now.

        Args:
            wait: also for those that are being written at this moment.
        """
        try:
            if wait or self._record.has_left:
                await self._written.done()
        except JournalError as error:
            self.error = self.error or error

    def _beat(self) -> None:
        try:
            wish = self._record.beat()
        except HeldError as error:
            self.error = self.error or error
            return
        except JournalError:
            return  # what is written before the next request will tell
        if wish == self._wish:
            return
        self._wish = wish
        {"pause": self.pause, "cancel": self.cancel, "": self.proceed}[wish]()

    def _tell(self) -> None:
        if self.on_move is not None:
            self.on_move(self.progress)

    def _end(self) -> None:
        if self._lost and self.error is None:
            self.error = self._lost_error()
        is_cut_short = self._is_cancelled and (self._tally.counts["pending"] or self._tally.counts["unknown"])
        all_done = (
            self._tally.batches_done == self.plan.n_requests and not is_cut_short and self.error is None
        )
        state: Literal["done", "cancelled", "stopped"]
        state = "done" if all_done else "stopped" if self.error else "cancelled"
        self._note = "" if all_done else str(self.error) if self.error else "The rest was not sent."
        self._state, self._ended_s = state, time.monotonic()
        try:
            self._record.record_end(state, self._note)
            if not all_done:  # ids were perhaps refused, found wrong or cut off, which no batch tells
                self._tally.counts = Counter()
                for outcomes in each_outcome(self._journal, self._record.run_id, self.plan):
                    counts = outcomes["status"].value_counts().iter_rows()
                    self._tally.counts.update({status: n for status, n in counts if status != "pending"})
        except JournalError as error:
            self.error = self.error or error
        finally:
            self._record.close()
            self._tell()


def _batch(number: int, first_row: int, n_rows: int, call: tuple[str, str], body: bytes) -> Batch:
    return Batch(number, first_row, n_rows, *call, body, hashlib.sha256(body).hexdigest())
