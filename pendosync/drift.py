"""What was pushed, and others have changed since."""

from __future__ import annotations

from typing import Final

import polars as pl

from pendosync.client import Client
from pendosync.frames import cell_text, raw_cell, type_of
from pendosync.journal import RUNS, Journal, read_runs
from pendosync.mapping import Mapping
from pendosync.remote import fetch_typed
from pendosync.snapshots import last_pushed

DRIFT: Final = pl.Schema(
    {
        "id": pl.String(),
        "field": pl.String(),
        "what": pl.String(),
        "pushed": pl.String(),
        "held": pl.String(),
        "run_id": pl.String(),
        "pushed_at": RUNS["started_at"],
    }
)
"""One row is one cell that others changed; `field` is null for an id that Pendo does not know any more."""

_HELD: Final = "\0held"
_RAW: Final = "\0raw"


def check_drift(journal: Journal, mapping: Mapping, /, *, client: Client) -> pl.DataFrame:
    """Return where Pendo holds something else than what was last pushed: what others changed since.

    Compares `read_snapshot`'s cells with what Pendo holds now, by Pendo's types; writes nothing. Fields that were
    never pushed don't count. Right after a push a read may lag: `verify_run(…, settle_s=…)` first.

    Args:
        journal: says what was pushed, by which run.
        mapping: gives kind, group, route and fields.
        client: where Pendo is read; only runs to the same place count.

    Returns:
        A frame, one row a cell, by id: `id`, `field`, `what`, `pushed`, `held`, `run_id`, `pushed_at`. `what` is
        `changed`, `cleared` (nothing is held), or `gone` (Pendo does not know the id; one row, `field` null). `pushed`
        and `held` are JSON texts, null for nothing; `run_id` is the run that pushed the cell last, `pushed_at` when it
        began.

    Raises:
        JournalError: a run's file can't be read.
        PlanError: a run's plan was altered.
        RemoteError: Pendo can't be read.

    Cost: reads every run of that kind and place once; of Pendo one request an id up to 200 ids, above that all it
    holds, by pages of 100,000.

    Example:
        `check_drift(journal, mapping, client=client).group_by("field", "what").len()` says which fields others change.
    """
    pushed = last_pushed(journal, mapping, target=client.target)
    ids = pl.concat(
        [pl.Series("id", [], dtype=pl.String), *(cells["id"] for cells in pushed.values())]
    ).unique()
    types = {name: kind for name, cells in pushed.items() if (kind := type_of(cells.schema[name]))}
    held = fetch_typed(client, kind=mapping.kind, group=mapping.group, types=types, ids=ids)
    began = read_runs(journal).select("run_id", pl.col("started_at").alias("pushed_at"))
    cells = [_drifted(cells, held, name) for name, cells in pushed.items()]
    drift = pl.concat([_gone(pushed, held, began), *(one.join(began, on="run_id") for one in cells)])
    return drift.select(DRIFT.names()).sort("id", maintain_order=True)


def _drifted(cells: pl.DataFrame, held: pl.DataFrame, name: str) -> pl.DataFrame:
    raw = raw_cell(name).alias(_RAW)
    joined = cells.join(
        held.select("id", raw, pl.col(name).alias(_HELD)), on="id", maintain_order="left"
    ).rechunk()
    differs = pl.col(name).ne_missing(pl.col(_HELD)) | pl.col("raw").ne_missing(pl.col(_RAW))
    dtype = cells.schema[name]
    is_nothing = pl.col(_HELD).is_null() & pl.col(_RAW).is_null()
    return joined.filter(differs).rechunk().select(
        "id",
        pl.lit(name).alias("field"),
        pl.when(is_nothing).then(pl.lit("cleared")).otherwise(pl.lit("changed")).alias("what"),
        cell_text(pl.col(name), dtype, pl.col("raw")).alias("pushed"),
        cell_text(pl.col(_HELD), dtype, pl.col(_RAW)).alias("held"),
        "run_id",
    )  # fmt: skip


def _gone(pushed: dict[str, pl.DataFrame], held: pl.DataFrame, began: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each id that Pendo does not know any more, with its last run."""
    nothing = pl.lit(None, dtype=pl.String)
    cells = [cells.join(held, on="id", how="anti").select("id", "run_id") for cells in pushed.values()]
    lost = pl.concat([pl.DataFrame(schema={"id": pl.String, "run_id": pl.String}), *cells])
    latest = lost.join(began, on="run_id").sort("pushed_at").unique("id", keep="last")
    return latest.select(
        "id",
        nothing.alias("field"),
        pl.lit("gone").alias("what"),
        nothing.alias("pushed"),
        nothing.alias("held"),
        "run_id",
        "pushed_at",
    )
