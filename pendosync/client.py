"""The way to Pendo: a client with a thread and an event loop of its own, which keeps the secrets to itself."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from importlib.metadata import version
from types import MappingProxyType, TracebackType
from typing import Any, Final, ParamSpec, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from weakref import finalize

import httpx

from pendosync.auth import SECRET, AuthTransport, Mask, fingerprint_of
from pendosync.errors import (
    AnswerError,
    BrokenError,
    NoAnswerError,
    PendosyncError,
    RefusedError,
    RemoteError,
    SettingsError,
    UnreachableError,
)
from pendosync.loops import LoopThread, closed_error
from pendosync.pacing import Pacing
from pendosync.refusals import Ask, Host, key_refused, no_answer, quoted, redirected, refused
from pendosync.regions import REGIONS, Target
from pendosync.retries import Retry, asked_wait_s
from pendosync.settings import Settings
from pendosync.throttle import ON_START, ROWS, Clock, RealClock, Throttle, ThrottledTransport, throttle_for
from pendosync.transports import AiohttpTransport, Carrier, SpreadTransport, ensure_carrier

A = TypeVar("A")
P = ParamSpec("P")
T = TypeVar("T")

TIMEOUT_S: Final = 300.0
"""How long an answer may take. Source: Pendo ends a bulk write or an aggregation after five minutes (read 2026-11-23)."""

ERROR_OF: Final[AbstractMapping[type[Exception], type[RemoteError]]] = MappingProxyType(
    {
        httpx.ConnectError: UnreachableError,
        httpx.ConnectTimeout: UnreachableError,
        httpx.PoolTimeout: UnreachableError,
        httpx.ProxyError: UnreachableError,
        httpx.UnsupportedProtocol: UnreachableError,
        httpx.HTTPError: NoAnswerError,
        httpx.StreamError: NoAnswerError,
        httpx.DecodingError: AnswerError,
        httpx.TooManyRedirects: AnswerError,
        httpx.HTTPStatusError: AnswerError,
        httpx.CookieConflict: AnswerError,
        httpx.InvalidURL: RefusedError,
        Exception: NoAnswerError,
    }
)
"""httpx's exception, or any other from below → ours, by the nearest class. What may have been sent is a NoAnswerError."""

_CONNECT_S: Final = 15.0
_LOOK_S: Final = 0.5
_SHOWN: Final = 200
_SHARED_KEYS: Final[AbstractMapping[Host, tuple[str, ...]]] = MappingProxyType(
    {"api": ("integration_key",), "data": ("app_key", "track_secret")}
)
"""Host → the secrets of which the first that is set names the throttle of its requests."""

_HEADERS: Final = (
    ("User-Agent", f"pendosync/{version('pendosync')}"),
    ("Accept", "application/json"),
    ("Accept-Encoding", "gzip, deflate"),
    ("Connection", "keep-alive"),
)
_log: Final = logging.getLogger("pendosync")
_LOGGERS: Final = ("pendosync", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "aiohttp.client")


