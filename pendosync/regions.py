"""Where Pendo lives: hosts per region, and the pace each kind of host is asked to bear."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pendosync.errors import SettingsError

MASK: Final = "***"
"""Stands where a secret would stand, in paths that people may see."""


@dataclass(frozen=True, slots=True)
class Hosts:
    """The three hosts of one Pendo region."""

    api: str
    data: str
    agent: str | None


REGIONS: Final = MappingProxyType(
    {
        "us": Hosts("app.pendo.io", "data.pendo.io", "cdn.pendo.io"),
        "us1": Hosts("us1.app.pendo.io", "us1.data.pendo.io", "us1.cdn.pendo.io"),
        "eu": Hosts("app.eu.pendo.io", "data.eu.pendo.io", "cdn.eu.pendo.io"),
        "jpn": Hosts("app.jpn.pendo.io", "data.jpn.pendo.io", "cdn.jpn.pendo.io"),
        "au": Hosts("app.au.pendo.io", "data.au.pendo.io", None),
    }
)
"""Region → hosts. The `au` agent host was not found, so it is None.

Source: Pendo's public pages and public clients, read 2026-11-23.
"""


MOST_AT_ONCE: Final = 100
"""Requests in flight where a pace sets no limit: each holds a connection, and a system may give a process 256 files."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How hard one host may be driven. None is unlimited, each for itself.

    Args:
        max_per_second: requests started per second, retries included.
        max_at_once: requests in flight. Where unlimited, a client still opens at most 100 connections.
        max_rows_per_second: records that the requests carry, per second.

    Raises:
        SettingsError: a number that can't be.
    """

    max_per_second: float | None
    max_at_once: int | None
    max_rows_per_second: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_per_second", "max_rows_per_second"):
            rate = getattr(self, name)
            if rate is not None and not (isinstance(rate, int | float) and rate > 0):
                raise SettingsError.bad_value(name, rate, "a number above 0, or None")
        most = self.max_at_once
        if most is not None and (not isinstance(most, int) or most < 1):
            raise SettingsError.bad_value("max_at_once", most, "a whole number from 1 up, or None")

    def __str__(self) -> str:
        rates = ((self.max_per_second, "requests a second"), (self.max_rows_per_second, "rows a second"))
        told = [f"{rate:g} {what}" for rate, what in rates if rate is not None] or ["as fast as it answers"]
        return ", ".join([*told, f"{self.at_once} in flight"])

    @property
    def at_once(self) -> int:
        """How many requests a client has in flight at most: `max_at_once`, or 100."""
        return self.max_at_once or MOST_AT_ONCE

    def expected_s(self, n_requests: int, rows: int = 0) -> float | None:
        """Return the seconds that requests take at this pace, or None where the pace is unlimited.

        Args:
            n_requests: how many.
            rows: records in all of them, evenly spread.

        Example:
            >>> Pace(5, 2).expected_s(100), Pace(5, 2, max_rows_per_second=1000).expected_s(100, rows=50_000)
            (20.0, 50.0)
        """
        rates = [rate for rate in (self.max_per_second, self._batches_per_second(n_requests, rows)) if rate]
        return n_requests / min(rates) if rates else None

    def _batches_per_second(self, n_requests: int, rows: int) -> float | None:
        """Return how many requests the row limit lets through: only whole ones fit into a second."""
        if self.max_rows_per_second is None or not rows or not n_requests:
            return None
        fit = self.max_rows_per_second * n_requests / rows
        return math.floor(fit) if fit > 1 else fit


API_PACE: Final = Pace(max_per_second=5, max_at_once=2)
"""The careful default for `/api/v1/*`: Pendo documents no limit."""

DATA_PACE: Final = Pace(max_per_second=10, max_at_once=4)
"""The careful default for `/data/*`: Pendo documents no limit."""


@dataclass(frozen=True, slots=True)
class Target:
    """One Pendo subscription's place: region, base URLs without a trailing slash, and their paces.

    Two targets are the same place when their URLs are equal, whatever the pace.
    """

    region: str
    api_url: str
    data_url: str
    api_pace: Pace = field(default=API_PACE, compare=False)
    data_pace: Pace = field(default=DATA_PACE, compare=False)

    def pace_of(self, route: str) -> Pace:
        """Return the pace of the host that a route goes to."""
        return self.api_pace if route in ("metadata", "audience") else self.data_pace

    def __str__(self) -> str:
        host = self.api_url.split("://", 1)[-1]
        return f"{self.region} ({host})"


def hosts_of(region: str) -> Hosts:
    """Return the hosts of *region*.

    Raises:
        SettingsError: no such region; the message lists those that exist.
    """
    if not isinstance(region, str) or region not in REGIONS:
        raise SettingsError.unknown_region(str(region), tuple(REGIONS))
    return REGIONS[region]
