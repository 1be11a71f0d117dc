"""The requests of a plan to look at: as a frame, and as lines for a shell. Nothing here can send."""

from __future__ import annotations

import shlex
from itertools import chain
from pathlib import Path
from typing import Final, overload

import polars as pl

from pendosync.frames import REQUESTS
from pendosync.parts import write_parts
from pendosync.plans import Plan
from pendosync.regions import MASK
from pendosync.shapes import CREATED
from pendosync.wire import build_steps

_VARIABLES: Final = {
    "integration_key": "PENDO_INTEGRATION_KEY", "app_key": "PENDO_APP_KEY", "track_secret": "PENDO_TRACK_SECRET",
}  # fmt: skip


@overload
def dry_run(plan: Plan, /, *, folder: None = None) -> pl.DataFrame: ...
@overload
def dry_run(plan: Plan, /, *, folder: str | Path) -> pl.LazyFrame: ...
def dry_run(plan: Plan, /, *, folder: str | Path | None = None) -> pl.DataFrame | pl.LazyFrame:
    """Return the very requests that a push of *plan* would send, in order. Takes no client, so it can't send.

    Args:
        plan: what to show.
        folder: write them there, as Parquet parts of about 20,000 ids; it must not exist or be empty. Half-written
            folders never appear under that name.

    Returns:
        REQUESTS frame, one row a request; `body` in UTF-8 is what travels, `path` has its secret masked. With *folder*
        a lazy one, which reads the parts in order.

    Raises:
        PlanError: the folder holds something, or can't be written.

    Cost: encodes the plan once. The frame holds every body; with *folder* memory holds those of one part.
    """
    windows = build_steps(plan.parts, plan.shape, plan.steps)
    if folder is None:
        return pl.concat([REQUESTS.to_frame(), *windows])
    first = next(windows, REQUESTS.to_frame())
    parts = write_parts(Path(folder), chain([first], windows), name="requests")
    return pl.scan_parquet(parts, glob=False)


def build_curl(plan: Plan, /, *, most: int | None = None) -> list[str]:
    """Return the requests of *plan* as `curl` lines for a shell whose environment holds the keys.

    Args:
        plan: what to show. Where it creates an audience, `$SEGMENT_ID` stands for the id that the first line answers.
        most: stop after so many lines; None is all.
    """
    lines: list[str] = []
    for requests in build_steps(plan.parts, plan.shape, plan.steps):
        for method, path, body in requests.select("method", "path", "body").iter_rows():
            if most is not None and len(lines) >= most:
                return lines
            lines.append(_curl_line(plan, method, path, body))
    return lines


def _curl_line(plan: Plan, method: str, path: str, body: str) -> str:
    if plan.shape.route == "browser":
        return f"// in the browser's console: {body}"
    base = plan.target.api_url if plan.shape.host == "api" else plan.target.data_url
    variable = _VARIABLES[plan.shape.secret]
    url = f"{base}{path.replace(MASK, f'${variable}').replace(CREATED, '$SEGMENT_ID')}"
    key = "" if plan.shape.secret == "app_key" else f' -H "x-pendo-integration-key: ${variable}"'
    content = f" -H 'content-type: application/json' --data-raw {shlex.quote(body)}" if body else ""
    return f'curl -X {method} "{url}"{key}{content}'
