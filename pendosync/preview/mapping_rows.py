"""A mapping as the page shows it: a row a trait, what is wrong and how to mend it, what is left over."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import polars as pl

from pendosync.errors import ColumnNotFoundError, MappingError, counted, listed
from pendosync.frames import DTYPES
from pendosync.mapping import Mapping
from pendosync.preview.drafts import Draft, Line
from pendosync.preview.findings import Finding, Findings, Problem
from pendosync.preview.mapping_code import MappingCode, write_code
from pendosync.preview.mends import Mend, creation_of, creations_of, mends_of, words_of
from pendosync.preview.schema import Schema
from pendosync.traits import Trait

_OWN_ID: Final = {"membership": "visitor in account", "event": "the row’s number"}
"""What an id is made of where no column holds it."""

Row = dict[str, Any]
TYPES: Final = tuple(DTYPES)


@dataclass(frozen=True, slots=True)
class _Look:
    """A line with what was found of it."""

    line: Line
    finding: Finding


class MappingEditor:
    """A mapping while it is edited, without a page: what is there, and what each gesture does.

    Args:
        table: a table, lazy or not.
        mapping: where to start.
        fields: FIELDS, or None.

    Raises:
        ColumnNotFoundError: the table has no such id.
        FrameError, TableError: *fields* breaks its brick, or the table can't be read.
    """

    def __init__(
        self, table: pl.DataFrame | pl.LazyFrame, mapping: Mapping, fields: pl.DataFrame | None = None
    ) -> None:
        self.schema = Schema(mapping, fields)
        self.findings = Findings(table, mapping, fields)
        self.draft = Draft.of(mapping, self.findings.columns)

    def change(self, index: int, changes: AbstractMapping[str, Any]) -> None:
        """Change one trait. A field of Pendo's brings its type with it, where *changes* names none.

        Raises:
            MappingError: there is no such trait, or nothing of that name to change.
        """
        self._ensure_there(index)
        known = self.schema.type_of(changes.get("field", ""))
        brought = {"type": known} if known and "type" not in changes else {}
        self.draft = self.draft.change(index, {**changes, **brought})

    def add(self, column: str) -> None:
        """Add a column that was left out, to the field that matches it, or to one of its own name.

        Raises:
            ColumnNotFoundError: the table has no such column.
        """
        if column not in self.findings.columns:
            raise ColumnNotFoundError.of([column], self.findings.columns, what="The table")
        match = self.schema.match(column, self._filled())
        origin = Trait(column, field="field")  # a line may name a field that a Trait refuses
        line = Line(origin, match or column, self.schema.type_of(match))
        self.draft = dataclasses.replace(self.draft, lines=(*self.draft.lines, line))

    def set_zone(self, time_zone: str | None) -> None:
        """Read datetimes without a zone on other clocks."""
        self.draft = dataclasses.replace(self.draft, time_zone=time_zone or None)

    def to_mapping(self) -> Mapping:
        """Return the mapping as it stands.

        Raises:
            MappingError: it is none: two traits to one field, no trait, no such zone.
        """
        mapping = self.draft.to_mapping()
        clash = self._clash(self._looks())
        if clash:
            raise clash
        return mapping

    def to_code(self) -> MappingCode:
        """Return the mapping as code, or raise as `to_mapping`."""
        return write_code(self.to_mapping())

    def picture(self) -> Row:
        """Return all that the page shows, of plain values. It holds samples, so it travels as a message only."""
        looks = self._looks()
        rows = [self._row(index, look, looks) for index, look in enumerate(looks)]
        filled = self._filled()
        return {
            "kind": self.draft.start.kind,
            "group": self.draft.start.group,
            "route": self.draft.start.route,
            "n_rows": self.findings.n_rows,
            "zone": self.draft.time_zone or "",
            "has_naive": any(_is_naive(look.finding.source) for look in looks),
            "id": self._id_row(),
            "rows": rows,
            "creations": creations_of(self.draft.start, self._n_new(looks)),
            "counts": self._counts(rows),
            "left_out": [
                {"column": name, "dtype": self.findings.dtype_of(name)} for name in self.draft.unlisted
            ],
            "untouched": [asdict(one) for one in self.schema.untouched(filled)],
            **self._code(),
        }

    def counts(self) -> AbstractMapping[str, int]:
        """Return the numbers at the head: traits, fields, blocked and warnings."""
        looks = self._looks()
        return self._counts([self._row(index, look, looks) for index, look in enumerate(looks)])

    def _looks(self) -> list[_Look]:
        zone = self.draft.known_zone
        return [_Look(line, self._find(line, zone)) for line in self.draft.lines]

    def _find(self, line: Line, zone: str | None) -> Finding:
        try:
            return self.findings.find(line.to_trait(), zone)
        except MappingError as error:
            return Finding(error=str(error))

    def _n_new(self, looks: Sequence[_Look]) -> int:
        included = [look.finding.problems for look in looks if look.line.included]
        return sum(problem.rule == "unknown_field" for problems in included for problem in problems)

    def _filled(self) -> set[str]:
        """Return the fields that included traits fill."""
        return set(_fields_of([look for look in self._looks() if look.line.included]))

    def _ensure_there(self, index: int) -> None:
        if not 0 <= index < len(self.draft.lines):
            raise MappingError(
                f"There is no trait {index}. Expected 0 to {len(self.draft.lines) - 1}. Hint: run the cell again."
            )

    def _clash(self, looks: Sequence[_Look]) -> MappingError | None:
        """Return why flattened parts meet another trait's field; Mapping itself sees whole traits only."""
        counts = _fields_of([look for look in looks if look.line.included])
        twice = [name for name, n in counts.items() if n > 1]
        return (
            MappingError(
                f"Two traits go to the field {twice[0]!r}. Expected one trait a field. "
                f"Hint: leave one out, or give it another field.",
                field=twice[0],
            )
            if twice
            else None
        )

    def _code(self) -> Row:
        try:
            code = self.to_code()
        except MappingError as error:
            return {"broken": str(error), "python": "", "toml": "", "note": ""}
        return {"broken": "", "python": code.python, "toml": code.toml or "", "note": code.note}

    def _row(self, index: int, look: _Look, looks: Sequence[_Look]) -> Row:
        line, finding = look.line, look.finding
        others = [one for at, one in enumerate(looks) if at != index and one.line.included]
        known = self.schema.get(line.field)
        return {
            "index": index,
            "included": line.included,
            "source": line.origin.source,
            "computed": "" if line.origin.column is not None else "sql" if line.origin.sql else "expr",
            "dtype": finding.dtype,
            "samples": list(finding.samples),
            "n_null": finding.n_null,
            "field": line.field,
            "name": known.name if known else "",
            "parts": [name for name in finding.fields if name != line.field],
            "type": line.type or "",
            "becomes": next(iter(finding.fields.values()), None) or "",
            "natural": finding.natural or "",
            "encoded": finding.encoded,
            "null": line.null,
            "problems": self._problems(look, _fields_of(others)),
        }

    def _problems(self, look: _Look, taken: AbstractMapping[str, int]) -> list[Row]:
        if look.finding.error:
            return [_error_row(look.finding.error)]
        clashing = [name for name in look.finding.fields if name in taken] if look.line.included else []
        told = [_clash_row(clashing)] if clashing else []
        return _joined([*told, *(self._problem(problem, look, taken) for problem in look.finding.problems)])

    def _problem(self, problem: Problem, look: _Look, taken: AbstractMapping[str, int]) -> Row:
        short, means = words_of(problem)
        if problem.rule == "unknown_field":
            means = creation_of(self.draft.start, look.finding)
        mends = mends_of(problem, look.line, look.finding, schema=self.schema, taken=taken)
        parts = [problem.field] if problem.field != look.line.field else []
        return _told(problem.blocks, short, means, mends, rule=problem.rule, parts=parts)

    def _id_row(self) -> Row:
        ids = self.findings.ids
        problems = [] if not ids.error else [_told(True, "no id", ids.error, [])]
        for problem in ids.problems:
            problems.append(_told(problem.severity == "block_row", *words_of(problem), [], rule=problem.rule))
        n_dropped = sum(
            problem.n for problem in ids.problems if problem.rule in ("missing_id", "duplicate_id")
        )
        return {
            "source": self.draft.start.id or _OWN_ID[self.draft.start.kind],
            "dtype": ids.dtype,
            "samples": list(ids.samples),
            "encoded": ids.encoded,
            "n_unique": self.findings.n_rows - n_dropped if not ids.error else 0,
            "problems": problems,
        }

    def _counts(self, rows: Sequence[Row]) -> Row:
        included = [row for row in rows if row["included"]]
        told = [row["problems"] for row in included] + [self._id_row()["problems"]]
        blocked = [any(problem["blocks"] for problem in problems) for problems in told]
        travelling = [row for row, is_blocked in zip(included, blocked, strict=False) if not is_blocked]
        return {
            "traits": len(included),
            "fields": sum(max(1, len(row["parts"])) for row in travelling),
            "blocked": sum(blocked),
            "warnings": sum(not problem["blocks"] for problems in told for problem in problems),
        }


