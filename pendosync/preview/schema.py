"""Pendo's fields as a trait may choose among them: which can be written, what they are called, which is near."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from pendosync.errors import nearest
from pendosync.frames import FIELDS, RESERVED, FieldType, ensure_frame
from pendosync.mapping import Mapping
from pendosync.suggestions import fold_key


@dataclass(frozen=True, slots=True)
class Choice:
    """One of Pendo's fields; `why_not` says why the mapping can't write it, empty where it can."""

    field: str
    name: str
    type: str
    group: str
    why_not: str


class Schema:
    """The fields of a mapping's kind.

    Args:
        mapping: gives kind, route and group.
        fields: FIELDS, or None: then nothing is known, and any name may be chosen.

    Raises:
        FrameError: *fields* breaks its brick.
    """

    def __init__(self, mapping: Mapping, fields: pl.DataFrame | None) -> None:
        self.is_known = fields is not None
        self._mapping = mapping
        lines = (
            []
            if fields is None
            else ensure_frame(fields, FIELDS, "fields").filter(kind=mapping.kind).to_dicts()
        )
        choices = [self._choice(line) for line in lines]
        self.choices: Sequence[Choice] = sorted(
            choices, key=lambda one: (bool(one.why_not), one.group, one.field.casefold())
        )
        self._mine = {one.field: one for one in choices if one.group == mapping.group}

    def _choice(self, line: dict[str, Any]) -> Choice:
        return Choice(
            line["field"], line["display_name"] or "", line["type"] or "", line["group"], self._why_not(line)
        )

    def _why_not(self, line: dict[str, Any]) -> str:
        if line["group"] != self._mapping.group:
            return f"in group {line['group']}; this mapping writes {self._mapping.group}"
        if line["is_deleted"]:
            return "deleted in Pendo"
        if not line["is_writable"] and self._mapping.route == "metadata":
            return "Pendo calculates it"
        return ""

    def get(self, field: str) -> Choice | None:
        """Return the field of the mapping's group with this key."""
        return self._mine.get(field)

    def type_of(self, field: str) -> FieldType | None:
        """Return the type that Pendo gives a field, or None."""
        known = self.get(field)
        return (known.type or None) if known is not None else None  # type: ignore[return-value]

    def untouched(self, filled: Collection[str]) -> list[Choice]:
        """Return the fields that could be written and that nothing fills."""
        return [one for one in self._writable() if one.field not in filled]

    def near(self, field: str, taken: Collection[str]) -> str:
        """Return the free field that looks most like *field*, by key or by display name, or nothing."""
        free = self.untouched(taken)
        by_folded = {fold_key(name): one.field for one in free for name in (one.name, one.field) if name}
        hits = nearest(fold_key(field), by_folded)
        return by_folded[hits[0]] if hits else ""

    def match(self, column: str, taken: Collection[str]) -> str:
        """Return the free field whose key or display name is the column's, as `suggest_mapping` matches, or nothing."""
        free = self.untouched(taken)
        exact = [one.field for one in free if one.field == column]
        folded = [one.field for one in free if fold_key(column) in (fold_key(one.field), fold_key(one.name))]
        return next(iter(exact + folded), "")

    def _writable(self) -> list[Choice]:
        return [one for one in self._mine.values() if not one.why_not and one.field not in RESERVED]


def legal_name(field: str, taken: Collection[str]) -> str:
    """Return *field* as Pendo would fold it into a key, of legal characters only; nothing where too little is left.

    Example:
        >>> legal_name("Total Seats (paid)", taken=[]), legal_name("2nd plan", taken=[]), legal_name("שלום", taken=[])
        ('totalseatspaid', 'f2ndplan', '')
    """
    letters = re.sub(r"[^a-z0-9]", "", fold_key(field))
    name = f"f{letters}" if letters[:1].isdigit() else letters
    return name if name and name not in taken and name not in RESERVED else ""
