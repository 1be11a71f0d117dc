"""What each widget here is: a choice that an analyst makes in the page, and that the kernel holds.

A widget talks in custom messages alone. The page asks, each question numbered; the kernel answers, or tells all views
of a widget that something has moved. No row's value is ever a trait, so none gets into a saved notebook.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files
from threading import RLock
from typing import Any, Final

import anywidget

from pendosync.errors import PendosyncError, first_line

_ASSETS: Final = files("pendosync.preview") / "assets"
_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)

Answer = dict[str, Any]


@cache
def read_module(name: str) -> str:
    """Return the ES module *name* as one text, with the modules of ours that it imports before it.

    A widget's module reaches the page as a text, where an import of a neighbour would find none.
    """
    parts: dict[str, str] = {}
    _gather(name, parts)
    *below, top = parts.values()
    return "\n".join([*(re.sub(r"^export ", "", part, flags=re.MULTILINE) for part in below), top])


@cache
def read_style(*names: str) -> str:
    """Return the style sheets *names* as one text, after the one that all widgets share."""
    return "\n".join((_ASSETS / f"{name}.css").read_text(encoding="utf-8") for name in ("kit", *names))


def _gather(name: str, parts: dict[str, str]) -> None:
    text = (_ASSETS / f"{name}.js").read_text(encoding="utf-8")
    for needed in _IMPORT.findall(text):
        if needed not in parts:
            _gather(needed, parts)
    parts[name] = _IMPORT.sub("", text)


class View(anywidget.AnyWidget):
    """A widget that answers what its page asks; a subclass names its module, its style and its answers."""

    _esm = ""
    _css = ""

    def __init__(self) -> None:
        super().__init__()
        self._turn = RLock()  # callbacks run in whichever thread the kernel likes
        self.on_msg(self._hear)

    def _answers(self) -> Mapping[str, Callable[..., Answer | None]]:
        """Return what the page may ask: a name, and who answers. What it asks with comes as keywords."""
        raise NotImplementedError

    def _title(self) -> str:
        """Return what the widget is, in one line without a row's value: shown where no widget can be."""
        raise NotImplementedError

    def _picture(self) -> str:
        """Return HTML without a row's value, for readers that show no widgets."""
        return ""

    def tell(self, kind: str, **told: Any) -> None:
        """Tell each view of this widget in the page."""
        self.send({"tell": kind, **told})

    def _hear(self, _widget: object, question: Mapping[str, Any], _buffers: object) -> None:
        try:
            with self._turn:
                answer = self._answers()[question["kind"]](**question["args"]) or {}
        except PendosyncError as error:
            answer = {"error": str(error)}
        except Exception as error:
            self._reply(question, {"error": f"The kernel could not answer: {first_line(error)}"})
            raise
        self._reply(question, answer)

    def _reply(self, question: Mapping[str, Any], answer: Answer) -> None:
        self.send(
            {"to": question["from"], "number": question["number"], "kind": question["kind"], "answer": answer}
        )

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        shown, *more = bundle if isinstance(bundle, tuple) else (bundle,)
        shown = {**shown, "text/plain": self._title()}
        if picture := self._picture():
            shown["text/html"] = picture
        return (shown, *more) if more else shown

    def __repr__(self) -> str:
        return self._title()
