"""What changes and their problems come to, in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from pendosync.frames import about_of, about_parts, change_fields, n_sent, raw_cell
from pendosync.selections import after, before, changed


@dataclass(frozen=True)
class Counts:
    """What changes and their problems come to: all that a summary, the gates and the requests ask of a plan.

    Args:
        n_rows: how many changes.
        n_sent: how many of them travel.
        n_cleared: values that were there and become null.
        actions: how many changes have which action.
        fields: how many of those that travel change which field.
        about: how many changes say something in which part of `about`.
        blocked, warned: how many problems of which rule.
    """

    n_rows: int = 0
    n_sent: int = 0
    n_cleared: int = 0
    actions: Mapping[str, int] = field(default_factory=dict)
    fields: Mapping[str, int] = field(default_factory=dict)
    about: Mapping[str, int] = field(default_factory=dict)
    blocked: Mapping[str, int] = field(default_factory=dict)
    warned: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        sums: dict[str, Any] = {
            name: _added(one, theirs) if isinstance(one, Mapping) else one + theirs
            for (name, one), theirs in zip(vars(self).items(), vars(other).values(), strict=True)
        }
        return Counts(**sums)


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def count(changes: pl.DataFrame, problems: pl.DataFrame) -> Counts:
    """Return what CHANGES and PROBLEMS come to."""
    n = n_sent(changes)
    sent, fields = changes.head(n), change_fields(changes)
    told = sent.select(
        *(changed(name).sum().alias(f"changed {at}") for at, name in enumerate(fields)),
        *(_is_cleared(name).sum().alias(f"cleared {at}") for at, name in enumerate(fields)),
    )
    sums = [int(one or 0) for one in told.row(0)] if fields else []
    about = [about_of(name).is_not_null().sum().alias(name) for name in about_parts(changes)]
    is_warning = problems["severity"] == "warn"
    return Counts(
        n_rows=changes.height,
        n_sent=n,
        n_cleared=sum(sums[len(fields) :]),
        actions=_counts(changes["action"]),
        fields=dict(zip(fields, sums, strict=False)),
        about=changes.select(about).row(0, named=True) if about else {},
        blocked=_counts(problems["rule"].filter(~is_warning)),
        warned=_counts(problems["rule"].filter(is_warning)),
    )


def _counts(column: pl.Series) -> dict[str, int]:
    return dict(column.to_frame("name").group_by("name", maintain_order=True).len().iter_rows())


def _is_cleared(name: str) -> pl.Expr:
    was_there = before(name).is_not_null() | raw_cell(name, "before_raw").is_not_null()
    is_there = after(name).is_not_null() | raw_cell(name, "after_raw").is_not_null()
    return changed(name) & was_there & ~is_there
