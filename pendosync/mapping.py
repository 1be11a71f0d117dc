"""Which traits of a table go to which of Pendo's fields: a declaration that can live in version control."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from pendosync.errors import MappingError, counted, first_line, listed
from pendosync.frames import (
    ABOUT,
    HELD_KINDS,
    KINDS,
    Kind,
    Route,
)
from pendosync.kinds import COLUMNS, DEFAULT_GROUPS, PARENT, ROUTES_OF, TAKES, ensure_columns, plain_object
from pendosync.reports import Grid, Heads, Report, report_html, shown, some
from pendosync.traits import Trait, as_trait, ensure_text

WRITABLE_GROUPS: Final = ("custom", "agent")
"""The groups that Pendo's bulk write takes. Source: Pendo's public API reference, read 2026-11-23."""

_UNSAID: Final = cast(Route, "")
"""Stands for the kind's first route."""

_COLUMNS: Final[Heads] = (
    ("trait", "name"), ("", ""), ("field", "name"), ("type", "muted"), ("null", ""),
)  # fmt: skip
_TRAIT_KEYS: Final = ("column", "sql", "expr", "field", "type", "null")
_MAPPING_KEYS: Final = ("kind", "id", "route", "group", "time_zone", *COLUMNS, "traits")


@dataclass(frozen=True)
class Mapping:
    """Which traits of a table become which fields, for one kind, route and group.

    Args:
        kind: `visitor` or `account`, whose values Pendo holds; `membership`, a visitor in an account, or `event`: each
            row of these is a message that is sent.
        id: the column that holds the visitor's or account's id; for memberships and events that of the message, and
            where they have none it is made of what they say.
        traits: Traits, or names of columns that are fields of the same name; of an event its properties. A trait
            `parentAccount` is none: it is taken for *parent_account*.
        route: `metadata` (Pendo's bulk write), `webhook` (Segment's messages), `track` (Pendo's own events),
            `audience` (a Pendo segment's members) or `browser` (the agent; shown, never pushed). For events
            `webhook` when left out.
        group: Pendo's metadata group; `custom` or `agent` for `metadata`, by default `custom`; for `webhook` the
            group in which Pendo shows what arrives, by default `segmentio`.
        time_zone: the zone of datetimes that have none, such as `Europe/Berlin`; without it they are blocked.
        left_out: columns that `suggest_mapping` matched to no field; only shown.
        visitor_id: the column of the visitor: of a membership or event; of an account by webhook, any one who belongs
            to it, as a group call is made by a user.
        account_id: the column of the account: of a membership or event, or that a visitor belongs to.
        anonymous_id: the column of the anonymous id, for rows without a visitor's: they stand as `_PENDO_T_` and this
            id in the browser, and are never sent from the server.
        event: the column of the event's name.
        at: the column of the event's time.
        parent_account: the column of the account's parent: its id, or a struct with `id` and the parent's traits.
        integrations: Segment's Integrations object, for all rows or as a column (a struct, or JSON text); what is null in
            it is left out. Rows whose object turns Pendo off are never sent and end as `skipped`.

    Raises:
        MappingError: an unknown kind, route, group or zone, no traits, two traits to one field, or a column that the
            kind does not have or can't go without.

    Example:
        >>> Mapping("visitor", id="user_id", traits=["plan", Trait("seats", null="clear")])
        Mapping(visitor by 'user_id' → custom, 2 traits: plan, seats)
        >>> Mapping("event", visitor_id="user", event="name", at="time", traits=["plan"], route="track")
        Mapping(event → track, 1 trait: plan)
    """

    kind: Kind
    id: str = ""
    traits: Sequence[Trait | str] = ()
    route: Route = _UNSAID
    group: str = ""
    time_zone: str | None = None
    left_out: tuple[str, ...] = dataclasses.field(default=(), compare=False)
    visitor_id: str = dataclasses.field(default="", kw_only=True)
    account_id: str = dataclasses.field(default="", kw_only=True)
    anonymous_id: str = dataclasses.field(default="", kw_only=True)
    event: str = dataclasses.field(default="", kw_only=True)
    at: str = dataclasses.field(default="", kw_only=True)
    parent_account: str = dataclasses.field(default="", kw_only=True)
    integrations: str | AbstractMapping[str, Any] | None = dataclasses.field(
        default=None, kw_only=True, hash=False
    )

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise MappingError.bad_choice("kind", self.kind, KINDS)
        object.__setattr__(self, "route", str(self.route) or ROUTES_OF[self.kind][0])
        if self.route not in ROUTES_OF[self.kind]:
            raise MappingError.bad_choice("route", self.route, ROUTES_OF[self.kind])
        for name in ("id", "group", "time_zone", *COLUMNS[:-1]):
            ensure_text(name, getattr(self, name))
        self._check_group()
        object.__setattr__(self, "traits", tuple(as_trait(trait) for trait in _as_list(self.traits)))
        self._lift_parent()
        ensure_columns(self.kind, self.route, {name: getattr(self, name) for name in ("id", *COLUMNS)})
        object.__setattr__(self, "integrations", plain_object(self.integrations))
        self._check_fields()
        self._check_zone()

    def _check_group(self) -> None:
        default = DEFAULT_GROUPS[self.route] if self.kind != "event" else ""
        object.__setattr__(self, "group", self.group or default)
        if self.route == "metadata" and self.group not in WRITABLE_GROUPS:
            raise MappingError.bad_choice("group", self.group, WRITABLE_GROUPS)
        if self.route == "webhook" and self.group in WRITABLE_GROUPS:
            raise MappingError(
                f"The webhook does not reach the group {self.group!r}. Expected the group in which Pendo shows what "
                f"arrives by it. Hint: group='' takes {DEFAULT_GROUPS['webhook']!r}."
            )
        if self.route not in ("metadata", "webhook") and self.group != default:
            raise MappingError(
                f"The route {self.route!r} lands in no group {self.group!r}. Expected {default or 'none'!r}. "
                f"Hint: leave group= out."
            )

    def _lift_parent(self) -> None:
        """Take a trait `parentAccount` out of the traits."""
        parents = [trait for trait in self.each_trait if trait.field == PARENT]
        if not parents or "parent_account" not in TAKES[self.kind]:
            return
        if parents[0].column is None or self.parent_account:
            raise MappingError(
                f"The trait {PARENT!r} is no column, or parent_account= names another. Expected one column: the "
                f"parent's id, or a struct with id. Hint: Mapping(…, parent_account='parent')."
            )
        object.__setattr__(self, "parent_account", parents[0].column)
        rest = tuple(trait for trait in self.each_trait if trait.field != PARENT)
        object.__setattr__(self, "traits", rest)
        del self.__dict__["each_trait"]

    def _check_fields(self) -> None:
        if not self.traits and self.kind in HELD_KINDS and self.route != "audience":
            raise MappingError(
                "The mapping has no traits. Expected at least one. Hint: Mapping(…, traits=['plan', 'seats'])."
            )
        seen: dict[str, str] = {}
        for trait in self.each_trait:
            if trait.field in seen:
                raise MappingError(
                    f"Two traits go to the field {trait.field!r}: {seen[trait.field]!r} and {trait.source!r}. Expected "
                    f"one trait a field. Hint: leave one out, or give it another field=.",
                    trait=trait.source,
                    field=trait.field,
                )
            seen[trait.field] = trait.source
        if self.about and "about" in seen:
            raise MappingError(
                "The field 'about' can't be mapped where rows have more than an id: their frames keep that name. Expected "
                "another key. Hint: Trait('about', field='about_text').",
                field="about",
            )

    def _check_zone(self) -> None:
        if self.time_zone is None:
            return
        try:
            ZoneInfo(self.time_zone)
            pl.Series([0]).cast(pl.Datetime("ms", self.time_zone)).dt.year()  # polars knows fewer
        except (ZoneInfoNotFoundError, ValueError, OSError, pl.exceptions.PolarsError):
            raise MappingError(
                f"The time zone {self.time_zone!r} does not exist. Expected a name of the IANA database. "
                f"Hint: time_zone='Europe/Berlin', or time_zone='UTC'."
            ) from None

    @cached_property
    def each_trait(self) -> tuple[Trait, ...]:
        """The traits, each as a Trait."""
        return tuple(as_trait(trait) for trait in self.traits)

    @property
    def about(self) -> dict[str, str]:
        """What rows say besides id and traits, as in `frames.ABOUT`: part → column; a constant stands for itself."""
        parts = {name: getattr(self, name) for name in ABOUT}
        named = {name: column for name, column in parts.items() if isinstance(column, str) and column}
        constant = {"integrations": ""} if isinstance(self.integrations, AbstractMapping) else {}
        return {**named, **constant}

    @property
    def is_message(self) -> bool:
        """Whether each row is a message of its own: nothing that Pendo holds is read to compare it with."""
        return self.kind not in HELD_KINDS or self.route in ("audience", "browser")

    def trait_of(self, field_name: str) -> Trait | None:
        """Return the trait that fills *field_name*, also where a struct was flattened into `trait_part`."""
        exact = self._by_field.get(field_name)
        if exact is not None:
            return exact
        starts = [trait for trait in self.each_trait if field_name.startswith(f"{trait.field}_")]
        return max(starts, key=lambda trait: len(trait.field), default=None)

    @cached_property
    def _by_field(self) -> dict[str, Trait]:
        return {trait.field: trait for trait in self.each_trait}

    def clears(self, field_name: str) -> bool:
        """Whether a null in *field_name* clears Pendo's value."""
        trait = self.trait_of(field_name)
        return trait is not None and trait.null == "clear"

    def to_dict(self) -> dict[str, Any]:
        """Return the mapping as plain values, in the order in which it is written."""
        return {
            "kind": self.kind,
            **({"id": self.id} if self.id else {}),
            "route": self.route,
            **({"group": self.group} if self.group else {}),
            **({"time_zone": self.time_zone} if self.time_zone else {}),
            **{name: getattr(self, name) for name in COLUMNS if getattr(self, name) not in (None, "")},
            "traits": [trait.to_dict() for trait in self.each_trait],
        }

    @classmethod
    def from_dict(cls, values: AbstractMapping[str, Any]) -> Mapping:
        """Return the mapping that `to_dict` described.

        Raises:
            MappingError: an unknown or missing key, or whatever the Mapping itself refuses.
        """
        _check_keys("The mapping", values, _MAPPING_KEYS, needed=("kind",))
        traits = values.get("traits", [])
        if not isinstance(traits, list) or not all(isinstance(trait, dict) for trait in traits):
            raise MappingError(
                "The mapping's traits are no list of tables. Expected [[traits]] blocks. Hint: see Mapping.to_toml()."
            )
        for trait in traits:
            _check_keys("A trait", trait, _TRAIT_KEYS, needed=())
        return cls(**{**values, "traits": [Trait(**trait) for trait in traits]})

    def to_toml(self) -> str:
        """Return the mapping as TOML, for a file under version control; `load_mapping` reads it back.

        Raises:
            MappingError: a trait holds a `pl.Expr`, which can't be written.

        Example:
            >>> print(Mapping("account", id="id", traits=["plan"]).to_toml())
            kind = "account"
            id = "id"
            route = "metadata"
            group = "custom"
            <BLANKLINE>
            [[traits]]
            column = "plan"
            field = "plan"
            null = "keep"
            <BLANKLINE>
        """
        for trait in self.each_trait:
            if trait.expr is not None:
                raise MappingError(
                    f"The trait of field {trait.field!r} is a polars expression, which can't be written to TOML: "
                    f"{trait.source}. Expected a column or SQL. Hint: Trait(sql=…, field={trait.field!r}).",
                    trait=trait.source,
                    field=trait.field,
                )
        values = self.to_dict()
        head = [_toml_line(name, text) for name, text in values.items() if name != "traits"]
        note = (
            [f"# left out: {', '.join(_one_line(name) for name in self.left_out)}"] if self.left_out else []
        )
        blocks = [
            "\n".join(["", "[[traits]]", *(_toml_line(*item) for item in trait.items())])
            for trait in values["traits"]
        ]
        return "\n".join([*note, *head, *blocks, ""])

    def __repr__(self) -> str:
        names = [trait.field for trait in self.each_trait]
        by = f" by {self.id!r}" if self.id else ""
        where = (
            f"{self.group}{'' if self.route == 'metadata' else f' by {self.route}'}"
            if self.group
            else self.route
        )
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        left = f"; left out: {listed(self.left_out)}" if self.left_out else ""
        traits = f"{counted(len(names), 'trait')}{': ' if names else ''}{shown}"
        return f"Mapping({self.kind}{by} → {where}, {traits}{left})"

    def _repr_html_(self) -> str:
        route = "" if self.route == "metadata" else f" by {self.route}"
        by = f" by {shown(self.id)}" if self.id else ""
        where = f"{shown(self.group)}{route}" if self.group else self.route
        title = f"Mapping: {self.kind}s{by} → {where}"
        facts = [("time zone", self.time_zone)] if self.time_zone else []
        facts += [
            (name.replace("_", " "), shown(_as_text(getattr(self, name))))
            for name in COLUMNS
            if getattr(self, name) not in (None, "")
        ]
        grid = Grid(_COLUMNS, [_cells(trait) for trait in self.each_trait])
        left = (f"No field matches, so left out: {some(self.left_out)}",) if self.left_out else ()
        return report_html(Report(title, facts, (grid,) if grid.rows else (), left))


