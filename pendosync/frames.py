"""The bricks that flow from verb to verb, as polars schemas, and the check that a frame is one.

VALUES and CHANGES are wide: besides the columns named here they have a typed column, or a typed part of a struct,
for each field.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

import polars as pl

from pendosync.errors import ColumnNotFoundError, FrameError

Kind = Literal["visitor", "account", "membership", "event"]
Route = Literal["metadata", "webhook", "track", "audience", "browser"]
FieldType = Literal["text", "boolean", "integer", "float", "date", "list"]
NullPolicy = Literal["keep", "clear"]
Severity = Literal["block_row", "block_field", "warn"]
Action = Literal["update", "create", "send", "add", "remove", "delete", "skip"]
RunStateName = Literal[
    "preparing", "running", "paused", "stopping", "done", "cancelled", "stopped", "interrupted"
]
Status = Literal[
    "updated", "created", "accepted", "missing", "failed", "refused", "skipped", "unknown", "pending"
]

KINDS: Final[tuple[Kind, ...]] = ("visitor", "account", "membership", "event")
"""What a row of a plan can be."""

HELD_KINDS: Final[tuple[Kind, ...]] = ("visitor", "account")
"""Whose values Pendo holds: they are read, compared and put back. The others are messages, each of them sent."""

ROUTES: Final[tuple[Route, ...]] = ("metadata", "webhook", "track", "audience", "browser")
ACTIONS: Final[tuple[Action, ...]] = ("update", "create", "send", "add", "remove", "delete", "skip")
STATUSES: Final[tuple[Status, ...]] = (
    "updated", "created", "accepted", "missing", "failed", "refused", "skipped", "unknown", "pending",
)  # fmt: skip

REJECTED: Final[tuple[Status, ...]] = ("missing", "failed", "refused")
"""The outcomes of ids that may be mended and pushed again."""

DTYPES: Final[AbstractMapping[FieldType, pl.DataType]] = {
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "integer": pl.Int64(),
    "float": pl.Float64(),
    "date": pl.Datetime("ms", "UTC"),
    "list": pl.List(pl.String()),
}
"""Field type → the polars type its values have in VALUES and CHANGES."""

_ISO_MS: Final = "%Y-%m-%dT%H:%M:%S%.3f+00:00"

RESERVED: Final = ("row", "id", "raw")
"""The columns of VALUES that are not fields; nor is `about`, where it is a struct."""

ROW: Final = "\0row"
"""The column that says, of rows taken out of a larger table, which row of it each is."""

ABOUT: Final[AbstractMapping[str, pl.DataType]] = MappingProxyType(
    {
        "visitor_id": pl.String(),
        "account_id": pl.String(),
        "event": pl.String(),
        "at": pl.Datetime("ms", "UTC"),
        "parent_account": pl.String(),
        "integrations": pl.String(),
    }
)
"""Whom and what a row is about, besides its own id: the parts that the struct `about` of VALUES and CHANGES may have.

`parent_account` and `integrations` are JSON objects in text.
"""

FIELDS: Final = pl.Schema(
    {
        "kind": pl.String(),
        "group": pl.String(),
        "field": pl.String(),
        "type": pl.String(),
        "element_type": pl.String(),
        "display_name": pl.String(),
        "is_writable": pl.Boolean(),
        "is_deleted": pl.Boolean(),
        "is_hidden": pl.Boolean(),
    }
)
"""One row is a field that Pendo knows. `type` is one of ours (`text`, `date`, …), null where Pendo names none."""

VALUES: Final = pl.Schema({"row": pl.UInt32(), "id": pl.String(), "raw": pl.String()})
"""One row is what Pendo should hold, or holds, for one id; then a typed column per field.

