"""Faults in any combination, by lot: the same four laws, whatever the batches, canaries and requests in flight.

`FAULT_EXAMPLES=1000 python -m pytest tests/faults/test_combinations.py` tries more of them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

import pendosync as ps
from pendosync.regions import Pace
from pendosync.sandbox import Sandbox
from pendosync.throttle import FakeClock
from tests.faults.laws import Stage, begin, ensure_finished, ensure_lawful, go_on, set_stage

EXAMPLES = int(os.environ.get("FAULT_EXAMPLES", "25"))
IMPATIENT_S = 0.2
RESUMES = 4
"""A canary of two steps stops a run twice where nothing of either can be written."""

WAITS = st.sampled_from([None, 0, 1, 2.5, -5, 1e12, "never", "Thu, 01 Jan 1970 00:00:00 GMT"])
TEXTS = st.sampled_from(
    ["", "}{", "<html>", "\udcff", "[]", "{}", "null", '{"total":true,"updated":true,"failed":false}']
)
HALTS = st.sampled_from(["before", "after", "mid_body"])
TOTALS = st.integers(-60, 60)


def named(name: str, **options: st.SearchStrategy[Any] | Any) -> st.SearchStrategy[dict[str, Any]]:
    drawn = {key: one if isinstance(one, st.SearchStrategy) else st.just(one) for key, one in options.items()}
    return st.fixed_dictionaries({"fault": st.just(name), **drawn})


FAULTS = st.one_of(
    named(
        "status",
        status=st.sampled_from([500, 502, 503, 504, 408]),
        carry_out=st.booleans(),
        retry_after=WAITS,
    ),
    named("status", status=st.sampled_from([409, 425, 429]), retry_after=WAITS),
    named("status", status=st.sampled_from([400, 401, 403, 404, 405, 413, 422])),
    named(
        "status",
        status=st.sampled_from([301, 302, 307, 308]),
        location=st.sampled_from([None, "/x", "http://[bad"]),
    ),
    named("cut", when=HALTS, reset=st.booleans()),
    named("stall", when=st.one_of(HALTS, st.just("headers")), seconds=2 * IMPATIENT_S, times=2),
    named("latency", when=st.sampled_from(["before", "after"]), seconds=0.02),
    named("body", text=TEXTS),
    named("wrap", encoding=st.sampled_from([None, "gzip", "deflate", "chunked"]), broken=st.booleans()),
    named("wrap", interim=st.sampled_from([100, 103])),
    # counts and names that contradict the rest of the answer; a lie that does not is believed
    named("counts", total=TOTALS.filter(bool), updated=TOTALS),
    named("counts", updated=TOTALS.filter(lambda more: more > 0), failed=TOTALS),
    named(
        "names",
        missing=st.sampled_from([["never-sent"], ["u-0001", "u-0001"], ["u-0002"]]),
        errors=st.just(["oh"]),
    ),
    named("lag", seconds=st.sampled_from([0.05, 5.0])),
    named("rate_limit", max_per_second=30, retry_after=WAITS, times=20),
)
WHEN = st.fixed_dictionaries(
    {
        "times": st.sampled_from([1, 2, 5, None]),
        "after": st.integers(0, 4),
        "share": st.sampled_from([1.0, 0.5, 0.2]),
        "seed": st.integers(0, 9),
        "is_writes_only": st.booleans(),
    }
)
BAD_RECORDS = st.none() | st.lists(
    st.sampled_from([f"u-{n:04}" for n in range(1, 61)]), min_size=1, max_size=3, unique=True
)
CANARIES = st.none() | st.builds(
    ps.Canary,
    steps=st.sampled_from([(1,), (2, 0.2), (1, 0.1)]),
    settle_s=st.sampled_from([0.0, 0.05]),
    unseen=st.sampled_from(["stop", "go_on"]),
)


@pytest.fixture(scope="module")
def crowd() -> Iterator[Sandbox]:
    with ps.open_sandbox() as opened:
        yield opened


@pytest.fixture(scope="module")
def calm(crowd: Sandbox) -> Iterator[ps.Client]:
    with ps.open_client(crowd.settings, clock=FakeClock(), timeout_s=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def stages(crowd: Sandbox, calm: ps.Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    journal = ps.open_journal(tmp_path_factory.mktemp("undisturbed"))
    new = ("new-1", "new-2", "new-3")
    return {
        "metadata": set_stage(crowd, calm, journal, n_ids=57),
        "creating": set_stage(crowd, calm, journal, n_ids=57, gone=(), new=new, create="unknown_ids"),
        "webhook": set_stage(crowd, calm, journal, n_ids=20, gone=(), route="webhook"),
    }


@settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    route=st.sampled_from(["metadata", "metadata", "creating", "webhook"]),
    batch_size=st.integers(1, 50),
    canary=CANARIES,
    at_once=st.integers(1, 8),
    bad=BAD_RECORDS,
    phases=st.lists(st.lists(st.tuples(FAULTS, WHEN), min_size=1, max_size=4), min_size=1, max_size=3),
)
def test_any_faults_keep_the_laws(
    stages: dict[str, Stage],
    calm: ps.Client,
    route: str,
    batch_size: int,
    canary: ps.Canary | None,
    at_once: int,
    bad: list[str] | None,
    phases: list[list[tuple[dict[str, Any], dict[str, Any]]]],
) -> None:
    stage = shaped(stages[route], batch_size, canary, at_once)
    pace = Pace(None, at_once)
    paced = replace(stage.sandbox.settings, api_pace=pace, data_pace=pace)
    stage.sandbox.reset()
    with (
        tempfile.TemporaryDirectory() as folder,
        ps.open_client(
            paced, clock=FakeClock(), timeout_s=IMPATIENT_S, retry=ps.Retry(attempts=2, total_s=60)
        ) as hasty,
    ):
        journal = ps.open_journal(folder)
        befall(stage, phases[0], bad)
        run_id, outcomes = begin(stage, hasty, journal)
        ensure_lawful(stage, outcomes)
        for faults in phases[1:]:
            befall(stage, faults, bad)
            outcomes = go_on(stage, outcomes, run_id, hasty, journal)
        event(f"statuses before the end: {', '.join(sorted(set(outcomes['status'])))}")
        ensure_finished(stage, outcomes, run_id, calm, journal, resumes=RESUMES)


def shaped(stage: Stage, batch_size: int, canary: ps.Canary | None, at_once: int) -> Stage:
    shape = replace(stage.plan.shape, batch_size=batch_size, canary=canary)
    pace = Pace(None, at_once)
    target = replace(stage.plan.target, api_pace=pace, data_pace=pace)
    return replace(stage, plan=replace(stage.plan, shape=shape, target=target))


def befall(stage: Stage, faults: list[tuple[dict[str, Any], dict[str, Any]]], bad: list[str] | None) -> None:
    """Let these faults begin, and end those before; a bad record stays bad."""
    stage.sandbox.behave()
    if bad and stage.plan.shape.route == "metadata":
        stage.sandbox.misbehave("fail_records", ids=bad, times=None)
    for fault, when in faults:
        frame = dict(when)
        path = stage.path if frame.pop("is_writes_only") else None
        stage.sandbox.misbehave(path=path, **{**frame, **fault})
