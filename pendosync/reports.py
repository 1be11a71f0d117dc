"""How things show themselves: as lines for a terminal, and as HTML that needs no script, no theme and no kernel.

A text may come from anywhere. What is written here cuts it, writes out what can't be seen, and escapes it; without
any style, as GitHub shows notebooks, tables, signs and words still say all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any, Final, Literal

from pendosync.errors import counted

BOX: Final = (
    "border:1px solid rgba(128,128,128,.4);border-radius:4px;padding:8px 12px;margin:4px 0;font-size:13px;"
    "line-height:1.5;max-width:100%;overflow-x:auto;overflow-wrap:anywhere"
)
"""The frame around everything that shows itself; no theme's variable, so it also holds in an untrusted notebook."""

MUTED: Final = "opacity:.7"
ROW: Final = "<tr style='background:none;border-top:1px solid rgba(128,128,128,.25)'>"
_WRAPS: Final = "text-align:left;padding:2px 8px;vertical-align:top"
CELL: Final = f"{_WRAPS};white-space:nowrap"
CODE: Final = "<code style='white-space:inherit;background:none;padding:0'>"
"""As JupyterLab breaks such texts anywhere, and puts them on grey."""

_FACT: Final = "text-align:left;padding:1px 12px 1px 0;vertical-align:top"
_TABLE: Final = "<table style='border-collapse:collapse;margin:6px 0 2px'>"

Look = Literal["", "name", "code", "number", "words", "muted"]
Heads = tuple[tuple[str, Look], ...]
Cell = str | tuple[str, ...]

_LOOKS: Final[dict[Look, str]] = {
    "": CELL,
    "code": CELL,
    "number": f"{CELL.replace('left', 'right')};font-variant-numeric:tabular-nums",
    "name": f"{_WRAPS};white-space:normal;min-width:80px",
    "words": f"{_WRAPS};white-space:normal;min-width:140px",
    "muted": f"{CELL};{MUTED}",
}
# Seen on white and on black alike (3:1 or more); a sign and a word always stand beside the colour.
_INKS: Final = {"✕": "#e5484d", "△": "#c27803", "✓": "#2ea043"}


class Signed(str):
    """A text of ours that begins with a sign, ✕, △ or ✓, which gets its colour; never a text from outside."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Grid:
    """A table of texts: each column's head and look, the rows, and what is to be said below.

    A cell of several texts keeps them apart, whichever way each of them is read.
    """

    columns: Heads
    rows: Sequence[Sequence[Cell]]
    foot: str = ""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What is to be known of a thing at a glance: a title, facts by name, tables and notes."""

    title: str
    facts: Sequence[tuple[str, str]] = ()
    grids: Sequence[Grid] = ()
    notes: Sequence[str] = ()

    def __repr__(self) -> str:
        return "\n".join(_lines(self))

    def _repr_html_(self) -> str:
        return report_html(self)


def report_html(report: Report, *more: str) -> str:
    """Return *report* as HTML; every text of it is escaped, and *more*, at its end, is HTML already."""
    facts = "".join(_fact_html(name, text) for name, text in report.facts)
    parts = [f"{_TABLE}<tbody>{facts}</tbody></table>"] if facts else []
    parts += [_grid_html(grid) for grid in report.grids]
    parts += [muted_html(note) for note in report.notes]
    return f"<div style='{BOX}'><div><b>{_html(report.title)}</b></div>{''.join([*parts, *more])}</div>"


def table_html(heads: str, rows: Iterable[str]) -> str:
    """Return a table of *heads* and *rows* that are HTML already."""
    return f"{_TABLE}<thead>{ROW}{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def muted_html(text: str) -> str:
    """Return a line of *text* that stands back."""
    return f"<div style='{MUTED}'>{_html(text)}</div>"


def value_html(value: Any) -> str:
    """Return *value* as a cell of HTML holds it."""
    return escape(shown(value))


def shown(value: Any, most: int = 40) -> str:
    r"""Return *value* as a text of at most *most* characters, all of which can be seen.

    Example:
        >>> shown(True), shown(datetime(2026, 1, 1, 8)), shown("a\tb"), shown("x" * 50, most=4)
        ('true', '2026-01-01 08:00', 'a\\tb', 'xxx…')
    """
    return cut_text(visible(cut_text(plain_text(value), most)), most)


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


