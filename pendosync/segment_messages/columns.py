"""From the values of messages to typed columns: objects flattened, names that can't collide, types that hold all."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from pendosync.frames import DTYPES, RESERVED, is_pattern

Path = tuple[str, ...]
Leaf = str | bool | int | float | list[str] | None

KEPT: Final = (*RESERVED, "about", "")
"""Names that no column of a trait may have."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_YEARS: Final = (
    (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND,
    (datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC) - _EPOCH) // _MICROSECOND,
)
_ISO: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:?[0-9]{2}))?"
)
_DAY: Final = len("2026-01-01")
_MANY_TYPES: Final = "values of several types became text"
_NESTED: Final = "lists that hold other things than texts, and empty ones, became JSON text"
_LONG: Final = "whole numbers beyond 64 bits became text"
_INEXACT: Final = "whole numbers that a float can't hold stand beside fractions; all became text"


class Json(str):
    """The JSON text of a value that no column holds as it is."""

    __slots__ = ()


def read_time(text: object) -> int | None:
    """Return an ISO 8601 text as microseconds since 1970, or None: a day, or a day and time with an offset.

    Example:
        >>> read_time("1970-01-01T00:00:00.5Z"), read_time("1970-01-02"), read_time("1970-01-01T00:00:00")
        (500000, 86400000000, None)
    """
    if not isinstance(text, str) or _ISO.fullmatch(text) is None:
        return None
    try:
        moment = datetime.fromisoformat(text if len(text) > _DAY else f"{text}T00:00Z")
    except ValueError:
        return None
    since = (moment - _EPOCH) // _MICROSECOND
    return since if _YEARS[0] <= since <= _YEARS[1] else None


