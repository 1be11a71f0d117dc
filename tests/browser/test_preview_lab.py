"""A preview in JupyterLab: what only a real kernel, a real notebook and a real page can show."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from lab import KERNEL_IDLE, Lab, Notebook, contrasts, execute, too_faint
from playwright.sync_api import Locator, expect

from benchmarks.preview import TARGETS, open_bench, use

PLAN = """
import polars as pl
import pendosync as ps

ids = [f"u-{n:04}" for n in range(400)]
users = pl.DataFrame({
    "id": ids, "tier": [f"tier-{n % 8}" for n in range(400)], "seats": range(400), "note": [None, "memo-1"] * 200})
mapping = ps.Mapping("visitor", "id", ["tier", "seats", ps.Trait("note", null="clear")])
values = ps.map_traits(users, mapping)
held = values.with_columns(tier=pl.lit("tier-9"), note=pl.lit("held")).head(380)
plan = ps.plan_changes(
    ps.diff_values(values, before=held, mapping=mapping), mapping=mapping, create="unknown_ids",
    target=ps.Target("us", "https://app.pendo.io", "https://data.pendo.io"), n_compared=500,
    gates=ps.Gates(max_cleared=None), problems=ps.check_values(values.head(2).with_columns(tier=pl.lit("x" * 1501)), mapping=mapping))
