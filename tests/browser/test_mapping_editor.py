"""A mapping edited in a page: after each gesture the kernel is asked what it now holds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import polars as pl
import pytest
from blank import Blank, Theme, poll, serious_faults
from playwright.sync_api import Locator, expect

import pendosync as ps
from pendosync.errors import MappingError
from pendosync.frames import FIELDS
from pendosync.preview.mapping_view import MappingView
from tests.faults.hostile import TEXTS

KNOWN = [
    ("plan", "Plan", "text"),
    ("seats", "Seats bought", "integer"),
    ("region", "Sales region", "text"),
    ("signedup", "Signed up", "date"),
]
USERS = pl.DataFrame(
    {
        "user_id": ["u-1", "u-2"],
        "plan": ["pro", None],
        "Regoin": ["EMEA", "AMER"],
        "at": [datetime(2026, 11, 2, 8, 15)] * 2,
        "Seats Bought": ["5", "7"],
        "tags": [["a"], ["b"]],
    }
)
TRAITS = ["plan", "Regoin", ps.Trait("at", field="signedup", type="date")]


def fields(*more: tuple[str, str, str]) -> pl.DataFrame:
    lines = [
        {"kind": "visitor", "group": "custom", "field": key, "type": kind, "element_type": None,
         "display_name": name, "is_writable": True, "is_deleted": False, "is_hidden": False}
        for key, name, kind in (*KNOWN, *more)
    ]  # fmt: skip
    auto = {
        **lines[0],
        "group": "auto",
        "field": "browsername",
        "display_name": "Browser",
        "is_writable": False,
    }
    return pl.DataFrame([*lines, auto], schema=FIELDS)


@pytest.fixture
def view() -> MappingView:
    return ps.edit_mapping(USERS, ps.Mapping("visitor", "user_id", TRAITS), fields=fields())


def show(blank: Blank, view: MappingView, **how: Any) -> Locator:
    shown = blank.show(view, **how)
    expect(shown.get_by_role("table")).to_be_visible()
    return shown


@pytest.fixture
def shown(blank: Blank, view: MappingView) -> Locator:
    return show(blank, view)


def field_box(shown: Locator, trait: str) -> Locator:
    return shown.get_by_role("combobox", name=f"Pendo field of {trait}")


def options(shown: Locator) -> Locator:
    return shown.locator("[role=listbox] [role=option]")


def row(shown: Locator, trait: str) -> Locator:
    return shown.get_by_role("row").filter(has=field_box(shown.page.locator(":scope"), trait))


def trait_of(view: MappingView, column: str) -> ps.Trait | None:
    return next((trait for trait in view.mapping.each_trait if trait.column == column), None)


def wait_for(blank: Blank, view: MappingView, column: str, trait: ps.Trait | None) -> None:
    poll(blank.page, lambda: trait_of(view, column) == trait)


def test_a_mapping_is_shown_as_it_stands_and_keys_lead_through_it(blank: Blank, shown: Locator) -> None:
    expect(shown.locator(".pm-counts")).to_have_text("3 traits → 1 field · ✕ 2 blocked")
    expect(shown.get_by_role("row").nth(1)).to_contain_text("✓ 2 unique")
    expect(row(shown, "plan")).to_contain_text('"pro"')
    expect(row(shown, "at")).to_contain_text("✕ no time zone")
    expect(shown.locator(".pm-left")).to_contain_text("Left out: 2 columns")
    expect(shown.locator(".pm-untouched summary")).to_contain_text("2 fields")
    shown.get_by_role("checkbox", name="Include Regoin").focus()
    labels = []
    for _ in range(6):
        blank.page.keyboard.press("Tab")
        labels.append(
            blank.page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.textContent")
        )
    assert labels == [
        "Pendo field of Regoin", "Type of Regoin", "On null of Regoin", "use region", "leave out", "Include at",
    ]  # fmt: skip


def test_a_trait_is_left_out_and_taken_in_again(blank: Blank, view: MappingView, shown: Locator) -> None:
    tick = shown.get_by_role("checkbox", name="Include plan")
    tick.press("Space")
    wait_for(blank, view, "plan", None)
    expect(row(shown, "plan")).to_contain_text("left out")
    expect(tick).to_be_focused()
    tick.press("Space")
    wait_for(blank, view, "plan", ps.Trait("plan"))


def test_a_field_is_chosen_by_the_keyboard_alone(blank: Blank, view: MappingView, shown: Locator) -> None:
    box = field_box(shown, "Regoin")
    box.focus()
    box.press("ArrowDown")
    expect(options(shown)).to_have_count(6)
    browser = options(shown).filter(has_text="browsername")
    expect(browser).to_have_attribute("aria-disabled", "true")
    expect(browser).to_contain_text("in group auto")
    box.press("Escape")
    expect(options(shown)).to_have_count(0)
    box.press("ArrowDown")
    blank.page.keyboard.type("sales reg")  # by its display name
    assert box.get_attribute("aria-activedescendant") == options(shown).first.get_attribute("id")
    box.press("Enter")
    wait_for(blank, view, "Regoin", ps.Trait("Regoin", field="region", type="text"))
    expect(box).to_have_value("region")
    expect(box).to_be_focused()
    box.fill("s")
    for key in (
        "ArrowDown",
        "ArrowDown",
        "ArrowDown",
        "ArrowDown",
        "ArrowDown",
        "ArrowUp",
    ):  # past what can't be chosen
        box.press(key)
    expect(shown.locator(f"#{box.get_attribute('aria-activedescendant')}")).to_contain_text("signedup")
    box.press("Tab")
    expect(box).to_have_value("region")
    assert trait_of(view, "Regoin") == ps.Trait("Regoin", field="region", type="text")


def test_a_new_field_says_what_must_be_created_first(blank: Blank, view: MappingView, shown: Locator) -> None:
    box = field_box(shown, "plan")
    box.fill("tier")
    expect(options(shown)).to_have_text("New field tiercreate it in Pendo first")
    options(shown).click()
    wait_for(blank, view, "plan", ps.Trait("plan", field="tier"))
    expect(row(shown, "plan")).to_contain_text("✕ not in Pendo")
    expect(row(shown, "plan")).to_contain_text("Create it there first, of type text")
    expect(shown).to_contain_text(
        "2 fields are not in Pendo: create them first, in the group custom of visitors"
    )


def test_without_fields_any_may_be_named(blank: Blank) -> None:
    view = ps.edit_mapping(USERS, ps.Mapping("visitor", "user_id", ["plan"]))
    box = field_box(show(blank, view), "plan")
    box.fill("tier")
    box.press("Enter")
    wait_for(blank, view, "plan", ps.Trait("plan", field="tier"))


def test_type_and_null_are_chosen_and_another_view_stays_in_step(
    blank: Blank, view: MappingView, shown: Locator
) -> None:
    other = blank.show_again(view)
    expect(other.get_by_role("table")).to_be_visible()
    shown.get_by_label("On null of plan").select_option("clear")
    expect(other.get_by_label("On null of plan")).to_have_value("clear")
    assert trait_of(view, "plan") == ps.Trait("plan", null="clear")
    shown.get_by_label("Type of plan").select_option("list")
    wait_for(blank, view, "plan", ps.Trait("plan", type="list", null="clear"))
    expect(row(shown, "plan")).to_contain_text("✕ no such type in Pendo")
    shown.get_by_label("Type of plan").select_option("")
    wait_for(blank, view, "plan", ps.Trait("plan", null="clear"))


def test_one_click_applies_a_mend(blank: Blank, view: MappingView, shown: Locator) -> None:
    shown.get_by_role("button", name="use region").click()
    wait_for(blank, view, "Regoin", ps.Trait("Regoin", field="region", type="text"))
    expect(row(shown, "Regoin")).to_contain_text("✓")
    expect(shown.get_by_role("checkbox", name="Include Regoin")).to_be_focused()
    row(shown, "at").get_by_role("button", name="leave out").click()
    wait_for(blank, view, "at", None)


def test_a_time_zone_is_chosen_in_the_row_or_typed(blank: Blank, view: MappingView, shown: Locator) -> None:
    row(shown, "at").get_by_role("button", name="UTC").click()
    expect(row(shown, "at")).to_contain_text('"2026-11-02T08:15:00.000+00:00"')
    assert view.mapping.time_zone == "UTC"
    box = shown.get_by_label("Times without a zone")
    for zone, told in (("Europe/Nowhere", "does not exist"), ("Europe/Berlin", "")):
        box.fill(zone)
        box.press("Enter")
        expect(shown.get_by_role("alert") if told else row(shown, "at")).to_contain_text(
            told or "07:15:00.000"
        )
    assert view.mapping.time_zone == "Europe/Berlin"


def test_a_column_that_was_left_out_is_added(blank: Blank, view: MappingView, shown: Locator) -> None:
    shown.get_by_role("button", name="Add Seats Bought").click()
    wait_for(blank, view, "Seats Bought", ps.Trait("Seats Bought", field="seats", type="integer"))
    expect(row(shown, "Seats Bought")).to_contain_text("5 · 7")
    expect(shown.locator(".pm-left")).to_contain_text("Left out: 1 column")


def test_two_traits_to_one_field_are_told_until_mended(
    blank: Blank, view: MappingView, shown: Locator
) -> None:
    box = field_box(shown, "Regoin")
    box.fill("plan")
    box.press("Enter")
    expect(shown.get_by_role("alert")).to_contain_text("Two traits go to the field 'plan'")
    expect(row(shown, "plan")).to_contain_text("✕ two traits, one field")
    expect(shown.get_by_role("button", name="Copy as code")).to_be_disabled()
    with pytest.raises(MappingError, match="Two traits go to the field"):
        _ = view.mapping
    row(shown, "Regoin").get_by_role("button", name="leave out").click()
    expect(shown.get_by_role("alert")).to_be_hidden()
    assert view.mapping.each_trait == (ps.Trait("plan"), TRAITS[2])


def test_the_code_that_is_copied_makes_the_mapping(blank: Blank, view: MappingView, shown: Locator) -> None:
    take = "Object.defineProperty(navigator, 'clipboard', {value: {writeText: async text => { window.copied = text; }}})"
    blank.page.evaluate(take)
    shown.get_by_role("button", name="Copy as code").click()
    expect(shown.get_by_role("button", name="Copied")).to_be_visible()
    names: dict[str, Any] = {}
    exec(blank.page.evaluate("window.copied"), names)
    assert names["mapping"] == view.mapping
    shown.get_by_role("button", name="Show code").click()
    shown.get_by_label("Language of the code").select_option("toml")
    assert shown.locator("pre").inner_text().strip() == view.mapping.to_toml().strip()


def test_hostile_names_and_values_run_nothing(blank: Blank) -> None:
    texts = [text for text in TEXTS.values() if len(text) < 300]
    table = pl.DataFrame({"id": texts, **dict.fromkeys(texts, texts)})
    known = fields(*((text, text, text) for text in texts))
    view = ps.edit_mapping(table, ps.Mapping("visitor", "id", texts[::2]), fields=known)
    shown = show(blank, view)
    shown.get_by_role("button", name="Show code").click()
    for summary in shown.locator("summary").all():
        summary.click()
    shown.get_by_role("combobox").first.click()
    assert blank.page.evaluate("window.ran") is None
    assert shown.locator("script, img, svg, iframe, a, style").count() == 0
    assert shown.locator("tbody tr").count() == len(texts[::2]) + 1


def many() -> MappingView:
    names = [f"column_{at}" for at in range(57)] + ["שלום", "n" * 200, "word " * 40]
    table = pl.DataFrame(
        {"id": ["a"], **{name: [1] for name in names}, **{f"more_{at}": [1] for at in range(60)}}
    )
    known = fields(*((f"field_{at}", f"Field {at}", "text") for at in range(60)))
    return ps.edit_mapping(table, ps.Mapping("visitor", "id", names), fields=known)


def test_sixty_traits_scroll_inside_below_a_head_that_stays(blank: Blank) -> None:
    shown = show(blank, many())
    box = shown.bounding_box()
    assert box is not None
    assert box["height"] < 900
    shown.locator(".pm-scroll").evaluate("node => node.scrollTop = 99999")
    head, last = shown.get_by_role("columnheader").nth(1), shown.get_by_role("row").last
    expect(head).to_be_in_viewport()
    expect(last).to_be_in_viewport()
    assert last.locator(".pm-trait bdi").get_attribute("title") == "word " * 40
    last_box = last.bounding_box()
    assert last_box is not None
    assert last_box["width"] <= box["width"]


def test_a_narrow_page_stacks_each_row(blank: Blank, view: MappingView) -> None:
    shown = show(blank, view, width=420)
    tick = shown.get_by_role("checkbox").first.bounding_box()
    check = shown.locator(".pm-check").nth(1).bounding_box()
    assert tick is not None
    assert check is not None
    assert check["y"] > tick["y"] + 60
    assert serious_faults(blank.page) == []
    shown = show(blank, many(), width=420)
    assert shown.evaluate("root => root.scrollWidth <= root.clientWidth")
    assert blank.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_keeps_nobody_out(blank: Blank, view: MappingView, theme: Theme) -> None:
    shown = show(blank, view, theme=theme)
    shown.get_by_role("checkbox", name="Include at").click()
    expect(row(shown, "at")).to_contain_text("left out")
    shown.get_by_role("button", name="Show code").click()
    for summary in shown.locator("details:not([open]) > summary").all():
        summary.click()
    field_box(shown, "Regoin").click()
    expect(shown.get_by_role("listbox")).to_be_visible()
    assert serious_faults(blank.page) == []
