"""What a file or a frame is faulted with, said in our words: what happened, what was expected, what to type."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import polars as pl

from pendosync.errors import PendosyncError, TableError, counted, first_line

COMPRESSED: Final = (".gz", ".zst")


def fault(what: str, expected: str, hint: str) -> TableError:
    """Return a TableError in its three beats."""
    return TableError(f"{what}. Expected {expected}. Hint: {hint}.")


def named(path: Path) -> str:
    """Return *path* as sentences name it."""
    return repr(str(path))


def encoding_hint(guess: str = "windows-1252") -> str:
    """Return what to type where a text is not UTF-8."""
    return f"encoding={guess!r}, or whatever it was saved with; or save it again as UTF-8"


def is_from_below(error: BaseException, *, foreign: bool = False) -> bool:
    """Whether *error* comes from polars or the disk (or, for *foreign* frames, from whoever wrote them)."""
    if isinstance(error, PendosyncError | MemoryError):
        return False
    # A panic in Rust derives from BaseException, and its class can't be imported in every version.
    if type(error).__name__ == "PanicException":
        return True
    return isinstance(error, Exception if foreign else pl.exceptions.PolarsError | OSError)


@contextmanager
def speaking(name: str) -> Iterator[None]:
    """Turn what polars or the disk says while *name* is read into a TableError."""
    try:
        yield
    except BaseException as error:
        if not is_from_below(error):
            raise
        raise told(name, error) from None


_SENTENCES: Final = (
    # what polars or the disk says · what happened · what was expected · what to do
    (r"No such file", "is not there any more", "the files that were there when it was loaded", "load_table again"),
    (r"ermission denied", "can't be opened: permission denied", "a file that you may read", "copy it, or ask its owner"),
    (r"more fields than defined", "has a line with more fields than its header", "as many fields in each line as the header has", "quote the texts that hold a separator, or export it again"),
    (r"invalid utf-?8|valid UTF-8", "is not UTF-8", "text in UTF-8", "load it with encoding='windows-1252', or save it again as UTF-8"),
    (r"empty CSV|types on empty|empty Excel|could not infer data-type", "has no header and no rows", "at least a header", "export it again"),
    (r"could not parse .* as dtype `str`", "has a quote (\") that is opened and never closed", "a second quote at the end of the text", "write a quote within a text twice (\"\")"),
    (r"could not parse `(?P<value>.{,40}).*` as dtype `(?P<dtype>\w+)` at column '(?P<column>.*?)'", "has the value {value!r} in the column {column!r}", "values of the type {dtype}", "schema_overrides={{{column!r}: pl.String}} keeps the column as text"),
    (r"^parquet|out.of.spec|thrift|ARROW:schema|unwrap\(\)` on an", "is cut short, damaged, or no Parquet file", "a whole Parquet file, from 'PAR1' to 'PAR1'", "copy or export it again"),
    (r"supertype|unexpected value while building", "has a column whose values don't go together", "values of one type in each column", "schema_overrides={{'…': pl.String}}, or make them alike where the file is written"),
    (r"calamine|Zip error", "is cut short or is no Excel file", "a whole Excel file", "save it again in Excel"),
)  # fmt: skip


def told(name: str, error: BaseException) -> TableError:
    """What *error* means for the table called *name*; an error that no sentence knows speaks for itself."""
    if ours := re.search(r"exception: TableError: (.+)", str(error), re.DOTALL):
        return TableError(ours[1])  # polars 1 passes on only the words of what a source in Python raised
    for pattern, *sentence in _SENTENCES:
        if match := re.search(pattern, str(error), re.DOTALL):
            what, expected, hint = (part.format(**match.groupdict()) for part in sentence)
            return fault(f"{name} {what}", expected, hint)
    return fault(
        f"{name} can't be read: {first_line(error)}", "a table that polars can read", "look at its source"
    )


def fault_of_csv(path: Path, error: BaseException, separator: str, encoding: str) -> TableError:
    """As `told`, with the line where the file is broken."""
    if path.suffix.lower() not in COMPRESSED:
        if "more fields" in str(error) and (found := _long_line(path, separator, encoding)):
            line, width, header = found
            return fault(
                f"Line {line:,} of {named(path)} has {counted(width, 'field')}",
                f"{header}, as in its header",
                'quote the texts that hold a separator ("Doe, Ann"), or export it again',
            )
        if re.search(r"utf-?8", str(error)) and (number := _undecodable_line(path)):
            return fault(f"Line {number:,} of {named(path)} is not UTF-8", "UTF-8", encoding_hint())
    return told(named(path), error)


def fault_of_ndjson(path: Path, error: BaseException) -> TableError:
    """As `told`, with the first line that is no JSON object."""
    if path.suffix.lower() in COMPRESSED:
        return told(named(path), error)
    if number := _undecodable_line(path):
        return fault(f"Line {number:,} of {named(path)} is not UTF-8", "UTF-8", "save it again as UTF-8")
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            what = _fault_of_json(line)
            if what:
                return fault(
                    f"Line {number:,} of {named(path)} {what}",
                    "one JSON object, {…}, in each line",
                    "a JSON array is read by pl.read_json(…); pass its frame to load_table",
                )
    return told(named(path), error)


def _fault_of_json(line: str) -> str | None:
    try:
        return None if not line.strip() or isinstance(json.loads(line), dict) else "is JSON, but no object"
    except ValueError:
        return "is not JSON, or is cut short"


def _long_line(path: Path, separator: str, encoding: str) -> tuple[int, int, int] | None:
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        rows = csv.reader(file, delimiter=separator)
        try:
            header = len(next(rows, []))
            return next(((rows.line_num, len(row), header) for row in rows if len(row) > header), None)
        except csv.Error:
            return None


def _undecodable_line(path: Path) -> int | None:
    with path.open("rb") as file:
        return next((number for number, line in enumerate(file, start=1) if not _is_utf8(line)), None)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
