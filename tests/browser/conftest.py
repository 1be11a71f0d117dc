"""One JupyterLab and one browser for all the tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import watchman
from lab import Lab, open_lab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests in the browser last: Playwright leaves a running event loop in its thread until it is closed."""
    items.sort(key=lambda item: Path(__file__).parent in item.path.parents)


@pytest.fixture(scope="session")
def lab(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab in a browser."""
    with open_lab(tmp_path_factory.mktemp("lab"), chromium) as opened:
        yield opened
        places = [
            place
            for place, content in watchman.files_in(opened.root)
            if watchman.pattern_of().search(content)
        ]
        assert places == [], "a key stands in a notebook, or in what Jupyter wrote"


@pytest.fixture(autouse=True)
def _stays_on_this_machine(lab: Lab) -> Iterator[None]:
    """No test's page asks another host, or throws an error."""
    yield
    assert lab.outside == []
    assert lab.errors == []
