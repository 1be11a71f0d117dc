"""The digest of changes: every cell counts, nothing else does, and no version of polars changes it."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from pendosync import digests
from pendosync.digests import digest_of
from pendosync.frames import DTYPES, empty_changes

AT = datetime(2026, 11, 26, 8, 30, 0, 5000, tzinfo=UTC)
VALUES = {
    "text": 'a,"b"\n', "boolean": True, "integer": -(2**63), "float": 1e22, "date": AT, "list": ["x", 'y"', ""],
}  # fmt: skip
OTHERS = {
    "text": "", "boolean": False, "integer": 7, "float": 5e-324, "date": AT.replace(year=1), "list": ["x,y", ""],
}  # fmt: skip
NONE = dict.fromkeys(VALUES)


def some_changes(**cells: object) -> pl.DataFrame:
    row = {
        "row": 3, "id": "ü", "action": "update", "changed": dict.fromkeys(VALUES, True), "before": NONE,
        "after": VALUES, "before_raw": None, "after_raw": '{"seats":"5"}', **cells,
    }  # fmt: skip
    return pl.DataFrame([row], schema=empty_changes({name: DTYPES[name] for name in VALUES}).schema)  # type: ignore[index]


def test_it_is_the_same_in_every_version_of_polars() -> None:
    """A plan that was saved under one version is loaded under another."""
    assert (
        digest_of(some_changes()).hex() == "4c4f41b3220f1d1e911bce64fb8947d5b5e6259c89fba23368f0bb1404039edb"
    )


def test_every_cell_counts() -> None:
    others = [
        some_changes(row=4),
        some_changes(id="u"),
        some_changes(id=None),
        some_changes(id=""),
        some_changes(action="create"),
        some_changes(before_raw="{}"),
        some_changes(after_raw=None),
        *(some_changes(changed={**dict.fromkeys(VALUES, True), name: False}) for name in VALUES),
        *(some_changes(after={**VALUES, name: None}) for name in VALUES),
        *(some_changes(after={**VALUES, name: other}) for name, other in OTHERS.items()),
        *(some_changes(before={**NONE, name: other}) for name, other in VALUES.items()),
        some_changes(after={**VALUES, "list": []}),
        some_changes(after={**VALUES, "list": [None]}),
    ]
    told = {digest_of(other) for other in [some_changes(), *others]}
    assert len(told) == len(others) + 1
    about = pl.struct(pl.lit("ann").alias("visitor_id")).alias("about")
    assert digest_of(some_changes().with_columns(about)) not in told


def test_rows_and_their_order_count_but_not_how_they_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    many = pl.concat(some_changes(row=at, id=f"u{at}") for at in range(7))
    whole = digest_of(many)
    assert digest_of(many.reverse()) != whole != digest_of(many.head(6))
    monkeypatch.setattr(digests, "_WINDOW", 2)
    assert digest_of(many) == whole == digest_of(many.rechunk().with_columns(kept=pl.lit(1)))
