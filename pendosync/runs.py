"""The run that a push returns: watched, paused, cancelled and waited for, from this process or another."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import functools
import sys
import threading
import time
from collections.abc import Callable, Generator
from typing import Any, Final, Literal, Protocol, overload

import polars as pl

from pendosync.client import Client
from pendosync.errors import PendosyncError, PushError, StalePlanError, counted
from pendosync.frames import Progress
from pendosync.journal import Journal, outcomes_of, read_outcomes, read_state, scan_outcomes
from pendosync.plans import Plan
from pendosync.preview.deeds import Deeds
from pendosync.pusher import Pusher
from pendosync.remaining import skipped_in
from pendosync.runfile import now_ms

_PATIENCE_S: Final = 30.0
_LOOK_S: Final = 0.2
_POLL_S: Final = 0.5


class Way(Protocol):
    """How a run is reached: in this process, or through its journal."""

    @property
    def progress(self) -> Progress:
        """Where the run stands."""

    @property
    def error(self) -> PendosyncError | None:
        """What stopped it."""

    def wait(self, timeout_s: float) -> bool:
        """Return whether the run is over, at the latest after so many seconds."""

    def cancel(self) -> None:
        """Stop it cleanly."""

    def pause(self) -> None:
        """Let it rest."""

    def proceed(self) -> None:
        """Let it go on."""


class Here:
    """A run whose pusher is in this process."""

    def __init__(self, pusher: Pusher) -> None:
        self.future: concurrent.futures.Future[None] | None = None
        self._pusher = pusher
        self._over = threading.Event()
        self.cancel, self.pause, self.proceed = pusher.cancel, pusher.pause, pusher.proceed

    def start(self, client: Client, at_exit: Callable[[], None]) -> None:
        """Begin; *at_exit* is called where the interpreter ends before the run."""
        self.future = client.start(self._work())
        atexit.register(at_exit)
        self.future.add_done_callback(lambda _: atexit.unregister(at_exit))

    async def _work(self) -> None:
        try:
            await self._pusher.work()
        finally:
            self._over.set()

    @property
    def progress(self) -> Progress:
        return self._pusher.progress

    @property
    def error(self) -> PendosyncError | None:
        return self._pusher.error

    def wait(self, timeout_s: float) -> bool:
        return self._over.wait(timeout_s)

    def watch(self, show: Callable[[Progress], None]) -> None:
        """Have *show* called, from any thread, whenever the run has moved."""
        self._pusher.on_move = show

    def stop(self) -> None:
        """Stop cleanly, and where that takes too long, cut what is in flight."""
        self.cancel()
        if not self._over.wait(_PATIENCE_S):
            if self.future is not None:
                self.future.cancel()
            self._over.wait(_PATIENCE_S)


class Elsewhere:
    """A run that another process pushes, or that is over: known by its journal."""

    def __init__(self, journal: Journal, run_id: str, plan: Plan) -> None:
        self._journal = journal
        self._run_id = run_id
        self._plan = plan

    @property
    def progress(self) -> Progress:
        told = read_state(self._journal, self._run_id)
        is_paused = told.state == "running" and told.wish == "pause"
        ended_at = told.ended_at or now_ms()
        counts = {**told.counts, **skipped_in(self._plan)}
        n_left = len(self._plan) - sum(counts.values())
        left = self._plan.pace.expected_s(self._plan.n_requests - told.batches_done, rows=n_left)
        return Progress(
            run_id=self._run_id,
            title=self._plan.title,
            state="paused" if is_paused else told.state,
            n_ids=len(self._plan),
            n_batches=self._plan.n_requests,
            batches_done=told.batches_done,
            requests=told.requests,
            counts=counts,
            elapsed_s=max(0, ended_at - told.started_at) / 1000,  # clocks may be set back
            left_s=left if told.state == "running" else None,
            note=told.note or (_INTERRUPTED if told.state == "interrupted" else ""),
            allowed_per_s=self._plan.pace.max_per_second,
            most_per_s=self._plan.pace.max_per_second,
        )

    @property
    def error(self) -> PendosyncError | None:
        told = self.progress
        is_whole = told.state in ("done", "cancelled")
        return None if is_whole else PushError(told.note, run_id=self._run_id)

    def wait(self, timeout_s: float) -> bool:
        end_s = time.monotonic() + timeout_s
        while not self.progress.is_over:
            rest_s = end_s - time.monotonic()
            if rest_s <= 0:
                return False
            time.sleep(min(_POLL_S, rest_s))
        return True

    def cancel(self) -> None:
        self._journal.ask(self._run_id, "cancel")

    def pause(self) -> None:
        self._journal.ask(self._run_id, "pause")

    def proceed(self) -> None:
        self._journal.ask(self._run_id, "")


_INTERRUPTED: Final = "The process that pushed it is gone."


class Run:
    """One push, under way or over. Made by `push`, `resume_push` and `attach_run`.

    Attributes:
        id: the run's name in the journal.
        plan: what it sends.
    """

    def __init__(self, run_id: str, plan: Plan, journal: Journal, way: Way) -> None:
        self.id = run_id
        self.plan = plan
        self._journal = journal
        self._way = way
        self._show: Callable[[Progress], None] | None = None

    @property
    def progress(self) -> Progress:
        """Where the run stands: counts only."""
        return self._way.progress

    @property
    def outcomes(self) -> pl.DataFrame:
        """OUTCOMES frame as it stands: one row for each id of the plan."""
        return outcomes_of(self._journal, self.id, self.plan)

    @overload
    def wait(self, timeout_s: float | None = None, *, lazy: Literal[False] = False) -> pl.DataFrame: ...
    @overload
    def wait(self, timeout_s: float | None = None, *, lazy: Literal[True]) -> pl.LazyFrame: ...
    def wait(self, timeout_s: float | None = None, *, lazy: bool = False) -> pl.DataFrame | pl.LazyFrame:
        """Return OUTCOMES once the run is over. Interrupting the wait (■) stops the run cleanly, and says how to go on.

        A run that another process pushes goes on when the wait for it is interrupted.

        Args:
            timeout_s: give up waiting after so many seconds; the run goes on.
            lazy: as in `read_outcomes`; for a plan that is larger than memory.

        Raises:
            PushError: the run stopped before its end; `.outcomes` says what became of each id.
            StalePlanError: it was not begun, as what Pendo holds has moved since the plan was made.
            TimeoutError: it is not over yet.
        """
        try:
            self._wait_until_over(timeout_s)
        except KeyboardInterrupt:
            if isinstance(self._way, Here):
                self._stop("stopped cleanly")
            raise
        error = self._way.error
        if error is not None:
            raise self._stopped_error(error, lazy=lazy)
        return self._outcomes(lazy=lazy)

    def _wait_until_over(self, timeout_s: float | None) -> None:
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._way.wait(
            _LOOK_S if end_s is None else max(0.0, min(_LOOK_S, end_s - time.monotonic()))
        ):
            # in short steps, as an endless wait can miss an interrupt that another thread was given
            if end_s is not None and time.monotonic() >= end_s:
                raise TimeoutError(
                    f"Run {self.id} is not over after {timeout_s} s. It goes on. Hint: run.wait()."
                )

    def cancel(self) -> None:
        """Stop cleanly: what is in flight is finished and written down, the rest stays `pending` for `resume_push`."""
        self._way.cancel()

    def pause(self) -> None:
        """Let the run rest: what is in flight is finished, and nothing more begins until `proceed()`."""
        self._way.pause()

    def proceed(self) -> None:
        """Let a paused run go on."""
        self._way.proceed()

    def __await__(self) -> Generator[Any, None, pl.DataFrame]:
        if isinstance(self._way, Here) and self._way.future is not None:
            wrapped = asyncio.wrap_future(self._way.future)
            yield from asyncio.shield(wrapped).__await__()  # a timeout ends the wait, not the run
            return self.wait()
        return (yield from asyncio.to_thread(self.wait).__await__())

    def __repr__(self) -> str:
        from pendosync.preview.run_view import run_line

        return f"Run {self.id}: {run_line(self.progress)}"

    def _ipython_display_(self) -> None:
        from pendosync.preview.run_view import show_once

        show_once(self.progress, self._show)

    def _stop_at_exit(self) -> None:
        self._stop("stopped cleanly at exit")

    def _stop(self, how: str) -> None:
        if isinstance(self._way, Here):
            self._way.stop()
        if self.progress.state != "done":
            print(  # noqa: T201
                f"pendosync: run {self.id} was {how}, {counted(self._n_not_sent(), 'id')} not sent. To go on: "
                f"resume_push(open_journal({str(self._journal.path)!r}), {self.id!r}, client=client)",
                file=sys.stderr,
            )

    def _stopped_error(self, error: PendosyncError, *, lazy: bool) -> PushError:
        outcomes = self._outcomes_or_none(lazy=lazy)
        if isinstance(error, StalePlanError):
            return StalePlanError(str(error), moved=error.moved, run_id=self.id, outcomes=outcomes)
        left = self._n_not_sent()
        sentence = (
            f"Run {self.id} stopped: {error} {counted(left, 'id')} of {len(self.plan):,} were not sent. "
            f"Hint: resume_push(journal, {self.id!r}, client=client) goes on; read_outcomes(journal, {self.id!r}) says "
            f"what became of each."
        )
        stopped = PushError(sentence, run_id=self.id, outcomes=outcomes)
        stopped.__cause__ = error.__cause__
        return stopped

    def _n_not_sent(self) -> int:
        return len(self.plan) - sum(n for status, n in self.progress.counts.items() if status != "pending")

    def _outcomes(self, *, lazy: bool) -> pl.DataFrame | pl.LazyFrame:
        return scan_outcomes(self._journal, self.id, self.plan) if lazy else self.outcomes

    def _outcomes_or_none(self, *, lazy: bool) -> pl.DataFrame | pl.LazyFrame | None:
        try:
            return self._outcomes(lazy=lazy)
        except PendosyncError:
            return None


def start_run(pusher: Pusher, client: Client, journal: Journal, run_id: str, *, show: bool) -> Run:
    """Return the run of a pusher that begins now."""
    here = Here(pusher)
    run = Run(run_id, pusher.plan, journal, here)
    if show:
        pusher.on_move = show_run(run)
    here.start(client, run._stop_at_exit)
    return run


def show_run(run: Run) -> Callable[[Progress], None]:
    """Show *run* as it goes, in a notebook below the cell, elsewhere as lines on stderr; return what redraws it."""
    from pendosync.preview.run_view import open_run_view

    run._show = open_run_view(run.progress, _deeds(run))
    return run._show


def show_in_place(run: Run) -> str:
    """Show a run of this process wherever a page keeps the place that is called what this returns, in no output."""
    from pendosync.preview.run_controls import RunControls

    controls = RunControls(run.progress, _deeds(run))
    if isinstance(run._way, Here):
        run._way.watch(controls.show)
    controls.show(run.progress)
    return str(controls.mark)


def _deeds(run: Run) -> Deeds:
    outcomes = functools.partial(read_outcomes, run._journal, run.id)
    return Deeds(run._way.pause, run._way.proceed, run._way.cancel, outcomes, isinstance(run._way, Here))


def watch(run: Run, show: Callable[[Progress], None]) -> None:
    """Redraw a run that another process pushes, until it is over, from a thread of its own."""

    def redraw() -> None:
        with contextlib.suppress(PendosyncError):  # a journal that is gone: the last picture stays
            while not (now := run.progress).is_over:
                show(now)
                time.sleep(_POLL_S)
            show(now)

    threading.Thread(target=redraw, name="pendosync-watch", daemon=True).start()
