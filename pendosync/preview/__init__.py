"""Widgets for looking and choosing. They know bricks, mappings, plans and progress, and can't write.

What draws them is imported when the first one is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pendosync.errors import PlanError
from pendosync.mapping import Mapping
from pendosync.plans import Plan
from pendosync.selections import Selection

if TYPE_CHECKING:
    from pendosync.preview.mapping_view import MappingView
    from pendosync.preview.plan_view import PlanView


def edit_mapping(
    table: pl.DataFrame | pl.LazyFrame, mapping: Mapping, /, *, fields: pl.DataFrame | None = None
) -> MappingView:
    """Return a widget in which *mapping* is edited against *table*: a row a trait, with its problems and their mends.

    Changes neither the table nor *mapping*, and sends nothing to Pendo. Samples of values go to the page only, never
    into a saved notebook.

    Args:
        table: a table, lazy or not. A lazy one is collected once, of the columns that the mapping reads, and again
            when a column is added.
        mapping: where to start, from `suggest_mapping`, `load_mapping` or by hand.
        fields: FIELDS, from `fetch_fields`; None leaves out the rules on Pendo's schema, and any field may be named.

    Returns:
        A view: `view.mapping` is the Mapping as it stands, `view.code` writes it as Python and as TOML. Both raise
        MappingError, with the reason that the view shows, while what stands there is no Mapping.

    Raises:
        ColumnNotFoundError: the table lacks the id's column.
        FrameError, TableError: *fields* breaks its brick, or the table can't be read.

    Cost: one pass a trait when it opens, then one pass for each trait that is changed.

    Example:
        >>> users = pl.DataFrame({"user_id": ["ann", "bo"], "plan": ["pro", "free"]})
        >>> view = edit_mapping(users, Mapping("visitor", id="user_id", traits=["plan"]))
        >>> view
        Mapping of visitors: 1 trait → 1 field
        >>> view.mapping
        Mapping(visitor by 'user_id' → custom, 1 trait: plan)
    """
    from pendosync.preview.mapping_view import MappingView

    return MappingView(table, mapping, fields)


def preview_plan(plan: Plan, /, *, selection: Selection | pl.Expr | None = None) -> PlanView:
    """Show *plan* as a widget: filter, sort, look into rows and requests, and choose ids. Writes nothing.

    The rows stay in the kernel, so a plan of a million ids opens as fast as one of ten. In a notebook the view is a
    cell's last line; the next cell reads what was chosen: `chosen = plan.select(view.selection)`.

    Of a plan in parts one part is read at a time, and what is held is a column at most. The rows of a part that can't
    be read are marked, a sentence says why, and the other parts are shown as ever. Above a million ids the pictures of
    the columns, and the values that a filter offers, are those of some parts, and say of how many ids.

    Args:
        plan: what to look at.
        selection: which ids are ticked at first: `view.selection` of another preview, or a condition as
            `Plan.select` takes it; None ticks all.

    Returns:
        The widget: `selection` is the choice as it stands, `code` the line of Python that makes the same, `n_selected`
        its ids.

    Raises:
        PlanError: no plan, or a selection that does not fit it.

    Cost: of a plan in parts a filter, a sort, or a page of a sorted view reads each part once: about 50 ms, and for a
    page 150 ms, per 250,000 ids of ten fields.

    Example:
        >>> from pendosync.rules import no_problems
        >>> preview_plan(no_problems())
        Traceback (most recent call last):
        pendosync.errors.PlanError: preview_plan was given a DataFrame. Expected a Plan. Hint: preview_plan(plan_table(users, mapping, client=client)).
    """
    if not isinstance(plan, Plan):
        raise PlanError(
            f"preview_plan was given a {type(plan).__name__}. Expected a Plan. "
            f"Hint: preview_plan(plan_table(users, mapping, client=client))."
        )
    from pendosync.preview.plan_view import PlanView

    return PlanView(plan, Selection(selection) if isinstance(selection, pl.Expr) else selection)
