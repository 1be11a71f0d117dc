"""Message by message into tables: which are taken, which are left out and why, and which value is the latest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from pendosync.frames import DTYPES
from pendosync.kinds import PARENT
from pendosync.segment_messages.columns import (
    Columns,
    Leaf,
    Path,
    date_series,
    flattened,
    json_text,
)
from pendosync.segment_messages.reading import TOO_DEEP, Item, Message
from pendosync.segment_messages.reasons import REPEATED, id_text, time_of, why_not
from pendosync.spec import SPEC_TRAITS

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

_NEVER: Final = -(2**63)
_NO_ID: Final = "without a messageId: such a row is blocked, unless the Mapping names no id"
_UNTIMED: Final = "without a time that can be read: each counts as older than all others"
_NO_PARENT: Final = "with a parent account that has no id: it is left out"


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
        if reason := why_not(message):
            return reason
        said, traits = time_of(message), message.get("properties" if kind == "track" else "traits")
        taken = {name: flattened(name, value) for name, value in (traits or {}).items()}
        message_id = id_text(message.get("messageId"))
        if message_id is not None and message_id in self.seen:
            return REPEATED
        if kind == "group" and PARENT in taken:
            self._lift_parent(taken, message["traits"][PARENT])
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
        group, user = _id_of(message, "groupId"), id_text(message.get("userId"))
        order = self._order(said, "account")
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
            self.noted["event", "message_id", _NO_ID] += 1

    def _lift_parent(self, traits: dict[str, Parts], parent: Any) -> None:
        """Make the parent account one part: its id, or its JSON where it has traits; without an id it is none."""
        told = _parent_text(parent)
        if parent is None or told is not None:
            traits[PARENT] = (((PARENT,), told),)
            return
        del traits[PARENT]
        self.noted["account", PARENT, _NO_PARENT] += 1

    def _order(self, said: int | None, kind: str) -> int:
        if said is None:
            self.noted[kind, "timestamp", _UNTIMED] += 1
        return _NEVER if said is None else said

    def _note_id(self, traits: dict[str, Parts], kind: str, name: str) -> None:
        if "id" in traits:
            self.noted[kind, "id", f"with a trait `id`, which is no column: the id is the {name}"] += 1

    # Tables

    def to_visitors(self) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
        """Return the table of visitors, and its notes."""
        ids = pl.Series("user_id", list(self.visitors.rows), dtype=pl.String)
        return _table([ids], self.visitors.columns(), "visitor", "traits")

    def to_accounts(self) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
        """Return the table of accounts, and its notes."""
        ids = list(self.accounts.rows)
        users = [self.users[one][1] if one in self.users else None for one in ids]
        heads = [pl.Series("account_id", ids, dtype=pl.String), pl.Series("user_id", users, dtype=pl.String)]
        columns = self.accounts.columns()
        if (PARENT,) in columns.cells:  # before the others, and in no other's way
            rows, leaves = columns.cells.pop((PARENT,))
            texts = dict(zip(rows, leaves, strict=True))
            heads.append(pl.Series(PARENT, [texts.get(at) for at in range(len(ids))], dtype=pl.String))
        return _table(heads, columns, "account", "traits")

    def to_events(self) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
        """Return the table of events, and its notes."""
        cells = list(zip(*self.heads, strict=True)) or [()] * len(EVENT_HEADS)
        heads = [
            date_series(name, column) if name == "at" else pl.Series(name, column, dtype=pl.String)
            for name, column in zip(EVENT_HEADS, cells, strict=True)
        ]
        return _table(heads, self.properties, "event", "properties")

    def to_memberships(self) -> pl.DataFrame:
        """Return the table of memberships."""
        times = date_series("at", (None if said == _NEVER else said for said, _ in self.members.values()))
        rows = [
            (user, account, None, message_id) for (user, account), (_, message_id) in self.members.items()
        ]
        return pl.DataFrame(rows, schema=MEMBERSHIPS, orient="row").with_columns(times)


def _id_of(message: Message, name: str) -> str:
    return id_text(message.get(name)) or ""


def _account_in_context(message: Message) -> str | None:
    context = message.get("context")
    return id_text(context.get("groupId")) if isinstance(context, dict) else None


def _parent_text(parent: Any) -> str | None:
    if not isinstance(parent, dict):
        return id_text(parent)
    named = id_text(parent.get("id"))
    return None if named is None else json_text({**parent, "id": named})


def _table(
    heads: list[pl.Series], columns: Columns, kind: str, prefix: str
) -> tuple[pl.DataFrame, list[tuple[str, str, str]]]:
    names = [head.name for head in heads]
    dates = [(name,) for name, type in SPEC_TRAITS.get(kind, {}).items() if type == "date"]
    series, notes = columns.to_series(len(heads[0]), heads=names, prefix=prefix, dates=dates)
    return pl.DataFrame([*heads, *series]), [(kind, name, reason) for name, reason in notes]
