"""Whom and what a row is about, besides its traits: ids, the event's name and time, the parent, the integrations."""

from __future__ import annotations

import json
from collections.abc import Mapping as AbstractMapping
from typing import Any, Final

import polars as pl
from polars.selectors import by_name

from pendosync.casts import cast_column, is_text
from pendosync.errors import MappingError
from pendosync.frames import (
    ABOUT,
    as_words,
    is_unicode,
    json_cell,
    json_member,
    json_object,
    row_of,
    type_of,
)
from pendosync.mapping import Mapping

ANONYMOUS: Final = "_PENDO_T_"
"""How the ids of anonymous visitors begin. Source: Segment's public browser integration, read 2026-11-26."""

NO_PARENT: Final = "{}"
"""What stands for a parent account that is an object without an id."""

_BETWEEN: Final = " in "
_PART: Final = "part"


def ids_of(read: pl.DataFrame, mapping: Mapping) -> pl.Expr:
    """Return the expression of each row's id.

    That of its column; where it is empty, a visitor's anonymous id stands for it. Memberships and events that have no
    such column get one of their own: `ann in acme`, or the row's number.

    Raises:
        MappingError: the column is neither text nor whole numbers.
    """
    if mapping.id:
        named = _as_id(read, mapping.id, "id")
        return _or_anonymous(named, read, mapping) if mapping.kind == "visitor" else named
    if mapping.kind == "membership":
        visitor = _or_anonymous(_as_id(read, mapping.visitor_id, "visitor_id"), read, mapping)
        return pl.concat_str(visitor, pl.lit(_BETWEEN), _as_id(read, mapping.account_id, "account_id"))
    return row_of(read).cast(pl.String)


def about_of(read: pl.DataFrame, mapping: Mapping) -> pl.Expr | None:
    """Return the struct `about` of each row, with the parts that *mapping* names; None where it names none.

    Args:
        read: the columns that *mapping* reads, in one chunk.
        mapping: says which column is which part.

    Raises:
        MappingError: a column of a type that its part can't be made of.
    """
    parts = [_part(name, read, mapping).cast(ABOUT[name]).alias(name) for name in mapping.about]
    return pl.struct(parts).alias("about") if parts else None


def is_off() -> pl.Expr:
    """Return whether a row's integrations turn Pendo off: by name, or all of them without naming it.

    Source: Segment's public docs on the Integrations object, read 2026-11-26.
    """
    told = pl.col("about").struct.field("integrations")
    named, every = (told.str.json_path_match(path) for path in ("$.Pendo", "$.All"))
    return ((named == "false") | (named.is_null() & (every == "false"))).fill_null(False)


def _part(name: str, read: pl.DataFrame, mapping: Mapping) -> pl.Expr:
    column = mapping.about[name]
    if name == "visitor_id":
        return _or_anonymous(_as_id(read, column, name), read, mapping)
    if name == "at":
        return _as_date(read, column, mapping.time_zone)
    if name == "integrations" and isinstance(mapping.integrations, AbstractMapping):
        return pl.repeat(_encode(mapping.integrations), pl.len())
    if name in ("parent_account", "integrations"):
        return _as_object(read, column, name, mapping.time_zone)
    return _as_id(read, column, name)


def _as_id(read: pl.DataFrame, column: str, name: str) -> pl.Expr:
    """Return *column* as text; what is empty or blank is null, unless it is the row's own id."""
    dtype = read.schema[column]
    if not is_text(dtype) and not dtype.is_integer():
        raise MappingError(
            f"The {name} column {column!r} is {dtype}. Expected text or whole numbers. "
            f"Hint: table.with_columns(pl.col({column!r}).cast(pl.Int64).cast(pl.String)).",
            trait=column,
        )
    text = by_name(column).as_expr().cast(pl.String)
    return text if name == "id" else pl.when(text.str.strip_chars() != "").then(text)


def _or_anonymous(named: pl.Expr, read: pl.DataFrame, mapping: Mapping) -> pl.Expr:
    if not mapping.anonymous_id:
        return named
    anonymous = pl.lit(ANONYMOUS) + _as_id(read, mapping.anonymous_id, "anonymous_id")
    is_named = (named.str.strip_chars() != "").fill_null(False)
    return pl.when(is_named).then(named).otherwise(pl.coalesce(anonymous, named))


