"""Hostile ids, values, columns and file names: each goes the whole way exactly, or is refused in words."""

from __future__ import annotations

import ast
import csv
import json
import os
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hostile import HALVES, TEXTS
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import pendosync as ps
from pendosync.browser.calls import browser_calls
from pendosync.browser.pages import build_page
from pendosync.frames import FIELDS, OUTCOMES, PROBLEMS, REQUESTS, VALUES, Progress
from pendosync.preview.run_view import run_html
from tests.test_push import IDS, a_plan, writes

PACKAGE = Path(ps.__file__).parent
QUIETLY = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HOSTILE = st.text(max_size=20) | st.sampled_from(
    [text for text in TEXTS.values() if len(text.encode()) <= 128]
)


@pytest.fixture(scope="module")
def reader(_sandbox: ps.Sandbox) -> Iterator[ps.Client]:
    """A client that only reads, and so needs no fresh sandbox."""
    with ps.open_client(_sandbox.settings) as opened:
        yield opened


# --- the whole way


@dataclass(frozen=True)
class Way:
    """What stood where, as one table of hostile ids and values went the whole way."""

    kind: str
    field: str
    problems: pl.DataFrame
    plan: ps.Plan
    dry: pl.DataFrame
    received: list[str]
    first: dict[str, Any]
    second: dict[str, Any]
    third: dict[str, Any]
    outcomes: dict[str, str]
    read: list[dict[str, Any]]
    snapshot: dict[str, Any]
    html: list[str]


def go(
    sandbox: ps.Sandbox,
    client: ps.Client,
    folder: Path,
    mapping: ps.Mapping,
    ids: list[str],
    values: list[Any],
) -> Way:
    """Create the ids with a harmless value, push the hostile ones, read them back, and undo that."""
    journal, name = ps.open_journal(folder / "journal"), mapping.each_trait[0].field
    harmless: Any = ["old"] if isinstance(values[0], list) else "old"

    def push(plan: ps.Plan) -> ps.Run:
        run = ps.push(plan.lift(agent_fields=True), client=client, journal=journal, show=False)
        run.wait()
        return run

    def held() -> dict[str, Any]:
        found = sandbox.values(mapping.kind, mapping.group)
        return {id_: found[id_].get(name) for id_ in ids if id_ in found}

    create: Any = "unknown_ids"
    push(
        ps.plan_table(
            pl.DataFrame({"key": ids, name: [harmless] * len(ids)}), mapping, client=client, create=create
        )
    )
    first = held()
    table = ps.load_table(pl.DataFrame({"key": ids, name: values}))
    mapped = ps.map_traits(table, mapping)
    problems = ps.check_values(mapped, mapping=mapping, fields=ps.fetch_fields(client, kind=mapping.kind))  # type: ignore[arg-type]
    clean = ps.drop_blocked(mapped, problems)
    before = ps.fetch_values(client, mapping, like=clean)
    changes = ps.diff_values(clean, before=before, mapping=mapping)
    made = ps.plan_changes(
        changes, mapping=mapping, target=client.target, problems=problems, create=create, batch_size=7
    )
    plan = ps.load_plan(made.save(folder / "plan")).select(ids=changes["id"])
    assert plan.digest == made.digest
    sandbox.forget_requests()
    run = push(plan)
    received = [request["body"] for request in writes(sandbox)]
    second = held()
    reads = [ps.fetch_values(client, mapping, like=clean, ids=clean["id"], single_reads=n) for n in (200, 0)]
    undo = ps.plan_undo(journal, run.id)
    push(undo)
    snapshot = ps.read_snapshot(journal, mapping, target=client.target)
    return Way(
        mapping.kind, name, problems, plan, ps.dry_run(plan), received, first, second, held(),
        dict(run.outcomes.select("id", "status").iter_rows()),
        [dict(read.select("id", name).iter_rows()) for read in reads],
        dict(snapshot.select("id", name).iter_rows()),
        [plan._repr_html_(), undo._repr_html_()],
    )  # fmt: skip


ROUTES = {
    "accounts": ps.Mapping("account", "key", [ps.Trait("plan", type="text")]),
    "visitors": ps.Mapping("visitor", "key", [ps.Trait("plan", type="text")]),
    "visitors by webhook": ps.Mapping("visitor", "key", [ps.Trait("plan", type="text")], route="webhook"),
    "lists": ps.Mapping("visitor", "key", [ps.Trait("tags", type="list")], group="agent"),
}


