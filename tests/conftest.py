"""What every test stands on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from watchman import (  # noqa: F401
    capfd,
    capsys,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_runtest_makereport,
)

import pendosync as ps

collect_ignore = ["conftest.py"]  # whoever looks for doctests would take it for that of a folder below

IS_CI = os.environ.get("CI") == "true"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# A shared machine stalls now and then: no example fails for being slow, and CI draws the same ones every time.
settings.register_profile("pendosync", deadline=None, derandomize=IS_CI)
settings.load_profile("pendosync")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees a real key, and none can reach a real Pendo by accident."""
    for name in [name for name in os.environ if name.startswith("PENDO_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; without one a test is skipped, but never in CI."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        reason = "No Chromium on the PATH. Hint: apt-get install chromium"
        pytest.fail(reason) if IS_CI else pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[ps.Sandbox]:
    with ps.open_sandbox() as opened:
        yield opened


@pytest.fixture
def sandbox(_sandbox: ps.Sandbox) -> ps.Sandbox:
    """An embedded Pendo as seeded, that has received nothing; one a session, reset for each test."""
    _sandbox.reset()
    return _sandbox


@pytest.fixture
def client(sandbox: ps.Sandbox) -> Iterator[ps.Client]:
    """A client of the sandbox."""
    with ps.open_client(sandbox.settings) as opened:
        yield opened


@pytest.fixture
def journal(tmp_path: Path) -> ps.Journal:
    """A journal that no run was written to."""
    return ps.open_journal(tmp_path / "journal")
