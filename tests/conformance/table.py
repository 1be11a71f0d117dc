"""What a row of the conformance table is, and what may become of a message on a route.

The rows stand in `rows_identify.py`, `rows_group.py`, `rows_track.py`, `rows_integrations.py` and `rows_device.py`.
Each was written from the sources that it names, never from what our code makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

SPEC: Final = "Segment's public spec of identify, group, track and the common fields, read 2026-11-26"
DOCS: Final = "Segment's public docs on Pendo and on the Integrations object, read 2026-11-26"
DEVICE: Final = (
    "Segment's public browser integrations with Pendo (analytics.js and Pendo Web), read 2026-11-26"
)
PENDO: Final = "Pendo's help pages and API reference, read 2026-11-23"

API: Final = "Segment's public docs of its HTTP API, read 2026-11-26"

NOW: Final = datetime.now(UTC).replace(microsecond=250_000)
AT: Final = NOW - timedelta(days=1)


def iso(at: datetime) -> str:
    """Return a time as Segment's libraries write it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}Z"


def epoch_ms(at: datetime) -> int:
    """Return a time as Pendo's track events have it."""
    return round(at.timestamp() * 1000)


@dataclass(frozen=True)
class Without:
    """It travels as *body*, less the fields that these rules hold back."""

    body: Any
    rules: frozenset[str]

    @classmethod
    def of(cls, body: Any, *rules: str) -> Without:
        return cls(body, frozenset(rules))


@dataclass(frozen=True)
class Blocked:
    """Nothing travels: a problem of this rule names the row."""

    rule: str


SKIPPED: Final = "skipped"
"""Nothing travels, as the integrations turn Pendo off."""

UNSAID: Final = "unsaid"
"""The sources don't say, so nothing is compared."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One rule, and a message that shows it.

    Args:
        name: the rule in a few words.
        source: who says so.
        message: as Segment has it; None where only a table of the analyst's shows it.
        table: the same as one row of a table; None where only a message shows it.
        mapping: what a Mapping of that table needs besides kind and route.
        webhook: the message's body, less the parts that change: `messageId`, `context`, and the timestamp of an
            identify or group; `integrations` where the message has them. Or what else becomes of it.
        browser: the agent's call: its name and its arguments.
        track: the body for `/data/track`.
        left_out: the reason for which the loader of messages has no place for it.
        warns: rules that warn on the webhook.
        kind: what a row of the table is, where the message's type doesn't say.
    """

    name: str
    source: str
    message: Mapping[str, Any] | None
    webhook: Any
    browser: Any
    track: Any = UNSAID
    table: Mapping[str, Any] | None = None
    mapping: Mapping[str, Any] = field(default_factory=dict)
    left_out: str = ""
    warns: tuple[str, ...] = ()
    kind: str = ""

    @property
    def each_kind(self) -> str:
        """Return what a row of its table is."""
        return self.kind or {"identify": "visitor", "group": "account", "track": "event"}[str(self.type)]

    @property
    def type(self) -> Any:
        """Return the type of its message."""
        return self.message["type"] if self.message else None
