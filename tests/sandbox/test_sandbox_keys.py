"""Which key opens what, in which region."""

import pytest
from sandbox_caller import Caller

VERIFY = ("GET", "/api/v1/token/verify")
WRITE = ("POST", "/api/v1/metadata/visitor/custom/value", [])


def test_token_says_that_the_key_is_valid_and_may_write(call):
    assert call(*VERIFY).content == {"valid": True, "writeAccess": True}


def test_token_of_a_read_only_key_may_not_write(sandbox):
    read_only = Caller(sandbox.port, key="sandbox-us-read-only-key")
    assert read_only(*VERIFY).content == {"valid": True, "writeAccess": False}
    assert read_only("GET", "/api/v1/visitor/u-0001").status == 200
    assert read_only(*WRITE).status == 403
    sandbox.switch(read_only_key_status=401)
    assert read_only(*WRITE).status == 401


@pytest.mark.parametrize("key", [None, "", "wrong", "sandbox-us-app-key", "sandbox-us-track-secret"])
def test_wrong_key_gets_403_and_an_empty_body(sandbox, key):
    reply = Caller(sandbox.port, key=key)(*VERIFY)
    assert (reply.status, reply.text) == (403, "")


@pytest.mark.parametrize("region", ["us", "us1", "eu", "jpn", "au"])
def test_region_is_a_base_url_with_keys_of_its_own(sandbox, region):
    assert Caller(sandbox.port, region, f"sandbox-{region}-integration-key")(*VERIFY).status == 200
    reply = Caller(sandbox.port, region, "sandbox-nowhere-integration-key")(*VERIFY)
    assert (reply.status, reply.text) == (403, "")


@pytest.mark.parametrize("status", [403, 400])
def test_key_of_another_region_is_refused_by_either_reading(sandbox, status):
    sandbox.switch(other_region_key_status=status)
    reply = Caller(sandbox.port, "eu", "sandbox-us-integration-key")(*VERIFY)
    assert (reply.status, reply.text) == (status, "")
    assert Caller(sandbox.port, "eu", "wrong")(*VERIFY).status == 403


def test_unknown_region_is_404(sandbox):
    assert Caller(sandbox.port, "mars")(*VERIFY).status == 404


def test_other_regions_have_the_fields_and_nobody_in_them(sandbox):
    eu = Caller(sandbox.port, "eu", "sandbox-eu-integration-key")
    assert "plan" in eu("GET", "/api/v1/metadata/schema/visitor").content["custom"]
    assert sandbox.values("visitor", region="eu") == {}
    written = eu("POST", WRITE[1] + "?create=true", [{"visitorId": "eva", "values": {"plan": "free"}}])
    assert written.content["updated"] == 1
    assert sandbox.values("visitor", "custom", region="eu") == {"eva": {"plan": "free"}}
    assert "eva" not in sandbox.values("visitor")


def test_app_key_stands_in_the_path_of_the_webhook(call, sandbox):
    message = {"type": "identify", "userId": "u-0001", "traits": {"a": 1}}
    bare = Caller(sandbox.port, key=None)
    assert bare("POST", "/data/segmentio/sandbox-us-app-key", message).status == 200
    reply = bare("POST", "/data/segmentio/wrong", message)
    assert (reply.status, reply.text) == (403, "")
    assert call("POST", "/data/segmentio/sandbox-us-integration-key", message).status == 403


def test_track_takes_the_track_secret_only(call):
    reply = call("POST", "/data/track", {})
    assert (reply.status, reply.text) == (403, "")


def test_unknown_call_is_404_and_a_wrong_method_405(call):
    assert call("GET", "/api/v1/nothing").status == 404
    assert call("GET", "/api/v2/token/verify").status == 404
    assert call("PUT", "/api/v1/token/verify").status == 405


def test_bulk_delete_is_not_there_and_is_noted(call, sandbox):
    assert call("POST", "/api/v1/bulkdelete/visitor", {"visitors": ["u-0001"]}).status == 404
    assert sandbox.requests()[-1]["path"] == "/api/v1/bulkdelete/visitor"
