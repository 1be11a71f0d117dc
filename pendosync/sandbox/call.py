"""What an endpoint has at hand while it answers one request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pendosync.sandbox.exchange import Refusal, Request
from pendosync.sandbox.faults import Faults
from pendosync.sandbox.store import KINDS, Groups, Store, known_id
from pendosync.sandbox.switches import Switches


@dataclass(slots=True)
class Call:
    """One request with the contents, switches and faults it meets.

    *notes* go to the list of requests; *writes* gives the count of each id that was written, by kind.
    """

    request: Request
    store: Store
    switches: Switches
    faults: Faults
    writes: Callable[[str], Counter[str]]
    notes: list[str] = field(default_factory=list)

    def lag_s(self) -> float:
        """Return how long what this call writes can't be read."""
        return self.faults.lag_s(self.request)

    def count_writes(self, kind: str, ids: Iterable[str]) -> None:
        """Count that each of *ids* came once more, whatever becomes of it."""
        self.writes(kind).update(ids)

    def known_id(self, kind: str, id_: str) -> str:
        """Return the id under which such an id is held."""
        return known_id(kind, id_, cut=self.switches.long_visitor_ids == "cut")

    def read(self, kind: str, id_: str) -> Groups:
        """Return what a read shows of one id.

        Raises:
            Refusal: 404 (or 403, by switch), the id is unknown.
        """
        record = self.store.seen(kind, self.known_id(kind, id_))
        if record is None:
            raise Refusal(self.switches.unknown_id_status, "not found")
        return record

    def ensure_kind(self, kind: str) -> None:
        """Raise a 404 where there is no such kind."""
        if kind not in KINDS:
            raise Refusal(404, f"no such kind: {kind!r}")

    def body(self) -> dict[str, Any]:
        """Return the body, which must be a JSON object."""
        content = self.request.json()
        if type(content) is not dict:
            raise Refusal(400, "the body is not a JSON object")
        return content


def text_at(content: dict[str, Any], key: str) -> str:
    """Return the text that stands under *key*.

    Raises:
        Refusal: 400, it is no text, or empty.
    """
    value = content.get(key)
    if type(value) is not str or not value:
        raise Refusal(400, f"{key} is not a text")
    return value


def texts_at(content: dict[str, Any], key: str) -> list[str]:
    """Return the list of texts under *key*, at least one.

    Raises:
        Refusal: 400, it is no such list.
    """
    value = content.get(key)
    if type(value) is not list or not value or not all(type(one) is str and one for one in value):
        raise Refusal(400, f"{key} is not a list of at least one text")
    return value
