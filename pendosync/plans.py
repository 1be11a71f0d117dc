"""Plans: frozen, with everything that shapes bytes or batches; looked at, selected from, saved, dry-run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import shlex
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from pendosync.checks import RULES, no_problems, row_problems
from pendosync.diffs import ensure_changes
from pendosync.errors import MappingError, PlanError, counted, first_line, listed, nearest
from pendosync.folders import altered, read_folder, write_folder
from pendosync.frames import (
    DTYPES,
    PROBLEMS,
    REQUESTS,
    change_fields,
    empty_changes,
    ensure_frame,
    raw_cell,
    raw_of,
    type_of,
)
from pendosync.gates import Canary, Facts, Gates, held_by, lifted
from pendosync.mapping import Mapping
from pendosync.regions import MASK, Pace, Target
from pendosync.reports import Summary, plan_html, plan_text
from pendosync.wire import Shape, build_requests, encode_before, encode_records, steps_of

BATCH_SIZE: Final = 500
"""Ids in a bulk write, by default. Source: a public client sends as many; Pendo names no limit (read 2026-11-23)."""

_FORMAT: Final = 2
_PART_ROWS: Final = 200_000
_WINDOW: Final = 20_000


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """What a push may do, and nothing else: changes of one kind, group, route and target.

    Made by `plan_changes`, `plan_table` or `plan_undo`; never changed. Two plans are the same when their `digest` is.

    Args:
        mapping: what became what.
        target: the only place that `push` will send it to.
        shape: batch size, which ids may be created, and all else that shapes bytes.
        changes: CHANGES frame (n rows), perhaps with columns to filter on, which never travel.
        problems: PROBLEMS frame: what was blocked or warned of on the way.
        undoes: the run whose changes this plan takes back, or None.
        gates: what a push of it may do at most.
        n_compared: how many ids were compared to find the changes, or None where nobody said.
        against: what they were compared with: what `pendo` holds, or a `snapshot` of what was last pushed.
        notes: what else is to be known of it, in sentences; shown with the summary.
    """

    mapping: Mapping
    target: Target
    shape: Shape
    changes: pl.DataFrame
    problems: pl.DataFrame = dataclasses.field(default_factory=no_problems)
    undoes: str | None = None
    gates: Gates = dataclasses.field(default_factory=Gates)
    n_compared: int | None = None
    against: Literal["pendo", "snapshot"] = "pendo"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.changes.height

    @property
    def fields(self) -> list[str]:
        """The fields of the plan, in order."""
        return change_fields(self.changes)

    @property
    def n_requests(self) -> int:
        """How many requests the plan makes, retries aside."""
        return sum(step.n_batches for step in steps_of(len(self), self.shape))

    @property
    def title(self) -> str:
        """What is pushed where, in a few words."""
        return f"{counted(len(self), self.shape.kind)} → {self.shape.group}, {self.target}"

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
        return self.changes.rechunk().select("row", "id", raw_of(raws), *named)

    @cached_property
    def held_by(self) -> list[str]:
        """A sentence for each gate that holds the plan back: the number, the limit and what to type."""
        n_cleared = sum(self.changes.select(_is_cleared(name).sum()).item() for name in self.fields)
        writes_agent = self.shape.group == "agent" and self.shape.route == "metadata" and len(self) > 0
        return held_by(self.gates, Facts(len(self), self.n_compared, n_cleared, writes_agent))

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) over all that shapes bytes, the bytes of each record, and the values before.

        Cost: encodes the plan once, about 4 s for a million ids with ten fields.
        """
        whole = hashlib.sha256(_canonical(self._options()))
        for part in self._parts():
            records, held = hashlib.sha256(), hashlib.sha256()
            for window in part.iter_slices(_WINDOW):
                records.update(encode_records(window, self.shape).str.join("\n").item().encode() + b"\n")
                held.update(encode_before(window).str.join("\n").item().encode() + b"\n")
            whole.update(records.digest() + held.digest())
        return whole.hexdigest()

    @cached_property
    def summary(self) -> Summary:
        """The plan in numbers: ids per action, changes per field, problems per rule, requests and expected time."""
        fields = {name: pl.col("changed").struct.field(name).sum().alias(name) for name in self.fields}
        changed = self.changes.select(*fields.values()).row(0, named=True) if fields else {}
        return Summary(
            kind=self.shape.kind,
            group=self.shape.group,
            route=self.shape.route,
            target=str(self.target),
            n_ids=len(self),
            actions=_counts(self.changes["action"]),
            fields={name: int(n or 0) for name, n in changed.items()},
            blocked=_counts(self.problems.filter(pl.col("severity") != "warn")["rule"]),
            warned=_counts(self.problems.filter(severity="warn")["rule"]),
            n_requests=self.n_requests,
            batch_size=self.shape.ids_per_request,
            max_per_second=self.pace.max_per_second,
            max_at_once=self.pace.max_at_once,
            expected_s=self.pace.expected_s(self.n_requests, rows=len(self)),
            notes=tuple(self._notes()),
        )

    def select(
        self,
        expr: pl.Expr | None = None,
        /,
        *,
        ids: Iterable[str] | None = None,
        but: Iterable[str] | None = None,
    ) -> Plan:
        """Return a plan of only those ids for which *expr* holds, or that are named.

        Args:
            expr: a condition over `before("…")`, `after("…")`, `changed("…")`, `pl.col("id")`, `pl.col("action")`
                and the columns that were kept.
            ids: these ids and no others.
            but: not these ids.

        Raises:
            PlanError: the condition can't be computed, or an id is not in the plan.

        `plan.select(after("seats") > 10)` takes the ids that will have more than ten seats.
        """
        chosen = self.changes
        if expr is not None and not isinstance(expr, pl.Expr):
            raise PlanError(
                f"select was given {expr!r}. Expected a polars expression. Hint: plan.select(after('seats') > 10)."
            )
        if expr is not None:
            try:
                chosen = chosen.filter(expr)
            except pl.exceptions.PolarsError as error:
                raise PlanError(_bad_condition(error, self)) from None
        for names, how in ((ids, "semi"), (but, "anti")):
            if names is not None:
                wanted = self._known_ids(names)
                chosen = chosen.join(wanted, on="id", how=how, maintain_order="left")  # type: ignore[arg-type]
        return dataclasses.replace(self, changes=chosen)

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
        paces = {name: dataclasses.asdict(getattr(self.target, name)) for name in ("api_pace", "data_pace")}
        manifest = {**self._options(), **paces, "notes": self.notes, "digest": self.digest}
        return write_folder(Path(folder), manifest, self._parts(), self.problems)

    def _parts(self) -> Iterator[pl.DataFrame]:
        return self.changes.iter_slices(_PART_ROWS) if len(self) else iter([self.changes])

    def _options(self) -> dict[str, Any]:
        """Return what the digest covers besides the changes themselves."""
        shape = dataclasses.asdict(self.shape)
        types = dict(self.changes.schema["after"])  # type: ignore[call-overload]
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
        if isinstance(names, str) or any(not isinstance(name, str | int) for name in names):
            raise PlanError(
                f"The ids are {names!r}. Expected a list of texts. Hint: plan.select(ids=['u-1', 'u-2'])."
            )
        wanted = pl.DataFrame({"id": [str(name) for name in names]}, schema={"id": pl.String}).unique(
            maintain_order=True
        )
        strange = wanted.join(self.changes, on="id", how="anti", maintain_order="left")["id"].to_list()
        if strange:
            known = self.changes["id"].head(10_000).to_list()
            near = nearest(str(strange[0]), known) or known[:1]
            raise PlanError(
                f"{counted(len(strange), 'id')} can't be selected, as the plan has no change for them: {listed(strange)}. "
                f"Expected ids of its {counted(len(self), 'change')}. Hint: did you mean {listed(near)}?"
            )
        return wanted

    def _notes(self) -> Iterator[str]:
        yield from (f"Held by a gate. {sentence}" for sentence in self.held_by)
        if self.undoes:
            yield f"Takes back run {self.undoes}."
        yield from self.notes
        if self.cannot_undo.height:
            yield f"{counted(self.cannot_undo.height, 'value')} can't be put back: see plan.cannot_undo."
        if self.shape.canary:
            ends = [step.n_rows for step in steps_of(len(self), self.shape)]
            yield f"Travels in steps of {', '.join(f'{n:,}' for n in ends)} ids, each read back before the next."
        if self.shape.create == "unknown_ids":
            yield "Ids that Pendo does not know are created; Pendo advises against it in nearly all cases."
        if self.shape.group == "agent" and self.shape.route == "metadata":
            yield "Agent fields are set again by the browser agent at the visitor's next page load."
        if self.shape.route == "webhook":
            yield (
                "The webhook answers for no row: outcomes are 'accepted', and values land in group "
                + self.shape.group
                + "."
            )

    def __repr__(self) -> str:
        return plan_text(self.summary)

    def _repr_html_(self) -> str:
        return plan_html(self.summary, self.changes.head(8), self.fields)


