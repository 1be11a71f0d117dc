"""A saved plan is a folder: a manifest, Parquet parts, and the problems met on the way.

The manifest names the SHA-256 of each file, and its own: what was altered, cut short or taken away since is found without
a look at the rows.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Mapping as AbstractMapping
from pathlib import Path
from typing import Any, Final

import polars as pl

from pendosync.beside import two_at_a_time
from pendosync.errors import PendosyncError, PlanError, first_line

_PROBLEMS: Final = "problems.parquet"
_MANIFEST: Final = "manifest.json"
_SEAL: Final = "sha256"


@contextlib.contextmanager
def new_folder(folder: Path, *, what: str) -> Iterator[Path]:
    """A folder to be filled in a block; after it, and forced out to the disk, it has the name *folder*.

    Half-filled it never has that name.

    Args:
        folder: must not exist or be empty; readable for its owner only.
        what: is written there, in errors: "The plan".

    Raises:
        PlanError: the folder holds something, or can't be written.
    """
    beside = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.part")
    try:
        ensure_new(folder)
        beside.mkdir(parents=True, mode=0o700)
        yield beside
        for file in [*beside.iterdir(), beside]:
            force_out(file)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
        force_out(folder.parent)
    except PendosyncError:  # of what is written, not of the disk
        raise
    except (
        OSError,
        ValueError,
        TypeError,
        pl.exceptions.PolarsError,
    ) as error:  # a name with a NUL, or not Unicode
        told = getattr(error, "strerror", None) or first_line(error)
        raise PlanError(
            f"{what} can't be written to {str(folder)!r} ({told}). Expected a folder that can be written, with room. "
            f"Hint: choose another place."
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def ensure_new(folder: Path) -> None:
    """Raise a PlanError where *folder* holds something, or can't be the name of one."""
    try:
        str(folder).encode()  # polars reads no file whose name is not Unicode
        if "\0" in str(folder):
            raise ValueError("it holds a NUL")
        is_taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or first_line(error)
        raise PlanError(
            f"{str(folder)!r} can't be a new folder ({told}). Expected a plain path that can be written. "
            f"Hint: choose another place."
        ) from None
    if is_taken:
        raise PlanError(
            f"{str(folder)!r} holds something already. Expected a new folder. Hint: choose another name."
        )


def make_hidden(folder: Path) -> None:
    """Make *folder*, for its owner only, where it is not there: what lies in it stays out of version control."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        contextlib.suppress(FileExistsError),
        open(folder / ".gitignore", "x", encoding="utf-8") as file,
    ):
        file.write("*\n")


def write_whole(path: Path, content: bytes | memoryview) -> str:
    """Write a file that has its name only once it is whole, and return its SHA-256."""
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        beside.write_bytes(content)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return hashlib.sha256(content).hexdigest()


def write_folder(
    folder: Path,
    manifest: AbstractMapping[str, Any],
    parts: Iterable[pl.DataFrame],
    problems: pl.DataFrame,
    thin: Callable[[pl.DataFrame], pl.DataFrame],
) -> Path:
    """Write a plan in memory to *folder*, which must not exist or be empty; half-written it never has that name.

    Args:
        folder: where to.
        manifest: what is to be known of it besides its files.
        parts: its changes.
        problems: its problems.
        thin: makes of a part what is saved of it; called from two threads.

    Raises:
        PlanError: the folder holds something, or can't be written.
    """
    frames = {f"part-{number:04}.parquet": part for number, part in enumerate(parts)}
    with new_folder(folder, what="The plan") as place:

        def write(name: str, part: pl.DataFrame) -> str:
            digest = write_file(place / name, thin(part))
            force_out(place / name)  # while another is encoded: measured, a sixth of the time
            return digest

        files = dict(zip(frames, two_at_a_time(write, frames, frames.values()), strict=True))
        files[_PROBLEMS] = write_file(place / _PROBLEMS, problems)
        write_manifest(place, {**manifest, "files": files})
    return folder


def write_file(path: Path, frame: pl.DataFrame) -> str:
    """Write *frame* as Parquet, without the structs that have no parts, and return its SHA-256.

    It has its name only once it is whole.
    """
    content = io.BytesIO()
    # a plan is written before anything is sent: measured, zstd takes twice as long for half the size
    frame.drop(hollow_in(frame.schema)).write_parquet(content, compression="lz4", statistics=False)
    return write_whole(path, content.getbuffer())


def link_file(path: Path, to: Path) -> None:
    """Have the file of *path* at *to* as well: the same one where the file system can do that, else a copy.

    Where there is none by now there will be none: who reads it is told.
    """
    try:
        os.link(path, to)
    except FileNotFoundError:
        return
    except OSError:
        shutil.copyfile(path, to)


def write_manifest(folder: Path, manifest: AbstractMapping[str, Any]) -> None:
    """Write what is to be known of a plan to its folder, with its own digest."""
    text = json.dumps({**manifest, _SEAL: _seal_of(manifest)}, indent=1, ensure_ascii=False)
    (folder / _MANIFEST).write_text(text, encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what `write_manifest` wrote; no other file is looked at.

    Raises:
        PlanError: it is missing, is not as it was written, or can't be read.
    """
    with _reading(folder):
        manifest: dict[str, Any] = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        seal = manifest.pop(_SEAL, None)
        if seal != _seal_of(manifest):
            raise altered(folder, "the digest of manifest.json differs")
        return manifest


