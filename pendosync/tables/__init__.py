"""From a file, a folder of files, or a frame of another library to a polars table."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import polars as pl
from polars.selectors import by_name

from pendosync.errors import ColumnNotFoundError, PendosyncError, listed
from pendosync.frames import is_unicode
from pendosync.tables.csvs import CsvFile, scan_csvs
from pendosync.tables.dasks import DaskFrame, is_dask, scan_dask
from pendosync.tables.faults import fault, fault_of_ndjson, is_from_below, named, speaking, told
from pendosync.tables.files import (
    A_FILE,
    Format,
    combined,
    ensure_known,
    ensure_plausible,
    ensure_unique,
    ensure_whole_characters,
    find_files,
    format_of,
)
from pendosync.tables.foreign import ArrowStream, load_foreign, no_table, type_name
from pendosync.tables.hives import find_hive

__all__ = ["ArrowStream", "collect_table", "load_table"]

_Frame = TypeVar("_Frame", pl.DataFrame, pl.LazyFrame)
_OPTIONS: Final[AbstractMapping[str, tuple[Format, ...]]] = {
    "sheet": ("Excel",),
    "separator": ("CSV",),
    "encoding": ("CSV",),
    "null_values": ("CSV",),
    "schema_overrides": ("CSV", "NDJSON", "Excel"),
}


@dataclass(frozen=True)
class _Options:
    sheet: str | None = None
    separator: str | None = None
    encoding: str | None = None
    null_values: str | Sequence[str] | None = None
    schema_overrides: AbstractMapping[str, Any] | None = None

    def __post_init__(self) -> None:
        nulls = [self.null_values] if isinstance(self.null_values, str) else self.null_values or []
        for text in (self.separator or "", *nulls):
            if not is_unicode(text):
                raise fault(f"{text!r} holds half of a character", "a text in Unicode", "type it again")
        for column, dtype in (self.schema_overrides or {}).items():
            if not isinstance(dtype, pl.DataType | type):
                raise fault(
                    f"schema_overrides gives {column!r} the type {dtype!r}",
                    "a polars type",
                    f"schema_overrides={{{column!r}: pl.String}}",
                )

    def ensure_fit(self, format: Format | None, name: str) -> None:
        given = [option for option in _OPTIONS if getattr(self, option) is not None]
        for option in given:
            if format not in _OPTIONS[option]:
                raise fault(
                    f"{option}= does not apply to {name}",
                    f"it for {' or '.join(_OPTIONS[option])} files only",
                    f"leave {option}= out",
                )


Source = str | os.PathLike[str] | pl.LazyFrame | pl.DataFrame | ArrowStream | DaskFrame
"""What `load_table` takes."""


def load_table(
    source: Source,
    /,
    *,
    sheet: str | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    null_values: str | Sequence[str] | None = None,
    schema_overrides: AbstractMapping[str, Any] | None = None,
) -> pl.LazyFrame | pl.DataFrame:
    """Return *source* as a table: lazy for a path, a LazyFrame or a Dask DataFrame, else a DataFrame.

    Never modifies its argument and keeps no row of a file in memory (an Excel file, and a CSV that isn't UTF-8, are
    read whole). A CSV is read through once, here, so that a broken line speaks now and not in a later verb, and so
    that a column gets a type that *each* of its values has: integer, float, boolean, date or datetime as ISO 8601
    writes them, else text. Numbers with leading zeros (`007`), integers beyond 64 bits and dates such as
    `01/02/2026` stay text. A number keeps its value, not its writing: `1.50` is 1.5. A line with too few fields
    ends in nulls; one with too many is an error.

    Of a Dask DataFrame one partition at a time comes here, in their order, and of it only the columns that a verb
    reads; what was filtered and chosen on it is computed where Dask computes. Each verb that reads the table computes
    it again: `persist()` what was shuffled or joined.

    Args:
        source: a path, a glob (`exports/*.csv`, `**` for folders below), or a folder whose files have one format:
            CSV, TSV, Parquet, NDJSON, Excel. Or a folder of Parquet files in folders `key=value` (a hive of
            partitions), whose keys become columns: integer, date, or text. Or a polars frame, or any frame with the Arrow PyCapsule
            interface (pandas, pyarrow, a DuckDB relation), or a Dask DataFrame. A named pandas index becomes a column.
        sheet: Excel: the sheet's name; None is the first.
        separator: CSV: one character; None is the tab in `.tsv` and the comma elsewhere.
        encoding: CSV: a Python codec such as `windows-1252`; None is UTF-8.
        null_values: CSV: texts that mean null, besides the empty one: `"NULL"`.
        schema_overrides: column → polars type, where the type found is not the one you want.

    Raises:
        TableError: no such file, no match, an unknown suffix, a file that is empty, cut short, or not what its
            suffix says, a line with too many fields, two columns of one name, or no table at all.
        ColumnNotFoundError: *schema_overrides* names a column that the file does not have.

    Cost: one pass over a CSV (half a second for a million rows × 10 columns on two cores), three over NDJSON, the
    footer of a Parquet file.

    Example:
        >>> load_table(pl.DataFrame({"id": ["ann", "bo"], "seats": [3, 5]})).shape
        (2, 2)
    """
    options = _Options(sheet, separator, encoding, null_values, schema_overrides)
    if isinstance(source, str | os.PathLike):
        return _load_path(os.fspath(source), options)
    options.ensure_fit(None, f"a {type(source).__name__}")
    if isinstance(source, pl.DataFrame):
        return _ensure_columns(source, "The DataFrame")
    if isinstance(source, pl.LazyFrame):
        return _ensure_columns(source, "The LazyFrame")
    name = f"The {type_name(source)}"
    if is_dask(source):
        return _ensure_columns(scan_dask(source), name)
    return _ensure_columns(load_foreign(source), name)


def collect_table(
    table: pl.LazyFrame | pl.DataFrame, /, *, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Return *table*, or only its *columns*, in memory.

    Whatever polars meets while reading (a file that changed since it was loaded, a cut Parquet page, a computed
    column that fails) ends as a `TableError`, never as a traceback from below.

    Args:
        table: what `load_table` returned, or a polars frame.
        columns: the columns to read, in this order; None is all.

    Raises:
        TableError: a row can't be read, or it is no polars frame.
        ColumnNotFoundError: the table lacks one of *columns*.

    Example:
        >>> collect_table(pl.LazyFrame({"id": ["ann"], "plan": ["pro"]}), columns=["plan"]).rows()
        [('pro',)]
    """
    if not isinstance(table, pl.LazyFrame | pl.DataFrame):
        raise no_table(table)
    with speaking("The table"):
        lazy = table.lazy()
        if columns is not None:
            available = lazy.collect_schema().names()
            missing = [column for column in columns if column not in available]
            if missing:
                raise ColumnNotFoundError.of(missing, available, what="The table")
            lazy = lazy.select(by_name(*columns))
        return lazy.collect()


