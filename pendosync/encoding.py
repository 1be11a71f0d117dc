"""The record of each change as it travels, vectorised: the one place that writes them.

Frames are put into one chunk before a `when`: polars 1.44 panics where the columns' chunks differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from collections.abc import Mapping as AbstractMapping
from types import MappingProxyType
from typing import Final

import polars as pl

from pendosync.frames import (
    DTYPES,
    Route,
    about_parts,
    change_fields,
    json_cell,
    json_member,
    json_object,
    raw_cell,
    struct_of,
)
from pendosync.messages import browser_call, segment_message, track_event
from pendosync.shapes import Shape


def encode_records(changes: pl.DataFrame, shape: Shape, /) -> pl.Series:
    """Return the JSON text of each change as it travels: one record of a bulk write, or one message.

    Args:
        changes: CHANGES frame (n rows).
        shape: kind, route and what else shapes bytes.
    """
    sent = {name: _is_sent(name, shape) for name in change_fields(changes)}
    values = _encode_cells(changes, sent)
    record = _WRITERS[shape.route](values, about_parts(changes), shape)
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


def _bulk_record(values: pl.Expr, parts: Sequence[str], shape: Shape) -> pl.Expr:
    """Return one record of Pendo's bulk write."""
    id_member = json_member(pl.col("id"), f"{shape.kind}Id")
    return pl.concat_str(pl.lit("{"), id_member, pl.lit(',"values":'), values, pl.lit("}"))


def _member_of_audience(values: pl.Expr, parts: Sequence[str], shape: Shape) -> pl.Expr:
    """Return the id as JSON."""
    return json_member(pl.col("id"), "id").str.strip_prefix('"id":')


_WRITERS: Final[AbstractMapping[Route, Callable[[pl.Expr, Sequence[str], Shape], pl.Expr]]] = (
    MappingProxyType(
        {
            "metadata": _bulk_record,
            "webhook": segment_message,
            "track": track_event,
            "audience": _member_of_audience,
            "browser": browser_call,
        }
    )
)


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
