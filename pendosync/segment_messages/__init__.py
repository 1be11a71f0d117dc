"""From Segment's messages to tables: what was exported from Segment, ready to be looked at, mapped and pushed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl

from pendosync.errors import MappingError, counted
from pendosync.frames import Route
from pendosync.kinds import PARENT
from pendosync.mapping import Mapping
from pendosync.reports import Grid, Heads, Report, more, report_html, shown
from pendosync.segment_messages.gathering import LEFT_OUT, NOTES, Gathered
from pendosync.segment_messages.reading import Source, none_is_a_message, read_items

__all__ = ["SegmentMessages", "load_segment_messages"]

_MOST_NOTES: Final = 20
_COLUMNS_OF: Final[AbstractMapping[str, AbstractMapping[str, str]]] = {
    "visitor": {"id": "user_id"},
    "account": {"id": "account_id", "visitor_id": "user_id", "parent_account": PARENT},
    "membership": {"visitor_id": "user_id", "account_id": "account_id"},
    "event": {
        "id": "message_id",
        "visitor_id": "user_id",
        "account_id": "account_id",
        "event": "event",
        "at": "at",
        "integrations": "integrations",
    },
}
"""Kind → what of a Mapping is which column; the other columns are its traits."""
_TABLES: Final[Heads] = (("table", ""), ("rows", "number"), ("columns", "number"))
_REASONS: Final[Heads] = (("left out", "number"), ("why", "words"))
_NOTES: Final[Heads] = (("kind", ""), ("field", "name"), ("note", "words"))


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class SegmentMessages:
    """Segment's messages as tables, and an account of each message that is in none of them.

    The columns that head a table are those named here; the others are traits or properties. One whose name is that
    of a head, or one that frames keep (`row`, `id`, `raw`, `about`), becomes `traits_…` (events: `properties_…`); two
    that flatten to one name become `address_city` and `address_city_2`. `notes` names each of them. The trait `id` of
    an identify or a group is no column, as the message's own id counts.

    Args:
        visitors: one row a user of an identify: `user_id`, then the latest traits.
        accounts: one row a group: `account_id`, `user_id` (the latest who named it, null if only anonymous ones did),
            `parentAccount` where there is one (its id, or JSON where it has traits), then the latest traits.
        memberships: one row a user and group: `user_id`, `account_id`, `at` (the latest; null where no time was told),
            `message_id` (of that message).
        events: one row a track: `message_id` (null where it has none), `user_id`, `account_id`, `event`, `at`,
            `integrations` (JSON text), then the properties.
        left_out: one row a message that is in no table: `line` (1 is the first; of dicts their place), `source` (the
            file, null for dicts), `message_id`, `type`, `reason`. A line that can't be read counts as one message.
        notes: what else is to be known of a column: `kind` (`visitor`, `account`, `event`), `field`, `reason`.
        taken: type → how many messages are in the tables.
    """

    visitors: pl.DataFrame
    accounts: pl.DataFrame
    memberships: pl.DataFrame
    events: pl.DataFrame
    left_out: pl.DataFrame
    notes: pl.DataFrame
    taken: AbstractMapping[str, int]

    @property
    def n_messages(self) -> int:
        """How many messages were read: those taken and those left out."""
        return sum(self.taken.values()) + self.left_out.height

    def mapping(
        self, kind: Literal["visitor", "account", "membership", "event"], /, *, route: Route = "webhook"
    ) -> Mapping:
        """Return the Mapping that takes each trait of the table of *kind* to a field of the same name.

        Args:
            kind: `visitor`, `account`, `membership` or `event`: of the tables `visitors`, `accounts`, ….
            route: as these messages travelled, by `webhook`; or another that takes the kind.

        Raises:
            MappingError: an unknown kind, a route that doesn't take it, or a table without a trait.

        Example:
            >>> messages = load_segment_messages([{"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}}])
            >>> messages.mapping("visitor")
            Mapping(visitor by 'user_id' → segmentio by webhook, 1 trait: plan)
        """
        if kind not in _COLUMNS_OF:
            raise MappingError.bad_choice("kind", kind, tuple(_COLUMNS_OF))
        columns = list(getattr(self, f"{kind}s").columns)
        heads: dict[str, Any] = {name: head for name, head in _COLUMNS_OF[kind].items() if head in columns}
        traits = [] if kind == "membership" else [name for name in columns if name not in heads.values()]
        return Mapping(**{"kind": kind, "traits": traits, "route": route, **heads})

    def __repr__(self) -> str:
        return repr(_report(self))

    def _repr_html_(self) -> str:
        return report_html(_report(self))


def load_segment_messages(source: Source, /) -> SegmentMessages:
    """Return the messages of a Segment export as tables of visitors, accounts, memberships and events.

    Each message ends in a table or, with the reason, in `left_out`. Of a visitor's or an account's trait the latest
    value counts, by the first of `timestamp`, `originalTimestamp`, `sentAt` and `receivedAt` that the message has;
    at the same time, and without any, the later line. A null says that the trait is unset, and counts like any value.
    A repeated `messageId` is taken once. Times need an offset or are a day alone; without an offset they can't be read.

    A column has a type that each of its values has: text, Boolean, Int64, Float64, lists of texts, or for `createdAt`
    and `birthday` dates; else it is text, numbers and lists as their JSON, and `notes` says so. An object becomes a
    column a part (`address_city`), as deep as it goes.

    Args:
        source: a path, a glob (`exports/**/*.gz`) or a list of them, to NDJSON that may be in gzip, each file read
            once; or dicts, one a message. A line or dict is a message, or `{"batch": […]}`, whose `context` and
            `integrations` hold for each.

    Raises:
        TableError: a file is not there, damaged or cut short, or nothing in the source is a message.

    Cost: reads line by line in Python, and keeps what the tables keep: a million messages take half a minute and 1 GB.

    Source: Segment's spec (identify, group, track, common fields) and its HTTP tracking API (batch), read 2026-11-26.

    Example:
        >>> load_segment_messages([
        ...     {"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}, "timestamp": "2026-01-02T08:00:00Z"},
        ...     {"type": "identify", "userId": "u-1", "traits": {"plan": "free"}, "timestamp": "2026-01-01T08:00:00Z"},
        ... ]).visitors.rows()
        [('u-1', 'pro')]
    """
    gathered = Gathered()
    for item in read_items(source):
        gathered.take(item)
    if not gathered.has_message:
        raise none_is_a_message(len(gathered.left_out))
    visitors, of_visitors = gathered.to_visitors()
    accounts, of_accounts = gathered.to_accounts()
    events, of_events = gathered.to_events()
    counts = [
        (kind, name, f"{counted(n, 'message')} {told}") for (kind, name, told), n in gathered.noted.items()
    ]
    return SegmentMessages(
        visitors,
        accounts,
        gathered.to_memberships(),
        events,
        pl.DataFrame(gathered.left_out, schema=LEFT_OUT, orient="row"),
        pl.DataFrame([*counts, *of_visitors, *of_accounts, *of_events], schema=NOTES, orient="row"),
        dict(gathered.taken),
    )


def _report(messages: SegmentMessages) -> Report:
    names = ("visitors", "accounts", "memberships", "events")
    frames = [(name, getattr(messages, name)) for name in names]
    tables = [(name, f"{frame.height:,}", f"{frame.width:,}") for name, frame in frames]
    reasons = Counter(messages.left_out["reason"].to_list()).most_common()
    told = [
        (shown(kind), shown(name), shown(reason, 200))
        for kind, name, reason in messages.notes.head(_MOST_NOTES).rows()
    ]
    grids = [Grid(_TABLES, tables), Grid(_REASONS, [(f"{n:,}", reason) for reason, n in reasons])]
    grids.append(Grid(_NOTES, told, more(messages.notes.height, _MOST_NOTES, "note")))
    taken = [
        (kind, f"{messages.taken[kind]:,}")
        for kind in ("identify", "group", "track")
        if kind in messages.taken
    ]
    title = f"Segment messages: {messages.n_messages:,}, of them {messages.left_out.height:,} left out"
    return Report(title, taken, [grid for grid in grids if grid.rows])
