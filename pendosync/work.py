"""The folder in which a plan in parts is made: what was set aside, which parts are done, and by which call.

Killed, the same call goes on with what lies there. What was altered or cut short since is noticed, and made again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping as AbstractMapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

from pendosync.folders import digest_of_file, write_whole
from pendosync.frames import FieldType

Aside = Literal["table", "held"]
"""What is cut into parts: the table, and what is held already."""

_STATE: Final = "work.json"


@dataclass(frozen=True)
class Scattered:
    """What was written of rows that were cut into parts.

    Args:
        files: name → SHA-256 of each run.
        n_rows: of each part.
        lost: from `count_lost`, summed.
    """

    files: dict[str, str] = field(default_factory=dict)
    n_rows: list[int] = field(default_factory=list)
    lost: dict[str, dict[FieldType, int]] = field(default_factory=dict)

    def __add__(self, other: Scattered) -> Scattered:
        n_parts = max(len(self.n_rows), len(other.n_rows))
        rows = [scattered.n_rows or [0] * n_parts for scattered in (self, other)]
        lost = {
            name: {
                kind: self.lost.get(name, {}).get(kind, 0) + other.lost.get(name, {}).get(kind, 0)
                for kind in {**self.lost, **other.lost}[name]
            }
            for name in {**self.lost, **other.lost}
        }
        return Scattered({**self.files, **other.files}, [sum(pair) for pair in zip(*rows, strict=True)], lost)


class Work:
    """A work folder, opened by `Work.open`.

    Args:
        folder: where it lies.
        state: what its `work.json` says.
    """

    def __init__(self, folder: Path, state: dict[str, Any]) -> None:
        self.folder = folder
        self._state = state

    @classmethod
    def open(cls, folder: Path, fingerprint: str) -> Self:
        """Return the work in *folder*: as it was left by a call of the same *fingerprint*, else begun anew."""
        state = _read(folder / _STATE)
        if state.get("fingerprint") == fingerprint and all(
            _is_whole(folder, state, name) for name in ("table", "held")
        ):
            return cls(folder, state)
        shutil.rmtree(folder, ignore_errors=True)
        for name in ("table", "held", "plan", "done"):
            (folder / name).mkdir(parents=True, mode=0o700)
        work = cls(folder, {"fingerprint": fingerprint, "began": datetime.now(UTC).isoformat()})
        work._write()
        return work

    @property
    def began(self) -> datetime:
        """When it was begun."""
        return datetime.fromisoformat(self._state["began"])

    def scattered(self, name: Aside) -> Scattered | None:
        """Return what was set aside under *name*; None where that did not come to its end."""
        told = self._state.get(name)
        return Scattered(**told) if told else None

    def empty(self, name: Aside) -> Path:
        """Return the folder for what is set aside under *name*, with nothing in it."""
        shutil.rmtree(self.folder / name)
        (self.folder / name).mkdir(mode=0o700)
        return self.folder / name

    def keep(self, name: Aside, scattered: Scattered) -> Scattered:
        """Write down that all of it lies there."""
        self._state[name] = asdict(scattered)
        self._write()
        return scattered

    def done(self) -> dict[int, dict[str, Any]]:
        """Return what `write_done` was told of each part whose files are as they were written."""
        found = {int(path.stem): _read(path) for path in sorted((self.folder / "done").glob("*.json"))}
        return {
            number: told
            for number, told in found.items()
            if told and _fit(self.folder / "plan", files_of(told["entry"]))
        }

    def _write(self) -> None:
        write_whole(self.folder / _STATE, json.dumps(self._state).encode())


def write_done(folder: Path, number: int, told: AbstractMapping[str, Any]) -> None:
    """Write down what is to be known of a part that is done."""
    write_whole(folder / "done" / f"{number}.json", json.dumps(told).encode())


def files_of(entry: AbstractMapping[str, Any]) -> dict[str, str]:
    """Return the files that an entry of a manifest names, each with its digest."""
    return {f"{name}-{entry['number']:04}.parquet": digest for name, digest in entry["files"].items()}


def _read(path: Path) -> dict[str, Any]:
    with contextlib.suppress(OSError, ValueError):
        told = json.loads(path.read_text(encoding="utf-8"))
        return told if isinstance(told, dict) else {}
    return {}


def _is_whole(folder: Path, state: AbstractMapping[str, Any], name: Aside) -> bool:
    told = state.get(name)
    return not told or _fit(folder / name, told["files"])


def _fit(folder: Path, files: AbstractMapping[str, str]) -> bool:
    with contextlib.suppress(OSError):
        return all(digest_of_file(folder / name) == digest for name, digest in files.items())
    return False
