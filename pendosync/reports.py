"""Plans and runs in words: for a terminal, and as HTML that stays readable without a kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Final

import polars as pl

from pendosync.errors import counted

_MOST_COLUMNS: Final = 6
BOX: Final = (
    "border:1px solid rgba(128,128,128,.4);border-radius:4px;padding:8px 12px;margin:4px 0;font-size:13px;"
    "line-height:1.5;max-width:100%;overflow-x:auto;overflow-wrap:anywhere"
)
"""The frame around everything that shows itself; no theme's variable, so it also holds in an untrusted notebook."""

MUTED: Final = "opacity:.7"
ROW: Final = "<tr style='background:none'>"
CELL: Final = "text-align:left;padding:2px 8px;vertical-align:top;white-space:nowrap"
_FACT: Final = "text-align:left;padding:1px 12px 1px 0;vertical-align:top"
_TINTS: Final = {
    "new": "background:rgba(40,160,80,.18)",
    "changed": "background:rgba(200,150,30,.18)",
    "cleared": "background:rgba(200,60,60,.18)",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """A plan in numbers. `expected_s` and `recheck_s` are in seconds, None where the pace has no limit.

    `n_recheck` ids are read again before anything is sent.
    """

    kind: str
    group: str
    route: str
    target: str
    n_ids: int
    actions: AbstractMapping[str, int]
    fields: AbstractMapping[str, int]
    blocked: AbstractMapping[str, int]
    warned: AbstractMapping[str, int]
    n_requests: int
    batch_size: int
    max_per_second: float | None
    max_at_once: int | None
    expected_s: float | None
    n_recheck: int
    recheck_s: float | None
    held: Sequence[str]
    notes: Sequence[str]

    def __repr__(self) -> str:
        return plan_text(self)


def duration(seconds: float | None) -> str:
    """Return *seconds* as a person says it.

    Example:
        >>> [duration(s) for s in (0.4, 12, 90, 5400, None)]
        ['under a second', '12 s', '2 min', '1 h 30 min', 'as fast as it answers']
    """
    if seconds is None:
        return "as fast as it answers"
    if seconds < 1:
        return "under a second"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def plan_text(summary: Summary) -> str:
    """Return the plan's summary as lines for a terminal."""
    return "\n".join([_headline(summary), *(f"  {name:9} {text}" for name, text in _facts(summary))])


def _facts(summary: Summary) -> Iterator[tuple[str, str]]:
    yield from (("held back", sentence) for sentence in summary.held)
    if summary.n_recheck:
        yield "first", _recheck(summary)
    yield "requests", _requests(summary)
    yield "changes", _pairs(summary.fields) or "none"
    if summary.blocked:
        yield "blocked", _pairs(summary.blocked)
    if summary.warned:
        yield "warnings", _pairs(summary.warned)
    yield from (("note", note) for note in summary.notes)


def plan_html(summary: Summary, rows: pl.DataFrame, fields: Sequence[str]) -> str:
    """Return the plan's summary and its first *rows* (CHANGES) as HTML; every value is escaped."""
    listed = "".join(
        f"{ROW}<td style='{_FACT};{MUTED}'>{name}</td><td style='{_FACT}'>{escape(text)}</td></tr>"
        for name, text in _facts(summary)
    )
    return (
        f"<div style='{BOX}'><b>{escape(_headline(summary))}</b>"
        f"<table style='margin:4px 0'><tbody>{listed}</tbody></table>{_changes_html(summary, rows, fields)}</div>"
    )


def _headline(summary: Summary) -> str:
    actions = ", ".join(f"{name} {n:,}" for name, n in summary.actions.items()) or "nothing to change"
    route = "" if summary.route == "metadata" else f" by {summary.route}"
    return f"Plan: {actions} · {summary.kind}s → {summary.group}{route}, {summary.target}"


def _recheck(summary: Summary) -> str:
    which = (
        "each id is"
        if summary.n_recheck == summary.n_ids
        else f"{summary.n_recheck:,} of {summary.n_ids:,} ids are"
    )
    took = "" if summary.recheck_s is None else f", {duration(summary.recheck_s)}"
    return f"{which} read again, to see whether anything moved{took}"


def _requests(summary: Summary) -> str:
    size = f" of at most {summary.batch_size:,}" if summary.batch_size > 1 else ""
    pace = "" if summary.max_per_second is None else f" at {summary.max_per_second:g}/s"
    flight = "" if summary.max_at_once is None else f", {summary.max_at_once} in flight"
    return f"{summary.n_requests:,}{size}, {duration(summary.expected_s)}{pace}{flight}"


def _pairs(counts: AbstractMapping[str, int]) -> str:
    return " · ".join(f"{name} {n:,}" for name, n in counts.items())


def _changes_html(summary: Summary, rows: pl.DataFrame, fields: Sequence[str]) -> str:
    if rows.is_empty():
        return ""
    busiest = sorted(fields, key=lambda name: -summary.fields.get(name, 0))[:_MOST_COLUMNS]
    shown = [name for name in fields if name in busiest]
    head = "".join(f"<th style='{CELL}'>{escape(name)}</th>" for name in ["id", *shown])
    body = "".join(_row_html(row, shown) for row in rows.iter_rows(named=True))
    hidden = [counted(len(fields) - len(shown), "more field")] if len(fields) > len(shown) else []
    more = [f"{summary.n_ids - rows.height:,} more ids"] if summary.n_ids > rows.height else []
    foot = f"<div style='{MUTED}'>and {' and '.join(more + hidden)}</div>" if more or hidden else ""
    return (
        f"<table style='margin:8px 0 2px'><thead>{ROW}{head}</tr></thead><tbody>{body}</tbody></table>{foot}"
    )


def _row_html(row: AbstractMapping[str, Any], shown: Sequence[str]) -> str:
    tag = " <span style='font-size:11px'>new</span>" if row["action"] == "create" else ""
    raw, raw_after = (json.loads(row[name] or "{}") for name in ("before_raw", "after_raw"))
    cells = "".join(
        _cell_html(
            row["before"][name] if name not in raw else _Raw(raw[name]),
            row["after"][name] if name not in raw_after else _Raw(raw_after[name]),
            is_changed=row["changed"][name],
        )
        for name in shown
    )
    return f"{ROW}<td style='{CELL}'><code>{_text(row['id'])}</code>{tag}</td>{cells}</tr>"


class _Raw(str):
    """The JSON text of a value that is not of its field's type."""

    __slots__ = ()


def _cell_html(before: Any, after: Any, *, is_changed: bool) -> str:
    if not is_changed:
        return f"<td style='{CELL};{MUTED}'>{_text(after)}</td>"
    kind = "new" if before is None else "cleared" if after is None else "changed"
    old = (
        "<span style='opacity:.7;font-size:11px'>new</span> "
        if before is None
        else f"<s style='{MUTED}'>{_text(before)}</s> "
    )
    return (
        f"<td style='{CELL};{_TINTS[kind]}'>{old}{'<i>cleared</i>' if after is None else _text(after)}</td>"
    )


def plain_text(value: Any) -> str:
    """Return a cell's value as a person reads it; nothing for null.

    Example:
        >>> [plain_text(value) for value in (None, True, 5.0, ["a", "b"], datetime(2026, 1, 2, 3, 4))]
        ['', 'true', '5.0', 'a, b', '2026-01-02 03:04']
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(plain_text, value))
    if isinstance(value, datetime):
        exact = "%Y-%m-%d %H:%M:%S" if value.second or value.microsecond else "%Y-%m-%d %H:%M"
        return value.strftime(exact) + (f".{value.microsecond // 1000:03}" if value.microsecond else "")
    return str(value)


def cut_text(text: str, most: int) -> str:
    """Return *text*, cut to so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _text(value: Any, most: int = 40) -> str:
    return escape(_visible(cut_text(plain_text(value), most)))


def _visible(text: str) -> str:
    """Return *text* with what can't be seen written out, as it could hide or turn around what stands beside it."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
