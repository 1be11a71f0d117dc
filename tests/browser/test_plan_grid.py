"""The preview of a plan as a person uses it: seen in the page, and held against what the view says was chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from blank import Blank, Theme, poll, serious_faults
from playwright.sync_api import Locator, expect

import pendosync as ps
from pendosync.preview.plan_view import PlanView
from tests.test_parted import in_parts

TARGET = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")
MAPPING = ps.Mapping("visitor", "id", [ps.Trait("plan", null="clear"), "seats", "team"])
N = 2_000


def plan_of(n: int = N, *, create: bool = True) -> ps.Plan:
    """A plan of *n* ids: of the plans held half are cleared, each id's seats move, and the last hundred are new."""
    users = pl.DataFrame(
        {
            "id": [f"u-{k:04}" for k in range(n)],
            "plan": ["pro" if k % 2 else None for k in range(n)],
            "seats": range(n),
            "team": [f"team {k % 5}" for k in range(n)],
        }
    )  # fmt: skip
    values = ps.map_traits(users, MAPPING)
    held = values.with_columns(plan=pl.lit("free"), seats=pl.col("seats") + 1).head(max(0, n - 100))
    long = values.head(3).with_columns(plan=pl.lit("x" * 1501))
    return ps.plan_changes(
        ps.diff_values(values, before=held, mapping=MAPPING),
        mapping=MAPPING,
        target=TARGET,
        create="unknown_ids" if create else "never",
        problems=ps.check_values(long, mapping=MAPPING),
        n_compared=n + 500,
        gates=ps.Gates(max_cleared=None),
    )


@pytest.fixture(scope="module")
def plan() -> ps.Plan:
    return plan_of()


@pytest.fixture
def view(plan: ps.Plan) -> Iterator[PlanView]:
    opened = PlanView(plan)
    yield opened
    opened.close()


@pytest.fixture
def root(blank: Blank, view: PlanView) -> Locator:
    return shown(blank, view)


def shown(blank: Blank, view: PlanView, *, theme: Theme = "light", width: int = 1160) -> Locator:
    root = blank.show(view, theme=theme, width=width)
    root.locator(".pp-head").wait_for()
    blank.page.wait_for_function("document.querySelector('.pp-foot').textContent.includes('selected')")
    return root


def row(root: Locator, id: str) -> Locator:
    return root.locator(".pp-row").filter(has=root.page.get_by_role("rowheader", name=id))


def ids(root: Locator) -> list[str]:
    return root.locator(".pp-row .pp-id bdi").all_inner_texts()


def chosen(view: PlanView) -> list[str]:
    return view.plan.select(view.selection).changes["id"].to_list()


def chip(root: Locator, name: str) -> Locator:
    return root.locator(".pp-chips .ps-chip").filter(has_text=name)


def open_menu(root: Locator, column: str) -> Locator:
    root.get_by_role("button", name=f"Sort, filter, pin or hide {column}", exact=True).click()
    menu = root.get_by_role("dialog")
    menu.wait_for()
    return menu


def test_the_first_rows_show_what_changes(root: Locator) -> None:
    first = row(root, "u-0000")
    expect(first.locator(".pp-cleared")).to_contain_text("free")
    expect(first.locator(".pp-changed")).to_have_text("1 0")
    expect(row(root, "u-0001").locator(".pp-changed").first).to_have_text("free pro")
    expect(first.locator(".pp-same")).to_have_text("team 0")
    expect(first.locator("s").first).to_have_css("text-decoration-line", "line-through")
    expect(root.locator(".pp-foot")).to_contain_text("2,000 selected")


def test_a_header_shows_a_column_gone_wrong(root: Locator) -> None:
    picture = root.get_by_role("img", name="plan:")
    expect(picture).to_have_attribute("aria-label", re.compile("950 cleared"))
    expect(root.locator(".pp-picture").first).to_contain_text("△ 950 cleared")


def test_ticks_reach_the_choice(root: Locator, view: PlanView) -> None:
    row(root, "u-0001").get_by_role("checkbox").click()
    expect(root.locator(".pp-foot")).to_contain_text("1,999 selected")
    row(root, "u-0003").get_by_role("checkbox").click()
    expect(root.locator(".pp-foot")).to_contain_text("1,998 selected")
    assert view.selection.but == ("u-0001", "u-0003")
    assert view.code == "plan.select(but=['u-0001', 'u-0003'])"
    assert len(chosen(view)) == N - 2


