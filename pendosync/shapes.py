"""All that shapes the bytes and batches of a plan besides its changes, and the steps in which it travels."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, Literal
from urllib.parse import quote

import polars as pl

from pendosync.frames import HELD_KINDS, Kind, Route
from pendosync.gates import Canary
from pendosync.regions import MASK

MOST_MEMBERS: Final = 1_000
"""Visitors in a request to an audience. Source: Segment's public Pendo Audiences destination, read 2026-11-23."""

CREATED: Final = "{created}"
"""Stands in a path for the id of an audience that is yet to be created: the first request's answer holds it."""


@dataclass(frozen=True, slots=True)
class Audience:
    """The audience, which Pendo calls a segment, that a plan creates, changes or deletes.

    Args:
        id: of one that Pendo has; empty where the plan creates it.
        name: what it is called, or is to be called; empty where that is not known.
        is_deleted: the plan deletes it.
    """

    id: str = ""
    name: str = ""
    is_deleted: bool = False

    @property
    def is_new(self) -> bool:
        """Whether the plan creates it."""
        return not self.id

    @property
    def path(self) -> str:
        """Its path, its id percent-encoded."""
        id_ = CREATED if self.id in ("", CREATED) else quote(self.id, safe="")
        return f"/api/v1/segment/{id_}"

    def call(self, *, is_first: bool) -> tuple[str, str]:
        """Return method and path of the plan's first request, or of another."""
        if self.is_deleted:
            return "DELETE", self.path
        if self.is_new and is_first:
            return "POST", "/api/v1/segment/upload"
        return "PATCH", f"{self.path}/visitor"

    def __str__(self) -> str:
        return f"audience {(self.name or self.id)!r}"


@dataclass(frozen=True, slots=True)
class Shape:
    """All that shapes the bytes and batches of a plan, besides its changes.

    Args:
        kind, route, group: as in Mapping.
        batch_size: ids in a request; the webhook always takes one.
        create: `never`, or `unknown_ids`: ids that Pendo does not know are created.
        send: `changed` fields only, or `all` that have a value.
        planned_at: the plan's time; a webhook message's timestamp.
        nonce: new in each plan; with the row's number it makes a webhook message's `messageId`.
        library: the version of pendosync that a webhook message names.
        has_own_ids: whether the rows' ids are those of the messages; else a message's is made of nonce and row.
        canary: the steps in which the plan travels; no request crosses the end of one.
        audience: on the route `audience`, which one.
    """

    kind: Kind
    route: Route
    group: str
    batch_size: int
    create: Literal["never", "unknown_ids"]
    send: Literal["changed", "all"]
    planned_at: datetime
    nonce: str
    library: str
    canary: Canary | None = None
    has_own_ids: bool = False
    audience: Audience | None = None

    @property
    def is_held(self) -> bool:
        """Whether Pendo holds the fields that it changes, so that they can be read, compared and put back."""
        return self.kind in HELD_KINDS and self.route in ("metadata", "webhook")

    @property
    def may_repeat(self) -> bool:
        """Whether what was perhaps carried out may be sent once more: not an event, which would count twice."""
        return self.kind != "event"

    @property
    def ids_per_request(self) -> int:
        """How many ids travel in one request."""
        if self.route == "audience":
            return min(self.batch_size, MOST_MEMBERS)
        return self.batch_size if self.route == "metadata" else 1

    @property
    def creates_audience(self) -> bool:
        """Whether the first request creates the audience that the others go to: it must be answered before them."""
        return self.audience is not None and self.audience.is_new

    @property
    def at_once(self) -> int | None:
        """How many requests may be in flight, or None where the pace alone says so.

        Source: Pendo refuses a write to an audience while another is in progress (Segment's public Pendo Audiences
        destination, read 2026-11-23).
        """
        return 1 if self.route == "audience" else None

    @property
    def lands_in(self) -> str:
        """Where it lands, in a word or two: the group, the audience, or the route."""
        return self.group or (str(self.audience) if self.audience else self.route)

    def joined(self, audience_id: str) -> Shape:
        """Return the shape with the audience that was created: the rest of a plan goes to it."""
        return replace(self, audience=replace(self.audience or Audience(), id=audience_id))

    @property
    def host(self) -> Literal["api", "data"]:
        """Which of Pendo's hosts it goes to."""
        return "api" if self.route in ("metadata", "audience") else "data"

    @property
    def secret(self) -> str:
        """Which of the three secrets it needs."""
        return {"webhook": "app_key", "browser": "app_key", "track": "track_secret"}.get(
            self.route, "integration_key"
        )

    @property
    def method(self) -> str:
        """The method of every request; `BROWSER` where none is made from here. An audience's creation is a POST."""
        if self.audience is not None:
            return self.audience.call(is_first=False)[0]
        return "BROWSER" if self.route == "browser" else "POST"

    @property
    def path(self) -> str:
        """The path of every request, its secret masked; but of one that creates an audience."""
        if self.audience is not None:
            return self.audience.call(is_first=False)[1]
        if self.route == "webhook":
            return f"/data/segmentio/{MASK}"
        if self.route == "track":
            return "/data/track"
        if self.route == "browser":
            return f"/agent/static/{MASK}/pendo.js"
        create = "?create=true" if self.create == "unknown_ids" else ""
        return f"/api/v1/metadata/{self.kind}/{self.group}/value{create}"

    def call_of(self, batch: int) -> tuple[str, str]:
        """Return method and path of a request by its number."""
        if self.audience is not None:
            return self.audience.call(is_first=batch == 0)
        return self.method, self.path


