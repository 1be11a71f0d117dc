"""What carries requests below httpx's client: httpx's own transports, one a request in flight, or aiohttp.

aiohttp is the extra `fast`. It is loaded when a client first needs it.
"""

from __future__ import annotations

import asyncio
import base64
import importlib.util
import io
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

import httpx

from pendosync.errors import SettingsError

if TYPE_CHECKING:
    import aiohttp
    import yarl

Carrier = Literal["aiohttp", "httpx"]

_KEEP_S: Final = 5.0
"""How long an idle connection is kept, as httpx does."""

_LARGE: Final = 2**20
"""Bodies above this many bytes are handed to aiohttp as a file: it warns of larger ones."""


def ensure_carrier(carrier: Carrier | None) -> Carrier:
    """Return the carrier that was asked for; where none was, aiohttp if it is installed.

    Raises:
        SettingsError: there is none of that name, or it is not installed.
    """
    if carrier not in (None, "aiohttp", "httpx"):
        raise SettingsError.bad_value("carrier", carrier, "'aiohttp', 'httpx' or None")
    has_aiohttp = importlib.util.find_spec("aiohttp") is not None
    if carrier == "aiohttp" and not has_aiohttp:
        raise SettingsError(
            "aiohttp is not installed. Expected the extra 'fast', or another carrier. "
            "Hint: pip install 'pendosync[fast]', or open_client(settings, carrier='httpx')."
        )
    return carrier or ("aiohttp" if has_aiohttp else "httpx")


async def read_whole(response: httpx.Response) -> httpx.Response:
    """Return the answer with its body read, as it came; the connection is free again."""
    if isinstance(response.stream, httpx.ByteStream):
        return response
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        body = b"".join([chunk async for chunk in response.stream])
    finally:
        await response.stream.aclose()
    return httpx.Response(
        response.status_code,
        headers=response.headers,
        stream=httpx.ByteStream(body),
        extensions=response.extensions,
    )


class SpreadTransport(httpx.AsyncBaseTransport):
    """Hands each request to a transport of its own, which takes the next one once the answer is read.

    Args:
        make: gives a transport; there are as many as requests in flight at most, and one to begin with.

    Source: measured, a pool of httpx takes longer for each request the more connections it holds: at 32 in flight a
    third of the requests of 32 pools of one.
    """

    def __init__(self, make: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self._make = make
        self._all: list[httpx.AsyncBaseTransport] = []
        self._free = [self._more()]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and return the answer with its body read."""
        inner = self._free.pop() if self._free else self._more()
        try:
            return await read_whole(await inner.handle_async_request(request))
        finally:
            self._free.append(inner)

    def _more(self) -> httpx.AsyncBaseTransport:
        self._all.append(self._make())
        return self._all[-1]

    async def aclose(self) -> None:
        """Close all of them."""
        for inner in self._all:
            await inner.aclose()


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Sends by aiohttp, and raises what httpx would raise.

    Nothing is followed, decompressed, retried or remembered: what is handed over is what travels.

    Args:
        context: how TLS is done.
        proxy: the address of an HTTP proxy.
    """

    def __init__(self, context: ssl.SSLContext | None, proxy: str | None) -> None:
        self._context = context
        self._proxy = httpx.URL(proxy) if proxy else None
        self._session: aiohttp.ClientSession | None = None
        self._address_of = lru_cache(maxsize=64)(_address_of)  # of this transport: some addresses hold a key
        self._errors: tuple[tuple[type[Exception], type[httpx.HTTPError]], ...] = ()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and return the answer with its body read.

        Raises:
            httpx.ConnectError, httpx.ConnectTimeout: nothing was sent.
            httpx.HTTPError: another of its kinds; it may have been sent.
        """
        session = self._session or self._open()
        waits = request.extensions.get("timeout", {})
        try:
            # aiohttp waits for ever for a server that takes no more of a body
            async with asyncio.timeout(
                sum(waits[step] for step in ("connect", "write", "read")) if waits else None
            ):
                response = await session.request(request.method, **self._asked(request))
            async with response:
                body = await response.read()
        except Exception as error:
            raise self._told(error) from error
        return httpx.Response(response.status, headers=response.raw_headers, stream=httpx.ByteStream(body))

    def _asked(self, request: httpx.Request) -> dict[str, Any]:
        assert isinstance(request.stream, httpx.SyncByteStream)
        body = b"".join(request.stream)
        waits = request.extensions.get("timeout", {})
        return {
            "url": self._address_of(request.url),
            "headers": [(name.decode(), value.decode()) for name, value in request.headers.raw],
            "data": io.BytesIO(body) if len(body) > _LARGE else body or None,
            "timeout": _timeout_of(waits.get("connect"), waits.get("read")),
            "ssl": self._context if self._context is not None else True,
            "allow_redirects": False,
            **self._by_proxy(),
        }

    def _by_proxy(self) -> dict[str, Any]:
        """Return by which proxy a request goes. Its password goes apart: aiohttp's errors show the address."""
        if self._proxy is None:
            return {}
        told = base64.b64encode(f"{self._proxy.username}:{self._proxy.password}".encode()).decode()
        headers = {"Proxy-Authorization": f"Basic {told}"} if self._proxy.userinfo else {}
        return {"proxy": str(self._proxy.copy_with(userinfo=b"")), "proxy_headers": headers}

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        self._errors = (
            (aiohttp.ClientHttpProxyError, httpx.ProxyError),
            (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
            (aiohttp.ClientConnectorError, httpx.ConnectError),
            (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
            (TimeoutError, httpx.ReadTimeout),
            (aiohttp.ClientOSError, httpx.ReadError),
            (aiohttp.ClientError, httpx.RemoteProtocolError),
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=None),
        )
        # As its own test client does: a request that is sent again by itself would be counted by nobody.
        self._session._retry_connection = False
        return self._session

    def _told(self, error: Exception) -> Exception:
        """Return httpx's error for one of aiohttp's: the first that fits, with what lies beneath; another as it is."""
        beneath = getattr(error, "os_error", None) or getattr(error, "certificate_error", None)
        status = getattr(error, "status", None)
        text = f"{status} {error.message}" if status else str(beneath or error)  # type: ignore[attr-defined]
        return next((ours(text) for theirs, ours in self._errors if isinstance(error, theirs)), error)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            for _ in range(10):  # asyncio lets go of a connection some turns of the loop after it is closed
                await asyncio.sleep(0)


def _address_of(url: httpx.URL) -> yarl.URL:
    """Return an address as aiohttp takes it, as it stands."""
    from yarl import URL

    return URL(f"{url.scheme}://{url.netloc.decode()}{url.raw_path.decode()}", encoded=True)


@lru_cache(maxsize=8)
def _timeout_of(connect_s: float | None, read_s: float | None) -> aiohttp.ClientTimeout:
    import aiohttp

    return aiohttp.ClientTimeout(sock_connect=connect_s, sock_read=read_s)
