"""From files and dicts to messages, one by one: which files, which lines, and why a line is no message."""

from __future__ import annotations

import glob
import gzip
import json
import math
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from collections.abc import Mapping as AbstractMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn, TypeGuard

import polars as pl

from pendosync.errors import TableError
from pendosync.frames import is_unicode
from pendosync.tables.faults import fault, named, speaking

Message = dict[str, Any]
Source = str | os.PathLike[str] | Iterable[str | os.PathLike[str] | AbstractMapping[str, Any]]

NOT_JSON: Final = "not JSON"
NOT_UTF8: Final = "not UTF-8"
NO_OBJECT: Final = "no JSON object"
HALF: Final = "a text holds half of a character"
TOO_DEEP: Final = "nested too deeply to be read"
EMPTY_BATCH: Final = "a batch without messages"

_GZIP: Final = b"\x1f\x8b"
_HALVES: Final = re.compile(r"\\u[dD][89a-fA-F]")
_SHARED: Final = ("context", "integrations")
_TIMES_OF_A_BATCH: Final = ("sentAt", "receivedAt")


class Item(NamedTuple):
    """What stands at one place of a source: a message, or the reason why it is none."""

    source: str | None
    line: int
    message: Message
    reason: str = ""


def read_items(source: Source) -> Iterator[Item]:
    """Yield what *source* holds, in its order; a batch as its messages, a line that can't be read as one reason.

    Raises:
        TableError: it is no source of messages, or a file is not there, damaged or cut short.
    """
    for name, line, text in _texts(_listed(source)):
        yield from (Item(name, line, *one) for one in _messages_in(text))


# Files


def _listed(source: object) -> Iterable[object]:
    if _is_path(source):
        return (source,)
    no_list = isinstance(
        source, bytes | bytearray | AbstractMapping | pl.DataFrame | pl.LazyFrame | pl.Series
    )
    if no_list or not isinstance(source, Iterable):
        raise fault(
            f"A {type(source).__name__} holds no messages",
            "a path, a glob, a list of paths, or dicts, one a message",
            "load_segment_messages('exports/*.gz'), or load_segment_messages([message])",
        )
    return source


def _is_path(one: object) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(one, str | os.PathLike)


def _texts(source: Iterable[object]) -> Iterator[tuple[str | None, int, object]]:
    """Yield each line that is not blank, with its file and number; and each dict, with its place."""
    read: set[Path] = set()
    for place, one in enumerate(source, start=1):
        if not _is_path(one):
            yield None, place, one
            continue
        for path in _files(os.path.expanduser(os.fspath(one))):
            if (whole := path.resolve()) not in read:
                read.add(whole)
                yield from ((str(path), line, text) for line, text in _lines(path))


def _files(path: str) -> list[Path]:
    if path.lstrip().startswith(("{", "[{")) or not is_unicode(path) or "\0" in path:
        raise fault(
            "A text that is no path stands for one", "paths, or dicts", "json.loads(text) makes the dict"
        )
    with speaking("The path"):  # one that is too long can't even be looked for
        if os.path.isfile(path):
            return [Path(path)]
    if os.path.isdir(path):
        raise fault(f"{path!r} is a folder", "files", f"name them: {os.path.join(path, '**', '*.gz')!r}")
    found = sorted(name for name in glob.glob(path, recursive=True) if os.path.isfile(name))
    if not found:
        what = "No file matches" if glob.has_magic(path) else "There is no file"
        raise fault(
            f"{what} {path[:200]!r} (seen from {os.getcwd()!r})",
            "files on this machine, as Segment exports them: NDJSON, or NDJSON in gzip",
            "check the name and the working directory; * stands for any text in a name, ** for any folders",
        )
    return [Path(name) for name in found]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with speaking(named(path)), path.open("rb") as file:
        is_gzip = file.read(2) == _GZIP
    with speaking(named(path)), _whole(path), gzip.open(path) if is_gzip else path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not text.isspace() and text:
                yield number, text


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise fault(
            f"{named(path)} is cut short or damaged", "a whole gzip file", "copy or export it again"
        ) from None


# Lines


def _messages_in(text: object) -> Iterator[tuple[Message, str]]:
    try:
        written = text.decode() if isinstance(text, bytes) else _written(text)
        read = _DECODER.decode(written)
    except RecursionError:
        yield {}, TOO_DEEP
    except UnicodeDecodeError:
        yield {}, NOT_UTF8
    except (ValueError, TypeError):
        yield {}, NOT_JSON
    else:
        may_hold_halves = _HALVES.search(written) is not None
        for one in _unpacked(read):
            yield _checked(one, may_hold_halves=may_hold_halves)


def _written(one: object) -> str:
    """Return a dict as the line that it would be; whatever JSON can't say is refused."""
    return json.dumps(one if not isinstance(one, AbstractMapping) else dict(one), allow_nan=False)


def _unpacked(read: object) -> list[object]:
    """Return the messages of a batch, with what the batch says for all of them; or the one message.

    Source: Segment's HTTP tracking API, "Batch", read 2026-11-26: `context` and `integrations` are merged.
    """
    if not isinstance(read, dict) or "type" in read or not isinstance(read.get("batch"), list):
        return [read]
    batch: list[object] = read["batch"]
    return [_merged(read, one) if isinstance(one, dict) else one for one in batch] or [EMPTY_BATCH]


def _merged(batch: Message, message: Message) -> Message:
    shared = {name: batch[name] for name in _SHARED if isinstance(batch.get(name), dict)}
    whole: Message = {name: batch[name] for name in (*shared, *_TIMES_OF_A_BATCH) if name in batch}
    both = [name for name in shared if isinstance(message.get(name), dict)]
    return {**whole, **message, **{name: {**shared[name], **message[name]} for name in both}}


def _checked(one: object, *, may_hold_halves: bool) -> tuple[Message, str]:
    if not isinstance(one, dict):
        return {}, EMPTY_BATCH if one is EMPTY_BATCH else NO_OBJECT
    if may_hold_halves:
        try:
            if not is_unicode(json.dumps(one, ensure_ascii=False)):
                return {}, HALF
        except RecursionError:
            return {}, TOO_DEEP
    return one, ""


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


_DECODER: Final = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse)


def none_is_a_message(n: int) -> TableError:
    """Return the error of a source without a single message; *n* is how many lines or dicts it has."""
    what = (
        "There is no message: the source is empty" if not n else f"None of {n:,} lines or dicts is a message"
    )
    return fault(
        what,
        "a JSON object with a `type` in each line, or a `batch` of them, as Segment exports them",
        'a line looks like {"type": "identify", "userId": "u-1", "traits": {…}}; load_table reads other tables',
    )
