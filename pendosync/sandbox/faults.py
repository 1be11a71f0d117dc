"""How a sandbox misbehaves when told to, and for how many requests.

Two sorts: an *incident* happens to one request unless `times` says otherwise; a *condition* (lag, rate_limit)
lasts until `behave()`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any, Final

from pendosync.sandbox.asking import ensure_possible, unknown
from pendosync.sandbox.exchange import Answer, Manner, Request

_MOST_STARTS: Final = 10_000
_PAGE: Final = "<html><body><h1>502 Bad Gateway</h1></body></html>"

FAULTS: Final[dict[str, dict[str, Any]]] = {
    "latency": {"seconds": 0.2, "when": "before"},
    "stall": {"seconds": 2.0, "when": "mid_body"},
    "status": {
        "status": 503,
        "text": "",
        "retry_after": None,
        "as_date": False,
        "location": None,
        "carry_out": False,
    },
    "cut": {"when": "before", "reset": False},
    "body": {"text": _PAGE, "status": 200, "carry_out": True},
    "wrap": {"encoding": None, "interim": None, "broken": False},
    "fail_records": {"ids": None, "count": None, "named": False},
    "counts": {"total": 0, "updated": 0, "failed": 0},
    "names": {"missing": [], "errors": [], "counted": False},
    "lag": {"seconds": 1.0},
    "rate_limit": {"max_per_second": 20, "retry_after": 1, "as_date": False},
}
"""Fault → its options with their defaults."""

LASTING: Final = frozenset({"lag", "rate_limit"})
"""Faults that last until `behave()` unless `times` is given."""

_SPOILING: Final = (("status", "cut", "body"), ("stall",), ("wrap",))
"""The sorts that befall the answer itself, in the order in which they do: of each sort one at a time."""

_FRAME: Final = ("after", "path", "method", "share", "seed")


@dataclass(slots=True)
class Fault:
    """One fault that was asked for. `times` None: until `behave()`."""

    name: str
    options: dict[str, Any]
    times: int | None = 1
    after: int = 0
    path: str | None = None
    method: str | None = None
    share: float = 1.0
    seed: int = 0
    _random: Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = Random(f"{self.name} {self.options} {self.seed}")

    def is_drawn(self) -> bool:
        """Tell whether the lot falls on the next request: the same lots for the same fault and seed."""
        return self.share >= 1 or self._random.random() < self.share

    def matches(self, request: Request) -> bool:
        """Tell whether this fault is meant for such a request."""
        is_method = self.method is None or self.method == request.method
        return is_method and request.shown.startswith(self.path or "")

    def content(self) -> dict[str, Any]:
        """Return what was asked for, and how often it is still to come."""
        frame = {name: getattr(self, name) for name in ("name", "times", *_FRAME)}
        return {**frame, **self.options}


def fault_of(content: Mapping[str, Any]) -> Fault:
    """Return the fault that *content* asks for.

    Raises:
        SandboxError: no such fault, no such option, or an option that can't be.
    """
    given = dict(content)
    name = str(given.pop("name", ""))
    if name not in FAULTS:
        raise unknown("fault", name, FAULTS, example='sandbox.misbehave("status", status=503)')
    frame: dict[str, Any] = {key: given.pop(key) for key in ("times", *_FRAME) if key in given}
    if frame.get("times", "usual") == "usual":
        frame["times"] = None if name in LASTING else 1
    for option in given:
        if option not in FAULTS[name]:
            raise unknown(f"option of {name}", option, FAULTS[name], example=f'sandbox.misbehave("{name}")')
    options = {**FAULTS[name], **given}
    ensure_possible(name, {**options, **frame})
    return Fault(name, options, **frame)


@dataclass(slots=True)
class Faults:
    """The faults that are still to come, in the order in which they were asked for."""

    coming: list[Fault] = field(default_factory=list)
    _starts: dict[tuple[str, str], deque[float]] = field(default_factory=dict)
    _clock: Callable[[], float] = time.monotonic

    def take(
        self, request: Request, *names: str, applies: Callable[[Fault], bool] | None = None
    ) -> Fault | None:
        """Return the first of the faults called *names* that befalls *request*, and count it down.

        Each fault that could befall it draws a lot, whichever does: so none changes another's.
        """
        taken: Fault | None = None
        for fault in [one for one in self.coming if one.name in names and one.matches(request)]:
            if applies is not None and not applies(fault):
                continue
            if fault.after > 0:
                fault.after -= 1
            elif fault.is_drawn() and taken is None:
                taken = fault
        if taken is not None and taken.times is not None:
            taken.times -= 1
            self.coming = [one for one in self.coming if one.times != 0]
        return taken

    def spoiling(self, request: Request) -> list[Fault]:
        """Return the faults that befall the answer to *request*, in the order in which they do."""
        return [fault for sort in _SPOILING if (fault := self.take(request, *sort)) is not None]

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

    def falsified(self, request: Request, content: dict[str, Any]) -> dict[str, Any]:
        """Return what a bulk write's answer says, falsified where that was asked for."""
        counts, names = self.take(request, "counts"), self.take(request, "names")
        if names is not None:
            content = _with_names(content, **names.options)
        if counts is not None:
            content = content | {key: content[key] + more for key, more in counts.options.items()}
        return content

    def refused(self, request: Request, standing: float | None) -> Answer | None:
        """Return a 429 where this request comes too soon: after a *standing* limit, or one asked for."""
        place = (request.region, request.host_kind)
        self._starts.setdefault(place, deque(maxlen=_MOST_STARTS))
        if standing is not None and not self._has_room(place, standing):
            return _too_many({"Retry-After": "1"})
        fault = self.take(request, "rate_limit", applies=lambda one: not self._has_room(place, _limit(one)))
        if fault is not None:
            return _too_many(_retry_header(fault))
        self._starts[place].append(self._clock())
        return None

    def _has_room(self, place: tuple[str, str], limit: float) -> bool:
        starts, now = self._starts[place], self._clock()
        while starts and starts[0] <= now - 1:
            starts.popleft()
        return len(starts) < limit