def iter_table(
    table: pl.LazyFrame | pl.DataFrame, /, *, columns: Sequence[str], n_rows: int
) -> Iterator[pl.DataFrame]:
    """Yield the *columns* of *table*, *n_rows* at a time and in their order, holding little else in memory.

    Raises:
        TableError: a row can't be read.
    """
    with speaking("The table"):
        lazy = table.lazy().select(by_name(*columns))
        yield from lazy.collect_batches(chunk_size=n_rows, maintain_order=True, lazy=True, engine="streaming")


def count_rows(table: pl.LazyFrame | pl.DataFrame, /) -> int:
    """Return how many rows *table* has; of Parquet only the footers are read.

    Raises:
        TableError: it can't be read.
    """
    with speaking("The table"):
        return int(table.lazy().select(pl.len()).collect(engine="streaming").item())


def columns_in(table: pl.LazyFrame | pl.DataFrame, /) -> list[str]:
    """Return the names of *table*'s columns, reading its schema only.

    Raises:
        TableError: it is no polars frame, or its file can't be read.
    """
    if not isinstance(table, pl.LazyFrame | pl.DataFrame):
        raise no_table(table)
    with speaking("The table"):
        return table.collect_schema().names()


def _ensure_columns(frame: _Frame, name: str) -> _Frame:
    with speaking(name):
        if not frame.collect_schema().names():
            raise fault(f"{name} has no columns", "at least a column of ids", "load a table with a header")
    return frame


