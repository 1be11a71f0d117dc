"""A CSV file as a lazy table in which every value confirms the type of its column."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from pendosync.tables.faults import encoding_hint, fault, fault_of_csv, is_from_below, named, speaking
from pendosync.tables.files import combined, ensure_known, ensure_unique, suffix_of

_SAMPLE_ROWS: Final = 1_000


@dataclass(frozen=True)
class _Reading:
    """A type that text may have: which texts look like it, and how they are read."""

    dtype: pl.DataType
    pattern: str
    parse: Callable[[pl.Expr, bool], pl.Expr]
    is_native: bool

    def fits(self, text: pl.Expr) -> pl.Expr:
        """Whether a text fits, or is null."""
        return text.is_null() | (text.str.contains(self.pattern) & self.parse(text, False).is_not_null())


def _native(dtype: pl.DataType, pattern: str) -> _Reading:
    def parse(text: pl.Expr, strict: bool) -> pl.Expr:
        return text if dtype == pl.Boolean() else text.cast(dtype, strict=strict)

    return _Reading(dtype, pattern, parse, is_native=True)


def _temporal(dtype: pl.Date | pl.Datetime, format: str) -> _Reading:
    def parse(text: pl.Expr, strict: bool) -> pl.Expr:
        return text.str.strptime(dtype, format, strict=strict)

    return _Reading(dtype, r"^[0-9]{4}-[0-9]{2}-[0-9]{2}", parse, is_native=False)


_READINGS: Final = (
    _native(pl.Int64(), r"^(0|-?[1-9][0-9]*)$"),
    _native(
        pl.Float64(),
        r"^-?((0|[1-9][0-9]{0,14})(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$|^(NaN|nan|-?[iI]nf(inity)?)$",
    ),
    _native(pl.Boolean(), r"^(true|false|True|False|TRUE|FALSE)$"),
    _temporal(pl.Date(), "%Y-%m-%d"),
    *(
        _temporal(pl.Datetime("us", "UTC" if zone else None), f"%Y-%m-%d{blank}%H:%M{seconds}{zone}")
        for blank in "T "
        for seconds in (":%S%.f", "")
        for zone in ("", "%#z")
    ),
)


@dataclass(frozen=True)
class CsvFile:
    """One file with all that is needed to read it: as text, or with its columns' types."""

    path: Path
    source: Path | bytes
    separator: str
    encoding: str
    null_values: str | Sequence[str] | None

    @classmethod
    def of(
        cls, path: Path, separator: str | None, encoding: str | None, null_values: str | Sequence[str] | None
    ) -> CsvFile:
        """Return the file, after a look at its header."""
        mark = separator or ("\t" if suffix_of(path) == ".tsv" else ",")
        if len(mark.encode()) != 1:
            raise fault(f"separator is {mark!r}", "one plain character", "separator=';' or '\\t'")
        file = cls(path, _decoded(path, encoding or "utf-8"), mark, encoding or "utf-8", null_values)
        file._ensure_header(is_separator_named=separator is not None)
        return file

    def scan(self, **options: Any) -> pl.LazyFrame:
        return pl.scan_csv(
            self.source, separator=self.separator, null_values=self.null_values, glob=False, **options
        )

    def texts(self) -> pl.LazyFrame:
        """The file with each column as text."""
        return self.scan(infer_schema=False)

    def typed(
        self, types: AbstractMapping[str, _Reading], overrides: AbstractMapping[str, Any]
    ) -> pl.LazyFrame:
        native = {name: reading.dtype for name, reading in types.items() if reading.is_native}
        names = self.texts().collect_schema().names()
        schema = {name: native.get(name, pl.String()) for name in names} | dict(overrides)
        parsed = [
            reading.parse(pl.col(name), True) for name, reading in types.items() if not reading.is_native
        ]
        return self.scan(schema=schema).with_columns(parsed)

    def _header(self) -> pl.DataFrame:
        first = {"has_header": False, "infer_schema": False, "n_rows": 1, "truncate_ragged_lines": True}
        return self.scan(**first).collect()

    def _ensure_header(self, *, is_separator_named: bool) -> None:
        with speaking(named(self.path)):
            names = self.texts().collect_schema().names()
        if any("\ufffd" in name for name in names):
            raise fault(f"The header of {named(self.path)} is not UTF-8", "UTF-8", encoding_hint())
        other = next((mark for mark in ";\t|," if len(names) == 1 and mark in names[0]), None)
        if other and not is_separator_named:
            raise fault(
                f"The header of {named(self.path)} is one column, {names[0][:60]!r}",
                f"columns set apart by {self.separator!r}",
                f"separator={other!r} (or separator={self.separator!r}, if it really is one column)",
            )
        ensure_unique(names, self.path, r"_duplicated_\d+", self._header)


