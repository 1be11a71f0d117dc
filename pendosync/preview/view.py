"""What each widget here is: a choice that an analyst makes in the page, and that the kernel holds.

A widget talks in custom messages alone. The page asks, each question numbered; the kernel answers, or tells all views
of a widget that something has moved. No row's value is ever a trait, so none gets into a saved notebook.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from threading import RLock
from typing import Any, Final

import anywidget
import traitlets

from pendosync.errors import PendosyncError, first_line
from pendosync.preview.pages import is_for_a_page, kernel_shell
from pendosync.reports import BOX

_ASSETS: Final = files("pendosync.preview") / "assets"
_IMPORT: Final = re.compile(r'^import (\{[^}]*\}) from "\./(\w+)\.js";$', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function|const|class) (\w+))", re.MULTILINE)
_COMMENT: Final = re.compile(r"^ *(?://.*|/\*\*.*\*/)\n", re.MULTILINE)
_DEFAULT: Final = re.compile(r"^export default .*$", re.MULTILINE)

Answer = dict[str, Any]


@cache
def read_module(name: str) -> str:
    """Return the ES module *name* as one text that imports nothing.

    A widget's module reaches the page as a text, where an import of a neighbour would find none: so the modules of
    ours that it imports stand before it, each in a scope of its own. Lines that are a comment stay at home.
    """
    below: dict[str, str] = {}
    top = _IMPORT.sub(_taken_from, _gather(name, below))
    return "\n".join([*below.values(), top])


def _gather(name: str, below: dict[str, str]) -> str:
    """Return the text of a module, and put those that it imports into *below*, in the order they are needed."""
    text = _COMMENT.sub("", (_ASSETS / f"{name}.js").read_text(encoding="utf-8"))
    for _, needed in _IMPORT.findall(text):
        if needed not in below:
            inner = _gather(needed, below)
            names = ", ".join(_EXPORT.findall(inner))
            body = _DEFAULT.sub("", _EXPORT.sub("", _IMPORT.sub(_taken_from, inner)))
            below[needed] = f"const ${needed} = (() => {{\n{body}\nreturn {{ {names} }};\n}})();"
    return text


def _taken_from(found: re.Match[str]) -> str:
    return f"const {found[1]} = ${found[2]};"


@cache
def read_style(*names: str) -> str:
    """Return the style sheets *names* as one text, after the one that all widgets share."""
    return "\n".join((_ASSETS / f"{name}.css").read_text(encoding="utf-8") for name in ("kit", *names))


class Answering:
    """What answers a page's questions; a subclass says which.

    It is one class with the widget, where it is shown by itself; as a part of a larger widget it has an outlet.

    Attributes:
        outlet: where messages go, for a part.
    """

    def __init__(self) -> None:
        self._turn = RLock()  # callbacks run in whichever thread the kernel likes
        self.outlet: Callable[[Answer], None] | None = None

    def _answers(self) -> Mapping[str, Callable[..., Answer | None]]:
        """Return what the page may ask: a name, and who answers. What it asks with comes as keywords."""
        raise NotImplementedError

    def send(self, content: Answer) -> None:
        """Send a message to the page, if there is one."""
        if self.outlet is not None:
            self.outlet(content)

    def tell(self, kind: str, **told: Any) -> None:
        """Tell each view of this widget in the page."""
        self.send({"tell": kind, **told})

    def hear(self, question: Mapping[str, Any]) -> None:
        """Answer a question of the page."""
        try:
            with self._turn:
                answer = self._answers()[question["kind"]](**question["args"]) or {}
        except PendosyncError as error:
            self._reply(question, error=str(error))
        except Exception as error:
            self._reply(question, error=f"The kernel could not answer: {first_line(error)}")
            raise
        else:
            self._reply(question, answer=answer)

    def _reply(self, question: Mapping[str, Any], **told: Any) -> None:
        self.send({"to": question["from"], "number": question["number"], "kind": question["kind"], **told})


class View(Answering, anywidget.AnyWidget):
    """A widget that answers what its page asks; a subclass names its module, its style and its answers.

    As a cell's output it is a picture that its live view lies over: a notebook that is read without its kernel shows
    the picture, where it would show an error in place of a widget. Within other widgets it is one like any other.

    Attributes:
        mark: what the place for the live view is called in the picture.
    """

    _esm = ""
    _css = ""
    mark = traitlets.Unicode().tag(sync=True)

    @traitlets.default("mark")
    def _new_mark(self) -> str:
        return secrets.token_hex(8)

    def __init__(self) -> None:
        Answering.__init__(self)
        anywidget.AnyWidget.__init__(self)
        self.on_msg(lambda _widget, question, _buffers: self.hear(question))

    def send(self, content: Any, buffers: Any = None) -> None:
        """Send a message to each view of this widget in the page."""
        anywidget.AnyWidget.send(self, content, buffers)

    def _title(self) -> str:
        """Return what the widget is, in one line without a row's value: shown where no widget can be."""
        raise NotImplementedError

    def _picture(self) -> str:
        """Return HTML without a row's value, for readers that show no widgets."""
        return ""

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        picture = self._picture() or f"<div style='{BOX}'>{escape(self._title())}</div>"
        told = {"text/plain": self._title()}
        if is_for_a_page(kernel_shell()):
            return {**told, "text/html": f"<div data-pendosync-view='{self.mark}'>{picture}</div>"}
        bundle = super()._repr_mimebundle_(**kwargs)
        shown, *more = bundle if isinstance(bundle, tuple) else (bundle or {},)
        shown = {**shown, **told, "text/html": picture}
        return (shown, *more) if more else shown

    def __repr__(self) -> str:
        return self._title()
