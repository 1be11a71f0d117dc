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


def encode_records(changes: pl.DataFrame, shape: Shape, /) -> pl.Series:
    """Return the JSON text of each change as it travels: one record of a bulk write, or one message.

    Args:
        changes: CHANGES frame (n rows).
        shape: kind, route and what else shapes bytes.
    """
    whole = changes.rechunk()
    with_values = whole.with_columns(_encode_values(whole, shape).alias(_VALUES))
    record = _WRITERS[shape.route](pl.col(_VALUES), about_parts(changes), shape)
    return with_values.select(record.alias("record"))["record"]


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


def _encode_values(changes: pl.DataFrame, shape: Shape) -> pl.Series:
    """Return the JSON object of those values after that are sent, row by row; raw cells go as they were."""
    names = change_fields(changes)
    if not names:
        return pl.Series(["{}"]).new_from_index(0, changes.height)
    if not changes.height:
        return pl.Series([], dtype=pl.String)
    sent = changes.select(_is_sent(name, shape).alias(f"\0{at}") for at, name in enumerate(names))
    patterns = _patterns(sent)
    has_raw = changes["after_raw"].null_count() < changes.height
    if has_raw or patterns.height > _FEW:
        cells = _encode_cells(changes, sent.columns, has_raw=has_raw)
        return changes.hstack(sent).select(cells).to_series()
    return _encode_patterns(changes["after"].struct.unnest(), patterns)


def _patterns(sent: pl.DataFrame) -> pl.DataFrame:
    """Return which rows send which fields: a Boolean column per field, and the list `_ROW` of rows.

    Fields are put together as the bits of whole numbers: measured, that is twice as fast as grouping by each.
    """
    rows = sent.select(bit_words(sent.columns)).with_row_index(_ROW)
    grouped = rows.group_by(pl.exclude(_ROW), maintain_order=True).agg(_ROW)
    return sent[grouped[_ROW].list.first()].hstack([grouped[_ROW]])


def _encode_patterns(values: pl.DataFrame, patterns: pl.DataFrame) -> pl.Series:
    """Return the JSON object of the fields that each row sends, pattern by pattern.

    Args:
        values: a typed column per field (n rows).
        patterns: as from `_patterns`, of the n rows.
    """
    parts = {
        name: date_text(pl.col(sent)) if dtype == DTYPES["date"] else pl.col(sent)
        for (name, dtype), sent in zip(values.schema.items(), patterns.columns, strict=False)
    }
    values.columns = patterns.columns[: values.width]  # whatever the fields are called
    texts: list[pl.Series] = []
    for is_sent, rows in zip(patterns.drop(_ROW).iter_rows(), patterns[_ROW], strict=True):
        chosen = {name: part for (name, part), sent in zip(parts.items(), is_sent, strict=True) if sent}
        if not chosen:
            texts.append(pl.Series(["{}"]).new_from_index(0, len(rows)))
            continue
        some = values.select(sent for sent, is_in in zip(values.columns, is_sent, strict=True) if is_in)
        some = some if patterns.height == 1 else some[rows]
        texts.append(some.select(struct_of(chosen).struct.json_encode()).to_series())
    return pl.concat(texts).gather(patterns[_ROW].explode(empty_as_null=True).arg_sort())


def _encode_cells(changes: pl.DataFrame, sent: Sequence[str], *, has_raw: bool) -> pl.Expr:
    """Return the JSON object of those values after whose column in *sent* says so; raw cells go as they were."""
    types = dict(changes.schema["after"])  # type: ignore[call-overload]
    members = []
    for name, is_sent in zip(types, sent, strict=True):
        member = json_cell(pl.col("after").struct.field(name), name, types[name])
        if has_raw:
            as_it_was = pl.concat_str(
                pl.lit(json.dumps(name, ensure_ascii=False) + ":"), raw_cell(name, "after_raw")
            )
            member = pl.coalesce(as_it_was, member)
        members.append(pl.when(pl.col(is_sent)).then(member))
    return json_object(members)


def _is_sent(name: str, shape: Shape) -> pl.Expr:
    changed = pl.col("changed").struct.field(name)
    return changed if shape.send == "changed" else changed | pl.col("after").struct.field(name).is_not_null()
