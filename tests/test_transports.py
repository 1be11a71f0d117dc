"""Whatever carries a request, the same bytes travel, and the same is told of what goes wrong."""

from __future__ import annotations

import base64
import gc
import gzip
import importlib.util
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

import pendosync as ps
from pendosync.transports import Carrier

CARRIERS: tuple[Carrier, ...] = ("httpx", "aiohttp")
PATH = "/api/v1/x/a%2Fb%7E%20%C3%BC%2E%2E"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


@pytest.fixture(params=CARRIERS)
def carrier(request: pytest.FixtureRequest) -> Carrier:
    name: Carrier = request.param
    pytest.importorskip(name)
    return name


class Server:
    """Takes one request after the other on any number of connections, and answers as *answer* says.

    Args:
        answer: gives, for the number of a request from 0 up, the bytes to be sent and whether to hang up after.
    """

    def __init__(self, answer: Callable[[int], tuple[bytes, bool]]) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            while (request := _read_request(connection)) is not None:
                number = len(self.requests)
                self.requests.append(request)
                content, is_last = self._answer(number)
                connection.sendall(content)
                if is_last:
                    return

    def close(self) -> None:
        self._listener.close()


def _read_request(connection: socket.socket) -> bytes | None:
    got = b""
    while b"\r\n\r\n" not in got:
        try:
            more = connection.recv(65536)
        except OSError:
            return None
        if not more:
            return None
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")),
        0,
    )  # fmt: skip
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


@contextmanager
def a_server(*answers: bytes, hangs_up: bool = False) -> Iterator[Server]:
    """A server that gives these answers, the last of them for ever."""
    with closing(Server(lambda number: (answers[min(number, len(answers) - 1)], hangs_up))) as server:
        yield server


def a_client(url: str, carrier: Carrier, **options: Any) -> ps.Client:
    settings = ps.Settings(integration_key="int", app_key="app", api_url=url, data_url=url)
    return ps.open_client(settings, carrier=carrier, **options)


def ask(client: ps.Client, method: str = "POST", path: str = PATH, **options: Any) -> Any:
    options.setdefault("body", b'[{"a":1}]' if method == "POST" else None)
    return client.call(client.request, method, path, retry=False, **options)


def test_the_same_bytes_travel() -> None:
    """Neither adds a header, changes the path, or sends the body otherwise."""
    pytest.importorskip("aiohttp")
    seen = []
    with a_server(OK) as server:
        for carrier in CARRIERS:
            with a_client(server.url, carrier) as client:
                for method in ("GET", "POST"):
                    assert ask(client, method).json() == {}
        seen = [request.partition(b"\r\n\r\n") for request in server.requests]
    heads = [sorted(head.split(b"\r\n")) for head, _, _ in seen]
    bodies = [body for _, _, body in seen]
    assert [sorted(map(bytes.lower, head)) for head in heads[:2]] == [
        sorted(map(bytes.lower, head)) for head in heads[2:]
    ]
    assert bodies == [b"", b'[{"a":1}]'] * 2
    assert seen[0][0].startswith(f"GET {PATH} HTTP/1.1\r\n".encode())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", ps.NoAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", ps.NoAnswerError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", ps.NoAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Le", ps.NoAnswerError),
        (b"not HTTP at all\r\n\r\n", ps.NoAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", ps.AnswerError),
        (b"HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n", ps.AnswerError),
        (b"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n", ps.BrokenError),
    ],
)
def test_what_goes_wrong_after_sending_is_told_alike(
    carrier: Carrier, answer: bytes, kind: type[ps.RemoteError]
) -> None:
    with a_server(answer, hangs_up=True) as server, a_client(server.url, carrier) as client:
        with pytest.raises(ps.RemoteError) as caught:
            ask(client)
        assert type(caught.value) is kind
        assert len(server.requests) == client.n_requests == 1


def test_nothing_was_sent_where_nobody_listens(carrier: Carrier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with a_client(url, carrier) as client, pytest.raises(ps.UnreachableError, match="Nothing was sent"):
        ask(client)


def test_a_server_that_says_nothing_is_waited_for_so_long_and_no_longer(carrier: Carrier) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with a_client(url, carrier, timeout_s=0.3) as client:
            with pytest.raises(ps.NoAnswerError, match="it may or may not be done"):
                ask(client)


@pytest.mark.filterwarnings(
    "ignore:.*unclosed:ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_body_that_nobody_takes_is_given_up(carrier: Carrier) -> None:
    """The rest of it is still to be written when the loop ends, which asyncio calls unclosed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with a_client(url, carrier, timeout_s=0.3) as client, pytest.raises(ps.NoAnswerError):
            ask(client, body=bytes(20_000_000))
    gc.collect()


def test_a_connection_that_was_closed_meanwhile_costs_no_request_that_nobody_counts(carrier: Carrier) -> None:
    """A GET might be sent again without a word: none is."""
    with closing(Server(lambda _: (OK, True))) as server, a_client(server.url, carrier) as client:
        for _ in range(5):
            try:
                ask(client, "GET")
            except ps.NoAnswerError:
                continue
        assert len(server.requests) <= client.n_requests == 5


def test_connections_are_kept_and_as_many_as_are_in_flight(carrier: Carrier) -> None:
    with a_server(OK) as server, a_client(server.url, carrier) as client:
        for _ in range(5):
            ask(client)
        assert server.connections == 1
        assert len(server.requests) == 5


def test_a_large_body_and_a_compressed_answer(carrier: Carrier) -> None:
    packed = gzip.compress(b'{"a":1}')
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    with a_server(head + packed) as server, a_client(server.url, carrier) as client:
        assert ask(client, body=b"x" * 3_000_000).json() == {"a": 1}
        assert server.requests[0].endswith(b"\r\n\r\n" + b"x" * 3_000_000)


def test_no_cookie_is_remembered(carrier: Carrier) -> None:
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 2\r\n\r\n{}"
    with a_server(answer) as server, a_client(server.url, carrier) as client:
        ask(client)
        ask(client)
        assert not any(b"cookie" in request.lower() for request in server.requests)


@pytest.mark.parametrize("status", [407, 503])
def test_a_proxy_is_asked_and_may_refuse(
    carrier: Carrier, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    for name in ("no_proxy", "NO_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with a_server(f"HTTP/1.1 {status} no\r\nContent-Length: 0\r\n\r\n".encode(), hangs_up=True) as server:
        monkeypatch.setenv("https_proxy", server.url.replace("//", "//ann:pr0xy%2Fw0rd@"))
        with a_client("https://pendo.invalid", carrier) as client:
            with pytest.raises(ps.UnreachableError, match=str(status)) as caught:
                ask(client)
            assert "w0rd" not in str(caught.value)
        assert server.requests[0].startswith(b"CONNECT pendo.invalid:443 ")
        assert (
            b"authorization: basic " + base64.b64encode(b"ann:pr0xy/w0rd").lower()
            in server.requests[0].lower()
        )
        assert b"x-pendo" not in server.requests[0].lower()


def test_a_carrier_that_there_is_not_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ps.SettingsError, match="carrier"):
        ps.open_client(ps.Settings(), carrier="curl")  # type: ignore[arg-type]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ps.SettingsError, match=r"Hint: pip install 'pendosync\[fast\]'"):
        ps.open_client(ps.Settings(), carrier="aiohttp")
    with ps.open_client(ps.Settings()) as client:
        assert client.carrier == "httpx"
