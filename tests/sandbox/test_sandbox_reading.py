"""One visitor or account, and the aggregation pipeline."""

import json
from urllib.parse import quote

import pytest


def pipeline(*steps):
    return {"response": {"mimeType": "application/json"}, "request": {"pipeline": list(steps)}}


def ids(reply, key="visitorId"):
    return [row[key] for row in reply.content["results"]]


@pytest.fixture
def aggregate(call):
    return lambda *steps: call("POST", "/api/v1/aggregation", pipeline(*steps))


EVERYONE = {"source": {"visitors": None}}
IDENTIFIED = {"source": {"visitors": {"identified": True}}}
SORTED = {"sort": ["visitorId"]}


def test_visitor_is_read_whole(call, sandbox):
    reply = call("GET", "/api/v1/visitor/u-0002")
    assert reply.content == {"id": "u-0002", "metadata": sandbox.values("visitor")["u-0002"]}
    assert call("GET", "/api/v1/account/acme").content["metadata"]["agent"] == {"name": "Acme"}


def test_unknown_id_is_404_or_403(call, sandbox):
    assert call("GET", "/api/v1/visitor/nobody").status == 404
    assert call("GET", "/api/v1/visitor/u-0007").content != call("GET", "/api/v1/visitor/U-0007").content
    sandbox.switch(unknown_id_status=403)
    assert call("GET", "/api/v1/account/nobody").status == 403


@pytest.mark.parametrize("id_", ["a/b", "ünï", "100%", "_PENDO_T_Ab3dE"])
def test_visitor_id_is_percent_decoded(call, id_):
    assert call("GET", f"/api/v1/visitor/{quote(id_, safe='')}").content["id"] == id_


def test_aggregation_pages_through_all_in_order(aggregate, sandbox):
    found, last = [], ""
    while page := ids(
        aggregate(IDENTIFIED, SORTED, {"filter": f"visitorId>{json.dumps(last)}"}, {"limit": 30})
    ):
        found, last = found + page, page[-1]
    everyone = sandbox.values("visitor")
    assert found == sorted(id_ for id_ in everyone if not id_.startswith("_PENDO_T_"))
    assert len(found) == 207


def test_aggregation_row_has_the_metadata_as_held(aggregate, sandbox):
    rows = aggregate(IDENTIFIED, SORTED).content["results"]
    assert {row["visitorId"]: row["metadata"] for row in rows}.items() <= sandbox.values("visitor").items()


def test_anonymous_visitors_are_in_all_visitors_only(aggregate):
    assert len(ids(aggregate(EVERYONE))) - len(ids(aggregate(IDENTIFIED))) == 4


def test_rows_without_a_sort_come_as_they_came_in(aggregate):
    assert ids(aggregate(EVERYONE))[-1].startswith("_PENDO_T_")
    assert ids(aggregate(EVERYONE, SORTED))[-1] == "ünï"


def test_accounts_are_aggregated_too(aggregate, sandbox):
    reply = aggregate(
        {"source": {"accounts": None}}, {"sort": ["-accountId"]}, {"filter": 'accountId<"b"'}, {"limit": 2}
    )
    assert ids(reply, "accountId") == ["aperture", "acme"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('visitorId=="u-0003"', ["u-0003"]),
        ('visitorId >= "u-0198" && visitorId <= "u-0199"', ["u-0198", "u-0199"]),
        ('visitorId>"u-0198"&&visitorId!="u-0199"', ["u-0200", "x y", "ünï"]),
        ('visitorId<"U-0007"', ["100%"]),
        ('visitorId=="a\\u002fb"', ["a/b"]),
        ('visitorId=="say \\"hi\\""', []),
    ],
)
def test_filter_compares_ids(aggregate, text, expected):
    assert ids(aggregate(IDENTIFIED, SORTED, {"filter": text})) == expected
    assert sorted(ids(aggregate(IDENTIFIED, {"filter": text}))) == expected


def test_steps_are_carried_out_in_their_order(aggregate):
    first = ids(aggregate(IDENTIFIED, {"limit": 2}, {"sort": ["-visitorId"]}))
    assert first == ["u-0002", "u-0001"]


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [SORTED],
        [IDENTIFIED, IDENTIFIED],
        [{"source": {"pages": None}}],
        [{"source": {"visitors": {"identified": 1}}}],
        [{"source": {"accounts": {"identified": True}}}],
        [IDENTIFIED, {"sort": ["metadata.custom.plan"]}],
        [IDENTIFIED, {"sort": "visitorId"}],
        [IDENTIFIED, {"filter": "visitorId>x"}],
        [IDENTIFIED, {"filter": 'visitorId>"a" || visitorId<"b"'}],
        [IDENTIFIED, {"filter": 'visitorId>"a" &&'}],
        [IDENTIFIED, {"filter": 'accountId>"a"'}],
        [IDENTIFIED, {"filter": None}],
        [IDENTIFIED, {"limit": 0}],
        [IDENTIFIED, {"limit": "5"}],
        [IDENTIFIED, {"group": {}}],
    ],
)
def test_pipeline_that_is_not_understood_is_400(aggregate, steps):
    assert aggregate(*steps).status == 400


def test_aggregation_answers_json_only(call):
    asked = pipeline(IDENTIFIED) | {"response": {"mimeType": "text/csv"}}
    assert call("POST", "/api/v1/aggregation", asked).status == 400
    assert call("POST", "/api/v1/aggregation", []).status == 400


def test_written_ids_are_found_at_once(aggregate, call):
    aggregate(IDENTIFIED, SORTED)
    body = [{"visitorId": "u-0001a", "values": {"plan": "x"}}]
    call("POST", "/api/v1/metadata/visitor/custom/value?create=true", body)
    assert ids(aggregate(IDENTIFIED, SORTED, {"filter": 'visitorId>"u-0001"'}, {"limit": 1})) == ["u-0001a"]


def test_half_a_character_in_a_filter_is_refused_like_any_other(aggregate):
    assert aggregate(IDENTIFIED, {"filter": 'visitorId=="\ud800\\x"'}).status == 400
