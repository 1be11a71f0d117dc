"""The part of an id is the same everywhere, and what is cut into parts comes back as it was."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.buckets import bucket_of, read_part, write_run
from pendosync.errors import PlanError

EXPECTED = {
    "ann": 830,
    " Ann": 830,
    "bo": 612,
    "": 640,
    "  ": 640,
    None: 640,
    "ÜNÏ": 161,
    "ünï ": 161,
    "user-12345678": 483,
    "x" * 299 + "y": 181,
}
"""Written down once: another version of polars, or another machine, must give the same."""

IDS = pl.int_range(100_000, eager=True).cast(pl.String)


def texts(*values: str | None) -> pl.Series:
    return pl.Series("id", values, dtype=pl.String)


def test_the_parts_of_ids_are_the_same_in_every_version() -> None:
    assert bucket_of(texts(*EXPECTED), 1000).to_list() == list(EXPECTED.values())


def test_an_ids_part_does_not_hang_on_the_ids_beside_it() -> None:
    for id, part in EXPECTED.items():
        assert bucket_of(texts(id), 1000).to_list() == [part]


def test_there_may_be_one_part_and_no_id() -> None:
    assert bucket_of(IDS, 1).unique().to_list() == [0]
    assert bucket_of(texts(), 7).to_list() == []
    assert bucket_of(texts(), 7).dtype == pl.UInt32


@pytest.mark.parametrize("n", [2, 3, 40, 64, 200])
@pytest.mark.parametrize(
    "ids",
    [IDS, "user-" + IDS, IDS.str.zfill(20), IDS + "@example.com", "a-prefix-of-more-than-a-word-" + IDS],
)
def test_parts_are_even(n: int, ids: pl.Series) -> None:
    counts = bucket_of(ids, n).value_counts()["count"]
    even = len(ids) / n
    chi_square = ((counts - even) ** 2 / even).sum() + (n - len(counts)) * even
    assert abs(chi_square - (n - 1)) < 5 * (2 * n) ** 0.5


def test_long_ids_are_told_apart_by_both_ends_and_their_length() -> None:
    long = "x" * 300
    ids = texts(long, "y" + long[1:], long[:-1] + "y", long + "x")
    assert bucket_of(ids, 2**32 - 1).n_unique() == 4


@given(st.lists(st.text(max_size=30), min_size=1), st.integers(1, 50))
def test_ids_that_differ_by_case_or_blanks_alone_meet(ids, n) -> None:
    parts = bucket_of(texts(*ids), n)
    assert parts.max() < n
    for alike in ([f" {id}\t" for id in ids], [id.lower() for id in ids if "İ" not in id] or ids):
        if len(alike) == len(ids):
            assert bucket_of(texts(*alike), n).to_list() == parts.to_list()


EVERY_TYPE = pl.DataFrame(
    {
        "nothing": pl.Series([None, None, None]),
        "text": ["a", None, "ü"],
        "word": pl.Series(["a", "b", None], dtype=pl.Categorical),
        "choice": pl.Series(["a", "b", None], dtype=pl.Enum(["a", "b"])),
        "price": [Decimal("1.10"), None, Decimal("2.5")],
        "huge": pl.Series([2**100, None, 1], dtype=pl.Int128),
        "small": pl.Series([0.1, None, 2], dtype=pl.Float32),
        "bytes": [b"a", None, b""],
        "clock": [time(1), None, None],
        "span": [timedelta(1), None, None],
        "day": [date(2026, 1, 1), None, None],
        "at": pl.Series([datetime(2026, 1, 1), None, None]).dt.replace_time_zone("Europe/Berlin"),
        "deep": [{"a": 1, "b": {"c": "x"}}, None, {"a": None, "b": None}],
        "hollow": pl.Series([None, None, None], dtype=pl.Struct({})),
        "list": [["a"], None, []],
        "pair": pl.Series([[1, 2], None, [3, 4]], dtype=pl.Array(pl.Int64, 2)),
    }
)


def test_rows_come_back_part_by_part_in_their_order_and_of_their_types(tmp_path) -> None:
    rows = EVERY_TYPE.with_row_index("row")
    for first, parts in ((0, [2, 0, 2]), (3, [0, 0, 2])):
        moved = rows.with_columns(pl.col("row") + first)
        _, counts = write_run(tmp_path / f"{first:04}.run", moved, pl.Series(parts, dtype=pl.UInt32), 4)
        assert counts == [parts.count(part) for part in range(4)]
    first, second = rows, rows.with_columns(pl.col("row") + 3)
    assert read_part(tmp_path, 0, 3).equals(pl.concat([first[[1]], second[[0, 1]]]))
    assert read_part(tmp_path, 2, 3).equals(pl.concat([first[[0, 2]], second[[2]]]))
    assert read_part(tmp_path, 2, 3).schema == rows.schema
    assert read_part(tmp_path, 1, 0) is None


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [cut_short, emptied, Path.unlink])
def test_a_run_that_is_no_longer_whole_is_told(tmp_path, damage) -> None:
    rows = pl.DataFrame({"id": ["ann", "bo", "cy"]})
    for name in ("0.run", "1.run"):
        write_run(tmp_path / name, rows, pl.Series([0, 1, 1], dtype=pl.UInt32), 2)
    damage(tmp_path / "1.run")
    with pytest.raises(PlanError, match=r"Part 1 .* Expected it as it was written\. Hint: "):
        read_part(tmp_path, 1, 4)
