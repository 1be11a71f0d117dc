"""Which messages have a place in Pendo, and in words why the others have none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pendosync.segment_messages.columns import json_text, read_time
from pendosync.segment_messages.reading import Message

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


def why_not(message: Message) -> str:
    """Return why *message* has no place in Pendo, or nothing where it has one."""
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
        if time_of(message) is None:
            yield BAD_TIME if any(message.get(name) is not None for name in _TIMES) else NO_TIME


def _is_turned_off(integrations: object) -> bool:
    """Whether a message is not for Pendo. Source: Segment's spec, "Common Fields", read 2026-11-26."""
    if not isinstance(integrations, dict):
        return False
    pendo = integrations.get("Pendo")
    return pendo is False or (pendo is None and integrations.get("All") is False)


def time_of(message: Message) -> int | None:
    """Return the first time that is there; one that can't be read is none."""
    told = next((message[name] for name in _TIMES if message.get(name) is not None), None)
    return read_time(told)