def test_a_range_is_ticked_with_shift(root: Locator, view: PlanView) -> None:
    row(root, "u-0002").get_by_role("checkbox").click()
    expect(root.locator(".pp-foot")).to_contain_text("1,999 selected")
    row(root, "u-0006").get_by_role("checkbox").click(modifiers=["Shift"])
    expect(root.locator(".pp-foot")).to_contain_text("1,995 selected")
    assert set(range(10)) - {int(one[2:]) for one in chosen(view)[:6]} == {2, 3, 4, 5, 6}


def test_chips_search_and_all_make_a_condition(root: Locator, view: PlanView) -> None:
    root.get_by_role("checkbox", name="Select all rows shown").click()
    expect(root.locator(".pp-foot")).to_contain_text("0 selected")
    chip(root, "create").click()
    expect(root.locator(".pp-foot")).to_contain_text("100 shown")
    expect(root.locator(".pp-filters")).to_be_hidden()  # the pressed chip says it
    root.get_by_label("Search ids and texts").fill("TEAM 3")
    expect(root.locator(".pp-foot")).to_contain_text("20 shown, none of them selected")
    root.get_by_role("checkbox", name="Select all rows shown").click()
    expect(root.locator(".pp-foot")).to_contain_text("20 selected")
    assert len(chosen(view)) == 20
    assert view.selection.also == ()
    assert "pl.col('action').is_in(['create'])" in view.code
    root.get_by_role("button", name="Clear all").click()
    expect(root.locator(".pp-foot")).to_contain_text("20 selected of 2,000 ids")


def test_a_column_is_filtered_by_its_state_and_its_range(root: Locator) -> None:
    menu = open_menu(root, "plan")
    menu.get_by_label("Cell").select_option("cleared")
    expect(root.locator(".pp-foot")).to_contain_text("950 shown")
    root.page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    menu = open_menu(root, "seats")
    menu.get_by_label("From").fill("100")
    menu.get_by_label("To").fill("109")
    expect(root.locator(".pp-foot")).to_contain_text("5 shown")
    root.page.keyboard.press("Escape")
    assert ids(root) == ["u-0100", "u-0102", "u-0104", "u-0106", "u-0108"]
    root.get_by_role("button", name="Take away the filter plan is cleared").click()
    expect(root.locator(".pp-foot")).to_contain_text("10 shown")


def test_a_column_is_filtered_by_its_values(root: Locator) -> None:
    menu = open_menu(root, "team")
    menu.get_by_label("team 2").check()
    expect(root.locator(".pp-foot")).to_contain_text("400 shown")


def test_a_header_sorts(root: Locator) -> None:
    head = root.get_by_role("columnheader").filter(has_text="seats")
    head.get_by_role("button", name="seats", exact=True).click()
    expect(head).to_have_attribute("aria-sort", "ascending")
    head.get_by_role("button", name="seats ↑").click()
    expect(head).to_have_attribute("aria-sort", "descending")
    expect(root.locator(".pp-row").first).to_contain_text("u-1999")
    head.get_by_role("button", name="seats ↓").click()
    expect(root.locator(".pp-row").first).to_contain_text("u-0000")


def test_the_grid_scrolls_through_the_kernel(blank: Blank, root: Locator) -> None:
    root.locator(".pp-box").evaluate("box => { box.scrollTop = 1000 * 28; }")
    row(root, "u-1000").wait_for()
    assert root.locator(".pp-row").count() < 40
    root.locator(".pp-box").evaluate("box => { box.scrollTop = box.scrollHeight; }")
    row(root, "u-1999").wait_for()
    assert max(question["args"]["n"] for question in blank.asked if question["kind"] == "rows") < 40


def test_rows_in_sight_are_asked_for_once(blank: Blank, root: Locator) -> None:
    expect(root.locator(".pp-heading svg")).to_have_count(3)
    assert [one["args"]["names"] for one in blank.asked if one["kind"] == "pictures"] == [
        [name] for name in ("plan", "seats", "team")
    ]
    blank.asked.clear()
    root.get_by_label("Go to id, press Enter").fill("u-1234")
    blank.page.keyboard.press("Enter")
    expect(row(root, "u-1234").locator(".pp-cursor")).to_be_visible()
    row(root, "u-1234").get_by_role("checkbox").click()
    expect(root.locator(".pp-foot")).to_contain_text("1,999 selected")
    assert [one["kind"] for one in blank.asked] == ["find", "rows"]


