"""How long does the kernel work on each gesture in a preview of a million ids?

    python -m benchmarks.kernel [--rows 1000000] [--rounds 3] [--quick]

Sends the widget the very messages that its page sends, through the widget's own comm, and takes the time from a
message's arrival to the bytes of its answer. To open is to make the widget, its picture in the cell, what the page asks
for first and the first rows: once in each of some fresh processes, so that the import of ipywidgets counts. A page has
100 rows of all ten fields. What `benchmarks.preview` measures in a browser has the way there and the drawing on top.

Prints medians and 95th percentiles and writes build/bench/kernel.json.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from benchmarks.lines import Line, at_most, report, told

N_PAGE: Final = 100
OPEN_S: Final = 0.5
SCROLL_MS: Final = 20.0
ANEW_MS: Final = 300.0
NO_FILTER: Final = {"actions": [], "rule": "", "text": "", "columns": {}}

Message = dict[str, Any]


class Page:
    """A page's end of the wire: it asks, and takes the bytes of the answer.

    Args:
        plan: what is previewed.

    Attributes:
        opening_s: from `preview_plan` to the bytes of the first rows.
        columns: the names of all columns.
    """

    def __init__(self, plan: Any) -> None:
        import comm
        import IPython  # noqa: F401  a kernel has loaded it, and what packs its messages

        import pendosync as ps

        packer()
        began = time.perf_counter()
        self._sent: list[Message] = []
        comm.create_comm = self._connect
        self._view = ps.preview_plan(plan)
        self._view._repr_mimebundle_()
        self.columns = [column["name"] for column in self.ask("open")["columns"]]
        self.page(0)
        self.opening_s = time.perf_counter() - began

    def _connect(self, **told: Any) -> Any:
        """Return a comm that packs what it is given, as the kernel's session does, and keeps it."""
        from comm.base_comm import BaseComm

        class Wire(BaseComm):
            def publish_msg(wire, msg_type: str, data: Any = None, **_: Any) -> None:
                packer()(data or {})
                self._sent.append({"type": msg_type, **(data or {})})

        return Wire(**told)

    def ask(self, kind: str, **args: Any) -> Message:
        """Ask the kernel, and return its answer."""
        self._sent.clear()
        question = {"kind": kind, "args": args, "from": "page", "number": 1}
        data = {"method": "custom", "content": question}
        self._view.comm.handle_msg({"content": {"data": data}, "buffers": []})
        (content,) = [sent["content"] for sent in self._sent if sent.get("content", {}).get("to") == "page"]
        if "answer" not in content:
            raise RuntimeError(content["error"])
        answer: Message = content["answer"]
        return answer

    def page(self, start: int, do: Message | None = None) -> Message:
        """Ask for a page of rows."""
        acts = {} if do is None else {"do": do}
        return self.ask("rows", start=start, n=N_PAGE, columns=self.columns, **acts)

    def sort(self, name: str, *, down: bool) -> None:
        """Sort as a click on a head does."""
        self.page(0, {"what": "sort", "name": name, "down": down})

    def filter(self, **part: Any) -> int:
        """Filter as the search box, a chip or a menu does; return how many rows are left."""
        n_shown: int = self.page(0, {"what": "filter", "filter": {**NO_FILTER, **part}})["n_shown"]
        return n_shown


@cache
def packer() -> Any:
    """Return what a kernel's session packs messages with."""
    from jupyter_client.session import Session

    return Session().pack


FILTERS: Final[dict[str, tuple[Message, ...]]] = {
    "search": tuple({"text": text} for text in ("enterprise", "user.123", "u-1999", "nowhere")),
    "holds": tuple({"columns": {"email": {"contains": text}}} for text in ("99", "example.org")),
    "range": (
        {"columns": {"seats": {"low": "375"}}},
        {"columns": {"score": {"low": "0.2", "high": "0.3"}}},
        {"columns": {"since": {"low": "2024-01-01", "high": "2024-06-01"}}},
    ),
    "choice": (
        {"columns": {"plan": {"values": ["pro", "free"]}}},
        {"columns": {"region": {"values": ["EMEA", None]}}},
        {"columns": {"trial": {"values": [True]}}},
        {"actions": ["update"]},
    ),
    "cell": tuple(
        {"columns": {"seats": {"state": state}}}
        for state in ("changed", "new", "other", "cleared", "unchanged")
    ),
}


