"""Where Pendo lives: hosts per region, and the pace each kind of host is asked to bear."""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Pace:
    """How hard one host may be driven.

    Args:
        max_per_second: requests started per second, retries included; None is unlimited.
        max_at_once: requests in flight.
    """

    max_per_second: float | None
    max_at_once: int

    def __post_init__(self) -> None:
        rate, most = self.max_per_second, self.max_at_once
        if rate is not None and not (isinstance(rate, int | float) and rate > 0):
            raise SettingsError.bad_value("max_per_second", self.max_per_second, "a number above 0, or None")
        if not isinstance(most, int) or most < 1:
            raise SettingsError.bad_value("max_at_once", self.max_at_once, "a whole number from 1 up")

    def expected_s(self, requests: int) -> float | None:
        """Return the seconds that *requests* take at this pace, or None where the pace is unlimited."""
        return None if self.max_per_second is None else requests / self.max_per_second


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
        return self.api_pace if route == "metadata" else self.data_pace

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
