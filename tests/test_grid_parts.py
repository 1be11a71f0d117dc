"""A preview of a plan in parts says what one in memory says, reads a part at a time, and outlives a part that is lost."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pendosync as ps
from pendosync.parted import Parts
from pendosync.preview import rows as rows_of_preview
from pendosync.preview.grid import Filter, Grid
from pendosync.preview.pictures import choices_of, picture_of
from pendosync.preview.plan_view import PlanPreview
from pendosync.preview.rows import Rows
from pendosync.saved import seal_plan, write_part
from pendosync.workbench.desk import Desk

TARGET = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")
MAPPING = ps.Mapping("visitor", "id", [ps.Trait("plan", null="clear"), "seats", "team"])
N = 60
SIZES = (17, 0, 25, 18)


def whole_plan() -> ps.Plan:
    """Sixty ids: half of the plans held are cleared, some cells are raw, some ids are new, ten are warned of."""
    users = pl.DataFrame(
        {
            "id": [f"u-{k:02}" for k in range(N)],
            "plan": ["pro" if k % 2 else None for k in range(N)],
            "seats": [k * 7 % N for k in range(N)],
            "team": [f"team {k % 5}" if k % 4 else None for k in range(N)],
        }
    )
    values = ps.map_traits(users, MAPPING)
    raw = pl.when(pl.col("row") % 9 == 0).then(pl.lit('{"seats":"\\"5\\""}'))
    held = values.with_columns(plan=pl.lit("free"), seats=pl.col("seats") + 1, raw=raw).head(50)
    held = held.with_columns(seats=pl.when(pl.col("raw").is_null()).then("seats"))
    long = values[list(range(0, N, 6))].with_columns(plan=pl.lit("x" * 1501))
    changes = ps.diff_values(values, before=held, mapping=MAPPING)
    return ps.plan_changes(
        changes.with_columns(country=pl.when(pl.col("row") < 30).then(pl.lit("NO")).otherwise(pl.lit("SE"))),
        mapping=MAPPING,
        target=TARGET,
        create="unknown_ids",
        problems=ps.check_values(long, mapping=MAPPING),
        gates=ps.Gates(max_cleared=None),
        batch_size=10,
    )


def in_parts(plan: ps.Plan, folder: Path, sizes: tuple[int, ...] = SIZES) -> ps.Plan:
    """Return *plan* in parts of so many rows, each with the problems of its ids."""
    folder.mkdir()
    first, entries = 0, []
    for number, size in enumerate(sizes):
        changes = plan.changes.slice(first, size)
        problems = plan.problems.join(changes, on="id", how="semi", maintain_order="left")
        entries.append(write_part(folder, number, plan.having(changes, problems)))
        first += size
    seal_plan(folder, plan, entries)
    return ps.load_plan(folder)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[ps.Plan, ps.Plan]:
    """The same plan, in memory and in parts."""
    whole = whole_plan()
    return whole, in_parts(whole, tmp_path_factory.mktemp("plans") / "plan")


@pytest.fixture(autouse=True)
def never_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have it fail that all changes of a plan in parts are read at once."""
    whole = Parts.whole

    def refuse(parts: Parts) -> pl.DataFrame:
        assert parts.is_whole, "a preview read all parts at once"
        return whole(parts)

    monkeypatch.setattr(Parts, "whole", refuse)


@pytest.fixture
def lossy(tmp_path: Path) -> ps.Plan:
    """A plan in parts of which the third was altered."""
    plan = in_parts(whole_plan(), tmp_path / "plan")
    spoil(plan, "part-0002.parquet")
    return plan


def spoil(plan: ps.Plan, name: str) -> None:
    file = plan.parts.folder / name
    file.write_bytes(file.read_bytes()[:-7])


def ask(preview: PlanPreview, kind: str, **args: Any) -> dict[str, Any]:
    answers: list[dict[str, Any]] = []
    preview.outlet = answers.append
    preview.hear({"kind": kind, "args": args, "from": "page", "number": 1})
    return next(answer for answer in answers if "to" in answer)


