"""Taking a run back: a plan like any other."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import polars as pl

from pendosync.audiences.undone import undo_audience
from pendosync.client import Client
from pendosync.comparison import (
    cell_problems,
    compare_held,
    gone_ids,
    held_cells,
    other_cells,
    rebase_changes,
    shown,
)
from pendosync.env import new_plan_folder
from pendosync.errors import MappingError, PlanError, counted
from pendosync.folders import new_folder
from pendosync.frames import CHANGE_COLUMNS, about_column, change_fields, raw_cell, raw_of, struct_of
from pendosync.held import held_in_parts
from pendosync.journal import Journal, each_told, may_be_written, read_plan, read_runs
from pendosync.planning import plan_changes
from pendosync.plans import Plan
from pendosync.remote import fetch_held
from pendosync.rules import no_problems, row_problems
from pendosync.saved import load_plan, seal_plan, write_part
from pendosync.snapshots import Among, pushed_cells

_UNREAD: Final = (
    "Pendo was not read: it is taken to hold what this journal last pushed. What others changed since shows with "
    "plan_undo(…, client=client)."
)
_KNOWN: Final = "\0known"
_RETURNS: Final = "\0returns"


def plan_undo(
    journal: Journal,
    run_id: str,
    /,
    *,
    client: Client | None = None,
    absent: Literal["leave", "null"] = "leave",
    theirs: Literal["leave", "overwrite"] = "leave",
    folder: str | Path | None = None,
) -> Plan:
    """Return the plan that puts back the values that stood before a run. Writes nothing.

    Takes back each id whose outcome says that it was written, or that it may have been, so far as the run has come.
    `plan.problems` lists what stays out or needs a look: values that somebody changed after the push are left alone
    (`changed_since`); those that are as before already have nothing to go back to (`already_held`; a read right after
    the push may lag); values of another type than their field's go back as they were, in the last batches
    (`goes_back_raw`); and what was not there before can't be taken away (`plan.cannot_undo`).

    Of a run that created an audience: the deletion of it, and only where the journal shows that this run created it. Of
    one that changed an audience: who was removed goes back, and who was added goes out where the journal, from the
    audience's creation on, shows that it was no member before. Of an audience that others created nobody can tell: those
    that were added stay members (`plan.cannot_undo`), unless *absent* is `null`.

    Args:
        journal: where the run is written.
        run_id: which run.
        client: reads what Pendo holds now. Without one, later runs of this journal count as all that happened since,
            and the plan's notes say so.
        absent: values that were absent before are left as pushed (`leave`), or become null (`null`); so are members of an
            audience who perhaps were none, who leave it then.
        theirs: values that somebody changed after the push are left as they are (`leave`), or go back all the same
            (`overwrite`).
        folder: where the undo of a plan in parts is written, as one in parts; by default a new one in
            `.pendosync/plans`.

    Returns:
        A plan: previewed, dry-run and pushed like any other; `undoes` names the run. Its `before` is what Pendo holds
        now, so that it can be undone itself.

    Raises:
        JournalError: no such run.
        PlanError: its plan was altered, or *client* goes to another target.
        MappingError: *absent* or *theirs* is none of its choices.
        RemoteError: Pendo can't be read.

    Cost: with a client one request an id up to 200 ids, above that all that Pendo holds, by pages of 100,000; without
    one, reads each later run of the same kind and place. Of a plan in parts, memory holds one of them.
    Source: Pendo has no call that removes a value, and bulk delete marks ids for good (read 2026-11-23).
    """
    for name, value, choices in (
        ("absent", absent, ("leave", "null")),
        ("theirs", theirs, ("leave", "overwrite")),
    ):
        if value not in choices:
            raise MappingError.bad_choice(name, value, choices)
    pushed = read_plan(journal, run_id)
    if pushed.shape.audience is not None:
        return undo_audience(journal, run_id, pushed, client=client, absent=absent)
    _ensure_held(pushed)
    undoing = _Undoing(journal, run_id, pushed, absent, theirs, was_read=client is not None)
    if pushed.parts.is_whole:
        ((_, changes, told),) = each_told(journal, run_id, pushed)
        touched = undoing.touched(changes, told)
        held = fetch_held(client, pushed, ids=touched["id"]) if client else undoing.held_by_journal(touched)
        return undoing.plan(touched, held)
    place = new_plan_folder() if folder is None else Path(folder)
    with (
        new_folder(place, what="The plan") as beside,
        held_in_parts(client, pushed, within=place.parent) if client else nullcontext() as held_of,
    ):
        entries, n_lost = [], len(pushed.parts)
        for at, changes, told in each_told(journal, run_id, pushed, but_lost=True):
            touched, n_lost, number = undoing.touched(changes, told), n_lost - 1, pushed.parts[at].number
            held = held_of(number) if held_of else undoing.held_by_journal(touched, number)
            entries.append(write_part(beside, number, undoing.plan(touched, held)))
        seal_plan(beside, undoing.head(n_lost), entries, cut=pushed.parts.cut)
    return load_plan(place)


@dataclass(frozen=True)
class _Undoing:
    """What undoing each part of a run has in common."""

    journal: Journal
    run_id: str
    pushed: Plan
    absent: Literal["leave", "null"]
    theirs: Literal["leave", "overwrite"]
    was_read: bool
    planned_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def touched(self, changes: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
        """Return the changes that Pendo wrote, or may have written: not those that were missing, refused or never sent."""
        about = about_column(self.pushed.parts.nothing)
        is_touched = told.select(may_be_written()).to_series()
        return changes.filter(is_touched).select(*CHANGE_COLUMNS, *about).rechunk()

    def held_by_journal(self, touched: pl.DataFrame, part: int | None = None) -> pl.DataFrame:
        """Return VALUES that Pendo holds as far as the journal knows: what the run pushed, then what later ones did."""
        types = dict(touched.schema["after"])  # type: ignore[call-overload]
        among = None if part is None else Among(touched, part, self.pushed.parts.cut)
        later = pushed_cells(self.journal, _later_runs(self.journal, self.run_id), types=types, among=among)
        held = touched.select("row", "id", "after", "after_raw")
        for name in types:
            own, own_raw = pl.col("after").struct.field(name), raw_cell(name, "after_raw")
            held = held.with_columns(own.alias(name), own_raw.alias(f"\0raw {name}"))
            if name in later:
                held = _overlaid(held, _sure_enough(later[name], touched, name), name)
        raws = [(name, pl.col(f"\0raw {name}")) for name in types]
        return held.rechunk().select("row", "id", raw_of(raws).alias("raw"), *types)

    def plan(self, touched: pl.DataFrame, held: pl.DataFrame) -> Plan:
        """Return the plan that puts back what was *touched*, on what is *held*."""
        judged = _judged(touched, held, self.theirs)
        back = _reversed(judged, held, self.absent)
        lines = [
            _not_in_pendo(touched, held, self.pushed.shape.kind),
            *([_changed_since(touched, held)] if self.theirs == "leave" else []),
            _already_back(touched, held, was_read=self.was_read),
            _cannot_undo(judged, self.absent),
            _goes_back_raw(back),
        ]
        return self._planned(back, pl.concat(lines), () if self.was_read else (_UNREAD,))

    def head(self, n_lost: int) -> Plan:
        """Return the plan without any change, of which *n_lost* parts could not be read."""
        lost = f"{counted(n_lost, 'part')} of the run's plan can't be read: what it pushed is not taken back."
        nothing = self.pushed.parts.nothing.select(*CHANGE_COLUMNS, *about_column(self.pushed.parts.nothing))
        notes = (*(() if self.was_read else (_UNREAD,)), *((lost,) if n_lost else ()))
        return self._planned(nothing, no_problems(), notes)

    def _planned(self, back: pl.DataFrame, problems: pl.DataFrame, notes: tuple[str, ...]) -> Plan:
        undo = plan_changes(
            back,
            mapping=self.pushed.mapping,
            target=self.pushed.target,
            problems=problems,
            batch_size=self.pushed.shape.batch_size,
            planned_at=self.planned_at,
            gates=self.pushed.gates,
            n_compared=self.pushed.n_compared,
        )
        return dataclasses.replace(undo, undoes=self.run_id, notes=notes)


def _ensure_held(pushed: Plan) -> None:
    if not pushed.shape.is_held:
        told = {
            "event": "An event that was sent can't be taken back",
            "membership": "A group call can't be taken back",
        }
        raise PlanError(
            f"{told.get(pushed.shape.kind, 'This can not be taken back')}: Pendo holds nothing that stood before it. Expected "
            f"a run of visitors or accounts. Hint: read_runs(journal) lists each run's kind."
        )


def _later_runs(journal: Journal, run_id: str) -> list[str]:
    runs = read_runs(journal)
    mine = runs.row(by_predicate=pl.col("run_id") == run_id, named=True)
    same = runs.filter(kind=mine["kind"], group=mine["group"], api_url=mine["api_url"])["run_id"].to_list()
    return same[same.index(run_id) + 1 :]


def _sure_enough(cells: pl.DataFrame, touched: pl.DataFrame, name: str) -> pl.DataFrame:
    """Return the newest of *cells* per id. What may not be written counts only where it would be somebody else's."""
    own = touched.select(
        "id",
        *(pl.col(what).struct.field(name).alias(f"\0{what}") for what in ("before", "after")),
        *(raw_cell(name, f"{what}_raw").alias(f"\0{what} raw") for what in ("before", "after")),
    )
    joined = cells.join(own, on="id", maintain_order="left")
    is_own = pl.any_horizontal(
        pl.col(name).eq_missing(pl.col(f"\0{what}")) & pl.col("raw").eq_missing(pl.col(f"\0{what} raw"))
        for what in ("before", "after")
    )
    newest = joined.filter(pl.col("is_sure") | ~is_own).unique("id", keep="last", maintain_order=True)
    return newest.select(
        "id", pl.col(name).alias("\0later"), pl.col("raw").alias("\0later raw"), is_later=True
    )


