"""The parts of a plan: its changes and problems, in memory or in files, and what they come to in numbers.

A plan in memory has one part. A plan in parts reads one at a time, and each stands for itself: its digest is looked at
whenever it is read, and one that was altered, cut short or taken away leaves the others as they are.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import polars as pl

from pendosync.counts import Counts, count
from pendosync.digests import digest_of
from pendosync.errors import PlanError
from pendosync.folders import altered, hollow_in, link_file, read_file, write_file
from pendosync.frames import PROBLEMS, n_sent
from pendosync.rules import no_problems
from pendosync.shapes import Span
from pendosync.thinned import restored, thin_fields, thinned

COLUMNS: Final = "columns.parquet"
"""The file that holds the columns of all parts, without a row."""

_HELD: Final = 2
"""Parts that stay in memory once they were read: the one that is sent, and one that is looked at."""

_EXAMPLES: Final = 100
"""Lines of a rule that are looked at where the others are only counted."""


class Part(Protocol):
    """Some of a plan's changes, and their problems."""

    @property
    def number(self) -> int:
        """Which of the parts that its table was cut into; those without a change may be missing between."""

    @property
    def counts(self) -> Counts:
        """What they come to."""

    @property
    def digest(self) -> str:
        """`digest_of` its changes, in hexadecimal."""

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Return its CHANGES, or no more than some columns of them.

        Raises:
            PlanError: they can't be read, or are not as they were written.
        """

    def problems(self) -> pl.DataFrame:
        """Return its PROBLEMS; raises as `read`."""

    def save(self, folder: Path) -> dict[str, Any]:
        """Write it to *folder*, and return what the manifest says of it."""


class InMemory:
    """A part whose frames are at hand."""

    def __init__(self, changes: pl.DataFrame, problems: pl.DataFrame, number: int = 0) -> None:
        self.number = number
        self._changes = changes
        self._problems = problems

    @cached_property
    def counts(self) -> Counts:
        """As in Part."""
        return count(self._changes, self._problems)

    @cached_property
    def digest(self) -> str:
        """As in Part."""
        return digest_of(self._changes).hex()

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """As in Part."""
        return self._changes if columns is None else self._changes.select(columns)

    def problems(self) -> pl.DataFrame:
        """As in Part."""
        return self._problems

    def save(self, folder: Path) -> dict[str, Any]:
        """As in Part."""
        thin = thin_fields(self._changes)
        files = {
            name: write_file(folder / file_of(name, self.number), frame)
            for name, frame in (("part", thinned(self._changes, thin)), ("problems", self._problems))
        }
        told = {"number": self.number, "digest": self.digest, "counts": asdict(self.counts)}
        return {**told, "files": files, "thin": thin}


class InFile:
    """A part that was saved.

    Args:
        folder: where its files lie.
        entry: what the manifest says of it.
        nothing: CHANGES without a row, as each part has them.
    """

    def __init__(self, folder: Path, entry: Mapping[str, Any], nothing: pl.DataFrame) -> None:
        self.number: int = entry["number"]
        self.counts = Counts(**entry["counts"])
        self.digest: str = entry["digest"]
        self._folder = folder
        self._entry = entry
        self._nothing = nothing

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """As in Part."""
        hollow, thin = hollow_in(self._nothing.schema), self._entry.get("thin", ())
        told_by = ("before", "changed") if thin else ()
        needed = None if columns is None else {"row", *columns, *(told_by if "after" in columns else ())}
        asked = None if needed is None else [name for name in needed if name not in hollow]
        frame = restored(self._read("part", asked), thin, self._nothing)
        is_whole = columns is not None or set(frame.columns) == set(self._nothing.columns)
        if frame.height != self.counts.n_rows or not is_whole:
            raise altered(self._folder, f"{file_of('part', self.number)} does not fit the manifest")
        return frame.select(self._nothing.columns if columns is None else columns)

    def problems(self) -> pl.DataFrame:
        """As in Part."""
        return self._read("problems")

    def save(self, folder: Path) -> dict[str, Any]:
        """As in Part; the files stay one with those that were read where the file system can do that."""
        for name in (file_of(what, self.number) for what in self._entry["files"]):
            link_file(self._folder / name, folder / name)
        return dict(self._entry)

    def _read(self, what: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        return read_file(self._folder / file_of(what, self.number), self._entry["files"][what], columns)


class Chosen:
    """Those rows of a part for which something holds."""

    def __init__(self, part: Part, choose: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
        self.number = part.number
        self._part = part
        self._choose = choose
        self.counts = count(self.read(), self.problems())

    @cached_property
    def digest(self) -> str:
        """As in Part."""
        return digest_of(self.read()).hex()

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """As in Part."""
        chosen = self._choose(self._part.read())
        return chosen if columns is None else chosen.select(columns)

    def problems(self) -> pl.DataFrame:
        """As in Part."""
        return self._part.problems()

    def save(self, folder: Path) -> dict[str, Any]:
        """As in Part."""
        return InMemory(self.read(), self.problems(), self.number).save(folder)


def file_of(what: str, number: int) -> str:
    """Return the name of a part's file."""
    return f"{what}-{number:04}.parquet"


