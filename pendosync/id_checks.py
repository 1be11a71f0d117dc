"""What is wrong with ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import polars as pl

from pendosync.frames import HELD_KINDS, compute
from pendosync.heads import ANONYMOUS
from pendosync.ids import are_unique
from pendosync.mapping import Mapping
from pendosync.rules import RULES, no_problems, row_problems

MOST_ID_BYTES: Final = 128

_PLAIN: Final = r"^[!-@\[-~]+$"
"""An id without blanks, capitals and letters beyond ASCII: no other plain one is similar to it."""


def each_id_problem(values: pl.DataFrame, mapping: Mapping) -> Iterator[pl.DataFrame]:
    """Yield PROBLEMS of the ids of *values*."""
    named = values.select("row", "id")
    is_plain = compute(named, {"id": pl.col("id").str.contains(_PLAIN).all(ignore_nulls=False)}).item()
    if not is_plain:
        blank = pl.col("id").is_null() | (pl.col("id").str.strip_chars() == "")
        if (
            mapping.id or mapping.kind != "membership"
        ):  # else it is made of two ids, and what lacks is told of them
            missing = named.filter(blank)
            yield row_problems(missing, "the row has no id", rule="missing_id", severity="block_row")
        named = named.filter(~blank)
    if not are_unique(named["id"]):
        yield _duplicates(named)
    if mapping.kind not in HELD_KINDS:  # a message's own id: Pendo's limits are of visitors' and accounts'
        return
    if not is_plain:
        yield _similar(named)
    n_bytes = pl.col("id").str.len_bytes()
    long = named.filter(n_bytes > MOST_ID_BYTES).with_columns(n=n_bytes)
    told = pl.format(f"the id has {{}} bytes; Pendo keeps {MOST_ID_BYTES} of a visitor id", "n")
    yield row_problems(
        long, told, rule="long_id", severity="block_row" if mapping.kind == "visitor" else "warn"
    )
    if mapping.kind == "visitor":
        yield anonymous_problems(named, mapping)


def anonymous_problems(named: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return a problem for each of *named* (`row`, `id`, and `visitor_id` where it has one) that is an anonymous visitor."""
    who = "visitor_id" if "visitor_id" in named.columns else "id"
    severity = RULES["anonymous_id"].on(mapping.route)
    if severity is None:
        return no_problems()
    anonymous = named.filter(pl.col(who).str.starts_with(ANONYMOUS))
    reason = f"ids that start with {ANONYMOUS} are of anonymous visitors: from the server they are never sent"
    return row_problems(anonymous, reason, rule="anonymous_id", severity=severity)


def _duplicates(named: pl.DataFrame) -> pl.DataFrame:
    twice = named.filter(pl.col("id").is_duplicated())
    told = twice.with_columns(n=pl.len().over("id"), first=pl.col("row").min().over("id"))
    reason = pl.format("the id stands in {} rows, first in row {}: which one holds is not said", "n", "first")
    return row_problems(told, reason, rule="duplicate_id", severity="block_row")


def _similar(named: pl.DataFrame) -> pl.DataFrame:
    named = named.with_columns(folded=pl.col("id").str.strip_chars().str.to_lowercase())
    if named["folded"].n_unique() == named["id"].n_unique():
        return no_problems()
    told = named.filter(pl.col("folded").is_duplicated())
    told = told.with_columns(
        n=pl.col("id").n_unique().over("folded"),
        ids=pl.col("id").unique(maintain_order=True).over("folded", mapping_strategy="join"),
    ).filter(pl.col("n") > 1)
    names = pl.col("ids").list.head(3).list.join("', '")
    reason = pl.format("Pendo tells these ids apart, by case or blanks: '{}'", names)
    return row_problems(told, reason, rule="similar_id", severity="warn")
