"""What shows itself as HTML runs nothing that a value brings along: in a page of its own, and in JupyterLab."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from lab import Lab
from playwright.sync_api import Page

import pendosync as ps
from pendosync.frames import Progress
from pendosync.preview.run_view import run_html
from tests.faults.hostile import PAYLOAD, TEXTS

LIVE = [name for name, text in TEXTS.items() if PAYLOAD.replace(" ", "") in text.replace(" ", "")]
SHOW = """
import pendosync as ps, polars as pl
from pendosync.frames import FIELDS, OUTCOMES, PROBLEMS
texts = {texts!r}
mapping = ps.Mapping("visitor", texts[0], [ps.Trait(texts[0], field="plan"), ps.Trait(sql="1", field=texts[1])],
                     left_out=tuple(texts), route="webhook", group=texts[0])
values = ps.map_traits(pl.DataFrame({{"id": texts, "plan": texts}}), ps.Mapping("visitor", "id", ["plan"]))
held = ps.map_traits(pl.DataFrame({{"id": texts, "plan": texts[::-1]}}), ps.Mapping("visitor", "id", ["plan"]))
plan = ps.plan_changes(
    ps.diff_values(values, before=held, mapping=mapping),
    mapping=mapping, target=ps.Target("us", "https://app.pendo.io", "https://data.pendo.io"),
    problems=pl.DataFrame([(at, one, one, one, one, 1, one) for at, one in enumerate(texts)], schema=PROBLEMS, orient="row"),
)
n = len(texts)
numbers = [[False] * n, [True] * n, [True] * n]
summaries = [ps.build_summary(frame) for frame in (
    pl.DataFrame({{one: [one, [one], {{one: one}}][at % 3:][:1] * n for at, one in enumerate(texts)}}),
    values.with_columns(raw=pl.lit('{{"plan":"x"}}')),
    pl.DataFrame([texts] * 6 + numbers, schema=FIELDS),
    plan.problems,
    plan.changes.with_columns(action="id"),
    ps.dry_run(plan).with_columns(pl.Series(name, texts) for name in ("method", "path")),
    pl.DataFrame([texts, [1] * n, texts, texts, texts], schema=OUTCOMES).with_columns(seen="status"),
)]
"""


def pictures() -> str:
    """Return one page of all that shows itself, made of texts that would run."""
    shown: dict[str, object] = {}
    exec(SHOW.format(texts=[TEXTS[name] for name in LIVE]), shown)
    plan, mapping, summaries = shown["plan"], shown["mapping"], shown["summaries"]
    assert isinstance(plan, ps.Plan)
    assert isinstance(mapping, ps.Mapping)
    assert isinstance(summaries, list)
    runs = [
        run_html(Progress(text, text, "stopped", 2, 1, 1, 1, {"failed": 1}, 1.0, None, text))
        for text in TEXTS.values()
        if len(text) < 5000
    ]
    still = [plan, plan.summary, mapping, ps.Settings(), ps.Gates(), *summaries]
    return "<!doctype html><meta charset='utf-8'>" + "".join([*(one._repr_html_() for one in still), *runs])


@pytest.fixture
def page(lab: Lab) -> Iterator[Page]:
    """An empty page beside JupyterLab."""
    browser = lab.page.context.browser
    assert browser is not None
    opened = browser.new_page()
    yield opened
    opened.close()


def ran(page: Page) -> int | None:
    """Return how many payloads ran, after a look around with the mouse."""
    page.mouse.move(200, 200)
    page.mouse.click(200, 200)
    page.wait_for_timeout(200)
    count: int | None = page.evaluate("window.ran")
    return count


@pytest.mark.parametrize("name", ["script", "image", "svg", "end of a script"])
def test_a_text_that_is_not_escaped_would_run(page: Page, name: str) -> None:
    page.set_content(TEXTS[name])
    assert ran(page)


def test_a_page_of_what_shows_itself_runs_nothing(page: Page) -> None:
    page.set_content(pictures())
    assert ran(page) is None
    assert page.locator("script, img, svg, iframe, a, style, [onerror], [onload], [onmouseover]").count() == 0
    assert "<img src=x onerror=" in page.inner_text("body")


def test_a_notebook_that_shows_them_runs_nothing(lab: Lab) -> None:
    notebook = lab.open_notebook("hostile.ipynb")
    texts = [TEXTS[name] for name in LIVE]
    cell = notebook.run(SHOW.format(texts=texts) + "\ndisplay(mapping, *summaries)\nplan").ended()
    cell.outputs.nth(8).wait_for()
    assert all("<img src=x onerror=" in cell.outputs.nth(at).inner_text() for at in range(9))
    assert ran(lab.page) is None
    assert cell.outputs.locator("script, img, svg, iframe, a, style, [onerror], [onload]").count() == 0
    errors = notebook.run(f"raise ps.PlanError({texts[0]!r} + {texts[2]!r})").ended()
    assert "<script>" in errors.outputs.last.inner_text()
    assert ran(lab.page) is None
