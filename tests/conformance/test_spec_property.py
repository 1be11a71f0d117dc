"""Whatever stands in a table: each message of the dry run is one that Segment's spec accepts, and no row is lost.

Source: Segment's public spec (common fields, identify, group, track) and public docs of its HTTP API, read 2026-11-26.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

import pendosync as ps

NOW: Final = datetime.now(UTC)
TARGET: Final = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")
TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
MOST_BYTES: Final = 32 * 1024
TYPES: Final = {"visitor": "identify", "account": "group", "membership": "group", "event": "track"}
NEEDED: Final = {"identify": (), "group": ("groupId",), "track": ("event",)}
SCHEMA: Final = {
    "id": pl.String, "user": pl.String, "anonymous": pl.String, "org": pl.String, "what": pl.String, "time": pl.String,
    "parent": pl.String, "told": pl.String, "plan": pl.String, "note": pl.String, "age": pl.String, "phone": pl.Int64,
    "seats": pl.Int64, "score": pl.Float64, "createdAt": pl.Datetime("us", "UTC"), "trial": pl.Boolean,
}  # fmt: skip
TRAITS: Final = ["plan", "note", "age", "phone", "seats", "score", "createdAt", "trial"]
COLUMNS: Final = {
    "visitor": {"id": "user", "anonymous_id": "anonymous", "account_id": "org"},
    "account": {"id": "org", "visitor_id": "user", "parent_account": "parent"},
    "membership": {"visitor_id": "user", "anonymous_id": "anonymous", "account_id": "org", "parent_account": "parent"},
    "event": {"visitor_id": "user", "anonymous_id": "anonymous", "account_id": "org", "event": "what", "at": "time"},
}  # fmt: skip

TEXTS = (
    st.none()
    | st.sampled_from(["", " ", "\u0000", '"', "\\", "\u2028", "😀", "é", "{}", "null"])
    | st.text(max_size=8)
)
LONG = st.tuples(st.sampled_from(["x", "ü", '"', "\u0007"]), st.sampled_from([600, 6_000, 17_000])).map(
    lambda told: told[0] * told[1]
)


def mostly(good: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw a good value five times in six: a row that is odd in every column never travels."""
    return st.integers(0, 5).flatmap(lambda n: good if n else odd)


IDS = mostly(
    st.integers(0, 99).map("u-{}".format), TEXTS | st.sampled_from(["U-1", "_PENDO_T_x", "u" * 128, "ü" * 65])
)
TIMES = mostly(
    st.sampled_from([NOW.isoformat(), (NOW - timedelta(days=6)).isoformat()]),
    st.sampled_from([(NOW - timedelta(days=8)).isoformat(), "soon", None]),
)
FLAGS = st.dictionaries(
    st.sampled_from(["Pendo", "All", "pendo", "Amplitude"]),
    st.none() | st.booleans() | st.sampled_from(["false", 0, {}, {"x": 1}, [False]]),
)
TOLD = mostly(st.none() | FLAGS.map(json.dumps), TEXTS | st.just("[true]"))
DATES = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda at: at.replace(tzinfo=UTC))
ROWS = st.fixed_dictionaries(
    {
        **dict.fromkeys(["id", "user", "org"], IDS),
        "anonymous": mostly(st.none(), TEXTS),
        "what": mostly(st.just("Signed Up"), TEXTS | LONG),
        "time": TIMES,
        "parent": mostly(
            st.none() | st.just('{"id": "holding", "tier": 1}'),
            TEXTS | st.sampled_from(['{"id": 9}', '{"id": {"a": 1}}']),
        ),
        "told": TOLD,
        "plan": TEXTS,
        "note": TEXTS | LONG,
        "age": mostly(st.sampled_from(["42", "42.5"]), TEXTS | st.sampled_from(["1e400", "NaN"])),
        **dict.fromkeys(
            ["phone", "seats"], st.none() | st.integers(-99, 99) | st.integers(-(2**63), 2**63 - 1)
        ),
        "score": st.none() | st.floats(),
        "createdAt": st.none() | DATES,
        "trial": st.none() | st.booleans(),
    }
)


