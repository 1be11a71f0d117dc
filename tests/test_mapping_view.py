"""A mapping under edit: what is found of each trait, what a click would mend, and the code that says the same."""

from __future__ import annotations

import subprocess
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pendosync as ps
from pendosync.checks import check_values
from pendosync.errors import ColumnNotFoundError, FrameError, MappingError
from pendosync.frames import DTYPES, FIELDS, RESERVED
from pendosync.mapping import load_mapping
from pendosync.preview.mapping_code import write_code
from pendosync.preview.mapping_rows import MappingEditor
from pendosync.preview.mends import _WORDS
from pendosync.preview.schema import legal_name
from pendosync.rules import RULES
from tests.faults.hostile import TEXTS

LATER = {
    "not_in_pendo",
    "goes_back_raw",
    "cannot_undo",
    "changed_since",
    "already_held",
    "was_rejected",
    "moved",
}
KEYS = {
    "plan": ("Plan", "text"),
    "seats": ("Seats bought", "integer"),
    "signedup": ("Signed up", "date"),
    "isadmin": ("Is admin", "boolean"),
}
NAIVE = datetime(2026, 11, 2, 8, 15)


def fields(**more: dict[str, Any]) -> pl.DataFrame:
    """Return what Pendo knows: KEYS, and *more* of them with what sets them apart."""
    plain = {
        "kind": "visitor",
        "group": "custom",
        "element_type": None,
        "is_writable": True,
        "is_deleted": False,
        "is_hidden": False,
    }
    known = [
        {**plain, "field": key, "display_name": name, "type": kind} for key, (name, kind) in KEYS.items()
    ]
    known += [
        {**plain, "field": key, "display_name": key, "type": "text", **apart} for key, apart in more.items()
    ]
    return pl.DataFrame(known, schema=FIELDS)


def editor(
    traits: list[ps.Trait | str], *, known: pl.DataFrame | None = None, rows: int = 2, **columns: Any
) -> MappingEditor:
    table = pl.DataFrame({"id": [f"u-{i}" for i in range(rows)], **columns})
    return MappingEditor(table, ps.Mapping("visitor", "id", traits), known)


def rules(edited: MappingEditor, index: int = 0) -> list[str]:
    return [problem["rule"] for problem in edited.picture()["rows"][index]["problems"]]


def mends(edited: MappingEditor, index: int = 0) -> dict[str, dict[str, Any]]:
    row = edited.picture()["rows"][index]
    return {mend["label"]: mend["changes"] for problem in row["problems"] for mend in problem["mends"]}


def test_a_row_says_what_a_trait_is_and_becomes() -> None:
    edited = editor(["plan"], known=fields(), plan=["pro", None])
    (row,) = edited.picture()["rows"]
    assert row["samples"] == ["pro"]
    assert row["n_null"] == 1
    assert (row["dtype"], row["field"], row["name"], row["becomes"]) == ("String", "plan", "Plan", "text")
    assert row["encoded"] == '"pro"'
    assert row["problems"] == []


def test_the_head_counts_what_travels_and_what_is_wrong() -> None:
    traits: list[ps.Trait | str] = ["plan", "nope", ps.Trait("score", field="seats", type="integer")]
    edited = editor(traits, known=fields(), plan=["a", "b"], nope=[1, 2], score=[1.0, 2.5])
    assert edited.counts() == {"traits": 3, "fields": 2, "blocked": 1, "warnings": 1}


@pytest.mark.parametrize(
    ("values", "sample", "encoded"),
    [
        (["pro"], "pro", '"pro"'),
        ([True], "true", "true"),
        ([5], "5", "5"),
        ([0.5], "0.5", "0.5"),
        ([float("nan"), 0.5], "NaN", "0.5"),
        ([2**60, 5], str(2**60), "5"),
        ([Decimal("1.50")], "1.50", "1.5"),
        ([date(2026, 11, 2)], "2026-11-02", '"2026-11-02T00:00:00.000+00:00"'),
        ([["a", "b"]], '["a","b"]', '["a","b"]'),
        ([{"city": "Rome"}], '{"city":"Rome"}', '"Rome"'),
        ([b"\x00"], "b'\\x00'", ""),
        ([time(8)], "08:00:00", ""),
        ([timedelta(seconds=3)], "PT3S", ""),
        ([NAIVE], "2026-11-02 08:15:00", ""),
        ([[b"a"]], "[b'a']", ""),
    ],
)  # fmt: skip
def test_values_of_each_type_have_a_sample_and_travel_as_they_would(
    values: list[Any], sample: str, encoded: str
) -> None:
    edited = editor(["x"], rows=len(values), x=values)
    (row,) = edited.picture()["rows"]
    assert row["samples"][0] == sample
    assert row["encoded"] == encoded


