"""Frames of Dask: lazy here too, and read a partition at a time."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol

import polars as pl
from polars.io.plugins import register_io_source

from pendosync.errors import PendosyncError, TableError, first_line, listed
from pendosync.frames import as_words
from pendosync.tables.faults import fault
from pendosync.tables.foreign import load_foreign

_CATEGORIES: Final = (pl.Categorical, pl.Enum)


class DaskFrame(Protocol):
    """A Dask DataFrame (`dask.dataframe.DataFrame`)."""

    @property
    def npartitions(self) -> int:
        """How many partitions it has."""
        ...

    @property
    def partitions(self) -> Any:
        """Its partitions, each a frame."""
        ...


def is_dask(source: object) -> bool:
    """Whether *source* is a Dask DataFrame; whoever holds one has loaded its module."""
    dataframes = sys.modules.get("dask.dataframe")
    return dataframes is not None and isinstance(source, dataframes.DataFrame)


def scan_dask(frame: Any) -> pl.LazyFrame:
    """Return a Dask DataFrame as a lazy table: its rows in the order of its partitions, a named index as last column.

    Nothing is computed here. Categories become text: each partition may have its own.

    Raises:
        TableError: two columns of one name, or a column whose type Dask doesn't know.
    """
    columns = {str(column): column for column in frame.columns}
    names = [str(column) for column in frame.columns]
    if len(columns) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise fault(
            f"The dask DataFrame has more than one column {listed(twice)}",
            "a name of its own for each column",
            "frame.rename(columns={…: …})",
        )
    partitions = _Partitions(frame, columns, _empty_of(frame).schema)
    return register_io_source(partitions, schema=partitions.schema)


def _empty_of(frame: Any) -> pl.DataFrame:
    """The types that Dask promises, on no rows."""
    empty = _handed_over(frame._meta)
    untyped = [name for name, dtype in empty.schema.items() if dtype == pl.Null()]
    if untyped:
        raise fault(
            f"The dask DataFrame doesn't say what its column {listed(untyped)} holds: objects of any type",
            "a type for each column, before a row is computed",
            f"frame.astype({{{untyped[0]!r}: 'string'}})",
        )
    return empty


@dataclass(frozen=True)
class _Partitions:
    """What polars asks for rows: reads on demand, and of each partition only the columns and rows asked for."""

    frame: Any
    columns: dict[str, Any]
    schema: pl.Schema

    def __call__(
        self,
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        names = self.schema.names() if with_columns is None else with_columns
        chosen = self.frame[[self.columns[name] for name in names if name in self.columns]]
        ahead = n_rows
        for number in range(chosen.npartitions):
            there = predicate if ahead is None else None
            rows = self._rows_of(chosen, number, names, there)
            if ahead is not None:
                rows = rows.head(ahead)
                ahead -= rows.height
            yield rows if predicate is None else rows.filter(predicate)
            if ahead == 0:
                return

    def _rows_of(self, chosen: Any, number: int, names: list[str], predicate: pl.Expr | None) -> pl.DataFrame:
        """Return the rows of a partition, those that a *predicate* leaves where Dask's workers can tell."""
        partition = chosen.partitions[number]
        if predicate is not None and (rows := _filtered_there(partition, names, predicate)) is not None:
            return rows
        try:
            rows = _handed_over(partition.compute()).select(names)
        except Exception as error:
            if isinstance(error, PendosyncError):
                raise
            raise fault(
                f"Partition {number} of the dask DataFrame can't be computed: {first_line(error)}",
                "a frame that Dask can compute",
                f"frame.partitions[{number}].compute() shows where it fails",
            ) from None
        for name, dtype in rows.schema.items():
            if dtype != self.schema[name]:
                raise _other_type(number, name, dtype, self.schema[name])
        return rows


def _filtered_there(partition: Any, names: list[str], predicate: pl.Expr) -> pl.DataFrame | None:
    """Return those rows of a partition that are asked for, found where Dask computes; None where that can't be done.

    It can't where a worker lacks polars or us, or has others; or where the predicate, or the partition, fails: then the
    rows come here, and here it is told.
    """
    from dask.delayed import delayed

    try:
        task = delayed(_filter, pure=False)(partition.to_delayed()[0], names, predicate.meta.serialize())
        rows: pl.DataFrame = task.compute()
    except Exception:
        return None
    return rows


def _filter(partition: Any, names: list[str], predicate: bytes) -> pl.DataFrame:
    """Return the rows that are asked for of a frame of pandas: what a worker does."""
    return _handed_over(partition).select(names).filter(pl.Expr.deserialize(predicate))


def _handed_over(frame: Any) -> pl.DataFrame:
    """A pandas frame, its index a column where it has a name; Arrow alone would drop a range with a name."""
    rows = load_foreign(frame.reset_index(drop=frame.index.name is None))
    rows = rows.with_columns(pl.col(*_CATEGORIES).cast(pl.String))
    if frame.index.name is None:
        return rows
    return rows.select(rows.columns[1:] + rows.columns[:1])


def _other_type(number: int, name: str, found: pl.DataType, promised: pl.DataType) -> TableError:
    return fault(
        f"Partition {number} of the dask DataFrame holds {as_words(found)} in the column {name!r}",
        f"{as_words(promised)}, as the frame says",
        f"frame.astype({{{name!r}: …}}), before load_table",
    )
