"""The preview of a plan without fields: who joins an audience, who leaves it, and the request of each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from blank import Blank, serious_faults
from playwright.sync_api import expect

import pendosync as ps
from pendosync.preview.plan_view import PlanView


@pytest.fixture
def view() -> Iterator[PlanView]:
    settings = ps.Settings(app_key="no-integration-key")
    with ps.open_client(settings) as client:
        plan = ps.plan_audience(
            [f"v-{n:04}" for n in range(1_200)],
            remove=["gone-1", "gone-2"],
            client=client,
            audience_id="seg/1",
        )
    opened = PlanView(plan)
    yield opened
    opened.close()


def test_a_plan_without_fields_is_looked_at_and_chosen_from(blank: Blank, view: PlanView) -> None:
    root = blank.show(view)
    root.locator(".pp-row").first.wait_for()
    chips = root.locator(".pp-chips .ps-chip")
    assert [text.split() for text in chips.all_inner_texts()] == [["add", "1,200"], ["remove", "2"]]
    chips.filter(has_text="remove").click()
    expect(root.locator(".pp-row")).to_have_count(2)
    expect(root.locator(".pp-row .pp-mark").first).to_have_text("remove")
    root.get_by_role("checkbox", name="Select gone-1").click()
    expect(root.locator(".pp-foot")).to_contain_text("1,201")
    assert set(view.plan.changes["id"]) - set(view.plan.select(view.selection).changes["id"]) == {"gone-1"}
    root.get_by_role("rowheader", name="gone-2").click()
    expect(root).to_contain_text("PATCH /api/v1/segment/seg%2F1/visitor")
    assert serious_faults(blank.page) == []
