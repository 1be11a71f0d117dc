"""All problems at once, each with its rule, severity and a reason a person understands."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path

import polars as pl
import pytest

from pendosync.checks import check_values, drop_blocked, ensure_clean
from pendosync.errors import FrameError, ProblemsError
from pendosync.frames import FIELDS, PROBLEMS, ROUTES
from pendosync.mapping import Mapping
from pendosync.rules import RULES, no_problems
from pendosync.traits import Trait
from pendosync.values import map_traits

NAN = float("nan")


def problems_of(
    table: dict[str, list], mapping: Mapping | None = None, fields: pl.DataFrame | None = None
) -> pl.DataFrame:
    mapping = mapping or Mapping(
        "visitor", "id", [name for name in table if name != "id"] or [Trait(sql="1", field="one")]
    )
    values = map_traits(pl.DataFrame(table, strict=False), mapping)
    return check_values(values, mapping=mapping, fields=fields)


def rules_of(problems: pl.DataFrame) -> list[tuple]:
    return problems.select("row", "field", "rule", "severity").rows()


def schema(**types: str | None) -> pl.DataFrame:
    rows = [
        {"kind": "visitor", "group": "custom", "field": name, "type": kind, "element_type": None, "display_name": name,
         "is_writable": name != "calculated", "is_deleted": name == "deleted", "is_hidden": False}
        for name, kind in types.items()
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=FIELDS)


def test_clean_values_have_no_problems() -> None:
    problems = problems_of({"id": ["a", "b"], "plan": ["x", None]})
    assert problems.schema == PROBLEMS
    assert problems.is_empty()


def test_missing_ids_block_the_row() -> None:
    assert rules_of(problems_of({"id": ["a", None, "", "  "]})) == [
        (row, None, "missing_id", "block_row") for row in (1, 2, 3)
    ]


def test_duplicate_ids_block_each_of_their_rows_and_say_where() -> None:
    problems = problems_of({"id": ["a", "b", "a"]})
    assert rules_of(problems) == [
        (0, None, "duplicate_id", "block_row"),
        (2, None, "duplicate_id", "block_row"),
    ]
    assert "2 rows, first in row 0" in problems["reason"][1]


def test_ids_that_differ_by_case_or_blanks_are_warned_of_once_each() -> None:
    problems = problems_of({"id": ["Ann", "ann", "bo ", "bo", "cy"]})
    assert rules_of(problems) == [(row, None, "similar_id", "warn") for row in (0, 1, 2, 3)]
    assert "'Ann', 'ann'" in problems["reason"][0]


def test_long_ids_block_visitors_and_warn_of_accounts() -> None:
    ids = ["é" * 64, "é" * 64 + "x"]
    assert rules_of(problems_of({"id": ids})) == [(1, None, "long_id", "block_row")]
    account = Mapping("account", "id", [Trait(sql="1", field="one")])
    assert rules_of(problems_of({"id": ids}, account)) == [(1, None, "long_id", "warn")]


def test_anonymous_ids_are_pendos_own() -> None:
    assert rules_of(problems_of({"id": ["_PENDO_T_abc", "a"]})) == [(0, None, "anonymous_id", "block_row")]


def test_cells_that_json_cannot_hold_lose_the_field_only() -> None:
    problems = problems_of(
        {"id": ["a", "b", "c"], "score": [NAN, float("inf"), 1.0], "n": [2**53, -(2**53) - 1, None]}
    )
    assert rules_of(problems) == [
        (0, "score", "not_finite", "block_field"),
        (1, "score", "not_finite", "block_field"),
        (1, "n", "unsafe_integer", "block_field"),
    ]


def test_a_blocked_cell_blocks_the_row_where_a_null_would_clear() -> None:
    mapping = Mapping(
        "visitor", "id", [Trait("score", null="clear"), Trait("n", type="integer", null="clear")]
    )
    problems = problems_of({"id": ["a", "b"], "score": [NAN, 1.0], "n": ["1", "x"]}, mapping)
    assert rules_of(problems) == [
        (1, "n", "wrong_value", "block_row"),
        (0, "score", "not_finite", "block_row"),
    ]
    assert problems["reason"][0] == '"x" is not a value of type integer'


def test_a_columns_problem_is_one_line() -> None:
    table = {
        "id": list("abc"),
        "t": [time(1)] * 3,
        "when": [datetime(2026, 1, 1)] * 3,
        "2nd place": ["x"] * 3,
    }
    problems = problems_of(table)
    assert problems.select("row", "field", "rule", "n_rows").rows() == [
        (None, "2nd place", "illegal_field_name", 3),
        (None, "t", "unsupported_type", 3),
        (None, "when", "no_time_zone", 3),
    ]


def test_the_live_schema_is_checked_by_metadata_and_only_warned_of_by_webhook() -> None:
    fields = schema(plan="text", deleted="text", calculated="text", seats="integer", score="float", any=None)
    table = {
        "id": ["a"],
        "plann": ["x"],
        "deleted": ["x"],
        "calculated": ["x"],
        "seats": ["x"],
        "score": [1],
        "any": [1],
    }
    problems = problems_of(table, fields=fields)
    assert rules_of(problems) == [
        (None, "plann", "unknown_field", "block_field"),
        (None, "deleted", "deleted_field", "block_field"),
        (None, "calculated", "read_only_field", "block_field"),
        (None, "seats", "other_type", "block_field"),
    ]
    assert "did you mean 'plan'?" in problems["reason"][0]
    assert "Trait(…, type='integer')" in problems["reason"][3]
    webhook = Mapping("visitor", "id", list(table)[1:], route="webhook")
    found = problems_of(table, webhook, fields.with_columns(group=pl.lit("segmentio")))
    assert found.select("rule", "severity").rows() == [
        ("unknown_field", "warn"), ("deleted_field", "warn"), ("other_type", "warn"),
    ]  # fmt: skip


def test_lists_live_in_the_agent_group_only() -> None:
    table = {"id": ["a", "b"], "tags": [["x"], ["x", None]]}
    assert problems_of(table)["rule"].to_list() == ["list_outside_agent", "wrong_value"]
    agent = Mapping("visitor", "id", ["tags"], group="agent")
    assert rules_of(problems_of(table, agent)) == [(1, "tags", "wrong_value", "block_field")]


def test_long_texts_are_warned_of() -> None:
    assert rules_of(problems_of({"id": ["a", "b"], "note": ["x" * 1500, "x" * 1501]})) == [
        (1, "note", "long_text", "warn")
    ]
    assert problems_of({"id": ["a"], "note": ["é" * 1500]}).is_empty()  # characters, not bytes


@pytest.mark.parametrize(
    "value",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "sk_" + "live_0123456789abcdefXYZ",
        "-----BEGIN RSA PRIVATE KEY-----",
        "xoxb-0123456789-abc",
        "xoxb-" + "0123456789",  # the shortest: what is shorter is not looked at
    ],
)
def test_values_that_look_like_secrets_are_one_warning_that_does_not_show_them(value: str) -> None:
    problems = problems_of({"id": ["a", "b"], "note": [value, "fine"]})
    assert rules_of(problems) == [(None, "note", "looks_secret", "warn")]
    assert problems["n_rows"].item() == 1
    assert value not in problems["reason"].item()


def test_a_name_that_looks_like_a_secrets_is_warned_of() -> None:
    assert rules_of(problems_of({"id": ["a"], "api_key": ["x"], "monkey": ["x"]})) == [
        (None, "api_key", "looks_secret", "warn")
    ]


@pytest.mark.parametrize("name", ["it's", "a\\b", 'say "hi"', "plan.seats", "$['x']", "é"])
def test_strange_field_names_are_blocked_with_their_cells(name: str) -> None:
    mapping = Mapping("visitor", "id", [Trait(name, type="integer")])
    values = map_traits(pl.DataFrame({"id": ["a", "b"], name: ["x", "5"]}), mapping)
    problems = check_values(values, mapping=mapping)
    assert problems.select("row", "rule").rows() == [(None, "illegal_field_name"), (0, "wrong_value")]
    clean = drop_blocked(values, problems)
    assert clean.columns == ["row", "id", "raw"]
    assert clean["raw"].null_count() == 2


def test_drop_blocked_keeps_the_rest() -> None:
    mapping = Mapping("visitor", "id", ["score", Trait("n", type="integer"), "t"])
    table = pl.DataFrame(
        {
            "id": ["a", "b", None, "d"],
            "score": [NAN, 2.0, 3.0, 4.0],
            "n": ["1", "x", "3", "4"],
            "t": [b"x"] * 4,
        }
    )
    values = map_traits(table, mapping)
    clean = drop_blocked(values, check_values(values, mapping=mapping))
    assert clean.rows() == [(0, "a", None, None, 1), (1, "b", None, 2.0, None), (3, "d", None, 4.0, 4)]
    assert drop_blocked(clean, check_values(clean, mapping=mapping)).equals(clean)


def test_drop_blocked_leaves_warnings_alone() -> None:
    mapping = Mapping("visitor", "id", ["note"])
    values = map_traits(pl.DataFrame({"id": ["a"], "note": ["x" * 2000]}), mapping)
    assert drop_blocked(values, check_values(values, mapping=mapping)).equals(values)


def test_ensure_clean_raises_with_the_problems() -> None:
    ensure_clean(no_problems())
    ensure_clean(problems_of({"id": ["Ann", "ann"]}))
    with pytest.raises(ProblemsError, match="duplicate_id") as caught:
        ensure_clean(problems_of({"id": ["a", "a"]}))
    assert caught.value.problems.height == 2


def test_frames_that_break_their_brick_are_refused() -> None:
    mapping = Mapping("visitor", "id", ["plan"])
    with pytest.raises(FrameError, match="values has no column 'row'"):
        check_values(pl.DataFrame({"id": ["a"]}), mapping=mapping)
    with pytest.raises(FrameError, match="Expected a polars DataFrame"):
        check_values(pl.LazyFrame({"id": ["a"]}), mapping=mapping)  # type: ignore[arg-type]
    with pytest.raises(FrameError, match="row: is Int64"):
        check_values(pl.DataFrame({"row": [1], "id": ["a"], "raw": ["x"]}), mapping=mapping)


def test_an_empty_table_has_no_problems() -> None:
    values = map_traits(
        pl.DataFrame(schema={"id": pl.String, "plan": pl.String}), Mapping("visitor", "id", ["plan"])
    )
    assert check_values(values, mapping=Mapping("visitor", "id", ["plan"])).is_empty()


def test_the_table_of_rules_in_the_docs_is_this_one() -> None:
    text = (Path(__file__).parent.parent / "docs" / "rules.md").read_text(encoding="utf-8")
    for name, rule in RULES.items():
        severities = " | ".join(rule.on(route) or "—" for route in ROUTES)
        line = f"| `{name}` | {severities} | {rule.meaning} |"
        assert line in text, line
    assert text.count("\n| `") == len(RULES)


def test_dropping_some_problems_leaves_the_raw_cells_of_others_to_be_refused() -> None:
    mapping = Mapping("visitor", "id", [Trait("a", type="integer"), Trait("b", type="integer", null="clear")])
    values = map_traits(pl.DataFrame({"id": ["u"], "a": ["x"], "b": ["y"]}), mapping)
    problems = check_values(values, mapping=mapping)
    partly = drop_blocked(values, problems.filter(field="a"))
    assert partly["raw"].null_count() == 0


@pytest.mark.parametrize(
    ("column", "wanted", "words"),
    [
        ([datetime(2026, 1, 1).date()], "integer", "date can't be read as integer"),
        ([["a"]], "text", "list can't be read as text"),
        ([datetime(2026, 1, 1)], "integer", "can't be read as integer"),
    ],
)
def test_a_type_that_cannot_be_made_is_told_as_such(column: list, wanted: str, words: str) -> None:
    mapping = Mapping("visitor", "id", [Trait("x", type=wanted)])  # type: ignore[arg-type]
    (line,) = problems_of({"id": ["a"], "x": column}, mapping).to_dicts()
    assert line["rule"] == "unsupported_type"
    assert words in line["reason"].lower().replace("datetime", "date")


def test_hours_that_clocks_skip_are_told_with_the_zone() -> None:
    mapping = Mapping("visitor", "id", ["at"], time_zone="Europe/Berlin")
    (line,) = problems_of({"id": ["a"], "at": [datetime(2026, 3, 29, 2, 30)]}, mapping).to_dicts()
    assert "clocks of Europe/Berlin show it never or twice" in line["reason"]
