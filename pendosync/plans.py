"""Plans: frozen, with everything that shapes bytes or batches; looked at, selected from, saved, dry-run."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from pendosync.errors import PlanError, counted, first_line, listed, nearest
from pendosync.folders import new_folder, write_file, write_folder, write_manifest
from pendosync.frames import (
    ACTIONS,
    CHANGE_COLUMNS,
    about_column,
    about_parts,
    change_fields,
    is_unicode,
    raw_cell,
    raw_of,
    type_of,
)
from pendosync.gates import Facts, Gates, Held, held_by, lifted
from pendosync.mapping import Mapping
from pendosync.notes import notes_of
from pendosync.overview import Summary, plan_html
from pendosync.parted import COLUMNS, InFile, Parts
from pendosync.regions import Pace, Target
from pendosync.reports import Grid
from pendosync.rules import RULES
from pendosync.selections import Selection, after, changed
from pendosync.shapes import Shape, Step, steps_of
from pendosync.summaries import problem_grids
from pendosync.thinned import thin_fields, thinned

_FORMAT: Final = 3
_PART_ROWS: Final = 50_000
"""Rows of a part of a plan in memory. Measured: larger ones take as long to write, and more memory."""

_FEW_LINES: Final = 10_000
"""Problems of a plan in parts that are read whole to be shown by rule."""

_FEW: Final = 100_000
"""Ids whose digest takes less than a tenth of a second."""


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """What a push may do, and nothing else: changes of one kind, group, route and target.

    Made by `plan_changes`, `plan_table`, `plan_audience` or `plan_undo`; never changed. Two plans are the same when their `digest` is.

    Args:
        mapping: what became what.
        target: the only place that `push` will send it to.
        shape: batch size, which ids may be created, and all else that shapes bytes.
        parts: its CHANGES (n rows), perhaps with columns to filter on, which never travel, and its PROBLEMS: one part in
            memory, or many in a folder.
        undoes: the run whose changes this plan takes back, or None.
        gates: what a push of it may do at most.
        n_compared: how many ids were compared to find the changes, or None where nobody said.
        against: what they were compared with: what `pendo` holds, or a `snapshot` of what was last pushed.
        notes: what else is to be known of it, in sentences; shown with the summary.
    """

    mapping: Mapping
    target: Target
    shape: Shape
    parts: Parts
    undoes: str | None = None
    gates: Gates = dataclasses.field(default_factory=Gates)
    n_compared: int | None = None
    against: Literal["pendo", "snapshot"] = "pendo"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.parts.first_rows[-1]

    @property
    def changes(self) -> pl.DataFrame:
        """CHANGES frame (n rows). Of a plan in parts all of them are read into memory; `plan.parts` reads one at a time."""
        return self.parts.whole()

    @property
    def problems(self) -> pl.DataFrame:
        """PROBLEMS frame: what was blocked or warned of on the way."""
        return self.parts.problems

    @property
    def fields(self) -> list[str]:
        """The fields of the plan, in order."""
        return change_fields(self.parts.nothing)

    @property
    def kept(self) -> list[str]:
        """The columns that were kept to filter on, in order; they never travel."""
        own = {*CHANGE_COLUMNS, *about_column(self.parts.nothing)}
        return [name for name in self.parts.nothing.columns if name not in own]

    @cached_property
    def n_sent(self) -> int:
        """How many of its ids travel: those to be skipped do not."""
        return sum(n_rows for _, n_rows in self.parts.sent)

    @cached_property
    def steps(self) -> list[Step]:
        """The steps in which it travels, in order; none reaches over the end of a part."""
        return steps_of(self.parts.sent, self.shape)

    @property
    def n_requests(self) -> int:
        """How many requests the plan makes, retries aside."""
        return sum(step.n_batches for step in self.steps)

    @property
    def title(self) -> str:
        """What is pushed where, in a few words."""
        if self.shape.audience and self.shape.audience.is_deleted:
            return f"deletion of {self.shape.lands_in}, {self.target}"
        return f"{counted(len(self), self.shape.kind)} → {self.shape.lands_in}, {self.target}"

    @property
    def pace(self) -> Pace:
        """The pace of the host that the plan's route goes to."""
        return self.target.pace_of(self.shape.route)

    @property
    def cannot_undo(self) -> pl.DataFrame:
        """PROBLEMS frame of what an undo can't put back: values and ids that were not there before."""
        return self.problems.filter(rule="cannot_undo")

    @property
    def values(self) -> pl.DataFrame:
        """VALUES frame of what the plan would have Pendo hold: the changed cells; the others are null."""
        cells = {name: pl.when(changed(name)).then(after(name)) for name in self.fields}
        raws = [(name, pl.when(changed(name)).then(raw_cell(name, "after_raw"))) for name in self.fields]
        named = [cell.alias(name) for name, cell in cells.items()]
        about = about_column(self.changes)
        return self.changes.rechunk().select("row", "id", raw_of(raws), *about, *named)

    @property
    def held_by(self) -> list[str]:
        """A sentence for each gate that holds the plan back: the number, the limit and what to type."""
        return [str(held) for held in self._held]

    @property
    def lifts(self) -> dict[str, Any]:
        """The gates that hold the plan back, and what each would have to be: `plan.lift(**plan.lifts)` frees it."""
        return {held.gate: held.lift for held in self._held}

    @cached_property
    def _held(self) -> list[Held]:
        counts = self.parts.counts
        writes_agent = self.shape.group == "agent" and self.shape.route == "metadata" and self.n_sent > 0
        return held_by(self.gates, Facts(self.n_sent, self.n_compared, counts.n_cleared, writes_agent))

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) over all that shapes bytes, and over each change: what is sent, and what was before.

        The same in every version of polars, and whichever columns are kept. Cost: see `digest_of`.
        """
        parts = b"".join(bytes.fromhex(part.digest) for part in self.parts)
        return hashlib.sha256(_canonical(self._options()) + parts).hexdigest()

    @property
    def known_digest(self) -> str | None:
        """The digest where it is known already or found in no time, else None: a push waits for nothing but the disk."""
        is_known = "digest" in self.__dict__ or all(isinstance(part, InFile) for part in self.parts)
        return self.digest if is_known or len(self) <= _FEW else None

    @cached_property
    def summary(self) -> Summary:
        """The plan in numbers: ids per action, changes per field, problems per rule, requests and expected time."""
        n_recheck = min(self.gates.recheck or 0, self.n_sent) if self.shape.is_held else 0
        counts = self.parts.counts
        return Summary(
            kind=self.shape.kind,
            group=self.shape.group,
            route=self.shape.route,
            target=str(self.target),
            is_held=self.shape.is_held,
            n_ids=len(self),
            actions=_in_order(counts.actions),
            fields=dict(counts.fields),
            blocked=_in_order(counts.blocked),
            warned=_in_order(counts.warned),
            n_requests=self.n_requests,
            batch_size=self.shape.ids_per_request,
            max_per_second=self.pace.max_per_second,
            max_at_once=self.shape.at_once or self.pace.max_at_once,
            expected_s=self.pace.expected_s(self.n_requests, rows=self.n_sent),
            n_recheck=n_recheck,
            recheck_s=self.target.api_pace.expected_s(n_recheck),
            held=tuple(self.held_by),
            notes=tuple(self._notes()),
            lands_in=self.shape.lands_in,
        )

    def select(
        self,
        expr: pl.Expr | Selection | None = None,
        /,
        *,
        ids: Iterable[str] | None = None,
        but: Iterable[str] | None = None,
    ) -> Plan:
        """Return a plan of only those ids for which *expr* holds, or that are named.

        Args:
            expr: a condition over `before("…")`, `after("…")`, `changed("…")`, `pl.col("id")`, `pl.col("action")`
                and the columns that were kept; or a Selection, such as a preview's `view.selection`.
            ids: these ids and no others.
            but: not these ids.

        Raises:
            PlanError: the condition can't be computed, or an id is not in the plan.

        `plan.select(after("seats") > 10)` takes the ids that will have more than ten seats.
        """
        chosen = self.parts
        if isinstance(expr, Selection):
            if expr.also or expr.but:
                self._known_ids([*expr.also, *expr.but])
            expr = None if expr.takes_all else expr.to_expr()
        if expr is not None and not isinstance(expr, pl.Expr):
            raise PlanError(
                f"select was given {expr!r}. Expected a polars expression. Hint: plan.select(after('seats') > 10)."
            )
        if expr is not None:
            try:
                chosen = chosen.chosen(lambda changes: changes.filter(expr))
            except pl.exceptions.PolarsError as error:
                raise PlanError(_bad_condition(error, self)) from None
        for names, join in ((ids, _among), (but, _not_among)):
            if names is not None:
                chosen = chosen.chosen(partial(join, self._known_ids(names)))
        return dataclasses.replace(self, parts=chosen)

    def having(self, changes: pl.DataFrame, problems: pl.DataFrame | None = None) -> Plan:
        """Return the plan with other CHANGES, in memory, and other PROBLEMS where they are given."""
        return dataclasses.replace(
            self, parts=Parts.of(changes, self.problems if problems is None else problems)
        )

    def lift(self, **gates: Any) -> Plan:
        """Return the plan with some of its gates set otherwise: `plan.lift(max_ids=None)`.

        Args:
            gates: as in `Gates`.

        Raises:
            PlanError: no such gate, or a number that can't be.
        """
        return dataclasses.replace(self, gates=lifted(self.gates, gates))

    def save(self, folder: str | Path, /) -> Path:
        """Write the plan to *folder*, which must not exist or be empty: a manifest and Parquet parts.

        Half-written folders never appear under that name.

        Raises:
            PlanError: the folder holds something, or can't be written.
        """
        return self.write_to(Path(folder), self.digest)

    def write_to(self, folder: Path, digest: str | None) -> Path:
        """Write the plan as `save` does, with its digest where that is known."""
        manifest = {**self._head(), "digest": digest}
        if self.parts.is_whole:
            changes = self.changes
            thin = thin_fields(changes)
            cut = changes.iter_slices(_PART_ROWS) if changes.height else iter([changes])
            thins = partial(thinned, fields=thin)
            return write_folder(folder, {**manifest, "thin": thin}, cut, self.problems, thins)
        with new_folder(folder, what="The plan") as place:
            entries = [part.save(place) for part in self.parts]
            self.write_head(place, entries)
        return folder

    def write_head(self, place: Path, entries: Sequence[AbstractMapping[str, Any]]) -> None:
        """Write what a folder of parts says of them all: the manifest, and the columns that each part has.

        Args:
            place: where the parts were written.
            entries: what `Part.save` returned of each, in order.
        """
        columns = write_file(place / COLUMNS, self.parts.nothing)
        write_manifest(
            place,
            {
                **self._head(),
                "digest": self.digest,
                "columns": columns,
                "cut": self.parts.cut,
                "parts": [*entries],
            },
        )

    def with_own_nonce(self) -> Plan:
        """Return the plan with a nonce that is made of all that it holds, its time included: the same for the same plan."""
        bare = dataclasses.replace(self, shape=dataclasses.replace(self.shape, nonce=""))
        return dataclasses.replace(self, shape=dataclasses.replace(self.shape, nonce=bare.digest[:16]))

    def _head(self) -> dict[str, Any]:
        paces = {name: dataclasses.asdict(getattr(self.target, name)) for name in ("api_pace", "data_pace")}
        return {**self._options(), **paces, "notes": self.notes}

    def take_digest(self, digest: str) -> None:
        """Take the digest that a saved plan was written with for its own: its files are as they were written."""
        self.__dict__["digest"] = digest

    def _options(self) -> dict[str, Any]:
        """Return what the digest covers besides the changes themselves."""
        shape = dataclasses.asdict(self.shape)
        for name in ("audience", "has_own_ids"):
            if not shape[name]:
                del shape[name]  # so that plans that were saved before there were any keep their digest
        types = dict(self.parts.nothing.schema["after"])  # type: ignore[call-overload]
        return {
            "format": _FORMAT,
            "mapping": self.mapping.to_dict(),
            "target": {
                "region": self.target.region,
                "api_url": self.target.api_url,
                "data_url": self.target.data_url,
            },
            "shape": {**shape, "planned_at": self.shape.planned_at.isoformat()},
            "undoes": self.undoes,
            "gates": dataclasses.asdict(self.gates),
            "n_compared": self.n_compared,
            "against": self.against,
            "n_ids": len(self),
            "fields": {name: type_of(dtype) for name, dtype in types.items()},
        }

    def _known_ids(self, names: Iterable[str]) -> pl.DataFrame:
        names = names if isinstance(names, str) else list(names)
        if isinstance(names, str) or not all(_is_id(name) for name in names):
            raise PlanError(
                f"The ids are {_shown_ids(names)}. Expected a list of texts in Unicode. "
                f"Hint: plan.select(ids=['u-1', 'u-2'])."
            )
        wanted = pl.DataFrame({"id": [str(name) for name in names]}, schema={"id": pl.String}).unique(
            maintain_order=True
        )
        left = wanted
        for changes in self.parts.each():
            left = left.join(changes, on="id", how="anti", maintain_order="left")
            if left.is_empty():
                break
        strange = left["id"].to_list()
        if strange:
            known = self.parts.slice(0, 10_000)["id"].to_list()
            near = nearest(str(strange[0]), known) or known[:1]
            raise PlanError(
                f"{counted(len(strange), 'id')} can't be selected, as the plan has no change for them: {listed(strange)}. "
                f"Expected ids of its {counted(len(self), 'change')}. Hint: did you mean {listed(near)}?"
            )
        return wanted

    def _notes(self) -> Iterator[str]:
        if self.undoes:
            yield f"Takes back run {self.undoes}."
        yield from self.notes
        if not self.parts.is_whole:
            where = f" in {str(self.parts.folder)!r}" if self.parts.folder else ""
            yield f"Lies in {counted(len(self.parts), 'part')}{where}; each is read as it is needed."
        if n_lost := self.parts.counts.warned.get("cannot_undo", 0):
            yield f"{counted(n_lost, 'value')} can't be put back: see plan.cannot_undo."
        if self.shape.canary:
            stages = steps_of(self.n_sent, self.shape)
            yield f"Travels in steps of {', '.join(f'{step.n_rows:,}' for step in stages)} ids, each read back before the next."
        if self.shape.create == "unknown_ids" and self.shape.is_held:
            yield "Ids that Pendo does not know are created; Pendo advises against it in nearly all cases."
        if self.shape.group == "agent" and self.shape.route == "metadata":
            yield "Agent fields are set again by the browser agent at the visitor's next page load."
        yield from notes_of(self.shape, self.parts.counts, has_fields=bool(self.fields))

    def __repr__(self) -> str:
        return repr(self.summary)

    def _repr_html_(self) -> str:
        return plan_html(self.summary, self.parts.first(8), self.fields, self._problem_grids())

    def _problem_grids(self) -> tuple[Grid, ...]:
        """Return the problems by rule; where parts have very many, or can't be read, as counted, with the first of each."""
        counts = self.parts.counts
        n_lines = sum(counts.blocked.values()) + sum(counts.warned.values())
        if self.parts.is_whole or n_lines <= _FEW_LINES:
            with contextlib.suppress(PlanError):
                return problem_grids(self.problems)
        return problem_grids(self.parts.first_problems(), {True: counts.warned, False: counts.blocked})


