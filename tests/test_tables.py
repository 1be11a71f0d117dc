"""Tables: what comes in, with which types, and which sentence a bad source gets."""

from __future__ import annotations

import datetime as dt
import gzip
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pendosync.errors import ColumnNotFoundError, PendosyncError, TableError
from pendosync.tables import collect_table, load_table

USERS = "id,plan,seats\nann,pro,3\nbo,free,\n"
ROWS = [("ann", "pro", 3), ("bo", "free", None)]
FRAME = pl.DataFrame(ROWS, schema=["id", "plan", "seats"], orient="row")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Every test works in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, content: str | bytes) -> str:
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return name


def rows_of(source: Any, **options: Any) -> list[tuple[Any, ...]]:
    return collect_table(load_table(source, **options)).rows()


def types_of(*lines: str, **options: Any) -> list[str]:
    table = load_table(write("t.csv", "\n".join(lines) + "\n"), **options)
    return [str(dtype) for dtype in table.collect_schema().dtypes()]


def said(make: Callable[[], object]) -> str:
    with pytest.raises(PendosyncError) as caught:
        make()
    message = str(caught.value)
    assert ". Expected " in message or "It has" in message, message
    assert "Hint: " in message, message
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return message


# What comes in


@pytest.mark.parametrize(
    "suffix", ["csv", "CSV", "tsv", "parquet", "pq", "ndjson", "jsonl", "csv.gz", "ndjson.gz"]
)
def test_a_path_becomes_a_lazy_table(suffix: str) -> None:
    kind = suffix.lower().removesuffix(".gz")
    name = f"users.{suffix}"
    if kind in ("csv", "tsv"):
        content = USERS.replace(",", "\t" if kind == "tsv" else ",").encode()
    elif kind in ("ndjson", "jsonl"):
        content = FRAME.write_ndjson().encode()
    else:
        FRAME.write_parquet(name)
        content = Path(name).read_bytes()
    write(name, gzip.compress(content) if suffix.endswith(".gz") else content)
    table = load_table(name)
    assert isinstance(table, pl.LazyFrame)
    assert table.collect().rows() == ROWS
    assert isinstance(load_table(Path(name)), pl.LazyFrame)


def test_polars_frames_pass_through_as_they_are() -> None:
    lazy = FRAME.lazy()
    assert load_table(FRAME) is FRAME
    assert load_table(lazy) is lazy


def test_a_table_without_rows_is_a_table() -> None:
    assert load_table(write("t.csv", "id,plan\n")).collect().shape == (0, 2)
    assert load_table(FRAME.clear()).shape == (0, 3)


def test_a_glob_and_a_folder_read_their_files_in_order() -> None:
    os.mkdir("parts")
    write("parts/b.csv", "plan,id\nfree,bo\n")
    write("parts/a.csv", "id,plan\nann,pro\n")
    write("parts/_SUCCESS", "")
    expected = [("ann", "pro"), ("bo", "free")]
    assert rows_of("parts/*.csv") == rows_of("parts") == rows_of("**/*.csv") == expected


def test_files_of_one_table_agree_on_a_type() -> None:
    write("a.csv", "id,n,zip,note\nann,1,1000,\n")
    write("b.csv", "id,n,zip,note\nbo,2.5,007,x\n")
    assert rows_of("*.csv") == [("ann", 1.0, "1000", None), ("bo", 2.5, "007", "x")]


def test_parts_of_ndjson_may_lack_a_key_and_numbers_widen() -> None:
    write("a.ndjson", '{"id": "ann", "n": 1}\n')
    write("b.ndjson", '{"id": "bo", "n": 2.5, "plan": "pro"}\n')
    assert rows_of("*.ndjson") == [("ann", 1.0, None), ("bo", 2.5, "pro")]


def test_a_name_with_glob_marks_is_still_a_name() -> None:
    os.mkdir("q[1]")
    for name in ("q[1]/t[2].csv", "q[1]/t*.ndjson"):
        write(name, USERS if name.endswith("csv") else FRAME.write_ndjson())
        assert rows_of(name) == ROWS


