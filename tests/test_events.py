"""Events and memberships: messages of their own, from a table to Pendo."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

import pendosync as ps

NOW = datetime.now(UTC).replace(microsecond=0)
EVENTS = pl.DataFrame(
    {
        "user": ["u-0001", "u-0002", "u-0003"],
        "org": ["acme", None, "zeta"],
        "what": ["Signed Up", "Left", "Signed Up"],
        "time": [NOW, NOW - timedelta(days=1), NOW - timedelta(days=6)],
        "plan": ["pro", None, "free"],
        "seats": [5, 2, None],
    }
)


def a_mapping(route: str = "track", **options: object) -> ps.Mapping:
    traits = options.pop("traits", ["plan", "seats"])
    return ps.Mapping(
        "event", traits=traits, visitor_id="user", account_id="org", event="what", at="time", route=route, **options
    )  # type: ignore[arg-type]  # fmt: skip


def rules(table: pl.DataFrame, mapping: ps.Mapping) -> dict[str, list[int | None]]:
    problems = ps.check_values(ps.map_traits(table, mapping), mapping=mapping)
    found: dict[str, list[int | None]] = {}
    for rule, row in problems.select("rule", "row").iter_rows():
        found.setdefault(rule, []).append(row)
    return found


def pushed(plan: ps.Plan, client: ps.Client, journal: ps.Journal) -> ps.Run:
    run = ps.push(plan, client=client, journal=journal, show=False)
    run.wait()
    return run


# From a table to messages


def test_load_events_gives_each_property_a_column(tmp_path: Path) -> None:
    lines = [
        {"event": "a", "properties": {"plan": "pro", "event": "x"}},
        {"event": "b", "properties": {"seats": 3}},
    ]
    path = tmp_path / "events.ndjson"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    table = ps.load_events(path)
    assert isinstance(table, pl.LazyFrame)
    assert table.collect().rows(named=True) == [
        {"event": "a", "plan": "pro", "properties_event": "x", "seats": None},
        {"event": "b", "plan": None, "properties_event": None, "seats": 3},
    ]


@pytest.mark.parametrize("is_lazy", [True, False])
@pytest.mark.parametrize(
    ("others", "properties", "columns"),
    [
        (["event", "properties_event"], ["event"], ["properties_event_2"]),
        (["event"], ["event", "properties_event"], ["properties_event_2", "properties_event"]),
        (["event"], ["*", "a"], ["properties_*", "a"]),
        (["event"], ["^a.*$", "a", "ab"], ["properties_^a.*$", "a", "ab"]),
        (["event"], ["properties", "id", ""], ["properties", "properties_id", "properties_"]),
    ],
)
def test_load_events_gives_each_property_a_name_of_its_own(
    others: list[str], properties: list[str], columns: list[str], is_lazy: bool
) -> None:
    table = pl.DataFrame(
        {name: [name] for name in others} | {"properties": [{name: name for name in properties}]}
    )
    made = ps.load_events(table.lazy() if is_lazy else table).lazy().collect()
    assert dict(made.row(0, named=True)) == {
        **{name: name for name in others}, **dict(zip(columns, properties, strict=True))
    }  # fmt: skip


def test_map_events_says_whom_what_and_when() -> None:
    mapped = ps.map_events(EVENTS, a_mapping())
    assert mapped["id"].to_list() == ["0", "1", "2"]
    assert mapped["about"].to_list()[0] == {
        "visitor_id": "u-0001", "account_id": "acme", "event": "Signed Up", "at": NOW,
    }  # fmt: skip
    assert ps.map_events(EVENTS, a_mapping(id="user"))["id"].to_list() == ["u-0001", "u-0002", "u-0003"]
    with pytest.raises(ps.MappingError, match="of kind 'visitor'"):
        ps.map_events(EVENTS, ps.Mapping("visitor", "user", ["plan"]))


@pytest.mark.parametrize(
    ("times", "options", "words"),
    [
        ([1, 2, 3], {}, "from_epoch"),
        ([NOW.replace(tzinfo=None)] * 3, {}, "have no zone"),
        ([timedelta(days=1)] * 3, {}, "Duration"),
    ],
)
def test_times_that_are_none_are_refused(times: list[object], options: dict[str, str], words: str) -> None:
    with pytest.raises(ps.MappingError, match=words):
        ps.map_events(EVENTS.with_columns(pl.Series("time", times)), a_mapping(**options))


def test_times_without_a_zone_are_read_in_the_mappings() -> None:
    naive = EVENTS.with_columns(time=datetime(2026, 7, 1, 12))
    mapped = ps.map_events(naive, a_mapping(time_zone="Europe/Berlin"))
    assert mapped["about"].struct.field("at")[0] == datetime(2026, 7, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("event", {"visitor_id": "u", "at": "t"}, "lacks 'event'"),
        ("event", {"event": "e", "at": "t"}, "lacks 'visitor_id'"),
        ("event", {"visitor_id": "u", "event": "e", "at": "t", "route": "metadata"}, "'metadata'"),
        ("event", {"visitor_id": "u", "event": "e", "at": "t", "parent_account": "p"}, "has no parent_account"),
        ("membership", {"visitor_id": "u"}, "lacks 'account_id'"),
        ("account", {"id": "a", "traits": ["x"], "route": "webhook"}, "lacks 'visitor_id'"),
        ("visitor", {"id": "u", "traits": ["x"], "event": "e"}, "has no event"),
        ("visitor", {"id": "u", "traits": ["x"], "integrations": 5}, "integrations is 5"),
        ("visitor", {"id": "u", "traits": ["x"], "route": "track"}, "'track'"),
        ("event", {"visitor_id": "u", "event": "e", "at": "t", "traits": ["about"]}, "'about' can't be mapped"),
        ("visitor", {"id": "u", "traits": ["x"], "route": "browser", "group": "custom"}, "lands in no group"),
    ],
)  # fmt: skip
def test_a_mapping_that_can_not_be_is_refused(kind: str, options: dict[str, object], words: str) -> None:
    with pytest.raises(ps.MappingError, match=words) as caught:
        ps.Mapping(kind, **options)  # type: ignore[arg-type]
    assert "Expected" in str(caught.value)


@pytest.mark.parametrize("route", ["track", "webhook"])
def test_mappings_of_messages_round_trip_through_toml(tmp_path: Path, route: str) -> None:
    mapping = a_mapping(route, id="key", integrations={"All": False, "Pendo": {"x": 1}})
    (tmp_path / "m.toml").write_text(mapping.to_toml(), encoding="utf-8")
    assert ps.load_mapping(tmp_path / "m.toml") == mapping


# Limits


def test_each_limit_of_track_events_is_checked_before() -> None:
    table = pl.DataFrame(
        {
            "user": ["u", None, "u", "u", "u", "u", "_PENDO_T_x", "u" * 129],
            "org": ["acme"] * 8,
            "what": ["e", "e", " ", "e", "e", "e", "e", "e"],
            "time": [
                NOW,
                NOW,
                NOW,
                None,
                NOW - timedelta(days=7, minutes=1),
                NOW + timedelta(hours=1),
                NOW,
                NOW,
            ],
            "plan": ["x"] * 8,
        }
    )
    assert rules(table, a_mapping(traits=["plan"])) == {
        "long_id": [7],
        "anonymous_id": [6],
        "missing_visitor": [1],
        "missing_event": [2],
        "missing_time": [3],
        "too_old": [4],
        "future_time": [5],
    }


@pytest.mark.parametrize(("route", "room"), [("track", 512), ("webhook", 512 - len(',"groupId":"acme"'))])
def test_properties_are_measured_as_they_travel(route: str, room: int) -> None:
    names = ['{"plan":"', '"}']
    fits = room - sum(map(len, names))
    table = EVENTS.head(1).select(
        "user", "org", "what", "time", plan=pl.lit("é" * (fits // 2) + "x" * (fits % 2))
    )
    mapping = a_mapping(route, traits=["plan"])
    assert rules(table, mapping) == {}
    longer = table.with_columns(pl.col("plan") + "x")
    assert rules(longer, mapping) == {"large_properties": [0]}


def test_names_of_properties_have_32_letters_at_most_and_are_legal() -> None:
    table = EVENTS.select(
        "user", "org", "what", "time", **{"a" * 32: pl.lit(1), "a" * 33: pl.lit(1), "1st": pl.lit(1)}
    )
    mapping = a_mapping(traits=["a" * 32, "a" * 33, "1st"])
    values = ps.map_traits(table, mapping)
    problems = ps.check_values(values, mapping=mapping)
    found = problems.select("field", "rule").sort("field").rows()
    assert found == [("1st", "illegal_field_name"), ("a" * 33, "long_name")]
    clean = ps.drop_blocked(values, problems)
    assert [name for name in clean.columns if name not in ("row", "id", "raw", "about")] == ["a" * 32]


def test_the_account_id_has_its_property_for_itself() -> None:
    table = EVENTS.with_columns(groupId=pl.lit("other"))
    assert rules(table, a_mapping("webhook", traits=["groupId"])) == {"taken_name": [None]}
    assert rules(table, a_mapping("track", traits=["groupId"])) == {}


def a_plan_of_once(table: pl.DataFrame, client: ps.Client, **options: object) -> ps.Plan:
    """A plan as it was made when none of its events was too old."""
    mapping = a_mapping(**options)
    changes = ps.diff_values(ps.map_events(table, mapping), before=None, mapping=mapping)
    return ps.plan_changes(changes, mapping=mapping, target=client.target)


OLD = NOW - timedelta(days=7, hours=1)


def test_a_plan_whose_events_grew_too_old_is_refused(client, journal) -> None:
    plan = a_plan_of_once(EVENTS.with_columns(time=OLD), client)
    values = ps.map_events(EVENTS.with_columns(time=OLD), plan.mapping)
    assert ps.check_values(values, mapping=plan.mapping, now=NOW - timedelta(hours=2)).is_empty()
    with pytest.raises(ps.PlanError, match="3 events of the plan are older than 7 days by now"):
        ps.push(plan, client=client, journal=journal)


def test_an_old_event_that_is_skipped_holds_no_plan_back(client, journal) -> None:
    table = EVENTS.with_columns(
        time=pl.when(pl.col("user") == "u-0001").then(OLD).otherwise("time"),
        i=pl.when(pl.col("user") == "u-0001").then(pl.lit('{"Pendo":false}')),
    )
    run = pushed(a_plan_of_once(table, client, integrations="i"), client, journal)
    assert run.outcomes["status"].to_list() == ["accepted", "accepted", "skipped"]


def test_events_that_grew_too_old_before_a_run_went_on_are_refused(sandbox, client, journal) -> None:
    old = EVENTS["user"].is_in(["u-0002"])
    plan = a_plan_of_once(EVENTS.with_columns(time=pl.when(old).then(OLD).otherwise("time")), client)
    record = journal.record_run(plan)  # as one whose process died before it sent anything
    record.close()
    run = ps.resume_push(journal, record.run_id, client=client, show=False)
    outcomes = run.wait()
    assert outcomes["status"].to_list() == ["accepted", "refused", "accepted"]
    assert "older than 7 days by now" in outcomes["reason"][1]
    assert set(arrived(sandbox)) == {"u-0001", "u-0003"}
    assert (run.progress.state, run.progress.n_known) == ("done", 3)
    assert ps.plan_rejected(journal, record.run_id).changes["id"].to_list() == ["1"]


# The way to Pendo


def test_diff_takes_no_before_for_messages_and_needs_one_otherwise() -> None:
    mapping = a_mapping()
    values = ps.map_events(EVENTS, mapping)
    changes = ps.diff_values(values, before=None, mapping=mapping)
    assert changes["action"].to_list() == ["send"] * 3
    assert changes["changed"].to_list()[1] == {"plan": False, "seats": True}
    with pytest.raises(ps.FrameError, match="before=None"):
        ps.diff_values(values, before=values, mapping=mapping)
    visitors = ps.Mapping("visitor", "user", ["plan"])
    with pytest.raises(ps.FrameError, match="fetch_values"):
        ps.diff_values(ps.map_traits(EVENTS, visitors), before=None, mapping=visitors)


@pytest.mark.parametrize("route", ["track", "webhook"])
def test_events_travel_as_the_dry_run_shows(sandbox, client, journal, route: str) -> None:
    sandbox.switch(track_events_enabled=True)
    plan = ps.plan_table(EVENTS, a_mapping(route), client=client, keep=["plan"])
    sandbox.forget_requests()
    run = pushed(plan, client, journal)
    assert run.outcomes["status"].to_list() == ["accepted"] * 3
    sent = [request["body"] for request in sandbox.requests()]
    assert sorted(sent) == sorted(ps.dry_run(plan)["body"])
    held = {event["visitorId"]: event for event in sandbox.events()}
    assert all(event["processed"] for event in held.values()), held
    assert {id: event["accountId"] for id, event in held.items()} == {
        "u-0001": "acme",
        "u-0002": None,
        "u-0003": "zeta",
    }
    own = {name: value for name, value in held["u-0001"]["properties"].items() if name != "groupId"}
    assert own == {"plan": "pro", "seats": 5}
    assert [held[id]["event"] for id in ("u-0001", "u-0002")] == ["Signed Up", "Left"]
    at = held["u-0002"]["timestamp"]
    is_same = (
        at == int((NOW - timedelta(days=1)).timestamp() * 1000)
        if route == "track"
        else datetime.fromisoformat(at) == NOW - timedelta(days=1)
    )
    assert is_same


def test_a_plan_of_events_creates_no_ids_and_says_nothing_of_it(client) -> None:
    plan = ps.plan_table(EVENTS, a_mapping(), client=client, create="unknown_ids")
    assert "are created" not in repr(plan)


def test_the_plan_says_that_pendo_must_turn_track_events_on(client) -> None:
    assert "a setting that Pendo turns on" in repr(ps.plan_table(EVENTS, a_mapping("webhook"), client=client))
    assert "a setting that Pendo turns on" not in repr(
        ps.plan_table(EVENTS, a_mapping("track"), client=client)
    )


def test_the_track_route_has_a_secret_of_its_own(sandbox, journal) -> None:
    settings = replace(sandbox.settings, track_secret=None)
    with ps.open_client(settings) as client:
        plan = ps.plan_table(EVENTS, a_mapping(), client=client)
        with pytest.raises(ps.SettingsError, match="PENDO_TRACK_SECRET"):
            ps.push(plan, client=client, journal=journal)
        assert "$PENDO_TRACK_SECRET" in ps.build_curl(plan)[0]


def test_own_message_ids_travel_and_others_are_the_plans(client) -> None:
    table = EVENTS.with_columns(key=pl.Series(["k1", "k2", "k3"]))
    own = ps.plan_table(table, a_mapping("webhook", id="key"), client=client)
    assert [json.loads(body)["messageId"] for body in ps.dry_run(own)["body"]] == ["k1", "k2", "k3"]
    made = ps.plan_table(table, a_mapping("webhook"), client=client)
    picked = made.select(ps.about("event") == "Left")
    assert [json.loads(body)["messageId"] for body in ps.dry_run(picked)["body"]] == [f"{made.shape.nonce}-1"]


def test_a_condition_that_can_not_be_computed_names_what_rows_are_about(client) -> None:
    with pytest.raises(ps.PlanError) as caught:
        ps.plan_table(EVENTS, a_mapping(traits=[]), client=client).select(ps.about("parent_account") == "x")
    assert "Expected one over about('visitor_id'), about('account_id'), about('event'), about('at'), id," in str(caught.value)  # fmt: skip
    assert "Hint: plan.select(ps.about('visitor_id').is_not_null())." in str(caught.value)


def test_frames_that_lost_what_rows_are_about_are_refused(client) -> None:
    mapping = a_mapping()
    values = ps.map_events(EVENTS, mapping)
    with pytest.raises(ps.FrameError, match="values has no struct about"):
        ps.check_values(values.drop("about"), mapping=mapping)
    visitors = ps.Mapping(
        "visitor", id="user", traits=["seats"], account_id="org", integrations={"All": False}
    )
    changes = ps.diff_values(held := ps.map_traits(EVENTS, visitors), before=held.clear(), mapping=visitors)
    less = changes.with_columns(pl.struct(account_id=ps.about("account_id")).alias("about"))
    with pytest.raises(ps.FrameError, match="changes says nothing in about of 'integrations'"):
        ps.plan_changes(less, mapping=visitors, target=client.target)


def test_saved_plans_of_messages_come_back_the_same(client, tmp_path: Path) -> None:
    ties = ps.Mapping("membership", visitor_id="user", account_id="what")
    for at, mapping in enumerate((a_mapping(), a_mapping("webhook", traits=[]), ties)):
        plan = ps.plan_table(EVENTS, mapping, client=client)
        loaded = ps.load_plan(plan.save(tmp_path / str(at)))
        assert loaded.digest == plan.digest
        assert ps.dry_run(loaded).equals(ps.dry_run(plan))


def test_a_run_of_events_can_not_be_undone_verified_or_refreshed(client, journal) -> None:
    run = pushed(ps.plan_table(EVENTS, a_mapping(), client=client), client, journal)
    with pytest.raises(ps.PlanError, match="An event that was sent can't be taken back"):
        ps.plan_undo(journal, run.id, client=client)
    with pytest.raises(ps.PlanError, match="plan of events by track"):
        ps.verify_run(journal, run.id, client=client)
    with pytest.raises(ps.PlanError, match="plan of events by track"):
        ps.refresh_plan(run.plan, client=client)
    with pytest.raises(ps.MappingError, match="There is no snapshot of events by track"):
        ps.read_snapshot(journal, a_mapping(), target=client.target)
    with pytest.raises(ps.PlanError, match="A canary can't go before events"):
        ps.plan_table(EVENTS, a_mapping(), client=client, canary=ps.Canary())


# Not idempotent


@pytest.fixture
def single(sandbox):
    """A client with one request in flight, that tries again at once."""
    settings = replace(sandbox.settings, data_pace=ps.Pace(None, 1))
    with ps.open_client(settings, retry=ps.Retry(attempts=4, base_s=0.01, cap_s=0.02)) as client:
        yield client


def arrived(sandbox: ps.Sandbox) -> Counter[str]:
    return Counter(event["visitorId"] for event in sandbox.events())


@pytest.mark.parametrize("route", ["track", "webhook"])
@pytest.mark.parametrize("fault", [{"fault": "cut", "when": "after"}, {"fault": "status", "status": 503, "carry_out": True}])  # fmt: skip
def test_an_event_without_an_answer_is_unknown_and_not_sent_again(
    sandbox, single, journal, route: str, fault: dict[str, object]
) -> None:
    plan = ps.plan_table(EVENTS, a_mapping(route), client=single)
    sandbox.misbehave(**fault, path="/data/", after=1, times=1)
    with pytest.raises(ps.PushError) as caught:
        ps.push(plan, client=single, journal=journal, show=False).wait()
    run_id = caught.value.run_id
    assert ps.read_outcomes(journal, run_id)["status"].to_list() == ["accepted", "unknown", "pending"]
    sandbox.behave()
    resumed = ps.resume_push(journal, run_id, client=single, show=False).wait()
    assert resumed["status"].to_list() == ["accepted", "unknown", "accepted"]
    assert arrived(sandbox) == {"u-0001": 1, "u-0002": 1, "u-0003": 1}
    assert ps.resume_push(journal, run_id, client=single, show=False).wait()["status"].to_list() == resumed["status"].to_list()  # fmt: skip
    assert arrived(sandbox)["u-0002"] == 1
    again = ps.resume_push(journal, run_id, client=single, resend="all", show=False).wait()
    assert again["status"].to_list() == ["accepted"] * 3
    assert "sent twice" in again["reason"][1]
    assert arrived(sandbox)["u-0002"] == 2
    with pytest.raises(ps.MappingError, match="resend"):
        ps.resume_push(journal, run_id, client=single, resend="some")  # type: ignore[arg-type]


def test_a_busy_pendo_has_taken_no_event_so_it_is_asked_again(sandbox, single, journal) -> None:
    plan = ps.plan_table(EVENTS, a_mapping(), client=single)
    sandbox.misbehave("status", path="/data/track", status=429, times=2)
    assert pushed(plan, single, journal).outcomes["status"].to_list() == ["accepted"] * 3
    assert set(arrived(sandbox).values()) == {1}


def test_an_answer_that_can_not_be_believed_is_not_asked_for_again(sandbox, single, journal) -> None:
    plan = ps.plan_table(EVENTS.head(1), a_mapping(), client=single)
    sandbox.misbehave("body", path="/data/track", text="<html>sign in</html>", carry_out=True)
    with pytest.raises(ps.PushError):
        ps.push(plan, client=single, journal=journal, show=False).wait()
    assert arrived(sandbox) == {"u-0001": 1}


# Memberships


TIES = pl.DataFrame({"user": ["u-0001", "u-0002", None], "org": ["acme", "zeta", "acme"], "parent": ["holding", None, None]})  # fmt: skip


def test_memberships_tie_visitors_to_accounts(sandbox, client, journal) -> None:
    mapping = ps.Mapping("membership", visitor_id="user", account_id="org", parent_account="parent")
    plan = ps.plan_table(TIES, mapping, client=client)
    assert plan.problems.select("rule", "row").rows() == [("missing_visitor", 2)]
    run = pushed(plan, client, journal)
    assert run.outcomes.select("id", "status", "reason").rows() == [
        ("u-0001 in acme", "accepted", "the webhook answers for no row"),
        ("u-0002 in zeta", "accepted", "the webhook answers for no row"),
    ]
    held = sandbox.values("visitor", "auto")
    assert [held[id]["accountid"] for id in ("u-0001", "u-0002")] == ["acme", "zeta"]
    with pytest.raises(ps.PlanError, match="A group call can't be taken back"):
        ps.plan_undo(journal, run.id)


def test_visitors_that_name_accounts_say_that_group_calls_are_missing(client) -> None:
    users = pl.DataFrame({"id": ["u-0001"], "org": ["acme"], "plan": ["x"]})
    for route in ("metadata", "webhook"):
        named = ps.Mapping("visitor", "id", ["plan"], route=route, account_id="org")  # type: ignore[arg-type]
        assert "kind 'membership'" in repr(ps.plan_table(users, named, client=client))
        plain = replace(named, account_id="")
        assert "membership" not in repr(ps.plan_table(users, plain, client=client))


# As it is looked at


def test_a_plan_of_events_shows_whom_what_and_when(client) -> None:
    table = EVENTS.with_columns(off=pl.Series([None, None, '{"Pendo": false}']))
    plan = ps.plan_table(table, a_mapping("webhook", integrations="off"), client=client)
    assert plan.summary.fields == {"plan": 1, "seats": 2}  # of what travels
    told = repr(plan)
    assert "  fields   plan 1 · seats 2" in told
    assert "1 row turns Pendo off by its integrations: it is never sent" in told
    page = plan._repr_html_()
    heads = re.findall(r"<th scope='col' style='[^']*'>(\w+)</th>", page)
    assert heads == ["id", "visitor_id", "account_id", "event", "at", "plan", "seats"]
    assert "Signed Up" in page
    assert f"{NOW:%Y-%m-%d %H:%M}" in page
    assert ">skip</span>" in page
    assert ">new</span>" not in page  # there is nothing before a message


def test_a_plan_of_memberships_has_no_line_of_fields_and_creates_nobody(client) -> None:
    mapping = ps.Mapping("membership", visitor_id="user", account_id="org")
    plan = ps.plan_table(TIES, mapping, client=client, create="unknown_ids")
    told = repr(plan)
    assert "changes" not in told
    assert "fields" not in told
    assert "are created" not in told
    assert "land in group" not in told
    assert "missing_visitor 1" in told
    assert "scope='col'" not in mapping._repr_html_()


def test_a_summary_of_messages_tells_what_they_are_about() -> None:
    values = ps.map_events(EVENTS, a_mapping())
    told = repr(ps.build_summary(values)).splitlines()
    assert told[0] == "Values: 3 ids × 2 fields"
    assert [line.split()[0] for line in told[1:]] == [
        "about", "visitor_id", "account_id", "event", "at", "field", "plan", "seats",
    ]  # fmt: skip
    assert told[4].split() == ["event", "text", "100%", "2", "distinct", "Signed", "Up", "·", "Left"]
    changes = ps.diff_values(values, before=None, mapping=a_mapping())
    assert repr(ps.build_summary(changes)).splitlines()[0] == "Changes: send 3 · 2 fields"
    ties = ps.map_traits(TIES, ps.Mapping("membership", visitor_id="user", account_id="org"))
    assert "account_id  text" in repr(ps.build_summary(ties))


# Parent accounts


def a_membership(parent: pl.Series, **options: object) -> ps.Mapping:
    return ps.Mapping(
        "membership", visitor_id="user", account_id="org", parent_account="parent", **options
    )  # type: ignore[arg-type]  # fmt: skip


def parents(cells: list[object], **options: object) -> list[object]:
    parent = pl.Series("parent", cells, dtype=options.pop("dtype", None))  # type: ignore[arg-type]
    table = pl.DataFrame({"user": [f"u-{n}" for n in range(len(cells))], "org": "acme", "parent": parent})
    about = ps.map_traits(table, a_membership(parent, **options))["about"].struct.field("parent_account")
    return [None if text is None else json.loads(text) for text in about]


def test_a_parents_traits_travel_as_traits_of_their_types_do() -> None:
    cells = [
        {"id": 7, "since": date(2026, 1, 2), "deep": {"at": datetime(2026, 1, 2, tzinfo=UTC)}, "l": ["a"], "^x.*$": 1,
         "*": True, "": "blank", "none": None, "price": Decimal("1.50")},
    ]  # fmt: skip
    assert parents(cells) == [
        {"id": "7", "since": "2026-01-02T00:00:00.000+00:00", "deep": {"at": "2026-01-02T00:00:00.000+00:00"},
         "l": ["a"], "^x.*$": 1, "*": True, "": "blank", "price": 1.5},
    ]  # fmt: skip


def test_a_parents_naive_datetimes_are_read_in_the_mappings_zone() -> None:
    cells: list[object] = [{"id": "p", "since": datetime(2026, 7, 1, 12)}]
    assert parents(cells, time_zone="Europe/Berlin") == [
        {"id": "p", "since": "2026-07-01T10:00:00.000+00:00"}
    ]
    with pytest.raises(ps.MappingError, match=r"The part 'parent\.since' is Datetime.*with a zone"):
        parents(cells)


@pytest.mark.parametrize(
    "value", [float("nan"), b"x", time(1), timedelta(1), [float("inf")], [date(2026, 1, 1)]]
)
def test_a_parents_trait_that_no_json_holds_is_refused_and_not_lost(value: object) -> None:
    with pytest.raises(ps.MappingError, match=r"The part 'parent\.(deep\.)?x'"):
        parents([{"id": "p", "x": value}])
    with pytest.raises(ps.MappingError, match=r"The part 'parent\.deep\.x'"):
        parents([{"id": "p", "deep": {"x": value}}])


@pytest.mark.parametrize("id", [1.5, True, ["p"], {"a": 1}])
def test_a_parents_id_is_text_or_a_whole_number(id: object) -> None:
    with pytest.raises(ps.MappingError, match="parent account's id"):
        parents([{"id": id}])


def test_a_parent_without_an_id_is_none() -> None:
    assert parents([{"id": "p", "x": 1}, {"id": " ", "x": 2}, {"id": None, "x": 3}, None]) == [
        {"id": "p", "x": 1}, None, None, None,
    ]  # fmt: skip
