"""What an answer means for the ids of a batch, and what is read to find out."""

from __future__ import annotations

import json

import polars as pl
import pytest

from pendosync.answers import read_answer
from pendosync.client import Answer
from pendosync.results import BatchResult

IDS = pl.Series("id", ["ann", "bo", "cy"])


def read(route: str, **told: object) -> tuple[BatchResult, int]:
    """Return what an answer to three ids means, and how often they were read."""
    n_read = 0

    def ids() -> pl.Series:
        nonlocal n_read
        n_read += 1
        return IDS

    answer = Answer(200, json.dumps(told).encode())
    return read_answer(answer, len(IDS), ids, route=route, kind="visitor"), n_read


@pytest.mark.parametrize(
    ("route", "told", "status"),
    [
        ("webhook", {}, "accepted"),
        ("metadata", {"total": 3, "updated": 3, "failed": 0}, "updated"),
        ("metadata", {"total": 3, "updated": 0, "failed": 3, "errors": ["no"]}, "failed"),
        ("metadata", {"total": 4, "updated": 4, "failed": 0}, "unknown"),
    ],
)
def test_ids_are_not_read_where_none_is_named(route: str, told: dict[str, object], status: str) -> None:
    result, n_read = read(route, **told)
    assert (result.status, n_read) == (status, 0)


def test_ids_are_read_once_where_some_are_named() -> None:
    result, n_read = read("metadata", total=3, updated=1, failed=2, missing=["cy", "ann"])
    assert [(at, status) for at, status, _ in result.exceptions] == [(0, "missing"), (2, "missing")]
    assert n_read == 1
