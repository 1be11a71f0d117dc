"""What was last pushed, read from the journal."""

from __future__ import annotations

import polars as pl

from pendosync.frames import change_fields, raw_cell, raw_of
from pendosync.journal import WRITTEN, Journal, derive_outcomes, read_plan, read_runs
from pendosync.mapping import Mapping
from pendosync.regions import Target


def read_snapshot(journal: Journal, mapping: Mapping, /, *, target: Target) -> pl.DataFrame:
    """Return what was last pushed to *target*, as far as the outcomes say that it was written.

    Per id and field the latest push wins. Runs that pushed a field as another type are left out for that field.

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
        status = derive_outcomes(journal, run_id, plan)["status"]
        written = plan.changes.with_columns(status).filter(pl.col("status").is_in(WRITTEN))
        for name in change_fields(written):
            if mapping.trait_of(name) is not None:
                pushed.setdefault(name, []).append(_pushed_cells(written, name))
    return _latest({name: frames for name, frames in pushed.items() if frames})


def _pushed_cells(written: pl.DataFrame, name: str) -> pl.DataFrame:
    raw = raw_cell(name, "after_raw").alias("raw")
    cells = written.filter(pl.col("changed").struct.field(name))
    return cells.select("id", pl.col("after").struct.field(name).alias(name), raw)


def _latest(pushed: dict[str, list[pl.DataFrame]]) -> pl.DataFrame:
    frames = {
        name: [part for part in parts if part.schema[name] == parts[-1].schema[name]]
        for name, parts in pushed.items()
    }
    columns = {
        name: pl.concat(parts).unique("id", keep="last", maintain_order=True)
        for name, parts in frames.items()
    }
    ids = pl.concat(
        [pl.DataFrame(schema={"id": pl.String}), *(part.select("id") for part in columns.values())]
    )
    held = ids.unique().sort("id")
    for name, part in columns.items():
        held = held.join(part.rename({"raw": f"\0{name}"}), on="id", how="left", maintain_order="left")
    raws = [(name, pl.col(f"\0{name}")) for name in columns]
    row = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    return held.select(row, "id", raw_of(raws), *columns)
