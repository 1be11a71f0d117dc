"""What a broken rule means to the one who maps, and what one click would do about it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from pendosync.errors import counted
from pendosync.mapping import Mapping
from pendosync.preview.drafts import Line
from pendosync.preview.findings import Finding, Problem
from pendosync.preview.schema import Schema, legal_name

Changes = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mend:
    """What one click does: changes of the line, or a choice of the mapping's time zone."""

    label: str
    changes: Changes
    asks_zone: bool = False


_WORDS: Final = {
    "missing_id": ("{rows} without an id", "Dropped. Fill the ids in the table to keep the rows."),
    "duplicate_id": ("{rows} share an id", "Dropped, as which one holds is not said. Keep one row for each id in the table."),
    "similar_id": ("{rows} with ids that differ by case or blanks only", "Pendo tells them apart. Fold them in the table if they mean the same."),
    "long_id": ("{rows} with an id over 128 bytes", "Pendo cuts a visitor's id there. Shorten it in the table."),
    "anonymous_id": ("{rows} with an anonymous visitor’s id", "Dropped: such ids are Pendo’s own."),
    "missing_visitor": ("{rows} without a visitor", "Dropped: from the server such a message is never sent."),
    "missing_account": ("{rows} without an account", "Dropped. Fill the accounts in the table to keep the rows."),
    "missing_event": ("{rows} without an event’s name", "Dropped. Fill the names in the table to keep the rows."),
    "missing_time": ("{rows} without a time", "Dropped. Times are read as ISO 8601 writes them."),
    "too_old": ("{rows} older than 7 days", "Dropped, as Pendo would not process them."),
    "future_time": ("{rows} of the future", "Sent as they are."),
    "large_properties": ("{rows} with properties over 512 bytes", "Dropped, as Pendo would not process them."),
    "large_message": ("{rows} with a message over 32 KB", "Dropped, as Segment does not take it. Leave long texts out, or shorten them."),
    "long_name": ("a name over 32 characters", "Give the property a shorter name with field=."),
    "taken_name": ("a name that the message keeps", ""),
    "wrong_integrations": ("{rows} whose integrations are no object", "Dropped. Expected JSON such as {\"Pendo\": true}."),
    "wrong_parent": ("{rows} whose parent account has no id", "Dropped. Expected the parent’s id, or an object with id."),
    "spec_type": ("another type than Segment’s spec has", ""),
    "unknown_field": ("not in Pendo", ""),
    "deleted_field": ("deleted in Pendo", "Choose another field, or restore it in Pendo."),
    "read_only_field": ("can’t be written", "Pendo calculates this field. Choose another."),
    "illegal_field_name": ("no name for a field", "A field has letters, digits and underscores, and no digit first."),
    "unsupported_type": ("no such type in Pendo", ""),
    "no_time_zone": ("no time zone", "Which clocks do these times come from?"),
    "other_type": ("another type in Pendo", ""),
    "list_outside_agent": ("lists go to the agent group only", ""),
    "wrong_value": ("{cells} of another type", ""),
    "not_finite": ("{cells} NaN or infinite", ""),
    "unsafe_integer": ("{cells} beyond ±2^53", "Would be rounded on the way."),
    "long_text": ("{cells} over 1,500 characters", "Sent as it is; Pendo recommends shorter texts."),
    "looks_secret": ("looks like a secret", "Pendo’s users will see these values."),
}  # fmt: skip
"""Rule → what is wrong in few words, and what that means or what to do. Where it is empty, the check's own reason."""


def words_of(problem: Problem) -> tuple[str, str]:
    """Return what is wrong in few words, and what that means, or what to do."""
    short, means = _WORDS[problem.rule]
    counts = {"rows": counted(problem.n, "row"), "cells": counted(problem.n, "value")}
    if not problem.is_whole and problem.field:
        dropped = {
            "block_field": "Dropped; Pendo keeps what it holds there.",
            "block_row": "The rows are dropped, as a null would clear what Pendo holds.",
        }.get(problem.severity, "")
        means = " ".join(part for part in (means, dropped) if part)
    return short.format(**counts), means or f"{problem.reason[:1].upper()}{problem.reason[1:]}."


def creation_of(mapping: Mapping, finding: Finding) -> str:
    """Return what a new field must be made before it can be filled."""
    if mapping.route == "webhook":
        return "Pendo makes the field when its first value arrives."
    kinds = {_CREATED.get(str(one or finding.natural), "text") for one in finding.fields.values()}
    return f"Create it there first, of type {' or '.join(sorted(kinds))}."


def creations_of(mapping: Mapping, n_new: int) -> str:
    """Return where new fields are created, and what happens until they are; nothing where there are none."""
    if not n_new or mapping.route == "webhook":
        return ""
    told = (
        "1 field is not in Pendo: create it"
        if n_new == 1
        else f"{n_new:,} fields are not in Pendo: create them"
    )
    return (
        f"{told} first, in the group {mapping.group} of {mapping.kind}s, in Pendo's settings. The bulk write "
        f"refuses a whole request that names a field it does not know, so their values are dropped until then."
    )


