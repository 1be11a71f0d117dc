"""From the JSON that Pendo reads back to typed columns; what is of another type is kept raw."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from collections.abc import Mapping as AbstractMapping
from datetime import UTC, datetime, timedelta
from itertools import chain
from math import inf, isfinite
from types import MappingProxyType, NoneType
from typing import Any, Final

import polars as pl

from pendosync.frames import DTYPES, VALUES, FieldType, is_unicode

to_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
"""Encodes a value as JSON without blanks, in UTF-8 characters."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS: Final = -62_135_596_800_000  # 0001-01-01
_LAST_MS: Final = 253_402_300_799_999  # 9999-12-31, its last millisecond
_ISO: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3}0*)?)?(Z|[+-]\d\d:?\d\d)", re.ASCII)


def values_frame(
    ids: Sequence[str], records: Sequence[dict[str, Any]], group: str, types: AbstractMapping[str, FieldType]
) -> pl.DataFrame:
    """Return the VALUES of some records as Pendo reads them: ids, and per id an object with `metadata`."""
    held = [_group_in(record, group) for record in records]
    raw: dict[int, dict[str, str]] = {}
    columns = []
    for name, type_ in types.items():
        column = [one.get(name) for one in held]
        series, strangers = _typed_column(name, column, type_)
        columns.append(series)
        for row in strangers:
            raw.setdefault(row, {})[name] = _encode_raw(column[row])
    texts = [to_json(raw[row]) if row in raw else None for row in range(len(ids))]
    index = pl.Series("row", [None] * len(ids), dtype=VALUES["row"])
    return pl.DataFrame(
        [
            index,
            pl.Series("id", ids, dtype=VALUES["id"]),
            pl.Series("raw", texts, dtype=VALUES["raw"]),
            *columns,
        ]
    )


def _group_in(record: dict[str, Any], group: str) -> dict[str, Any]:
    held = (record.get("metadata") or {}).get(group)
    return held if isinstance(held, dict) else {}


def _typed_column(name: str, column: list[Any], type_: FieldType) -> tuple[pl.Series, list[int]]:
    """Return the values that are of *type_*, and the rows whose value is of another."""
    quick = _quick_column(name, column, type_)
    if quick is not None:
        return quick, []
    read = _CELLS[type_]
    cells = [None if value is None else read(value) for value in column]
    strangers = [row for row, value in enumerate(column) if value is not None and cells[row] is None]
    return _series(name, cells, type_), strangers


def _quick_column(name: str, column: list[Any], type_: FieldType) -> pl.Series | None:
    """Return the column without a look at each cell, or None where that could be wrong."""
    if not set(map(type, column)) <= {_PLAIN[type_], NoneType}:
        return None
    if type_ == "list" and not set(map(type, chain.from_iterable(filter(None, column)))) <= {str}:
        return None
    try:
        series = _series(name, column, type_)
    except (
        TypeError,
        ValueError,
        OverflowError,
        pl.exceptions.PolarsError,
    ):  # beyond 64 bit, or lone surrogates
        return None
    if type_ == "float":
        return series if series.is_finite().all() else None
    if type_ == "date":
        return series if series.to_physical().is_between(_FIRST_MS, _LAST_MS).all() else None
    return series


def _series(name: str, cells: list[Any], type_: FieldType) -> pl.Series:
    if type_ == "date":
        return pl.Series(name, cells, dtype=pl.Int64).cast(DTYPES["date"])
    if type_ == "list":  # by way of JSON: measured, polars takes five times as long for Python's lists
        texts = [None if one is None else to_json(one) for one in cells]
        return pl.Series(name, texts, dtype=pl.String).str.json_decode(DTYPES["list"])
    return pl.Series(name, cells, dtype=DTYPES[type_])


def _read_text(value: Any) -> str | None:
    return value if type(value) is str and is_unicode(value) else None


def _read_boolean(value: Any) -> bool | None:
    return value if type(value) is bool else None


def _read_integer(value: Any) -> int | None:
    whole = int(value) if type(value) is float and value.is_integer() else value
    return whole if type(whole) is int and -(2**63) <= whole < 2**63 else None


def _read_float(value: Any) -> float | None:
    if type(value) is int:
        return float(value) if abs(value) < 2**1023 and int(float(value)) == value else None
    return value if type(value) is float and isfinite(value) else None


def _read_date(value: Any) -> int | None:
    ms = _read_iso(value) if type(value) is str else _read_integer(value)
    return ms if ms is not None and _FIRST_MS <= ms <= _LAST_MS else None


def _read_iso(text: str) -> int | None:
    if not _ISO.fullmatch(text):
        return None
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None


def _read_list(value: Any) -> list[str] | None:
    is_list = type(value) is list and all(type(one) is str and is_unicode(one) for one in value)
    return value if is_list else None


_CELLS: Final[AbstractMapping[FieldType, Callable[[Any], Any]]] = MappingProxyType(
    {
        "text": _read_text,
        "boolean": _read_boolean,
        "integer": _read_integer,
        "float": _read_float,
        "date": _read_date,
        "list": _read_list,
    }
)
"""Type → the reader of one value of JSON that is not null; None is no value of this type."""

_PLAIN: Final[AbstractMapping[FieldType, type]] = MappingProxyType(
    {"text": str, "boolean": bool, "integer": int, "float": float, "date": int, "list": list}
)
"""Type → the class that its values have where all is as it should be."""


def _encode_raw(value: Any) -> str:
    """Return the JSON text of *value*."""
    if value in (inf, -inf):  # a number beyond a double, such as 1e400
        return "1e999" if value > 0 else "-1e999"
    text = to_json(value)
    return text if is_unicode(text) else json.dumps(value, separators=(",", ":"))
