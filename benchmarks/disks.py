"""Trials in which the journal's disk is full, read-only, locked or damaged."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Final

import pendosync as ps
from benchmarks.kills import Victims
from benchmarks.trials import (
    MAPPING,
    Judge,
    SkippedError,
    Stage,
    a_table,
    only_run,
    push_to_the_end,
    wait_for,
)

_DISK_MB: Final = 8
_PAGE: Final = 4096


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """A disk of eight megabytes, in memory, as the root of a machine can mount one.

    Raises:
        SkippedError: it can't be mounted here.
    """
    folder = Path(tempfile.mkdtemp(prefix="disk-"))
    try:
        _mount(folder, "-t", "tmpfs", "-o", f"size={_DISK_MB}m", "tmpfs")
        try:
            yield folder
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)
    finally:
        folder.rmdir()


def _mount(folder: Path, *options: str) -> None:
    try:
        subprocess.run(["mount", *options, folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SkippedError(
            f"No disk can be mounted here ({type(error).__name__}). Expected root, and a kernel that lets it. "
            f"Hint: run this as root, outside of a container that may not mount."
        ) from None


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Fill a disk but for *leave* bytes, and return the file that does."""
    filler = disk / "filler"
    usage = os.statvfs(disk)
    with open(filler, "ab", buffering=0) as file:
        room = usage.f_bavail * usage.f_frsize - leave
        with contextlib.suppress(OSError):
            while room > 0:
                room -= file.write(bytes(min(room, 65_536)))
            while not leave:
                file.write(b"x")
    return filler


def full_disk(stage: Stage, random: Random) -> Judge:
    """Push until the disk is full: from the start, or after any batch; make room, and go on."""
    stage.begin()
    judge = Judge(stage)
    with small_disk() as disk:
        journal = stage.new_journal(disk)
        after, leave = random.randrange(-4, stage.plan.n_requests), random.randrange(400_000)
        filler = fill(disk, leave=leave) if after < 0 else disk / "filler"

        def fill_up(run: ps.Run) -> None:
            wait_for(run, batches=after)
            fill(disk)

        run_id = _push_until_it_stops(stage, journal, judge, fill_up if after >= 0 else lambda run: None)
        filler.unlink()
        push_to_the_end(stage, journal, judge, run_id=run_id)
    return judge


def _push_until_it_stops(
    stage: Stage, journal: ps.Journal, judge: Judge, on_run: Callable[[ps.Run], None]
) -> str | None:
    """Push, and return the run's id; None where it could not begin, which must leave nothing behind."""
    with stage.client() as client:
        try:
            run = ps.push(stage.plan, client=client, journal=journal, show=False)
        except ps.JournalError as error:
            ensure_three_beats(error)
            judge.interruptions += 1
            judge.wrong += len(stage.sandbox.writes("visitor")) + ps.read_runs(journal).height
            return None
        on_run(run)
        try:
            run.wait()
        except ps.PushError as error:
            ensure_three_beats(error)
        judge.look(ps.read_outcomes(journal, run.id))
        return run.id


def read_only_disk(stage: Stage, victims: Victims, random: Random) -> Judge:
    """Kill a push, let its disk become read-only, and go on when it no longer is; meanwhile the run can be read."""
    stage.begin()
    judge = Judge(stage)
    with small_disk() as disk:
        journal = killed_push(stage, victims, random, folder=disk)
        _mount(disk, "-o", "remount,ro")
        run_id = only_run(journal)
        assert run_id is not None
        judge.look(ps.read_outcomes(journal, run_id))
        with stage.client() as client:
            ensure_refused(lambda: ps.resume_push(journal, run_id, client=client, show=False))
            ensure_refused(lambda: ps.push(stage.plan, client=client, journal=journal, show=False))
        judge.look(ps.read_outcomes(journal, run_id))
        _mount(disk, "-o", "remount,rw")
        push_to_the_end(stage, journal, judge, run_id=run_id)
    return judge


def locked_file(stage: Stage, random: Random, *, hold_s: float) -> Judge:
    """Hold the run's file from another process in the middle of a push, then let go, and resume if it stopped."""
    stage.begin()
    judge, journal = Judge(stage), stage.new_journal()
    after = random.randrange(stage.plan.n_requests - stage.in_flight)

    def hold(run: ps.Run) -> None:
        wait_for(run, batches=after)
        with holding(journal.path / run.id / "run.sqlite"):
            time.sleep(hold_s)

    run_id = _push_until_it_stops(stage, journal, judge, hold)
    push_to_the_end(stage, journal, judge, run_id=run_id)
    return judge


