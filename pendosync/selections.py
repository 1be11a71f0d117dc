"""Which ids of a plan: expressions over the columns of CHANGES, and a choice made of one and its exceptions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import polars as pl

from pendosync.errors import PlanError
from pendosync.frames import about_of, is_unicode


@dataclass(frozen=True, eq=False, repr=False)
class Selection:
    """A choice of ids: those for which a condition holds, with exceptions. For `Plan.select`, and from `preview_plan`.

    However many ids it takes, it holds the condition and the exceptions only.

    Args:
        expr: a condition, as `Plan.select` takes it; None is every id.
        also: ids that are taken although the condition does not hold for them.
        but: ids that are left out although it does.
        code: the condition as Python, for `to_code`; left out, it is shown as `condition`.

    Example:
        >>> Selection(after("seats") > 10, but=("u-2",), code="ps.after('seats') > 10")
        plan.select(ps.after('seats') > 10, but=['u-2'])
    """

    expr: pl.Expr | None = None
    also: tuple[str, ...] = ()
    but: tuple[str, ...] = ()
    code: str = dataclasses.field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if self.expr is not None and not isinstance(self.expr, pl.Expr):
            raise PlanError(
                f"A selection was given {self.expr!r}. Expected a polars expression. "
                f"Hint: Selection(after('seats') > 10)."
            )
        for name in ("also", "but"):
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def takes_all(self) -> bool:
        """Whether it takes every id."""
        return self.expr is None and not self.but

    @property
    def takes_nothing(self) -> bool:
        """Whether the condition by itself takes no id."""
        return self.code == NOTHING_CODE

    def to_expr(self) -> pl.Expr:
        """Return the whole choice as one condition."""
        holds = pl.lit(True) if self.expr is None else self.expr
        if self.also:
            holds = holds | pl.col("id").is_in(list(self.also))
        return holds & ~pl.col("id").is_in(list(self.but)) if self.but else holds

    def to_code(self, plan: str = "plan") -> str:
        """Return the line of Python that selects the same from the plan of that name."""
        arguments = [] if self.expr is None else [self.code or "condition"]
        if self.also and self.takes_nothing:
            arguments = [f"ids={list(self.also)!r}"]
        elif self.also and self.expr is not None:
            arguments = [f"({arguments[0]}) | pl.col('id').is_in({list(self.also)!r})"]
        if self.but:
            arguments.append(f"but={list(self.but)!r}")
        return f"{plan}.select({', '.join(arguments)})"

    def __repr__(self) -> str:
        return self.to_code()


NOTHING_CODE = "pl.lit(False)"


def before(field: str) -> pl.Expr:
    """Return the expression of the value that Pendo holds before the push, for `Plan.select`."""
    return pl.col("before").struct.field(_named(field))


def after(field: str) -> pl.Expr:
    """Return the expression of the value that Pendo holds after the push, for `Plan.select`."""
    return pl.col("after").struct.field(_named(field))


def changed(field: str) -> pl.Expr:
    """Return the expression that tells whether *field* changes, for `Plan.select`."""
    return pl.col("changed").struct.field(_named(field))


def about(part: str) -> pl.Expr:
    """Return the expression of what a row is about, for `Plan.select`: `visitor_id`, `account_id`, `event`, `at`.

    Example: `plan.select(ps.about("event") == "Signed Up")`.
    """
    return about_of(_named(part))


def _named(field: str) -> str:
    if not isinstance(field, str) or not is_unicode(field):
        raise PlanError(
            f"The field is {field!r}. Expected the name of a field, in Unicode. Hint: plan.fields lists them."
        )
    return field
