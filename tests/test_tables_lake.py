"""Tables larger than memory: a Dask DataFrame, and a hive of Parquet."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from pendosync import ColumnNotFoundError, TableError, load_table, map_traits, suggest_mapping
from pendosync.tables import collect_table

# A Dask DataFrame


@pytest.fixture
def dd() -> Any:
    """Dask's frames, computed in this thread; without them a test is skipped, but never in CI where pandas is there."""
    pytest.importorskip("pandas")
    try:
        import dask
        import dask.dataframe as frames
    except ImportError:
        reason = "dask[dataframe] is not installed. Hint: pip install 'dask[dataframe]'"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    with dask.config.set(scheduler="synchronous"):
        yield frames


COMPUTED: list[tuple[int, list[str]]] = []
"""Which partition was computed, with which columns: Dask may copy what it calls, so it notes that here."""


def read(number: int, columns: list[str] | None = None) -> Any:
    """A source of Dask's that reads only the columns it is asked for."""
    import pandas as pd

    columns = ["id", "seats", "on"] if columns is None else list(columns)
    COMPUTED.append((number, columns))
    ids = [f"u{2 * number}", f"u{2 * number + 1}"]
    return pd.DataFrame({"id": ids, "seats": [number, 10 * number], "on": [True, False]})[columns]


@pytest.fixture
def users(dd: Any) -> Any:
    """A frame of three partitions, two rows each."""
    import pandas as pd

    types = {"id": "str", "seats": "int64", "on": "bool"}
    meta = pd.DataFrame({name: pd.Series([], dtype=dtype) for name, dtype in types.items()})
    COMPUTED.clear()
    return dd.from_map(read, range(3), meta=meta)


def test_nothing_of_a_dask_frame_is_computed_before_a_verb_reads_it(users: Any) -> None:
    table = load_table(users)
    assert isinstance(table, pl.LazyFrame)
    assert table.collect_schema() == {"id": pl.String, "seats": pl.Int64, "on": pl.Boolean}
    assert COMPUTED == []
    assert collect_table(table).rows() == [
        ("u0", 0, True), ("u1", 0, False), ("u2", 1, True), ("u3", 10, False), ("u4", 2, True), ("u5", 20, False),
    ]  # fmt: skip


def test_only_the_columns_that_are_read_are_computed_a_partition_at_a_time(users: Any) -> None:
    assert collect_table(load_table(users), columns=["seats"])["seats"].to_list() == [0, 0, 1, 10, 2, 20]
    assert COMPUTED == [(0, ["seats"]), (1, ["seats"]), (2, ["seats"])]


def test_what_was_chosen_on_the_frame_is_computed_there(users: Any) -> None:
    frame = users[users.seats > 0].assign(double=lambda chosen: chosen.seats * 2)[["id", "double"]]
    table = load_table(frame)
    assert collect_table(table).rows() == [("u2", 2), ("u3", 20), ("u4", 4), ("u5", 40)]
    assert {tuple(sorted(columns)) for _, columns in COMPUTED} == {("id", "seats")}


def test_a_few_rows_cost_a_few_partitions(users: Any) -> None:
    assert load_table(users).head(3).collect().height == 3  # type: ignore[union-attr]
    assert sorted({number for number, _ in COMPUTED}) == [0, 1]


@pytest.mark.parametrize("engine", ["in-memory", "streaming"])
def test_polars_filters_counts_and_slices_such_a_table(users: Any, engine: Any) -> None:
    table: Any = load_table(users)
    assert table.select(pl.len()).collect(engine=engine).item() == 6
    assert table.filter(pl.col("on") & (pl.col("seats") > 0)).select("id").collect(engine=engine).rows() == [
        ("u2",),
        ("u4",),
    ]
    assert table.with_row_index().slice(3, 2).collect(engine=engine)["id"].to_list() == ["u3", "u4"]
    assert table.select("seats", "id").head(1).collect(engine=engine).rows() == [(0, "u0")]


def test_a_named_index_of_a_dask_frame_is_a_column_as_one_of_pandas_is(dd: Any) -> None:
    import pandas as pd

    users = pd.DataFrame({"id": ["a", "b", "c", "d"], "seats": [1, 2, 3, 4]})
    named = dd.from_pandas(users.set_index("id"), npartitions=2)
    assert collect_table(load_table(named)).rows(named=True) == load_table(users.set_index("id")).rows(
        named=True
    )  # type: ignore[union-attr]
    assert collect_table(load_table(named), columns=["id"]).columns == ["id"]
    counted = users.rename_axis(index="number")
    assert collect_table(load_table(dd.from_pandas(counted, npartitions=2)))["number"].to_list() == [
        0,
        1,
        2,
        3,
    ]
    unnamed = dd.from_pandas(users, npartitions=2)
    assert load_table(unnamed[unnamed.seats > 1]).collect_schema().names() == ["id", "seats"]


