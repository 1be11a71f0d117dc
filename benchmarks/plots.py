"""Pictures of what the benchmarks told: each way to push beside the others, and each promise beside what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import altair as alt

from benchmarks.lines import Line, shown, shown_target
from benchmarks.reading import Told

OURS: Final = ("pendosync", "push of a plan", "from the file")
"""How the name of a way begins that is ours."""

_BLUE: Final = "#2f6fb0"
_GREY: Final = "#b8bcc4"
_RED: Final = "#c0392b"
_DARK: Final = "#333"
_MOST_MARGIN: Final = 100.0


def draw_all(told: Told, folders: Sequence[Path]) -> list[Path]:
    """Draw each picture there is into each of *folders*, as SVG and PNG; return the files."""
    written = []
    for name, chart in _charts(told):
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            for suffix, more in (("svg", {}), ("png", {"scale_factor": 2})):
                path = folder / f"bench_{name}.{suffix}"
                chart.save(str(path), **more)
                written.append(path)
    return written


def _charts(told: Told) -> Iterator[tuple[str, Any]]:
    for name, report in told.items():
        rates = [line for line in report.lines if line["unit"].endswith("/s")]
        if len(rates) > 1:
            yield name, draw_rates(rates)
    promises = [
        Line(**{**line, "question": f"{name}: {line['question']}"})
        for name, report in told.items()
        for line in report.promised
        if line["target"]
    ]
    if promises:
        yield "promises", draw_promises(promises)


def draw_rates(lines: Sequence[Line]) -> Any:
    """Return bars of what each way reaches a second, on a logarithmic scale, those of pendosync marked."""
    rows = [
        {
            "name": line["question"],
            "at": line["measured"],
            "end": line["measured"],
            "shown": shown(line["measured"], ""),
            "group": "pendosync" if line["question"].startswith(OURS) else "others",
        }
        for line in sorted(lines, key=lambda line: -line["measured"])
        if line["measured"] > 0
    ]
    start = min(row["at"] for row in rows) / 3
    colours = {"pendosync": _BLUE, "others": _GREY}
    return _framed(_bars(rows, f"{lines[0]['unit']}, logarithmic", colours, start=start))


def draw_promises(lines: Sequence[Line]) -> Any:
    """Return how much better than promised each number is: 1 is the promise, right of it is better."""
    rows = [
        {
            "name": line["question"],
            "at": margin(line),
            "end": max(1, margin(line)),
            "shown": f"{shown(line['measured'], line['unit'])}, promised {shown_target(line)}",
            "group": "holds" if line["holds"] else "falls short",
        }
        for line in lines
    ]
    title = "times as good as promised, logarithmic; 1 is the promise"
    rule = alt.Chart(alt.Data(values=[{"at": 1}])).mark_rule(color=_DARK).encode(x="at:Q")
    return _framed(_bars(rows, title, {"holds": _BLUE, "falls short": _RED}, start=1) + rule)


def _bars(rows: list[dict[str, Any]], title: str, colours: dict[str, str], *, start: float) -> Any:
    scale = alt.Scale(domain=[*colours], range=[*colours.values()])
    axis = alt.Axis(grid=False, tickCount=5)
    low, high = min(start, *(row["at"] for row in rows)), max(row["end"] for row in rows)
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("name:N", sort=None, title=None, axis=alt.Axis(labelLimit=600))
    )
    bars = base.mark_bar().encode(
        x=alt.X(
            "at:Q", title=title, axis=axis, scale=alt.Scale(type="log", domain=[low, high * 3], nice=False)
        ),
        x2=alt.datum(start),
        color=alt.Color("group:N", scale=scale, title=None, legend=alt.Legend(orient="bottom")),
    )
    return bars + base.mark_text(align="left", dx=4, color=_DARK).encode(x="end:Q", text="shown:N")


def margin(line: Line) -> float:
    """Return how many times as good as its target a number is; at most a hundred, at least a hundredth."""
    measured, target = line["measured"], line["target"] or 0.0
    better, worse = (target, measured) if line["is_most"] else (measured, target)
    ratio = better / worse if worse else _MOST_MARGIN
    return min(_MOST_MARGIN, max(1 / _MOST_MARGIN, ratio))


def _framed(chart: Any) -> Any:
    return chart.properties(width=520, background="white").configure_view(stroke=None)
