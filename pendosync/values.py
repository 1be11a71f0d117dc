"""From a table to values of Pendo's types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import polars as pl

from pendosync.errors import ColumnNotFoundError, FrameError, MappingError
from pendosync.frames import DTYPES, VALUES, FieldType, as_words, field_names, raw_object
from pendosync.mapping import Mapping, Trait
from pendosync.tables import collect_table

_OFFSET_FORMAT: Final = "%Y-%m-%dT%H:%M:%S%.f%#z"
_NAIVE_FORMATS: Final = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M")
_ID: Final = "\0id"
_SAFE_FLOAT: Final = float(2**63)


def map_traits(table: pl.DataFrame | pl.LazyFrame, mapping: Mapping, /) -> pl.DataFrame:
    """Return the values that *mapping* takes from *table*, each of one of Pendo's types.

    Reads only the columns that the mapping names. Never raises for a value and never drops one: a cell that can't
    become its field's type leaves null and stands in `raw`, and a column that can't become any (Binary, Time,
    Duration, datetimes without a zone) stays as it is; `check_values` reports both.

    The casts: whole numbers → integer (64 bit) · Float32 by its shortest decimal, Float64 → float · Decimal → float
    where every value of the column survives the way there and back, else text · Date → midnight UTC · Datetime →
    UTC, cut to milliseconds; without a zone the mapping's `time_zone` holds · Categorical, Enum → text · List and
    Array of texts or whole numbers → list of text · Struct → one field a part, named `field_part`. A trait's `type`
    asks for another: text from any of these; integer, float, boolean, date from text that reads as one; boolean from
    0 and 1; integer from floats without a fraction.

    Args:
        table: a table (n rows), lazy or not.
        mapping: which traits become which fields.

    Returns:
        VALUES frame (n rows), in the table's order.

    Raises:
        ColumnNotFoundError: the mapping names a column that the table lacks; the message lists the near ones.
        MappingError: the id is no text or whole number, or flattened parts meet another field.
        TableError: the file behind a lazy table can't be read.

    Cost: one pass, a few vectorised casts per column.

    Example:
        >>> table = pl.DataFrame({"user": ["ann", "bo"], "seats": [5, None], "plan": ["pro", "free"]})
        >>> map_traits(table, Mapping("visitor", id="user", traits=["plan", "seats"])).drop("raw")
        shape: (2, 4)
        ┌─────┬─────┬──────┬───────┐
        │ row ┆ id  ┆ plan ┆ seats │
        │ --- ┆ --- ┆ ---  ┆ ---   │
        │ u32 ┆ str ┆ str  ┆ i64   │
        ╞═════╪═════╪══════╪═══════╡
        │ 0   ┆ ann ┆ pro  ┆ 5     │
        │ 1   ┆ bo  ┆ free ┆ null  │
        └─────┴─────┴──────┴───────┘
    """
    sources = _flatten(_read_sources(table, mapping), mapping)
    casts = {
        name: _cast(sources[name], mapping.trait_of(name), mapping.time_zone) for name in _traits_in(sources)
    }
    mapped = sources.select(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("row"),
        _id_expr(sources.schema[_ID], mapping).alias("id"),
        *(expr.alias(name) for name, expr in casts.items()),
    )
    raw = _raw_cells(sources, mapped)
    return mapped.select("row", "id", raw.alias("raw"), *casts)


def check_mapping(
    mapping: Mapping, /, *, rows: pl.DataFrame | Iterable[dict[str, Any]], expected: Iterable[dict[str, Any]]
) -> pl.DataFrame:
    """Return where *mapping* makes other values of *rows* than *expected*: a unit test of a mapping.

    Touches no network. Only the fields that an expected row names are compared; dates are given as Python datetimes
    or as ISO 8601 text.

    Args:
        mapping: the declaration under test.
        rows: a few rows of the table.
        expected: per row, in order, `{"id": …, field: value, …}`.

    Returns:
        A frame `row`, `field`, `expected`, `mapped` (texts), empty where all is as expected.

    Raises:
        MappingError: *rows* and *expected* differ in number, or whatever `map_traits` raises.

    Example:
        >>> mapping = Mapping("visitor", id="id", traits=[Trait(sql="UPPER(plan)", field="plan")])
        >>> check_mapping(mapping, rows=[{"id": 1, "plan": "pro"}], expected=[{"id": "1", "plan": "PRO"}]).height
        0
    """
    table = rows if isinstance(rows, pl.DataFrame) else pl.DataFrame(list(rows), infer_schema_length=None)
    mapped = map_traits(table, mapping).to_dicts()
    wanted = list(expected)
    if len(mapped) != len(wanted):
        raise MappingError(
            f"There are {len(mapped)} rows and {len(wanted)} expected ones. Expected one for each. "
            f"Hint: check_mapping(mapping, rows=[…], expected=[…]) with lists of the same length."
        )
    schema = {"row": pl.UInt32, "field": pl.String, "expected": pl.String, "mapped": pl.String}
    differences = [
        (row, name, repr(value), repr(got.get(name, "no such field")))
        for row, (got, want) in enumerate(zip(mapped, wanted, strict=True))
        for name, value in want.items()
        if not _is_same(got, name, value)
    ]
    return pl.DataFrame(differences, schema=schema, orient="row")


def _is_same(got: dict[str, Any], name: str, value: Any) -> bool:
    if name not in got:
        return False
    mapped = got[name]
    if isinstance(value, str) and hasattr(mapped, "isoformat"):
        read = pl.Series([value]).to_frame("text").select(_date_from_text("text", None))
        return bool(mapped == read.item())
    return bool(mapped == value) and isinstance(mapped, bool) == isinstance(value, bool)


def _read_sources(table: pl.DataFrame | pl.LazyFrame, mapping: Mapping) -> pl.DataFrame:
    """Return the id and each trait, computed but not yet cast, reading no other column."""
    exprs = [
        pl.col(mapping.id).alias(_ID),
        *(trait.to_expr().alias(trait.field) for trait in mapping.each_trait),
    ]
    names = table.collect_schema().names()
    roots = list(dict.fromkeys(root for expr in exprs for root in expr.meta.root_names()))
    missing = [root for root in roots if root not in names]
    if missing:
        raise ColumnNotFoundError.of(missing, names, what="The table")
    read = collect_table(table.lazy().select(roots)).rechunk()
    try:
        return read.select(exprs)
    except pl.exceptions.PolarsError as error:
        told = str(error).strip().split("\n", 1)[0]
        raise MappingError(
            f"A computed trait can't be computed on this table ({told}). Expected an expression that gives one value "
            f"for each row. Hint: try it with table.select(…) first."
        ) from None


def _traits_in(sources: pl.DataFrame) -> list[str]:
    return [name for name in sources.columns if name != _ID]


def _flatten(sources: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Replace each struct by its parts, as deep as they go."""
    while structs := [name for name in _traits_in(sources) if isinstance(sources.schema[name], pl.Struct)]:
        name = structs[0]
        parts = [part.alias(f"{name}_{part.name}") for part in sources[name].struct.unnest()]
        met = [part.name for part in parts if part.name in sources.columns]
        if met:
            raise MappingError(
                f"The parts of {name!r} meet the field {met[0]!r}. Expected names of their own. "
                f"Hint: give the struct's trait another field=.",
                field=met[0],
            )
        at = sources.columns.index(name)
        columns = sources.get_columns()
        sources = pl.DataFrame([*columns[:at], *parts, *columns[at + 1 :]])
    return sources


