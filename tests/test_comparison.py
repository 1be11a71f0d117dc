"""Changes against what Pendo holds now: moved, read back, rebased."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.comparison import (
    compare_held,
    gone_ids,
    held_cells,
    moved_cells,
    other_cells,
    read_back,
    rebase_changes,
)
from pendosync.diffs import diff_values, ensure_changes
from pendosync.errors import FrameError, MappingError
from pendosync.frames import PROBLEMS, empty_changes
from tests.test_diffs import CLEAR, DAY, KEEP, ROWS, TYPES, values

RAW_SEATS = {"ann": r'{"seats":"\"5\""}'}


def changes_of(
    new: pl.DataFrame, held: pl.DataFrame, *, clears: bool = False, **options: Any
) -> pl.DataFrame:
    return diff_values(new, before=held, mapping=CLEAR if clears else KEEP, **options)


def cells_of(frame: pl.DataFrame) -> dict[str, dict[str, str | None]]:
    return dict(frame.select("id", "cells").iter_rows())


def test_each_changed_cell_is_before_after_or_other() -> None:
    changes = changes_of(values(("ann", "pro", 6, DAY, ["x"])), values(("ann", "free", 5, DAY)))
    held = values(("zoe",), ("ann", "free", 6, None, ["y"]))
    told = compare_held(changes, held)
    assert told.select("row", "id", "action", "is_known").row(0) == (0, "ann", "update", True)
    assert cells_of(told) == {"ann": {"plan": "before", "seats": "after", "since": None, "tags": "other"}}


def test_cells_of_another_type_compare_by_their_json() -> None:
    changes = changes_of(values(("ann", None, 6)), values(("ann",), raw=RAW_SEATS))
    for raw, expected in (
        (RAW_SEATS, "before"),
        ({"ann": r'{"seats":"\"6\""}'}, "other"),
        (None, "other"),
    ):
        held = values(("ann",), raw=raw)
        assert cells_of(compare_held(changes, held))["ann"]["seats"] == expected
    assert cells_of(compare_held(changes, values(("ann", None, 6))))["ann"]["seats"] == "after"


def test_what_goes_back_raw_is_found_as_pushed() -> None:
    changes = changes_of(values(("ann", None, 6)), values(("ann",), raw=RAW_SEATS))
    back = changes.with_columns(
        before="after", after="before", before_raw="after_raw", after_raw="before_raw"
    )
    assert read_back(back, values(("ann",), raw=RAW_SEATS))["seen"].to_list() == ["as_pushed"]
    assert read_back(back, values(("ann",)))["seen"].to_list() == ["other"]


def test_a_field_that_is_not_read_holds_nothing() -> None:
    changes = changes_of(values(("ann", "pro")), values(("ann",)))
    assert cells_of(compare_held(changes, values(("ann",)).drop("plan")))["ann"]["plan"] == "before"


def test_what_can_not_be_compared_is_refused() -> None:
    changes = changes_of(values(("ann", "pro")), values())
    with pytest.raises(FrameError, match="seats: is Float64, expected Int64"):
        compare_held(changes, values().with_columns(pl.col("seats").cast(pl.Float64)))
    with pytest.raises(FrameError, match="held is a list"):
        compare_held(changes, [])  # type: ignore[arg-type]
    with pytest.raises(MappingError, match="'snapshot'"):
        moved_cells(changes, values(), against="snap")  # type: ignore[arg-type]


def test_cells_that_hold_it_are_named_and_whole_ids_once() -> None:
    changes = changes_of(
        values(("ann", "pro", 6), ("bo", "pro", 6), ("cy", "pro", 6), ("gone", "pro")),
        values(("ann", "free", 5), ("bo", "free", 5), ("cy", "free", 5), ("gone",)),
    )
    held = values(("ann", "pro", 6), ("bo", "pro", 5), ("cy", "team", 5))
    for what, expected in (
        ("after", [("ann", None), ("bo", "plan")]),
        ("before", [("bo", "seats"), ("cy", "seats")]),
    ):
        assert held_cells(changes, held, what=what).select("id", "field").rows() == expected  # type: ignore[arg-type]


def test_a_plan_without_fields_has_nothing_to_compare() -> None:
    none = empty_changes({})
    for verb in (compare_held, other_cells, moved_cells, read_back, rebase_changes):
        assert verb(none, values()).is_empty()


def test_moved_cells_say_what_was_planned_on_and_what_is_held() -> None:
    changes = changes_of(
        values(("ann", "pro", 6, DAY), ("bo", "pro"), ("cy", "x" * 90)),
        values(("ann", "free", 5), ("bo", "free"), ("cy", "y" * 90)),
    )
    held = values(("ann", "pro", 7), ("cy", None))
    moved = moved_cells(changes, held)
    assert moved.schema == PROBLEMS
    assert moved.select("row", "id", "field", "severity", "reason").rows() == [
        (0, "ann", "seats", "block_field", "planned on 5, Pendo now holds 7"),
        (1, "bo", None, "block_row", "Pendo no longer knows this id"),
        (2, "cy", "plan", "block_field", f'planned on "{"y" * 58}…, Pendo now holds nothing'),
    ]
    assert set(moved["rule"]) == {"moved"}


def test_dates_and_raw_values_are_told_as_they_travel() -> None:
    changes = changes_of(values(("ann", None, 6, DAY)), values(("ann",), raw=RAW_SEATS))
    held = values(("ann", None, 7, DAY.replace(year=2020)))
    assert moved_cells(changes, held)["reason"].to_list() == [
        'planned on "5", Pendo now holds 7',
        'planned on nothing, Pendo now holds "2020-03-01T00:00:00.000+00:00"',
    ]


def test_against_a_snapshot_only_what_was_pushed_is_judged() -> None:
    new, snapshot = (
        values(("ann", "pro", 6), ("bo", "pro"), ("cy", "pro")),
        values(("ann", "free"), ("cy", "a")),
    )
    changes = changes_of(new, snapshot, against="snapshot")
    held = values(("ann", "team", 1))  # nobody knows seats of ann, nor whether bo was there
    assert moved_cells(changes, held, against="snapshot").select("id", "field").rows() == [
        ("ann", "plan"),
        ("cy", None),
    ]
    assert moved_cells(changes, held).select("id", "field").rows() == [
        ("ann", "plan"), ("ann", "seats"), ("bo", None), ("cy", None),
    ]  # fmt: skip


def test_an_id_to_be_created_has_moved_only_where_somebody_else_filled_it() -> None:
    changes = changes_of(values(("new", "pro", 6)), values())
    assert changes["action"].to_list() == ["create"]
    assert moved_cells(changes, values()).is_empty()
    assert moved_cells(changes, values(("new",))).is_empty()
    assert moved_cells(changes, values(("new", "free", 6)))["field"].to_list() == ["plan"]


def test_what_is_read_back_is_one_of_four() -> None:
    ids = ("as", "not", "half", "other", "gone")
    changes = changes_of(
        values(*((id, "pro", 6) for id in ids), ("new", "pro")), values(*((id, "free", 5) for id in ids))
    )
    held = values(("as", "pro", 6), ("not", "free", 5), ("half", "pro", 5), ("other", "team", 5))
    told = read_back(changes, held)
    assert told.select("id", "seen", "fields").rows() == [
        ("as", "as_pushed", None),
        ("not", "not_yet", None),
        ("half", "not_yet", None),
        ("other", "other", ["plan"]),
        ("gone", "missing", None),
        ("new", "not_yet", None),
    ]
    assert read_back(changes.tail(1), values(("new", "pro")))["seen"].item() == "as_pushed"


def test_rebased_changes_keep_what_they_want_and_begin_at_today() -> None:
    changes = changes_of(
        values(("ann", "pro", 6), ("bo", "pro"), ("cy", "pro", 1), ("new", "x"), ("newer", "x")),
        values(("ann", "free", 5, DAY), ("bo", "free"), ("cy", "free", 1)),
    ).with_columns(mine=pl.lit("kept"))
    held = values(("ann", "team", 6, None, ["t"]), ("bo", "pro"), ("newer", "y"))
    rebased = rebase_changes(changes, held)
    ensure_changes(rebased)
    assert rebased.columns == changes.columns
    assert rebased.select("id", "action", "mine").rows() == [
        ("ann", "update", "kept"),
        ("new", "create", "kept"),
        ("newer", "update", "kept"),
    ]
    first = rebased.row(0, named=True)
    assert first["changed"] == {"plan": True, "seats": False, "since": False, "tags": False}
    assert first["before"] == {"plan": "team", "seats": 6, "since": None, "tags": ["t"]}
    assert first["after"] == {"plan": "pro", "seats": 6, "since": None, "tags": ["t"]}
    assert gone_ids(changes, held)["id"].to_list() == ["cy"]


# --- laws, for all that may be held

RAWS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([r'{"seats":"\"5\""}', r'{"plan":"7"}']))


def with_raw(rows: dict[str, tuple], raws: dict[str, str]) -> pl.DataFrame:
    """Return VALUES; where a cell is raw, its value is not."""
    place = {name: at for at, name in enumerate(TYPES)}
    whole = dict(rows)
    for id in raws.keys() & rows.keys():
        at = place[next(iter(json.loads(raws[id])))]
        whole[id] = (*rows[id][:at], None, *rows[id][at + 1 :])
    return values(*((id, *cells) for id, cells in whole.items()), raw=raws)


HELD = st.tuples(ROWS, RAWS).map(lambda drawn: with_raw(*drawn))
WISHES = ROWS.map(lambda rows: with_raw(rows, {}))


def state_of(held: pl.DataFrame) -> dict[str, dict[str, Any]]:
    """Return id → field → value, or the raw text of a cell of another type."""
    return {
        line["id"]: {name: json.loads(line["raw"] or "{}").get(name, line[name]) for name in TYPES}
        for line in held.iter_rows(named=True)
    }


def applied(changes: pl.DataFrame, state: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what Pendo holds once *changes* are written."""
    written = {id: dict(cells) for id, cells in state.items()}
    for line in changes.iter_rows(named=True):
        if line["action"] == "create" or line["id"] in written:
            raw = json.loads(line["after_raw"] or "{}")
            cells = written.setdefault(line["id"], dict.fromkeys(TYPES))
            new = {name: raw.get(name, line["after"][name]) for name in TYPES if line["changed"][name]}
            cells.update(new)
    return written


