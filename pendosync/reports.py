"""How things show themselves: the frame, the cells and the words that all of them share."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import Any, Final

BOX: Final = (
    "border:1px solid rgba(128,128,128,.4);border-radius:4px;padding:8px 12px;margin:4px 0;font-size:13px;"
    "line-height:1.5;max-width:100%;overflow-x:auto;overflow-wrap:anywhere"
)
"""The frame around everything that shows itself; no theme's variable, so it also holds in an untrusted notebook."""

MUTED: Final = "opacity:.7"
ROW: Final = "<tr style='background:none'>"
CELL: Final = "text-align:left;padding:2px 8px;vertical-align:top;white-space:nowrap"
FACT: Final = "text-align:left;padding:1px 12px 1px 0;vertical-align:top"


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


def shown(value: Any, most: int = 40) -> str:
    """Return *value* as a cell of HTML shows it, cut after *most* characters."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        exact = "%Y-%m-%d %H:%M:%S" if value.second or value.microsecond else "%Y-%m-%d %H:%M"
        text = value.strftime(exact) + (f".{value.microsecond // 1000:03}" if value.microsecond else "")
    else:
        text = str(value)
    return escape(visible(text if len(text) <= most else text[: most - 1] + "…"))


def visible(text: str) -> str:
    """Return *text* with what can't be seen written out, as it could hide or turn around what stands beside it."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)
