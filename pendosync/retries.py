"""When a request that failed is tried again, and what Pendo's `Retry-After` says of it."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from pendosync.errors import SettingsError

LONGEST_PAUSE_S: Final = 300.0
"""A longer Retry-After is cut to this: nobody should wait for hours because of one header."""


@dataclass(frozen=True, slots=True)
class Retry:
    """When a request that failed is tried again, and after how long.

    Only errors that are `retryable`: 408, 409, 425, 429, 5xx and no answer. The wait is what `Retry-After` asks for, if
    anything, and on top of it a time drawn evenly from 0 to base x 2^(tries - 1) seconds, at most the cap: so those who
    were refused together do not come back together.

    Args:
        attempts: tries in all; 1 is none again.
        base_s, cap_s: the longest drawn wait after the first try, and after any.
        total_s: no wait ends later than this after the first try failed; where one would, the request is given up at
            once. What the throttle holds back besides is not counted.

    Raises:
        SettingsError: a number that can't be.
    """

    attempts: int = 5
    base_s: float = 0.5
    cap_s: float = 30.0
    total_s: float = 120.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise SettingsError.bad_value("attempts", self.attempts, "a whole number from 1 up")
        for name in ("base_s", "cap_s", "total_s"):
            if not getattr(self, name) >= 0:
                raise SettingsError.bad_value(name, getattr(self, name), "seconds from 0 up")

    def wait_s(self, tries: int, retry_after_s: float | None = None) -> float:
        """Return the wait after so many tries, new at each call."""
        most = min(self.cap_s, self.base_s * 2 ** min(tries - 1, 60))
        return (retry_after_s or 0.0) + random.uniform(0, most)


def asked_wait_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, however many, or None.

    A date is read against the answer's own `Date`, so a wrong clock here does no harm; without one, this machine's
    clock is all there is.
    """
    text = headers.get("retry-after")
    if text is None:
        return None
    return _asked_s(text, _date_of(headers.get("date", "")) or datetime.now(UTC))


def retry_after_of(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait because of an answer, at most 300, or None. See `asked_wait_s`."""
    return _capped(asked_wait_s(headers))


def parse_retry_after(text: str, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` asks for, at most 300, or None where it can't be read.

    Args:
        text: seconds, or an HTTP date; one that has passed gives 0.
        now: the time against which a date is read, with its zone.

    Source: RFC 9110, section 10.2.3.

    Example:
        >>> parse_retry_after("30", datetime.now(UTC)), parse_retry_after("soon", datetime.now(UTC))
        (30.0, None)
    """
    return _capped(_asked_s(text, now))


def _capped(seconds: float | None) -> float | None:
    return None if seconds is None else min(seconds, LONGEST_PAUSE_S)


def _asked_s(text: str, now: datetime) -> float | None:
    text = text.strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", text):
        return float(text)
    date = _date_of(text)
    return None if date is None else max((date - now).total_seconds(), 0.0)


def _date_of(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
