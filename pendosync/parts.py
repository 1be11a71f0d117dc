"""Frames as Parquet parts in a folder that has its name only once all of them are there."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from pendosync.errors import PlanError, first_line
from pendosync.folders import force_out


def write_parts(folder: Path, frames: Iterable[pl.DataFrame], *, name: str) -> list[Path]:
    """Write each of *frames* to *folder*, which must not exist or be empty, as `NAME-0000.parquet` and so on.

    Holds one frame at a time. Half-written folders never appear under that name.

    Args:
        folder: where to, readable for its owner only.
        frames: one a part, in order.
        name: what the parts hold, in the plural: in their names, and in errors.

    Returns:
        The parts, in order.

    Raises:
        PlanError: the folder holds something, or can't be written.
    """
    beside = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.part")
    try:
        _ensure_free(folder)
        names = _write(beside, frames, name)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
        force_out(folder.parent)
    except PlanError:
        raise
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:  # a ValueError: a name with a NUL
        told = getattr(error, "strerror", None) or first_line(error)
        raise PlanError(
            f"The {name} can't be written to {str(folder)!r} ({told}). Expected a folder that can be written, with "
            f"room. Hint: choose another place."
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return [folder / name for name in names]


def _ensure_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PlanError(
            f"{str(folder)!r} holds something already. Expected a new folder. Hint: choose another name."
        )


def _write(folder: Path, frames: Iterable[pl.DataFrame], name: str) -> list[str]:
    folder.mkdir(parents=True, mode=0o700)
    names = []
    for number, frame in enumerate(frames):
        names.append(f"{name}-{number:04}.parquet")
        frame.write_parquet(folder / names[-1])
        force_out(folder / names[-1])
    force_out(folder)
    return names
