"""Fields, and values written in bulk and singly."""

from urllib.parse import quote

import pytest

BULK = "/api/v1/metadata/visitor/custom/value"
SCHEMA = "/api/v1/metadata/schema/visitor"
DESCRIPTOR = {
    "Type": "string",
    "DisplayName": "Sales Region",
    "ElementType": "",
    "ElementFormat": "",
    "Dirty": False,
    "isHidden": False,
    "isDeleted": False,
    "isCalculated": False,
    "isPerApp": False,
    "neverIndex": False,
}


def record(id_, **values):
    return {"visitorId": id_, "values": values}


def held(sandbox, id_="u-0001", group="custom"):
    return sandbox.values("visitor", group).get(id_)


def test_schema_describes_each_field(call):
    schema = call("GET", SCHEMA).content
    assert set(schema) == {"auto", "agent", "custom", "pendo"}
    assert schema["custom"]["region"] == DESCRIPTOR
    assert schema["custom"]["oldplan"]["isDeleted"]
    assert schema["custom"]["healthscore"]["isCalculated"]
    assert schema["custom"]["internalnote"]["isHidden"]
    assert schema["custom"]["legacy"]["Type"] == ""
    assert (schema["agent"]["tags"]["Type"], schema["agent"]["tags"]["ElementType"]) == ("list", "string")


def test_schema_of_an_unknown_kind_is_404(call):
    assert call("GET", "/api/v1/metadata/schema/user").status == 404
    assert call("GET", "/api/v1/metadata/schema/parentAccount").status == 200


def test_fields_are_created_and_can_be_written(call, sandbox):
    asked = [{"name": "tier", "displayname": "The Tier", "type": "string"}, {"name": "n", "type": "number"}]
    assert call("POST", f"{SCHEMA}/custom", asked).status == 200
    fields = call("GET", SCHEMA).content["custom"]
    assert (fields["tier"]["DisplayName"], fields["tier"]["Type"], fields["n"]["Type"]) == (
        "The Tier",
        "string",
        "float",
    )
    assert call("POST", BULK, [record("u-0001", tier="gold", n=2)]).content["updated"] == 1
    sandbox.switch(number_created_as="integer")
    call("POST", f"{SCHEMA}/custom", [{"name": "m", "type": "number"}])
    assert sandbox.fields("visitor")["custom"]["m"]["type"] == "integer"


@pytest.mark.parametrize(
    "asked",
    [
        {"name": "x", "type": "string"},
        [{"name": "x"}],
        [{"name": "x", "type": "list"}],
        [{"name": "1x", "type": "string"}],
        [{"name": "a b", "type": "string"}],
        [{"name": "fine", "type": "string"}, {"name": "plan", "type": "number"}],
        [{"name": "healthscore", "type": "number"}],
    ],
)
def test_fields_that_cant_be_created_are_400_and_none_is(call, sandbox, asked):
    before = sandbox.fields("visitor")
    assert call("POST", f"{SCHEMA}/custom", asked).status == 400
    assert sandbox.fields("visitor") == before


def test_created_names_are_read_as_the_switches_say(call, sandbox):
    sandbox.switch(fold_created_keys=True, illegal_field_names="accepted", lists_outside_agent="accepted")
    asked = [
        {"name": "SFDC_Profile", "type": "string"},
        {"name": "1st", "type": "string"},
        {"name": "l", "type": "list"},
    ]
    assert call("POST", f"{SCHEMA}/custom", asked).status == 200
    assert {"sfdcprofile", "1st", "l"} < set(sandbox.fields("visitor")["custom"])


def test_deleted_field_refuses_writes_until_it_is_created_again(call, sandbox):
    assert call("DELETE", f"{SCHEMA}/custom/plan").status == 200
    assert call("DELETE", f"{SCHEMA}/custom/plan").status == 404
    assert call("POST", BULK, [record("u-0001", plan="x")]).status == 400
    assert call("POST", f"{SCHEMA}/custom", [{"name": "plan", "type": "string"}]).status == 200
    assert call("POST", BULK, [record("u-0001", plan="x")]).status == 200
    assert held(sandbox)["plan"] == "x"


