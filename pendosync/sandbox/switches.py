"""Where the facts about Pendo are uncertain: one switch each, with every reading.

Source: Pendo's public docs and public clients, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from pendosync.errors import SandboxError, listed, nearest


def _switch(default: Any, *others: Any, about: str) -> Any:
    return field(default=default, metadata={"readings": (default, *others), "about": about})


@dataclass(slots=True)
class Switches:
    """How the sandbox reads what is uncertain. The first reading of each is the default."""

    other_region_key_status: int = _switch(403, 400, about="status for a key of another region")
    read_only_key_status: int = _switch(403, 401, about="status for a write with a read-only key")
    unknown_id_status: int = _switch(
        404, 403, about="status for reading or setting one value of an unknown id"
    )
    absent_value: str = _switch(
        "not_found", "null", about="reading a field that an id has no value in: 404, or 200 with null"
    )
    missing_when_empty: str = _switch(
        "absent",
        "empty",
        "null",
        about="`missing` of a bulk write where no id is missing: no key, [] or null",
    )
    errors_when_empty: str = _switch(
        "absent", "empty", "null", about="`errors` of a bulk write where there is none: no key, [] or null"
    )
    errors_name_ids: bool = _switch(False, True, about="texts in `errors` name the id")
    wrong_types: str = _switch(
        "refused",
        "kept",
        about="a written value that is not of the field's type: an error, or held as it came",
    )
    null_in_writes: str = _switch(
        "clears", "ignored", "refused", about="null clears the value, leaves it alone, or is a wrong type"
    )
    empty_text: str = _switch("kept", "clears", about='"" is a text like any other, or clears the value')
    epoch_ms_in_writes: str = _switch(
        "refused", "accepted", about="a number written to a time field: a wrong type, or epoch milliseconds"
    )
    text_over_1500: str = _switch(
        "kept", "cut", "refused", about="text over 1,500 characters is kept whole, cut, or a wrong type"
    )
    lists_outside_agent: str = _switch(
        "refused",
        "accepted",
        about="list fields in `custom` and list traits in the webhook: refused (the webhook drops them), or accepted",
    )
    duplicate_ids: str = _switch(
        "last_wins",
        "first_wins",
        "refused",
        about="one id twice in one bulk write; refused is 400 for the whole",
    )
    max_records: float | None = _switch(None, float, about="most records in one bulk write; more is 400")
    max_body_mb: float | None = _switch(
        None, float, about="largest request body in MB (10^6 bytes); more is 413"
    )
    max_requests_per_second: float | None = _switch(
        None, float, about="requests a second that each kind of host takes; more is 429 with Retry-After"
    )
    long_visitor_ids: str = _switch(
        "cut", "kept", about="visitor ids over 128 bytes are cut there, or kept whole"
    )
    agent_writable: bool = _switch(True, False, about="the API may write `agent` fields")
    put_creates_fields: bool = _switch(
        False, True, about="PUT of one value creates a missing field as text, instead of 400"
    )
    illegal_field_names: str = _switch(
        "refused", "accepted", about="creating a field whose name is no legal key: 400, or done"
    )
    fold_created_keys: bool = _switch(
        False, True, about="a created field's key is its name without capitals, blanks and underscores"
    )
    number_created_as: str = _switch(
        "float", "integer", about="the type read back of a field created as number"
    )
    parent_account_id_key: str | None = _switch(
        None,
        "accountId",
        "parentAccountId",
        about="id key of parent accounts in a bulk write; None refuses them",
    )
    segmentio_group: str = _switch(
        "segmentio", "segment.io", about="key of the group where webhook traits land"
    )
    segmentio_dates: str = _switch(
        "string", "time", about="type of a webhook field that first holds an ISO date"
    )
    fold_webhook_keys: bool = _switch(
        False, True, about="a trait's field key is its name without capitals, blanks and underscores"
    )
    webhook_creates_unknown: bool = _switch(
        True, False, about="identify and group create ids that were unknown"
    )
    webhook_nested: str = _switch(
        "dropped", "kept", about="traits that are objects or lists of other things than text"
    )
    webhook_batches: bool = _switch(
        False, True, about="the webhook takes {'batch': [messages]}, instead of 400"
    )
    track_events_enabled: bool = _switch(
        False, True, about="Pendo has turned track events of the webhook on; else 200, and nothing happens"
    )
    webhook_event_limits: str = _switch(
        "as_track",
        "none",
        about="the webhook's track events have the limits of /data/track, in age, size and names: beyond, not "
        "processed; or none",
    )
    track_over_limits: str = _switch(
        "refused",
        "not_processed",
        about="/data/track with too large or ill-named properties: 400, or 200 unprocessed",
    )
    patch_status: int = _switch(200, 207, about="status of an audience PATCH that was carried out")

    def set(self, given: Mapping[str, Any]) -> None:
        """Turn the switches that are *given*; none is turned when one is wrong.

        Raises:
            SandboxError: no such switch, or no such reading of it.
        """
        for name, value in given.items():
            _ensure_reading(name, value)
        for name, value in given.items():
            setattr(self, name, value)

    def content(self) -> dict[str, Any]:
        """Return every switch as it stands."""
        return asdict(self)


READINGS: Final[dict[str, tuple[Any, ...]]] = {one.name: one.metadata["readings"] for one in fields(Switches)}
"""Switch → its readings, the default first; `float` stands for any number above 0."""

ABOUT: Final[dict[str, str]] = {one.name: one.metadata["about"] for one in fields(Switches)}
"""Switch → what it decides."""


def _ensure_reading(name: str, value: Any) -> None:
    if name not in READINGS:
        near = nearest(name, READINGS)
        raise SandboxError(
            f"There is no switch {name!r}. The switches are {listed(READINGS)}. "
            f"Hint: {f'did you mean {near[0]!r}?' if near else 'docs/sandbox.md lists them all.'}"
        )
    if not any(_is_reading(value, reading) for reading in READINGS[name]):
        shown = ["a number above 0" if reading is float else repr(reading) for reading in READINGS[name]]
        raise SandboxError(
            f"The switch {name} can't be {value!r}. Its readings are {', '.join(shown)}. "
            f"Hint: sandbox.switch({name}={READINGS[name][0]!r}) is the default."
        )


def _is_reading(value: Any, reading: Any) -> bool:
    if reading is float:
        return type(value) in (int, float) and value > 0
    return type(value) is type(reading) and bool(value == reading)