def test_samples_are_three_distinct_ones_and_short() -> None:
    edited = editor(["x"], rows=5000, x=["a" * 100] * 4900 + ["b", "c", "d"] * 33 + ["e"])
    assert edited.picture()["rows"][0]["samples"] == ["a" * 39 + "…", "b", "c"]


def test_an_empty_table_and_a_column_of_nulls_are_shown() -> None:
    empty = MappingEditor(
        pl.DataFrame(schema={"id": pl.String, "x": pl.Int64}), ps.Mapping("visitor", "id", ["x"])
    )
    assert empty.picture()["n_rows"] == 0
    nulls = editor(["x"], x=[None, None])
    (row,) = nulls.picture()["rows"]
    assert (row["samples"], row["encoded"], row["n_null"], row["problems"]) == ([], "", 2, [])


# What is wrong, and what one click does about it

STRUCT = [{"Zip Code": "1"}, {"Zip Code": "2"}]


@pytest.mark.parametrize(
    ("rule", "trait", "values", "label", "after"),
    [
        ("no_time_zone", ps.Trait("x", field="signedup"), [NAIVE, NAIVE], "leave out", []),
        ("unknown_field", ps.Trait("x", field="Plann"), ["a", "b"], "use plan", []),
        ("unknown_field", ps.Trait("x", field="seats_bougt"), [1, 2], "use seats", []),
        ("unknown_field", ps.Trait("x", field="zzz"), ["a", "b"], "leave out", []),
        ("deleted_field", ps.Trait("x", field="plans"), ["a", "b"], "use plan", []),
        ("read_only_field", ps.Trait("x", field="signedupat"), [date(2026, 1, 1)] * 2, "use signedup", []),
        ("illegal_field_name", ps.Trait("x", field="Signed Up"), [date(2026, 1, 1)] * 2, "call it signedup", []),
        ("illegal_field_name", ps.Trait("x", field="2nd-plan"), ["a", "b"], "call it f2ndplan", ["unknown_field"]),
        ("illegal_field_name", ps.Trait("x", field="plan"), STRUCT, "leave out", []),
        ("unsupported_type", ps.Trait("x", field="plan"), [time(8), None], "write it as text", []),
        ("unsupported_type", ps.Trait("x", field="seats"), [timedelta(1), None], "count its microseconds", []),
        ("unsupported_type", ps.Trait("x", field="plan"), [[1.5], None], "join it to one text", []),
        ("unsupported_type", ps.Trait("x", field="seats", type="boolean"), [1.5, 2.5], "take it as it is: float", ["other_type"]),
        ("unsupported_type", ps.Trait("x", field="plan"), [b"a", b"b"], "leave out", []),
        ("other_type", ps.Trait("x", field="isadmin"), ["true", "false"], "read it as boolean", []),
        ("list_outside_agent", ps.Trait("x", field="plan"), [["a"], ["b"]], "join it to one text", []),
        ("wrong_value", ps.Trait("x", field="plan", type="integer"), ["5", "five"], "map as text", []),
        ("not_finite", ps.Trait("x", field="score"), [float("nan"), 1.0], None, []),
        ("unsafe_integer", ps.Trait("x", field="plan"), [2**60, 5], "map as text", []),
        ("long_text", ps.Trait("x", field="plan"), ["a" * 1501, "b"], None, []),
        ("looks_secret", ps.Trait("x", field="api_key"), ["a", "b"], "leave out", []),
    ],
)  # fmt: skip
def test_a_broken_rule_is_told_and_one_click_mends_it(
    rule: str, trait: ps.Trait, values: list[Any], label: str | None, after: list[str]
) -> None:
    apart = {
        "plans": {"is_deleted": True},
        "signedupat": {"is_writable": False, "type": "date"},
        "score": {"type": "float"},
        "api_key": {},
    }
    edited = editor([trait, ps.Trait(sql="1", field="score2")], known=fields(**apart), x=values)
    assert rule in rules(edited)
    (told,) = [one for one in edited.picture()["rows"][0]["problems"] if one["rule"] == rule][:1]
    assert told["short"]
    assert told["means"].endswith((".", "?"))
    if label is None:
        assert told["mends"] == []
        return
    edited.change(0, mends(edited)[label])
    if label == "leave out":
        assert "x" not in [trait.column for trait in edited.to_mapping().each_trait]
    else:
        assert rules(edited) == after