@pytest.mark.parametrize("field", ["nosuch", "healthscore"])
def test_field_that_cant_be_deleted_is_refused(call, field):
    assert call("DELETE", f"{SCHEMA}/custom/{field}").status in (400, 404)


def test_bulk_write_holds_each_type_as_pendo_reads_it_back(call, sandbox):
    values = {
        "plan": "free",
        "seats": 4.0,
        "score": 7,
        "trial": True,
        "signedup": "2026-11-23T18:00:00.250+01:00",
        "legacy": 1,
    }
    assert call("POST", BULK, [record("u-0001", **values)]).content == {"total": 1, "updated": 1, "failed": 0}
    expected = {
        "plan": "free",
        "seats": 4,
        "score": 7.0,
        "trial": True,
        "signedup": 1795453200250,
        "legacy": 1,
    }
    assert expected.items() <= held(sandbox).items()
    assert isinstance(held(sandbox)["seats"], int)


@pytest.mark.parametrize(
    "text",
    [
        "1969-12-31T23:59:59.999Z",
        "2026-02-28T00:00:00+0530",
        "2026-02-28T00:00Z",
        "0001-01-01T00:00:00.000+00:00",
    ],
)
def test_time_with_an_offset_is_taken(call, text):
    assert call("POST", BULK, [record("u-0001", signedup=text)]).content["updated"] == 1


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("plan", 5),
        ("plan", ["a"]),
        ("seats", 1.5),
        ("seats", "5"),
        ("seats", True),
        ("score", "1.5"),
        ("score", False),
        ("trial", 1),
        ("trial", "true"),
        ("signedup", "2026-11-23"),
        ("signedup", "2026-11-23 18:00:00+00:00"),
        ("signedup", "2026-11-23T18:00:00"),
        ("signedup", "2026-13-23T18:00:00Z"),
        ("signedup", 1795453200250),
        ("legacy", {"a": 1}),
    ],
)
def test_wrong_type_fails_its_record_only(call, sandbox, field, value):
    before = held(sandbox)
    reply = call(
        "POST", BULK, [record("u-0001", **{"hasnote": "x", field: value}), record("u-0002", plan="x")]
    )
    counts = reply.content
    assert (counts["total"], counts["updated"], counts["failed"], len(counts["errors"])) == (2, 1, 1, 1)
    assert repr(field) in counts["errors"][0]
    assert "u-0001" not in counts["errors"][0]
    assert held(sandbox) == before


@pytest.mark.parametrize("text", ["1e400", "-1e400", "9" * 400])
def test_number_beyond_all_bounds_fails_its_record(call, text):
    body = f'[{{"visitorId": "u-0001", "values": {{"score": {text}}}}}]'
    assert call("POST", BULK, body).content["failed"] == 1


def test_unknown_ids_are_missing_and_not_created(call, sandbox):
    reply = call(
        "POST", BULK, [record("nobody", plan="x"), record("u-0001", plan="x"), record("U-0001", plan="x")]
    )
    assert reply.content == {"total": 3, "updated": 1, "failed": 2, "missing": ["nobody", "U-0001"]}
    assert "nobody" not in sandbox.values("visitor")


def test_counts_add_up_when_all_goes_wrong_at_once(call):
    records = [record("nobody", plan="x"), record("u-0001", plan=1), record("u-0002", plan="x")]
    counts = call("POST", BULK, records).content
    assert counts["total"] == counts["updated"] + counts["failed"] == 3
    assert counts["failed"] == len(counts["missing"]) + len(counts["errors"]) == 2


def test_create_makes_unknown_ids_unless_their_values_are_wrong(call, sandbox):
    counts = call("POST", f"{BULK}?create=true", [record("new", plan="x"), record("bad", plan=1)]).content
    assert (counts["updated"], counts["failed"], "missing" in counts) == (1, 1, False)
    assert held(sandbox, "new") == {"plan": "x"}
    assert held(sandbox, "bad") is None


