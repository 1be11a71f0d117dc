"""The rules of Segment's Pendo destination in a browser, each as a page load: what the page calls."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from rows_device import LOADS, Load

import pendosync as ps
from pendosync.browser.calls import browser_calls

SNIPPETS = [load for load in LOADS if load.options.keys() <= {"anonymous_id"}]
CALL = re.compile(r"^pendo\.(\w+)\(JSON\.parse\('([^']*)'\)\);$", re.MULTILINE)


def exactly(told: Any) -> str:
    """Return *told* as text that differs where a type does."""
    return json.dumps(told, sort_keys=True)


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.name)
def test_table_page_load_calls_what_the_sources_say(load: Load) -> None:
    settings = ps.Settings(**load.settings)
    calls = browser_calls(settings, load.visitor, load.account, **load.options)
    assert exactly([[call.method, *call.arguments] for call in calls]) == exactly(
        [list(call) for call in load.calls]
    )


@pytest.mark.parametrize("load", SNIPPETS, ids=lambda load: load.name)
def test_table_page_load_stands_in_the_snippet(load: Load) -> None:
    settings = ps.Settings(app_key="an-app-key", **load.settings)
    html = str(ps.browser_snippet(settings, load.visitor, load.account, **load.options))
    calls = [[name, json.loads(text.replace("\\\\", "\\"))] for name, text in CALL.findall(html)]
    assert exactly(calls) == exactly([list(call) for call in load.calls])


def test_each_page_load_of_the_table_names_its_source() -> None:
    assert all(load.source for load in LOADS)
    assert len({load.name for load in LOADS}) == len(LOADS)
