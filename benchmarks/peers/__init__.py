"""What a user could pick in place of pendosync: each a script beside this file, run by a Python of its own.

`make .venv-peers/.peers` installs them, every version pinned. They push the same rows of the same file to the same sink,
each in the way that its own documentation shows for an HTTP destination; docs/performance.md says how.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
PYTHON: Final = HERE.parent.parent / ".venv-peers" / "bin" / "python"

_LEAST: Final = 2_000

MISSING: Final = (
    "The peers are left out: .venv-peers/ is not there. Expected it beside benchmarks/. "
    "Hint: make .venv-peers/.peers"
)


@dataclass(frozen=True)
class Peer:
    """One tool, set up in one way.

    Attributes:
        name: as it is printed.
        script: beside this file.
        options: for the script.
        share: of the rows; a slow one takes fewer, so that a round stays short.
        is_tuned: whether it is set up better than its documentation shows: told, but no peer that anybody finds.
    """

    name: str
    script: str
    options: tuple[str, ...] = ()
    share: float = 1.0
    is_tuned: bool = False

    def rows(self, n: int) -> int:
        """Return how many of *n* rows it pushes: enough that what it needs to begin counts for little."""
        return max(min(n, _LEAST), round(n * self.share))

    def push(self, url: str, path: Path, rows: int) -> float:
        """Push the first rows of a Parquet file, and return the seconds that the script measured.

        Raises:
            RuntimeError: it failed.
        """
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [PYTHON, HERE / self.script, url, path, str(rows), *self.options],
                cwd=folder,
                env={
                    **os.environ,
                    "HOME": folder,
                },  # some write there, and read there what one machine has set
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(
                f"{self.name} failed. Expected it to push {rows:,} rows.\n{done.stderr[-2000:]}"
            )
        seconds: float = json.loads(done.stdout.splitlines()[-1])["seconds"]
        return seconds


BULK: Final = (
    Peer("Airbyte CDK", "with_airbyte.py"),
    Peer("Airbyte CDK, tuned", "with_airbyte.py", ("--times", "text"), is_tuned=True),
    Peer("dlt, Arrow tables", "with_dlt.py", ("--feed", "arrow")),
    Peer("dlt, dicts", "with_dlt.py", ("--feed", "dicts"), share=0.25),
    Peer("Singer SDK (Meltano)", "with_singer.py", share=0.1),
    Peer("Segment SDK", "with_sdk.py", ("--sdk", "segment", "--batch", "800"), share=0.1),
    Peer("RudderStack SDK", "with_sdk.py", ("--sdk", "rudder", "--batch", "1000"), share=0.1),
    Peer("drt", "with_drt.py", share=0.1),
    Peer("pandas to_dict + requests", "with_pandas.py", share=0.25),
    Peer("pandas iterrows + requests", "with_pandas.py", ("--style", "iterrows"), share=0.05),
)
"""Many records a request."""

SINGLE: Final = (
    Peer("Segment SDK", "with_sdk.py", ("--sdk", "segment", "--batch", "1", "--threads", "8"), share=0.5),
    Peer("RudderStack SDK", "with_sdk.py", ("--sdk", "rudder", "--batch", "1", "--threads", "8"), share=0.5),
)
"""One message a request."""