@pytest.fixture(scope="module", params=ROUTES)
def way(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Way]:
    mapping, texts = ROUTES[request.param], list(TEXTS.values())
    values = [[text, "b", text] for text in texts] if request.param == "lists" else texts
    with ps.open_sandbox() as sandbox, ps.open_client(sandbox.settings) as client:
        yield go(sandbox, client, tmp_path_factory.mktemp("way"), mapping, texts, values)


def is_too_long(way: Way, text: str) -> bool:
    return way.kind == "visitor" and len(text.encode()) > 128


@pytest.mark.parametrize("name", TEXTS)
def test_it_round_trips_exactly_or_is_refused_in_words(way: Way, name: str) -> None:
    text = TEXTS[name]
    if is_too_long(way, text):
        (reason,) = way.problems.filter(id=text, rule="long_id")["reason"]
        assert reason == f"the id has {len(text.encode()):,} bytes; Pendo keeps 128 of a visitor id".replace(
            ",", ""
        )
        assert text not in way.outcomes
        assert text not in way.first | way.second | way.third
        return
    harmless, sent = (["old"], [text, "b", text]) if way.field == "tags" else ("old", text)
    assert (way.first[text], way.second[text], way.third[text]) == (harmless, sent, harmless)
    assert way.outcomes[text] in ("updated", "accepted")
    assert [read[text] for read in way.read] == [sent, sent]
    assert way.snapshot[text] == harmless
    assert way.plan.select(ids=[text]).changes["id"].to_list() == [text]


def test_what_was_received_is_the_dry_run(way: Way) -> None:
    assert sorted(way.received) == sorted(way.dry["body"])
    assert sorted(id_ for ids in way.dry["ids"] for id_ in ids) == sorted(way.outcomes)


def test_a_shell_gets_each_body_whole(way: Way) -> None:
    plan = way.plan.select(but=[text for text in TEXTS.values() if text in way.outcomes and len(text) > 1000])
    plan = plan.select(ids=[id_ for id_ in plan.changes["id"] if len(id_) < 1000])
    assert [shlex.split(line)[-1] for line in ps.build_curl(plan)] == ps.dry_run(plan)["body"].to_list()


@QUIETLY
@given(rows=st.dictionaries(HOSTILE, HOSTILE, min_size=1, max_size=6), webhook=st.booleans())
@example(rows={"a": "", "\x85": "x", " ": "y"}, webhook=False)
def test_any_text_round_trips_or_is_refused(
    sandbox: ps.Sandbox, client: ps.Client, tmp_path_factory: Any, rows: dict[str, str], webhook: bool
) -> None:
    sandbox.reset()
    mapping = ROUTES["visitors by webhook" if webhook else "accounts"]
    blank = {id_ for id_ in rows if not id_.strip()}
    if blank == set(rows):
        return
    way = go(sandbox, client, tmp_path_factory.mktemp("way"), mapping, list(rows), list(rows.values()))
    assert set(way.problems.filter(severity="block_row")["id"]) == blank
    for id_ in rows.keys() - blank:
        assert (way.first[id_], way.second[id_], way.third[id_]) == ("old", rows[id_], "old")
    assert not (way.first | way.second).keys() & blank


RAW = [*TEXTS.values(), *HALVES.values()]


def test_what_pendo_holds_in_a_field_of_another_type_comes_back_exactly(
    sandbox: ps.Sandbox, client: ps.Client, journal: ps.Journal
) -> None:
    ids = [f"raw-{n}" for n in range(len(RAW))]
    sandbox.switch(wrong_types="kept")
    records = [{"accountId": id_, "values": {"seats": text}} for id_, text in zip(ids, RAW, strict=True)]
    path = "/api/v1/metadata/account/custom/value?create=true"
    client.call(client.request, "POST", path, body=json.dumps(records).encode())

    def held() -> list[Any]:
        found = sandbox.values("account", "custom")
        return [found[id_]["seats"] for id_ in ids]

    mapping = ps.Mapping("account", "id", [ps.Trait("seats", type="integer")])
    plan = ps.plan_table(pl.DataFrame({"id": ids, "seats": [5] * len(ids)}), mapping, client=client)
    assert skeleton(plan._repr_html_()) == skeleton(plan.select(pl.lit(True))._repr_html_())
    run = ps.push(plan, client=client, journal=journal, show=False)
    run.wait()
    assert held() == [5] * len(ids)
    ps.push(ps.plan_undo(journal, run.id), client=client, journal=journal, show=False).wait()
    assert held() == RAW


# --- doors


