"""The record of each change as it travels, vectorised: the one place that writes them.

Frames are put into one chunk before a `when`: polars 1.44 panics where the columns' chunks differ.
"""

from __future__ import annotations

import json
from collections.abc import Mapping as AbstractMapping
from datetime import UTC
from typing import Final

import polars as pl

from pendosync.frames import (
    DTYPES,
    ISO_MS,
    change_fields,
    json_member,
    json_object,
    raw_cell,
    struct_of,
)
from pendosync.shapes import Shape

_ID_KEYS: Final = {
    ("metadata", "visitor"): "visitorId",
    ("metadata", "account"): "accountId",
    ("webhook", "visitor"): "userId",
    ("webhook", "account"): "groupId",
}


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


def json_cell(cell: pl.Expr, name: str, dtype: pl.DataType) -> pl.Expr:
    """Return `"name":value` of a cell as it travels: a date in ISO 8601 with milliseconds and offset."""
    return json_member(cell.dt.strftime(ISO_MS) if dtype == DTYPES["date"] else cell, name)


def _encode_cells(changes: pl.DataFrame, sent: AbstractMapping[str, pl.Expr]) -> pl.Expr:
    """Return the JSON object of those values after that are *sent*; raw cells go as they were."""
    has_raw = changes["after_raw"].null_count() < changes.height
    types = dict(changes.schema["after"])  # type: ignore[call-overload]
    members = []
    for name, is_sent in sent.items():
        cell = pl.col("after").struct.field(name)
        member = json_cell(cell, name, types[name])
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
