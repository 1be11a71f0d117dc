"""Frames of other libraries, handed over through Arrow."""

from __future__ import annotations

import re
from typing import Protocol, runtime_checkable

import polars as pl

from pendosync.errors import TableError, first_line
from pendosync.tables.faults import fault, is_from_below


@runtime_checkable
class ArrowStream(Protocol):
    """A frame that speaks the Arrow PyCapsule interface: pandas, pyarrow, DuckDB, and more."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the rows as a capsule."""
        ...


class _Stream:
    """Shows polars the PyCapsule and nothing else: knowing pandas, polars would drop a named index."""

    def __init__(self, source: ArrowStream) -> None:
        self._source = source

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._source.__arrow_c_stream__(requested_schema)


def load_foreign(source: object) -> pl.DataFrame:
    """Return a frame with the Arrow PyCapsule interface as one of polars; a named pandas index is a column.

    Raises:
        TableError: it has no such interface, or can't be read as a table.
    """
    if isinstance(source, type) or not isinstance(source, ArrowStream):
        raise no_table(source)
    name = f"The {type_name(source)}"
    try:
        frame = pl.DataFrame(_Stream(source))
    except ImportError as error:
        raise fault(
            f"{name} can't be handed over: {first_line(error)}",
            "pandas hands its frames over through pyarrow",
            "pip install pyarrow",
        ) from None
    except BaseException as error:
        if not is_from_below(error, foreign=True):
            raise
        raise fault(
            f"{name} can't be read as a table: {first_line(error)}",
            "columns of one type each, with names of their own",
            "cast or rename the column, or save it as Parquet and load that",
        ) from None
    return frame.drop([column for column in frame.columns if re.fullmatch(r"__index_level_\d+__", column)])


def type_name(source: object) -> str:
    """Return what sentences call a frame: its library and class."""
    return f"{type(source).__module__.partition('.')[0].lstrip('_')} {type(source).__name__}"


def no_table(source: object) -> TableError:
    """Return the error for what is no table at all."""
    kind = source.__name__ if isinstance(source, type) else type(source).__name__
    return fault(
        f"A {kind} is no table",
        "a path, a polars frame, or a frame with the Arrow PyCapsule interface (pandas, pyarrow, DuckDB), or of Dask",
        "pl.DataFrame(…) makes a table of rows or columns in memory",
    )
