"""The traits that Segment's spec reserves, objects in traits, and users without an id, as each route takes them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

import pendosync as ps

TARGET = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")


def body_of(mapping: ps.Mapping, **traits: Any) -> Any:
    """Return what travels of one row, whatever is wrong with it."""
    values = ps.map_traits(pl.DataFrame({"user": ["u-1"], **{name: [one] for name, one in traits.items()}}), mapping)  # fmt: skip
    changes = ps.diff_values(values, before=values.clear(), mapping=mapping)
    plan = ps.plan_changes(changes, mapping=mapping, target=TARGET, create="unknown_ids")
    return json.loads(ps.dry_run(plan)["body"][0])


def of_visitors(*traits: str | ps.Trait, route: str = "webhook", **columns: str) -> ps.Mapping:
    return ps.Mapping("visitor", "user", traits, route=route, **columns)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trait", "given", "told"),
    [
        ("phone", 4930123, "4930123"),
        ("age", "42", 42),
        ("createdAt", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000+00:00"),
        ("birthday", datetime(1964, 5, 6, tzinfo=UTC), "1964-05-06T00:00:00.000+00:00"),
        ("plan", 5, 5),
    ],
)
def test_a_reserved_trait_has_the_specs_type(trait: str, given: object, told: object) -> None:
    assert body_of(of_visitors(trait), **{trait: given})["traits"] == {trait: told}


def test_the_metadata_route_knows_no_reserved_traits() -> None:
    body = body_of(of_visitors("phone", route="metadata"), phone=4930123)
    assert body == [{"visitorId": "u-1", "values": {"phone": 4930123}}]


def test_a_reserved_trait_of_another_type_is_a_warning() -> None:
    table = pl.DataFrame({"user": ["u-1"], "company": ["Initech"], "age": [42.5], "phone": ["030"]})
    mapping = of_visitors("company", ps.Trait("phone", type="text"), ps.Trait("age", type="text"))
    problems = ps.check_values(ps.map_traits(table, mapping), mapping=mapping).filter(rule="spec_type")
    assert problems.select("field", "severity").sort("field").rows() == [("age", "warn"), ("company", "warn")]
    reasons = dict(problems.select("field", "reason").iter_rows())
    assert "'company' as an object, the trait is text" in reasons["company"]


def test_an_object_travels_as_a_trait_a_part() -> None:
    address = {"city": "Berlin", "geo": {"zone": "Mitte"}}
    told = body_of(of_visitors("address"), address=address)["traits"]
    assert told == {"address_city": "Berlin", "address_geo_zone": "Mitte"}


@pytest.mark.parametrize(("route", "blocked"), [("webhook", [1]), ("metadata", [1]), ("browser", [])])
def test_a_user_without_an_id_is_never_sent_from_the_server(route: str, blocked: list[int]) -> None:
    table = pl.DataFrame({"user": ["u-1", None], "anonymous": ["a-1", "a-2"], "plan": ["pro", "free"]})
    mapping = of_visitors("plan", route=route, anonymous_id="anonymous")
    values = ps.map_traits(table, mapping)
    assert values["id"].to_list() == ["u-1", "_PENDO_T_a-2"]
    found = ps.check_values(values, mapping=mapping).filter(rule="anonymous_id")
    assert found["row"].to_list() == blocked
