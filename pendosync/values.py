"""From a table to values of Pendo's types."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as AbstractMapping
from itertools import chain
from types import MappingProxyType
from typing import Any, Final

import polars as pl

from pendosync.casts import (
    NUMBERS,
    Lost,
    cast_column,
    date_from_text,
    lost_as,
    number_type,
    raw_text,
    settle,
)
from pendosync.errors import ColumnNotFoundError, FrameError, MappingError, counted, first_line
from pendosync.frames import DTYPES, VALUES, FieldType, as_words, field_names, raw_of, row_of
from pendosync.heads import about_of, ids_of
from pendosync.mapping import Mapping
from pendosync.spec import spec_type
from pendosync.tables import collect_table, columns_in
from pendosync.traits import Trait

ID: Final = "\0id"
"""The id among the sources of values: no column of a table is called so."""

Types = AbstractMapping[str, FieldType]
"""Field → the type that was settled for it, by all of a table's values."""

NO_TYPES: Final[Types] = MappingProxyType({})


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
    return map_rows(_read(table, mapping), mapping)


def map_events(table: pl.DataFrame | pl.LazyFrame, mapping: Mapping, /) -> pl.DataFrame:
    """Return the events that *mapping* takes from *table*: `map_traits` of a mapping of kind `event`.

    Each row is a message of its own. `about` says whom it is of, what happened and when; a property that is null is
    not sent.

    Args:
        table: events (n rows), lazy or not, from `load_events`.
        mapping: which columns are what.

    Returns:
        VALUES frame (n rows) with `about`, in the table's order.

    Raises:
        MappingError: *mapping* is of another kind, or as `map_traits`.
        ColumnNotFoundError, TableError: as `map_traits`.

    Example:
        >>> table = pl.DataFrame({"user": ["ann"], "event": ["Signed Up"], "time": ["2026-11-26T10:00:00Z"]})
        >>> mapping = Mapping("event", visitor_id="user", event="event", at="time")
        >>> map_events(table, mapping)["about"].struct.field("event").to_list()
        ['Signed Up']
    """
    if mapping.kind != "event":
        raise MappingError(
            f"The mapping is of kind {mapping.kind!r}. Expected 'event'. Hint: map_traits(table, mapping)."
        )
    return map_traits(table, mapping)


def map_rows(read: pl.DataFrame, mapping: Mapping, /, *, types: Types = NO_TYPES) -> pl.DataFrame:
    """Return what `map_traits` does, of columns that were read, in one chunk.

    Args:
        read: n rows; of a larger table where they have the column `ROW`.
        mapping: which traits become which fields.
        types: from `settled_types`, where *read* is not all of the table.
    """
    mapped = map_fields(read, mapping, types=types)
    about = about_of(read, mapping)
    return mapped if about is None else mapped.insert_column(3, read.select(about).to_series())


def map_fields(read: pl.DataFrame, mapping: Mapping, /, *, types: Types = NO_TYPES) -> pl.DataFrame:
    """Return what `map_rows` does of ids and fields alone."""
    sources = _flatten(_sources(read, mapping), mapping)
    casts = {}
    for name in _traits_in(sources):
        wanted = types.get(name) or _type_of(sources[name], mapping)
        casts[name] = cast_column(sources[name], wanted, mapping.time_zone)
    mapped = sources.select(pl.col(ID).alias("id"), *(expr.alias(name) for name, expr in casts.items()))
    raw = _raw_cells(sources, mapped)
    return mapped.with_columns(read.select(row_of(read)).to_series(), raw.alias("raw")).select(
        "row", "id", "raw", *casts
    )


def _type_of(source: pl.Series, mapping: Mapping) -> FieldType | None:
    """Return the type that a trait asks for; where it asks for none, that of Segment's spec."""
    trait = mapping.trait_of(source.name)
    if trait and trait.type:
        return trait.type
    told = spec_type(source.name, mapping)
    return number_type(source) if told == "integer" else told


