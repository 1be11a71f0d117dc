"""A field's column as a whole: how many have a value, and how the values lie, before and after."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

import pendosync as ps
from pendosync.preview.pictures import N_BARS, choices_of, picture_of
from pendosync.preview.rows import Rows

TARGET = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")
MAPPING = ps.Mapping("visitor", "id", [ps.Trait("plan", null="clear"), "seats", "since"])
TABLE = pl.DataFrame(
    {
        "id": [f"u-{n}" for n in range(10)],
        "plan": ["pro"] * 5 + [None] * 5,
        "seats": list(range(10)),
        "since": [datetime(2026, 1, 1 + n, tzinfo=UTC) for n in range(10)],
    }
)
HELD = TABLE.with_columns(plan=pl.lit("free"), seats=pl.lit(0), since=pl.lit(None, pl.Datetime("us", "UTC")))


@pytest.fixture
def plan() -> ps.Plan:
    values, held = (ps.map_traits(table, MAPPING) for table in (TABLE, HELD))
    return ps.plan_changes(
        ps.diff_values(values, before=held, mapping=MAPPING), mapping=MAPPING, target=TARGET
    )


def test_a_column_gone_wrong_is_seen(plan: ps.Plan) -> None:
    picture = picture_of(Rows(plan.parts), "plan")
    assert (picture["held"], picture["n_cleared"], picture["is_loss"]) == ([10, 5], 5, True)
    assert (picture["labels"], picture["bars"]) == (["free", "pro"], [[10, 0], [0, 5]])


def test_numbers_lie_in_equal_ranges(plan: ps.Plan) -> None:
    picture = picture_of(Rows(plan.parts), "seats")
    assert (picture["labels"], len(picture["bars"])) == (["0", "9"], N_BARS)
    assert [sum(side) for side in zip(*picture["bars"], strict=True)] == [10, 10]
    assert picture["bars"][0] == [10, 1]
    assert picture["is_loss"] is False


def test_dates_that_were_not_there_are_new(plan: ps.Plan) -> None:
    picture = picture_of(Rows(plan.parts), "since")
    assert (picture["n_new"], picture["held"]) == (10, [0, 10])
    assert picture["labels"] == ["2026-01-01 00:00", "2026-01-10 00:00"]


def test_a_value_of_another_type_is_one_that_was_held() -> None:
    held = ps.map_traits(HELD, MAPPING).with_columns(
        raw=pl.lit('{"seats":"\\"5\\""}'), seats=pl.lit(None, pl.Int64)
    )
    changes = ps.diff_values(ps.map_traits(TABLE, MAPPING), before=held, mapping=MAPPING)
    picture = picture_of(Rows(ps.plan_changes(changes, mapping=MAPPING, target=TARGET).parts), "seats")
    assert (picture["held"], picture["n_new"], picture["n_cleared"]) == ([10, 10], 0, 0)


def test_one_value_and_none_are_pictured_too(plan: ps.Plan) -> None:
    assert picture_of(Rows(plan.select(ids=["u-0"]).parts), "since")["bars"][0] == [0, 1]
    assert picture_of(Rows(plan.select(pl.lit(False)).parts), "since")["bars"] == []
    assert picture_of(Rows(plan.select(pl.lit(False)).parts), "plan")["bars"] == []


def test_a_filter_is_offered_what_is_there(plan: ps.Plan) -> None:
    assert choices_of(Rows(plan.parts), ps.after("plan")) == {
        "n_nulls": 5,
        "top": [["pro", 5]],
        "n_sampled": 0,
    }
    assert choices_of(Rows(plan.parts), ps.after("seats")) == {
        "n_nulls": 0,
        "top": [],
        "low": "0",
        "high": "9",
        "n_sampled": 0,
    }


@pytest.mark.parametrize("every", [1, 3, 1_000_000], ids=["all change", "some change", "none changes"])
def test_the_most_frequent_values_of_both_sides_are_pictured(every: int) -> None:
    many = pl.select(
        id=pl.format("u-{}", pl.int_range(600)),
        plan=pl.format("p{}", pl.int_range(600) % 37 % 11),
        seats=pl.lit(1),
    )
    held = many.with_columns(
        plan=pl.when(pl.int_range(pl.len()) % every == 1).then(pl.lit("gone")).otherwise("plan"),
        seats=pl.lit(2),
    ).rechunk()
    mapping = ps.Mapping("visitor", "id", ["plan", "seats"])
    values, before = (ps.map_traits(table, mapping) for table in (many, held))
    changes = ps.diff_values(values, before=before, mapping=mapping)
    picture = picture_of(Rows(ps.plan_changes(changes, mapping=mapping, target=TARGET).parts), "plan")
    counts = [dict(side["plan"].value_counts().iter_rows()) for side in (held, many)]
    pairs = {value: [side.get(value, 0) for side in counts] for value in counts[0] | counts[1]}
    top = sorted(pairs, key=lambda value: (max(pairs[value]), value), reverse=True)[:6]
    assert sorted(picture["labels"]) == sorted(top)
    assert dict(zip(picture["labels"], picture["bars"], strict=True)) == {
        value: pairs[value] for value in top
    }
    assert picture["n_values"] == len(pairs)
