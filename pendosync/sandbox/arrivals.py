"""What arrives on the data host: the Segment webhook and track events.

Source: Pendo's public docs and Segment's public docs, read 2026-11-23; Segment's public `pendo` integration for the
browser, which takes `parentAccount` out of a group's traits, read 2026-11-26.
"""

from __future__ import annotations

import json
import re
import time
from math import isfinite
from typing import Any, Final

from pendosync.sandbox.call import Call, text_at
from pendosync.sandbox.exchange import Answer, Refusal, Routes
from pendosync.sandbox.fields import CLEAR, KEEP, Field, WrongTypeError, folded, happened_ms, read_time

ROUTES: Final = Routes()

_OLDEST_MS: Final = 7 * 24 * 3600 * 1000
_NEEDED: Final = {"identify": "userId", "group": "groupId", "track": "event"}
_MOST_PROPERTY_BYTES: Final = 512
_NO_OBJECT: Final = "properties is not an object"
_PROPERTY_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")


@ROUTES.at("POST", "/data/segmentio/{key}")
def receive_messages(call: Call, key: str) -> Answer:
    """Take one message of Segment's spec: identify, group or track."""
    content = call.body()
    for message in _messages(call, content):
        if is_off(message.get("integrations")):
            call.notes.append("integrations turns Pendo off: this must not be sent")
        if not (message.get("userId") or message.get("anonymousId")):
            call.notes.append("Segment's spec asks for userId or anonymousId")
        _RECEIVERS[message["type"]](call, message)
    return Answer(200)


@ROUTES.at("POST", "/data/track")
def receive_event(call: Call) -> Answer:
    """Take one track event; 200 does not mean that it is processed."""
    event = call.body()
    if event.get("type") != "track":
        raise Refusal(400, "type is not track")
    text_at(event, "event"), text_at(event, "visitorId")
    if type(event.get("timestamp")) is not int:
        raise Refusal(400, "timestamp is not a number of milliseconds")
    if event.get("accountId") is not None:
        text_at(event, "accountId")
    why = _wrong_properties(event.get("properties"))
    if why == _NO_OBJECT or (why and call.switches.track_over_limits == "refused"):
        raise Refusal(400, why)
    record_event(call, "track", event, why=why or _wrong_age(event["timestamp"]))
    return Answer(200)


def is_off(integrations: Any) -> bool:
    """Tell whether a message's integrations keep it from Pendo."""
    if type(integrations) is not dict:
        return False
    return integrations.get("Pendo", integrations.get("All", True)) is False


def _messages(call: Call, content: dict[str, Any]) -> list[dict[str, Any]]:
    messages = [content]
    if "batch" in content and call.switches.webhook_batches:
        messages = content["batch"]
    if type(messages) is not list or not all(_is_message(one) for one in messages):
        raise Refusal(400, "no message of type identify, group or track")
    for message in messages:
        _ensure_complete(call, message)
    return messages


def _is_message(message: Any) -> bool:
    return type(message) is dict and type(message.get("type")) is str and message["type"] in _RECEIVERS


def _ensure_complete(call: Call, message: dict[str, Any]) -> None:
    if message.get("userId") is not None or not (message["type"] == "identify" and "anonymousId" in message):
        text_at(message, _NEEDED[message["type"]])
    traits = message.get("traits", {})
    if type(traits) is not dict:
        raise Refusal(400, "traits is not an object")
    if None in traits.values() and call.switches.null_in_writes == "refused":
        raise Refusal(400, "a trait is null")


def _identify(call: Call, message: dict[str, Any]) -> None:
    if message.get("userId") is None:
        call.notes.append("identify without userId: nothing happens")
        return
    _hold_traits(call, "visitor", message["userId"], message.get("traits", {}))


def _group(call: Call, message: dict[str, Any]) -> None:
    account, traits = message["groupId"], dict(message.get("traits", {}))
    parent = traits.pop("parentAccount", None)
    _hold_traits(call, "account", account, traits)
    _tie(call, "visitor", call.known_id("visitor", str(message.get("userId") or "")), "accountid", account)
    if parent is not None:
        _hold_parent(call, account, parent)


def _hold_parent(call: Call, account: str, parent: Any) -> None:
    """Hold what a group's traits say of the account's parent: an object with its id and traits, or the bare id."""
    traits = dict(parent) if type(parent) is dict else {"id": parent}
    id_ = traits.pop("id", None)
    if type(id_) is not str or not id_:
        call.notes.append("parentAccount has no id that is a text: dropped")
        return
    _hold_traits(call, "parentAccount", id_, traits)
    _tie(call, "account", account, "parentaccountid", id_)


