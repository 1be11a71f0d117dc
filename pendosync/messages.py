"""Messages as they travel: Segment's identify, group and track, Pendo's track events, and the browser agent's calls.

Each takes the traits or properties as a JSON object and the parts that `about` has, and returns the text of a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC
from typing import Final

import polars as pl

from pendosync.frames import about_of, json_member
from pendosync.shapes import Shape

_ISO_Z: Final = "%Y-%m-%dT%H:%M:%S%.3fZ"
_ON: Final = '{"Pendo":true}'


def segment_message(values: pl.Expr, parts: Sequence[str], shape: Shape) -> pl.Expr:
    """Return one message of Segment's spec: identify for a visitor, group for an account or membership, track for an event.

    An account's parent is an object among the traits, as in Segment's own messages; the account of an event is its
    property `groupId`.

    Source: Segment's public spec and its public docs on Pendo, read 2026-11-26.
    """
    if shape.kind == "event":
        content = _members(
            ("userId", about_of("visitor_id")),
            ("event", about_of("event")),
            properties=_with_account(values, parts),
        )
    elif shape.kind == "visitor":
        content = _members(("userId", pl.col("id")), traits=values)
    else:
        content = _members(
            ("userId", about_of("visitor_id")),
            ("groupId", _account_id(shape)),
            traits=_with_parent(values, parts),
        )
    call = {"visitor": "identify", "event": "track"}.get(shape.kind, "group")
    context = json.dumps({"library": {"name": "pendosync", "version": shape.library}}, separators=(",", ":"))
    return pl.concat_str(
        pl.lit(f'{{"type":"{call}",'),
        content,
        pl.lit(","),
        _message_id(shape),
        pl.lit(',"timestamp":"'),
        _timestamp(shape),
        pl.lit(f'","context":{context},"integrations":'),
        pl.coalesce(about_of("integrations"), pl.lit(_ON)) if "integrations" in parts else pl.lit(_ON),
        pl.lit("}"),
    )


def track_event(values: pl.Expr, parts: Sequence[str], shape: Shape) -> pl.Expr:
    """Return one event for Pendo's own `/data/track`. Source: Pendo's help pages on track events, read 2026-11-23."""
    head = _members(("event", about_of("event")), ("visitorId", about_of("visitor_id")))
    account = _optional("accountId", "account_id", parts)
    return pl.concat_str(
        pl.lit('{"type":"track",'),
        head,
        account,
        pl.lit(',"timestamp":'),
        about_of("at").dt.epoch("ms").cast(pl.String),
        pl.lit(',"properties":'),
        values,
        pl.lit("}"),
    )


def browser_call(values: pl.Expr, parts: Sequence[str], shape: Shape) -> pl.Expr:
    """Return the call of the browser agent that a row makes, as JavaScript.

    Source: Segment's public browser integration with Pendo, read 2026-11-26.
    """
    if shape.kind == "event":
        name = json_member(about_of("event"), "event").str.strip_prefix('"event":')
        return pl.concat_str(
            pl.lit("pendo.track("), name, pl.lit(", "), _with_account(values, parts), pl.lit(")")
        )
    if shape.kind == "visitor":
        options = [_named("visitor", _with_id(values, pl.col("id"))), *_account(parts)]
    else:
        options = [
            *(
                [_named("visitor", _with_id(pl.lit("{}"), about_of("visitor_id")))]
                if "visitor_id" in parts
                else []
            ),
            _named("account", _with_id(values, _account_id(shape))),
            *([_named("parentAccount", about_of("parent_account"))] if "parent_account" in parts else []),
        ]
    inside = pl.concat_str(options, separator=",", ignore_nulls=True)
    return pl.concat_str(pl.lit("pendo.identify({"), inside, pl.lit("})"))


def _account(parts: Sequence[str]) -> list[pl.Expr]:
    if "account_id" not in parts:
        return []
    id_ = about_of("account_id")
    return [pl.when(id_.is_not_null()).then(_named("account", _with_id(pl.lit("{}"), id_)))]


def _named(name: str, value: pl.Expr) -> pl.Expr:
    return pl.concat_str(pl.lit(f'"{name}":'), value)


def _with_id(values: pl.Expr, id_: pl.Expr) -> pl.Expr:
    """Return the object *values* with the id as its last member: it wins."""
    return _with(values, json_member(id_, "id"))


def _account_id(shape: Shape) -> pl.Expr:
    return pl.col("id") if shape.kind == "account" else about_of("account_id")


def _with_account(values: pl.Expr, parts: Sequence[str]) -> pl.Expr:
    """Return the properties with the account's id among them, from which Pendo takes it."""
    if "account_id" not in parts:
        return values
    account = about_of("account_id")
    return _with(values, pl.when(account.is_not_null()).then(json_member(account, "groupId")))


def _with_parent(values: pl.Expr, parts: Sequence[str]) -> pl.Expr:
    if "parent_account" not in parts:
        return values
    return _with(values, _named("parentAccount", about_of("parent_account")))


def _with(values: pl.Expr, member: pl.Expr) -> pl.Expr:
    """Return the object *values* with one more member, where that is not null."""
    comma = pl.when(values == "{}").then(pl.lit("")).otherwise(pl.lit(","))
    longer = pl.concat_str(values.str.strip_suffix("}"), comma, member, pl.lit("}"))
    return pl.coalesce(longer, values)


def _members(*named: tuple[str, pl.Expr], **objects: pl.Expr) -> pl.Expr:
    texts: Iterable[pl.Expr] = (json_member(value, name) for name, value in named)
    return pl.concat_str([*texts, *(_named(name, value) for name, value in objects.items())], separator=",")


def _optional(name: str, part: str, parts: Sequence[str]) -> pl.Expr:
    if part not in parts:
        return pl.lit("")
    value = about_of(part)
    return pl.when(value.is_not_null()).then(pl.lit(",") + json_member(value, name)).otherwise(pl.lit(""))


def _message_id(shape: Shape) -> pl.Expr:
    """Return the message's own id, or one of the plan's nonce and the row's number: the same each time it is sent."""
    if shape.has_own_ids:
        return json_member(pl.col("id"), "messageId")
    return pl.concat_str(pl.lit(f'"messageId":"{shape.nonce}-'), pl.col("row").cast(pl.String), pl.lit('"'))


def _timestamp(shape: Shape) -> pl.Expr:
    if shape.kind == "event":
        return about_of("at").dt.strftime(_ISO_Z)
    at = shape.planned_at.astimezone(UTC).isoformat(timespec="milliseconds")
    return pl.lit(at.replace("+00:00", "Z"))
