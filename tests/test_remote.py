"""What Pendo holds: fields as they are, values by their type, and one sentence on the key."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.client import Client, Retry, open_client
from pendosync.errors import (
    AnswerError,
    FrameError,
    MappingError,
    RefusedError,
    SettingsError,
    UnreachableError,
)
from pendosync.frames import DTYPES, FIELDS, VALUES, FieldType, ensure_frame, raw_cell
from pendosync.mapping import Mapping
from pendosync.records import values_frame
from pendosync.regions import Pace
from pendosync.remote import check_access, fetch_fields, fetch_typed, fetch_values
from pendosync.sandbox import Sandbox
from pendosync.settings import Settings
from pendosync.traits import Trait
from pendosync.values import map_traits

TYPES: dict[str, FieldType] = {
    "plan": "text", "seats": "integer", "score": "float", "trial": "boolean", "signedup": "date",
}  # fmt: skip
MAPPING = Mapping("visitor", id="id", traits=list(TYPES))
ODD_IDS = ["U-0007", "u-0007", "ann@example.com", "a/b", "ünï", "x y", "100%", "plus+one"]


@contextmanager
def a_pendo(answer: Callable[[httpx.Request], object]) -> Iterator[Client]:
    """A client of a Pendo that answers each request with this JSON, or this response."""

    def respond(request: httpx.Request) -> httpx.Response:
        told = answer(request)
        return told if isinstance(told, httpx.Response) else httpx.Response(200, content=json.dumps(told))

    settings = Settings(integration_key="key", api_pace=Pace(None, 4))
    with open_client(settings, transport=httpx.MockTransport(respond), retry=Retry(attempts=1)) as client:
        yield client


def column(values: list[Any], type_: FieldType) -> tuple[list[Any], list[str | None]]:
    """Return typed cells and raw texts of one field that holds these values."""
    records = [{"metadata": {"custom": {} if value is ... else {"f": value}}} for value in values]
    frame = values_frame([str(row) for row in range(len(values))], records, "custom", {"f": type_})
    assert frame.schema["f"] == DTYPES[type_]
    return frame["f"].to_list(), frame.select(raw_cell("f"))["raw"].to_list()


# --- fields


def test_fields_come_in_pendos_order_with_our_types(client: Client) -> None:
    fields = ensure_frame(fetch_fields(client, kind="visitor"), FIELDS, "fields")
    assert set(fields["kind"]) == {"visitor"}
    custom = fields.filter(group="custom")
    assert dict(custom.select("field", "type").iter_rows()) == {
        **TYPES, "region": "text", "hasnote": "text", "oldplan": "text", "healthscore": "float",
        "internalnote": "text", "legacy": None,
    }  # fmt: skip
    assert custom["field"].to_list()[:5] == list(TYPES)
    tags = fields.row(by_predicate=pl.col("field") == "tags", named=True)
    assert (tags["type"], tags["element_type"], tags["display_name"]) == ("list", "string", "Tags")


def test_deleted_calculated_and_foreign_fields_are_not_writable(client: Client) -> None:
    fields = fetch_fields(client, kind="visitor")
    assert set(fields.filter(~pl.col("is_writable"))["field"]) == {
        "oldplan", "healthscore", "accountid", "firstvisit", "lastvisit", "donotprocess", "blacklistguides",
    }  # fmt: skip
    assert fields.filter("is_deleted")["field"].to_list() == ["oldplan"]
    assert fields.filter("is_hidden")["field"].to_list() == ["internalnote"]


def test_an_unknown_kind_is_told_before_anything_is_sent(client: Client) -> None:
    for fetch in (fetch_fields, fetch_typed):
        with pytest.raises(MappingError, match="'visitor', 'account'"):
            fetch(client, kind="user", **({} if fetch is fetch_fields else {"group": "custom", "types": {}}))  # type: ignore[operator]
    assert client.n_requests == 0


def test_strange_parts_of_a_schema_are_passed_over() -> None:
    told = {
        "custom": {"a": {"Type": "enum"}, "b": {"Type": 7, "DisplayName": 8}, "c": "text"},
        "x": None,
        "y": {},
    }
    with a_pendo(lambda _: told) as client:
        assert fetch_fields(client, kind="account").select("field", "type", "display_name").rows() == [
            ("a", None, None),
            ("b", None, None),
        ]
    with (
        a_pendo(lambda _: []) as client,
        pytest.raises(AnswerError, match=r"Expected groups of fields.*Hint:"),
    ):
        fetch_fields(client, kind="account")


# --- values, from the sandbox


@pytest.mark.parametrize("single_reads", [200, 0])
def test_single_reads_and_pages_give_the_same(sandbox: Sandbox, client: Client, single_reads: int) -> None:
    ids = [f"u-{number:04d}" for number in range(1, 60)] + ODD_IDS
    values = ensure_frame(
        fetch_values(client, MAPPING, ids=ids, single_reads=single_reads, page_size=25), VALUES, "values"
    )
    held = sandbox.values("visitor", "custom")
    assert values["row"].to_list() == list(range(values.height))
    assert set(values["id"]) == set(ids)
    if single_reads:
        assert values["id"].to_list() == list(dict.fromkeys(ids))
    for row in values.iter_rows(named=True):
        raw = json.loads(row["raw"] or "{}")
        for field in TYPES:
            value = held[row["id"]].get(field)
            if field in raw:
                assert row[field] is None
                assert json.loads(raw[field]) == value
            elif isinstance(row[field], datetime):
                assert row[field].timestamp() * 1000 == value
            else:
                assert row[field] == value
    assert values.filter(pl.col("raw").is_not_null())["id"].sort().to_list() == [
        "u-0005", "u-0011", "u-0017", "u-0023", "u-0031", "u-0041",
    ]  # fmt: skip


@pytest.mark.parametrize("single_reads", [200, 0])
def test_unknown_empty_and_repeated_ids_are_left_out(client: Client, single_reads: int) -> None:
    ids = ["nobody", "u-0001", "", "u-0001", ".", "..", "***", "u-0001/../u-0002"]
    assert fetch_values(client, MAPPING, ids=ids, single_reads=single_reads)["id"].to_list() == ["u-0001"]


def test_where_unknown_ids_are_forbidden_all_are_read_in_pages(sandbox: Sandbox, client: Client) -> None:
    sandbox.switch(unknown_id_status=403)
    assert fetch_values(client, MAPPING, ids=["nobody", "u-0001"])["id"].to_list() == ["u-0001"]


def test_without_ids_all_that_were_identified_are_read(client: Client) -> None:
    everyone = fetch_values(client, MAPPING, page_size=100)
    assert everyone.height == 207
    assert everyone["id"].is_sorted()
    accounts = fetch_values(client, Mapping("account", id="id", traits=["mrr"]), page_size=7)
    assert accounts.height == 20
    assert accounts["mrr"].dtype == pl.Float64


def test_no_ids_need_no_request(client: Client) -> None:
    none = fetch_typed(client, kind="visitor", group="custom", types=TYPES, ids=[])
    assert none.schema == {**VALUES, **{name: DTYPES[type_] for name, type_ in TYPES.items()}}
    assert (none.height, client.n_requests) == (0, 0)


@pytest.mark.parametrize("ids", [[1], pl.Series([1, 2]), [None, 5.0]])
def test_ids_that_are_no_texts_are_told(client: Client, ids: Any) -> None:
    with pytest.raises(FrameError, match=r"The ids hold .*Expected texts.*Hint:"):
        fetch_values(client, MAPPING, ids=ids)


def test_types_come_from_the_values_at_hand(client: Client) -> None:
    mine = map_traits(
        pl.DataFrame({"id": ["u-0001"], "seats": ["5"], "plan": ["x"]}),
        Mapping("visitor", id="id", traits=["seats", "plan"]),
    )
    before = client.n_requests
    held = fetch_values(client, MAPPING, like=mine, ids=mine["id"])
    assert client.n_requests == before + 1
    assert held.drop("row", "id", "raw").schema == {"seats": pl.String, "plan": pl.String}
    assert json.loads(held["raw"][0])["seats"].isdigit()
    odd = mine.with_columns(seats=pl.lit(b"5"))
    with pytest.raises(FrameError, match="seats: is Binary"):
        fetch_values(client, MAPPING, like=odd)


def test_types_come_from_the_traits_then_from_pendo_then_text(client: Client) -> None:
    mapping = Mapping("visitor", id="id", traits=[Trait("seats", type="float"), "plan", "trial", "nowhere"])
    held = fetch_values(client, mapping, ids=["u-0001"])
    assert list(held.schema.values())[3:] == [pl.Float64, pl.String, pl.Boolean, pl.String]


def test_the_webhooks_group_is_read_too(client: Client) -> None:
    message = {"type": "identify", "userId": "u-0001", "traits": {"plan": "pro"}, "messageId": "1"}
    client.call(client.request, "POST", "/data/segmentio/***", host="data", body=json.dumps(message).encode())
    mapping = Mapping("visitor", id="id", traits=["plan"], route="webhook")
    assert fetch_values(client, mapping, ids=["u-0001"])["plan"].to_list() == ["pro"]


# --- values, page by page


def pages_of(ids: list[str]) -> Callable[[httpx.Request], object]:
    def answer(request: httpx.Request) -> object:
        steps = json.loads(request.content)["request"]["pipeline"]
        after = [json.loads(step["filter"].split(">", 1)[1]) for step in steps if "filter" in step]
        left = [id_ for id_ in sorted(ids) if not after or id_ > after[0]]
        return {"results": [{"visitorId": id_} for id_ in left[: steps[-1]["limit"]]]}

    return answer


@pytest.mark.parametrize(("n", "requests"), [(0, 1), (4, 1), (5, 2), (9, 2), (10, 3)])
def test_pages_are_read_until_one_is_not_full(n: int, requests: int) -> None:
    ids = [f'"{number}\\"' for number in range(n)]
    with a_pendo(pages_of(ids)) as client:
        read = fetch_typed(client, kind="visitor", group="custom", types={}, page_size=5)
        assert (read["id"].to_list(), client.n_requests) == (ids, requests)


def test_the_pipeline_is_the_one_that_pendos_clients_send() -> None:
    sent: list[Any] = []

    def answer(request: httpx.Request) -> object:
        sent.append(json.loads(request.content))
        key = "visitorId" if len(sent) < 3 else "accountId"
        return {"results": [{key: 'a"ü', "metadata": {}}] if len(sent) == 1 else []}

    with a_pendo(answer) as client:
        for kind in ("visitor", "account"):
            fetch_typed(client, kind=kind, group="custom", types={}, page_size=1)  # type: ignore[arg-type]
    assert sent[0] == {
        "response": {"mimeType": "application/json"},
        "request": {
            "pipeline": [
                {"source": {"visitors": {"identified": True}}},
                {"sort": ["visitorId"]},
                {"limit": 1},
            ]
        },
    }
    assert sent[1]["request"]["pipeline"][2] == {"filter": 'visitorId>"a\\"ü"'}
    assert sent[2]["request"]["pipeline"][:2] == [{"source": {"accounts": None}}, {"sort": ["accountId"]}]


@pytest.mark.parametrize(
    "told",
    [
        {"results": [{"visitorId": "a"}, {"visitorId": "b"}]},
        {"results": [{"visitorId": "a"}, {"visitorId": "a"}]},
        {"results": [{"visitorId": 7}]},
        {"results": [{"accountId": "a"}]},
        {"results": [{"visitorId": "a", "metadata": []}]},
        {"results": [{"visitorId": "\ud800"}]},
        {"results": [["a"]]},
        {"results": None},
        [],
        None,
        httpx.Response(200, text="<html>"),
    ],
)
def test_a_page_that_can_not_be_or_does_not_advance_is_told(told: object) -> None:
    with a_pendo(lambda _: told) as client, pytest.raises(AnswerError) as caught:
        fetch_typed(client, kind="visitor", group="custom", types={}, page_size=2)
    assert "Hint:" in str(caught.value)
    assert caught.value.path == "/api/v1/aggregation"


@pytest.mark.parametrize(
    "told", [[], None, {}, {"total": 1}, {"metadata": 7}, httpx.Response(200, text="no")]
)
def test_a_single_answer_that_can_not_be_is_told(told: object) -> None:
    with a_pendo(lambda _: told) as client, pytest.raises(AnswerError):
        fetch_typed(client, kind="visitor", group="custom", types={}, ids=["a"])


def test_another_refusal_is_no_unknown_id() -> None:
    with a_pendo(lambda _: httpx.Response(410)) as client, pytest.raises(RefusedError):
        fetch_typed(client, kind="visitor", group="custom", types={}, ids=["a", "b"])


def test_an_id_beyond_any_path_is_read_by_pages() -> None:
    long = "a" * 70_000
    row = {"accountId": long, "metadata": {"custom": {"plan": "pro"}}}
    with a_pendo(lambda _: {"results": [row]}) as client:
        held = fetch_typed(client, kind="account", group="custom", types={"plan": "text"}, ids=[long, "b"])
    assert held.select("id", "plan").rows() == [(long, "pro")]


# --- values, cell by cell

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
AT_MS = 1767323045678


@pytest.mark.parametrize(
    ("type_", "held", "cell"),
    [
        ("text", "a", "a"), ("text", "", ""), ("text", "\x00😀", "\x00😀"),
        ("boolean", False, False),
        ("integer", -5, -5), ("integer", 5.0, 5), ("integer", 2**63 - 1, 2**63 - 1), ("integer", -(2**63), -(2**63)),
        ("float", 5, 5.0), ("float", 0.1, 0.1), ("float", 2**53, 2.0**53), ("float", 2**60, 2.0**60),
        ("date", AT_MS, AT), ("date", float(AT_MS), AT), ("date", 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("date", -62135596800000, datetime(1, 1, 1, tzinfo=UTC)),
        ("date", 253402300799999, datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=UTC)),
        ("date", "2026-01-02T03:04:05.678Z", AT), ("date", "2026-01-02T04:04:05.678000+01:00", AT),
        ("date", "2026-01-02T03:04:05Z", AT.replace(microsecond=0)),
        ("date", "2026-01-02T03:04-0000", AT.replace(second=0, microsecond=0)),
        ("date", "2026-01-02T03:04:05.6Z", AT.replace(microsecond=600000)),
        ("list", [], []), ("list", ["a", ""], ["a", ""]),
    ],
)  # fmt: skip
def test_a_value_of_the_fields_type_is_typed(type_: FieldType, held: object, cell: object) -> None:
    for others in ([], [...], [None], [{"a": 1}]):
        cells, raws = column([held, *others], type_)
        assert cells == [cell] + [None] * len(others)
        assert raws[0] is None
        assert type(cells[0]) is type(cell)


@pytest.mark.parametrize(
    ("type_", "held", "raw"),
    [
        ("text", 7, "7"), ("text", True, "true"), ("text", ["a"], '["a"]'), ("text", {"a": "ü"}, '{"a":"ü"}'),
        ("text", "\ud800", '"\\ud800"'), ("text", float("inf"), "1e999"),
        ("boolean", "yes", '"yes"'), ("boolean", 1, "1"), ("boolean", 0.0, "0.0"),
        ("integer", "5", '"5"'), ("integer", True, "true"), ("integer", 8.5, "8.5"), ("integer", 2**63, str(2**63)),
        ("integer", 1e300, "1e+300"), ("integer", float("-inf"), "-1e999"),
        ("float", "1", '"1"'), ("float", False, "false"), ("float", 2**53 + 1, str(2**53 + 1)),
        ("float", 10**400, "1" + "0" * 400), ("float", float("inf"), "1e999"),
        ("date", "last spring", '"last spring"'), ("date", "2026-01-02", '"2026-01-02"'),
        ("date", "2026-01-02T03:04:05", '"2026-01-02T03:04:05"'), ("date", "2026-02-30T00:00:00Z", '"2026-02-30T00:00:00Z"'),
        ("date", "2026-01-02T03:04:05.6789Z", '"2026-01-02T03:04:05.6789Z"'),
        ("date", "0001-01-01T00:00:00+05:00", '"0001-01-01T00:00:00+05:00"'),
        ("date", True, "true"), ("date", 0.5, "0.5"), ("date", 253402300800000, "253402300800000"),
        ("date", -62135596800001, "-62135596800001"), ("date", 2**70, str(2**70)),
        ("list", "a", '"a"'), ("list", ["a", 1], '["a",1]'), ("list", [None], "[null]"), ("list", ["\udfff"], '["\\udfff"]'),
    ],
)  # fmt: skip
def test_a_value_of_another_type_stays_raw(type_: FieldType, held: object, raw: str) -> None:
    for others in ([], [...], [None]):
        assert column([held, *others], type_) == ([None] * (1 + len(others)), [raw] + [None] * len(others))


def test_raw_holds_each_stranger_of_a_row() -> None:
    records = [
        {"metadata": {"custom": {"it's": 1, "b": [1]}}},
        {"metadata": {"agent": {}}},
        {"metadata": None},
        {},
    ]
    frame = values_frame(list("abcd"), records, "custom", {"it's": "text", "b": "integer"})
    assert frame["raw"].to_list() == ['{"it\'s":"1","b":"[1]"}', None, None, None]
    odd = values_frame(["a"], [{"metadata": {"custom": "text"}}], "custom", {"b": "integer"})
    assert odd.select("raw", "b").row(0) == (None, None)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.sampled_from([AT_MS, "2026-01-02T03:04:05.678Z", 5.0, [], ["a"], ["a", "b"]]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)  # fmt: skip


@given(held=st.lists(json_values, max_size=6), type_=st.sampled_from(list(DTYPES)))
def test_each_held_value_is_either_typed_or_raw(held: list[Any], type_: FieldType) -> None:
    cells, raws = column(held, type_)
    for value, cell, raw in zip(held, cells, raws, strict=True):
        if value is None:
            assert cell is raw is None
        elif raw is None:
            assert isinstance(cell, datetime) or (
                cell == value and isinstance(cell, bool) == isinstance(value, bool)
            )
        else:
            assert cell is None
            assert json.loads(raw) == value


def test_a_large_page_is_typed_quickly() -> None:
    custom = {"plan": "pro", "seats": 5, "score": 0.5, "trial": True, "signedup": AT_MS, "tags": ["a", "b"]}
    records = [{"metadata": {"custom": custom}}] * 100_000
    began = time.process_time()
    frame = values_frame(list(map(str, range(100_000))), records, "custom", {**TYPES, "tags": "list"})
    assert time.process_time() - began < 5
    assert frame.null_count().row(0) == (100_000, 0, 100_000, 0, 0, 0, 0, 0, 0)


# --- access


def test_access_is_told_in_one_sentence(sandbox: Sandbox) -> None:
    for region, read_only, words in (
        ("us", False, "works for us (127.0.0.1"),
        ("us", True, "read-only: in Pendo tick 'Allow write access'"),
        ("eu", False, "and may write."),
    ):
        with open_client(sandbox.settings_for(region, read_only=read_only)) as client:
            sentence = check_access(client)
        assert words in sentence
        assert sentence.count(". ") == 0
        assert sentence.endswith(".")


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_key_is_a_sentence_too(status: int) -> None:
    with a_pendo(lambda _: httpx.Response(status)) as client:
        assert "was refused by us (app.pendo.io): it is wrong, or it is another region's." in check_access(
            client
        )


def test_a_key_that_no_longer_holds_is_refused() -> None:
    answers: Iterator[object] = iter([{}, httpx.Response(403), {"valid": False}])
    with a_pendo(lambda _: next(answers)) as client:
        client.call(client.request, "GET", "/api/v1/x")
        assert "was refused" in check_access(client)
        assert "was refused" in check_access(client)


def test_write_access_that_is_not_told_is_none() -> None:
    with a_pendo(lambda _: {"valid": True}) as client:
        assert "read-only" in check_access(client)


@pytest.mark.parametrize("told", [[], {}, {"valid": "yes"}])
def test_no_word_on_the_key_is_an_error(told: object) -> None:
    with a_pendo(lambda _: told) as client, pytest.raises(AnswerError, match="no word on the key"):
        check_access(client)


def test_access_needs_a_key_and_a_way() -> None:
    with open_client(Settings()) as client, pytest.raises(SettingsError, match="integration key"):
        check_access(client)

    def cut_off(request: httpx.Request) -> object:
        raise httpx.ConnectError("no route")

    with a_pendo(cut_off) as client, pytest.raises(UnreachableError):
        check_access(client)