def _tie(call: Call, kind: str, id_: str, field: str, other: str) -> None:
    """Let a known record say whose it is."""
    if id_ not in call.store.records[kind]:
        return
    if call.store.field(kind, "auto", field) is None:
        call.store.declare(kind, "auto", field, Field("string", field))
    call.store.write(kind, id_, "auto", {field: other})


def _track(call: Call, message: dict[str, Any]) -> None:
    properties = message.get("properties")
    account = properties.get("groupId") if type(properties) is dict else None
    visitor = message.get("userId") or message.get("anonymousId")
    why = None if call.switches.track_events_enabled else "track events are not turned on"
    if why is None and call.switches.webhook_event_limits == "as_track":
        why = _wrong_properties(properties) or _wrong_age(message.get("timestamp"))
    record_event(call, "webhook", {**message, "visitorId": visitor, "accountId": account}, why=why)


_RECEIVERS: Final = {"identify": _identify, "group": _group, "track": _track}


def _hold_traits(call: Call, kind: str, sent_id: str, traits: dict[str, Any]) -> None:
    call.count_writes(kind, [sent_id])
    id_ = call.known_id(kind, sent_id)
    if id_ not in call.store.records[kind] and not call.switches.webhook_creates_unknown:
        call.notes.append("unknown id: nothing happens")
        return
    group = call.switches.segmentio_group
    values = {}
    for name, value in traits.items():
        key = folded(name) if call.switches.fold_webhook_keys else name
        values[key] = arrived(call, kind, group, key, value)
    call.store.write(kind, id_, group, values, lag_s=call.lag_s())


def arrived(call: Call, kind: str, group: str, key: str, value: Any) -> Any:
    """Return the value to hold, and declare or widen its field."""
    if value is None:
        return CLEAR if call.switches.null_in_writes == "clears" else KEEP
    if value == "" and call.switches.empty_text == "clears":
        return CLEAR
    type_ = _type_of(call, group, value)
    if type_ is None:
        call.notes.append(f"trait {key!r} is dropped")
        return KEEP
    held = call.store.field(kind, group, key)
    if held is None or (held.type, type_) == ("integer", "float"):
        held = Field(type_, key, "string" if type_ == "list" else "")
        call.store.declare(kind, group, key, held)
    return _as_held(held, value)


def _as_held(field: Field, value: Any) -> Any:
    if field.type != "time":
        return value
    try:
        return read_time(value)
    except WrongTypeError:
        return value


def _type_of(call: Call, group: str, value: Any) -> str | None:
    """Return the type of a new field that first holds *value*; None where the value is dropped."""
    if type(value) is list and all(type(one) is str for one in value):
        return "list" if group == "agent" or call.switches.lists_outside_agent == "accepted" else None
    if type(value) is float and not isfinite(value):
        return None
    if type(value) in (list, dict):
        return "" if call.switches.webhook_nested == "kept" else None
    if type(value) is str and call.switches.segmentio_dates == "time":
        return "string" if _as_held(Field("time", ""), value) == value else "time"
    return {str: "string", bool: "boolean", int: "integer", float: "float"}[type(value)]


def _wrong_properties(properties: Any) -> str | None:
    """Return why an event is not processed for its properties' sake."""
    if properties is None:
        return None
    if type(properties) is not dict:
        return _NO_OBJECT
    return over_limits(properties)


def _wrong_age(timestamp: Any) -> str | None:
    now_s = time.time()
    return "older than 7 days" if happened_ms(timestamp, now_s) < now_s * 1000 - _OLDEST_MS else None


def over_limits(properties: dict[str, Any]) -> str | None:
    """Return in which way an event's properties are more than Pendo takes, or None."""
    text = json.dumps(properties, ensure_ascii=False, separators=(",", ":"))
    if len(text.encode("utf-8", "surrogatepass")) > _MOST_PROPERTY_BYTES:
        return "properties over 512 bytes"
    if not all(_PROPERTY_NAME.fullmatch(name) for name in properties):
        return "a property's name is not legal"
    return None


def record_event(call: Call, route: str, event: dict[str, Any], *, why: str | None) -> None:
    """Keep an event; *why* it is not processed, or None."""
    taken = ("event", "visitorId", "accountId", "timestamp", "properties", "messageId")
    kept = {key: event.get(key) for key in taken}
    call.store.record_event(
        {"at_s": time.time(), "route": route, **kept, "processed": why is None, "why": why}
    )
    if why is not None:
        call.notes.append(f"not processed: {why}")
