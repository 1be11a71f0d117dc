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
from dataclasses import dataclass
from functools import partial
from itertools import compress
from types import MappingProxyType
from typing import Final

import polars as pl

from pendosync.frames import (
    DTYPES,
    Route,
    about_parts,
    bit_words,
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
    sent = _sent(whole, shape)
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


def _sent(changes: pl.DataFrame, shape: Shape) -> pl.DataFrame:
    """Return which fields each row sends: a Boolean column per field, named by its place."""
    marks = changes["changed"].struct.unnest()
    if shape.send == "all":
        after = changes["after"].struct.unnest()
        marks = pl.DataFrame([mark | cell.is_not_null() for mark, cell in zip(marks, after, strict=True)])
    marks.columns = [f"\0{at}" for at in range(marks.width)]  # whatever the fields are called
    return marks


@dataclass(frozen=True, slots=True)
class _Patterns:
    """The rows of a frame by what they send.

    Args:
        is_sent: of each pattern, which of the fields.
        n_rows: how many rows each has.
        rows: which rows, pattern by pattern; None where all rows have one.
    """

    is_sent: list[tuple[bool, ...]]
    n_rows: list[int]
    rows: pl.Series | None = None


def _few_patterns(changes: pl.DataFrame, sent: pl.DataFrame) -> _Patterns | None:
    """Return the patterns of what is sent, or None where cell by cell is faster, or where raw cells go as they were."""
    n = sent.height
    if not sent.width or not n or changes["after_raw"].null_count() < n:
        return None
    n_sent = [int(column.sum()) for column in sent]
    varying = [name for name, times in zip(sent.columns, n_sent, strict=True) if 0 < times < n]
    if not varying:
        return _Patterns([tuple(times > 0 for times in n_sent)], [n])
    # as the bits of whole numbers they are grouped in half the time
    words = sent.select_seq(bit_words(varying)).with_row_index(_ROW)
    rows = words.group_by(pl.exclude(_ROW), maintain_order=True).agg(_ROW)[_ROW]
    if len(rows) > _FEW:
        return None
    some = list(rows)
    return _Patterns([sent.row(own[0]) for own in some], [len(own) for own in some], pl.concat(some))


def _encode_patterns(changes: pl.DataFrame, patterns: _Patterns, write: Writer) -> pl.Series:
    """Return what *write* makes of the fields that each row sends, pattern by pattern.

    Args:
        changes: CHANGES frame (n rows).
        patterns: of the n rows.
        write: makes the text of a row.
    """
    values = changes["after"].struct.unnest()
    names, dtypes = values.columns, values.dtypes
    values.columns = [f"\0{at}" for at in range(values.width)]  # whatever the fields are called
    parts = [
        date_text(pl.col(column)) if dtype == DTYPES["date"] else pl.col(column)
        for column, dtype in zip(values.columns, dtypes, strict=True)
    ]
    is_needed = map(any, zip(*patterns.is_sent, strict=True))
    needed = pl.DataFrame([changes["id"], *compress(values.get_columns(), is_needed)])
    sorted_ = needed if patterns.rows is None else needed[patterns.rows]
    texts, start = [], 0
    # one core each: measured beside a push, what many share waits longer for its turns than it takes
    for is_sent, n_rows in zip(patterns.is_sent, patterns.n_rows, strict=True):
        chosen = dict(compress(zip(names, parts, strict=True), is_sent))
        texts.append(sorted_.slice(start, n_rows).select_seq(write(chosen)).to_series())
        start += n_rows
    return texts[0] if patterns.rows is None else pl.concat(texts).gather(patterns.rows.arg_sort())


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
