"""No key shows however a thing is looked at: attributes, pickles, tracebacks with locals, reasons, logs at DEBUG."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from looks import KEYS, SHAPES, keys_in, looks_of, looks_of_error, without_caller

import pendosync as ps
from pendosync.auth import Mask
from pendosync.keys import Secret
from tests.test_push import IDS, QUICK, a_plan

pytestmark = [
    pytest.mark.keys(*KEYS.values()),
    pytest.mark.holds_key(".env", reason="the file that keys are read from"),
]
NAMES = {
    "integration_key": "PENDO_INTEGRATION_KEY",
    "app_key": "PENDO_APP_KEY",
    "track_secret": "PENDO_TRACK_SECRET",
}


def error_of(act: Callable[[], Any]) -> BaseException:
    try:
        act()
    except ps.PendosyncError as error:
        return error
    raise AssertionError("it did not fail")


def with_keys(**options: Any) -> ps.Settings:
    return ps.Settings(**{**KEYS, **options})


# --- settings

REFUSED: dict[str, dict[str, Any]] = {
    "an unknown region": {"region": "EU"},
    "a key with a blank": {"app_key": f"{KEYS['app_key']} {KEYS['app_key']}"},
    "a key as bytes": {"app_key": KEYS["app_key"].encode()},
    "plain HTTP": {"api_url": "http://evil.example"},
    "a broken address": {"data_url": "https://["},
}


@pytest.mark.parametrize("what", REFUSED)
def test_refused_settings_show_no_key_to_a_traceback_with_locals(what: str) -> None:
    error = error_of(lambda: with_keys(**REFUSED[what]))
    assert type(error) is ps.SettingsError
    looks = "\n".join(looks_of_error(without_caller(error)))
    assert "in __init__" in looks
    assert keys_in(looks) == []


LINES: dict[str, tuple[dict[str, str], bytes]] = {
    "an unknown region": ({"PENDO_REGION": "EU"}, b""),
    "a pace that is no number": ({"PENDO_API_MAX_PER_SECOND": "fast"}, b""),
    "a key with blanks": ({"PENDO_APP_KEY": f'"{KEYS["app_key"]} x"'}, b""),
    "a line that is not UTF-8": ({}, b"# f\xfcr uns\n"),
}


@pytest.mark.parametrize("what", LINES)
def test_a_refused_env_file_shows_no_key_to_a_traceback_with_locals(what: str, tmp_path: Path) -> None:
    lines, more = LINES[what]
    written = {**{NAMES[name]: key for name, key in KEYS.items()}, **lines}
    content = "".join(f"{name}={value}\n" for name, value in written.items())
    (tmp_path / ".env").write_bytes(content.encode() + more)
    del lines, written, content
    error = error_of(lambda: ps.Settings.from_env(tmp_path / ".env"))
    assert type(error) is ps.SettingsError
    assert "Hint:" in str(error)
    assert keys_in("\n".join(looks_of_error(error))) == []
    assert error.__context__ is None or type(error.__context__) is ValueError


def test_an_env_file_that_can_not_be_read_is_told(tmp_path: Path) -> None:
    place = tmp_path / "loop.env"
    place.symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(b"\xff\xfe")
    with pytest.raises(ps.SettingsError, match=r"can't be read \(it is not UTF-8\)\. Expected .*Hint:"):
        ps.Settings.from_env(place)


def test_other_secrets_of_the_environment_are_not_even_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENDO_REGION", "EU")
    monkeypatch.setenv("OTHER_TOKEN", "int3gration-key")
    assert keys_in("\n".join(looks_of_error(error_of(ps.Settings.from_env)))) == []


# --- things


def test_no_attribute_of_a_secret_holds_its_text() -> None:
    for key in KEYS.values():
        secret = Secret(key)
        attributes = {name: getattr(secret, name) for name in dir(secret)}
        assert keys_in(f"{attributes} {secret.__getstate__()}") == []
        assert secret.reveal() == key


@pytest.fixture
def lived(sandbox: ps.Sandbox, tmp_path: Path) -> dict[str, Any]:
    """Everything that a session holds, after a push on each route and a failure."""
    with ps.open_client(sandbox.settings) as client:
        journal = ps.open_journal(tmp_path / "journal")
        plan = a_plan(client, IDS[:3], route="webhook")
        run = ps.push(plan, client=client, journal=journal, show=False)
        run.wait()
        other = ps.push(a_plan(client, IDS[:3]), client=client, journal=journal, show=False)
        other.wait()
        answer = client.call(client.request, "GET", "/api/v1/token/verify")
        error = error_of(lambda: client.call(client.request, "GET", "/api/v1/nowhere"))
        return {
            "secret": sandbox.settings.integration_key, "settings": sandbox.settings, "client": client,
            "target": client.target, "mask": Mask(sandbox.settings), "plan": plan, "run": run, "other": other,
            "journal": journal, "answer": answer, "error": error, "http": client._transport_to("data"),
            "snippet": (snippet := ps.browser_snippet(sandbox.settings, {"id": "u-0001"})),
            "snippet's HTML": snippet._repr_html_(), "page": ps.browser_page(plan, IDS[0]),
        }  # fmt: skip


def test_nothing_that_a_session_holds_shows_a_key(lived: dict[str, Any], sandbox: ps.Sandbox) -> None:
    keys = [sandbox.settings.secret(name).reveal() for name in KEYS]
    for name, thing in lived.items():
        for look in looks_of(thing, depth=3):
            assert [key for key in keys if key in look] == [], name


def test_nothing_that_a_session_holds_is_pickled_with_a_key(
    lived: dict[str, Any], sandbox: ps.Sandbox
) -> None:
    keys = [sandbox.settings.secret(name).reveal() for name in KEYS]
    pickled = []
    for name, thing in lived.items():
        try:
            content = pickle.dumps(thing).decode("latin-1")
        except Exception as error:
            content = f"{error!r}"
        else:
            pickled.append(name)
        assert [key for key in keys if key in content] == [], name
    assert {"plan", "error", "page"} <= set(pickled)
    assert not {"secret", "settings", "client", "mask", "answer", "snippet"} & set(pickled)


def test_copies_of_settings_hide_their_keys_too() -> None:
    settings = with_keys()
    copies = [copy.copy(settings), copy.deepcopy(settings), dataclasses.replace(settings, region="eu")]
    for one in copies:
        assert one.secret("app_key").reveal() == KEYS["app_key"]
        assert keys_in("\n".join(looks_of(one))) == []
    assert keys_in(f"{dataclasses.asdict(settings)} {dataclasses.astuple(settings)} {vars(settings)}") == []
    with pytest.raises(TypeError) as caught:
        json.dumps(dataclasses.asdict(settings))
    assert keys_in(str(caught.value)) == []


# --- a snippet


@pytest.mark.parametrize(
    "act",
    [
        lambda settings, folder: ps.browser_snippet(settings, {"id": 7}),
        lambda settings, folder: ps.browser_snippet(settings, {"id": "u-1"}, {"id": "a", "x": object()}),
        lambda settings, folder: ps.browser_snippet(settings, {"id": "u-1"}).write(folder),
        lambda settings, folder: ps.browser_snippet(settings, {"id": "u-1"}).write(
            folder / "nowhere" / "x.html"
        ),
        lambda settings, folder: pickle.dumps(ps.browser_snippet(settings, {"id": "u-1"})),
    ],
    ids=["no id", "no value", "a folder", "no folder", "a pickle"],
)
def test_a_snippet_that_fails_shows_no_key_to_a_traceback_with_locals(
    act: Callable[[ps.Settings, Path], Any], tmp_path: Path
) -> None:
    settings = with_keys()
    assert keys_in("\n".join(looks_of_error(error_of(lambda: act(settings, tmp_path))))) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device here that is always full")
def test_a_snippet_that_fills_the_disk_shows_no_key() -> None:
    snippet = ps.browser_snippet(with_keys(), {"id": "u-1"})
    error = error_of(lambda: snippet.write("/dev/full"))
    assert "No space left" in str(error)
    assert keys_in("\n".join(looks_of_error(error))) == []


# --- what Pendo says


@pytest.mark.parametrize("encode", [json.dumps, lambda text: json.dumps(text).replace("<", r"\u003c")])
def test_a_key_that_pendo_quotes_in_its_errors_is_masked_in_outcomes_and_journal(
    sandbox: ps.Sandbox, client: ps.Client, journal: ps.Journal, encode: Callable[[str], str]
) -> None:
    plan = a_plan(client, IDS[:3])
    key = sandbox.settings.secret("integration_key").reveal()
    told = f'{{"total":3,"updated":0,"failed":3,"errors":[{encode(f"the key {key} <may not>")}]}}'
    del key
    sandbox.misbehave("body", method="POST", text=told, times=None)
    run = ps.push(plan, client=client, journal=journal, show=False)
    reasons = " ".join(run.wait()["reason"])
    assert "the key *** <may not>" in reasons
    assert "integration-key" not in reasons


def test_the_mask_hides_each_form_of_a_key() -> None:
    mask = Mask(with_keys())
    forms = [*SHAPES, json.dumps(KEYS["app_key"]), repr(KEYS["app_key"].encode())]
    for form in forms:
        assert keys_in(mask.masked(f"x{form}y")) == []
        assert mask.masked(f"x{form}y").startswith("x")
    assert Mask(ps.Settings()).masked("any text") == "any text"


def test_all_that_httpx_and_httpcore_log_is_read_and_holds_no_key(
    sandbox: ps.Sandbox, journal: ps.Journal, caplog: pytest.LogCaptureFixture
) -> None:
    with ps.open_client(sandbox.settings, retry=QUICK, carrier="httpx") as client:
        plan = a_plan(client, IDS[:3], route="webhook")
        sandbox.misbehave("cut", when="mid_body", method="POST", path="/data/")
        ps.push(plan, client=client, journal=journal, show=False).wait()
    logged = {record.name for record in caplog.records if record.levelno == logging.DEBUG}
    assert {"httpcore.connection", "httpcore.http11"} <= logged
    lines = [record.getMessage() for record in caplog.records]
    assert sum("/data/segmentio/***" in line for line in lines) >= 3
    assert not [line for line in lines if "app-key" in line]


class BreakingTransport(httpx.AsyncBaseTransport):
    """A network that breaks in a way of its own at the second write."""

    def __init__(self) -> None:
        self._inner = httpx.AsyncHTTPTransport()
        self._n_writes = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self._n_writes += request.url.path.startswith(("/us/data/", "/us/api/v1/metadata/visitor/custom"))
        if self._n_writes >= 2:
            raise RuntimeError(f"can't reach {request.url} with {request.headers.raw}")
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.parametrize("route", ["metadata", "webhook"])
def test_a_push_that_breaks_in_the_transport_shows_no_key(
    sandbox: ps.Sandbox, client: ps.Client, journal: ps.Journal, route: str
) -> None:
    plan = a_plan(client, IDS[:3], route=route, batch_size=1)
    with ps.open_client(sandbox.settings, transport=BreakingTransport(), retry=QUICK) as breaking:
        run = ps.push(plan, client=breaking, journal=journal, show=False)
        error = error_of(run.wait)
    assert isinstance(error, ps.PushError)
    looks = "\n".join([*looks_of_error(error), *looks_of(run, depth=3), str(error.outcomes.to_dicts())])
    assert [name for name in KEYS if sandbox.settings.secret(name).reveal() in looks] == []
    assert "can't reach" in looks


def test_the_environment_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"PENDO_APP_KEY={KEYS['app_key']}\n")
    before = dict(os.environ)
    assert ps.Settings.from_env(tmp_path / ".env").app_key == Secret(KEYS["app_key"])
    assert dict(os.environ) == before
