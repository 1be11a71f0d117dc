"""One trait of a table, and the field of Pendo's that it becomes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import polars as pl

from pendosync.errors import MappingError, first_line, listed
from pendosync.frames import DTYPES, RESERVED, FieldType, NullPolicy, is_pattern, is_unicode


@dataclass(frozen=True)
class Trait:
    """One trait of a table and the field it becomes.

    Exactly one of *column*, *sql* and *expr* says where the value comes from.

    Args:
        column: a column of the table.
        field: Pendo's key of the field (not its display name); the column's name when left out.
        type: the field's type; None takes the type that the column's own suggests.
        null: what a null does: `keep` leaves Pendo's value alone, `clear` sends null.
        sql: a polars SQL expression over the table's columns; it round-trips through TOML.
        expr: a polars expression; it can't be written to TOML. (A text here is what a saved plan remembers
            of an expression: it is shown, and can't be computed again.)

    Raises:
        MappingError: none or two sources, no field, or an SQL text that polars can't read.

    Example:
        >>> Trait("plan")
        Trait('plan' → plan)
        >>> Trait(sql="price * seats", field="mrr", type="float", null="clear")
        Trait(sql 'price * seats' → mrr, float, null clears)
    """

    column: str | None = None
    field: str = ""
    type: FieldType | None = None
    null: NullPolicy = "keep"
    sql: str | None = None
    expr: pl.Expr | str | None = dataclasses.field(default=None, compare=False)
    _expr_text: str | None = dataclasses.field(default=None, init=False)

    def __post_init__(self) -> None:
        for name in ("column", "field", "sql"):
            ensure_text(name, getattr(self, name))
        sources = [name for name in ("column", "sql", "expr") if getattr(self, name) is not None]
        if len(sources) != 1:
            raise MappingError(
                f"A trait has {' and '.join(sources) or 'no source'}. Expected exactly one of column, sql and expr. "
                f"Hint: Trait('plan'), or Trait(sql='UPPER(plan)', field='plan').",
                field=self.field or None,
            )
        if not self.field:
            if self.column is None:
                raise MappingError(
                    f"The computed trait {self.source!r} names no field. Expected the key of a Pendo field. "
                    f"Hint: Trait({sources[0]}=…, field='plan').",
                    trait=self.source,
                )
            object.__setattr__(self, "field", self.column)
        self._check_choices()
        if isinstance(self.expr, pl.Expr):
            object.__setattr__(self, "_expr_text", str(self.expr))
        elif self.sql is not None:
            self.to_expr()

    def _check_choices(self) -> None:
        where = {"trait": self.source, "field": self.field}
        if self.type is not None and (not isinstance(self.type, str) or self.type not in DTYPES):
            raise MappingError.bad_choice("type", self.type, tuple(DTYPES), **where)
        if self.null not in ("keep", "clear"):
            raise MappingError.bad_choice("null", self.null, ("keep", "clear"), **where)
        if self.field in RESERVED:
            raise MappingError(
                f"The field {self.field!r} can't be mapped: frames of values keep the names {listed(RESERVED)} for "
                f"themselves. Expected another key. Hint: create a field with another name in Pendo.",
                **where,
            )
        if is_pattern(self.field):
            raise MappingError(
                f"The field {self.field!r} can't be mapped: as a name of columns it is a pattern that stands for others. "
                f"Expected letters, digits and underscores. Hint: Trait(…, field='plan').",
                **where,
            )

    @property
    def source(self) -> str:
        """Where the value comes from, in words."""
        return self.column or self.sql or str(self.expr)

    def to_expr(self) -> pl.Expr:
        """Return the polars expression that computes this trait.

        Raises:
            MappingError: the SQL can't be read, or a loaded plan remembers the expression as text only.
        """
        if self.column is not None:
            return pl.col(self.column)
        if isinstance(self.expr, pl.Expr):
            return self.expr
        if self.sql is None:
            raise MappingError(
                f"The expression of field {self.field!r} was given as code, and a saved plan keeps only its text: "
                f"{self.source}. Expected an expression to compute. Hint: build the mapping again, or use "
                f"Trait(sql=…), which can be saved.",
                field=self.field,
            )
        try:
            return pl.sql_expr(self.sql)
        except (pl.exceptions.PolarsError, ValueError) as error:
            raise MappingError(
                f"The SQL of field {self.field!r} can't be read: {self.sql!r} ({first_line(error)}). Expected one "
                f"polars SQL expression over columns. Hint: Trait(sql='UPPER(plan)', field={self.field!r}).",
                trait=self.sql,
                field=self.field,
            ) from None

    def to_dict(self) -> dict[str, str]:
        """Return what a manifest keeps of this trait: its source as text, field, type and null policy."""
        texts = {
            "column": self.column,
            "sql": self.sql,
            "expr": str(self.expr) if self.expr is not None else None,
            "field": self.field,
            "type": self.type,
            "null": self.null,
        }
        return {name: text for name, text in texts.items() if text is not None}

    def __repr__(self) -> str:
        kind = "" if self.column is not None else "sql " if self.sql is not None else "expr "
        more = (f", {self.type}" if self.type else "") + (", null clears" if self.null == "clear" else "")
        return f"Trait({kind}{self.source!r} → {self.field}{more})"


def as_trait(trait: object) -> Trait:
    """Return a Trait: as it is, or of the column of that name.

    Raises:
        MappingError: it is neither.
    """
    if isinstance(trait, str):
        return Trait(trait)
    if isinstance(trait, Trait):
        return trait
    raise MappingError(
        f"A trait is a {type(trait).__name__}. Expected a Trait or the name of a column. "
        f"Hint: Trait(expr=…, field='plan') takes a polars expression."
    )


def ensure_text(name: str, value: object) -> None:
    """Return nothing where *value* is None or a text in Unicode.

    Raises:
        MappingError: it is not; *name* says what it is of.
    """
    if value is not None and not isinstance(value, str):
        raise MappingError(f"{name} is {value!r}. Expected a text. Hint: {name}={str(value)!r}.")
    if isinstance(value, str) and not is_unicode(value):
        raise MappingError(
            f"{name} is {value!r}, which holds half of a character: a lone surrogate. Expected a text in Unicode. "
            f"Hint: table.columns lists the names as they are."
        )
