"""A run's live view: it takes its place over the picture, does what is clicked, and shows what was rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import polars as pl
import pytest
from blank import Blank, Theme, poll, serious_faults
from lab import contrasts, too_faint
from playwright.sync_api import Locator, expect

import pendosync as ps
from pendosync.errors import JournalError
from pendosync.frames import OUTCOMES, Progress
from pendosync.preview.deeds import Deeds
from pendosync.preview.run_controls import MOST_REASONS, PAGE, RunControls
from pendosync.preview.run_view import run_html

START = Progress(
    "2026-11-23-a41f9c", "5,119 visitors → custom, eu (app.eu.pendo.io)", "running", 5119, 11, 0, 0,
    most_per_s=5, allowed_per_s=5,
)  # fmt: skip
HALF = replace(
    START, counts={"updated": 3122, "missing": 58, "failed": 2}, batches_done=6, requests=7, elapsed_s=2.0,
    requests_per_s=4.9, ids_per_s=1591.0, left_s=1.2,
)  # fmt: skip
END = replace(
    HALF, state="done", counts={"updated": 5059, "missing": 58, "failed": 2}, batches_done=11, requests=12,
    elapsed_s=1080.0, requests_per_s=None, ids_per_s=None, left_s=None,
)  # fmt: skip


def outcomes_of(*rejected: tuple[str, str, str | None]) -> pl.DataFrame:
    """Return OUTCOMES with one updated id and those of *rejected*: id, status, reason."""
    rows = [("r", 0, "u-0", "updated", None), *(("r", 0, *one) for one in rejected)]
    return pl.DataFrame(rows, schema=OUTCOMES, orient="row")


TWO = outcomes_of(("u-1", "missing", None), ("u-2", "failed", "too long"))


class Wall:
    """A run's view on a blank page, whose run only notes what is asked of it."""

    def __init__(self, blank: Blank, outcomes: pl.DataFrame = TWO, *, is_here: bool = True) -> None:
        self.blank = blank
        self.done: list[str] = []
        self.fails = False
        pause, proceed, cancel = (self._note(name) for name in ("pause", "proceed", "cancel"))
        self.controls = RunControls(START, Deeds(pause, proceed, cancel, lambda: outcomes, is_here))

    def _note(self, name: str) -> Callable[[], None]:
        def deed() -> None:
            if self.fails:
                raise JournalError("The journal can't be written. Expected a folder. Hint: ask again.")
            self.done.append(name)

        return deed

    def show(self, progress: Progress = HALF, *, theme: Theme = "light", width: int = 1160) -> Locator:
        self.controls.show(progress)
        return self.blank.show_over(self.controls, self.picture(progress), theme=theme, width=width)

    def picture(self, progress: Progress = HALF) -> str:
        return run_html(progress, self.controls.mark)

    def move(self, progress: Progress) -> None:
        """Let the run move, and the page hear of it, which it does a few times a second."""
        poll(self.blank.page, lambda: self._tells(progress))
        self.blank.answer()

    def _tells(self, progress: Progress) -> bool:
        self.controls.show(progress)
        return bool(self.blank.comm.sent)


@pytest.fixture
def wall(blank: Blank) -> Wall:
    return Wall(blank)


def press(shown: Locator, name: str) -> None:
    shown.get_by_role("button", name=name, exact=True).click()


def test_the_view_lies_over_the_picture(wall: Wall) -> None:
    shown = wall.show()
    expect(shown).to_contain_text("Pushing 5,119 visitors → custom, eu (app.eu.pendo.io)")
    expect(shown).to_contain_text("4.9 of 5 requests/s · 1,591 ids/s · about 1 s left")
    (bar,) = wall.blank.page.get_by_role("progressbar").all()
    assert [bar.get_attribute(f"aria-{name}") for name in ("valuemin", "valuenow", "valuemax")] == [
        "0",
        "3182",
        "5119",
    ]
    assert shown.locator(".ps-run-counts > span").all_inner_texts() == [
        "3,122 updated",
        "58 missing",
        "2 failed",
        "1,937 to go",
    ]


def test_the_picture_stays_until_the_kernel_has_told_how_it_goes(wall: Wall) -> None:
    wall.blank.hold = True
    shown = wall.show()
    expect(shown).to_be_hidden()
    expect(wall.blank.page.get_by_role("progressbar")).to_have_count(1)
    wall.blank.answer()
    expect(shown).to_be_visible()
    expect(wall.blank.page.get_by_role("progressbar")).to_have_count(1)


def test_a_picture_that_comes_later_gets_its_view(wall: Wall) -> None:
    shown = wall.show()
    wall.blank.picture(
        f"<div>{wall.picture()}</div><div>{wall.picture()}</div><div data-pendosync-run='other'></div>"
    )
    expect(shown).to_have_count(2)
    wall.move(replace(HALF, counts={"updated": 4000}))
    for one in shown.all():
        expect(one).to_contain_text("4,000 updated")


