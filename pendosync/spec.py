"""The traits that Segment's spec reserves, and the types that it gives them.

Source: Segment's public spec of identify and group, read 2026-11-26.
"""

from __future__ import annotations

from collections.abc import Mapping as AbstractMapping
from types import MappingProxyType
from typing import Final

from pendosync.frames import FieldType
from pendosync.mapping import Mapping

_TEXTS: Final = ("avatar", "description", "email", "id", "name", "phone", "website")

SPEC_TRAITS: Final[AbstractMapping[str, AbstractMapping[str, FieldType | None]]] = MappingProxyType(
    {
        "visitor": MappingProxyType(
            {
                **dict.fromkeys((*_TEXTS, "firstName", "gender", "lastName", "title", "username"), "text"),
                **dict.fromkeys(("birthday", "createdAt"), "date"),
                "age": "integer",
                **dict.fromkeys(("address", "company")),
            }
        ),
        "account": MappingProxyType(
            {
                **dict.fromkeys((*_TEXTS, "industry", "plan"), "text"),
                "createdAt": "date",
                "address": None,
            }
        ),
    }
)
"""Kind → reserved trait → its type; None is an object, whose parts travel as traits of their own: `address_city`.

The spec has an age as a number: `integer` is `float` here where a table's ages have fractions.
"""


def spec_type(field: str, mapping: Mapping) -> FieldType | None:
    """Return the type that Segment's spec gives a trait of this name, by the routes that Segment's messages go.

    Example:
        >>> spec_type("phone", Mapping("visitor", id="id", traits=["phone"], route="webhook"))
        'text'
    """
    if mapping.route not in ("webhook", "browser"):
        return None
    kind = "account" if mapping.kind == "membership" else mapping.kind
    return SPEC_TRAITS.get(kind, {}).get(field)


def misfit(field: str, type: FieldType | None, mapping: Mapping) -> str:
    """Return what Segment's spec expects of a trait of this name, or nothing where *type* is that, or the name is free.

    Example:
        >>> misfit("company", "text", Mapping("visitor", id="id", traits=["company"], route="webhook"))
        'an object'
    """
    if mapping.route not in ("webhook", "browser") or type is None:
        return ""
    reserved = SPEC_TRAITS.get("account" if mapping.kind == "membership" else mapping.kind, {})
    if field not in reserved or reserved[field] == type or (reserved[field], type) == ("integer", "float"):
        return ""
    return reserved[field] or "an object"