FILTERS = [
    Filter(),
    Filter(text="TEAM 3"),
    Filter(actions=["create"]),
    Filter(rule="long_text"),
    Filter(columns={"seats": {"low": "20", "high": "45"}}),
    Filter(columns={"seats": {"state": "new"}}),
    Filter(columns={"plan": {"state": "cleared"}}),
    Filter(columns={"country": {"values": ["SE"]}, "team": {"values": [None, "team 1"]}}),
    Filter(columns={"id": {"contains": "u-1"}}),
]
NAMES = ["", "id", "seats", "plan", "team", "country"]
GESTURES = st.one_of(
    st.tuples(st.just("show"), st.sampled_from(FILTERS)),
    st.builds(lambda name, down: ("sort", name, down), st.sampled_from(NAMES), st.booleans()),
    st.tuples(st.just("tick"), st.integers(0, N - 1), st.booleans()),
    st.tuples(st.just("tick_range"), st.integers(0, N - 1), st.integers(0, N - 1), st.booleans()),
    st.tuples(st.just("tick_all"), st.booleans()),
)


@given(gestures=st.lists(GESTURES, max_size=10))
def test_whatever_is_clicked_it_is_as_in_memory(pair, gestures: list[tuple[Any, ...]]) -> None:
    grids = [Grid(plan) for plan in pair]
    names = list(grids[0].columns)
    for what, *told in gestures:
        for grid in grids:
            if what == "sort":
                grid.sort(told[0], down=told[1])
            elif what in ("tick", "tick_range", "tick_all"):
                getattr(grid, what)(*told[:-1], on=told[-1])
            else:
                grid.show(told[0])
        one, other = grids
        assert one.page(0, N, names) == other.page(0, N, names)
        assert one.page(15, 5, names) == other.page(15, 5, names)
        for count in ("n_shown", "n_readable", "n_selected", "n_selected_here"):
            assert getattr(one, count) == getattr(other, count)
    one, other = grids
    chosen = [grid.plan.select(grid.selection) for grid in grids]
    assert len(chosen[0]) == len(chosen[1]) == one.n_selected
    assert chosen[0].changes["id"].to_list() == [id for part in chosen[1].parts.each() for id in part["id"]]
    assert [n for _, n in other.to_send] == [n for _, n in chosen[1].parts.sent]


def test_each_question_is_answered_as_in_memory(pair) -> None:
    previews = [PlanPreview(plan) for plan in pair]
    names = list(previews[0]._grid.columns)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("open", {}),
        ("rows", {"start": 10, "n": 20, "columns": names}),
        ("rows", {"start": 0, "n": 9, "columns": names, "do": {"what": "sort", "name": "seats", "down": True}}),
        ("pictures", {"names": names}),
        *(("column", {"name": name}) for name in names),
        ("row", {"at": 0}),
        ("row", {"at": 42}),
        ("problems", {"rule": "long_text", "start": 3, "n": 5}),
        ("find", {"id": "u-44", "before": 2, "n": 5, "columns": names}),
        ("find", {"id": "u-4", "before": 2, "n": 5, "columns": names}),
        ("rows", {"start": 0, "n": 9, "columns": names, "do": {"what": "filter", "filter": {"rule": "long_text"}}}),
        ("rows", {"start": 0, "n": 9, "columns": names, "do": {"what": "tick", "place": 1, "on": False}}),
        ("rows", {"start": 0, "n": 9, "columns": names, "do": {"what": "range", "first": 2, "last": 5, "on": False}}),
        ("rows", {"start": 0, "n": 9, "columns": names, "do": {"what": "all", "on": False}}),
        ("code", {}),
    ]  # fmt: skip
    assert {kind for kind, _ in asked} == set(previews[0]._answers())
    for kind, args in asked:
        one, other = (ask(preview, kind, **args) for preview in previews)
        told = [answer.get("answer", answer) for answer in (one, other)]
        for answer in told:
            answer.pop("notes", None)  # where the parts lie
            answer.pop("cost", None)  # no request reaches over the end of a part
            answer.pop("batch", None)
        assert told[0] == told[1], (kind, args)


