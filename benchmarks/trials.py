"""What every fault trial stands on: a stage to push on, and a judge who asks the sandbox what really arrived."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

import pendosync as ps
from benchmarks.witness import HastyClock, Ledger, Witness
from pendosync.journal import WRITTEN

MAPPING: Final = ps.Mapping(
    "visitor", "user_id", [ps.Trait("plan", type="text"), ps.Trait("seats", type="integer")]
)
QUICK: Final = ps.Retry(attempts=3, base_s=4.0, cap_s=8.0)
"""Gives up soon: a trial is to be stopped."""

_MOST_RESUMES: Final = 200
_MANY: Final = 100_000


class SkippedError(Exception):
    """This machine can't stage such a fault; the message says why."""


@dataclass(frozen=True)
class Stage:
    """A sandbox, a plan for everybody in it, and what an undisturbed push of it leaves.

    Attributes:
        folder: where the plan lies, as `plan`, and where journals may.
        expected: digest of the visitors after an undisturbed push.
        in_flight: requests at once.
        latency_s: how late each answer to a write comes.
    """

    sandbox: ps.Sandbox
    plan: ps.Plan
    folder: Path
    in_flight: int
    latency_s: float
    expected: str = ""

    @property
    def most_in_doubt(self) -> int:
        """Ids that may be in flight together."""
        return self.in_flight * self.plan.shape.batch_size

    def begin(self) -> None:
        """Go back to where nothing was pushed."""
        self.sandbox.reset()
        self.be_late()

    def be_late(self) -> None:
        """Let writes take their time."""
        if self.latency_s:
            self.sandbox.misbehave("latency", method="POST", seconds=self.latency_s, times=None)

    def open_again(self) -> ps.Sandbox:
        """Open the sandbox that was closed, with what it held, on the same port."""
        pace, state = ps.Pace(None, self.in_flight), self.folder / "sandbox.state"
        return ps.open_sandbox(port=self.sandbox.port, state=state, api_pace=pace, keep_mb=1)

    def new_journal(self, folder: Path | None = None) -> ps.Journal:
        """Return a journal that no run was written to."""
        return ps.open_journal(Path(tempfile.mkdtemp(prefix="journal-", dir=folder or self.folder)))

    def client(self, ledger: Ledger | None = None, **options: Any) -> ps.Client:
        """Return a client that gives up soon, and whose wire *ledger* witnesses."""
        usual = {"clock": HastyClock(), "retry": QUICK, "transport": Witness(ledger) if ledger else None}
        return ps.open_client(self.sandbox.settings, **{**usual, **options})


@contextmanager
def open_stage(
    *, rows: int, batch_size: int, in_flight: int = 4, latency_s: float = 0.0, state: bool = False
) -> Iterator[Stage]:
    """Open a sandbox of *rows* visitors, plan a change of each, and push it once undisturbed.

    Args:
        rows: ids.
        batch_size: ids in a request.
        in_flight: requests at once.
        latency_s: see `Stage`.
        state: keep what the sandbox holds in a file, so that it can be ended and begun again.
    """
    with tempfile.TemporaryDirectory(prefix="pendosync-") as name, contextlib.ExitStack() as open_things:
        folder = Path(name)
        file = folder / "sandbox.state" if state else None
        pace = ps.Pace(None, in_flight)
        sandbox = open_things.enter_context(
            ps.open_sandbox(visitors=rows, api_pace=pace, keep_mb=1, state=file)
        )
        client = open_things.enter_context(ps.open_client(sandbox.settings))
        plan = ps.plan_table(a_table(rows), MAPPING, client=client, batch_size=batch_size)
        plan = plan.lift(max_ids=None, max_changed_share=None)
        plan.save(folder / "plan")
        stage = Stage(sandbox, plan, folder, in_flight, latency_s)
        ps.push(plan, client=client, journal=stage.new_journal(), show=False).wait()
        yield replace(stage, expected=sandbox.digest("visitor"))


def a_table(rows: int) -> pl.DataFrame:
    """Return *rows* users, whom every sandbox of so many visitors knows."""
    ids = [f"u-{n:04d}" for n in range(1, rows + 1)]
    return pl.DataFrame({"user_id": ids, "plan": [f"new-{id_}" for id_ in ids], "seats": range(1, rows + 1)})


