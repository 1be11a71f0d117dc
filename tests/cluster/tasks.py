"""What the tests have workers do. Each try of an item is noted down in a folder that all of them reach."""

from __future__ import annotations

import os
import pickle
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def add_one(number: int) -> int:
    return number + 1


def say_where(_: int) -> tuple[int, int, list[str]]:
    """The process, the threads that polars takes in it, and what it knows of Pendo."""
    import polars as pl

    known = [name for name, value in os.environ.items() if name.startswith("PENDO_") and value]
    return os.getpid(), pl.thread_pool_size(), known


def raise_it(pickled: bytes) -> None:
    raise pickle.loads(pickled)


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def make_partition(number: int) -> Any:
    import pandas as pd

    return pd.DataFrame({"id": [number], "pid": [os.getpid()]})


@dataclass(frozen=True)
class Slowly:
    """Takes its time over an item, and notes first that it was begun, and by whom."""

    folder: Path
    seconds: float

    def __call__(self, item: int) -> int:
        with (self.folder / f"{item}.tries").open("a", encoding="utf-8") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(self.seconds)
        return item

    def tries(self, item: int) -> list[int]:
        """The processes that began the item, in their order."""
        file = self.folder / f"{item}.tries"
        return [int(line) for line in file.read_text(encoding="utf-8").split()] if file.exists() else []

    def n_begun(self) -> int:
        return len(list(self.folder.glob("*.tries")))


def of_version(folder: Path, package: str, version: str) -> None:
    """Make a process that looks into *folder* first find *package* in another version."""
    there = folder / f"{package}-{version}.dist-info"
    there.mkdir(parents=True)
    (there / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
