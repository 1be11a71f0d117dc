"""From rows of a table to a plan, by one way for all of a table and for a part of it: map, check, drop, diff, plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import polars as pl

from pendosync.checks import check_values, drop_blocked
from pendosync.diffs import diff_values
from pendosync.errors import ColumnNotFoundError, MappingError, listed
from pendosync.frames import CHANGE_COLUMNS, ROW, row_of
from pendosync.gates import Canary, Gates
from pendosync.mapping import Mapping
from pendosync.planning import BATCH_SIZE, plan_changes
from pendosync.plans import Plan
from pendosync.regions import Target
from pendosync.tables import columns_in
from pendosync.values import Types, columns_of, map_rows


@dataclass(frozen=True)
class Recipe:
    """All that a table's plan hangs on besides the rows, and besides what is held of them. It can be pickled.

    Args:
        mapping: which traits become which fields.
        target: where the plan will go.
        fields: FIELDS, or None for memberships and events.
        kept: columns of the table to carry; they never travel.
        against: as in `diff_values`.
        create, batch_size, send, planned_at, canary, gates: as in `plan_changes`.
        types: as in `map_rows`.
    """

    mapping: Mapping
    target: Target
    fields: pl.DataFrame | None = None
    kept: Sequence[str] = ()
    against: Literal["pendo", "snapshot"] = "pendo"
    create: Literal["never", "unknown_ids"] = "never"
    batch_size: int = BATCH_SIZE
    send: Literal["changed", "all"] = "changed"
    planned_at: datetime | None = None
    canary: Canary | None = None
    gates: Gates | None = None
    types: Types = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The columns of a table that are read."""
        return list(dict.fromkeys([*columns_of(self.mapping), *self.kept]))

    def clean(self, read: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return the VALUES of rows that were *read*, without what is blocked, and their PROBLEMS.

        What is too old is so at the plan's time.
        """
        now = self.planned_at.astimezone(UTC) if isinstance(self.planned_at, datetime) else None
        values = map_rows(read.select(*self._of_mapping(read)).rechunk(), self.mapping, types=self.types)
        problems = check_values(values, mapping=self.mapping, fields=self.fields, now=now)
        return drop_blocked(values, problems), problems

    def plan(
        self, read: pl.DataFrame, clean: pl.DataFrame, problems: pl.DataFrame, held: pl.DataFrame | None
    ) -> Plan:
        """Return the plan of rows that were *read*, of what `clean` returned of them, and of what is *held* (VALUES)."""
        changes = diff_values(clean, before=held, mapping=self.mapping, against=self.against)
        return plan_changes(
            with_kept(changes, read, self.kept),
            mapping=self.mapping,
            target=self.target,
            problems=problems,
            create=self.create,
            batch_size=self.batch_size,
            send=self.send,
            planned_at=self.planned_at,
            canary=self.canary,
            gates=self.gates,
            n_compared=None if self.mapping.is_message else clean.height,
            against=self.against,
        )

    def _of_mapping(self, read: pl.DataFrame) -> list[pl.Series]:
        known = [*columns_of(self.mapping), ROW]
        return [column for column in read if column.name in known]


def kept_columns(table: pl.DataFrame | pl.LazyFrame, mapping: Mapping, keep: Sequence[str]) -> list[str]:
    """Return the columns to keep, once each.

    Raises:
        ColumnNotFoundError, MappingError: the table lacks one, or a plan has a column of that name.
    """
    kept = list(dict.fromkeys([keep] if isinstance(keep, str) else keep))
    names = columns_in(table)
    missing = [name for name in (*columns_of(mapping), *kept) if name not in names]
    if missing:
        raise ColumnNotFoundError.of(list(dict.fromkeys(missing)), names, what="The table")
    taken = [name for name in kept if name in CHANGE_COLUMNS or (name == "about" and mapping.about)]
    if taken:
        raise MappingError(
            f"The columns {listed(taken)} can't be kept: a plan has columns of that name. Expected other names. "
            f"Hint: table.rename({{{taken[0]!r}: 'my_{taken[0]}'}})."
        )
    return kept


def with_kept(changes: pl.DataFrame, read: pl.DataFrame, kept: Sequence[str]) -> pl.DataFrame:
    """Attach the kept columns of the rows that were *read* once, so that their numbers hold."""
    ensure_no_objects(read.schema, kept)
    return (
        changes.join(read.select(row_of(read), *kept), on="row", how="left", maintain_order="left")
        if kept
        else changes
    )


def ensure_no_objects(schema: pl.Schema, names: Sequence[str]) -> None:
    """Raise a MappingError where columns of these *names* hold Python objects."""
    objects = [name for name in names if schema[name] == pl.Object]
    if objects:
        raise MappingError(
            f"The columns {listed(objects)} hold Python objects, which no file can keep. Expected texts, numbers or dates. "
            f"Hint: cast them first, or leave them out of keep."
        )
