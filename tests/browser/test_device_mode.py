"""Device mode in a real browser: a page with the snippet, the stand-in agent, and what the sandbox then holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from blank import poll, serious_faults
from lab import HOST, Lab, watch_page
from playwright.sync_api import Browser, Page

import pendosync as ps
from pendosync.browser.calls import browser_calls
from pendosync.browser.pages import build_page
from tests.faults.hostile import PAYLOAD, TEXTS

BODY = "<h1>A shop</h1><button id='buy'>Buy</button>"
VISITOR = {"id": "v-1", "plan": "pro", "seats": 5, "score": 1.5, "trial": True, "likes": ["a", "b"]}
ACCOUNT = {"id": "acme-web", "tier": 1, "parentAccount": {"id": "holding", "region": "EU"}}
HOSTILE = {name: text for name, text in TEXTS.items() if 0 < len(text) < 1000}


@dataclass
class Site:
    """A web site on this machine: path → HTML or JavaScript, and the paths it was asked for."""

    url: str
    pages: dict[str, str]
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append(self.path)
            text = site.pages.get(self.path)
            self.send_response(404 if text is None else 200)
            kind = "text/javascript" if self.path.endswith(".js") else "text/html; charset=utf-8"
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write((text or "").encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        site = Site(f"http://{HOST}:{server.server_port}", {})
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield site
        server.shutdown()
        thread.join()


@pytest.fixture
def site(served: Site) -> Site:
    served.pages.clear()
    served.asked.clear()
    return served


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that asks no other host and throws no error."""
    opened = browser.new_page()
    outside: list[str] = []
    errors: list[str] = []
    watch_page(opened, outside, errors)
    yield opened
    opened.close()
    assert outside == []
    assert errors == []


@dataclass
class Visit:
    """A page of the site with a snippet in it, and the sandbox that hears of it."""

    page: Page
    site: Site
    sandbox: ps.Sandbox

    def open(self, snippet: ps.Snippet, after: str = "") -> None:
        """Open a page with *snippet*, and *after* right behind it; wait until its load was noted."""
        head = f"<!doctype html><html lang='en'><head><title>Shop</title>{snippet.reveal()}{after}</head>"
        self.site.pages["/shop"] = f"{head}<body>{BODY}</body></html>"
        self.page.goto(f"{self.site.url}/shop")
        self.wait(lambda: "page" in self.events())

    def wait(self, holds: Callable[[], bool]) -> None:
        poll(self.page, holds)

    def events(self) -> list[str]:
        return [event["event"] for event in self.sandbox.events()]

    def held(self, kind: str, id_: str) -> Any:
        return self.sandbox.values(kind, "agent").get(id_)

    def messages(self) -> list[dict[str, Any]]:
        """All that the agent posted, in the order in which it arrived."""
        posts = [one for one in self.sandbox.requests() if one["method"] == "POST"]
        assert {(one["path"], one["status"]) for one in posts} <= {("/agent/received/***", 200)}
        return [message for one in posts for message in json.loads(one["body"])["messages"]]

    def metadata(self) -> list[dict[str, Any]]:
        told = [message for message in self.messages() if message["type"] == "metadata"]
        return [{kind: part for kind, part in one.items() if kind != "type"} for one in told]


@pytest.fixture
def visit(page: Page, site: Site, sandbox: ps.Sandbox) -> Visit:
    return Visit(page, site, sandbox)


def test_a_page_load_and_a_click_arrive_without_a_call(visit: Visit) -> None:
    visit.open(ps.browser_snippet(visit.sandbox.settings, {"id": "v-1"}, {"id": "acme-web"}))
    visit.page.click("#buy")
    visit.wait(lambda: "click" in visit.events())
    load, click = visit.sandbox.events()
    assert load["properties"] == {"url": f"{visit.site.url}/shop", "title": "Shop"}
    assert click["properties"] == {
        "element": "button",
        "id": "buy",
        "text": "Buy",
        "url": f"{visit.site.url}/shop",
    }
    for event in (load, click):
        assert (event["route"], event["visitorId"], event["accountId"]) == ("browser", "v-1", "acme-web")


def test_visitor_account_and_parent_arrive_as_given(visit: Visit) -> None:
    visit.open(ps.browser_snippet(visit.sandbox.settings, VISITOR, ACCOUNT))
    assert visit.held("visitor", "v-1") == {name: value for name, value in VISITOR.items() if name != "id"}
    assert visit.held("account", "acme-web") == {"tier": 1}
    assert visit.held("parentAccount", "holding") == {"region": "EU"}
    assert visit.sandbox.values("visitor", "auto")["v-1"] == {"accountid": "acme-web"}


@pytest.mark.holds_key("shop.html", reason="the file that a page is made of")
def test_a_page_from_a_file_is_heard_too(visit: Visit, tmp_path: Path) -> None:
    snippet = ps.browser_snippet(visit.sandbox.settings, {"id": "v-1", "plan": "pro"})
    visit.page.goto(snippet.write(tmp_path / "shop.html").as_uri())
    visit.wait(lambda: "page" in visit.events())
    assert visit.held("visitor", "v-1") == {"plan": "pro"}


