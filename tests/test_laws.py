"""The laws of the whole way, for tables that nobody chose, against a real server."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pendosync as ps
from tests.test_undo import pushed

KNOWN = [
    "u-0001",
    "u-0002",
    "u-0003",
    "u-0005",
    "u-0011",
    "u-0017",
    "u-0020",
    "U-0007",
    "a/b",
    "ünï",
    "x y",
    "100%",
]
SCHEMA = {
    "id": pl.String, "plan": pl.String, "seats": pl.Int64, "score": pl.Float64, "trial": pl.Boolean,
    "signedup": pl.Datetime("ms", "UTC"),
}  # fmt: skip
ROW = st.tuples(
    st.none() | st.text(max_size=5) | st.sampled_from(["free", "team"]),
    st.none() | st.integers(-3, 60) | st.integers(),
    st.none() | st.floats(),
    st.none() | st.booleans(),
    st.none()
    | st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
)
TABLES = st.dictionaries(st.sampled_from([*KNOWN, "nobody", "_PENDO_T_x", " "]), ROW, min_size=1)
POLICIES = st.tuples(*[st.sampled_from(["keep", "clear"])] * 5)
QUIETLY = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def a_table(rows: dict[str, tuple]) -> pl.DataFrame:
    whole = [
        (id, *(None if isinstance(v, int) and abs(v) > 2**63 - 1 else v for v in cells))
        for id, cells in rows.items()
    ]
    return pl.DataFrame(whole, schema=SCHEMA, orient="row")


def a_mapping(policies: tuple[str, ...], **options: str) -> ps.Mapping:
    traits = [ps.Trait(name, null=null) for name, null in zip(list(SCHEMA)[1:], policies, strict=True)]  # type: ignore[arg-type]
    return ps.Mapping("visitor", "id", traits, **options)  # type: ignore[arg-type]


@QUIETLY
@given(
    rows=TABLES, policies=POLICIES, webhook=st.booleans(), creates=st.booleans(), batch_size=st.integers(1, 5)
)
def test_what_is_received_is_what_the_dry_run_showed(
    sandbox, client, tmp_path_factory, rows, policies, webhook, creates, batch_size
) -> None:
    sandbox.reset()
    journal = ps.open_journal(tmp_path_factory.mktemp("journal"))
    plan = ps.plan_table(
        a_table(rows), a_mapping(policies, route="webhook" if webhook else "metadata"), client=client,
        create="unknown_ids" if creates else "never", batch_size=batch_size,
    )  # fmt: skip
    sandbox.forget_requests()
    if len(plan):
        pushed(plan, client, journal)
    sent = sorted(
        (request["method"], request["path"], request["body"])
        for request in sandbox.requests()
        if request["method"] == "POST"
    )
    assert sent == sorted(ps.dry_run(plan).select("method", "path", "body").rows())


@QUIETLY
@given(rows=TABLES, policies=POLICIES, webhook=st.booleans(), dates=st.sampled_from(["string", "time"]))
def test_planning_again_after_a_push_gives_nothing_for_what_was_written(
    sandbox, client, tmp_path_factory, rows, policies, webhook, dates
) -> None:
    sandbox.reset()
    sandbox.switch(segmentio_dates=dates)
    mapping = a_mapping(policies, route="webhook" if webhook else "metadata")
    plan = ps.plan_table(a_table(rows), mapping, client=client)
    if not len(plan):
        return
    run = pushed(plan, client, ps.open_journal(tmp_path_factory.mktemp("journal")))
    written = run.outcomes.filter(pl.col("status").is_in(["updated", "created", "accepted"]))
    assert written.height == len(plan)
    again = ps.plan_table(a_table(rows), mapping, client=client)
    assert again.changes.join(written, on="id", how="semi").is_empty()


@QUIETLY
@given(rows=TABLES, policies=POLICIES)
def test_undo_brings_back_every_value_that_was_present(
    sandbox, client, tmp_path_factory, rows, policies
) -> None:
    sandbox.reset()
    sandbox.switch(wrong_types="kept")
    before = sandbox.values("visitor")
    journal = ps.open_journal(tmp_path_factory.mktemp("journal"))
    plan = ps.plan_table(a_table(rows), a_mapping(policies), client=client)
    if not len(plan):
        return
    undo = ps.plan_undo(journal, pushed(plan, client, journal).id)
    if len(undo):
        pushed(undo, client, journal)
    after = sandbox.values("visitor")
    listed = set(undo.cannot_undo.select("id", "field").iter_rows())
    for id, groups in before.items():
        for name in list(SCHEMA)[1:]:
            held = groups.get("custom", {}).get(name)
            if held is not None:
                assert after[id]["custom"][name] == held
            elif after[id].get("custom", {}).get(name) is not None:
                assert (id, name) in listed
    assert {id: {k: v for k, v in g.items() if k != "custom"} for id, g in after.items()} == {
        id: {k: v for k, v in g.items() if k != "custom"} for id, g in before.items()
    }
