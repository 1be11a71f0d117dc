"""A mapping while it is edited: each gesture gives a new draft, and a draft need not be a valid Mapping."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from typing import Any, Final

from pendosync.errors import MappingError, listed
from pendosync.mapping import Mapping
from pendosync.traits import Trait
from pendosync.values import columns_of_rows

_CHANGEABLE: Final = ("included", "field", "type", "null", "sql")


@dataclass(frozen=True)
class Line:
    """One trait as it is being edited.

    Attributes:
        origin: the trait that it started from; it says where the value comes from.
        field, type, null: as in Trait; the field may be one that a Trait refuses.
        included: whether the mapping has it.
    """

    origin: Trait
    field: str
    type: Any = None
    null: Any = "keep"
    included: bool = True

    @classmethod
    def of(cls, trait: Trait) -> Line:
        """Return the line of a trait as it is."""
        return cls(trait, trait.field, trait.type, trait.null)

    def to_trait(self) -> Trait:
        """Return the trait.

        Raises:
            MappingError: no Trait can be so.
        """
        if not self.field:
            raise MappingError(
                f"The trait {self.origin.source!r} names no field. Expected the key of a Pendo field. "
                f"Hint: choose one, or leave the trait out.",
                trait=self.origin.source,
            )
        return dataclasses.replace(self.origin, field=self.field, type=self.type, null=self.null)

    def change(self, changes: AbstractMapping[str, Any]) -> Line:
        """Return the line with *changes*: of `included`, `field`, `type`, `null`, or `sql` in place of its column.

        Raises:
            MappingError: there is no such thing to change, or polars can't read the SQL.
        """
        strange = [name for name in changes if name not in _CHANGEABLE]
        if strange:
            raise MappingError(
                f"A trait has no {listed(strange)}. Expected {listed(_CHANGEABLE)}. Hint: run the cell again."
            )
        plain = {name: value for name, value in changes.items() if name != "sql"}
        if "sql" in changes:
            plain["origin"] = Trait(sql=changes["sql"], field=self.field or "field")
        return dataclasses.replace(self, **plain)


@dataclass(frozen=True)
class Draft:
    """A mapping as it is being edited.

    Attributes:
        start: the mapping that it started from: kind, id, route and group are its own.
        lines: the traits, included or not.
        time_zone: as in Mapping; it may be one that does not exist.
        columns: the columns of the table, by which the draft knows what it leaves out.
    """

    start: Mapping
    lines: tuple[Line, ...]
    time_zone: str | None
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, mapping: Mapping, columns: Sequence[str]) -> Draft:
        """Return the draft that *mapping* is before anything is changed."""
        lines = tuple(Line.of(trait) for trait in mapping.each_trait)
        return cls(mapping, lines, mapping.time_zone, tuple(columns))

    def change(self, index: int, changes: AbstractMapping[str, Any]) -> Draft:
        """Return the draft with *changes* of one line."""
        line = self.lines[index].change(changes)
        lines = tuple(line if at == index else one for at, one in enumerate(self.lines))
        return dataclasses.replace(self, lines=lines)

    @property
    def left_out(self) -> tuple[str, ...]:
        """The columns that no included trait reads."""
        used = {
            *columns_of_rows(self.start),
            *_columns_in(line.origin for line in self.lines if line.included),
        }
        return tuple(name for name in self.columns if name not in used)

    @property
    def unlisted(self) -> tuple[str, ...]:
        """The columns that no line reads, included or not."""
        used = {*columns_of_rows(self.start), *_columns_in(line.origin for line in self.lines)}
        return tuple(name for name in self.columns if name not in used)

    @property
    def known_zone(self) -> str | None:
        """The time zone, or None where there is no such zone."""
        try:
            return dataclasses.replace(self.start, time_zone=self.time_zone).time_zone
        except MappingError:
            return None

    def to_mapping(self) -> Mapping:
        """Return the mapping.

        Raises:
            MappingError: no Mapping can be so: two traits to one field, no trait, no such zone.
        """
        traits = [line.to_trait() for line in self.lines if line.included]
        return dataclasses.replace(
            self.start, traits=traits, time_zone=self.time_zone, left_out=self.left_out
        )


def _columns_in(traits: Iterable[Trait]) -> set[str]:
    return {
        root
        for trait in traits
        if trait.column is not None or trait.sql is not None or not isinstance(trait.expr, str)
        for root in trait.to_expr().meta.root_names()
    }