def test_parts_of_a_struct_share_a_line_and_a_mend_stands_once() -> None:
    edited = editor(["x"], known=fields(), x=[{"a": 1, "b": 2, "a b": 3}] * 2)
    told = edited.picture()["rows"][0]["problems"]
    assert [(one["rule"], one["parts"]) for one in told] == [
        ("unknown_field", ["x_a", "x_b", "x_a b"]),
        ("illegal_field_name", ["x_a b"]),
    ]
    assert [mend["label"] for one in told for mend in one["mends"]] == ["leave out"]


def test_each_rule_of_a_check_has_words() -> None:
    assert set(_WORDS) == set(RULES) - LATER


def test_a_zone_mends_each_column_that_lacks_one() -> None:
    edited = editor(["at", "on"], at=[NAIVE, None], on=[NAIVE, None])
    assert [rules(edited, index) for index in (0, 1)] == [["no_time_zone"]] * 2
    asked = [mend["asks_zone"] for mend in edited.picture()["rows"][0]["problems"][0]["mends"]]
    assert asked == [True, False]
    edited.set_zone("Europe/Berlin")
    assert [rules(edited, index) for index in (0, 1)] == [[], []]
    assert edited.picture()["rows"][0]["encoded"] == '"2026-11-02T07:15:00.000+00:00"'
    assert edited.to_mapping().time_zone == "Europe/Berlin"


def test_a_zone_that_is_none_is_told_and_kept() -> None:
    edited = editor(["at"], at=[NAIVE, None])
    edited.set_zone("Europe/Nowhere")
    picture = edited.picture()
    assert "'Europe/Nowhere' does not exist" in picture["broken"]
    assert picture["zone"] == "Europe/Nowhere"
    with pytest.raises(MappingError, match="Nowhere"):
        edited.to_mapping()
    edited.set_zone("")
    assert edited.to_mapping().time_zone is None


def test_a_dropped_cell_drops_its_row_where_a_null_clears_and_a_click_keeps_it() -> None:
    edited = editor([ps.Trait("x", null="clear")], x=[float("inf"), 1.0])
    (told,) = edited.picture()["rows"][0]["problems"]
    assert "The rows are dropped" in told["means"]
    edited.change(0, mends(edited)["keep Pendo’s value on null"])
    (told,) = edited.picture()["rows"][0]["problems"]
    assert "Pendo keeps what it holds" in told["means"]
    assert edited.to_mapping().each_trait[0].null == "keep"


def test_ids_are_counted_in_their_own_row() -> None:
    table = pl.DataFrame({"id": ["a", "a", None, "B", "b"], "plan": ["x"] * 5})
    told = MappingEditor(table, ps.Mapping("visitor", "id", ["plan"])).picture()["id"]
    assert [problem["short"] for problem in told["problems"]] == [
        "1 row without an id",
        "2 rows share an id",
        "2 rows with ids that differ by case or blanks only",
    ]
    assert [problem["blocks"] for problem in told["problems"]] == [True, True, False]
    assert told["n_unique"] == 2


def test_an_id_that_is_no_text_is_told_in_its_row_and_the_traits_are_shown() -> None:
    table = pl.DataFrame({"id": [1.5], "plan": ["pro"]})
    picture = MappingEditor(table, ps.Mapping("visitor", "id", ["plan"])).picture()
    assert "Expected text or whole numbers" in picture["id"]["problems"][0]["means"]
    assert picture["rows"][0]["encoded"] == '"pro"'


def test_problems_are_those_of_the_whole_table() -> None:
    for n_bad in (1, 700, 4999):
        values = ["5"] * (5000 - n_bad) + ["five"] * n_bad
        for column in (values, values[::-1]):
            trait = ps.Trait("x", type="integer")
            (told,) = editor([trait], rows=5000, x=column).picture()["rows"][0]["problems"]
            assert told["short"].startswith(f"{n_bad:,} value")


