"""The file that keeps a sandbox's contents, and the note beside it that says where its server runs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final

from pendosync.errors import SandboxError
from pendosync.sandbox.keys import ADDRESS, TOKEN_HEADER

_FORMAT: Final = "pendosync sandbox 1"
_PATIENCE_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server runs, and the token that opens its side door."""

    port: int
    token: str
    pid: int


def save(path: Path, header: dict[str, Any], pieces: Iterator[dict[str, Any]]) -> None:
    """Write the contents, one piece a line; the file is the old one or the new one, never half of it."""
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as file:
        for piece in ({"format": _FORMAT, **header}, *pieces):
            file.write(json.dumps(piece, separators=(",", ":")) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return header and pieces.

    Raises:
        SandboxError: the file can't be read, or is none of ours.
    """
    try:
        with path.open(encoding="utf-8") as file:
            header, *pieces = [json.loads(line) for line in file]
        if header["format"] != _FORMAT:
            raise ValueError
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise unreadable(path, error) from None
    return header, pieces


def unreadable(path: Path, error: Exception) -> SandboxError:
    """Return the error that says that *path* is no state file."""
    return SandboxError(
        f"The state file {str(path)!r} can't be read ({type(error).__name__}). Expected a file that a sandbox "
        f"of this version saved. Hint: give another name with state=…, or delete the file."
    )


def note_path(path: Path) -> Path:
    """Return the path of the note beside the state file."""
    return path.with_name(f"{path.name}.server")


def claim(path: Path, place: Place) -> None:
    """Write the note, readable for its owner only.

    Raises:
        SandboxError: another server keeps this file, or the folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(note_path(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise SandboxError(
            f"Another sandbox keeps {str(path)!r}. Expected one at a time. Hint: open_sandbox(state=…) with the "
            f"same file finds the running one; or give another file."
        ) from None
    except OSError as error:
        raise SandboxError(
            f"The state file {str(path)!r} can't be written ({error.strerror}). Expected a folder of your own. "
            f"Hint: give another path with state=…"
        ) from None
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(place), file)


def running(path: Path) -> Place | None:
    """Return where the server of this state file runs, or None; a dead server's note is taken away.

    A server that is just closing is waited for, so that its last save is not missed.
    """
    note, end = note_path(path), time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        try:
            place = Place(**json.loads(note.read_text("utf-8")))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError):
            place = None  # just being written, or cut short
        about = _asked(place) if place else None
        if about is None and place is not None:
            note.unlink(missing_ok=True)
            return None
        if about and not about.get("closing"):
            return place
        time.sleep(0.05)
    raise SandboxError(
        f"The sandbox of {str(path)!r} neither works nor ends. Expected an answer within {_PATIENCE_S:.0f} s. "
        f"Hint: end its process, delete {str(note)!r}, and try again."
    )


def _asked(place: Place) -> dict[str, Any] | None:
    """Return what the server says of itself, {} where it broke off, None where no sandbox is there."""
    with closing(HTTPConnection(ADDRESS, place.port, timeout=_PATIENCE_S)) as connection:
        try:
            connection.request("GET", "/_sandbox/hello", headers={TOKEN_HEADER: place.token})
            response = connection.getresponse()
            return json.loads(response.read()) if response.status == 200 else None
        except (ConnectionResetError, TimeoutError):
            return {"closing": True}
        except (OSError, ValueError, HTTPException):
            return None
