"""The plan that benchmarks of the preview look at: as many ids as asked for, three of ten fields changed in each."""

from __future__ import annotations

import polars as pl

import pendosync as ps
from benchmarks.tables import FIELDS, change_some, make_users

MAPPING = ps.Mapping("visitor", id="user_id", traits=FIELDS)


def plan_of(rows: int) -> ps.Plan:
    """Return a plan of *rows* ids. Beyond a million their values come again."""
    users = make_users(min(rows, 1_000_000))
    after, before = (ps.map_traits(table, MAPPING) for table in (users, change_some(users)))
    changes = ps.diff_values(after, before=before, mapping=MAPPING)
    plan = ps.plan_changes(changes, mapping=MAPPING, target=ps.Settings().target, n_compared=rows)
    if rows <= len(plan):
        return plan
    many = changes.select(pl.all().gather(pl.int_range(rows) % len(plan)))
    row, id_ = pl.int_range(rows, dtype=pl.UInt32), pl.format("u-{}", pl.int_range(rows) + 100_000)
    return plan.having(many.with_columns(row=row, id=id_))