def scan_csvs(files: Sequence[CsvFile], overrides: AbstractMapping[str, Any]) -> pl.LazyFrame:
    """Return *files*, one below the other, each column with the type that all its values have.

    Reads every file through once and keeps nothing of it.
    """
    paths = [file.path for file in files]
    names = combined([file.texts() for file in files], paths).collect_schema().names()
    ensure_known(overrides, names, paths[0])
    types = _find_types(files, [name for name in names if name not in overrides])
    tables = [file.typed(types, overrides) for file in files]
    if overrides:
        for file, table in zip(files, tables, strict=True):
            with speaking(named(file.path)):
                table.select(pl.col(list(overrides)).count()).collect(engine="streaming")
    return combined(tables, paths)


def _decoded(path: Path, encoding: str) -> Path | bytes:
    """The file itself where polars can read it, else its text in UTF-8."""
    try:
        if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii"):
            return path
        return path.read_bytes().decode(encoding).encode()
    except LookupError:
        raise fault(
            f"There is no encoding {encoding!r}",
            "a name that Python knows",
            "encoding='windows-1252', 'latin-1' or 'utf-16'",
        ) from None
    except UnicodeDecodeError as error:
        raise fault(
            f"{named(path)} is not written in {encoding}: {error.reason} at byte {error.start:,}",
            "the encoding that it was saved with",
            "try encoding='windows-1252' or 'utf-16', or leave it out for UTF-8",
        ) from None


def _find_types(files: Sequence[CsvFile], names: Sequence[str]) -> dict[str, _Reading]:
    """Which columns are not text: a sample of each file proposes, then every row confirms."""
    candidates: dict[str, tuple[_Reading, ...]] = dict.fromkeys(names, _READINGS)
    filled: set[str] = set()
    for rows in (_SAMPLE_ROWS, None):
        for file in files:
            texts = file.texts() if rows is None else file.texts().head(rows)
            try:
                candidates, found = _confirmed(texts, candidates)
            except BaseException as error:
                if not is_from_below(error):
                    raise
                raise fault_of_csv(file.path, error, file.separator, file.encoding) from None
            filled |= found
    return {name: readings[0] for name, readings in candidates.items() if readings and name in filled}


def _confirmed(
    texts: pl.LazyFrame, candidates: AbstractMapping[str, tuple[_Reading, ...]]
) -> tuple[dict[str, tuple[_Reading, ...]], set[str]]:
    """The candidates that every value of *texts* fits, and the columns that hold a value at all."""
    names = texts.collect_schema().names()
    # Counting every column makes polars split every line: it would pass over a broken one otherwise.
    counts = [pl.col(name).count().alias(name) for name in names]
    fits = [
        pl.struct(reading.fits(pl.col(name)).all().alias(str(n)) for n, reading in enumerate(readings)).alias(
            name
        )
        for name, readings in candidates.items()
        if readings
    ]
    counted = texts.select(pl.struct(counts).alias("counts"), pl.struct(fits or [pl.lit(0)]).alias("fits"))
    row = counted.collect(engine="streaming").row(0, named=True)
    left = {
        name: tuple(reading for n, reading in enumerate(readings) if row["fits"][name][str(n)])
        for name, readings in candidates.items()
    }
    return left, {name for name, n_values in row["counts"].items() if n_values}
