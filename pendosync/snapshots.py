"""What was last pushed, read from the journal."""

from __future__ import annotations

import polars as pl

from pendosync.frames import CHANGE_COLUMNS, change_fields, raw_cell, raw_of
from pendosync.journal import WRITTEN, Journal, derive_outcomes, may_be_written, read_plan, read_runs
from pendosync.mapping import Mapping
from pendosync.regions import Target


def read_snapshot(journal: Journal, mapping: Mapping, /, *, target: Target) -> pl.DataFrame:
    """Return what was last pushed to *target*, as far as the outcomes say that it was written.

    Per id and field the latest push wins. A cell is left out where that push may or may not have been written, or was
    of another type than the field's latest.

    Args:
        journal: where to look.
        mapping: gives kind, group, route and fields.
        target: only runs to this place count.

    Returns:
        VALUES frame, sorted by id; `diff_values(…, before=snapshot, against="snapshot")` takes it.

    Raises:
        JournalError: a run's file can't be read.
        PlanError: a run's plan was altered.

    Cost: reads every run of that kind and place once.
    """
    mine = read_runs(journal).filter(
        kind=mapping.kind, group=mapping.group, route=mapping.route, api_url=target.api_url
    )
    pushed: dict[str, list[pl.DataFrame]] = {}
    for run_id in mine["run_id"]:
        plan = read_plan(journal, run_id)
        told = derive_outcomes(journal, run_id, plan).select("status", "http_status")
        touched = plan.changes.select(CHANGE_COLUMNS).hstack(
            told.select(pl.col("status").is_in(WRITTEN).alias("sure"), may_be_written().alias("touched"))
        )
        for name in change_fields(touched):
            if mapping.trait_of(name) is not None:
                pushed.setdefault(name, []).append(_pushed_cells(touched.filter("touched"), name))
    return _latest(pushed)


def _pushed_cells(touched: pl.DataFrame, name: str) -> pl.DataFrame:
    cells = touched.filter(pl.col("changed").struct.field(name))
    value, raw = pl.col("after").struct.field(name).alias(name), raw_cell(name, "after_raw").alias("raw")
    return cells.select("id", value, raw, "sure")


def _latest(pushed: dict[str, list[pl.DataFrame]]) -> pl.DataFrame:
    """Per field and id, the newest push wins; a cell that is not sure, or of an older type, is left out."""
    columns = {name: _latest_cells(name, parts) for name, parts in pushed.items()}
    ids = pl.concat(
        [pl.DataFrame(schema={"id": pl.String}), *(part.select("id") for part in columns.values())]
    )
    held = ids.unique().sort("id")
    for name, part in columns.items():
        held = held.join(part.rename({"raw": f"\0{name}"}), on="id", how="left", maintain_order="left")
    raws = [(name, pl.col(f"\0{name}")) for name in columns]
    row = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    return held.rechunk().select(row, "id", raw_of(raws), *columns)


def _latest_cells(name: str, parts: list[pl.DataFrame]) -> pl.DataFrame:
    dtype = parts[-1].schema[name]
    told = [
        part
        if part.schema[name] == dtype
        else part.with_columns(pl.lit(None, dtype=dtype).alias(name), sure=pl.lit(False))
        for part in parts
    ]
    newest = pl.concat(told).unique("id", keep="last", maintain_order=True)
    return newest.filter("sure").drop("sure")
