"""A plan that was saved, read back: refused where it is not as it was written."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from pendosync.errors import PlanError
from pendosync.folders import altered, read_file, read_frames, read_manifest
from pendosync.frames import DTYPES, PROBLEMS, empty_changes, ensure_frame
from pendosync.gates import Canary, Gates
from pendosync.mapping import Mapping
from pendosync.parted import COLUMNS, InFile, InMemory, Parts
from pendosync.plans import Plan
from pendosync.regions import Pace, Target
from pendosync.shapes import Audience, Shape
from pendosync.thinned import restored


def load_plan(folder: str | Path, /) -> Plan:
    """Return the plan that `Plan.save`, or `plan_table` in parts, wrote to *folder*.

    Of a plan in parts only the manifest is read; each part is looked at when it is needed.

    Raises:
        PlanError: there is none, or a file's digest no longer fits: it was altered, cut short or taken away.

    Cost: of a plan in memory the files and their digests, about half a second for a million ids with ten fields.
    """
    place = Path(folder)
    manifest = read_manifest(place)
    try:
        plan = _from_manifest(manifest, _read_parts(place, manifest))
    except PlanError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
        raise altered(place, type(error).__name__) from None
    if digest := manifest.get("digest"):
        plan.take_digest(digest)
    return plan


def write_part(folder: Path, number: int, plan: Plan, /) -> dict[str, Any]:
    """Write a plan in memory to *folder* as one part of a larger one, and return what `seal_plan` is to be told of it."""
    return InMemory(plan.changes, plan.problems, number).save(folder)


def seal_plan(
    folder: Path, head: Plan, entries: Sequence[AbstractMapping[str, Any]], /, *, cut: int = 1
) -> None:
    """Write to *folder* what makes the parts that lie there a plan, which `load_plan` reads.

    Args:
        folder: where the parts were written.
        head: a plan of the same mapping, target, shape, gates and notes, and with the columns that each part has. Its
            changes don't count, and its nonce is made anew, of all that the parts hold.
        entries: what `write_part` returned of each, in order.
        cut: into how many parts the table was cut by its ids; 1 where it was not.
    """
    nothing = head.parts.nothing
    parts = Parts([InFile(folder, entry, nothing) for entry in entries], nothing, cut=cut)
    dataclasses.replace(head, parts=parts).with_own_nonce().write_head(folder, entries)


def _read_parts(place: Path, manifest: AbstractMapping[str, Any]) -> Parts:
    brick = empty_changes({name: DTYPES[kind] for name, kind in manifest["fields"].items()})
    entries = manifest.get("parts")
    if entries is None:
        whole = partial(_whole, nothing=brick, thin=manifest.get("thin", ()))
        changes, problems = read_frames(place, manifest["files"], whole)
        parts = Parts.of(changes, ensure_frame(problems, PROBLEMS, "problems"), place)
    else:
        nothing = _whole(read_file(place / COLUMNS, manifest["columns"]), brick)
        parts = Parts([InFile(place, entry, nothing) for entry in entries], nothing, place, manifest["cut"])
    if parts.first_rows[-1] != manifest["n_ids"]:
        raise ValueError("the parts do not fit the manifest")
    return parts


def _whole(saved: pl.DataFrame, nothing: pl.DataFrame, thin: Sequence[str] = ()) -> pl.DataFrame:
    """Return CHANGES as they were before they were written."""
    changes = restored(saved, thin, nothing)
    if changes.select(nothing.columns).schema != nothing.schema:
        raise ValueError("the columns do not fit the manifest")
    return changes


def _from_manifest(manifest: AbstractMapping[str, Any], parts: Parts) -> Plan:
    api_pace, data_pace = (Pace(**manifest[name]) for name in ("api_pace", "data_pace"))
    canary, audience = manifest["shape"]["canary"], manifest["shape"].get("audience")
    shape = {
        **manifest["shape"],
        "planned_at": datetime.fromisoformat(manifest["shape"]["planned_at"]),
        "canary": Canary(**canary) if canary else None,
        "audience": Audience(**audience) if audience else None,
    }
    return Plan(
        mapping=Mapping.from_dict(manifest["mapping"]),
        target=Target(**manifest["target"], api_pace=api_pace, data_pace=data_pace),
        shape=Shape(**shape),
        parts=parts,
        undoes=manifest["undoes"],
        gates=Gates(**manifest["gates"]),
        n_compared=manifest["n_compared"],
        against=manifest["against"],
        notes=tuple(manifest.get("notes", ())),
    )