def plan_changes(
    changes: pl.DataFrame,
    /,
    *,
    mapping: Mapping,
    target: Target,
    problems: pl.DataFrame | None = None,
    create: Literal["never", "unknown_ids"] = "never",
    batch_size: int = BATCH_SIZE,
    send: Literal["changed", "all"] = "changed",
    planned_at: datetime | None = None,
    canary: Canary | None = None,
    gates: Gates | None = None,
    n_compared: int | None = None,
    against: Literal["pendo", "snapshot"] = "pendo",
) -> Plan:
    """Return the plan that carries *changes* to *target*. Touches no network.

    Args:
        changes: CHANGES frame (n rows), from `diff_values`.
        mapping: gives kind, group and route.
        target: where to, and nowhere else: `client.target`.
        problems: PROBLEMS frame, to be kept with the plan.
        create: `never` turns ids that Pendo does not know into problems `not_in_pendo`; `unknown_ids` creates them.
        batch_size: ids in a bulk write; a webhook message always has one.
        send: `changed` fields only, or `all` that have a value.
        planned_at: the plan's time, now when left out; the timestamp of webhook messages.
        canary: steps in which it travels, each read back before the next; None is all at once.
        gates: what a push of it may do at most; None takes `Gates()`.
        n_compared: how many ids were compared, for the gate `max_changed_share`.
        against: as in `diff_values`; before sending, what moved since is judged by it.

    Raises:
        FrameError: *changes* or *problems* breaks its brick.
        MappingError: an option is none of its choices.
        PlanError: *batch_size* is no whole number from 1 up.

    Source: Pendo advises against creating ids by API in nearly all cases (tech note, read 2026-11-23).
    """
    ensure_changes(changes)
    _ensure_options(create=create, send=send, against=against)
    _ensure_numbers(batch_size=batch_size, planned_at=planned_at)
    known = ensure_frame(problems, PROBLEMS, "problems") if problems is not None else no_problems()
    changes, known = _without_creates(changes, known, mapping, create)
    shape = Shape(
        kind=mapping.kind,
        route=mapping.route,
        group=mapping.group,
        batch_size=batch_size,
        create=create,
        send=send,
        planned_at=(planned_at or datetime.now(UTC)).astimezone(UTC),
        nonce=secrets.token_hex(8),
        library=version("pendosync"),
        canary=canary,
    )
    return Plan(
        mapping=mapping,
        target=target,
        shape=shape,
        changes=changes,
        problems=known,
        gates=gates or Gates(),
        n_compared=n_compared,
        against=against,
    )