@given(new=WISHES, held=HELD, now=HELD, clears=st.booleans())
def test_codes_are_what_a_person_would_say(new, held, now, clears) -> None:
    changes = changes_of(new, held, clears=clears)
    before, today = state_of(held), state_of(now)
    nobody = dict.fromkeys(TYPES)
    for line, (id, codes) in zip(
        changes.iter_rows(named=True), cells_of(compare_held(changes, now)).items(), strict=True
    ):
        for name, code in codes.items():
            holds = today.get(id, nobody)[name]
            if not line["changed"][name]:
                assert code is None
            elif code == "after":
                assert holds == line["after"][name]
            elif code == "before":
                assert holds == before.get(id, nobody)[name]
            else:
                assert holds not in (line["after"][name], before.get(id, nobody)[name])


@given(new=WISHES, held=HELD, clears=st.booleans())
def test_before_the_push_nothing_is_seen_and_after_it_all(new, held, clears) -> None:
    changes = changes_of(new, held, clears=clears)
    assert set(read_back(changes, held)["seen"]) <= {"not_yet"}
    assert moved_cells(changes, held).is_empty()
    pushed = changes.select(
        "row", "id", pl.col("after_raw").alias("raw"), *(pl.col("after").struct.field(name) for name in TYPES)
    )
    assert set(read_back(changes, pushed)["seen"]) <= {"as_pushed"}
    assert moved_cells(changes, pushed).is_empty()
    assert rebase_changes(changes, pushed).is_empty()


