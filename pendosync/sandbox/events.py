"""Track events read back through the aggregation pipeline: the sources `trackTypes` and `trackEvents`.

Only processed events are shown. What is asked and which keys a row has is what the public client singer-io/tap-pendo
asks and reads; what a row sums up is uncertain. Here it is one visitor's events of one account, type and set of
properties in one day or hour, in UTC; `firstTime` and `lastTime` say when the first and the last of them happened.

Source: the streams `track_types` and `track_events` of singer-io/tap-pendo, read 2026-11-26.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from pendosync.sandbox.call import Call
from pendosync.sandbox.exchange import Refusal
from pendosync.sandbox.fields import happened_ms
from pendosync.sandbox.filters import read_conditions

_PERIODS_MS: Final = {"dayRange": 86_400_000, "hourRange": 3_600_000}
_DATE: Final = re.compile(r"date\((\d{4}), ?(\d{1,2}), ?(\d{1,2})\)")
_TYPE_KEYS: Final = ("id", "name", "kind", "createdAt", "lastUpdatedAt")
_EVENT_KEYS: Final = ("visitorId", "accountId", "trackTypeId", "numEvents", "firstTime", "lastTime")

Row = dict[str, Any]


def read_events(call: Call, source: dict[str, Any], steps: Iterable[tuple[str, Any]]) -> list[Row] | None:
    """Return the rows of a pipeline whose source is one of ours; None where it is not."""
    keys: tuple[str, ...]
    if "trackTypes" in source:
        rows, keys = _type_rows(call, source), _TYPE_KEYS
    elif "trackEvents" in source:
        span = _span(source)
        rows, keys = _event_rows(call, source["trackEvents"], span), (*_EVENT_KEYS, span.key)
    else:
        return None
    for name, asked in steps:
        rows = _STEPS[name](rows, keys, asked)
    return rows


def type_id(name: str) -> str:
    """Return the id of the track type that events of this name have, the same in every sandbox."""
    return f"sandbox-track-type-{sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}"


def _processed(call: Call) -> list[Row]:
    return [event for event in call.store.events if event["processed"]]


def _type_rows(call: Call, source: dict[str, Any]) -> list[Row]:
    if source != {"trackTypes": None}:
        raise Refusal(400, "the source trackTypes takes null and nothing beside it")
    rows: dict[str, Row] = {}
    for event in _processed(call):
        name, at = event["event"], int(event["at_s"] * 1000)
        first = {"id": type_id(name), "name": name, "kind": "TrackType", "createdAt": at}
        rows[name] = rows.get(name, first) | {"lastUpdatedAt": at}
    return list(rows.values())


@dataclass(frozen=True, slots=True)
class _Span:
    """The days or hours asked for: each begins at a multiple of *period_ms*, the last one included."""

    key: str
    period_ms: int
    first_ms: int
    last_ms: int

    def holds(self, at_ms: int) -> bool:
        return self.first_ms <= self.begin(at_ms) <= self.last_ms

    def begin(self, at_ms: int) -> int:
        return at_ms - at_ms % self.period_ms


def _span(source: dict[str, Any]) -> _Span:
    series = source.get("timeSeries")
    if set(source) != {"trackEvents", "timeSeries"} or type(series) is not dict:
        raise Refusal(400, "the source trackEvents needs timeSeries, and nothing beside it")
    period = series.get("period")
    if type(period) is not str or period not in _PERIODS_MS:
        raise Refusal(400, "timeSeries.period is neither dayRange nor hourRange")
    if set(series) not in ({"period", "first", "last"}, {"period", "first", "count"}):
        raise Refusal(400, "timeSeries needs period, first, and either last or count")
    length, first = _PERIODS_MS[period], _moment_ms(series["first"])
    last = first + _more(series["count"]) * length if "count" in series else _moment_ms(series["last"])
    begin, end = (at - at % length for at in (first, last))
    if "count" in series and end < begin:
        begin, end = end, begin
    return _Span(period.removesuffix("Range"), length, begin, end)


def _more(count: Any) -> int:
    """Return how many periods lie beside the first, before it where *count* is negative."""
    if type(count) is not int or count == 0:
        raise Refusal(400, "timeSeries.count is not a number of periods, from first on or back from it")
    return count - 1 if count > 0 else count + 1


def _moment_ms(asked: Any) -> int:
    """Return epoch milliseconds, `now()` or `date(2026, 11, 26)` as the first."""
    if type(asked) is int:
        return asked
    if asked == "now()":
        return int(time.time() * 1000)
    if type(asked) is str and (found := _DATE.fullmatch(asked)):
        try:
            year, month, day = map(int, found.groups())
            return int(datetime(year, month, day, tzinfo=UTC).timestamp() * 1000)
        except ValueError:
            pass
    raise Refusal(400, "first and last are epoch milliseconds, now() or date(year, month, day)")


def _event_rows(call: Call, asked: Any, span: _Span) -> list[Row]:
    if asked is not None and (type(asked) is not dict or set(asked) - {"trackTypeId"}):
        raise Refusal(400, "the source trackEvents takes null or trackTypeId")
    wanted = (asked or {}).get("trackTypeId")
    rows: dict[str, Row] = {}
    for event in _processed(call):
        at = happened_ms(event["timestamp"], event["at_s"])
        row = _row(event, at, span)
        if wanted in (None, row["trackTypeId"]) and span.holds(at):
            held = rows.setdefault(_identity(row), row | {"firstTime": at, "lastTime": at})
            held["numEvents"] += 1
            held["firstTime"], held["lastTime"] = min(held["firstTime"], at), max(held["lastTime"], at)
    return list(rows.values())


def _row(event: Row, at_ms: int, span: _Span) -> Row:
    return {
        "visitorId": event["visitorId"],
        "accountId": event["accountId"],
        "trackTypeId": type_id(event["event"]),
        span.key: span.begin(at_ms),
        "properties": event["properties"] or {},
        "numEvents": 0,
    }


def _identity(row: Row) -> str:
    return json.dumps(row, sort_keys=True)


def _sorted(rows: list[Row], keys: tuple[str, ...], asked: Any) -> list[Row]:
    if type(asked) is not list or not all(
        type(key) is str and key.removeprefix("-") in keys for key in asked
    ):
        raise Refusal(400, f"can only sort by {', '.join(keys)}")
    for key in reversed(asked):  # sorting is stable, so the first key is sorted by last
        name = key.removeprefix("-")
        rows = sorted(rows, key=lambda row, name=name: _rank(row[name]), reverse=key[0] == "-")  # type: ignore[misc]
    return rows


def _rank(value: Any) -> tuple[int, int, str]:
    """Return what orders numbers before texts; what is neither counts as an empty text."""
    return (0, value, "") if type(value) is int else (1, 0, value if type(value) is str else "")


def _filtered(rows: list[Row], keys: tuple[str, ...], asked: Any) -> list[Row]:
    conditions = read_conditions(asked, keys)
    return [row for row in rows if all(one.holds(row[one.key]) for one in conditions)]


def _limited(rows: list[Row], keys: tuple[str, ...], asked: Any) -> list[Row]:
    if type(asked) is not int or asked < 1:
        raise Refusal(400, "limit is not a number from 1 up")
    return rows[:asked]


_STEPS: Final[dict[str, Callable[[list[Row], tuple[str, ...], Any], list[Row]]]] = {
    "sort": _sorted,
    "filter": _filtered,
    "limit": _limited,
}