Where the mapping names more than an id, a struct `about` with parts of `ABOUT` follows.
`row` is the position in the table (0 is the first). `raw` is null, or a JSON object of those cells whose value is
not of the field's type: field → the JSON text of the value as it is, so `{"seats": "\\"5\\""}` where a text is held.
"""

PROBLEMS: Final = pl.Schema(
    {
        "row": pl.UInt32(),
        "id": pl.String(),
        "field": pl.String(),
        "rule": pl.String(),
        "severity": pl.String(),
        "n_rows": pl.UInt32(),
        "reason": pl.String(),
    }
)
"""One row is one reason; `row` null means the whole column. A problem of a column is one line."""

CHANGES: Final = pl.Schema({"row": pl.UInt32(), "id": pl.String(), "action": pl.String()})
"""One row is one id that differs; then `changed` (struct of Booleans, one per field), `before` and `after`
(structs of typed values, one per field), `before_raw` and `after_raw` (as `raw` in VALUES: cells of another type), and
`about` where VALUES had it. `action`: `update`, `create` where Pendo was read and lacks the id, `send` where nothing is
held that could be compared, `add` and `remove` for members of an audience, `delete` for an audience itself, and `skip`
for what is never sent, as its integrations turn Pendo off; these come last.
"""

CHANGE_COLUMNS: Final = (*CHANGES.names(), "changed", "before", "after", "before_raw", "after_raw")
"""The columns that all CHANGES have; a plan may carry others, to filter on."""

REQUESTS: Final = pl.Schema(
    {
        "batch": pl.UInt32(),
        "method": pl.String(),
        "path": pl.String(),
        "ids": pl.List(pl.String()),
        "body": pl.String(),
    }
)
"""One row is one HTTP request; `body` in UTF-8 is the very bytes, `path` has its secrets masked."""

OUTCOMES: Final = pl.Schema(
    {
        "run_id": pl.String(),
        "batch": pl.UInt32(),
        "id": pl.String(),
        "status": pl.String(),
        "reason": pl.String(),
    }
)
"""One row is what became of one id. `batch` is null where the id was not put into a request, `reason` where there is
nothing to explain."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands, in counts only; no row's values.

    `requests` counts first tries and retries; `batches_done` those batches whose ids have an outcome. `ids_per_s` is
    the pace of the last half minute, `left_s` the seconds still to expect and `left_range_s` the least and the most
    (about 95 %); each is None where nothing can be said yet. `held` says, in words, how Pendo slows the run down.
    `requests_per_s` are the requests started in the last seconds by this run, `allowed_per_s` those that may start now
    and `most_per_s` those that the set pace allows, by all who share it; None is unlimited, or not known here.
    `waits_s` are the seconds for which Pendo still holds everything back.
    """

    run_id: str
    title: str
    state: RunStateName
    n_ids: int
    n_batches: int
    batches_done: int
    requests: int
    counts: AbstractMapping[str, int] = field(default_factory=dict)
    elapsed_s: float = 0.0
    left_s: float | None = None
    note: str = ""
    ids_per_s: float | None = None
    left_range_s: tuple[float, float] | None = None
    held: str = ""
    requests_per_s: float | None = None
    allowed_per_s: float | None = None
    most_per_s: float | None = None
    waits_s: float = 0.0

    @property
    def n_known(self) -> int:
        """How many ids have an outcome."""
        return sum(n for status, n in self.counts.items() if status != "pending")

    @property
    def n_rejected(self) -> int:
        """How many ids may be mended and pushed again."""
        return sum(self.counts.get(status, 0) for status in REJECTED)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "cancelled", "stopped", "interrupted")


def ensure_frame(frame: object, brick: pl.Schema, name: str, *, also: Iterable[str] = ()) -> pl.DataFrame:
    """Return *frame* if it has the columns of *brick* with their types, and the columns *also*.

    Args:
        frame: what was handed in.
        brick: the schema that its columns must follow; more columns are allowed.
        name: what to call it in the error.
        also: more columns it must have, of any type.

    Raises:
        FrameError: it is no polars DataFrame, or a column is missing or of another type.
    """
    if not isinstance(frame, pl.DataFrame):
        hint = ".collect() it" if isinstance(frame, pl.LazyFrame) else "pass what the verb before returned"
        raise FrameError(
            f"{name} is a {type(frame).__name__}. Expected a polars DataFrame. Hint: {hint}.",
        )
    missing = [column for column in (*brick.names(), *also) if column not in frame.columns]
    if missing:
        raise ColumnNotFoundError.of(missing, frame.columns, what=name)
    wrong = {
        column: f"is {frame.schema[column]}, expected {dtype}"
        for column, dtype in brick.items()
        if frame.schema[column] != dtype
    }
    if wrong:
        raise FrameError.wrong_type(name, wrong)
    return frame


def row_of(read: pl.DataFrame) -> pl.Expr:
    """Return which row of the table each row of *read* is: what its column `ROW` says, else the position."""
    rows = pl.col(ROW) if ROW in read.columns else pl.int_range(pl.len())
    return rows.cast(VALUES["row"]).alias("row")


def about_of(name: str) -> pl.Expr:
    """Return a part of the struct `about`."""
    return pl.col("about").struct.field(name)


def about_parts(frame: pl.DataFrame) -> list[str]:
    """Return the parts that the struct `about` of a VALUES or CHANGES frame has; none where it has no such column."""
    struct = frame.schema.get("about")
    return [part.name for part in struct.fields] if isinstance(struct, pl.Struct) else []


def ensure_about(frame: pl.DataFrame, parts: Sequence[str], name: str) -> None:
    """Return nothing where the struct `about` of a VALUES or CHANGES frame has these *parts*.

    Raises:
        FrameError: it lacks one: nobody knows whom such a row is of, or whether it may be sent at all.
    """
    held = about_parts(frame)
    missing = [part for part in parts if part not in held]
    if missing:
        told = (
            "has no struct about" if not held else f"says nothing in about of {', '.join(map(repr, missing))}"
        )
        raise FrameError(
            f"{name} {told}. Expected {', '.join(map(repr, parts))}, as the mapping names them. "
            f"Hint: keep the column about, which map_traits makes."
        )


def about_column(frame: pl.DataFrame) -> list[str]:
    """Return `about` where a VALUES or CHANGES frame has that struct, to be selected beside its other columns."""
    return ["about"] if about_parts(frame) else []


def field_names(values: pl.DataFrame) -> list[str]:
    """Return the fields of a VALUES frame, in order."""
    own = {*RESERVED, *about_column(values)}
    return [name for name in values.columns if name not in own]


def type_of(dtype: pl.DataType) -> FieldType | None:
    """Return the field type whose values have *dtype*, or None where Pendo has no such type."""
    return next((name for name, known in DTYPES.items() if known == dtype), None)


def is_unicode(text: str) -> bool:
    r"""Whether *text* can be encoded: Python and JSON may hold halves of a surrogate pair, polars can't.

    Example:
        >>> is_unicode("é"), is_unicode(chr(0xD83D))
        (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_pattern(name: str) -> bool:
    """Whether polars takes *name* for a pattern that stands for other columns.

    Example:
        >>> is_pattern("*"), is_pattern("^a.*$"), is_pattern("plan*")
        (True, True, False)
    """
    return name == "*" or (name.startswith("^") and name.endswith("$"))


def as_words(dtype: pl.DataType) -> str:
    """Return *dtype* as an analyst would read it.

    Example:
        >>> as_words(pl.Datetime("ms", "UTC")), as_words(pl.Duration("us"))
        ('date', 'Duration')
    """
    return type_of(dtype) or str(dtype.base_type())


def raw_cell(field: str, column: str = "raw") -> pl.Expr:
    """Return the JSON text of *field*'s raw cell, null where the cell is of the field's type."""
    if "'" in field or "\\" in field:  # no JSON path can name it; such a field is blocked by its name
        return pl.when(
            pl.col(column).str.contains(json.dumps(field, ensure_ascii=False) + ":", literal=True)
        ).then(pl.lit("a value"))
    return pl.col(column).str.json_path_match(f"$['{field}']")


def struct_of(parts: AbstractMapping[str, pl.Expr]) -> pl.Expr:
    """Return one struct of *parts*, whatever their names."""
    if not parts:
        return pl.lit(None, dtype=pl.Struct({}))
    return pl.struct([expr.alias(name) for name, expr in parts.items()])


def compute(frame: pl.DataFrame, parts: AbstractMapping[str, pl.Expr]) -> pl.DataFrame:
    """Return *parts* of *frame*, each computed from a row alone or one value of all rows, on every core.

    Measured: outside the streaming engine one core computes each of them from the first row to the last.
    """
    exprs = [expr.alias(name) for name, expr in parts.items()]
    return frame.lazy().select(exprs).collect(engine="streaming").rechunk()


def bit_words(names: Sequence[str]) -> list[pl.Expr]:
    """Return Boolean columns as the bits of whole numbers, 64 a word: what is compared or grouped as one."""
    return [
        pl.sum_horizontal(
            pl.col(name).cast(pl.UInt64) * (1 << at) for at, name in enumerate(names[start : start + 64])
        ).alias(f"\0word {start}")
        for start in range(0, len(names), 64)
    ]


def empty_changes(types: AbstractMapping[str, pl.DataType]) -> pl.DataFrame:
    """Return a CHANGES frame without rows, for fields of these polars types."""
    values = pl.Struct(dict(types))
    return pl.DataFrame(
        schema={
            **CHANGES,
            "changed": pl.Struct(dict.fromkeys(types, pl.Boolean())),
            "before": values,
            "after": values,
            "before_raw": pl.String(),
            "after_raw": pl.String(),
        }
    )


def change_fields(changes: pl.DataFrame) -> list[str]:
    """Return the fields of a CHANGES frame, in order."""
    struct = changes.schema["after"]
    return [part.name for part in struct.fields] if isinstance(struct, pl.Struct) else []


def change_types(changes: pl.DataFrame) -> dict[str, FieldType]:
    """Return the fields of a CHANGES frame with their types."""
    types = dict(changes.schema["after"])  # type: ignore[call-overload]
    return {name: kind for name, dtype in types.items() if (kind := type_of(dtype)) is not None}


def n_sent(changes: pl.DataFrame) -> int:
    """Return how many of CHANGES travel: all but those to be skipped, which come last."""
    return int((changes["action"] != "skip").sum())


def json_member(expr: pl.Expr, name: str) -> pl.Expr:
    """Return `"name":value` with the value as JSON; NaN, Binary and naive datetimes must not come here."""
    return pl.struct(expr.alias(name)).struct.json_encode().str.strip_prefix("{").str.strip_suffix("}")


def json_cell(cell: pl.Expr, name: str, dtype: pl.DataType) -> pl.Expr:
    """Return `"name":value` of a cell as it travels: a date in ISO 8601 with milliseconds and offset."""
    return json_member(date_text(cell) if dtype == DTYPES["date"] else cell, name)


def date_text(date: pl.Expr) -> pl.Expr:
    """Return a date of ours in ISO 8601 with milliseconds and offset, which is that of UTC.

    Source: Pendo's API reference, read 2026-11-23. Measured: the offset costs a third more where polars writes it.
    """
    return date.dt.replace_time_zone(None).dt.strftime(_ISO_MS)


def cell_text(value: pl.Expr, dtype: pl.DataType, raw: pl.Expr) -> pl.Expr:
    """Return the JSON text of a cell: *raw* where it is not of the field's type, null where it holds nothing."""
    shown = date_text(value) if dtype == DTYPES["date"] else value
    text = json_member(shown, "cell").str.strip_prefix('"cell":')
    return pl.coalesce(raw, pl.when(value.is_not_null()).then(text))


def json_object(members: Sequence[pl.Expr]) -> pl.Expr:
    """Return the JSON object of those *members* that are not null."""
    if not members:
        return pl.lit("{}")
    return pl.concat_str(pl.lit("{"), pl.concat_str(members, separator=",", ignore_nulls=True), pl.lit("}"))


def raw_of(texts: Sequence[tuple[str, pl.Expr]]) -> pl.Expr:
    """Return the column `raw` that holds, per field, the JSON text that is not null.

    Args:
        texts: field and its JSON text.
    """
    if not texts:
        return pl.lit(None, dtype=pl.String).alias("raw")
    has_any = pl.any_horizontal([text.is_not_null() for _, text in texts])
    members = [pl.when(text.is_not_null()).then(json_member(text, name)) for name, text in texts]
    return pl.when(has_any).then(json_object(members)).alias("raw")