def spoiled(answer: Answer, fault: Fault) -> Answer:
    """Return what the client sees in place of *answer*."""
    if fault.name in _MANNERS:
        changed = _MANNERS[fault.name](**fault.options)
        return replace(answer, manner=replace(answer.manner or Manner(), **changed))
    text = fault.options["text"].encode("utf-8", "surrogatepass")
    headers = {"Content-Type": "text/html; charset=utf-8"} if text else {}
    headers |= _retry_header(fault)
    if fault.options.get("location") is not None:
        headers["Location"] = fault.options["location"]
    return Answer(fault.options["status"], text, headers)


def is_carried_out(fault: Fault) -> bool:
    """Tell whether Pendo does as asked, though the client may not learn of it."""
    return bool(fault.options.get("carry_out", True)) and fault.options.get("when") != "before"


def _cut(*, when: str, reset: bool) -> dict[str, Any]:
    return {"cut": "mid_body" if when == "mid_body" else "start", "reset": reset}


def _stall(*, seconds: float, when: str) -> dict[str, Any]:
    if when in ("before", "after"):
        return {"stall": "start", "stall_s": seconds, "cut": "start"}
    return {"stall": when, "stall_s": seconds}


_MANNERS: Final[dict[str, Callable[..., dict[str, Any]]]] = {"cut": _cut, "stall": _stall, "wrap": dict}
"""Fault → what it changes in the manner of the answer."""


def _with_names(
    content: dict[str, Any], *, missing: list[str], errors: list[str], counted: bool
) -> dict[str, Any]:
    added = {"missing": missing, "errors": errors}
    lists = {key: [*(content.get(key) or []), *names] for key, names in added.items() if names}
    more = len(missing) + len(errors) if counted else 0
    counts = {"updated": content["updated"] - more, "failed": content["failed"] + more}
    return {**content, **counts, **lists}


def _limit(fault: Fault) -> float:
    return float(fault.options["max_per_second"])


def _too_many(retry: Mapping[str, str]) -> Answer:
    return Answer(429, b"", retry)


def _retry_header(fault: Fault) -> dict[str, str]:
    wait = fault.options.get("retry_after")
    if wait is None:
        return {}
    if not fault.options["as_date"]:
        return {"Retry-After": str(wait)}
    return {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=wait), usegmt=True)}
