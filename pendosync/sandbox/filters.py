"""A pipeline's filter: comparisons of a row's keys with texts in quotes, joined by `&&`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Final

from pendosync.sandbox.exchange import Refusal

_COMPARISONS: Final[dict[str, Callable[[str, str], bool]]] = {
    "==": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
_CONDITION: Final = re.compile(r'\s*(\w+)\s*(==|!=|<=|>=|<|>)\s*("(?:[^"\\]|\\.)*")\s*(&&|$)')


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison: the key of a row, the sign, and the text to compare with."""

    key: str
    sign: str
    operand: str

    def holds(self, value: Any) -> bool:
        """Tell whether *value* passes; what is no text never does."""
        return type(value) is str and _COMPARISONS[self.sign](value, self.operand)


def read_conditions(text: Any, keys: Collection[str]) -> list[Condition]:
    """Return the comparisons that *text* asks for.

    Raises:
        Refusal: 400, it is none, or compares what is not among *keys*.

    Example:
        >>> read_conditions('visitorId>"a"', ["visitorId"])
        [Condition(key='visitorId', sign='>', operand='a')]
    """
    conditions, place, joint = [], 0, "&&"
    while joint == "&&":
        found = _CONDITION.match(text, place) if type(text) is str else None
        if found is None or found[1] not in keys:
            raise Refusal(400, f"this filter is not understood: {text!r}")
        conditions.append(Condition(found[1], found[2], _literal(found[3])))
        place, joint = found.end(), found[4]
    return conditions


def _literal(text: str) -> str:
    try:
        return str(json.loads(text))
    except ValueError:
        raise Refusal(400, f"no text in quotes: {text!r}") from None
