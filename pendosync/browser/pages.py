"""A page that shows what a visitor's browser would tell Pendo: no script, no network, no key."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any, Final

from pendosync.browser.calls import Call
from pendosync.browser.snippets import write_text
from pendosync.errors import PlanError, counted
from pendosync.reports import cut_text, visible

_LONGEST: Final = 400
_LONGEST_NAME: Final = 160
_MOST_OF_A_LIST: Final = 50
_LONGEST_JSON: Final = 20_000
_MOST_CALLS: Final = 200
_NAMES: Final = {"visitor": "Visitor", "account": "Account", "parentAccount": "Parent account"}
_KINDS: Final = ((str, "text"), (bool, "boolean"), (int | float, "number"), (list, "list"))
_FRAME: Final = (
    "width:100%;max-width:860px;border:1px solid rgba(128,128,128,.4);border-radius:4px;resize:vertical"
)


class BrowserPage:
    """A self-contained HTML page of the calls that a visitor's browser would make, in order. It runs no script.

    Attributes:
        html: the page.
        n_calls: how many calls it shows or counts.
    """

    __slots__ = ("_n_lines", "html", "n_calls")

    def __init__(self, html: str, n_calls: int, n_lines: int) -> None:
        self.html = html
        self.n_calls = n_calls
        self._n_lines = n_lines

    def write(self, path: str | Path, /) -> Path:
        """Write the page to *path*, and return the path.

        Raises:
            PlanError: the file can't be written.
        """
        return write_text(Path(path), lambda: self.html, PlanError)

    def __repr__(self) -> str:
        return f"BrowserPage({counted(self.n_calls, 'call')})"

    def _repr_html_(self) -> str:
        """A frame that may nothing: no script, no form, no way out to the notebook."""
        height = min(620, 120 + 31 * self._n_lines)
        return (
            f"<iframe sandbox title='What a browser would tell Pendo' style='{_FRAME}' height='{height}' "
            f"srcdoc='{escape(self.html)}'></iframe>"
        )


def build_page(calls: Sequence[Call], *, title: str) -> BrowserPage:
    """Return a page that shows *calls* in order, each as a card; of very many, the first 200.

    Long values are cut where they are listed, and whole in the JSON below, up to 20,000 characters.

    Args:
        calls: from `browser_calls`.
        title: whose browser it is.

    Example:
        >>> build_page([Call("track", ("Signed", {"seats": 5}))], title="u-1")
        BrowserPage(1 call)
    """
    cards = [_card(number, call) for number, call in enumerate(islice(calls, _MOST_CALLS), start=1)]
    left = len(calls) - len(cards)
    more = f"<p class='none'>and {counted(left, 'more call')}</p>" if left else ""
    order = ", in this order" if len(calls) > 1 else ""
    told = f"{counted(len(calls), 'call')}{order}. Nothing is sent from here." if calls else "No calls."
    name = _text(title, _LONGEST_NAME)
    html = (
        "<!doctype html>\n<html lang='en'>\n<head>\n<meta charset='utf-8'>\n"
        "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        "<meta name='viewport' content='width=device-width'>\n"
        f"<title>{name}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n"
        f"<h1><bdi>{name}</bdi></h1>\n<p>{told}</p>\n<ol>\n{''.join(cards)}</ol>\n{more}</main>\n</body>\n</html>\n"
    )
    return BrowserPage(html, len(calls), html.count("<tr") + 3 * len(cards))


def _card(number: int, call: Call) -> str:
    tables = "".join(_tables(call)) or "<p class='none'>No properties.</p>"
    return (
        f"<li class='call'><header><span class='number'>{number}</span><h2>pendo.{_text(call.method)}</h2>"
        f"<span class='when'>{_when(call)}</span></header>{tables}"
        f"<details><summary>JSON</summary><pre>{_json_text(call)}</pre></details></li>\n"
    )


def _when(call: Call) -> str:
    """Return what makes a browser call it, or what happened."""
    if call.method == "initialize":
        return "as the page loads"
    if call.method == "track":
        return f"<b><bdi>{_text(call.arguments[0], _LONGEST_NAME)}</bdi></b>"
    options = call.arguments[0]
    tells_account = "account" in options and len(options["visitor"]) == 1
    return "the account" if tells_account else "the visitor"


def _tables(call: Call) -> Iterator[str]:
    """Yield a table of each group of traits in *call*."""
    if call.method != "track":
        yield from (_table(_NAMES[part], traits) for part, traits in call.arguments[0].items())
    elif call.arguments[1]:
        yield _table("Properties", call.arguments[1])


def _table(name: str, traits: dict[str, Any]) -> str:
    """Return the traits as rows, the id first."""
    ids = [trait for trait in traits if trait == "id"]
    names = [*ids, *(trait for trait in traits if trait != "id")]
    rows = "".join(_row(trait, traits[trait]) for trait in names)
    return f"<table><caption>{_text(name)}</caption><tbody>{rows}</tbody></table>"


def _row(name: str, value: Any) -> str:
    mark = " class='id'" if name == "id" else ""
    return (
        f"<tr{mark}><th scope='row'><bdi>{_text(name)}</bdi></th><td>{_value(value)}</td>"
        f"<td class='kind'>{_kind(value)}</td></tr>"
    )


def _kind(value: Any) -> str:
    return next(name for type_, name in _KINDS if isinstance(value, type_))


def _value(value: Any) -> str:
    """Return a value as it is read; a list's texts stand apart, whichever way each of them is read."""
    if isinstance(value, list):
        left = len(value) - _MOST_OF_A_LIST
        texts = [f"<bdi>{_text(one)}</bdi>" for one in value[:_MOST_OF_A_LIST]]
        return " · ".join([*texts, *([f"{left:,} more"] if left > 0 else [])]) or _nothing("empty list")
    text = value if isinstance(value, str) else json.dumps(value)
    return f"<bdi>{_text(text)}</bdi>" if text else _nothing("empty text")


def _nothing(word: str) -> str:
    return f"<i class='when'>{word}</i>"


def _text(text: str, most: int = _LONGEST) -> str:
    """Return *text* for HTML, cut, with all that can't be seen written out."""
    told = escape(visible(cut_text(text, most)))
    return told if len(text) <= most else f"{told} ({len(text):,} characters)"


def _json_text(call: Call) -> str:
    texts = [json.dumps(one, indent=2, ensure_ascii=False) for one in call.arguments]
    lines = cut_text(", ".join(texts), _LONGEST_JSON).split("\n")
    return escape("\n".join(map(visible, lines)))


@cache
def _style() -> str:
    return (files("pendosync.browser") / "assets" / "page.css").read_text(encoding="utf-8")
