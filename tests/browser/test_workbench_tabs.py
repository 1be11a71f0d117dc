"""The workbench as a person clicks through it, against an embedded Pendo."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl
import pytest
from blank import Blank, Theme, poll, serious_faults
from playwright.sync_api import Locator, expect

import pendosync as ps
from pendosync.workbench.bench import Workbench

N = 30
USERS = pl.DataFrame(
    {
        "user_id": [f"u-{n:04}" for n in range(1, N + 1)] + ["nobody"],
        "plan": [f"tier-{n % 3}" for n in range(N)] + ["tier-1"],
    }
)
ACCOUNTS = pl.DataFrame({"account_id": ["acc-001", "acc-001"], "plan": ["pro", "free"]})


@pytest.fixture
def bench(client: ps.Client, journal: ps.Journal) -> Iterator[Workbench]:
    opened = ps.workbench(USERS, ACCOUNTS, client=client, journal=journal)
    yield opened
    if opened.run is not None:
        opened.run.wait()
    opened.close()


def tab(root: Locator, name: str) -> Locator:
    root.get_by_role("tab", name=name).click()
    return root.get_by_role("tabpanel", name=name)


def compare(blank: Blank, root: Locator) -> None:
    """Press Compare, and hand on what the kernel tells by itself until the rows are there."""
    tab(root, "Changes").get_by_role("button", name="Compare with what Pendo holds").click()
    wait(blank, lambda: root.locator(".pp-row").count() > 0)


def wait(blank: Blank, holds: Callable[[], bool]) -> None:
    def told() -> bool:
        blank.answer()
        return holds()

    poll(blank.page, told, within_s=20)


def test_from_the_mapping_to_the_push(blank: Blank, bench: Workbench, sandbox: ps.Sandbox) -> None:
    root = blank.show(bench)
    expect(root.get_by_role("tabpanel", name="Map")).to_contain_text("user_id")
    expect(tab(root, "Check")).to_contain_text("Nothing is wrong with 31 rows")
    expect(tab(root, "Dry run")).to_contain_text("Compare with what Pendo holds first")
    expect(tab(root, "Push")).to_contain_text("Compare with what Pendo holds first")
    compare(blank, root)
    row = root.locator(".pp-row").filter(has=blank.page.get_by_role("rowheader", name="u-0002"))
    row.get_by_role("checkbox").click()
    expect(root.locator(".pp-foot")).to_contain_text("29 selected")
    requests = tab(root, "Dry run")
    expect(requests).to_contain_text("1 request for 29 ids")
    body = ps.dry_run(bench.chosen)["body"][0]
    expect(requests.locator(".ps-code")).to_contain_text(body[:200])
    pushing = tab(root, "Push")
    typed, go = pushing.get_by_label("Type 29 us to push"), pushing.get_by_role("button", name="Push")
    typed.fill("29 eu")
    expect(go).to_be_disabled()
    typed.fill("29 us")
    go.click()
    poll(blank.page, lambda: bench.run is not None)
    assert bench.run is not None
    assert bench.run.wait()["status"].to_list() == ["updated"] * 29
    held = sandbox.values("visitor", "custom")
    assert [held[one]["plan"] for one in ("u-0001", "u-0003")] == ["tier-0", "tier-2"]
    assert not str(held["u-0002"].get("plan")).startswith("tier-")
    place = pushing.locator("[data-pendosync-run]")
    expect(place).to_have_attribute("data-pendosync-run", bench._run_mark)


def test_tabs_go_by_keyboard(blank: Blank, bench: Workbench) -> None:
    root = blank.show(bench)
    root.get_by_role("tab", name="Map").focus()
    blank.page.keyboard.press("ArrowRight")
    expect(root.get_by_role("tab", name="Check")).to_have_attribute("aria-selected", "true")
    expect(root.get_by_role("tabpanel", name="Check")).to_be_visible()
    blank.page.keyboard.press("End")
    expect(root.get_by_role("tab", name="Push")).to_be_focused()


def test_the_other_table_has_its_own_way(blank: Blank, bench: Workbench) -> None:
    root = blank.show(bench)
    root.get_by_role("button", name="accounts").click()
    expect(root.get_by_role("tabpanel", name="Map")).to_contain_text("account_id")
    check = tab(root, "Check")
    expect(check).to_contain_text("0 of 2 rows can travel")
    check.get_by_text("duplicate id").click()
    expect(check.get_by_role("row").nth(1)).to_contain_text("acc-001")
    assert bench.kind == "account"


def test_two_views_of_a_workbench_may_each_show_another_table(blank: Blank, bench: Workbench) -> None:
    root = blank.show(bench)
    other = blank.show_again(bench)
    other.get_by_role("button", name="accounts").click()
    expect(other.get_by_role("tabpanel", name="Map")).to_contain_text("account_id")
    compare(blank, root)
    expect(root.locator(".pp-foot")).to_contain_text("30 selected")
    expect(tab(other, "Check")).to_contain_text("0 of 2 rows can travel")
    assert bench.kind == "account"


def test_a_changed_mapping_asks_for_another_comparison(blank: Blank, bench: Workbench) -> None:
    root = blank.show(bench)
    compare(blank, root)
    tab(root, "Map").get_by_label("Null").first.select_option("clear")
    expect(tab(root, "Changes")).to_contain_text("The mapping was changed since")
    expect(tab(root, "Push")).to_contain_text("compare again")


def test_what_pendo_refuses_is_told(blank: Blank, bench: Workbench, sandbox: ps.Sandbox) -> None:
    sandbox.misbehave("status", status=403, times=None)
    root = blank.show(bench)
    changes = tab(root, "Changes")
    changes.get_by_role("button", name="Compare").click()
    wait(blank, lambda: changes.get_by_role("alert").count() > 0)
    expect(changes.get_by_role("alert")).to_contain_text("403")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_tab_keeps_nobody_out(blank: Blank, bench: Workbench, theme: Theme) -> None:
    root = blank.show(bench, theme=theme)
    compare(blank, root)
    for name in ("Map", "Check", "Changes", "Dry run", "Push"):
        tab(root, name)
        blank.page.wait_for_load_state("networkidle")
        assert serious_faults(blank.page) == [], name


def test_it_fits_a_narrow_place(blank: Blank, bench: Workbench) -> None:
    root = blank.show(bench, width=420)
    compare(blank, root)
    for name in ("Map", "Check", "Changes", "Dry run", "Push"):
        tab(root, name)
        assert root.evaluate("node => node.scrollWidth <= node.clientWidth"), name