def load_mapping(path: str | Path, /) -> Mapping:
    """Return the mapping that a TOML file declares.

    Args:
        path: a file as `Mapping.to_toml` writes it.

    Raises:
        MappingError: no such file, no TOML, or a declaration that Mapping refuses.
    """
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MappingError(
            f"The mapping {str(path)!r} is no TOML ({first_line(error)}). Expected what Mapping.to_toml() writes. "
            f"Hint: mend that line."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise MappingError(
            f"The mapping {str(path)!r} can't be read ({getattr(error, 'strerror', None) or error}). Expected a TOML "
            f"file. Hint: Path('mapping.toml').write_text(mapping.to_toml()) writes one."
        ) from None
    return Mapping.from_dict(values)


def _cells(trait: Trait) -> tuple[str, ...]:
    return (shown(trait.source, 80), "→", shown(trait.field), trait.type or "as it is", trait.null)


def _as_list(traits: object) -> Sequence[object]:
    if isinstance(traits, str | Trait):
        return (traits,)
    if isinstance(traits, Sequence):
        return traits
    raise MappingError(
        f"The traits are a {type(traits).__name__}. Expected a list of Traits or names of columns. "
        f"Hint: traits=['plan', Trait('Seats', field='seats')]."
    )


def _check_keys(
    what: str, values: AbstractMapping[str, Any], known: Sequence[str], *, needed: Iterable[str]
) -> None:
    strange = [name for name in values if name not in known]
    missing = [name for name in needed if name not in values]
    if strange or missing:
        told = f"has an unknown key {listed(strange)}" if strange else f"lacks {listed(missing)}"
        raise MappingError(
            f"{what} {told}. Expected {listed(known, most=9)}. Hint: compare with Mapping.to_toml()."
        )


def _toml_line(name: str, value: Any) -> str:
    return f"{name} = {_toml_value(value)}"


def _toml_value(value: Any) -> str:
    if isinstance(value, AbstractMapping):
        return (
            f"{{ {', '.join(f'{_toml_value(name)} = {_toml_value(one)}' for name, one in value.items())} }}"
        )
    if isinstance(value, list):
        return f"[{', '.join(_toml_value(one) for one in value)}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(dict(value), ensure_ascii=False)


def _one_line(name: str) -> str:
    return json.dumps(name)[1:-1]
