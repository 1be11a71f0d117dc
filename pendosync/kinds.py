"""The kinds that a row of a plan can be: by which routes each travels, and which columns it has or can't go without."""

from __future__ import annotations

import json
from collections.abc import Mapping as AbstractMapping
from types import MappingProxyType
from typing import Any, Final

from pendosync.errors import MappingError, first_line, listed
from pendosync.frames import HELD_KINDS, Kind, Route

COLUMNS: Final = ("visitor_id", "account_id", "anonymous_id", "event", "at", "parent_account", "integrations")
"""The columns that a row may have besides its id and its traits."""

DEFAULT_GROUPS: Final[AbstractMapping[Route, str]] = MappingProxyType(
    {"metadata": "custom", "webhook": "segmentio", "track": "", "audience": "", "browser": "agent"}
)
"""Where each route lands. The API's key for the webhook's group was not seen: `group=` overrides it."""

ROUTES_OF: Final[AbstractMapping[Kind, tuple[Route, ...]]] = MappingProxyType(
    {
        "visitor": ("metadata", "webhook", "audience", "browser"),
        "account": ("metadata", "webhook", "browser"),
        "membership": ("webhook", "browser"),
        "event": ("webhook", "track", "browser"),
    }
)
"""Kind → the routes by which it travels, the default first."""

TAKES: Final[AbstractMapping[Kind, tuple[str, ...]]] = MappingProxyType(
    {
        "visitor": ("account_id", "anonymous_id", "integrations"),
        "account": ("visitor_id", "parent_account", "integrations"),
        "membership": ("visitor_id", "account_id", "anonymous_id", "parent_account", "integrations"),
        "event": ("visitor_id", "account_id", "anonymous_id", "event", "at", "integrations"),
    }
)
"""Kind → the columns that its rows may have besides id and traits."""

_NEEDS: Final[AbstractMapping[tuple[Kind, Route], tuple[str, ...]]] = MappingProxyType(
    {
        ("account", "webhook"): ("visitor_id",),
        **{("membership", route): ("visitor_id", "account_id") for route in ROUTES_OF["membership"]},
        **{("event", route): ("visitor_id", "event", "at") for route in ROUTES_OF["event"]},
    }
)
"""What Segment's spec asks of each call: a group call, too, is made by a user. Source: the public spec, read 2026-11-26."""

_WHY: Final = MappingProxyType(
    {
        "visitor_id": "the visitor who makes the call: by Segment's spec no call goes without",
        "account_id": "the account that the visitor belongs to",
        "event": "the event's name",
        "at": "when it happened",
    }
)
_EXAMPLES: Final = MappingProxyType(
    {
        "id": "user_id",
        "visitor_id": "user_id",
        "account_id": "account_id",
        "event": "event",
        "at": "timestamp",
    }
)
PARENT: Final = "parentAccount"
"""The trait that is no trait: it travels as parent account."""


def ensure_columns(kind: Kind, route: Route, given: AbstractMapping[str, Any]) -> None:
    """Return nothing where rows of *kind* may have the columns that are *given*, and lack none that *route* needs.

    Args:
        kind, route: which.
        given: `id` and each of `COLUMNS` → the name of a column, empty or None where there is none.

    Raises:
        MappingError: a column too many or too few.
    """
    for name in COLUMNS:
        if given[name] and name not in TAKES[kind]:
            raise MappingError(
                f"A mapping of kind {kind!r} has no {name}. Expected at most {listed(TAKES[kind], most=9)}. "
                f"Hint: leave {name}= out."
            )
    needed = (*(("id",) if kind in HELD_KINDS else ()), *_NEEDS.get((kind, route), ()))
    missing = [name for name in needed if not given[name]]
    if missing:
        first = missing[0]
        why = f", {_WHY[first]}" if first in _WHY else ""
        raise MappingError(
            f"The {kind} mapping by {route} lacks {listed(missing)}. Expected the name of a column for {first}{why}. "
            f"Hint: Mapping({kind!r}, …, {first}={_EXAMPLES[first]!r})."
        )


def plain_object(integrations: object) -> str | dict[str, Any] | None:
    """Return *integrations* as a mapping keeps them: the name of a column, or an object of its own, as JSON has it.

    What is null in it, or in its parts, is left out.

    Raises:
        MappingError: it is neither, or can't be written as JSON.

    Example:
        >>> plain_object({"Pendo": True, "Amplitude": None})
        {'Pendo': True}
    """
    if isinstance(integrations, str | None):
        return integrations
    if not isinstance(integrations, AbstractMapping):
        raise MappingError(
            f"integrations is {integrations!r}. Expected an object, or the name of a column. "
            f"Hint: integrations={{'Pendo': True}}."
        )
    try:
        plain: dict[str, Any] = _without_nulls(integrations)
        json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise MappingError(
            f"integrations can't be written as JSON ({first_line(error)}). Expected names with True, False or an object each. "
            f"Hint: integrations={{'Pendo': True}}."
        ) from None
    return plain


def _without_nulls(value: Any) -> Any:
    if isinstance(value, AbstractMapping):
        return {str(name): _without_nulls(one) for name, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_without_nulls(one) for one in value if one is not None]
    return value
