"""The preview of events, memberships and skipped rows as a person uses it: whom, what and when, and nothing of before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from blank import Blank, Theme, serious_faults
from playwright.sync_api import Locator, expect

import pendosync as ps
from pendosync.preview.plan_view import PlanView

TARGET = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")
NOW = datetime.now(UTC).replace(microsecond=0)
OFF = '{"All": true, "Pendo": false}'
TABLE = pl.DataFrame(
    {
        "user": [f"u-{k}" for k in range(10)],
        "org": ["acme", "zeta"] * 5,
        "what": ["Signed Up", "Left", "Signed Up", "Left", "Paid"] * 2,
        "time": [NOW - timedelta(hours=k) for k in range(10)],
        "plan": ["pro", None, "free", "pro", "free"] * 2,
        "seats": range(10),
        "off": [None] * 8 + [OFF] * 2,
    }
)
WHOM = {"visitor_id": "user", "account_id": "org"}
EVENTS = ps.Mapping("event", traits=["plan", "seats"], event="what", at="time", integrations="off", **WHOM)
MEMBERSHIPS = ps.Mapping("membership", **WHOM)
VISITORS = ps.Mapping("visitor", "user", ["plan", "seats"], route="webhook", integrations="off")


def plan_of(mapping: ps.Mapping) -> ps.Plan:
    values = ps.map_traits(TABLE, mapping)
    before = (
        None if mapping.is_message else values.with_columns(pl.lit("old").alias("plan"), pl.col("seats") + 1)
    )
    changes = ps.diff_values(values, before=before, mapping=mapping)
    return ps.plan_changes(changes, mapping=mapping, target=TARGET)


def shown(blank: Blank, view: PlanView, theme: Theme = "light") -> Locator:
    root = blank.show(view, theme=theme, width=1400)
    expect(root.locator(".pp-foot")).to_contain_text("10 selected of 10 ids")
    return root


def row(root: Locator, id: str) -> Locator:
    return root.locator(".pp-row").filter(has=root.page.get_by_role("rowheader", name=id, exact=True))


def panel_of(root: Locator, id: str) -> Locator:
    row(root, id).locator(".pp-id").click()
    panel = root.get_by_role("complementary")
    expect(panel.get_by_role("heading", level=3)).to_have_text(id.split()[0])
    return panel


def lines(panel: Locator) -> dict[str, str]:
    names = panel.locator("dl").first.locator("dt").all_inner_texts()
    return dict(zip(names, panel.locator("dl").first.locator("dd").all_inner_texts(), strict=True))


def test_events_are_told_by_whom_what_and_when(blank: Blank) -> None:
    root = shown(blank, PlanView(plan_of(EVENTS)))
    heads = root.locator(".pp-sort").all_inner_texts()
    assert heads == ["id", "visitor_id", "account_id", "event", "at", "integrations", "plan", "seats"]
    expect(root.get_by_role("columnheader").nth(4)).to_contain_text("what happened")
    expect(root.get_by_role("columnheader").nth(7)).to_contain_text("6 filled")  # of the eight that travel
    expect(root.get_by_role("img", name="plan:")).to_have_attribute(
        "aria-label", "plan: 75 % filled. free: 3; pro: 3."
    )
    at = (NOW - timedelta(hours=2)).strftime("%Y-%m-%d %H:%M")
    expect(row(root, "2")).to_contain_text("u-2acmeSigned Up")
    expect(row(root, "2")).to_contain_text(at)
    expect(row(root, "2").locator(".pp-said").first).to_have_text("free")
    expect(root.locator(".pp-row .pp-new, .pp-row s")).to_have_count(
        0
    )  # nothing is compared with what was before
    expect(root.get_by_label("Unchanged values")).to_have_count(0)


def test_events_are_chosen_by_what_happened(blank: Blank) -> None:
    view = PlanView(plan_of(EVENTS))
    root = shown(blank, view)
    root.get_by_role("checkbox", name="Select all rows shown").click()
    expect(root.locator(".pp-foot")).to_contain_text("0 selected")
    root.get_by_role("button", name="Sort, filter, pin or hide event", exact=True).click()
    root.get_by_role("dialog").get_by_text("Signed Up").click()
    expect(root.locator(".pp-foot")).to_contain_text("4 shown, none of them selected")
    root.page.keyboard.press("Escape")
    root.get_by_role("checkbox", name="Select all rows shown").click()
    expect(root.locator(".pp-foot")).to_contain_text("4 selected")
    assert view.code == "plan.select(ps.about('event').is_in(['Signed Up']))"
    assert view.plan.select(view.selection).changes["id"].to_list() == ["0", "2", "5", "7"]


def test_an_event_is_seen_whole_with_its_message(blank: Blank) -> None:
    panel = panel_of(shown(blank, PlanView(plan_of(EVENTS))), "1")
    told = lines(panel)
    assert list(told) == ["visitor_id", "account_id", "event", "at", "integrations", "seats"]
    assert (told["visitor_id"], told["account_id"], told["event"], told["seats"]) == (
        "u-1",
        "zeta",
        "Left",
        "1",
    )
    expect(panel.get_by_text("1 other column")).to_be_visible()
    expect(panel).to_contain_text("Travels in request 2 of 8")
    expect(panel.locator(".ps-code").first).to_contain_text('"userId":"u-1","event":"Left"')


def test_skipped_rows_say_so(blank: Blank) -> None:
    root = shown(blank, PlanView(plan_of(VISITORS)))
    root.locator(".pp-chips .ps-chip").filter(has_text="skip").click()
    expect(root.locator(".pp-row")).to_have_count(2)
    expect(row(root, "u-8 skip").locator(".pp-changed").first).to_have_css(
        "background-color", "rgba(0, 0, 0, 0)"
    )
    expect(root.locator(".pp-foot")).to_contain_text("8 requests")
    panel = panel_of(root, "u-8 skip")
    expect(panel.get_by_role("heading", level=4)).to_have_text("Never sent: its integrations turn Pendo off")
    expect(panel.locator(".ps-code")).to_have_count(0)
    assert lines(panel)["integrations"] == OFF


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("mapping", [EVENTS, MEMBERSHIPS, VISITORS], ids=lambda mapping: mapping.kind)
def test_messages_keep_nobody_out(blank: Blank, mapping: ps.Mapping, theme: Theme) -> None:
    root = shown(blank, PlanView(plan_of(mapping)), theme)
    expect(root.locator(".pp-row")).to_have_count(10)
    root.locator(".pp-row .pp-id").last.click()
    root.get_by_role("complementary").wait_for()
    assert serious_faults(blank.page) == []


def test_memberships_without_traits_have_a_low_head(blank: Blank) -> None:
    root = shown(blank, PlanView(plan_of(MEMBERSHIPS)))
    assert root.locator(".pp-sort").all_inner_texts() == ["id", "visitor_id", "account_id"]
    assert root.locator(".pp-head").evaluate("node => node.offsetHeight") < 50
    root.get_by_role("button", name="Columns").click()
    root.get_by_role("dialog").get_by_role("button", name="Only what changes").click()
    assert root.locator(".pp-sort").all_inner_texts() == ["id", "visitor_id", "account_id"]
