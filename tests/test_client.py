"""The way to Pendo: what is sent, what comes of it, and what nobody ever sees."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import os
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from pendosync.client import ERROR_OF, Answer, Client, _error_of, _proxy_of, open_client
from pendosync.errors import (
    AnswerError,
    BrokenError,
    BusyError,
    ClientError,
    KeyRefusedError,
    NoAnswerError,
    PendosyncError,
    RefusedError,
    RemoteError,
    SettingsError,
    UnreachableError,
)
from pendosync.pacing import Pacing
from pendosync.regions import MASK, MOST_AT_ONCE, Pace
from pendosync.retries import Retry
from pendosync.sandbox import Sandbox
from pendosync.settings import Settings
from pendosync.throttle import FakeClock
from pendosync.transports import Carrier

KEYS = {"integration_key": "int3gration-key", "app_key": "app/k3y+?", "track_secret": "tr4ck-secret"}
SHAPES = [*KEYS.values(), "app%2Fk3y%2B%3F"]
ONCE = Retry(attempts=1)
WEBHOOK = f"/data/segmentio/{MASK}"
pytestmark = pytest.mark.keys(*KEYS.values())


def settings(**options: Any) -> Settings:
    return Settings(
        **{"region": "eu", "api_pace": Pace(None, 4), "data_pace": Pace(None, 4), **KEYS, **options}
    )


Respond = Callable[[httpx.Request], httpx.Response]


@contextmanager
def a_client(respond: Respond | httpx.Response, **options: Any) -> Iterator[Client]:
    """A client of a Pendo that answers as told, without a network."""
    answer = respond if callable(respond) else lambda _: respond
    transport = httpx.MockTransport(answer)
    with open_client(settings(), **{"transport": transport, "clock": FakeClock(), **options}) as client:
        yield client


def ask(client: Client, method: str = "GET", path: str = "/api/v1/x", **options: Any) -> Answer:
    return client.call(client.request, method, path, **options)


def three_beats(error: BaseException) -> bool:
    text = str(error)
    return text.index("Expected") < text.index("Hint:") and text.endswith((".", ")"))


@contextmanager
def a_server(answer: Callable[[bytes], bytes]) -> Iterator[str]:
    """A server that says what *answer* makes of the first bytes it gets, whether or not it is HTTP."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                connection.sendall(answer(connection.recv(65536)))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


# --- what is sent


def test_each_host_gets_its_own_secret_and_address() -> None:
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    with a_client(respond) as client:
        ask(client, "GET", "/api/v1/token/verify")
        ask(client, "POST", WEBHOOK, host="data", body=b'{"a":1}')
        ask(client, "POST", "/data/track", host="data", body=b"{}")
    api, webhook, track = seen
    assert str(api.url) == "https://app.eu.pendo.io/api/v1/token/verify"
    assert api.headers["x-pendo-integration-key"] == KEYS["integration_key"]
    assert str(webhook.url) == "https://data.eu.pendo.io/data/segmentio/app%2Fk3y%2B%3F"
    assert "x-pendo-integration-key" not in webhook.headers
    assert (webhook.content, webhook.headers["content-type"]) == (b'{"a":1}', "application/json")
    assert track.headers["x-pendo-integration-key"] == KEYS["track_secret"]
    assert api.headers["user-agent"].startswith("pendosync/")


@pytest.mark.parametrize(
    ("secret", "path", "host"),
    [
        ("integration_key", "/api/v1/x", "api"),
        ("app_key", WEBHOOK, "data"),
        ("track_secret", "/data/track", "data"),
    ],
)
def test_a_missing_secret_is_told_before_anything_is_sent(secret: str, path: str, host: str) -> None:
    tries: list[int] = []
    with open_client(settings(**{secret: None}), transport=httpx.MockTransport(lambda _: 1 / 0)) as client:  # type: ignore[arg-type, return-value]
        with pytest.raises(SettingsError, match=r"none is set.*Hint: put PENDO_"):
            ask(client, path=path, host=host, on_try=noting(tries))
        assert (tries, client.n_requests) == ([], 0)


