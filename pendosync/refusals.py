"""What to say when Pendo, or the way to it, did not do as asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal
from urllib.parse import urlsplit

from pendosync.errors import (
    AnswerError,
    BrokenError,
    BusyError,
    KeyRefusedError,
    NoAnswerError,
    RefusedError,
    RemoteError,
    UnreachableError,
)
from pendosync.regions import Target
from pendosync.reports import duration
from pendosync.retries import LONGEST_PAUSE_S

Host = Literal["api", "data"]
_SHOWN_PATH: Final = 120
_DAY_S: Final = 86_400

CALLED: Final = MappingProxyType(
    {"integration_key": "integration key", "app_key": "app API key", "track_secret": "track secret"}
)
"""Secret → what people call it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as people may see it."""

    method: str
    path: str
    host: Host
    body: bytes | None = field(repr=False)
    rows: int = 0

    @property
    def secret(self) -> str:
        """Which of the three secrets it needs."""
        if self.host == "api":
            return "integration_key"
        return "app_key" if self.path.startswith("/data/segmentio/") else "track_secret"

    def __str__(self) -> str:
        shown = self.path if len(self.path) <= _SHOWN_PATH else f"{self.path[:_SHOWN_PATH]}…"
        return f"{self.method} {shown}"


def quoted(shown: str) -> str:
    """Return the beginning of a body for a sentence."""
    return f": {shown!r}" if shown else " (an empty body)"


def _after(tries: int) -> str:
    return f", after {tries} tries" if tries > 1 else ""


def no_answer(kind: type[RemoteError], ask: Ask, target: Target, told: str, tries: int) -> RemoteError:
    """Return the error for a request that got no whole answer, or was never sent."""
    where = urlsplit(target.api_url if ask.host == "api" else target.data_url).netloc
    expected = "an answer in HTTP"
    if issubclass(kind, UnreachableError) and "CERTIFICATE_VERIFY_FAILED" in told:
        happened = f"{where} shows no certificate that can be trusted for {ask} ({told}). Nothing was sent."
        expected = "a certificate of that name, from an authority that this machine trusts"
        hint = "check the address; behind a company's proxy, name its authority's file in SSL_CERT_FILE."
    elif issubclass(kind, UnreachableError):
        happened = f"{where} can't be reached for {ask} ({told}){_after(tries)}. Nothing was sent."
        hint = f"check the network, proxy and VPN, and the region ({target.region!r})."
    elif issubclass(kind, NoAnswerError):
        happened = (
            f"{ask} got no whole answer from {where} ({told}){_after(tries)}: it may or may not be done."
        )
        hint = "try again, or give it longer: open_client(settings, timeout_s=…)."
    elif issubclass(kind, AnswerError):
        happened = f"The answer of {where} to {ask} can't be read ({told})."
        hint = "check that no proxy answers in Pendo's place."
    else:
        happened = f"{ask} can't be sent ({told})."
        hint = "an id may be too long for a path, or hold what no path can."
    return kind(f"{happened} Expected {expected}. Hint: {hint}", method=ask.method, path=ask.path)


def redirected(ask: Ask, target: Target, status: int, to: str) -> AnswerError:
    """Return the error for a redirect, which is never followed."""
    return AnswerError(
        f"{ask} was answered with {status}, a redirect to {to or 'nowhere'}; keys are not carried elsewhere. Expected an "
        f"answer from {target}. Hint: check the region, and that no proxy asks for a sign-in.",
        method=ask.method,
        path=ask.path,
        status=status,
    )


def key_refused(ask: Ask, target: Target, status: int, shown: str, region: str | None) -> KeyRefusedError:
    """Return the error for a refusal at the first call."""
    tries = "; check_access(client) tries both" if ask.secret == "integration_key" else ""
    hint = f"compare key and region with Pendo's own pages{tries}."
    if region:
        hint = f"its ending names region {region!r}: Settings(region={region!r})."
    return KeyRefusedError(
        f"{target} refused the first call, {ask} ({status}){quoted(shown)}: key or region. Expected the "
        f"{CALLED[ask.secret]} of a subscription in region {target.region!r}. Hint: {hint}",
        method=ask.method,
        path=ask.path,
        status=status,
    )


_REFUSALS: Final = MappingProxyType(
    {
        400: "check the fields' names and the values' types; Pendo refuses the whole request.",
        401: "the key is not taken; check_access(client) tries it.",
        403: "the key may lack write access: check_access(client) says.",
        404: "404 stands for 'does not exist' and for 'no access'; check kind, group and id.",
        408: "it ran over Pendo's five minutes: plan with a smaller batch_size.",
        409: "another write is under way; try again in a minute.",
        413: "the request is too large: plan with a smaller batch_size.",
        429: "ask for less a second: Settings(api_pace=Pace(max_per_second=2, max_at_once=1)).",
    }
)


def refused(ask: Ask, status: int, shown: str, tries: int, asked_s: float | None) -> RemoteError:
    """Return the error for any other status than 2xx; *asked_s* is the wait that Pendo asks for, however long."""
    kind: type[RemoteError] = RefusedError
    happened, hint = "refused", _REFUSALS.get(status, "what Pendo says of it is all there is to go by.")
    if status in (408, 409, 425, 429):
        kind, happened = BusyError, "was too busy for"
    elif status >= 500:
        kind, happened, hint = BrokenError, "failed on", "try again in a while."
    elif not 400 <= status < 500:
        kind, happened = AnswerError, "gave no usual status to"
    wait, then = _come_back(asked_s) if asked_s and kind.retryable else ("", "")
    return kind(
        f"Pendo {happened} {ask} ({status}){_after(tries)}{quoted(shown)}{wait}. Expected a 2xx. Hint: {then}{hint}",
        method=ask.method,
        path=ask.path,
        status=status,
        retry_after_s=None if asked_s is None else min(asked_s, LONGEST_PAUSE_S),
    )


def _come_back(asked_s: float) -> tuple[str, str]:
    """Return what Pendo asks for, and the hint that takes it up."""
    when = f"in {duration(asked_s)}" if asked_s <= _DAY_S else "in more than a day"
    return f", and asks to come back {when}", f"come back {when}; "
