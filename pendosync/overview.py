"""A plan in numbers, and in words: for a terminal, and as HTML that stays readable without a kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import polars as pl

from pendosync.errors import counted
from pendosync.frames import about_parts
from pendosync.reports import (
    CELL,
    CODE,
    MUTED,
    ROW,
    Grid,
    Report,
    Signed,
    duration,
    muted_html,
    report_html,
    shown,
    table_html,
    value_html,
)

_MOST_COLUMNS: Final = 6
_MOST_PAIRS: Final = 12
_HELD: Final = Signed("✕ held back")
_BY_RULE: Final = (Signed("✕ blocked"), Signed("△ warnings"))
_DEEDS: Final = {"create": "new", "skip": "skip", "remove": "remove", "delete": "delete"}
"""What stands beside an id that is neither changed, added nor sent."""

_TINTS: Final = {
    "new": "background:rgba(40,160,80,.18)",
    "changed": "background:rgba(200,150,30,.18)",
    "cleared": "background:rgba(200,60,60,.18)",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """A plan in numbers. `expected_s` and `recheck_s` are in seconds, None where the pace has no limit.

    `n_recheck` ids are read again before anything is sent. `fields` counts the cells that travel. `is_held` says
    whether the ids were compared with what Pendo holds; else each is a message.
    """

    kind: str
    group: str
    route: str
    target: str
    is_held: bool
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
    lands_in: str

    def __repr__(self) -> str:
        return repr(_report(self))

    def _repr_html_(self) -> str:
        return report_html(_report(self))


def plan_html(
    summary: Summary, rows: pl.DataFrame, fields: Sequence[str], problems: Sequence[Grid] = ()
) -> str:
    """Return a plan as HTML; every value is escaped.

    Args:
        summary: the plan in numbers.
        rows: its first changes (CHANGES).
        fields: its fields, in order.
        problems: its problems by rule, in place of the summary's counts.
    """
    whole = _report(summary)
    facts = [(name, text) for name, text in whole.facts if not (problems and name in _BY_RULE)]
    return report_html(replace(whole, facts=facts, grids=problems), _changes_html(summary, rows, fields))


def _report(summary: Summary) -> Report:
    return Report(_headline(summary), tuple(_facts(summary)))


def _facts(summary: Summary) -> Iterator[tuple[str, str]]:
    yield from ((_HELD, sentence) for sentence in summary.held)
    if summary.n_recheck:
        yield "first", _recheck(summary)
    yield "requests", _requests(summary)
    if summary.is_held or summary.fields:
        yield "changes" if summary.is_held else "fields", _pairs(summary.fields) or "none"
    for name, counts in zip(_BY_RULE, (summary.blocked, summary.warned), strict=True):
        if counts:
            yield name, _pairs(counts)
    yield from (("note", note) for note in summary.notes)


def _headline(summary: Summary) -> str:
    actions = ", ".join(f"{name} {n:,}" for name, n in summary.actions.items()) or "nothing to change"
    if "delete" in summary.actions:
        return f"Plan: delete {summary.lands_in}, {summary.target}"
    route = f" by {summary.route}" if summary.group and summary.route != "metadata" else ""
    return f"Plan: {actions} · {summary.kind}s → {summary.lands_in}{route}, {summary.target}"


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
    """Return the counts by name; of very many, the largest."""
    pairs = list(counts.items())
    if len(pairs) > _MOST_PAIRS:
        pairs = sorted(pairs, key=lambda pair: -pair[1])[:_MOST_PAIRS]
    left = [f"and {len(counts) - len(pairs)} more"] if len(counts) > len(pairs) else []
    return " · ".join([f"{shown(name)} {n:,}" for name, n in pairs] + left)


def _changes_html(summary: Summary, rows: pl.DataFrame, fields: Sequence[str]) -> str:
    if rows.is_empty():
        return ""
    busiest = sorted(fields, key=lambda name: -summary.fields.get(name, 0))[:_MOST_COLUMNS]
    names = [name for name in fields if name in busiest]
    parts = [name for name in about_parts(rows) if name != "integrations"]  # of those, a mark says enough
    heads = "".join(
        f"<th scope='col' style='{CELL}'>{value_html(name)}</th>" for name in ["id", *parts, *names]
    )
    hidden = [counted(len(fields) - len(names), "more field")] if len(fields) > len(names) else []
    below = [counted(summary.n_ids - rows.height, "more id")] if summary.n_ids > rows.height else []
    foot = muted_html(f"and {' and '.join(below + hidden)}") if below or hidden else ""
    return table_html(heads, (_row_html(row, parts, names) for row in rows.iter_rows(named=True))) + foot


def _row_html(row: AbstractMapping[str, Any], parts: Sequence[str], names: Sequence[str]) -> str:
    deed = _DEEDS.get(row["action"])
    tag = f" <span style='font-size:11px'>{deed}</span>" if deed else ""
    about = "".join(f"<td style='{CELL}'>{_value_html(row['about'][name])}</td>" for name in parts)
    raw, raw_after = (json.loads(row[name] or "{}") for name in ("before_raw", "after_raw"))
    cells = "".join(
        _cell_html(
            row["before"][name] if name not in raw else _Raw(raw[name]),
            row["after"][name] if name not in raw_after else _Raw(raw_after[name]),
            move=_move(row, name),
        )
        for name in names
    )
    return f"{ROW}<td style='{CELL}'>{CODE}{value_html(row['id'])}</code>{tag}</td>{about}{cells}</tr>"


def _move(row: AbstractMapping[str, Any], name: str) -> Literal["moves", "stays", "is told"]:
    """Return what becomes of a cell: a message's is told, as nothing stands there before; a skipped row's stays."""
    if row["action"] not in ("update", "create", "skip"):
        return "is told"
    return "moves" if row["changed"][name] and row["action"] != "skip" else "stays"


class _Raw(str):
    """The JSON text of a value that is not of its field's type."""

    __slots__ = ()


def _cell_html(before: Any, after: Any, *, move: Literal["moves", "stays", "is told"]) -> str:
    if move != "moves":
        tone = f";{MUTED}" if move == "stays" else ""
        return f"<td style='{CELL}{tone}'>{_value_html(after)}</td>"
    kind = "new" if before is None else "cleared" if after is None else "changed"
    new = f"<span style='{MUTED};font-size:11px'>new</span>"
    old = new if before is None else f"<s style='{MUTED}'>{_value_html(before)}</s>"
    now = "<i>cleared</i>" if after is None else _value_html(after)
    return f"<td style='{CELL};{_TINTS[kind]}'>{old} {now}</td>"


def _value_html(value: Any) -> str:
    """Return *value* so that one read from right to left leaves what stands beside it where it is."""
    return f"<bdi>{value_html(value)}</bdi>"
