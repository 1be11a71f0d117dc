"""How things show themselves: whole with every style and with none, and never as more than a text."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.reports import Grid, Report, Signed, shown, some, visible

GRID = Grid(
    (("problem", ""), ("rule", "code"), ("rows", "number"), ("samples", "words")),
    [(Signed("✕ row dropped"), "long_id", "1,200", ("a", "b")), (Signed("△ warning"), "", "3", ())],
    "and 2 more rules",
)
REPORT = Report("Problems: two", [(Signed("✓ read"), "all"), ("first", "none")], [GRID], ["a note"])


def words_of(html: str) -> str:
    """Return what is left of *html* where no element and no style is kept."""
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_a_report_is_lines_for_a_terminal() -> None:
    assert repr(REPORT).splitlines() == [
        "Problems: two",
        "  ✓ read all",
        "  first  none",
        "  problem        rule      rows  samples",
        "  ✕ row dropped  long_id  1,200  a · b",
        "  △ warning                   3",
        "  and 2 more rules",
        "  a note",
    ]


def test_a_report_says_the_same_without_any_style() -> None:
    assert words_of(REPORT._repr_html_()) == (
        "Problems: two ✓ read all first none problem rule rows samples ✕ row dropped long_id 1,200 a · b "
        "△ warning 3 and 2 more rules a note"
    )
    assert REPORT._repr_html_().count("<table") == 2


def test_a_report_needs_no_script_theme_or_class() -> None:
    assert re.findall(r"<script|<style|var\(|class=|id=|href|src=|on\w+=", REPORT._repr_html_()) == []


def test_each_sign_has_its_colour_and_stays_a_sign() -> None:
    html = REPORT._repr_html_()
    inks = re.findall(r"<span style='color:(#\w+)'>(.)</span>", html)
    assert [sign for _, sign in inks] == ["✓", "✕", "△"]
    assert len({ink for ink, _ in inks}) == 3


def test_a_text_from_outside_gets_no_colour_by_its_sign() -> None:
    assert "color" not in of_text("✕ row dropped")._repr_html_()


def test_values_in_one_cell_keep_apart_whichever_way_they_are_read() -> None:
    assert re.search(r"<bdi [^>]*>a</bdi> · <bdi [^>]*>b</bdi>", REPORT._repr_html_())


def test_a_report_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        REPORT.title = "other"  # type: ignore[misc]


def of_text(text: str) -> Report:
    grid = Grid(((text, ""), ("b", "code")), [(text, (text, text))], text)
    return Report(text, [(text, text)], [grid], [text])


@given(st.text(min_size=1))
def test_any_text_is_one_line_escaped(text: str) -> None:
    lines = repr(of_text(text)).split("\n")
    assert len(lines) == 6
    assert "".join(lines).isprintable()
    marks = [re.findall(r"<[^>]*>", of_text(one)._repr_html_()) for one in ("x" + text, "x")]
    assert marks[0] == marks[1]


@given(st.text(), st.integers(1, 60))
def test_what_is_shown_is_short_and_can_be_seen(text: str, most: int) -> None:
    assert len(shown(text, most)) <= most
    assert shown(text, most).isprintable()
    assert visible(visible(text)) == visible(text)


def test_a_long_list_of_names_ends_in_a_count() -> None:
    names = [f"field_{at}" for at in range(60)]
    assert some(names).endswith("field_11 and 48 more")
    assert len(some(["x" * 200] * 60)) < 600
