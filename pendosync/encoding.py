"""The record of each change as it travels, vectorised: the one place that writes them.

Rows whose sent fields are the same are encoded together, as objects of those fields and no others; where there are
many such patterns, each cell is encoded for itself and a row is put together of those that are sent. Both give the
same bytes.

Frames are put into one chunk before a `when`: polars 1.44 panics where the columns' chunks differ.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from collections.abc import Mapping as AbstractMapping
from functools import partial
from types import MappingProxyType
from typing import Final

import polars as pl

from pendosync.frames import (
    DTYPES,
    Route,
    about_parts,
    bit_words,
    change_fields,
    date_text,
    json_cell,
    json_member,
    json_object,
    raw_cell,
    struct_of,
)
from pendosync.messages import browser_call, segment_message, track_event
from pendosync.shapes import Shape

_VALUES: Final = "\0values"
_ROW: Final = "\0row"

_FEW: Final = 32
"""Patterns of sent fields among rows that are encoded together, at most. Measured: with more, cell by cell is faster."""


Writer = Callable[[AbstractMapping[str, pl.Expr]], pl.Expr]
"""Makes JSON of the fields that are sent, and of `id` where it is in there too."""


def encode_records(changes: pl.DataFrame, shape: Shape, /) -> pl.Series:
    """Return the JSON text of each change as it travels: one record of a bulk write, or one message.

    Args:
        changes: CHANGES frame (n rows).
        shape: kind, route and what else shapes bytes.
    """
    whole = changes.rechunk()
    names = change_fields(whole)
    sent = whole.select(_is_sent(name, shape).alias(f"\0{at}") for at, name in enumerate(names))
    patterns = _few_patterns(whole, sent)
    if patterns is not None and shape.route == "metadata":
        return _encode_patterns(whole, patterns, partial(_write_record, shape)).alias("record")
    values = _encode_cells(whole, sent) if patterns is None else _encode_patterns(whole, patterns, _write)
    record = _WRITERS[shape.route](pl.col(_VALUES), about_parts(changes), shape)
    return whole.with_columns(values.alias(_VALUES)).select(record.alias("record"))["record"]


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


def _few_patterns(changes: pl.DataFrame, sent: pl.DataFrame) -> pl.DataFrame | None:
    """Return `_patterns`, or None where cell by cell is faster, or where raw cells go as they were."""
    if not sent.width or not sent.height or changes["after_raw"].null_count() < changes.height:
        return None
    patterns = _patterns(sent)
    return patterns if patterns.height <= _FEW else None


def _patterns(sent: pl.DataFrame) -> pl.DataFrame:
    """Return which rows send which fields: a Boolean column per field, and the list `_ROW` of rows.

    Fields are put together as the bits of whole numbers: measured, that is twice as fast as grouping by each.
    """
    rows = sent.select(bit_words(sent.columns)).with_row_index(_ROW)
    grouped = rows.group_by(pl.exclude(_ROW), maintain_order=True).agg(_ROW)
    return sent[grouped[_ROW].list.first()].hstack([grouped[_ROW]])


def _encode_patterns(changes: pl.DataFrame, patterns: pl.DataFrame, write: Writer) -> pl.Series:
    """Return what *write* makes of the fields that each row sends, pattern by pattern.

    Args:
        changes: CHANGES frame (n rows).
        patterns: as from `_patterns`, of the n rows.
        write: makes the text of a row.
    """
    masks = patterns.drop(_ROW)
    values = changes["after"].struct.unnest()
    parts = {
        name: date_text(pl.col(sent)) if dtype == DTYPES["date"] else pl.col(sent)
        for (name, dtype), sent in zip(values.schema.items(), masks.columns, strict=True)
    }
    values.columns = masks.columns  # whatever the fields are called
    needed = pl.DataFrame([changes["id"], *(values[mask.name] for mask in masks if mask.any())])
    rows = patterns[_ROW].explode(empty_as_null=True)
    sorted_ = needed if patterns.height == 1 else needed[rows]
    texts, start = [], 0
    for is_sent, n_rows in zip(masks.iter_rows(), patterns[_ROW].list.len(), strict=True):
        chosen = {name: part for (name, part), sent in zip(parts.items(), is_sent, strict=True) if sent}
        texts.append(sorted_.slice(start, n_rows).select(write(chosen)).to_series())
        start += n_rows
    return texts[0] if patterns.height == 1 else pl.concat(texts).gather(rows.arg_sort())


def _write(sent: AbstractMapping[str, pl.Expr]) -> pl.Expr:
    """Return the JSON object of the fields that are sent."""
    return struct_of(sent).struct.json_encode() if sent else pl.repeat("{}", pl.len())


def _write_record(shape: Shape, sent: AbstractMapping[str, pl.Expr]) -> pl.Expr:
    """Return `_bulk_record` of the fields that are sent, encoded in one piece."""
    if not sent:
        return _bulk_record(pl.lit("{}"), [], shape)
    record = {f"{shape.kind}Id": pl.col("id"), "values": struct_of(sent)}
    return struct_of(record).struct.json_encode()


def _encode_cells(changes: pl.DataFrame, sent: pl.DataFrame) -> pl.Series:
    """Return the JSON object of those values after whose column in *sent* says so; raw cells go as they were."""
    has_raw = changes["after_raw"].null_count() < changes.height
    types = dict(changes.schema["after"])  # type: ignore[call-overload]
    members = []
    for name, is_sent in zip(types, sent.columns, strict=True):
        member = json_cell(pl.col("after").struct.field(name), name, types[name])
        if has_raw:
            as_it_was = pl.concat_str(
                pl.lit(json.dumps(name, ensure_ascii=False) + ":"), raw_cell(name, "after_raw")
            )
            member = pl.coalesce(as_it_was, member)
        members.append(pl.when(pl.col(is_sent)).then(member))
    return changes.hstack(sent).with_columns(json_object(members).alias(_VALUES))[_VALUES]


def _is_sent(name: str, shape: Shape) -> pl.Expr:
    changed = pl.col("changed").struct.field(name)
    return changed if shape.send == "changed" else changed | pl.col("after").struct.field(name).is_not_null()
