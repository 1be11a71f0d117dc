"""The four laws that a push keeps whatever the server does, stated once.

(a) Each selected id has exactly one outcome, with a reason wherever it is not plainly written.
(b) No outcome is wrong: what is `updated`, `created` or `accepted` holds what was pushed, what is `missing`, `failed`,
    `refused` or `pending` holds none of it; `unknown` may be either.
(c) No id is sent again after its outcome was final.
(d) Once the server behaves, `resume_push` ends with every id written that the fault did not condemn, and the server
    holds what an undisturbed push leaves behind.

A server that counts a failure and wrote the record all the same, in an answer that contradicts nothing, is believed:
only reading back tells.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import polars as pl

import pendosync as ps
from pendosync.sandbox import Sandbox

GROUP_OF = {"metadata": "custom", "webhook": "segmentio"}
GONE = ("gone-1", "gone-2", "gone-3")
WRITTEN = ("updated", "created", "accepted")
OPEN = ("unknown", "pending")
NOT_HELD = ("missing", "failed", "refused", "pending")


@dataclass(frozen=True, repr=False)
class Stage:
    """A plan, what it wants of each id, and what an undisturbed push of it leaves behind.

    Args:
        sandbox: where it is pushed to.
        plan: what is pushed.
        wanted: id → field → value.
        missing: ids of the plan that Pendo does not know.
        digest: of what is held after an undisturbed push.
    """

    sandbox: Sandbox
    plan: ps.Plan
    wanted: dict[str, dict[str, Any]]
    missing: frozenset[str]
    digest: str = field(default="")

    @property
    def path(self) -> str:
        """How the path of each of its requests begins."""
        return self.plan.shape.path.partition("?")[0]

    def __repr__(self) -> str:
        return f"Stage({self.plan.title})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def held(self) -> dict[str, dict[str, Any]]:
        """Return what the sandbox holds in the plan's group."""
        return self.sandbox.values("visitor", self.plan.shape.group)

    def sent(self) -> Counter[str]:
        """Return how often each id was sent since the requests were forgotten."""
        ids: Counter[str] = Counter()
        for request in self.sandbox.requests():
            if request["path"].startswith(self.path):
                content = json.loads(request["body"])
                records = content if isinstance(content, list) else [content]
                ids.update(record.get("visitorId") or record.get("userId") for record in records)
        return ids


def a_table(ids: list[str]) -> pl.DataFrame:
    """Return a table that changes two fields of each id."""
    return pl.DataFrame(
        {"user_id": ids, "plan": [f"new-{n}" for n in range(len(ids))], "seats": range(1000, 1000 + len(ids))}
    )


def set_stage(
    sandbox: Sandbox,
    client: ps.Client,
    journal: ps.Journal,
    *,
    n_ids: int,
    route: str = "metadata",
    gone: tuple[str, ...] = GONE,
    new: tuple[str, ...] = (),
    **options: Any,
) -> Stage:
    """Return a stage of so many ids.

    Args:
        gone: more ids, which Pendo knew when the plan was made and does no more.
        new: more ids, which it never knew.
        options: of the plan.
    """
    sandbox.reset()
    ids = [f"u-{n:04}" for n in range(1, n_ids + 1)]
    more = [*gone, *new]
    for at, id_ in enumerate(more):
        ids.insert((at + 1) * n_ids // (len(more) + 1), id_)
    body = json.dumps([{"visitorId": id_, "values": {}} for id_ in gone]).encode()
    client.call(client.request, "POST", "/api/v1/metadata/visitor/custom/value?create=true", body=body)
    table, traits = a_table(ids), [ps.Trait("plan", type="text"), ps.Trait("seats", type="integer")]
    mapping = ps.Mapping("visitor", "user_id", traits, route=route)  # type: ignore[arg-type]
    plan = ps.plan_table(table, mapping, client=client, **options).lift(recheck=None)
    wanted = {row.pop("user_id"): row for row in table.to_dicts()}
    sandbox.reset()
    ps.push(plan, client=client, journal=journal, show=False).wait()
    digest = sandbox.digest("visitor")
    sandbox.reset()
    assert sandbox.digest("visitor") != digest
    return Stage(sandbox, plan, wanted, frozenset(gone) if route == "metadata" else frozenset(), digest)


def begin(stage: Stage, client: ps.Client, journal: ps.Journal) -> tuple[str, pl.DataFrame]:
    """Push the stage's plan, and return the run and its outcomes, however it ended."""
    run = ps.push(stage.plan, client=client, journal=journal, show=False)
    return run.id, outcomes_of(run)


def outcomes_of(run: ps.Run) -> pl.DataFrame:
    """Return the outcomes of a run that may stop, once it is over."""
    try:
        return run.wait(timeout_s=60)
    except ps.PushError as error:
        stopped = error
    assert "Hint:" in str(stopped)
    assert run.progress.state == "stopped"
    return stopped.outcomes


def ensure_lawful(stage: Stage, outcomes: pl.DataFrame) -> None:
    """Hold the *outcomes* of what was pushed to the laws (a) and (b)."""
    assert outcomes["id"].to_list() == list(stage.wanted)
    bare = outcomes.filter(~pl.col("status").is_in(["updated", "created"]) & pl.col("reason").is_null())
    assert bare.is_empty(), bare
    held, wrong = stage.held(), []
    for id_, status, reason in outcomes.select("id", "status", "reason").iter_rows():
        now = held.get(id_, {})
        same = [now.get(name) == value for name, value in stage.wanted[id_].items()]
        is_wrong = (status in WRITTEN and not all(same)) or (status in NOT_HELD and any(same))
        if is_wrong:
            wrong.append((id_, status, reason, now))
    assert not wrong, wrong[:5]


def ensure_finished(
    stage: Stage,
    outcomes: pl.DataFrame,
    run_id: str,
    client: ps.Client,
    journal: ps.Journal,
    *,
    resumes: int = 1,
) -> pl.DataFrame:
    """Hold the rest of a run to the laws (c) and (d), once the server behaves; return the last outcomes.

    Args:
        stage: what is pushed.
        outcomes: what became of it before.
        run_id, client, journal: which run is resumed.
        resumes: how often it may stop and be resumed; a canary step of which nothing was written stops it once.
    """
    condemned = set(outcomes.filter(pl.col("status").is_in(["failed", "refused"]))["id"])
    stage.sandbox.behave()
    last = outcomes
    for _ in range(resumes):
        last = go_on(stage, last, run_id, client, journal)
        if not ids_of(last, *OPEN):
            break
    expected = dict.fromkeys(stage.missing, "missing") | dict.fromkeys(condemned, "failed")
    told = {id_: status for id_, status in last.select("id", "status").iter_rows() if status not in WRITTEN}
    assert told == expected
    if not condemned - stage.missing:
        assert stage.sandbox.digest("visitor") == stage.digest
    return last


def go_on(
    stage: Stage, outcomes: pl.DataFrame, run_id: str, client: ps.Client, journal: ps.Journal
) -> pl.DataFrame:
    """Resume a run, and return its outcomes, however it ended; holds it to the laws (a), (b) and (c)."""
    final = set(outcomes.filter(~pl.col("status").is_in(OPEN))["id"])
    stage.sandbox.forget_requests()
    last = outcomes_of(ps.resume_push(journal, run_id, client=client, show=False))
    assert not final & stage.sent().keys()
    ensure_lawful(stage, last)
    return last


def ids_of(outcomes: pl.DataFrame, *statuses: str) -> Collection[str]:
    """Return the ids that have one of *statuses*."""
    return outcomes.filter(pl.col("status").is_in(statuses))["id"].to_list()
