"""The whole way from a table to a plan in one call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from pendosync.client import Client
from pendosync.engines import Engine, ensure_engine
from pendosync.gates import Canary, Gates
from pendosync.mapping import Mapping
from pendosync.planning import BATCH_SIZE
from pendosync.plans import Plan
from pendosync.recipe import Recipe, kept_columns
from pendosync.remote import fetch_fields, fetch_values
from pendosync.streaming import plan_in_parts
from pendosync.tables import collect_table, count_rows

IN_MEMORY: Final = 1_000_000
"""A lazy table with more rows is planned in parts."""


def plan_table(
    table: pl.DataFrame | pl.LazyFrame,
    mapping: Mapping,
    /,
    *,
    client: Client,
    before: pl.DataFrame | pl.LazyFrame | None = None,
    keep: Sequence[str] = (),
    create: Literal["never", "unknown_ids"] = "never",
    batch_size: int = BATCH_SIZE,
    send: Literal["changed", "all"] = "changed",
    planned_at: datetime | None = None,
    canary: Canary | None = None,
    gates: Gates | None = None,
    folder: str | Path | None = None,
    engine: Engine | Any | None = None,
    show: bool = True,
) -> Plan:
    """Return the plan that makes Pendo hold what *table* says: map, check, drop, fetch, diff, plan. Writes nothing to Pendo.

    Of memberships and events nothing is fetched: each row is to be sent.

    A lazy table of more than a million rows, and any with *folder* or *engine*, is planned in parts of about 250,000
    rows, which lie in a folder: memory holds one at a time, and the plan is that of `load_plan`. Killed, the same call
    goes on, with the rows that it had read.

    Args:
        table: users, accounts, memberships or events (n rows), lazy or not.
        mapping: which traits become which fields.
        client: where Pendo is read, and where the plan will go.
        before: a snapshot of what was last pushed, from `read_snapshot`, in place of reading Pendo's values.
        keep: columns of the table to carry for `Plan.select`; they never travel.
        create, batch_size, send, planned_at, canary, gates: as in `plan_changes`.
        folder: where a plan in parts is to lie; it must not exist or be empty. By default one of its own in
            `.pendosync/plans`, beside the journal.
        engine: who plans the parts; None is this process.
        show: where it takes longer than two seconds, show how far a plan in parts has come: in a notebook below the
            cell, elsewhere as lines on stderr.

    Raises:
        ColumnNotFoundError: the mapping or *keep* names a column that the table lacks.
        RemoteError: Pendo can't be read.
        MappingError: see `map_traits`; in parts also a computed trait whose value hangs on other rows.
        PlanError: *folder* holds something, or can't be written.

    Cost: reads the fields once; the values by one request an id up to 200 ids, by pages of 100,000 above, and always in
    parts.
    """
    kept = kept_columns(table, mapping, keep)
    recipe = Recipe(
        mapping,
        client.target,
        fields=None if mapping.is_message else fetch_fields(client, kind=mapping.kind),
        kept=tuple(kept),
        against="snapshot" if before is not None else "pendo",
        create=create,
        batch_size=batch_size,
        send=send,
        planned_at=planned_at,
        canary=canary,
        gates=gates,
    )
    is_large = isinstance(table, pl.LazyFrame) and count_rows(table) > IN_MEMORY
    if is_large or folder is not None or engine is not None:
        place = None if folder is None else Path(folder).absolute()
        return plan_in_parts(
            table,
            recipe,
            client=client,
            before=before,
            folder=place,
            engine=ensure_engine(engine),
            show=show,
        )
    read = collect_table(table, columns=recipe.columns)
    clean, problems = recipe.clean(read)
    held = collect_table(before) if isinstance(before, pl.LazyFrame) else before
    if held is None and not mapping.is_message:
        held = fetch_values(client, mapping, like=clean, ids=clean["id"])
    return recipe.plan(read, clean, problems, held)