@pytest.mark.parametrize("name", ["a%2Fb", "%2E%2E", "%C3%BC%20x", "100%25", "%2A%2A%2A"])
def test_a_quoted_path_travels_as_it_is(sandbox: Sandbox, client: Client, name: str) -> None:
    with pytest.raises(RefusedError):
        ask(client, path=f"/api/v1/nowhere/{name}")
    assert [one["path"] for one in sandbox.requests()] == [f"/api/v1/nowhere/{name}"]


def test_a_client_shows_where_it_goes_and_no_key() -> None:
    with a_client(httpx.Response(200)) as client:
        assert repr(client) == "Client(eu (app.eu.pendo.io))"
        assert client.target == client.settings.target
    assert repr(client) == "Client(eu (app.eu.pendo.io), closed)"


def test_this_machine_is_reached_past_any_proxy(
    sandbox: Sandbox, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, closed_port())
        monkeypatch.setenv(name.lower(), closed_port())
    assert ask(client, path="/api/v1/token/verify").status == 200


def test_the_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert _proxy_of("https://app.pendo.io") is None
    monkeypatch.setenv("https_proxy", "proxy.corp:3128")
    assert _proxy_of("https://app.pendo.io") == "http://proxy.corp:3128"
    monkeypatch.setenv("no_proxy", "pendo.io")
    assert _proxy_of("https://app.pendo.io") is None


def test_an_unusable_environment_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    certificates = tmp_path / "certificates.pem"
    certificates.write_text("none")
    for name, value in (
        ("SSL_CERT_FILE", str(certificates)),
        ("https_proxy", "ftp://user:passw0rd@proxy.corp"),
    ):
        with monkeypatch.context() as patch:
            for unset in ("no_proxy", "NO_PROXY"):
                patch.delenv(unset, raising=False)
            patch.setenv(name, value)
            with open_client(settings(api_url="https://pendo.invalid")) as client:
                with pytest.raises(SettingsError, match=r"for pendo\.invalid") as caught:
                    ask(client)
        assert three_beats(caught.value)
        assert "passw0rd" not in str(caught.value)


def test_a_pendo_on_this_machine_needs_no_certificates(sandbox, tmp_path: Path, monkeypatch) -> None:
    certificates = tmp_path / "certificates.pem"
    certificates.write_text("none")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates))
    with open_client(sandbox.settings) as client:
        assert ask(client, path="/api/v1/token/verify").status == 200


# --- what comes of it


def test_an_answer_holds_the_bytes_and_shows_none_of_them() -> None:
    with a_client(httpx.Response(201, content=b'{"a": 1}')) as client:
        answer = ask(client)
    assert (answer.status, answer.body, answer.json()) == (201, b'{"a": 1}', {"a": 1})
    assert repr(answer) == "Answer(status=201, method='GET', path='/api/v1/x')"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff", b"NaN", b"[" * 100_000])
def test_an_answer_that_is_no_json_is_told(body: bytes) -> None:
    with a_client(httpx.Response(200, content=body)) as client, pytest.raises(AnswerError) as caught:
        ask(client).json()
    assert three_beats(caught.value)
    assert (caught.value.method, caught.value.path, caught.value.status) == ("GET", "/api/v1/x", 200)


STATUSES: dict[int, type[RemoteError]] = {
    400: RefusedError, 401: RefusedError, 403: RefusedError, 404: RefusedError, 405: RefusedError,
    408: BusyError, 409: BusyError, 413: RefusedError, 422: RefusedError, 425: BusyError, 429: BusyError,
    500: BrokenError, 502: BrokenError, 503: BrokenError, 504: BrokenError,
    300: AnswerError, 302: AnswerError, 304: AnswerError, 307: AnswerError, 101: AnswerError,
}  # fmt: skip


@pytest.mark.parametrize(("status", "kind"), STATUSES.items())
def test_each_status_has_its_error(status: int, kind: type[RemoteError]) -> None:
    answers = iter([httpx.Response(200), httpx.Response(status, text="why\n not")])
    with a_client(lambda _: next(answers), retry=ONCE) as client:
        ask(client)
        with pytest.raises(RemoteError) as caught:
            ask(client, "POST", "/api/v1/y")
    error = caught.value
    assert type(error) is kind
    assert (error.method, error.path, error.status) == ("POST", "/api/v1/y", status)
    assert three_beats(error)
    assert kind is AnswerError or "why not" in str(error)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_first_call_that_is_refused_means_key_or_region(status: int) -> None:
    with a_client(httpx.Response(status)) as client, pytest.raises(KeyRefusedError) as caught:
        ask(client)
    assert all(word in str(caught.value) for word in ("key or region", "'eu'", "integration key", "Hint:"))


def test_each_host_has_a_first_call_of_its_own() -> None:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(403 if request.method == "POST" else 200)

    with a_client(respond) as client:
        ask(client)
        with pytest.raises(RefusedError) as later:
            ask(client, "POST")
        assert type(later.value) is RefusedError
        with pytest.raises(KeyRefusedError, match="app API key"):
            ask(client, "POST", WEBHOOK, host="data")


def test_a_key_whose_ending_names_another_region_is_recognised() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(403))
    with open_client(Settings(integration_key="abcdef.eu"), transport=transport) as client:
        with pytest.raises(KeyRefusedError, match=r"Hint: its ending names region 'eu'") as caught:
            ask(client)
    assert "abcdef" not in str(caught.value)