def _id_expr(dtype: pl.DataType, mapping: Mapping) -> pl.Expr:
    if _is_text(dtype) or dtype.is_integer():
        return pl.col(_ID).cast(pl.String)
    raise MappingError(
        f"The id column {mapping.id!r} is {dtype}. Expected text or whole numbers. "
        f"Hint: table.with_columns(pl.col({mapping.id!r}).cast(pl.Int64).cast(pl.String)).",
        trait=mapping.id,
    )


def _cast(source: pl.Series, trait: Trait | None, zone: str | None) -> pl.Expr:
    """Return the expression that brings *source* to its field's type, or the column as it is where none can."""
    wanted = (trait.type if trait else None) or _natural_type(source)
    expr = _CASTS[wanted](source.name, source.dtype, zone) if wanted else None
    return pl.col(source.name) if expr is None else expr.cast(DTYPES[wanted]) if wanted else expr


def _natural_type(source: pl.Series) -> FieldType | None:
    dtype = source.dtype
    if isinstance(dtype, pl.Decimal):
        return "float" if _is_exact(source) else "text"
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "float"
    if _is_text(dtype):
        return "text"
    if isinstance(dtype, pl.List | pl.Array):
        return "list"
    return {pl.Boolean: "boolean", pl.Date: "date", pl.Datetime: "date"}.get(dtype.base_type())  # type: ignore[return-value]


def _is_exact(source: pl.Series) -> bool:
    there_and_back = pl.col(source.name).cast(pl.Float64).cast(source.dtype, strict=False)
    return bool(source.to_frame().select(there_and_back.eq_missing(pl.col(source.name)).all()).item())


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Null)