def test_accounts_are_written_under_account_id(call, sandbox):
    path = "/api/v1/metadata/account/custom/value"
    assert call("POST", path, [{"accountId": "acme", "values": {"mrr": 5}}]).content["updated"] == 1
    assert sandbox.values("account", "custom")["acme"]["mrr"] == 5.0
    assert call("POST", path, [{"visitorId": "acme", "values": {}}]).status == 400


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[",
        "{}",
        "null",
        "[1]",
        '["visitorId"]',
        "[{}]",
        '[{"visitorId": "u-0001"}]',
        '[{"visitorId": 1, "values": {}}]',
        '[{"visitorId": "", "values": {}}]',
        '[{"visitorId": "u-0001", "values": []}]',
        '[{"visitorId": "u-0001", "values": {"score": NaN}}]',
        '[{"visitorId": "u-0001", "values": {}}],[{"visitorId": "u-0002", "values": {}}]',
        "[]],[[]",
        "]",
        '[{"visitorId": "u-0001", "values": {"score": Infinity}}]',
        "[" * 100_000,
        b"[\xff]",
    ],
)
def test_malformed_request_is_400(call, body):
    assert call("POST", BULK, body).status == 400


@pytest.mark.parametrize("field", ["nosuch", "Plan", "Sales Region", "oldplan", "healthscore"])
def test_field_that_cant_be_written_refuses_the_whole_request(call, sandbox, field):
    before = sandbox.values("visitor")
    assert call("POST", BULK, [record("u-0001", plan="x"), record("u-0002", **{field: "x"})]).status == 400
    assert sandbox.values("visitor") == before


@pytest.mark.parametrize("group", ["auto", "pendo", "segmentio", "salesforce", "nosuch"])
def test_group_that_cant_be_written_is_400(call, group):
    assert call("POST", f"/api/v1/metadata/visitor/{group}/value", []).status == 400


def test_agent_fields_are_writable_by_one_reading_only(call, sandbox):
    path, body = "/api/v1/metadata/visitor/agent/value", [record("u-0001", role="admin", tags=["a", "b"])]
    assert call("POST", path, body).content["updated"] == 1
    assert held(sandbox, group="agent")["tags"] == ["a", "b"]
    sandbox.switch(agent_writable=False)
    assert call("POST", path, body).status == 400


def test_null_clears_is_ignored_or_is_an_error(call, sandbox):
    body = [record("u-0002", plan=None)]
    sandbox.switch(null_in_writes="ignored")
    assert call("POST", BULK, body).content["updated"] == 1
    assert "plan" in held(sandbox, "u-0002")
    sandbox.switch(null_in_writes="refused")
    assert call("POST", BULK, body).content["failed"] == 1
    sandbox.switch(null_in_writes="clears")
    assert call("POST", BULK, body).content["updated"] == 1
    assert "plan" not in held(sandbox, "u-0002")


def test_text_is_read_as_the_switches_say(call, sandbox):
    long = "x" * 1501
    call("POST", BULK, [record("u-0001", plan="", region=long)])
    assert (held(sandbox)["plan"], held(sandbox)["region"]) == ("", long)
    sandbox.switch(empty_text="clears", text_over_1500="cut")
    call("POST", BULK, [record("u-0001", plan="", region=long)])
    assert ("plan" in held(sandbox), held(sandbox)["region"]) == (False, "x" * 1500)
    sandbox.switch(text_over_1500="refused")
    assert call("POST", BULK, [record("u-0001", region=long)]).content["failed"] == 1


def test_wrong_types_and_numbers_for_times_are_taken_by_switch(call, sandbox):
    sandbox.switch(wrong_types="kept", epoch_ms_in_writes="accepted")
    body = [record("u-0001", seats="5", signedup=1795453200250), record("u-0002", signedup="last spring")]
    assert call("POST", BULK, body).content["updated"] == 2
    assert (held(sandbox)["seats"], held(sandbox)["signedup"]) == ("5", 1795453200250)
    assert held(sandbox, "u-0002")["signedup"] == "last spring"


def test_empty_missing_and_errors_are_absent_empty_or_null(call, sandbox):
    sandbox.switch(missing_when_empty="empty", errors_when_empty="null")
    assert call("POST", BULK, []).content == {
        "total": 0,
        "updated": 0,
        "failed": 0,
        "missing": [],
        "errors": None,
    }


def test_errors_name_ids_by_switch(call, sandbox):
    sandbox.switch(errors_name_ids=True)
    assert call("POST", BULK, [record("u-0001", plan=1)]).content["errors"][0].startswith("u-0001")