def use(page: Page, rows: int, at: int) -> Iterator[tuple[str, float]]:
    """Yield each gesture of round *at* with its seconds: as it stands, sorted and filtered."""

    def timed(what: str, act: Any, *args: Any, **named: Any) -> tuple[str, float]:
        began = time.perf_counter()
        act(*args, **named)
        return what, time.perf_counter() - began

    def scrolls(n_shown: int) -> Iterator[tuple[str, float]]:
        for part in range(10):
            start = (n_shown * part // 10 + 7 * at) % max(1, n_shown)
            yield timed("scroll", page.page, start)

    yield from scrolls(rows)
    for name in ("id", *page.columns):
        for down in (False, True):
            yield timed("sort", page.sort, name, down=down)
            yield from scrolls(rows)
    for asked in (one for each in FILTERS.values() for one in each):
        yield timed("filter", page.filter, **asked)  # while what was sorted last stays sorted
    page.sort("", down=False)
    for kind, each in FILTERS.items():
        for asked in each:
            yield timed(f"filter: {kind}", page.filter, **asked)
            yield from scrolls(page.page(0)["n_shown"])
    page.filter()
    for part in (0.2, 0.8):
        wanted = {"id": f"u-{100_000 + int(rows * part) + at}", "before": 6, "n": N_PAGE}
        yield timed("go to an id", page.ask, "find", columns=page.columns, **wanted)
    for place in (at, rows // 2):
        yield timed("tick a row", page.page, 0, {"what": "tick", "place": place, "on": bool(at % 2)})
    yield timed("look into a row", page.ask, "row", at=rows // 3 + at)
    for name in page.columns:
        yield timed("menu of a column", page.ask, "column", name=name)


def pictures(plan: Any) -> list[float]:
    """Return the seconds of each head's picture, which a page asks for one by one after its first rows."""
    page, seconds = Page(plan), []
    for name in page.columns:
        began = time.perf_counter()
        page.ask("pictures", names=[name])
        seconds.append(time.perf_counter() - began)
    return seconds


def open_once(rows: int) -> float:
    """Return the seconds of opening in a process of its own."""
    code = f"from benchmarks.kernel import *; from benchmarks.plans import plan_of; print(Page(plan_of({rows})).opening_s)"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout)


def percentile(seconds: list[float]) -> float:
    """Return the 95th percentile in milliseconds."""
    return 1000 * (statistics.quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0])


def lines_of(opening: list[float], seen: dict[str, list[float]], drawn: list[float]) -> list[Line]:
    """Return the lines of the report."""
    sorts, scrolls = seen.pop("sort"), seen.pop("scroll")
    filters = [one for name in [*seen] if name.startswith("filter") for one in seen.pop(name)]
    many = {"scroll": (scrolls, SCROLL_MS), "sort": (sorts, ANEW_MS), "filter": (filters, ANEW_MS)}
    lines = [at_most("open: the kernel's time until the first rows", statistics.median(opening), OPEN_S, "s")]
    for what, (seconds, most) in many.items():
        lines.append(told(f"{what}: median of {len(seconds)}", 1000 * statistics.median(seconds), "ms"))
        lines.append(at_most(f"{what}: 95th percentile of {len(seconds)}", percentile(seconds), most, "ms"))
    for what, seconds in seen.items():
        lines.append(told(f"{what}: 95th percentile of {len(seconds)}", percentile(seconds), "ms"))
    lines.append(told("picture of a column: median", 1000 * statistics.median(drawn), "ms"))
    return [*lines, told("picture of a column: slowest", 1000 * max(drawn), "ms")]


def main() -> None:
    """Run the rounds and print the table."""
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("--rows", type=int, default=1_000_000)
    ask.add_argument("--rounds", type=int, default=3)
    ask.add_argument("--quick", action="store_true", help="one round, opened once")
    args = ask.parse_args()
    rounds = 1 if args.quick else args.rounds
    opening = [open_once(args.rows) for _ in range(rounds)]
    from benchmarks.plans import plan_of

    plan = plan_of(args.rows)
    page, seen = Page(plan), defaultdict(list)
    for at in range(rounds):
        for what, seconds in use(page, args.rows, at):
            seen[what].append(seconds)
    head = f"{args.rows:,} ids × 10 fields, pages of {N_PAGE} rows, {rounds} rounds"
    report("kernel", lines_of(opening, seen, pictures(plan)), head=head)


if __name__ == "__main__":
    main()
