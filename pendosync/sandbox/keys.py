"""The secrets of each region's subscription: fixed, obviously fake, and known to both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pendosync.regions import REGIONS

ADDRESS: Final = "127.0.0.1"
"""The only address a sandbox listens on."""

TOKEN_HEADER: Final = "x-sandbox-token"
"""Carries the token that guards `/_sandbox/`; a web page can't send it."""


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys that one region takes. The read-only key lacks "Allow write access"."""

    integration_key: str
    read_only_key: str
    app_key: str
    track_secret: str


KEYS: Final = {
    region: Keys(
        integration_key=f"sandbox-{region}-integration-key",
        read_only_key=f"sandbox-{region}-read-only-key",
        app_key=f"sandbox-{region}-app-key",
        track_secret=f"sandbox-{region}-track-secret",
    )
    for region in REGIONS
}
"""Region → its keys."""
