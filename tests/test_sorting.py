"""The order of a column: as `arg_sort` says, whichever way it was found."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.preview.sorting import sort_positions

texts = st.lists(st.none() | st.text(max_size=12) | st.text("ab\0é日", max_size=12).map("user.".__add__))


@pytest.mark.parametrize("few", [0, 5_000], ids=["as words", "as ranks"])
@given(values=texts, down=st.booleans())
def test_texts_are_sorted_byte_by_byte_with_nulls_last(
    few: int, values: list[str | None], down: bool
) -> None:
    column = pl.Series(values, dtype=pl.String)
    positions = sort_positions(column, down=down, most_ranks=few)
    assert sorted(positions) == list(range(len(values)))
    assert column.gather(positions).to_list() == column.sort(descending=down, nulls_last=True).to_list()


@pytest.mark.parametrize("down", [False, True])
def test_many_texts_that_begin_alike_are_told_apart(down: bool) -> None:
    column = pl.select(
        pl.format("https://app.example.com/{}/user", pl.int_range(20_000) * 7_919 % 10_007)
    ).to_series()
    assert column.gather(sort_positions(column, down=down)).equals(column.sort(descending=down))


def test_lists_of_texts_are_sorted_by_their_texts() -> None:
    assert sort_positions(pl.Series([["b"], None, ["a", "z"], ["a"]]), down=False).to_list() == [3, 2, 0, 1]


def test_what_is_no_text_is_sorted_as_it_is() -> None:
    assert sort_positions(pl.Series([3, None, 1]), down=True).to_list() == [0, 2, 1]
    assert len(sort_positions(pl.Series([None, None], dtype=pl.String), down=True)) == 2