@pytest.mark.parametrize("kind", [*DTYPES, None])
def test_what_is_found_one_by_one_is_what_a_check_finds(kind: Any) -> None:
    columns = {
        "a": ["5", "x", None, "2026-01-01"] * 600,
        "b": [1, 0, 2**60, None] * 600,
        "c": [1.0, 2.5, float("nan"), None] * 600,
        "d": [NAIVE, None, NAIVE, NAIVE] * 600,
        "e": [{"p": "1", "q": 5}] * 2400,
    }
    traits = [ps.Trait(name, type=kind) for name in columns]
    edited = editor(traits, known=fields(), rows=2400, **columns)
    table = pl.DataFrame({"id": [str(i) for i in range(2400)], **columns})
    mapping = ps.Mapping("visitor", "id", traits)
    checked = check_values(ps.map_traits(table, mapping), mapping=mapping, fields=fields())
    wanted = {
        (field, rule): n
        for field, rule, n in checked.group_by("field", "rule").agg(pl.col("n_rows").sum()).iter_rows()
    }
    found = {
        (problem.field, problem.rule): problem.n
        for line in edited.draft.lines
        for problem in edited.findings.find(line.to_trait(), None).problems
    }
    whole = {"other_type", "unknown_field", "unsupported_type", "no_time_zone", "looks_secret"}
    assert found.keys() == wanted.keys()
    assert {key: n for key, n in found.items() if key[1] not in whole} == {
        key: n for key, n in wanted.items() if key[1] not in whole
    }


# What an edit does


def test_a_gesture_changes_the_mapping_and_nothing_else() -> None:
    start = ps.Mapping("account", "id", ["plan", ps.Trait("n", null="clear")], group="agent", time_zone="UTC")
    edited = MappingEditor(pl.DataFrame({"id": ["a"], "plan": ["x"], "n": [1]}), start)
    edited.change(0, {"null": "clear"})
    edited.change(1, {"field": "seats"})
    assert edited.to_mapping() == ps.Mapping(
        "account", "id", [ps.Trait("plan", null="clear"), ps.Trait("n", field="seats", null="clear")],
        group="agent", time_zone="UTC",
    )  # fmt: skip
    assert start.each_trait[0].null == "keep"


def test_a_field_of_pendos_brings_its_type() -> None:
    edited = editor(["x"], known=fields(), x=["5", "7"])
    edited.change(0, {"field": "seats"})
    assert edited.to_mapping().each_trait == (ps.Trait("x", field="seats", type="integer"),)
    edited.change(0, {"field": "plan", "type": None})
    assert edited.to_mapping().each_trait == (ps.Trait("x", field="plan"),)


def test_a_trait_that_is_left_out_keeps_its_row() -> None:
    edited = editor(["plan", "seats"], plan=["a", "b"], seats=[1, 2])
    edited.change(0, {"included": False})
    assert edited.to_mapping().left_out == ("plan",)
    assert [row["included"] for row in edited.picture()["rows"]] == [False, True]
    edited.change(0, {"included": True})
    assert edited.to_mapping().left_out == ()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"field": "seats"}, "Two traits go to the field 'seats'"),
        ({"field": "id"}, "'id' can't be mapped"),
        ({"field": ""}, "names no field"),
        ({"type": "number"}, "'number'"),
        ({"null": "drop"}, "'drop'"),
    ],
)
def test_an_edit_that_makes_no_mapping_is_kept_and_told(changes: dict[str, str], reason: str) -> None:
    edited = editor(["plan", "seats"], plan=["a", "b"], seats=[1, 2])
    edited.change(0, changes)
    picture = edited.picture()
    assert reason in picture["broken"]
    assert picture["rows"][0]["problems"][0]["blocks"]
    assert (picture["python"], picture["toml"]) == ("", "")
    for ask in (edited.to_mapping, edited.to_code):
        with pytest.raises(MappingError, match=reason):
            ask()
    edited.change(0, {"field": "plan", "type": None, "null": "keep"})
    assert edited.to_mapping() == ps.Mapping("visitor", "id", ["plan", "seats"])


