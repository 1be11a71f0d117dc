"""Whatever a server answers, or leaves out, a push keeps the four laws: against a real server, one fault at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

import pendosync as ps
from pendosync.sandbox import Sandbox
from pendosync.throttle import FakeClock
from tests.faults.laws import (
    Stage,
    begin,
    ensure_finished,
    ensure_lawful,
    go_on,
    ids_of,
    set_stage,
)

N_IDS, BATCH = 240, 40
N_MESSAGES = 10
IMPATIENT_S = 0.25
RETRY = ps.Retry(attempts=3, base_s=0.5, cap_s=2.0, total_s=120.0)
"""Waited for by a fake clock: it takes no time."""

Fault = dict[str, Any]


def fault(name: str, **options: Any) -> Fault:
    return {"fault": name, **options}


def statuses(*numbers: int, **options: Any) -> dict[str, Fault]:
    told = "".join(f" {name}={value}" for name, value in options.items())
    return {f"{number}{told}": fault("status", status=number, **options) for number in numbers}


NO_ANSWER = {
    "slow before": fault("latency", seconds=0.03),
    "slow after": fault("latency", seconds=0.03, when="after"),
    **{
        f"stall {when}": fault("stall", when=when, seconds=2 * IMPATIENT_S)
        for when in ("before", "after", "headers", "mid_body")
    },
    **{
        f"{'reset' if reset else 'cut'} {when}": fault("cut", when=when, reset=reset)
        for when in ("before", "after", "mid_body")
        for reset in (False, True)
    },
}
GARBAGE = {
    "garbage": "}{ no",
    "html": "<html><body>Welcome</body></html>",
    "empty": "",
    "no utf-8": "\udcff\udcfe",
    "null": "null",
    "list": "[]",
    "object": "{}",
    "half": '{"total":40,"updated":2',
    "nan": '{"total":NaN,"updated":40,"failed":0}',
    "deep": "[" * 20_000,
    "counts as texts": '{"total":"40","updated":"40","failed":"0"}',
    "counts as booleans": '{"total":true,"updated":true,"failed":false}',
    "counts as floats": '{"total":40.0,"updated":40.0,"failed":0.0}',
    "counts as null": '{"total":null,"updated":null,"failed":null}',
    "missing is a text": '{"total":40,"updated":39,"failed":1,"missing":"u-0001"}',
    "missing holds numbers": '{"total":40,"updated":39,"failed":1,"missing":[1]}',
}
BODIES = {
    **{name: fault("body", text=text) for name, text in GARBAGE.items()},
    **{
        f"{name}, nothing done": fault("body", text=text, carry_out=False)
        for name, text in GARBAGE.items()
        if name in ("garbage", "html", "empty")
    },
    "204": fault("body", text="", status=204),
    "html as 503": fault("body", text="<html>busy</html>", status=503),
}
COUNTS = {
    "total + 1": fault("counts", total=1),
    "total - 1": fault("counts", total=-1),
    "updated + 1": fault("counts", updated=1),
    "updated - 1": fault("counts", updated=-1),
    "failed + 1": fault("counts", failed=1),
    "too large": fault("counts", total=10**9, updated=10**9),
    "huge": fault("counts", total=10**30, updated=10**30),
    "negative failed": fault("counts", updated=5, failed=-5),
    "negative updated": fault("counts", updated=-50, failed=50),
    "negative total": fault("counts", total=-100, updated=-100),
    "missing never sent": fault("names", missing=["never-sent"]),
    "missing never sent, counted": fault("names", missing=["never-sent"], counted=True),
    "missing twice": fault("names", missing=["u-0001", "u-0001"]),
    "missing twice, counted": fault("names", missing=["u-0030", "u-0030"], counted=True),
    "errors not counted": fault("names", errors=["something is wrong"]),
}
WRAPPED = {
    **{f"interim {status}": fault("wrap", interim=status) for status in (100, 103)},
    **{name: fault("wrap", encoding=name) for name in ("chunked", "gzip", "deflate")},
    **{
        f"broken {name}": fault("wrap", encoding=name, broken=True) for name in ("chunked", "gzip", "deflate")
    },
    "broken length": fault("wrap", broken=True),
}
ELSEWHERE = "http://127.0.0.1:9/elsewhere"
REDIRECTS = {
    **statuses(300, 301, 302, 303, 304, 307, 308),
    **statuses(301, 302, 303, 307, 308, location=ELSEWHERE),
    **statuses(302, 307, location="/us/api/v1/token/verify"),
    **statuses(302, location="http://[bad"),
    **statuses(301, 307, location=ELSEWHERE, carry_out=True),
    **statuses(302, 304, carry_out=True),
}
BUSY = {
    **statuses(500, 502, 503, 504, 599),
    **statuses(500, 502, 503, 504, 408, carry_out=True),
    **statuses(408, 409, 425, 429),
    **{
        f"429 for {wait}": fault("status", status=429, retry_after=wait)
        for wait in (
            2,
            0.5,
            "never",
            -5,
            1e12,
            "Thu, 01 Jan 1970 00:00:00 GMT",
            "Sat, 01 Jan 2400 00:00:00 GMT",
        )
    },
    "429 until a date": fault("status", status=429, retry_after=2, as_date=True),
    "503 for 2": fault("status", status=503, retry_after=2, carry_out=True),
}
KEYS = statuses(401, 402, 403, 404, 405, 410, 451)
RECORDS = {**statuses(400, 413, 422), **statuses(400, text="no such field: 'plan'")}
FAULTS = {**NO_ANSWER, **BODIES, **COUNTS, **WRAPPED, **REDIRECTS, **BUSY, **KEYS, **RECORDS}

BY_TIMES = [
    *((name, 2) for name in (*NO_ANSWER, *COUNTS, *WRAPPED, *BUSY, *RECORDS, "html", "empty")),
    *((name, None) for name in FAULTS),
]
"""A fault that comes twice, and the run gets over it; and one that comes until it is ended."""

BY_WEBHOOK = [
    *NO_ANSWER,
    "html",
    "html, nothing done",
    *WRAPPED,
    *list(REDIRECTS)[::4],
    *list(BUSY)[::2],
    *KEYS,
    *RECORDS,
]
"""It answers for no row: any other 2xx in which nothing was done is believed, and reading back tells."""


@pytest.fixture(scope="module")
def crowd() -> Iterator[Sandbox]:
    with ps.open_sandbox(visitors=300) as opened:
        yield opened


@pytest.fixture(scope="module")
def calm(crowd: Sandbox) -> Iterator[ps.Client]:
    """A client that waits as long as it takes."""
    with ps.open_client(crowd.settings, clock=FakeClock(), timeout_s=30) as opened:
        yield opened


@pytest.fixture(scope="module")
def hasty(crowd: Sandbox) -> Iterator[ps.Client]:
    """A client that gives up soon."""
    with ps.open_client(crowd.settings, clock=FakeClock(), timeout_s=IMPATIENT_S, retry=RETRY) as opened:
        yield opened


@pytest.fixture(scope="module")
def stages(crowd: Sandbox, calm: ps.Client, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stage]:
    journal = ps.open_journal(tmp_path_factory.mktemp("undisturbed"))
    return {
        "metadata": set_stage(crowd, calm, journal, n_ids=N_IDS, batch_size=BATCH),
        "webhook": set_stage(crowd, calm, journal, n_ids=N_MESSAGES, route="webhook", gone=()),
    }


@pytest.mark.parametrize(("name", "times"), BY_TIMES)
def test_a_bulk_write_keeps_the_laws(stages, hasty, calm, journal, name: str, times: int | None) -> None:
    stage = stages["metadata"]
    befall(stage, FAULTS[name], times=times, after=2)
    run_id, outcomes = begin(stage, hasty, journal)
    ensure_lawful(stage, outcomes)
    last = ensure_finished(stage, outcomes, run_id, calm, journal)
    assert bool(ids_of(last, "failed")) == (name in RECORDS and times is None)


@pytest.mark.parametrize("is_named", [False, True])
@pytest.mark.parametrize(
    "bad", [["u-0007"], ["u-0040", "u-0041", "u-0042", "u-0240"], [f"u-{n:04}" for n in range(1, 60)]]
)
def test_bad_records_cost_themselves_alone(
    stages, hasty, calm, journal, bad: list[str], is_named: bool
) -> None:
    stage = stages["metadata"]
    befall(stage, fault("fail_records", ids=bad, named=is_named), times=None)
    run_id, outcomes = begin(stage, hasty, journal)
    ensure_lawful(stage, outcomes)
    assert ids_of(outcomes, "failed") == bad
    ensure_finished(stage, outcomes, run_id, calm, journal)


@pytest.mark.parametrize("n", [1, 4])
def test_a_failure_that_was_none_is_looked_into(stages, hasty, calm, journal, n: int) -> None:
    stage = stages["metadata"]
    befall(stage, fault("counts", updated=-1, failed=1), times=n)
    run_id, outcomes = begin(stage, hasty, journal)
    ensure_lawful(stage, outcomes)
    assert ids_of(outcomes, "missing", "updated") == list(stage.wanted)
    ensure_finished(stage, outcomes, run_id, calm, journal)


@pytest.mark.parametrize("name", BY_WEBHOOK)
def test_the_webhook_keeps_the_laws(stages, hasty, calm, journal, name: str) -> None:
    stage = stages["webhook"]
    befall(stage, FAULTS[name], times=5, after=2)
    run_id, outcomes = begin(stage, hasty, journal)
    ensure_lawful(stage, outcomes)
    ensure_finished(stage, outcomes, run_id, calm, journal)


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize("route", ["metadata", "webhook"])
def test_a_first_call_that_is_refused_condemns_nobody(
    stages, crowd, calm, journal, route: str, status: int
) -> None:
    """Key or region: nothing is known of the records, unless an earlier try got no answer."""
    stage = stages[route]
    for doubt in (False, True):
        crowd.reset()
        if doubt:
            crowd.misbehave("cut", method="POST", when="after", times=N_MESSAGES)
        crowd.misbehave("status", status=status, times=None)
        with ps.open_client(crowd.settings, clock=FakeClock(), retry=RETRY) as stranger:
            run_id, outcomes = begin(stage, stranger, journal)
        ensure_lawful(stage, outcomes)
        assert not ids_of(outcomes, "failed")
        ensure_finished(stage, outcomes, run_id, calm, journal)


@pytest.mark.parametrize("then", ["429", "400", "404", "503", "cut before", "html, nothing done"])
@pytest.mark.parametrize("first", ["cut after", "503 carry_out=True", "408 carry_out=True", "html"])
def test_one_fault_after_another_keeps_the_laws(stages, hasty, calm, journal, first: str, then: str) -> None:
    """The first is carried out; what comes then says nothing of it, in the same run and in a resumed one."""
    stage = stages["metadata"]
    befall(stage, FAULTS[first], times=4, after=2)
    misbehave(stage, FAULTS[then], times=None, after=2)
    run_id, outcomes = begin(stage, hasty, journal)
    ensure_lawful(stage, outcomes)
    outcomes = go_on(stage, outcomes, run_id, hasty, journal)
    ensure_finished(stage, outcomes, run_id, calm, journal)


def test_a_wrong_account_breaks_the_laws(stages, calm, journal) -> None:
    """Laws that nothing can break would prove nothing."""
    stage = stages["metadata"]
    stage.sandbox.reset()
    run_id, outcomes = begin(stage, calm, journal)
    is_it = pl.col("id") == "u-0007"
    for status, reason in (("failed", "no"), ("pending", "no"), ("missing", "no"), ("unknown", None)):
        lie = outcomes.with_columns(
            status=pl.when(is_it).then(pl.lit(status)).otherwise("status"),
            reason=pl.when(is_it).then(pl.lit(reason)).otherwise("reason"),
        )
        with pytest.raises(AssertionError):
            ensure_lawful(stage, lie)
    with pytest.raises(AssertionError):
        ensure_lawful(stage, outcomes.filter(~is_it))
    stage.sandbox.reset()
    with pytest.raises(AssertionError):
        ensure_lawful(stage, outcomes)
    with pytest.raises(AssertionError):
        ensure_finished(stage, outcomes, run_id, calm, journal)


def befall(stage: Stage, fault: Fault, **when: Any) -> None:
    stage.sandbox.reset()
    misbehave(stage, fault, **when)


def misbehave(stage: Stage, fault: Fault, **when: Any) -> None:
    stage.sandbox.misbehave(path=stage.path, **fault, **when)