_CREATED: Final = {
    "text": "text",
    "boolean": "boolean",
    "integer": "number",
    "float": "number",
    "date": "date",
}


def mends_of(
    problem: Problem, line: Line, finding: Finding, *, schema: Schema, taken: Collection[str]
) -> list[Mend]:
    """Return what one click could do about *problem*, the best first; the last leaves the trait out where it is whole.

    Args:
        problem: what is wrong.
        line: the trait.
        finding: all that was found of it.
        schema: Pendo's fields.
        taken: fields that other traits fill.
    """
    if problem.rule == "no_time_zone":
        return [Mend("time zone", {}, asks_zone=True), *_LEAVE_OUT]
    mends = list(_MENDS.get(problem.rule, _no_mend)(problem, line, finding, schema, taken))
    if problem.severity == "block_row" and line.null == "clear":
        mends.append(Mend("keep Pendo’s value on null", {"null": "keep"}))
    return [*mends, *_LEAVE_OUT] if problem.is_whole else mends


_LEAVE_OUT: Final = (Mend("leave out", {"included": False}),)


def _no_mend(*_: object) -> Iterator[Mend]:
    return iter(())


def _near_field(
    problem: Problem, line: Line, _finding: Finding, schema: Schema, taken: Collection[str]
) -> Iterator[Mend]:
    near = schema.near(problem.field, taken) if problem.field == line.field else ""
    if near:
        yield Mend(f"use {near}", {"field": near})


def _legal_field(
    problem: Problem, line: Line, _finding: Finding, schema: Schema, taken: Collection[str]
) -> Iterator[Mend]:
    if problem.field != line.field:  # a part of a struct: its end is not ours to name
        return
    name = schema.match(line.field, taken) or legal_name(line.field, taken)
    if name:
        yield Mend(f"call it {name}", {"field": name})


def _pendos_type(
    problem: Problem, line: Line, _finding: Finding, schema: Schema, _taken: Collection[str]
) -> Iterator[Mend]:
    held = schema.type_of(problem.field)
    if held and held != line.type:
        yield Mend(f"read it as {held}", {"type": held})


def _another_type(
    _problem: Problem, line: Line, finding: Finding, _schema: Schema, _taken: Collection[str]
) -> Iterator[Mend]:
    if line.type is not None and finding.natural is not None and finding.natural != line.type:
        yield Mend(f"take it as it is: {finding.natural}", {"type": None})
    yield from _by_sql(line, finding)


def _by_sql(line: Line, finding: Finding) -> Iterator[Mend]:
    name = line.origin.column
    found = _cast_in_words(finding.source)
    if name is None or found is None:
        return
    label, sql, kind = found
    quoted = name.replace('"', '""')
    written = sql.format(f'"{quoted}"')
    if _reads(written, name):
        yield Mend(label, {"sql": written, "type": kind})


def _cast_in_words(dtype: pl.DataType) -> tuple[str, str, str] | None:
    """Return how SQL makes a type of Pendo's from *dtype*: a label, the SQL, the type; None where it can't."""
    if isinstance(dtype, pl.Time):
        return "write it as text", "CAST({} AS VARCHAR)", "text"
    if isinstance(dtype, pl.Duration):
        unit = {"ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}[dtype.time_unit]
        return f"count its {unit}", "CAST({} AS BIGINT)", "integer"
    inner = getattr(dtype, "inner", None)
    if isinstance(dtype, pl.List) and isinstance(inner, pl.DataType) and not inner.is_nested():
        return "join it to one text", "ARRAY_TO_STRING({}, ', ')", "text"
    return None


def _reads(sql: str, column: str) -> bool:
    try:
        return pl.sql_expr(sql).meta.root_names() == [column]
    except (pl.exceptions.PolarsError, ValueError):
        return False


def _as_text(
    problem: Problem, line: Line, _finding: Finding, schema: Schema, _taken: Collection[str]
) -> Iterator[Mend]:
    if line.type != "text" and schema.type_of(problem.field) in (None, "text"):
        yield Mend("map as text", {"type": "text"})


def _joined(
    _problem: Problem, line: Line, finding: Finding, _schema: Schema, _taken: Collection[str]
) -> Iterator[Mend]:
    yield from _by_sql(line, finding)


_MENDS: Final = {
    "unknown_field": _near_field,
    "deleted_field": _near_field,
    "read_only_field": _near_field,
    "illegal_field_name": _legal_field,
    "unsupported_type": _another_type,
    "other_type": _pendos_type,
    "list_outside_agent": _joined,
    "wrong_value": _as_text,
    "unsafe_integer": _as_text,
}