def test_no_trait_at_all_is_told() -> None:
    edited = editor(["plan"], plan=["a", "b"])
    edited.change(0, {"included": False})
    assert "no traits" in edited.picture()["broken"]
    with pytest.raises(MappingError, match="no traits"):
        edited.to_mapping()


def test_parts_of_a_struct_that_meet_another_field_are_told() -> None:
    edited = editor(["address", "address_city"], address=[{"city": "a"}] * 2, address_city=["b", "c"])
    picture = edited.picture()
    assert picture["rows"][0]["parts"] == ["address_city"]
    assert [row["problems"][0]["short"] for row in picture["rows"]] == ["two traits, one field"] * 2
    with pytest.raises(MappingError, match="'address_city'"):
        edited.to_mapping()


def test_a_strange_gesture_is_refused() -> None:
    edited = editor(["plan"], plan=["a", "b"])
    for index, changes in ((5, {"field": "x"}), (-1, {"field": "x"}), (0, {"colour": "red"})):
        with pytest.raises(MappingError, match="Expected"):
            edited.change(index, changes)
    with pytest.raises(ColumnNotFoundError, match="nope"):
        edited.add("nope")
    assert edited.to_mapping() == ps.Mapping("visitor", "id", ["plan"])


def test_a_column_that_was_left_out_is_added_to_the_field_that_matches() -> None:
    edited = editor(
        ["plan"], known=fields(), plan=["a", "b"], **{"Seats Bought": ["1", "2"], "extra": [1, 2]}
    )
    assert [one["column"] for one in edited.picture()["left_out"]] == ["Seats Bought", "extra"]
    assert [one["field"] for one in edited.picture()["untouched"]] == ["seats", "signedup", "isadmin"]
    edited.add("Seats Bought")
    edited.add("extra")
    assert edited.to_mapping().each_trait[1:] == (
        ps.Trait("Seats Bought", field="seats", type="integer"),
        ps.Trait("extra"),
    )
    assert edited.picture()["left_out"] == []
    assert rules(edited, 2) == ["unknown_field"]


def test_a_column_named_as_no_field_can_be_is_added_and_told() -> None:
    edited = editor(["plan"], plan=["a", "b"], row=[1, 2])
    edited.add("row")
    assert "can't be mapped" in edited.picture()["rows"][1]["problems"][0]["means"]


def test_a_column_that_the_table_lacks_is_told_in_its_row() -> None:
    edited = editor(["plan", "Plann"], plan=["a", "b"])
    assert "Plann" in edited.picture()["rows"][1]["problems"][0]["means"]
    edited.change(1, mends(edited, 1)["leave out"])
    assert edited.to_mapping() == ps.Mapping("visitor", "id", ["plan"])


def test_a_computed_trait_that_fails_is_told_in_its_row() -> None:
    traits: list[ps.Trait | str] = [
        "plan",
        ps.Trait(sql="SUM(n)", field="total"),
        ps.Trait(expr="gone", field="y"),
    ]
    edited = editor(traits, plan=["a", "b"], n=[1, 2])
    rows = edited.picture()["rows"]
    assert "one value for each row" in rows[1]["problems"][0]["means"]
    assert "keeps only its text" in rows[2]["problems"][0]["means"]
    assert [row["computed"] for row in rows] == ["", "sql", "expr"]


def test_the_table_must_have_the_id_and_the_fields_must_be_fields() -> None:
    with pytest.raises(ColumnNotFoundError, match="uid"):
        ps.edit_mapping(pl.DataFrame({"plan": ["a"]}), ps.Mapping("visitor", "uid", ["plan"]))
    with pytest.raises(FrameError):
        ps.edit_mapping(
            pl.DataFrame({"id": ["a"], "plan": ["a"]}),
            ps.Mapping("visitor", "id", ["plan"]),
            fields=pl.DataFrame({"field": ["plan"]}),
        )


def test_a_lazy_table_is_read_once_of_the_columns_it_needs() -> None:
    reads: list[pl.Series] = []

    def seen(column: pl.Series) -> pl.Series:
        reads.append(column)
        return column

    table = pl.LazyFrame({"id": ["a"], "plan": ["x"], "n": [1]})
    counted = table.with_columns(pl.col("n").map_batches(seen, return_dtype=pl.Int64))
    edited = MappingEditor(counted, ps.Mapping("visitor", "id", ["plan"]))
    edited.change(0, {"null": "clear"})
    assert edited.picture()["rows"][0]["samples"] == ["x"]
    assert reads == []
    edited.add("n")
    edited.change(1, {"type": "text"})
    assert edited.picture()["rows"][1]["encoded"] == '"1"'
    assert len(reads) == 1