class Parts(Sequence[Part]):
    """All parts of a plan, in order, as if they were one frame: a row is counted through all of them.

    Safe from any thread. Holds the two parts that were read last.

    Args:
        parts: at least one.
        nothing: CHANGES without a row, with the columns that each part has.
        folder: where they lie, or were read from; None where they were never saved.
        cut: into how many parts the table was cut by its ids, as `bucket_of` says; 1 where it was not.
    """

    def __init__(
        self, parts: Sequence[Part], nothing: pl.DataFrame, folder: Path | None = None, cut: int = 1
    ) -> None:
        self.cut = cut
        self.nothing = nothing
        self.folder = folder
        self._parts = tuple(parts)
        self._held: dict[int, pl.DataFrame] = {}
        self._turn = threading.Lock()

    @classmethod
    def of(
        cls, changes: pl.DataFrame, problems: pl.DataFrame | None = None, folder: Path | None = None
    ) -> Parts:
        """Return the one part of a plan in memory; *folder* is where it was read from."""
        part = InMemory(changes, no_problems() if problems is None else problems)
        return cls([part], changes.clear(), folder)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": {}, "_turn": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _turn=threading.Lock())

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, number: int) -> Part:  # type: ignore[override]
        return self._parts[number]

    @property
    def is_whole(self) -> bool:
        """Whether the plan is in memory."""
        return len(self) == 1 and isinstance(self._parts[0], InMemory)

    @cached_property
    def counts(self) -> Counts:
        """What all of them come to."""
        return sum((part.counts for part in self), Counts())

    @cached_property
    def first_rows(self) -> list[int]:
        """The first row of each part, then how many rows there are."""
        rows = [0]
        for part in self:
            rows.append(rows[-1] + (part.read().height if self.is_whole else part.counts.n_rows))
        return rows

    @cached_property
    def sent(self) -> list[Span]:
        """The rows of each part that travel."""
        if self.is_whole:
            return [(0, n_sent(self._parts[0].read()))]
        return [(row, part.counts.n_sent) for row, part in zip(self.first_rows, self, strict=False)]

    def read(self, number: int) -> pl.DataFrame:
        """Return the CHANGES of a part.

        Raises:
            PlanError: it can't be read, or is not as it was written.
        """
        if self.is_whole:
            return self._parts[0].read()
        with self._turn:
            found = self._held.pop(number, None)
            frame = self._parts[number].read() if found is None else found
            self._held[number] = frame
            while len(self._held) > _HELD:
                del self._held[next(iter(self._held))]
        return frame

    def each(self) -> Iterator[pl.DataFrame]:
        """Yield the CHANGES of each part, one at a time; raises as `read`."""
        return (part.read() for part in self)

    def whole(self) -> pl.DataFrame:
        """Return all CHANGES in one frame; raises as `read`."""
        return self._parts[0].read() if self.is_whole else pl.concat([self.nothing, *self.each()])

    @cached_property
    def problems(self) -> pl.DataFrame:
        """All PROBLEMS; raises as `read`."""
        if len(self) == 1:
            return self._parts[0].problems()
        return merged_problems(part.problems() for part in self)

    def first(self, n_rows: int) -> pl.DataFrame:
        """Return the CHANGES of the first rows, of the parts that can be read."""
        found = [self.nothing]
        for number in range(len(self)):
            with suppress(PlanError):
                found.append(self.read(number).head(n_rows - sum(part.height for part in found)))
            if sum(part.height for part in found) >= n_rows:
                break
        return pl.concat(found)

    def first_problems(self) -> pl.DataFrame:
        """Return PROBLEMS with a few lines of each rule, of the parts that can be read: no more parts than rules."""
        left = {*self.counts.blocked, *self.counts.warned}
        found = [PROBLEMS.to_frame()]
        for part in self:
            if here := left & {*part.counts.blocked, *part.counts.warned}:
                with suppress(PlanError):
                    lines = part.problems().filter(pl.col("rule").is_in(here))
                    found.append(lines.filter(pl.int_range(pl.len()).over("rule") < _EXAMPLES))
                    left -= here
        return pl.concat(found)

    def part_at(self, row: int) -> int:
        """Return the number of the part that has a row."""
        return bisect_right(self.first_rows, row) - 1

    def slice(self, first_row: int, n_rows: int) -> pl.DataFrame:
        """Return the CHANGES of rows that lie side by side; raises as `read`."""
        if self.is_whole:
            return self._parts[0].read().slice(first_row, n_rows)
        found = [self.nothing]
        end = min(first_row + n_rows, self.first_rows[-1])
        while first_row < end:
            number = self.part_at(first_row)
            start = first_row - self.first_rows[number]
            found.append(self.read(number).slice(start, end - first_row))
            first_row = self.first_rows[number + 1]
        return found[1] if len(found) == 2 else pl.concat(found)

    def take(self, rows: pl.Series) -> pl.DataFrame:
        """Return the CHANGES of *rows* (in order), and of no part that can't be read, with `at`: which row each is."""
        found = [self.nothing.with_columns(pl.lit(0, dtype=pl.UInt32).alias("at"))]
        for number, (first, end) in enumerate(zip(self.first_rows, self.first_rows[1:], strict=False)):
            mine = rows.filter(rows.is_between(first, end, closed="left"))
            if len(mine):
                try:
                    changes = self.read(number)
                except PlanError:
                    continue
                found.append(changes[mine - first].with_columns(mine.cast(pl.UInt32).alias("at")))
        return pl.concat(found)

    def chosen(self, choose: Callable[[pl.DataFrame], pl.DataFrame]) -> Parts:
        """Return the parts with only those rows that *choose* leaves, and all their problems."""
        if self.is_whole:
            return Parts.of(choose(self._parts[0].read()), self._parts[0].problems(), self.folder)
        return Parts([Chosen(part, choose) for part in self], choose(self.nothing), self.folder, self.cut)


def merged_problems(parts: Iterator[pl.DataFrame]) -> pl.DataFrame:
    """Return the PROBLEMS of several parts as those of one table: a column's problem is one line, its rows added up."""
    every = pl.concat([PROBLEMS.to_frame(), *parts])
    rows, columns = every.filter(pl.col("row").is_not_null()), every.filter(pl.col("row").is_null())
    lines = columns.group_by("field", "rule", "severity", "reason", maintain_order=True).agg(
        pl.col("row", "id").first(), pl.col("n_rows").sum()
    )
    return pl.concat([lines.select(PROBLEMS.names()), rows])
