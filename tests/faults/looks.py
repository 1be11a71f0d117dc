"""All that a person, a tool or a debugger can see of an object or an exception without going through the memory."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType
from typing import Any

from IPython.core.ultratb import VerboseTB

KEYS = {"integration_key": "int3gration-key", "app_key": "app/k3y+?<&", "track_secret": "tr4ck-secret"}
SHAPES = (*KEYS.values(), "app%2Fk3y%2B%3F%3C%26", "app/k3y+?&lt;&amp;", r"app/k3y+?\u003c\u0026")
_OURS = ("pendosync", "httpx", "httpcore")


def keys_in(text: str) -> list[str]:
    """Return the keys that *text* shows."""
    return [shape for shape in SHAPES if shape in text]


def looks_of_error(error: BaseException) -> Iterator[str]:
    """Yield an exception as Python and IPython print it with all local variables, and each of its chain by itself."""
    yield "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    yield VerboseTB(theme_name="nocolor").text(type(error), error, error.__traceback__)
    for one in chain_of(error):
        yield repr(one.args)
        yield from looks_of(one)
        for frame, _ in traceback.walk_tb(one.__traceback__):
            yield from looks_of_frame(frame)


def looks_of_frame(frame: FrameType) -> Iterator[str]:
    if frame.f_globals.get("__name__", "").startswith(
        _OURS
    ):  # what the test itself holds is the test's affair
        for value in frame.f_locals.values():
            yield from looks_of(value, depth=1)


def without_caller(error: BaseException) -> BaseException:
    """Return the exception with the frames of the library alone: what the caller holds is the caller's affair."""
    way = error.__traceback__
    while way is not None and not way.tb_frame.f_globals["__name__"].startswith(_OURS):
        way = way.tb_next
    assert way is not None
    return error.with_traceback(way)


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception and all that it is chained to, shown or suppressed."""
    if error is not None:
        yield error
        yield from chain_of(error.__cause__)
        yield from chain_of(error.__context__)
        for one in getattr(error, "exceptions", ()):
            yield from chain_of(one)


def looks_of(thing: Any, depth: int = 2) -> Iterator[str]:
    """Yield how a thing shows itself, and each of its attributes, private ones too: as rich and debuggers list them."""
    yield from (repr(thing), str(thing), f"{thing}")
    if depth and type(thing).__module__.startswith(_OURS):
        for name in dir(thing):
            if name.startswith("__"):
                continue
            with suppress(Exception):
                yield from looks_of(getattr(thing, name), depth - 1)
        state = getattr(thing, "__getstate__", None)
        yield repr(state()) if state else ""
