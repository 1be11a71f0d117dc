"""The install snippet: what a page holds so that a visitor's browser tells Pendo who it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from pendosync.browser.calls import Call, Traits, browser_calls
from pendosync.errors import PendosyncError, SettingsError, first_line
from pendosync.keys import Secret
from pendosync.regions import MASK
from pendosync.reports import BOX, MUTED
from pendosync.settings import Settings

_UNSAFE: Final = str.maketrans({one: f"\\u{ord(one):04x}" for one in "<>&'"})
"""What could end a script, begin a comment or close a quote; every other such character is no ASCII or escaped already."""


def browser_snippet(
    settings: Settings,
    visitor: Traits,
    account: Traits | str | None = None,
    /,
    *,
    parent_account: Traits | str | None = None,
    anonymous_id: str | None = None,
) -> Snippet:
    """Return the install snippet that tells Pendo of one visitor: HTML for the page that this visitor sees.

    It loads Pendo's agent and initializes it; the agent then notes page loads and clicks by itself. `{**traits, id}`:
    the id wins over a trait of that name. With `settings.user_traits_on_load=False` the visitor's traits follow in an
    `identify`, and with `group_on_load=False` so does the account.

    Args:
        settings: region, agent's host and app key.
        visitor: trait → value, with the visitor's id as `id`: texts, finite numbers, booleans, lists of texts, dates
            (told as ISO 8601 text with milliseconds and offset; a naive datetime is refused). None leaves a trait out.
        account: the same of the account, or its bare id. A trait `parentAccount` is taken out as the parent.
        parent_account: traits and id, or the bare id, of the account's parent.
        anonymous_id: Segment's id of a visitor without one, who becomes `_PENDO_T_` and this.

    Raises:
        SettingsError: no app key, or no known host for the agent (region `au`).
        MappingError: a value can't be told, or an id is missing.

    Source: Pendo's public install page, and Segment's public browser integration with Pendo, read 2026-11-26.

    Example:
        >>> settings = Settings(app_key="abc")
        >>> snippet = browser_snippet(settings, {"id": "u-1", "plan": "pro"}, {"id": "acme"})
        >>> print(str(snippet).splitlines()[-3])
        })("https://cdn.pendo.io/agent/static/***/pendo.js");
        >>> print(str(snippet).splitlines()[-2])
        pendo.initialize(JSON.parse('{"visitor":{"id":"u-1","plan":"pro"},"account":{"id":"acme"}}'));
    """
    base, key = settings.agent_base, settings.secret("app_key")
    calls = browser_calls(
        settings, visitor, account, parent_account=parent_account, anonymous_id=anonymous_id
    )
    before, after = _around_key(base, calls)
    return Snippet(key, before, after)


class Snippet:
    """HTML that installs Pendo's agent; it shows itself with the app key masked, and is never pickled.

    `reveal()` returns it with the key, which every visitor of a page with it can read.
    """

    __slots__ = ("_after", "_before", "_key")

    def __init__(self, key: Secret, before: str, after: str) -> None:
        self._key = key
        self._before = before
        self._after = after

    def reveal(self) -> str:
        """Return the HTML with the app key, for the page that it is meant for."""
        return f"{self._before}{quote(self._key.reveal(), safe='')}{self._after}"

    def write(self, path: str | Path, /) -> Path:
        """Write the HTML with the app key to *path*, and return the path.

        Raises:
            SettingsError: the file can't be written.
        """
        return write_text(Path(path), self.reveal, SettingsError)

    def __repr__(self) -> str:
        return f"{self._before}{MASK}{self._after}"

    def _repr_html_(self) -> str:
        note = "The app key is masked. snippet.reveal() has it, snippet.write(path) writes it."
        code = f"<pre style='margin:0;white-space:pre-wrap;background:none'>{escape(repr(self))}</pre>"
        return f"<div style='{BOX}'>{code}<div style='{MUTED}'>{note}</div></div>"


def encoded(value: Any) -> str:
    r"""Return *value* as JSON in which nothing can end a script, a comment or a single-quoted text.

    Only ASCII, so it is the same in a page of any encoding.

    Example:
        >>> print(encoded("</script> <!-- é & 'x'"))
        "\u003c/script\u003e \u003c!-- \u00e9 \u0026 \u0027x\u0027"
    """
    return json.dumps(value, separators=(",", ":"), allow_nan=False).translate(_UNSAFE)


def call_line(call: Call) -> str:
    """Return *call* as a line of JavaScript.

    JSON travels as a text: written as an object, a trait called `__proto__` would be lost.
    """
    arguments = ["JSON.parse('" + encoded(one).replace("\\", "\\\\") + "')" for one in call.arguments]
    return f"pendo.{call.method}({', '.join(arguments)});"


def write_text(path: Path, tell: Callable[[], str], error: type[PendosyncError]) -> Path:
    """Write what *tell* returns, of which no local variable keeps a copy that a traceback could show.

    Raises:
        error: the file can't be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.write(tell())
    except (OSError, ValueError) as failure:
        why = getattr(failure, "strerror", None) or first_line(failure)
    else:
        return path
    raise error(
        f"{str(path)!r} can't be written ({why}). Expected a file in a folder that exists. Hint: give another path."
    )


def _around_key(base: str, calls: Sequence[Call]) -> tuple[str, str]:
    """Return the snippet's HTML before the key, and after it."""
    before, after = encoded(f"{base}/agent/static/\0/pendo.js").split("\\u0000")
    lines = "\n".join(map(call_line, calls))
    return f"<script>\n{_installer()}({before}", f"{after});\n{lines}\n</script>\n"


@cache
def _installer() -> str:
    asset = files("pendosync.browser") / "assets" / "install.js"
    return asset.read_text(encoding="utf-8").strip()
