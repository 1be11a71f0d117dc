"""The laws of the whole way, for tables that nobody chose, against a real server."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pendosync as ps
from tests.test_undo import others_write, pushed

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


OTHERS = st.lists(
    st.tuples(
        st.sampled_from(KNOWN),
        st.sampled_from(
            [("plan", "theirs"), ("plan", "free"), ("plan", None), ("seats", 3), ("trial", True)]
        ),
    ),
    max_size=5,
)


@QUIETLY
@given(rows=TABLES, policies=POLICIES, others=OTHERS)
def test_an_undo_leaves_what_others_changed_and_can_itself_be_undone(
    sandbox, client, tmp_path_factory, rows, policies, others
) -> None:
    sandbox.reset()
    sandbox.switch(wrong_types="kept")
    before = sandbox.values("visitor", "custom")
    journal = ps.open_journal(tmp_path_factory.mktemp("journal"))
    plan = ps.plan_table(a_table(rows), a_mapping(policies), client=client)
    if not len(plan):
        return
    run = pushed(plan, client, journal)
    as_pushed = sandbox.values("visitor", "custom")
    for id, (field, value) in others:
        others_write(client, id, field, value)
    now = sandbox.values("visitor", "custom")
    undo = ps.plan_undo(journal, run.id, client=client)
    listed = {
        rule: set(undo.problems.filter(rule=rule).select("id", "field").iter_rows())
        for rule in ("changed_since", "cannot_undo")
    }
    if not len(undo):
        return
    back = pushed(undo, client, journal)
    after = sandbox.values("visitor", "custom")
    for id in before:
        for name in list(SCHEMA)[1:]:
            was, sent, held = (state[id].get(name) for state in (before, as_pushed, now))
            is_theirs = sent != was and held not in (sent, was)
            assert ((id, name) in listed["changed_since"]) == is_theirs
            assert ((id, name) in listed["cannot_undo"]) == (was is None and held == sent != was)
            stays = is_theirs or sent == was or was is None
            assert after[id].get(name) == (held if stays else was)
    pushed(ps.plan_undo(journal, back.id, client=client, absent="null"), client, journal)
    assert sandbox.values("visitor", "custom") == now


@QUIETLY
@given(rows=TABLES, policies=POLICIES, others=OTHERS)
def test_a_refreshed_plan_brings_about_what_the_old_one_would(
    sandbox, client, tmp_path_factory, rows, policies, others
) -> None:
    sandbox.reset()
    plan = ps.plan_table(a_table(rows), a_mapping(policies), client=client)
    if not len(plan):
        return
    ends = []
    for refreshed in (False, True):
        sandbox.reset()
        for id, (field, value) in others:
            others_write(client, id, field, value)
        fresh = ps.refresh_plan(plan, client=client) if refreshed else plan
        assert fresh.values.join(plan.changes, on="id", how="anti").is_empty()
        if len(fresh):
            pushed(fresh.lift(recheck=None), client, ps.open_journal(tmp_path_factory.mktemp("journal")))
        ends.append(sandbox.values("visitor"))
    assert ends[0] == ends[1]
