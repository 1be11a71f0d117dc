"""Fields and values: `/api/v1/metadata/…`.

Source: Pendo's public docs and public clients, read 2026-11-23.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from pendosync.sandbox.call import Call, text_at
from pendosync.sandbox.exchange import Answer, Refusal, Routes, json_answer
from pendosync.sandbox.fields import (
    CREATED_TYPES,
    Field,
    Reader,
    WrongTypeError,
    folded,
    is_legal_key,
    reader_of,
)
from pendosync.sandbox.store import known_ids

ROUTES: Final = Routes()

_OPT_OUTS: Final = ("donotprocess", "blacklistguides")


@ROUTES.at("GET", "/api/v1/metadata/schema/{kind}")
def read_schema(call: Call, kind: str) -> Answer:
    """Answer the fields of *kind*; groups without any are left out."""
    call.ensure_kind(kind)
    groups = {group: fields for group, fields in call.store.schema[kind].items() if fields}
    return json_answer(
        {group: {key: one.described() for key, one in fields.items()} for group, fields in groups.items()}
    )


@ROUTES.at("POST", "/api/v1/metadata/schema/{kind}/{group}")
def create_fields(call: Call, kind: str, group: str) -> Answer:
    """Create fields, or bring deleted ones back; all of them or none."""
    _ensure_writable(call, kind, group)
    asked = call.request.json()
    if type(asked) is not list or not all(type(one) is dict for one in asked):
        raise Refusal(400, "the body is not an array of objects")
    created = [_created(call, kind, group, one) for one in asked]
    for key, new in created:
        call.store.declare(kind, group, key, new)
    return Answer(200)


@ROUTES.at("DELETE", "/api/v1/metadata/schema/{kind}/{group}/{field}")
def delete_field(call: Call, kind: str, group: str, field: str) -> Answer:
    """Mark the field as deleted; its values stay, and come back with it."""
    _ensure_writable(call, kind, group)
    held = call.store.field(kind, group, field)
    if held is None or held.is_deleted:
        raise Refusal(404, f"no such field: {field!r}")
    if held.is_calculated:
        raise Refusal(400, f"field {field!r} is calculated")
    held.is_deleted = True
    call.store.changes += 1
    return Answer(200)


@ROUTES.at("POST", "/api/v1/metadata/{kind}/{group}/value")
def write_values(call: Call, kind: str, group: str) -> Answer:
    """Write many records: what can't be read refuses them all, what can't be written is counted."""
    _ensure_writable(call, kind, group)
    records = _records(call, kind)
    readers = _readers(call, kind, group, set().union(*(values for _, values in records)))
    call.count_writes(kind, (id_ for id_, _ in records))
    failing, is_named = call.faults.failing(call.request, [id_ for id_, _ in records])
    ids = known_ids(kind, (id_ for id_, _ in records), cut=call.switches.long_visitor_ids == "cut")
    tally = _Tally(len(records), with_ids=call.switches.errors_name_ids)
    is_creating, lag_s = call.request.options.get("create") == "true", call.lag_s()
    held = call.store.records[kind]
    for (sent_id, values), id_ in zip(records, ids, strict=True):
        if sent_id in failing:
            tally.fail(f"record {sent_id!r} could not be written" if is_named else None)
        elif not is_creating and id_ not in held:
            tally.missing.append(sent_id)
        else:
            try:
                new = {key: readers[key](value) for key, value in values.items()}
            except WrongTypeError as error:
                tally.fail(str(error), sent_id)
            else:
                call.store.write(kind, id_, group, new, lag_s=lag_s)
    return json_answer(tally.content(call))


@ROUTES.at("GET", "/api/v1/metadata/{kind}/{group}/value/{id}/{field}")
def read_value(call: Call, kind: str, group: str, id: str, field: str) -> Answer:
    """Answer one value as bare JSON."""
    call.ensure_kind(kind)
    held = call.store.field(kind, group, field)
    record = call.read(kind, id)
    if held is None or held.is_deleted:
        raise Refusal(404, f"no such field: {field!r}")
    values = record.get(group, {})
    if field not in values and call.switches.absent_value == "not_found":
        raise Refusal(404, "no value")
    return json_answer(values.get(field))


@ROUTES.at("PUT", "/api/v1/metadata/{kind}/{group}/value/{id}/{field}")
def write_value(call: Call, kind: str, group: str, id: str, field: str) -> Answer:
    """Write one value; of the `pendo` group only the two opt-outs."""
    if group != "pendo" or field not in _OPT_OUTS:
        _ensure_writable(call, kind, group)
    call.ensure_kind(kind)
    call.read(kind, id)
    if call.switches.put_creates_fields and call.store.field(kind, group, field) is None:
        call.store.declare(kind, group, field, Field("string", field))
    reader = _readers(call, kind, group, [field])[field]
    try:
        new = reader(call.request.json())
    except WrongTypeError as error:
        raise Refusal(400, str(error)) from None
    call.store.write(kind, call.known_id(kind, id), group, {field: new}, lag_s=call.lag_s())
    return Answer(200)


@dataclass(slots=True)
class _Tally:
    """What became of the records of one bulk write."""

    total: int
    with_ids: bool
    missing: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unnamed: int = 0

    def fail(self, text: str | None, id_: str = "") -> None:
        if text is None:
            self.unnamed += 1
        else:
            self.errors.append(f"{id_}: {text}" if id_ and self.with_ids else text)

    def content(self, call: Call) -> dict[str, Any]:
        failed = len(self.missing) + len(self.errors) + self.unnamed
        content = {
            "total": self.total,
            "updated": self.total - failed,
            "failed": failed,
            **_listing("missing", self.missing, call.switches.missing_when_empty),
            **_listing("errors", self.errors, call.switches.errors_when_empty),
        }
        return call.faults.falsified(call.request, content)


def _listing(key: str, names: list[str], when_empty: str) -> dict[str, list[str] | None]:
    if not names and when_empty == "absent":
        return {}
    return {key: None if not names and when_empty == "null" else names}


def _records(call: Call, kind: str) -> list[tuple[str, dict[str, Any]]]:
    key, content = _id_key(call, kind), call.request.json()
    if type(content) is not list:
        raise Refusal(400, "the body is not an array")
    if call.switches.max_records is not None and len(content) > call.switches.max_records:
        raise Refusal(400, "too many records")
    try:
        records = [(one[key], one["values"]) for one in content]
    except (TypeError, KeyError):
        raise Refusal(400, f"a record needs {key} and values") from None
    if not all(type(id_) is str and id_ and type(values) is dict for id_, values in records):
        raise Refusal(400, f"{key} is not a text, or values is not an object")
    return _in_turn(call, records)


def _in_turn(call: Call, records: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    if call.switches.duplicate_ids == "first_wins":
        return records[::-1]
    if call.switches.duplicate_ids == "refused" and len({id_ for id_, _ in records}) < len(records):
        raise Refusal(400, "an id stands twice in the request")
    return records


def _id_key(call: Call, kind: str) -> str:
    if kind != "parentAccount":
        return f"{kind}Id"
    if call.switches.parent_account_id_key is None:
        raise Refusal(400, "parent accounts can't be written")
    return call.switches.parent_account_id_key


def _readers(call: Call, kind: str, group: str, keys: Iterable[str]) -> dict[str, Reader]:
    """Return a reader for each key, or refuse the whole request for one field that can't be written."""
    readers = {}
    for key in keys:
        held = call.store.field(kind, group, key)
        if held is None or held.is_deleted:
            raise Refusal(400, f"no such field: {key!r}")
        if held.is_calculated:
            raise Refusal(400, f"field {key!r} is calculated")
        readers[key] = reader_of(key, held, call.switches)
    return readers