@dataclass
class Judge:
    """Compares what a journal says with what the sandbox received and holds, at each interruption and at the end.

    Attributes:
        lost: ids that end without an outcome, or unwritten though nothing condemned them.
        again: how often an id arrived again because nobody could know whether it had.
        twice: how often an id arrived again for no reason.
        wrong: outcomes that are not so.
        interruptions: how often it was asked before the end.
        victims: how far each process came that was ended: `beginning`, `under way`, `over`.
    """

    stage: Stage
    ledger: Ledger | None = None
    lost: int = 0
    again: int = 0
    twice: int = 0
    wrong: int = 0
    interruptions: int = 0
    victims: list[str] = field(default_factory=list)
    _in_doubt: Counter[str] = field(default_factory=Counter)

    def look(self, outcomes: pl.DataFrame) -> None:
        """Judge the outcomes of a run that was interrupted."""
        self.interruptions += 1
        self._compare(outcomes)
        unknown = outcomes.filter(status="unknown")["id"].to_list()
        self._in_doubt.update(unknown)
        self.twice += max(0, len(unknown) - self.stage.most_in_doubt)

    def end(self, outcomes: pl.DataFrame) -> None:
        """Judge the outcomes of a run that came to its end."""
        self._compare(outcomes)
        condemned = self.ledger.condemned if self.ledger else set()
        written = set(outcomes.filter(pl.col("status").is_in(WRITTEN))["id"])
        self.lost += len(set(self.stage.plan.changes["id"]) - written - condemned)
        said = set(outcomes.filter(pl.col("reason").str.starts_with("sent twice"))["id"])
        self.wrong += len(said ^ (self._in_doubt.keys() & written))
        if not condemned and self.stage.sandbox.digest("visitor") != self.stage.expected:
            self.wrong += 1
        self._count_arrivals()

    def _compare(self, outcomes: pl.DataFrame) -> None:
        """Count the outcomes that are not so: one for each id, and Pendo holds what is said to be written, no more."""
        there = self._arrived()
        for status, ids in outcomes.group_by("status").agg("id").iter_rows():
            if status in WRITTEN:
                self.wrong += len(set(ids) - there)
            elif status != "unknown":
                self.wrong += len(set(ids) & there)
        self.wrong += len(self.stage.plan) - outcomes["id"].n_unique()

    def _arrived(self) -> set[str]:
        """Return the ids that hold what was pushed; of very many, those that came in a write which was carried out."""
        if len(self.stage.plan) > _MANY:
            return set(self.stage.sandbox.writes("visitor"))
        held = self.stage.sandbox.values("visitor", "custom")
        wanted = self.stage.plan.changes.select("id", "after").iter_rows()
        return {id_ for id_, after in wanted if after.items() <= held[id_].items()}

    def _count_arrivals(self) -> None:
        if self.ledger is not None:
            self.twice += self.ledger.twice.total()
            self.again += self.ledger.again.total()
            return
        for id_, n in self.stage.sandbox.writes("visitor").items():
            allowed = min(n - 1, self._in_doubt[id_])
            self.again += allowed
            self.twice += n - 1 - allowed


def push_to_the_end(
    stage: Stage,
    journal: ps.Journal,
    judge: Judge,
    *,
    run_id: str | None = None,
    on_run: Callable[[ps.Run], None] = lambda run: None,
    **options: Any,
) -> pl.DataFrame:
    """Push the stage's plan, or go on with a run, and resume it as often as it stops; return OUTCOMES.

    Args:
        stage, journal, judge: who looks at each stop, and at the end.
        run_id: a run that was begun.
        on_run: is called once a run has begun, the first and each resumed one.
        options: as `open_client` takes them.
    """
    for _ in range(_MOST_RESUMES):
        with stage.client(judge.ledger, **options) as client:
            try:
                run = (
                    ps.push(stage.plan, client=client, journal=journal, show=False)
                    if run_id is None
                    else ps.resume_push(journal, run_id, client=client, show=False)
                )
                run_id = run.id
                on_run(run)
                outcomes = run.wait()
            except ps.PushError as error:
                why = str(error)
                judge.look(ps.read_outcomes(journal, str(run_id)))
            else:
                judge.end(outcomes)
                return outcomes
    raise AssertionError(f"The run did not come to its end within {_MOST_RESUMES} resumes: {why}")


def wait_for(run: ps.Run, *, batches: int) -> None:
    """Wait until so many batches are done, or the run is over."""
    while run.progress.batches_done < batches and not run.progress.is_over:
        time.sleep(0.002)


def only_run(journal: ps.Journal) -> str | None:
    """Return the one run that a journal holds, or None where it was killed before it was born. Opens no file."""
    runs = [file.parent.name for file in journal.path.glob("*/run.sqlite")]
    assert len(runs) <= 1, runs
    return runs[0] if runs else None
