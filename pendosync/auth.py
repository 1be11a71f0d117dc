"""Secrets go in below httpx's client, and are hidden in whatever is logged."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Final
from urllib.parse import quote

import httpx

from pendosync.refusals import CALLED
from pendosync.regions import MASK
from pendosync.settings import Settings

KEY_HEADER: Final = "x-pendo-integration-key"
"""Carries the integration key to the API host, and the track secret to the data host."""

SECRET: Final = "pendosync.secret"
"""The request extension that names the secret which a request needs."""


def secrets_of(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each secret that is set."""
    for name in CALLED:
        if getattr(settings, name) is not None:
            yield name, settings.secret(name).reveal()


class Mask(logging.Filter):
    """Hides the secrets in texts, and in what httpx and httpcore log: at DEBUG they show what a server echoes."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def masked(self, text: str) -> str:
        for _, secret in secrets_of(self._settings):
            for form in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
                text = text.replace(form, MASK)
        return text

    def filter(self, record: logging.LogRecord) -> bool:
        text = record.getMessage()
        masked = self.masked(text)
        if masked != text:
            record.msg, record.args = masked, None
        return True


class AuthTransport(httpx.AsyncBaseTransport):
    """Puts the secret into a copy of the request, so that the request which others see never holds it."""

    def __init__(self, inner: httpx.AsyncBaseTransport, settings: Settings) -> None:
        self._inner = inner
        self._settings = settings

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(self._with_secret(request))

    def _with_secret(self, request: httpx.Request) -> httpx.Request:
        name = request.extensions[SECRET]
        url, headers, secret = request.url, request.headers.copy(), self._settings.secret(name).reveal()
        if name == "app_key":
            path = url.raw_path.replace(MASK.encode(), quote(secret, safe="").encode())
            url = url.copy_with(raw_path=path)
        else:
            headers[KEY_HEADER] = secret
        return httpx.Request(
            request.method, url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    async def aclose(self) -> None:
        await self._inner.aclose()
