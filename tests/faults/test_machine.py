"""Plans, pushes, kills, resumed runs, undo, verify, drift, in any order: against a model in plain Python.

A kill is a real one: a process of its own pushes, and is killed while it does. `FAULT_EXAMPLES=100 python -m pytest
tests/faults/test_machine.py` tries more of it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

import pendosync as ps
from pendosync.frames import raw_cell
from pendosync.sandbox import Sandbox
from tests.faults.laws import OPEN
from tests.faults.workers import Workers

T = TypeVar("T")

EXAMPLES = int(os.environ.get("FAULT_EXAMPLES", "10"))
STEPS = 14

FIELDS = ("plan", "seats")
IDS = [*(f"u-{n:04}" for n in range(1, 12)), "u-0020"]
"""Two of them hold a value of another type than its field's, and the last one holds none."""

MAPPING = ps.Mapping("visitor", "user_id", [ps.Trait("plan", type="text"), ps.Trait("seats", type="integer")])
BATCH = 1
LATENCY_S = 0.04
"""Of each write, of which two are in flight: so that a kill falls between them."""

Cells = dict[str, Any]
"""Field → what is held, or wanted."""

CELLS = {"plan": st.sampled_from(["p0", "p1", "p2"]), "seats": st.integers(100, 102)}
"""Few values, so that they come back."""

TABLES = st.dictionaries(st.sampled_from(IDS), st.fixed_dictionaries(CELLS), min_size=4)
WHICH = st.integers(0, 99)
Kill = tuple[bool, float]
"""Whether a kill waits for the first write, and how long it waits then."""

KILLS = st.none() | st.tuples(st.booleans(), st.floats(0, 1))


@dataclass
class Planned:
    """A plan, and what it should be: what changes, from what to what."""

    plan: ps.Plan
    before: dict[str, Cells]
    after: dict[str, Cells]

    def moved(self, id_: str, held: Cells) -> bool:
        """Whether somebody changed what this plan was made on."""
        return any(
            held[name] not in (self.before[id_][name], value) for name, value in self.after[id_].items()
        )


@dataclass
class Pushed:
    """A run, and what its outcomes should be."""

    id: str
    planned: Planned
    statuses: dict[str, str] = field(default_factory=dict)

    @property
    def touched(self) -> list[str]:
        """The ids that it wrote, or may have written."""
        return [id_ for id_, status in self.statuses.items() if status in ("updated", "unknown")]

    def open(self, *statuses: str) -> list[str]:
        return [id_ for id_, status in self.statuses.items() if status in (statuses or OPEN)]


