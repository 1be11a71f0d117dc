"""A hive: Parquet files in folders `key=value`, one below the other, whose keys are columns of the table."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import polars as pl

from pendosync.errors import listed
from pendosync.frames import is_unicode
from pendosync.tables.faults import fault, named, speaking
from pendosync.tables.files import FORMATS, ensure_alike, ensure_plausible, suffix_of

_LEVEL: Final = re.compile(r"(?P<key>[^=.][^=]*)=(?P<value>.*)", re.DOTALL)
_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
_INTEGER: Final = re.compile(r"0|-?[1-9]\d{0,17}")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_READ: Final = re.compile(r"([^=]+)=([^=*]*)", re.DOTALL)
"""What polars, too, reads as a key and its value; it passes over others."""


@dataclass(frozen=True)
class Hive:
    """The files below a folder, sorted by path, and each one's keys with their values as text."""

    folder: Path
    files: dict[Path, dict[str, str]]

    def scan(self) -> pl.LazyFrame:
        """Return the table: the files' columns, then the keys; a filter on a key passes over whole files.

        Raises:
            TableError: the files have other columns or types, or other keys, than the first.
        """
        paths = list(self.files)
        self._ensure_one_table()
        types = {key: _type_of(values[key] for values in self.files.values()) for key in self.files[paths[0]]}
        # polars reads keys from the whole path, those above our folder too
        above = [match[1] for part in self.folder.absolute().parts if (match := _READ.fullmatch(part))]
        schema = {**dict.fromkeys(above, pl.String()), **types}
        with speaking(f"The hive {named(self.folder)}"):
            table = pl.scan_parquet(
                [path.absolute() for path in paths], hive_partitioning=True, hive_schema=schema, glob=False
            )
            table = table.drop(key for key in above if key not in types)
            inner = [name for name in table.collect_schema() if name not in types]
            return table.select(*inner, *types)

    def _ensure_one_table(self) -> None:
        (first, keys), *others = self.files.items()
        for path, values in others:
            if list(values) != list(keys):
                raise fault(
                    f"{named(path)} lies in folders of {listed(values) or 'no key'}, {named(first)} of {listed(keys)}",
                    "the same keys in the same order for each file",
                    f"load the folders one by one: load_table({str(self.folder / '…')!r})",
                )
        schemas: list[dict[str, pl.DataType]] = []
        for path in self.files:
            ensure_plausible(path, "Parquet", is_utf8=True)
            with speaking(named(path)):
                schema = pl.scan_parquet(path, glob=False, hive_partitioning=False).collect_schema()
            schemas.append({name: dtype for name, dtype in schema.items() if name not in keys})
        ensure_alike(list(self.files), schemas)


def find_hive(folder: Path) -> Hive | None:
    """Return the hive that *folder* is, None where it holds no folder `key=value` with a table in it.

    Raises:
        TableError: there are tables beside its folders too, or files in it that are not Parquet.
    """
    if not folder.is_dir():
        return None
    tops = sorted(path for path in folder.iterdir() if path.is_dir() and _LEVEL.fullmatch(path.name))
    tables = [path for top in tops for path in _tables_below(top)]
    if not tables:
        return None
    if beside := sorted(path.name for path in folder.iterdir() if path.is_file() and _is_table(path)):
        raise fault(
            f"The folder {str(folder)!r} holds {listed(beside)} beside folders {listed(top.name for top in tops)}",
            "files, or a hive of partitions, in one folder",
            f"load_table({str(folder / beside[0])!r}), or {str(folder / tops[0].name)!r}",
        )
    for path in tables:
        if FORMATS[suffix_of(path)] != "Parquet":
            raise fault(
                f"{named(path)} is no Parquet file, in a folder of the hive {str(folder)!r}",
                "Parquet in folders key=value",
                f"load_table({str(folder / '**' / ('*' + path.suffix))!r}) reads such files without their keys",
            )
    return Hive(folder, {path: _values_of(path, folder) for path in sorted(tables)})


def _tables_below(top: Path) -> Iterable[Path]:
    for root, folders, names in os.walk(top):
        folders[:] = [name for name in folders if _LEVEL.fullmatch(name)]
        yield from (path for name in names if _is_table(path := Path(root, name)))


def _is_table(path: Path) -> bool:
    return path.name[0] not in "._" and suffix_of(path) in FORMATS


def _values_of(path: Path, folder: Path) -> dict[str, str]:
    values: dict[str, str] = {}
    for part in path.relative_to(folder).parts[:-1]:
        match = _LEVEL.fullmatch(part)
        if match is None or not _READ.fullmatch(part) or not is_unicode(part) or match["key"] in values:
            raise fault(
                f"The folder {part!r:.100} of {named(path)} can't be read as a key and its value",
                "a name such as day=2026-01-31, each key once, without = and * in the value",
                "rename it; writers of hives put %3D and %2A there",
            )
        values[match["key"]] = unquote(match["value"])
    return values


def _type_of(values: Iterable[str]) -> pl.DataType:
    """Integer or date where each value is one that reads back as it was written, else text."""
    known = {value for value in values if value != _NULL}
    if known and all(_INTEGER.fullmatch(value) for value in known):
        return pl.Int64()
    if known and all(_is_date(value) for value in known):
        return pl.Date()
    return pl.String()


def _is_date(value: str) -> bool:
    if not _DATE.fullmatch(value):
        return False
    try:
        return bool(date.fromisoformat(value))
    except ValueError:
        return False
