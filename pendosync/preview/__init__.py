"""What an analyst looks at and clicks. Each verb loads its widget when it is called, so that importing costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

    from pendosync.mapping import Mapping
    from pendosync.preview.mapping_view import MappingView


def edit_mapping(
    table: pl.DataFrame | pl.LazyFrame, mapping: Mapping, /, *, fields: pl.DataFrame | None = None
) -> MappingView:
    """Return a widget in which *mapping* is edited against *table*: a row a trait, with its problems and their mends.

    Changes neither the table nor *mapping*, and sends nothing to Pendo. Samples of values go to the page only, never
    into a saved notebook.

    Args:
        table: a table, lazy or not. A lazy one is collected once, of the columns that the mapping reads, and again
            when a column is added.
        mapping: where to start, from `suggest_mapping`, `load_mapping` or by hand.
        fields: FIELDS, from `fetch_fields`; None leaves out the rules on Pendo's schema, and any field may be named.

    Returns:
        A view: `view.mapping` is the Mapping as it stands, `view.code` writes it as Python and as TOML. Both raise
        MappingError, with the reason that the view shows, while what stands there is no Mapping.

    Raises:
        ColumnNotFoundError: the table lacks the id's column.
        FrameError, TableError: *fields* breaks its brick, or the table can't be read.

    Cost: one pass a trait when it opens, then one pass for each trait that is changed.

    Example:
        >>> import polars as pl
        >>> from pendosync.mapping import Mapping
        >>> users = pl.DataFrame({"user_id": ["ann", "bo"], "plan": ["pro", "free"]})
        >>> view = edit_mapping(users, Mapping("visitor", id="user_id", traits=["plan"]))
        >>> view
        Mapping of visitors: 1 trait → 1 field
        >>> view.mapping
        Mapping(visitor by 'user_id' → custom, 1 trait: plan)
    """
    from pendosync.preview.mapping_view import MappingView

    return MappingView(table, mapping, fields)
