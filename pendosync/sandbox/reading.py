"""Reading back: one visitor or account, or many through the aggregation pipeline.

Source: Pendo's public docs and public clients, read 2026-11-23.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from pendosync.sandbox.call import Call
from pendosync.sandbox.exchange import Answer, Refusal, Routes, json_answer

ROUTES: Final = Routes()

_COMPARISONS: Final[dict[str, Callable[[str, str], bool]]] = {
    "==": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
_CONDITION: Final = re.compile(r'\s*(\w+)\s*(==|!=|<=|>=|<|>)\s*("(?:[^"\\]|\\.)*")\s*(&&|$)')


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
    first, *steps = _pipeline(call)
    rows = _source(call, first)
    for step in steps:
        rows = _STEPS[step[0]](rows, step[1])
    records = ((id_, call.store.seen(rows.kind, id_)) for id_ in rows.ids)
    return json_answer({"results": [{rows.id_key: id_, "metadata": record} for id_, record in records]})


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


def _source(call: Call, step: tuple[str, Any]) -> _Rows:
    source = step[1]
    if type(source) is not dict or len(source) != 1 or next(iter(source)) not in ("visitors", "accounts"):
        raise Refusal(400, "the source is neither visitors nor accounts")
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
    for sign, operand in _conditions(rows, text):
        if rows.is_ordered and sign in (">", ">=", "<", "<="):
            ids = _cut(rows.ids, sign, operand)
            rows = _Rows(rows.kind, ids, ids)
        else:
            compare = _COMPARISONS[sign]
            ids = [id_ for id_ in rows.ids if compare(id_, operand)]
            rows = _Rows(rows.kind, ids, ids if rows.is_ordered else None)
    return rows


def _cut(ids: list[str], sign: str, operand: str) -> list[str]:
    place = (bisect_left if sign in (">=", "<") else bisect_right)(ids, operand)
    return ids[place:] if sign[0] == ">" else ids[:place]


def _conditions(rows: _Rows, text: Any) -> list[tuple[str, str]]:
    """Return sign and operand of each comparison of the id, joined by `&&`."""
    conditions, place, joint = [], 0, "&&"
    while joint == "&&":
        found = _CONDITION.match(text, place) if type(text) is str else None
        if found is None or found[1] != rows.id_key:
            raise Refusal(400, f"this filter is not understood: {text!r}")
        conditions.append((found[2], _literal(found[3])))
        place, joint = found.end(), found[4]
    return conditions


def _literal(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        raise Refusal(400, f"no text in quotes: {text}") from None


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