def _as_date(read: pl.DataFrame, column: str, zone: str | None) -> pl.Expr:
    dtype = read.schema[column]
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is None and zone is None:
        raise MappingError(
            f"The datetimes of the column {column!r} have no zone. Expected to be told which. "
            f"Hint: Mapping(…, time_zone='Europe/Berlin').",
            trait=column,
        )
    if (not is_text(dtype) and not dtype.is_temporal()) or isinstance(dtype, pl.Time | pl.Duration):
        raise MappingError(
            f"The column {column!r} of the events' times is {as_words(dtype)}. Expected dates, or texts as ISO 8601 writes "
            f"them. Hint: table.with_columns(pl.from_epoch({column!r}, time_unit='ms')) where it counts milliseconds.",
            trait=column,
        )
    times = read.select(by_name(column).as_expr().alias("at"))  # a column's name may be a pattern to polars
    return pl.lit(times.select(cast_column(times["at"], "date", zone)).to_series())


def _as_object(read: pl.DataFrame, column: str, name: str, zone: str | None) -> pl.Expr:
    """Return *column* as JSON objects in text: of a struct its parts, of a text that holds JSON itself."""
    if isinstance(read.schema[column], pl.Struct):
        return pl.lit(_objects_in(_with_id(read[column]) if name == "parent_account" else read[column], zone))
    text = _as_id(read, column, name)
    return text if name == "integrations" else pl.lit(_parents(read.select(text.alias("id"))["id"]))


def _parents(ids: pl.Series) -> pl.Series:
    """Return each parent as a JSON object with its id: of a text that holds JSON the parts that it names."""
    objects = ids.filter(ids.str.strip_chars_start().str.starts_with("{")).unique()
    named = {text: _parent(text) for text in objects}
    plain = pl.when(pl.col("id").is_not_null()).then(json_object([json_member(pl.col("id"), "id")]))
    whole = (
        pl.col("id").replace_strict(named, default=None, return_dtype=pl.String) if named else pl.lit(None)
    )
    return ids.to_frame().select(pl.coalesce(whole, plain).alias("id"))["id"]


def _parent(text: str) -> str:
    """Return a JSON object with its id as text, or `NO_PARENT` where it is none, or has none."""
    try:
        told = json.loads(text)
        id_ = told.get("id")
        named = str(id_) if isinstance(id_, str | int) and not isinstance(id_, bool) else ""
        whole = json.dumps({**told, "id": named}, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, RecursionError):
        return NO_PARENT
    return whole if named.strip() and is_unicode(whole) else NO_PARENT


def _with_id(parents: pl.Series) -> pl.Series:
    """Return structs of parent accounts with their id as text; null where they have none."""
    column = parents.name
    parts = parents.struct.unnest()
    if "id" not in parts.columns:
        raise MappingError(
            f"The struct {column!r} of parent accounts has no part id. Expected id and the parent's traits. "
            f"Hint: pl.struct(pl.col('parent').alias('id'), …).",
            trait=column,
        )
    ids = parts.select(_as_id(parts, "id", "parent account's id")).to_series()
    whole = parts.with_columns(ids.alias("id")).to_struct(column)
    return whole.to_frame("whole").select(pl.when(ids.is_not_null()).then("whole").alias(column)).to_series()


def _objects_in(struct: pl.Series, zone: str | None) -> pl.Series:
    """Return structs as JSON objects in text, each part as a trait of its type would travel; nulls are left out."""
    members = [_members_in(part, f"{struct.name}.{part.name}", zone) for part in struct.struct.unnest()]
    is_there = pl.lit(struct.is_not_null())
    return pl.select(pl.when(is_there).then(json_object(members)).alias(struct.name)).to_series()


def _members_in(part: pl.Series, where: str, zone: str | None) -> pl.Expr:
    """Return `"name":value` of each value of a part, null where there is none."""
    if isinstance(part.dtype, pl.Struct):
        text = _objects_in(part.alias(where), zone)
        return pl.lit(json.dumps(part.name, ensure_ascii=False) + ":") + pl.lit(text)
    cells = part.alias(_PART)
    frame = cells.to_frame()
    made = frame.select(cast_column(cells, None, zone)).to_series()
    type_ = type_of(made.dtype)
    is_finite = not part.dtype.is_float() or bool(cells.is_finite().all())
    if type_ is None or made.null_count() > cells.null_count() or not is_finite:
        raise MappingError(
            f"The part {where!r} is {as_words(part.dtype)}, or holds values that no JSON can. Expected texts, finite numbers, "
            f"Booleans, dates with a zone, or lists of texts or whole numbers. Hint: cast or fill it, or leave it out.",
            trait=where,
        )
    shown = cells if type_ == "list" else made
    return pl.when(pl.lit(cells.is_not_null())).then(json_cell(pl.lit(shown), part.name, shown.dtype))


def _encode(integrations: AbstractMapping[str, Any]) -> str:
    return json.dumps(dict(integrations), ensure_ascii=False, separators=(",", ":"))