def test_an_id_is_jumped_to(root: Locator) -> None:
    root.get_by_label("Go to id, press Enter").fill("u-1234")
    root.page.keyboard.press("Enter")
    expect(row(root, "u-1234").locator(".pp-cursor")).to_be_visible()
    root.get_by_label("Go to id, press Enter").fill("nobody")
    root.page.keyboard.press("Enter")
    notice = root.locator(".ps-notice")
    expect(notice).to_contain_text("'nobody' is not in the plan")
    expect(root.locator(".pp-heading svg")).to_have_count(3)  # drawn from answers that came meanwhile
    expect(notice).to_contain_text("'nobody' is not in the plan")


def test_a_row_is_seen_whole_with_its_request(blank: Blank, root: Locator, plan: ps.Plan) -> None:
    row(root, "u-0001").locator(".pp-id").click()
    panel = root.get_by_role("complementary")
    expect(panel.get_by_role("heading", level=3)).to_have_text("u-0001")
    expect(panel).to_contain_text("row 1 of the table")
    expect(panel).to_contain_text("a text of 1501 characters")
    expect(panel).to_contain_text("Travels in request 1 of 4")
    expect(panel.locator(".ps-code").first).to_contain_text(
        '{"visitorId":"u-0001","values":{"plan":"pro","seats":1}}'
    )
    assert ps.dry_run(plan)["body"][0].find('{"visitorId":"u-0001","values":{"plan":"pro","seats":1}}') > 0
    panel.get_by_text("curl, the key left out").click()
    expect(panel.locator(".ps-code").last).to_contain_text("$PENDO_INTEGRATION_KEY")
    root.page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert root.page.evaluate("document.activeElement.getAttribute('role')") == "grid"


def test_everything_goes_by_keyboard(blank: Blank, root: Locator, view: PlanView) -> None:
    keyboard = blank.page.keyboard
    root.get_by_role("grid").focus()
    for key in ("ArrowDown", "ArrowDown", "Space"):
        keyboard.press(key)
    expect(root.locator(".pp-foot")).to_contain_text("1,999 selected")
    assert view.selection.but == ("u-0002",)
    keyboard.press("ArrowDown")
    keyboard.press("ArrowDown")
    keyboard.press("Shift+Space")
    expect(root.locator(".pp-foot")).to_contain_text("1,997 selected")
    assert view.selection.but == ("u-0002", "u-0003", "u-0004")
    keyboard.press("Control+End")
    row(root, "u-1999").wait_for()
    active = root.get_by_role("grid").get_attribute("aria-activedescendant")
    assert root.locator(f"#{active}").evaluate("node => node.closest('.pp-row').dataset.place") == "1999"
    keyboard.press("Enter")
    expect(root.get_by_role("heading", level=3)).to_have_text("u-1999")
    keyboard.press("Escape")
    keyboard.press("Control+Home")
    row(root, "u-0000").wait_for()
    keyboard.press("Control+a")
    expect(root.locator(".pp-foot")).to_contain_text("2,000 selected")
    keyboard.press("/")
    assert blank.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Search ids and texts"


def test_columns_are_hidden_and_pinned(root: Locator) -> None:
    open_menu(root, "plan").get_by_role("button", name="Hide").click()
    expect(root.get_by_role("columnheader").filter(has_text="plan")).to_have_count(0)
    open_menu(root, "team").get_by_role("button", name="Pin").click()
    expect(root.locator(".pp-head .pp-fixed")).to_contain_text("team")
    root.get_by_role("button", name="Columns").click()
    root.get_by_role("dialog").get_by_label("plan").check()
    expect(root.get_by_role("columnheader").filter(has_text="plan")).to_have_count(1)


def test_warned_rows_are_shown_by_their_chip(root: Locator) -> None:
    chip(root, "long text").click()
    expect(root.locator(".pp-foot")).to_contain_text("3 shown")
    root.get_by_role("button", name="See each with its reason").click()
    expect(root.locator(".pp-problems tbody tr")).to_have_count(3)
    root.get_by_role("button", name="Back to the rows").click()
    chip(root, "long text").click()
    expect(root.locator(".pp-foot")).to_contain_text("2,000 selected of 2,000 ids")


