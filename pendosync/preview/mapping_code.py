"""A Mapping written as the Python that makes it, and as TOML."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pendosync.errors import counted
from pendosync.kinds import COLUMNS, DEFAULT_GROUPS, ROUTES_OF
from pendosync.mapping import Mapping
from pendosync.traits import Trait


@dataclass(frozen=True, slots=True)
class MappingCode:
    """A mapping to copy into the next cell, or into a file.

    Attributes:
        python: a cell that makes the mapping and calls it `mapping`.
        toml: a file for `load_mapping`; None where a trait is a polars expression.
        note: what the code leaves out, or nothing.
    """

    python: str
    toml: str | None
    note: str = ""

    def __repr__(self) -> str:
        parts = [self.python, self.toml or "", f"# {self.note}\n" if self.note else ""]
        return "\n".join(part for part in parts if part)


def write_code(mapping: Mapping, /) -> MappingCode:
    """Return *mapping* as Python and as TOML.

    Run as it stands, the Python makes an equal mapping. A polars expression can be written as neither: in Python it
    stands as a comment, and there is no TOML; the note says so.

    Example:
        >>> print(write_code(Mapping("visitor", id="user_id", traits=["plan"])).python)
        import pendosync as ps
        <BLANKLINE>
        mapping = ps.Mapping(
            "visitor",
            id="user_id",
            traits=[
                ps.Trait("plan"),
            ],
        )
        <BLANKLINE>
    """
    n_expr = sum(trait.expr is not None for trait in mapping.each_trait)
    if not n_expr:
        return MappingCode(write_python(mapping), mapping.to_toml())
    verb = "is a polars expression" if n_expr == 1 else "are polars expressions"
    note = f"{counted(n_expr, 'trait')} {verb}, which can't be written: put yours where the comment stands, or use sql=."
    return MappingCode(write_python(mapping), None, note)


def write_python(mapping: Mapping, /) -> str:
    """Return the Python that makes *mapping*; see `write_code`."""
    lines = [
        "import pendosync as ps",
        "",
        "mapping = ps.Mapping(",
        f"    {_quoted(mapping.kind)},",
        *([f"    id={_quoted(mapping.id)},"] if mapping.id else []),
        "    traits=[",
        *(f"        {_trait(trait)}" for trait in mapping.each_trait),
        "    ],",
        *(f"    {name}={text}," for name, text in _options(mapping)),
        ")",
        "",
    ]
    return "\n".join(lines)


def _options(mapping: Mapping) -> Iterator[tuple[str, str]]:
    if mapping.route != ROUTES_OF[mapping.kind][0]:
        yield "route", _quoted(mapping.route)
    if mapping.group and mapping.group != DEFAULT_GROUPS[mapping.route]:
        yield "group", _quoted(mapping.group)
    if mapping.time_zone is not None:
        yield "time_zone", _quoted(mapping.time_zone)
    for name in COLUMNS:
        value = getattr(mapping, name)
        if value not in (None, ""):
            yield name, _quoted(value) if isinstance(value, str) else repr(dict(value))


def _trait(trait: Trait) -> str:
    field = f"field={_quoted(trait.field)}"
    more = ([f"type={_quoted(trait.type)}"] if trait.type else []) + (
        [f"null={_quoted(trait.null)}"] if trait.null == "clear" else []
    )
    if trait.column is not None:
        named = [] if trait.field == trait.column else [field]
        return f"ps.Trait({', '.join([_quoted(trait.column), *named, *more])}),"
    if trait.sql is not None:
        return f"ps.Trait({', '.join([f'sql={_quoted(trait.sql)}', field, *more])}),"
    return f"# ps.Trait({', '.join(['expr=…', field, *more])}),  put your expression here: {_quoted(trait.source)}"


def _quoted(text: str) -> str:
    """Return *text* as Python writes it, in double quotes where that takes no escape; what can't be seen is escaped."""
    plain = repr(text)
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in plain else plain