@st.composite
def mappings(draw: st.DrawFn) -> ps.Mapping:
    """Draw a mapping of any kind by webhook, with more or fewer of its columns."""
    kind = draw(st.sampled_from(sorted(COLUMNS)))
    dropped = draw(st.sets(st.sampled_from(["anonymous_id", "parent_account"])))
    columns = {name: column for name, column in COLUMNS[kind].items() if name not in dropped}
    if kind in ("membership", "event") and draw(st.booleans()):
        columns["id"] = "id"
    traits = draw(st.lists(st.sampled_from(TRAITS), unique=True, min_size=1))
    clears = draw(st.sampled_from(["keep", "clear"]))
    integrations = draw(st.just("told") | st.none() | FLAGS)
    return ps.Mapping(
        kind,
        traits=[ps.Trait(name, null=clears) for name in traits],
        route="webhook",
        integrations=integrations or None,
        **columns,
    )  # type: ignore[arg-type]


def planned(rows: list[dict[str, Any]], mapping: ps.Mapping) -> ps.Plan:
    """Plan as for a Pendo that holds nothing, without one."""
    values = ps.map_traits(pl.DataFrame(rows, schema=SCHEMA), mapping)
    problems = ps.check_values(values, mapping=mapping)
    clean = ps.drop_blocked(values, problems)
    before = None if mapping.is_message else clean.head(0)
    changes = ps.diff_values(clean, before=before, mapping=mapping)
    return ps.plan_changes(changes, mapping=mapping, target=TARGET, problems=problems, create="unknown_ids")


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def is_off(integrations: Mapping[str, Any]) -> bool:
    """Whether the message is not for Pendo: by name, or by All where it is not named."""
    named = integrations.get("Pendo")
    return named is False or (named is None and integrations.get("All") is False)


def ensure_accepted(body: str, mapping: ps.Mapping, plan: ps.Plan) -> None:
    """Hold one message against the spec."""
    message = json.loads(body, parse_constant=refuse)
    assert len(body.encode()) <= MOST_BYTES
    assert message["type"] == TYPES[mapping.kind]
    for name in ("userId", "messageId", *NEEDED[message["type"]]):
        assert isinstance(message[name], str)
        assert message[name].strip(" \t\r\n")
    assert not message["userId"].startswith("_PENDO_T_")
    assert len(message["userId"].encode()) <= 128
    content = message["properties" if mapping.kind == "event" else "traits"]
    assert isinstance(content, dict)
    assert all(
        isinstance(value, str | int | float | None)
        for name, value in content.items()
        if name != "parentAccount"
    )
    assert isinstance(content.get("parentAccount", {"id": "p"})["id"], str)
    assert TIME.fullmatch(message["timestamp"])
    datetime.fromisoformat(message["timestamp"])
    assert isinstance(message["integrations"], dict)
    assert not is_off(message["integrations"])
    assert message["context"]["library"] == {"name": "pendosync", "version": plan.shape.library}
    if not plan.shape.has_own_ids:
        assert len(message["messageId"]) <= 100


@settings(max_examples=200)
@given(rows=st.lists(ROWS, min_size=1, max_size=5), mapping=mappings())
def test_each_message_is_one_that_the_spec_accepts_and_no_row_is_lost(
    rows: list[dict[str, Any]], mapping: ps.Mapping
) -> None:
    plan = planned(rows, mapping)
    bodies = ps.dry_run(plan)["body"].to_list()
    for body in bodies:
        ensure_accepted(body, mapping, plan)
    ids = [json.loads(body)["messageId"] for body in bodies]
    assert len(ids) == len(set(ids))
    sent = plan.changes.filter(pl.col("action") != "skip")
    assert sent.height == len(bodies)
    planned_rows, told = (
        plan.changes["row"].to_list(),
        plan.problems.filter(severity="block_row")["row"].to_list(),
    )
    assert set(planned_rows) | set(told) == set(range(len(rows)))
    assert not set(planned_rows) & set(told)
    assert len(planned_rows) == len(set(planned_rows))