_HOLDS: Final = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10, isolation_level=None)
db.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def holding(file: Path) -> Iterator[None]:
    """Another process that lets nobody write to an SQLite file, for the length of a block."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, file], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.communicate()


# --- damage ------------------------------------------------------------------------------------------------------

Damage = Callable[[Path, Random], None]


def _cut(name: str) -> Damage:
    def damage(run: Path, random: Random) -> None:
        size = (run / name).stat().st_size
        os.truncate(run / name, random.choice((0, random.randrange(size), size // 2 // _PAGE * _PAGE)))

    return damage


def _overwrite(name: str) -> Damage:
    def damage(run: Path, random: Random) -> None:
        at = random.randrange((run / name).stat().st_size) // _PAGE * _PAGE
        with open(run / name, "r+b") as file:
            file.seek(at)
            file.write(random.choice((bytes(_PAGE), random.randbytes(_PAGE))))

    return damage


def _remove(name: str) -> Damage:
    return lambda run, random: (run / name).unlink()


def _once_settled(damage: Damage) -> Damage:
    """As *damage*, once a reader has brought the log into the file, as a run that ended cleanly does."""

    def settle_and_damage(run: Path, random: Random) -> None:
        ps.read_runs(ps.open_journal(run.parent))
        damage(run, random)

    return settle_and_damage


DAMAGES: Final[dict[str, Damage]] = {
    "its file cut short, its log whole": _cut("run.sqlite"),
    "its file cut short": _once_settled(_cut("run.sqlite")),
    "a page of its file overwritten": _once_settled(_overwrite("run.sqlite")),
    "its log cut short": _cut("run.sqlite-wal"),
    "garbage in its log": _overwrite("run.sqlite-wal"),
    "its log removed": _remove("run.sqlite-wal"),
    "garbage in its index": _overwrite("run.sqlite-shm"),
    "a part of its plan cut short": _cut("plan/part-0000.parquet"),
    "garbage in a part of its plan": _overwrite("plan/part-0000.parquet"),
    "a part of its plan missing": _remove("plan/part-0000.parquet"),
    "its plan's manifest cut short": _cut("plan/manifest.json"),
}
"""What may happen to the files of a run."""


def damaged(stage: Stage, victims: Victims, damage: Damage, random: Random) -> Judge:
    """Kill a push, damage what it wrote, and go on: by the run where it can be read, else by what its error says."""
    stage.begin()
    judge = Judge(stage)
    journal = killed_push(stage, victims, random)
    run_id = only_run(journal)
    assert run_id is not None
    damage(journal.path / run_id, random)
    try:
        judge.look(ps.read_outcomes(journal, run_id))
        push_to_the_end(stage, journal, judge, run_id=run_id)
    except (ps.JournalError, ps.PlanError) as error:
        ensure_three_beats(error)
        push_what_is_missing(stage, journal, run_id, error)
        judge.wrong += stage.sandbox.digest("visitor") != stage.expected
    return judge


def push_what_is_missing(stage: Stage, journal: ps.Journal, run_id: str, error: Exception) -> None:
    """Do what the error says: read the plan and refresh it, or plan the table again; then push that elsewhere."""
    with stage.client() as client:
        if "read_plan" in str(error):
            plan = ps.refresh_plan(ps.read_plan(journal, run_id), client=client)
        else:
            table = a_table(len(stage.plan))
            plan = ps.plan_table(table, MAPPING, client=client).lift(max_ids=None, max_changed_share=None)
        if len(plan):
            ps.push(plan, client=client, journal=stage.new_journal(), show=False).wait()


def killed_push(stage: Stage, victims: Victims, random: Random, *, folder: Path | None = None) -> ps.Journal:
    """Return the journal of a push that was killed after any of its batches but the last few."""
    journal = stage.new_journal(folder)
    batches = random.randrange(1, stage.plan.n_requests - stage.in_flight)
    victims.next(journal=str(journal.path), then="exit_hard", batches=batches).last_words()
    time.sleep(stage.latency_s)
    return journal


def ensure_refused(verb: Callable[[], object]) -> None:
    """Raise unless *verb* fails with an error of the journal, in three beats."""
    try:
        verb()
    except ps.JournalError as error:
        ensure_three_beats(error)
    else:
        raise AssertionError("It was not refused.")


def ensure_three_beats(error: Exception) -> None:
    """Raise unless an error says what happened, what was expected, and what to type."""
    text = str(error)
    assert "Expected" in text, text
    assert "Hint:" in text, text
