"""Each path that the sandbox answers is one of Pendo's, by its public API or by what public clients call."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tools import OPENAPI, ask, openapi

import pendosync as ps
from pendosync.sandbox import control, pendo
from pendosync.sandbox.exchange import Routes

FROM_ELSEWHERE = {
    ("GET", "/api/v1/token/verify"): "seen in public clients, read 2026-11-23",
    ("POST", "/data/segmentio/{}"): "Pendo's help page on Segment, read 2026-11-23",
    ("GET", "/agent/static/{}/pendo.js"): "Pendo's public install snippet, read 2026-11-23",
}
"""Calls of Pendo's that its public API does not list, and where they are known from."""

OUR_OWN = {("POST", "/agent/received/{}")}
"""Where the stand-in for Pendo's agent tells what a page called: Pendo has no such path."""


def nameless(path: str) -> str:
    """Return *path* without the names of its parameters."""
    return re.sub(r"\{\w+\}", "{}", path)


def calls_of(routes: Routes) -> set[tuple[str, str]]:
    return {(method, nameless("/" + "/".join(parts))) for method, parts, _ in routes._routes}


def public_calls() -> set[tuple[str, str]]:
    return {
        (method.upper(), nameless(path))
        for path, operations in openapi()["paths"].items()
        for method in operations
    }


CLAIMED = calls_of(pendo._ROUTES)


@pytest.mark.parametrize("call", sorted(CLAIMED - OUR_OWN), ids=" ".join)
def test_each_call_that_the_sandbox_answers_is_one_of_pendos(call: tuple[str, str]) -> None:
    assert call in public_calls() | FROM_ELSEWHERE.keys()


def test_what_is_known_from_elsewhere_is_not_in_the_public_api_too() -> None:
    assert FROM_ELSEWHERE.keys() & public_calls() == set()


def test_the_side_door_stands_under_a_name_that_no_path_of_pendos_has() -> None:
    assert calls_of(control._ROUTES)
    assert [path for _, path in CLAIMED | public_calls() if path.startswith(f"/{control.PREFIX}")] == []


def test_every_chapter_of_the_public_api_is_read() -> None:
    assert len(list(OPENAPI.glob("*.yml"))) == 7
    assert len(public_calls()) == 32
    assert ("POST", "/api/v1/metadata/{}/{}/value") in CLAIMED & public_calls()


PLACES = {"kind": "visitor", "group": "custom", "id": "u-0001", "segmentId": "sandbox-segment-1"}
NOT_THERE = ("pages", "features", "doNotProcessVisitors")
"""Sources of the pipeline that the sandbox knows nothing of."""


def examples() -> Iterator[Any]:
    """Yield each body that the public API gives as an example of a call that the sandbox answers."""
    for path, operations in openapi()["paths"].items():
        for method, operation in operations.items():
            taken = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            bodies = {name: one["value"] for name, one in taken.get("examples", {}).items()}
            bodies |= {"example": taken["example"]} if "example" in taken else {}
            for name, body in bodies.items():
                if (method.upper(), nameless(path)) in CLAIMED:
                    yield pytest.param(method.upper(), path, body, id=f"{method} {path} {name}")


@pytest.mark.parametrize(("method", "path", "body"), list(examples()))
def test_each_example_of_the_public_api_is_taken(
    sandbox: ps.Sandbox, method: str, path: str, body: Any
) -> None:
    assert ask(sandbox, "POST", "/api/v1/segment/upload", {"name": "a", "visitors": ["u-0001"]})[0] == 200
    fields = [{"name": name, "type": "string"} for name in ("field1", "field2")]
    assert ask(sandbox, "POST", "/api/v1/metadata/schema/visitor/custom", fields)[0] == 200
    is_there = not any(f'"{source}": null' in json.dumps(body) for source in NOT_THERE)
    status, text = ask(sandbox, method, path.format_map(PLACES), body)
    assert (status == 200) is is_there, text
