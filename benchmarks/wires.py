"""Trials in which Pendo, or the way to it, misbehaves, and the run is resumed as often as it stops."""

from __future__ import annotations

import time
from dataclasses import replace
from random import Random
from typing import Any, Final

import pendosync as ps
from benchmarks.trials import QUICK, Judge, Stage, push_to_the_end, wait_for
from benchmarks.witness import Ledger

SHARE: Final = 0.2
"""Of the writes, so many are befallen."""

_TIMEOUT_S: Final = 0.5
_PAGE: Final = "<html><body><h1>Please sign in</h1></body></html>"
_BAD: Final = ["u-0002", "u-0003", "u-0150", "u-0200"]
"""Ids that Pendo never takes: always the same, or what it says of them would not be true."""

_ELSEWHERE: Final = "https://elsewhere.example/in"

Faults = list[tuple[str, dict[str, Any]]]


def _statuses(*statuses: int, **options: Any) -> Faults:
    return [("status", {"status": status, **options}) for status in statuses]


def _bodies(*texts: str) -> Faults:
    return [("body", {"text": text}) for text in texts]


FAULTS: Final[dict[str, Faults]] = {
    "late answers": [("latency", {"seconds": 0.1}), ("latency", {"seconds": 0.1, "when": "after"})],
    "silence, then no answer": [
        ("stall", {"seconds": 1.0, "when": when}) for when in ("before", "after", "headers", "mid_body")
    ],
    "cut": [("cut", {"when": when}) for when in ("before", "after", "mid_body")],
    "reset": [("cut", {"when": when, "reset": True}) for when in ("before", "after", "mid_body")],
    "500 502 503 504": _statuses(500, 502, 503, 504),
    "500 503 though it was done": _statuses(500, 503, carry_out=True),
    "408 409 425 429": _statuses(408, 409, 425, 429),
    "429, Retry-After absurd": [
        ("status", {"status": 429, "retry_after": wait})
        for wait in (1e12, -5, "never", "Thu, 01 Jan 1970 00:00:00 GMT")
    ],
    "400 413 422 for the whole": _statuses(400, 413, 422, text="no"),
    "401 403 404 in mid-run": _statuses(401, 403, 404),
    "redirects": _statuses(301, 302, 307, 308, location=_ELSEWHERE),
    "100 103 before the answer": [("wrap", {"interim": 100}), ("wrap", {"interim": 103})],
    "garbage HTML empty": _bodies(_PAGE, "", "{}", "[1]", "null", '{"total": "all"}', "\ud800"),
    "wrong counts": [("counts", {name: more}) for name in ("total", "updated", "failed") for more in (-1, 1)],
    "missing: never sent, twice": [
        ("names", {"missing": ["nobody"]}),
        ("names", {"missing": ["u-0001"] * 2}),
    ],
    "failures without a name": [("fail_records", {"ids": _BAD, "share": 1.0})],
    "failures with a name": [("fail_records", {"ids": _BAD, "share": 1.0, "named": True})],
    "gzip deflate chunked": [("wrap", {"encoding": name}) for name in ("gzip", "deflate", "chunked")],
    "broken gzip, chunks, length": [
        ("wrap", {"encoding": name, "broken": True}) for name in ("gzip", "deflate", "chunked", None)
    ],
}
"""What Pendo, or what stands before it, does to some writes."""

FIVE_PERCENT: Final[Faults] = [
    *_statuses(503, 429),
    *_statuses(500, carry_out=True),
    ("cut", {"when": "after"}),
    ("cut", {"when": "mid_body", "reset": True}),
    ("cut", {"when": "before"}),
    *_bodies(_PAGE),
    ("counts", {"updated": -1}),
    ("wrap", {"encoding": "chunked", "broken": True}),
]
"""Together they befall one write in twenty."""


def befall(sandbox: ps.Sandbox, faults: Faults, *, share: float, seed: int) -> None:
    """Let *faults* together befall a share of the writes, until the sandbox is told to behave."""
    for name, options in faults:
        which = {"method": "POST", "times": None, "share": share / len(faults), "seed": seed}
        sandbox.misbehave(name, **{**which, **options})


def trial(
    stage: Stage, faults: Faults, *, seed: int, share: float = SHARE, timeout_s: float = _TIMEOUT_S
) -> Judge:
    """Push while *faults* befall the writes, with so little patience that it stops, and resume until all is done."""
    stage.begin()
    judge = Judge(stage, Ledger())
    befall(stage.sandbox, faults, share=share, seed=seed)
    retry = replace(QUICK, attempts=2)
    push_to_the_end(stage, stage.new_journal(), judge, timeout_s=timeout_s, retry=retry)
    return judge


def outage(stage: Stage, random: Random) -> tuple[Judge, Stage]:
    """Push, end the sandbox in the middle, begin it again on the same port after a while, and resume.

    What it holds outlives it in its state file; it ends cleanly, as one that forgot what it confirmed would prove nothing.

    Returns:
        The judge, and the stage with the sandbox that runs now.
    """
    stage.begin()
    judge = Judge(stage, Ledger())
    after, away_s = random.randrange(stage.plan.n_requests), random.choice((0.0, 0.2, 1.0))

    def pull(run: ps.Run) -> None:
        if judge.stage is not stage:
            return  # it is back
        wait_for(run, batches=after)
        stage.sandbox.close()
        time.sleep(away_s)
        judge.stage = replace(stage, sandbox=stage.open_again())

    push_to_the_end(stage, stage.new_journal(), judge, on_run=pull)
    return judge, judge.stage