@given(new=WISHES, held=HELD, clears=st.booleans())
def test_rebasing_on_what_was_planned_on_changes_nothing(new, held, clears) -> None:
    changes = changes_of(new, held, clears=clears)
    assert rebase_changes(changes, held).equals(changes)


@given(new=WISHES, held=HELD, now=HELD, clears=st.booleans())
def test_rebased_changes_bring_about_what_the_old_ones_would(new, held, now, clears) -> None:
    changes = changes_of(new, held, clears=clears)
    rebased, today = rebase_changes(changes, now), state_of(now)
    ensure_changes(rebased)
    assert applied(rebased, today) == applied(changes, today)
    assert rebase_changes(rebased, now).equals(rebased)
    assert set(read_back(rebased, now)["seen"]) <= {"not_yet"}
    for line in rebased.iter_rows(named=True):
        raw = json.loads(line["before_raw"] or "{}")
        told = {name: raw.get(name, line["before"][name]) for name in TYPES}
        assert told == today.get(line["id"], dict.fromkeys(TYPES))
        assert (line["action"] == "update") == (line["id"] in today)


@given(new=WISHES, held=HELD, now=HELD)
def test_each_planned_id_stays_falls_out_or_is_gone(new, held, now) -> None:
    changes = changes_of(new, held)
    stays = set(rebase_changes(changes, now)["id"])
    gone = set(gone_ids(changes, now)["id"])
    seen = set(read_back(changes, now).filter(seen="as_pushed")["id"])
    assert stays | gone | seen == set(changes["id"])
    assert len(stays) + len(gone) + len(seen) == changes.height
