"""How much memory does it take from Parquet to the push, how does the time grow with the rows, what costs the journal?

    python -m benchmarks.memory [--rows 10000 100000 …] [--rounds 3] [--quick]

Each size is planned (load, map, check, drop, diff against held values in Parquet, plan), dry-run to a folder and pushed
to a sink, in a process of its own. All rows change. The peak is the most that process held in memory (VmHWM of
/proc/self/status; `ru_maxrss` where there is none, which on Linux also knows the peak of who started it). The exponent
is the slope of a least-squares line through the logarithms of rows and seconds: 1 is linear.

The journal's cost: a push with it, in turn with one whose journal writes nothing, neither plan nor batches.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import polars as pl

import pendosync as ps
from benchmarks.lines import Line, at_most, interleave, ratio, report, told
from benchmarks.sink import Sink, open_sink
from benchmarks.tables import FIELDS, change_some, make_users

SIZES: Final = (10_000, 100_000, 300_000, 1_000_000, 3_000_000)
QUICK: Final = SIZES[:3]
MAPPING: Final = ps.Mapping("visitor", id="user_id", traits=FIELDS)
GATES: Final = ps.Gates(max_ids=None, max_changed_share=None, max_cleared=None, recheck=None)
STAGES: Final = ("read held", "map", "check", "diff", "plan", "dry run", "push", "outcomes")
ROOT: Final = Path(__file__).parent.parent
MILLION: Final = 1_000_000

Stage = Callable[[str], AbstractContextManager[None]]


def main() -> None:
    """Run each size and print the table; or, started by itself, run one size and print what it took."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--rows", type=int, nargs="+", default=SIZES)
    ask.add_argument("--rounds", type=int, default=3, help="pushes with the journal and without")
    ask.add_argument("--quick", action="store_true", help="up to 300,000 rows")
    ask.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    args = ask.parse_args()
    if args.one:
        print(json.dumps(run_size(args.one, rounds=args.rounds)))
        return
    lines = measure(QUICK if args.quick else args.rows, rounds=args.rounds)
    report(
        "memory",
        lines,
        head=f"Parquet → plan → dry run → push, {len(FIELDS)} traits, polars {pl.__version__}",
    )


def measure(sizes: Sequence[int], *, rounds: int) -> list[Line]:
    """Return the lines of all sizes; prints each size as it is known."""
    with_journal = max((rows for rows in sizes if rows <= MILLION), default=min(sizes))
    print(f"{'rows':>9} {'peak MB':>8} {'seconds':>8}   " + " ".join(f"{stage:>9}" for stage in STAGES))
    runs = []
    for rows in sizes:
        run = in_process(rows, rounds=rounds if rows == with_journal else 0)
        runs.append(run)
        parts = " ".join(f"{run['seconds'][stage]:>9.2f}" for stage in STAGES)
        print(f"{rows:>9,} {run['peak_mb']:>8,.0f} {_whole(run):>8.2f}   {parts}", flush=True)
        print(
            f"{'peak MB':>27}   " + " ".join(f"{run['peaks'][stage]:>9,.0f}" for stage in STAGES), flush=True
        )
    return [*_of_sizes(runs), *_of_journal(next(run for run in runs if run["rows"] == with_journal))]


