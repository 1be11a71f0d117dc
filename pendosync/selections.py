"""Expressions over the columns of CHANGES, for `Plan.select`."""

from __future__ import annotations

import polars as pl


def before(field: str) -> pl.Expr:
    """Return the expression of the value that Pendo holds before the push, for `Plan.select`."""
    return pl.col("before").struct.field(field)


def after(field: str) -> pl.Expr:
    """Return the expression of the value that Pendo holds after the push, for `Plan.select`."""
    return pl.col("after").struct.field(field)


def changed(field: str) -> pl.Expr:
    """Return the expression that tells whether *field* changes, for `Plan.select`."""
    return pl.col("changed").struct.field(field)