def test_categories_of_a_dask_frame_are_text(dd: Any) -> None:
    import pandas as pd

    parts = [pd.DataFrame({"id": [name], "plan": pd.Categorical([name])}) for name in ("a", "b")]
    frame = dd.concat([dd.from_pandas(part, npartitions=1) for part in parts])
    table = load_table(frame)
    assert table.collect_schema()["plan"] == pl.String
    assert collect_table(table)["plan"].to_list() == ["a", "b"]


def test_a_dask_frame_is_mapped_as_any_table(users: Any) -> None:
    table = load_table(users)
    mapping = suggest_mapping(table, kind="visitor")
    assert map_traits(table, mapping)["id"].to_list() == [f"u{number}" for number in range(6)]


def broken(number: int) -> Any:
    import pandas as pd

    if number == 1:
        raise OSError("no such bucket")
    return pd.DataFrame({"id": ["a"], "seats": [1.5 if number else 1]})


def other(number: int) -> Any:
    import pandas as pd

    return pd.DataFrame({"id": ["a"], "seats": [1.5 if number else 1]})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (broken, r"Partition 1 of the dask DataFrame can't be computed: no such bucket. Expected .* Hint: frame.partitions\[1\]"),
        (other, r"Partition 1 of the dask DataFrame holds .* in the column 'seats'. Expected .* Hint: frame.astype"),
    ],
)  # fmt: skip
def test_a_partition_that_breaks_is_named(dd: Any, make: Callable[[int], Any], message: str) -> None:
    import pandas as pd

    meta = pd.DataFrame({"id": pd.Series([], dtype="str"), "seats": pd.Series([], dtype="int64")})
    table = load_table(dd.from_map(make, range(3), meta=meta))
    with pytest.raises(TableError, match=message):
        collect_table(table)


def test_a_dask_frame_that_names_no_type_is_told(dd: Any, users: Any) -> None:
    import dask
    import pandas as pd

    objects = pd.DataFrame({"id": ["a"], "tags": pd.Series([["x"]], dtype="object")})
    with dask.config.set({"dataframe.convert-string": False}):
        frame = dd.from_pandas(objects, npartitions=1)
        with pytest.raises(
            TableError, match=r"doesn't say what its column .*'tags'.* Expected .* Hint: frame.astype"
        ):
            load_table(frame)
    with pytest.raises(TableError, match="A Series is no table"):
        load_table(frame["id"])
    with pytest.raises(TableError, match="more than one column 'id'"):
        load_table(dd.concat([users, users], axis=1))
    with pytest.raises(ColumnNotFoundError, match="no column 'plan'"):
        collect_table(load_table(users), columns=["plan"])


# A hive of Parquet