class Machine(RuleBasedStateMachine):
    """What Pendo holds and what each run's outcomes are, in a model and in the sandbox.

    No rule has a condition, as a real kill falls as it falls: a rule that has nothing to work on does nothing.
    """

    sandbox: Sandbox
    client: ps.Client
    workers: Workers

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.journal = ps.open_journal(self.folder / "journal")
        self.plans: list[Planned] = []
        self.runs: list[Pushed] = []
        self.sandbox.reset()
        self.sandbox.switch(wrong_types="kept")
        self.sandbox.misbehave("latency", method="POST", seconds=LATENCY_S, when="after", times=None)
        self.held = self.holdings()

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    # --- what happens ------------------------------------------------------------------------------------------

    @initialize(table=TABLES)
    def begin(self, table: dict[str, Cells]) -> None:
        self.plan(table)

    @rule(table=TABLES)
    def plan(self, table: dict[str, Cells]) -> None:
        frame = pl.DataFrame([{"user_id": id_, **cells} for id_, cells in table.items()])
        plan = ps.plan_table(frame, MAPPING, client=self.client, batch_size=BATCH)
        self.keep(plan, table)

    @rule(which=WHICH)
    def refresh(self, which: int) -> None:
        for planned in chosen(self.plans, which):
            self.keep(ps.refresh_plan(planned.plan, client=self.client), planned.after)

    @rule(which=WHICH, kill=KILLS)
    def push(self, which: int, kill: Kill | None) -> None:
        """The latest plan, or one that may be stale by now."""
        for planned in chosen(self.plans[::-1], which):
            self.push_plan(planned, kill)

    @rule(which=WHICH, kill=KILLS)
    def resume(self, which: int, kill: Kill | None) -> None:
        """A run that has something left; where there is none, one is begun and killed."""
        if not any(pushed.open() for pushed in self.runs):
            self.push(which, kill or (True, 0.5))
        for pushed in chosen([one for one in self.runs if one.open()], which):
            if kill is None:
                run = ps.resume_push(self.journal, pushed.id, client=self.client, show=False)
                self.finish(run, pushed)
            else:
                self.kill_while("resume", kill, run_id=pushed.id)
                self.learn(pushed)

    def push_plan(self, planned: Planned, kill: Kill | None) -> None:
        if kill is None:
            run = ps.push(planned.plan, client=self.client, journal=self.journal, show=False)
            self.finish(run, self.born(run.id, planned))
            return
        folder = self.folder / f"plan-{time.monotonic_ns()}"
        self.kill_while("push", kill, plan=str(planned.plan.save(folder)))
        known = {pushed.id for pushed in self.runs}
        for run_id in set(ps.read_runs(self.journal)["run_id"]) - known:
            self.learn(self.born(run_id, planned))
        # where the run was not begun yet, nothing was sent: the invariant says so

    def born(self, run_id: str, planned: Planned) -> Pushed:
        self.runs.append(Pushed(run_id, planned, dict.fromkeys(planned.after, "pending")))
        return self.runs[-1]

    @rule(which=WHICH, kill=KILLS)
    def undo(self, which: int, kill: Kill | None) -> None:
        for pushed in chosen([one for one in self.runs if one.touched], which):
            self.take_back(pushed, kill)

    def take_back(self, pushed: Pushed, kill: Kill | None) -> None:
        planned = pushed.planned
        back = {}
        for id_ in pushed.touched:
            ours = [name for name, value in planned.after[id_].items() if self.held[id_][name] == value]
            cells = {
                name: planned.before[id_][name] for name in ours if planned.before[id_][name] is not None
            }
            back |= {id_: cells} if cells else {}
        undo = ps.plan_undo(self.journal, pushed.id, client=self.client)
        assert cells_of(undo) == back
        if back:
            self.plans.append(Planned(undo, {id_: dict(self.held[id_]) for id_ in back}, back))
            self.push_plan(self.plans[-1], kill)
            is_back = {
                id_: {name: self.held[id_][name] for name in cells} for id_, cells in back.items()
            } == back
            assert is_back or kill

    @rule(which=WHICH)
    def verify(self, which: int) -> None:
        for pushed in chosen(self.runs, which):
            self.read_back(pushed)

    def read_back(self, pushed: Pushed) -> None:
        told = ps.verify_run(self.journal, pushed.id, client=self.client)
        seen = {id_: self.sees(pushed, id_) for id_ in pushed.statuses}
        assert dict(told.select("id", "seen").iter_rows()) == seen
        for id_ in pushed.open("unknown"):
            if seen[id_] == "as_pushed":
                pushed.statuses[id_] = "updated"

    @rule(id_=st.sampled_from(IDS), name=st.sampled_from(FIELDS), data=st.data())
    def change_by_others(self, id_: str, name: str, data: st.DataObject) -> None:
        value = data.draw(CELLS[name])
        path = f"/api/v1/metadata/visitor/custom/value/{id_}/{name}"
        body = f'"{value}"' if isinstance(value, str) else str(value)
        self.client.call(self.client.request, "PUT", path, body=body.encode())
        self.held[id_][name] = value

    @rule()
    def drift(self) -> None:
        latest = {}
        for pushed in self.runs:
            for id_ in pushed.touched:
                for name, value in pushed.planned.after[id_].items():
                    latest[id_, name] = (pushed.statuses[id_] == "updated", value)
        expected = {
            (id_, name)
            for (id_, name), (is_sure, value) in latest.items()
            if is_sure and self.held[id_][name] != value
        }
        told = ps.check_drift(self.journal, MAPPING, client=self.client)
        assert set(told.select("id", "field").iter_rows()) == expected

    # --- what must hold after each step ------------------------------------------------------------------------

    @invariant()
    def pendo_holds_what_the_model_says(self) -> None:
        assert self.holdings() == self.held

    @invariant()
    def each_id_has_the_one_outcome_that_the_model_says(self) -> None:
        for pushed in self.runs:
            told = ps.read_outcomes(self.journal, pushed.id)
            assert told["id"].to_list() == pushed.planned.plan.changes["id"].to_list()
            assert dict(told.select("id", "status").iter_rows()) == pushed.statuses

    # --- the model ---------------------------------------------------------------------------------------------

    def holdings(self) -> dict[str, Cells]:
        held = self.sandbox.values("visitor", "custom")
        return {id_: {name: held[id_].get(name) for name in FIELDS} for id_ in IDS}

    def keep(self, plan: ps.Plan, wanted: Mapping[str, Cells]) -> None:
        """Keep a plan that was just made, and hold it to what is held."""
        after = {}
        for id_, cells in wanted.items():
            changes = {name: value for name, value in cells.items() if self.held[id_][name] != value}
            after |= {id_: changes} if changes else {}
        assert cells_of(plan) == after
        if after:
            self.plans.append(Planned(plan, {id_: dict(self.held[id_]) for id_ in after}, after))

    def finish(self, run: ps.Run, pushed: Pushed) -> None:
        """Wait for a run that nobody kills: all that was open is written, unless some of it has moved."""
        planned = pushed.planned
        moved = [id_ for id_ in pushed.open("pending") if planned.moved(id_, self.held[id_])]
        if moved:
            with pytest.raises(ps.StalePlanError) as caught:
                run.wait(timeout_s=60)
            assert set(caught.value.moved["id"]) == set(moved)
            pushed.statuses |= dict.fromkeys(moved, "refused")
            return
        run.wait(timeout_s=60)
        for id_ in pushed.open():
            self.held[id_] |= planned.after[id_]
            pushed.statuses[id_] = "updated"

    def kill_while(self, do: str, kill: Kill, **command: str) -> None:
        """Let another process do it, and kill it meanwhile."""
        (waits, share), worker = kill, self.workers.take()
        worker.tell(self.journal, do, **command)
        end_s = time.monotonic() + 0.5  # a stale plan is never sent
        while waits and not self.is_writing() and time.monotonic() < end_s:
            time.sleep(0.002)
        time.sleep(share * LATENCY_S * 4)
        worker.kill()
        self.settle()

    def is_writing(self) -> bool:
        return any("/value" in request["path"] for request in self.sandbox.requests())

    def settle(self) -> None:
        """Wait until what was in flight has arrived or not."""
        time.sleep(0.02)
        while any(request["status"] is None for request in self.sandbox.requests()):
            time.sleep(0.005)
        self.sandbox.forget_requests()

    def learn(self, pushed: Pushed) -> None:
        """Take from the journal and the sandbox what a killed process came to, where the model allows it."""
        told = dict(ps.read_outcomes(self.journal, pushed.id).select("id", "status").iter_rows())
        now, planned = self.holdings(), pushed.planned
        note(f"killed: {told}")
        moved = {id_ for id_ in pushed.open("pending") if planned.moved(id_, self.held[id_])}
        for id_, was in pushed.statuses.items():
            written = self.held[id_] | planned.after[id_]
            allowed: dict[str, list[Cells]] = {was: [self.held[id_]]}
            if was in OPEN:
                allowed = {
                    "unknown": [self.held[id_], written],
                    "updated": [written],
                    **({} if was == "unknown" else allowed),
                }
            if moved:
                allowed = {was: [self.held[id_]], **({"refused": [self.held[id_]]} if id_ in moved else {})}
            assert told[id_] in allowed
            assert now[id_] in allowed[told[id_]], (id_, was, told[id_])
        assert set(told) == set(pushed.statuses)
        pushed.statuses = {id_: told[id_] for id_ in pushed.statuses}
        self.held = {**self.held, **{id_: now[id_] for id_ in told}}

    def sees(self, pushed: Pushed, id_: str) -> str | None:
        if pushed.statuses[id_] in ("pending", "refused"):
            return None
        before, after = pushed.planned.before[id_], pushed.planned.after[id_]
        cells = {
            "as"
            if self.held[id_][name] == value
            else "not"
            if self.held[id_][name] == before[name]
            else "other"
            for name, value in after.items()
        }
        return "other" if "other" in cells else "not_yet" if "not" in cells else "as_pushed"