def _overlaid(held: pl.DataFrame, newest: pl.DataFrame, name: str) -> pl.DataFrame:
    joined = held.join(newest, on="id", how="left", maintain_order="left").rechunk()
    is_later = pl.col("is_later").fill_null(False)
    cells = [
        pl.when(is_later).then(pl.col(later)).otherwise(pl.col(column)).alias(column)
        for column, later in ((name, "\0later"), (f"\0raw {name}", "\0later raw"))
    ]
    return joined.with_columns(cells).drop(newest.columns[1:])


def _judged(touched: pl.DataFrame, held: pl.DataFrame, theirs: str) -> pl.DataFrame:
    """Return *touched* with what of it is to return: cells that are held as pushed, or as somebody else has them."""
    told = compare_held(touched, held)
    ours = ["after", "other"] if theirs == "overwrite" else ["after"]
    cell = {name: pl.col("cells").struct.field(name).cast(pl.String) for name in change_fields(touched)}
    returns = {name: code.is_in(ours).fill_null(False) for name, code in cell.items()}
    return touched.hstack(told.select(pl.col("is_known").alias(_KNOWN), struct_of(returns).alias(_RETURNS)))


def _returns(name: str) -> pl.Expr:
    return pl.col(_RETURNS).struct.field(name)


def _had_value(name: str) -> pl.Expr:
    return pl.col("before").struct.field(name).is_not_null() | raw_cell(name, "before_raw").is_not_null()


