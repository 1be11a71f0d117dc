"""pendosync's own ways to push, as the benchmarks time them: a plan, or the whole way from a file."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Literal

import polars as pl

import pendosync as ps
from benchmarks.sink import Sink
from benchmarks.tables import FIELDS

Opener = Callable[[ps.Settings], ps.Client]


def open_default_client(settings: ps.Settings) -> ps.Client:
    """Return a client on the transport that comes with httpx."""
    return ps.open_client(settings, carrier="httpx")


def open_fast_client(settings: ps.Settings) -> ps.Client:
    """Return a client on the transport that the extra `fast` brings."""
    return ps.open_client(settings, carrier="aiohttp")


STACKS: Final[dict[str, Opener]] = {
    "default": open_default_client,
    **({"fast": open_fast_client} if find_spec("aiohttp") else {}),
}
"""What sends: the default, and what is taken up where it is installed."""

BEST: Final = [*STACKS][-1]
"""The one that targets are held to: what the project promises is what one can install."""


def settings_for(sink: Sink, *, at_once: int) -> ps.Settings:
    """Return settings with so many requests in flight and no other limit."""
    pace = ps.Pace(None, at_once)
    key = f"key-{at_once}"  # clients of one key share the pace of the first
    return ps.Settings(
        integration_key=key,
        app_key=key,
        api_url=sink.url,
        data_url=sink.url,
        api_pace=pace,
        data_pace=pace,
        access="write",
    )


def plan_of(
    users: pl.DataFrame | pl.LazyFrame,
    settings: ps.Settings,
    *,
    route: Literal["metadata", "webhook"],
    batch_size: int,
) -> ps.Plan:
    """Return the plan of a first push: map, check, drop, diff against nothing, plan."""
    mapping = ps.Mapping("visitor", id="user_id", traits=FIELDS, route=route)
    values = ps.map_traits(users, mapping)
    problems = ps.check_values(values, mapping=mapping)
    clean = ps.drop_blocked(values, problems)
    return ps.plan_changes(
        ps.diff_values(clean, before=clean.clear(), mapping=mapping),
        mapping=mapping,
        target=settings.target,
        problems=problems,
        create="unknown_ids",
        batch_size=batch_size,
        gates=ps.Gates(max_ids=None, max_changed_share=None, recheck=0),
    )


def push_plan(plan: ps.Plan, settings: ps.Settings, open_client: Opener) -> float:
    """Push with a journal and an outcome for each row, and return the seconds."""
    return _timed(lambda: replace(plan), settings, open_client)  # a fresh one has no digest yet


def push_file(
    path: Path,
    settings: ps.Settings,
    open_client: Opener,
    *,
    rows: int,
    route: Literal["metadata", "webhook"],
    batch_size: int,
) -> float:
    """Load, map, check, diff, plan and push the first rows of a file, and return the seconds."""

    def make_plan() -> ps.Plan:
        return plan_of(ps.load_table(path).head(rows), settings, route=route, batch_size=batch_size)

    return _timed(make_plan, settings, open_client)


def _timed(make_plan: Callable[[], ps.Plan], settings: ps.Settings, open_client: Opener) -> float:
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        plan = make_plan()
        with open_client(settings) as client:
            outcomes = ps.push(plan, client=client, journal=ps.open_journal(folder), show=False).wait()
        seconds = time.perf_counter() - began
    bad = outcomes.filter(~pl.col("status").is_in(["created", "updated", "accepted"]))
    assert outcomes.height == len(plan), f"{outcomes.height} outcomes of {len(plan)} rows"
    assert bad.is_empty(), bad
    return seconds
