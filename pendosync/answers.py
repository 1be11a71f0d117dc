"""What Pendo's answers mean for the ids of a batch. A 200 is read, not believed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import polars as pl

from pendosync.client import Answer
from pendosync.errors import (
    AnswerError,
    KeyRefusedError,
    NoAnswerError,
    RefusedError,
    RemoteError,
    counted,
)
from pendosync.frames import Status, is_unicode
from pendosync.results import BatchResult

_WHOLE_REFUSED: Final = (400, 413, 422)
"""Refusals of a whole request that one record of it may have brought about, or its size."""


def read_answer(
    answer: Answer, n_ids: int, ids: Callable[[], pl.Series], *, route: str, kind: str
) -> BatchResult:
    """Return what a 2xx answer means for the ids of its batch.

    Args:
        answer: as it came. One that can't be read, or whose counts don't add up, is doubtful: ask again.
        n_ids: how many the batch has.
        ids: returns them, in the order in which they were sent; called where the answer names some.
        route: `webhook` answers for no row; `metadata` counts them.
        kind: for the reasons' words.
    """
    if route in ("webhook", "track"):
        return _read_acceptance(answer, _ACCEPTED.get(kind, _CAN_VERIFY))
    try:
        told = answer.json()
    except AnswerError as error:
        return _doubtful(f"{error} It may or may not be written.", answer.status)
    return _read_counts(told, n_ids, ids, kind, answer)


_CAN_VERIFY: Final = "the webhook answers for no row; verify by reading back"
_ACCEPTED: Final = {
    "event": "Pendo took the event, and does not say whether it processed it",
    "membership": "the webhook answers for no row",
}


def _read_acceptance(answer: Answer, reason: str) -> BatchResult:
    if answer.body.lstrip().startswith(b"<"):
        error = answer.unreadable("a page", expected="an answer for machines")
        return _doubtful(f"{error} It may or may not be written.", answer.status)
    return BatchResult("accepted", reason, http_status=answer.status)


def read_created(answer: Answer) -> tuple[BatchResult, str]:
    """Return what the answer to the creation of an audience means for its ids, and the audience's id, empty if unknown.

    Source: Segment's public Pendo Audiences destination, read 2026-11-23.
    """
    try:
        told = answer.json()
        id_ = told.get("segmentId") if isinstance(told, dict) else None
        if not (isinstance(id_, str) and id_.strip() and is_unicode(id_)):
            raise answer.unreadable("no id of an audience", expected='{"segmentId": …}')
    except AnswerError as error:
        return _doubtful(f"{error} The audience may or may not be created.", answer.status), ""
    return BatchResult("updated", http_status=answer.status), id_


def read_deletion(answer: Answer) -> BatchResult:
    """Return what a 2xx to the deletion of an audience means. What Pendo answers is not documented: a page is doubted."""
    told = _read_acceptance(answer, "")
    return told if told.is_doubtful else BatchResult("updated", http_status=answer.status)


def read_patch(answer: Answer, body: bytes) -> BatchResult:
    """Return what the answer to a change of an audience's members means for them, in the order in which they were sent.

    Each operation has a status of its own. Where one was refused for what it holds, the whole counts as refused: asked
    again in parts, each id gets its own answer, as adding and removing may be repeated.

    Args:
        answer: as it came; one that does not answer each operation is doubtful.
        body: the request's bytes.

    Source: Segment's public Pendo Audiences destination, read 2026-11-23.
    """
    operations = json.loads(body)["patch"]
    try:
        statuses = _statuses_in(answer, [one["op"] for one in operations])
    except AnswerError as error:
        return _doubtful(f"{error} It may or may not be written.", answer.status)
    exceptions: list[tuple[int, Status, str]] = []
    first = 0
    for operation, (status, message) in zip(operations, statuses, strict=True):
        n = len(operation["value"])
        if not 200 <= status < 300:
            said = f": {answer.masked(message)[:300]}" if message else ""
            reason = f"Pendo refused to {operation['op']} ({status}){said}"
            if status in _WHOLE_REFUSED:
                return BatchResult("failed", reason, http_status=status, is_refused=True)
            exceptions += [(at, "failed", reason) for at in range(first, first + n)]
        first += n
    return BatchResult("updated", exceptions=exceptions, http_status=answer.status)


def _statuses_in(answer: Answer, ops: Sequence[str]) -> list[tuple[int, str]]:
    """Return status and message of each operation.

    Raises:
        AnswerError: they are not there, or are of others.
    """
    told = answer.json()
    each = told.get("multistatus") if isinstance(told, dict) else None
    each = [one for one in each if isinstance(one, dict)] if isinstance(each, list) else []
    statuses = [(one.get("status"), one.get("message")) for one in each]
    is_whole = [_op_in(one, op) for one, op in zip(each, ops, strict=False)] == list(ops)
    if len(each) != len(ops) or not is_whole or not all(type(status) is int for status, _ in statuses):
        raise answer.unreadable("no status for each operation", expected='{"multistatus": [{"status": …}]}')
    return [(int(status or 0), message if isinstance(message, str) else "") for status, message in statuses]


def _op_in(told: dict[str, Any], asked: str) -> object:
    """Return which operation an answer speaks of, or the one that was *asked* where it does not say."""
    operation = told.get("operation")
    return operation.get("op", asked) if isinstance(operation, dict) else asked


def _doubtful(reason: str, http_status: int) -> BatchResult:
    return BatchResult("unknown", reason, http_status=http_status, is_doubtful=True)


def _read_counts(
    told: Any, n_ids: int, ids: Callable[[], pl.Series], kind: str, answer: Answer
) -> BatchResult:
    counts, http_status = _counts_in(told), answer.status
    if counts is None:
        return _doubtful(
            "Pendo answered without counting what it wrote; it may or may not be written", http_status
        )
    total, updated, failed = counts
    missing = told.get("missing") or []
    errors = answer.masked("; ".join(_texts_in(told, "errors")[:3]))
    said = f" It says: {errors[:300]}." if errors else ""
    sent = ids().to_list() if missing else []
    if not (_are_sent(missing, sent) and _add_up(counts, n_ids, len(missing), bool(told.get("errors")))):
        n_named = len(missing) if isinstance(missing, list) else 0
        reason = (
            f"Pendo's counts and names do not add up (total {total}, updated {updated}, failed {failed}, {n_named} named "
            f"missing, for {counted(n_ids, 'record')}), so each may or may not be written.{said}"
        )
        return _doubtful(reason, http_status)
    position = {id: at for at, id in enumerate(sent)}
    exceptions: list[tuple[int, Status, str]] = [
        (at, "missing", f"Pendo does not know this {kind}") for at in sorted(position[id] for id in missing)
    ]
    n_unnamed = failed - len(missing)
    if not n_unnamed:
        return BatchResult("updated", exceptions=exceptions, http_status=http_status)
    if updated == 0:
        return BatchResult("failed", f"Pendo wrote no record of this request.{said}", exceptions, http_status)
    reason = (
        f"Pendo did not name which of {counted(n_ids - len(missing), 'record')} in this request failed (total {total}, "
        f"updated {updated}, failed {failed}), so each may or may not be written.{said}"
    )
    return BatchResult("failed", reason, exceptions, http_status, n_unnamed=n_unnamed)


def _are_sent(missing: Any, ids: Sequence[str]) -> bool:
    """Whether those named missing are ids of the request, each once."""
    if not isinstance(missing, list) or not all(isinstance(one, str) for one in missing):
        return False
    named = set(missing)
    return not named or (len(named) == len(missing) and named <= set(ids))


def _add_up(counts: tuple[int, int, int], n_ids: int, n_missing: int, has_errors: bool) -> bool:
    """Whether the counts fit together, and with what is named: errors are of records that failed and are not missing."""
    total, updated, failed = counts
    return (
        min(counts) >= 0
        and total == n_ids == updated + failed
        and failed >= n_missing + (1 if has_errors else 0)
    )


def _counts_in(told: Any) -> tuple[int, int, int] | None:
    counts = [told.get(name) for name in ("total", "updated", "failed")] if isinstance(told, dict) else []
    match counts:
        case [int(total), int(updated), int(failed)] if bool not in map(type, counts):
            return total, updated, failed
    return None


def _texts_in(told: dict[str, Any], name: str) -> list[str]:
    texts = told.get(name)
    return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []


def read_error(error: RemoteError, *, in_doubt: bool = False) -> BatchResult:
    """Return what a failed request means for the ids of its batch: never sent, sent without an answer, or refused.

    Args:
        error: of its last try. One without an answer that can be read is doubtful: ask again.
        in_doubt: an earlier request for the same ids may have been carried out: a refusal says nothing of that one.
    """
    is_refused, is_too_long = _refuses_records(error), error.status == 408
    is_doubtful = isinstance(error, AnswerError) and error.status is None
    if not (in_doubt or error.in_doubt):
        return BatchResult(
            "failed" if is_refused else "pending", str(error), http_status=error.status, is_refused=is_refused
        )
    more = "" if isinstance(error, NoAnswerError) else " It, or an earlier try, may or may not be written."
    return BatchResult(
        "unknown",
        f"{error}{more}",
        http_status=error.status,
        is_refused=is_refused,
        is_too_long=is_too_long,
        is_doubtful=is_doubtful,
    )


def _refuses_records(error: RemoteError) -> bool:
    """Whether Pendo refused the request for what it holds: perhaps one record of it, or its size."""
    is_key = isinstance(error, KeyRefusedError)
    return isinstance(error, RefusedError) and not is_key and error.status in _WHOLE_REFUSED


def stops_the_run(error: RemoteError) -> bool:
    """Whether the next batch would fare no better: nobody answers, something else does, or the key or path is refused."""
    is_unreadable = isinstance(error, AnswerError) and error.status is None
    return not _refuses_records(error) and not is_unreadable