def test_a_redirect_is_never_followed() -> None:
    seen: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.host)
        return httpx.Response(302, headers={"Location": f"https://evil.example/{KEYS['app_key']}?x"})

    with (
        a_client(respond) as client,
        pytest.raises(AnswerError, match=r"a redirect to evil\.example;") as caught,
    ):
        ask(client, "POST", WEBHOOK, host="data")
    assert seen == ["data.eu.pendo.io"]
    assert KEYS["app_key"] not in str(caught.value)


def test_a_long_body_is_cut_and_an_echoed_key_is_masked() -> None:
    echo = f"{'x' * 190}{KEYS['integration_key']} app%2Fk3y%2B%3F {'y' * 5000}"
    with a_client(httpx.Response(422, text=echo)) as client, pytest.raises(RefusedError) as caught:
        ask(client)
    assert f"{'x' * 190}{MASK}" in str(caught.value)
    assert len(str(caught.value)) < 500


# --- httpx's errors


def exceptions_of_httpx() -> list[type[Exception]]:
    public = (getattr(httpx, name) for name in httpx.__all__)
    return [one for one in public if isinstance(one, type) and issubclass(one, Exception)]


PLACES: dict[str, type[RemoteError]] = {
    "ConnectError": UnreachableError, "ConnectTimeout": UnreachableError, "PoolTimeout": UnreachableError,
    "ProxyError": UnreachableError, "UnsupportedProtocol": UnreachableError,
    "CloseError": NoAnswerError, "HTTPError": NoAnswerError, "LocalProtocolError": NoAnswerError,
    "NetworkError": NoAnswerError, "ProtocolError": NoAnswerError, "ReadError": NoAnswerError,
    "ReadTimeout": NoAnswerError, "RemoteProtocolError": NoAnswerError, "RequestError": NoAnswerError,
    "RequestNotRead": NoAnswerError, "ResponseNotRead": NoAnswerError, "StreamClosed": NoAnswerError,
    "StreamConsumed": NoAnswerError, "StreamError": NoAnswerError, "TimeoutException": NoAnswerError,
    "TransportError": NoAnswerError, "WriteError": NoAnswerError, "WriteTimeout": NoAnswerError,
    "CookieConflict": AnswerError, "DecodingError": AnswerError, "HTTPStatusError": AnswerError,
    "TooManyRedirects": AnswerError,
    "InvalidURL": RefusedError,
}  # fmt: skip


def test_every_exception_of_httpx_has_a_place() -> None:
    assert {one.__name__: _error_of(one.__new__(one)) for one in exceptions_of_httpx()} == PLACES
    assert [one for one in ERROR_OF if one.__module__ != "httpx"] == [Exception]


