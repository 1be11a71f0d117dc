"""What comes from below the client brings no frame, no chain and no request along: they hold keys."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from looks import KEYS, keys_in, looks_of_error

import pendosync as ps
from pendosync.regions import MASK, Pace
from pendosync.throttle import FakeClock

pytestmark = pytest.mark.keys(*KEYS.values())
WEBHOOK = f"/data/segmentio/{MASK}"
PATHS = {"/api/v1/x": "api", WEBHOOK: "data", "/data/track": "data"}
SETTINGS = ps.Settings(region="eu", **KEYS, api_pace=Pace(None, 4), data_pace=Pace(None, 4))


class LostError(Exception):
    """An exception of somebody else's transport that carries the request."""

    def __init__(self, request: httpx.Request) -> None:
        super().__init__(f"lost {request.url} {dict(request.headers)}", request)
        self.request = request
        self.add_note(f"at {request.url}")


class StoppedError(Exception):
    """What a caller raises to stop a request."""


def chained(request: httpx.Request) -> None:
    try:
        raise OSError(f"no route to {request.url}")
    except OSError as error:
        raise httpx.ConnectError(f"all failed for {request.url}", request=request) from error


def grouped(request: httpx.Request) -> None:
    raise ExceptionGroup("two went wrong", [LostError(request), OSError(str(request.url))])


def of_proxy(request: httpx.Request) -> None:
    raise httpx.ProxyError(f"403 for CONNECT {request.url}", request=request)


def of_another_library(request: httpx.Request) -> None:
    headers = request.headers.raw
    raise RuntimeError(f"can't send {headers}")


def carrying(request: httpx.Request) -> None:
    raise LostError(request)


def cancelled(request: httpx.Request) -> None:
    try:
        raise LostError(request)
    except LostError:
        raise asyncio.CancelledError(str(request.method)) from None


def of_status(request: httpx.Request) -> None:
    httpx.Response(500, request=request).raise_for_status()


WAYS: dict[str, Callable[[httpx.Request], None]] = {
    way.__name__: way
    for way in (chained, grouped, of_proxy, of_another_library, carrying, cancelled, of_status)
}


class FailingStream(httpx.AsyncByteStream):
    def __init__(self, request: httpx.Request, fail: Callable[[httpx.Request], None]) -> None:
        self._request, self._fail = request, fail

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        self._fail(self._request)


class FailingTransport(httpx.AsyncBaseTransport):
    """Fails in its own way: when it is asked, or in the middle of the body."""

    def __init__(self, fail: Callable[[httpx.Request], None], *, in_body: bool) -> None:
        self._fail, self._in_body = fail, in_body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        kept = request.url.raw_path, request.headers.raw  # what a local of any library holds
        if not self._in_body:
            self._fail(request)
        return httpx.Response(200, stream=FailingStream(request, self._fail), extensions={"kept": kept})


def failure(transport: httpx.AsyncBaseTransport, path: str, **options: Any) -> BaseException:
    with ps.open_client(SETTINGS, transport=transport, clock=FakeClock()) as client:
        try:
            client.call(client.request, "POST", path, host=PATHS[path], body=b"{}", **options)
        except BaseException as error:
            return error
    raise AssertionError("it did not fail")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("in_body", [False, True], ids=["asked", "in the body"])
@pytest.mark.parametrize("way", WAYS)
def test_an_error_from_below_shows_no_key(way: str, in_body: bool, path: str) -> None:
    error = failure(FailingTransport(WAYS[way], in_body=in_body), path)
    assert keys_in("\n".join(looks_of_error(error))) == []
    assert isinstance(error, ps.ClientError if way == "cancelled" else ps.RemoteError)
    assert error.__cause__ is None
    assert error.__context__ is None or way == "cancelled"
    assert keys_in(pickle.dumps(error).decode("latin-1")) == []


@pytest.mark.parametrize("path", PATHS)
def test_an_error_that_httpx_does_not_know_leaves_the_outcome_unknown(path: str) -> None:
    error = failure(FailingTransport(of_another_library, in_body=False), path)
    assert type(error) is ps.NoAnswerError
    assert "RuntimeError: can't send" in str(error)
    assert "it may or may not be done" in str(error)
    assert "Hint:" in str(error)


@pytest.mark.parametrize("path", PATHS)
def test_what_stops_a_request_comes_up_as_it_was_raised(path: str) -> None:
    async def stop(number: int) -> None:
        try:
            raise OSError("disk full")
        except OSError as error:
            raise StoppedError(number) from error

    error = failure(FailingTransport(carrying, in_body=False), path, on_try=stop)
    assert type(error) is StoppedError
    assert isinstance(error.__cause__, OSError)
    looks = "\n".join(looks_of_error(error))
    assert keys_in(looks) == []
    assert "raise StoppedError(number) from error" in looks, "its own frames stay"
    assert "throttle.py" not in looks


def test_a_cancelled_request_brings_no_frame_along() -> None:
    caught: list[BaseException] = []

    class Stalling(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(60)
            raise AssertionError(request)

    async def ask(client: ps.Client) -> None:
        asked = asyncio.create_task(client.request("POST", WEBHOOK, host="data", body=b"{}"))
        await asyncio.sleep(0.01)
        asked.cancel()
        try:
            await asked
        except asyncio.CancelledError as error:
            caught.append(error)

    with ps.open_client(SETTINGS, transport=Stalling()) as client:
        client.call(ask, client)
    assert keys_in("\n".join(looks_of_error(caught[0]))) == []


@pytest.mark.parametrize("path", PATHS)
def test_a_path_that_is_too_long_shows_no_key(path: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    PATHS[long := path + "/x" * 40_000] = PATHS[path]
    error = failure(transport, long)
    del PATHS[long]
    assert isinstance(error, ps.RefusedError)
    assert keys_in("\n".join(looks_of_error(error))) == []


@pytest.mark.parametrize("path", PATHS)
def test_the_request_that_travels_shows_no_key(path: str) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200)

    with ps.open_client(SETTINGS, transport=httpx.MockTransport(answer)) as client:
        client.call(client.request, "POST", path, host=PATHS[path], body=b"{}")
    (request,) = seen
    assert keys_in(f"{request.url} {request.headers.raw}"), "it does hold one"
    assert keys_in(f"{request!r} {request} {request.url!r} {request.headers!r} {request.headers}") == []