def test_the_cost_is_that_of_the_plan_that_is_chosen(pair) -> None:
    _, parted = pair
    preview = PlanPreview(parted)
    answer = ask(preview, "rows", start=0, n=1, columns=[])["answer"]
    assert answer["cost"].startswith(f"{parted.n_requests} requests, ")
    assert parted.n_requests == 7
    tick = {"what": "range", "first": 0, "last": 20, "on": False}
    answer = ask(preview, "rows", start=0, n=1, columns=[], do=tick)["answer"]
    chosen = parted.select(preview.selection)
    assert (chosen.n_requests, answer["cost"].split(",")[0]) == (5, "5 requests")
    assert ask(preview, "row", at=42)["answer"]["batch"] == [6, 7]


def test_a_choice_of_all_is_the_plan_itself(pair) -> None:
    _, parted = pair
    assert parted.select(PlanPreview(parted).selection).parts is parted.parts


def test_a_preview_begins_with_a_choice(pair) -> None:
    _, parted = pair
    start = ps.Selection(ps.after("seats") > 30, also=("u-00",), but=("u-05",))
    grid = Grid(parted, start)
    assert grid.n_selected == len(parted.select(start))
    wild = Grid(parted, ps.Selection(_any_text("SE")))
    assert wild.n_selected == N - 30
    with pytest.raises(ps.PlanError, match="can't be selected"):
        Grid(parted, ps.Selection(but=("nobody",)))


def _any_text(text: str) -> pl.Expr:
    """A condition that names no column: it is held against all of them."""
    return pl.col("id").is_not_null() & pl.any_horizontal(pl.col(pl.String).exclude("id") == text)


