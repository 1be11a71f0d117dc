"""How a sandbox misbehaves when told to, and for how many requests.

Two sorts: an *incident* happens to one request unless `times` says otherwise; a *condition* (lag, rate_limit)
lasts until `behave()`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Final

from pendosync.errors import SandboxError, listed, nearest
from pendosync.sandbox.exchange import Answer, Request

_MOST_STARTS: Final = 10_000
_PAGE: Final = "<html><body><h1>502 Bad Gateway</h1></body></html>"

FAULTS: Final[dict[str, dict[str, Any]]] = {
    "latency": {"seconds": 0.2, "when": "before"},
    "status": {"status": 503, "text": "", "retry_after": None, "as_date": False, "carry_out": False},
    "cut": {"when": "before"},
    "body": {"text": _PAGE, "status": 200, "carry_out": True},
    "fail_records": {"ids": None, "count": None, "named": False},
    "counts": {"total": 0, "updated": 0, "failed": 0},
    "lag": {"seconds": 1.0},
    "rate_limit": {"max_per_second": 20, "retry_after": 1, "as_date": False},
}
"""Fault → its options with their defaults."""

LASTING: Final = frozenset({"lag", "rate_limit"})
"""Faults that last until `behave()` unless `times` is given."""

_WHEN: Final = {"latency": ("before", "after"), "cut": ("before", "after", "mid_body")}


@dataclass(slots=True)
class Fault:
    """One fault that was asked for. `times` None: until `behave()`."""

    name: str
    options: dict[str, Any]
    times: int | None = 1
    after: int = 0
    path: str | None = None
    method: str | None = None

    def matches(self, request: Request) -> bool:
        """Tell whether this fault is meant for such a request."""
        is_method = self.method is None or self.method == request.method
        return is_method and request.shown.startswith(self.path or "")

    def content(self) -> dict[str, Any]:
        """Return what was asked for, and how often it is still to come."""
        named = {"name": self.name, "times": self.times, "after": self.after}
        return {**named, "path": self.path, "method": self.method, **self.options}


def fault_of(content: Mapping[str, Any]) -> Fault:
    """Return the fault that *content* asks for.

    Raises:
        SandboxError: no such fault, no such option, or an option that can't be.
    """
    given = dict(content)
    name = str(given.pop("name", ""))
    if name not in FAULTS:
        raise _unknown("fault", name, FAULTS, example='sandbox.misbehave("status", status=503)')
    times = given.pop("times", "usual")
    times = (None if name in LASTING else 1) if times == "usual" else times
    frame = {key: given.pop(key) for key in ("after", "path", "method") if key in given}
    for option in given:
        if option not in FAULTS[name]:
            raise _unknown(f"option of {name}", option, FAULTS[name], example=f'sandbox.misbehave("{name}")')
    fault = Fault(name, {**FAULTS[name], **given}, times=times, **frame)
    _ensure_possible(fault)
    return fault


@dataclass(slots=True)
class Faults:
    """The faults that are still to come, in the order in which they were asked for."""

    coming: list[Fault] = field(default_factory=list)
    _starts: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    _clock: Callable[[], float] = time.monotonic

    def take(
        self, request: Request, *names: str, applies: Callable[[Fault], bool] | None = None
    ) -> Fault | None:
        """Return the first of the faults called *names* that befalls *request*, and count it down."""
        taken: Fault | None = None
        for fault in [one for one in self.coming if one.name in names and one.matches(request)]:
            if applies is not None and not applies(fault):
                continue
            if fault.after > 0:
                fault.after -= 1
            elif taken is None:
                taken = fault
        if taken is not None and taken.times is not None:
            taken.times -= 1
            self.coming = [one for one in self.coming if one.times != 0]
        return taken

    def lag_s(self, request: Request) -> float:
        """Return how long the values of this write can't be read."""
        fault = self.take(request, "lag")
        return float(fault.options["seconds"]) if fault else 0.0

    def failing(self, request: Request, ids: list[str]) -> tuple[frozenset[str], bool]:
        """Return the ids that this bulk write fails for, and whether the answer names them."""
        fault = self.take(
            request, "fail_records", applies=lambda one: not set(one.options["ids"] or ids).isdisjoint(ids)
        )
        if fault is None:
            return frozenset(), False
        chosen = fault.options["ids"] or list(dict.fromkeys(ids))[: fault.options["count"] or 1]
        return frozenset(chosen), bool(fault.options["named"])

    def counted(self, request: Request, counts: dict[str, Any]) -> dict[str, Any]:
        """Return the counts of a bulk write's answer, falsified where that was asked for."""
        fault = self.take(request, "counts")
        return {key: counts[key] + fault.options[key] for key in fault.options} if fault else counts

    def refused(self, request: Request, standing: float | None) -> Answer | None:
        """Return a 429 where this request comes too soon: after a *standing* limit, or one asked for."""
        place = (request.region, request.host_kind)
        self._starts.setdefault(place, deque(maxlen=_MOST_STARTS))
        if standing is not None and not self._has_room(place, standing):
            return _too_many(retry_after=1, as_date=False)
        fault = self.take(request, "rate_limit", applies=lambda one: not self._has_room(place, _limit(one)))
        if fault is not None:
            return _too_many(**_picked(fault.options, "retry_after", "as_date"))
        self._starts[place].append(self._clock())
        return None

    def _has_room(self, place: tuple[str, str], limit: float) -> bool:
        starts, now = self._starts[place], self._clock()
        while starts and starts[0] <= now - 1:
            starts.popleft()
        return len(starts) < limit


