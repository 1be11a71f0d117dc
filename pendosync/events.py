"""From a file or frame to a table of events."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence
from typing import Any

import polars as pl

from pendosync.segment_messages.columns import name_columns
from pendosync.tables import Source, load_table

_PROPERTIES = "properties"


def load_events(
    source: Source,
    /,
    *,
    sheet: str | None = None,
    separator: str | None = None,
    encoding: str | None = None,
    null_values: str | Sequence[str] | None = None,
    schema_overrides: AbstractMapping[str, Any] | None = None,
) -> pl.LazyFrame | pl.DataFrame:
    """Return *source* as a table, one row an event: `load_table`, and each property a column of its own.

    A column `properties` that holds objects, as in NDJSON, gives way to a column for each property: `Mapping(traits=…)`
    names them like any other. One whose name the table has already, or no field can have (`id`, `row`, `raw`, `about`,
    patterns such as `*`), is called `properties_` and that name; where that is taken too, a number follows.

    Args:
        source, sheet, separator, encoding, null_values, schema_overrides: as in `load_table`.

    Raises:
        TableError, ColumnNotFoundError: as `load_table`.

    Example:
        >>> table = pl.DataFrame({"event": ["Signed Up"], "properties": [{"plan": "pro", "event": "x"}]})
        >>> load_events(table).columns
        ['event', 'plan', 'properties_event']
    """
    table = load_table(
        source,
        sheet=sheet,
        separator=separator,
        encoding=encoding,
        null_values=null_values,
        schema_overrides=schema_overrides,
    )
    schema = table.collect_schema()
    struct = schema.get(_PROPERTIES)
    if not isinstance(struct, pl.Struct):
        return table
    paths = [(part.name,) for part in struct.fields]
    names = name_columns(paths, heads=set(schema) - {_PROPERTIES}, prefix=_PROPERTIES)
    renamed = pl.col(_PROPERTIES).struct.rename_fields([names[path] for path in paths])
    return table.select(pl.exclude(_PROPERTIES), renamed).unnest(_PROPERTIES)
