"""Which files a path, a glob or a folder means, which format they have, and how they become one table."""

from __future__ import annotations

import codecs
import glob
import os
import re
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import Final, Literal

import polars as pl

from pendosync.errors import ColumnNotFoundError, TableError, counted, listed, nearest
from pendosync.frames import as_words, is_unicode
from pendosync.tables.faults import COMPRESSED, encoding_hint, fault, named, speaking

Format = Literal["CSV", "Parquet", "NDJSON", "Excel"]

FORMATS: Final[AbstractMapping[str, Format]] = {
    ".csv": "CSV",
    ".tsv": "CSV",
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".ndjson": "NDJSON",
    ".jsonl": "NDJSON",
    ".xlsx": "Excel",
    ".xlsm": "Excel",
    ".xlsb": "Excel",
    ".xls": "Excel",
    ".ods": "Excel",
}
"""Suffix → format. The text formats may be compressed too: `users.csv.gz`, `users.ndjson.zst`."""

A_FILE: Final[AbstractMapping[Format, str]] = {
    "CSV": "a CSV file",
    "Parquet": "a Parquet file",
    "NDJSON": "an NDJSON file",
    "Excel": "an Excel file",
}
_FIRST_HALF: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}"
_SECOND_HALF: Final = r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_TEXTS: Final = (pl.String, pl.Categorical, pl.Enum, pl.Null)


def find_files(source: str) -> list[Path]:
    """Return the files that *source* means, sorted by path; never none."""
    path = Path(source)
    if not source.strip():
        raise fault("The path is empty", "the path of a file", "load_table('users.csv')")
    with speaking("The path"):  # one that is too long can't even be looked for
        is_file = path.is_file()
    if is_file:
        return [path]
    if path.is_dir():
        return _files_in(path)
    if "://" in source:
        raise fault(
            f"{source!r} is an address",
            "a path on this machine, or a frame",
            f"load_table(pl.scan_parquet({source!r})) lets polars read it there",
        )
    if not glob.has_magic(source):
        raise _missing(path)
    found = [Path(name) for name in sorted(glob.glob(source, recursive=True)) if os.path.isfile(name)]
    if not found:
        raise _no_match(source)
    return found


def _files_in(folder: Path) -> list[Path]:
    names = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] not in "._")
    tables = [path for path in names if suffix_of(path) in FORMATS]
    if not tables:
        raise fault(
            f"The folder {str(folder)!r} holds no table"
            + (f", only {listed(path.name for path in names)}" if names else ": it has no files"),
            f"files that end in {', '.join(FORMATS)}",
            f"load_table({str(folder / '**' / '*.csv')!r}) looks into the folders below",
        )
    return tables


def _missing(path: Path) -> TableError:
    folder = path.parent
    if not folder.is_dir():
        return fault(
            f"There is no folder {str(folder)!r} (seen from {os.getcwd()!r})",
            "the path of a file that exists",
            f"look for it from there, or give the whole path of {path.name!r}",
        )
    there = _shown_in(folder)
    stems = nearest(path.stem, [Path(name).stem for name in there])
    near = [name for name in there if Path(name).stem in stems]
    tables = [name for name in there if suffix_of(Path(name)) in FORMATS]
    shown = near or tables
    return fault(
        f"There is no file {str(path)!r} (seen from {os.getcwd()!r})",
        f"a file that exists; the folder has {listed(shown) if shown else 'no tables'}",
        f"load_table({str(folder / near[0])!r})" if near else "check the name and the working directory",
    )


def _no_match(pattern: str) -> TableError:
    folder = Path(pattern).parent
    there = _shown_in(folder) if folder.is_dir() else []
    return fault(
        f"No file matches {pattern!r} (seen from {os.getcwd()!r})",
        f"at least one; its folder has {listed(there) if there else 'no files'}",
        "check the pattern: * stands for any text in a name, ** for any folders",
    )


def _shown_in(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))


def suffix_of(path: Path) -> str:
    """The suffix that names the format, lower case: `.csv` for `users.CSV.gz`."""
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower()
    return inner if suffix in COMPRESSED and FORMATS.get(inner) in ("CSV", "NDJSON") else suffix


def format_of(path: Path) -> Format:
    """Return the format that the suffix of *path* names.

    Raises:
        TableError: it names none.
    """
    suffix = suffix_of(path)
    if suffix not in FORMATS:
        raise fault(
            f"{named(path)} has " + (f"the suffix {suffix!r}" if suffix else "no suffix"),
            f"one of {', '.join(FORMATS)}",
            "rename it, or read it with polars and pass the frame: load_table(pl.read_…(…))",
        )
    return FORMATS[suffix]


