"""Widgets for looking and choosing. They know bricks, mappings, plans and progress, and can't write.

What draws them is imported when the first one is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from pendosync.errors import PlanError
from pendosync.plans import Plan
from pendosync.selections import Selection

if TYPE_CHECKING:
    from pendosync.preview.plan_view import PlanView


def preview_plan(plan: Plan, /, *, selection: Selection | pl.Expr | None = None) -> PlanView:
    """Show *plan* as a widget: filter, sort, look into rows and requests, and choose ids. Writes nothing.

    The rows stay in the kernel, so a plan of a million ids opens as fast as one of ten. In a notebook the view is a
    cell's last line; the next cell reads what was chosen: `chosen = plan.select(view.selection)`.

    Args:
        plan: what to look at.
        selection: which ids are ticked at first: `view.selection` of another preview, or a condition as
            `Plan.select` takes it; None ticks all.

    Returns:
        The widget: `selection` is the choice as it stands, `code` the line of Python that makes the same, `n_selected`
        its ids.

    Raises:
        PlanError: no plan, or a selection that does not fit it.

    Example:
        >>> from pendosync.checks import no_problems
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