def test_identify_and_update_options_change_what_is_held(visit: Visit) -> None:
    visit.open(ps.browser_snippet(visit.sandbox.settings, VISITOR))
    visit.page.evaluate("pendo.identify({visitor: {id: 'v-1', plan: 'max'}, account: {id: 'globex-web'}})")
    visit.page.evaluate("pendo.updateOptions({account: {tier: 2}})")
    visit.wait(lambda: visit.held("account", "globex-web") == {"tier": 2})
    assert visit.held("visitor", "v-1")["plan"] == "max"
    assert visit.held("visitor", "v-1")["seats"] == 5
    assert visit.sandbox.values("visitor", "auto")["v-1"]["accountid"] == "globex-web"


def test_a_track_event_arrives(visit: Visit) -> None:
    visit.open(ps.browser_snippet(visit.sandbox.settings, {"id": "v-1"}))
    visit.page.evaluate("pendo.track('Signed', {seats: 5})")
    visit.wait(lambda: "Signed" in visit.events())
    assert visit.sandbox.events()[-1]["properties"] == {"seats": 5}


def test_a_second_initialize_is_ignored(visit: Visit) -> None:
    again = "<script>pendo.initialize({visitor: {id: 'other'}})</script>"
    visit.open(ps.browser_snippet(visit.sandbox.settings, {"id": "v-1"}), after=again)
    visit.page.evaluate("pendo.initialize({visitor: {id: 'another'}}); pendo.track('Last', {})")
    visit.wait(lambda: "Last" in visit.events())
    assert visit.metadata() == [{"visitor": {"id": "v-1"}}]
    assert visit.events() == ["page", "Last"]


def test_the_snippet_twice_in_a_page_is_one_agent(visit: Visit) -> None:
    snippet = ps.browser_snippet(visit.sandbox.settings, {"id": "v-1"})
    visit.open(snippet, after=snippet.reveal())
    visit.page.wait_for_load_state("networkidle")
    visit.page.evaluate("pendo.track('Last', {})")
    visit.wait(lambda: "Last" in visit.events())
    assert visit.events() == ["page", "Last"]


def test_calls_before_the_agent_has_come_wait_for_initialize(visit: Visit) -> None:
    snippet = ps.browser_snippet(visit.sandbox.settings, {"id": "v-1"})
    early = "<script>window.pendo = {}; pendo._q = [['track', 'Early', {}], ['identify', {visitor: {plan: 'pro'}}]]</script>"
    visit.site.pages["/shop"] = f"<!doctype html><title>Shop</title>{early}{snippet.reveal()}"
    visit.page.goto(f"{visit.site.url}/shop")
    visit.wait(lambda: "Early" in visit.events())
    kinds = [(message["type"], message.get("event")) for message in visit.messages()]
    assert kinds == [("metadata", None), ("page", "page"), ("track", "Early"), ("metadata", None)]
    assert visit.metadata()[-1] == {"visitor": {"id": "v-1", "plan": "pro"}}


def test_a_visitor_without_an_id_is_anonymous(visit: Visit) -> None:
    visit.open(ps.browser_snippet(visit.sandbox.settings, {"plan": "x"}, anonymous_id="7f"))
    assert visit.held("visitor", "_PENDO_T_7f") == {"plan": "x"}
    visit.page.evaluate("pendo.track('Last', {})")
    visit.wait(lambda: "Last" in visit.events())
    assert visit.sandbox.events()[-1]["visitorId"] == "_PENDO_T_7f"


def test_traits_and_group_that_come_late_arrive_in_that_order(visit: Visit) -> None:
    late = replace(visit.sandbox.settings, user_traits_on_load=False, group_on_load=False)
    visit.open(ps.browser_snippet(late, VISITOR, ACCOUNT))
    visit.wait(lambda: len(visit.metadata()) == 3)
    account = {"account": {"id": "acme-web", "tier": 1}, "parentAccount": {"id": "holding", "region": "EU"}}
    assert visit.metadata() == [
        {"visitor": {"id": "v-1"}},
        {"visitor": VISITOR},
        {"visitor": {"id": "v-1"}, **account},
    ]
    load = next(message for message in visit.messages() if message["type"] == "page")
    assert load["accountId"] is None, "the page load was noted before the account was known"


def test_what_browser_calls_lists_is_what_arrives(visit: Visit) -> None:
    for user_traits, group in ((True, False), (False, True)):
        visit.sandbox.reset()
        settings = replace(visit.sandbox.settings, user_traits_on_load=user_traits, group_on_load=group)
        visit.open(ps.browser_snippet(settings, VISITOR, ACCOUNT))
        visit.wait(lambda: len(visit.metadata()) == 2)
        assert visit.metadata() == [call.arguments[0] for call in browser_calls(settings, VISITOR, ACCOUNT)]


