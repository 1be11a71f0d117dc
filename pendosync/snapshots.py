"""What was last pushed, read from the journal."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass

import polars as pl

from pendosync.errors import MappingError
from pendosync.frames import CHANGE_COLUMNS, cell_text, change_fields, raw_cell, raw_of
from pendosync.journal import WRITTEN, Journal, each_told, may_be_written, read_plan, read_runs
from pendosync.mapping import Mapping
from pendosync.plans import Plan
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
        MappingError: *mapping* is of memberships or events, or of a route that holds nothing.

    Cost: reads every run of that kind and place once.
    """
    columns = {
        name: cells.drop("run_id") for name, cells in last_pushed(journal, mapping, target=target).items()
    }
    ids = pl.concat(
        [pl.DataFrame(schema={"id": pl.String}), *(part.select("id") for part in columns.values())]
    )
    held = ids.unique().sort("id")
    for name, part in columns.items():
        held = held.join(part.rename({"raw": f"\0{name}"}), on="id", how="left", maintain_order="left")
    raws = [(name, pl.col(f"\0{name}")) for name in columns]
    row = pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    return held.rechunk().select(row, "id", raw_of(raws), *columns)


def last_pushed(journal: Journal, mapping: Mapping, /, *, target: Target) -> dict[str, pl.DataFrame]:
    """Return what `read_snapshot` joins: per field a frame `id`, the field, `raw` and the `run_id` of its push."""
    if mapping.is_message:
        raise MappingError(
            f"There is no snapshot of {mapping.kind}s by {mapping.route}: Pendo holds nothing that a later push could be "
            f"compared with. Expected a mapping of visitors or accounts. Hint: read_outcomes(journal, run_id)."
        )
    mine = read_runs(journal).filter(
        kind=mapping.kind, group=mapping.group, route=mapping.route, api_url=target.api_url
    )
    pushed = pushed_cells(journal, mine["run_id"])
    mapped = {name: cells for name, cells in pushed.items() if mapping.trait_of(name) is not None}
    newest = {name: cells.unique("id", keep="last", maintain_order=True) for name, cells in mapped.items()}
    return {name: cells.filter("is_sure").drop("is_sure") for name, cells in newest.items()}


@dataclass(frozen=True)
class Among:
    """The ids of one part of a plan.

    Args:
        ids: a frame with a column `id`.
        part, cut: which part, and into how many the table was cut.
    """

    ids: pl.DataFrame
    part: int
    cut: int

    def parts_of(self, plan: Plan) -> list[int]:
        """Return the parts of another plan that may hold them: a table that was cut into as many has them in one."""
        is_alike = self.cut == plan.parts.cut > 1
        return [at for at, part in enumerate(plan.parts) if not is_alike or part.number == self.part]


def pushed_cells(
    journal: Journal,
    run_ids: Iterable[str],
    /,
    *,
    types: AbstractMapping[str, pl.DataType] | None = None,
    among: Among | None = None,
) -> dict[str, pl.DataFrame]:
    """Return what some runs wrote, or may have written, in their order.

    Args:
        journal: where they are written.
        run_ids: which runs.
        types: field → polars type, as its values are to come; by default the type of the latest run.
        among: of whom; all when left out.

    Returns:
        Per field a frame `id`, the field, `raw`, `run_id` and `is_sure` (whether the outcome says that it was
        written). A value of another type stands in `raw`, and is not sure.
    """
    parts: dict[str, list[pl.DataFrame]] = {}
    for run_id in run_ids:
        plan = read_plan(journal, run_id)
        places = among.parts_of(plan) if among else None
        for _, changes, told in each_told(journal, run_id, plan, parts=places):
            is_sure = told["status"].is_in(WRITTEN).alias("is_sure")
            is_touched = told.select(may_be_written()).to_series()
            touched = changes.select(*CHANGE_COLUMNS).with_columns(is_sure).filter(is_touched)
            if among is not None:
                touched = touched.join(among.ids, on="id", how="semi", maintain_order="left")
            touched = touched.rechunk()
            for name in change_fields(touched):
                parts.setdefault(name, []).append(_cells_of(touched, name, run_id))
    wanted = {name: (types or {}).get(name, found[-1].schema[name]) for name, found in parts.items()}
    return {
        name: pl.concat([_as_type(cells, name, wanted[name]) for cells in found])
        for name, found in parts.items()
    }


def _cells_of(touched: pl.DataFrame, name: str, run_id: str) -> pl.DataFrame:
    cells = touched.filter(pl.col("changed").struct.field(name))
    value, raw = pl.col("after").struct.field(name).alias(name), raw_cell(name, "after_raw").alias("raw")
    return cells.select("id", value, raw, pl.lit(run_id).alias("run_id"), "is_sure")


def _as_type(cells: pl.DataFrame, name: str, dtype: pl.DataType) -> pl.DataFrame:
    held = cells.schema[name]
    if held == dtype:
        return cells
    text = cell_text(pl.col(name), held, pl.col("raw")).alias("raw")
    nothing = pl.lit(None, dtype=dtype).alias(name)
    return cells.rechunk().with_columns(text, is_sure=pl.lit(False)).with_columns(nothing)
