"""Whatever is asked, the sandbox answers for itself: requests drawn from Pendo's public API never meet a fault of it.

A fault of the sandbox shows as 500 with a traceback.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from tools import ask, openapi, tool

import pendosync as ps
from pendosync.sandbox.keys import KEYS

schemathesis = tool("schemathesis")

US = KEYS["us"]
KNOWN: dict[str, list[str]] = {
    "kind": ["visitor", "account", "parentAccount"],
    "group": ["custom", "agent", "segmentio", "pendo", "auto"],
    "id": ["u-0001", "acme", "sandbox-segment-1"],
    "visitorId": ["u-0001", "U-0007"],
    "accountId": ["acme"],
    "segmentId": ["sandbox-segment-1"],
    "fieldName": ["plan", "seats", "signedup", "tags", "oldplan", "healthscore"],
    "field": ["plan", "hasnote", "oldplan"],
}
"""Names of path parameters, and what stands there in a sandbox as seeded."""

ANYTHING: dict[str, Any] = {}
TEXT = {"type": "string", "minLength": 1}
ID = {"anyOf": [{"enum": ["u-0001", "acme", "new"]}, ANYTHING]}
TIME = {"anyOf": [{"type": "integer"}, {"type": "string", "format": "date-time"}, ANYTHING]}
PARENT = {"type": "object", "properties": {"id": ANYTHING, "tier": TEXT}, "required": ["id"]}
TRAITS = {"type": "object", "properties": {"plan": ANYTHING, "since": TIME}}
OF_A_GROUP = {
    **TRAITS,
    "properties": {"parentAccount": {"anyOf": [PARENT, ID]}},
    "required": ["parentAccount"],
}


def message(type_: str, *required: str, **properties: Any) -> dict[str, Any]:
    """Return the schema of one of Segment's messages, with anything where it may stand."""
    common = {"type": {"enum": [type_]}, "userId": ID, "anonymousId": ID, "integrations": ANYTHING}
    return {
        "type": "object",
        "properties": {**common, "timestamp": TIME, **properties},
        "required": ["type", *required],
    }


MESSAGE = {
    "anyOf": [
        message("identify", "userId", "traits", userId=TEXT, traits=TRAITS),
        message("group", "groupId", "traits", groupId=TEXT, traits=OF_A_GROUP),
        message("track", "event", "properties", event=TEXT, properties={"type": "object"}),
        message("track", event=ANYTHING, properties=ANYTHING),
        message("group", groupId=ANYTHING, traits=ANYTHING),
        ANYTHING,
    ]
}
EVENT = {
    "type": "object",
    "properties": {
        "type": {"enum": ["track"]},
        "event": TEXT,
        "visitorId": TEXT,
        "accountId": ID,
        "timestamp": TIME,
        "properties": {"anyOf": [{"type": "object"}, ANYTHING]},
    },
    "required": ["type", "event", "visitorId", "timestamp"],
}
RECORDS = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "visitorId": {"enum": ["u-0001", "nobody", "\N{LATIN SMALL LETTER E WITH ACUTE}"]},
            "values": {
                "type": "object",
                "properties": dict.fromkeys(("plan", "seats", "score", "trial", "signedup"), ANYTHING),
                "additionalProperties": False,
            },
        },
        "required": ["visitorId", "values"],
    },
}
SOURCE = {
    "anyOf": [
        {
            "enum": [
                {"visitors": None},
                {"visitors": {"identified": True}},
                {"accounts": None},
                {"trackTypes": None},
            ]
        },
        {
            "type": "object",
            "properties": {
                "trackEvents": {
                    "anyOf": [{"type": "null"}, {"type": "object", "properties": {"trackTypeId": ID}}]
                },
                "timeSeries": {
                    "type": "object",
                    "properties": {
                        "period": {"enum": ["dayRange", "hourRange"]},
                        "first": {"anyOf": [{"type": "integer"}, {"enum": ["now()", "date(2026,1,1)"]}]},
                        "count": {"type": "integer"},
                    },
                    "required": ["period", "first", "count"],
                    "additionalProperties": False,
                },
            },
            "required": ["trackEvents", "timeSeries"],
            "additionalProperties": False,
        },
    ]
}
STEP = {
    "anyOf": [
        {"type": "object", "properties": {"sort": {"enum": [["visitorId"], ["-day", "visitorId"], ["id"]]}}},
        {"type": "object", "properties": {"filter": {"type": "string", "pattern": '^visitorId(==|<)".*"$'}}},
        {"type": "object", "properties": {"limit": {"type": "integer"}}},
        ANYTHING,
    ]
}
PIPELINE = {
    "type": "object",
    "properties": {
        "response": {"enum": [{"mimeType": "application/json"}]},
        "request": {
            "type": "object",
            "properties": {
                "pipeline": {
                    "anyOf": [
                        {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": 1,
                            "items": {
                                "type": "object",
                                "properties": {"source": SOURCE},
                                "required": ["source"],
                                "additionalProperties": False,
                            },
                        },
                        {"type": "array", "items": STEP},
                    ]
                }
            },
            "required": ["pipeline"],
        },
    },
    "required": ["response", "request"],
}


