"""Expressions over the columns of CHANGES, for `Plan.select`."""

from __future__ import annotations

import polars as pl

from pendosync.errors import PlanError
from pendosync.frames import is_unicode


def before(field: str) -> pl.Expr:
    """Return the expression of the value that Pendo holds before the push, for `Plan.select`."""
    return pl.col("before").struct.field(_named(field))


def after(field: str) -> pl.Expr:
    """Return the expression of the value that Pendo holds after the push, for `Plan.select`."""
    return pl.col("after").struct.field(_named(field))


def changed(field: str) -> pl.Expr:
    """Return the expression that tells whether *field* changes, for `Plan.select`."""
    return pl.col("changed").struct.field(_named(field))


def _named(field: str) -> str:
    if not isinstance(field, str) or not is_unicode(field):
        raise PlanError(
            f"The field is {field!r}. Expected the name of a field, in Unicode. Hint: plan.fields lists them."
        )
    return field