def doors(text: str) -> dict[str, Callable[[Path, ps.Client], Any]]:
    """Where half of a character could come in."""
    mapping = ROUTES["accounts"]
    return {
        "a table of pandas": lambda _, __: ps.load_table(pandas_table("id", text)),
        "a column of pandas": lambda _, __: ps.load_table(pandas_table(text, "a")),
        "NDJSON": lambda folder, _: ps.load_table(written(folder / "a.ndjson", json.dumps({"id": text}))),
        "a name in NDJSON": lambda folder, _: ps.load_table(written(folder / "a.ndjson", json.dumps({text: 1}))),
        "CSV": lambda folder, _: ps.load_table(written(folder / "a.csv", f'id\n"{text}"\n')),
        "a file's name": lambda folder, _: ps.load_table(folder / f"{text}.csv"),
        "Segment's messages": lambda _, __: ps.load_segment_messages([{"type": "identify", "userId": text}]),
        "null_values": lambda folder, _: ps.load_table(written(folder / "a.csv", "id\na\n"), null_values=text),
        "separator": lambda folder, _: ps.load_table(written(folder / "a.csv", "id\na\n"), separator=text[0]),
        "an id column": lambda _, __: ps.Mapping("visitor", text, ["plan"]),
        "a trait": lambda _, __: ps.Trait(text),
        "a field": lambda _, __: ps.Trait("plan", field=text),
        "SQL": lambda _, __: ps.Trait(sql=f"'{text}'", field="plan"),
        "a group": lambda _, __: ps.Mapping("visitor", "id", ["plan"], route="webhook", group=text),
        "rows of a check": lambda _, __: ps.check_mapping(mapping, rows=[{"key": text}], expected=[{}]),
        "ids to read": lambda _, client: ps.fetch_values(client, mapping, ids=["u-0001", text]),
        "ids to read by pages": lambda _, client: ps.fetch_values(client, mapping, ids=[text], single_reads=0),
        "a plan's folder": lambda folder, client: a_plan(client, IDS[:1]).save(folder / f"{text}\udc80"),
        "a journal's folder": lambda folder, client: ps.push(
            a_plan(client, IDS[:1]), client=client, journal=ps.open_journal(folder / "a\udc80"), show=False
        ),
        "a run": lambda folder, _: ps.read_plan(ps.open_journal(folder), text),
        "a mapping's file": lambda folder, _: ps.load_mapping(folder / text),
        "a key": lambda _, __: ps.Settings(app_key=text),
    }  # fmt: skip


def pandas_table(column: str, value: str) -> Any:
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"x": pd.Series([value], dtype=object)})
    return frame.set_axis(pd.Index([column], dtype=object), axis=1)


def written(path: Path, text: str) -> Path:
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    return path


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("door", doors("x"))
def test_half_of_a_character_is_refused_at_each_door(
    tmp_path: Path, reader: ps.Client, door: str, half: str
) -> None:
    text = HALVES[half]
    if door == "separator" and text[0] == "a":
        text = text[1]
    with pytest.raises(ps.PendosyncError) as caught:
        doors(text)[door](tmp_path, reader)
    assert str(caught.value).isprintable()
    assert "Expected" in str(caught.value) or "Its latest are" in str(caught.value)
    assert "Hint:" in str(caught.value)


WITH_NUL: dict[str, Callable[[Path, ps.Client], Any]] = {
    "a table": lambda folder, _: ps.load_table(folder / "a\0.csv"),
    "a long name": lambda folder, _: ps.load_table(folder / f"{'x' * 5000}.csv"),
    "a mapping": lambda folder, _: ps.load_mapping(folder / "a\0.toml"),
    "a plan": lambda folder, client: a_plan(client, IDS[:1]).save(folder / "a\0"),
    "a plan to load": lambda folder, _: ps.load_plan(folder / "a\0"),
    "settings": lambda folder, _: ps.Settings.from_env(folder / "a\0"),
}


@pytest.mark.parametrize("what", WITH_NUL)
def test_a_name_that_no_file_can_have_is_told(tmp_path: Path, client: ps.Client, what: str) -> None:
    with pytest.raises(ps.PendosyncError, match=r"Expected (?s:.*)Hint: "):
        WITH_NUL[what](tmp_path, client)


# --- files


def write_csv(path: Path, text: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["id", "note"], ["u-1", text], ["u-2", "x"]])