def in_process(rows: int, *, rounds: int) -> dict[str, Any]:
    """Return what one size took, in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        users = make_users(rows)
        users.write_parquet(f"{folder}/users.parquet")
        held = ps.map_traits(change_some(users).sample(fraction=1, shuffle=True, seed=1), MAPPING)
        held.write_parquet(f"{folder}/held.parquet")
        del users, held
        command = [sys.executable, "-m", "benchmarks.memory", "--one", folder, "--rounds", str(rounds)]
        done = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return {"rows": rows, **json.loads(done.stdout.splitlines()[-1])}


def run_size(folder: Path, *, rounds: int) -> dict[str, Any]:
    """Return seconds and peak of each stage of the tables in *folder*; with *rounds*, what the journal costs."""
    seconds: dict[str, float] = {}
    peaks: dict[str, float] = {}

    @contextmanager
    def stage(name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[name], peaks[name] = time.perf_counter() - began, peak_mb()

    with open_sink() as sink, ps.open_client(_settings(sink)) as client:
        plan = plan_files(folder, client.target, stage)
        with stage("dry run"):
            requests = ps.dry_run(plan, folder=folder / "requests")
        n_requests = requests.select(pl.len()).collect().item()
        sink.counts()
        with stage("push"):
            run = _push(plan, client, ps.open_journal(folder / "journal"))
        with stage("outcomes"):
            outcomes = run.wait()
        counts, peak = sink.counts(), peak_mb()
        assert outcomes["status"].eq("updated").all()
        assert counts.records == outcomes.height == len(plan)
        assert counts.requests == n_requests + 1  # the first asks whether the key may write
        del outcomes
        costs = _journal_costs(plan, client, folder, rounds=rounds) if rounds else {}
    return {"seconds": seconds, "peaks": peaks, "peak_mb": peak, "journal": costs}


def plan_files(folder: Path, target: ps.Target, stage: Stage) -> ps.Plan:
    """Return the plan of the tables in *folder*; what no later step needs is let go, as in a chain of verbs."""
    with stage("read held"):
        before = pl.read_parquet(folder / "held.parquet")
    with stage("map"):
        values = ps.map_traits(ps.load_table(folder / "users.parquet"), MAPPING)
    with stage("check"):
        problems = ps.check_values(values, mapping=MAPPING)
        values = ps.drop_blocked(values, problems)
    with stage("diff"):
        changes = ps.diff_values(values, before=before, mapping=MAPPING)
        del values, before
    with stage("plan"):
        return ps.plan_changes(changes, mapping=MAPPING, target=target, problems=problems, gates=GATES)


class _Blank:
    """A record that writes nothing down."""

    run_id = "not-written"
    n_left = 0
    has_left = False
    at_beat: Final[list[Any]] = []
    at_close: Final[list[Any]] = []

    def write_left(self, upto: int) -> Callable[[], None]:
        return lambda: None

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *_, **__: ""


class _Idle(ps.Journal):
    """A journal that keeps neither plans nor batches."""

    def record_run(self, plan: ps.Plan, /) -> Any:
        return _Blank()

    def folder_of(self, run_id: str) -> Path:
        return self.path


class _Clocked(ps.Journal):
    """A journal that tells how long it took to write plans down."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.seconds: list[float] = []

    def record_run(self, plan: ps.Plan, /) -> Any:
        began = time.perf_counter()
        record = super().record_run(plan)
        self.seconds.append(time.perf_counter() - began)
        return record


def _journal_costs(plan: ps.Plan, client: ps.Client, folder: Path, *, rounds: int) -> dict[str, float]:
    """Return what share of a push the journal takes, and what share it is to write the plan down."""
    clocked = _Clocked(folder / "clocked")
    seconds = interleave(
        {
            "with": lambda: _push(plan, client, clocked),
            "without": lambda: _push(plan, client, _Idle(folder / "idle")),
        },
        rounds=rounds,
    )
    kept = zip(clocked.seconds[-rounds:], seconds["with"], strict=True)
    return {
        "share": 1 - ratio(seconds, "without", "with"),
        "of_plan": statistics.median(part / whole for part, whole in kept),
        "without_s": statistics.median(seconds["without"]),
    }


def _push(plan: ps.Plan, client: ps.Client, journal: ps.Journal) -> ps.Run:
    """Push *plan* and return the run when it is over; its outcomes are not read."""
    fresh = replace(plan)  # whose digest is not known yet
    run = ps.push(fresh, client=client, journal=journal, show=False)
    while not run.progress.is_over:
        time.sleep(0.002)
    assert run.progress.state == "done", run.progress
    return run


def _settings(sink: Sink) -> ps.Settings:
    return ps.Settings(integration_key="k", api_url=sink.url, api_pace=ps.Pace(None, 8), access="write")


def peak_mb() -> float:
    """Return the most memory that this process held so far."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) / 1000
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


def _of_sizes(runs: Sequence[dict[str, Any]]) -> Iterator[Line]:
    for run in runs:
        question = f"peak memory, {run['rows']:,} rows"
        if run["rows"] == MILLION:
            yield at_most(question, run["peak_mb"], 1_200, "MB")
        else:
            yield told(question, run["peak_mb"], "MB")
        yield told(f"from Parquet to outcomes, {run['rows']:,} rows", _whole(run), "s")
    if len(runs) > 1:
        yield at_most("exponent of the time's growth with the rows", exponent(runs), 1.1)
    many = [run for run in runs if run["rows"] >= 100_000]
    if len(many) > 1:
        yield at_most("the same, from 100,000 rows on", exponent(many), 1.1)


def _of_journal(run: dict[str, Any]) -> Iterator[Line]:
    costs, rows = run["journal"], f"{run['rows']:,} rows"
    if costs:
        yield told(f"a push with nothing written down, {rows}", costs["without_s"], "s")
        yield at_most(
            f"the journal's share of a push, {rows} (with it v. writing nothing)", costs["share"], 0.1
        )
        yield told("of that, writing the plan down", costs["of_plan"])


def exponent(runs: Sequence[dict[str, Any]]) -> float:
    """Return the slope of the least-squares line through the logarithms of rows and seconds."""
    return statistics.linear_regression(
        [math.log(run["rows"]) for run in runs], [math.log(_whole(run)) for run in runs]
    ).slope


def _whole(run: dict[str, Any]) -> float:
    return float(sum(run["seconds"].values()))


if __name__ == "__main__":
    main()
