"""What every engine is, without a cluster: `tests/cluster` has the processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pendosync.engines import Here, ensure_engine
from pendosync.errors import EngineError


def test_without_an_engine_this_process_does_each_item_in_order(tmp_path: Path) -> None:
    here = ensure_engine(None)
    assert isinstance(here, Here)
    assert list(here.map(str, [3, 1, 2])) == ["3", "1", "2"]
    assert here.n_workers == 1
    here.ensure_reach(tmp_path)


def test_here_one_item_is_in_memory_at_a_time() -> None:
    begun: list[int] = []
    results = Here().map(begun.append, [1, 2])
    next(results)
    assert begun == [1]


def test_an_engine_of_yours_is_taken_as_it_is() -> None:
    class Mine(Here):
        pass

    mine = Mine()
    assert ensure_engine(mine) is mine


@pytest.mark.parametrize("wrong", ["tcp://a:8786", 3, Here, object(), map])
def test_what_is_no_engine_is_told(wrong: object) -> None:
    with pytest.raises(
        EngineError, match=r"is no engine. Expected what open_engine returns.* Hint: engine=open_engine"
    ):
        ensure_engine(wrong)


def test_without_the_extra_is_told_what_to_install() -> None:
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "import pendosync as ps\n"
        "try: ps.open_engine()\n"
        "except ps.EngineError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert (
        "is not installed. Expected the package distributed. Hint: pip install 'pendosync[cluster]'"
        in done.stdout
    )
