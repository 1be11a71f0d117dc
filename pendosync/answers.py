"""What Pendo's answers mean for the ids of a batch. A 200 is read, not believed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from pendosync.client import Answer
from pendosync.errors import (
    AnswerError,
    BrokenError,
    BusyError,
    KeyRefusedError,
    NoAnswerError,
    RefusedError,
    RemoteError,
    UnreachableError,
    counted,
)
from pendosync.frames import Status
from pendosync.journal import BatchResult

_WHOLE_REFUSED: Final = (400, 413, 422)
"""Refusals of a whole request that one record of it may have brought about, or its size."""


def read_answer(answer: Answer, ids: Sequence[str], *, route: str, kind: str) -> BatchResult:
    """Return what a 2xx answer means for the *ids* of its batch.

    Args:
        answer: as it came.
        ids: in the order in which they were sent.
        route: `webhook` answers for no row; `metadata` counts them.
        kind: for the reasons' words.
    """
    if route == "webhook":
        return BatchResult(
            "accepted", "the webhook answers for no row; verify by reading back", http_status=answer.status
        )
    try:
        told = answer.json()
    except AnswerError as error:
        return BatchResult("failed", f"{error} It may or may not be written.", http_status=answer.status)
    return _read_counts(told, ids, kind, answer)


def _read_counts(told: Any, ids: Sequence[str], kind: str, answer: Answer) -> BatchResult:
    counts, http_status = _counts_in(told), answer.status
    if counts is None:
        reason = "Pendo answered without counting what it wrote; it may or may not be written"
        return BatchResult("failed", reason, http_status=http_status)
    total, updated, failed = counts
    position = {id: at for at, id in enumerate(ids)}
    named = set(_texts_in(told, "missing"))
    missing = sorted(position[id] for id in named if id in position)
    exceptions: list[tuple[int, Status, str]] = [
        (at, "missing", f"Pendo does not know this {kind}") for at in missing
    ]
    rest = len(ids) - len(missing)
    adds_up = total == len(ids) == updated + failed and failed >= len(missing)
    if not adds_up:  # then what it says of missing ids can't be relied on either
        rest, exceptions = len(ids), []
    if adds_up and updated == rest and len(named) == len(missing):
        return BatchResult("updated", exceptions=exceptions, http_status=http_status)
    errors = answer.masked("; ".join(_texts_in(told, "errors")[:3]))
    said = f" It says: {errors[:300]}." if errors else ""
    if adds_up and updated == 0:
        return BatchResult("failed", f"Pendo wrote no record of this request.{said}", exceptions, http_status)
    reason = (
        f"Pendo did not name which of {counted(rest, 'record')} in this request failed (total {total}, updated "
        f"{updated}, failed {failed}), so each may or may not be written.{said}"
    )
    return BatchResult(
        "failed", reason, exceptions, http_status, n_unnamed=failed - len(missing) if adds_up else 0
    )


def _counts_in(told: Any) -> tuple[int, int, int] | None:
    match told:
        case {"total": int(total), "updated": int(updated), "failed": int(failed)}:
            return total, updated, failed
    return None


def _texts_in(told: dict[str, Any], name: str) -> list[str]:
    texts = told.get(name)
    return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []


def read_error(error: RemoteError) -> BatchResult:
    """Return what a failed request means for the ids of its batch: never sent, sent without an answer, or refused."""
    status: Status = "failed"
    if isinstance(error, UnreachableError | KeyRefusedError) or (
        isinstance(error, BusyError) and error.status != 408
    ):
        status = "pending"
    elif isinstance(error, NoAnswerError | BusyError):
        status = "unknown"
    more = " Pendo named no record: each may or may not be written." if isinstance(error, BrokenError) else ""
    is_refused = (
        isinstance(error, RefusedError)
        and error.status in _WHOLE_REFUSED
        and not isinstance(error, KeyRefusedError)
    )
    return BatchResult(status, f"{error}{more}", http_status=error.status, is_refused=is_refused)


def stops_the_run(error: RemoteError) -> bool:
    """Whether the next batch would fare no better: nobody answers, or the key is refused."""
    return (
        error.retryable
        or isinstance(error, KeyRefusedError)
        or (isinstance(error, RefusedError) and error.status in (401, 403))
    )