# The types of a CSV


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "-20", "0"], "Int64"),
        (["-0"], "Float64"),
        (["1", ""], "Int64"),
        (["007", "8"], "String"),
        (["-01"], "String"),
        (["+4912345"], "String"),
        ([" 7"], "String"),
        (["9223372036854775807"], "Int64"),
        (["9223372036854775808", "1"], "String"),
        (["1.50", "2", ".5", "1e-3"], "Float64"),
        (["1.5", "NaN", "-inf"], "Float64"),
        (["1.5", "12345678901234567890"], "String"),
        (["007.5"], "String"),
        (["1,5"], "String"),
        (["true", "FALSE", ""], "Boolean"),
        (["yes", "no"], "String"),
        (["2026-11-23"], "Date"),
        (["2026-02-31"], "String"),
        (["26-11-23"], "String"),
        (["01/02/2026"], "String"),
        (["10:30"], "String"),
        (["2026-11-23T10:00:00", "2026-11-23T10:00:00.5"], "Datetime(time_unit='us', time_zone=None)"),
        (["2026-11-23 10:00"], "Datetime(time_unit='us', time_zone=None)"),
        (["2026-11-23T10:00:00Z", "2026-11-23T10:00:00+02:00"], "Datetime(time_unit='us', time_zone='UTC')"),
        (["2026-11-23 10:00:00+0000"], "Datetime(time_unit='us', time_zone='UTC')"),
        (["2026-11-23", "2026-11-23T10:00:00"], "String"),
        (["", ""], "String"),
    ],
)
def test_a_column_has_the_type_that_each_value_has(values: list[str], expected: str) -> None:
    quoted = [f'x,"{value}"' if value else "x," for value in values]
    assert types_of("id,value", *quoted) == ["String", expected]


def test_a_moment_is_read_in_utc() -> None:
    write("t.csv", "at\n2026-11-23T10:00:00+02:00\n")
    assert rows_of("t.csv") == [(dt.datetime(2026, 11, 23, 8, tzinfo=dt.UTC),)]


def test_the_last_row_counts_as_much_as_the_first() -> None:
    assert types_of("n", *["1"] * 5_000, "007") == ["String"]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text("0127+-.eT: /naif", min_size=1, max_size=6), min_size=1, max_size=4))
def test_no_value_of_a_csv_loses_what_was_written(texts: list[str]) -> None:
    content = "id,value\n" + "".join(f'x,"{text}"\n' for text in texts)
    read = collect_table(load_table(write("t.csv", content)))["value"]
    for text, value in zip(texts, read, strict=True):
        if read.dtype == pl.Float64:
            assert value == float(text) or (math.isnan(value) and text.lower() == "nan")
        elif read.dtype.is_temporal():
            assert str(value).startswith(text[:10])
        else:
            assert str(value) == text


def test_options_say_what_the_file_means() -> None:
    write("t.csv", "id;n;zip\nann;NULL;7\nbo;5;8\n")
    table = load_table("t.csv", separator=";", null_values="NULL", schema_overrides={"zip": pl.String})
    assert table.collect().rows() == [("ann", None, "7"), ("bo", 5, "8")]


@pytest.mark.parametrize("encoding", ["windows-1252", "utf-16", "utf-8-sig"])
def test_a_csv_may_have_another_encoding(encoding: str) -> None:
    write("t.csv", "id,name\nann,Zoë\n".encode(encoding))
    assert rows_of("t.csv", encoding=encoding) == [("ann", "Zoë")]


def test_a_byte_order_mark_is_no_part_of_a_name() -> None:
    assert load_table(write("t.csv", "\ufeff" + USERS)).collect_schema().names() == ["id", "plan", "seats"]


def test_a_line_with_too_few_fields_ends_in_nulls() -> None:
    assert rows_of(write("t.csv", "id,plan\nann\nbo,pro\n")) == [("ann", None), ("bo", "pro")]


# Frames of other libraries


def test_pandas_comes_in_with_its_named_index_and_without_its_row_numbers() -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    users = pd.DataFrame({"id": ["ann", "bo", "cy"], "seats": [3, None, 5]})
    assert rows_of(users) == [("ann", 3.0), ("bo", None), ("cy", 5.0)]
    assert load_table(users[users["seats"] > 3]).columns == ["id", "seats"]
    assert sorted(load_table(users.set_index("id")).columns) == ["id", "seats"]


