"""A lazy frame over frames that come one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import polars as pl
from polars.io.plugins import register_io_source
from polars.selectors import by_name


def scan_frames(
    read: Callable[[Sequence[str] | None], Iterable[pl.DataFrame]], schema: pl.Schema, /
) -> pl.LazyFrame:
    """Return a lazy frame over all that *read* gives: never more than one of its frames is held for it.

    Args:
        read: begins anew at each call, and gives frames in order. It is told which columns are wanted, None for all, and
            may give more.
        schema: the columns of each frame.
    """

    def source(
        columns: list[str] | None, predicate: pl.Expr | None, n_rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        names, left = columns if columns is not None else schema.names(), n_rows
        for frame in read(columns):
            if left is not None:
                frame = frame.head(left)
                left -= frame.height
            chosen = frame.select(by_name(*names))
            yield chosen if predicate is None else chosen.filter(predicate)
            if left == 0:
                return

    return register_io_source(source, schema=schema, is_pure=True)