def _told(
    blocks: bool, short: str, means: str, mends: Sequence[Mend], *, rule: str = "", parts: Sequence[str] = ()
) -> Row:
    return {
        "rule": rule,
        "blocks": blocks,
        "short": short,
        "means": means,
        "parts": list(parts),
        "mends": [asdict(mend) for mend in mends],
    }


def _joined(told: Sequence[Row]) -> list[Row]:
    """Return what is told of a trait with nothing twice: the parts of a struct share a line, a mend stands once."""
    lines: dict[tuple[str, str, str], Row] = {}
    labels: set[str] = set()
    for one in told:
        line = lines.setdefault((one["rule"], one["short"], one["means"]), {**one, "parts": [], "mends": []})
        line["parts"] += one["parts"]
        line["mends"] += [mend for mend in one["mends"] if mend["label"] not in labels]
        labels.update(mend["label"] for mend in one["mends"])
    return list(lines.values())


def _error_row(error: str) -> Row:
    return _told(True, "can’t be mapped", error, [Mend("leave out", {"included": False})])


def _clash_row(fields: Sequence[str]) -> Row:
    return _told(
        True,
        "two traits, one field",
        f"Another trait goes to {listed(fields)} too. Choose another field, or leave one of them out.",
        [Mend("leave out", {"included": False})],
    )


def _fields_of(looks: Sequence[_Look]) -> Counter[str]:
    """Return how many of *looks* fill each field; one that can't be computed still fills the field it names."""
    return Counter(name for look in looks for name in (look.finding.fields or {look.line.field: None}))


def _is_naive(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Datetime) and dtype.time_zone is None


def title_of(mapping: Mapping, counts: AbstractMapping[str, int]) -> str:
    """Return a mapping under edit in one line, without a row's value."""
    told = [f"{counts['blocked']:,} blocked"] if counts["blocked"] else []
    told += [counted(counts["warnings"], "warning")] if counts["warnings"] else []
    return " · ".join(
        [
            f"Mapping of {mapping.kind}s: {counted(counts['traits'], 'trait')} → {counted(counts['fields'], 'field')}",
            *told,
        ]
    )
