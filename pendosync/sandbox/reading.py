"""Reading back: one visitor or account, or many through the aggregation pipeline.

Source: Pendo's public docs and public clients, read 2026-11-23.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pendosync.sandbox.call import Call
from pendosync.sandbox.events import read_events
from pendosync.sandbox.exchange import Answer, Refusal, Routes, json_answer
from pendosync.sandbox.filters import Condition, read_conditions

ROUTES: Final = Routes()


@ROUTES.at("GET", "/api/v1/visitor/{id}")
def read_visitor(call: Call, id: str) -> Answer:
    """Answer one visitor's metadata."""
    return json_answer({"id": call.known_id("visitor", id), "metadata": call.read("visitor", id)})


@ROUTES.at("GET", "/api/v1/account/{id}")
def read_account(call: Call, id: str) -> Answer:
    """Answer one account's metadata."""
    return json_answer({"id": id, "metadata": call.read("account", id)})


@ROUTES.at("POST", "/api/v1/aggregation")
def aggregate(call: Call) -> Answer:
    """Answer the rows of a pipeline: a source, then sort, filter and limit in any order."""
    (_, source), *steps = _pipeline(call)
    events = read_events(call, source, steps) if type(source) is dict else None
    return json_answer({"results": _records(call, source, steps) if events is None else events})


def _records(call: Call, source: Any, steps: list[tuple[str, Any]]) -> list[dict[str, Any]]:
    rows = _source(call, source)
    for name, asked in steps:
        rows = _STEPS[name](rows, asked)
    return [{rows.id_key: id_, "metadata": call.store.seen(rows.kind, id_)} for id_ in rows.ids]


@dataclass(frozen=True, slots=True)
class _Rows:
    kind: str
    ids: list[str]
    ordered: list[str] | None
    """The same ids in order, where they are known already."""

    @property
    def id_key(self) -> str:
        return f"{self.kind}Id"

    @property
    def is_ordered(self) -> bool:
        return self.ids is self.ordered


def _pipeline(call: Call) -> list[tuple[str, Any]]:
    content = call.body()
    response, request = content.get("response"), content.get("request")
    if type(response) is not dict or response.get("mimeType") != "application/json":
        raise Refusal(400, "response.mimeType is not application/json")
    pipeline = request.get("pipeline") if type(request) is dict else None
    if type(pipeline) is not list or not pipeline:
        raise Refusal(400, "request.pipeline is not a list of steps")
    if not all(type(step) is dict and len(step) == 1 for step in pipeline):
        raise Refusal(400, "a step is an object with one key")
    steps = [next(iter(step.items())) for step in pipeline]
    for place, (name, _) in enumerate(steps):
        if (name == "source") is not (place == 0) or name not in ("source", *_STEPS):
            raise Refusal(400, f"no such step here: {name!r}")
    return steps


def _source(call: Call, source: Any) -> _Rows:
    if type(source) is not dict or len(source) != 1 or next(iter(source)) not in ("visitors", "accounts"):
        raise Refusal(400, "the source is none of visitors, accounts, trackTypes and trackEvents")
    name, asked = next(iter(source.items()))
    if asked not in (None, {}) and not (name == "visitors" and _is_identified_option(asked)):
        raise Refusal(400, f"the source {name} does not take {asked!r}")
    kind, identified = name.removesuffix("s"), bool(asked and asked["identified"])
    ids, ordered = (
        call.store.ids(kind, identified=identified, in_order=in_order) for in_order in (False, True)
    )
    return _Rows(kind, ids, ordered)


def _is_identified_option(asked: Any) -> bool:
    return type(asked) is dict and set(asked) == {"identified"} and type(asked["identified"]) is bool


def _sorted(rows: _Rows, keys: Any) -> _Rows:
    if keys not in ([rows.id_key], [f"-{rows.id_key}"]):
        raise Refusal(400, f"can only sort by {rows.id_key}")
    ordered = rows.ordered if rows.ordered is not None else sorted(rows.ids)
    return _Rows(rows.kind, ordered[::-1], None) if keys[0][0] == "-" else _Rows(rows.kind, ordered, ordered)


def _filtered(rows: _Rows, text: Any) -> _Rows:
    for condition in read_conditions(text, (rows.id_key,)):
        if rows.is_ordered and condition.sign in (">", ">=", "<", "<="):
            ids = _cut(rows.ids, condition)
            rows = _Rows(rows.kind, ids, ids)
        else:
            ids = [id_ for id_ in rows.ids if condition.holds(id_)]
            rows = _Rows(rows.kind, ids, ids if rows.is_ordered else None)
    return rows


def _cut(ids: list[str], condition: Condition) -> list[str]:
    find = bisect_left if condition.sign in (">=", "<") else bisect_right
    place = find(ids, condition.operand)
    return ids[place:] if condition.sign[0] == ">" else ids[:place]


def _limited(rows: _Rows, most: Any) -> _Rows:
    if type(most) is not int or most < 1:
        raise Refusal(400, "limit is not a number from 1 up")
    ids = rows.ids[:most]
    return _Rows(rows.kind, ids, ids if rows.is_ordered else None)


_STEPS: Final[dict[str, Callable[[_Rows, Any], _Rows]]] = {
    "sort": _sorted,
    "filter": _filtered,
    "limit": _limited,
}
