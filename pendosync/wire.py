"""From changes to the bytes that travel, vectorised: the one place that builds them.

Frames are put into one chunk before a `when`: polars 1.44 panics where the columns' chunks differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import polars as pl

from pendosync.frames import (
    DTYPES,
    ISO_MS,
    Kind,
    Route,
    change_fields,
    json_member,
    json_object,
    raw_cell,
    struct_of,
)
from pendosync.regions import MASK

_WINDOW: Final = 20_000
"""Rows encoded at a time, about. Measured: more costs memory and no less time."""

_ID_KEYS: Final = {
    ("metadata", "visitor"): "visitorId",
    ("metadata", "account"): "accountId",
    ("webhook", "visitor"): "userId",
    ("webhook", "account"): "groupId",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """All that shapes the bytes and batches of a plan, besides its changes.

    Args:
        kind, route, group: as in Mapping.
        batch_size: ids in a request; the webhook always takes one.
        create: `never`, or `unknown_ids`: ids that Pendo does not know are created.
        send: `changed` fields only, or `all` that have a value.
        planned_at: the plan's time; a webhook message's timestamp.
        nonce: new in each plan; with the row's number it makes a webhook message's `messageId`.
        library: the version of pendosync that a webhook message names.
    """

    kind: Kind
    route: Route
    group: str
    batch_size: int
    create: Literal["never", "unknown_ids"]
    send: Literal["changed", "all"]
    planned_at: datetime
    nonce: str
    library: str

    @property
    def ids_per_request(self) -> int:
        """How many ids travel in one request."""
        return self.batch_size if self.route == "metadata" else 1

    @property
    def path(self) -> str:
        """The path of every request, its secret masked."""
        if self.route == "webhook":
            return f"/data/segmentio/{MASK}"
        create = "?create=true" if self.create == "unknown_ids" else ""
        return f"/api/v1/metadata/{self.kind}/{self.group}/value{create}"


def build_requests(
    changes: pl.DataFrame, shape: Shape, /, *, rows_at_a_time: int = _WINDOW
) -> Iterator[pl.DataFrame]:
    """Yield the requests that *changes* make, window by window, in order.

    Args:
        changes: CHANGES frame (n rows).
        shape: kind, route, batch size and what else shapes bytes.
        rows_at_a_time: ids in a window, about; it does not show in the bytes.

    Yields:
        REQUESTS frames; `batch` counts from 0 through all of them.
    """
    per_request = shape.ids_per_request
    window = max(1, rows_at_a_time // per_request) * per_request
    for start in range(0, changes.height, window):
        part = changes.slice(start, window)
        first_batch = start // per_request
        batch = (pl.int_range(pl.len(), dtype=pl.UInt32) // per_request + first_batch).cast(pl.UInt32)
        body = pl.col("record").str.join(",")
        yield (
            part.select("id", encode_records(part, shape).alias("record"), batch=batch)
            .group_by("batch", maintain_order=True)
            .agg(
                ids=pl.col("id"),
                body=pl.concat_str(pl.lit("["), body, pl.lit("]")) if shape.route == "metadata" else body,
            )
            .select(
                pl.col("batch"),
                pl.lit("POST").alias("method"),
                pl.lit(shape.path).alias("path"),
                pl.col("ids"),
                pl.col("body"),
            )
        )


def encode_records(changes: pl.DataFrame, shape: Shape, /) -> pl.Series:
    """Return the JSON text of each change as it travels: one record of a bulk write, or one message.

    Args:
        changes: CHANGES frame (n rows).
        shape: kind, route and what else shapes bytes.
    """
    sent = {name: _is_sent(name, shape) for name in change_fields(changes)}
    values = _encode_cells(changes, sent)
    id_member = json_member(pl.col("id"), _ID_KEYS[shape.route, shape.kind])
    if shape.route == "metadata":
        record = pl.concat_str(pl.lit("{"), id_member, pl.lit(',"values":'), values, pl.lit("}"))
    else:
        record = _message(id_member, values, shape)
    return changes.rechunk().select(record.alias("record"))["record"]


def encode_before(changes: pl.DataFrame, /) -> pl.Series:
    """Return the JSON text of what a plan's digest covers besides its records: action, changed, values before.

    Never travels, so dates stand as epoch milliseconds and raw cells beside the others.
    """
    types = dict(changes.schema["before"])  # type: ignore[call-overload]
    held = {name: pl.col("before").struct.field(name) for name in types}
    plain = {
        name: cell.dt.epoch("ms") if types[name] == DTYPES["date"] else cell for name, cell in held.items()
    }
    line = pl.struct("row", "id", "action", "changed", struct_of(plain).alias("before"), "before_raw")
    return changes.rechunk().select(line.struct.json_encode().alias("before"))["before"]


def _encode_cells(changes: pl.DataFrame, sent: AbstractMapping[str, pl.Expr]) -> pl.Expr:
    """Return the JSON object of those values after that are *sent*; raw cells go as they were."""
    has_raw = changes["after_raw"].null_count() < changes.height
    types = dict(changes.schema["after"])  # type: ignore[call-overload]
    members = []
    for name, is_sent in sent.items():
        cell = pl.col("after").struct.field(name)
        member = json_member(cell.dt.strftime(ISO_MS) if types[name] == DTYPES["date"] else cell, name)
        if has_raw:
            as_it_was = pl.concat_str(
                pl.lit(json.dumps(name, ensure_ascii=False) + ":"), raw_cell(name, "after_raw")
            )
            member = pl.coalesce(as_it_was, member)
        members.append(pl.when(is_sent).then(member))
    return json_object(members)


def _is_sent(name: str, shape: Shape) -> pl.Expr:
    changed = pl.col("changed").struct.field(name)
    return changed if shape.send == "changed" else changed | pl.col("after").struct.field(name).is_not_null()


def _message(id_member: pl.Expr, traits: pl.Expr, shape: Shape) -> pl.Expr:
    """Return one message of Segment's spec: identify for a visitor, group for an account."""
    call = "identify" if shape.kind == "visitor" else "group"
    at = shape.planned_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    context = json.dumps({"library": {"name": "pendosync", "version": shape.library}}, separators=(",", ":"))
    return pl.concat_str(
        pl.lit(f'{{"type":"{call}",'),
        id_member,
        pl.lit(',"traits":'),
        traits,
        pl.lit(f',"messageId":"{shape.nonce}-'),
        pl.col("row").cast(pl.String),
        pl.lit(f'","timestamp":"{at}","context":{context},"integrations":{{"Pendo":true}}}}'),
    )