def spoiled(fault: Fault, answer: Answer) -> Answer:
    """Return what the client sees in place of *answer*."""
    if fault.name == "cut":
        return Answer(answer.status, answer.body, answer.headers, _cut(fault))
    text = str(fault.options["text"]).encode()
    headers = {"Content-Type": "text/html; charset=utf-8"} if text else {}
    if fault.options.get("retry_after") is not None:
        headers["Retry-After"] = _retry_after(**_picked(fault.options, "retry_after", "as_date"))
    return Answer(fault.options["status"], text, headers)


def is_carried_out(fault: Fault) -> bool:
    """Tell whether Pendo does as asked, though the client may not learn of it."""
    return fault.options["when"] != "before" if fault.name == "cut" else bool(fault.options["carry_out"])


def _cut(fault: Fault) -> Any:
    return "mid_body" if fault.options["when"] == "mid_body" else "silent"


def _limit(fault: Fault) -> float:
    return float(fault.options["max_per_second"])


def _picked(options: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: options[name] for name in names}


def _too_many(*, retry_after: float | str, as_date: bool) -> Answer:
    return Answer(429, b"", {"Retry-After": _retry_after(retry_after=retry_after, as_date=as_date)})


def _retry_after(*, retry_after: float | str, as_date: bool) -> str:
    if not as_date:
        return str(retry_after)
    return format_datetime(datetime.now(UTC) + timedelta(seconds=float(retry_after)), usegmt=True)


def _unknown(what: str, name: str, available: Iterable[str], *, example: str) -> SandboxError:
    names = list(available)
    near = nearest(name, names)
    hint = f"did you mean {near[0]!r}?" if near else f"{example}, for one."
    return SandboxError(f"There is no {what} {name!r}. There are {listed(names, most=9)}. Hint: {hint}")


def _ensure_possible(fault: Fault) -> None:
    for option, value in fault.options.items():
        if option == "when" and value not in _WHEN[fault.name]:
            raise _impossible(fault, option, f"one of {listed(_WHEN[fault.name])}", '"after"')
        if option in _EXPECTED and not _EXPECTED[option][0](value):
            raise _impossible(fault, option, *_EXPECTED[option][1:])
    if fault.times is not None and not _is_count(fault.times):
        raise SandboxError(
            f"{fault.name} can't happen {fault.times!r} times. Expected a whole number from 1 up, or None for "
            f"until behave(). Hint: times=3."
        )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and value >= 0


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 1


def _is_status(value: Any) -> bool:
    return type(value) is int and 200 <= value <= 599


def _is_ids(value: Any) -> bool:
    return value is None or (type(value) is list and all(type(one) is str for one in value))


_EXPECTED: Final[dict[str, tuple[Callable[[Any], bool], str, str]]] = {
    "seconds": (_is_number, "a number from 0 up", "0.5"),
    "max_per_second": (_is_number, "a number from 0 up", "20"),
    "status": (_is_status, "an HTTP status", "503"),
    "ids": (_is_ids, "a list of ids", '["u-0001"]'),
    "count": (lambda value: value is None or _is_count(value), "a whole number from 1 up", "2"),
}


def _impossible(fault: Fault, option: str, expected: str, example: str) -> SandboxError:
    return SandboxError(
        f"{fault.name} can't have {option}={fault.options[option]!r}. Expected {expected}. "
        f'Hint: sandbox.misbehave("{fault.name}", {option}={example}).'
    )
