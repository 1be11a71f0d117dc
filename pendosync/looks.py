"""The requests of a plan to look at: as a frame, and as lines for a shell. Nothing here can send."""

from __future__ import annotations

import shlex
from typing import Final

import polars as pl

from pendosync.frames import REQUESTS
from pendosync.plans import Plan
from pendosync.regions import MASK
from pendosync.shapes import CREATED
from pendosync.wire import build_requests

_VARIABLES: Final = {
    "integration_key": "PENDO_INTEGRATION_KEY", "app_key": "PENDO_APP_KEY", "track_secret": "PENDO_TRACK_SECRET",
}  # fmt: skip


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
        plan: what to show. Where it creates an audience, `$SEGMENT_ID` stands for the id that the first line answers.
        most: stop after so many lines; None is all.
    """
    lines: list[str] = []
    for requests in build_requests(plan.changes, plan.shape):
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