def write_xlsx(path: Path, text: str) -> None:
    xlsxwriter = pytest.importorskip("xlsxwriter")
    pytest.importorskip("fastexcel")
    with xlsxwriter.Workbook(path, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet()
        for at, row in enumerate([["id", "note"], ["u-1", text], ["u-2", "x"]]):
            for column, cell in enumerate(row):
                sheet.write_string(at, column, cell)


def write_frame(path: Path, text: str) -> None:
    frame = pl.DataFrame({"id": ["u-1", "u-2"], "note": [text, "x"]})
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_ndjson(path)


WRITERS = {".csv": write_csv, ".xlsx": write_xlsx, ".parquet": write_frame, ".ndjson": write_frame}
REFUSED = {".csv": {"NUL"}}
NOT_HELD = {".xlsx": {"megabyte", "megabyte of quotes", "NUL", "control characters", "no characters"}}


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_file_gives_each_text_exactly(tmp_path: Path, suffix: str) -> None:
    wrong: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for name in TEXTS.keys() - NOT_HELD.get(suffix, set()):
        path = tmp_path / f"table{suffix}"
        WRITERS[suffix](path, TEXTS[name])
        try:
            got = ps.load_table(path).lazy().collect()["note"].to_list()
        except ps.TableError as error:
            refused[name] = str(error)
        else:
            if got != [TEXTS[name], "x"]:
                wrong[name] = got
    assert wrong == {}
    assert refused.keys() == REFUSED.get(suffix, set())
    assert all("Hint:" in told for told in refused.values())


NAMES = {
    name: text
    for name, text in TEXTS.items()
    if not set(text) & {"/", "\0"} and text not in (".", "..") and len(text.encode()) < 200
}


@pytest.mark.skipif(os.name == "nt", reason="Windows forbids most of these names")
def test_files_and_folders_may_have_any_name(tmp_path: Path, client: ps.Client) -> None:
    plan = a_plan(client, IDS[:2])
    for name, text in NAMES.items():
        folder = tmp_path / text
        folder.mkdir()
        (folder / f"{text}.csv").write_text("id,plan\nu-1,x\n")
        assert ps.load_table(folder / f"{text}.csv").lazy().collect().rows() == [("u-1", "x")], name
        assert ps.load_plan(plan.save(folder / f"{text} plan")).digest == plan.digest, name
        journal = ps.open_journal(folder / f"{text} journal")
        assert ps.read_runs(journal).is_empty(), name


def test_a_journal_may_have_any_name(tmp_path: Path, sandbox: ps.Sandbox, client: ps.Client) -> None:
    for text in (NAMES["query"], NAMES["newlines"], NAMES["broken quoting"], NAMES["right to left"]):
        sandbox.reset()
        journal = ps.open_journal(tmp_path / text)
        run = ps.push(a_plan(client, IDS[:2]), client=client, journal=journal, show=False)
        run.wait()
        assert ps.read_outcomes(journal, run.id)["status"].to_list() == ["updated"] * 2


# --- columns


@pytest.mark.parametrize("name", TEXTS)
def test_a_column_may_have_any_name(reader: ps.Client, tmp_path: Path, name: str) -> None:
    text = TEXTS[name]
    other = f"{text}2"
    table = pl.DataFrame({text: ["u-0001"], other: ["new"], f"{text}3": ["kept"]})
    mapping = ps.Mapping("visitor", text, [ps.Trait(other, field="plan", type="text")])
    (tmp_path / "mapping.toml").write_text(mapping.to_toml(), encoding="utf-8")
    assert ps.load_mapping(tmp_path / "mapping.toml") == mapping
    plan = ps.plan_table(table, mapping, client=reader, keep=[f"{text}3"])
    assert plan.select(pl.col(f"{text}3") == "kept").changes["id"].to_list() == ["u-0001"]
    assert ps.load_plan(plan.save(tmp_path / "plan")).digest == plan.digest
    assert skeleton(mapping._repr_html_()) == skeleton(MAPPING._repr_html_())
    assert len(repr(mapping)) < 3 * len(text) + 300


@pytest.mark.parametrize(
    "name", [name for name, text in TEXTS.items() if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", text)]
)
def test_a_field_of_another_name_than_pendo_takes_is_blocked(reader: ps.Client, name: str) -> None:
    table = pl.DataFrame({"id": ["u-0001"], "a": ["x"]})
    mapping = ps.Mapping("visitor", "id", [ps.Trait("a", field=TEXTS[name])])
    plan = ps.plan_table(table, mapping, client=reader)
    assert len(plan) == 0
    blocked = plan.problems.filter(rule="illegal_field_name")
    assert blocked["severity"].to_list() == ["block_field"]
    assert "letters, digits and underscores" in blocked["reason"][0]


# --- what shows itself


class _Skeleton(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[Any] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.parts.append((tag, attrs))

    def handle_endtag(self, tag: str) -> None:
        self.parts.append(f"/{tag}")

    def handle_comment(self, data: str) -> None:
        self.parts.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.parts.append(("declaration", decl))

    def unknown_decl(self, data: str) -> None:
        self.parts.append(("declaration", data))

    def handle_pi(self, data: str) -> None:
        self.parts.append(("instruction", data))


def skeleton(html: str) -> list[Any]:
    """Return all of *html* but its text: elements, attributes with their values, comments."""
    parser = _Skeleton()
    parser.feed(html)
    parser.close()
    return parser.parts


TARGET = ps.Target("us", "https://app.pendo.io", "https://data.pendo.io")
MAPPING = ps.Mapping("visitor", "id", [ps.Trait("a", field="plan", type="text")])


def plan_of(ids: list[str], values: list[str], befores: list[str], **options: str) -> ps.Plan:
    mapping = ps.Mapping("visitor", "id", ["plan"], **options)  # type: ignore[arg-type]
    after = ps.map_traits(pl.DataFrame({"id": ids, "plan": values}), mapping)
    before = ps.map_traits(pl.DataFrame({"id": ids, "plan": befores}), mapping)
    return ps.plan_changes(
        ps.diff_values(after, before=before, mapping=mapping), mapping=mapping, target=TARGET
    )


def progress_of(text: str) -> Progress:
    return Progress(text, text, "stopped", 9, 3, 2, 4, {"updated": 6, "failed": 1}, 2.0, None, text)


@pytest.mark.parametrize("name", TEXTS)
def test_no_element_or_attribute_comes_from_a_value(name: str) -> None:
    text = TEXTS[name][:5000]
    plans = [plan_of([one], [f"{one}1"], [f"{one}2"]) for one in (text, "harmless")]
    assert skeleton(plans[0]._repr_html_()) == skeleton(plans[1]._repr_html_())
    webhook = {"route": "webhook"}
    plans = [plan_of([one], [f"{one}1"], [f"{one}2"], **webhook, group=one) for one in (text, "harmless")]
    assert skeleton(plans[0]._repr_html_()) == skeleton(plans[1]._repr_html_())
    mappings = [
        ps.Mapping("visitor", one, [ps.Trait(one, field="a"), ps.Trait(sql="1", field=one)], left_out=(one,), **webhook, group=one)  # type: ignore[arg-type]
        for one in (text, "harmless")
    ]  # fmt: skip
    assert skeleton(mappings[0]._repr_html_()) == skeleton(mappings[1]._repr_html_())
    assert skeleton(run_html(progress_of(text))) == skeleton(run_html(progress_of("harmless")))


def summaries_of(text: str) -> list[str]:
    """Return each brick's summary as HTML, with *text* wherever a text may stand."""
    frames = [
        pl.DataFrame({f"a{text}": [text, f"1{text}"], f"b{text}": [[text], None], f"c{text}": [{text: text}, None]}),
        pl.DataFrame([(0, text, None, text)], schema={**VALUES, f"a{text}": pl.String()}, orient="row"),
        pl.DataFrame([(text,) * 6 + (True,) * 3], schema=FIELDS, orient="row"),
        pl.DataFrame([(0, text, text, text, "warn", 1, text), (0, *[text] * 4, 1, text)], schema=PROBLEMS, orient="row"),
        plan_of([text], [f"{text}1"], [f"{text}2"]).changes.with_columns(action=pl.lit(text)),
        pl.DataFrame([(0, text, text, [text], text)], schema=REQUESTS, orient="row"),
        pl.DataFrame([(text, 0, text, text, text)], schema=OUTCOMES, orient="row").with_columns(seen=pl.lit(text)),
    ]  # fmt: skip
    return [ps.build_summary(frame)._repr_html_() for frame in frames]


@pytest.mark.parametrize("name", TEXTS)
def test_no_element_or_attribute_of_a_summary_comes_from_a_value(name: str) -> None:
    shown = summaries_of(TEXTS[name][:5000])
    assert [*map(skeleton, shown)] == [*map(skeleton, summaries_of("harmless"))]
    assert max(map(len, shown)) < 10_000
    assert all(html.isprintable() for html in shown)


@pytest.mark.parametrize("name", TEXTS)
def test_no_element_or_attribute_of_segments_messages_comes_from_a_value(name: str) -> None:
    def shown_of(text: str) -> str:
        traits = {f"{text} 1": [1], f"{text} 2": {text: 1}, "id": text}
        identify = {"type": "identify", "userId": f"u{text}", "messageId": f"m{text}", "traits": traits}
        return ps.load_segment_messages([identify, identify, {"type": f"x{text}"}])._repr_html_()

    html = shown_of(TEXTS[name][:5000])
    assert skeleton(html) == skeleton(shown_of("harmless"))
    assert len(html) < 10_000
    assert html.isprintable()


def device_mode_of(text: str) -> list[str]:
    """Return what device mode shows of a text: a page, the frame around it without the page, and a snippet."""
    page = ps.browser_page(plan_of(["u-1"], [text], ["old"]), "u-1")
    frame = re.sub(r"srcdoc='[^']*'", "", page._repr_html_())
    visitor, account = {"id": text, text: [text]}, {"id": text, text: text, "parentAccount": text}
    calls = browser_calls(ps.Settings(), visitor, account, events=[(text, {text: text})])
    snippet = ps.browser_snippet(ps.Settings(app_key="k"), visitor, account)
    return [page.html, frame, build_page(calls, title=text).html, snippet._repr_html_()]


@pytest.mark.parametrize("name", TEXTS)
def test_no_element_or_attribute_of_device_mode_comes_from_a_value(name: str) -> None:
    shown = device_mode_of(TEXTS[name][:5000])
    harmless = device_mode_of("harmless")
    at = re.compile(r"height='\d+'")
    assert [skeleton(at.sub("", html)) for html in shown] == [skeleton(at.sub("", html)) for html in harmless]
    assert all(html.replace("\n", "").isprintable() for html in shown)


@given(text=HOSTILE, other=HOSTILE, before=HOSTILE)
def test_no_element_or_attribute_comes_from_any_value(text: str, other: str, before: str) -> None:
    plan, harmless = plan_of(["a" + text], [f"1{other}"], [f"2{before}"]), plan_of(["a"], ["1"], ["2"])
    assert skeleton(plan._repr_html_()) == skeleton(harmless._repr_html_())
    assert skeleton(run_html(progress_of(text or "x"))) == skeleton(run_html(progress_of("harmless")))


def test_what_can_not_be_seen_is_written_out() -> None:
    html = plan_of(["u\u202e1"], ["a\u200bb\0"], ["c\nd\x1b"])._repr_html_()
    assert all(shown in html for shown in (r"u\u202e1", r"a\u200bb\x00", r"c\nd\x1b"))
    assert html.isprintable()


def test_each_thing_that_shows_itself_as_html_is_held_to_this() -> None:
    showing = {
        f"{file.relative_to(PACKAGE).as_posix()}: {node.name}"
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name in ("_repr_html_", "_repr_mimebundle_", "_repr_javascript_", "run_html")
    }  # fmt: skip
    rooms = ("gates", "mapping", "overview", "plans", "reports", "segment_messages/__init__", "settings")
    widgets = "preview/view.py: _repr_mimebundle_"  # a picture of one of these, or what is said of none
    assert showing == {
        *(f"{room}.py: _repr_html_" for room in rooms),
        *(f"browser/{module}.py: _repr_html_" for module in ("pages", "snippets")),
        "preview/run_view.py: run_html",
        widgets,
    }


def test_no_table_is_written_that_a_spreadsheet_would_compute() -> None:
    writers = ("write_csv", "write_excel", "sink_csv", "to_csv", "to_excel", "writerow", "writerows")
    found = [
        f"{file.name}: {node.attr}"
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in writers
    ]
    assert found == ["digests.py: write_csv"]  # into memory, to be digested


HALF = "a\ud800b"


@pytest.mark.parametrize(
    "act",
    [
        lambda plan: plan.select(ids=[HALF]),
        lambda plan: plan.select(but=[HALF]),
        lambda plan: ps.after(HALF),
        lambda plan: ps.before(HALF),
        lambda plan: ps.changed(HALF),
    ],
)
def test_a_selection_names_no_half_characters(client, act) -> None:
    plan = a_plan(client, IDS[:1])
    with pytest.raises(ps.PlanError, match="in Unicode"):
        act(plan)


@pytest.mark.parametrize("name", [HALF, "a\0b"])
def test_a_journal_has_no_impossible_name(tmp_path, name: str) -> None:
    with pytest.raises(ps.JournalError, match="no file system takes that name"):
        ps.open_journal(tmp_path / name)
