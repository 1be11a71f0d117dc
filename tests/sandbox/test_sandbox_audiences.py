"""Pendo segments: uploaded, patched, deleted."""

import pytest

UPLOAD = "/api/v1/segment/upload"


@pytest.fixture
def audience(call):
    return call("POST", UPLOAD, {"name": "Beta", "visitors": ["u-0001", "u-0002"]}).content["segmentId"]


def members(sandbox, audience):
    return sandbox.audiences()[audience]["visitors"]


def operation(op, *visitors, path="/visitors"):
    return {"op": op, "path": path, "value": list(visitors)}


def test_upload_answers_the_id(call, sandbox, audience):
    assert sandbox.audiences() == {audience: {"name": "Beta", "visitors": ["u-0001", "u-0002"]}}
    assert call("GET", f"/api/v1/segment/{audience}").content == {"id": audience, "name": "Beta"}
    assert call("GET", "/api/v1/segment").content == [{"id": audience, "name": "Beta"}]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", "visitors": []},
        {"visitors": ["a"]},
        {"name": "x", "visitors": "a"},
        {"name": "x", "visitors": ["a"] * 1001},
        [],
    ],
)
def test_upload_out_of_shape_is_400(call, body):
    assert call("POST", UPLOAD, body).status == 400


def test_patch_answers_a_status_per_operation(call, sandbox, audience):
    patch = [operation("add", "a", "b"), operation("remove", "u-0001", "nobody"), operation("move", "a")]
    reply = call("PATCH", f"/api/v1/segment/{audience}/visitor", {"patch": patch})
    told = reply.content["multistatus"]
    assert (reply.status, [one["status"] for one in told]) == (200, [200, 200, 400])
    assert told[0]["operation"] == patch[0]
    assert members(sandbox, audience) == ["u-0002", "a", "b"]


def test_patch_takes_a_thousand_visitors_in_all(call, audience):
    path, many = f"/api/v1/segment/{audience}/visitor", [f"v{n}" for n in range(999)]
    assert call("PATCH", path, {"patch": [operation("add", *many), operation("add", "a")]}).status == 200
    assert call("PATCH", path, {"patch": [operation("add", *many), operation("add", "a", "b")]}).status == 400


@pytest.mark.parametrize("body", [{}, {"patch": []}, {"patch": [operation("add")]}, {"patch": ["add"]}])
def test_patch_out_of_shape_is_400(call, audience, body):
    assert call("PATCH", f"/api/v1/segment/{audience}/visitor", body).status == 400


def test_patch_status_follows_the_switch(call, sandbox, audience):
    sandbox.switch(patch_status=207)
    reply = call("PATCH", f"/api/v1/segment/{audience}/visitor", {"patch": [operation("add", "a")]})
    assert reply.status == 207


def test_one_visitor_comes_and_goes(call, sandbox, audience):
    assert call("PUT", f"/api/v1/segment/{audience}/visitor/a%2Fb").status == 200
    assert call("DELETE", f"/api/v1/segment/{audience}/visitor/u-0001").status == 200
    assert members(sandbox, audience) == ["u-0002", "a/b"]


def test_audience_is_replaced_and_deleted(call, sandbox, audience):
    path = f"/api/v1/segment/{audience}"
    assert call("PUT", path, {"name": "Gamma", "visitors": ["x"]}).status == 200
    assert sandbox.audiences()[audience] == {"name": "Gamma", "visitors": ["x"]}
    assert call("DELETE", path).status == 200
    assert call("GET", path).status == 404
    assert call("PATCH", f"{path}/visitor", {"patch": [operation("add", "a")]}).status == 404


def test_write_in_progress_is_409_when_asked_for(call, sandbox, audience):
    sandbox.misbehave("status", status=409, path="/api/v1/segment/")
    path, body = f"/api/v1/segment/{audience}/visitor", {"patch": [operation("add", "a")]}
    assert call("PATCH", path, body).status == 409
    assert call("PATCH", path, body).status == 200
