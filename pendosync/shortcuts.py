"""The whole way from a table to a plan in one call."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import polars as pl

from pendosync.checks import check_values, drop_blocked
from pendosync.client import Client
from pendosync.diffs import diff_values
from pendosync.errors import ColumnNotFoundError, MappingError, listed
from pendosync.frames import CHANGE_COLUMNS
from pendosync.gates import Canary, Gates
from pendosync.mapping import Mapping
from pendosync.planning import BATCH_SIZE, plan_changes
from pendosync.plans import Plan
from pendosync.remote import fetch_fields, fetch_values
from pendosync.tables import collect_table, columns_in
from pendosync.values import columns_of, map_traits


def plan_table(
    table: pl.DataFrame | pl.LazyFrame,
    mapping: Mapping,
    /,
    *,
    client: Client,
    before: pl.DataFrame | None = None,
    keep: Sequence[str] = (),
    create: Literal["never", "unknown_ids"] = "never",
    batch_size: int = BATCH_SIZE,
    send: Literal["changed", "all"] = "changed",
    planned_at: datetime | None = None,
    canary: Canary | None = None,
    gates: Gates | None = None,
) -> Plan:
    """Return the plan that makes Pendo hold what *table* says: map, check, drop, fetch, diff, plan. Writes nothing.

    Of memberships and events nothing is fetched: each row is to be sent.

    Args:
        table: users, accounts, memberships or events (n rows), lazy or not.
        mapping: which traits become which fields.
        client: where Pendo is read, and where the plan will go.
        before: a snapshot of what was last pushed, from `read_snapshot`, in place of reading Pendo's values.
        keep: columns of the table to carry for `Plan.select`; they never travel.
        create, batch_size, send, planned_at, canary, gates: as in `plan_changes`.

    Raises:
        ColumnNotFoundError: the mapping or *keep* names a column that the table lacks.
        RemoteError: Pendo can't be read.
        MappingError: see `map_traits`.

    Cost: reads the fields once; the values by one request an id up to 200 ids, by pages of 100,000 above.
    """
    is_read = not mapping.is_message
    kept = kept_columns(table, mapping, keep)
    whole = collect_table(table, columns=list(dict.fromkeys([*columns_of(mapping), *kept])))
    fields = fetch_fields(client, kind=mapping.kind) if is_read else None
    values = map_traits(whole, mapping)
    problems = check_values(values, mapping=mapping, fields=fields)
    clean = drop_blocked(values, problems)
    against: Literal["pendo", "snapshot"] = "snapshot" if before is not None else "pendo"
    held = before
    if held is None and is_read:
        held = fetch_values(client, mapping, like=clean, ids=clean["id"])
    changes = diff_values(clean, before=held, mapping=mapping, against=against)
    return plan_changes(
        with_kept(changes, whole, kept),
        mapping=mapping,
        target=client.target,
        problems=problems,
        create=create,
        batch_size=batch_size,
        send=send,
        planned_at=planned_at,
        canary=canary,
        gates=gates,
        n_compared=clean.height if is_read else None,
        against=against,
    )


def kept_columns(table: pl.DataFrame | pl.LazyFrame, mapping: Mapping, keep: Sequence[str]) -> list[str]:
    """Return the columns to keep, once each.

    Raises:
        ColumnNotFoundError, MappingError: the table lacks one, or a plan has a column of that name.
    """
    kept = list(dict.fromkeys([keep] if isinstance(keep, str) else keep))
    names = columns_in(table)
    missing = [name for name in (*columns_of(mapping), *kept) if name not in names]
    if missing:
        raise ColumnNotFoundError.of(list(dict.fromkeys(missing)), names, what="The table")
    taken = [name for name in kept if name in CHANGE_COLUMNS or (name == "about" and mapping.about)]
    if taken:
        raise MappingError(
            f"The columns {listed(taken)} can't be kept: a plan has columns of that name. Expected other names. "
            f"Hint: table.rename({{{taken[0]!r}: 'my_{taken[0]}'}})."
        )
    return kept


def with_kept(changes: pl.DataFrame, whole: pl.DataFrame, kept: list[str]) -> pl.DataFrame:
    """Attach the kept columns; *whole* was read once, so that positions hold."""
    objects = [name for name in kept if whole[name].dtype == pl.Object]
    if objects:
        raise MappingError(
            f"The columns {listed(objects)} hold Python objects, which no file can keep. Expected texts, numbers or dates. "
            f"Hint: cast them first, or leave them out of keep."
        )
    rows = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    return (
        changes.join(whole.select(rows, *kept), on="row", how="left", maintain_order="left")
        if kept
        else changes
    )
