"""What is wrong with messages: whom they are of, what they say, when, and how much of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from pendosync.frames import about_parts, field_names, json_cell, json_member, json_object, type_of
from pendosync.heads import NO_PARENT
from pendosync.id_checks import MOST_ID_BYTES, anonymous_problems
from pendosync.mapping import Mapping
from pendosync.rules import RULES, row_problems

OLDEST: Final = timedelta(days=7)
MOST_PROPERTY_BYTES: Final = 512
MOST_NAME: Final = 32
"""Limits of track events. Source: Pendo's help pages on track events, read 2026-11-23."""

MOST_MESSAGE_BYTES: Final = 32 * 1024
"""Source: Segment's public docs of its HTTP API ("Max request size"), read 2026-11-26."""

_ENVELOPE: Final = 512
"""Bytes that hold what every message says besides: type, message id, time, library, and the names of its parts."""

_AHEAD: Final = timedelta(minutes=5)
"""Clocks differ by so much."""

_MISSING: Final = {
    "visitor_id": ("missing_visitor", "the message names no visitor: from the server it is never sent"),
    "account_id": ("missing_account", "the membership names no account"),
    "event": ("missing_event", "the event has no name"),
    "at": (
        "missing_time",
        "the event has no time, or none that can be read: no ISO 8601, or an hour that its clocks show never or twice",
    ),
}


def is_taken(field: str, mapping: Mapping) -> bool:
    """Return whether a message keeps a trait's name for itself.

    Source: Pendo reads the account's id of a track message from its property `groupId` (Segment's public docs on Pendo,
    read 2026-11-26).
    """
    is_named = (
        mapping.kind == "event" and mapping.route in ("webhook", "browser") and bool(mapping.account_id)
    )
    return is_named and field == "groupId"


def each_message_problem(values: pl.DataFrame, mapping: Mapping, now: datetime) -> Iterator[pl.DataFrame]:
    """Yield PROBLEMS of what *values* say besides ids and fields.

    Args:
        values: VALUES frame (n rows), with `about` or without.
        mapping: gives kind and route.
        now: the time by which events are too old.
    """
    parts = about_parts(values)
    told = values.select("row", "id", *(pl.col("about").struct.field(name) for name in parts))
    if "integrations" in parts:
        yield _wrong_integrations(told, mapping)
    if "parent_account" in parts and (severity := RULES["wrong_parent"].on(mapping.route)) is not None:
        reason = "the parent account is an object without an id, or none that can be read"
        nameless = told.filter(parent_account=NO_PARENT)
        yield row_problems(nameless, reason, rule="wrong_parent", severity=severity)
    for name in ("visitor_id", "account_id", "event", "at"):
        rule, reason = _MISSING[name]
        severity = RULES[rule].on(mapping.route)
        is_needed = name in parts and (name != "account_id" or mapping.kind == "membership")
        if is_needed and mapping.kind != "visitor" and severity is not None:
            yield row_problems(told.filter(pl.col(name).is_null()), reason, rule=rule, severity=severity)
    if "visitor_id" in parts and mapping.route != "metadata":
        yield anonymous_problems(told, mapping)
        yield _long_visitors(told)
    if mapping.kind == "event":
        yield from _times(told, mapping, now)
        yield _large(values, mapping)
    if RULES["large_message"].on(mapping.route) is not None:
        yield _large_messages(values)


def _wrong_integrations(told: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    text = pl.col("integrations")
    is_object = text.str.strip_chars().str.starts_with("{") & text.str.json_path_match("$").is_not_null()
    reason = pl.format("the integrations {} are no JSON object", text.str.slice(0, 60))
    severity = RULES["wrong_integrations"].on(mapping.route) or "block_row"
    return row_problems(
        told.filter(text.is_not_null() & ~is_object), reason, rule="wrong_integrations", severity=severity
    )


def _long_visitors(told: pl.DataFrame) -> pl.DataFrame:
    long = told.with_columns(n=pl.col("visitor_id").str.len_bytes()).filter(pl.col("n") > MOST_ID_BYTES)
    reason = pl.format(f"the visitor id has {{}} bytes; Pendo keeps {MOST_ID_BYTES} of it", "n")
    return row_problems(long, reason, rule="long_id", severity="block_row")


def _times(told: pl.DataFrame, mapping: Mapping, now: datetime) -> Iterator[pl.DataFrame]:
    at = pl.col("at").dt.to_string("%Y-%m-%d %H:%M UTC")
    if RULES["too_old"].on(mapping.route) is not None:
        reason = pl.format("the event is of {}, over 7 days ago; Pendo would not process it", at)
        old = told.filter(pl.col("at") < now - OLDEST)
        yield row_problems(old, reason, rule="too_old", severity="block_row")
    ahead = told.filter(pl.col("at") > now + _AHEAD)
    reason = pl.format("the event is of {}, which is yet to come", at)
    yield row_problems(ahead, reason, rule="future_time", severity="warn")


def _large(values: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Return the rows whose properties are too long as JSON, the account's id included where it is among them."""
    members = _members(values)
    if mapping.route != "track" and mapping.account_id:
        account = pl.col("about").struct.field("account_id")
        members.append(pl.when(account.is_not_null()).then(json_cell(account, "groupId", pl.String())))
    if not members or RULES["large_properties"].on(mapping.route) is None:
        return values.head(0).pipe(row_problems, "", rule="large_properties", severity="block_row")
    sized = values.rechunk().select("row", "id", n=json_object(members).str.len_bytes())
    reason = pl.format(f"the properties have {{}} bytes as JSON; Pendo processes {MOST_PROPERTY_BYTES}", "n")
    return row_problems(
        sized.filter(pl.col("n") > MOST_PROPERTY_BYTES), reason, rule="large_properties", severity="block_row"
    )


def _members(values: pl.DataFrame) -> list[pl.Expr]:
    """Return each field that has a type of Pendo's as a member of a JSON object, null where it has no value."""
    return [
        pl.when(pl.col(name).is_not_null()).then(json_cell(pl.col(name), name, dtype))
        for name, dtype in values.select(field_names(values)).schema.items()
        if type_of(dtype)
    ]


def _large_messages(values: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that make a message which Segment would not take; only long texts can, so the others aren't written."""
    parts = {name: pl.col("about").struct.field(name) for name in about_parts(values) if name != "at"}
    texts = [
        pl.col("id"),
        *parts.values(),
        *(pl.col(name) for name in field_names(values) if values.schema[name] == pl.String),
    ]
    n_escaped = (
        pl.sum_horizontal([text.str.len_bytes() for text in texts]) * 6
    )  # a character is \u0000 at worst
    n_others = _ENVELOPE + sum(len(name.encode()) + 32 for name in field_names(values))
    long = values.filter(n_escaped + n_others > MOST_MESSAGE_BYTES).rechunk()
    written = [json_member(pl.col("id"), "id"), *(json_member(part, name) for name, part in parts.items())]
    sizes = [text.str.len_bytes() for text in (json_object(_members(values)), *written)]
    sized = long.select("row", "id", n=pl.sum_horizontal(sizes) + _ENVELOPE).filter(
        pl.col("n") > MOST_MESSAGE_BYTES
    )
    reason = pl.format("the message would have about {} bytes; Segment takes 32,768", "n")
    return row_problems(sized, reason, rule="large_message", severity="block_row")
