"""A plan that was saved, read back: refused where it is not as it was written."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from pendosync.folders import altered, read_folder
from pendosync.frames import DTYPES, PROBLEMS, empty_changes, ensure_frame
from pendosync.gates import Canary, Gates
from pendosync.mapping import Mapping
from pendosync.plans import Plan
from pendosync.regions import Pace, Target
from pendosync.shapes import Audience, Shape


def load_plan(folder: str | Path, /) -> Plan:
    """Return the plan that `Plan.save` wrote to *folder*.

    Raises:
        PlanError: there is none, or a file's digest no longer fits: it was altered, cut short or taken away.

    Cost: reads the files and their digests, about half a second for a million ids with ten fields.
    """
    place = Path(folder)
    manifest, changes, problems = read_folder(place)
    try:
        plan = _from_manifest(manifest, changes, problems)
    except (ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
        raise altered(place, type(error).__name__) from None
    if digest := manifest.get("digest"):
        plan.take_digest(digest)
    return plan


def _from_manifest(
    manifest: AbstractMapping[str, Any], changes: pl.DataFrame, problems: pl.DataFrame
) -> Plan:
    brick = empty_changes({name: DTYPES[kind] for name, kind in manifest["fields"].items()})
    hollow = [
        name for name in brick.columns if name not in changes.columns and brick.schema[name] == pl.Struct({})
    ]
    changes = changes.with_columns(pl.lit(None, dtype=pl.Struct({})).alias(name) for name in hollow)
    if changes.select(brick.columns).schema != brick.schema or changes.height != manifest["n_ids"]:
        raise ValueError("the parts do not fit the manifest")
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
        changes=changes,
        problems=ensure_frame(problems, PROBLEMS, "problems"),
        undoes=manifest["undoes"],
        gates=Gates(**manifest["gates"]),
        n_compared=manifest["n_compared"],
        against=manifest["against"],
        notes=tuple(manifest.get("notes", ())),
    )
