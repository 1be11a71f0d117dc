"""From a table to Pendo and back, clicked in JupyterLab. After each gesture the kernel is asked what it now holds."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from lab import Cell, Lab, Notebook
from playwright.sync_api import Locator, expect

LOAD = """
import polars as pl
import pendosync as ps

sandbox = ps.open_sandbox()
client = ps.open_client(sandbox.settings)
journal = ps.open_journal()
held = sandbox.values("visitor", "custom")
known = sorted(id for id, values in held.items() if id[:2] == "u-" and {"plan", "region"} <= values.keys())[:120]
users = pl.DataFrame(
    {
        "user_id": known,
        "plan": [f"tier-{n}" for n in range(120)],
        "seats": [7000 + n for n in range(120)],
        "Regoin": [f"zone-{n % 3}" for n in range(120)],
    }
)
fields = ps.fetch_fields(client, kind="visitor")
"""
SLOW = "sandbox.misbehave('latency', path='/api/v1/metadata', method='POST'"
KEEP_STATE = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"
MOVED = "{id: values for id, values in sandbox.values('visitor', 'custom').items() if values != held[id]}"


def begin(lab: Lab, name: str) -> Notebook:
    notebook = lab.open_notebook(name)
    notebook.run(LOAD).ended()
    return notebook


def root(cell: Cell, label: str) -> Locator:
    """Return the widget of that name below a cell."""
    return cell.outputs.get_by_label(label, exact=True)


def assert_comes_to_hold(notebook: Notebook, expression: str, expected: Any) -> None:
    """Ask the kernel until it says what is expected: a gesture reaches it by another channel than the question."""
    end_s = time.monotonic() + 10
    while (found := notebook.ask(expression)) != expected and time.monotonic() < end_s:
        pass
    assert found == expected


def untick(shown: Locator, id: str) -> None:
    row = shown.locator(".pp-row").filter(has=shown.page.get_by_role("rowheader", name=id))
    row.get_by_role("checkbox", checked=True).click()


def test_a_table_is_mapped_chosen_pushed_cancelled_resumed_and_undone(lab: Lab) -> None:
    notebook = begin(lab, "story.ipynb")
    map_by_clicks(notebook)
    notebook.run("plan = ps.plan_table(users, editor.mapping, client=client, batch_size=1)\nplan").ended()
    chosen = choose_by_clicks(notebook)
    notebook.run(
        "chosen = plan.select(view.selection)\nrequests = ps.dry_run(chosen)\nrequests.height"
    ).ended()
    assert notebook.ask("requests['ids'].explode().to_list()") == chosen
    assert notebook.ask(MOVED) == {}
    cancel_by_clicks(notebook, chosen)
    assert_resumed_run_changes_exactly(notebook, chosen)
    assert_undo_puts_everything_back(notebook, chosen)


def map_by_clicks(notebook: Notebook) -> None:
    """Leave a trait out by a click, and choose a field by the keyboard."""
    start = "ps.Mapping('visitor', 'user_id', ['plan', 'seats', 'Regoin'])"
    cell = notebook.run(f"editor = ps.edit_mapping(users, {start}, fields=fields)\neditor").ended()
    shown = root(cell, "Mapping")
    shown.get_by_role("checkbox", name="Include seats").click()
    traits = "[(trait.column, trait.field) for trait in editor.mapping.each_trait]"
    assert_comes_to_hold(notebook, traits, [("plan", "plan"), ("Regoin", "Regoin")])
    shown.get_by_role("checkbox", name="Include Regoin").press("Tab")
    notebook.lab.page.keyboard.type("sales reg")  # by its display name
    notebook.lab.page.keyboard.press("Enter")
    assert_comes_to_hold(notebook, traits, [("plan", "plan"), ("Regoin", "region")])
    expect(shown.locator(".pm-counts")).to_have_text("2 traits → 2 fields")


def choose_by_clicks(notebook: Notebook) -> list[str]:
    """Take all ids of one region but two; return them."""
    known = notebook.ask("known")
    shown = root(notebook.run("view = ps.preview_plan(plan)\nview").ended(), "Preview of a plan")
    foot = shown.locator(".pp-foot")
    expect(foot).to_contain_text("120 selected")
    shown.get_by_role("checkbox", name="Select all rows shown").click()
    assert_comes_to_hold(notebook, "view.n_selected", 0)
    shown.get_by_role("button", name="Sort, filter, pin or hide region", exact=True).click()
    shown.get_by_role("dialog").get_by_label("zone-1").check()
    expect(foot).to_contain_text("40 shown, none of them selected")
    notebook.lab.page.keyboard.press("Escape")
    shown.get_by_role("checkbox", name="Select all rows shown").click()
    assert_comes_to_hold(notebook, "view.n_selected", 40)
    untick(shown, known[1])
    assert_comes_to_hold(notebook, "view.selection.but", (known[1],))
    for key in ("ArrowDown", "ArrowDown", "Space"):
        notebook.lab.page.keyboard.press(key)
    assert_comes_to_hold(notebook, "view.selection.but", (known[1], known[7]))
    notebook.lab.page.keyboard.press("Enter")
    panel = shown.get_by_role("complementary")
    expect(panel.locator(".ps-code").first).to_contain_text(f'"visitorId":"{known[7]}"')
    assert (
        panel.locator("dt").last.evaluate("name => name.offsetHeight") < 30
    )  # JupyterLab makes names of such lists narrow
    notebook.lab.page.keyboard.press("Escape")
    shown.get_by_role("button", name="Clear all").click()
    expect(foot).to_contain_text("38 selected of 120 ids")
    chosen = [id for id in known[1::3] if id not in (known[1], known[7])]
    assert notebook.ask("eval(view.code).changes['id'].to_list()") == chosen
    return chosen


def cancel_by_clicks(notebook: Notebook, chosen: list[str]) -> None:
    notebook.tell(f"{SLOW}, seconds=2, after=8, times=None)")
    cell = notebook.run("run = ps.push(chosen, client=client, journal=journal)").ended()
    live = cell.outputs.locator(".ps-run")
    expect(live.get_by_role("progressbar")).not_to_have_attribute("aria-valuenow", "0", timeout=20_000)
    live.get_by_role("button", name="Cancel").click()
    live.get_by_role("button", name="Stop").click()
    expect(live).to_contain_text("Push cancelled: 38 visitors", timeout=20_000)
    notebook.tell("sandbox.behave()\noutcomes = run.outcomes")
    assert notebook.ask("run.progress.state") == "cancelled"
    written = notebook.ask("outcomes.filter(status='updated')['id'].to_list()")
    assert 0 < len(written) < 38
    assert notebook.ask("outcomes.filter(status='pending').height") == 38 - len(written)
    assert sorted(notebook.ask(f"list({MOVED})")) == written
    assert set(written) < set(chosen)


def assert_resumed_run_changes_exactly(notebook: Notebook, chosen: list[str]) -> None:
    cell = notebook.run("run = ps.resume_push(journal, run.id, client=client)\noutcomes = run.wait()").ended()
    expect(cell.outputs.locator(".ps-run")).to_contain_text("Pushed 38 visitors")
    assert notebook.ask("outcomes.select('id', 'status').rows()") == [(id, "updated") for id in chosen]
    held, plans = notebook.ask("held"), dict(notebook.ask("users.select('user_id', 'plan').rows()"))
    assert notebook.ask(MOVED) == {id: {**held[id], "plan": plans[id], "region": "zone-1"} for id in chosen}


def assert_undo_puts_everything_back(notebook: Notebook, chosen: list[str]) -> None:
    notebook.run("undo = ps.plan_undo(journal, run.id)\nundo").ended()
    assert notebook.ask("(undo.changes['id'].to_list(), undo.cannot_undo.height)") == (chosen, 0)
    cell = notebook.run("undone = ps.push(undo, client=client, journal=journal).wait()").ended()
    expect(cell.outputs.locator(".ps-run")).to_contain_text("Pushed 38 visitors")
    assert notebook.ask("undone['status'].unique().to_list()") == ["updated"]
    assert notebook.ask(MOVED) == {}


def test_the_workbench_leads_the_same_way(lab: Lab) -> None:
    notebook = begin(lab, "workbench.ipynb")
    start = "mappings=[ps.Mapping('visitor', 'user_id', ['plan'])]"
    cell = notebook.run(
        f"bench = ps.workbench(users, client=client, journal=journal, {start})\nbench"
    ).ended()
    shown = root(cell, "Workbench")
    expect(shown.get_by_role("checkbox", name="Include plan")).to_be_checked()
    go(shown, "Map", "ArrowRight", "Check")
    expect(shown.get_by_role("tabpanel")).to_contain_text("Nothing is wrong with 120 rows")
    go(shown, "Check", "ArrowRight", "Changes")
    shown.get_by_role("button", name="Compare with what Pendo holds").click()
    expect(shown.locator(".pp-foot")).to_contain_text("120 selected", timeout=20_000)
    known = notebook.ask("known")
    assert notebook.ask("bench.plan.changes['id'].to_list()") == known
    for id in known[:2]:
        untick(shown, id)
    assert_comes_to_hold(notebook, "bench.selection.but", tuple(known[:2]))
    go(shown, "Changes", "ArrowRight", "Dry run")
    bytes_shown = shown.get_by_label("The request's bytes").inner_text()
    assert bytes_shown.endswith(notebook.ask("ps.dry_run(bench.chosen)['body'][0]"))
    assert notebook.ask(MOVED) == {}
    go(shown, "Dry run", "End", "Push")
    push_by_phrase(notebook, shown)
    assert notebook.ask("bench.run.outcomes['id'].to_list()") == known[2:]
    assert sorted(notebook.ask(f"list({MOVED})")) == known[2:]
    assert_saves_no_row(notebook)


def assert_saves_no_row(notebook: Notebook) -> None:
    """What is on disk, the cells' own words aside, holds the widgets' state and no value of a row."""
    notebook.lab.command(KEEP_STATE)
    saved = notebook.save()
    notebook.lab.command(KEEP_STATE)
    left = json.dumps([saved["metadata"], [{**cell, "source": ""} for cell in saved["cells"]]])
    assert "Workbench for visitors" in left
    assert "application/vnd.jupyter.widget-state+json" in saved["metadata"]["widgets"]
    assert re.findall(r"u-\d{4}|tier-\d|zone-\d|integration-key", left) == []


def go(shown: Locator, tab: str, key: str, to: str) -> None:
    """Press a key on one tab, and wait for the other."""
    shown.get_by_role("tab", name=tab).press(key)
    expect(shown.get_by_role("tab", name=to)).to_have_attribute("aria-selected", "true")
    expect(shown.get_by_role("tab", name=to)).to_be_focused()


def push_by_phrase(notebook: Notebook, shown: Locator) -> None:
    typed = shown.get_by_label("Type 118 us to push")
    button = shown.get_by_role("tabpanel").get_by_role("button", name="Push", exact=True)
    typed.fill("119 us")
    expect(button).to_be_disabled()
    typed.press("Enter")
    button.evaluate("button => { button.disabled = false; }")  # nor does the kernel take the page's word
    button.click()
    expect(shown.locator(".ps-notice").first).to_contain_text(
        "'119 us' was typed. Expected how many ids go where: 118 us"
    )
    assert notebook.ask("bench.run") is None
    notebook.tell(f"{SLOW}, seconds=1)")
    typed.fill("118 us")
    expect(button).to_be_enabled()
    typed.press("Enter")
    live = shown.get_by_role("tabpanel").locator(".ps-run")
    for name in ("Pause", "Cancel"):
        expect(live.get_by_role("button", name=name)).to_be_visible(timeout=20_000)
    assert notebook.ask("bench.run.progress.is_over") is False
    expect(live).to_contain_text("Pushed 118 visitors", timeout=20_000)
    expect(live.get_by_role("button", name="Pause")).to_be_hidden()