def test_hostile_values_arrive_exactly_and_nothing_else_runs(visit: Visit) -> None:
    traits = {f"{name}{text}": text for name, text in HOSTILE.items()}
    visitor = {
        **traits,
        "__proto__": PAYLOAD,
        "list": list(HOSTILE.values()),
        "id": HOSTILE["end of a script"],
    }
    account = {"id": HOSTILE["script"], **traits, "parentAccount": HOSTILE["image"]}
    visit.open(ps.browser_snippet(visit.sandbox.settings, visitor, account))
    (told,) = visit.metadata()
    parent = {"id": account.pop("parentAccount")}
    assert told == {"visitor": visitor, "account": account, "parentAccount": parent}
    assert {**visit.held("visitor", visitor["id"]), "id": visitor["id"]} == visitor
    assert visit.page.evaluate("window.ran") is None
    assert visit.page.evaluate("document.querySelectorAll('script').length") == 2, "the snippet and the agent"
    assert visit.page.inner_text("body").strip().startswith("A shop")


def test_what_is_told_as_a_page_is_left_arrives(visit: Visit) -> None:
    visit.open(ps.browser_snippet(visit.sandbox.settings, {"id": "v-1"}))
    visit.site.pages["/next"] = "<!doctype html><title>Next</title>"
    visit.page.evaluate("addEventListener('pagehide', () => pendo.track('Left', {}), {capture: true})")
    visit.sandbox.misbehave("latency", seconds=1, path="/agent/received")
    visit.page.evaluate("pendo.track('On its way', {})")
    visit.page.goto(f"{visit.site.url}/next")
    visit.wait(lambda: "Left" in visit.events())


def test_the_agent_is_loaded_from_a_host_of_your_own(visit: Visit) -> None:
    key = visit.sandbox.settings.secret("app_key").reveal()
    path = f"/content/agent/static/{key}/pendo.js"
    visit.site.pages[path] = "window.came = pendo._q;"
    settings = replace(visit.sandbox.settings, agent_url=f"{visit.site.url}/content")
    snippet = ps.browser_snippet(settings, {"id": "v-1"}).reveal()
    more = "<script>pendo.track('Early', {}); pendo.initialize({})</script>"
    visit.site.pages["/shop"] = f"<!doctype html><title>Shop</title>{snippet}{more}"
    visit.page.goto(f"{visit.site.url}/shop")
    visit.page.wait_for_function("window.came")
    assert path in visit.site.asked
    assert visit.page.evaluate("came") == [
        ["initialize", {"visitor": {"id": "v-1"}}], ["initialize", {}], ["track", "Early", {}],
    ]  # fmt: skip
    assert visit.sandbox.requests() == []


# --- the page that only shows


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_shows_hostile_values_and_keeps_nobody_out(page: Page, scheme: Any) -> None:
    traits = {f"{name}{text}": text for name, text in HOSTILE.items()}
    calls = browser_calls(ps.Settings(), {"id": HOSTILE["script"], **traits}, events=[(HOSTILE["image"], {})])
    page.emulate_media(color_scheme=scheme)
    page.set_content(build_page(calls, title=HOSTILE["end of a script"]).html)
    assert page.evaluate("window.ran") is None
    assert page.locator("script, img, iframe, svg, a").count() == 0
    assert serious_faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_notebooks_frame_shows_the_page_and_runs_nothing(page: Page) -> None:
    shown = build_page(browser_calls(ps.Settings(), VISITOR, ACCOUNT), title="v-1")
    page.set_content(f"<!doctype html><title>A notebook</title>{shown._repr_html_()}")
    frame = page.frame_locator("iframe")
    assert frame.locator("h2").all_inner_texts() == ["pendo.initialize"]
    assert frame.locator("caption").all_inner_texts() == ["Visitor", "Account", "Parent account"]
    assert page.frames[1].evaluate("origin") == "null"


SHOW = """
import pendosync as ps, polars as pl
mapping = ps.Mapping("visitor", "id", ["plan"])
values = ps.map_traits(pl.DataFrame({"id": ["u-1"], "plan": ["<script>window.ran = 1</script>"]}), mapping)
target = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")
changes = ps.diff_values(values, before=values.clear(), mapping=mapping)
plan = ps.plan_changes(changes, mapping=mapping, target=target, create="unknown_ids")
display(ps.browser_snippet(ps.Settings(app_key="app-k3y"), {"id": "u-1"}))
ps.browser_page(plan, "u-1")
"""


def test_a_notebook_shows_the_page_and_the_snippet_without_its_key(lab: Lab) -> None:
    cell = lab.open_notebook("device_mode.ipynb").run(SHOW).ended()
    frame = cell.outputs.last.frame_locator("iframe")
    assert frame.locator("h1").inner_text() == "What the browser of u-1 tells Pendo"
    assert "<script>window.ran = 1</script>" in frame.locator("table").inner_text()
    assert "static/***/pendo.js" in cell.outputs.first.inner_text()
    assert "app-k3y" not in cell.outputs.first.inner_text()
    assert lab.page.evaluate("window.ran") is None
