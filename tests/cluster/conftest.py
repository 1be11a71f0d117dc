"""Real clusters of real processes on this machine; no test here may hang."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from clusters import Cluster

import pendosync as ps
from pendosync.workers import DaskEngine

IS_CI = os.environ.get("CI") == "true"
IN_TIME_S = 120


@pytest.fixture(scope="session", autouse=True)
def _distributed() -> None:
    """Without the extra a test is skipped, but never in CI."""
    if importlib.util.find_spec("distributed") is None:
        reason = "distributed is not installed. Hint: pip install 'pendosync[cluster]'"
        pytest.fail(reason) if IS_CI else pytest.skip(reason)


@pytest.fixture(autouse=True)
def _in_time() -> Iterator[None]:
    """A test that hangs fails within its time, also where it waits for a lock."""

    def too_late(*_: object) -> None:
        pytest.fail(f"Not done within {IN_TIME_S} s.")

    if not hasattr(signal, "SIGALRM"):
        yield
        return
    before = signal.signal(signal.SIGALRM, too_late)
    signal.alarm(IN_TIME_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def engine(_distributed: None) -> Iterator[DaskEngine]:
    """Two workers on this machine, for tests that leave them alive; what opened them knew of Pendo."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PENDO_REGION", "eu")
        opened = ps.open_engine(workers=2)
    with opened:
        yield opened


@pytest.fixture(scope="module")
def standing(_distributed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with one worker, for tests that leave it alive."""
    opened = Cluster(tmp_path_factory.mktemp("cluster"))
    opened.start_worker()
    yield opened
    opened.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler without workers, for one test that may kill what it likes."""
    opened = Cluster(tmp_path)
    yield opened
    opened.close()