def test_a_picture_that_is_drawn_anew_keeps_view_and_focus(wall: Wall) -> None:
    shown = wall.show()
    press(shown, "Cancel")
    expect(shown.get_by_role("button", name="Stop")).to_be_focused()
    wall.blank.picture(wall.picture())
    expect(shown).to_have_count(1)
    expect(shown.get_by_role("button", name="Stop")).to_be_focused()
    expect(wall.blank.page.get_by_role("progressbar")).to_have_count(1)


def test_pause_and_resume_do_what_they_say_and_show_it_at_once(wall: Wall) -> None:
    shown = wall.show()
    press(shown, "Pause")
    expect(shown.get_by_role("button", name="pausing …")).to_have_attribute("aria-disabled", "true")
    wall.move(HALF)
    expect(shown.get_by_role("button", name="pausing …")).to_be_visible()
    wall.move(replace(HALF, state="paused"))
    expect(shown).to_contain_text("Push paused:")
    press(shown, "Resume")
    expect(shown.get_by_role("button", name="going on …")).to_be_visible()
    wall.move(HALF)
    expect(shown.get_by_role("button", name="Pause")).to_be_visible()
    assert wall.done == ["pause", "proceed"]


def test_cancel_asks_once_more(wall: Wall) -> None:
    shown = wall.show()
    for back in ("Go on", "Escape"):
        press(shown, "Cancel")
        expect(shown.get_by_role("group", name="Cancel the push")).to_contain_text(
            "Stop after what is in flight?"
        )
        press(shown, back) if back == "Go on" else wall.blank.page.keyboard.press(back)
        expect(shown.get_by_role("button", name="Cancel", exact=True)).to_be_focused()
    assert wall.done == []
    press(shown, "Cancel")
    press(shown, "Stop")
    expect(shown.get_by_role("button", name="stopping …")).to_be_focused()
    assert wall.done == ["cancel"]
    wall.move(replace(HALF, state="cancelled"))
    expect(shown.get_by_role("button")).to_have_count(1)
    expect(shown).to_contain_text("resume_push(journal, '2026-11-23-a41f9c', client=client) goes on.")
    expect(shown).to_be_focused()


def test_a_click_that_can_not_be_carried_out_is_told(wall: Wall) -> None:
    shown = wall.show()
    wall.fails = True
    press(shown, "Pause")
    expect(shown.get_by_role("status").first).to_have_text(
        "The journal can't be written. Expected a folder. Hint: ask again."
    )
    expect(shown.get_by_role("button", name="Pause")).to_have_attribute("aria-disabled", "false")


@pytest.mark.parametrize(
    ("is_here", "told"), [(True, "to stop the run"), (False, "the run hears what was clicked")]
)
def test_a_kernel_that_a_cell_holds_is_told_within_a_second(blank: Blank, is_here: bool, told: str) -> None:
    shown = Wall(blank, is_here=is_here).show()
    expect(shown).to_contain_text("Pushing")
    blank.hold = True
    press(shown, "Pause")
    expect(shown.get_by_role("status").first).to_contain_text("A cell is running", timeout=1500)
    expect(shown.get_by_role("status").first).to_contain_text(told)
    blank.answer()
    expect(shown.get_by_role("status").first).to_be_hidden()


def test_a_kernel_that_is_gone_leaves_the_way_to_go_on(wall: Wall) -> None:
    shown = wall.show()
    expect(shown).to_contain_text("Pushing")
    wall.blank.page.evaluate("lose()")
    expect(shown).to_contain_text(
        "The kernel is gone. The journal knows what was pushed: resume_push(journal,"
    )


def test_a_view_whose_kernel_is_gone_takes_no_new_place(wall: Wall) -> None:
    shown = wall.show()
    expect(shown).to_contain_text("Pushing")
    wall.blank.page.evaluate("() => { model.send = () => { throw new Error('Cannot send'); }; }")
    wall.blank.picture(wall.picture())
    expect(shown).to_have_count(0)
    expect(wall.blank.page.locator("main")).to_contain_text("Pushing 5,119 visitors")


def test_a_wait_counts_down_by_itself(wall: Wall) -> None:
    shown = wall.show(replace(HALF, waits_s=1.7, allowed_per_s=2.5))
    expect(shown).to_contain_text("△ Pendo asked to wait: going on in 2 s")
    expect(shown).to_contain_text("2.5 requests/s instead of 5")
    expect(shown).to_contain_text("going on in 1 s")
    expect(shown).not_to_contain_text("asked to wait")


