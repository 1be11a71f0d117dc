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
    RefusedError,
    RemoteError,
    UnreachableError,
    counted,
)
from pendosync.frames import Status
from pendosync.runfile import BatchResult

_WHOLE_REFUSED: Final = (400, 413, 422)
"""Refusals of a whole request that one record of it may have brought about, or its size."""


def read_answer(answer: Answer, ids: Sequence[str], *, route: str, kind: str) -> BatchResult:
    """Return what a 2xx answer means for the *ids* of its batch.

    Args:
        answer: as it came. One that can't be read, or whose counts don't add up, is doubtful: ask again.
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
        return _doubtful(f"{error} It may or may not be written.", answer.status)
    return _read_counts(told, ids, kind, answer)


def _doubtful(reason: str, http_status: int) -> BatchResult:
    return BatchResult("unknown", reason, http_status=http_status, is_doubtful=True)


def _read_counts(told: Any, ids: Sequence[str], kind: str, answer: Answer) -> BatchResult:
    counts, http_status = _counts_in(told), answer.status
    if counts is None:
        return _doubtful(
            "Pendo answered without counting what it wrote; it may or may not be written", http_status
        )
    total, updated, failed = counts
    position = {id: at for at, id in enumerate(ids)}
    named = set(_texts_in(told, "missing"))
    missing = sorted(position[id] for id in named if id in position)
    errors = answer.masked("; ".join(_texts_in(told, "errors")[:3]))
    said = f" It says: {errors[:300]}." if errors else ""
    if not (total == len(ids) == updated + failed and failed >= len(named)):
        reason = (
            f"Pendo's counts do not add up (total {total}, updated {updated}, failed {failed}, {len(named)} named missing, "
            f"for {counted(len(ids), 'record')}), so each may or may not be written.{said}"
        )
        return _doubtful(reason, http_status)
    exceptions: list[tuple[int, Status, str]] = [
        (at, "missing", f"Pendo does not know this {kind}") for at in missing
    ]
    n_unnamed = failed - len(missing)
    if not n_unnamed:
        return BatchResult("updated", exceptions=exceptions, http_status=http_status)
    if updated == 0:
        return BatchResult("failed", f"Pendo wrote no record of this request.{said}", exceptions, http_status)
    reason = (
        f"Pendo did not name which of {counted(len(ids) - len(missing), 'record')} in this request failed (total {total}, "
        f"updated {updated}, failed {failed}), so each may or may not be written.{said}"
    )
    return BatchResult("failed", reason, exceptions, http_status, n_unnamed=n_unnamed)


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
    if isinstance(error, RefusedError) and not isinstance(error, KeyRefusedError):
        is_whole = error.status in _WHOLE_REFUSED
        return BatchResult("failed", str(error), http_status=error.status, is_refused=is_whole)
    if error.status == 408:
        return BatchResult("unknown", str(error), http_status=408, is_too_long=True)
    is_sent = not isinstance(error, UnreachableError | KeyRefusedError | BusyError)
    more = " It may or may not be written." if isinstance(error, BrokenError | AnswerError) else ""
    return BatchResult("unknown" if is_sent else "pending", f"{error}{more}", http_status=error.status)


def stops_the_run(error: RemoteError) -> bool:
    """Whether the next batch would fare no better: nobody answers, something else does, or the key is refused."""
    return (
        error.retryable
        or isinstance(error, KeyRefusedError | AnswerError)
        or (isinstance(error, RefusedError) and error.status in (401, 403))
    )
