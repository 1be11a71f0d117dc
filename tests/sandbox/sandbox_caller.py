"""A client of nothing but the standard library, so that no test here leans on the library's own."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any


@dataclass(frozen=True)
class Reply:
    status: int
    text: str
    headers: dict[str, str]

    @property
    def content(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Caller:
    """Calls one region with one key. A `str` or `bytes` body travels as it is."""

    port: int
    region: str = "us"
    key: str | None = "sandbox-us-integration-key"

    def __call__(self, method: str, path: str, body: Any = None) -> Reply:
        sent = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
        headers = {} if self.key is None else {"x-pendo-integration-key": self.key}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, f"/{self.region}{path}", sent, headers)
            response = connection.getresponse()
            text = response.read().decode()
            return Reply(response.status, text, dict(response.getheaders()))
