"""Mapping, checks, changes, requests and the push in one frame, for those who want to click all the way."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl

from pendosync.client import Client
from pendosync.errors import ColumnNotFoundError, MappingError
from pendosync.frames import Kind
from pendosync.journal import Journal
from pendosync.mapping import Mapping
from pendosync.remote import fetch_fields
from pendosync.suggestions import suggest_mapping
from pendosync.tables import columns_in

if TYPE_CHECKING:
    from pendosync.workbench.bench import Workbench


def workbench(
    users: pl.DataFrame | pl.LazyFrame | None = None,
    accounts: pl.DataFrame | pl.LazyFrame | None = None,
    /,
    *,
    client: Client,
    journal: Journal,
    mappings: Sequence[Mapping] = (),
    keep: Sequence[str] = (),
) -> Workbench:
    """Show the whole way from tables to Pendo in one widget: Map, Check, Changes, Dry run, Push.

    Each tab is what a verb gives, and says so in code: `edit_mapping`, `check_values`, `preview_plan`, `dry_run`,
    `push`. Nothing is written before the push is confirmed by typing how many ids go where; then it is the very same
    `push`, gates and journal included.

    Args:
        users: a table of visitors, lazy or not.
        accounts: a table of accounts, lazy or not.
        client: where Pendo is read, and where the push goes.
        journal: where the account is kept.
        mappings: where to start, one for a kind at most; for a kind without one it is suggested.
        keep: columns of either table to filter on, which never travel.

    Returns:
        The widget: `kind`, `mapping`, `plan`, `selection`, `chosen`, `run` are what stands on the desk that is shown.

    Raises:
        MappingError: no table, two mappings of a kind, or none can be suggested.
        ColumnNotFoundError: *keep* names a column that no table has.
        RemoteError: the fields can't be read.
    """
    both: dict[Kind, pl.DataFrame | pl.LazyFrame | None] = {"visitor": users, "account": accounts}
    tables = {kind: table for kind, table in both.items() if table is not None}
    given = {mapping.kind: mapping for mapping in mappings}
    if not tables or len(given) < len(mappings) or given.keys() - tables.keys():
        raise MappingError(
            f"The workbench was given {len(tables)} tables and {len(mappings)} mappings. Expected a table of users or "
            f"accounts, and at most one mapping for each. Hint: workbench(users, client=client, journal=journal)."
        )
    columns = {kind: columns_in(table) for kind, table in tables.items()}
    known = list(dict.fromkeys(chain.from_iterable(columns.values())))
    if missing := [name for name in keep if name not in known]:
        raise ColumnNotFoundError.of(missing, known, what="No table")
    from pendosync.workbench.bench import Workbench
    from pendosync.workbench.desk import Desk

    desks: dict[Kind, Desk] = {}
    for kind, table in tables.items():
        fields = fetch_fields(client, kind=kind)
        mapping = given.get(kind) or suggest_mapping(table, kind=kind, fields=fields)
        kept = [name for name in keep if name in columns[kind]]
        desks[kind] = Desk(table, mapping, fields, client=client, keep=kept)
    return Workbench(desks, client, journal)