def test_rows_dealt_out_to_parts_stand_in_no_range(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pendosync.preview.grid.MOST_IN_RANGE", 5)
    whole = whole_plan()
    dealt = in_parts(whole.having(whole.changes.sort(pl.col("row") % 3)), tmp_path / "dealt", (20, 20, 20))
    with pytest.raises(ps.PlanError, match=r"at most 5 where the rows are sorted, or dealt out to parts"):
        Grid(dealt).tick_range(0, 30, on=False)
    grid = Grid(in_parts(whole, tmp_path / "in order"))
    grid.tick_range(10, 49, on=False)
    assert grid.n_selected == len(grid.plan.select(grid.selection)) == N - 40
    assert not grid.selection.but


def test_of_many_rows_a_column_is_judged_by_some_parts(pair, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, parted = pair
    assert picture_of(Rows(parted.parts), "plan") == picture_of(Rows(whole.parts), "plan")
    monkeypatch.setattr(rows_of_preview, "SAMPLE", 30)
    seen = pl.concat([whole.changes.slice(0, 17), whole.changes.slice(17, 25)])
    picture, same = (picture_of(Rows(parts), "plan") for parts in (parted.parts, Parts.of(seen)))
    assert (picture.pop("is_sample"), same.pop("is_sample")) == (True, False)
    assert picture == same
    assert choices_of(Rows(parted.parts), ps.after("team"))["n_sampled"] == 42
    assert not Rows(whole.parts).is_sampled


WHOM = {"visitor_id": "user", "account_id": "org"}
MESSAGES = [
    ps.Mapping("event", traits=["seats"], event="what", at="at", integrations="off", **WHOM),
    ps.Mapping("membership", integrations="off", **WHOM),
    ps.Mapping("visitor", "user", ["seats"], route="webhook", integrations="off"),
]


@pytest.mark.parametrize("mapping", MESSAGES, ids=lambda mapping: mapping.kind)
def test_messages_and_rows_to_be_skipped_are_as_in_memory(mapping: ps.Mapping, tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "user": [f"u-{k}" for k in range(8)],
            "org": ["acme", "zeta"] * 4,
            "what": ["Signed Up", "Left", "Paid", "Left"] * 2,
            "at": [datetime(2026, 11, 1 + k, tzinfo=UTC) for k in range(8)],
            "seats": range(8),
            "off": ['{"Pendo": false}' if k == 3 else None for k in range(8)],
        }
    ).with_columns(off=pl.col("off").str.json_decode(pl.Struct({"Pendo": pl.Boolean})))
    values = ps.map_traits(table, mapping)
    before = None if mapping.is_message else values.with_columns(pl.col("seats") + 1)
    changes = ps.diff_values(values, before=before, mapping=mapping)
    whole = ps.plan_changes(changes, mapping=mapping, target=TARGET)
    assert whole.n_sent == 7
    dealt = whole.changes.sort(pl.col("row") % 2, pl.col("action") == "skip", maintain_order=True)
    parted = in_parts(whole.having(dealt), tmp_path / "plan", (4, 4))
    assert parted.parts.sent == [(0, 4), (4, 3)]
    grids = [Grid(whole.having(dealt)), Grid(parted)]
    names = list(grids[0].columns)
    for sorted_by in ("", "id", *names):
        pages = []
        for grid in grids:
            grid.sort(sorted_by, down=True)
            pages.append(grid.page(0, 8, names))
        assert pages[0] == pages[1]
    parts = [ask(PlanPreview(parted), "row", at=at)["answer"] for at in (0, 7)]
    assert [part["batch"] is None for part in parts] == [False, True]
    assert [n for _, n in grids[1].to_send] == [4, 3]


# A PART THAT CAN'T BE READ


def test_rows_that_can_not_be_read_are_marked_and_told(lossy: ps.Plan) -> None:
    preview = PlanPreview(lossy)
    first = ask(preview, "rows", start=0, n=5, columns=["plan"])["answer"]
    assert (first["lost"], first["n_selected"], first["n_readable"]) == ([], N, N)  # nobody has looked yet
    page = ask(preview, "rows", start=15, n=4, columns=["plan", "country"])["answer"]
    assert [row[:4] for row in page["rows"]] == [
        [15, True, "update", "u-15"],
        [16, True, "update", "u-16"],
        [17, False, None, None],
        [18, False, None, None],
    ]
    assert page["rows"][2][4] == [["", None], ["", None]]
    (told,) = page["lost"]
    assert told == (
        "Part 3 of 4 can't be read (the digest of part-0002.parquet differs): none of its 25 ids is selected. "
        "A push of the whole plan sends the other parts; to choose some of its ids, plan again."
    )
    assert (page["n_shown"], page["n_readable"], page["n_selected"]) == (N, N - 25, N - 25)
    assert page["cost"].startswith("4 requests")
    assert "part-0002.parquet differs" in ask(preview, "row", at=20)["error"]


def test_the_other_parts_are_sorted_filtered_and_ticked(lossy: ps.Plan) -> None:
    grid = Grid(lossy)
    grid.sort("seats", down=False)
    known = [row[3] for row in grid.page(0, N, [])][: N - 25]
    seats = dict(whole_plan().changes.select("id", pl.col("after").struct.field("seats")).iter_rows())
    assert [seats[id] for id in known] == sorted(seats[f"u-{k:02}"] for k in [*range(17), *range(42, N)])
    assert all(row[3] is None for row in grid.page(N - 25, 25, []))
    grid.show(Filter(columns={"plan": {"state": "cleared"}}))
    assert grid.n_shown == grid.n_readable == grid.n_selected_here
    grid.tick_all(on=False)
    grid.show(Filter())
    grid.tick(N - 1, on=False)  # can't be read: it is none of the exceptions
    assert grid.selection.but == ()
    grid.tick_all(on=True)
    assert grid.n_selected == N - 25
    assert grid.find("u-44") < N
    with pytest.raises(ps.PlanError, match=r"'u-20' is in no part that can be read"):
        grid.find("u-20")
    assert choices_of(grid.rows, ps.after("seats"))["high"]
    assert picture_of(grid.rows, "plan")["n"] == N - 25
    with pytest.raises(ps.PlanError, match=r"part-0002.parquet differs"):
        lossy.select(ps.after("seats") > 30)


def test_a_part_that_comes_back_is_shown_again(lossy: ps.Plan, tmp_path: Path) -> None:
    again = in_parts(whole_plan(), tmp_path / "again")
    grid = Grid(lossy)
    assert (grid.page(20, 1, [])[0][3], grid.n_selected) == (None, N - 25)
    (lossy.parts.folder / "part-0002.parquet").write_bytes(
        (again.parts.folder / "part-0002.parquet").read_bytes()
    )
    assert (grid.page(20, 1, [])[0][3], grid.n_selected) == ("u-20", N)
    assert grid.rows.told == []


def test_of_many_parts_that_are_lost_a_few_are_told(tmp_path: Path) -> None:
    plan = in_parts(whole_plan(), tmp_path / "plan", (10,) * 6)
    for file in plan.parts.folder.glob("part-*"):
        file.unlink()
    preview = PlanPreview(plan)
    page = ask(preview, "rows", start=0, n=N, columns=plan.fields)["answer"]
    assert (page["n_readable"], page["n_selected"], page["cost"]) == (0, 0, "0 requests")
    assert "(part-0003.parquet is missing)" in page["lost"][3]
    assert page["lost"][4:] == ["And 2 more."]
    assert [column["name"] for column in ask(preview, "open")["answer"]["columns"]][:3] == plan.fields
    assert ask(preview, "pictures", names=plan.fields)["answer"]["pictures"]["plan"]["n"] == 0


def test_problems_that_can_not_be_read_are_told(tmp_path: Path) -> None:
    plan = in_parts(whole_plan(), tmp_path / "plan")
    spoil(plan, "problems-0000.parquet")
    preview = PlanPreview(plan)
    opened = ask(preview, "open")["answer"]
    assert [(one["rule"], one["n"]) for one in opened["problems"]] == [("long_text", 10)]
    listed = ask(preview, "problems", rule="long_text", start=0, n=50)["answer"]
    assert (listed["n"], listed["rows"][0][0]) == (7, "u-18")
    (told,) = ask(preview, "rows", start=0, n=1, columns=[])["answer"]["lost"]
    assert told == (
        "The problems of part 1 of 4 can't be read (the digest of problems-0000.parquet differs), and are left out."
    )
    assert ask(preview, "row", at=0)["answer"]["problems"] == []


# THE PLAN ITSELF


def test_the_summary_shows_the_problems_of_all_parts(pair) -> None:
    whole, parted = pair
    assert parted._problem_grids() == whole._problem_grids()


def test_of_many_problems_the_first_are_read_and_all_are_counted(
    pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parted = pair
    monkeypatch.setattr("pendosync.plans._FEW_LINES", 5)
    monkeypatch.setattr("pendosync.parted._EXAMPLES", 2)
    assert parted.parts.first_problems()["id"].to_list() == ["u-00", "u-06"]
    assert parted._problem_grids() == whole._problem_grids()  # ten rows, and the first reason


@pytest.mark.parametrize("name", ["part-0000.parquet", "problems-0000.parquet"])
def test_the_summary_is_shown_without_what_is_lost(tmp_path: Path, name: str) -> None:
    plan = in_parts(whole_plan(), tmp_path / "plan")
    (plan.parts.folder / name).unlink()
    html = plan._repr_html_()
    assert ("u-17" if name.startswith("part") else "u-00") in html
    assert "10" in html
    assert "long_text" in html


def test_the_desk_shows_a_request_of_a_part(pair, monkeypatch: pytest.MonkeyPatch) -> None:
    _whole, parted = pair
    monkeypatch.setattr(Desk, "chosen", parted)
    desk = Desk.__new__(Desk)
    (request,) = desk.requests(2, 1).iter_rows(named=True)
    assert request["ids"] == [f"u-{k}" for k in range(17, 27)]
