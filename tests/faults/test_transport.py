"""What keys travel over: TLS that is always verified, plain HTTP on this machine only, no redirect, no proxy's eyes."""

from __future__ import annotations

import inspect
import os
import socket
import subprocess
import sys
from dataclasses import fields
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from looks import KEYS, keys_in, looks_of_error, without_caller
from servers import AUTHORITY, OK, Proxy, Server

import pendosync as ps
from pendosync.regions import MASK, Pace

pytestmark = pytest.mark.keys(*KEYS.values())
PATHS = {"/api/v1/x": "api", f"/data/segmentio/{MASK}": "data", "/data/track": "data"}
LOOPBACK = ("127.0.0.1", "::1", "localhost")
ONCE = ps.Retry(attempts=1)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask(url: str, path: str = "/api/v1/x", **options: Any) -> Any:
    settings = ps.Settings(
        region="eu", **KEYS, api_url=url, data_url=url, api_pace=Pace(None, 4), data_pace=Pace(None, 4)
    )
    with ps.open_client(settings, timeout_s=5, **{"retry": ONCE, **options}) as client:
        return client.call(client.request, "POST", path, host=PATHS[path], body=b"{}")  # type: ignore[arg-type]


def error_of(url: str, path: str = "/api/v1/x", **options: Any) -> ps.RemoteError:
    with pytest.raises(ps.RemoteError) as caught:
        ask(url, path, **options)
    error = caught.value
    assert str(error).index("Expected") < str(error).index("Hint:")
    assert keys_in("\n".join(looks_of_error(error))) == []
    return error


# --- TLS


