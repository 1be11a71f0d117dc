"""How long does a preview of a million ids keep a person waiting, in a real JupyterLab in a real browser?

    python -m benchmarks.preview [--rows 1000000] [--rounds 7] [--quick]

The kernel makes a plan of so many ids × ten fields; then a cell is run that previews it, and the page is used as a
person uses it. Time is taken in the page: from just before the gesture (`performance.now`) to the first frame
(`requestAnimationFrame`) in which what was asked for stands in sight. So a browser's frame of 16 ms counts, and so do
the 180 to 250 ms that a search or a filter waits for the next letter; the round trips of what drives the browser do
not. Bytes are those of all frames of the page's websockets. Memory is what the page holds after its garbage is
collected, once a view was scrolled through at twenty places.

Prints the median and the worst of the rounds and writes build/bench/preview.json. Needs what
`make test` installs, and a Chromium on the PATH.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, WebSocket

from benchmarks.lines import Line, at_most, report, told
from tests.browser.lab import Lab, Notebook, find_chromium, open_browser, open_lab

TARGETS = {
    "run the cell → first rows": (1.5, "s"),
    "bytes to the first rows": (0.1, "MB"),
    "scroll to a place far away": (0.15, "s"),
    "jump to an id": (0.15, "s"),
    "tick a row": (0.15, "s"),
    "sort a text": (1.2, "s"),
    "sort a number": (1.2, "s"),
    "search a text, a quarter hit": (0.7, "s"),
    "filter by a range": (0.7, "s"),
    "select all under a filter": (0.3, "s"),
}
SIZES = (10_000, 1_000_000, 10_000_000)
MOST_GROWTH = {"JS heap": (2.0, "MB"), "DOM nodes": (50, "")}
PLAN = "import pendosync as ps\nfrom benchmarks.plans import plan_of"
GESTURES = """() => {
    const root = () => document.querySelector('.jp-NotebookPanel:not(.lm-mod-hidden) .ps');
    const one = css => root()?.querySelector(css);
    const row = place => one(`.pp-row[data-place="${place}"]`);
    const foot = () => one('.pp-foot')?.textContent ?? '';
    const order = name => one(`[data-focus="sort ${name}"]`)?.closest('[aria-sort]').ariaSort;
    const moved = () => { const was = foot(); return () => foot() !== was; };
    const isInSight = node => {
        if (!node?.querySelector('bdi')?.textContent) return false;
        const box = one('.pp-box').getBoundingClientRect(), at = node.getBoundingClientRect();
        return at.top >= box.top && at.bottom <= box.bottom;
    };
    const type = (input, text) => {
        input.value = text;
        input.dispatchEvent(new Event('input', {bubbles: true}));
    };
    const gestures = {
        run: source => [() => {
            const notebook = jupyterapp.shell.currentWidget.content;
            notebook.model.sharedModel.addCell({cell_type: 'code', source});
            notebook.activeCellIndex = notebook.widgets.length - 1;
            void jupyterapp.commands.execute('notebook:run-cell');
        }, () => isInSight(one('.pp-row'))],
        scroll: place => [() => { one('.pp-box').scrollTop = place * 28; }, () => isInSight(row(place))],
        jump: id => [() => {
            one('.pp-jump').value = id;
            one('.pp-jump').dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', bubbles: true}));
        }, () => one('.pp-id.pp-cursor')?.textContent === id && isInSight(one('.pp-row:has(.pp-cursor)'))],
        tick: nth => {
            const place = [...root().querySelectorAll('.pp-row')][nth].dataset.place, was = row(place).ariaSelected;
            return [() => row(place).querySelector('input').click(), () => row(place).ariaSelected !== was];
        },
        sort: name => {
            const was = order(name);
            return [() => one(`[data-focus="sort ${name}"]`).click(), () => order(name) !== was];
        },
        menu: name => [() => one(`[data-focus="menu ${name}"]`).click(), () => one('.pp-menu:not([hidden])')],
        search: text => [() => type(one('.pp-search'), text), moved()],
        from: bound => [() => type([...root().querySelectorAll('.pp-line')].find(
            line => line.textContent === 'From').querySelector('input'), bound), moved()],
        all: () => [() => one('[data-focus="all"]').click(), moved()],
        clear: () => [() => one('.pp-filters .ps-link').click(), () => one('.pp-filters').hidden],
    };
    window.waits = async (name, told) => {
        const [begin, holds] = gestures[name](told), began = performance.now();
        begin();
        while (!holds()) {
            if (performance.now() - began > 25000) throw new Error(`${name} ${told}: nothing came`);
            await new Promise(requestAnimationFrame);
        }
        return (performance.now() - began) / 1000;
    };
}"""


class Wire:
    """Counts what passes through a page's websockets."""

    def __init__(self, page: Page) -> None:
        self.n_bytes = 0
        page.on("websocket", self._listen)

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framereceived", self._count)
        socket.on("framesent", self._count)

    def _count(self, payload: str | bytes) -> None:
        self.n_bytes += len(payload if isinstance(payload, bytes) else payload.encode())