@dataclass(frozen=True, slots=True)
class Answer:
    """What Pendo said: a 2xx and its body.

    Attributes:
        status: 200 to 299.
        body: the bytes, decompressed; not in the repr.
        method, path: what it answers, the path masked.
        masked: hides the secrets in a text of the body before it is shown or written.
    """

    status: int
    body: bytes = field(default=b"", repr=False)
    method: str = ""
    path: str = ""
    masked: Callable[[str], str] = field(default=str, repr=False, compare=False)

    @property
    def shown(self) -> str:
        """The beginning of the body as people may see it."""
        return _beginning(self.body, self.masked)

    def json(self) -> Any:
        """Return the body's content.

        Raises:
            AnswerError: the body is not JSON.
        """
        try:
            return json.loads(self.body, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise self.unreadable("no JSON", expected="JSON") from None

    def unreadable(self, found: str, *, expected: str) -> AnswerError:
        """Return the error that says what was found in the body in place of what was expected."""
        return AnswerError(
            f"{self.method} {self.path} was answered with {self.status} and {found}{quoted(self.shown)}. Expected "
            f"{expected}. Hint: check that the address is Pendo's and that no proxy answers in its place.",
            method=self.method,
            path=self.path,
            status=self.status,
        )


def open_client(
    settings: Settings,
    /,
    *,
    clock: Clock | None = None,
    timeout_s: float = TIMEOUT_S,
    retry: Retry | None = None,
    carrier: Carrier | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Client:
    """Return a client for the Pendo that *settings* name. Sends nothing until it is asked to.

    Args:
        settings: region, secrets, addresses and pace.
        clock: what waits between requests and tries; for tests.
        timeout_s: how long each step of an answer may take; connecting at most 15 s of it.
        retry: when a failed request is tried again; None takes `Retry()`.
        carrier: what carries requests below httpx's client: `aiohttp`, the extra `fast`, which takes a fraction of the
            time, or `httpx` itself. None takes aiohttp where it is installed.
        transport: what sends in place of the network; for tests.

    Raises:
        SettingsError: *timeout_s* is not above 0, or *carrier* is none of the two or not installed.

    Example:
        >>> with open_client(Settings(region="eu", integration_key="abc")) as client:
        ...     client
        Client(eu (app.eu.pendo.io))
    """
    if not timeout_s > 0:
        raise SettingsError.bad_value("timeout_s", timeout_s, "seconds above 0")
    return Client(
        settings, clock or RealClock(), timeout_s, retry or Retry(), ensure_carrier(carrier), transport
    )


class Client:
    """One Pendo's client: every network verb hands its work to this client's thread. Made by `open_client`.

    It speaks httpx: requests, answers, errors and the transport below are httpx's. Secrets are put in by a transport, so
    that what is above holds masked paths and no key. Each answer is logged to `pendosync` at INFO. The pace is shared
    with all clients of the same host and key in this process.

    Attributes:
        settings: with which keys.
        carrier: what carries its requests: `aiohttp` or `httpx`.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        timeout_s: float,
        retry: Retry,
        carrier: Carrier,
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self._timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_S)).as_dict()
        self._retry = retry
        self.carrier = carrier
        self._transport = transport
        self._n_requests = 0
        self._welcome: set[Host] = set()
        self._transports: dict[Host, httpx.AsyncBaseTransport] = {}
        self._throttles: dict[Host, Throttle] = {}
        self._thread = LoopThread(partial(_close_each, self._transports))
        self._mask = Mask(settings)
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._mask)
        self._close = finalize(self, _close, self._thread, self._mask)

    @property
    def target(self) -> Target:
        """Where it goes; holds no key."""
        return self.settings.target

    @property
    def clock(self) -> Clock:
        """What it waits by."""
        return self._clock

    @property
    def n_requests(self) -> int:
        """How many requests were handed to the transport, tries again included."""
        return self._n_requests

    def pacing(self, host: Host = "api") -> Pacing:
        """Return how hard a host is driven at this moment, by all who share its pace. From any thread; sends nothing.

        Example:
            >>> with open_client(Settings(integration_key="abc")) as client:
            ...     client.pacing("api")
            Pacing(per_second=5, max_per_second=5, pause_s=0.0, in_flight=0)
        """
        return self._throttle(host).pacing

    def call(self, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a coroutine function on the client's loop and return its result; interrupting cancels it.

        Raises:
            ClientError: the client is closed or forked, or this is its own thread.
        """
        self._thread.ensure_other("call")
        future = self.start(function(*args, **kwargs))
        try:
            # in short steps: on Windows an endless wait can't be interrupted
            while not concurrent.futures.wait([future], timeout=_LOOK_S).done:
                pass
            return future.result()
        except concurrent.futures.CancelledError:
            raise closed_error() from None
        except BaseException:
            future.cancel()
            raise

    def call_each(
        self, function: Callable[[A], Coroutine[Any, Any, T]], arguments: Iterable[A], /
    ) -> list[T]:
        """Run a coroutine function for each argument at once, and return the results in their order.

        The first error ends the others. Raises what `call` does.
        """
        return self.call(_gather, function, arguments)

    def start(self, coroutine: Coroutine[Any, Any, T], /) -> concurrent.futures.Future[T]:
        """Begin a coroutine on the client's loop and return its future at once.

        Raises:
            ClientError: the client is closed, or was forked.
        """
        return self._thread.start(coroutine)

    async def request(
        self,
        method: str,
        path: str,
        *,
        host: Host = "api",
        body: bytes | None = None,
        rows: int = 0,
        retry: bool = True,
        on_try: Callable[[int], Awaitable[None]] | None = None,
        on_wait: Callable[[], None] | None = None,
        never_again: Sequence[int] = (),
        may_repeat: bool = True,
    ) -> Answer:
        """Send one request, again where it may be, and return the answer. For the client's loop only.

        Args:
            method: GET, POST, …
            path: from the slash on, its secret masked, ids percent-encoded.
            host: the API host or the data host.
            body: JSON, as it travels.
            rows: how many records it carries, for the pace's `max_rows_per_second`.
            retry: try again after a retryable error.
            on_try: is awaited with 1, 2, … each time the request is let through, just before it is handed over; what
                it raises stops the request.
            on_wait: is called before each wait to try again.
            never_again: statuses after which it is not tried again, though they are retryable.
            may_repeat: whether it may be tried again where an earlier try was perhaps carried out.

        Raises:
            SettingsError: the secret that this path needs is not set; nothing was sent.
            RemoteError: one of its kinds, that of the last try; but where Pendo was merely busy or out of reach then,
                and an earlier try may have been carried out, that one's.
        """
        ask = Ask(method, path, host, body, rows)
        self.settings.secret(ask.secret)
        policy = self._retry if retry else Retry(attempts=1)
        give_up_at: float | None = None
        in_doubt: RemoteError | None = None
        tries = 0
        while True:
            tries += 1
            try:
                return await self._try(ask, tries, on_try)
            except RemoteError as error:
                error.in_doubt = in_doubt is not None or _leaves_doubt(error)
                now, wait_s = self._clock.now(), policy.wait_s(tries, error.retry_after_s)
                give_up_at = now + policy.total_s if give_up_at is None else give_up_at
                is_final = not error.retryable or error.status in never_again
                if is_final or not (may_repeat or not _leaves_doubt(error)):
                    raise
                if tries == policy.attempts or now + wait_s > give_up_at:
                    if in_doubt is None or _leaves_doubt(error):
                        raise
                    raise in_doubt from error
                in_doubt = error if _leaves_doubt(error) else in_doubt
            if on_wait is not None:
                on_wait()
            await self._clock.sleep(wait_s)

    async def _try(self, ask: Ask, tries: int, on_try: Callable[[int], Awaitable[None]] | None) -> Answer:
        stopped: list[tuple[BaseException, TracebackType | None]] = []

        async def count() -> None:
            try:
                if on_try is not None:
                    await on_try(tries)
            except BaseException as error:
                stopped.append((error, error.__traceback__))
                raise
            self._n_requests += 1

        transport = self._transport_to(ask.host)
        try:
            url, headers = _head_of(self._base_url(ask.host) + ask.path, has_body=ask.body is not None)
            marks = {SECRET: ask.secret, ROWS: ask.rows, ON_START: count, "timeout": self._timeout}
            request = httpx.Request(
                ask.method,
                url,
                headers=headers,
                stream=httpx.ByteStream(ask.body or b""),
                extensions=marks,
            )
            if ask.body is not None:
                request.headers["Content-Length"] = str(len(ask.body))
            response = await transport.handle_async_request(request)
            if "Content-Encoding" in response.headers:
                response.read()  # decompresses it
        except BaseException as error:
            failure = (
                stopped[0][0].with_traceback(stopped[0][1]) if stopped else self._failure(error, ask, tries)
            )
        else:
            return self._read(response, ask, tries)
        # Outside of the except clause, so that nothing of what is below comes along: its frames hold requests with keys.
        raise failure

    def _failure(self, error: BaseException, ask: Ask, tries: int) -> BaseException:
        """Return what to raise for what came from below: an error of ours, or a cancellation, without its past."""
        if isinstance(error, PendosyncError) or not isinstance(error, Exception):
            error.__cause__ = error.__context__ = None
            return error.with_traceback(None)
        told = self._told(type(error).__name__, str(error))
        return no_answer(_error_of(error), ask, self.target, told, tries)

    def _read(self, response: httpx.Response, ask: Ask, tries: int) -> Answer:
        """Return the answer. No variable holds its body as it came: a traceback may show them, and some servers echo."""
        status = response.status_code
        _log.info("%s %s: %d", ask.method, ask.path, status)
        if response.is_success:
            self._welcome.add(ask.host)
            return Answer(status, _content_of(response), ask.method, ask.path, self._mask.masked)
        shown = _beginning(_content_of(response), self._mask.masked)
        if response.is_redirect:
            to = _host_in(response.headers.get("Location", ""))
            raise redirected(ask, self.target, status, self._mask.masked(to))
        if status in (400, 401, 403) and ask.host not in self._welcome:
            raise key_refused(ask, self.target, status, shown, self._region_of_key(ask))
        raise refused(ask, status, shown, tries, asked_wait_s(response.headers))

    def _transport_to(self, host: Host) -> httpx.AsyncBaseTransport:
        if host not in self._transports:
            inner = self._transport or self._network(self._base_url(host))
            throttled = ThrottledTransport(inner, self._throttle(host))
            self._transports[host] = AuthTransport(throttled, self.settings)
        return self._transports[host]

    def _throttle(self, host: Host) -> Throttle:
        if host not in self._throttles:
            pace = self.target.api_pace if host == "api" else self.target.data_pace
            bounded = replace(pace, max_at_once=pace.at_once)
            where = urlsplit(self._base_url(host)).netloc
            key = fingerprint_of(self.settings, _SHARED_KEYS[host])
            self._throttles[host] = throttle_for(where, key, bounded, self._clock)
        return self._throttles[host]

    def _network(self, url: str) -> httpx.AsyncBaseTransport:
        # plain http goes to this machine only, and reading certificates takes as long as twenty requests there
        try:
            context = self._ssl if url.startswith("https:") else None
            proxy = _proxy_of(url)
            if self.carrier == "aiohttp" and (proxy is None or proxy.startswith("http://")):
                return AiohttpTransport(context, proxy)
            return SpreadTransport(partial(_one_connection, context, proxy))
        except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
            raise SettingsError(
                f"The proxy or the certificates that the environment names can't be used for {urlsplit(url).netloc} "
                f"({type(error).__name__}). Expected an http:// proxy and a readable file. Hint: look at HTTPS_PROXY, "
                f"ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR, or add the host to NO_PROXY."
            ) from None

    @cached_property
    def _ssl(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()

    def _base_url(self, host: Host) -> str:
        return self.target.api_url if host == "api" else self.target.data_url

    def _told(self, name: str, text: str) -> str:
        text = _beginning(text.encode("utf-8", "replace"), self._mask.masked)
        return f"{name}: {text}" if text else name

    def _region_of_key(self, ask: Ask) -> str | None:
        """Return the other region that the key's ending names, as some integration keys' do."""
        secret = self.settings.secret(ask.secret)
        named = [one for one in REGIONS if secret.reveal().endswith(f".{one}") and one != self.target.region]
        return named[0] if named and ask.secret == "integration_key" else None

    def close(self) -> None:
        """End the thread; what is under way is cancelled. Can be called twice."""
        self._thread.ensure_other("close")
        self._close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.target}{', closed' if self._thread.is_closed else ''})"


def _beginning(body: bytes, masked: Callable[[str], str]) -> str:
    text = masked(body[:20_000].decode("utf-8", "replace"))
    return " ".join(text[:_SHOWN].split())


def _content_of(response: httpx.Response) -> bytes:
    """Return the body of an answer that was read, and decompressed where it has to be."""
    if "Content-Encoding" in response.headers:
        return response.content
    assert isinstance(response.stream, httpx.SyncByteStream)
    return b"".join(response.stream)


def _host_in(address: str) -> str:
    """Return the host that an address names, or nothing."""
    try:
        return httpx.URL(address).host
    except httpx.InvalidURL:
        return ""


async def _close_each(transports: dict[Host, httpx.AsyncBaseTransport]) -> None:
    for transport in transports.values():
        await transport.aclose()


def _close(thread: LoopThread, mask: Mask) -> None:
    """End a client that may be gone itself already."""
    thread.close()
    for name in _LOGGERS:
        logging.getLogger(name).removeFilter(mask)


async def _gather(function: Callable[[A], Coroutine[Any, Any, T]], arguments: Iterable[A]) -> list[T]:
    tasks = [asyncio.ensure_future(function(argument)) for argument in arguments]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@lru_cache(maxsize=64)
def _head_of(address: str, *, has_body: bool) -> tuple[httpx.URL, httpx.Headers]:
    """Return an address as httpx reads it, and all the headers that a request has besides its key and length.

    httpx takes as long to find them as to send it, and most requests of a run go to the same address.
    """
    url = httpx.URL(address)
    more = [("Content-Type", "application/json")] if has_body else []
    return url, httpx.Headers([("Host", url.netloc.decode()), *_HEADERS, *more])


def _one_connection(context: ssl.SSLContext | None, proxy: str | None) -> httpx.AsyncBaseTransport:
    """Return a transport for one request at a time, which waits for nothing but the network."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=1)
    return httpx.AsyncHTTPTransport(verify=context or False, limits=limits, proxy=proxy)


def _proxy_of(url: str) -> str | None:
    """Return the proxy that the environment names for *url*; this machine is always reached directly."""
    host = urlsplit(url).hostname or ""
    if host in ("127.0.0.1", "::1", "localhost") or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(urlsplit(url).scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy or None


def _error_of(error: Exception) -> type[RemoteError]:
    return next(ERROR_OF[one] for one in type(error).__mro__ if one in ERROR_OF)


def _leaves_doubt(error: RemoteError) -> bool:
    """Whether the request may have been carried out."""
    if isinstance(error, NoAnswerError):
        return not isinstance(error, UnreachableError)
    return isinstance(error, BrokenError | AnswerError) or error.status == 408


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