def _is_id(name: object) -> bool:
    return isinstance(name, int) or (isinstance(name, str) and is_unicode(name))


def _shown_ids(names: object) -> str:
    return repr(names) if isinstance(names, str) else listed(name for name in names if not _is_id(name))  # type: ignore[attr-defined]


def _among(wanted: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    return changes.join(wanted, on="id", how="semi", maintain_order="left")


def _not_among(wanted: pl.DataFrame, changes: pl.DataFrame) -> pl.DataFrame:
    return changes.join(wanted, on="id", how="anti", maintain_order="left")


def _bad_condition(error: Exception, plan: Plan) -> str:
    parts = [f"about({part!r})" for part in about_parts(plan.parts.nothing)]
    fields = f"the fields {listed(plan.fields)}, " if plan.fields else ""
    more = f"{', '.join(parts)}, " if parts else ""
    first = [*(f"after({name!r})" for name in plan.fields[:1]), *parts]
    hint = f"ps.{first[0]}.is_not_null()" if first else "ids=[…]"
    return (
        f"The condition can't be computed on this plan ({first_line(error)}). Expected one over {fields}{more}id, action or the "
        f"columns kept. Hint: plan.select({hint})."
    )


def _in_order(counts: AbstractMapping[str, int]) -> dict[str, int]:
    """Return counts of actions or rules in the order in which these are told."""
    order = {name: at for at, name in enumerate((*ACTIONS, *RULES))}
    return dict(sorted(counts.items(), key=lambda item: order.get(item[0], 99)))


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
