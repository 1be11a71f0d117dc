"""Records put together pattern by pattern are those put together cell by cell."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pendosync as ps
from pendosync import encoding
from pendosync.encoding import encode_records
from pendosync.frames import DTYPES, Route, empty_changes
from pendosync.shapes import Shape

AT = datetime(2026, 11, 26, 8, 30, 0, 5000, tzinfo=UTC)
CELLS = {
    "text": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=6),
    "boolean": st.none() | st.booleans(),
    "integer": st.none() | st.integers(-(2**63), 2**63 - 1),
    "float": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "date": st.none() | st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).map(lambda at: at.replace(tzinfo=UTC)),
    "list": st.none() | st.lists(st.text("a\"\\é,", max_size=3), max_size=3),
}  # fmt: skip
NAMES = [
    "plan",
    "seats",
    'say "hi"',
    "0",
    "größe",
    "id",
    "a b",
]  # patterns such as ^.*$ are no names of fields


def shape_of(route: Route, send: str = "changed") -> Shape:
    group = "custom" if route == "metadata" else "segmentio"
    return Shape("visitor", route, group, 500, "never", send, AT, "n0nce", "0.1.0")  # type: ignore[arg-type]


@st.composite
def a_plan(draw: st.DrawFn) -> pl.DataFrame:
    """CHANGES of a few fields of any type and name, with any cells changed."""
    types = draw(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(list(CELLS)), min_size=1))
    n = draw(st.integers(0, 8))
    brick = empty_changes({name: DTYPES[type_] for name, type_ in types.items()})
    rows = [
        {
            "row": at,
            "id": f'u"{at}',
            "action": "update",
            "changed": {name: draw(st.booleans()) for name in types},
            "before": dict.fromkeys(types),
            "after": {name: draw(CELLS[type_]) for name, type_ in types.items()},
            "before_raw": None,
            "after_raw": None,
        }
        for at in range(n)
    ]
    return pl.DataFrame(rows, schema=brick.schema)


@given(a_plan(), st.sampled_from(["metadata", "webhook", "browser"]), st.sampled_from(["changed", "all"]))
def test_both_ways_give_the_same_bytes(changes: pl.DataFrame, route: Route, send: str) -> None:
    shape = shape_of(route, send)
    together = encode_records(changes, shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding, "_FEW", 0)
        assert encode_records(changes, shape).equals(together, null_equal=True)
    assert len(together) == changes.height
    for text, row in zip(
        together if route == "metadata" else [], changes.iter_rows(named=True), strict=False
    ):
        told = json.loads(text)
        sent = [
            name
            for name in row["after"]
            if row["changed"][name] or (send == "all" and row["after"][name] is not None)
        ]
        assert (told["visitorId"], list(told["values"])) == (row["id"], sent)


def test_seventy_fields_are_told_apart() -> None:
    """A pattern is kept in more than one word, and rows come back in their order."""
    names = [f"f{at}" for at in range(70)]
    table = pl.DataFrame({"user": [f"u{at}" for at in range(300)], **{name: range(300) for name in names}})
    mapping = ps.Mapping("visitor", id="user", traits=names)
    values = ps.map_traits(table, mapping)
    changes = ps.diff_values(values, before=values.clear(), mapping=mapping)
    drawn = random.Random(4)
    few = [[drawn.random() < 0.5 for _ in names] for _ in range(8)]
    chosen = [drawn.choice(few) for _ in range(300)]
    masks = pl.Series("changed", [dict(zip(names, mask, strict=True)) for mask in chosen])
    records = encode_records(changes.with_columns(masks), shape_of("metadata"))
    for at, (text, mask) in enumerate(zip(records, chosen, strict=True)):
        sent = {name: at for name, is_sent in zip(names, mask, strict=True) if is_sent}
        assert json.loads(text) == {"visitorId": f"u{at}", "values": sent}


def test_patterns_show_neither_in_number_nor_order_of_requests() -> None:
    users = pl.DataFrame({"user": [f"u{at}" for at in range(50)], "a": range(50), "b": range(50)})
    mapping = ps.Mapping("visitor", id="user", traits=["a", "b"])
    values = ps.map_traits(users, mapping)
    one = ps.diff_values(values, before=values.clear(), mapping=mapping)
    mixed = one.with_columns(
        changed=pl.struct(a=pl.col("row") % 2 == 0, b=pl.col("row") % 3 != 0).alias("changed")
    )
    plan = ps.plan_changes(
        one, mapping=mapping, target=ps.Settings().target, batch_size=7, create="unknown_ids"
    )
    pure, other = ps.dry_run(plan), ps.dry_run(plan.having(mixed))
    assert other["ids"].to_list() == pure["ids"].to_list()
    assert [json.loads(body) for body in other["body"]] == [
        [
            {"visitorId": f"u{at}", "values": {**({"a": at} if at % 2 == 0 else {}), **({"b": at} if at % 3 else {})}}
            for at in range(first, min(first + 7, 50))
        ]
        for first in range(0, 50, 7)
    ]  # fmt: skip