def test_the_course_of_a_run_is_a_line_with_a_sentence(wall: Wall) -> None:
    for second in range(1, 7):
        wall.controls.show(replace(HALF, counts={"updated": 100 * second}, elapsed_s=float(second)))
    shown = wall.show(replace(HALF, counts={"updated": 900}, elapsed_s=7.5))
    expect(shown.get_by_role("img")).to_have_attribute(
        "aria-label", "Ids a second over the run: 200 now, 200 at most"
    )
    d = shown.locator("path").get_attribute("d") or ""
    assert len(d.split("L")) == 7


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (replace(END, counts={"updated": 5119}), "✓ All 5,119 visitors were updated in 18 min."),
        (END, "△ In 18 min: 5,059 updated; 60 rejected: 58 missing, 2 failed."),
        (
            replace(END, state="stopped", counts={"updated": 5000}),
            "✕ After 18 min: 5,000 updated; 119 pending.",
        ),
    ],
)
def test_the_end_is_a_sentence_with_a_sign(wall: Wall, end: Progress, told: str) -> None:
    shown = wall.show()
    expect(shown).to_contain_text("Pushing")
    wall.move(end)
    expect(shown.get_by_role("strong")).to_have_text(told)
    expect(shown.get_by_role("button", name="Pause")).to_have_count(0)
    expect(shown.locator("[aria-live=polite]:not([role])")).to_contain_text(told[2:])


def test_rejected_rows_are_paged_by_their_reasons(blank: Blank) -> None:
    missing = [(f"m-{n}", "missing", None) for n in range(PAGE + 20)]
    wall = Wall(blank, outcomes_of(*missing, ("u-2", "failed", "too long")))
    shown = wall.show(replace(END, counts={"missing": PAGE + 20, "failed": 1}))
    press(shown, "Show the 121 rejected rows")
    reasons = shown.get_by_role("group", name="Reasons").get_by_role("button")
    expect(reasons).to_have_text(["121all of them", "120missing no reason was given", "1failed too long"])
    rows = shown.locator("tbody tr")
    expect(rows).to_have_count(PAGE)
    press(shown, "Next ›")
    expect(rows).to_have_count(21)
    expect(shown).to_contain_text("101 to 121 of 121 rows")
    expect(shown.get_by_role("button", name="Next ›")).to_be_disabled()
    reasons.last.click()
    expect(rows).to_have_text(["u-2failedtoo long"])
    press(shown, "Hide the 121 rejected rows")
    expect(rows.first).to_be_hidden()


def test_a_million_rejected_rows_do_not_travel_at_once(blank: Blank) -> None:
    ids = pl.int_range(1_000_000, eager=True, dtype=pl.UInt32).cast(pl.String)
    why = pl.format("no {}", ids.rename("id"))
    outcomes = (
        ids.rename("id")
        .to_frame()
        .select(run_id=pl.lit("r"), batch=pl.lit(0), id="id", status=pl.lit("failed"), reason=why)
    )
    wall = Wall(blank, outcomes)
    shown = wall.show(replace(END, n_ids=1_000_000, counts={"failed": 1_000_000}))
    press(shown, "Show the 1,000,000 rejected rows")
    expect(shown.locator("tbody tr")).to_have_count(PAGE, timeout=20_000)
    expect(shown).to_contain_text(f"and {1_000_000 - MOST_REASONS:,} other reasons")


def test_the_code_gives_the_rejected_rows(
    wall: Wall, journal: ps.Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = wall.show(END)
    press(shown, "Show the 60 rejected rows")
    code = shown.locator("pre")
    expect(code).to_contain_text("plan_rejected")
    names = {"ps": ps, "pl": pl, "journal": journal}
    with pytest.raises(JournalError, match=r"holds no run '2026-11-23-a41f9c'"):
        exec(code.inner_text(), names)
    for line in code.inner_text().splitlines():
        compile(line, "line", "exec")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1160, 360])
def test_it_is_readable_and_keeps_nobody_out(blank: Blank, theme: Theme, width: int) -> None:
    hostile = "<img src=x onerror='window.ran=1'>\u202e" + "long" * 60
    wall = Wall(blank, outcomes_of((hostile, "failed", hostile), ("שלום", "missing", None)))
    long = {"title": f"5,119 visitors → {hostile}", "run_id": "2026-11-23-" + "a" * 200}
    shown = wall.show(
        replace(HALF, waits_s=60, allowed_per_s=1, note=hostile, **long), theme=theme, width=width
    )
    press(shown, "Cancel")
    assert_is_sound(wall, shown)
    wall.move(replace(END, note=hostile, **long))
    press(shown, "Show the 60 rejected rows")
    expect(shown.locator("tbody tr")).to_have_count(2)
    assert_is_sound(wall, shown)
    assert blank.page.evaluate("window.ran") is None
    assert "\u202e" not in shown.inner_text()
    assert shown.locator("tbody bdi").first.evaluate("node => node.textContent").startswith("<img src=x")


def assert_is_sound(wall: Wall, shown: Locator) -> None:
    """Nothing keeps people out, each text can be read, and nothing is wider than its frame."""
    assert serious_faults(wall.blank.page) == []
    assert len(contrasts(shown)) > 8
    assert too_faint(shown) == []
    assert shown.evaluate("node => node.scrollWidth <= node.clientWidth")
