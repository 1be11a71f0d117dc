"""The rules of what can be wrong, and the lines of PROBLEMS that tell of it."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import polars as pl

from pendosync.frames import PROBLEMS, Route, Severity
from pendosync.mapping import Mapping


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that can be wrong: how severe it is on each route, and what it means.

    A `block_field` of a single cell becomes `block_row` where the trait's null clears: a dropped cell would travel
    as a null.
    """

    metadata: Severity | None
    webhook: Severity | None
    meaning: str
    track: Severity | Literal["as_webhook"] | None = "as_webhook"
    audience: Severity | None = None
    browser: Severity | Literal["as_webhook"] | None = "as_webhook"

    def on(self, route: Route) -> Severity | None:
        """Return the severity on *route*, or None where the rule does not hold there."""
        severity: Severity | Literal["as_webhook"] | None = getattr(self, route)
        return self.webhook if severity == "as_webhook" else severity


RULES: Final[AbstractMapping[str, Rule]] = MappingProxyType(
    {
        "missing_id": Rule("block_row", "block_row", "the id is null, empty or blank", audience="block_row"),
        "duplicate_id": Rule("block_row", "block_row", "the id stands in more than one row", audience="block_row"),
        "similar_id": Rule("warn", "warn", "ids differ only by case or surrounding blanks; Pendo tells them apart", audience="warn", track=None),
        "long_id": Rule("block_row", "block_row", "a visitor id over 128 bytes, which Pendo cuts (accounts and messages: warn)", audience="block_row"),
        "anonymous_id": Rule("block_row", "block_row", "an id that starts with _PENDO_T_, which Pendo gives to anonymous visitors", audience="block_row", browser=None),
        "missing_visitor": Rule(None, "block_row", "a message without a visitor: from the server it is never sent"),
        "missing_account": Rule(None, "block_row", "a membership without an account"),
        "missing_event": Rule(None, "block_row", "an event without a name"),
        "missing_time": Rule(None, "block_row", "an event without a time that can be read"),
        "too_old": Rule(None, "block_row", "an event older than 7 days, which Pendo does not process", browser=None),
        "future_time": Rule(None, "warn", "an event of the future"),
        "large_properties": Rule(None, "block_row", "properties over 512 bytes as JSON, which Pendo does not process"),
        "large_message": Rule(None, "block_row", "a message over 32 KB, which Segment does not take", track=None, browser=None),
        "long_name": Rule(None, "block_field", "a property's name over 32 characters"),
        "taken_name": Rule(None, "block_field", "a property `groupId` beside the account id, which travels as `groupId`"),
        "wrong_integrations": Rule("block_row", "block_row", "integrations that are no JSON object"),
        "wrong_parent": Rule(None, "block_row", "a parent account that is an object without an id", track=None),
        "spec_type": Rule(None, "warn", "a trait that Segment's spec reserves, of another type than the spec's", track=None),
        "unknown_field": Rule("block_field", "warn", "Pendo has no such field; the bulk write would refuse the whole request", track=None),
        "deleted_field": Rule("block_field", "warn", "the field was deleted in Pendo", track=None),
        "read_only_field": Rule("block_field", None, "Pendo calculates the field, or its group can't be written"),
        "illegal_field_name": Rule("block_field", "block_field", "not letters, digits and underscores, or a digit first"),
        "unsupported_type": Rule("block_field", "block_field", "Binary, Time, Duration and other types that Pendo lacks"),
        "no_time_zone": Rule("block_field", "block_field", "datetimes without a zone, and the mapping states none"),
        "other_type": Rule("block_field", "warn", "the type differs from the field's in Pendo", track=None),
        "list_outside_agent": Rule("block_field", "block_field", "lists live in Pendo's agent group only"),
        "wrong_value": Rule("block_field", "block_field", "a cell that is not of the trait's type"),
        "not_finite": Rule("block_field", "block_field", "NaN or infinity, which JSON can't hold"),
        "unsafe_integer": Rule("block_field", "block_field", "an integer beyond ±2^53, which JSON readers round"),
        "long_text": Rule("warn", "warn", "a text over 1,500 characters"),
        "looks_secret": Rule("warn", "warn", "values or a name that look like a password, key or token"),
        "not_in_pendo": Rule("block_row", "block_row", "found when planning: Pendo does not know the id, and creating is off"),
        "goes_back_raw": Rule("warn", "warn", "found when undoing: a value of another type than the field's goes back as it was, and Pendo may refuse its record"),
        "cannot_undo": Rule("warn", "warn", "found when undoing: there was no value before"),
        "changed_since": Rule("warn", "warn", "found when undoing: somebody changed the value after the push, and it is left as it is now"),
        "already_held": Rule("warn", "warn", "found when refreshing, mending or undoing: Pendo holds the value already, so nothing is left to change"),
        "was_rejected": Rule("warn", "warn", "found in a run: the id was failed, missing or refused, and why"),
        "moved": Rule("block_field", "block_field", "found when comparing a plan with Pendo: the value, or the whole id, is no longer what was planned on"),
    }
)  # fmt: skip
"""Every rule, in the order in which problems are listed.

Source: Pendo's help pages, API reference and public clients, read 2026-11-23.
"""


def no_problems() -> pl.DataFrame:
    """Return a PROBLEMS frame without rows."""
    return PROBLEMS.to_frame()


def row_problems(
    rows: pl.DataFrame, reason: pl.Expr | str, *, rule: str, severity: Severity, field: str | None = None
) -> pl.DataFrame:
    """Return a PROBLEMS frame with one line for each of *rows* (columns `row` and `id`, and what *reason* reads)."""
    text = pl.lit(reason) if isinstance(reason, str) else reason
    return rows.select(
        pl.col("row"),
        pl.col("id"),
        pl.lit(field, dtype=pl.String).alias("field"),
        pl.lit(rule).alias("rule"),
        pl.lit(severity).alias("severity"),
        pl.lit(1, dtype=pl.UInt32).alias("n_rows"),
        text.cast(pl.String).alias("reason"),
    )


def column_problem(
    field: str, reason: str, *, rule: str, mapping: Mapping, n_rows: int
) -> list[pl.DataFrame]:
    """Return the one line of a problem of a whole column, or none where its rule does not hold on the route."""
    severity = RULES[rule].on(mapping.route)
    if severity is None:
        return []
    line = {
        "row": None,
        "id": None,
        "field": field,
        "rule": rule,
        "severity": severity,
        "n_rows": n_rows,
        "reason": reason,
    }
    return [pl.DataFrame([line], schema=PROBLEMS)]
