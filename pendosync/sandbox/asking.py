"""Which faults can be asked for: what each option takes, and the sentences for what it doesn't."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any, Final

from pendosync.errors import SandboxError, listed, nearest

_WHEN: Final = {
    "latency": ("before", "after"),
    "stall": ("before", "after", "headers", "mid_body"),
    "cut": ("before", "after", "mid_body"),
}
_DATED_S: Final = (-6e10, 2e11)
"""Some 1,900 years back and 6,300 ahead: a date beyond has no form in a header."""


def unknown(what: str, name: str, available: Iterable[str], *, example: str) -> SandboxError:
    """Return the error that says that there is no such fault or option."""
    names = list(available)
    near = nearest(name, names)
    hint = f"did you mean {near[0]!r}?" if near else f"{example}, for one."
    return SandboxError(f"There is no {what} {name!r}. There are {listed(names, most=12)}. Hint: {hint}")


def ensure_possible(fault: str, options: Mapping[str, Any]) -> None:
    """Refuse what *fault* can't have.

    Raises:
        SandboxError: an option of another type, out of its bounds, or against another option.
    """
    for option, value in options.items():
        if option == "when" and value not in _WHEN[fault]:
            raise _impossible(fault, option, value, f"one of {listed(_WHEN[fault])}", '"after"')
        if option in _EXPECTED and not _EXPECTED[option][0](value):
            raise _impossible(fault, option, value, *_EXPECTED[option][1:])
    wait = options.get("retry_after")
    if options.get("as_date") and wait is not None and not _is_dated(wait):
        raise _impossible(fault, "retry_after", wait, "seconds to a date of four digits", "60")


def _impossible(fault: str, option: str, value: Any, expected: str, example: str) -> SandboxError:
    return SandboxError(
        f"{fault} can't have {option}={value!r}. Expected {expected}. "
        f'Hint: sandbox.misbehave("{fault}", {option}={example}).'
    )


def _is_any_number(value: Any) -> bool:
    return type(value) in (int, float) and isfinite(value)


def _is_number(value: Any) -> bool:
    return _is_any_number(value) and value >= 0


def _is_dated(value: Any) -> bool:
    return _is_any_number(value) and _DATED_S[0] < value < _DATED_S[1]


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_count(value: Any) -> bool:
    return _is_whole(value) and value >= 1


def _is_status(value: Any) -> bool:
    return _is_whole(value) and 200 <= value <= 599


def _is_share(value: Any) -> bool:
    return _is_any_number(value) and 0 < value <= 1


def _is_flag(value: Any) -> bool:
    return type(value) is bool


def _is_texts(value: Any) -> bool:
    return type(value) is list and all(type(one) is str for one in value)


def _is_text(value: Any) -> bool:
    return type(value) is str


def _is_header(value: Any) -> bool:
    return type(value) is str and value.isascii() and value.isprintable()


def _one_of(*choices: Any) -> Callable[[Any], bool]:
    return lambda value: any(type(value) is type(one) and value == one for one in choices)


def _or_none(is_possible: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or is_possible(value)


_COUNT: Final = "a whole number from 1 up"
_FLAG: Final = (_is_flag, "True or False", "True")
_MORE: Final = (_is_whole, "a whole number", "1")

_EXPECTED: Final[dict[str, tuple[Callable[[Any], bool], str, str]]] = {
    "times": (_or_none(_is_count), f"{_COUNT}, or None for until behave()", "3"),
    "after": (lambda value: _is_whole(value) and value >= 0, "a whole number from 0 up", "1"),
    "share": (_is_share, "a share over 0 and up to 1", "0.05"),
    "seed": (_is_whole, "a whole number", "7"),
    "path": (_or_none(_is_text), "how a path begins", '"/api/v1/metadata/"'),
    "method": (_or_none(_is_text), "an HTTP method", '"POST"'),
    "seconds": (_is_number, "a number from 0 up", "0.5"),
    "max_per_second": (_is_number, "a number from 0 up", "20"),
    "status": (_is_status, "an HTTP status", "503"),
    "text": (_is_text, "a text", '"oops"'),
    "retry_after": (
        lambda value: value is None or _is_any_number(value) or _is_header(value),
        "seconds, or a text of one line of ASCII",
        '"never"',
    ),
    "location": (_or_none(_is_header), "a URL, of ASCII alone", '"https://example.com/"'),
    "encoding": (_one_of(None, "gzip", "deflate", "chunked"), "gzip, deflate, chunked or None", '"gzip"'),
    "interim": (_one_of(None, 100, 103), "100, 103 or None", "103"),
    "ids": (_or_none(_is_texts), "a list of ids", '["u-0001"]'),
    "count": (_or_none(_is_count), _COUNT, "2"),
    "missing": (_is_texts, "a list of ids", '["u-0001"]'),
    "errors": (_is_texts, "a list of texts", '["could not be written"]'),
    **dict.fromkeys(("total", "updated", "failed"), _MORE),
    **dict.fromkeys(("as_date", "carry_out", "reset", "broken", "counted", "named"), _FLAG),
}
"""Option → whether a value is possible, what is expected, and an example."""