def _reversed(judged: pl.DataFrame, held: pl.DataFrame, absent: str) -> pl.DataFrame:
    """Return the CHANGES that put back what is to return, on what is held now."""
    fields = change_fields(judged)
    goes = {
        name: _returns(name) & _had_value(name) if absent == "leave" else _returns(name) for name in fields
    }
    back = judged.select(
        "row",
        "id",
        pl.lit("update").alias("action"),
        struct_of(goes).alias("changed"),
        pl.col("after").alias("before"),
        pl.col("before").alias("after"),
        pl.col("after_raw").alias("before_raw"),
        pl.col("before_raw").alias("after_raw"),
        *about_column(judged),
    )
    # Pendo may refuse a record with a cell of another type: such records come last, away from the others
    return rebase_changes(back, held).sort(pl.col("after_raw").is_not_null(), maintain_order=True)


def _not_in_pendo(touched: pl.DataFrame, held: pl.DataFrame, kind: str) -> pl.DataFrame:
    reason = f"Pendo does not know this {kind} any more; there is nothing to put back"
    return row_problems(gone_ids(touched, held), reason, rule="not_in_pendo", severity="block_row")


def _changed_since(touched: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Return a warning for each value that is neither as pushed nor as it was before."""
    told = pl.format("{} was pushed and {} is held now; it is left alone", shown("after"), shown("held"))
    choice = pl.format(" (plan_undo(…, theirs='overwrite') puts {} back)", shown("before"))
    has_before = pl.col("before").is_not_null()
    reason = pl.concat_str(told, pl.when(has_before).then(choice).otherwise(pl.lit("")))
    return cell_problems(other_cells(touched, held), reason, rule="changed_since", severity="warn")


def _already_back(touched: pl.DataFrame, held: pl.DataFrame, *, was_read: bool) -> pl.DataFrame:
    lag = "Pendo shows what was there before; if nobody put it back, the read lags behind the push: undo again later"
    reason = lag if was_read else "a later run put back what was there before"
    cells = held_cells(touched, held, what="before")
    return cell_problems(cells, reason, rule="already_held", severity="warn")


def _cannot_undo(judged: pl.DataFrame, absent: str) -> pl.DataFrame:
    created = judged.filter((pl.col("action") == "create") & pl.col(_KNOWN))
    lines = [
        row_problems(
            created, "the run created this id; Pendo can't un-create it", rule="cannot_undo", severity="warn"
        )
    ]
    reason = "there was no value before; it is left as it is (plan_undo(…, absent='null') sends null)"
    if absent == "leave":
        for name in change_fields(judged):
            new = judged.filter(_returns(name) & ~_had_value(name))
            lines.append(row_problems(new, reason, rule="cannot_undo", severity="warn", field=name))
    return pl.concat(lines)


def _goes_back_raw(back: pl.DataFrame) -> pl.DataFrame:
    """Return a warning for each value that goes back as another type than its field's."""
    lines = [no_problems()]
    for name in change_fields(back):
        raw = pl.when(pl.col("changed").struct.field(name)).then(raw_cell(name, "after_raw"))
        cells = back.rechunk().select("row", "id", cell=raw).drop_nulls("cell")
        told = pl.format(
            "{} goes back, which is not of the field's type; Pendo may refuse the record", "cell"
        )
        lines.append(row_problems(cells, told, rule="goes_back_raw", severity="warn", field=name))
    return pl.concat(lines)
