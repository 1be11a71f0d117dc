"""What stands in a table's columns: counts, ranges and samples, of any type that polars has."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from polars.testing.parametric import dataframes

from pendosync.columns import Column, measure_columns, most_frequent
from pendosync.errors import TableError


class Silent:
    """An object that has no text."""

    def __repr__(self) -> str:
        raise ValueError("none")


def column(values: object, dtype: pl.DataType | None = None) -> Column:
    n_rows, columns = measure_columns(pl.DataFrame({"x": pl.Series(values, dtype=dtype)}))  # type: ignore[arg-type]
    assert n_rows == len(values)  # type: ignore[arg-type]
    return columns[0]


def test_texts_tell_how_many_differ() -> None:
    assert column(["pro", "free", None, "pro"]) == Column(
        "x", pl.String(), 3, 2, "2 distinct", ("pro", "free")
    )
    assert column(["a", "b"]).told == "all different"
    assert column(["a"]).told == "1 distinct"


def test_numbers_and_dates_tell_from_where_to_where() -> None:
    assert column([5, 9, 7]).told == "5 … 9"
    assert column([5, 5]).told == "5"
    assert column([0.1 + 0.2, 2e6, float("nan")]).told == "0.3 … 2000000, 1 NaN"
    assert column([date(2026, 1, 1), date(2026, 3, 1)]).told == "2026-01-01 … 2026-03-01"
    assert column([datetime(2026, 1, 1, 8, tzinfo=UTC)]).told == "2026-01-01 08:00"
    assert column([timedelta(1), timedelta(hours=2)]).told == "2h … 1d"
    assert column([time(8), time(9)]).told == "08:00:00 … 09:00:00"
    assert column(["1.50", "2.25"], None).dtype == pl.String
    assert column(pl.Series(["1.50", "2.25"]).cast(pl.Decimal(10, 2))).told == "1.50 … 2.25"


def test_booleans_tell_how_many_are_true() -> None:
    assert column([True, False, None, True, True]).told == "true 75%"
    assert column([None], pl.Boolean()).told == ""


def test_samples_differ_and_are_three_short_texts_at_most() -> None:
    assert column([1, 1, 2, 3, 4]).samples == ("1", "2", "3")
    assert column(["x" * 1_000_000]).samples == ("x" * 39 + "…",)
    assert column([["a", None], ["a", None], []]).samples == ("[a, null]", "[]")
    assert column([{"a": 1, "b": date(2026, 1, 1)}]).samples == ("{a: 1, b: 2026-01-01}",)
    assert column([b"\0a"]).samples == (r"b'\x00a'",)
    assert column([list(range(1000))]).samples == ("[0, 1, 2, 3, 4, 5, 6, 7]",)


def test_what_no_calendar_holds_is_counted_and_not_shown() -> None:
    far = column(pl.Series([2**62, 0]).cast(pl.Datetime("ms")))
    assert (far.told, far.samples) == (
        "1970-01-01 00:00, 1 outside the years 1 to 9999",
        ("1970-01-01 00:00",),
    )
    assert column(pl.Series([2**31 - 1], dtype=pl.Int32).cast(pl.Date)).samples == ()
    assert column(pl.Series([2**62]).cast(pl.Duration("ms"))).told.startswith("53375995583d")
    assert column(pl.Series([[2**62]]).cast(pl.List(pl.Datetime("ms")))).samples == ("[null]",)
    first_ms = -62_135_596_800_000
    assert column(pl.Series([first_ms]).cast(pl.Datetime("ms", "America/New_York"))).samples == ()


@pytest.mark.parametrize("dtype", [pl.Object(), pl.Null(), pl.Struct({}), pl.List(pl.Null), pl.Enum(["a"])])
def test_a_column_without_values_is_measured(dtype: pl.DataType) -> None:
    measured = column([None, None], dtype) if not isinstance(dtype, pl.Struct) else column([{}, {}], dtype)
    assert measured.told == ""
    assert measure_columns(pl.DataFrame(schema={"x": dtype}))[0] == 0


def test_objects_are_counted_only() -> None:
    assert column([Silent(), None], pl.Object()) == Column("x", pl.Object(), 1, 0, "", ())


@pytest.mark.parametrize("name", ["*", "^.*$", "^a$", "", "x filled", "0 filled", "rows"])
def test_a_column_may_have_any_name(name: str) -> None:
    _, columns = measure_columns(pl.DataFrame({"a": [1, 2], name: ["x", None]}))
    assert [(one.name, one.n_filled) for one in columns] == [("a", 2), (name, 1)]


def test_a_table_without_columns_has_none() -> None:
    assert measure_columns(pl.DataFrame()) == (0, [])
    assert measure_columns(pl.LazyFrame()) == (0, [])


def test_a_lazy_table_is_measured_and_its_file_spoken_of(tmp_path: Path) -> None:
    path = tmp_path / "users.parquet"
    pl.DataFrame({"id": ["a", "b"]}).write_parquet(path)
    lazy = pl.scan_parquet(path)
    assert measure_columns(lazy) == measure_columns(lazy.collect())
    path.unlink()
    with pytest.raises(TableError, match="Hint"):
        measure_columns(pl.scan_parquet(path))


def test_the_most_frequent_texts_have_their_share_and_ties_an_order() -> None:
    assert most_frequent(pl.Series(["b", "a", "c", "c", None, "d"])) == ("c 40%", "a 20%", "b 20%")
    assert most_frequent(pl.Series([None], dtype=pl.String)) == ()


@settings(max_examples=60, deadline=None)
@given(dataframes(max_cols=4, max_size=6, excluded_dtypes=[pl.Struct]))
def test_any_frame_is_measured(frame: pl.DataFrame) -> None:
    n_rows, columns = measure_columns(frame)
    assert n_rows == frame.height
    assert [one.n_filled for one in columns] == [len(series) - series.null_count() for series in frame]
    assert all(len(text) <= 40 and text.isprintable() for one in columns for text in one.samples)
