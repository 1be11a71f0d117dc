"""A run shows itself below its cell in JupyterLab: seen in the page, and held against what the kernel says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab import KERNEL_IDLE, Cell, Lab, Notebook, contrasts, execute, too_faint
from playwright.sync_api import Locator, expect

SHOTS = Path(__file__).parents[2] / "build" / "shots"
OPEN = """
import polars as pl
import pendosync as ps

sandbox = ps.open_sandbox()
client = ps.open_client(sandbox.settings)
journal = ps.open_journal()
"""
PLAN = """
ids = [f"u-{n:04}" for n in range(1, 161)]
users = pl.DataFrame({"user_id": ids, "plan": [f"tier-{n}" for n in range(160)]})
mapping = ps.Mapping("visitor", "user_id", ["plan"])
plan = ps.plan_table(users, mapping, client=client, batch_size=2)
"""
PUSH = "run = ps.push(plan, client=client, journal=journal)"
WATCH = """() => {
    const panel = jupyterapp.shell.currentWidget;
    const last = [];
    window.drawn = [];
    new MutationObserver(() => panel.content.widgets.forEach((cell, index) => {
        const bar = cell.node.querySelector('[role=progressbar]');
        const known = bar && Number(bar.getAttribute('aria-valuenow'));
        if (bar && known !== last[index]) {
            last[index] = known;
            drawn.push([index, known, panel.sessionContext.session.kernel.status]);
        }
    })).observe(panel.content.node, {subtree: true, childList: true, attributes: true});
}"""


@pytest.fixture(scope="module")
def _opened(_lab: Lab) -> Notebook:
    notebook = _lab.open_notebook("runs.ipynb")
    notebook.tell(OPEN)
    return notebook


@pytest.fixture
def notebook(_opened: Notebook, lab: Lab) -> Iterator[Notebook]:
    """An empty notebook whose kernel holds a plan of 160 ids in 80 requests."""
    _opened.clear()
    lab.page.evaluate(WATCH)
    _opened.tell(f"run = sandbox.reset()\n{PLAN}")
    yield _opened
    _opened.tell("sandbox.behave()\nif run:\n    run.cancel()\n    run.wait(20)")


def slowly(seconds: float) -> str:
    """Return the code that makes a push take ten times *seconds*: 80 requests, 8 at once."""
    return f"sandbox.misbehave('latency', seconds={seconds}, times=None, path='/api/v1/metadata')"


def view(cell: Cell) -> Locator:
    return cell.outputs.filter(has=cell.lab.page.get_by_role("progressbar"))


def live(cell: Cell) -> Locator:
    """Return the view with the buttons, which lies over the picture."""
    return cell.outputs.locator(".ps-run")


def press(cell: Cell, name: str) -> None:
    live(cell).get_by_role("button", name=name, exact=True).click()


def known(cell: Cell) -> int:
    """Return how many ids have an outcome, as the page shows it."""
    return int(view(cell).get_by_role("progressbar").get_attribute("aria-valuenow") or 0)


def wait_for(cell: Cell, text: str) -> None:
    expect(view(cell)).to_contain_text(text, timeout=20_000)


def wait_until_some_are_known(cell: Cell) -> None:
    bar = view(cell).get_by_role("progressbar")
    expect(bar).not_to_have_attribute("aria-valuenow", "0", timeout=20_000)


def drawn(cell: Cell, kernel: str = "") -> list[int]:
    """Return what the bar of *cell* came to show until now, or only while the page called the kernel so."""
    seen = cell.lab.page.evaluate("window.drawn")
    return [known for index, known, status in seen if index == cell.index and kernel in ("", status)]


def test_a_push_returns_at_once_and_is_redrawn_while_no_cell_runs(notebook: Notebook) -> None:
    notebook.tell(slowly(0.3))
    cell = notebook.run(PUSH).ended()
    assert known(cell) < 160
    wait_for(cell, "Pushed 160 visitors")
    assert re.search(r"160\s+updated", view(cell).inner_text())
    seen = drawn(cell, "idle")
    assert len(seen) >= 4
    assert seen == sorted(seen)
    assert seen[-1] == 160
    assert notebook.ask("(run.progress.state, run.progress.counts)") == ("done", {"updated": 160})


def test_the_view_stays_in_its_cell_while_another_cell_runs(notebook: Notebook) -> None:
    notebook.tell(slowly(0.3))
    pushing = notebook.run(PUSH).ended()
    wait_until_some_are_known(pushing)
    other = notebook.run("x = 1 + 1\nx").ended()
    assert known(pushing) < 160
    wait_for(pushing, "Pushed 160 visitors")
    assert other.outputs.all_inner_texts() == ["2"]
    assert pushing.outputs.count() == 1


def test_a_wait_blocks_and_the_view_is_redrawn_meanwhile(notebook: Notebook) -> None:
    notebook.tell(slowly(0.3))
    pushing = notebook.run(PUSH)
    waiting = notebook.run("run.wait().height").ended()
    meanwhile = drawn(pushing)  # a page may call a kernel idle that answers it beside the cell
    assert waiting.outputs.all_inner_texts() == ["160"]
    assert len(meanwhile) >= 4
    wait_for(pushing, "Pushed 160 visitors")


def test_an_interrupted_wait_stops_the_run_cleanly(notebook: Notebook) -> None:
    notebook.tell(slowly(0.8))
    pushing = notebook.run(PUSH)
    waiting = notebook.run("run.wait()")
    wait_until_some_are_known(pushing)
    notebook.interrupt()
    wait_for(pushing, "cancelled")
    assert "KeyboardInterrupt" in waiting.ended().outputs.last.inner_text()
    assert notebook.ask("run.progress.state") == "cancelled"
    assert_some_are_pending(notebook, pushing)


def test_a_run_can_be_cancelled_from_another_cell(notebook: Notebook) -> None:
    notebook.tell(slowly(0.8))
    pushing = notebook.run(PUSH).ended()
    wait_until_some_are_known(pushing)
    notebook.run("run.cancel()").ended()
    wait_for(pushing, "cancelled")
    assert notebook.ask("run.progress.state") == "cancelled"
    assert_some_are_pending(notebook, pushing)


def assert_some_are_pending(notebook: Notebook, pushing: Cell) -> None:
    """Each id is updated or pending, in the journal, in the sandbox and on the page."""
    counts = notebook.ask("dict(run.outcomes['status'].value_counts().iter_rows())")
    assert counts.keys() == {"updated", "pending"}
    held = notebook.ask(
        "sum(str(v.get('plan')).startswith('tier-') for v in sandbox.values('visitor', 'custom').values())"
    )
    assert held == counts["updated"] == known(pushing)
    assert re.search(rf"{counts['pending']}\s+pending", view(pushing).inner_text())


def test_a_push_at_the_end_of_a_cell_shows_one_view(notebook: Notebook) -> None:
    cell = notebook.run("ps.push(plan, client=client, journal=journal)").ended()
    wait_for(cell, "Pushed")  # a plan has one run at a time
    again = notebook.run(f"{PUSH}\nrun").ended()
    wait_for(again, "Pushed")
    assert (cell.outputs.count(), again.outputs.count()) == (1, 1)


def test_a_cell_that_ends_with_a_run_shows_it_and_both_views_go_on(notebook: Notebook) -> None:
    notebook.tell(slowly(0.3))
    pushing = notebook.run(PUSH).ended()
    wait_until_some_are_known(pushing)
    later = notebook.run("run").ended()
    assert 0 < known(later) < 160
    wait_for(later, "Pushed 160 visitors")
    wait_for(pushing, "Pushed 160 visitors")
    assert (pushing.outputs.count(), later.outputs.count()) == (1, 1)


def test_a_saved_notebook_holds_the_last_picture_and_no_rows(notebook: Notebook) -> None:
    cell = notebook.run(PUSH).ended()
    wait_for(cell, "Pushed 160 visitors")
    assert_holds_only_the_picture(notebook.save())


def test_an_executed_notebook_holds_the_last_picture_and_no_rows(lab: Lab) -> None:
    sources = [
        f"{OPEN}\n{PLAN}\n{slowly(0.1)}",
        PUSH,
        "outcomes = run.wait()",
        "client.close()\nsandbox.close()",
    ]
    assert_holds_only_the_picture(execute(lab.root, "executed.ipynb", *sources))


def assert_holds_only_the_picture(notebook: dict[str, Any]) -> None:
    assert "widgets" not in notebook["metadata"]
    (output,) = [output for cell in notebook["cells"] for output in cell["outputs"]]
    assert output["output_type"] == "display_data"
    assert output["data"].keys() == {"text/html", "text/plain"}
    assert "Pushed 160 visitors" in "".join(output["data"]["text/html"])
    assert "button" not in "".join(output["data"]["text/html"])
    assert "done" in "".join(output["data"]["text/plain"])
    text = json.dumps(output)
    assert not re.search(r"u-\d{4}|tier-|integration-key|app-key|track-secret", text)


def test_a_run_rests_and_goes_on(notebook: Notebook) -> None:
    notebook.tell(slowly(2))
    cell = notebook.run(PUSH).ended()
    wait_until_some_are_known(cell)
    notebook.tell("run.pause()")
    wait_for(cell, "Push paused: 160 visitors")
    wait_for(cell, "run.proceed() goes on")
    notebook.tell("sandbox.behave()\nrun.proceed()")
    wait_for(cell, "Pushed 160 visitors")


def test_a_run_is_attached_stopped_and_resumed_by_its_journal(notebook: Notebook) -> None:
    notebook.tell(slowly(2))
    wait_until_some_are_known(notebook.run(PUSH).ended())
    attached = notebook.run("watched = ps.attach_run(journal, run.id)").ended()
    wait_until_some_are_known(attached)
    notebook.tell("watched.cancel()")
    wait_for(attached, "Push cancelled: 160 visitors")
    wait_for(attached, "resume_push(journal,")
    notebook.tell("sandbox.behave()")
    resumed = notebook.run("run = ps.resume_push(journal, run.id, client=client)").ended()
    wait_for(resumed, "Pushed 160 visitors")
    assert notebook.ask("run.outcomes['status'].unique().to_list()") == ["updated"]


def assert_answers_each_button(notebook: Notebook) -> Cell:
    """Pause, Resume and Cancel, clicked while no cell runs, do what they say."""
    notebook.tell(slowly(1))
    cell = notebook.run(PUSH).ended()
    press(cell, "Pause")
    expect(live(cell)).to_contain_text("Push paused: 160 visitors")
    assert notebook.ask("run.progress.state") == "paused"
    press(cell, "Resume")
    expect(live(cell)).to_contain_text("Pushing 160 visitors")
    assert notebook.ask("run.progress.state") == "running"
    wait_until_some_are_known(cell)
    press(cell, "Cancel")
    press(cell, "Go on")
    assert notebook.ask("run.progress.state") == "running"
    press(cell, "Cancel")
    press(cell, "Stop")
    expect(live(cell)).to_contain_text("Push cancelled: 160 visitors")
    assert notebook.ask("run.progress.state") == "cancelled"
    assert_some_are_pending(notebook, cell)
    return cell


def test_pause_resume_and_cancel_are_clicked(notebook: Notebook) -> None:
    assert_answers_each_button(notebook)


def test_a_run_of_another_process_is_paused_and_cancelled_by_clicks(notebook: Notebook) -> None:
    notebook.tell(f"{slowly(2)}\n{PUSH.replace(')', ', show=False)')}")
    cell = notebook.run("watched = ps.attach_run(journal, run.id)").ended()
    press(cell, "Pause")
    expect(live(cell)).to_contain_text("Push paused: 160 visitors")
    notebook.lab.page.wait_for_function(KERNEL_IDLE)
    press(cell, "Cancel")
    press(cell, "Stop")
    expect(live(cell)).to_contain_text("Push cancelled: 160 visitors")
    assert notebook.ask("(run.progress.state, watched.progress.state)") == ("cancelled", "cancelled")


def test_a_view_says_how_to_interrupt_while_a_cell_waits(notebook: Notebook) -> None:
    notebook.tell(slowly(1))
    cell = notebook.run(PUSH).ended()
    wait_until_some_are_known(cell)
    waiting = notebook.run("run.wait()")
    press(cell, "Pause")
    expect(live(cell)).to_contain_text("Interrupt it (■) to stop the run")
    expect(live(cell)).to_contain_text("pausing …")
    notebook.interrupt()
    expect(live(cell)).to_contain_text("Push cancelled: 160 visitors")
    assert "KeyboardInterrupt" in waiting.ended().outputs.last.inner_text()
    expect(live(cell)).not_to_contain_text("Interrupt it")
    assert notebook.ask("run.progress.state") == "cancelled"


def test_the_picture_is_drawn_seldom_beneath_a_view_which_keeps_its_focus(notebook: Notebook) -> None:
    notebook.tell(slowly(0.5))
    cell = notebook.run(PUSH).ended()
    wait_until_some_are_known(cell)
    page = cell.lab.page
    page.evaluate(
        "place => { window.place = place; }", cell.outputs.locator("[data-pendosync-run]").element_handle()
    )
    stop = live(cell).get_by_role("button", name="Cancel")
    stop.focus()
    page.wait_for_function("n => drawn.length >= n", arg=page.evaluate("drawn.length") + 2)
    assert page.evaluate("place.isConnected")
    notebook.tell("run.pause()")
    page.wait_for_function("!place.isConnected")
    expect(live(cell)).to_contain_text("Push paused")
    expect(stop).to_be_focused()
    expect(cell.outputs.get_by_role("progressbar")).to_have_count(1)


def test_a_page_that_is_opened_later_shows_the_run_live(notebook: Notebook) -> None:
    lab = notebook.lab
    notebook.tell(slowly(2))
    notebook.run(PUSH).ended()
    notebook.save()
    with lab.another_page(notebook.name) as page:
        view = page.locator(".ps-run")
        view.get_by_role("button", name="Pause").click()
        expect(view).to_contain_text("Push paused: 160 visitors")
    assert notebook.ask("run.progress.state") == "paused"


def test_rejected_rows_are_shown_and_never_saved(notebook: Notebook) -> None:
    notebook.tell("sandbox.misbehave('fail_records', times=9)")
    cell = notebook.run(PUSH).ended()
    live(cell).get_by_role("button", name="Show the").click()
    rows = live(cell).locator("tbody tr")
    expect(rows.first).to_contain_text("u-0")
    shown = [tuple(row.locator("td").all_inner_texts()) for row in rows.all()]
    assert shown == notebook.ask(
        "run.outcomes.filter(pl.col('status') == 'failed').select('id', 'status', 'reason').rows()"
    )
    assert_holds_only_the_picture(notebook.save())


@pytest.mark.parametrize("version", ["6.31", "7.3"])
def test_other_kernels_hear_each_button_and_leave_a_picture(lab: Lab, version: str) -> None:
    kernel = f"ipykernel-{version}"
    lab.add_kernel(kernel)
    notebook = lab.open_notebook(f"{kernel}.ipynb", kernel=kernel)
    notebook.tell(f"{OPEN}\n{PLAN}\nimport ipykernel")
    assert notebook.ask("ipykernel.__version__").startswith(f"{version}.")
    cell = assert_answers_each_button(notebook)
    saved = notebook.save()
    notebook.restart()
    expect(live(cell)).to_contain_text("The kernel is gone. The journal knows what was pushed")
    notebook.shut()
    (index,) = [index for index, cell in enumerate(saved["cells"]) if cell["outputs"]]
    again = Cell(lab, index)
    for name in (notebook.name, altered(lab, saved)):
        lab.read_notebook(name)
        expect(again.outputs).to_contain_text("Push cancelled: 160 visitors")
        expect(again.outputs.locator("[style*=flex] > [title$=updated]")).to_be_visible()
        assert live(again).count() == 0
        Notebook(lab, name).shut()


def altered(lab: Lab, saved: dict[str, Any]) -> str:
    """Write a notebook that JupyterLab has no reason to trust, and return its name."""
    cells = [*saved["cells"], nbformat.v4.new_markdown_cell("by another hand")]
    (lab.root / "nb" / "altered.ipynb").write_text(json.dumps(saved | {"cells": cells}), encoding="utf-8")
    return "altered.ipynb"


def test_views_are_readable_in_a_light_and_a_dark_theme(notebook: Notebook) -> None:
    lab = notebook.lab
    notebook.run("mapping").ended()
    notebook.run("plan").ended()
    notebook.tell("sandbox.misbehave('fail_records', times=9)")
    failing = notebook.run(PUSH).ended()
    wait_for(failing, "failed")
    live(failing).get_by_role("button", name="Show the").click()
    expect(live(failing).locator("tbody tr").first).to_contain_text("u-0")
    notebook.tell(slowly(1.2))
    going_on = notebook.run(PUSH).ended()
    wait_until_some_are_known(going_on)
    SHOTS.mkdir(parents=True, exist_ok=True)
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        lab.set_theme(theme)
        lab.page.screenshot(path=SHOTS / f"{theme}.png")
        for cell in (failing, going_on):
            assert len(contrasts(view(cell))) > 8
            assert too_faint(view(cell)) == []
    assert notebook.ask("run.progress.is_over") is False
