"""A blank page with one widget in it: its own module and style, answered by its own kernel side, without a kernel.

A page takes a fraction of a second, JupyterLab several; what only JupyterLab has (themes are here too) is tested there.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from lab import watch_page
from playwright.sync_api import Browser, Locator, Page

from pendosync.preview.view import View
from tests.wire import Wire

Theme = Literal["light", "dark"]
THEMES = Path(sys.prefix) / "share/jupyter/lab/themes/@jupyterlab"
BASE = """<!doctype html><html lang="en"><title>A widget</title><meta charset="utf-8">
<style>body {{ margin: 0; padding: 16px; background: var(--jp-layout-color0); color: var(--jp-ui-font-color1);
font: 13px/1.5 var(--jp-ui-font-family); }}</style>
<body data-jp-theme-light="{light}"><main></main></body></html>"""
MODEL = """state => {
    const hearers = {'msg:custom': [], 'comm_live_update': []};
    window.deliver = messages => messages.forEach(one => [...hearers['msg:custom']].forEach(hear => hear(one, [])));
    window.lose = () => hearers['comm_live_update'].forEach(hear => hear());
    window.model = {
        get: name => state[name],
        send: message => { window.kernel(message).then(deliver); },
        on: (name, hear) => { hearers[name].push(hear); },
        off: (name, hear) => { hearers[name].splice(hearers[name].indexOf(hear), 1); },
    };
}"""
MOUNT = """async source => {
    const url = URL.createObjectURL(new Blob([source], {type: 'text/javascript'}));
    const widget = (await import(url)).default;
    const el = document.createElement('div');
    document.querySelector('main').append(el);
    window.unmount = widget.render({model, el});
    el.dataset.mounted = 'yes';
}"""

START = """async source => {
    const url = URL.createObjectURL(new Blob([source], {type: 'text/javascript'}));
    window.unmount = (await import(url)).default.initialize({model});
}"""


@dataclass
class Blank:
    """A blank page.

    Attributes:
        asked: what the page asked the kernel, in order.
        hold: answers wait while it is set, until `answer()`.
        outside: what the page asked of another host.
        errors: what went wrong in the page.
    """

    page: Page
    comm: Wire = field(default_factory=Wire)
    asked: list[dict[str, Any]] = field(default_factory=list)
    hold: bool = False
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def show(self, view: View, *, theme: Theme = "light", width: int = 1160, height: int = 900) -> Locator:
        """Show *view*, and return its root once it is there."""
        self._begin(view, theme, width, height)
        return self.show_again(view)

    def show_over(
        self, view: View, html: str, *, theme: Theme = "light", width: int = 1160, height: int = 900
    ) -> Locator:
        """Show *html*, and start *view*, which is no output of its own but finds its place in it; return its root."""
        self._begin(view, theme, width, height)
        self.picture(html)
        self.page.evaluate(START, view._esm)
        return self.page.locator("main .ps")

    def picture(self, html: str) -> None:
        """Draw *html* in place of what the page holds."""
        self.page.locator("main").evaluate("(node, html) => { node.innerHTML = html; }", html)

    def clear(self, theme: Theme, width: int, height: int) -> None:
        """Begin again with an empty page."""
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.set_content(BASE.format(light=str(theme == "light").lower()))
        self.page.add_style_tag(content=theme_css(theme))

    def _begin(self, view: View, theme: Theme, width: int, height: int) -> None:
        self.clear(theme, width, height)
        self.page.add_style_tag(content=view._css)
        view.comm = self.comm
        self.page.evaluate(MODEL, view.get_state())

    def show_again(self, view: View) -> Locator:
        """Show *view* once more in the same page, and return the root of the new one."""
        n_shown = self.page.locator("main > div").count()
        self.page.evaluate(MOUNT, view._esm)
        return self.page.locator("main > div").nth(n_shown).locator("> .ps")

    def answer(self, *, last_first: bool = False) -> None:
        """Deliver what was held back, or what the kernel told by itself."""
        held, self.comm.sent = self.comm.sent, []
        self.page.evaluate("messages => deliver(messages)", held[::-1] if last_first else held)

    def kernel(self, message: dict[str, Any]) -> list[Any]:
        """Ask the kernel side what the page asks, and return what it sends."""
        self.asked.append(dict(message))
        self.comm.hear(message)
        if self.hold:
            return []
        sent, self.comm.sent = self.comm.sent, []
        return sent


@contextmanager
def open_blank(browser: Browser, *, scale: float = 1) -> Iterator[Blank]:
    """Open a blank page, of so many dots a pixel; it closes with the block."""
    page = browser.new_page(device_scale_factor=scale)
    page.set_default_timeout(10_000)
    blank = Blank(page)
    watch_page(page, blank.outside, blank.errors)
    page.expose_function("kernel", blank.kernel)
    try:
        yield blank
    finally:
        page.close()


def theme_css(theme: Theme) -> str:
    """Return the variables of one of JupyterLab's themes."""
    return (THEMES / f"theme-{theme}-extension" / "index.css").read_text(encoding="utf-8")


def serious_faults(page: Page) -> list[str]:
    """Return what axe-core calls serious or critical on *page*: the rule, and where."""
    spec = find_spec("axe_playwright_python")
    assert spec is not None
    assert spec.origin is not None
    page.evaluate(Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("() => axe.run('main')")["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def poll(page: Page, holds: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait until *holds*, letting the page's questions be answered meanwhile."""
    for _ in range(int(within_s * 50)):
        if holds():
            return
        page.wait_for_timeout(20)
    raise AssertionError("it did not come to hold")