def count_lost(read: pl.DataFrame, mapping: Mapping, /) -> dict[str, Lost]:
    """Return, of each field whose type hangs on all of a column's values, how many of these no type would have.

    What several slices of a table lose adds up, and `settled_types` tells the types from the sums.
    """
    hanging = _hanging(read.clear(), mapping)
    if not hanging:
        return {}
    sources = _flatten(_sources(read, mapping), mapping)
    return {name: lost_as(sources[name], candidates) for name, candidates in hanging.items()}


def settled_types(lost: AbstractMapping[str, Lost], /) -> dict[str, FieldType]:
    """Return the types of those fields of which `count_lost` told."""
    return {name: settle(counts) for name, counts in lost.items()}


def _hanging(nothing: pl.DataFrame, mapping: Mapping) -> dict[str, tuple[FieldType, ...]]:
    """Return the fields whose type hangs on all values, and which may be it."""
    found: dict[str, tuple[FieldType, ...]] = {}
    for source in _flatten(_sources(nothing, mapping), mapping).drop(ID):
        trait = mapping.trait_of(source.name)
        told = spec_type(source.name, mapping)
        if not (trait and trait.type) and told == "integer":
            found[source.name] = NUMBERS
        elif not (trait and trait.type) and told is None and isinstance(source.dtype, pl.Decimal):
            found[source.name] = ("float",)
    return found


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
    table = rows if isinstance(rows, pl.DataFrame) else _table_of(list(rows))
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


def _table_of(rows: list[dict[str, Any]]) -> pl.DataFrame:
    try:
        return pl.DataFrame(rows, infer_schema_length=None)
    except (UnicodeEncodeError, TypeError, pl.exceptions.PolarsError) as error:
        told = first_line(error)
    raise MappingError(
        f"The rows are no table ({told}). Expected texts in Unicode, numbers and dates, of one type in each column. "
        f"Hint: rows=[{{'id': 'u-1', 'plan': 'pro'}}]."
    )


def _is_same(got: dict[str, Any], name: str, value: Any) -> bool:
    if name not in got:
        return False
    mapped = got[name]
    if isinstance(value, str) and hasattr(mapped, "isoformat"):
        read = pl.Series([value]).to_frame("text").select(date_from_text("text", None))
        return bool(mapped == read.item())
    return bool(mapped == value) and isinstance(mapped, bool) == isinstance(value, bool)


def columns_of(mapping: Mapping, /) -> list[str]:
    """Return the columns of a table that *mapping* reads: those of the id, of whom and what a row is about, the traits'."""
    of_traits = (
        [trait.column] if trait.column is not None else trait.to_expr().meta.root_names()
        for trait in mapping.each_trait
    )
    return list(dict.fromkeys([*columns_of_rows(mapping), *chain.from_iterable(of_traits)]))


def columns_of_rows(mapping: Mapping, /) -> list[str]:
    """Return the columns of the id, and of whom and what a row is about."""
    return [name for name in (mapping.id, mapping.anonymous_id, *mapping.about.values()) if name]


def read_sources(table: pl.DataFrame | pl.LazyFrame, mapping: Mapping) -> pl.DataFrame:
    """Return the id (as `ID`) and each trait, computed but not yet cast, reading no other column.

    Raises:
        ColumnNotFoundError, MappingError, TableError: as `map_traits`.
    """
    return _sources(_read(table, mapping), mapping)


def _read(table: pl.DataFrame | pl.LazyFrame, mapping: Mapping) -> pl.DataFrame:
    names, roots = columns_in(table), columns_of(mapping)
    missing = [root for root in roots if root not in names]
    if missing:
        raise ColumnNotFoundError.of(missing, names, what="The table")
    return collect_table(table, columns=roots).rechunk()


