"""What a plan's digest is made of: the text of its changes, the same in every version and however they are cut."""

from __future__ import annotations

import hashlib
import io
from typing import Final

import polars as pl

from pendosync.frames import CHANGE_COLUMNS, DTYPES, about_column, bit_words

_WINDOW: Final = 20_000
"""Rows written at a time. Measured: larger ones take as long and more memory."""


def digest_of(changes: pl.DataFrame, /) -> bytes:
    """Return SHA-256 over the columns that all CHANGES have, and `about`; columns that were kept don't count.

    The text is CSV: a line a row, texts in quotes, null as nothing, dates as epoch milliseconds, lists as JSON and
    what changed as the bits of whole numbers. No hash of polars' own is taken, and no file's bytes: they differ between
    versions.

    Cost: 0.7 s for a million ids with ten fields, on one core.
    """
    digest = hashlib.sha256()
    for window in changes.select(*CHANGE_COLUMNS, *about_column(changes)).iter_slices(_WINDOW):
        text = io.BytesIO()
        _plain(window.rechunk()).write_csv(text, include_header=False, quote_style="non_numeric")
        digest.update(text.getbuffer())
    return digest.digest()


def _plain(changes: pl.DataFrame) -> pl.DataFrame:
    """Return a column for each part of each struct, of types that CSV can hold."""
    columns: list[pl.Series] = []
    for column in changes.get_columns():
        if column.name == "changed":
            columns += column.struct.unnest().select(bit_words(column.struct.fields)).get_columns()
        elif isinstance(column.dtype, pl.Struct):
            columns += column.struct.unnest().get_columns()
        else:
            columns.append(column)
    return pl.DataFrame([_cell(column).alias(str(at)) for at, column in enumerate(columns)])


def _cell(column: pl.Series) -> pl.Series:
    if column.dtype == DTYPES["date"]:
        return column.dt.epoch("ms")
    if isinstance(column.dtype, pl.List):
        text = pl.struct(pl.col("list")).struct.json_encode()
        return column.to_frame("list").select(text).to_series()
    return column
