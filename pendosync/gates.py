"""What holds a push back, safe by default and lifted by name; and how a push starts small."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from pendosync.errors import PlanError, counted
from pendosync.reports import Report, report_html

RECHECKED: Final = 200
"""Ids re-read before sending, by default: all of a small plan, a sample of a large one. One request each."""

_USUAL_SHARE: Final = 0.5
_FEW_IDS: Final = 1_000
"""A plan that changes no more ids than these passes the usual share."""


@dataclass(frozen=True, slots=True)
class Gates:
    """What a push of a plan may do at most. Part of the plan, and lifted by name: `plan.lift(max_ids=None)`.

    `None` is no limit.

    Args:
        max_ids: ids in the plan, without those that are skipped.
        max_changed_share: ids that change and are not skipped, as a share (0 to 1) of the ids that were compared. `usual` holds back a
            plan that changes more than half of them, if it changes more than 1,000. Not judged where the plan does not
            know how many were compared.
        max_cleared: values that were there and become null.
        agent_fields: whether fields of the group `agent` may be written: the browser agent sets them again at the
            visitor's next page load.
        recheck: ids that are read again before sending, spread evenly over the plan; a plan whose values have moved
            since it was made is refused. A resumed run reads those of its ids that are left.
        max_failed: the error budget: once more ids than this end as failed or missing, the run stops and can be
            resumed, with a budget as new. A whole number counts ids, one below 1 is a share of the plan's.

    Raises:
        PlanError: a number that can't be.
    """

    max_ids: int | None = 100_000
    max_changed_share: float | Literal["usual"] | None = "usual"
    max_cleared: int | None = 100
    agent_fields: bool = False
    recheck: int | None = RECHECKED
    max_failed: int | float | None = None

    def __post_init__(self) -> None:
        for name in ("max_ids", "max_cleared", "recheck"):
            _ensure(self, name, _is_count(getattr(self, name)), "a whole number from 0 up, or None")
        share = self.max_changed_share
        _ensure(
            self, "max_changed_share", share in (None, "usual") or _is_share(share), "a share from 0 to 1"
        )
        most = self.max_failed
        _ensure(self, "max_failed", _is_count(most) or _is_share(most), "a whole number, or a share below 1")
        _ensure(self, "agent_fields", isinstance(self.agent_fields, bool), "True or False")

    def budget(self, n_ids: int) -> int | None:
        """Return how many of *n_ids* may fail, or None where there is no budget.

        Example:
            >>> Gates(max_failed=0.05).budget(1_000), Gates(max_failed=3).budget(1_000)
            (50, 3)
        """
        most = self.max_failed
        return (
            int(most * n_ids) if isinstance(most, float) and most < 1 else None if most is None else int(most)
        )

    def _repr_html_(self) -> str:
        limits = [(f"{name}={getattr(self, name)!r}", text) for name, text in _in_words(self)]
        return report_html(Report("Gates: what a push may do at most", limits))


def _in_words(gates: Gates) -> Iterator[tuple[str, str]]:
    """Yield each gate with what it lets through."""
    share = gates.max_changed_share
    is_usual = share == "usual"
    few = f", where more than {_FEW_IDS:,} do" if is_usual else ""
    yield "max_ids", f"{_most(gates.max_ids, 'id')} in the plan"
    yield (
        "max_changed_share",
        f"{_share(_USUAL_SHARE if is_usual else share)} of the ids compared change{few}",
    )
    yield "max_cleared", f"{_most(gates.max_cleared, 'value')} cleared"
    yield "agent_fields", f"fields of the group agent {'written' if gates.agent_fields else 'not written'}"
    yield "recheck", f"{_most(gates.recheck or 0, 'id')} read again before anything is sent"
    is_share = isinstance(gates.max_failed, float) and gates.max_failed < 1
    failed = f"{_share(gates.max_failed)} of the ids" if is_share else _most(gates.max_failed, "id")
    yield "max_failed", f"{failed} failed{'' if gates.max_failed is None else ', then the run stops'}"


def _most(limit: int | float | None, noun: str) -> str:
    return f"any number of {noun}s" if limit is None else f"at most {counted(int(limit), noun)}"


def _share(share: Any) -> str:
    return "any share" if share is None else f"at most {100 * share:.4g}%"


@dataclass(frozen=True, slots=True)
class Canary:
    """A push in steps: few ids first, read back from Pendo and compared before the next. Part of the plan.

    A step whose ids all failed, or that reads back otherwise than pushed, stops the run. Resuming it goes on with the
    next step.

    Args:
        steps: where each step but the last ends, counted from the plan's first id: whole numbers are ids, numbers
            below 1 a share of the plan's. `(1, 0.01)` is one id, then up to a hundredth, then the rest.
        settle_s: how long to wait, in seconds, until what was pushed can be read: Pendo's reads may lag.
        unseen: what to do where it can't be read by then, which is no failure: `stop` the run, to be resumed later,
            or `go_on`.

    Raises:
        PlanError: an option that can't be.
    """

    steps: tuple[int | float, ...] = (1, 0.01)
    settle_s: float = 10.0
    unseen: Literal["stop", "go_on"] = "stop"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        is_each = all((_is_count(step) and step) or (_is_share(step) and 0 < step < 1) for step in self.steps)
        _ensure(self, "steps", is_each and bool(self.steps), "whole numbers from 1 up, or shares below 1")
        _ensure(self, "settle_s", _is_number(self.settle_s) and self.settle_s >= 0, "seconds from 0 up")
        _ensure(self, "unseen", self.unseen in ("stop", "go_on"), "'stop' or 'go_on'")

    def ends(self, n_ids: int) -> list[int]:
        """Return where the steps end in a plan of *n_ids*, the last one included; empty steps are left out.

        Example:
            >>> Canary().ends(1_000), Canary().ends(20)
            ([1, 10, 1000], [1, 20])
        """
        ends = {-int(-step * n_ids // 1) if step < 1 else int(step) for step in self.steps}
        return sorted({end for end in ends if end < n_ids} | {n_ids})


@dataclass(frozen=True, slots=True)
class Facts:
    """What gates judge a plan by: of the ids that it sends, not of those that it skips."""

    n_ids: int
    n_compared: int | None
    n_cleared: int
    writes_agent: bool


@dataclass(frozen=True, slots=True)
class Held:
    """One gate that holds a plan back.

    Args:
        what: the number and the limit.
        gate: the gate's name.
        lift: what it would have to be.
    """

    what: str
    gate: str
    lift: Any

    def __str__(self) -> str:
        return f"{self.what}. Hint: if that is meant, plan = plan.lift({self.gate}={self.lift!r})."


def held_by(gates: Gates, facts: Facts) -> list[Held]:
    """Return each gate that holds such a plan back."""
    return list(_each_held(gates, facts))


def _each_held(gates: Gates, facts: Facts) -> Iterator[Held]:
    if gates.max_ids is not None and facts.n_ids > gates.max_ids:
        what = f"The plan has {counted(facts.n_ids, 'id')}, at most {gates.max_ids:,} may be pushed"
        yield Held(what, "max_ids", facts.n_ids)
    share = facts.n_ids / facts.n_compared if facts.n_compared else 0.0
    most = gates.max_changed_share
    is_usual = most == "usual" and facts.n_ids > _FEW_IDS
    limit = _USUAL_SHARE if is_usual else most if isinstance(most, int | float) else None
    if limit is not None and share > limit:
        of = f"{facts.n_ids:,} of the {facts.n_compared:,} ids compared ({share:.2%})"
        yield Held(f"The plan changes {of}, at most {limit:.2%} may change", "max_changed_share", None)
    if gates.max_cleared is not None and facts.n_cleared > gates.max_cleared:
        what = f"The plan clears {counted(facts.n_cleared, 'value')}, at most {gates.max_cleared:,} may become null"
        yield Held(what, "max_cleared", facts.n_cleared)
    if facts.writes_agent and not gates.agent_fields:
        what = (
            f"The plan writes agent fields of {counted(facts.n_ids, 'id')}, which the browser agent sets again at the "
            f"visitor's next page load; 0 may be written"
        )
        yield Held(what, "agent_fields", True)


def lifted(gates: Gates, changes: dict[str, Any]) -> Gates:
    """Return *gates* with some of them changed.

    Raises:
        PlanError: no gate of that name, or a number that can't be.
    """
    names = [field.name for field in dataclasses.fields(Gates)]
    unknown = [name for name in changes if name not in names]
    if unknown:
        raise PlanError(
            f"There is no gate {unknown[0]!r}. There are {', '.join(names)}. Hint: plan.lift(max_ids=None)."
        )
    return dataclasses.replace(gates, **changes)


def _ensure(holder: object, name: str, is_so: bool, expected: str) -> None:
    if not is_so:
        value = getattr(holder, name)
        kind = type(holder).__name__
        default = next(f.default for f in dataclasses.fields(holder) if f.name == name)  # type: ignore[arg-type]
        raise PlanError(
            f"{kind}({name}={value!r}) can't be. Expected {expected}. Hint: {kind}({name}={default!r})."
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