@dataclass
class Bench:
    """A notebook whose kernel holds a plan, and what was measured.

    Attributes:
        seen: what was measured, each time.
    """

    notebook: Notebook
    wire: Wire
    seen: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    def do(self, gesture: str, told: Any = None) -> float:
        """Make a gesture in the page; return the seconds until what it asked for was in sight."""
        seconds: float = self.notebook.lab.page.evaluate("told => waits(...told)", [gesture, told])
        return seconds

    def time(self, what: str, gesture: str, told: Any = None) -> None:
        """Make a gesture, and note how long it took."""
        self.seen[what].append(self.do(gesture, told))

    def make_plan(self, rows: int) -> None:
        """Have the kernel make the plan that is previewed."""
        self.notebook.tell(f"plan = plan_of({rows})", within_s=300)

    def show(self) -> float:
        """Preview the plan in the only cell of the notebook; return the seconds until its first rows."""
        self.notebook.clear()
        return self.do("run", "ps.preview_plan(plan)")


def open_bench(lab: Lab) -> Bench:
    """Open a notebook in which plans are made and previewed."""
    wire = Wire(lab.page)  # before there is a kernel to talk to
    bench = Bench(lab.open_notebook("preview.ipynb"), wire)
    lab.page.evaluate(GESTURES)
    bench.notebook.tell(PLAN)
    return bench


def use(bench: Bench, rows: int, at: int) -> None:
    """Preview the plan and use the view once as a person does; *at* is the number of the round."""
    bench.notebook.clear()  # and by now what passed before is counted
    before = bench.wire.n_bytes
    bench.seen["run the cell → first rows"].append(bench.show())
    bench.seen["bytes to the first rows"].append((bench.wire.n_bytes - before) / 1e6)
    for part in (0.9, 0.3, 0.6):
        bench.time("scroll to a place far away", "scroll", int(rows * part) - at)
    for part in (0.2, 0.8):
        bench.time("jump to an id", "jump", f"u-{100_000 + int(rows * part) + at}")
    for nth in (8, 9, 8):
        bench.time("tick a row", "tick", nth)
    for column, kind in (("email", "text"), ("seats", "number"), ("plan", "text"), ("logins", "number")):
        for _ in ("up", "down"):
            bench.time(f"sort a {kind}", "sort", column)
    bench.do("sort", "logins")
    bench.time("search a text, a quarter hit", "search", ("enterprise", "basic", "free")[at % 3])
    for _ in ("off", "on"):
        bench.time("select all under a filter", "all")
    bench.do("clear")
    bench.do("menu", "seats")
    bench.time("filter by a range", "from", str(375 + at))
    bench.time("select all under a filter", "all")


def memory(bench: Bench, rows: int) -> dict[str, float]:
    """Return what the page holds once a plan of so many ids was previewed and scrolled through."""
    bench.make_plan(rows)
    bench.show()
    for at in range(20):
        if rows * 28 < 30_000_000:
            bench.do("scroll", rows * at // 21)
        else:
            bench.do("jump", f"u-{100_000 + rows * at // 21}")
    page = bench.notebook.lab.page
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    for _ in range(3):
        session.send("HeapProfiler.collectGarbage")
    told = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    session.detach()
    n_nodes = page.evaluate("document.getElementsByTagName('*').length")
    return {"JS heap": told["JSHeapUsedSize"] / 1e6, "DOM nodes": n_nodes}


def lines_of(bench: Bench, held: dict[int, dict[str, float]]) -> list[Line]:
    """Return the lines of the report."""
    lines = []
    for what, (target, unit) in TARGETS.items():
        seen = bench.seen[what]
        lines.append(at_most(f"{what}: median", statistics.median(seen), target, unit))
        lines.append(told(f"{what}: worst", max(seen), unit))
    smallest, *larger = held
    for what, (most, unit) in MOST_GROWTH.items():
        first = held[smallest][what]
        lines.append(told(f"{what}, {smallest:,} rows", first, unit))
        lines += [
            at_most(f"{what}, {rows:,} rows", held[rows][what], round(first + most, 3), unit)
            for rows in larger
        ]
    return lines


def main() -> None:
    """Run the rounds and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rows", type=int, default=1_000_000)
    ask.add_argument("--rounds", type=int, default=7)
    ask.add_argument("--quick", action="store_true", help="three rounds, and no ten million rows")
    args = ask.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("No Chromium on the PATH. Hint: apt-get install chromium")
    rounds = 3 if args.quick else args.rounds
    with (
        tempfile.TemporaryDirectory(prefix="pendosync-") as folder,
        open_browser(chromium) as browser,
        open_lab(Path(folder), browser) as lab,
    ):
        bench = open_bench(lab)
        bench.make_plan(args.rows)
        for at in range(rounds):
            use(bench, args.rows, at)
        held = {rows: memory(bench, rows) for rows in (SIZES[:2] if args.quick else SIZES)}
        version = browser.version
    head = f"{args.rows:,} ids × 10 fields, Chromium {version}, {rounds} rounds"
    report("preview", lines_of(bench, held), head=head)


if __name__ == "__main__":
    main()
