"""A widget's kernel side: its module as one text, its answers, and what a notebook keeps of it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

import polars as pl
import pytest

import pendosync as ps
from pendosync.preview.plan_view import PlanView
from pendosync.preview.view import View, read_module, read_style
from tests.wire import Wire

ASSETS = [one.name for one in (files("pendosync.preview") / "assets").iterdir()]
MAPPING = ps.Mapping("visitor", "id", ["plan"])
VALUES = ps.map_traits(pl.DataFrame({"id": ["ann-7", "bo-8"], "plan": ["tier-1", "tier-2"]}), MAPPING)


class Small(View):
    """Answers one thing, can't answer another, and breaks at a third."""

    def _answers(self) -> Mapping[str, Callable[..., Any]]:
        return {"double": lambda n: {"n": 2 * n}, "refuse": self._refuse, "break": lambda: {"n": 1 // 0}}

    def _title(self) -> str:
        return "Small"

    def _refuse(self) -> None:
        raise ps.PlanError("It can't be. Expected another. Hint: ask again.")


@pytest.fixture
def wire() -> Wire:
    small = Small()
    small.comm = Wire()
    return small.comm


def plan_view() -> PlanView:
    changes = ps.diff_values(VALUES, before=VALUES.clear(), mapping=MAPPING)
    target = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")
    return ps.preview_plan(ps.plan_changes(changes, mapping=MAPPING, target=target, create="unknown_ids"))


def test_an_answer_carries_the_number_of_its_question(wire: Wire) -> None:
    assert wire.ask("double", n=4) == {"to": "page", "number": 7, "kind": "double", "answer": {"n": 8}}


def test_an_error_of_ours_is_an_answer(wire: Wire) -> None:
    assert wire.ask("refuse")["error"] == "It can't be. Expected another. Hint: ask again."


@pytest.mark.parametrize("kind", ["break", "no such question"])
def test_whatever_breaks_is_told_and_never_waited_for(wire: Wire, kind: str) -> None:
    assert wire.ask(kind)["error"].startswith("The kernel could not answer")


@pytest.mark.parametrize("name", sorted(one[:-3] for one in ASSETS if one.endswith(".js")))
def test_a_module_travels_as_one_text_that_imports_nothing(name: str) -> None:
    text = read_module(name)
    assert re.findall(r"^import ", text, re.MULTILINE) == []
    assert len(re.findall(r"^export default ", text, re.MULTILINE)) <= 1
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("name", sorted(one[:-4] for one in ASSETS if one.endswith(".css")))
def test_a_style_asks_for_nothing_from_elsewhere(name: str) -> None:
    assert re.findall(r"url\(|@import|https?:", read_style(name)) == []


def test_a_widget_keeps_no_row_in_its_state_or_its_output() -> None:
    view = plan_view()
    view.comm = wire = Wire()
    assert "ann-7" in json.dumps(wire.ask("rows", start=0, n=5, columns=["plan"]))
    wire.ask("row", at=0)
    kept = json.dumps([view.get_state(), view._repr_mimebundle_()])
    assert "application/vnd.jupyter.widget-view+json" in kept
    assert not re.search(r"ann-7|bo-8|tier-", kept)


def test_a_reader_without_widgets_gets_a_sentence_and_a_picture() -> None:
    bundle = plan_view()._repr_mimebundle_()
    shown = bundle[0] if isinstance(bundle, tuple) else bundle
    assert shown["text/plain"].startswith("Preview of 2 visitors → custom")
    assert "Plan: create 2" in shown["text/html"]


def test_what_reaches_the_page_before_its_first_rows_is_small() -> None:
    view = plan_view()
    assert len(view._esm) + len(view._css) < 60_000


def test_opening_the_door_imports_no_widgets() -> None:
    code = "import sys, pendosync; print([name for name in ('ipywidgets', 'anywidget', 'IPython') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