def visible(text: str) -> str:
    """Return *text* with what can't be seen written out, as it could hide or turn around what stands beside it."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def some(names: Iterable[str], most: int = 12) -> str:
    """Return up to *most* names, then how many more there are.

    Example:
        >>> some(["plan", "seats", "region"], most=2)
        'plan, seats and 1 more'
    """
    every = list(names)
    text = ", ".join(shown(name) for name in every[:most])
    return f"{text} and {len(every) - most:,} more" if len(every) > most else text


def more(n: int, most: int, noun: str) -> str:
    """Return what stands below a table that shows *most* of *n* things.

    Example:
        >>> more(12, 10, "column"), more(10, 10, "column")
        ('and 2 more columns', '')
    """
    return f"and {counted(n - most, f'more {noun}')}" if n > most else ""


def percent(n: int, of: int) -> str:
    """Return the share of *n* in *of* things: all and none are never said of nearly all and nearly none.

    Example:
        >>> [percent(n, 10_000) for n in (0, 1, 1234, 5000, 9_999, 10_000)], percent(0, 0)
        (['0%', '<0.1%', '12.3%', '50%', '>99.9%', '100%'], '')
    """
    if not of:
        return ""
    if 0 < n < of and not 0.001 <= n / of <= 0.999:
        return "<0.1%" if 2 * n < of else ">99.9%"
    return f"{n / of:.1%}".replace(".0%", "%")


def size(n_bytes: int) -> str:
    """Return a number of bytes as a person says it.

    Example:
        >>> size(999), size(34_200), size(2_500_000)
        ('999 bytes', '34.2 kB', '2.5 MB')
    """
    if n_bytes < 1_000:
        return counted(n_bytes, "byte")
    return f"{n_bytes / 1e3:,.1f} kB" if n_bytes < 1e6 else f"{n_bytes / 1e6:,.1f} MB"


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


def _html(text: str) -> str:
    told = escape(visible(text))
    if not isinstance(text, Signed):
        return told
    return f"<span style='color:{_INKS[told[0]]}'>{told[0]}</span>{told[1:]}"


def _fact_html(name: str, text: str) -> str:
    muted = "" if isinstance(name, Signed) else f";{MUTED}"
    return (
        f"<tr style='background:none'><th scope='row' style='{_FACT};white-space:nowrap;font-weight:normal{muted}'>"
        f"{_html(name)}</th><td style='{_FACT}'>{_html(text)}</td></tr>"
    )


def _grid_html(grid: Grid) -> str:
    heads = "".join(
        f"<th scope='col' style='{_LOOKS[look]}'>{_html(head)}</th>" for head, look in grid.columns
    )
    rows = (f"{ROW}{''.join(_cells_html(grid, row))}</tr>" for row in grid.rows)
    return table_html(heads, rows) + (muted_html(grid.foot) if grid.foot else "")


def _cells_html(grid: Grid, row: Sequence[Cell]) -> Iterator[str]:
    for (_, look), cell in zip(grid.columns, row, strict=True):
        texts = (
            [_html(cell)]
            if isinstance(cell, str)
            else [f"<bdi style='white-space:nowrap'>{_html(text)}</bdi>" for text in cell]
        )
        inside = " · ".join(f"{CODE}{text}</code>" if look == "code" and text else text for text in texts)
        yield f"<td style='{_LOOKS[look]}'>{inside}</td>"


def _lines(report: Report) -> Iterator[str]:
    yield visible(report.title)
    facts = [(visible(name), visible(text)) for name, text in report.facts]
    width = max((len(name) for name, _ in facts), default=0)
    yield from (f"  {name:{width}} {text}" for name, text in facts)
    for grid in report.grids:
        yield from (f"  {line}" for line in _grid_lines(grid))
    yield from (f"  {visible(note)}" for note in report.notes)


def _grid_lines(grid: Grid) -> Iterator[str]:
    rows = [
        [visible(head) for head, _ in grid.columns],
        *([_plain(cell) for cell in row] for row in grid.rows),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [">" if look == "number" else "<" for _, look in grid.columns]
    for row in rows:
        cells = (f"{text:{side}{width}}" for text, side, width in zip(row, sides, widths, strict=True))
        yield "  ".join(cells).rstrip()
    if grid.foot:
        yield visible(grid.foot)


def _plain(cell: Cell) -> str:
    return visible(cell if isinstance(cell, str) else " · ".join(cell))