def date_series(name: str, microseconds: Iterable[int | None]) -> pl.Series:
    """Return times in *microseconds* since 1970 as a column of dates."""
    milliseconds = [None if one is None else one // 1_000 for one in microseconds]
    return pl.Series(name, milliseconds, dtype=pl.Int64).cast(DTYPES["date"])


def flattened(name: str, value: Any) -> tuple[tuple[Path, Leaf], ...]:
    """Return the parts of *value*, each with its path: objects as deep as they go, all else as one part.

    Example:
        >>> dict(flattened("address", {"city": "Rome", "geo": {"lat": 41.9}}))
        {('address', 'city'): 'Rome', ('address', 'geo', 'lat'): 41.9}
    """
    if not isinstance(value, dict | list):  # as nearly all are
        return (((name,), value),)
    return tuple(_parts(name, value))


def _parts(name: str, value: Any) -> Iterator[tuple[Path, Leaf]]:
    waiting: list[tuple[Path, Any]] = [((name,), value)]
    while waiting:
        path, one = waiting.pop()
        if isinstance(one, dict) and one:
            waiting.extend(((*path, part), inner) for part, inner in reversed(one.items()))
        else:
            yield path, _leaf(one)


def json_text(value: object) -> str:
    """Return *value* as JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _leaf(one: Any) -> Leaf:
    if isinstance(one, list) and not all(isinstance(part, str) for part in one):
        return Json(json_text(one))
    return Json("{}") if isinstance(one, dict) else one


@dataclass(slots=True)
class Columns:
    """Columns as they fill: per path the rows that have a value, and the values."""

    cells: dict[Path, tuple[list[int], list[Leaf]]] = field(default_factory=dict)

    def add(self, row: int, parts: Iterable[tuple[Path, Leaf]]) -> None:
        """Put the *parts* of one trait into its row."""
        for path, leaf in parts:
            rows, leaves = self.cells.setdefault(path, ([], []))
            rows.append(row)
            leaves.append(leaf)

    def to_series(
        self, height: int, *, heads: Collection[str], prefix: str, dates: Collection[Path] = ()
    ) -> tuple[list[pl.Series], list[tuple[str, str]]]:
        """Return a typed column of *height* rows a path, and what there is to be noted: column and reason."""
        names = name_columns(self.cells, heads=heads, prefix=prefix)
        notes = [
            (name, f"{'.'.join(path)!r} became {name!r}, as that name was taken")
            for path, name in names.items()
            if name != "_".join(path)
        ]
        columns = []
        for path, (rows, leaves) in self.cells.items():
            typed, reason = _typed(names[path], leaves, is_date=path in dates)
            columns.append(_spread(typed, rows, height))
            notes += [(names[path], reason)] if reason else []
        return columns, notes


def name_columns(paths: Iterable[Path], *, heads: Collection[str], prefix: str) -> dict[Path, str]:
    """Return a name for each path, none of them twice, none that of a head, a pattern, or one that frames keep.

    Example:
        >>> name_columns([("user", "id"), ("a", "b"), ("a_b",)], heads=["user_id"], prefix="traits")
        {('a_b',): 'a_b', ('a', 'b'): 'a_b_2', ('user', 'id'): 'traits_user_id'}
    """
    names: dict[Path, str] = {}
    taken = {*heads, *KEPT}

    def is_taken(path: Path) -> bool:
        joined = "_".join(path)
        return joined in heads or joined in KEPT or is_pattern(joined)

    # a trait of that very name comes first
    for path in sorted(paths, key=lambda path: (len(path), is_taken(path), path)):
        name = start = "_".join((prefix, *path) if is_taken(path) else path)
        number = 2
        while name in taken:
            name, number = f"{start}_{number}", number + 1
        taken.add(name)
        names[path] = name
    return names


def _spread(typed: pl.Series, rows: Sequence[int], height: int) -> pl.Series:
    if len(rows) == height:  # rows only ever grow
        return typed
    at = pl.DataFrame({"at": pl.Series(rows, dtype=pl.UInt32)}).hstack([typed.alias("leaf")])
    every = pl.select(at=pl.int_range(height, dtype=pl.UInt32))
    return every.join(at, on="at", how="left", maintain_order="left")["leaf"].alias(typed.name)


def _typed(name: str, leaves: list[Leaf], *, is_date: bool) -> tuple[pl.Series, str]:
    """Return the values in the narrowest type that holds each of them exactly, and why it is text, if it is."""
    types = set(map(type, leaves)) - {type(None)}
    if types <= {str}:
        dates = _dates(name, leaves) if is_date and types else None
        return pl.Series(name, leaves, dtype=pl.String) if dates is None else dates, ""
    if types == {bool}:
        return pl.Series(name, leaves, dtype=pl.Boolean), ""
    if types == {int} and all(one is None or -(2**63) <= one < 2**63 for one in leaves):  # type: ignore[operator]
        return pl.Series(name, leaves, dtype=pl.Int64), ""
    if float in types and types <= {int, float} and all(map(_is_float, leaves)):
        return pl.Series(name, [None if one is None else float(one) for one in leaves], dtype=pl.Float64), ""  # type: ignore[arg-type]
    if types == {list} and any(leaves):
        return pl.Series(name, leaves, dtype=DTYPES["list"]), ""
    return pl.Series(name, [_as_text(one) for one in leaves], dtype=pl.String), _why_text(types)


def _why_text(types: set[type]) -> str:
    if types <= {Json, list}:
        return _NESTED
    if types == {int}:
        return _LONG
    return _INEXACT if types == {int, float} else _MANY_TYPES


def _is_float(one: Any) -> bool:
    try:
        return one is None or float(one) == one
    except OverflowError:
        return False


def _as_text(one: Leaf) -> str | None:
    return None if one is None else str(one) if isinstance(one, str) else json_text(one)


def _dates(name: str, leaves: list[Leaf]) -> pl.Series | None:
    """Return the texts as dates where each of them is one."""
    times = [read_time(one) for one in leaves]
    return date_series(name, times) if times.count(None) == leaves.count(None) else None
