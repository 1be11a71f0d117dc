"""Declarations: what they refuse, and that they round-trip."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.errors import MappingError
from pendosync.frames import DTYPES, FIELDS, RESERVED, is_pattern
from pendosync.mapping import Mapping, load_mapping
from pendosync.suggestions import fold_key, suggest_mapping
from pendosync.traits import Trait
from pendosync.values import map_traits

PLAN = Trait("plan")


def fields(*lines: tuple[str, str, str, str | None]) -> pl.DataFrame:
    rows = [
        {"kind": "visitor", "group": group, "field": key, "type": kind, "element_type": None, "display_name": name,
         "is_writable": group in ("custom", "agent"), "is_deleted": False, "is_hidden": False}
        for group, key, name, kind in lines
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=FIELDS)


def test_trait_takes_its_field_from_the_column() -> None:
    assert Trait("plan").field == "plan"
    assert Trait("Plan Name", field="plan").field == "plan"


@pytest.mark.parametrize(
    ("arguments", "beats"),
    [
        ({}, ["no source", "exactly one", "Hint:"]),
        ({"column": "a", "sql": "b", "field": "f"}, ["column and sql", "Hint:"]),
        ({"sql": "UPPER(plan)"}, ["names no field", "Hint:"]),
        ({"sql": "SELECT FROM (", "field": "f"}, ["can't be read", "Hint:"]),
        ({"column": "a", "type": "string"}, ["'string'", "'text'", "Hint:"]),
        ({"column": "a", "null": "drop"}, ["'drop'", "'keep'", "Hint:"]),
        ({"column": "id"}, ["'id'", "keep the names", "Hint:"]),
    ],
)
def test_trait_refuses_in_three_beats(arguments: dict[str, str], beats: list[str]) -> None:
    with pytest.raises(MappingError) as caught:
        Trait(**arguments)  # type: ignore[arg-type]
    assert all(beat in str(caught.value) for beat in beats), str(caught.value)


@pytest.mark.parametrize(
    ("changes", "beat"),
    [
        ({"kind": "user"}, "'user'"),
        ({"route": "email"}, "'email'"),
        ({"group": "auto"}, "'auto'"),
        ({"traits": []}, "no traits"),
        ({"traits": ["plan", Trait(sql="UPPER(plan)", field="plan")]}, "Two traits go to the field 'plan'"),
        ({"time_zone": "Europe/Nowhere"}, "'Europe/Nowhere'"),
    ],
)
def test_mapping_refuses_in_three_beats(changes: dict[str, object], beat: str) -> None:
    with pytest.raises(MappingError) as caught:
        Mapping(**{"kind": "visitor", "id": "id", "traits": [PLAN], **changes})  # type: ignore[arg-type]
    assert beat in str(caught.value)
    assert "Hint:" in str(caught.value)


def test_mapping_is_frozen_and_equal_by_content() -> None:
    one, two = (Mapping("visitor", "id", ["plan", Trait(sql="a + b", field="sum")]) for _ in range(2))
    assert one == two
    assert hash(one) == hash(two)
    with pytest.raises(AttributeError):
        one.kind = "account"  # type: ignore[misc]


def test_mapping_group_follows_the_route() -> None:
    assert Mapping("visitor", "id", [PLAN]).group == "custom"
    assert Mapping("visitor", "id", [PLAN], route="webhook").group == "segmentio"
    assert Mapping("visitor", "id", [PLAN], route="webhook", group="segment.io").group == "segment.io"


def test_mapping_tells_two_expressions_apart() -> None:
    one, two = (Mapping("visitor", "id", [Trait(expr=pl.col("a") + n, field="f")]) for n in (1, 2))
    assert one != two


def test_trait_of_finds_the_parts_of_a_struct() -> None:
    mapping = Mapping("visitor", "id", [Trait("address", null="clear"), "address_city"])
    assert mapping.trait_of("address_zip") == Trait("address", null="clear")
    assert mapping.trait_of("address_city") == Trait("address_city")
    assert mapping.trait_of("plan") is None
    assert mapping.clears("address_zip")
    assert not mapping.clears("address_city")


NAMES = st.text(min_size=1, max_size=20).filter(
    lambda name: name not in RESERVED and "\x00" not in name and not is_pattern(name)
)
TRAITS = st.builds(
    Trait,
    column=NAMES,
    field=NAMES,
    type=st.none() | st.sampled_from(list(DTYPES)),
    null=st.sampled_from(["keep", "clear"]),
)


@given(traits=st.lists(TRAITS, min_size=1, max_size=4, unique_by=lambda trait: trait.field), id=NAMES)
def test_mapping_round_trips_through_toml(
    tmp_path_factory: pytest.TempPathFactory, traits: list[Trait], id: str
) -> None:
    mapping = Mapping("account", id, [*traits, Trait(sql="a || '\"'", field="\0sql")], time_zone="UTC")
    path = tmp_path_factory.getbasetemp() / "mapping.toml"
    path.write_text(mapping.to_toml(), encoding="utf-8", newline="")
    assert load_mapping(path) == mapping


def test_to_toml_says_that_an_expression_cannot_be_written() -> None:
    with pytest.raises(MappingError, match="can't be written") as caught:
        Mapping("visitor", "id", [Trait(expr=pl.col("a") + 1, field="f")]).to_toml()
    assert "Trait(sql=" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "beat"),
    [
        ("kind = ", "is no TOML"),
        ('kind = "visitor"', "lacks 'id'"),
        ('kind = "visitor"\nid = "id"\ntraits = 5', "no list of tables"),
        ('kind = "visitor"\nid = "id"\nspeed = 5\n[[traits]]\ncolumn = "a"', "unknown key 'speed'"),
        ('kind = "visitor"\nid = "id"\n[[traits]]\ncolum = "a"', "unknown key 'colum'"),
    ],
)
def test_load_mapping_refuses_in_three_beats(tmp_path, text: str, beat: str) -> None:
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(MappingError) as caught:
        load_mapping(tmp_path / "m.toml")
    assert beat in str(caught.value)
    assert "Hint:" in str(caught.value)


def test_load_mapping_names_the_missing_file(tmp_path) -> None:
    with pytest.raises(MappingError, match="can't be read"):
        load_mapping(tmp_path / "none.toml")


def test_suggest_matches_on_folded_keys_and_display_names() -> None:
    known = fields(
        ("custom", "planname", "Plan", "text"),
        ("custom", "signedup", "Signed up at", "date"),
        ("custom", "seats", "Seats", "integer"),
        ("auto", "visits", "Visits", "integer"),
    )
    table = pl.DataFrame(
        {"User ID": ["u"], "Plan_Name": ["a"], "signed_up_at": ["2026-01-01"], "visits": [1]}
    )
    mapping = suggest_mapping(table, kind="visitor", fields=known)
    assert mapping.id == "User ID"
    assert mapping.traits == (
        Trait("Plan_Name", field="planname", type="text"),
        Trait("signed_up_at", field="signedup", type="date"),
    )
    assert mapping.left_out == ("visits",)


def test_suggest_prefers_the_very_key_and_uses_a_field_once() -> None:
    table = pl.DataFrame({"id": ["u"], "Plan": ["a"], "plan": ["b"]})
    mapping = suggest_mapping(table, kind="visitor", fields=fields(("custom", "plan", "Plan", "text")))
    assert mapping.traits == (Trait("plan", type="text"),)
    assert mapping.left_out == ("Plan",)


def test_suggest_by_webhook_takes_every_column() -> None:
    table = pl.DataFrame({"company_id": ["acme"], "owner": ["ann"], "plan": ["a"]}).lazy()
    mapping = suggest_mapping(table, kind="account", route="webhook", visitor_id="owner")
    assert (mapping.id, mapping.traits, mapping.group) == ("company_id", (PLAN,), "segmentio")
    assert mapping.visitor_id == "owner"


def test_suggest_finds_the_visitor_who_makes_a_group_call() -> None:
    table = pl.DataFrame({"account_id": ["acme"], "user_id": ["ann"], "plan": ["a"]})
    assert suggest_mapping(table, kind="account", route="webhook").visitor_id == "user_id"
    with pytest.raises(MappingError, match=r"No column looks like a visitor id.*visitor_id="):
        suggest_mapping(table.drop("user_id"), kind="account", route="webhook")


@pytest.mark.parametrize(
    ("columns", "kwargs", "beat"),
    [
        (["plan"], {}, "No column looks like a visitor id"),
        (["user_id", "plan"], {"id": "userid"}, "'userid'"),
        (
            ["user_id", "colour"],
            {"fields": fields(("custom", "plan", "Plan", "text"))},
            "No column of the table matches",
        ),
    ],
)
def test_suggest_refuses_in_three_beats(columns: list[str], kwargs: dict[str, object], beat: str) -> None:
    table = pl.DataFrame({name: ["x"] for name in columns})
    with pytest.raises(MappingError) as caught:
        suggest_mapping(table, kind="visitor", **kwargs)  # type: ignore[arg-type]
    assert beat in str(caught.value)
    assert "Hint:" in str(caught.value)


@given(st.text())
def test_fold_key_is_stable(name: str) -> None:
    assert fold_key(fold_key(name)) == fold_key(name)
    assert not any(letter.isspace() or letter == "_" for letter in fold_key(name))


@pytest.mark.parametrize(
    "traits",
    [["plan", pl.col("plan")], [("plan", "plan")], {"Plan": "plan"}, 5],
    ids=["expr", "pair", "dict", "number"],
)
def test_traits_of_other_kinds_are_refused_and_not_dropped(traits: object) -> None:
    with pytest.raises(MappingError, match="Hint:"):
        Mapping("visitor", "id", traits)  # type: ignore[arg-type]


@pytest.mark.parametrize("group", ["custom", "agent"])
def test_the_webhook_refuses_groups_that_it_does_not_reach(group: str) -> None:
    with pytest.raises(MappingError, match="does not reach the group"):
        Mapping("visitor", "id", [PLAN], route="webhook", group=group)


@pytest.mark.parametrize("zone", ["localtime", "Factory", 5])
def test_zones_that_polars_does_not_know_are_refused(zone: object) -> None:
    with pytest.raises(MappingError, match="Hint:"):
        Mapping("visitor", "id", [PLAN], time_zone=zone)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["column = 5", 'column = "a"\nfield = 5', 'column = "a"\ntype = []', "sql = 5"]
)
def test_toml_with_other_types_is_refused(tmp_path, text: str) -> None:
    (tmp_path / "m.toml").write_text(f'kind = "visitor"\nid = "id"\n[[traits]]\n{text}')
    with pytest.raises(MappingError, match="Hint:"):
        load_mapping(tmp_path / "m.toml")


def test_suggest_refuses_other_kinds_and_routes() -> None:
    table = pl.DataFrame({"user_id": ["a"]})
    with pytest.raises(MappingError, match="'visitor', 'account'"):
        suggest_mapping(table, kind="users")  # type: ignore[arg-type]
    with pytest.raises(MappingError, match="'metadata', 'webhook'"):
        suggest_mapping(table, kind="visitor", route="zz")  # type: ignore[arg-type]


def test_a_mapping_shows_each_trait_in_html_without_long_names() -> None:
    long = "name_" * 40
    traits = [Trait(long, field="plan", type="text", null="clear"), Trait(sql="UPPER(a)", field="b")]
    mapping = Mapping("visitor", "id", traits, time_zone="UTC", left_out=tuple(f"x{at}" for at in range(60)))
    html = mapping._repr_html_()
    assert all(
        text in html for text in ("UPPER(a)", "→", "as it is", ">clear<", "time zone", "x11 and 48 more")
    )
    assert long not in html
    assert long[:79] in html


@pytest.mark.parametrize("name", ["*", "^row$", "^a.*$"])
def test_a_field_whose_name_is_a_pattern_is_refused_and_a_column_is_not(name: str) -> None:
    table = pl.DataFrame({"alpha": ["x"], name: ["y"]})
    with pytest.raises(MappingError, match="a pattern that stands for others"):
        Mapping("visitor", id="alpha", traits=[name])
    mapping = Mapping("visitor", id="alpha", traits=[Trait(name, field="plan")])
    assert map_traits(table, mapping)["plan"].to_list() == ["y"]
