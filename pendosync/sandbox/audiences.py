"""Audiences, which Pendo calls segments: `/api/v1/segment/…`.

Source: Segment's public Pendo Audiences destination and Pendo's public API collection, read 2026-11-23.
"""

from __future__ import annotations

from typing import Any, Final

from pendosync.sandbox.call import Call, text_at, texts_at
from pendosync.sandbox.exchange import Answer, Refusal, Routes, json_answer
from pendosync.sandbox.store import Audience

ROUTES: Final = Routes()

_MOST_VISITORS: Final = 1000


@ROUTES.at("POST", "/api/v1/segment/upload")
def create_audience(call: Call) -> Answer:
    """Create an audience with at least one visitor; answer its id."""
    audience = _audience(call)
    numbers = [int(id_.rpartition("-")[2]) for id_ in call.store.audiences]
    id_ = f"sandbox-segment-{max(numbers, default=0) + 1}"
    call.store.audiences[id_] = audience
    call.store.changes += 1
    return json_answer({"segmentId": id_})


@ROUTES.at("GET", "/api/v1/segment")
def read_audiences(call: Call) -> Answer:
    """Answer every audience's id and name."""
    return json_answer([{"id": id_, "name": one.name} for id_, one in call.store.audiences.items()])


@ROUTES.at("GET", "/api/v1/segment/{id}")
def read_audience(call: Call, id: str) -> Answer:
    """Answer one audience's id and name."""
    return json_answer({"id": id, "name": _held(call, id).name})


@ROUTES.at("PUT", "/api/v1/segment/{id}")
def replace_audience(call: Call, id: str) -> Answer:
    """Give an audience another name and other members."""
    _held(call, id)
    call.store.audiences[id] = _audience(call)
    call.store.changes += 1
    return Answer(200)


@ROUTES.at("DELETE", "/api/v1/segment/{id}")
def delete_audience(call: Call, id: str) -> Answer:
    """Delete an audience."""
    _held(call, id)
    del call.store.audiences[id]
    call.store.changes += 1
    return Answer(200)


@ROUTES.at("PUT", "/api/v1/segment/{id}/visitor/{visitor}")
def add_member(call: Call, id: str, visitor: str) -> Answer:
    """Add one visitor."""
    _change(call, _held(call, id), "add", [visitor])
    return Answer(200)


@ROUTES.at("DELETE", "/api/v1/segment/{id}/visitor/{visitor}")
def remove_member(call: Call, id: str, visitor: str) -> Answer:
    """Remove one visitor."""
    _change(call, _held(call, id), "remove", [visitor])
    return Answer(200)


@ROUTES.at("PATCH", "/api/v1/segment/{id}/visitor")
def patch_members(call: Call, id: str) -> Answer:
    """Add and remove up to 1,000 visitors; answer a status per operation."""
    audience, operations = _held(call, id), call.body().get("patch")
    if type(operations) is not list or not operations or not all(type(one) is dict for one in operations):
        raise Refusal(400, "patch is not a list of operations")
    if sum(len(texts_at(one, "value")) for one in operations) > _MOST_VISITORS:
        raise Refusal(400, "more than 1,000 visitors")
    results = [_carried_out(call, audience, one) for one in operations]
    return json_answer({"multistatus": results}, call.switches.patch_status)


def _carried_out(call: Call, audience: Audience, operation: dict[str, Any]) -> dict[str, Any]:
    if operation.get("op") not in ("add", "remove") or operation.get("path") != "/visitors":
        return {"status": 400, "message": "no such operation", "operation": operation}
    _change(call, audience, operation["op"], operation["value"])
    return {"status": 200, "message": "", "operation": operation}


def _change(call: Call, audience: Audience, op: str, visitors: list[str]) -> None:
    for visitor in visitors:
        if op == "add":
            audience.visitors[visitor] = None
        else:
            audience.visitors.pop(visitor, None)
    call.store.changes += 1


def _audience(call: Call) -> Audience:
    content = call.body()
    name, visitors = text_at(content, "name"), texts_at(content, "visitors")
    if len(visitors) > _MOST_VISITORS:
        raise Refusal(400, "more than 1,000 visitors")
    return Audience(name, dict.fromkeys(visitors))


def _held(call: Call, id_: str) -> Audience:
    try:
        return call.store.audiences[id_]
    except KeyError:
        raise Refusal(404, "no such segment") from None
