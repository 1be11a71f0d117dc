"""The Integrations object: whether a message is for Pendo at all. The destination's name there is `Pendo`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from table import AT, DOCS, SKIPPED, SPEC, Row, iso

OBJECTS: Final = {
    "an empty object leaves all destinations on": ({}, True),
    "All true is the same as saying nothing": ({"All": True}, True),
    "Pendo true": ({"Pendo": True}, True),
    "an object of options turns Pendo on": ({"Pendo": {"color": "blue"}}, True),
    "All false with Pendo true": ({"All": False, "Pendo": True}, True),
    "All false with options for Pendo": ({"All": False, "Pendo": {"color": "blue"}}, True),
    "others may be off": ({"Amplitude": False}, True),
    "names of destinations are case sensitive": ({"pendo": False, "PENDO": False}, True),
    "Pendo false": ({"Pendo": False}, False),
    "Pendo false counts more than All true": ({"All": True, "Pendo": False}, False),
    "All false without Pendo": ({"All": False}, False),
    "All false with others true": ({"All": False, "Amplitude": True}, False),
    "All false, and Pendo in another case": ({"All": False, "pendo": True}, False),
}
"""What is told → the object, and whether the message is for Pendo."""

CALLS: Final[Mapping[str, Mapping[str, Any]]] = {
    "visitor": {
        "message": {"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}},
        "table": {"user": "u-1", "plan": "pro"},
        "mapping": {"id": "user", "traits": ["plan"]},
        "webhook": {"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}},
        "browser": ("identify", {"visitor": {"plan": "pro", "id": "u-1"}}),
    },
    "account": {
        "message": {"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"plan": "pro"}},
        "table": {"user": "u-1", "org": "acme-2", "plan": "pro"},
        "mapping": {"id": "org", "visitor_id": "user", "traits": ["plan"]},
        "webhook": {"type": "group", "userId": "u-1", "groupId": "acme-2", "traits": {"plan": "pro"}},
        "browser": ("identify", {"visitor": {"id": "u-1"}, "account": {"plan": "pro", "id": "acme-2"}}),
    },
    "event": {
        "message": {"type": "track", "messageId": "m-1", "userId": "u-1", "event": "Left", "timestamp": iso(AT)},
        "table": {"user": "u-1", "what": "Left", "time": AT},
        "mapping": {"visitor_id": "user", "event": "what", "at": "time"},
        "webhook": {"type": "track", "userId": "u-1", "event": "Left", "properties": {}, "timestamp": iso(AT)},
        "track": {
            "type": "track", "event": "Left", "visitorId": "u-1", "timestamp": round(AT.timestamp() * 1000), "properties": {},
        },
        "browser": ("track", "Left", {}),
    },
}  # fmt: skip
"""Kind → a message, the same as a row, and what is sent where it is for Pendo."""


def _each() -> Iterator[Row]:
    for kind, call in CALLS.items():
        routes = [name for name in ("webhook", "browser", "track") if name in call]
        for name, (told, is_on) in OBJECTS.items():
            columns = {"as a column": ("told", {"told": json.dumps(told)}), "for all rows": (told, {})}
            for where, (integrations, cells) in columns.items():
                bodies = {route: call[route] if is_on else SKIPPED for route in routes}
                if is_on:
                    bodies["webhook"] = {**call["webhook"], "integrations": told}
                yield Row(
                    name=f"{kind}: {name}, {where}",
                    source=f"{SPEC}: common fields; {DOCS}",
                    message={**call["message"], "integrations": told} if where == "as a column" else None,
                    kind=kind,
                    table={**call["table"], **cells},
                    mapping={**call["mapping"], "integrations": integrations},
                    left_out="" if is_on else "its integrations turn Pendo off",
                    **bodies,
                )
        yield Row(
            name=f"{kind}: a row that says nothing is for Pendo",
            source=f"{SPEC}: common fields, all destinations are on unless told otherwise",
            message=call["message"],
            kind=kind,
            table={**call["table"], "told": None},
            mapping={**call["mapping"], "integrations": "told"},
            **{route: call[route] for route in routes},
        )


ROWS: Final = list(_each())
