"""What tests share: one embedded Pendo a session, reset for each test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import pendosync as ps


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[ps.Sandbox]:
    with ps.open_sandbox() as opened:
        yield opened


@pytest.fixture
def sandbox(_sandbox: ps.Sandbox) -> ps.Sandbox:
    """An embedded Pendo as seeded, that has received nothing."""
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