# Paths


def _load_path(source: str, options: _Options) -> pl.LazyFrame:
    source = os.path.expanduser(source)
    with speaking("The path"):
        hive = find_hive(Path(source)) if source.strip() else None
    if hive is not None:
        options.ensure_fit("Parquet", f"{source!r}, a hive of Parquet files")
        return _ensure_columns(hive.scan(), f"The hive {source!r}")
    paths = find_files(source)
    formats = {path: format_of(path) for path in paths}
    if len(set(formats.values())) > 1:
        raise fault(
            f"{source!r} holds files of several formats: {listed(sorted(set(formats.values())))}",
            "files of one format",
            f"name one of them: {os.path.join(source if os.path.isdir(source) else '…', '*' + paths[0].suffix)!r}",
        )
    format = formats[paths[0]]
    options.ensure_fit(format, f"{named(paths[0])}, {A_FILE[format]}")
    for path in paths:
        ensure_plausible(path, format, is_utf8=options.encoding is None)
    if format == "CSV":
        files = [CsvFile.of(path, options.separator, options.encoding, options.null_values) for path in paths]
        return scan_csvs(files, options.schema_overrides or {})
    frames = [_scan(path, format, options) for path in paths]
    if format == "Parquet" and _are_alike(frames):
        # a slice far behind then passes over the files before it; over as many scans it would look into each
        return pl.scan_parquet(paths, glob=False, hive_partitioning=False)
    return combined(frames, paths, may_miss=format == "NDJSON")


def _are_alike(frames: Sequence[pl.LazyFrame]) -> bool:
    """Return whether there are several frames, all with the same columns in the same order."""
    first, *others = (list(frame.collect_schema().items()) for frame in frames)
    return bool(others) and all(schema == first for schema in others)


def _scan(path: Path, format: Format, options: _Options) -> pl.LazyFrame:
    with speaking(named(path)):
        if format == "Parquet":
            frame = pl.scan_parquet(path, glob=False)
        elif format == "Excel":
            frame = _read_excel(path, options).lazy()
        else:
            frame = _scan_ndjson(path, options)
    return _ensure_columns(frame, named(path))


def _scan_ndjson(path: Path, options: _Options) -> pl.LazyFrame:
    scan = partial(pl.scan_ndjson, glob.escape(str(path)))
    try:
        schema = scan(infer_schema_length=None).collect_schema()
        ensure_known(options.schema_overrides or {}, schema.names(), path)
        # With its schema given, no later verb has to infer it again from all lines.
        frame = scan(schema={**schema, **(options.schema_overrides or {})})
        frame.select(pl.all().count()).collect(engine="streaming")
        ensure_whole_characters(path)
    except BaseException as error:
        if not is_from_below(error):
            raise
        raise fault_of_ndjson(path, error) from None
    return frame


def _read_excel(path: Path, options: _Options) -> pl.DataFrame:
    try:
        import fastexcel

        sheets = fastexcel.read_excel(str(path)).sheet_names
        if options.sheet is not None and options.sheet not in sheets:
            raise fault(
                f"{named(path)} has no sheet {options.sheet!r}",
                f"one of {listed(sheets)}",
                f"sheet={sheets[0]!r}",
            )
        read = partial(pl.read_excel, path, engine="calamine", sheet_name=options.sheet)
        frame = read()
        if options.schema_overrides:
            ensure_known(options.schema_overrides, frame.columns, path)
            frame = read(schema_overrides=dict(options.schema_overrides))
        ensure_unique(frame.columns, path, r"_\d+", lambda: read(has_header=False).head(1))
    except ImportError:
        raise fault(
            f"{named(path)} is an Excel file, and the extra that reads it is not installed",
            "the package fastexcel",
            "pip install 'pendosync[excel]'",
        ) from None
    except Exception as error:
        if isinstance(error, PendosyncError):
            raise
        raise told(named(path), error) from None
    return frame