def test_pyarrow_and_duckdb_come_in() -> None:
    pa = pytest.importorskip("pyarrow")
    duckdb = pytest.importorskip("duckdb")
    table = pa.table({"id": ["ann"], "seats": [3]})
    assert rows_of(table) == rows_of(table.to_batches()[0]) == [("ann", 3)]
    assert rows_of(duckdb.sql("select 'ann' as id, 3 as seats")) == [("ann", 3)]


class Broken:
    """Says that it is a frame, and fails in the middle."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        raise RuntimeError("the connection is closed")


class WithoutPyarrow:
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        raise ImportError("`Import pyarrow` failed")


@pytest.mark.parametrize(
    ("make", "beat"),
    [
        (lambda: None, "A NoneType is no table"),
        (lambda: {"id": ["ann"]}, "A dict is no table"),
        (lambda: [1], "pl.DataFrame"),
        (lambda: pl.DataFrame, "A DataFrame is no table"),
        (lambda: pl.DataFrame(), "has no columns"),
        (lambda: pl.LazyFrame(), "has no columns"),
        (lambda: pl.LazyFrame({"a": [1]}).select("b"), '"b"'),
        (lambda: pl.Series("a", [1]), "can't be read as a table"),
        (Broken, "the connection is closed"),
        (WithoutPyarrow, "pip install pyarrow"),
    ],
)
def test_what_is_no_table_is_refused(make: Callable[[], Any], beat: str) -> None:
    assert beat in said(lambda: load_table(make()))


def test_foreign_frames_that_polars_cannot_read_are_refused() -> None:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    assert "Duplicate column names" in said(lambda: load_table(pd.DataFrame([[1, 2]], columns=["a", "a"])))
    assert "Could not convert" in said(lambda: load_table(pd.DataFrame({"a": [1, "x"]})))
    assert "can't be read" in said(lambda: load_table(pd.Series([1])))


# Files that are not what they should be


@pytest.mark.parametrize(
    ("name", "content", "beats"),
    [
        ("t.csv", "", ["'t.csv' is empty (0 bytes)"]),
        ("t.csv", "\n\n", ["no header and no rows"]),
        ("t.csv", "id,plan\nann,pro\nbo,free,x\n", ["Line 3 of 't.csv' has 3 fields", "Expected 2"]),
        ("t.csv", "id,plan\n" + "ann,pro\n" * 3_000 + "bo,free,x\n", ["Line 3,002", "has 3 fields"]),
        ("t.csv", 'id,plan\n"a\nb",pro\nbo,free,x\n', ["Line 4", "has 3 fields"]),
        ("t.csv", "id,name\nann,Zoë\n".encode("latin-1"), ["Line 2", "not UTF-8", "encoding='windows-1252'"]),
        ("t.csv", "id,naïf\nann,x\n".encode("latin-1"), ["header", "not UTF-8", "encoding='windows-1252'"]),
        ("t.csv", "id,name\nann,x\n".encode("utf-16"), ["UTF-16", "encoding='utf-16'"]),
        ("t.csv", b"PK\x03\x04\x14\x00\x06\x00", ["an Excel or zip file, not text"]),
        ("t.csv", b"id,plan\nann,\x00\n", ["a binary file"]),
        ("t.csv", 'id,plan\nann,"pro\nbo,free\n', ['a quote (") that is opened']),
        ("t.csv", "id,plan,id\nann,pro,x\n", ["more than one column 'id'"]),
        ("t.csv", "id;plan\nann;pro\n", ["one column, 'id;plan'", "separator=';'"]),
        ("t.csv.gz", gzip.compress(b"id\nann,x\n", mtime=0), ["more fields than its header"]),
        ("t.parquet", "", ["is empty (0 bytes)"]),
        ("t.parquet", "PAR1 and no more", ["no Parquet file", "PAR1"]),
        ("t.ndjson", "\n", ["no header and no rows"]),
        ("t.ndjson", '{"id": "ann"}\n{"id": \n', ["Line 2 of 't.ndjson' is not JSON"]),
        ("t.ndjson", '{"id": "ann"}\n[1]\n', ["Line 2", "no object", "pl.read_json"]),
        ("t.ndjson", '[{"id": "ann"}]', ["Line 1", "no object"]),
        ("t.ndjson", '{"id": "Zoë"}\n'.encode("latin-1"), ["Line 1", "not UTF-8"]),
        ("t.ndjson", "{}\n", ["no columns"]),
        ("t.ndjson", '{"a": {"x": 1}}\n{"a": 5}\n', ["don't go together"]),
        ("t.txt", "id\n", ["the suffix '.txt'", ".parquet"]),
        ("users", "id\n", ["no suffix"]),
    ],
)
def test_a_bad_file_is_refused_at_once(name: str, content: str | bytes, beats: list[str]) -> None:
    message = said(lambda: load_table(write(name, content)))
    assert all(beat in message for beat in beats), message


def test_a_cut_parquet_file_is_refused() -> None:
    FRAME.write_parquet("t.parquet")
    whole = Path("t.parquet").read_bytes()
    write("t.parquet", whole[: len(whole) // 2])
    assert "cut short" in said(lambda: load_table("t.parquet"))


def test_a_missing_file_names_those_that_are_near() -> None:
    write("users.csv", USERS)
    write("accounts.csv", USERS)
    message = said(lambda: load_table("user.csv"))
    assert "load_table('users.csv')" in message
    assert "accounts" not in message
    assert "'accounts.csv', 'users.csv'" in said(lambda: load_table("people.csv"))
    assert "no folder 'exports'" in said(lambda: load_table("exports/users.csv"))


def test_paths_that_mean_nothing_are_refused() -> None:
    write("users.csv", USERS)
    os.mkdir("empty")
    os.mkdir("notes")
    write("notes/a.txt", "x")
    assert "No file matches '*.parquet'" in said(lambda: load_table("*.parquet"))
    assert "holds no table: it has no files" in said(lambda: load_table("empty"))
    assert "only 'a.txt'" in said(lambda: load_table("notes"))
    assert "The path is empty" in said(lambda: load_table(" "))
    assert "pl.scan_parquet('s3://b/t.parquet')" in said(lambda: load_table("s3://b/t.parquet"))


def test_files_that_are_no_parts_of_one_table_are_refused() -> None:
    write("a.csv", "id,plan\nann,pro\n")
    write("b.csv", "id\nbo\n")
    assert "only one of them has the column 'plan'" in said(lambda: load_table("*.csv"))
    pl.DataFrame({"id": [1]}).write_parquet("a.parquet")
    pl.DataFrame({"id": ["x"]}).write_parquet("b.parquet")
    assert "'id' is text in some, integer in others" in said(lambda: load_table("*.parquet"))
    assert "several formats: 'CSV', 'Parquet'" in said(lambda: load_table("."))


@pytest.mark.skipif(
    os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all"
)
def test_a_file_without_permission_is_refused() -> None:
    os.chmod(write("t.csv", USERS), 0)
    assert "permission denied" in said(lambda: load_table("t.csv"))


def test_options_that_do_not_fit_are_refused() -> None:
    write("t.csv", USERS)
    write("t.ndjson", FRAME.write_ndjson())
    assert "sheet= does not apply" in said(lambda: load_table("t.csv", sheet="Users"))
    assert "separator= does not apply to a DataFrame" in said(lambda: load_table(FRAME, separator=";"))
    assert "one plain character" in said(lambda: load_table("t.csv", separator="::"))
    assert "no encoding 'klingon'" in said(lambda: load_table("t.csv", encoding="klingon"))
    assert "not written in utf-16" in said(lambda: load_table("t.csv", encoding="utf-16"))
    assert "a polars type" in said(lambda: load_table("t.csv", schema_overrides={"id": "text"}))
    for name in ("t.csv", "t.ndjson"):
        with pytest.raises(ColumnNotFoundError, match="did you mean 'plan'"):
            load_table(name, schema_overrides={"Plan": pl.String})
    message = said(lambda: load_table("t.csv", schema_overrides={"plan": pl.Int64}))
    assert "the value 'pro' in the column 'plan'" in message


# Excel


def test_excel_reads_a_sheet() -> None:
    pytest.importorskip("fastexcel")
    pytest.importorskip("xlsxwriter")
    zips = pl.DataFrame({"id": ["ann", "bo"], "zip": ["007", "8"], "seats": [3, 5]})
    zips.write_excel("t.xlsx", worksheet="Users")
    assert rows_of("t.xlsx") == rows_of("t.xlsx", sheet="Users") == [("ann", "007", 3), ("bo", "8", 5)]
    assert rows_of("t.xlsx", schema_overrides={"seats": pl.String})[0] == ("ann", "007", "3")
    assert "one of 'Users'" in said(lambda: load_table("t.xlsx", sheet="User"))
    assert "'zip'" in said(lambda: load_table("t.xlsx", schema_overrides={"Zip": pl.String}))


def test_a_bad_excel_file_is_refused() -> None:
    pytest.importorskip("fastexcel")
    xlsxwriter = pytest.importorskip("xlsxwriter")
    assert "no Excel file" in said(lambda: load_table(write("t.xlsx", b"PK\x03\x04 and no more")))
    with xlsxwriter.Workbook("u.xlsx") as book:
        book.add_worksheet("Twice").write_row(0, 0, ["id", "id"])
        book.add_worksheet("Near").write_row(0, 0, ["id", "id_1"])
        book.add_worksheet("Empty")
    assert "more than one column 'id'" in said(lambda: load_table("u.xlsx"))
    assert "no header and no rows" in said(lambda: load_table("u.xlsx", sheet="Empty"))
    assert load_table("u.xlsx", sheet="Near").collect_schema().names() == ["id", "id_1"]


def test_excel_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fastexcel", None)
    write("t.xlsx", b"PK\x03\x04")
    assert "pip install 'pendosync[excel]'" in said(lambda: load_table("t.xlsx"))


# Into memory


def test_collect_table_takes_the_named_columns_in_their_order() -> None:
    for table in (FRAME, FRAME.lazy()):
        assert collect_table(table, columns=["seats", "id"]).rows() == [(3, "ann"), (None, "bo")]
        with pytest.raises(ColumnNotFoundError, match="did you mean 'plan'"):
            collect_table(table, columns=["Plan"])


def test_a_file_that_changed_since_it_was_loaded_speaks_our_language() -> None:
    table = load_table(write("t.csv", USERS))
    write("t.csv", "id,plan,seats\nann,pro,3,4\n")
    assert "more fields" in said(lambda: collect_table(table))
    write("t.csv", "id,plan,seats\nann,pro,many\n")
    assert "the value 'many' in the column 'seats'" in said(lambda: collect_table(table))
    os.remove("t.csv")
    assert "not there any more" in said(lambda: collect_table(table))


def test_a_damaged_page_speaks_our_language() -> None:
    pl.DataFrame({"id": [f"user-{n}" for n in range(5_000)]}).write_parquet("t.parquet")
    whole = bytearray(Path("t.parquet").read_bytes())
    whole[40:400] = b"\xff" * 360
    table = load_table(write("t.parquet", bytes(whole)))
    assert "damaged" in said(lambda: collect_table(table))


def test_a_failing_computation_speaks_our_language() -> None:
    table = pl.LazyFrame({"id": ["ann"]}).with_columns(pl.col("id").cast(pl.Int64))
    assert "The table can't be read" in said(lambda: collect_table(table))
    assert "A dict is no table" in said(lambda: collect_table({}))  # type: ignore[arg-type]


def test_a_panic_below_speaks_our_language_and_an_interrupt_does_not() -> None:
    class PanicException(BaseException):
        """As polars' own, which can't be imported in every version."""

    def raising(error: type[BaseException]) -> pl.LazyFrame:
        class Table(pl.LazyFrame):
            def lazy(self) -> pl.LazyFrame:
                raise error("broken")

        return Table({"id": ["ann"]})

    assert "broken" in said(lambda: collect_table(raising(PanicException)))
    with pytest.raises(KeyboardInterrupt):
        collect_table(raising(KeyboardInterrupt))
    with pytest.raises(MemoryError):
        collect_table(raising(MemoryError))


def test_errors_are_table_errors() -> None:
    with pytest.raises(TableError):
        load_table("nothing.csv")
