"""Ids: unique or not, and where they stand in another frame, whatever their hashes are."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.ids import are_unique, find_rows

IDS = st.lists(st.text("aBé ", max_size=3) | st.none(), max_size=12)


def texts(ids: list[str] | list[str | None]) -> pl.Series:
    return pl.Series("any name", ids, dtype=pl.String)


@given(ids=IDS, in_order=st.booleans())
def test_ids_are_unique_where_each_stands_once(ids: list[str | None], in_order: bool) -> None:
    series = texts(ids).sort() if in_order else texts(ids)
    assert are_unique(series) == (None not in ids and len(set(ids)) == len(ids))


@pytest.mark.parametrize(
    "key", [pl.Expr.hash, lambda id_: id_.str.len_bytes(), lambda id_: id_.is_null() & False]
)
@given(ids=IDS, among=IDS)
def test_rows_are_found_though_hashes_collide(key, ids: list[str | None], among: list[str | None]) -> None:
    found = find_rows(texts(ids), texts(among), key=key)
    if not (are_unique(texts(ids)) and are_unique(texts(among))):
        assert found is None
        return
    assert found.dtype == pl.UInt32
    assert found.to_list() == [among.index(id_) if id_ in among else None for id_ in ids]


def test_rows_are_found_in_frames_of_many_chunks() -> None:
    ids = pl.concat([texts(["bo", "ann"]), texts(["cy"])], rechunk=False)
    among = pl.concat([texts(["cy"]), texts(["di"]), texts(["bo"])], rechunk=False)
    assert find_rows(ids, among).to_list() == [2, None, 0]


def test_an_id_that_repeats_everywhere_is_found_out_in_no_time() -> None:
    same = texts(["ann"]).new_from_index(0, 200_000)  # as pairs they would be 40,000,000,000
    assert find_rows(same, same) is None
    assert find_rows(texts(["ann"]), same) is None
    assert find_rows(same, texts(["ann"])) is None
