"""From Segment's messages to tables: which value is the latest, which type holds all, and where each message went."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import pendosync as ps
from pendosync.errors import TableError
from pendosync.segment_messages import SegmentMessages, load_segment_messages

Message = dict[str, Any]
DAY = "2026-01-01T00:00:00Z"


def identify(user: Any = "ann", at: str | None = DAY, /, **traits: Any) -> Message:
    return {"type": "identify", "userId": user, "timestamp": at, "traits": traits}


def group(account: Any = "acme", user: Any = "ann", at: str | None = DAY, /, **traits: Any) -> Message:
    return {"type": "group", "groupId": account, "userId": user, "timestamp": at, "traits": traits}


def track(event: Any = "Opened", at: Any = DAY, /, **properties: Any) -> Message:
    return {"type": "track", "userId": "ann", "event": event, "timestamp": at, "properties": properties}


def day(number: int) -> str:
    return f"2026-01-{number:02}T00:00:00Z"


def date(number: int) -> dt.datetime:
    return dt.datetime(2026, 1, number, tzinfo=dt.UTC)


def visitors(*messages: Message) -> pl.DataFrame:
    return load_segment_messages(messages).visitors


def column(*values: Any, name: str = "x") -> pl.Series:
    """The column that these values of one trait become, a user each."""
    return visitors(*(identify(f"u-{at}", **{name: value}) for at, value in enumerate(values)))[name]


def reasons(*messages: Any) -> list[str]:
    return load_segment_messages([identify(), *messages]).left_out["reason"].to_list()


def notes(*messages: Message) -> list[tuple[str, str, str]]:
    return load_segment_messages(messages).notes.rows()


def write(path: Path, lines: Iterable[object]) -> Path:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_bytes("\n".join(texts).encode("utf-8", "surrogatepass"))
    return path


def said(make: Callable[[], object]) -> str:
    with pytest.raises(TableError, match=r"(?s)\. Expected .*\. Hint: ") as caught:
        make()
    return str(caught.value)


# Visitors


def test_the_latest_value_of_each_trait_wins() -> None:
    found = visitors(
        identify("ann", day(2), plan="pro", seats=5), identify("ann", day(1), plan="free", region="EU")
    )
    assert found.to_dicts() == [{"user_id": "ann", "plan": "pro", "seats": 5, "region": "EU"}]


def test_a_later_null_unsets_a_trait() -> None:
    found = visitors(identify("ann", day(1), plan="pro"), identify("ann", day(2), plan=None))
    assert found.to_dicts() == [{"user_id": "ann", "plan": None}]


def test_at_the_same_time_the_later_line_wins() -> None:
    assert visitors(identify(plan="pro"), identify(plan="free"))["plan"].to_list() == ["free"]


@pytest.mark.parametrize(
    "at", ["2026-01-02T00:30:00+01:00", "2026-01-01T23:59:59.999999Z", "2026-01-01 23:59Z", "2026-01-01"]
)
def test_times_are_compared_as_moments(at: str) -> None:
    assert visitors(identify("ann", "2026-01-02", plan="later"), identify("ann", at, plan="x"))[
        "plan"
    ].to_list() == ["later"]


def test_a_fraction_of_a_millisecond_decides() -> None:
    early, late = "2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.000002Z"
    assert visitors(identify("ann", late, plan="b"), identify("ann", early, plan="a"))["plan"].item() == "b"


def test_the_first_time_that_is_there_counts() -> None:
    names = ["timestamp", "originalTimestamp", "sentAt", "receivedAt"]
    for at, name in enumerate(names):
        times = {name: day(1), **{other: day(9) for other in names[at + 1 :]}}
        first = {"type": "identify", "userId": "ann", "traits": {"plan": "first"}, **times}
        assert visitors(identify("ann", day(2), plan="second"), first)["plan"].item() == "second"


def test_without_a_time_a_message_counts_as_the_oldest_and_is_noted() -> None:
    messages = [identify("ann", day(1), plan="a"), identify("ann", None, plan="b"), identify("ann", "2026-2-1", plan="c")]  # fmt: skip
    assert visitors(*messages)["plan"].item() == "a"
    (note,) = notes(*messages)
    assert note[:2] == ("visitor", "timestamp")
    assert note[2].startswith("2 messages without a time")


@pytest.mark.parametrize(
    ("told", "kept"), [(7, "7"), (7.0, "7"), (7.5, "7.5"), ("007", "007"), (2**70, str(2**70))]
)
def test_an_id_that_is_a_number_becomes_text(told: Any, kept: str) -> None:
    assert visitors(identify(told))["user_id"].to_list() == [kept]


def test_the_user_id_wins_over_the_anonymous_one() -> None:
    assert visitors({**identify("ann"), "anonymousId": "q"})["user_id"].to_list() == ["ann"]


def test_an_identify_without_traits_is_a_visitor() -> None:
    found = load_segment_messages([{"type": "identify", "userId": "ann"}, {**identify("bo"), "traits": None}])
    assert found.visitors["user_id"].to_list() == ["ann", "bo"]
    assert found.left_out.is_empty()


Told = list[tuple[int, dict[str, str | None]]]


@given(
    st.lists(
        st.tuples(
            st.integers(1, 28), st.dictionaries(st.sampled_from("abc"), st.none() | st.text("xy", max_size=2))
        ),
        min_size=1,
        max_size=8,
        unique_by=lambda one: one[0],
    ).flatmap(lambda told: st.tuples(st.just(told), st.permutations(told)))
)
def test_the_latest_traits_win_whatever_the_order_in_the_file(both: tuple[Told, Told]) -> None:
    told, shuffled = both
    expected: dict[str, str | None] = {}
    for _, traits in sorted(told, key=lambda one: one[0]):
        expected |= traits
    for order in (told, shuffled):
        found = visitors(*(identify("ann", day(at), **traits) for at, traits in order)).to_dicts()
        assert found == [{"user_id": "ann", **expected}]


# Accounts and memberships


def test_a_group_is_an_account_with_its_latest_user() -> None:
    found = load_segment_messages(
        [group("acme", "bo", day(2), plan="pro"), group("acme", "ann", day(1), plan="free")]
    )
    assert found.accounts.to_dicts() == [{"account_id": "acme", "user_id": "bo", "plan": "pro"}]
    assert found.memberships.select("user_id", "account_id", "at").rows() == [
        ("bo", "acme", date(2)),
        ("ann", "acme", date(1)),
    ]


def test_an_anonymous_group_is_an_account_without_a_member() -> None:
    found = load_segment_messages([{**group("acme", None, plan="pro"), "anonymousId": "q"}])
    assert found.accounts.to_dicts() == [{"account_id": "acme", "user_id": None, "plan": "pro"}]
    assert found.memberships.is_empty()
    assert found.left_out.is_empty()


def test_a_membership_keeps_its_latest_message() -> None:
    messages = [{**group("acme", "ann", day(at)), "messageId": f"m-{at}"} for at in (1, 3, 2)]
    assert load_segment_messages(messages).memberships.rows() == [("ann", "acme", date(3), "m-3")]


def test_a_membership_without_a_time_has_none() -> None:
    assert load_segment_messages([group("acme", "ann", None)]).memberships["at"].to_list() == [None]


def test_the_parent_account_stays_one_column() -> None:
    parents = [{"id": 7, "tags": [1]}, "x", 8, None]
    found = load_segment_messages(
        [group(f"a-{at}", plan="pro", parentAccount=one) for at, one in enumerate(parents)]
    )
    assert found.accounts["parentAccount"].to_list() == ['{"id":"7","tags":[1]}', "x", "8", None]
    about = ps.map_traits(found.accounts, found.mapping("account"))["about"]
    told = ['{"id":"7","tags":[1]}', '{"id":"x"}', '{"id":"8"}', None]
    assert about.struct.field("parent_account").to_list() == told
    assert "parentAccount" not in load_segment_messages([group()]).accounts.columns


@pytest.mark.parametrize("parent", [{}, {"name": "x"}, {"id": " "}, " ", ["p"], True])
def test_a_parent_account_without_an_id_is_none_and_is_noted(parent: Any) -> None:
    found = load_segment_messages(
        [group("a", parentAccount="p"), group("a", parentAccount=parent, plan="pro")]
    )
    assert found.accounts.to_dicts() == [
        {"account_id": "a", "user_id": "ann", "parentAccount": "p", "plan": "pro"}
    ]
    assert found.notes.rows() == [("account", "parentAccount", "1 message with a parent account that has no id: it is left out")]  # fmt: skip


# Events


def test_a_track_is_an_event_with_its_properties() -> None:
    message = {
        **track("Opened", "2026-01-01T01:00:00.123456789+01:00", page={"path": "/"}, n=3),
        "messageId": "m-1",
    }
    found = load_segment_messages([{**message, "integrations": {"All": True}}]).events
    assert found.to_dicts() == [
        {
            "message_id": "m-1",
            "user_id": "ann",
            "account_id": None,
            "event": "Opened",
            "at": dt.datetime(2026, 1, 1, 0, 0, 0, 123_000, tzinfo=dt.UTC),
            "integrations": '{"All":true}',
            "page_path": "/",
            "n": 3,
        }
    ]
    assert found.schema["at"] == pl.Datetime("ms", "UTC")


def test_the_account_of_an_event_is_its_own_group_or_that_of_its_context() -> None:
    context = {"context": {"groupId": "ctx"}}
    messages = [
        {**track(groupId="own"), **context},
        {**track(groupId=" "), **context},
        {**track(), **context},
        track(),
    ]
    found = load_segment_messages(messages).events
    assert found["account_id"].to_list() == ["own", "ctx", "ctx", None]
    assert found["groupId"].to_list() == [None, " ", None, None]  # what is no id stays a property


def test_a_repeated_message_is_one_event_and_is_reported() -> None:
    messages = [{**track(name), "messageId": "m-1"} for name in ("first", "second")]
    found = load_segment_messages(messages)
    assert found.events["event"].to_list() == ["first"]
    assert found.left_out.rows() == [(2, None, "m-1", "track", "a repeated message id")]


def test_a_message_that_was_left_out_does_not_stand_for_another() -> None:
    messages = [{**track("late", None), "messageId": "m-1"}, {**track("good"), "messageId": "m-1"}]
    assert load_segment_messages(messages).events["event"].to_list() == ["good"]


def test_events_without_an_id_are_kept_and_noted() -> None:
    found = load_segment_messages([track(), track()])
    assert found.events["message_id"].to_list() == [None, None]
    assert found.notes["reason"].to_list() == [
        "2 messages without a messageId: such a row is blocked, unless the Mapping names no id"
    ]


# Types


@pytest.mark.parametrize(
    ("values", "dtype", "kept"),
    [
        (["a", None], pl.String, ["a", None]),
        ([None, None], pl.String, [None, None]),
        ([True, None], pl.Boolean, [True, None]),
        ([1, 2**63 - 1, None], pl.Int64, [1, 2**63 - 1, None]),
        ([1, 2.5], pl.Float64, [1.0, 2.5]),
        ([5.0], pl.Float64, [5.0]),
        ([["a"], [], None], pl.List(pl.String), [["a"], [], None]),
    ],
)
def test_values_of_one_type_keep_it(values: list[Any], dtype: Any, kept: list[Any]) -> None:
    assert column(*values).dtype == dtype
    assert column(*values).to_list() == kept
    assert notes(*(identify(x=value) for value in values)) == []


@pytest.mark.parametrize(
    ("values", "kept", "why"),
    [
        (["a", 1, True, 2.5, ["b"]], ["a", "1", "true", "2.5", '["b"]'], "several types"),
        ([2**63, 1], [str(2**63), "1"], "beyond 64 bits"),
        ([2**53 + 1, 0.5], [str(2**53 + 1), "0.5"], "a float can't hold"),
        ([10**400, 0.5], [str(10**400), "0.5"], "a float can't hold"),
        ([["a"], [1, None]], ['["a"]', "[1,null]"], "JSON text"),
        ([[], None], ["[]", None], "JSON text"),
        ([{}, None], ["{}", None], "JSON text"),
    ],
)
def test_values_that_no_type_holds_become_text_and_are_noted(
    values: list[Any], kept: list[Any], why: str
) -> None:
    assert column(*values).to_list() == kept
    (note,) = notes(*(identify(f"u-{at}", x=value) for at, value in enumerate(values)))
    assert note[:2] == ("visitor", "x")
    assert why in note[2]


@pytest.mark.parametrize("name", ["createdAt", "birthday"])
def test_a_date_trait_of_the_spec_is_a_date_where_each_text_is_one(name: str) -> None:
    found = column("2026-01-02T01:00:00+01:00", "2026-01-03", None, name=name)
    assert found.dtype == pl.Datetime("ms", "UTC")
    assert found.to_list() == [date(2), date(3), None]
    for other in ("soon", "2026-01-02T00:00:00", "2026-13-01", "0000-01-01", "٢٠٢٦-01-02", "2026-01-02\n"):
        assert column("2026-01-02", other, name=name).to_list() == ["2026-01-02", other]


def test_another_trait_with_dates_stays_text() -> None:
    assert column("2026-01-02", name="since").to_list() == ["2026-01-02"]


def test_an_object_becomes_a_column_a_part_as_deep_as_it_goes() -> None:
    assert visitors(identify(address={"city": "Rome", "geo": {"lat": 41.9, "": 1}})).to_dicts() == [
        {"user_id": "ann", "address_city": "Rome", "address_geo_lat": 41.9, "address_geo_": 1}
    ]


def test_an_object_replaces_the_one_before_it() -> None:
    found = visitors(identify("ann", day(1), a={"x": 1, "y": 2}), identify("ann", day(2), a={"x": 3}))
    assert found.to_dicts() == [{"user_id": "ann", "a_x": 3}]


# Names


def test_a_trait_id_never_displaces_the_id() -> None:
    found = load_segment_messages(
        [identify("ann", id="other"), group("acme", "ann", id={"x": 1}), track(id="p-1")]
    )
    assert found.visitors.to_dicts() == [{"user_id": "ann"}]
    assert found.accounts.to_dicts() == [{"account_id": "acme", "user_id": "ann"}]
    assert found.events["properties_id"].to_list() == ["p-1"]
    told = [(kind, name) for kind, name, _ in found.notes.rows()]
    assert told == [("visitor", "id"), ("account", "id"), ("event", "message_id"), ("event", "properties_id")]


@pytest.mark.parametrize("name", ["message_id", "user_id", "account_id", "event", "at", "integrations", "row", "raw", "about", ""])  # fmt: skip
def test_a_property_with_the_name_of_a_head_gets_another(name: str) -> None:
    found = load_segment_messages([track(**{name: "x"})])
    assert found.events[f"properties_{name}"].to_list() == ["x"]
    assert found.events["event"].to_list() == ["Opened"]
    assert ("event", f"properties_{name}") in [(kind, field) for kind, field, _ in found.notes.rows()]


def test_two_paths_of_one_name_are_two_columns() -> None:
    (row,) = visitors(identify(a={"b": {"c": 1}, "b_c": 2}, a_b={"c": 3}, a_b_c=4, user={"id": 5})).to_dicts()
    assert row == {
        "user_id": "ann",
        "a_b_c_4": 1,
        "a_b_c_2": 2,
        "a_b_c_3": 3,
        "a_b_c": 4,
        "traits_user_id": 5,
    }


# What is left out


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"type": "page", "userId": "ann"}, "only identify, group and track have a place in Pendo"),
        ({"type": "screen", "userId": "ann"}, "only identify, group and track have a place in Pendo"),
        ({"type": "alias", "userId": "ann"}, "only identify, group and track have a place in Pendo"),
        ({"type": "Identify", "userId": "ann"}, "an unknown type"),
        ({"userId": "ann"}, "no type"),
        ({"type": ["track"], "userId": "ann"}, "no type"),
        ({"type": "identify", "anonymousId": "q"}, "no user id (anonymous)"),
        (identify(" "), "no user id (anonymous)"),
        (identify(True), "no user id (anonymous)"),
        ({**track(), "userId": None}, "no user id (anonymous)"),
        (group(""), "no group id"),
        ({**identify(), "traits": ["a"]}, "its traits or properties are no JSON object"),
        (track(" "), "no event name"),
        (track(None), "no event name"),
        (track("x", None), "no time"),
        (track("x", "soon"), "its time can't be read"),
        ({**track("x", "2026-01-01T00:00:00"), "sentAt": DAY}, "its time can't be read"),
        (track("x", 1_767_225_600_000), "its time can't be read"),
        (track("x", "0001-01-01T00:00:00+01:00"), "its time can't be read"),
        ({**identify(), "integrations": {"Pendo": False}}, "its integrations turn Pendo off"),
        ({**track(), "integrations": {"All": False, "Other": True}}, "its integrations turn Pendo off"),
        ({**track(), "integrations": {"All": False, "Pendo": None}}, "its integrations turn Pendo off"),
        ({"batch": []}, "a batch without messages"),
        ({"batch": {"type": "track"}}, "no type"),
        ({"batch": ["x"]}, "no JSON object"),
        (["x"], "no JSON object"),
        (None, "no JSON object"),
        ({"type": "identify", "userId": "ann", "traits": {"x": math.nan}}, "not JSON"),
        ({"type": "identify", "userId": "ann", "traits": {"x": dt.date(2026, 1, 1)}}, "not JSON"),
        (identify(**{"a\ud800": "b"}), "a text holds half of a character"),
    ],
)  # fmt: skip
def test_a_message_that_can_not_be_taken_says_why(message: Any, reason: str) -> None:
    assert reasons(message) == [reason]


@pytest.mark.parametrize(
    "integrations",
    [
        None,
        {},
        [],
        {"All": True},
        {"Pendo": True},
        {"All": False, "Pendo": True},
        {"All": False, "Pendo": {}},
    ],
)
def test_a_message_that_pendo_may_have_is_taken(integrations: Any) -> None:
    assert reasons({**identify(), "integrations": integrations}) == []


def test_what_is_nested_too_deeply_is_left_out_whole() -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    assert (
        reasons(identify("bo", plan="pro", x=deep), group("acme", "bo", parentAccount=deep))
        == ["nested too deeply to be read"] * 2
    )


# Sources


LINES: Sequence[object] = (
    identify("ann", plan="pro"),
    "",
    '{"type": "identify", "userId": ',
    "[1]",
    '{"type": "identify", "userId": "x", "traits": {"a": NaN}}',
    '{"type": "identify", "userId": "x", "traits": {"a": 1e999}}',
    '{"type": "identify", "userId": "x\\ud800"}',
    "\ud800",
    '{"type": "identify", "userId": "\\ud83d\\ude00"}',
    {"batch": [identify("bo"), {"type": "page", "messageId": 7}]},
)
LEFT = [
    (3, None, None, "not JSON"),
    (4, None, None, "no JSON object"),
    (5, None, None, "not JSON"),
    (6, None, None, "not JSON"),
    (7, None, None, "a text holds half of a character"),
    (8, None, None, "not UTF-8"),
    (10, "7", "page", "only identify, group and track have a place in Pendo"),
]


def test_a_file_is_read_line_by_line_and_each_broken_line_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "messages.ndjson", LINES)
    found = load_segment_messages(path)
    assert found.visitors["user_id"].to_list() == ["ann", "😀", "bo"]
    assert found.left_out.drop("source").rows() == LEFT
    assert found.left_out["source"].unique().to_list() == [str(path)]


def test_a_gzip_file_gives_the_same_by_whatever_name(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.json", LINES)
    for name in ("1700.gz", "messages"):
        packed = tmp_path / name
        packed.write_bytes(
            gzip.compress(plain.read_bytes()) + gzip.compress(b"\n" + json.dumps(identify("cy")).encode())
        )
        found = load_segment_messages(str(packed))
        assert found.visitors["user_id"].to_list() == ["ann", "😀", "bo", "cy"]
        assert found.left_out.drop("source").rows() == LEFT


def test_a_glob_and_a_list_of_paths_are_all_their_files_once(tmp_path: Path) -> None:
    one, two = (write(tmp_path / f"{name}.json", [identify(name), "x"]) for name in ("a", "b"))
    for source in (str(tmp_path / "*.json"), [two, one], (path for path in (one, str(two), one))):
        found = load_segment_messages(source)
        assert sorted(found.visitors["user_id"]) == ["a", "b"]
        assert sorted(found.left_out["source"]) == [str(one), str(two)]
        assert found.left_out["line"].to_list() == [2, 2]


def test_a_batch_shares_its_context_integrations_and_times() -> None:
    batch = {
        "batch": [
            {"type": "track", "userId": "ann", "event": "a"},
            {**track("b", day(2)), "context": {"groupId": "own"}, "integrations": {"Pendo": True}},
            {**track("c"), "context": None},
        ],
        "context": {"groupId": "shared", "ip": "::1"},
        "integrations": {"All": True, "Pendo": {"x": 1}},
        "sentAt": day(3),
        "writeKey": "never kept",
    }
    found = load_segment_messages([batch]).events
    assert found.select("event", "account_id", "at").rows() == [
        ("a", "shared", date(3)),
        ("b", "own", date(2)),
        ("c", None, date(1)),
    ]
    assert found["integrations"].to_list()[1] == '{"All":true,"Pendo":true}'
    assert "never kept" not in str(found.rows())
    off = {
        "batch": [identify(), {**identify("bo"), "integrations": {"Pendo": True}}],
        "integrations": {"Pendo": False},
    }
    assert visitors(off)["user_id"].to_list() == ["bo"]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(identify()).encode() + b"\r\n")
    assert load_segment_messages(path).left_out.is_empty()


def test_the_messages_handed_in_stay_as_they_are() -> None:
    messages = [{"batch": [group(parentAccount={"id": "p"})], "context": {"groupId": "x"}}]
    before = json.dumps(messages)
    load_segment_messages(messages)
    assert json.dumps(messages) == before


def test_a_source_that_holds_no_message_is_told(tmp_path: Path) -> None:
    assert "the source is empty" in said(lambda: load_segment_messages([]))
    assert "the source is empty" in said(lambda: load_segment_messages(write(tmp_path / "a.json", [])))
    told = said(lambda: load_segment_messages(write(tmp_path / "b.csv", ["id,plan", "ann,secret"])))
    assert told.startswith("None of 2 lines or dicts is a message.")
    assert "secret" not in told


@pytest.mark.parametrize("source", [None, 7, b"x", {"type": "track"}, pl.DataFrame({"a": [1]})])
def test_what_is_no_source_is_told(source: Any) -> None:
    assert "holds no messages" in said(lambda: load_segment_messages(source))


def test_a_path_that_leads_to_no_file_is_told(tmp_path: Path) -> None:
    assert "There is no file" in said(lambda: load_segment_messages(tmp_path / "a.json"))
    assert "No file matches" in said(lambda: load_segment_messages(str(tmp_path / "*.gz")))
    assert "is a folder" in said(lambda: load_segment_messages(tmp_path))
    assert "ann" not in said(lambda: load_segment_messages([json.dumps(identify("ann"))]))
    for name in ("a\0", "a\ud800", "x" * 5000):
        said(lambda name=name: load_segment_messages(name))  # type: ignore[misc]


def test_a_gzip_file_that_is_cut_short_or_damaged_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    whole = gzip.compress(write(tmp_path / "a.json", [identify(str(n)) for n in range(999)]).read_bytes())
    for broken in (whole[:-20], whole[:40] + b"\0" * 40 + whole[80:], whole + b"more"):
        path.write_bytes(broken)
        assert "cut short or damaged" in said(lambda: load_segment_messages(path))


# All of them


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=4)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(
    ["a", "b", "a_b", "id", "row", "user_id", "traits_user_id", "groupId", "parentAccount", "createdAt", ""]
)
TRAITS = st.dictionaries(NAMES | st.text(max_size=3), VALUES, max_size=4)
MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(["identify", "group", "track", "page", "x", None])},
    optional={
        "userId": st.sampled_from(["u-1", "u-2", 3, "", None]),
        "groupId": st.sampled_from(["g-1", "g-2", 4, None]),
        "event": st.sampled_from(["Opened", "", 1]),
        "timestamp": st.sampled_from([DAY, day(2), "soon", None]),
        "messageId": st.sampled_from(["m-1", "m-2", "m-3", 5, None]),
        "integrations": st.sampled_from([{}, {"Pendo": False}, {"All": False}, None]),
        "context": st.sampled_from([{}, {"groupId": "g-3"}, None]),
        "traits": TRAITS,
        "properties": TRAITS | st.just("x"),
    },
)


def reflected(messages: SegmentMessages) -> Counter[str]:
    """How many messages the tables show at least: each event, each user, each group."""
    return Counter(
        identify=messages.visitors.height, group=messages.accounts.height, track=messages.events.height
    )


@given(
    st.lists(MESSAGES | VALUES.filter(lambda one: not isinstance(one, str)), max_size=12), st.integers(0, 12)
)
@example([{"type": "identify", "userId": "u-1", "traits": {"a": {"b": 1}, "a_b": 2, "traits_id": 3}}], 0)
def test_every_message_is_in_a_table_or_left_out(some: list[Any], n_in_batch: int) -> None:
    lone, batch = some[n_in_batch:], some[:n_in_batch]
    found = load_segment_messages([identify("first"), *lone, *([{"batch": batch}] if batch else [])])
    assert found.n_messages == 1 + len(some)
    assert sum(found.taken.values()) + found.left_out.height == 1 + len(some)
    assert found.left_out["reason"].null_count() == 0
    assert found.taken.get("track", 0) == found.events.height
    shown = reflected(found)
    for kind in ("identify", "group", "track"):
        assert shown[kind] <= found.taken.get(kind, 0)
        assert (shown[kind] > 0) == (kind in found.taken)
    left = Counter(found.left_out.filter(pl.col("type").is_in(["identify", "group", "track"]))["type"])
    told = Counter(
        one["type"] for one in [identify(), *some] if isinstance(one, dict) and one.get("type") in shown
    )
    assert Counter(found.taken) + left == told


@given(
    st.lists(
        st.dictionaries(st.sampled_from("abc") | NAMES | st.text(max_size=3), VALUES, max_size=4),
        min_size=1,
        max_size=6,
    )
)
def test_every_value_stands_in_a_column(each: list[dict[str, Any]]) -> None:
    """As JSON, a value of a trait is what the columns of its row hold of it."""
    found = visitors(*(identify(f"u-{at}", **traits) for at, traits in enumerate(each)))
    for traits, row in zip(each, found.rows(named=True), strict=True):
        leaves = [leaf for name, value in traits.items() if name != "id" for leaf in leaves_of(value)]
        cells = [cell for name, cell in row.items() if name != "user_id"]
        assert sum(cell is not None for cell in cells) == sum(leaf is not None for leaf in leaves)


def leaves_of(value: Any) -> list[Any]:
    if isinstance(value, dict) and value:
        return [leaf for inner in value.values() for leaf in leaves_of(inner)]
    return [value]


# On to a plan


def test_visitors_have_a_mapping_of_all_their_traits() -> None:
    found = load_segment_messages([identify(plan="pro", address={"city": "Rome"})])
    assert found.mapping("visitor") == ps.Mapping(
        "visitor", "user_id", ["plan", "address_city"], route="webhook"
    )
    assert found.mapping("visitor", route="metadata").group == "custom"


MAPPED = [identify(), group(plan="pro", parentAccount={"id": "p"}), track(page="/")]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (
            "account",
            {
                "id": "account_id",
                "visitor_id": "user_id",
                "parent_account": "parentAccount",
                "traits": ["plan"],
            },
        ),
        ("membership", {"visitor_id": "user_id", "account_id": "account_id", "traits": []}),
        (
            "event",
            {
                "id": "message_id",
                "visitor_id": "user_id",
                "account_id": "account_id",
                "event": "event",
                "at": "at",
                "integrations": "integrations",
                "traits": ["page"],
            },
        ),
    ],
)
def test_accounts_memberships_and_events_have_a_mapping(kind: Any, expected: dict[str, Any]) -> None:
    found = load_segment_messages(MAPPED).mapping(kind)
    assert found == ps.Mapping(kind, route="webhook", **expected)


def test_an_account_without_a_parent_has_a_mapping_without_one() -> None:
    found = load_segment_messages([group(plan="pro")]).mapping("account")
    assert found == ps.Mapping("account", "account_id", ["plan"], visitor_id="user_id", route="webhook")


@pytest.mark.parametrize("kind", ["visitor", "account", "membership", "event"])
def test_what_the_mapping_makes_of_its_table_has_no_problem(kind: Any) -> None:
    events = [{**track(page="/", groupId="acme"), "messageId": "m-1", "integrations": {"All": True}}]
    found = load_segment_messages([identify(plan="pro", createdAt="2026-01-02"), *MAPPED[1:2], *events])
    mapping = found.mapping(kind)
    values = ps.map_traits(getattr(found, f"{kind}s"), mapping)
    assert values["id"].to_list() == {"visitor": ["ann"], "account": ["acme"], "membership": ["ann in acme"], "event": ["m-1"]}[kind]  # fmt: skip
    assert values["raw"].null_count() == values.height == 1
    if kind != "visitor":
        about = values["about"].struct.unnest().to_dicts()[0]
        assert about["visitor_id"] == "ann"
        assert about.get("account_id", "acme") == "acme"
        assert about.get("at", date(1)) == date(1)
    problems = ps.check_values(values, mapping=mapping, now=date(2))
    assert problems.filter(pl.col("severity") != "warn").rows() == []


def test_a_kind_that_has_no_table_and_a_table_without_traits_have_no_mapping() -> None:
    found = load_segment_messages([identify()])
    with pytest.raises(ps.MappingError, match="kind is 'person'"):
        found.mapping("person")  # type: ignore[arg-type]
    with pytest.raises(ps.MappingError, match="has no traits"):
        found.mapping("visitor")


def test_what_segment_was_told_is_pushed_and_held(
    sandbox: ps.Sandbox, client: ps.Client, journal: ps.Journal
) -> None:
    messages = [
        identify("u-1", day(2), plan="pro", trial=False),
        identify("u-1", day(1), plan="free", seats=5),
    ]
    found = load_segment_messages(messages)
    plan = ps.plan_table(found.visitors, found.mapping("visitor"), client=client, create="unknown_ids")
    ps.push(plan, client=client, journal=journal, show=False).wait()
    assert sandbox.values("visitor", "segmentio")["u-1"] == {"plan": "pro", "trial": False, "seats": 5}


# How it shows itself


def test_it_shows_counts_and_no_values() -> None:
    found = load_segment_messages(
        [identify("secret-id", plan="secret", row=1), track("x", None), {"type": "secret"}]
    )
    for told in (repr(found), found._repr_html_()):
        assert "secret" not in told
        assert all(
            words in told for words in ("3, of them 2 left out", "no time", "an unknown type", "traits_row")
        )


def test_nothing_left_out_shows_no_empty_table() -> None:
    assert "why" not in repr(load_segment_messages([identify()]))


def test_a_property_whose_name_is_a_pattern_becomes_a_column_that_is_none() -> None:
    messages = load_segment_messages([track(**{"*": 1, "^a.*$": 2, "alpha": 3})])
    assert {"properties_*", "properties_^a.*$", "alpha"} <= set(messages.events.columns)
    values = ps.map_traits(messages.events, messages.mapping("event"))
    assert values.select("properties_*", "alpha").row(0) == (1, 3)
