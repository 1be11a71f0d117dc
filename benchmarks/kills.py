"""Trials in which the process that pushes is killed, or told to end, and the run is resumed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import pendosync as ps
from benchmarks.trials import Judge, Stage, only_run, push_to_the_end
from benchmarks.victim import Order

ROOT: Final = Path(__file__).parent.parent
JOURNAL_ROOMS: Final = ("folders", "rundb", "runfile", "journal")
"""What writes a run down: a victim can be killed between any two of its lines."""

_PATIENCE_S: Final = 60.0


class Victim:
    """A process that waits to push. Its words on stdout tell how far it came."""

    def __init__(self, stage: Stage) -> None:
        key = stage.sandbox.settings.secret("integration_key").reveal()
        arguments = [stage.sandbox.url, key, str(stage.folder / "plan"), str(stage.in_flight)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.victim", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self._is_ready = False

    def be_ready(self) -> None:
        """Wait until it takes an order."""
        if not self._is_ready:
            self.read_word("ready")
        self._is_ready = True

    def obey(self, order: Order) -> None:
        """Wait until it is ready, and give it its order."""
        assert self.process.stdin is not None
        self.be_ready()
        self.process.stdin.write(json.dumps(asdict(order)) + "\n")
        self.process.stdin.flush()

    def read_word(self, word: str) -> None:
        """Wait until it says so."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        assert line == word, (line, self.process.communicate())

    def last_words(self) -> tuple[str, str]:
        """Close its stdin, wait until it is gone, and return what it said on stdout and stderr."""
        try:
            return self.process.communicate(timeout=_PATIENCE_S)
        finally:
            self.process.kill()
            self.process.wait()


class Victims:
    """Victims that are started ahead: their imports take longer than a push."""

    def __init__(self, stage: Stage, *, ahead: int = 1) -> None:
        self._stage = stage
        self._ready = deque(Victim(stage) for _ in range(ahead))

    def next(self, **order: Any) -> Victim:
        """Return a victim that has begun to carry out an order; another one is started in its place."""
        victim = self._ready.popleft()
        victim.obey(Order(**order))
        self._ready.append(Victim(self._stage))
        return victim

    def __enter__(self) -> Victims:
        return self

    def __exit__(self, *_: object) -> None:
        for victim in self._ready:
            victim.last_words()  # without an order they end


@dataclass(frozen=True)
class Blow:
    """How one victim ends.

    Args:
        after_s: a signal so long after its order; None leaves it alone.
        signal: which.
        order: what it is told besides.
    """

    after_s: float | None = None
    signal: int = signal.SIGKILL
    order: dict[str, Any] | None = None


def undisturbed(stage: Stage, victims: Victims, **order: Any) -> tuple[float, int]:
    """Return how many seconds a victim takes that nobody disturbs, and how many lines it counted."""
    stage.begin()
    began = time.monotonic()
    victim = victims.next(journal=str(stage.new_journal().path), **order)
    words, complaint = victim.last_words()
    assert "over" in words, complaint
    return time.monotonic() - began, int(words.split()[-1])


def trial(stage: Stage, victims: Victims, *blows: Blow) -> Judge:
    """Push once, end the process by the first blow, resume in the next victim, …, and at last in this process."""
    stage.begin()
    journal, judge = stage.new_journal(), Judge(stage)
    for blow in blows:
        run_id = only_run(journal)
        victim = victims.next(journal=str(journal.path), resume=run_id, **blow.order or {})
        judge.victims.append(where(strike(victim, blow)[0]))
        time.sleep(stage.latency_s)  # what was in flight arrives
        look_at(journal, judge)
    push_to_the_end(stage, journal, judge, run_id=only_run(journal))
    return judge


def strike(victim: Victim, blow: Blow) -> tuple[str, str]:
    """End a victim, and return what it said on stdout and stderr."""
    if blow.after_s is not None:
        time.sleep(blow.after_s)
        victim.process.send_signal(blow.signal)
    return victim.last_words()


def where(words: str) -> str:
    """Return how far a victim came."""
    return "over" if "over" in words else "under way" if "begun" in words else "beginning"


def look_at(journal: ps.Journal, judge: Judge) -> None:
    """Let a run be judged whose process is gone; one that was killed before it was born has sent nothing."""
    runs = ps.read_runs(journal)
    if runs.is_empty():
        judge.interruptions += 1
        judge.wrong += len(judge.stage.sandbox.writes("visitor"))
    else:
        judge.look(ps.read_outcomes(journal, runs["run_id"].item()))


def random_blow(random: Random, whole_s: float, *, number: int = signal.SIGKILL) -> Blow:
    """Return a blow at any instant of a push that takes *whole_s*."""
    return Blow(random.uniform(0, whole_s), number)


def blow_at_line(random: Random, n_lines: int, *, number: int = signal.SIGKILL) -> Blow:
    """Return a blow between any two lines of what writes a run down."""
    order = {"at_line": random.randint(1, n_lines), "rooms": JOURNAL_ROOMS, "signal": int(number)}
    return Blow(order=order)