def test_a_field_is_matched_near_or_named_as_pendo_would() -> None:
    assert [legal_name(text, []) for text in ("Total Seats", "2nd", "!!", "id", "row")] == [
        "totalseats", "f2nd", "", "", "",
    ]  # fmt: skip
    assert legal_name("Plan", ["plan"]) == ""


def test_fields_that_cannot_be_written_say_why() -> None:
    known = fields(
        gone={"is_deleted": True},
        visits={"is_writable": False},
        tags={"group": "agent"},
        x={"kind": "account"},
    )
    edited = editor(["plan"], known=known, plan=["a", "b"])
    told = {one.field: one.why_not for one in edited.schema.choices}
    assert told["gone"] == "deleted in Pendo"
    assert told["visits"] == "Pendo calculates it"
    assert told["tags"] == "in group agent; this mapping writes custom"
    assert told["plan"] == ""
    assert "x" not in told


@pytest.mark.parametrize(
    ("values", "kind"),
    [(["a", "b"], "text"), ([1, 2], "number"), ([True, False], "boolean"), ([NAIVE, NAIVE], "date")],
)
def test_a_new_field_says_what_to_create(values: list[Any], kind: str) -> None:
    picture = editor(["x", "plan"], known=fields(), x=values, plan=["a", "b"]).picture()
    told = picture["rows"][0]["problems"][0]
    assert told["short"] == "not in Pendo"
    assert told["means"] == f"Create it there first, of type {kind}."
    assert picture["creations"].startswith(
        "1 field is not in Pendo: create it first, in the group custom of visitors"
    )


def test_where_no_field_is_new_nothing_is_said_of_creating() -> None:
    edited = editor(["x", "plan"], known=fields(), x=["a", "b"], plan=["a", "b"])
    edited.change(0, {"included": False})
    assert edited.picture()["creations"] == ""


def test_by_webhook_a_new_field_is_only_a_warning() -> None:
    mapping = ps.Mapping("visitor", "id", ["extra"], route="webhook", group="segmentio")
    edited = MappingEditor(pl.DataFrame({"id": ["a"], "extra": [1]}), mapping, fields())
    (told,) = edited.picture()["rows"][0]["problems"]
    assert (told["rule"], told["blocks"]) == ("unknown_field", False)
    assert "when its first value arrives" in told["means"]


# The code that says the same

NAMES = st.one_of(st.sampled_from(sorted(TEXTS.values())), st.text(min_size=1, max_size=20)).filter(
    lambda name: name not in RESERVED and name != "" and name.encode("utf-8", "ignore").decode() == name
)
TRAITS = st.lists(
    st.tuples(NAMES, NAMES, st.sampled_from([*DTYPES, None]), st.sampled_from(["keep", "clear"]), st.booleans()),
    min_size=1, max_size=4, unique_by=lambda one: one[1],
)  # fmt: skip


def run_code(python: str) -> ps.Mapping:
    names: dict[str, Any] = {}
    exec(python, names)
    made = names["mapping"]
    assert isinstance(made, ps.Mapping)
    return made


@given(
    id=NAMES,
    traits=TRAITS,
    zone=st.sampled_from([None, "UTC", "Europe/Berlin"]),
    group=st.sampled_from(["", "agent"]),
)
def test_the_python_makes_an_equal_mapping(id: str, traits: list[Any], zone: str | None, group: str) -> None:
    made = [
        ps.Trait(sql='UPPER("a") || \'"\'', field=field, type=kind, null=null)
        if is_sql
        else ps.Trait(column, field=field, type=kind, null=null)
        for column, field, kind, null, is_sql in traits
    ]
    mapping = ps.Mapping("visitor", id, made, group=group, time_zone=zone)
    assert run_code(write_code(mapping).python) == mapping