@pytest.mark.parametrize("kind", exceptions_of_httpx(), ids=lambda kind: kind.__name__)
def test_every_exception_of_httpx_becomes_ours(kind: type[Exception]) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        error = kind.__new__(kind)
        Exception.__init__(error, f"something at {KEYS['integration_key']}")
        raise error

    with a_client(fail, retry=ONCE) as client, pytest.raises(RemoteError) as caught:
        ask(client)
    assert type(caught.value) is PLACES[kind.__name__]
    assert three_beats(caught.value)
    assert kind.__name__ in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_an_unreachable_host_is_told() -> None:
    with open_client(settings(api_url=closed_port()), retry=ONCE) as client:
        with pytest.raises(UnreachableError, match="Nothing was sent") as caught:
            ask(client)
    assert three_beats(caught.value)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b"", NoAnswerError),
        (b"220 smtp.example ESMTP\r\n", NoAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", NoAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", AnswerError),
    ],
)
def test_a_broken_answer_is_told(said: bytes, kind: type[RemoteError]) -> None:
    with a_server(lambda _: said) as url, open_client(settings(api_url=url), retry=ONCE) as client:
        with pytest.raises(kind) as caught:
            ask(client)
    assert type(caught.value) is kind


def test_a_late_answer_is_unknown(sandbox: Sandbox) -> None:
    sandbox.misbehave("latency", seconds=2)
    with open_client(sandbox.settings, timeout_s=0.2, retry=ONCE) as client:
        with pytest.raises(NoAnswerError, match="may or may not be done"):
            ask(client, path="/api/v1/token/verify")


@pytest.mark.parametrize("when", ["before", "after", "mid_body"])
def test_a_cut_connection_is_tried_again(sandbox: Sandbox, client: Client, when: str) -> None:
    sandbox.misbehave("cut", when=when)
    assert ask(client, path="/api/v1/token/verify").json()["valid"] is True
    assert client.n_requests == len(sandbox.requests()) == 2


# --- trying again


def noting(tries: list[int]) -> Callable[[int], Awaitable[None]]:
    """Return what notes the number of each try."""

    async def note(number: int) -> None:
        tries.append(number)

    return note


def failing(times: int, status: int = 503, **headers: str) -> tuple[Respond, list[float], FakeClock]:
    """A Pendo that fails so many times, the times of its requests, and their clock."""
    clock, at = FakeClock(), list[float]()

    def respond(_: httpx.Request) -> httpx.Response:
        at.append(clock.now())
        return httpx.Response(status if len(at) <= times else 200, headers=headers)

    return respond, at, clock


def test_a_retryable_error_is_tried_again_and_each_try_is_counted() -> None:
    respond, at, clock = failing(3)
    tries: list[int] = []
    with a_client(respond, clock=clock) as client:
        assert ask(client, on_try=noting(tries)).status == 200
        assert (tries, client.n_requests, len(at)) == ([1, 2, 3, 4], 4, 4)


def test_the_last_error_comes_after_all_tries() -> None:
    respond, at, clock = failing(99)
    with a_client(respond, clock=clock) as client, pytest.raises(BrokenError, match="after 5 tries"):
        ask(client)
    assert len(at) == 5
    waits = [later - earlier for earlier, later in pairwise(at)]
    assert all(wait <= most + 0.01 for wait, most in zip(waits, [0.5, 1, 2, 4], strict=True))


@pytest.mark.parametrize("options", [{"retry": False}, {}])
def test_what_is_not_to_be_tried_again_is_not(options: dict[str, Any]) -> None:
    respond, at, clock = failing(99, 503 if options else 404)
    with a_client(respond, clock=clock) as client, pytest.raises(RemoteError):
        ask(client, **options)
    assert len(at) == 1


def test_retry_after_is_waited_for() -> None:
    respond, at, clock = failing(1, 429, **{"Retry-After": "40"})
    with a_client(respond, clock=clock) as client:
        ask(client)
    assert 40 <= at[1] - at[0] < 40.6


