"""One JupyterLab and one browser for all the tests here, and a blank page for each that needs no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import watchman
from blank import Blank, open_blank
from lab import Lab, open_browser, open_lab
from playwright.sync_api import Browser


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in the browser last: Playwright leaves a running event loop in its thread until it is closed."""
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    """A browser that finds no host but this one."""
    with open_browser(chromium) as opened:
        yield opened


@pytest.fixture(scope="session")
def _lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab"), browser) as opened:
        yield opened
        places = [
            place
            for place, content in watchman.files_in(opened.root)
            if watchman.pattern_of().search(content)
        ]
        assert places == [], "a key stands in a notebook, or in what Jupyter wrote"


@pytest.fixture
def lab(_lab: Lab) -> Iterator[Lab]:
    """A JupyterLab in a browser, whose page asks no other host and throws no error."""
    yield _lab
    assert _lab.outside == []
    assert _lab.errors == []


@pytest.fixture
def blank(browser: Browser) -> Iterator[Blank]:
    """A blank page for one widget, without JupyterLab; it asks no other host and throws no error."""
    with open_blank(browser) as opened:
        yield opened
        assert opened.outside == []
        assert opened.errors == []
