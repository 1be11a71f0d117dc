"""A mapping proposed from the names of a table's columns and of Pendo's fields."""

from __future__ import annotations

import re
from collections.abc import Mapping as AbstractMapping
from collections.abc import Sequence
from typing import Final

import polars as pl

from pendosync.errors import MappingError, listed
from pendosync.frames import FIELDS, HELD_KINDS, RESERVED, Kind, Route, ensure_frame
from pendosync.kinds import DEFAULT_GROUPS
from pendosync.mapping import Mapping
from pendosync.tables import columns_in
from pendosync.traits import Trait

_ROUTES: Final[tuple[Route, ...]] = ("metadata", "webhook", "browser")
_ID_NAMES: Final[AbstractMapping[Kind, tuple[str, ...]]] = {
    "visitor": ("visitorid", "userid", "uid", "memberid", "contactid", "id"),
    "account": (
        "accountid",
        "groupid",
        "orgid",
        "organizationid",
        "companyid",
        "tenantid",
        "customerid",
        "id",
    ),
}


def suggest_mapping(
    table: pl.DataFrame | pl.LazyFrame,
    /,
    *,
    kind: Kind,
    fields: pl.DataFrame | None = None,
    id: str | None = None,
    visitor_id: str | None = None,
    route: Route = "metadata",
    group: str = "",
    time_zone: str | None = None,
) -> Mapping:
    """Return a mapping proposed from the names of *table*'s columns and of Pendo's fields.

    Reads the table's schema only. A column and a field match when key or display name are the same once case,
    blanks and underscores are dropped, as Pendo itself drops them. What matches nothing is left out and shown;
    without *fields*, and by webhook (where fields appear as they arrive), every column goes to a field of its name.

    Args:
        table: a table, lazy or not.
        kind: `visitor` or `account`.
        fields: FIELDS, from `fetch_fields`.
        id: the id's column; found by its name when left out.
        visitor_id: of accounts by webhook, the column of a visitor who belongs to each; found likewise.
        route, group, time_zone: as in Mapping.

    Raises:
        MappingError: no column looks like an id, or nothing matches.

    Source: Pendo's help pages on metadata keys, read 2026-11-23.

    Example:
        >>> suggest_mapping(pl.DataFrame({"User ID": ["ann"], "Plan": ["pro"]}), kind="visitor")
        Mapping(visitor by 'User ID' → custom, 1 trait: Plan)
    """
    for option, value, known_values in (("kind", kind, HELD_KINDS), ("route", route, _ROUTES)):
        if value not in known_values:
            raise MappingError.bad_choice(option, value, known_values)
    names = columns_in(table)
    id_column = id or _find_id(names, kind)
    if id_column not in names:
        raise MappingError.bad_choice("id", id_column, names)
    caller = (
        (visitor_id or _find_id(names, "visitor", but=id_column))
        if (kind, route) == ("account", "webhook")
        else ""
    )
    columns = [name for name in names if name not in (id_column, caller, *RESERVED)]
    chosen_group = group or DEFAULT_GROUPS[route]
    known = _known_fields(fields, kind, chosen_group) if fields is not None else None
    if known is None or route != "metadata":
        traits = [Trait(name) for name in columns]
    else:
        traits = _matched_traits(columns, known)
    used = {trait.column for trait in traits}
    if not traits:
        raise MappingError(
            f"No column of the table matches a field of group {chosen_group!r}. The columns are {listed(columns)}. "
            f"Hint: Mapping({kind!r}, id={id_column!r}, traits=[Trait('column', field='key')])."
        )
    left = tuple(name for name in names if name not in (id_column, caller) and name not in used)
    return Mapping(kind, id_column, traits, route, chosen_group, time_zone, left, visitor_id=caller)


def fold_key(name: str) -> str:
    """Return *name* as Pendo folds a display name into a key: lower case, no blanks, no underscores.

    Source: Pendo's help pages and public clients, read 2026-11-23.

    Example:
        >>> fold_key("Test account_Field")
        'testaccountfield'
    """
    return re.sub(r"[\s_]+", "", name).lower()


def _known_fields(fields: pl.DataFrame, kind: Kind, group: str) -> pl.DataFrame:
    ensure_frame(fields, FIELDS, "fields")
    mine = (pl.col("kind") == kind) & (pl.col("group") == group)
    return fields.filter(mine & pl.col("is_writable") & ~pl.col("is_deleted"))


def _matched_traits(columns: Sequence[str], known: pl.DataFrame) -> list[Trait]:
    """Match each column to at most one field; a column that has the field's very key comes first."""
    types = dict(known.select("field", "type").iter_rows())
    by_folded: dict[str, str] = {}
    for name_column in ("field", "display_name"):
        for key, name in zip(known["field"], known[name_column], strict=True):
            by_folded.setdefault(fold_key(name or key), key)
    taken: dict[str, str] = {}
    for column in sorted(columns, key=lambda name: name not in types):
        key = column if column in types else by_folded.get(fold_key(column))
        if key is not None and key not in RESERVED:
            taken.setdefault(key, column)
    by_column = {column: key for key, column in taken.items()}
    return [
        Trait(name, field=by_column[name], type=types[by_column[name]])
        for name in columns
        if name in by_column
    ]


def _find_id(names: Sequence[str], kind: Kind, but: str = "") -> str:
    folded = {fold_key(name): name for name in reversed(names) if name != but}
    for candidate in _ID_NAMES[kind]:
        if candidate in folded:
            return folded[candidate]
    raise MappingError(
        f"No column looks like a {kind} id. The columns are {listed(names, most=12)}. "
        f"Hint: suggest_mapping(…, {'visitor_id' if but else 'id'}={(names or ['user_id'])[0]!r})."
    )