def test_the_toml_makes_an_equal_mapping(tmp_path: Path) -> None:
    mapping = ps.Mapping(
        "account",
        "id",
        ["a", ps.Trait(sql="b + 1", field="b")],
        route="webhook",
        group="mine",
        visitor_id="owner",
        parent_account="parent",
        integrations={"All": False, "Pendo": True},
    )
    code = write_code(mapping)
    assert code.toml is not None
    path = tmp_path / "mapping.toml"
    path.write_text(code.toml, encoding="utf-8")
    assert load_mapping(path) == mapping == run_code(code.python)
    assert code.python in repr(code)
    assert code.toml in repr(code)


def test_an_expression_stands_as_a_comment_and_that_is_said() -> None:
    mapping = ps.Mapping(
        "visitor", "id", ["plan", ps.Trait(expr=pl.col("a\nb") + 1, field="n", null="clear")]
    )
    code = write_code(mapping)
    assert code.toml is None
    assert "1 trait is a polars expression" in code.note
    assert '# ps.Trait(expr=…, field="n", null="clear")' in code.python
    assert run_code(code.python) == ps.Mapping("visitor", "id", ["plan"])


# The widget, without a page


def test_a_view_holds_the_mapping_and_its_code() -> None:
    view = ps.edit_mapping(
        pl.DataFrame({"id": ["a"], "plan": ["pro"]}), ps.Mapping("visitor", "id", ["plan"])
    )
    assert view.mapping == ps.Mapping("visitor", "id", ["plan"])
    assert run_code(view.code.python) == view.mapping
    assert repr(view) == "Mapping of visitors: 1 trait → 1 field"


def test_no_value_of_a_row_is_a_trait_or_in_the_picture_without_a_kernel() -> None:
    view = ps.edit_mapping(
        pl.DataFrame({"id": ["ann-1"], "plan": ["pro-1"]}), ps.Mapping("visitor", "id", ["plan"])
    )
    view._open()
    kept = repr(view.get_state()) + view._picture() + repr(view)
    assert "ann-1" not in kept
    assert "pro-1" not in kept
    assert "plan" in view._picture()


def test_the_picture_of_a_broken_mapping_is_its_reason() -> None:
    view = ps.edit_mapping(pl.DataFrame({"id": ["a"], "<b>": [1]}), ps.Mapping("visitor", "id", ["<b>"]))
    view._set(0, {"field": "row"})
    assert "can&#x27;t be mapped" in view._picture()


def test_importing_the_library_loads_no_widget() -> None:
    code = "import sys, pendosync; print(sorted({'anywidget', 'ipywidgets', 'IPython'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_mappings_of_messages_are_edited_like_others() -> None:
    table = pl.DataFrame(
        {"u": ["ann", None], "e": ["Left", "Left"], "t": ["2020-01-01"] * 2, "plan": ["a", "b"], "x": [1, 2]}
    )
    events = ps.Mapping("event", visitor_id="u", event="e", at="t", traits=["plan"])
    edited = MappingEditor(table, events)
    picture = edited.picture()
    assert picture["id"]["source"] == "the row’s number"
    assert [problem["rule"] for problem in picture["id"]["problems"]] == ["missing_visitor", "too_old"]
    assert edited.to_mapping() == events
    assert [one["column"] for one in picture["left_out"]] == ["x"]
    code = write_code(edited.to_mapping())
    assert run_code(code.python) == events
    ties = ps.Mapping("membership", visitor_id="u", account_id="e")
    assert MappingEditor(table, ties).to_mapping() == ties
    assert MappingEditor(table, ties).picture()["id"]["source"] == "visitor in account"


@pytest.mark.parametrize("route", ["metadata", "webhook", "browser"])
def test_visitors_with_anonymous_ids_are_edited_like_others(route: str) -> None:
    table = pl.DataFrame({"u": ["ann", None], "anonymous": [None, "x"], "plan": ["a", "b"]})
    mapping = ps.Mapping("visitor", "u", ["plan"], route=route, anonymous_id="anonymous")  # type: ignore[arg-type]
    edited = MappingEditor(table, mapping)
    (row,) = edited.picture()["rows"]
    assert (row["samples"], row["becomes"]) == (["a", "b"], "text")
    problems = edited.picture()["id"]["problems"]
    assert [problem["rule"] for problem in problems] == ([] if route == "browser" else ["anonymous_id"])
    assert run_code(write_code(edited.to_mapping()).python) == mapping
