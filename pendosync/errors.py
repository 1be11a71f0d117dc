"""Every error this library raises, and the sentences they speak.

PendosyncError
├── SettingsError(ValueError)        a key, region or limit is missing or malformed; never holds the key
├── TableError(ValueError)           a file or frame can't be loaded as a table
├── FrameError(ValueError)           a frame breaks its brick
│   └── ColumnNotFoundError(KeyError)
├── MappingError(ValueError)         the declaration is wrong, before any row is read
├── ProblemsError(ValueError)        only from ensure_clean
├── PlanError(ValueError)            empty, altered, made for another target, or held by a gate
│   └── StalePlanError(PushError)    what Pendo holds has moved since: .moved
├── ClientError(RuntimeError)        a client that is closed, forked, or waits for itself
├── EngineError(RuntimeError)        a distributed engine can't be used, or went away: .n_done .n_items
├── RemoteError                      Pendo, or the way to it
│   ├── NoAnswerError                time-out or broken connection: the outcome is unknown
│   │   └── UnreachableError         no connection at all: nothing was sent
│   ├── BusyError                    408, 409, 425, 429
│   ├── BrokenError                  5xx
│   ├── AnswerError                  a 200 that can't be read, or a redirect
│   └── RefusedError                 other 4xx
│       └── KeyRefusedError          400, 401, 403 at the first call: key or region
├── SandboxError                     the embedded Pendo can't be started or told something
├── JournalError                     can't record or read: a push stops before sending
│   └── HeldError                    another process pushes this run: .host .pid
└── PushError                        the run stopped: .run_id .outcomes

A message has three beats: what happened, with the value; what was expected or is available; `Hint:` and what to
type. At most five examples and a count; never a secret, never a whole row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, ClassVar

_MOST_EXAMPLES = 5


def listed(names: Iterable[object], most: int = _MOST_EXAMPLES) -> str:
    """Return up to *most* names in quotes, then how many more there are.

    Example:
        >>> listed(["plan", "seats", "region"], most=2)
        "'plan', 'seats' and 1 more"
    """
    all_names = list(names)
    shown = ", ".join(_short(name) for name in all_names[:most])
    rest = len(all_names) - most
    return f"{shown} and {rest} more" if rest > 0 else shown


def counted(n: int, noun: str, plural: str | None = None) -> str:
    """Return the number with its noun.

    Example:
        >>> counted(1, "row"), counted(1200, "row")
        ('1 row', '1,200 rows')
    """
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def first_line(error: BaseException, most: int = 160) -> str:
    """Return the first line of what another library says, for a sentence of ours.

    Example:
        >>> first_line(ValueError("no such thing."))
        'no such thing'
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:most]


def nearest(name: str, available: Iterable[str]) -> list[str]:
    """Return the names of *available* that look most like *name*, case aside, at most three.

    Example:
        >>> nearest("Plann", ["plan", "seats"])
        ['plan']
    """
    by_folded: dict[str, str] = {}
    for candidate in available:
        by_folded.setdefault(candidate.casefold(), candidate)
    return [by_folded[hit] for hit in get_close_matches(name.casefold(), by_folded, n=3, cutoff=0.6)]