def posted(path: str, body: dict[str, Any], **parameters: dict[str, Any]) -> dict[str, Any]:
    """Return one path that takes *body* by POST."""
    names = [{"name": name, **told} for name, told in parameters.items()]
    taken = {"content": {"application/json": {"schema": body}}, "required": True}
    answers = {"200": {"description": "taken"}}
    return {path: {"post": {"parameters": names, "requestBody": taken, "responses": answers}}}


def within(place: str, *values: str) -> dict[str, Any]:
    return {"in": place, "required": place == "path", "schema": {"type": "string", "enum": list(values)}}


OF_OUR_OWN = {
    "openapi": "3.0.3",
    "info": {"title": "What the files have no schema of", "version": "1"},
    "paths": {
        **posted("/data/segmentio/{key}", MESSAGE, key=within("path", US.app_key)),
        **posted("/data/track", EVENT),
        **posted("/api/v1/metadata/visitor/custom/value", RECORDS, create=within("query", "true", "false")),
        **posted("/api/v1/aggregation", PIPELINE),
    },
}


def public() -> dict[str, Any]:
    """Return Pendo's public API with known names in its paths and its examples as schemas, beside anything else."""
    document = openapi()
    del document["security"]  # the right key goes with each request
    for operation in (one for path in document["paths"].values() for one in path.values()):
        for parameter in operation.get("parameters", []):
            known = KNOWN.get(parameter["name"], [])
            parameter["schema"] = {"anyOf": [{"enum": known}, TEXT]} if known else TEXT
        for taken in operation.get("requestBody", {}).get("content", {}).values():
            if "example" in taken:
                taken["schema"] = {"anyOf": [shape_of(taken["example"]), ANYTHING]}
    return document


def shape_of(example: Any) -> dict[str, Any]:
    """Return the schema of what looks like *example*, with any value in place of each of its own."""
    if isinstance(example, dict):
        shapes = {name: shape_of(value) for name, value in example.items()}
        return {"type": "object", "properties": shapes, "required": list(shapes)}
    if isinstance(example, list):
        return {"type": "array", "items": shape_of(example[0])}
    return {"anyOf": [{"enum": [example]}, ANYTHING]}


@pytest.fixture(scope="module", autouse=True)
def _no_urls_in_the_log() -> Iterator[None]:
    """The app key stands in the webhook's URL, which the HTTP library would log."""
    logger = logging.getLogger("urllib3")
    before = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(before)


@pytest.fixture(scope="module")
def _pendo() -> Iterator[ps.Sandbox]:
    with ps.open_sandbox(switches={"track_events_enabled": True}) as opened:
        yield opened


@pytest.fixture
def pendo(_pendo: ps.Sandbox) -> ps.Sandbox:
    """A sandbox as seeded, with one audience; it keeps what it is told from one request of a test to the next."""
    _pendo.reset()
    audience = {"name": "first", "visitors": ["u-0001"]}
    assert ask(_pendo, "POST", "/api/v1/segment/upload", audience) == (
        200,
        '{"segmentId":"sandbox-segment-1"}',
    )
    return _pendo


def ensure_answered(case: Any, pendo: ps.Sandbox) -> None:
    key = US.track_secret if case.path == "/data/track" else US.integration_key
    reply = case.call(base_url=pendo.url, headers={"x-pendo-integration-key": key}, timeout=20)
    assert reply.status_code < 500, reply.text


UNHURRIED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]
BOUNDED = settings(max_examples=12, deadline=None, suppress_health_check=UNHURRIED)


AS_MEANT = schemathesis.config.SchemathesisConfig.from_dict({"generation": {"mode": "positive"}})
"""Our schemas hold anything themselves; what breaks them would be refused at the first look."""


@schemathesis.openapi.from_dict(public()).parametrize()
@BOUNDED
def test_no_request_of_the_public_api_meets_a_fault(case: Any, pendo: ps.Sandbox) -> None:
    ensure_answered(case, pendo)


@schemathesis.openapi.from_dict(OF_OUR_OWN, config=AS_MEANT).parametrize()
@settings(BOUNDED, max_examples=40)
def test_no_message_event_write_or_pipeline_meets_a_fault(case: Any, pendo: ps.Sandbox) -> None:
    ensure_answered(case, pendo)
