"""Ids: unique or not, and where they stand in another frame, whatever their hashes are."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.ids import are_unique, are_unique_as_found, find_rows

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
@given(ids=IDS, among=st.lists(st.text("aBé ", max_size=3), max_size=12, unique=True))
def test_rows_are_found_though_hashes_collide(key, ids: list[str | None], among: list[str]) -> None:
    found = find_rows(texts(ids), texts(among), key=key)
    assert found.dtype == pl.UInt32
    assert found.to_list() == [among.index(id_) if id_ in among else None for id_ in ids]


@given(ids=IDS, among=st.lists(st.text("aBé ", max_size=3), max_size=12, unique=True))
def test_what_was_found_says_whether_ids_are_unique(ids: list[str | None], among: list[str]) -> None:
    found = find_rows(texts(ids), texts(among))
    assert are_unique_as_found(texts(ids), found, n_rows=len(among)) == are_unique(texts(ids))
