"""A client of nothing but the standard library, so that no test here leans on the library's own."""

from __future__ import annotations

import json
import time
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from socket import create_connection
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

    def listen(self, method: str, path: str, body: bytes = b"") -> Heard:
        """Send one request and write down what comes until the connection ends."""
        lines = [f"{method} /{self.region}{path} HTTP/1.1", "Host: x", "Connection: close"]
        lines += [f"x-pendo-integration-key: {self.key}", f"Content-Length: {len(body)}", "\r\n"]
        heard = Heard()
        with create_connection(("127.0.0.1", self.port), timeout=20) as wire:
            wire.sendall("\r\n".join(lines).encode() + body)
            heard.read(wire)
        return heard


@dataclass
class Heard:
    """The bytes of an answer as they came, the seconds to the end, and the longest silence with what came before."""

    whole: bytes = b""
    began_s: float = field(default_factory=time.monotonic)
    took_s: float = 0.0
    silence_s: float = 0.0
    before_silence: bytes = b""
    error: OSError | None = field(default=None, repr=False)

    def read(self, wire: Any) -> None:
        last = self.began_s
        try:
            while part := wire.recv(65536):
                last = self._note(last)
                self.whole += part
        except OSError as error:
            self.error = error
        self.took_s = self._note(last) - self.began_s

    def _note(self, last: float) -> float:
        now = time.monotonic()
        if now - last > self.silence_s:
            self.silence_s, self.before_silence = now - last, self.whole
        return now

    @property
    def body(self) -> bytes:
        return self.whole.partition(b"\r\n\r\n")[2]
