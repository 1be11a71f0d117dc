"""One file per question; each prints a table and writes build/bench/NAME.json.

Run by a Python that lacks what pendosync needs, a benchmark goes on in `.venv/`, where make installs it.
"""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

_IS_PREVIEW = "benchmarks.preview" in sys.orig_argv
_DRAWS = "benchmarks" in sys.orig_argv and not {"--all", "--plot"}.isdisjoint(sys.orig_argv)
_NEEDED = "playwright" if _IS_PREVIEW else "polars"
_STAMP = ".tests" if _IS_PREVIEW else ".bench" if _DRAWS else ".runtime"


def _go_on_in_venv() -> None:
    root = Path(__file__).parent.parent
    python = root / ".venv" / "bin" / "python"
    subprocess.run(
        ["make", "--no-print-directory", f".venv/{_STAMP}", f"PYTHON={sys.executable}"], cwd=root, check=True
    )
    os.execv(python, [str(python), *sys.orig_argv[1:]])


if find_spec(_NEEDED) is None and not sys.prefix.endswith(".venv"):
    _go_on_in_venv()
