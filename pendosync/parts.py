"""Frames as Parquet parts in a folder that has its name only once all of them are there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from pendosync.folders import new_folder


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
    names = []
    with new_folder(folder, what=f"The {name}") as place:
        for number, frame in enumerate(frames):
            names.append(f"{name}-{number:04}.parquet")
            frame.write_parquet(place / names[-1])
    return [folder / name for name in names]