def _to_text(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    if _is_text(dtype) or dtype.is_numeric() or isinstance(dtype, pl.Boolean):
        return pl.col(name).cast(pl.String)
    date = _to_date(name, dtype, zone) if dtype.is_temporal() else None
    return date.dt.strftime("%Y-%m-%dT%H:%M:%S%.3f%:z") if date is not None else None


def _to_boolean(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    if isinstance(dtype, pl.Boolean):
        return pl.col(name)
    if not (_is_text(dtype) or dtype.is_integer()):
        return None
    text = pl.col(name).cast(pl.String).str.strip_chars().str.to_lowercase()
    yes, no = ("true", "false") if _is_text(dtype) else ("1", "0")
    return pl.when(text == yes).then(True).when(text == no).then(False)


def _to_integer(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    column = pl.col(name)
    if dtype.is_float() or isinstance(dtype, pl.Decimal):
        number = column.cast(pl.Float64)
        whole = number.is_finite() & (number == number.floor()) & (number.abs() < _SAFE_FLOAT)
        return pl.when(whole).then(column).cast(pl.Int64, strict=False)
    if dtype.is_integer() or _is_text(dtype):
        return (
            column.cast(pl.String).cast(pl.Int64, strict=False)
            if _is_text(dtype)
            else column.cast(pl.Int64, strict=False)
        )
    return None


def _to_float(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    if not (dtype.is_numeric() or _is_text(dtype)):
        return None
    by_text = _is_text(dtype) or dtype == pl.Float32  # the shortest decimal: 0.1, not 0.10000000149011612
    column = pl.col(name).cast(pl.String) if by_text else pl.col(name)
    return column.cast(pl.Float64, strict=False)


def _to_date(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    column = pl.col(name)
    if isinstance(dtype, pl.Date):
        date = column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    elif isinstance(dtype, pl.Datetime) and (dtype.time_zone or zone):
        date = column.dt.convert_time_zone("UTC") if dtype.time_zone else _in_zone(column, zone)
    elif _is_text(dtype):
        date = _date_from_text(name, zone)
    else:
        return None
    cut = date.dt.cast_time_unit("ms")
    return pl.when(cut.dt.year().is_between(1, 9999)).then(cut)


def _date_from_text(name: str, zone: str | None) -> pl.Expr:
    """Read ISO 8601: a date, or a date and time with an offset, or one without where *zone* says which."""
    text = pl.col(name).cast(pl.String).str.strip_chars()
    text = text.str.replace(r"^(\d{4}-\d{2}-\d{2}) ", "${1}T").str.replace(r"[Zz]$", "+00:00")
    with_offset = text.str.to_datetime(_OFFSET_FORMAT, strict=False, time_unit="us", time_zone="UTC")
    day = text.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    naive = [text.str.to_datetime(form, strict=False, time_unit="us") for form in _NAIVE_FORMATS]
    zoned = [_in_zone(pl.coalesce(naive), zone)] if zone else []
    return pl.coalesce(with_offset, day, *zoned)


def _in_zone(naive: pl.Expr, zone: str | None) -> pl.Expr:
    """Read *naive* on the clocks of *zone*; what those clocks show twice or never becomes null."""
    return naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null").dt.convert_time_zone("UTC")


def _to_list(name: str, dtype: pl.DataType, zone: str | None) -> pl.Expr | None:
    inner = getattr(dtype, "inner", None)
    if inner is None or not (_is_text(inner) or inner.is_integer()):
        return None
    return pl.col(name).cast(pl.List(pl.String))


_CASTS: Final = {
    "text": _to_text,
    "boolean": _to_boolean,
    "integer": _to_integer,
    "float": _to_float,
    "date": _to_date,
    "list": _to_list,
}


def _raw_cells(sources: pl.DataFrame, mapped: pl.DataFrame) -> pl.Series:
    """Return, per row, a JSON object of the cells that had a value and have none after the cast, else null."""
    empty = pl.Series("raw", [None], dtype=VALUES["raw"]).new_from_index(0, mapped.height)
    lost = [name for name in field_names(mapped) if mapped[name].null_count() > sources[name].null_count()]
    if not lost:
        return empty
    cells = pl.DataFrame([mapped[name].is_null() & sources[name].is_not_null() for name in lost])
    return (
        sources.select(lost)
        .hstack(cells.rename(lambda name: f"{name}\0lost"))
        .select(raw_object([(name, pl.col(f"{name}\0lost")) for name in lost]))["raw"]
    )


def ensure_typed(values: pl.DataFrame, *, what: str) -> None:
    """Raise where a column of *values* has no type of Pendo's.

    Raises:
        FrameError: naming the columns and what they are.
    """
    strange = {
        name: f"is {values.schema[name]}"
        for name in field_names(values)
        if values.schema[name] not in DTYPES.values()
    }
    if strange:
        raise FrameError(
            f"{what} has a column that Pendo has no type for: "
            f"{', '.join(f'{name!r} ({as_words(values.schema[name])})' for name in strange)}. "
            f"Expected {', '.join(DTYPES)}. Hint: drop_blocked(values, check_values(values, mapping=mapping)).",
            wrong_types=strange,
        )
