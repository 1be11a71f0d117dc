"""Every polars type to one of Pendo's, and nothing lost on the way."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.checks import check_values, drop_blocked
from pendosync.diffs import diff_values
from pendosync.errors import ColumnNotFoundError, MappingError, TableError
from pendosync.frames import VALUES
from pendosync.looks import dry_run
from pendosync.mapping import Mapping
from pendosync.planning import plan_changes
from pendosync.regions import Target
from pendosync.traits import Trait
from pendosync.values import check_mapping, map_traits

TARGET = Target("us", "https://app.pendo.io", "https://data.pendo.io")
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def mapped(series: pl.Series | list, *, zone: str | None = None, **trait: object) -> pl.DataFrame:
    column = series if isinstance(series, pl.Series) else pl.Series(series)
    table = pl.DataFrame({"who": [f"u{n}" for n in range(len(column))], "x": column})
    return map_traits(table, Mapping("visitor", "who", [Trait("x", field="f", **trait)], time_zone=zone))  # type: ignore[arg-type]


def test_map_traits_gives_the_brick() -> None:
    values = map_traits(
        pl.DataFrame({"id": [7], "b": [1], "a": ["x"]}).lazy(), Mapping("visitor", "id", ["b", "a"])
    )
    assert values.schema == {**VALUES, "b": pl.Int64, "a": pl.String}
    assert values.rows() == [(0, "7", None, 1, "x")]


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (pl.Series(["a", None], dtype=pl.Categorical), ["a", None]),
        (pl.Series(["a", None], dtype=pl.Enum(["a"])), ["a", None]),
        (pl.Series([None, None], dtype=pl.Null), [None, None]),
        (pl.Series([True, None]), [True, None]),
        (pl.Series([5, None], dtype=pl.Int8), [5, None]),
        (pl.Series([2**63 - 1], dtype=pl.UInt64), [2**63 - 1]),
        (pl.Series([0.1, None], dtype=pl.Float32), [0.1, None]),
        (pl.Series([Decimal("12.30"), None]), [12.3, None]),
        (pl.Series([Decimal("12345678901234567.89")]), ["12345678901234567.89"]),
        (pl.Series([date(2026, 3, 1)]), [datetime(2026, 3, 1, tzinfo=UTC)]),
        (pl.Series([datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)]), [NOON.replace(microsecond=123000)]),
        (pl.Series([NOON]).dt.convert_time_zone("Asia/Tokyo"), [NOON]),
        (pl.Series([["a", "b"], [], None]), [["a", "b"], [], None]),
        (pl.Series([[1, 2]], dtype=pl.Array(pl.Int64, 2)), [["1", "2"]]),
    ],
    ids=str,
)
def test_map_traits_casts_by_type(series: pl.Series, expected: list) -> None:
    values = mapped(series)
    assert values["f"].to_list() == expected
    assert values["raw"].null_count() == len(expected)


@pytest.mark.parametrize(
    ("series", "wanted", "expected"),
    [
        (["5", "007", "x", None], "integer", [5, 7, None, None]),
        ([5.0, 5.5, 1e30], "integer", [5, None, None]),
        (["1.5", "x"], "float", [1.5, None]),
        (["true", " FALSE ", "yes"], "boolean", [True, False, None]),
        ([1, 0, 2], "boolean", [True, False, None]),
        ([5, None], "text", ["5", None]),
        ([True], "text", ["true"]),
        ([NOON], "text", ["2026-03-01T12:00:00.000+00:00"]),
        (["2026-03-01", "2026-03-01T12:00:00Z", "2026-03-01 14:00:00.5+02:00", "soon"], "date",
         [datetime(2026, 3, 1, tzinfo=UTC), NOON, NOON.replace(microsecond=500000), None]),
    ],
    ids=str,
)  # fmt: skip
def test_map_traits_casts_to_a_stated_type_and_keeps_what_does_not_fit(series, wanted, expected) -> None:
    values = mapped(series, type=wanted)
    assert values["f"].to_list() == expected
    kept = [json.loads(json.loads(raw)["f"]) if raw else None for raw in values["raw"]]
    lost = [value if got is None else None for value, got in zip(series, expected, strict=True)]
    assert kept == lost


def test_naive_datetimes_take_the_mappings_zone() -> None:
    naive = pl.Series([datetime(2026, 7, 1, 12), datetime(2026, 3, 29, 2, 30), datetime(2026, 10, 25, 2, 30)])
    values = mapped(naive, zone="Europe/Berlin")
    assert values["f"].to_list() == [datetime(2026, 7, 1, 10, tzinfo=UTC), None, None]
    assert values["raw"].is_not_null().to_list() == [False, True, True]  # clocks show these never, and twice
    assert mapped(naive)["f"].dtype == pl.Datetime("us")


def test_dates_beyond_the_calendar_do_not_fit() -> None:
    values = mapped(pl.Series([datetime(9999, 12, 31, 23, 30)]), zone="America/New_York")
    assert values["f"].to_list() == [None]
    assert values["raw"].null_count() == 0


def test_dates_reach_from_the_first_day_of_the_calendar_to_its_last() -> None:
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)
    times = pl.Series([first, last], dtype=pl.Datetime("us", "UTC"))
    beyond = pl.Series([first, last], dtype=pl.Datetime("ms", "UTC")).dt.epoch("ms") + pl.Series([-1, 1])
    assert mapped(times)["f"].to_list() == [first, last]
    assert mapped(times.dt.date())["f"].to_list() == [first, datetime(9999, 12, 31, tzinfo=UTC)]
    values = mapped(beyond.cast(pl.Datetime("ms", "UTC")))
    assert values["f"].to_list() == [None, None]
    assert values["raw"].null_count() == 0


@pytest.mark.parametrize("series", [[b"\xff"], [time(1)], [timedelta(1)], [[True]], [[{"a": 1}]]], ids=str)
def test_map_traits_leaves_alone_what_pendo_has_no_type_for(series: list) -> None:
    values = mapped(series)
    assert values["f"].dtype == pl.Series(series).dtype
    assert check_values(values, mapping=Mapping("visitor", "who", ["f"]))["rule"].to_list() == [
        "unsupported_type"
    ]


def test_structs_become_a_field_a_part() -> None:
    table = pl.DataFrame({"id": ["a"], "at": [{"city": "Rome", "geo": {"lat": 1.5}}]})
    values = map_traits(table, Mapping("account", "id", ["at"]))
    assert values.drop("row", "raw").to_dicts() == [{"id": "a", "at_city": "Rome", "at_geo_lat": 1.5}]


def test_struct_parts_must_not_meet_another_field() -> None:
    table = pl.DataFrame({"id": ["a"], "at": [{"city": "Rome"}], "at_city": ["Bari"]})
    with pytest.raises(MappingError, match="meet another trait's field: 'at_city'"):
        map_traits(table, Mapping("account", "id", ["at", "at_city"]))


def test_computed_traits_are_sql_or_expressions() -> None:
    table = pl.DataFrame({"id": ["a"], "price": [2.5], "n": [4]})
    traits = [Trait(sql="price * n", field="mrr"), Trait(expr=pl.col("n") + 1, field="next")]
    assert map_traits(table, Mapping("account", "id", traits)).select("mrr", "next").rows() == [(10.0, 5)]


def test_absent_columns_are_named_with_the_near_ones() -> None:
    table = pl.DataFrame({"id": ["a"], "seats": [1]})
    with pytest.raises(ColumnNotFoundError, match=r"did you mean 'seats'\?") as caught:
        map_traits(table, Mapping("visitor", "id", [Trait(sql="seat + 1", field="f")]))
    assert caught.value.missing == ("seat",)


@pytest.mark.parametrize("ids", [[1.5], [True], [NOON], [["a"]]], ids=str)
def test_ids_of_the_wrong_type_are_refused(ids: list) -> None:
    with pytest.raises(MappingError, match="Expected text or whole numbers"):
        map_traits(pl.DataFrame({"id": ids, "a": [1]}), Mapping("visitor", "id", ["a"]))


def test_a_trait_that_changes_the_number_of_rows_is_refused() -> None:
    table = pl.DataFrame({"id": ["a", "b"], "x": [[1, 2], [3, 4]]})
    with pytest.raises(MappingError, match="one value for each row"):
        map_traits(
            table, Mapping("visitor", "id", [Trait(expr=pl.col("x").explode(empty_as_null=True), field="f")])
        )


def test_check_mapping_returns_the_differences() -> None:
    mapping = Mapping("visitor", "id", ["plan", Trait("since", type="date")])
    rows = [{"id": 1, "plan": "pro", "since": "2026-03-01"}, {"id": 2, "plan": "free", "since": None}]
    good = [{"id": "1", "plan": "pro", "since": "2026-03-01T00:00:00Z"}, {"id": "2", "since": None}]
    assert check_mapping(mapping, rows=rows, expected=good).is_empty()
    told = check_mapping(mapping, rows=rows, expected=[{"plan": "Pro"}, {"colour": "red"}])
    assert told.rows() == [(0, "plan", "'Pro'", "'pro'"), (1, "colour", "'red'", "'no such field'")]
    with pytest.raises(MappingError, match="2 rows and 1 expected"):
        check_mapping(mapping, rows=rows, expected=good[:1])


# The law: a mapped value parsed from JSON equals the input after the casts that map_traits states, for all that
# check_values lets through.

WIDE_DATES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))
COLUMNS = st.one_of(
    st.lists(st.none() | st.text(), min_size=1, max_size=5).map(lambda v: pl.Series(v, dtype=pl.String)),
    st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5).map(
        lambda v: pl.Series(v, dtype=pl.Int64)
    ),
    st.lists(st.none() | st.integers(0, 2**64 - 1), min_size=1, max_size=5).map(
        lambda v: pl.Series(v, dtype=pl.UInt64)
    ),
    st.lists(st.none() | st.floats(), min_size=1, max_size=5).map(lambda v: pl.Series(v, dtype=pl.Float64)),
    st.lists(st.none() | st.booleans(), min_size=1, max_size=5).map(lambda v: pl.Series(v, dtype=pl.Boolean)),
    st.lists(st.none() | WIDE_DATES, min_size=1, max_size=5).map(
        lambda v: pl.Series(v, dtype=pl.Datetime("us", "UTC"))
    ),
    st.lists(st.none() | st.dates(), min_size=1, max_size=5).map(lambda v: pl.Series(v, dtype=pl.Date)),
    st.lists(st.none() | st.lists(st.none() | st.text(), max_size=3), min_size=1, max_size=5).map(
        lambda v: pl.Series(v, dtype=pl.List(pl.String))
    ),
)


def as_read(value: object) -> object:
    """What a reader of the JSON should see: the stated casts, written a second time, in plain Python."""
    if isinstance(value, datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000, tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value


@given(column=COLUMNS)
def test_what_travels_parses_back_to_the_input(column: pl.Series) -> None:
    table = pl.DataFrame({"id": [f"u{n}" for n in range(len(column))], "x": column})
    mapping = Mapping("visitor", "id", ["x"], group="agent")
    values = map_traits(table, mapping)
    clean = drop_blocked(values, check_values(values, mapping=mapping))
    empty = clean.clear()
    plan = plan_changes(
        diff_values(clean, before=empty, mapping=mapping),
        mapping=mapping,
        target=TARGET,
        create="unknown_ids",
    )
    sent = {
        record["visitorId"]: record["values"]
        for body in dry_run(plan)["body"]
        for record in json.loads(body, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    }
    inputs = dict(table.rows())
    assert sent.keys() == set(clean["id"])
    for id, cells in sent.items():
        for got in cells.values():
            if isinstance(as_read(inputs[id]), datetime):
                got = datetime.fromisoformat(got)
            assert got == as_read(inputs[id])
    kept = (
        {row["id"] for row in clean.drop_nulls("x").iter_rows(named=True)} if "x" in clean.columns else set()
    )
    assert {id for id, cells in sent.items() if cells} == kept


@pytest.mark.parametrize(
    ("series", "wanted"),
    [
        (pl.Series([2**53 + 1]), "float"),
        (pl.Series([2**64 - 1], dtype=pl.UInt64), "float"),
        (pl.Series([str(2**53 + 1)]), "float"),
        (pl.Series([str(10**25)]), "float"),
        (pl.Series([Decimal("12345678901234567.89")]), "float"),
        (pl.Series([Decimal("0.99999999999999999999")]), "integer"),
        (pl.Series([1.5]), "integer"),
        (pl.Series([float("nan")]), "text"),
        (pl.Series([float("inf")]), "integer"),
        (pl.Series(["24-01-05"]), "date"),
        (pl.Series(["1-1-1"]), "date"),
        (pl.Series(["2026-01-01T10:00:60Z"]), "date"),
        (pl.Series(["2026-02-30"]), "date"),
        (pl.Series([2**62], dtype=pl.Int64).cast(pl.Datetime("us", "UTC")), "date"),
        (pl.Series([2**31 - 1], dtype=pl.Int32).cast(pl.Date), "date"),
        (pl.Series([2**62], dtype=pl.Int64).cast(pl.Datetime("ms")), "text"),
    ],
)
def test_nothing_is_rounded_and_no_date_is_guessed(series: pl.Series, wanted: str) -> None:
    mapping = Mapping("visitor", "who", [Trait("x", field="f", type=wanted)], time_zone="Europe/Berlin")  # type: ignore[arg-type]
    values = map_traits(pl.DataFrame({"who": ["a"], "x": series}), mapping)
    assert values["f"].to_list() == [None]
    assert check_values(values, mapping=mapping)["rule"].to_list() == ["wrong_value"]


def test_what_a_text_float_or_integer_holds_exactly_is_taken() -> None:
    assert mapped([2**53, 5], type="float")["f"].to_list() == [2.0**53, 5.0]
    assert mapped(["9007199254740992", "0.1", " 7 "], type="float")["f"].to_list() == [2.0**53, 0.1, None]
    assert mapped([Decimal("7.00")], type="integer")["f"].to_list() == [7]


def test_a_trait_that_gives_one_value_for_all_rows_is_refused_unless_it_is_a_literal() -> None:
    table = pl.DataFrame({"id": ["a", "b"], "n": [1, 2]})
    for sql in ("MAX(n)", "COUNT(*)"):
        with pytest.raises(MappingError, match="gives 1 value for 2 rows"):
            map_traits(table, Mapping("visitor", "id", [Trait(sql=sql, field="f")]))
    constant = map_traits(table, Mapping("visitor", "id", [Trait(sql="'x'", field="f")]))
    assert constant["f"].to_list() == ["x", "x"]


def test_a_part_never_takes_another_traits_type_or_null_policy() -> None:
    table = pl.DataFrame({"id": ["a"], "address": [{"zip_code": "01067"}], "zz": [1]})
    traits = [Trait("address"), Trait("zz", field="address_zip", type="integer", null="clear")]
    with pytest.raises(MappingError, match="address_zip_code"):
        map_traits(table, Mapping("visitor", "id", traits))


@pytest.mark.parametrize(
    "table", [pl.scan_parquet("nope.parquet"), {"id": ["a"]}, None], ids=["lazy", "dict", "None"]
)
def test_what_is_no_table_is_told_as_such(table) -> None:
    with pytest.raises(TableError, match="Hint:"):
        map_traits(table, Mapping("visitor", "id", ["a"]))


def test_a_table_of_many_columns_is_mapped_and_checked() -> None:
    columns = [f"c{n}" for n in range(1500)]
    table = pl.DataFrame({"id": ["a", "b"], **{name: [1, 2] for name in columns}})
    values = map_traits(table, Mapping("visitor", "id", columns))
    assert values.width == 1503
    assert check_values(values, mapping=Mapping("visitor", "id", columns)).is_empty()


def test_a_column_whose_name_polars_would_read_as_a_pattern_is_one_column() -> None:
    table = pl.DataFrame({"*": ["ann"], "^a.*$": ["pro"], "ab": ["no"]})
    mapped = map_traits(table.lazy(), Mapping("visitor", "*", [Trait("^a.*$", field="plan")]))
    assert mapped.select("id", "plan").rows() == [("ann", "pro")]