def test_a_retry_after_beyond_the_total_ends_the_tries() -> None:
    respond, at, clock = failing(1, 429, **{"Retry-After": "999"})
    with a_client(respond, clock=clock) as client, pytest.raises(BusyError) as caught:
        ask(client)
    assert (len(at), caught.value.retry_after_s) == (1, 300)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503])
def test_retry_after_holds_back_the_retry(status: int) -> None:
    respond, at, clock = failing(2, status, **{"Retry-After": "20"})
    with a_client(respond, clock=clock) as client:
        ask(client)
    assert all(20 <= later - earlier < 21.1 for earlier, later in pairwise(at))
    assert len(at) == 3


@pytest.mark.parametrize("absurd", ["never", "-5", "1e12", "", "Thu, 01 Jan 1970 00:00:00 GMT", "nan"])
def test_an_absurd_retry_after_is_none(absurd: str) -> None:
    respond, at, clock = failing(1, 429, **{"Retry-After": absurd})
    with a_client(respond, clock=clock) as client:
        ask(client)
    assert at[1] - at[0] < 1


@pytest.mark.parametrize(
    ("absurd", "when"),
    [
        ("1000000000000", "in more than a day"),
        ("Sat, 01 Jan 2400 00:00:00 GMT", "in more than a day"),
        ("999", "in 17 min"),
        ("130", "in 2 min"),
    ],
)
def test_who_is_told_to_come_back_later_than_it_waits_gives_up_at_once(absurd: str, when: str) -> None:
    respond, at, clock = failing(9, 429, **{"Retry-After": absurd})
    with a_client(respond, clock=clock) as client, pytest.raises(BusyError) as caught:
        ask(client)
    assert (len(at), clock.now()) == (1, 0)
    assert f"and asks to come back {when}" in str(caught.value)
    assert f"Hint: come back {when}; " in str(caught.value)
    assert three_beats(caught.value)


@pytest.mark.parametrize(
    "retry", [Retry(attempts=99), Retry(attempts=99, total_s=20), Retry(attempts=3, total_s=1e9)]
)
@pytest.mark.parametrize("headers", [{}, {"Retry-After": "7"}])
def test_neither_the_tries_nor_the_time_is_overrun(retry: Retry, headers: dict[str, str]) -> None:
    respond, at, clock = failing(999, 503, **headers)
    with a_client(respond, clock=clock, retry=retry) as client, pytest.raises(BrokenError):
        ask(client)
    assert len(at) <= retry.attempts
    assert at[-1] - at[0] <= retry.total_s
    assert len(at) == retry.attempts or at[-1] - at[0] > retry.total_s - retry.cap_s - 7


@pytest.mark.parametrize("calls_before", [0, 1])
def test_which_statuses_are_tried_again(calls_before: int) -> None:
    tries = dict.fromkeys(range(400, 600), 0)
    for status in tries:
        respond, at, clock = failing(calls_before + 9, status)
        answers: list[Respond] = [lambda _: httpx.Response(200)] * calls_before
        with a_client(
            lambda request, left=answers, then=respond: (left.pop() if left else then)(request), clock=clock
        ) as client:
            for _ in range(calls_before):
                ask(client)
            with pytest.raises(RemoteError):
                ask(client, "POST")
        tries[status] = len(at)
    again = {status for status, n in tries.items() if n > 1}
    assert again == {408, 409, 425, 429, *range(500, 600)}
    assert set(tries.values()) == {1, Retry().attempts}


