"""A plan in numbers, and in words: for a terminal, and as HTML that stays readable without a kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import polars as pl

from pendosync.errors import counted
from pendosync.reports import BOX, CELL, FACT, MUTED, ROW, duration, shown

_MOST_COLUMNS: Final = 6
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
        f"{ROW}<td style='{FACT};{MUTED}'>{name}</td><td style='{FACT}'>{escape(text)}</td></tr>"
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
    names = [name for name in fields if name in busiest]
    head = "".join(f"<th style='{CELL}'>{escape(name)}</th>" for name in ["id", *names])
    body = "".join(_row_html(row, names) for row in rows.iter_rows(named=True))
    hidden = [counted(len(fields) - len(names), "more field")] if len(fields) > len(names) else []
    more = [f"{summary.n_ids - rows.height:,} more ids"] if summary.n_ids > rows.height else []
    foot = f"<div style='{MUTED}'>and {' and '.join(more + hidden)}</div>" if more or hidden else ""
    return (
        f"<table style='margin:8px 0 2px'><thead>{ROW}{head}</tr></thead><tbody>{body}</tbody></table>{foot}"
    )


def _row_html(row: AbstractMapping[str, Any], names: Sequence[str]) -> str:
    tag = " <span style='font-size:11px'>new</span>" if row["action"] == "create" else ""
    raw, raw_after = (json.loads(row[name] or "{}") for name in ("before_raw", "after_raw"))
    cells = "".join(
        _cell_html(
            row["before"][name] if name not in raw else _Raw(raw[name]),
            row["after"][name] if name not in raw_after else _Raw(raw_after[name]),
            is_changed=row["changed"][name],
        )
        for name in names
    )
    return f"{ROW}<td style='{CELL}'><code>{shown(row['id'])}</code>{tag}</td>{cells}</tr>"


class _Raw(str):
    """The JSON text of a value that is not of its field's type."""

    __slots__ = ()


def _cell_html(before: Any, after: Any, *, is_changed: bool) -> str:
    if not is_changed:
        return f"<td style='{CELL};{MUTED}'>{shown(after)}</td>"
    kind = "new" if before is None else "cleared" if after is None else "changed"
    old = (
        "<span style='opacity:.7;font-size:11px'>new</span> "
        if before is None
        else f"<s style='{MUTED}'>{shown(before)}</s> "
    )
    return (
        f"<td style='{CELL};{_TINTS[kind]}'>{old}{'<i>cleared</i>' if after is None else shown(after)}</td>"
    )
