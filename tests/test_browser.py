"""Device mode without a browser: which calls are made, what the snippet holds, what the page shows."""

from __future__ import annotations

import copy
import json
import pickle
import re
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from html import unescape
from html.parser import HTMLParser
from http import HTTPStatus
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pendosync as ps
from pendosync.browser.calls import Call, browser_calls
from pendosync.browser.pages import build_page
from tests.faults.hostile import HALVES, TEXTS

KEY = "app/k3y+<&"
QUOTED = "app%2Fk3y%2B%3C%26"
SETTINGS = ps.Settings(app_key=KEY)
LATE = ps.Settings(app_key=KEY, user_traits_on_load=False, group_on_load=False)
VISITOR = {"id": "u-1", "plan": "pro"}
ACCOUNT = {"id": "acme", "tier": 1, "parentAccount": {"id": "holding", "region": "EU"}}
TARGET = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")

pytestmark = [
    pytest.mark.keys(KEY),
    pytest.mark.holds_key("snippet.html", reason="the file that a page is made of"),
]


class Elements(HTMLParser):
    """The elements of a page, and the text of each script."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self.comments: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        (self.scripts if self.tags and self.tags[-1] == "script" else self.texts).append(data)


def calls_in(html: str) -> list[tuple[str, list[Any]]]:
    """Return the calls that the one script of *html* makes, decoded."""
    found = Elements(html)
    assert found.tags == ["script"]
    assert found.comments == []
    script = "".join(found.scripts)
    lines = [line for line in script.splitlines() if line.startswith("pendo.")]
    assert not set("<>&\u2028\u2029") & set("".join(lines))
    calls = [re.fullmatch(r"pendo\.(\w+)\((.*)\);", line) for line in lines]
    texts = [(call[1], re.findall(r"JSON\.parse\('([^']*)'\)", call[2])) for call in calls if call]
    return [(name, [json.loads(one.replace("\\\\", "\\")) for one in told]) for name, told in texts]


def told(settings: ps.Settings, *given: Any, **options: Any) -> list[tuple[str, Any]]:
    return [(call.method, *call.arguments) for call in browser_calls(settings, *given, **options)]  # type: ignore[misc]


# --- which calls


def test_initialize_tells_visitor_account_and_parent() -> None:
    assert told(SETTINGS, VISITOR, ACCOUNT) == [
        (
            "initialize",
            {
                "visitor": {"id": "u-1", "plan": "pro"},
                "account": {"id": "acme", "tier": 1},
                "parentAccount": {"id": "holding", "region": "EU"},
            },
        )
    ]


def test_initialize_names_no_account_where_there_is_none() -> None:
    assert told(SETTINGS, VISITOR) == [("initialize", {"visitor": VISITOR})]


@pytest.mark.parametrize("parent", ["holding", {"id": "holding"}])
def test_a_parent_account_is_an_object_or_its_bare_id(parent: Any) -> None:
    expected = {"visitor": VISITOR, "account": {"id": "acme"}, "parentAccount": {"id": "holding"}}
    assert told(SETTINGS, VISITOR, {"id": "acme", "parentAccount": parent}) == [("initialize", expected)]
    assert told(SETTINGS, VISITOR, "acme", parent_account=parent) == [("initialize", expected)]


def test_a_parent_account_that_is_given_wins_over_the_one_among_the_traits() -> None:
    ((_, options),) = told(SETTINGS, VISITOR, ACCOUNT, parent_account="other")
    assert options["parentAccount"] == {"id": "other"}
    assert "parentAccount" not in options["account"]
    assert ACCOUNT["parentAccount"] == {"id": "holding", "region": "EU"}, "what was handed in is left alone"


def test_user_traits_follow_in_an_identify() -> None:
    settings = ps.Settings(user_traits_on_load=False)
    assert told(settings, VISITOR, {"id": "acme", "tier": 1}) == [
        ("initialize", {"visitor": {"id": "u-1"}, "account": {"id": "acme", "tier": 1}}),
        ("identify", {"visitor": VISITOR, "account": {"id": "acme"}}),
    ]
    assert told(settings, {"id": "u-1"}) == [("initialize", {"visitor": {"id": "u-1"}})], "nothing follows"


def test_the_group_follows_in_an_identify() -> None:
    assert told(ps.Settings(group_on_load=False), VISITOR, ACCOUNT) == [
        ("initialize", {"visitor": VISITOR}),
        (
            "identify",
            {
                "visitor": {"id": "u-1"},
                "account": {"id": "acme", "tier": 1},
                "parentAccount": {"id": "holding", "region": "EU"},
            },
        ),
    ]


def test_both_follow_one_after_the_other() -> None:
    assert [(name, [*options]) for name, options in told(LATE, VISITOR, ACCOUNT)] == [
        ("initialize", ["visitor"]),
        ("identify", ["visitor"]),
        ("identify", ["visitor", "account", "parentAccount"]),
    ]


def test_later_messages_become_calls_in_order() -> None:
    calls = told(
        SETTINGS,
        VISITOR,
        {"id": "acme"},
        identifies=[{"plan": "max"}],
        groups=[{"id": "globex", "tier": 2, "parentAccount": "holding"}],
        events=[("Signed", {"seats": 5}), ("Left", {})],
    )
    assert calls[1:] == [
        ("identify", {"visitor": {"plan": "max", "id": "u-1"}, "account": {"id": "acme"}}),
        (
            "identify",
            {
                "visitor": {"id": "u-1"},
                "account": {"id": "globex", "tier": 2},
                "parentAccount": {"id": "holding"},
            },
        ),
        ("track", "Signed", {"seats": 5}),
        ("track", "Left", {}),
    ]


def test_a_visitor_without_an_id_is_anonymous() -> None:
    ((_, options),) = told(SETTINGS, {"id": None, "plan": "pro"}, anonymous_id="7f")
    assert options == {"visitor": {"plan": "pro", "id": "_PENDO_T_7f"}}
    assert told(SETTINGS, {"id": "u-1"}, anonymous_id="7f")[0][1]["visitor"]["id"] == "u-1"
    with pytest.raises(ps.MappingError, match=r"no id, .* Expected .*Hint:") as caught:
        told(SETTINGS, {"plan": "pro"})
    assert caught.value.trait == "id"


@pytest.mark.parametrize(("value", "id_"), [("acme", "acme"), (7, "7")])
def test_a_trait_of_the_visitor_names_the_account(value: Any, id_: str) -> None:
    settings = ps.Settings(account_trait="company")
    visitor = {"id": "u-1", "company": value}
    assert told(settings, visitor) == [("initialize", {"visitor": visitor, "account": {"id": id_}})]
    assert told(settings, visitor, "globex")[0][1]["account"] == {"id": "globex"}, (
        "an account that is given wins"
    )
    assert told(settings, {"id": "u-1"}) == [("initialize", {"visitor": {"id": "u-1"}})]
    account = {"id": "group-1", "company": value}
    assert told(settings, visitor, account)[0][1]["account"] == {"id": id_, "company": value}
    late = told(settings, {"id": "u-1"}, groups=[account])[1][1]
    assert late["account"] == {"id": id_, "company": value}, "the account's own trait wins over its id"
    with pytest.raises(ps.MappingError, match="id of the account is True"):
        told(settings, {"id": "u-1", "company": True})


# --- values


def test_values_are_told_as_they_are_and_dates_as_text() -> None:
    visitor = {
        "id": "u-1", "text": "x", "none": None, "whole": -(2**53) + 1, "part": 1.5, "yes": True, "list": ["a", ""], "tuple": ("b",),
        "day": date(2026, 1, 2), "time": datetime(2026, 1, 2, 3, 4, 5, 678_900, timezone(timedelta(hours=2))),
    }  # fmt: skip
    assert told(SETTINGS, visitor)[0][1]["visitor"] == {
        "id": "u-1", "text": "x", "whole": -(2**53) + 1, "part": 1.5, "yes": True, "list": ["a", ""], "tuple": ["b"],
        "day": "2026-01-02T00:00:00.000+00:00", "time": "2026-01-02T03:04:05.678+02:00",
    }  # fmt: skip


WRONG = {
    "not finite": float("nan"), "endless": float("-inf"), "beyond 2^53": 2**53, "an object": {"a": 1}, "numbers": [1],
    "a null in a list": ["a", None], "bytes": b"x", "no zone": datetime(2026, 1, 1), "a set": {"a"},
    **HALVES, "half in a list": [HALVES["first half"]],
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_a_browser_can_not_tell_is_refused_by_its_trait(name: str) -> None:
    for one in (({"id": "u", "bad": WRONG[name]},), (VISITOR, {"id": "a", "bad": WRONG[name]})):
        with pytest.raises(ps.MappingError, match=r"The trait 'bad' of the .* Expected .* Hint: ") as caught:
            told(SETTINGS, *one)
        assert caught.value.trait == "bad"
        assert len(str(caught.value)) < 400


@pytest.mark.parametrize("id_", ["", 7, True, ["u"], HALVES["first half"]])
def test_what_is_no_id_is_refused(id_: Any) -> None:
    for one in (({"id": id_},), (VISITOR, {"id": id_})):
        with pytest.raises(ps.MappingError, match=r"The (id|trait 'id') of the \w+ is .* Expected .* Hint: "):
            told(SETTINGS, *one)


@pytest.mark.parametrize(
    "wrong", [("u-1",), (None,), (VISITOR, ["acme"]), ({"id": "u", "": 1},), ({"id": "u", 7: 1},)]
)
def test_what_is_no_dict_of_traits_is_refused(wrong: Any) -> None:
    with pytest.raises(ps.MappingError, match=r"Expected .* Hint: "):
        told(SETTINGS, *wrong)


@pytest.mark.parametrize("name", ["", None, 7])
def test_an_event_has_a_name(name: Any) -> None:
    with pytest.raises(ps.MappingError, match=r"The name of the event is .* Expected .* Hint: "):
        told(SETTINGS, VISITOR, events=[(name, {})])


def test_a_parent_without_an_account_is_refused() -> None:
    with pytest.raises(ps.MappingError, match=r"parent account is given, and no account.*Hint:"):
        told(SETTINGS, VISITOR, parent_account="holding")


# --- the snippet


def test_the_snippet_makes_the_calls() -> None:
    snippet = ps.browser_snippet(LATE, VISITOR, ACCOUNT)
    assert calls_in(snippet.reveal()) == [
        (call.method, [*call.arguments]) for call in browser_calls(LATE, VISITOR, ACCOUNT)
    ]


def test_the_snippet_loads_the_agent_from_the_cdn_or_a_host_of_your_own() -> None:
    for settings, base in [
        (SETTINGS, "https://cdn.pendo.io"),
        (ps.Settings("eu", app_key=KEY), "https://cdn.eu.pendo.io"),
        (ps.Settings("au", app_key=KEY, agent_url="content.example.com"), "https://content.example.com"),
    ]:
        assert f'"{base}/agent/static/{QUOTED}/pendo.js"' in ps.browser_snippet(settings, VISITOR).reveal()


def test_the_snippet_needs_an_app_key_and_a_host() -> None:
    with pytest.raises(ps.SettingsError, match=r"app API key.*Hint:"):
        ps.browser_snippet(ps.Settings(), VISITOR)
    with pytest.raises(ps.SettingsError, match=r"No host is known .*'au'.*Hint:"):
        ps.browser_snippet(ps.Settings("au", app_key=KEY), VISITOR)


def test_a_host_that_looks_like_a_script_stays_a_text() -> None:
    settings = ps.Settings(app_key=KEY, agent_url='https://x.example/"</script><script>')
    found = Elements(ps.browser_snippet(settings, VISITOR).reveal())
    assert found.tags == ["script"]


def test_the_snippet_shows_itself_without_the_key(tmp_path: Path) -> None:
    snippet = ps.browser_snippet(SETTINGS, VISITOR)
    assert snippet.reveal().replace(QUOTED, "***") == str(snippet) == repr(snippet) == f"{snippet}"
    html = snippet._repr_html_()
    assert "static/***/pendo.js" in unescape(html)
    assert not any(key in f"{html} {vars(ps.Snippet)} {snippet.__getstate__()}" for key in (KEY, QUOTED))  # type: ignore[attr-defined]
    with pytest.raises(ps.SettingsError, match="pickled"):
        pickle.dumps(snippet)
    assert copy.deepcopy(snippet).reveal() == snippet.reveal()


def test_the_snippet_is_written_with_the_key(tmp_path: Path) -> None:
    snippet = ps.browser_snippet(SETTINGS, {"id": "ünï"})
    path = snippet.write(tmp_path / "snippet.html")
    assert path.read_bytes().isascii()
    assert path.read_text() == snippet.reveal()
    for place in (tmp_path / "nowhere" / "snippet.html", tmp_path, "a\0b"):
        with pytest.raises(ps.SettingsError, match=r"can't be written \(.+\)\. Expected .*Hint:") as caught:
            snippet.write(place)
        assert caught.value.__context__ is None


VALUES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from([text for text in TEXTS.values() if len(text) < 1000]),
    st.integers(-(2**53) + 1, 2**53 - 1), st.floats(allow_nan=False, allow_infinity=False), st.booleans(),
    st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
)  # fmt: skip
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1) | st.sampled_from(
    [
        "__proto__",
        "constructor",
        "</script>",
        "</script ",
        "</SCRIPT/x",
        "<!-- <script>",
        "&amp;",
        "'",
        '"',
        "\\",
        "\u2028",
    ]
)


@given(
    traits=st.dictionaries(NAMES, VALUES, max_size=5),
    id_=NAMES,
    account=st.dictionaries(NAMES.filter(lambda name: name != "parentAccount"), VALUES, max_size=3),
    late=st.booleans(),
)
def test_whatever_the_values_the_page_has_one_script_and_holds_them_exactly(
    traits: dict[str, Any], id_: str, account: dict[str, Any], late: bool
) -> None:
    visitor, group = {**traits, "id": id_}, {**account, "id": id_, "parentAccount": id_}
    html = ps.browser_snippet(LATE if late else SETTINGS, visitor, group).reveal()
    assert html.isascii()
    calls = calls_in(html)
    assert calls[0][0] == "initialize"
    merged = {kind: part for _, (options,) in calls for kind, part in options.items() if kind != "visitor"}
    people = [options["visitor"] for _, (options,) in calls]
    assert visitor in people
    assert merged == {"account": {**account, "id": id_}, "parentAccount": {"id": id_}}


@pytest.mark.parametrize("name", [name for name in TEXTS if "megabyte" not in name])
def test_a_hostile_text_is_a_text(name: str) -> None:
    text = TEXTS[name]
    ((_, (options,)),) = calls_in(ps.browser_snippet(SETTINGS, {"id": text, text: [text]}).reveal())
    assert options == {"visitor": {"id": text, text: [text]}}


# --- the page


def test_the_page_shows_each_call_in_order() -> None:
    page = build_page(browser_calls(LATE, VISITOR, ACCOUNT, events=[("Signed", {"seats": 5})]), title="u-1")
    heads = re.findall(r"<h2>(.*?)</h2><span class='when'>(.*?)</span>", page.html)
    assert heads == [
        ("pendo.initialize", "as the page loads"),
        ("pendo.identify", "the visitor"),
        ("pendo.identify", "the account"),
        ("pendo.track", "<b><bdi>Signed</bdi></b>"),
    ]
    assert repr(page) == "BrowserPage(4 calls)"
    for words in ("Parent account", "holding", "Signed", "seats", "Nothing is sent from here"):
        assert words in page.html


def test_the_page_runs_and_asks_nothing() -> None:
    page = build_page(browser_calls(SETTINGS, VISITOR, ACCOUNT), title="u-1")
    assert not {"script", "link", "img", "iframe", "form", "a"} & set(Elements(page.html).tags)
    assert "default-src 'none'" in page.html
    assert "http" not in page.html.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in page.html


def test_a_notebook_shows_the_page_in_a_frame_that_may_nothing(tmp_path: Path) -> None:
    page = build_page(browser_calls(SETTINGS, {"id": "u'\"<1"}), title="u'\"<1")
    shown = page._repr_html_()
    (frame,) = re.findall(r"<iframe ([^>]*)>", shown)
    assert Elements(shown).tags == ["iframe"]
    assert re.search(r"(^| )sandbox( |$)", re.sub(r"'[^']*'", "''", frame))
    assert "allow-" not in frame
    (inside,) = re.findall(r"srcdoc='([^']*)'", frame)
    assert unescape(inside) == page.html
    assert page.write(tmp_path / "page.html").read_text(encoding="utf-8") == page.html
    with pytest.raises(ps.PlanError, match="can't be written"):
        page.write(tmp_path)


class Plan(StrEnum):
    PRO = "pro"


def test_texts_and_numbers_of_a_type_of_their_own_are_shown_as_such() -> None:
    calls = browser_calls(SETTINGS, {"id": "u", "plan": Plan.PRO, "http": HTTPStatus.OK})
    assert shown(build_page(calls, title="u")) == [[{"visitor": {"id": "u", "plan": "pro", "http": 200}}]]


def test_what_is_empty_is_said() -> None:
    page = build_page(
        browser_calls(SETTINGS, {"id": "u", "note": "", "tags": []}, events=[("Left", {})]), title="u"
    )
    assert all(f">{words}<" in page.html for words in ("empty text", "empty list", "No properties."))


def test_a_page_without_calls_and_one_of_very_many_say_so() -> None:
    assert "No calls." in build_page([], title="u-1").html
    page = build_page([Call("track", ("Signed", {}))] * 1203, title="u-1")
    assert page.html.count("<li ") == 200
    assert "and 1,003 more calls" in page.html


def test_long_values_are_cut() -> None:
    visitor = {"id": "u", "note": "x" * 1_000_000, "tags": [f"tag {n}" for n in range(60)]}
    page = build_page(browser_calls(SETTINGS, visitor), title="u" * 5000)
    assert "(1,000,000 characters)" in page.html
    assert "<bdi>tag 49</bdi> · 10 more" in page.html
    assert len(page.html) < 40_000


# --- from plans


def a_plan(kind: str = "visitor", ids: list[str] | None = None, **columns: list[Any]) -> ps.Plan:
    """Return a plan of the first push of these columns, with what each row is about."""
    about = columns.pop("about", None)
    ids = ids or ["u-1", "u-2"]
    table = pl.DataFrame({"id": ids, **columns})
    mapping = ps.Mapping(kind, "id", list(columns))  # type: ignore[arg-type]
    values = ps.map_traits(table, mapping)
    changes = ps.diff_values(values, before=values.clear(), mapping=mapping)
    if about is not None:
        changes = changes.with_columns(pl.Series("about", about))
    return ps.plan_changes(changes, mapping=mapping, target=TARGET, create="unknown_ids")


def shown(page: ps.BrowserPage) -> list[Any]:
    return [
        json.loads(f"[{unescape(text)}]") for text in re.findall(r"<pre>(.*?)</pre>", page.html, re.DOTALL)
    ]


def test_a_page_of_a_plan_shows_the_visitors_values() -> None:
    plan = a_plan(
        plan=["pro", None], since=[datetime(2026, 1, 2, tzinfo=UTC)] * 2, tags=[["a"], []], seats=[5, 6]
    )
    told_first = {
        "plan": "pro",
        "since": "2026-01-02T00:00:00.000+00:00",
        "tags": ["a"],
        "seats": 5,
        "id": "u-1",
    }
    assert shown(ps.browser_page(plan, "u-1")) == [[{"visitor": told_first}]]
    assert "plan" not in shown(ps.browser_page(plan, "u-2"))[0][0]["visitor"]


def test_a_page_of_a_plan_follows_the_settings() -> None:
    plan = a_plan(plan=["pro", "pro"], company=["acme", None])
    settings = ps.Settings(user_traits_on_load=False, account_trait="company")
    assert shown(ps.browser_page(plan, "u-1", settings=settings)) == [
        [{"visitor": {"id": "u-1"}, "account": {"id": "acme"}}],
        [{"visitor": {"plan": "pro", "company": "acme", "id": "u-1"}, "account": {"id": "acme"}}],
    ]


def test_accounts_and_events_are_those_of_the_visitor() -> None:
    plan = a_plan(plan=["pro", "pro"])
    parent = json.dumps({"id": "holding", "region": "EU"})
    about = [
        {"visitor_id": "u-1", "account_id": "acme", "parent_account": parent, "integrations": None},
        {"visitor_id": "u-2", "account_id": "acme", "parent_account": None, "integrations": None},
        {"visitor_id": "u-1", "account_id": None, "parent_account": None, "integrations": '{"All": true}'},
        {
            "visitor_id": "u-1",
            "account_id": "off",
            "parent_account": None,
            "integrations": '{"Pendo": false}',
        },
    ]
    groups = a_plan("account", ["g1", "g2", "g3", "g4"], tier=["1", "2", "3", "4"], about=about)
    abouts = [
        {"visitor_id": "u-1", "event": "Later", "at": datetime(2026, 1, 2)},
        {"visitor_id": "u-1", "event": "Sooner", "at": datetime(2026, 1, 1)},
        {"visitor_id": "u-2", "event": "Other", "at": datetime(2026, 1, 1)},
    ]
    events = a_plan("account", ["e1", "e2", "e3"], seats=["5", None, "7"], about=abouts)
    assert shown(ps.browser_page(plan, "u-1", groups=groups, events=events)) == [
        [
            {
                "visitor": {"plan": "pro", "id": "u-1"},
                "account": {"tier": "1", "id": "acme"},
                "parentAccount": {"id": "holding", "region": "EU"},
            }
        ],
        [{"visitor": {"id": "u-1"}, "account": {"tier": "3", "id": "g3"}}],
        ["Sooner", {}],
        ["Later", {"seats": "5"}],
    ]


def test_the_account_of_an_event_is_told_as_the_dry_run_has_it() -> None:
    mapping = ps.Mapping(
        "event",
        visitor_id="user",
        account_id="org",
        event="what",
        at="time",
        traits=["seats"],
        route="browser",
    )
    table = pl.DataFrame(
        {"user": ["u-1"] * 2, "org": ["acme", None], "what": "Left", "time": datetime(2026, 1, 1, tzinfo=UTC)}
    ).with_columns(seats=5)
    changes = ps.diff_values(ps.map_events(table, mapping), before=None, mapping=mapping)
    events = ps.plan_changes(changes, mapping=mapping, target=SETTINGS.target)
    calls = shown(ps.browser_page(a_plan(plan=["pro", "pro"]), "u-1", events=events))[1:]
    assert calls == [["Left", {"seats": 5, "groupId": "acme"}], ["Left", {"seats": 5}]]
    told = [
        f"pendo.track({json.dumps(name)}, {json.dumps(given, separators=(',', ':'))})"
        for name, given in calls
    ]
    assert ps.dry_run(events)["body"].to_list() == told


def test_a_visitors_own_row_names_the_account() -> None:
    plan = a_plan(plan=["pro", "pro"], about=[{"account_id": "acme"}, {"account_id": None}])
    assert shown(ps.browser_page(plan, "u-1")) == [
        [{"visitor": {"plan": "pro", "id": "u-1"}, "account": {"id": "acme"}}]
    ]
    assert shown(ps.browser_page(plan, "u-2")) == [[{"visitor": {"plan": "pro", "id": "u-2"}}]]


def test_plans_that_name_no_visitor_add_nothing() -> None:
    plan, groups = a_plan(plan=["pro", "pro"]), a_plan("account", ["acme"], tier=["1"])
    assert len(shown(ps.browser_page(plan, "u-1", groups=groups, events=groups))) == 1


def test_a_visitor_whose_message_is_not_for_pendo_makes_no_calls() -> None:
    about = [{"integrations": '{"All": false}'}, {"integrations": '{"All": false, "Pendo": true}'}]
    plan = a_plan(plan=["pro", "pro"], about=about)
    assert "No calls." in ps.browser_page(plan, "u-1").html
    assert len(shown(ps.browser_page(plan, "u-2"))) == 1


def test_an_unknown_visitor_is_told_with_near_ones() -> None:
    plan = a_plan(plan=["pro", "pro"])
    with pytest.raises(
        ps.PlanError, match=r"no visitor 'u_1'\. Expected an id of its 2 changes\. Hint: did you mean 'u-1'"
    ):
        ps.browser_page(plan, "u_1")
    for id_ in (HALVES["first half"], 7, None):
        with pytest.raises(ps.PlanError, match="Hint:"):
            ps.browser_page(plan, id_)  # type: ignore[arg-type]
    with pytest.raises(ps.PlanError, match=r"plan of accounts\. Expected one of visitors.*Hint:"):
        ps.browser_page(a_plan("account", ["acme"], tier=["1"]), "acme")
