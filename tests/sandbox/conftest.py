"""One sandbox for all the tests here, back at its seeds before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sandbox_caller import Caller

from pendosync.sandbox import Sandbox, open_sandbox


@pytest.fixture(scope="session")
def running_sandbox() -> Iterator[Sandbox]:
    with open_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running_sandbox: Sandbox) -> Sandbox:
    running_sandbox.reset()
    return running_sandbox


@pytest.fixture
def call(sandbox: Sandbox) -> Caller:
    return Caller(sandbox.port)


@pytest.fixture
def track(sandbox: Sandbox) -> Caller:
    return Caller(sandbox.port, key="sandbox-us-track-secret")
