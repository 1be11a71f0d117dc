"""Is anything lost, sent twice or told wrongly, whatever goes wrong in the middle of a push?

    python -m benchmarks.faults [--quick] [--trials 200] [--rows 20000] [--seed 20261125]

Prints one line a fault: trials, ids lost, ids sent twice, wrong outcomes, all of which are to be 0; then how often an id
was sent again because nobody could know whether it had arrived, and seconds. Ends with 1 where anything does not hold.

- lost: a chosen id that ends without an outcome, or unwritten though Pendo never refused it;
- sent twice: an id that arrived more than once, though it was not in flight when a run was interrupted, its tries aside
  that got no answer to be believed, and the parts of a batch that was split. Where a process is killed, the journal's
  `unknown` outcomes say what was in flight, at most so many ids as requests at once carry, and the sandbox counts the
  arrivals. Where Pendo misbehaves, a transport beside the client's own notes each answer and what it settles;
- wrong outcome: what the journal says at each interruption and at the end, against what the sandbox holds; `sent twice`
  in a reason against what was in doubt; and the sandbox's final state against an undisturbed push.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final

from benchmarks import disks, kills, wires
from benchmarks.kills import Blow, Victims
from benchmarks.lines import Line, at_least, at_most, save, told
from benchmarks.trials import Judge, SkippedError, Stage, open_stage

Trial = Callable[[], Judge]

AT_ANY_INSTANT: Final = "kill -9 at any instant"


@dataclass
class Row:
    """One fault, and what all its trials came to."""

    fault: str
    judges: list[Judge] = field(default_factory=list)
    seconds: float = 0.0
    broken: str = ""
    skipped: str = ""

    def total(self, name: str) -> int:
        """Return the sum of one number over all trials."""
        return sum(getattr(judge, name) for judge in self.judges)

    @property
    def holds(self) -> bool:
        """Whether all was well."""
        return not self.broken and not any(self.total(name) for name in ("lost", "twice", "wrong"))

    def __str__(self) -> str:
        if self.skipped:
            return f"  {self.fault:46} skipped: {self.skipped}"
        numbers = f"{self.total('lost'):6,} {self.total('twice'):11,} {self.total('wrong'):14,} {self.total('again'):11,}"
        failed = "" if self.holds else f"   FAILED {self.broken}"
        return f"  {self.fault:46} {len(self.judges):6,} {numbers} {self.seconds:8.1f}{failed}"


@dataclass(frozen=True)
class Size:
    """How much of everything.

    Args:
        kills: kills at any instant.
        some: trials of what is next to it.
        few: trials of other ends of a process, of outages and disks.
        rows: of a push that is killed; others have a fifth.
        many: of the long run.
    """

    kills: int
    some: int
    few: int
    rows: int
    many: int


def main() -> int:
    """Run all trials, print the table and write build/bench/faults.json."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    ask.add_argument("--quick", action="store_true", help="a tenth of it")
    ask.add_argument("--trials", type=int, help="kills at any instant; everything else goes with it")
    ask.add_argument("--rows", type=int, default=20_000, help="of a push that is killed")
    ask.add_argument("--seed", type=int, default=20_261_125)
    ask.add_argument("--only", default="", help="faults that hold this text")
    args = ask.parse_args()
    n_kills = args.trials or (20 if args.quick else 200)
    many = min(1_000_000, 5_000 * n_kills * args.rows // 20_000)
    size = Size(n_kills, max(1, n_kills // 10), max(1, n_kills // 20), args.rows, many)
    print(
        f"seed {args.seed}; {size.rows:,} rows, kills at random instants; {size.many:,} rows in the long run\n"
    )
    print(f"  {'fault':46} trials   lost  sent twice  wrong outcome  sent again  seconds")
    rows = []
    for row in all_rows(size, Random(args.seed), args.only):
        print(row, flush=True)
        rows.append(row)
    return 0 if tell(rows, size) else 1


def all_rows(size: Size, random: Random, only: str) -> Iterator[Row]:
    """Run everything whose name holds *only*."""
    for section in (ended_processes, misbehaving_pendo, outages, failing_disks, long_run):
        for fault, trials in section(size, random):
            if only in fault:
                yield run_row(fault, trials)


def run_row(fault: str, trials: Iterable[Trial]) -> Row:
    """Run the trials of one fault. One that breaks ends the row."""
    row, began = Row(fault), time.monotonic()
    try:
        for trial in trials:
            row.judges.append(trial())
    except SkippedError as error:
        row.skipped = str(error)
    except Exception as error:
        traceback.print_exc()
        row.broken = f"{type(error).__name__} in trial {len(row.judges) + 1}"
    row.seconds = time.monotonic() - began
    return row


Section = Iterator[tuple[str, Iterable[Trial]]]


def ended_processes(size: Size, random: Random) -> Section:
    """Yield the trials in which the pushing process ends."""
    shape = {"rows": size.rows, "batch_size": max(1, size.rows // 40), "latency_s": 0.06}
    with open_stage(**shape) as stage, Victims(stage) as victims:
        kills.undisturbed(stage, victims)  # the first is slower
        whole_s, _ = kills.undisturbed(stage, victims)

        def blows(n: int, make: Callable[[], Blow], times: int = 1) -> Iterator[Trial]:
            for _ in range(n):
                yield lambda: kills.trial(stage, victims, *(make() for _ in range(times)))

        def at(number: int) -> Callable[[], Blow]:
            return lambda: kills.random_blow(random, whole_s, number=number)

        def within(number: int, rooms: tuple[str, ...], linger_s: float = 0.0) -> Callable[[], Blow]:
            order = {"at_line": 0, "rooms": rooms, "signal": int(number), "linger_s": linger_s}
            _, n_lines = kills.undisturbed(stage, victims, **order)
            return lambda: Blow(order={**order, "at_line": random.randint(1, n_lines)})

        def ends(then: str) -> Callable[[], Blow]:
            return lambda: Blow(order={"then": then, "batches": random.randrange(stage.plan.n_requests)})

        yield AT_ANY_INSTANT, inside(size.kills, at(signal.SIGKILL), stage, victims)
        yield "kill -9, and the resuming process too", blows(size.some, at(signal.SIGKILL), 2)
        yield (
            "kill -9 between two lines of the journal",
            blows(3 * size.some, within(signal.SIGKILL, kills.JOURNAL_ROOMS)),
        )
        yield "SIGTERM", blows(size.few, at(signal.SIGTERM))
        yield "Ctrl-C at any instant", blows(size.few, at(signal.SIGINT))
        yield (
            "Ctrl-C between two lines of push",
            blows(size.some, within(signal.SIGINT, ("push", "runs"), linger_s=0.4)),
        )
        yield "stdin closed, as a kernel ends", blows(size.few, ends("stdin"))
        yield "the script ends", blows(size.few, ends("fall_off"))
        yield "an error elsewhere in the script", blows(size.few, ends("raise"))
        yield "os._exit", blows(size.few, ends("exit_hard"))


def inside(n: int, make: Callable[[], Blow], stage: Stage, victims: Victims) -> Iterator[Trial]:
    """Yield trials until *n* kills fell inside the push; one in ten may come too late."""
    fell: Counter[str] = Counter()

    def one() -> Judge:
        judge = kills.trial(stage, victims, make())
        fell.update(judge.victims)
        return judge

    while fell["beginning"] + fell["under way"] < n and fell["over"] <= n // 10 + 2:
        yield one
    print(f"  kills fell: {', '.join(f'{fell[name]} {name}' for name in ('beginning', 'under way', 'over'))}")


def misbehaving_pendo(size: Size, random: Random) -> Section:
    """Yield the trials in which Pendo, or the way to it, misbehaves."""
    n_rows = size.rows // 5
    with open_stage(rows=n_rows, batch_size=max(1, n_rows // 40)) as stage:
        quick = replace(stage, plan=stage.plan.lift(recheck=20))
        for fault, faults in wires.FAULTS.items():
            seeds = [random.randrange(1_000_000) for _ in range(max(1, size.few // 3))]
            yield fault, [lambda f=faults, s=seed: wires.trial(quick, f, seed=s) for seed in seeds]


def outages(size: Size, random: Random) -> Section:
    """Yield the trials in which Pendo is away for a while."""
    n_rows = size.rows // 5
    shape = {"rows": n_rows, "batch_size": max(1, n_rows // 40), "latency_s": 0.02}
    with open_stage(**shape, state=True) as stage:
        plugged = [stage]

        def pull() -> Judge:
            judge, plugged[0] = wires.outage(plugged[0], random)
            return judge

        with contextlib.ExitStack() as at_end:
            at_end.callback(lambda: plugged[0].sandbox.close())
            yield "network pulled, Pendo away for a while", [pull] * size.few


def failing_disks(size: Size, random: Random) -> Section:
    """Yield the trials in which the journal can't be written, or is no longer what it was."""
    n_rows, n = size.rows // 5, size.few
    shape = {"rows": n_rows, "batch_size": max(1, n_rows // 40), "latency_s": 0.02}
    with open_stage(**shape) as stage, Victims(stage) as victims:
        yield "disk full", [lambda: disks.full_disk(stage, random)] * size.some
        yield "disk read-only", [lambda: disks.read_only_disk(stage, victims, random)] * n
        for hold_s in (1.0, 4.0):
            one = lambda hold_s=hold_s: disks.locked_file(stage, random, hold_s=hold_s)  # noqa: E731
            yield f"journal locked for {hold_s:g} s by another process", [one] * max(1, n // 3)
        for name, damage in disks.DAMAGES.items():
            yield (
                f"damaged: {name}",
                [lambda d=damage: disks.damaged(stage, victims, d, random)] * max(1, n // 2),
            )


def long_run(size: Size, random: Random) -> Section:
    """Yield the long run, in which one write in twenty is befallen."""
    with open_stage(rows=size.many, batch_size=max(1, size.many // 1_000), in_flight=8) as stage:
        seed = random.randrange(1_000_000)

        def one() -> Judge:
            judge = wires.trial(stage, wires.FIVE_PERCENT, seed=seed, share=0.05, timeout_s=30)
            assert judge.ledger is not None
            print(f"  the long run took {judge.ledger.requests:,} requests and {judge.interruptions} resumes")
            return judge

        yield f"5 % of all writes fail, {size.many:,} rows", [one]


def tell(rows: list[Row], size: Size) -> bool:
    """Write build/bench/faults.json, and return whether all holds."""
    lines = [line for row in rows for line in lines_of(row, size)]
    save("faults", lines)
    return all(line["holds"] for line in lines)


def lines_of(row: Row, size: Size) -> Iterator[Line]:
    """Yield the lines of one fault."""
    if row.skipped:
        yield told(f"{row.fault}: trials; skipped, {row.skipped}", 0)
        return
    n_trials, least = len(row.judges), 1
    if row.fault == AT_ANY_INSTANT:
        n_trials, least = sum(judge.victims != ["over"] for judge in row.judges), size.kills
    trials = at_least(f"{row.fault}: trials", n_trials, least)
    yield trials if not row.broken else Line(**{**trials, "holds": False})
    for name, words in (("lost", "ids lost"), ("twice", "ids sent twice"), ("wrong", "wrong outcomes")):
        yield at_most(f"{row.fault}: {words}", row.total(name), 0)
    yield told(f"{row.fault}: ids sent again, as in doubt", row.total("again"))
    yield told(f"{row.fault}: seconds", row.seconds, "s")


if __name__ == "__main__":
    sys.exit(main())