def test_blocked_rows_are_listed_with_their_reasons(blank: Blank) -> None:
    root = shown(blank, PlanView(plan_of(create=False)))
    chip(root, "not in pendo").click()
    expect(root.locator(".pp-problems tbody tr")).to_have_count(100)
    expect(root.locator(".pp-problems tbody tr").first).to_contain_text("u-1900")
    expect(root.locator(".pp-problems tbody tr").first).to_contain_text("creating is off")
    expect(root.locator(".pp-foot")).not_to_contain_text("rows")
    root.get_by_role("button", name="Back to the rows").click()
    expect(root.get_by_role("grid")).to_be_visible()


def test_unchanged_values_are_hidden_on_demand(root: Locator) -> None:
    root.get_by_label("Unchanged values").uncheck()
    expect(row(root, "u-0000").locator(".pp-same bdi")).to_be_hidden()
    expect(row(root, "u-0000").locator(".pp-changed")).to_be_visible()


def test_two_views_of_one_preview_stay_in_step(blank: Blank, root: Locator, view: PlanView) -> None:
    other = blank.show_again(view)
    expect(other.locator(".pp-foot")).to_contain_text("2,000 selected")
    row(root, "u-0001").get_by_role("checkbox").click()
    expect(other.locator(".pp-foot")).to_contain_text("1,999 selected")
    chip(other, "create").click()
    expect(root.locator(".pp-foot")).to_contain_text("100 shown")


def test_late_answers_do_not_come_back(blank: Blank, root: Locator, view: PlanView) -> None:
    blank.hold = True
    row(root, "u-0001").get_by_role("checkbox").click()
    row(root, "u-0002").get_by_role("checkbox").click()
    poll(blank.page, lambda: len([one for one in blank.comm.sent if "to" in one]) >= 2)
    blank.answer(last_first=True)
    expect(root.locator(".pp-foot")).to_contain_text("1,998 selected")


def test_the_code_is_copied(blank: Blank, root: Locator, view: PlanView) -> None:
    blank.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    row(root, "u-0001").get_by_role("checkbox").click()
    root.get_by_role("button", name="Copy as code").click()
    expect(root.get_by_role("button", name="Copied")).to_be_visible()


@pytest.mark.parametrize("n", [0, 1])
def test_small_plans_are_shown(blank: Blank, n: int) -> None:
    root = shown(blank, PlanView(plan_of(n)))
    assert len(ids(root)) == n
    expect(root.locator(".pp-empty")).to_have_text(
        "Nothing would change: Pendo holds these values already."
    ) if n == 0 else None
    assert serious_faults(blank.page) == []


IS_WHOLLY_SEEN = """(root, id) => {
    const box = root.querySelector('.pp-box').getBoundingClientRect();
    const row = [...root.querySelectorAll('.pp-row')].find(one => one.textContent.includes(id));
    return Boolean(row) && row.getBoundingClientRect().bottom <= box.bottom;
}"""


def test_ten_million_rows_are_paged_by_fraction(blank: Blank) -> None:
    n = 10_000_000
    part = plan_of(1_000)
    big = part.changes.select(pl.all().gather(pl.int_range(n) % 900)).with_columns(
        row=pl.int_range(n, dtype=pl.UInt32), id=pl.format("u-{}", pl.int_range(n))
    )
    view = PlanView(part.having(big))
    root = shown(blank, view)
    assert root.locator(".pp-pad").evaluate("node => node.offsetHeight") == 30_000_000
    root.get_by_role("grid").focus()
    blank.page.keyboard.press("Control+End")
    row(root, "u-9999999").wait_for()
    poll(blank.page, lambda: root.evaluate(IS_WHOLLY_SEEN, "u-9999999"))
    blank.page.keyboard.press("ArrowUp")
    expect(row(root, "u-9999998").locator(".pp-cursor")).to_be_visible()
    root.get_by_label("Go to id, press Enter").fill("u-5000000")
    blank.page.keyboard.press("Enter")
    expect(row(root, "u-5000000").locator(".pp-cursor")).to_be_visible()


