"""The folder in which a plan in parts is made: what was set aside, which parts are done, and by which call.

Killed, the same call goes on with what lies there. What was altered or cut short since is noticed, and made again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

from filelock import FileLock, Timeout

from pendosync.errors import PlanError
from pendosync.folders import digest_of_file, write_whole
from pendosync.frames import FieldType

Aside = Literal["table", "held"]
"""What is cut into parts: the table, and what is held already."""

_STATE: Final = "work.json"
_SUFFIX: Final = ".work"


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
        plan_folder: where the plan is to lie; the work is beside it.
        state: what its `work.json` says.
    """

    is_done = False

    def __init__(self, plan_folder: Path, state: dict[str, Any]) -> None:
        self.plan_folder = plan_folder
        self.folder = _beside(plan_folder)
        self._state = state

    @classmethod
    @contextlib.contextmanager
    def open(cls, plan_folder: Path, fingerprint: str) -> Iterator[Self]:
        """The work on a plan, for one process at a time: as a call of the same *fingerprint* left it, else begun anew.

        Raises:
            PlanError: another process works on it, or it can't be written.
        """
        folder = _beside(plan_folder)
        with _alone(folder):
            state = _read(folder / _STATE)
            is_known = state.get("fingerprint") == fingerprint
            if not is_known or not all(_is_whole(folder, state, name) for name in ("table", "held")):
                for name in ("table", "held", "plan", "done"):
                    shutil.rmtree(folder / name, ignore_errors=True)
                    (folder / name).mkdir(mode=0o700, exist_ok=True)
                state = {"fingerprint": fingerprint, "began": datetime.now(UTC).isoformat()}
            work = cls(plan_folder, state)
            work._write()
            yield work
        if work.is_done:
            shutil.rmtree(folder, ignore_errors=True)

    def remove(self) -> None:
        """Say that the plan is made: the folder goes once nobody works in it."""
        self.is_done = True

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
        shutil.rmtree(self.folder / name, ignore_errors=True)  # killed here before, it is not there
        (self.folder / name).mkdir(mode=0o700, exist_ok=True)
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


def left_by(fingerprint: str, plans: Path) -> Path | None:
    """Return where among *plans* a call of this *fingerprint* was left, or None."""
    for folder in sorted(plans.glob(f"*{_SUFFIX}")):
        if _read(folder / _STATE).get("fingerprint") == fingerprint:
            return folder.with_name(folder.name.removesuffix(_SUFFIX))
    return None


def _beside(plan_folder: Path) -> Path:
    return plan_folder.with_name(f"{plan_folder.name}{_SUFFIX}")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Have *folder* in a block, and no other process in it where the disk knows locks."""
    lock = FileLock(folder / "lock", timeout=0, thread_local=False)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock.acquire()
    except Timeout:
        raise PlanError(
            f"Another process plans into {str(folder.with_suffix(''))!r} at this moment. Expected one at a time. "
            f"Hint: wait for it, or choose another folder=."
        ) from None
    except NotImplementedError:
        pass
    except OSError as error:
        raise PlanError(
            f"The plan can't be written to {str(folder.with_suffix(''))!r} ({error.strerror}). Expected a folder that can be "
            f"written, with room. Hint: choose another folder=."
        ) from None
    try:
        yield
    finally:
        lock.release()


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