def ensure_plausible(path: Path, format: Format, *, is_utf8: bool) -> None:
    """Refuse early what polars would read as rubbish: no bytes at all, or binary bytes under a text's name."""
    if not is_unicode(str(path)):
        raise fault(f"{named(path)} has a name that is not UTF-8", "a name in Unicode", "rename the file")
    with speaking(named(path)):
        with path.open("rb") as file:
            start = file.read(4096)
    if not start:
        raise fault(f"{named(path)} is empty (0 bytes)", A_FILE[format], "export it again")
    if format not in ("CSV", "NDJSON") or path.suffix.lower() in COMPRESSED or not is_utf8:
        return
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise fault(
            f"{named(path)} is written in UTF-16",
            "UTF-8",
            encoding_hint("utf-16") if format == "CSV" else "save it again as UTF-8",
        )
    if b"\0" in start or start.startswith(b"PK\x03\x04"):
        real = "an Excel or zip file" if start.startswith(b"PK") else "a binary file"
        raise fault(f"{named(path)} is {real}, not text", A_FILE[format], "give it its real suffix")


def ensure_whole_characters(path: Path) -> None:
    """Refuse NDJSON that names the first half of a character alone, which polars reads as a NUL.

    Source: seen with polars 1.44 and 2.1; a second half alone they refuse.
    """
    lines = pl.scan_csv(
        path, has_header=False, new_columns=["line"], separator="\0", quote_char=None, infer_schema=False,
        truncate_ragged_lines=True, glob=False, row_index_name="number", row_index_offset=1,
    )  # fmt: skip
    unescaped = pl.col("line").str.replace_all(r"\\", "", literal=True)
    n_first, n_whole = (
        unescaped.str.count_matches(form) for form in (_FIRST_HALF, _FIRST_HALF + _SECOND_HALF)
    )
    wrong = lines.filter(n_first != n_whole).select("number").head(1).collect()
    if wrong.height:
        raise fault(
            f"Line {wrong.item():,} of {named(path)} holds half of a character, a lone surrogate",
            "whole characters",
            "mend it where the file is written",
        )


def combined(
    frames: Sequence[pl.LazyFrame], paths: Sequence[Path], *, may_miss: bool = False
) -> pl.LazyFrame:
    """Return the frames one below the other, columns by name; numbers widen, but text and numbers never mix.

    Only with *may_miss* may a frame lack a column of another; it is null there.
    """
    if len(frames) == 1:
        return frames[0]
    schemas = [frame.collect_schema() for frame in frames]
    names = schemas[0].names()
    if not may_miss:
        for path, schema in zip(paths, schemas, strict=True):
            if differing := sorted(set(schema) ^ set(names)):
                raise _unlike(paths[0], path, f"only one of them has the column {listed(differing)}")
        frames = [frame.select(names) for frame in frames]
    with speaking(f"{counted(len(paths), 'file')} from {named(paths[0])} on"):
        together = pl.concat(frames, how="diagonal_relaxed" if may_miss else "vertical_relaxed")
        widened = together.collect_schema()
    for path, schema in zip(paths, schemas, strict=True):
        for name, dtype in schema.items():
            if widened[name] == pl.String() and not isinstance(dtype, _TEXTS):
                raise _unlike(
                    paths[0], path, f"the column {name!r} is text in some, {as_words(dtype)} in others"
                )
    return together


def ensure_alike(paths: Sequence[Path], schemas: Sequence[AbstractMapping[str, pl.DataType]]) -> None:
    """Return nothing where each file has the columns and the types of the first, else raise TableError."""
    first = schemas[0]
    for path, schema in zip(paths, schemas, strict=True):
        if differing := sorted(set(schema) ^ set(first)):
            raise _unlike(paths[0], path, f"only one of them has the column {listed(differing)}")
        for name, dtype in schema.items():
            if dtype != first[name]:
                raise _unlike(
                    paths[0],
                    path,
                    f"the column {name!r} is {first[name]} in the first, {dtype} in the second",
                )


def _unlike(first: Path, other: Path, how: str) -> TableError:
    return fault(
        f"{named(first)} and {named(other)} are not parts of one table: {how}",
        "files with the same columns",
        "load them one by one, bring them to the same columns, and pl.concat them",
    )


def ensure_unique(
    names: Sequence[str], path: Path, tail: str, read_header: Callable[[], pl.DataFrame]
) -> None:
    """Refuse two columns of one name, which polars tells apart by a *tail* of its own (`plan_1`)."""
    found = (re.fullmatch(f"(.*){tail}", name, re.DOTALL) for name in names)
    if not any(match is not None and match[1] in names for match in found):
        return
    header = [str(name) for name in read_header().row(0)]
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise fault(
            f"{named(path)} has more than one column {listed(twice)}",
            "a name of its own for each column",
            "rename one of them in the file's header",
        )


def ensure_known(columns: Iterable[str], names: Sequence[str], path: Path) -> None:
    """Return nothing where each of *columns* is among *names*, else raise ColumnNotFoundError."""
    missing = [column for column in columns if column not in names]
    if missing:
        raise ColumnNotFoundError.of(missing, names, what=named(path))