def chosen(some: list[T], which: int) -> list[T]:
    """Return one of *some*, or none of none."""
    return [some[which % len(some)]] if some else []


def cells_of(plan: ps.Plan) -> dict[str, Cells]:
    """Return what a plan changes: id → field → value as Pendo will hold it."""
    found: dict[str, Cells] = {}
    for name in plan.fields:
        cells = plan.changes.filter(ps.changed(name)).select(
            "id", raw=raw_cell(name, "after_raw"), value=ps.after(name)
        )
        for id_, text, value in cells.iter_rows():
            found.setdefault(id_, {})[name] = value if text is None else json.loads(text)
    return {
        id_: {name: found[id_][name] for name in FIELDS if name in found[id_]} for id_ in plan.changes["id"]
    }


@pytest.fixture(scope="module")
def world() -> Iterator[type[Machine]]:
    pace = ps.Pace(None, 2)
    with (
        ps.open_sandbox(api_pace=pace) as sandbox,
        ps.open_client(sandbox.settings) as client,
        Workers(sandbox) as workers,
    ):

        class Here(Machine):
            pass

        Here.sandbox, Here.client, Here.workers = sandbox, client, workers
        yield Here


def test_no_order_of_events_breaks_the_model(world: type[Machine]) -> None:
    run_state_machine_as_test(
        world,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )
