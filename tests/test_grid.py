"""The rows of a plan in a view: sorted, filtered, ticked; and the choice that says the same as the ticks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pendosync as ps
from pendosync.preview.grid import MOST_IN_RANGE, Filter, Grid

TARGET = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")
TABLE = pl.DataFrame(
    {
        "id": ["ann", "bo", "cy", "di", "eva"],
        "plan": ["pro", "Pro+", None, "free", "pro"],
        "seats": [5, 10, 7, None, 1],
        "since": [datetime(2026, 1, day, 12, tzinfo=UTC) for day in (1, 2, 3, 4, 5)],
        "active": [True, False, True, None, True],
    }
)
HELD = pl.DataFrame(
    {
        "id": ["ann", "bo", "cy", "di"],
        "plan": ["free", "Pro+", "gone", None],
        "seats": [5, 1, 1, 1],
        "since": [datetime(2025, 1, 1, tzinfo=UTC)] * 4,
        "active": [True, True, True, True],
    }
)
MAPPING = ps.Mapping(
    "visitor", "id", [ps.Trait("plan", null="clear"), ps.Trait("seats", null="clear"), "since", "active"]
)


def plan_of(table: pl.DataFrame = TABLE, held: pl.DataFrame = HELD, mapping: ps.Mapping = MAPPING) -> ps.Plan:
    changes = ps.diff_values(
        ps.map_traits(table, mapping), before=ps.map_traits(held, mapping), mapping=mapping
    )
    kept = changes.with_columns(region=pl.when(pl.col("row") < 2).then(pl.lit("EU")).otherwise(pl.lit("US")))
    return ps.plan_changes(kept, mapping=mapping, target=TARGET, create="unknown_ids")


@pytest.fixture
def grid() -> Grid:
    return Grid(plan_of())


def ids(grid: Grid) -> list[str]:
    return [row[3] for row in grid.page(0, 100, [])]


def chosen(grid: Grid) -> list[str]:
    return grid.plan.select(grid.selection).changes["id"].to_list()


def ticked(grid: Grid) -> list[str]:
    return sorted(row[3] for row in grid.page(0, 100, []) if row[1])


def test_a_page_has_marks_values_after_and_before(grid: Grid) -> None:
    (ann, bo, cy, di, eva) = grid.page(0, 100, ["plan", "seats", "region"])
    assert ann[:4] == [0, True, "update", "ann"]
    assert ann[4] == [["c", "pro", "free"], ["", "5"], ["", "EU"]]
    assert bo[4][:2] == [["", "Pro+"], ["c", "10", "1"]]
    assert cy[4][0] == ["x", None, "gone"]
    assert di[4][:2] == [["n", "free", None], ["x", None, "1"]]
    assert (eva[2], eva[4][0]) == ("create", ["n", "pro", None])


def test_a_page_ends_where_the_rows_end(grid: Grid) -> None:
    assert [row[3] for row in grid.page(4, 10, [])] == ["eva"]
    assert grid.page(5, 10, ["plan"]) == []


@pytest.mark.parametrize(
    ("name", "down", "expected"),
    [
        ("seats", False, ["eva", "ann", "cy", "bo", "di"]),
        ("seats", True, ["bo", "cy", "ann", "eva", "di"]),
        ("plan", False, ["bo", "di", "ann", "eva", "cy"]),
        ("id", True, ["eva", "di", "cy", "bo", "ann"]),
        ("region", True, ["cy", "di", "eva", "ann", "bo"]),
        ("", False, ["ann", "bo", "cy", "di", "eva"]),
    ],
)
def test_rows_are_sorted_with_nulls_last(grid: Grid, name: str, down: bool, expected: list[str]) -> None:
    grid.sort("since", down=True)
    grid.sort(name, down=down)
    assert ids(grid) == expected


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(actions=["create"]), ["eva"]),
        (Filter(text="PRO"), ["ann", "bo", "eva"]),
        (Filter(text="o+"), ["bo"]),
        (Filter(text="gone"), ["cy"]),
        (Filter(text="eu"), ["ann", "bo"]),
        (Filter(text="no such"), []),
        (Filter(columns={"plan": {"state": "changed"}}), ["ann", "cy", "di", "eva"]),
        (Filter(columns={"plan": {"state": "new"}}), ["di", "eva"]),
        (Filter(columns={"plan": {"state": "other"}}), ["ann"]),
        (Filter(columns={"plan": {"state": "cleared"}}), ["cy"]),
        (Filter(columns={"plan": {"state": "unchanged"}}), ["bo"]),
        (Filter(columns={"plan": {"values": ["pro", None]}}), ["ann", "cy", "eva"]),
        (Filter(columns={"plan": {"values": [None]}}), ["cy"]),
        (Filter(columns={"id": {"contains": "N"}}), ["ann"]),
        (Filter(columns={"seats": {"low": "5", "high": "7"}}), ["ann", "cy"]),
        (Filter(columns={"since": {"low": "2026-01-02", "high": "2026-01-03"}}), ["bo", "cy"]),
        (Filter(columns={"since": {"high": "2026-01-01T12:00"}}), ["ann"]),
        (Filter(columns={"active": {"values": [False]}}), ["bo"]),
        (Filter(columns={"region": {"values": ["US"]}, "seats": {"low": "6"}}), ["cy"]),
        (Filter(), ["ann", "bo", "cy", "di", "eva"]),
    ],
)
def test_a_filter_shows_what_it_says_and_its_code_selects_the_same(
    grid: Grid, wanted: Filter, expected: list[str]
) -> None:
    grid.show(wanted)
    assert ids(grid) == expected
    grid.show(Filter())
    grid.tick_all(on=False)
    grid.show(wanted)
    grid.tick_all(on=True)
    assert chosen(grid) == expected
    assert run_code(grid) == expected


def run_code(grid: Grid) -> list[str]:
    found: ps.Plan = eval(grid.selection.to_code(), {"plan": grid.plan, "pl": pl, "ps": ps})
    return found.changes["id"].to_list()


@pytest.mark.parametrize("bounds", [{"low": "many"}, {"high": "nan"}, {"low": "1e999"}])
def test_a_bound_that_is_no_number_is_told_and_the_view_stays(grid: Grid, bounds: dict[str, Any]) -> None:
    grid.show(Filter(text="pro"))
    with pytest.raises(ps.PlanError, match=r"can't bound 'seats'\. Expected a number"):
        grid.show(Filter(columns={"seats": bounds}))
    assert ids(grid) == ["ann", "bo", "eva"]


def test_a_bound_that_is_no_date_is_told(grid: Grid) -> None:
    with pytest.raises(ps.PlanError, match="Expected a date such as 2026-11-02"):
        grid.show(Filter(columns={"since": {"low": "yesterday"}}))


def test_a_filter_that_fits_no_column_is_told(grid: Grid) -> None:
    with pytest.raises(ps.PlanError, match="can't be filtered so"):
        grid.show(Filter(columns={"seats": {"contains": "5"}}))


def test_warned_ids_are_found_by_their_rule() -> None:
    plan = plan_of()
    values = ps.map_traits(TABLE.with_columns(plan=pl.lit("x" * 1501)), MAPPING).head(2)
    warned = ps.plan_changes(
        plan.changes,
        mapping=MAPPING,
        target=TARGET,
        problems=ps.check_values(values, mapping=MAPPING),
        create="unknown_ids",
    )
    grid = Grid(warned)
    grid.show(Filter(rule="long_text"))
    assert ids(grid) == ["ann", "bo"]
    grid.tick_all(on=False)
    assert run_code(grid) == chosen(grid) == ["cy", "di", "eva"]


def test_all_but_two_is_a_condition_with_exceptions(grid: Grid) -> None:
    grid.tick(1, on=False)
    grid.tick(3, on=False)
    assert grid.selection.to_code() == "plan.select(but=['bo', 'di'])"
    assert chosen(grid) == ["ann", "cy", "eva"]
    grid.tick(1, on=True)
    assert grid.selection.but == ("di",)


def test_none_but_one_is_a_list_of_that_one(grid: Grid) -> None:
    grid.tick_all(on=False)
    grid.tick(2, on=True)
    assert grid.selection.to_code() == "plan.select(ids=['cy'])"
    assert chosen(grid) == run_code(grid) == ["cy"]


def test_nothing_is_a_condition_too(grid: Grid) -> None:
    grid.tick_all(on=False)
    assert chosen(grid) == run_code(grid) == []
    grid.tick_all(on=True)
    assert grid.selection.to_code() == "plan.select()"


def test_a_null_in_a_condition_does_not_take_others_along(grid: Grid) -> None:
    grid.show(Filter(columns={"seats": {"low": "6"}}))
    grid.tick_all(on=False)
    assert chosen(grid) == run_code(grid) == ["ann", "di", "eva"]


def test_a_range_is_ticked_in_the_order_of_the_view(grid: Grid) -> None:
    grid.tick_all(on=False)
    grid.sort("seats", down=False)
    grid.tick_range(2, 0, on=True)
    assert sorted(chosen(grid)) == ["ann", "cy", "eva"]


def long_plan(n: int) -> ps.Plan:
    table = pl.select(id=pl.format("u-{}", pl.int_range(n)), seats=pl.int_range(n) % 7)
    mapping = ps.Mapping("visitor", "id", ["seats"])
    values = ps.map_traits(table, mapping)
    return ps.plan_changes(
        ps.diff_values(values, before=values.clear(), mapping=mapping),
        mapping=mapping,
        target=TARGET,
        create="unknown_ids",
    )


def test_a_long_range_is_a_condition_and_never_a_list() -> None:
    n = MOST_IN_RANGE + 100
    grid = Grid(long_plan(n))
    grid.tick_all(on=False)
    grid.show(Filter(columns={"seats": {"values": [3]}}))
    grid.show(Filter())
    grid.tick_range(10, n - 10, on=True)
    assert grid.selection.also == ()
    assert len(grid.plan.select(grid.selection)) == grid.n_selected == n - 19
    grid.sort("seats", down=True)
    with pytest.raises(ps.PlanError, match="at most 10,000 where the rows are sorted"):
        grid.tick_range(0, n - 1, on=False)


def test_a_long_range_under_a_filter_takes_what_is_shown() -> None:
    grid = Grid(long_plan(4 * MOST_IN_RANGE))
    grid.tick_all(on=False)
    grid.show(Filter(columns={"seats": {"low": "3"}}))
    grid.tick_range(5, grid.n_shown - 5, on=True)
    assert grid.selection.also == ()
    assert len(grid.plan.select(grid.selection)) == grid.n_selected == grid.n_shown - 9


def test_an_id_is_found_where_it_stands(grid: Grid) -> None:
    grid.sort("seats", down=False)
    assert grid.find("cy") == 2


@pytest.mark.parametrize(
    ("wanted", "told"),
    [("cy", "the filter hides it"), ("Ann", "did you mean 'ann'"), ("nobody", "nothing of it changes")],
)
def test_an_id_that_is_not_shown_is_told(grid: Grid, wanted: str, told: str) -> None:
    grid.show(Filter(text="pro"))
    with pytest.raises(ps.PlanError, match=told):
        grid.find(wanted)


def test_an_id_that_was_blocked_is_told_with_its_reason() -> None:
    plan = ps.plan_changes(plan_of().changes, mapping=MAPPING, target=TARGET)
    with pytest.raises(ps.PlanError, match="creating is off"):
        Grid(plan).find("eva")


def test_a_preview_starts_from_a_selection() -> None:
    plan = plan_of()
    grid = Grid(
        plan, ps.Selection(ps.after("seats") > 4, also=("di",), but=("bo",), code="ps.after('seats') > 4")
    )
    assert chosen(grid) == run_code(grid) == ["ann", "cy", "di"]
    assert [row[1] for row in grid.page(0, 9, [])] == [True, False, True, True, False]


def test_a_selection_that_does_not_fit_the_plan_is_told() -> None:
    with pytest.raises(ps.PlanError, match="can't be selected"):
        Grid(plan_of(), ps.Selection(but=("nobody",)))
    with pytest.raises(ps.PlanError, match="can't be filtered so"):
        Grid(plan_of(), ps.Selection(ps.after("no such field") > 4))


def test_values_of_another_type_are_shown_as_they_are() -> None:
    held = ps.map_traits(HELD, MAPPING).with_columns(
        raw=pl.lit('{"seats":"\\"5\\""}'), seats=pl.lit(None, pl.Int64)
    )
    changes = ps.diff_values(ps.map_traits(TABLE, MAPPING), before=held, mapping=MAPPING)
    plan = ps.plan_changes(changes, mapping=MAPPING, target=TARGET, create="unknown_ids")
    grid = Grid(plan)
    assert grid.page(0, 1, ["seats"])[0][4] == [["c", "5", '"5"']]
    grid.show(Filter(columns={"seats": {"state": "new"}}))
    assert ids(grid) == ["eva"]
    grid.tick_all(on=False)
    assert chosen(grid) == run_code(grid)


def test_an_empty_plan_has_no_rows() -> None:
    grid = Grid(plan_of(TABLE.clear()))
    assert (grid.n_shown, grid.n_selected, grid.page(0, 10, ["plan"])) == (0, 0, [])
    grid.sort("plan", down=True)
    grid.show(Filter(text="x"))
    grid.tick_all(on=True)
    assert grid.selection.to_code() == "plan.select()"


FILTERS = [
    Filter(),
    Filter(text="pro"),
    Filter(actions=["update"]),
    Filter(columns={"seats": {"low": "5"}}),
    Filter(columns={"plan": {"state": "cleared"}}),
    Filter(columns={"active": {"values": [True, None]}}),
]
GESTURES = st.one_of(
    st.tuples(st.just("show"), st.sampled_from(FILTERS)),
    st.tuples(st.just("sort"), st.sampled_from(["", "seats", "plan"]), st.booleans()),
    st.tuples(st.just("tick"), st.integers(0, 4), st.booleans()),
    st.tuples(st.just("range"), st.integers(0, 4), st.integers(0, 4), st.booleans()),
    st.tuples(st.just("all"), st.booleans()),
)


@given(st.lists(GESTURES, max_size=12))
def test_whatever_is_clicked_the_choice_says_what_is_ticked(gestures: list[tuple[Any, ...]]) -> None:
    grid = Grid(plan_of())
    for what, *told in gestures:
        if what == "show":
            grid.show(told[0])
        elif what == "sort":
            grid.sort(told[0], down=told[1])
        elif what == "tick":
            grid.tick(told[0], on=told[1])
        elif what == "range":
            grid.tick_range(told[0], told[1], on=told[2])
        else:
            grid.tick_all(on=told[0])
    here = ticked(grid)
    assert grid.n_selected_here == len(here)
    assert grid.n_selected == len(chosen(grid))
    grid.show(Filter())
    assert ticked(grid) == sorted(chosen(grid)) == sorted(run_code(grid))
    assert set(grid.selection.also).isdisjoint(grid.selection.but)