def _ensure_writable(call: Call, kind: str, group: str) -> None:
    call.ensure_kind(kind)
    if group != "custom" and not (group == "agent" and call.switches.agent_writable):
        raise Refusal(400, f"group {group!r} can't be written")


def _created(call: Call, kind: str, group: str, asked: dict[str, Any]) -> tuple[str, Field]:
    name, type_ = text_at(asked, "name"), _created_type(call, text_at(asked, "type"))
    key = folded(name) if call.switches.fold_created_keys else name
    if not is_legal_key(key) and call.switches.illegal_field_names == "refused":
        raise Refusal(400, f"{name!r} is no legal field name")
    held = call.store.field(kind, group, key)
    if held is None:
        return key, Field(type_, str(asked.get("displayname") or name), "string" if type_ == "list" else "")
    if held.is_calculated or held.type != type_:
        raise Refusal(400, f"field {key!r} exists and is of another type")
    return key, Field(held.type, held.display_name, held.element_type, held.is_hidden)


def _created_type(call: Call, asked: str) -> str:
    if asked == "number":
        return call.switches.number_created_as
    if asked in CREATED_TYPES or (asked == "list" and call.switches.lists_outside_agent == "accepted"):
        return asked
    raise Refusal(400, f"no field can be created with type {asked!r}")