def plan_again(
    plan: Plan,
    changes: pl.DataFrame,
    /,
    *,
    problems: pl.DataFrame,
    create: Literal["never", "unknown_ids"] | None = None,
) -> Plan:
    """Return *plan* with other *changes* and *problems*: the same place and options, of now and with a new nonce.

    Args:
        plan: gives all that shapes bytes and batches.
        changes: CHANGES frame (n rows).
        problems: PROBLEMS frame, in place of the plan's.
        create: in place of the plan's; `never` turns ids that are to be created into problems.
    """
    creates = create or plan.shape.create
    changes, problems = _without_creates(changes, problems, plan.mapping, creates)
    fresh = {"nonce": secrets.token_hex(8), "planned_at": datetime.now(UTC)}
    shape = dataclasses.replace(plan.shape, create=creates, **fresh)  # type: ignore[arg-type]
    return dataclasses.replace(plan, shape=shape, changes=changes, problems=problems)


def _without_creates(
    changes: pl.DataFrame, problems: pl.DataFrame, mapping: Mapping, create: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return changes and problems; where creating is off, ids that Pendo does not know stand in the latter."""
    if create != "never":
        return changes, problems
    unknown = changes.filter(action="create")
    return changes.filter(action="update"), pl.concat([problems, _not_in_pendo(unknown, mapping)])


def _ensure_options(*, create: str, send: str, against: str) -> None:
    for name, value, choices in (
        ("create", create, ("never", "unknown_ids")),
        ("send", send, ("changed", "all")),
        ("against", against, ("pendo", "snapshot")),
    ):
        if value not in choices:
            raise MappingError.bad_choice(name, value, choices)


def _ensure_numbers(*, batch_size: int, planned_at: datetime | None) -> None:
    if not isinstance(batch_size, int) or batch_size < 1:
        raise PlanError(
            f"batch_size is {batch_size!r}. Expected a whole number from 1 up. Hint: batch_size={BATCH_SIZE}."
        )
    if planned_at is not None and not isinstance(planned_at, datetime):
        raise PlanError(f"planned_at is {planned_at!r}. Expected a datetime. Hint: datetime.now(UTC).")


def load_plan(folder: str | Path, /) -> Plan:
    """Return the plan that `Plan.save` wrote to *folder*.

    Raises:
        PlanError: there is none, or its digest no longer fits: a file was altered, cut short or taken away.
    """
    place = Path(folder)
    manifest, changes, problems = read_folder(place)
    try:
        plan = _from_manifest(manifest, changes, problems)
    except (ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
        raise altered(place, type(error).__name__) from None
    if plan.digest != manifest.get("digest"):
        raise altered(place, "the digest differs")
    return plan


def dry_run(plan: Plan, /) -> pl.DataFrame:
    """Return the very requests that a push of *plan* would send, in order. Takes no client, so it can't send.

    Returns:
        REQUESTS frame, one row a request; `body` in UTF-8 is what travels, `path` has its secret masked.

    Cost: encodes the plan once; the frame holds every body.
    """
    return pl.concat([REQUESTS.to_frame(), *build_requests(plan.changes, plan.shape)])


def build_curl(plan: Plan, /, *, most: int | None = None) -> list[str]:
    """Return the requests of *plan* as `curl` lines for a shell whose environment holds the keys.

    Args:
        plan: what to show.
        most: stop after so many lines; None is all.
    """
    lines: list[str] = []
    for requests in build_requests(plan.changes, plan.shape):
        for path, body in requests.select("path", "body").iter_rows():
            if most is not None and len(lines) >= most:
                return lines
            lines.append(_curl_line(plan, path, body))
    return lines


def before(field: str) -> pl.Expr:
    """Return the expression of the value that Pendo holds before the push, for `Plan.select`."""
    return pl.col("before").struct.field(field)


def after(field: str) -> pl.Expr:
    """Return the expression of the value that Pendo holds after the push, for `Plan.select`."""
    return pl.col("after").struct.field(field)


def changed(field: str) -> pl.Expr:
    """Return the expression that tells whether *field* changes, for `Plan.select`."""
    return pl.col("changed").struct.field(field)


def _is_cleared(field: str) -> pl.Expr:
    was_there = before(field).is_not_null() | raw_cell(field, "before_raw").is_not_null()
    is_there = after(field).is_not_null() | raw_cell(field, "after_raw").is_not_null()
    return changed(field) & was_there & ~is_there


def _curl_line(plan: Plan, path: str, body: str) -> str:
    if plan.shape.route == "webhook":
        url, key = f"{plan.target.data_url}{path.replace(MASK, '$PENDO_APP_KEY')}", ""
    else:
        url, key = f"{plan.target.api_url}{path}", ' -H "x-pendo-integration-key: $PENDO_INTEGRATION_KEY"'
    return f"curl -X POST \"{url}\"{key} -H 'content-type: application/json' --data-raw {shlex.quote(body)}"


def _not_in_pendo(unknown: pl.DataFrame, mapping: Mapping) -> pl.DataFrame:
    reason = f"Pendo does not know this {mapping.kind}, and creating is off; plan with create='unknown_ids' to create it"
    return row_problems(unknown, reason, rule="not_in_pendo", severity="block_row")


def _from_manifest(
    manifest: AbstractMapping[str, Any], changes: pl.DataFrame, problems: pl.DataFrame
) -> Plan:
    brick = empty_changes({name: DTYPES[kind] for name, kind in manifest["fields"].items()})
    if changes.select(brick.columns).schema != brick.schema or changes.height != manifest["n_ids"]:
        raise ValueError("the parts do not fit the manifest")
    api_pace, data_pace = (Pace(**manifest[name]) for name in ("api_pace", "data_pace"))
    canary = manifest["shape"]["canary"]
    shape = {
        **manifest["shape"],
        "planned_at": datetime.fromisoformat(manifest["shape"]["planned_at"]),
        "canary": Canary(**canary) if canary else None,
    }
    return Plan(
        mapping=Mapping.from_dict(manifest["mapping"]),
        target=Target(**manifest["target"], api_pace=api_pace, data_pace=data_pace),
        shape=Shape(**shape),
        changes=changes,
        problems=ensure_frame(problems, PROBLEMS, "problems"),
        undoes=manifest["undoes"],
        gates=Gates(**manifest["gates"]),
        n_compared=manifest["n_compared"],
        against=manifest["against"],
        notes=tuple(manifest.get("notes", ())),
    )


def _bad_condition(error: Exception, plan: Plan) -> str:
    told = first_line(error)
    return (
        f"The condition can't be computed on this plan ({told}). Expected one over the fields {listed(plan.fields)}, "
        f"id, action or the columns kept. Hint: plan.select(ps.after({(plan.fields or ['plan'])[0]!r}).is_not_null())."
    )


def _counts(column: pl.Series) -> dict[str, int]:
    counted_rows = column.to_frame("name").group_by("name", maintain_order=True).len()
    by_name: dict[str, int] = dict(counted_rows.iter_rows())
    order = {name: at for at, name in enumerate(("update", "create", *RULES))}
    return dict(sorted(by_name.items(), key=lambda item: order.get(item[0], 99)))


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
