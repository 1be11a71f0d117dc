"""One request, its answer, and the table that finds the endpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NoReturn
from urllib.parse import parse_qsl, unquote

from pendosync.regions import MASK

Point = Literal["start", "headers", "mid_body"]
"""Where on its way an answer can be stopped: before the first byte, after the headers, half-way through the body."""

Encoding = Literal["gzip", "deflate", "chunked"]

_SPARE_DEPTH: Final = 64


_BEFORE_KEY: Final = ("/data/segmentio/", "/agent/static/", "/agent/received/")
"""The paths in which the app key stands next."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer goes out that does not go out plain, whole and at once.

    Args:
        cut: where the connection breaks; None never.
        reset: it breaks with a reset instead of an end.
        stall: where silence begins; it lasts *stall_s* seconds.
        encoding: how the body is wrapped.
        interim: status of an answer that comes before the real one.
        broken: the wrapping is not what the headers say.
    """

    cut: Point | None = None
    reset: bool = False
    stall: Point | None = None
    stall_s: float = 0.0
    encoding: Encoding | None = None
    interim: int | None = None
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. *manner* None: plain, whole and at once."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    manner: Manner | None = None


class Refusal(Exception):
    """The request is refused with this status; the text is the body, empty where Pendo's is."""

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.answer = text_answer(text, status)


@dataclass(frozen=True, slots=True)
class Request:
    """One request to one region. *path* begins after the region, still percent-encoded, without the query."""

    method: str
    region: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(cls, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Request:
        """Take the region off *target*, the first line's path and query."""
        path, _, query = target.partition("?")
        region, _, rest = path.removeprefix("/").partition("/")
        return cls(method, region, f"/{rest}", query, headers, body)

    @property
    def parts(self) -> tuple[str, ...]:
        try:
            return tuple(unquote(part, errors="strict") for part in self.path[1:].split("/"))
        except UnicodeDecodeError:
            raise Refusal(400, "the path is not UTF-8") from None

    @property
    def options(self) -> dict[str, str]:
        return dict(parse_qsl(self.query))

    @property
    def shown(self) -> str:
        """Path and query with the app key masked: what people and faults see."""
        path = self.path
        for before in (prefix for prefix in _BEFORE_KEY if path.startswith(prefix)):
            _, _, rest = path.removeprefix(before).partition("/")
            path = f"{before}{MASK}" + (f"/{rest}" if rest else "")
        return f"{path}?{self.query}" if self.query else path

    @property
    def host_kind(self) -> str:
        """Which of a region's hosts this would have gone to: `data`, `agent` or `api`."""
        place = self.path.split("/", 2)[1]
        return place if place in ("data", "agent") else "api"

    def json(self) -> Any:
        """Return the body's content.

        It is read within a few lists more: what is taken is not nested so deep that an answer which holds it, deeper
        yet, could not be written.

        Raises:
            Refusal: 400, it is not strict JSON in UTF-8, or nested too deep.
        """
        try:
            text = f"{'[' * _SPARE_DEPTH}{self.body.decode('utf-8')}{']' * _SPARE_DEPTH}"
            content = json.loads(text, parse_constant=_refuse_constant)
            for _ in range(_SPARE_DEPTH):
                (content,) = content
            return content
        except (ValueError, RecursionError):
            raise Refusal(400, "the body is not JSON") from None


def json_answer(content: Any, status: int = 200) -> Answer:
    """Return *content* as JSON."""
    body = json.dumps(content, separators=(",", ":")).encode()
    return Answer(status, body, {"Content-Type": "application/json"})


def text_answer(text: str, status: int = 200) -> Answer:
    """Return *text*, or an empty body without a type."""
    return Answer(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"} if text else {})


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


Endpoint = Callable[..., Answer]


class Routes:
    """Finds the endpoint for a method and a path.

    Example:
        >>> routes = Routes()
        >>> @routes.at("GET", "/visitor/{id}")
        ... def read(call, id): return id
        >>> endpoint, names = routes.find("GET", ("visitor", "ann"))
        >>> endpoint(None, **names)
        'ann'
    """

    def __init__(self, *others: Routes) -> None:
        self._routes: list[tuple[str, tuple[str, ...], Endpoint]] = []
        for routes in others:
            self._routes += routes._routes

    def at(self, method: str, pattern: str) -> Callable[[Endpoint], Endpoint]:
        """Register the decorated endpoint; `{name}` takes one segment of the path."""
        parts = tuple(pattern[1:].split("/"))

        def register(endpoint: Endpoint) -> Endpoint:
            self._routes.append((method, parts, endpoint))
            return endpoint

        return register

    def find(self, method: str, parts: tuple[str, ...]) -> tuple[Endpoint, dict[str, str]]:
        """Return the endpoint and what its names stand for.

        Raises:
            Refusal: 404 where there is no such path, 405 where it has other methods.
        """
        is_path_known = False
        for its_method, pattern, endpoint in self._routes:
            names = _matched(pattern, parts)
            if names is not None and its_method == method:
                return endpoint, names
            is_path_known = is_path_known or names is not None
        raise Refusal(405 if is_path_known else 404, "no such call")


def _matched(pattern: tuple[str, ...], parts: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(parts):
        return None
    names = {}
    for expected, part in zip(pattern, parts, strict=True):
        if expected.startswith("{"):
            names[expected[1:-1]] = part
        elif expected != part:
            return None
    return names
