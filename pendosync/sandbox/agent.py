"""The browser's side: a stand-in for Pendo's agent, and what it tells of a page's visitor.

Only the script's address is Pendo's. How the stand-in posts is its own affair: Pendo's agent speaks otherwise.

Source: the install snippet's address in Pendo's public docs, read 2026-11-26.
"""

from __future__ import annotations

import time
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pendosync.sandbox.arrivals import arrived, over_limits, record_event
from pendosync.sandbox.call import Call, text_at
from pendosync.sandbox.exchange import Answer, Refusal, Routes
from pendosync.sandbox.store import KINDS

ROUTES: Final = Routes()
SCRIPT_FOLDER: Final = "/agent/static/"

_GROUP: Final = "agent"
_EVENTS: Final = ("page", "click", "track")


@ROUTES.at("GET", "/agent/static/{key}/pendo.js")
def serve_script(call: Call, key: str) -> Answer:
    """Answer the stand-in agent."""
    headers = {"Content-Type": "text/javascript; charset=utf-8", "Cache-Control": "no-store"}
    return Answer(200, _script(), headers)


@ROUTES.at("POST", "/agent/received/{key}")
def receive_messages(call: Call, key: str) -> Answer:
    """Take what the stand-in posts: a list of messages, in order; all of them or none."""
    messages = call.body().get("messages")
    if type(messages) is not list or not all(type(one) is dict for one in messages):
        raise Refusal(400, "messages is not a list of objects")
    for message in messages:
        _ensure_complete(message)
    for message in messages:
        if message["type"] == "metadata":
            _hold(call, message)
        else:
            _note(call, message)
    return Answer(200)


@cache
def _script() -> bytes:
    return (files("pendosync.sandbox") / "assets" / "agent.js").read_bytes()


def _ensure_complete(message: dict[str, Any]) -> None:
    if message.get("type") == "metadata":
        for kind in KINDS:
            if kind == "visitor" or message.get(kind) is not None:
                text_at(_object_at(message, kind), "id")
    elif message.get("type") in _EVENTS:
        text_at(message, "event"), text_at(message, "visitorId"), _object_at(message, "properties")
    else:
        raise Refusal(400, f"type is not metadata, {', '.join(_EVENTS)}")


def _object_at(message: dict[str, Any], name: str) -> dict[str, Any]:
    value = message.get(name)
    if type(value) is not dict:
        raise Refusal(400, f"{name} is not an object")
    return value


def _hold(call: Call, message: dict[str, Any]) -> None:
    """Hold the traits of whoever is named, and tie the visitor to the account."""
    for kind in KINDS:
        traits = message.get(kind)
        if traits is not None:
            id_ = call.known_id(kind, traits["id"])
            values = {
                name: arrived(call, kind, _GROUP, name, value)
                for name, value in traits.items()
                if name != "id"
            }
            call.store.write(kind, id_, _GROUP, values, lag_s=call.lag_s())
    if message.get("account") is not None:
        visitor = call.known_id("visitor", message["visitor"]["id"])
        call.store.write("visitor", visitor, "auto", {"accountid": message["account"]["id"]})


def _note(call: Call, message: dict[str, Any]) -> None:
    why = over_limits(message["properties"]) if message["type"] == "track" else None
    timestamp = message.get("timestamp", int(time.time() * 1000))
    record_event(call, "browser", {**message, "timestamp": timestamp}, why=why)