def write(folder: Path, keys: str, rows: dict[str, list[Any]], name: str = "part-0.parquet") -> None:
    (folder / keys).mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_parquet(folder / keys / name)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Three files below two keys, in a folder whose own path looks like a key, and what a writer leaves beside."""
    folder = tmp_path / "stage=raw" / "a=b=c" / "x=[1]" / "users"
    write(folder, "day=2026-01-02/region=eu", {"id": ["cy"], "seats": [3]})
    write(folder, "day=2026-01-01/region=007", {"id": ["ann", "bo"], "seats": [1, 2]})
    write(folder, "day=2026-01-02/region=a%20b", {"id": ["di"], "seats": [4]})
    (folder / "_SUCCESS").touch()
    (folder / "day=2026-01-02" / ".part-0.parquet.crc").write_bytes(b"crc")
    return folder


def test_the_keys_of_a_hive_are_columns(lake: Path) -> None:
    table = load_table(lake)
    assert isinstance(table, pl.LazyFrame)
    assert table.collect_schema() == {"id": pl.String, "seats": pl.Int64, "day": pl.Date, "region": pl.String}
    first, second = date(2026, 1, 1), date(2026, 1, 2)
    assert collect_table(table).rows() == [
        ("ann", 1, first, "007"), ("bo", 2, first, "007"), ("di", 4, second, "a b"), ("cy", 3, second, "eu"),
    ]  # fmt: skip


def test_a_hive_streams_and_a_filter_on_a_key_passes_over_files(lake: Path) -> None:
    table: Any = load_table(lake)
    chosen = table.filter(pl.col("region") == "eu").select("id", "day")
    (lake / "day=2026-01-01" / "region=007" / "part-0.parquet").write_bytes(b"not read")
    assert chosen.collect(engine="streaming").rows() == [("cy", date(2026, 1, 2))]


def test_a_relative_path_to_a_hive_is_one_too(lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(lake.parent)
    table = load_table("users")
    monkeypatch.chdir(lake)
    assert collect_table(table, columns=["region"]).height == 4


@pytest.mark.parametrize(
    ("values", "dtype", "held"),
    [
        (["1", "-20", "0"], pl.Int64, [-20, 0, 1]),
        (["01", "2"], pl.String, ["01", "2"]),
        (["2026-01-31", "2026-02-30"], pl.String, ["2026-01-31", "2026-02-30"]),
        (["99999999999999999999"], pl.String, ["99999999999999999999"]),
        (["1", "__HIVE_DEFAULT_PARTITION__"], pl.Int64, [None, 1]),
        (["__HIVE_DEFAULT_PARTITION__"], pl.String, [None]),
        (["a%3Db", "caf%C3%A9"], pl.String, ["a=b", "café"]),
        (["", "[x]?"], pl.String, ["", "[x]?"]),
    ],
)
def test_a_key_has_a_type_that_each_of_its_values_has(
    tmp_path: Path, values: list[str], dtype: Any, held: list[Any]
) -> None:
    for value in values:
        write(tmp_path, f"key={value}", {"id": ["a"]})
    table = load_table(tmp_path)
    assert table.collect_schema()["key"] == dtype
    assert collect_table(table)["key"].sort().to_list() == held


def test_a_key_that_its_files_hold_too_stands_once(tmp_path: Path) -> None:
    write(tmp_path, "plan=pro", {"plan": ["other"], "id": ["a"]})
    assert collect_table(load_table(tmp_path)).rows(named=True) == [{"id": "a", "plan": "pro"}]


def beside(folder: Path) -> None:
    pl.DataFrame({"id": ["x"]}).write_parquet(folder / "more.parquet")


def csv_in_it(folder: Path) -> None:
    (folder / "day=2026-01-02" / "region=eu" / "x.csv").write_text("id\nx\n")


def cut(folder: Path) -> None:
    (folder / "day=2026-01-02" / "region=eu" / "part-0.parquet").write_bytes(b"PAR1 and no more")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda lake: write(lake, "day=2026-01-02", {"id": ["x"], "seats": [1]}), r"folders of 'day', .* of 'day', 'region'. Expected the same keys"),
        (lambda lake: write(lake, "day=2026-01-03/region=x", {"id": ["x"]}), r"are not parts of one table: only one of them has the column 'seats'"),
        (lambda lake: write(lake, "day=2026-01-03/region=x", {"id": ["x"], "seats": ["1"]}), r"the column 'seats' is Int64 in the first, String in the second"),
        (lambda lake: write(lake, "day=2026-01-03/region=a*", {"id": ["x"], "seats": [1]}), r"'region=a\*' .* can't be read as a key .* Hint: rename it"),
        (lambda lake: write(lake, "day=2026-01-03/region=a=b", {"id": ["x"], "seats": [1]}), r"'region=a=b' .* can't be read as a key"),
        (lambda lake: write(lake, "day=2026-01-03/day=1", {"id": ["x"], "seats": [1]}), r"'day=1' .* can't be read as a key"),
        (beside, r"holds 'more.parquet' beside folders 'day=2026-01-01', 'day=2026-01-02'. Expected .* Hint: load_table"),
        (csv_in_it, r"x.csv' is no Parquet file, .* Expected Parquet in folders .* Hint: load_table"),
        (cut, r"part-0.parquet' is cut short, damaged, or no Parquet file"),
    ],
)  # fmt: skip
def test_what_is_no_whole_hive_is_told(lake: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(lake)
    with pytest.raises(TableError, match=message):
        load_table(lake)


def test_options_of_text_files_do_not_apply_to_a_hive(lake: Path) -> None:
    with pytest.raises(TableError, match=r"separator= does not apply to .*a hive of Parquet"):
        load_table(lake, separator=";")
