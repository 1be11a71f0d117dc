"""What can be said of a plan in parts before any row of its table is read: which columns it has, and what it can't do."""

from __future__ import annotations

import re
from typing import Any

import polars as pl
from polars.selectors import by_name

from pendosync.errors import MappingError
from pendosync.frames import ROW, VALUES
from pendosync.mapping import Mapping
from pendosync.plans import Plan
from pendosync.recipe import Recipe, ensure_no_objects
from pendosync.values import count_lost

Frame = pl.DataFrame | pl.LazyFrame


def rehearse(table: Frame, recipe: Recipe, before: Frame | None) -> tuple[Plan, pl.DataFrame]:
    """Return the plan of no row, which has the columns of each part, and its VALUES: what can't be planned is told here."""
    schema = table.lazy().select(by_name(*recipe.columns)).collect_schema()
    ensure_no_objects(schema, recipe.columns)
    _ensure_row_wise(schema, recipe.mapping)
    read = pl.DataFrame(schema={ROW: VALUES["row"], **schema})
    clean, problems = recipe.clean(read)
    held: Any = None if recipe.mapping.is_message else clean
    if before is not None:  # of no other type either, as the plan will tell
        held = before.clear().lazy().collect() if isinstance(before, pl.DataFrame | pl.LazyFrame) else before
    if isinstance(held, pl.DataFrame) and not recipe.types:
        held = held.drop(count_lost(read, recipe.mapping), strict=False)  # their types are not settled yet
    return recipe.plan(read, clean, problems, held), clean


def _ensure_row_wise(schema: pl.Schema, mapping: Mapping) -> None:
    for trait in mapping.each_trait:
        if trait.column is None and not is_row_wise(trait.to_expr(), schema):
            raise MappingError(
                f"The trait of field {trait.field!r} can't be computed a part of the table at a time: {trait.source}. "
                f"Expected an expression whose value hangs on its own row alone. Hint: compute it in the table first: "
                f"table.with_columns(…), then Trait({trait.field!r}).",
                trait=trait.source,
                field=trait.field,
            )
    parent = schema.get(mapping.parent_account)
    if isinstance(parent, pl.Struct) and "Decimal" in str(parent):
        raise MappingError(
            f"The parents in {mapping.parent_account!r} hold Decimals, which are numbers or texts by all of a column. Expected "
            f"other types in a table that is planned in parts. Hint: cast them to pl.Float64 or pl.String first.",
            trait=mapping.parent_account,
        )


def is_row_wise(expr: pl.Expr, schema: pl.Schema) -> bool:
    """Return whether each value of *expr* hangs on its own row alone.

    polars knows: then only does it take a slice of the rows before the expression is computed, not after.

    Example:
        >>> schema = pl.Schema({"seats": pl.Int64()})
        >>> is_row_wise(pl.col("seats") + 1, schema), is_row_wise(pl.col("seats").rank(), schema)
        (True, False)
    """
    computed = pl.LazyFrame(schema=schema).with_columns(expr.alias("\0trait"))
    return not computed.slice(1, 1).explain().lstrip().startswith("SLICE")


def is_cut_cheaply(table: Frame) -> bool:
    """Return whether a slice of *table* reads no more than its rows from a file, so that workers may each take one."""
    if isinstance(table, pl.DataFrame):
        return False
    plan = table.slice(1, 1).explain()
    return "SCAN [" in plan and not re.search(r"SLICE\[|DF \[|PYTHON", plan)
