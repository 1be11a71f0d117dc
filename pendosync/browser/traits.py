"""Traits as a browser can tell them: texts, numbers, booleans and lists of texts, each exactly as it was given."""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any, Final, NoReturn

from pendosync.errors import MappingError
from pendosync.frames import is_unicode

_LARGEST: Final = 2**53 - 1
"""Beyond this a browser's numbers leave whole numbers out."""

_EXPECTED: Final = (
    "a text, a finite number, True, False, a date, a list of texts, or None, which leaves the trait out"
)


def told_traits(traits: AbstractMapping[str, Any], what: str) -> dict[str, Any]:
    """Return those *traits* that have a value, as JSON holds them: a date becomes ISO 8601 text.

    Args:
        traits: trait → value.
        what: whose they are, for the error.

    Raises:
        MappingError: a value that no trait can hold, or that a browser would change.

    Example:
        >>> told_traits({"seats": 5, "since": datetime(2026, 1, 2, tzinfo=UTC), "note": None}, "visitor")
        {'seats': 5, 'since': '2026-01-02T00:00:00.000+00:00'}
    """
    if not isinstance(traits, AbstractMapping):
        raise MappingError(
            f"The {what} is a {type(traits).__name__}. Expected a dict of its traits. "
            f"Hint: {{'id': '…', 'plan': 'pro'}}."
        )
    for name in traits:
        if not (isinstance(name, str) and name and is_unicode(name)):
            raise MappingError(
                f"A trait of the {what} is called {_short(name)}. Expected a text in Unicode, not empty. "
                f"Hint: give the trait a name."
            )
    return {name: _told(value, name, what) for name, value in traits.items() if value is not None}


def told_id(value: object, what: str, part: str = "id") -> str:
    """Return an id, or another *part* that names a thing, as a browser tells it.

    Raises:
        MappingError: it is no text, or empty.
    """
    if isinstance(value, str) and value and is_unicode(value):
        return value
    hint = (
        f"str({value!r})"
        if isinstance(value, int)
        else f"give the {what} {'an id' if part == 'id' else 'a name'}"
    )
    raise MappingError(
        f"The {part} of the {what} is {_short(value)}. Expected a text in Unicode, not empty. Hint: {hint}.",
        trait=part,
    )


def _told(value: Any, name: str, what: str) -> Any:
    if isinstance(value, str):
        return value if is_unicode(value) else _refuse(value, name, what, "take the half characters out")
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return _told_number(value, name, what)
    if isinstance(value, date):
        return _told_date(value, name, what)
    if isinstance(value, list | tuple) and all(isinstance(one, str) and is_unicode(one) for one in value):
        return list(value)
    return _refuse(value, name, what, "make it a text, or leave the trait out")


def _told_number(value: int | float, name: str, what: str) -> int | float:
    if not isfinite(value):
        _refuse(value, name, what, "None leaves the trait out")
    if isinstance(value, int) and abs(value) > _LARGEST:
        _refuse(value, name, what, "a browser rounds whole numbers beyond 2^53; give it as a text")
    return value


def _told_date(value: date, name: str, what: str) -> str:
    at = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day, tzinfo=UTC)
    if at.utcoffset() is None:
        _refuse(value, name, what, "a datetime needs a zone: value.replace(tzinfo=datetime.UTC)")
    return at.isoformat(timespec="milliseconds")


def _refuse(value: object, name: str, what: str, hint: str) -> NoReturn:
    raise MappingError(
        f"The trait {_short(name)} of the {what} is {_short(value)}. Expected {_EXPECTED}. Hint: {hint}.",
        trait=name,
    )


def _short(value: object, most: int = 60) -> str:
    text = ascii(value)
    return text if len(text) <= most else text[: most - 1] + "…"
