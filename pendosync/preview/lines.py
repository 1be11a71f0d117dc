"""The problems of a plan as a preview lists them: those of a rule or of an id, gathered a part at a time."""

from __future__ import annotations

import polars as pl

from pendosync.errors import PlanError, first_line
from pendosync.parted import Part, Parts, merged_problems
from pendosync.rules import no_problems


class Lines:
    """The PROBLEMS of *parts*. Of a part where they can't be read there are none.

    Attributes:
        lost: the parts whose problems could not be read when they were last needed, each with the reason.
    """

    def __init__(self, parts: Parts) -> None:
        self.lost: dict[int, str] = {}
        self._parts = parts
        self._held: tuple[str, pl.DataFrame] | None = None

    @property
    def told(self) -> list[str]:
        """A sentence for each part whose problems can't be read."""
        return [
            f"The problems of part {number + 1:,} of {len(self._parts):,} can't be read ({why}), and are left out."
            for number, why in sorted(self.lost.items())
        ]

    def of(self, rule: str) -> pl.DataFrame:
        """Return the PROBLEMS of a rule; those of one are held."""
        if self._held is None or self._held[0] != rule:
            self._held = rule, self._gather(rule=rule)
        return self._held[1]

    def with_id(self, name: str, number: int | None = None) -> pl.DataFrame:
        """Return the PROBLEMS of an id: of one part, where it is known which has it."""
        return self._gather(number, id=name)

    def has_ids(self, rule: str) -> bool:
        """Return whether problems of a rule are of ids, rather than of columns, by the first part that has some."""
        first = next((at for at, part in enumerate(self._parts) if _n_lines(part, rule)), 0)
        return len(self._gather(first, rule=rule)["id"].drop_nulls()) > 0

    def _gather(self, number: int | None = None, **wanted: str) -> pl.DataFrame:
        numbers = range(len(self._parts)) if number is None else [number]
        found = [self._read(at, **wanted) for at in numbers]
        return found[0] if len(found) == 1 else merged_problems(iter(found))

    def _read(self, number: int, **wanted: str) -> pl.DataFrame:
        part = self._parts[number]
        if not _n_lines(part, wanted.get("rule")):
            return no_problems()
        try:
            lines = part.problems()
        except PlanError as error:
            self.lost[number] = error.why or first_line(error)
            return no_problems()
        self.lost.pop(number, None)
        return lines.filter(**wanted)


def _n_lines(part: Part, rule: str | None) -> int:
    """Return how many problems a part has, of one rule or of all."""
    counts = [part.counts.blocked, part.counts.warned]
    return sum(sum(one.values()) if rule is None else one.get(rule, 0) for one in counts)
