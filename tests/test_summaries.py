"""Each brick at a glance: recognised by its columns, counted whole, and never more than a few values."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from pendosync.checks import check_values
from pendosync.diffs import diff_values
from pendosync.errors import FrameError
from pendosync.frames import FIELDS, OUTCOMES, PROBLEMS, REQUESTS, VALUES, empty_changes
from pendosync.looks import dry_run
from pendosync.mapping import Mapping
from pendosync.planning import plan_changes
from pendosync.regions import Target
from pendosync.reports import Report
from pendosync.rules import no_problems
from pendosync.summaries import build_summary, problem_grids
from pendosync.traits import Trait
from pendosync.values import map_traits

TABLE = pl.DataFrame(
    {"id": ["ann", "bo", "cy", "di"], "plan": ["pro", "pro", "free", None], "seats": ["5", "many", "7", None]}
)
MAPPING = Mapping("visitor", "id", ["plan", Trait("seats", type="integer")])
TARGET = Target("us", "https://app.pendo.io", "https://data.pendo.io")
EMPTY = {
    "Table: 0 rows × 0 columns": pl.DataFrame(),
    "Fields: 0": FIELDS.to_frame(),
    "Values: 0 ids × 0 fields": VALUES.to_frame(),
    "Nothing is wrong.": PROBLEMS.to_frame(),
    "Changes: none · 0 fields": empty_changes({}),
    "Requests: none": REQUESTS.to_frame(),
    "Outcomes: 0 ids": OUTCOMES.to_frame(),
}


def lines_of(report: Report) -> list[str]:
    """Return the lines with single blanks."""
    return [" ".join(line.split()) for line in repr(report).splitlines()]


def held(**columns: list[object]) -> pl.DataFrame:
    return map_traits(
        TABLE.with_columns(pl.Series(name, column) for name, column in columns.items()), MAPPING
    )


# --- which brick


@pytest.mark.parametrize("title", EMPTY)
def test_an_empty_brick_is_recognised(title: str) -> None:
    report = build_summary(EMPTY[title])
    assert repr(report) == title
    assert title in report._repr_html_()


def test_a_brick_with_more_columns_is_recognised() -> None:
    told = OUTCOMES.to_frame().with_columns(seen=pl.lit("other"))
    assert repr(build_summary(told)).startswith("Outcomes")
    changes = empty_changes({"plan": pl.String()}).with_columns(region=pl.lit("EMEA"))
    assert repr(build_summary(changes)).startswith("Changes: none · 1 field")


def test_a_frame_of_other_types_or_a_lazy_one_is_a_table() -> None:
    assert repr(build_summary(PROBLEMS.to_frame().cast({"n_rows": pl.Int64}))).startswith("Table")
    assert repr(build_summary(PROBLEMS.to_frame().lazy())).startswith("Table")


def test_what_is_no_frame_is_refused_with_a_hint() -> None:
    with pytest.raises(FrameError, match=r"is a dict\. Expected a polars .* Hint: load_table"):
        build_summary({"id": ["ann"]})  # type: ignore[arg-type]


def test_a_summary_flows_and_changes_nothing() -> None:
    before = TABLE.clone()
    assert lines_of(TABLE.pipe(build_summary)) == lines_of(TABLE.lazy().pipe(build_summary))
    assert TABLE.equals(before)


# --- table


def test_a_table_tells_each_column() -> None:
    assert lines_of(build_summary(TABLE)) == [
        "Table: 4 rows × 3 columns",
        "column type filled values samples",
        "id text 100% all different ann · bo · cy",
        "plan text 75% 2 distinct pro · free",
        "seats text 75% all different 5 · many · 7",
    ]


def test_a_wide_table_with_long_names_stays_readable() -> None:
    names = [f"{at}_" + "name_" * 40 for at in range(60)]
    report = build_summary(pl.DataFrame({name: ["x" * 300] for name in names}))
    assert len(lines_of(report)) == 62
    assert max(map(len, repr(report).splitlines())) < 150
    assert (
        lines_of(build_summary(pl.DataFrame({f"c{at}": [1] for at in range(103)})))[-1]
        == "and 3 more columns"
    )


# --- FIELDS


def test_fields_tell_their_groups_types_and_marks() -> None:
    rows = [
        ("visitor", "custom", "plan", "text", None, "Plan", True, False, False),
        ("visitor", "custom", "old", "integer", None, "Old", True, True, True),
        ("visitor", "agent", "tags", "list", "text", None, True, None, None),
        ("visitor", "auto", "odd", None, None, None, False, False, False),
    ]
    assert lines_of(build_summary(pl.DataFrame(rows, schema=FIELDS, orient="row"))) == [
        "Fields: 4 in 3 groups",
        "visitor custom 2 fields, 1 deleted, 1 hidden",
        "visitor agent 1 field",
        "visitor auto 1 field, 1 read-only",
        "field type called group mark",
        "plan text Plan visitor custom",
        "old integer Old visitor custom deleted, hidden",
        "tags list of text visitor agent",
        "odd not named visitor auto read-only",
    ]


# --- VALUES


def test_values_tell_raw_cells_and_what_is_there_most_often() -> None:
    assert lines_of(build_summary(map_traits(TABLE, MAPPING))) == [
        "Values: 4 ids × 2 fields",
        "field type filled raw values samples",
        "plan text 75% 2 distinct pro · free",
        "seats integer 75% 1 5 … 7 5 · 7",
    ]
    many = pl.concat([TABLE.select("id", "plan", "seats")] * 3)
    assert lines_of(build_summary(map_traits(many, MAPPING)))[2].endswith("2 distinct pro 66.7% · free 33.3%")


@pytest.mark.parametrize("name", ["*", "^a$", "^.*$", "a'b", 'a"b', "a\\b", "$", "a.b"])
def test_a_field_may_have_any_name(name: str) -> None:
    raw = json.dumps({name: "5"})
    values = pl.DataFrame(
        [(0, "ann", raw, None, "x")], schema={**VALUES, name: pl.Int64(), "a": pl.String()}, orient="row"
    )
    assert lines_of(build_summary(values))[2:] == [f"{name} integer 100% 1", "a text 100% 1 distinct x"]
    types = {name: pl.Int64(), "a": pl.String()}
    before, after = {name: None, "a": None}, {name: 5, "a": "x"}
    line = (0, "ann", "update", {name: True, "a": True}, before, after, raw, None)
    changes = pl.DataFrame([line], schema=empty_changes(types).schema, orient="row")
    assert lines_of(build_summary(changes))[1:] == [
        "field type new changed filled before filled after",
        f"{name} integer 1 100% 100%",
        "a text 1 0% 100%",
    ]


# --- PROBLEMS


def test_problems_tell_by_rule_what_becomes_of_how_many_rows() -> None:
    table = pl.DataFrame(
        {
            "id": ["ann", "ann", "bo", "cy"],
            "plan": ["x" * 1600, "y", "z", "z"],
            "seats": ["5", "many", "few", "7"],
        }
    )
    problems = check_values(map_traits(table, MAPPING), mapping=MAPPING, fields=FIELDS.to_frame())
    assert lines_of(build_summary(problems)) == [
        "Problems: 2 rows dropped, 2 fields dropped, 2 values dropped, warnings of 1 rule",
        "problem rule rows fields the first reason",
        f"✕ row dropped duplicate_id 2 {problems['reason'][0]}",
        f"✕ field dropped unknown_field 4 plan, seats {problems['reason'][2]}",
        '✕ value dropped wrong_value 2 seats "many" is not a value of type integer',
        f"△ warning long_text 1 plan {problems.filter(rule='long_text')['reason'][0]}",
    ]


def test_problems_without_a_place_in_the_table_count_by_id() -> None:
    lines = [(None, one, "plan", "moved", "block_field", 1, "moved") for one in ("ann", "ann", "bo")]
    assert lines_of(build_summary(pl.DataFrame(lines, schema=PROBLEMS, orient="row"))) == [
        "Problems: 3 values dropped",
        "problem rule rows fields the first reason",
        "✕ value dropped moved 2 plan moved",
    ]


def test_no_problems_make_no_table() -> None:
    assert problem_grids(no_problems()) == ()


def test_a_plan_shows_its_problems_by_rule() -> None:
    values = map_traits(TABLE, MAPPING)
    problems = check_values(values, mapping=MAPPING)
    changes = diff_values(
        values.with_columns(raw=pl.lit(None, dtype=pl.String)), before=values.clear(), mapping=MAPPING
    )
    plan = plan_changes(changes, mapping=MAPPING, target=TARGET, problems=problems, create="unknown_ids")
    html = plan._repr_html_()
    assert all(
        text in html for text in ("</span> value dropped", "wrong_value</code>", "&quot;many&quot; is not")
    )
    assert "✕ blocked wrong_value 1" in " ".join(repr(plan).split())
    assert "✕</span> blocked" in plan.summary._repr_html_()
    assert "✕</span> blocked" not in html


# --- CHANGES


def test_changes_tell_new_changed_cleared_and_how_full_it_becomes() -> None:
    mapping = Mapping("visitor", "id", ["plan", Trait("seats", type="integer", null="clear")])
    before = held(plan=["pro", "free", None, None], seats=["5", "6", "many", "8"])[:3]
    after = map_traits(TABLE.with_columns(seats=pl.Series(["5", "7", None, "9"])), mapping)
    assert lines_of(build_summary(diff_values(after, before=before, mapping=mapping))) == [
        "Changes: update 2, create 1 · 2 fields",
        "field type new changed cleared filled before filled after",
        "plan text 1 1 33.3% 66.7%",
        "seats integer 1 1 1 66.7% 66.7%",
    ]


def test_one_change_says_one() -> None:
    values = map_traits(TABLE[:1], MAPPING)
    report = build_summary(
        diff_values(values, before=values.with_columns(plan=pl.lit("free")), mapping=MAPPING)
    )
    assert lines_of(report)[0] == "Changes: update 1 · 2 fields"
    assert lines_of(report)[2] == "plan text 1 100% 100%"


# --- REQUESTS and OUTCOMES


def test_requests_tell_where_to_how_many_and_the_largest() -> None:
    values = map_traits(TABLE.with_columns(seats=pl.Series(["5", "6", "7", "8"])), MAPPING)
    changes = diff_values(values, before=values.clear(), mapping=MAPPING)
    plan = plan_changes(changes, mapping=MAPPING, target=TARGET, create="unknown_ids", batch_size=3)
    requests = dry_run(plan)
    sizes = [len(body.encode()) for body in requests["body"]]
    assert lines_of(build_summary(requests)) == [
        f"Requests: 2, 4 ids, {sum(sizes)} bytes",
        "method path requests ids size the largest",
        f"POST {requests['path'][0]} 2 4 {sum(sizes)} bytes batch 0: 3 ids, {sizes[0]} bytes",
    ]


def test_outcomes_tell_the_reasons_of_what_is_not_good() -> None:
    rows = [("r", 0, "a", "updated", None), ("r", 0, "b", "failed", "no number"), ("r", 0, "c", "failed", "no date"),
            ("r", 0, "d", "failed", "no date"), ("r", 0, "e", "missing", "not known"), ("r", None, "f", "pending", None)]  # fmt: skip
    outcomes = pl.DataFrame(rows, schema=OUTCOMES, orient="row")
    told = [
        "outcome ids share reason",
        "✓ updated 1 16.7%",
        "✕ missing 1 16.7% not known",
        "✕ failed 2 33.3% no date",
        "✕ failed 1 16.7% no number",
        "△ pending 1 16.7%",
    ]
    assert lines_of(build_summary(outcomes)) == ["Outcomes: 6 ids", *told]
    seen = outcomes.with_columns(seen=pl.Series(["as_pushed", "other", "other", None, None, None]))
    assert lines_of(build_summary(seen)) == ["Outcomes: 6 ids", "read back other 2 · as_pushed 1", *told]
    both = pl.concat([outcomes, outcomes.with_columns(run_id=pl.lit("s"))])
    assert lines_of(build_summary(both))[0] == "Outcomes: 12 ids of 2 runs"


def test_very_many_reasons_end_in_a_count() -> None:
    rows = [("r", 0, str(at), "failed", f"reason {at}") for at in range(30)]
    assert (
        lines_of(build_summary(pl.DataFrame(rows, schema=OUTCOMES, orient="row")))[-1]
        == "and 10 more reasons"
    )


# --- all of them


def test_a_summary_of_a_file_needs_no_key_and_no_client(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "users.parquet")
    assert lines_of(build_summary(pl.scan_parquet(tmp_path / "users.parquet"))) == lines_of(
        build_summary(TABLE)
    )