def test_duplicate_ids_follow_the_switch(call, sandbox):
    body = [record("u-0001", plan="one"), record("u-0001", plan="two")]
    call("POST", BULK, body)
    assert held(sandbox)["plan"] == "two"
    sandbox.switch(duplicate_ids="first_wins")
    call("POST", BULK, body)
    assert held(sandbox)["plan"] == "one"
    sandbox.switch(duplicate_ids="refused")
    assert call("POST", BULK, body).status == 400


def test_limits_of_a_request_are_off_until_switched_on(call, sandbox):
    body = [record("u-0001", plan="x" * 600), record("u-0002", plan="x" * 600)]
    assert call("POST", BULK, body).status == 200
    sandbox.switch(max_records=1)
    assert call("POST", BULK, body).status == 400
    sandbox.switch(max_records=None, max_body_mb=0.001)
    assert call("POST", BULK, body).status == 413


def test_long_visitor_id_is_cut_at_128_bytes_or_kept(call, sandbox):
    call("POST", f"{BULK}?create=true", [record("ü" * 65, plan="x")])
    assert held(sandbox, "ü" * 64) == {"plan": "x"}
    sandbox.switch(long_visitor_ids="kept")
    call("POST", f"{BULK}?create=true", [record("v" * 129, plan="x")])
    assert held(sandbox, "v" * 129) == {"plan": "x"}


def test_parent_accounts_are_written_by_switch_only(call, sandbox):
    path, body = (
        "/api/v1/metadata/parentAccount/custom/value?create=true",
        [{"accountId": "mum", "values": {"tier": "1"}}],
    )
    assert call("POST", path, body).status == 400
    sandbox.switch(parent_account_id_key="accountId")
    assert call("POST", path, body).content["updated"] == 1
    assert sandbox.values("parentAccount", "custom") == {"mum": {"tier": "1"}}


def test_single_value_is_bare_json(call):
    path = "/api/v1/metadata/visitor/custom/value/u-0002"
    assert call("PUT", f"{path}/plan", '"silver"').status == 200
    assert call("GET", f"{path}/plan").text == '"silver"'
    assert call("PUT", f"{path}/signedup", '"2026-01-01T00:00:00.000+00:00"').status == 200
    assert call("GET", f"{path}/signedup").text == "1767225600000"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("custom/value/nobody/plan", '"x"', 404),
        ("custom/value/u-0001/nosuch", '"x"', 400),
        ("custom/value/u-0001/oldplan", '"x"', 400),
        ("custom/value/u-0001/seats", '"x"', 400),
        ("custom/value/u-0001/seats", "x", 400),
        ("auto/value/u-0001/accountid", '"x"', 400),
        ("pendo/value/u-0001/donotprocess", "true", 200),
        ("pendo/value/u-0001/blacklistguides", "false", 200),
        ("pendo/value/u-0001/blacklistguides", "1", 400),
    ],
)
def test_put_is_as_strict_as_the_bulk_write(call, path, body, status):
    assert call("PUT", f"/api/v1/metadata/visitor/{path}", body).status == status


def test_put_creates_a_field_by_switch(call, sandbox):
    sandbox.switch(put_creates_fields=True)
    assert call("PUT", "/api/v1/metadata/visitor/custom/value/u-0001/shoe", '"42"').status == 200
    assert sandbox.fields("visitor")["custom"]["shoe"]["type"] == "string"


def test_absent_value_is_404_or_null(call, sandbox):
    path = "/api/v1/metadata/visitor/custom/value/u-0020/plan"
    assert call("GET", path).status == 404
    sandbox.switch(absent_value="null")
    assert call("GET", path).text == "null"


@pytest.mark.parametrize("id_", ["a/b", "ünï", "x y", "100%", "plus+one", "ann@example.com", "U-0007"])
def test_ids_are_percent_decoded(call, sandbox, id_):
    path = f"/api/v1/metadata/visitor/custom/value/{quote(id_, safe='')}/plan"
    assert call("PUT", path, '"odd"').status == 200
    assert call("GET", path).content == "odd"
    assert held(sandbox, id_)["plan"] == "odd"