def test_a_plan_in_parts_is_one_grid_and_a_lost_part_is_told(blank: Blank, tmp_path: Path) -> None:
    parted = in_parts(plan_of(), tmp_path / "plan", (700, 900, 400))
    view = PlanView(parted)
    root = shown(blank, view)
    root.locator(".pp-box").evaluate("box => { box.scrollTop = 697 * 28; }")
    row(root, "u-0699").get_by_role("checkbox").click()
    expect(root.locator(".pp-foot")).to_contain_text("1,999 selected")
    row(root, "u-0702").get_by_role("checkbox").click(modifiers=["Shift"])
    expect(root.locator(".pp-foot")).to_contain_text("1,996 selected")
    assert view.selection.but == ("u-0699", "u-0700", "u-0701", "u-0702")
    chip(root, "create").click()
    expect(root.locator(".pp-foot")).to_contain_text("100 shown, all of them selected")
    root.get_by_role("button", name="seats", exact=True).click()
    root.get_by_role("button", name="seats ↑").click()
    expect(root.locator(".pp-row").first).to_contain_text("u-1999")
    chip(root, "create").click()
    assert [id for part in parted.select(view.selection).parts.each() for id in part["id"]] == [
        f"u-{k:04}" for k in range(N) if k not in range(699, 703)
    ]
    root.get_by_role("button", name="seats ↓").click()
    expect(root.locator(".pp-row").first).to_contain_text("u-0000")
    (tmp_path / "plan" / "part-0001.parquet").unlink()
    root.locator(".pp-box").evaluate("box => { box.scrollTop = 1590 * 28; }")
    expect(root.get_by_text("can't be read (part-0001.parquet is missing)")).to_be_visible()
    row(root, "u-1600").wait_for()
    lost = root.locator(".pp-row").filter(has_text="can't be read")
    assert lost.count() > 3
    assert lost.get_by_role("checkbox").count() == 0
    expect(root.locator(".pp-foot")).to_contain_text("1,099 selected")
    lost.nth(5).click()
    expect(root.locator(".ps-notice")).to_contain_text("part-0001.parquet is missing")
    expect(root.get_by_role("complementary")).to_be_hidden()
    assert serious_faults(blank.page) == []


def hostile_plan() -> ps.Plan:
    """Sixty fields, one of them with a name of 200 characters, and values that would run or turn the text around."""
    names = ["a" * 200, *(f"field_{k}" for k in range(59))]
    texts = [
        "<img src=x onerror='window.ran=1'>",
        "</script><script>window.ran=1</script>",
        "שלום עולם",
        "a\u202eb\x07c",
    ]
    table = pl.DataFrame({"id": texts, **dict.fromkeys(names, texts[::-1])})
    mapping = ps.Mapping("visitor", "id", names)
    values = ps.map_traits(table, mapping)
    changes = ps.diff_values(values, before=values.clear(), mapping=mapping)
    return ps.plan_changes(changes, mapping=mapping, target=TARGET, create="unknown_ids")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_hostile_and_wide_tables_are_text_and_keep_nobody_out(blank: Blank, theme: Theme) -> None:
    root = shown(blank, PlanView(hostile_plan()), theme=theme)
    root.locator(".pp-row").first.locator(".pp-id").click()
    root.get_by_role("complementary").wait_for()
    assert root.locator(".pp-cell").count() < 140
    root.locator(".pp-box").evaluate("box => { box.scrollLeft = box.scrollWidth; }")
    root.get_by_role("columnheader").filter(has_text="field_58").wait_for()
    assert blank.page.evaluate("window.ran") is None
    assert root.locator("script, img").count() == 0
    assert "a\\u{202e}b\\u{7}c" in root.inner_text()
    open_menu(root, "field_58")
    assert serious_faults(blank.page) == []


def test_a_narrow_place_puts_the_row_below(blank: Blank, view: PlanView) -> None:
    root = shown(blank, view, width=420)
    row(root, "u-0001").locator(".pp-id").click()
    panel = root.get_by_role("complementary")
    panel.wait_for()
    box, below = root.locator(".pp-box").bounding_box(), panel.bounding_box()
    assert box is not None
    assert below is not None
    assert below["y"] >= box["y"] + box["height"]
    assert root.evaluate("node => node.scrollWidth <= node.clientWidth")