def test_a_try_that_is_stopped_sends_nothing() -> None:
    class StopError(Exception):
        pass

    async def stop(number: int) -> None:
        if number == 2:
            raise StopError

    respond, at, clock = failing(99)
    with a_client(respond, clock=clock) as client, pytest.raises(StopError):
        ask(client, on_try=stop)
    assert len(at) == 1


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ([httpx.ReadTimeout, httpx.ConnectError], NoAnswerError),
        ([httpx.ReadTimeout, 429], NoAnswerError),
        ([503, httpx.ConnectError], BrokenError),
        ([408, 429], BusyError),
        ([httpx.ConnectError, httpx.ReadTimeout], NoAnswerError),
        ([httpx.ReadTimeout, 503], BrokenError),
        ([429, httpx.ConnectError], UnreachableError),
        ([httpx.ReadTimeout, 404], RefusedError),
    ],
)
def test_an_earlier_try_that_may_be_done_is_not_forgotten(
    told: list[int | type[httpx.TransportError]], kind: type[RemoteError]
) -> None:
    left = list(told)

    def respond(_: httpx.Request) -> httpx.Response:
        now = left.pop(0)
        if isinstance(now, int):
            return httpx.Response(now)
        raise now("gone")

    with a_client(respond, retry=Retry(attempts=2)) as client, pytest.raises(RemoteError) as caught:
        ask(client, "POST")
    assert type(caught.value) is kind
    assert kind is not BusyError or caught.value.status == 408


@pytest.mark.parametrize(
    ("told", "in_doubt"),
    [
        ([404], False),
        ([429, 400], False),
        ([httpx.ConnectError, 403], False),
        ([httpx.ReadTimeout, 400], True),
        ([503, 403], True),
        ([302], True),
        ([httpx.DecodingError], True),
    ],
)
def test_an_error_tells_whether_a_try_may_have_been_carried_out(
    told: list[int | type[Exception]], in_doubt: bool
) -> None:
    left = list(told)

    def respond(_: httpx.Request) -> httpx.Response:
        now = left.pop(0)
        if isinstance(now, int):
            return httpx.Response(now)
        raise now("gone")

    with a_client(respond) as client, pytest.raises(RemoteError) as caught:
        ask(client, "POST")
    assert caught.value.in_doubt is in_doubt
    assert left == []


def test_tries_count_against_the_pace() -> None:
    respond, at, clock = failing(2)
    with open_client(
        settings(api_pace=Pace(2, 1)), clock=clock, transport=httpx.MockTransport(respond),
        retry=Retry(base_s=0),
    ) as client:  # fmt: skip
        ask(client)
    assert [round(one, 1) for one in at] == [0, 0.5, 1.0]


def test_clients_of_one_key_share_the_pace() -> None:
    respond, at, clock = failing(0)
    shared = {"clock": clock, "transport": httpx.MockTransport(respond)}
    paced = settings(api_pace=Pace(2, 1))
    with open_client(paced, **shared) as one, open_client(paced, **shared) as other:  # type: ignore[arg-type]
        for client in (one, other, one, other):
            ask(client)
    assert [round(one, 1) for one in at] == [0, 0.5, 1.0, 1.5]


def test_rows_count_against_the_pace() -> None:
    respond, at, clock = failing(1, 503)
    with open_client(
        settings(api_pace=Pace(None, None, 1000)), clock=clock, transport=httpx.MockTransport(respond),
        retry=Retry(base_s=0),
    ) as client:  # fmt: skip
        for rows in (1000, 500, 500, 0, 100):
            ask(client, rows=rows)
    assert [round(one, 1) for one in at] == [0, 1.0, 2.0, 2.5, 2.5, 3.0]