def read_frames(
    folder: Path, files: AbstractMapping[str, str], whole: Callable[[pl.DataFrame], pl.DataFrame]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the changes and the problems of a plan in memory, which `write_folder` wrote.

    Args:
        folder, files: where they lie, and the digest of each.
        whole: makes the changes of what was saved of them, a part at a time.

    Raises:
        PlanError: a file is missing, is not as it was written, or can't be read.
    """
    with _reading(folder):
        digests = {Path(name).name: digest for name, digest in files.items()}
        for name, digest in digests.items():
            if digest_of_file(folder / name) != digest:
                raise altered(folder, f"the digest of {name} differs")
        parts = [whole(pl.read_parquet(folder / name, glob=False)) for name in digests if name != _PROBLEMS]
        return pl.concat(parts, rechunk=True), pl.read_parquet(folder / _PROBLEMS, glob=False)


def read_file(path: Path, digest: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
    """Return what `write_file` wrote, or some columns of it; the very bytes that are read are looked at.

    Raises:
        PlanError: it is missing, is not as it was written, or can't be read.
    """
    with _reading(path.parent):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise altered(path.parent, f"the digest of {path.name} differs")
        return pl.read_parquet(io.BytesIO(content), columns=None if columns is None else [*columns]).rechunk()


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[None]:
    """Whatever goes wrong in a block is told of the plan that is read."""
    try:
        yield
    except PlanError:
        raise
    except FileNotFoundError as error:
        name = Path(error.filename or str(error)).name
        if name != _MANIFEST:
            raise altered(folder, f"{name} is missing") from None
        raise PlanError(
            f"{str(folder)!r} is no saved plan: {name} is missing. Expected a folder that Plan.save wrote. "
            f"Hint: plan.save('plan-folder')."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, pl.exceptions.PolarsError) as error:
        raise altered(folder, type(error).__name__) from None


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seal_of(manifest: AbstractMapping[str, Any]) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def force_out(path: Path) -> None:
    """Return when a file, or the names in a folder, would outlive a power cut, where the system can tell."""
    is_folder = path.is_dir()
    with contextlib.suppress(OSError) if is_folder else contextlib.nullcontext():  # Windows opens no folder
        handle = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def altered(folder: Path, why: str) -> PlanError:
    """Return the error for a saved plan that is no longer as it was written."""
    error = PlanError(
        f"The plan in {str(folder)!r} was altered, cut short or written by another version ({why}). Expected it as "
        f"Plan.save wrote it. Hint: plan again, and save it to a new folder."
    )
    error.why = why
    return error


def hollow_in(schema: pl.Schema) -> list[str]:
    """Return the structs without parts, which no Parquet file holds."""
    return [name for name, dtype in schema.items() if dtype == pl.Struct({})]