@pytest.mark.parametrize("path", PATHS)
def test_a_server_that_shows_a_good_certificate_gets_the_request(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with Server(certificate="local") as server:
        assert ask(server.url, path).status == 200
    (got,) = server.received
    assert keys_in(got.decode()), "the server itself gets the key"


@pytest.mark.parametrize(
    ("certificate", "why"),
    [
        ("self", "self-signed"),
        ("other", "not valid for '127.0.0.1'"),
        ("expired", "expired"),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_a_server_that_shows_a_bad_certificate_gets_nothing(
    monkeypatch: pytest.MonkeyPatch, certificate: str, why: str, path: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with Server(certificate=certificate) as server:
        error = error_of(server.url, path)
    assert (server.received, len(server.refused)) == ([], 1)
    assert type(error) is ps.UnreachableError
    assert why in str(error)
    assert "shows no certificate that can be trusted" in str(error)
    assert "Nothing was sent. Expected a certificate of that name" in str(error)


def test_an_authority_that_nobody_named_is_not_trusted() -> None:
    with Server(certificate="local") as server:
        assert "CERTIFICATE_VERIFY_FAILED" in str(error_of(server.url))
    assert server.received == []


def test_a_server_that_speaks_no_tls_gets_no_request() -> None:
    with Server() as server:
        error = error_of(server.url.replace("http://", "https://"))
    assert isinstance(error, ps.NoAnswerError)
    assert keys_in("".join(got.decode("latin-1") for got in server.received)) == []


def test_nothing_turns_verification_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONHTTPSVERIFY", "NODE_TLS_REJECT_UNAUTHORIZED", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "0" if name[0] in "PN" else "")
    for name in ("SSL_NO_VERIFY", "HTTPX_VERIFY", "PENDO_VERIFY", "PENDO_INSECURE", "GIT_SSL_NO_VERIFY"):
        monkeypatch.setenv(name, "false" if name.endswith("_VERIFY") and "NO" not in name else "true")
    with Server(certificate="self") as server:
        error_of(server.url)
    assert server.received == []
    names = [one.name for one in fields(ps.Settings)] + list(inspect.signature(ps.open_client).parameters)
    assert [
        name for name in names if "verif" in name or "insecure" in name or "ssl" in name or "tls" in name
    ] == []


# --- plain HTTP

TRICKS = [
    "http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://localhost@evil.example",
    "http://127.0.0.1@evil.example", "http://127.0.0.1:80@evil.example", "http://:pw@127.0.0.1",
    "https://:pw@app.pendo.io", "https://user@app.pendo.io", "https://@app.pendo.io",
    "http://[::ffff:127.0.0.1]", "http://[::ffff:1.2.3.4]", "http://[::]", "http://0.0.0.0", "http://0x7f000001",
    "http://2130706433", "http://127.1", "http://0177.0.0.1", "http://127.0.0.1\\@evil.example",
    "http://127.0.0.1\\.evil.example", "http://evil.example\\127.0.0.1", "http://127.0.0.1#@evil.example",
    "http://127.0.0.1?@evil.example", "http://127.0.0.1/?x=", "http://127.0.0.1/#", "http://127.0.0.1%2eevil.example",
    "http://127.0.0.1 .evil.example", "http://127.0.0.1\t.evil.example", "http://127.0.0.1\n.evil.example",
    "http://127.0.0.1\r\nHost: evil.example", "http://localhost\0.evil.example", "http://ⓛocalhost",
    "http://localhost。evil.example", "http://1２7.0.0.1", "http:///127.0.0.1", "http:127.0.0.1", "//127.0.0.1",
    "http://evil.example:80", "http://evil.example/127.0.0.1", "http://evil.example#127.0.0.1", "ws://127.0.0.1",
    "file:///etc/passwd", "unix:///run/x.sock", "http+unix://localhost", "HTTP://EVIL.EXAMPLE", "https://",
    "javascript:alert(1)", "http://[::1", "http://127.0.0.1:99999", "http://127.0.0.1:port", "http://localhost.",
]  # fmt: skip


@pytest.mark.parametrize("url", TRICKS)
@pytest.mark.parametrize("name", ["api_url", "data_url"])
def test_no_trick_makes_a_stranger_of_this_machine(name: str, url: str) -> None:
    with pytest.raises(
        ps.SettingsError, match=rf"{name} is no address that a key may be sent to\. Expected .*Hint:"
    ):
        ps.Settings(**{name: url})


@given(st.lists(st.sampled_from([
    "http", "https", ":", "/", "//", "@", "#", "?", "\\", ".", "127.0.0.1", "localhost", "[::1]", "evil.example", ":80",
    "%40", "%2f", " ", "\t", "x", "HTTP", "&", ";", "。",
]), max_size=9).map("".join))  # fmt: skip
@example("http://localhost")
@example("http://[::1]:80/a")
def test_what_settings_take_leads_where_httpx_goes(url: str) -> None:
    try:
        taken = ps.Settings(api_url=url).api_url
    except ps.SettingsError:
        return
    if not url:
        return
    goes = httpx.URL(taken + "/api/v1/x")
    assert goes.scheme == "https" or (goes.scheme == "http" and goes.host in LOOPBACK)
    assert goes.host == urlsplit(taken).hostname
    assert (goes.userinfo, goes.query, goes.fragment) == (b"", b"", "")
    assert goes.path.endswith("/api/v1/x")


# --- redirects


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", PATHS)
def test_a_redirect_carries_the_key_nowhere(status: int, path: str) -> None:
    with Server() as elsewhere:
        places = [
            f"http://127.0.0.1:{elsewhere.port}",
            f"http://localhost:{elsewhere.port}/x",
            f"//127.0.0.1:{elsewhere.port}/x",
        ]
        for location in places:
            said = f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            with Server(said.encode()) as server:
                error = error_of(server.url, path, retry=ps.Retry(base_s=0))
            assert type(error) is ps.AnswerError
            assert "a redirect to" in str(error)
            assert len(server.received) == 1, "nor is it asked again"
    assert (elsewhere.received, elsewhere.refused) == ([], [])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("location", ["/elsewhere", "{url}/elsewhere", "elsewhere", "?x=1", ""])
def test_a_redirect_to_the_same_host_is_not_followed_either(status: int, location: str) -> None:
    def redirect(got: bytes) -> bytes:
        to = location.replace("{url}", server.url)
        return f"HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()

    with Server(redirect) as server:
        error_of(server.url)
    assert len(server.received) == 1


def test_a_redirect_from_tls_to_plain_http_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with Server() as elsewhere:
        said = f"HTTP/1.1 308 Moved\r\nLocation: {elsewhere.url}\r\nContent-Length: 0\r\n\r\n"
        with Server(said.encode(), certificate="local") as server:
            error_of(server.url, f"/data/segmentio/{MASK}")
    assert (len(server.received), elsewhere.received) == (1, [])


def test_cookies_of_one_answer_are_nobody_elses(sandbox: ps.Sandbox) -> None:
    said = OK.replace(b"\r\n\r\n", b"\r\nSet-Cookie: session=abc; Domain=127.0.0.1; Path=/\r\n\r\n", 1)
    with Server(said) as api, Server(said) as data:
        settings = ps.Settings(region="eu", **KEYS, api_url=api.url, data_url=data.url)
        with ps.open_client(settings, retry=ONCE) as client:
            client.call(client.request, "GET", "/api/v1/x")
            client.call(client.request, "POST", "/data/track", host="data", body=b"{}")
    assert b"cookie" not in data.received[0].lower()


# --- proxies


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY", "https_proxy"])
def test_a_proxy_sees_no_key(monkeypatch: pytest.MonkeyPatch, variable: str, path: str) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with Server(certificate="other") as pendo, Proxy(pendo) as proxy:
        monkeypatch.setenv(variable, proxy.url)
        assert ask("https://pendo.invalid", path).status == 200
    (seen,), (got,) = proxy.received, pendo.received
    assert seen.startswith(b"CONNECT pendo.invalid:443 HTTP/1.1\r\n")
    assert keys_in(got.decode())
    assert keys_in(seen.decode("latin-1")) == []
    assert b"segmentio" not in seen


def test_a_proxy_that_shows_a_certificate_of_its_own_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY))
    with Server(certificate="local") as reader, Proxy(reader) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        error = error_of("https://pendo.invalid")
    assert reader.received == []
    assert "shows no certificate that can be trusted" in str(error)


@pytest.mark.keys("pr0xy-w0rd")
@pytest.mark.parametrize("status", [403, 407, 502])
@pytest.mark.parametrize("path", PATHS)
def test_a_proxy_that_refuses_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch, status: int, path: str
) -> None:
    def refuse(got: bytes) -> bytes:
        return b"HTTP/1.1 %d no way to pendo.invalid\r\nContent-Length: %d\r\n\r\n" % (status, len(got)) + got

    with Server(refuse) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//ann:pr0xy-w0rd@"))
        with pytest.raises(ps.UnreachableError) as caught:
            ask("https://pendo.invalid", path)
    looks = "\n".join(looks_of_error(without_caller(caught.value)))
    assert str(status) in str(caught.value)
    assert keys_in(looks) == []
    assert "pr0xy-w0rd" not in looks
    assert keys_in(proxy.received[0].decode()) == []


def test_this_machine_is_reached_past_any_proxy(monkeypatch: pytest.MonkeyPatch, sandbox: ps.Sandbox) -> None:
    with Server() as proxy:
        for name in (*PROXIES, *(name.lower() for name in PROXIES)):
            monkeypatch.setenv(name, proxy.url)
        with ps.open_client(sandbox.settings, retry=ONCE) as client:
            assert ps.check_access(client).startswith("The integration key works")
        with Server() as server:
            for host in ("127.0.0.1", "localhost"):
                assert ask(f"http://{host}:{server.port}").status == 200
    assert (proxy.received, proxy.refused) == ([], [])


# --- the sandbox


def listening(port: int) -> list[Any]:
    """Return the sockets of the process of ours that listens on *port*."""
    for child in psutil.Process().children(recursive=True):
        connections = child.net_connections(kind="inet")
        if port in [one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN]:
            return connections
    raise AssertionError("nobody listens")


def test_the_sandbox_listens_on_this_machine_only(sandbox: ps.Sandbox) -> None:
    sockets = listening(sandbox.port)
    listeners = [one.laddr.ip for one in sockets if one.status == psutil.CONN_LISTEN]
    assert listeners == ["127.0.0.1"]
    assert [one for one in sockets if one.type == socket.SOCK_DGRAM] == []
    assert {one.raddr.ip for one in sockets if one.raddr} <= {"127.0.0.1"}


def test_the_sandbox_answers_at_no_other_address(sandbox: ps.Sandbox) -> None:
    others = {
        (one.family, one.address)
        for addresses in psutil.net_if_addrs().values()
        for one in addresses
        if one.family in (socket.AF_INET, socket.AF_INET6)
        and one.address != "127.0.0.1"
        and "%" not in one.address
    }
    for family, address in others:
        with socket.socket(family) as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, sandbox.port)) != 0


def test_the_sandbox_can_not_be_told_to_listen_elsewhere() -> None:
    assert not {"host", "address", "bind", "ip"} & set(inspect.signature(ps.open_sandbox).parameters)
    command = [sys.executable, "-m", "pendosync", "sandbox", "--host", "0.0.0.0"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=dict(os.environ), timeout=60
    )
    assert done.returncode == 2
    assert "unrecognized arguments: --host" in done.stderr
