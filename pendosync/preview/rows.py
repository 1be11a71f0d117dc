"""The rows of a plan as a preview reads them: a part at a time, so that what is held is a column, never all changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Final

import polars as pl

from pendosync.errors import PlanError, counted, first_line
from pendosync.parted import Parts
from pendosync.shapes import Span

SAMPLE: Final = 1_000_000
"""Rows that a column is judged by where a plan in parts has more."""

_NEAR: Final = 256
"""Rows that are read together where those that are side by side in the view lie in many parts."""

_VALUE: Final = "\0value"


class Rows:
    """The rows of *parts*, each by its position in the plan.

    A part that can't be read stands in nobody's way: its rows are there, and hold nothing.

    Attributes:
        lost: the parts that could not be read when they were last needed, each with the reason.
    """

    def __init__(self, parts: Parts) -> None:
        self.lost: dict[int, str] = {}
        self._parts = Parts.of(parts.read(0).rechunk()) if parts.is_whole else parts
        self._near: tuple[range, pl.Series, pl.DataFrame] | None = None

    def __len__(self) -> int:
        return self._parts.first_rows[-1]

    @property
    def spans(self) -> list[Span]:
        """The rows of each part."""
        ends = self._parts.first_rows
        return [(first, end - first) for first, end in pairwise(ends)]

    @property
    def lost_spans(self) -> list[Span]:
        """The rows of the parts that can't be read."""
        return [self.spans[number] for number in self.lost]

    @property
    def told(self) -> list[str]:
        """A sentence for each part that can't be read."""
        return [
            f"Part {number + 1:,} of {len(self._parts):,} can't be read ({why}): none of its "
            f"{counted(self.spans[number][1], 'id')} is selected. A push of the whole plan sends the other parts; to choose some of its "
            f"ids, plan again."
            for number, why in sorted(self.lost.items())
        ]

    def column(self, expr: pl.Expr, columns: Sequence[str] | None = None) -> pl.Series:
        """Return the value of *expr* of each row, null in a part that can't be read.

        Args:
            expr: gives one value a row.
            columns: those of CHANGES that it reads, where that is known.
        """
        asked = None if columns is None or self._parts.is_whole else columns
        found = [self._value(self._parts.nothing, expr)]
        unread: dict[int, int] = {}
        for number, (_, n_rows) in enumerate(self.spans):
            part = self._read(number, asked)
            unread |= {len(found): n_rows} if part is None else {}
            found.append(found[0] if part is None else self._value(part, expr))
        for at, n_rows in unread.items():
            found[at] = pl.repeat(None, n_rows, dtype=found[0].dtype, eager=True)
        return found[1] if len(found) == 2 else pl.concat(found, rechunk=True)

    def where(self, expr: pl.Expr, columns: Sequence[str] | None = None) -> pl.Series:
        """Return whether *expr* holds, of each row; as `column`. What is null does not."""
        return self.column(expr.fill_null(False), columns).fill_null(False)

    def take(self, positions: pl.Series, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return CHANGES of the rows at *positions*, in that order; nulls in a part that can't be read."""
        if self._parts.is_whole:
            changes = self._parts.read(0)
            return (changes if columns is None else changes.select(columns))[positions]
        rows, found = positions.cast(pl.UInt32), [self._parts.nothing.select(columns or pl.all())]
        places = [pl.Series("place", [], dtype=pl.UInt32)]
        for number, (first, n_rows) in enumerate(self.spans):
            mine = rows.is_between(first, first + n_rows, closed="left").arg_true()
            part = self._read(number, held=True) if len(mine) else None
            if part is not None:
                found.append(part.select(columns or pl.all())[rows.gather(mine) - first])
                places.append(mine.cast(pl.UInt32))
        every = pl.concat(places)
        order = pl.repeat(None, len(rows), dtype=pl.UInt32, eager=True)
        order = order.scatter(every, pl.int_range(len(every), dtype=pl.UInt32, eager=True))
        return pl.concat(found).select(pl.all().gather(order))

    def page(self, order: pl.Series | None, place: int, n: int) -> tuple[pl.Series, pl.DataFrame]:
        """Return the positions and CHANGES of *n* rows from a place on, in an *order* of positions or the plan's own.

        Where they lie in many parts, some that follow are read with them.
        """
        if order is None or self._parts.is_whole:
            positions = self.positions(order, place, n)
            return positions, self.take(positions)
        near = self._near
        if near is None or near[1] is not order or place not in near[0] or place + n > near[0].stop:
            start = max(0, place - _NEAR // 4)
            within = range(start, max(start + _NEAR, place + n))
            near = within, order, self.take(order.slice(start, len(within)))
        self._near = near
        return order.slice(place, n), near[2].slice(place - near[0].start, n)

    def positions(self, order: pl.Series | None, place: int, n: int) -> pl.Series:
        """Return the positions of *n* rows from a place on."""
        if order is not None:
            return order.slice(place, n)
        end = min(place + n, len(self))
        return pl.int_range(place, max(place, end), dtype=pl.UInt32, eager=True)

    def find(self, wanted: str) -> int | None:
        """Return the position of an id, or None where no part that can be read has it."""
        for number, (first, _) in enumerate(self.spans):
            part = self._read(number, None if self._parts.is_whole else ["id"])
            if part is not None:
                at = part.select(pl.arg_where(pl.col("id") == wanted)).to_series()
                if len(at):
                    return first + int(at[0])
        return None

    @cached_property
    def are_in_order(self) -> bool:
        """Whether the rows stand as they did in the table."""
        greatest = -1
        for number in range(len(self._parts)):
            part = self._read(number, ["row"])
            if part is None or part.is_empty():
                continue
            rows = part["row"]
            if rows.null_count() or rows[0] < greatest or not rows.is_sorted():
                return False
            greatest = rows[-1]
        return True

    @property
    def is_sampled(self) -> bool:
        """Whether `sample` leaves rows out."""
        return self._stride > 1

    @property
    def _stride(self) -> int:
        return 1 if self._parts.is_whole else max(1, -(-len(self) // SAMPLE))

    def sample(
        self,
        look: Callable[[pl.DataFrame], pl.DataFrame],
        columns: Sequence[str],
        *,
        only_sent: bool = False,
    ) -> pl.DataFrame:
        """Return what *look* makes of all rows; of a plan in parts that has many, of parts from all through it.

        As ids are dealt out to the parts whatever their rows hold, some of the parts show what all of them do.

        Args:
            look: takes what is asked from CHANGES of a part.
            columns: those of CHANGES that it reads.
            only_sent: leave out what does not travel.
        """
        found = [look(self._parts.nothing)]
        for number in range(0, len(self._parts), self._stride):
            part = self._read(number, columns)
            if part is not None:
                n_sent = self._parts.sent[number][1] if only_sent else part.height
                found.append(look(part.head(n_sent)))
        return found[1] if len(found) == 2 else pl.concat(found, rechunk=True)

    def _value(self, part: pl.DataFrame, expr: pl.Expr) -> pl.Series:
        return part.select(pl.col(part.columns[0]), expr.alias(_VALUE))[_VALUE]

    def _read(
        self, number: int, columns: Sequence[str] | None = None, *, held: bool = False
    ) -> pl.DataFrame | None:
        """Return CHANGES of a part, or None where it can't be read: then that is told."""
        try:
            is_held = held or self._parts.is_whole
            part = self._parts.read(number) if is_held else self._parts[number].read(columns)
        except PlanError as error:
            self.lost[number] = error.why or first_line(error)
            return None
        self.lost.pop(number, None)
        return part
