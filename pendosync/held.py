"""What Pendo holds of a plan in parts, a part at a time: read once, and set aside on the disk."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from pendosync.buckets import bucket_of, read_part, write_run
from pendosync.client import Client
from pendosync.frames import change_types
from pendosync.plans import Plan
from pendosync.records import values_frame
from pendosync.remote import ensure_readable, iter_typed


@contextlib.contextmanager
def held_in_parts(client: Client, plan: Plan, /, *, within: Path) -> Iterator[Callable[[int], pl.DataFrame]]:
    """What Pendo holds now in the fields of *plan*, as a function of a part's number, in a block.

    All that Pendo holds is read, by pages, and cut as the plan's table was; memory holds a page or a part.

    Args:
        client: where Pendo is read.
        plan: in parts.
        within: the folder in which it is set aside for so long.

    Yields:
        A function that returns VALUES frames: the part's ids and perhaps others, without those that Pendo does not know.

    Raises:
        PlanError: the plan was made for another target, or nothing that Pendo holds can be compared with it.
        RemoteError: Pendo can't be read.
    """
    ensure_readable(client, plan)
    cut, types = plan.parts.cut, change_types(plan.parts.nothing)
    nothing = values_frame([], [], plan.shape.group, types)
    within.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".held-", dir=within) as name:
        folder, n_rows = Path(name), [0] * cut
        pages = iter_typed(client, kind=plan.shape.kind, group=plan.shape.group, types=types)
        for at, page in enumerate(pages):
            _, told = write_run(folder / f"{at:08}.run", page.rechunk(), bucket_of(page["id"], cut), cut)
            n_rows = [n + more for n, more in zip(n_rows, told, strict=True)]

        def held_of(number: int) -> pl.DataFrame:
            part = number if cut > 1 else 0
            n = n_rows[part] if part < cut else 0
            found = read_part(folder, part, n) if n else None
            return nothing if found is None else found

        yield held_of