def _sources(read: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    columns = [read.select(ids_of(read, mapping).alias(ID)).to_series()]
    columns += [
        read[trait.column].alias(trait.field) if trait.column is not None else _compute(read, trait)
        for trait in mapping.each_trait
    ]
    return pl.DataFrame(columns)


def _compute(read: pl.DataFrame, trait: Trait) -> pl.Series:
    """Return a computed trait: one value for each row, or the same literal for all."""
    expr = trait.to_expr().alias(trait.field)
    try:
        made = read.select(expr).to_series()
        if len(made) == 1 and expr.meta.undo_aliases().meta.is_literal():
            return made.new_from_index(0, read.height)
        told = f"it gives {counted(len(made), 'value')} for {counted(read.height, 'row')}"
    except pl.exceptions.PolarsError as error:
        made, told = None, first_line(error)
    if made is not None and len(made) == read.height:
        return made
    raise MappingError(
        f"The trait of field {trait.field!r} can't be computed on this table ({told}): {trait.source}. Expected an "
        f"expression that gives one value for each row. Hint: try it with table.select(…) first; SUM(x) OVER (…) gives "
        f"each row its group's.",
        trait=trait.source,
        field=trait.field,
    )


def _traits_in(sources: pl.DataFrame) -> list[str]:
    return [name for name in sources.columns if name != ID]


def _flatten(sources: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    """Replace each struct by its parts, as deep as they go."""
    owner = {trait.field: trait for trait in mapping.each_trait}
    while structs := [name for name in _traits_in(sources) if isinstance(sources[name].dtype, pl.Struct)]:
        name = structs[0]
        parts = [part.alias(f"{name}_{part.name}") for part in sources[name].struct.unnest()]
        for part in parts:
            owner[part.name] = owner[name]
            if part.name in sources.columns or mapping.trait_of(part.name) is not owner[name]:
                raise MappingError(
                    f"The parts of {name!r} meet another trait's field: {part.name!r}. Expected names of their own. "
                    f"Hint: give the struct's trait another field=.",
                    field=part.name,
                )
        at = sources.columns.index(name)
        columns = sources.get_columns()
        sources = pl.DataFrame([*columns[:at], *parts, *columns[at + 1 :]])
    return sources


def map_ids(table: pl.DataFrame, mapping: Mapping, /) -> pl.DataFrame:
    """Return the ids that *mapping* takes from *table*, and what rows are about: VALUES without a field.

    Raises:
        ColumnNotFoundError, MappingError: as `map_traits`.
    """
    needed = columns_of_rows(mapping)
    missing = [name for name in needed if name not in table.columns]
    if missing:
        raise ColumnNotFoundError.of(missing, table.columns, what="The table")
    mapped = table.select(row_of(table), ids_of(table, mapping).alias("id"))
    about = about_of(table, mapping)
    raw = mapped.with_columns(_no_raw(mapped.height))
    return raw if about is None else raw.with_columns(table.select(about).to_series())


def _raw_cells(sources: pl.DataFrame, mapped: pl.DataFrame) -> pl.Series:
    """Return, per row, a JSON object of the cells that had a value and have none after the cast, else null."""
    lost = [name for name in field_names(mapped) if mapped[name].null_count() > sources[name].null_count()]
    marks = [(mapped[name].is_null() & sources[name].is_not_null()).alias(f"\0lost {name}") for name in lost]
    texts = [
        (name, pl.when(pl.col(mark.name)).then(raw_text(name, sources[name].dtype)))
        for name, mark in zip(lost, marks, strict=True)
    ]
    return sources.hstack(marks).select(raw_of(texts)).to_series() if lost else _no_raw(mapped.height)


def _no_raw(n: int) -> pl.Series:
    return pl.Series("raw", [None], dtype=VALUES["raw"]).new_from_index(0, n)


def ensure_typed(values: pl.DataFrame, *, what: str) -> None:
    """Raise where a column of *values* has no type of Pendo's.

    Raises:
        FrameError: naming the columns and what they are.
    """
    schema = values.schema
    typed = set(DTYPES.values())
    strange = {name: f"is {schema[name]}" for name in field_names(values) if schema[name] not in typed}
    if strange:
        raise FrameError(
            f"{what} has a column that Pendo has no type for: "
            f"{', '.join(f'{name!r} ({as_words(schema[name])})' for name in strange)}. "
            f"Expected {', '.join(DTYPES)}. Hint: drop_blocked(values, check_values(values, mapping=mapping)).",
            wrong_types=strange,
        )
