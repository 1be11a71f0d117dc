"""Tables that no one here wrote, the whole way: planned, dry-run, pushed over both routes, read back, undone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import polars as pl
import pytest

import pendosync as ps
from tests.test_undo import pushed

FOLDER = Path(
    os.environ.get("PENDOSYNC_REAL_TABLES", Path(__file__).parents[2] / "shared/data/grouparoo_demo")
)
pytestmark = pytest.mark.skipif(
    not FOLDER.is_dir(), reason="the folder of real tables is not here; PENDOSYNC_REAL_TABLES names it"
)

NEW_FIELDS = {
    "visitor": {"firstname": "string", "lastname": "string", "email": "string", "language": "string", "deactivated": "boolean",
                "company": "string", "companyplan": "string", "lifetimevalue": "number"},
    "account": {"name": "string", "domain": "string", "planname": "string", "planseats": "number", "paidtotal": "number"},
}  # fmt: skip


def load(name: str) -> pl.DataFrame:
    table = ps.load_table(FOLDER / f"{name}.csv")
    return table.collect() if isinstance(table, pl.LazyFrame) else table


def a_user_table() -> pl.DataFrame:
    accounts = load("accounts").join(load("plans").select(plan_id="id", companyplan="name"), on="plan_id")
    bought = (
        load("purchases")
        .filter(state="successful")
        .group_by("user_id")
        .agg(lifetimevalue=pl.col("price").sum().round(2))
    )
    users = load("users").join(
        accounts.select(account_id="id", company="name", companyplan="companyplan"),
        on="account_id",
        how="left",
    )
    return users.join(bought, left_on="id", right_on="user_id", how="left").rename(
        {"first_name": "firstname", "last_name": "lastname"}
    )


def an_account_table() -> pl.DataFrame:
    paid = (
        load("payments")
        .filter(state="successful")
        .group_by("account_id")
        .agg(paidtotal=pl.col("amount").sum().round(2))
    )
    plans = load("plans").select(plan_id="id", planname="name", planseats="seats")
    return (
        load("accounts")
        .join(plans, on="plan_id", how="left")
        .join(paid, left_on="id", right_on="account_id", how="left")
    )


def create_fields(client: ps.Client) -> None:
    for kind, types in NEW_FIELDS.items():
        body = json.dumps(
            [{"name": name, "displayname": name, "type": held} for name, held in types.items()]
        ).encode()
        client.call(client.request, "POST", f"/api/v1/metadata/schema/{kind}/custom", body=body)


def a_mapping(kind: str, route: str) -> ps.Mapping:
    types = {"string": "text", "number": "float", "boolean": "boolean"}
    traits = [ps.Trait(name, type=types[held]) for name, held in NEW_FIELDS[kind].items()]  # type: ignore[arg-type]
    caller = "id" if (kind, route) == ("account", "webhook") else ""
    return ps.Mapping(kind, "id", traits, route=route, visitor_id=caller)  # type: ignore[arg-type]


def wanted(table: pl.DataFrame, fields: list[str]) -> dict[str, dict[str, object]]:
    """What should be held, written without the library's own casts."""
    rows = table.select(pl.col("id").cast(pl.String), *fields).to_dicts()
    return {
        row["id"]: {name: value for name, value in row.items() if name != "id" and value is not None}
        for row in rows
    }


def read_back(client: ps.Client, mapping: ps.Mapping, table: pl.DataFrame) -> dict[str, dict[str, object]]:
    held = ps.fetch_values(client, mapping, ids=table["id"].cast(pl.String).to_list())
    assert held["raw"].null_count() == held.height
    return wanted(held, [trait.field for trait in mapping.each_trait])


def changed_half(table: pl.DataFrame, name: str) -> pl.DataFrame:
    is_odd = pl.int_range(pl.len()) % 2 == 1
    return table.with_columns(
        pl.when(is_odd).then(pl.col(name) + " (changed)").otherwise(pl.col(name)).alias(name)
    )


@pytest.mark.parametrize("route", ["metadata", "webhook"])
@pytest.mark.parametrize(
    ("kind", "n_rows", "text"), [("visitor", 1000, "lastname"), ("account", 50, "domain")]
)
def test_the_whole_way_and_back(
    sandbox, client, journal, kind: str, n_rows: int, text: str, route: str
) -> None:
    create_fields(client)
    table = a_user_table() if kind == "visitor" else an_account_table()
    mapping = a_mapping(kind, route)
    fields = list(NEW_FIELDS[kind])
    assert table.height == n_rows

    plan = ps.plan_table(table, mapping, client=client, create="unknown_ids")
    assert not plan.summary.blocked
    assert plan.summary.actions == {"create": n_rows}
    sandbox.forget_requests()
    run = pushed(plan, client, journal)
    assert set(run.outcomes["status"]) == {"created" if route == "metadata" else "accepted"}
    sent = sorted(request["body"] for request in sandbox.requests() if request["method"] == "POST")
    assert sent == sorted(ps.dry_run(plan)["body"])
    assert read_back(client, mapping, table) == wanted(table, fields)

    half = changed_half(table, text)
    second = ps.plan_table(half, mapping, client=client)
    assert len(second) == n_rows // 2
    assert {name: n for name, n in second.summary.fields.items() if n} == {text: n_rows // 2}
    again = pushed(second, client, journal)
    assert read_back(client, mapping, table) == wanted(half, fields)

    undo = ps.plan_undo(journal, again.id)
    assert undo.cannot_undo.is_empty()
    pushed(undo, client, journal)
    assert read_back(client, mapping, table) == wanted(table, fields)
    assert len(ps.plan_table(table, mapping, client=client)) == 0