def test_where_the_pace_sets_no_limit_the_connections_do() -> None:
    clock, in_flight, most = FakeClock(), 0, 0

    class Slow(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            nonlocal in_flight, most
            in_flight += 1
            most = max(most, in_flight)
            await clock.sleep(1)
            in_flight -= 1
            return httpx.Response(200)

    with open_client(settings(api_pace=Pace(None, None)), clock=clock, transport=Slow()) as client:
        client.call_each(lambda _: client.request("GET", "/api/v1/x"), range(250))
    assert most == MOST_AT_ONCE


def test_pacing_is_told_from_any_thread_for_all_who_share_it() -> None:
    respond, _, clock = failing(1, 429, **{"Retry-After": "30"})
    shared = {"clock": clock, "transport": httpx.MockTransport(respond), "retry": ONCE}
    paced = settings(api_pace=Pace(5, 2), data_pace=Pace(None, None))
    with open_client(paced, **shared) as one, open_client(paced, **shared) as other:  # type: ignore[arg-type]
        assert other.pacing() == Pacing(5, 5, pause_s=0, in_flight=0)
        with pytest.raises(BusyError):
            ask(one)
        assert other.pacing("api") == Pacing(2.5, 5, pause_s=30, in_flight=0)
        assert other.pacing().note == "held back by Pendo for 30 s, rate 2.5 of 5 a second"
        assert other.pacing("data") == Pacing(None, None, pause_s=0, in_flight=0)
        assert other.n_requests == 0


def test_a_rate_limit_is_kept_after_one_refusal(sandbox: Sandbox) -> None:
    sandbox.misbehave("status", status=429, retry_after=0.4, times=1)
    with open_client(sandbox.settings) as client:
        client.call_each(lambda _: client.request("GET", "/api/v1/token/verify"), range(6))
    came = [(one["status"], one["at_s"]) for one in sandbox.requests()]
    refused_at = min(at for status, at in came if status == 429)
    assert [status for status, _ in came].count(429) == 1
    assert max(at for _, at in came) >= refused_at + 0.4


def test_no_time_is_no_time_out() -> None:
    with pytest.raises(SettingsError):
        open_client(settings(), timeout_s=0)


# --- the thread


async def number(value: int) -> int:
    await asyncio.sleep(0)
    return value


def test_call_runs_on_the_clients_thread_and_returns() -> None:
    async def here() -> str:
        return threading.current_thread().name

    with a_client(httpx.Response(200)) as client:
        assert client.call(here) == "pendosync-client"
        assert client.start(number(3)).result(5) == 3
        assert client.call_each(number, [3, 1, 2]) == [3, 1, 2]


def test_call_works_while_a_loop_runs_here() -> None:
    async def cell(client: Client) -> Answer:
        return ask(client)

    with a_client(httpx.Response(200)) as client:
        assert asyncio.run(cell(client)).status == 200


def test_the_first_error_of_many_ends_the_others() -> None:
    ended: list[int] = []

    async def work(value: int) -> None:
        if value == 1:
            raise KeyError(value)
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            ended.append(value)
            raise

    with a_client(httpx.Response(200)) as client, pytest.raises(KeyError):
        client.call_each(work, range(3))
    assert sorted(ended) == [0, 2]


def test_a_client_that_would_wait_for_itself_says_so() -> None:
    with a_client(httpx.Response(200)) as client:

        async def inner(function: Callable[[], object]) -> None:
            function()

        for function in (lambda: client.call(number, 1), client.close):
            with pytest.raises(ClientError, match=r"own thread.*Hint:"):
                client.call(inner, function)
        assert client.call(number, 1) == 1


def test_a_closed_client_says_so() -> None:
    with a_client(httpx.Response(200)) as client:
        ask(client)
    client.close()
    with pytest.raises(ClientError, match=r"closed.*Hint: client = open_client"):
        ask(client)
    assert isinstance(ClientError(""), RuntimeError)


def test_closing_cancels_what_is_under_way() -> None:
    ended = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with a_client(httpx.Response(200)) as client:
        future = client.start(forever())
        waiting = concurrent.futures.ThreadPoolExecutor(1)
        called = waiting.submit(client.call, asyncio.sleep, 60)
        while not called.running():
            pass
        client.call(number, 1)
    assert ended.wait(5)
    assert future.cancelled()
    with pytest.raises(ClientError):
        called.result(5)
    waiting.shutdown()


def test_interrupting_a_call_cancels_it() -> None:
    script = f"""
import _thread, asyncio, threading
from pendosync.client import open_client
from pendosync.settings import Settings
ended = []
async def forever():
    threading.Timer(0.2, _thread.interrupt_main).start()
    try: await asyncio.sleep(60)
    finally: ended.append({1})
client = open_client(Settings())
try: client.call(forever)
except KeyboardInterrupt: client.close()
assert ended == [1]
"""
    assert run_python(script) == ""


def run_python(script: str) -> str:
    """Run *script* in a process of its own and return what it complained of."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.stderr + ("" if done.returncode == 0 else f"\nexit {done.returncode}")


def test_a_client_that_nobody_closes_leaves_quietly() -> None:
    script = """
import httpx
from pendosync.client import open_client
from pendosync.settings import Settings
client = open_client(Settings(integration_key="k"), transport=httpx.MockTransport(lambda _: httpx.Response(200)))
assert client.call(client.request, "GET", "/").status == 200
"""
    assert run_python(script) == ""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_client_says_so() -> None:
    script = """
import os, warnings, httpx
from pendosync.client import open_client
from pendosync.errors import ClientError
from pendosync.settings import Settings
warnings.simplefilter("ignore")
with open_client(Settings(integration_key="k"), transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
    client.call(client.request, "GET", "/")
    pid = os.fork()
    if not pid:
        try: client.call(client.request, "GET", "/")
        except ClientError as error: os._exit(0 if "another process" in str(error) else 2)
        os._exit(3)
    code = os.waitpid(pid, 0)[1]
    client.call(client.request, "GET", "/")
raise SystemExit(code)
"""
    assert run_python(script) == ""


def test_a_client_that_is_gone_leaves_no_thread() -> None:
    before = set(threading.enumerate())
    client = open_client(settings(), transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    ask(client)
    assert set(threading.enumerate()) > before
    del client
    gc.collect()
    assert set(threading.enumerate()) <= before
    assert logging.getLogger("httpx").filters == []


# --- what nobody ever sees


def seen_of_failure(client: Client, path: str, host: str) -> str:
    """All that a failed call could show, the local variables of each frame included."""
    try:
        ask(client, "POST", path, host=host, body=b"x").json()
    except PendosyncError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "\n".join([*shown.format(), repr(error), repr(vars(error)), repr(client)])
    raise AssertionError(f"{path} did not fail")


def failures() -> Iterator[Settings]:
    """Settings with which each request fails in a way of its own; servers that echo what they got among them."""
    yield settings(api_url=closed_port(), data_url=(port := closed_port()))
    del port
    echoes: list[Callable[[bytes], bytes]] = [
        lambda got: got,
        lambda got: b"HTTP/1.1 200 " + got,
        lambda got: b"HTTP/1.1 500 no\r\nX-Echo: " + got.replace(b"\r\n", b" ") + b"\r\n\r\n" + got,
        lambda got: b"HTTP/1.1 403 no\r\n\r\n" + got,
        lambda got: b"HTTP/1.1 404 no\r\nX-Echo: " + got.split()[1] + b"\r\n\r\n" + got,
        lambda got: b"HTTP/1.1 302 no\r\nLocation: http://127.0.0.1:1" + got.split()[1] + b"\r\n\r\n",
        lambda got: b"HTTP/1.1 307 no\r\nLocation: http://[" + got.split()[1] + b"\r\n\r\n",
        lambda got: b"HTTP/1.1 200 OK\r\n\r\n" + got,
        lambda got: b"",
    ]
    for echo in echoes:
        with a_server(echo) as url:
            yield settings(api_url=url, data_url=url)


@pytest.mark.parametrize("carrier", ["httpx", "aiohttp"])
def test_no_key_shows_in_logs_tracebacks_or_output(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], carrier: Carrier
) -> None:
    pytest.importorskip(carrier)
    caplog.set_level(logging.DEBUG)
    texts: list[str] = []
    for failing_settings in failures():
        with open_client(
            failing_settings, retry=Retry(attempts=2, base_s=0), timeout_s=5, carrier=carrier
        ) as client:
            for path, host in (("/api/v1/x", "api"), (WEBHOOK, "data"), ("/data/track", "data")):
                texts.append(seen_of_failure(client, path, host))
    out, err = capfd.readouterr()
    logged = [f"{record.getMessage()} {record.args}" for record in caplog.records]
    assert carrier == "aiohttp" or any("httpcore" in record.name for record in caplog.records)
    assert any(WEBHOOK in line for line in logged), "each request is logged"
    shown = "\n".join([*texts, *logged, out, err])
    assert [key for key in SHAPES if key in shown] == []