@dataclass(frozen=True, slots=True)
class Step:
    """Some of a plan's changes, whose requests all go before those of the next.

    Args:
        number: from 0 up.
        first_row, n_rows: which changes.
        first_batch, n_batches: which requests.
        part: in which of the plan's parts they lie; a plan in memory has one.
        is_watched: read back as its canary says, before the next.
    """

    number: int
    first_row: int
    n_rows: int
    first_batch: int
    n_batches: int
    part: int = 0
    is_watched: bool = False

    @property
    def end(self) -> int:
        """The row after its last."""
        return self.first_row + self.n_rows

    @property
    def batches(self) -> range:
        """The numbers of its requests."""
        return range(self.first_batch, self.first_batch + self.n_batches)


Span = tuple[int, int]
"""Changes that lie side by side: the first row, and how many."""


def steps_of(sent: int | Sequence[Span], shape: Shape) -> list[Step]:
    """Return the steps in which a plan travels: one a part, cut where a canary's step or an audience's creation ends.

    Args:
        sent: how many changes travel; of a plan in parts, those of each.
        shape: says where steps end, and how many ids a request has.
    """
    spans = [(0, sent)] if isinstance(sent, int) else sent
    n_all = sum(n_rows for _, n_rows in spans)
    ends = _ends(n_all, shape)
    steps: list[Step] = []
    n_before = first_batch = 0
    for part, (first_row, n_rows) in enumerate(spans):
        start = 0
        if not n_rows and len(spans) > 1:
            continue
        for end in [*(end - n_before for end in ends if 0 < end - n_before < n_rows), n_rows]:
            n_batches = -(-(end - start) // shape.ids_per_request)
            is_watched = shape.canary is not None and bool(ends[:-1]) and n_before + end <= ends[-2]
            steps.append(
                Step(len(steps), first_row + start, end - start, first_batch, n_batches, part, is_watched)
            )
            start, first_batch = end, first_batch + n_batches
        n_before += n_rows
    return steps


def _ends(n_rows: int, shape: Shape) -> list[int]:
    """Return after how many changes the steps end."""
    if shape.creates_audience and n_rows > shape.ids_per_request:
        return [shape.ids_per_request, n_rows]
    return shape.canary.ends(n_rows) if shape.canary else [n_rows]


def step_at(row: int, steps: Sequence[Step]) -> Step:
    """Return the step in which a change travels, by its row."""
    return steps[bisect_right(steps, row, key=lambda step: step.first_row) - 1]


def batch_at(row: int, steps: Sequence[Step], shape: Shape) -> int:
    """Return the number of the request in which a change travels, by its row."""
    step = step_at(row, steps)
    return step.first_batch + (row - step.first_row) // shape.ids_per_request


def batch_numbers(steps: Iterable[Step], shape: Shape, *, n_skipped: int = 0) -> pl.Series:
    """Return the number of the request that each change of *steps* travels in, then nulls for those that are skipped."""
    nothing = pl.Series("batch", [], dtype=pl.UInt32)
    parts = [
        (pl.int_range(step.n_rows, dtype=pl.UInt32, eager=True) // shape.ids_per_request + step.first_batch)
        .cast(pl.UInt32)
        .alias("batch")
        for step in steps
    ]
    return pl.concat([nothing, *parts]).extend_constant(None, n_skipped).rechunk()
