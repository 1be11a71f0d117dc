"""What is wrong with values, all at once, before anything travels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as AbstractMapping
from datetime import UTC, datetime
from typing import Final

import polars as pl

from pendosync.errors import ProblemsError, counted, listed, nearest
from pendosync.frames import (
    DTYPES,
    FIELDS,
    HELD_KINDS,
    PROBLEMS,
    VALUES,
    FieldType,
    Severity,
    as_words,
    compute,
    ensure_about,
    ensure_frame,
    field_names,
    raw_cell,
    type_of,
)
from pendosync.id_checks import each_id_problem
from pendosync.mapping import Mapping
from pendosync.message_checks import MOST_NAME, each_message_problem, is_taken
from pendosync.rules import RULES, column_problem, no_problems, row_problems
from pendosync.spec import misfit

_HIT: Final = "\0hit"
MOST_TEXT: Final = 1500
SAFE_INTEGER: Final = 2**53
_FIELD_NAME: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
_SECRET_VALUE: Final = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"  # PEM
    r"|\bAKIA[0-9A-Z]{16}\b"  # AWS
    r"|\bgh[pousr]_[A-Za-z0-9]{36,}"  # GitHub
    r"|\b[sr]k_(live|test)_[A-Za-z0-9]{16,}"  # Stripe
    r"|\bxox[abpr]-[A-Za-z0-9-]{10,}"  # Slack
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."  # JSON web token
)
_SHORTEST_SECRET: Final = 15
"""Bytes of the shortest of them: a Slack token."""

_SECRET_NAME: Final = r"(?i)passwo?r?d|secret|api_?key|private_?key|access_?token|credit_?card|\bssn\b"
_ACCEPTS: Final[AbstractMapping[str, tuple[FieldType, ...]]] = {"float": ("float", "integer")}


def check_values(
    values: pl.DataFrame,
    /,
    *,
    mapping: Mapping,
    fields: pl.DataFrame | None = None,
    now: datetime | None = None,
) -> pl.DataFrame:
    """Return all that is wrong with *values*, each problem with its rule, severity and a reason.

    Never raises for a value and never changes one. `drop_blocked` acts on the result.

    Args:
        values: VALUES frame (n rows), from `map_traits`.
        mapping: gives the kind, route, group and null policies.
        fields: FIELDS, from `fetch_fields`; None leaves out the rules on Pendo's schema.
        now: the time by which events are too old; the present when left out.

    Returns:
        PROBLEMS frame (0 to about n rows a rule), in the order of `RULES`, then of the table. What holds for a whole
        column is one line, with `row` null.

    Raises:
        FrameError: *values* or *fields* breaks its brick.

    Source: the table in docs/rules.md; Pendo's help pages and API reference, read 2026-11-23.

    Example:
        >>> from pendosync.values import map_traits
        >>> mapping = Mapping("visitor", id="id", traits=["score"])
        >>> values = map_traits(pl.DataFrame({"id": ["ann", "ann"], "score": [1.5, float("nan")]}), mapping)
        >>> check_values(values, mapping=mapping)["rule"].to_list()
        ['duplicate_id', 'duplicate_id', 'not_finite']
    """
    ensure_frame(values, VALUES, "values")
    if mapping.kind not in HELD_KINDS:
        ensure_about(values, [*mapping.about], "values")
    if fields is not None:
        ensure_frame(fields, FIELDS, "fields")
    now = now or datetime.now(UTC)
    messages = each_message_problem(values, mapping, now)
    return _in_order([*each_id_problem(values, mapping), *messages, *_check_fields(values, mapping, fields)])


def check_ids(values: pl.DataFrame, /, *, mapping: Mapping) -> pl.DataFrame:
    """Return what `check_values` finds about the ids, and about what rows say besides fields."""
    messages = each_message_problem(values, mapping, datetime.now(UTC))
    return _in_order([*each_id_problem(values, mapping), *messages])


def check_fields(
    values: pl.DataFrame, /, *, mapping: Mapping, fields: pl.DataFrame | None = None
) -> pl.DataFrame:
    """Return what `check_values` finds about the fields alone, so that one trait can be looked at by itself."""
    return _in_order(_check_fields(values, mapping, fields))


def _in_order(found: Iterable[pl.DataFrame]) -> pl.DataFrame:
    order = pl.DataFrame({"rule": list(RULES), "_order": range(len(RULES))})
    problems = pl.concat([no_problems(), *found]).join(order, on="rule", how="left", maintain_order="left")
    return problems.sort("_order", maintain_order=True).drop("_order")


def _check_fields(
    values: pl.DataFrame, mapping: Mapping, fields: pl.DataFrame | None
) -> Iterable[pl.DataFrame]:
    yield from _check_columns(values, mapping)
    if fields is not None and mapping.kind in HELD_KINDS:
        yield from _check_schema(values, mapping, fields)
    yield from _check_cells(values, mapping)


def drop_blocked(values: pl.DataFrame, problems: pl.DataFrame, /) -> pl.DataFrame:
    """Return *values* without what *problems* blocks: its rows, its columns, its single cells.

    Keeps what only has warnings, and the order. A dropped cell is null, which the plan leaves alone.

    Args:
        values: VALUES frame (n rows).
        problems: PROBLEMS frame, from `check_values`.

    Returns:
        VALUES frame (0 to n rows); `row` still is the position in the table.

    Raises:
        FrameError: either frame breaks its brick.
    """
    ensure_frame(values, VALUES, "values")
    ensure_frame(problems, PROBLEMS, "problems")
    rows = problems.filter(severity="block_row").select("row").drop_nulls().unique()
    fields = problems.filter(pl.col("severity") == "block_field")
    columns = fields.filter(pl.col("row").is_null())["field"].to_list()
    kept = values.drop([name for name in columns if name in field_names(values)])
    for name, cells in fields.drop_nulls("row").partition_by("field", as_dict=True).items():
        kept = _drop_cells(kept, str(name[0]), cells)
    kept = _drop_raw(kept, field_names(values), pl.concat([fields, problems.filter(severity="block_row")]))
    return kept.join(rows, on="row", how="anti", maintain_order="left") if rows.height else kept


def ensure_clean(problems: pl.DataFrame, /) -> None:
    """Return nothing where *problems* holds warnings at most.

    Args:
        problems: PROBLEMS frame, from `check_values`.

    Raises:
        ProblemsError: something is blocked; `.problems` holds it all.
    """
    ensure_frame(problems, PROBLEMS, "problems")
    blocked = problems.filter(pl.col("severity") != "warn")
    if blocked.height:
        rules = blocked["rule"].unique(maintain_order=True).to_list()
        raise ProblemsError(
            f"{counted(blocked.height, 'problem')} would be blocked: {listed(rules)}; the first: "
            f"{blocked['reason'][0]}. Expected warnings at most. Hint: values.pipe(drop_blocked, problems) drops them.",
            problems=problems,
        )


def _drop_cells(values: pl.DataFrame, field: str, cells: pl.DataFrame) -> pl.DataFrame:
    if field not in values.columns:
        return values
    kept = pl.when(pl.col(_HIT).is_null()).then(pl.col(field)).alias(field)
    return _mark(values, cells).with_columns(kept).drop(_HIT)


def _drop_raw(kept: pl.DataFrame, fields: Sequence[str], problems: pl.DataFrame) -> pl.DataFrame:
    """Forget the raw cells of those rows in which each of them was blocked; `diff_values` refuses the others."""
    if kept["raw"].null_count() == kept.height:
        return kept
    blocked = problems.filter(rule="wrong_value").group_by("row").agg(pl.len().alias(_HIT))
    marked = kept.join(blocked, on="row", how="left", maintain_order="left")
    n_raw = pl.sum_horizontal([raw_cell(name).is_not_null() for name in fields])
    stays = pl.when(pl.col(_HIT).fill_null(0) < n_raw).then(pl.col("raw")).alias("raw")
    return marked.rechunk().with_columns(stays).drop(_HIT)


def _mark(values: pl.DataFrame, cells: pl.DataFrame) -> pl.DataFrame:
    hits = cells.select("row", pl.lit(True).alias(_HIT)).unique("row")
    return values.join(hits, on="row", how="left", maintain_order="left").rechunk()


# --- columns -------------------------------------------------------------------------------------------------


def _check_columns(values: pl.DataFrame, mapping: Mapping) -> Iterable[pl.DataFrame]:
    for name, dtype in values.select(field_names(values)).schema.items():
        for rule, reason in _column_reasons(name, dtype, mapping):
            yield from column_problem(name, reason, rule=rule, mapping=mapping, n_rows=values.height)


def _column_reasons(name: str, dtype: pl.DataType, mapping: Mapping) -> Iterable[tuple[str, str]]:
    trait = mapping.trait_of(name)
    wanted = trait.type if trait else None
    is_naive = isinstance(dtype, pl.Datetime) and dtype.time_zone is None
    if not re.search(_FIELD_NAME, name):
        yield (
            "illegal_field_name",
            f"{name!r} is no field name: letters, digits and underscores, no digit first",
        )
    if is_naive and wanted in (None, "date", "text"):
        yield "no_time_zone", "these datetimes have no zone; say which: Mapping(…, time_zone='Europe/Berlin')"
    elif wanted is not None and type_of(dtype) != wanted:
        yield (
            "unsupported_type",
            f"{as_words(dtype)} can't be read as {wanted}; use Trait(sql=…) to make it one",
        )
    elif type_of(dtype) is None:
        yield "unsupported_type", f"Pendo has no type for {as_words(dtype)}; cast the column, or leave it out"
    elif isinstance(dtype, pl.List) and mapping.group != "agent":
        where = f"not in {mapping.group}" if mapping.group else "and not as a property"
        yield "list_outside_agent", f"Pendo keeps lists in its agent group only, {where}"
    if is_taken(name, mapping):
        yield "taken_name", f"the account id travels as {name!r}; give the property another field="
    if mapping.kind == "event" and len(name) > MOST_NAME:
        yield (
            "long_name",
            f"{name!r} has {len(name)} characters; Pendo takes {MOST_NAME} in a property's name",
        )
    expected = misfit(name, type_of(dtype), mapping)
    if expected:
        yield "spec_type", f"Segment's spec has {name!r} as {expected}, the trait is {as_words(dtype)}"
    if re.search(_SECRET_NAME, name):
        yield "looks_secret", f"the name {name!r} looks like a secret's; Pendo's users will see its values"


def _check_schema(values: pl.DataFrame, mapping: Mapping, fields: pl.DataFrame) -> Iterable[pl.DataFrame]:
    mine = fields.filter(kind=mapping.kind, group=mapping.group)
    known = {line["field"]: line for line in mine.iter_rows(named=True)}
    alive = [name for name, line in known.items() if not line["is_deleted"]]
    for name, dtype in values.select(field_names(values)).schema.items():
        rule, reason = _schema_reason(name, type_of(dtype), known.get(name), alive, mapping)
        if rule:
            yield from column_problem(name, reason, rule=rule, mapping=mapping, n_rows=values.height)


def _schema_reason(
    name: str,
    dtype: FieldType | None,
    known: dict[str, object] | None,
    alive: Sequence[str],
    mapping: Mapping,
) -> tuple[str, str]:
    where = f"Pendo's {mapping.kind} group {mapping.group}"
    if known is None:
        near = nearest(name, alive)
        hint = f"did you mean {listed(near)}?" if near else "create it in Pendo first, or map to another"
        arrives = "" if mapping.route == "metadata" else " yet; it appears when the first value arrives"
        return "unknown_field", f"{where} has no field {name!r}{arrives or f'; {hint}'}"
    if known["is_deleted"]:
        return "deleted_field", f"the field {name!r} was deleted from {where}"
    if not known["is_writable"] and mapping.route == "metadata":
        return "read_only_field", f"the field {name!r} of {where} can't be written: Pendo calculates it"
    held = known["type"]
    if dtype is not None and held is not None and dtype not in _ACCEPTS.get(str(held), (held,)):
        return (
            "other_type",
            f"the field {name!r} is {held} in Pendo, the trait is {dtype}; Trait(…, type={held!r})",
        )
    return "", ""


# --- cells ---------------------------------------------------------------------------------------------------


def _check_cells(values: pl.DataFrame, mapping: Mapping) -> Iterable[pl.DataFrame]:
    with_raw = values.filter(pl.col("raw").is_not_null())
    for name, dtype in values.select(field_names(values)).schema.items():
        severity: Severity = "block_row" if mapping.clears(name) else "block_field"
        if with_raw.height:
            yield _wrong_values(with_raw, name, as_words(dtype), mapping, severity)
        column = values.select("row", "id", pl.col(name))
        if dtype == DTYPES["float"]:
            hits = column.filter(~pl.col(name).is_finite())
            reason = pl.format("{} can't travel: JSON has no such number", pl.col(name))
            yield row_problems(hits, reason, rule="not_finite", severity=severity, field=name)
        elif dtype == DTYPES["integer"]:
            hits = column.filter(~pl.col(name).is_between(-SAFE_INTEGER, SAFE_INTEGER))
            reason = pl.format(
                "{} is beyond ±2^53 and would be rounded on the way; map it as text", pl.col(name)
            )
            yield row_problems(hits, reason, rule="unsafe_integer", severity=severity, field=name)
        elif dtype == DTYPES["text"]:
            yield from _check_texts(column, name, mapping)
        elif dtype == DTYPES["list"]:
            hits = column.filter(pl.col(name).list.eval(pl.element().is_null()).list.any())
            yield row_problems(
                hits, "the list has a null in it", rule="wrong_value", severity=severity, field=name
            )


def _check_texts(values: pl.DataFrame, name: str, mapping: Mapping) -> Iterable[pl.DataFrame]:
    n_bytes = values.select(pl.col(name).str.len_bytes().max()).item() or 0
    if n_bytes > MOST_TEXT:
        long = values.select("row", "id", n=pl.col(name).str.len_chars()).filter(pl.col("n") > MOST_TEXT)
        reason = pl.format(f"a text of {{}} characters; Pendo recommends at most {MOST_TEXT:,}", "n")
        yield row_problems(long, reason, rule="long_text", severity="warn", field=name)
    if n_bytes < _SHORTEST_SECRET:
        return
    n_secret = int(compute(values, {name: pl.col(name).str.contains(_SECRET_VALUE).sum()}).item() or 0)
    if n_secret:
        told = f"values of {name!r} look like keys or tokens; Pendo's users will see them"
        yield from column_problem(name, told, rule="looks_secret", mapping=mapping, n_rows=n_secret)


def _wrong_values(
    values: pl.DataFrame, name: str, type_words: str, mapping: Mapping, severity: Severity
) -> pl.DataFrame:
    cells = values.select("row", "id", cell=raw_cell(name)).drop_nulls("cell")
    clocks = f", or the clocks of {mapping.time_zone} show it never or twice" if mapping.time_zone else ""
    reason = pl.format("{} is not a value of type " + type_words, pl.col("cell").str.slice(0, 60))
    told = pl.concat_str(reason, pl.lit(clocks if type_words == "date" else ""))
    return row_problems(cells, told, rule="wrong_value", severity=severity, field=name)
