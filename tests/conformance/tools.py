"""Tools that ask for more than the lowest versions of what they stand on, the public files, and a plain caller."""

from __future__ import annotations

import importlib
import json
from contextlib import closing
from http.client import HTTPConnection
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import pendosync as ps
from pendosync.sandbox.keys import KEYS

ROOT = Path(__file__).parents[2]
OPENAPI = Path(__file__).parent / "openapi"


def tool(name: str) -> ModuleType:
    """Return the module; skip where the lowest versions are installed, as it can't stand beside them, and only there."""
    lowest = (ROOT / "requirements-lowest.txt").read_text(encoding="utf-8").splitlines()
    if f"polars=={metadata.version('polars')}" in lowest:
        return pytest.importorskip(name, reason=f"{name} needs newer tools than the lowest ones")
    return importlib.import_module(name)


def openapi() -> dict[str, Any]:
    """Return Pendo's public API as one document."""
    documents = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted(OPENAPI.glob("*.yml"))]
    whole = {**documents[0], "paths": {}}
    for document in documents:
        for path, operations in document["paths"].items():
            whole["paths"].setdefault(path, {}).update(operations)
    return whole


def ask(sandbox: ps.Sandbox, method: str, path: str, body: Any = None) -> tuple[int, str]:
    """Send one request with the key that its host takes, and return status and text."""
    keys = KEYS["us"]
    key = keys.track_secret if path == "/data/track" else keys.integration_key
    with closing(HTTPConnection("127.0.0.1", sandbox.port, timeout=20)) as connection:
        connection.request(method, f"/us{path}", json.dumps(body), {"x-pendo-integration-key": key})
        reply = connection.getresponse()
        return reply.status, reply.read().decode()


def events_in(sandbox: ps.Sandbox, *, n_hours: int = 72) -> list[dict[str, Any]]:
    """Return the events of the last hours that the pipeline shows, by their visitors."""
    source = {"trackEvents": None, "timeSeries": {"period": "hourRange", "first": "now()", "count": -n_hours}}
    steps = [{"source": source}, {"sort": ["visitorId"]}]
    asked = {"response": {"mimeType": "application/json"}, "request": {"pipeline": steps}}
    status, text = ask(sandbox, "POST", "/api/v1/aggregation", asked)
    assert status == 200, text
    return json.loads(text)["results"]
