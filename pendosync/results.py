"""What became of a batch, and of an audience that was to be created, as a run's file keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pendosync.frames import Status

IN_FLIGHT: Final = "it was in flight when the run ended: Pendo may or may not have written it"
NOT_SENT: Final = "not sent"
SKIPPED: Final = "its integrations turn Pendo off"
TOO_OLD: Final = "never sent: it is older than 7 days by now, and Pendo would drop it"
SENT_AGAIN: Final = (
    "sent twice: it was in flight when the run was interrupted, and was sent again by the resumed one"
)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What an answer means for a batch: one status for its ids, and the exceptions.

    Args:
        status: of each id that is no exception; `updated` is `created` for an id that the plan creates.
        reason: why, in words; empty where all went well.
        exceptions: position in the batch, status, reason.
        http_status: the answer's, or None without an answer.
        n_unnamed: how many of the other ids failed, where the answer counts them and does not say which.
        is_refused: the whole request was refused, for perhaps one bad record, and nothing was written.
        is_too_long: Pendo gave up on the request for its size; some of it may be written.
        is_doubtful: the answer can't be believed; a bulk write may be asked again.
    """

    status: Status
    reason: str = ""
    exceptions: Sequence[tuple[int, Status, str]] = ()
    http_status: int | None = None
    n_unnamed: int = 0
    is_refused: bool = False
    is_too_long: bool = False
    is_doubtful: bool = False

    @property
    def must_split(self) -> bool:
        """Whether smaller requests would say more."""
        return self.is_refused or self.is_too_long or self.n_unnamed > 0

    @property
    def leaves_doubt(self) -> bool:
        """Whether some of the ids may be written, and the answer does not say which."""
        return self.status == "unknown" or self.n_unnamed > 0


@dataclass(frozen=True, slots=True)
class Creation:
    """The audience that a run was to create.

    Args:
        was_asked: Pendo was, or may have been, asked to create it.
        id: its id, empty where nobody knows it.
        is_answered: Pendo answered the id itself; otherwise it was found by its name.
    """

    was_asked: bool = False
    id: str = ""
    is_answered: bool = False

    @property
    def is_in_doubt(self) -> bool:
        """Whether it may be there, and nobody knows its id."""
        return self.was_asked and not self.id
