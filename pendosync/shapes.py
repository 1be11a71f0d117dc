"""All that shapes the bytes and batches of a plan besides its changes, and the steps in which it travels."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import polars as pl

from pendosync.frames import Kind, Route
from pendosync.gates import Canary
from pendosync.regions import MASK


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
        canary: the steps in which the plan travels; no request crosses the end of one.
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

    @property
    def ids_per_request(self) -> int:
        """How many ids travel in one request."""
        return self.batch_size if self.route == "metadata" else 1

    @property
    def path(self) -> str:
        """The path of every request, its secret masked."""
        if self.route == "webhook":
            return f"/data/segmentio/{MASK}"
        create = "?create=true" if self.create == "unknown_ids" else ""
        return f"/api/v1/metadata/{self.kind}/{self.group}/value{create}"


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a plan whose requests all go before those of the next.

    Args:
        number: from 0 up.
        first_row, n_rows: which changes.
        first_batch, n_batches: which requests.
    """

    number: int
    first_row: int
    n_rows: int
    first_batch: int
    n_batches: int

    @property
    def batches(self) -> range:
        """The numbers of its requests."""
        return range(self.first_batch, self.first_batch + self.n_batches)


def steps_of(n_rows: int, shape: Shape) -> list[Step]:
    """Return the steps in which a plan of so many changes travels: one, or those of its canary."""
    steps: list[Step] = []
    first_row = first_batch = 0
    for number, end in enumerate(shape.canary.ends(n_rows) if shape.canary else [n_rows]):
        n_batches = -(-(end - first_row) // shape.ids_per_request)
        steps.append(Step(number, first_row, end - first_row, first_batch, n_batches))
        first_row, first_batch = end, first_batch + n_batches
    return steps


def batch_numbers(n_rows: int, shape: Shape) -> pl.Series:
    """Return the number of the request that each of so many changes travels in."""
    parts = [
        pl.int_range(step.n_rows, dtype=pl.UInt32, eager=True) // shape.ids_per_request + step.first_batch
        for step in steps_of(n_rows, shape)
    ]
    return pl.concat(parts, rechunk=True).cast(pl.UInt32).alias("batch")