def _short(value: object, most: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= most else text[: most - 1] + "…"


class PendosyncError(Exception):
    """The root of every error that pendosync raises on purpose.

    It travels between processes, and can be copied, with all that it holds.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args, vars(self))


def _made_again(kind: type[PendosyncError], args: tuple[Any, ...], holds: dict[str, Any]) -> PendosyncError:
    """Return an error as it was: its class may ask for more than its message to be made by a call."""
    error = kind.__new__(kind, *args)
    vars(error).update(holds)
    return error


class SettingsError(PendosyncError, ValueError):
    """A key, region or limit is missing or malformed. Never holds a key."""

    @classmethod
    def unknown_region(cls, region: str, available: Sequence[str]) -> SettingsError:
        near = nearest(region, available) or list(available[:1])
        return cls(
            f"The region {_short(region)} does not exist. Pendo's regions are {listed(available, most=9)}. "
            f"Hint: Settings(region={near[0]!r}), or PENDO_REGION={near[0]} in .env."
        )

    @classmethod
    def bad_value(cls, name: str, value: object, expected: str) -> SettingsError:
        return cls(f"{name} is {_short(value)}. Expected {expected}. Hint: give {name} another value.")

    @classmethod
    def missing_secret(cls, what: str, *, argument: str, variable: str, where: str) -> SettingsError:
        return cls(
            f"This call needs {what}, and none is set. In Pendo it is found under {where}. "
            f"Hint: put {variable}=… into .env, or Settings({argument}=…)."
        )


class TableError(PendosyncError, ValueError):
    """A file or frame can't be loaded as a table."""


class FrameError(PendosyncError, ValueError):
    """A frame breaks its brick."""

    def __init__(
        self,
        message: str,
        *,
        missing: Sequence[str] = (),
        available: Sequence[str] = (),
        wrong_types: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.missing = tuple(missing)
        self.available = tuple(available)
        self.wrong_types = dict(wrong_types or {})

    @classmethod
    def wrong_type(cls, brick: str, wrong: dict[str, str]) -> FrameError:
        told = "; ".join(f"{name}: {why}" for name, why in list(wrong.items())[:_MOST_EXAMPLES])
        return cls(
            f"This is no {brick} frame: {told}. Expected the columns of {brick} with their types. "
            f"Hint: pass what the verb before returned, unchanged, or cast these columns.",
            wrong_types=wrong,
        )


class ColumnNotFoundError(FrameError, KeyError):
    """A column that a verb needs is not in the frame."""

    __str__ = Exception.__str__  # KeyError would show the repr

    @classmethod
    def of(cls, missing: Sequence[str], available: Sequence[str], *, what: str) -> ColumnNotFoundError:
        near = [hit for name in missing for hit in nearest(name, available)[:1]]
        hint = f"did you mean {listed(near)}?" if near else "name a column that the table has."
        return cls(
            f"{what} has no column {listed(missing)}. It has {listed(available, most=12) or 'no columns'}. "
            f"Hint: {hint}",
            missing=missing,
            available=available,
        )


class MappingError(PendosyncError, ValueError):
    """The declaration is wrong, before any row is read."""

    def __init__(self, message: str, *, trait: str | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.trait = trait
        self.field = field

    @classmethod
    def bad_choice(
        cls, name: str, value: object, available: Sequence[str], **where: str | None
    ) -> MappingError:
        near = nearest(str(value), available) or list(available[:1])
        return cls(
            f"{name} is {_short(value)}. Expected one of {listed(available, most=9)}. "
            f"Hint: {name.split(' ')[0]}={near[0]!r}.",
            **where,
        )


class ProblemsError(PendosyncError, ValueError):
    """Values were to be clean and are not. `.problems` is the PROBLEMS frame."""

    def __init__(self, message: str, *, problems: Any) -> None:
        super().__init__(message)
        self.problems = problems


class PlanError(PendosyncError, ValueError):
    """A plan is empty, was altered, was made for another target, or is held back by a gate.

    `.why` says of a saved plan's file, in a few words, what is wrong with it.
    """

    why: str = ""


class ClientError(PendosyncError, RuntimeError):
    """A client can't be used here: it is closed, was forked, or would wait for itself."""


class EngineError(PendosyncError, RuntimeError):
    """A distributed engine can't be used, or went away: `.n_done` of `.n_items` were done, None where none was begun."""

    def __init__(self, message: str, *, n_done: int | None = None, n_items: int | None = None) -> None:
        super().__init__(message)
        self.n_done = n_done
        self.n_items = n_items

    @classmethod
    def gone(cls, n_done: int, n_items: int, *, why: str) -> EngineError:
        return cls(
            f"The engine went away after {n_done:,} of {counted(n_items, 'part')}: {why}. Expected its scheduler and a "
            f"worker until the last one. Hint: start it again; the same call goes on with what is done.",
            n_done=n_done,
            n_items=n_items,
        )

    def of_folder(self, folder: object) -> EngineError:
        """Return the error with the folder that the same call is to be given, to go on with what is done there."""
        told = str(self).replace(
            "the same call goes on", f"the same call with folder={str(folder)!r} goes on"
        )
        return EngineError(told, n_done=self.n_done, n_items=self.n_items)

    @classmethod
    def given_up(cls, n_done: int, n_items: int, *, why: str) -> EngineError:
        return cls(
            f"The engine gave a part up after {n_done:,} of {counted(n_items, 'part')}: {why}. Expected workers that live "
            f"through one part. Hint: give each worker more memory; the same call goes on with what is done.",
            n_done=n_done,
            n_items=n_items,
        )

    @classmethod
    def other_versions(cls, package: str, ours: str, theirs: dict[str, str]) -> EngineError:
        return cls(
            f"The engine has {counted(len(theirs), 'worker')} with {package} "
            f"{', '.join(sorted(set(theirs.values())))}: {listed(theirs)}. Expected {package} {ours}, as this process has "
            f"it, so that each part is planned alike. "
            f"Hint: pip install {package}=={ours} on the workers, and start them again."
        )

    @classmethod
    def out_of_reach(cls, folder: object, workers: Sequence[str]) -> EngineError:
        return cls(
            f"The folder {str(folder)!r} can't be read and written by {counted(len(workers), 'worker')} of the engine: "
            f"{listed(workers)}. Expected a folder that this process and each worker reach under the same path. "
            f"Hint: name a folder on a shared disk (NFS, EFS, a mounted bucket)."
        )


class RemoteError(PendosyncError):
    """Pendo, or the way to it, did not do as asked.

    Holds the method, the masked path and the status; never the request, its headers or a key. `in_doubt` says that the
    request, or an earlier try of it, may have been carried out all the same.
    """

    retryable: ClassVar[bool] = False
    in_doubt: bool = False

    def __init__(
        self,
        message: str,
        *,
        method: str = "",
        path: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.status = status
        self.retry_after_s = retry_after_s


class NoAnswerError(RemoteError):
    """Time-out or broken connection after sending began: whether it was carried out is unknown."""

    retryable = True


class UnreachableError(NoAnswerError):
    """No connection could be made: nothing was sent."""


class BusyError(RemoteError):
    """408, 409, 425 or 429: not now."""

    retryable = True


class BrokenError(RemoteError):
    """5xx: Pendo failed."""

    retryable = True


class AnswerError(RemoteError):
    """A 2xx whose body is not what was asked for, or a redirect, which is never followed."""


class RefusedError(RemoteError):
    """Another 4xx: the same request would be refused again."""


class KeyRefusedError(RefusedError):
    """400, 401 or 403 at the first call: the key is wrong, or belongs to another region."""


class SandboxError(PendosyncError):
    """The embedded Pendo can't be started, or was told something it does not know."""


class JournalError(PendosyncError):
    """The journal can't be written or read. A push stops before sending."""


class HeldError(JournalError):
    """Another process pushes this run: `.host` and `.pid`, None where that is not known."""

    def __init__(self, message: str, *, host: str | None = None, pid: int | None = None) -> None:
        super().__init__(message)
        self.host = host
        self.pid = pid

    @classmethod
    def held(cls, run_id: str, holder: Any, *, free_in_s: float | None = None) -> HeldError:
        free = f" If that machine is gone, the run is free in {free_in_s:.0f} s." if free_in_s else ""
        return cls(
            f"Run {run_id} is being pushed by {_who(holder)}. Expected one pusher at a time.{free} "
            f"Hint: attach_run(journal, {run_id!r}) shows it and can pause or cancel it.",
            **_whose(holder),
        )

    @classmethod
    def taken_over(cls, run_id: str, holder: Any) -> HeldError:
        return cls(
            f"Run {run_id} was taken over by {_who(holder)} while this process was silent. Expected one pusher at a "
            f"time; nothing more is sent from here. Hint: attach_run(journal, {run_id!r}) shows it.",
            **_whose(holder),
        )


def _who(holder: Any) -> str:
    if holder is None:
        return "another process"
    return f"process {holder.pid} on {holder.host!r}, which last wrote {max(0.0, holder.silent_s):.0f} s ago"


def _whose(holder: Any) -> dict[str, Any]:
    return {} if holder is None else {"host": holder.host, "pid": holder.pid}


class PushError(PendosyncError):
    """The run stopped before its end. `.outcomes` says what became of each id."""

    def __init__(self, message: str, *, run_id: str, outcomes: Any = None) -> None:
        super().__init__(message)
        self.run_id = run_id
        self.outcomes = outcomes


class StalePlanError(PlanError, PushError):
    """What Pendo holds has moved since the plan was made. `.moved` is a PROBLEMS frame: which ids, fields and how."""

    def __init__(self, message: str, *, moved: Any, run_id: str, outcomes: Any = None) -> None:
        PushError.__init__(self, message, run_id=run_id, outcomes=outcomes)
        self.moved = moved
