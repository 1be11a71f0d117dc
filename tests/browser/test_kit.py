"""What each widget stands on: questions and answers, what is said when none comes, and values as text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from blank import Blank, serious_faults
from playwright.sync_api import Locator, expect

from pendosync.errors import PlanError
from pendosync.preview.view import View, read_module, read_style

MODULE = """
function render({model, el}) {
    const {root, ask, hear, close} = open(model, el, "A widget");
    const said = h("p", {class: "said"});
    ask("echo", {text: ""});
    const show = (answer) => said.append(value(answer.text), h("br"));
    hear("moved", show);
    root.append(
        button("Ask", () => ask("echo", {text: "one"}, show)),
        button("Ask twice", () => { ask("echo", {text: "first"}, show); ask("echo", {text: "second"}, show); }),
        button("Fail", () => ask("fail", {}, show)),
        button("Copy", (event) => copy("the text", event.target)),
        said);
    return close;
}
export default { render };
"""


class Echo(View):
    """Answers with what it was asked."""

    _esm = read_module("kit").replace("export ", "") + MODULE
    _css = read_style()

    def _answers(self) -> Mapping[str, Callable[..., Any]]:
        return {"echo": lambda text: {"text": text}, "fail": self._fail}

    def _title(self) -> str:
        return "An echo"

    def _fail(self) -> None:
        raise PlanError("It can't be. Expected another. Hint: ask again.")


@pytest.fixture
def shown(blank: Blank) -> Locator:
    return blank.show(Echo())


def press(shown: Locator, name: str) -> None:
    shown.get_by_role("button", name=name, exact=True).click()


def said(shown: Locator) -> list[str]:
    return shown.locator(".said").inner_text().split()


def test_an_answer_is_shown(shown: Locator) -> None:
    press(shown, "Ask")
    expect(shown.locator(".said")).to_have_text("one")


@pytest.mark.parametrize("last_first", [False, True])
def test_a_late_answer_is_dropped(blank: Blank, shown: Locator, last_first: bool) -> None:
    blank.hold = True
    press(shown, "Ask twice")
    blank.answer(last_first=last_first)
    assert said(shown) == ["second"]


def test_an_answer_to_another_view_is_not_taken(blank: Blank, shown: Locator) -> None:
    other = blank.show_again(Echo())
    press(shown, "Ask")
    expect(shown.locator(".said")).to_have_text("one")
    assert said(other) == []


def test_what_the_kernel_tells_reaches_each_view(blank: Blank, shown: Locator) -> None:
    other = blank.show_again(Echo())
    blank.page.evaluate("deliver([{tell: 'moved', text: 'all'}])")
    assert (said(shown), said(other)) == (["all"], ["all"])


def test_an_error_stays_until_something_is_done(blank: Blank, shown: Locator) -> None:
    press(shown, "Ask")
    expect(shown.locator(".said")).to_have_text("one")
    press(shown, "Fail")
    status = shown.get_by_role("status")
    expect(status).to_have_text("It can't be. Expected another. Hint: ask again.")
    blank.page.evaluate("deliver([{tell: 'moved', text: 'all'}])")
    expect(shown.locator(".said")).to_contain_text("all")
    expect(status).to_be_visible()
    press(shown, "Copy")
    expect(status).to_be_hidden()


def test_a_kernel_that_does_not_answer_is_waited_for(blank: Blank, shown: Locator) -> None:
    blank.hold = True
    press(shown, "Ask")
    expect(shown.get_by_role("status")).to_contain_text("it answers when the cell has ended")
    blank.answer()
    expect(shown.get_by_role("status")).to_be_hidden()
    assert said(shown) == ["one"]


def test_a_kernel_that_is_gone_is_told(blank: Blank, shown: Locator) -> None:
    blank.page.evaluate("lose()")
    expect(shown.get_by_role("status")).to_contain_text("Run the cell again to go on")
    assert shown.locator("button").first.evaluate("node => getComputedStyle(node).pointerEvents") == "none"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("<img src=x onerror='window.ran=1'>", "<img src=x onerror='window.ran=1'>"),
        ("</script>", "</script>"),
        ("a\u202eb\x07", "a\\u{202e}b\\u{7}"),
        ("שלום world", "שלום world"),
    ],
)
def test_values_are_shown_as_text(blank: Blank, shown: Locator, text: str, seen: str) -> None:
    blank.page.evaluate("text => deliver([{tell: 'moved', text}])", text)
    assert shown.locator("bdi").evaluate("node => node.textContent") == seen
    assert shown.locator("bdi *").count() == 0
    assert blank.page.evaluate("window.ran") is None


def test_a_text_is_copied_and_that_is_said(blank: Blank, shown: Locator) -> None:
    press(shown, "Copy")
    expect(shown.get_by_role("button").last).to_have_text("Copied")


def test_the_keys_of_jupyterlab_rest_while_one_of_ours_has_the_focus(blank: Blank, shown: Locator) -> None:
    focused = shown.get_by_role("button", name="Copy")
    focused.focus()
    blank.page.keyboard.press("d")
    assert focused.get_attribute("data-lm-suppress-shortcuts") is not None
    blank.page.keyboard.press("Control+s")
    assert focused.get_attribute("data-lm-suppress-shortcuts") is None


def test_it_keeps_nobody_out(blank: Blank, shown: Locator) -> None:
    press(shown, "Fail")
    assert serious_faults(blank.page) == []


class Lying(Echo):
    """An echo that lies over the picture of an output."""

    _esm = Echo._esm.replace("export default { render };", "export default widget(render);")


PICTURE = "<div class='jp-RenderedHTMLCommon'><div data-pendosync-view='{mark}'><p class='picture'>A picture</p></div></div>"


def test_a_view_lies_over_the_picture_of_its_output(blank: Blank) -> None:
    view = Lying()
    shown = blank.show_over(view, PICTURE.format(mark=view.mark))
    press(shown, "Ask")
    expect(shown.locator(".said")).to_have_text("one")
    expect(blank.page.locator(".picture")).to_be_hidden()
    assert blank.page.locator(".jp-RenderedHTMLCommon").count() == 0


def test_a_picture_that_is_drawn_anew_gets_its_view_again(blank: Blank) -> None:
    view = Lying()
    shown = blank.show_over(view, PICTURE.format(mark=view.mark))
    press(shown, "Ask")
    blank.picture(PICTURE.format(mark=view.mark))
    press(shown, "Ask")
    expect(shown.locator(".said")).to_have_text("one")


def test_an_output_that_comes_back_into_sight_keeps_its_view(blank: Blank) -> None:
    view = Lying()
    shown = blank.show_over(view, PICTURE.format(mark=view.mark))
    press(shown, "Ask")
    expect(shown.locator(".said")).to_have_text("one")
    blank.page.evaluate("() => { window.away = document.querySelector('main > div'); away.remove(); }")
    blank.page.evaluate("() => document.querySelector('main').append(away)")
    expect(shown.locator(".said")).to_have_text("one")


def test_an_output_that_stays_away_is_given_up_and_comes_back_anew(blank: Blank) -> None:
    view = Lying()
    blank.page.clock.install()
    shown = blank.show_over(view, PICTURE.format(mark=view.mark))
    press(shown, "Ask")
    expect(shown.locator(".said")).to_have_text("one")
    blank.page.evaluate("() => { window.away = document.querySelector('main > div'); away.remove(); }")
    blank.page.clock.run_for(2 * 300_000)
    assert blank.page.evaluate("away.querySelectorAll('.ps').length") == 0
    blank.page.evaluate("() => document.querySelector('main').append(away)")
    expect(shown.locator(".said")).to_have_text("")
    press(shown, "Ask")
    expect(shown.locator(".said")).to_have_text("one")


def test_a_picture_whose_kernel_is_gone_stays_what_it_is(blank: Blank) -> None:
    view = Lying()
    blank.show_over(view, PICTURE.format(mark=view.mark))
    blank.page.evaluate("() => { model.send = () => { throw new Error('Cannot send'); }; }")
    blank.picture(PICTURE.format(mark=view.mark))
    expect(blank.page.locator(".picture")).to_be_visible()
    assert blank.page.locator(".ps").count() == 0


def test_a_picture_of_another_widget_is_left_alone(blank: Blank) -> None:
    blank.show_over(Lying(), PICTURE.format(mark="another"))
    expect(blank.page.locator(".picture")).to_be_visible()
    assert blank.page.locator(".ps").count() == 0
