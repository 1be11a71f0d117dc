"""Pictures of what the benchmarks told: each way to push beside the others, and each promise beside what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import altair as alt

from benchmarks.lines import Line, shown
from benchmarks.reading import Told

OURS: Final = ("pendosync", "push of a plan", "from the file")
"""How the name of a way begins that is ours."""

_BLUE: Final = "#2f6fb0"
_GREY: Final = "#b8bcc4"
_RED: Final = "#c0392b"
_MOST_MARGIN: Final = 1_000.0


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
    promises = [line for report in told.values() for line in report.promised if line["target"]]
    if promises:
        yield "promises", draw_promises(promises)


def draw_rates(lines: Sequence[Line]) -> Any:
    """Return bars of what each way reaches a second, on a logarithmic scale, those of pendosync marked."""
    rows = [
        {
            "way": line["question"],
            "rate": line["measured"],
            "shown": shown(line["measured"], ""),
            "whose": "pendosync" if line["question"].startswith(OURS) else "others",
        }
        for line in sorted(lines, key=lambda line: -line["measured"])
        if line["measured"] > 0
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("way:N", sort=None, title=None, axis=alt.Axis(labelLimit=420)),
        x=alt.X("rate:Q", scale=alt.Scale(type="log"), title=f"{lines[0]['unit']}, logarithmic"),
        color=alt.Color(
            "whose:N", scale=alt.Scale(domain=["pendosync", "others"], range=[_BLUE, _GREY]), title=None
        ),
    )
    return _framed(
        base.mark_bar().encode(x2=alt.datum(min(row["rate"] for row in rows) / 3))
        + base.mark_text(align="left", dx=4).encode(text="shown:N", color=alt.value("#333"))
    )


def draw_promises(lines: Sequence[Line]) -> Any:
    """Return how much better than promised each number is: 1 is the promise, right of it is better."""
    rows = [
        {
            "question": line["question"],
            "margin": margin(line),
            "shown": f"{shown(line['measured'], line['unit'])}",
            "holds": "holds" if line["holds"] else "falls short",
        }
        for line in lines
    ]
    base = alt.Chart(alt.Data(values=rows)).encode(
        y=alt.Y("question:N", sort=None, title=None, axis=alt.Axis(labelLimit=420)),
        x=alt.X(
            "margin:Q",
            scale=alt.Scale(type="log"),
            title="times as good as promised, logarithmic; 1 is the promise",
        ),
        color=alt.Color(
            "holds:N", scale=alt.Scale(domain=["holds", "falls short"], range=[_BLUE, _RED]), title=None
        ),
    )
    rule = alt.Chart(alt.Data(values=[{"at": 1}])).mark_rule(color="#333").encode(x="at:Q")
    bars = base.mark_bar().encode(x2=alt.datum(1))
    return _framed(
        bars + base.mark_text(align="left", dx=4).encode(text="shown:N", color=alt.value("#333")) + rule
    )


def margin(line: Line) -> float:
    """Return how many times as good as its target a number is; at most a thousand, at least a thousandth."""
    measured, target = line["measured"], line["target"] or 0.0
    better, worse = (target, measured) if line["is_most"] else (measured, target)
    ratio = better / worse if worse else _MOST_MARGIN
    return min(_MOST_MARGIN, max(1 / _MOST_MARGIN, ratio))


def _framed(chart: Any) -> Any:
    return chart.properties(width=520, background="white").configure_view(stroke=None)
