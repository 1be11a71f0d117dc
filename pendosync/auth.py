"""Secrets go in below httpx's client, and are hidden in whatever is logged."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from html import escape
from typing import Final
from urllib.parse import quote

import httpx

from pendosync.keys import Secret
from pendosync.refusals import CALLED
from pendosync.regions import MASK
from pendosync.settings import Settings

KEY_HEADER: Final = "x-pendo-integration-key"
"""Carries the integration key to the API host, and the track secret to the data host."""

SECRET: Final = "pendosync.secret"
"""The request extension that names the secret which a request needs."""


def fingerprint_of(settings: Settings, names: Sequence[str], /) -> str:
    """Return a digest that stands for the first secret of *names* that is set; of no secret, where none is."""
    text = next((secret.reveal() for name in names if (secret := getattr(settings, name)) is not None), "")
    return hashlib.sha256(text.encode()).hexdigest()


class Mask(logging.Filter):
    """Hides the secrets in texts, and in what httpx and httpcore log: at DEBUG they show what a server echoes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        secrets = (getattr(settings, name) for name in CALLED)
        forms = sorted({form for secret in secrets if secret for form in _forms_of(secret)}, key=len)
        pattern = re.compile("|".join(map(re.escape, reversed(forms))) or r"(?!)")
        # as in Secret, no attribute holds it, and no pickle takes it
        self._sub: Callable[[str], str] = lambda text: pattern.sub(MASK, text)

    def masked(self, text: str) -> str:
        return self._sub(text)

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        masked = self.masked(text)
        if masked != text:
            record.msg, record.args = masked, None
        return True


def _forms_of(secret: Secret) -> Iterator[str]:
    """Yield the secret as it stands in a text, a path, JSON by Python and by Go, HTML, and the repr of bytes."""
    text = secret.reveal()
    in_json = json.dumps(text)[1:-1]
    yield from (text, quote(text, safe=""), in_json, escape(text), repr(text.encode())[2:-1])
    yield in_json.replace("&", r"\u0026").replace("<", r"\u003c").replace(">", r"\u003e")


class _QuietURL(httpx.URL):
    def __repr__(self) -> str:
        return f"URL('{self.scheme}://{self.host}/{MASK}')"


class _QuietHeaders(httpx.Headers):
    def __repr__(self) -> str:
        shown = {name: MASK if name == KEY_HEADER else value for name, value in self.items()}
        return repr(httpx.Headers(shown))


def _with_key(address: str, secret: Secret) -> _QuietURL:
    """Return the address with the secret in place of its mask. httpx takes long to read an address."""
    key, url = quote(secret.reveal(), safe="").encode(), httpx.URL(address)
    return _QuietURL(url.copy_with(raw_path=url.raw_path.replace(MASK.encode(), key)))


class _QuietRequest(httpx.Request):
    """The copy of a request that holds the secret: no repr of it, of its address or of its headers shows it."""

    def __init__(self, shown: httpx.Request, url: _QuietURL, headers: _QuietHeaders) -> None:
        self.__dict__.update(shown.__dict__)
        self.url, self.headers = url, headers

    def __repr__(self) -> str:
        return f"<Request({self.method!r}, {self.url!r})>"


class AuthTransport(httpx.AsyncBaseTransport):
    """Puts the secret into a copy of the request, so that the request which others see never holds it."""

    def __init__(self, inner: httpx.AsyncBaseTransport, settings: Settings) -> None:
        self._inner = inner
        self._settings = settings
        self._with_key = lru_cache(maxsize=4)(_with_key)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(self._with_secret(request))

    def _with_secret(self, request: httpx.Request) -> httpx.Request:
        name = request.extensions[SECRET]
        secret, headers = self._settings.secret(name), _QuietHeaders(request.headers)
        if name == "app_key":
            return _QuietRequest(request, self._with_key(str(request.url), secret), headers)
        headers[KEY_HEADER] = secret.reveal()
        return _QuietRequest(request, _QuietURL(request.url), headers)

    async def aclose(self) -> None:
        await self._inner.aclose()