"""
SHOW = "view = ps.preview_plan(plan)\nview"


@pytest.fixture(scope="module")
def _opened(_lab: Lab) -> Notebook:
    notebook = _lab.open_notebook("plans.ipynb")
    notebook.tell(PLAN)
    return notebook


@pytest.fixture
def notebook(lab: Lab, _opened: Notebook) -> Notebook:
    """An empty notebook whose kernel holds a plan of 400 ids: three in four with tier and note, twenty of them new."""
    _opened.clear()
    return _opened


def preview(notebook: Notebook, source: str = SHOW) -> Locator:
    """Run a cell that shows a preview, and return the preview once its rows are there."""
    root = notebook.run(source).outputs.locator(".ps")
    root.locator(".pp-row").first.wait_for()
    return root


def tick(root: Locator, id: str) -> None:
    root.get_by_role("checkbox", name=f"Select {id}").click()


def foot(root: Locator, text: str) -> None:
    expect(root.locator(".pp-foot")).to_contain_text(text)


def test_what_is_clicked_is_what_the_kernel_holds(notebook: Notebook) -> None:
    root = preview(notebook)
    tick(root, "u-0003")
    foot(root, "399 selected")
    root.get_by_label("Search ids and texts").fill("tier-5")
    foot(root, "50 shown")
    root.get_by_role("checkbox", name="Select all rows shown").click()
    foot(root, "349 selected")
    assert notebook.ask("len(plan.select(view.selection))") == 349
    assert notebook.ask("view.selection.but") == ("u-0003",)
    assert notebook.ask("view.code == view.selection.to_code()")
    assert notebook.ask("eval(view.code).digest == plan.select(view.selection).digest")
    assert notebook.ask("'u-0003' in plan.select(view.selection).changes['id']") is False


def test_two_cells_that_show_one_view_stay_in_step(notebook: Notebook) -> None:
    first, second = preview(notebook), preview(notebook, "view")
    tick(first, "u-0003")
    foot(second, "399 selected")
    second.locator(".ps-chip").filter(has_text="create").click()
    foot(first, "20 shown")
    expect(first.get_by_role("row").filter(has_text="u-0380")).to_be_visible()


def test_a_saved_notebook_holds_the_summary_and_no_rows(notebook: Notebook) -> None:
    root = preview(notebook)
    tick(root, "u-0003")
    root.locator(".pp-row").nth(5).locator(".pp-id").click()
    root.get_by_role("complementary").wait_for()
    saved = notebook.save()
    assert_holds_no_rows(saved)
    assert saved["cells"][-1]["outputs"][0]["data"].keys() == {"text/html", "text/plain"}


def test_a_page_that_is_opened_later_shows_the_view_live(notebook: Notebook) -> None:
    tick(preview(notebook), "u-0003")
    notebook.save()
    with notebook.lab.another_page(notebook.name) as page:
        root = page.locator(".ps")
        foot(root, "399 selected")
        tick(root, "u-0004")
        foot(root, "398 selected")
    assert notebook.ask("view.selection.but") == ("u-0003", "u-0004")


def test_a_view_within_another_widget_is_live_too(notebook: Notebook) -> None:
    root = preview(notebook, f"import ipywidgets\n{SHOW.splitlines()[0]}\nipywidgets.VBox([view])")
    tick(root, "u-0003")
    foot(root, "399 selected")


def test_an_executed_notebook_holds_the_summary_and_no_rows(lab: Lab) -> None:
    executed = execute(lab.root, "previewed.ipynb", PLAN, SHOW)
    assert executed["metadata"]["widgets"]
    assert_holds_no_rows(executed)


def assert_holds_no_rows(notebook: dict[str, Any]) -> None:
    (output,) = [output for cell in notebook["cells"] for output in cell["outputs"]]
    assert "400 ids selected" in "".join(output["data"]["text/plain"])
    assert "update 380, create 20" in "".join(output["data"]["text/html"])
    text = json.dumps([output, notebook["metadata"]])
    assert not re.search(r"u-\d{4}|(tier|memo)-\d", text)


def test_a_view_answers_or_says_that_it_waits_while_a_cell_runs(notebook: Notebook) -> None:
    root = preview(notebook)
    busy = notebook.run("import time\ntime.sleep(3)")
    tick(root, "u-0003")
    notice = root.locator(".ps-notice")
    expect(
        root.get_by_text("399 selected").or_(notice.get_by_text("when the cell has ended"))
    ).to_be_visible()
    tick(root, "u-0004")
    busy.ended()
    foot(root, "398 selected")
    expect(notice).to_be_hidden()
    assert notebook.ask("view.selection.but") == ("u-0003", "u-0004")


def test_the_keys_of_the_notebook_rest_in_the_grid_and_ctrl_s_saves(notebook: Notebook) -> None:
    root = preview(notebook)
    other = notebook.run("1 + 1").ended()
    page = notebook.lab.page
    page.evaluate("jupyterapp.shell.currentWidget.content.mode = 'command'")
    root.locator(".pp-row").first.locator(".pp-id").click()
    for key in ("d", "d", "a", "b", "x", "m", "0", "0", "ArrowDown", "Enter", "Shift+Enter", "Escape"):
        page.keyboard.press(key)
    cells = page.evaluate("jupyterapp.shell.currentWidget.content.model.sharedModel.toJSON().cells")
    assert [(cell["cell_type"], "".join(cell["source"])) for cell in cells] == [
        ("code", ""),
        ("code", SHOW),
        ("code", "1 + 1"),
    ]
    assert other.outputs.all_inner_texts() == ["2"]
    assert page.locator(".jp-Dialog").count() == 0
    page.evaluate("jupyterapp.shell.currentWidget.context.model.dirty = true")
    page.keyboard.press("Control+s")
    page.wait_for_function("!jupyterapp.shell.currentWidget.context.model.dirty")


@pytest.mark.parametrize(("width", "height", "scale"), [(640, 700, 2), (420, 900, 1)])
def test_a_zoomed_and_a_narrow_notebook_leave_all_in_reach(
    notebook: Notebook, width: int, height: int, scale: int
) -> None:
    page = notebook.lab.page
    root = preview(notebook)
    was = page.viewport_size
    page.set_viewport_size({"width": width, "height": height})
    try:
        root.locator(".pp-row").nth(2).locator(".pp-id").click()
        root.get_by_role("complementary").wait_for()
        assert root.evaluate("root => root.scrollWidth <= root.clientWidth")
        widths = root.evaluate(
            """root => ['.pp-head .pp-fixed', '.pp-row .pp-fixed']
                .map(where => root.querySelector(where).getBoundingClientRect().width)"""
        )
        assert widths[0] == widths[1]
        outside = root.evaluate(
            """root => {
                const frame = root.getBoundingClientRect();
                return [...root.querySelectorAll('button, input')]
                    .filter(node => node.offsetParent && !node.closest('.pp-box'))
                    .filter(node => { const at = node.getBoundingClientRect();
                        return at.left < frame.left || at.right > frame.right + 0.5; })
                    .map(node => node.outerHTML);
            }"""
        )
        assert outside == []
    finally:
        page.set_viewport_size(was)


def test_the_style_of_the_notebook_does_not_reach_in(notebook: Notebook) -> None:
    root = preview(notebook)
    root.locator(".pp-row").nth(2).locator(".pp-id").click()
    panel = root.get_by_role("complementary")
    expect(panel.locator("dt").first).to_have_css("float", "none")
    expect(panel.locator("dt").first).to_have_css("font-weight", "400")
    expect(panel.locator("pre").first).to_have_css("padding-left", "10px")
    expect(root.locator(".ps-chip").first).to_have_css("border-top-left-radius", "12px")
    expect(root.locator(".ps-btn").first).to_have_css("border-top-left-radius", "4px")


def test_all_is_readable_in_a_light_and_a_dark_theme(notebook: Notebook) -> None:
    root = preview(notebook)
    root.locator(".ps-chip").filter(has_text="update").click()
    tick(root, "u-0003")
    root.locator(".pp-row").nth(2).locator(".pp-id").click()
    root.get_by_role("complementary").wait_for()
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        notebook.lab.set_theme(theme)
        assert len(contrasts(root)) > 60
        assert too_faint(root) == []


@pytest.mark.parametrize("end", ["restarted", "crashed", "shut down"])
def test_a_view_says_that_its_kernel_is_gone(notebook: Notebook, end: str) -> None:
    notebook.tell(PLAN)
    root = preview(notebook)
    page = notebook.lab.page
    if end == "crashed":
        notebook.run("import os; os._exit(1)")
    else:
        command = "notebook:restart-kernel" if end == "restarted" else "kernelmenu:shutdown"
        page.evaluate("name => void jupyterapp.commands.execute(name)", command)  # it waits for the dialog
    if end != "shut down":
        page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(root.locator(".ps-notice")).to_contain_text("The kernel is gone")
    expect(root.locator(".pp-row").first).to_be_visible()
    if end != "shut down":
        page.wait_for_function(KERNEL_IDLE)


def test_a_notebook_that_is_read_without_a_kernel_shows_the_summary(lab: Lab) -> None:
    notebook = lab.open_notebook("read.ipynb")
    notebook.tell(PLAN)
    preview(notebook)
    notebook.save()
    notebook.shut()
    lab.read_notebook(notebook.name)
    output = lab.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea-output")
    expect(output).to_contain_text("update 380, create 20")
    assert output.locator(".ps").count() == 0
    assert "Error displaying widget" not in output.inner_text()
    Notebook(lab, notebook.name).shut()


def test_the_benchmark_measures_each_of_its_targets(lab: Lab) -> None:
    bench = open_bench(lab)
    bench.make_plan(2_000)
    use(bench, 2_000, 0)
    assert bench.seen.keys() == TARGETS.keys()
