"""Message by message into tables: which are taken, which are left out and why, and which value is the latest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from pendosync.frames import DTYPES
from pendosync.segment_messages.columns import (
    DATE_TRAITS,
    Columns,
    Json,
    Leaf,
    Path,
    date_series,
    flattened,
    json_text,
    read_time,
)
from pendosync.segment_messages.reading import TOO_DEEP, Item, Message

LEFT_OUT: Final = pl.Schema(
    {
        "line": pl.UInt32(),
        "source": pl.String(),
        "message_id": pl.String(),
        "type": pl.String(),
        "reason": pl.String(),
    }
)
NOTES: Final = pl.Schema({"kind": pl.String(), "field": pl.String(), "reason": pl.String()})
MEMBERSHIPS: Final = pl.Schema(
    {"user_id": pl.String(), "account_id": pl.String(), "at": DTYPES["date"], "message_id": pl.String()}
)
EVENT_HEADS: Final = ("message_id", "user_id", "account_id", "event", "at", "integrations")
PARENT: Final = "parentAccount"

NO_TYPE: Final = "no type"
UNKNOWN_TYPE: Final = "an unknown type"
NOT_TAKEN: Final = "only identify, group and track have a place in Pendo"
TURNED_OFF: Final = "its integrations turn Pendo off"
NO_USER: Final = "no user id (anonymous)"
NO_GROUP: Final = "no group id"
NO_EVENT: Final = "no event name"
NO_TIME: Final = "no time"
BAD_TIME: Final = "its time can't be read"
NO_TRAITS: Final = "its traits or properties are no JSON object"
REPEATED: Final = "a repeated message id"

_SPECS: Final = ("alias", "page", "screen")
_TIMES: Final = ("timestamp", "originalTimestamp", "sentAt", "receivedAt")
_NEVER: Final = -(2**63)


Parts = tuple[tuple[Path, Leaf], ...]
Held = tuple[int, Parts]
"""The latest value of one trait: when it was said, and its parts. Plain tuples, which cost the least when kept."""


@dataclass(slots=True)
class Latest:
    """Per id the latest parts of each trait; of those said at one time, the last in the file."""

    rows: dict[str, dict[str, Held]] = field(default_factory=dict)

    def take(self, key: str, said: int, traits: dict[str, Parts]) -> None:
        """Take what one message says of *key* at *said*, in microseconds."""
        row = self.rows.setdefault(key, {})
        for name, parts in traits.items():
            held = row.get(name)
            if held is None or held[0] <= said:
                row[name] = (said, parts)

    def columns(self) -> Columns:
        """Return the traits as columns; the trait `id` is none."""
        columns = Columns()
        for at, row in enumerate(self.rows.values()):
            for name, (_, parts) in row.items():
                if name != "id":
                    columns.add(at, parts)
        return columns


@dataclass(slots=True)
class Gathered:
    """The tables as they fill."""

    visitors: Latest = field(default_factory=Latest)
    accounts: Latest = field(default_factory=Latest)
    users: dict[str, tuple[int, str]] = field(default_factory=dict)
    members: dict[tuple[str, str], tuple[int, str | None]] = field(default_factory=dict)
    heads: list[tuple[Any, ...]] = field(default_factory=list)
    properties: Columns = field(default_factory=Columns)
    left_out: list[tuple[Any, ...]] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    taken: Counter[str] = field(default_factory=Counter)
    noted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    has_message: bool = False

    def take(self, item: Item) -> None:
        """Put one message where it belongs, or among those that are left out."""
        message = item.message
        try:
            reason = item.reason or self._take(message)
        except RecursionError:
            reason = TOO_DEEP
        kind = message.get("type")
        self.has_message = self.has_message or isinstance(kind, str)
        if reason:
            told = kind if isinstance(kind, str) else None
            self.left_out.append((item.line, item.source, id_text(message.get("messageId")), told, reason))
        else:
            self.taken[str(kind)] += 1

    def _take(self, message: Message) -> str:
        """Take *message*, or return why not."""
        kind = message.get("type")
        if reason := _why_not(message):
            return reason
        said, traits = _time_of(message), message.get("properties" if kind == "track" else "traits")
        taken = {name: flattened(name, value) for name, value in (traits or {}).items()}
        if kind == "group" and PARENT in taken:
            taken[PARENT] = _parent(message["traits"][PARENT])
        message_id = id_text(message.get("messageId"))
        if message_id is not None and message_id in self.seen:
            return REPEATED
        if kind == "identify":
            self._identify(message, said, taken)
        elif kind == "group":
            self._group(message, said, taken, message_id)
        else:
            self._track(message, said, taken, message_id)
        if message_id is not None:
            self.seen.add(message_id)
        return ""

    def _identify(self, message: Message, said: int | None, traits: dict[str, Parts]) -> None:
        self.visitors.take(_id_of(message, "userId"), self._order(said, "visitor"), traits)
        self._note_id(traits, "visitor", "userId")

    def _group(
        self, message: Message, said: int | None, traits: dict[str, Parts], message_id: str | None
    ) -> None:
        group, user, order = (
            _id_of(message, "groupId"),
            id_text(message.get("userId")),
            self._order(said, "account"),
        )
        self.accounts.take(group, order, traits)
        self._note_id(traits, "account", "groupId")
        if user is None:
            return
        if self.users.get(group, (_NEVER, ""))[0] <= order:
            self.users[group] = (order, user)
        if self.members.get((user, group), (_NEVER, ""))[0] <= order:
            self.members[user, group] = (order, message_id)

    def _track(
        self, message: Message, said: int | None, traits: dict[str, Parts], message_id: str | None
    ) -> None:
        integrations = message.get("integrations")
        told = json_text(integrations) if isinstance(integrations, dict) else None
        account = id_text(message["properties"]["groupId"]) if "groupId" in traits else None
        for name, parts in traits.items():
            if name != "groupId" or account is None:
                self.properties.add(len(self.heads), parts)
        account = account or _account_in_context(message)
        self.heads.append((message_id, id_text(message["userId"]), account, message["event"], said, told))
        if message_id is None:
            self.noted["event", "message_id", "without a messageId: a row without an id can't be pushed"] += 1

    def _order(self, said: int | None, kind: str) -> int:
        if said is None:
            self.noted[
                kind, "timestamp", "without a time that can be read: each counts as older than all others"
            ] += 1
        return _NEVER if said is None else said

    def _note_id(self, traits: dict[str, Parts], kind: str, name: str) -> None:
        if "id" in traits:
            self.noted[kind, "id", f"with a trait `id`, which is no column: the id is the {name}"] += 1

    # Tables

    def to_visitors(self) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
        """Return the table of visitors, and its notes."""
        ids = pl.Series("user_id", list(self.visitors.rows), dtype=pl.String)
        return _table([ids], self.visitors.columns(), "visitor", "traits", DATE_TRAITS)

    def to_accounts(self) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
        """Return the table of accounts, and its notes."""
        ids = list(self.accounts.rows)
        users = [self.users[one][1] if one in self.users else None for one in ids]
        heads = [pl.Series("account_id", ids, dtype=pl.String), pl.Series("user_id", users, dtype=pl.String)]
        columns = self.accounts.columns()
        if (PARENT,) in columns.cells:  # before the others, and in no other's way
            rows, leaves = columns.cells.pop((PARENT,))
            texts = dict(zip(rows, map(_plain, leaves), strict=True))
            heads.append(pl.Series(PARENT, [texts.get(at) for at in range(len(ids))], dtype=pl.String))
        return _table(heads, columns, "account", "traits", DATE_TRAITS)

    def to_events(self) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
        """Return the table of events, and its notes."""
        cells = list(zip(*self.heads, strict=True)) or [()] * len(EVENT_HEADS)
        heads = [
            date_series(name, column) if name == "at" else pl.Series(name, column, dtype=pl.String)
            for name, column in zip(EVENT_HEADS, cells, strict=True)
        ]
        return _table(heads, self.properties, "event", "properties", ())

    def to_memberships(self) -> pl.DataFrame:
        """Return the table of memberships."""
        times = date_series("at", (None if said == _NEVER else said for said, _ in self.members.values()))
        rows = [
            (user, account, None, message_id) for (user, account), (_, message_id) in self.members.items()
        ]
        return pl.DataFrame(rows, schema=MEMBERSHIPS, orient="row").with_columns(times)


def id_text(value: object) -> str | None:
    """Return an id as text, or None where it is blank or neither text nor number.

    Example:
        >>> [id_text(value) for value in ("u-1", 7, 7.0, 7.5, " ", True, None)]
        ['u-1', '7', '7', '7.5', None, None, None]
    """
    if isinstance(value, str):
        return value if value.strip() else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(int(value)) if value == int(value) else json_text(value)


def _why_not(message: Message) -> str:
    kind = message.get("type")
    if not isinstance(kind, str) or not kind:
        return NO_TYPE
    if kind not in ("identify", "group", "track"):
        return NOT_TAKEN if kind in _SPECS else UNKNOWN_TYPE
    if _is_turned_off(message.get("integrations")):
        return TURNED_OFF
    return next(_faults(message, kind), "")


def _faults(message: Message, kind: str) -> Iterator[str]:
    if kind != "group" and id_text(message.get("userId")) is None:
        yield NO_USER
    if kind == "group" and id_text(message.get("groupId")) is None:
        yield NO_GROUP
    if not isinstance(message.get("properties" if kind == "track" else "traits"), dict | None):
        yield NO_TRAITS
    if kind == "track":
        event = message.get("event")
        if not isinstance(event, str) or not event.strip():
            yield NO_EVENT
        if _time_of(message) is None:
            yield BAD_TIME if any(message.get(name) is not None for name in _TIMES) else NO_TIME


def _is_turned_off(integrations: object) -> bool:
    """Whether a message is not for Pendo. Source: Segment's spec, "Common Fields", read 2026-11-26."""
    if not isinstance(integrations, dict):
        return False
    pendo = integrations.get("Pendo")
    return pendo is False or (pendo is None and integrations.get("All") is False)


def _time_of(message: Message) -> int | None:
    """Return the first time that is there; one that can't be read is none."""
    told = next((message[name] for name in _TIMES if message.get(name) is not None), None)
    return read_time(told)


def _id_of(message: Message, name: str) -> str:
    return id_text(message.get(name)) or ""


def _account_in_context(message: Message) -> str | None:
    context = message.get("context")
    return id_text(context.get("groupId")) if isinstance(context, dict) else None


def _parent(value: object) -> Parts:
    """Return a parent account as one part: its JSON."""
    return (((PARENT,), None if value is None else Json(json_text(value))),)


def _plain(leaf: Leaf) -> str | None:
    return None if leaf is None else str(leaf)


def _table(
    heads: list[pl.Series], columns: Columns, kind: str, prefix: str, dates: tuple[Path, ...]
) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
    names = [head.name for head in heads]
    series, notes = columns.to_series(len(heads[0]), heads=names, prefix=prefix, dates=dates)
    return pl.DataFrame([*heads, *series]), [(kind, name, reason) for name, reason in notes]
