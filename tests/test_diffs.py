"""What differs, by Pendo's type; nulls; raw cells."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.diffs import diff_values
from pendosync.errors import FrameError, MappingError
from pendosync.frames import VALUES
from pendosync.mapping import Mapping
from pendosync.traits import Trait

TYPES = {
    "plan": pl.String(),
    "seats": pl.Int64(),
    "since": pl.Datetime("ms", "UTC"),
    "tags": pl.List(pl.String()),
}
KEEP = Mapping("visitor", "id", list(TYPES))
CLEAR = Mapping("visitor", "id", [Trait(name, null="clear") for name in TYPES])
DAY = datetime(2026, 3, 1, tzinfo=UTC)


def values(*rows: tuple, raw: dict[str, str] | None = None) -> pl.DataFrame:
    """Rows of id, plan, seats, since, tags; missing ones at the end are null."""
    full = [
        (n, row[0], (raw or {}).get(row[0]), *(row[1:] + (None,) * (5 - len(row))))
        for n, row in enumerate(rows)
    ]
    return pl.DataFrame(full, schema={**VALUES, **TYPES}, orient="row")


def test_the_first_push_sends_every_known_value() -> None:
    changes = diff_values(
        values(("ann", "pro", 5, DAY, ["x"]), ("bo", None, 1)),
        before=values(),
        mapping=KEEP,
        against="snapshot",
    )
    assert changes["action"].to_list() == ["update", "update"]
    assert changes["changed"].to_list() == [
        dict.fromkeys(TYPES, True),
        {"plan": False, "seats": True, "since": False, "tags": False},
    ]


def test_equal_values_are_no_change() -> None:
    same = values(("ann", "pro", 5, DAY, ["x"]), ("bo",))
    assert diff_values(same, before=same, mapping=KEEP).is_empty()
    assert diff_values(same, before=same, mapping=CLEAR).is_empty()


def test_ids_that_pendo_lacks_are_creates_and_against_a_snapshot_updates() -> None:
    new, held = values(("ann", "pro"), ("cy",)), values(("bo", "pro"))
    assert diff_values(new, before=held, mapping=KEEP).select("id", "action").rows() == [
        ("ann", "create"),
        ("cy", "create"),
    ]
    told = diff_values(new, before=held, mapping=KEEP, against="snapshot")
    assert told.select("id", "action").rows() == [("ann", "update")]


def test_a_kept_null_repeats_what_pendo_holds() -> None:
    changes = diff_values(values(("ann", None, 6)), before=values(("ann", "pro", 5)), mapping=KEEP)
    assert changes["after"][0]["plan"] == "pro"
    assert not changes["changed"][0]["plan"]


def test_a_clearing_null_is_a_change_only_where_a_value_is_held() -> None:
    new, held = values(("ann",), ("bo",)), values(("ann", "pro"), ("bo",))
    changes = diff_values(new, before=held, mapping=CLEAR)
    assert changes["id"].to_list() == ["ann"]
    assert changes["after"][0]["plan"] is None


def test_a_held_value_of_another_type_is_a_change_and_is_kept_raw() -> None:
    raw = {"ann": r'{"seats":"\"5\""}'}
    held = values(("ann", "pro"), raw=raw)
    changes = diff_values(values(("ann", None, 5)), before=held, mapping=KEEP)
    assert changes.select("before_raw", "after_raw").row(0) == (raw["ann"], None)
    assert changes["changed"][0]["seats"]
    kept = diff_values(values(("ann", "free")), before=held, mapping=KEEP)
    assert kept.select("before_raw", "after_raw").row(0) == (raw["ann"], raw["ann"])
    cleared = diff_values(values(("ann", "pro")), before=held, mapping=CLEAR)
    assert cleared["changed"][0] == {"plan": False, "seats": True, "since": False, "tags": False}
    assert cleared["after_raw"][0] is None


def test_the_order_is_the_tables_and_ids_only_in_before_are_left_alone() -> None:
    new = values(("z", "1"), ("a", "2"), ("m", "3"))
    changes = diff_values(new, before=values(("a",), ("m",), ("q", "x"), ("z",)), mapping=KEEP)
    assert changes.select("row", "id").rows() == [(0, "z"), (1, "a"), (2, "m")]


def test_numbers_that_are_equal_are_no_change_whatever_their_bits() -> None:
    mapping = Mapping("visitor", "id", ["score"])
    ids = ["ann", "bo", "cy", "di"]
    held, new = [float("nan"), 0.0, None, 1.0], [float("nan"), -0.0, 0.0, float("nan")]
    before, after = (
        pl.DataFrame(
            {"row": range(4), "id": ids, "raw": [None] * 4, "score": scores}, schema_overrides=VALUES
        )
        for scores in (held, new)
    )
    assert diff_values(after, before=before[::-1], mapping=mapping)["id"].to_list() == ["cy", "di"]


def test_before_may_come_in_chunks_and_in_any_order() -> None:
    texts = [(f"u{at}", f"plan {at}", at) for at in range(9)]
    held = [values(line) for line in reversed(texts)]
    new = values(*texts[:4], ("u4", "other", 4), *texts[5:], ("u9", "new", 9))
    changes = diff_values(new, before=pl.concat(held, rechunk=False), mapping=KEEP)
    assert changes.select("id", "action").rows() == [("u4", "update"), ("u9", "create")]
    assert changes["before"].struct.field("plan").to_list() == ["plan 4", None]


def test_fields_that_before_lacks_are_null() -> None:
    changes = diff_values(values(("ann", "pro")), before=values(("ann",)).drop("plan"), mapping=KEEP)
    assert changes["changed"][0]["plan"]


@pytest.mark.parametrize(
    ("after", "before", "beat"),
    [
        (values(("a",), ("a",)), values(), "repeat: 'a'"),
        (values(("a",)), values(("b",), ("b",)), "'before' are null or repeat: 'b'"),
        (values((None,)), values(), "repeat: None"),
        (values(("a",), raw={"a": "{}"}), values(), "1 rows of 'after' hold cells"),
        (
            values(("a",)),
            values().with_columns(pl.col("seats").cast(pl.Float64)),
            "seats: is Float64, expected Int64",
        ),
        (values(("a",)).with_columns(x=pl.lit(b"x")), values(), "'x' (Binary)"),
        (values(("a",)), pl.DataFrame({"id": ["a"]}), "before has no column 'row', 'raw'"),
    ],
)
def test_frames_that_cannot_be_compared_are_refused(
    after: pl.DataFrame, before: pl.DataFrame, beat: str
) -> None:
    with pytest.raises(FrameError) as caught:
        diff_values(after, before=before, mapping=KEEP)
    assert beat in str(caught.value), str(caught.value)
    assert "Hint:" in str(caught.value)


def test_against_is_one_of_two() -> None:
    with pytest.raises(MappingError, match="'pendo'"):
        diff_values(values(), before=values(), mapping=KEEP, against="git")  # type: ignore[arg-type]


def test_a_table_whose_fields_are_all_blocked_changes_nothing() -> None:
    none = values(("a",)).select("row", "id", "raw")
    assert diff_values(none, before=values(), mapping=KEEP).is_empty()


ROWS = st.dictionaries(
    st.sampled_from("abcd"),
    st.tuples(st.none() | st.sampled_from(["x", "y"]), st.none() | st.integers(0, 1), st.none() | st.just(DAY), st.none() | st.just(["t"])),
)  # fmt: skip


@given(new=ROWS, held=ROWS, clears=st.booleans())
def test_applying_the_changes_gives_what_was_wanted(new: dict, held: dict, clears: bool) -> None:
    mapping = CLEAR if clears else KEEP
    after, before = (values(*((id, *cells) for id, cells in rows.items())) for rows in (new, held))
    changes = diff_values(after, before=before, mapping=mapping)
    state = {id: dict(zip(TYPES, cells, strict=True)) for id, cells in held.items()}
    for row in changes.iter_rows(named=True):
        cells = state.setdefault(row["id"], dict.fromkeys(TYPES))
        assert row["before"] == cells
        cells.update({name: row["after"][name] for name in TYPES if row["changed"][name]})
        assert cells == row["after"]
    for id, cells in new.items():
        for name, value in zip(TYPES, cells, strict=True):
            if value is not None or clears:
                assert state.get(id, {}).get(name) == value
    settled = values(*((id, *cells.values()) for id, cells in state.items()))
    assert diff_values(after, before=settled, mapping=mapping).filter(pl.col("action") == "update").is_empty()
