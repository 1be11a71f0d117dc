"""What Pendo holds: reading fields and values, and whether the key is right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from collections.abc import Mapping as AbstractMapping
from functools import partial
from types import MappingProxyType, NoneType
from typing import Any, Final
from urllib.parse import quote

import polars as pl

from pendosync.client import Answer, Client
from pendosync.errors import (
    AnswerError,
    FrameError,
    KeyRefusedError,
    MappingError,
    PlanError,
    RefusedError,
    listed,
)
from pendosync.frames import (
    FIELDS,
    HELD_KINDS,
    VALUES,
    FieldType,
    Kind,
    change_types,
    ensure_frame,
    field_names,
    is_unicode,
    type_of,
)
from pendosync.mapping import WRITABLE_GROUPS, Mapping
from pendosync.plans import Plan
from pendosync.records import to_json, values_frame

SINGLE_READS: Final = 200
"""Up to so many ids are read one by one. Source: the design; at 5 requests a second they take 40 s."""

PAGE_SIZE: Final = 100_000
"""Rows in a page of the aggregation. Source: a public client asks for as many (read 2026-11-23)."""

_TYPES: Final[AbstractMapping[str, FieldType]] = MappingProxyType(
    {
        "string": "text",
        "time": "date",
        "boolean": "boolean",
        "integer": "integer",
        "float": "float",
        "number": "float",
        "list": "list",
    }
)


_MOST_IN_PATH: Final = 1_000
"""Longer ids are read by pages: no path holds them."""


def fetch_fields(client: Client, /, *, kind: Kind) -> pl.DataFrame:
    """Return the fields that Pendo knows, deleted and hidden ones too.

    Args:
        client: where Pendo is read.
        kind: `visitor` or `account`.

    Returns:
        FIELDS frame (a row per field), in Pendo's order. A field is writable in the groups `custom` and `agent`, if
        it is neither calculated nor deleted; `type` is null where Pendo names none of its types.

    Raises:
        MappingError: no such kind.
        RemoteError: Pendo can't be read.

    Source: `GET /api/v1/metadata/schema/{kind}` as public clients read it; read-only groups as Pendo's public API
    reference has them, read 2026-11-23.
    """
    _ensure_kind(kind)
    answer = client.call(client.request, "GET", f"/api/v1/metadata/schema/{kind}")
    groups = answer.json()
    if not isinstance(groups, dict):
        raise answer.unreadable("no object of groups", expected="groups of fields")
    rows = [
        _field_row(kind, group, key, told)
        for group, fields in groups.items()
        if isinstance(fields, dict)
        for key, told in fields.items()
        if isinstance(told, dict) and is_unicode(group + key)
    ]
    return pl.DataFrame(rows, schema=FIELDS, orient="row")


def fetch_values(
    client: Client,
    mapping: Mapping,
    /,
    *,
    ids: Iterable[str] | pl.Series | None = None,
    like: pl.DataFrame | None = None,
    single_reads: int = SINGLE_READS,
    page_size: int = PAGE_SIZE,
) -> pl.DataFrame:
    """Return what Pendo holds in the fields of *mapping*, each of its field's type.

    An id that Pendo does not know is left out. A held value of another type leaves null and stands in `raw`.

    Args:
        client: where Pendo is read.
        mapping: names kind, group and fields.
        ids: of whom; those of *like*, or all that Pendo knows, when left out.
        like: VALUES, whose ids, fields and types are taken, as they come from `map_traits`. Left out, a field's type
            is its trait's, else the one in Pendo's schema (one request more), else text.
        single_reads: up to so many ids are read by one request each; more by paging through all.
        page_size: rows in a page.

    Returns:
        VALUES frame (0 to n rows); `row` is the position in this frame.

    Raises:
        FrameError: ids that are no texts, or hold half of a character, or a column of *like* that no field type fits.
        RemoteError: Pendo can't be read, or a page does not go on where the one before ended.

    Cost: one request an id, or one a page, about a second each to read its rows into columns.
    """
    types = _types_in(like) if like is not None else _types_of(client, mapping)
    if ids is None and like is not None:
        ids = like["id"]
    return fetch_typed(
        client,
        kind=mapping.kind,
        group=mapping.group,
        types=types,
        ids=ids,
        single_reads=single_reads,
        page_size=page_size,
    )


def fetch_typed(
    client: Client,
    /,
    *,
    kind: Kind,
    group: str,
    types: AbstractMapping[str, FieldType],
    ids: Iterable[str] | pl.Series | None = None,
    single_reads: int = SINGLE_READS,
    page_size: int = PAGE_SIZE,
) -> pl.DataFrame:
    """Return what Pendo holds in some fields of one group; `fetch_values` without a mapping.

    What is taken as a type's value: text, JSON texts · boolean, true and false · integer, whole numbers of 64 bit,
    also written 5.0 · float, any number that a double holds exactly · date, whole epoch milliseconds, or ISO 8601
    text with an offset and at most milliseconds, in the years 1 to 9999 · list, arrays of texts.

    Args:
        client: where Pendo is read.
        kind: `visitor` or `account`.
        group: one of Pendo's metadata groups.
        types: field → type.
        ids, single_reads, page_size: as in `fetch_values`.

    Returns:
        VALUES frame (0 to n rows): in the order of *ids* where they are read one by one, else in Pendo's.

    Raises:
        MappingError, FrameError, RemoteError: as in `fetch_values`.
    """
    _ensure_kind(kind)
    asked = None if ids is None else _asked_ids(ids)
    by_pages = asked is None or len(asked) > single_reads or any(len(one) > _MOST_IN_PATH for one in asked)
    pages = None if asked is None or by_pages else _read_each(client, kind, asked)
    if pages is None:
        pages = _read_pages(client, kind, page_size, None if asked is None else set(asked), is_kept=True)
    frames = [values_frame(ids_, records, group, types) for ids_, records in pages]
    empty = values_frame([], [], group, types)
    return pl.concat([empty, *frames], rechunk=True).with_columns(
        pl.int_range(pl.len(), dtype=pl.UInt32).alias("row")
    )


def iter_values(
    client: Client, mapping: Mapping, /, *, like: pl.DataFrame, page_size: int = PAGE_SIZE
) -> Iterator[pl.DataFrame]:
    """Yield what Pendo holds of all whom it knows, a page at a time: `fetch_values` that keeps nothing in memory.

    Whether an id stands in two pages is seen only of pages side by side.

    Args:
        client: where Pendo is read.
        mapping: names kind and group.
        like: VALUES, whose fields and types are taken.
        page_size: rows in a page.

    Returns:
        VALUES frames, at least one; `row` counts through them all.

    Raises:
        FrameError, RemoteError: as `fetch_values`.
    """
    return iter_typed(
        client, kind=mapping.kind, group=mapping.group, types=_types_in(like), page_size=page_size
    )


def iter_typed(
    client: Client,
    /,
    *,
    kind: Kind,
    group: str,
    types: AbstractMapping[str, FieldType],
    page_size: int = PAGE_SIZE,
) -> Iterator[pl.DataFrame]:
    """Yield what `iter_values` does of some fields of one group."""
    first_row = 0
    for ids, records in _read_pages(client, kind, page_size, None):
        rows = pl.int_range(first_row, first_row + len(ids), dtype=pl.UInt32).alias("row")
        yield values_frame(ids, records, group, types).with_columns(rows)
        first_row += len(ids)


def fetch_held(
    client: Client, plan: Plan, /, *, ids: Iterable[str] | pl.Series | None = None
) -> pl.DataFrame:
    """Return what Pendo holds now in the fields of *plan*, each of the plan's type.

    Args:
        client: where Pendo is read; it must go to the plan's target.
        plan: names kind, group and fields.
        ids: of whom; all of the plan's when left out.

    Returns:
        VALUES frame (0 to n rows), without the ids that Pendo does not know.

    Raises:
        PlanError: the plan was made for another target.
        RemoteError: Pendo can't be read.
    """
    ensure_readable(client, plan)
    return fetch_typed(
        client,
        kind=plan.shape.kind,
        group=plan.shape.group,
        types=change_types(plan.parts.nothing),
        ids=plan.changes["id"] if ids is None else ids,
    )


def ensure_readable(client: Client, plan: Plan, /) -> None:
    """Return nothing where what Pendo holds can be compared with *plan*.

    Raises:
        PlanError: nothing of its kind is held, or it was made for another target.
    """
    if plan.shape.audience is not None:
        raise PlanError(
            f"Who is a member of {plan.shape.audience} can't be read from Pendo in a call. Expected a plan of visitors' or "
            f"accounts' fields. Hint: read_outcomes(journal, run_id) tells what Pendo answered for each id."
        )
    if not plan.shape.is_held:
        raise PlanError(
            f"Nothing that Pendo holds can be compared with a plan of {plan.shape.kind}s by {plan.shape.route}. Expected one "
            f"of visitors' or accounts' fields. Hint: such a plan is made anew from its table."
        )
    if plan.target != client.target:
        raise PlanError(
            f"The plan was made for {plan.target}, the client reads {client.target}. Expected the same place. "
            f"Hint: open_client with the plan's region."
        )


def check_access(client: Client, /) -> str:
    """Return one sentence that says whether key and region are right, and whether the key may write.

    Args:
        client: with the key in question.

    Raises:
        SettingsError: no integration key is set.
        RemoteError: Pendo can't be reached, or does not answer as it should; a refused key is no error here.

    Source: `GET /api/v1/token/verify` as public clients read it, read 2026-11-23.
    """
    where = client.target
    try:
        answer = client.call(client.request, "GET", "/api/v1/token/verify")
    except RefusedError as error:
        if not isinstance(error, KeyRefusedError) and error.status not in (401, 403):
            raise
        return _refusal(where)
    told = answer.json()
    if not isinstance(told, dict) or not isinstance(told.get("valid"), bool):
        raise answer.unreadable("no word on the key", expected='{"valid": …, "writeAccess": …}')
    if not told["valid"]:
        return _refusal(where)
    if told.get("writeAccess") is True:
        return f"The integration key works for {where} and may write."
    return (
        f"The integration key works for {where} but is read-only: in Pendo tick 'Allow write access' under Settings > "
        f"Integrations > Integration keys, or take another key, before you push."
    )


async def ensure_write_access(client: Client) -> None:
    """Return nothing where the integration key may write, or where Pendo does not say. For the client's loop only.

    Raises:
        KeyRefusedError: the key is wrong, another region's, or read-only.
        RemoteError: Pendo can't be reached.
    """
    try:
        told = (await client.request("GET", "/api/v1/token/verify")).json()
    except (RefusedError, AnswerError) as error:
        if isinstance(error, KeyRefusedError) or error.status in (401, 403):
            raise
        return  # the call was seen in public clients only; without it the writes themselves will tell
    if isinstance(told, dict) and (told.get("valid") is False or told.get("writeAccess") is False):
        raise KeyRefusedError(
            f"The integration key may not write to {client.target}. Expected one with write access. Hint: in Pendo tick "
            f"'Allow write access' under Settings > Integrations > Integration keys, or take another key.",
            method="GET",
            path="/api/v1/token/verify",
            status=403,
        )


def _refusal(where: object) -> str:
    return f"The integration key was refused by {where}: it is wrong, or it is another region's."


def _ensure_kind(kind: str) -> None:
    if kind not in HELD_KINDS:
        raise MappingError.bad_choice("kind", kind, HELD_KINDS)


def _field_row(kind: str, group: str, key: str, told: dict[str, Any]) -> tuple[Any, ...]:
    is_deleted, is_calculated = bool(told.get("isDeleted")), bool(told.get("isCalculated"))
    return (
        kind,
        group,
        key,
        _TYPES.get(_text_or_none(told.get("Type")) or ""),
        _text_or_none(told.get("ElementType")),
        _text_or_none(told.get("DisplayName")),
        group in WRITABLE_GROUPS and not is_calculated and not is_deleted,
        is_deleted,
        bool(told.get("isHidden")),
    )


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value and is_unicode(value) else None


def _types_in(like: pl.DataFrame) -> dict[str, FieldType]:
    ensure_frame(like, VALUES, "like")
    types: dict[str, FieldType] = {}
    wrong: dict[str, str] = {}
    for name in field_names(like):
        known = type_of(like.schema[name])
        if known is None:
            wrong[name] = f"is {like.schema[name]}, which no field of Pendo holds"
        else:
            types[name] = known
    if wrong:
        raise FrameError.wrong_type("VALUES", wrong)
    return types


def _types_of(client: Client, mapping: Mapping) -> dict[str, FieldType]:
    known: dict[str, FieldType] = {}
    if any(trait.type is None for trait in mapping.each_trait):
        fields = fetch_fields(client, kind=mapping.kind).filter(pl.col("group") == mapping.group)
        known = {name: type_ for name, type_ in fields.select("field", "type").iter_rows() if type_}
    return {trait.field: trait.type or known.get(trait.field, "text") for trait in mapping.each_trait}


def _asked_ids(ids: Iterable[str] | pl.Series) -> list[str]:
    asked = list(dict.fromkeys(ids))
    strange = [one for one in asked if one is not None and not isinstance(one, str)]
    if strange:
        raise FrameError(
            f"The ids hold {strange[0]!r}, a {type(strange[0]).__name__}. Expected texts. "
            f"Hint: ids=values['id'], or ids=[str(one) for one in ids]."
        )
    halves = [one for one in asked if one and not is_unicode(one)]
    if halves:
        raise FrameError(
            f"The ids hold {listed(halves)}, with half of a character: a lone surrogate. Expected texts in Unicode, as no "
            f"other can travel. Hint: read the ids again with the encoding in which they were written."
        )
    return [one for one in asked if one]  # nobody has an empty id


# --- from answers to records -------------------------------------------------------------------------------------

_Page = tuple[list[str], list[dict[str, Any]]]


def _read_each(client: Client, kind: Kind, ids: list[str]) -> Iterable[_Page] | None:
    """Read *ids* one by one; None where Pendo forbids one, as it may those that it does not know."""
    try:
        answers = client.call_each(partial(_read_one, client, kind), ids)
    except RefusedError as error:
        if error.status == 403:
            return None
        raise
    found = [(id_, answer) for id_, answer in zip(ids, answers, strict=True) if answer is not None]
    return [([id_ for id_, _ in found], [_object_in(answer) for _, answer in found])]


async def _read_one(client: Client, kind: Kind, id_: str) -> Answer | None:
    try:
        return await client.request("GET", f"/api/v1/{kind}/{_in_path(id_)}")
    except RefusedError as error:
        if error.status == 404:
            return None
        raise


def _in_path(id_: str) -> str:
    """Return *id_* for a path; `.` and `..` would be taken for steps in it."""
    quoted = quote(id_, safe="")
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def _object_in(answer: Answer) -> dict[str, Any]:
    told = answer.json()
    if not isinstance(told, dict) or not told.keys() & {"id", "metadata"}:
        raise answer.unreadable("neither id nor metadata", expected="an object with metadata")
    if not isinstance(told.get("metadata"), dict | NoneType):
        raise answer.unreadable("no metadata", expected="an object with metadata")
    return told


def _read_pages(
    client: Client, kind: Kind, page_size: int, asked: set[str] | None, *, is_kept: bool = False
) -> Iterator[_Page]:
    """Yield pages, with those who were *asked* for, until one is not full.

    Args:
        client, kind, page_size: as in `fetch_values`.
        asked: who is wanted, or all.
        is_kept: all that is read stays in memory, so the ids may as well: one that comes again is told in any page.
    """
    last, seen, firsts = None, set[str](), set[str]()
    while True:
        body = _encode_pipeline(kind, last, page_size)
        answer = client.call(client.request, "POST", "/api/v1/aggregation", body=body)
        ids, rows = _rows_in(answer, f"{kind}Id")
        mine = set(ids)
        if len(mine) < len(ids) or not seen.isdisjoint(mine) or not firsts.isdisjoint(ids[:1]):
            raise answer.unreadable(
                "ids that came before", expected="each id once, sorted, after the last one"
            )
        if asked is None:
            yield ids, rows
        else:
            wanted = [(id_, row) for id_, row in zip(ids, rows, strict=True) if id_ in asked]
            yield [id_ for id_, _ in wanted], [row for _, row in wanted]
        if len(rows) < page_size:
            return
        last = ids[-1]
        firsts.add(ids[0])
        if is_kept:
            seen |= mine
        else:
            seen = mine


def _encode_pipeline(kind: Kind, last: str | None, page_size: int) -> bytes:
    """Return the aggregation that gives the next page. Source: public clients, read 2026-11-23."""
    id_key = f"{kind}Id"
    source = {"visitors": {"identified": True}} if kind == "visitor" else {"accounts": None}
    after = [] if last is None else [{"filter": f"{id_key}>{to_json(last)}"}]
    pipeline = [{"source": source}, {"sort": [id_key]}, *after, {"limit": page_size}]
    content = {"response": {"mimeType": "application/json"}, "request": {"pipeline": pipeline}}
    return to_json(content).encode()


def _rows_in(answer: Answer, id_key: str) -> _Page:
    told = answer.json()
    rows = told.get("results") if isinstance(told, dict) else None
    if not isinstance(rows, list) or not set(map(type, rows)) <= {dict}:
        raise answer.unreadable("no rows", expected='{"results": […]}')
    ids = [row.get(id_key) for row in rows]
    metadata = [row.get("metadata") for row in rows]
    is_whole = set(map(type, ids)) <= {str} and set(map(type, metadata)) <= {dict, NoneType}
    if not is_whole or not is_unicode("".join(ids)):
        raise answer.unreadable(f"a row without {id_key} or metadata", expected="both in each row")
    return ids, rows
