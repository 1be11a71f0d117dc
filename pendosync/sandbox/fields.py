"""A field as Pendo describes it, and which JSON values it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from math import inf, isfinite
from typing import Any, Final

from pendosync.sandbox.switches import Switches

CLEAR: Final = object()
"""Stands for: take the value away."""

KEEP: Final = object()
"""Stands for: leave the value as it is."""

CREATED_TYPES: Final = ("string", "number", "time", "boolean")
"""What a new field may be declared as."""

_LONGEST_TEXT: Final = 1500
_LEGAL_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ISO_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class WrongTypeError(ValueError):
    """The value is not of the field's type."""


@dataclass(slots=True)
class Field:
    """One field of one group. An empty type stands for one that Pendo does not tell."""

    type: str
    display_name: str
    element_type: str = ""
    is_hidden: bool = False
    is_deleted: bool = False
    is_calculated: bool = False

    def described(self) -> dict[str, Any]:
        """Return the descriptor that a schema read shows."""
        return {
            "Type": self.type,
            "DisplayName": self.display_name,
            "ElementType": self.element_type,
            "ElementFormat": "",
            "Dirty": False,
            "isHidden": self.is_hidden,
            "isDeleted": self.is_deleted,
            "isCalculated": self.is_calculated,
            "isPerApp": False,
            "neverIndex": False,
        }

    def content(self) -> dict[str, Any]:
        """Return what a state file keeps."""
        return asdict(self)


def is_legal_key(name: str) -> bool:
    """Tell whether *name* is letters, digits and underscores, with no digit first."""
    return _LEGAL_KEY.fullmatch(name) is not None


def folded(name: str) -> str:
    """Return *name* as a key.

    Example:
        >>> folded("SFDC_Profile"), folded("test account custom field")
        ('sfdcprofile', 'testaccountcustomfield')
    """
    return name.lower().replace(" ", "").replace("_", "")


Reader = Callable[[Any], Any]


def reader_of(key: str, field: Field, switches: Switches) -> Reader:
    """Return the function that turns a written JSON value into the one held.

    It returns `CLEAR` or `KEEP` where there is none, and raises WrongTypeError with a text that names the field.
    """
    accept = _accepting(field.type, switches)
    is_strict = switches.wrong_types == "refused"

    def read(value: Any) -> Any:
        try:
            return accept(value) if value is not None else _read_null(switches)
        except (WrongTypeError, OverflowError):
            if is_strict or value is None or value in (inf, -inf):
                raise WrongTypeError(f"value of field {key!r} is not {_called(field.type)}") from None
            return value

    return read


def read_time(value: Any) -> int:
    """Return an ISO 8601 text with an offset as epoch milliseconds."""
    if type(value) is not str or not _ISO_TIME.fullmatch(value):
        raise WrongTypeError
    try:
        return (datetime.fromisoformat(value) - _EPOCH) // _MILLISECOND
    except ValueError:
        raise WrongTypeError from None


def happened_ms(timestamp: Any, arrived_s: float) -> int:
    """Return an event's time as epoch milliseconds: a number of them, an ISO 8601 text, else when it arrived."""
    if type(timestamp) is int:
        return timestamp
    try:
        return read_time(timestamp)
    except WrongTypeError:
        return int(arrived_s * 1000)


def _accepting(type_: str, switches: Switches) -> Reader:
    if type_ == "string":
        return _text_reader(switches)
    if type_ == "time" and switches.epoch_ms_in_writes == "accepted":
        return _read_time_or_number
    return _READERS[type_]


def _text_reader(switches: Switches) -> Reader:
    if switches.empty_text == "kept" and switches.text_over_1500 == "kept":
        return _read_text

    def read(value: Any) -> Any:
        text = _read_text(value)
        if not text and switches.empty_text == "clears":
            return CLEAR
        if len(text) <= _LONGEST_TEXT or switches.text_over_1500 == "kept":
            return text
        if switches.text_over_1500 == "refused":
            raise WrongTypeError
        return text[:_LONGEST_TEXT]

    return read


def _read_null(switches: Switches) -> object:
    if switches.null_in_writes == "refused":
        raise WrongTypeError
    return CLEAR if switches.null_in_writes == "clears" else KEEP


def _read_text(value: Any) -> str:
    if type(value) is str:
        return value
    raise WrongTypeError


def _read_integer(value: Any) -> int:
    if type(value) is int:
        return value
    if type(value) is float and value.is_integer():
        return int(value)
    raise WrongTypeError


def _read_number(value: Any) -> float:
    if type(value) in (int, float) and isfinite(value):
        return float(value)
    raise WrongTypeError


def _read_boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise WrongTypeError


def _read_time_or_number(value: Any) -> int:
    return _read_integer(value) if type(value) in (int, float) else read_time(value)


def _read_list(value: Any) -> list[str]:
    if type(value) is list and all(type(one) is str for one in value):
        return value
    raise WrongTypeError


def _read_scalar(value: Any) -> Any:
    if type(value) in (str, int, bool) or (type(value) is float and isfinite(value)):
        return value
    raise WrongTypeError


_READERS: Final[dict[str, Reader]] = {
    "integer": _read_integer,
    "float": _read_number,
    "boolean": _read_boolean,
    "time": read_time,
    "list": _read_list,
    "": _read_scalar,
}


def _called(type_: str) -> str:
    return {
        "string": "a text",
        "integer": "a whole number",
        "float": "a number",
        "boolean": "true or false",
        "time": "an ISO 8601 time with an offset",
        "list": "a list of texts",
    }.get(type_, "a text, number or boolean")
