"""The sandbox as a process: how it starts, what outlives it, and when it ends."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest

from pendosync import cli
from pendosync.errors import SandboxError, SettingsError
from pendosync.sandbox import open_sandbox

KEY = {"x-pendo-integration-key": "sandbox-us-integration-key"}
BULK = "/us/api/v1/metadata/visitor/custom/value?create=true"


def send(port, method, path, body=None, headers=KEY):
    with closing(HTTPConnection("127.0.0.1", port, timeout=20)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.read()


def is_alive(port):
    try:
        return send(port, "GET", "/us/api/v1/token/verify")[0] == 200
    except (OSError, HTTPException):
        return False


def ends(port, within_s=10.0):
    end = time.monotonic() + within_s
    while is_alive(port) and time.monotonic() < end:
        time.sleep(0.05)
    return not is_alive(port)


def is_saved(path, text, within_s=10.0):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if path.exists() and text in path.read_text():
            return True
        time.sleep(0.05)
    return False


def write(sandbox, id_, plan):
    send(sandbox.port, "POST", BULK, [{"visitorId": id_, "values": {"plan": plan}}])


def plan(sandbox, id_):
    return sandbox.values("visitor", "custom").get(id_, {}).get("plan")


def test_sandbox_runs_until_it_is_closed():
    with open_sandbox() as sandbox:
        assert is_alive(sandbox.port)
        assert sandbox.url == f"http://127.0.0.1:{sandbox.port}/us"
        assert repr(sandbox) == f"Sandbox('{sandbox.url}')"
    assert not is_alive(sandbox.port)
    assert repr(sandbox).endswith(", closed)")
    sandbox.close()
    with pytest.raises(SandboxError, match="open_sandbox"):
        sandbox.requests()


def test_sandboxes_do_not_meet():
    with open_sandbox(region="eu") as one, open_sandbox(seed=7, switches={"agent_writable": False}) as other:
        assert one.port != other.port
        assert (len(one.values("visitor")), one.values("visitor", region="us")) == (211, {})
        assert other.switch()["agent_writable"] is False
        assert one.values("visitor")["u-0001"] != other.values("visitor")["u-0001"]


def test_same_seed_is_the_same_population():
    with open_sandbox(seed=3) as one, open_sandbox(seed=3) as other:
        assert one.values("visitor") == other.values("visitor")
        assert one.values("account") == other.values("account")


def test_sandbox_that_cant_start_says_why(tmp_path):
    with pytest.raises(SettingsError, match="'mars'"):
        open_sandbox(region="mars")
    with pytest.raises(SandboxError, match="did you mean 'empty_text'"):
        open_sandbox(switches={"emptytext": "kept"})
    (tmp_path / "state").write_text("no state")
    with pytest.raises(SandboxError, match="can't be read"):
        open_sandbox(state=tmp_path / "state")
    with open_sandbox() as sandbox:
        with pytest.raises(SandboxError, match="free port"):
            open_sandbox(port=sandbox.port)


@pytest.mark.parametrize("text", ["[]", "{}", '{"format": "pendosync sandbox 1"}', '{"format": "x"}\n[', ""])
def test_state_file_that_was_altered_is_refused(tmp_path, text):
    (tmp_path / "state").write_text(text)
    with pytest.raises(SandboxError, match="can't be read"):
        open_sandbox(state=tmp_path / "state")
    assert (tmp_path / "state").read_text() == text


def test_state_survives_a_restart(tmp_path):
    path = tmp_path / "folder" / "pendo.state"
    with open_sandbox(state=path) as sandbox:
        write(sandbox, "kept", "gold")
        sandbox.switch(empty_text="clears")
        send(sandbox.port, "POST", "/us/api/v1/segment/upload", {"name": "Beta", "visitors": ["kept"]})
        send(
            sandbox.port,
            "POST",
            "/us/data/segmentio/sandbox-us-app-key",
            {"type": "track", "event": "E", "userId": "a"},
        )
        before = (sandbox.values("visitor"), sandbox.fields("account"), sandbox.audiences(), sandbox.events())
    with open_sandbox(state=path, region="eu") as sandbox:
        us = {"region": "us"}
        assert before == (
            sandbox.values("visitor", **us),
            sandbox.fields("account", **us),
            sandbox.audiences(**us),
            sandbox.events(**us),
        )
        assert sandbox.switch()["empty_text"] == "clears"
        assert sandbox.url.endswith("/eu")
    assert sorted(file.name for file in path.parent.iterdir()) == ["pendo.state"]


def test_state_is_saved_soon_after_a_change(tmp_path):
    with open_sandbox(state=tmp_path / "state") as sandbox:
        write(sandbox, "kept", "gold")
        assert is_saved(tmp_path / "state", "kept")


def test_state_of_a_server_that_was_killed_is_found_again(tmp_path):
    path = tmp_path / "state"
    with open_sandbox(state=path) as sandbox:
        write(sandbox, "kept", "gold")
        assert is_saved(path, "kept")
        os.kill(sandbox._place.pid, signal.SIGKILL)
        sandbox._process.wait()
        with open_sandbox(state=path) as again:
            assert plan(again, "kept") == "gold"


def test_running_sandbox_is_found_by_its_state_file(tmp_path):
    path = tmp_path / "state"
    with open_sandbox(state=path) as owner:
        with open_sandbox(state=path, switches={"agent_writable": False}) as guest:
            assert guest.port == owner.port
            assert owner.switch()["agent_writable"] is False
            with pytest.raises(SandboxError, match="leave the port out"):
                open_sandbox(state=path, port=1 if owner.port != 1 else 2)
        assert is_alive(owner.port)


OPENER = """
import sys, time
from pendosync.sandbox import open_sandbox
sandbox = open_sandbox(state=sys.argv[1] if len(sys.argv) > 1 else None)
print(sandbox.port, flush=True)
time.sleep(60)
"""


def opener(*arguments):
    return subprocess.Popen([sys.executable, "-c", OPENER, *arguments], stdout=subprocess.PIPE, text=True)


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_sandbox_dies_with_its_opener_even_killed():
    process = opener()
    port = int(process.stdout.readline())
    assert is_alive(port)
    kill(process)
    assert ends(port)


def test_sandbox_outlives_a_killed_opener_while_another_holds_it(tmp_path):
    path = tmp_path / "state"
    process = opener(str(path))
    port = int(process.stdout.readline())
    with open_sandbox(state=path) as guest:
        kill(process)
        assert guest.port == port
        write(guest, "kept", "gold")
        assert is_alive(port)
    assert ends(port)
    with open_sandbox(state=path) as again:
        assert plan(again, "kept") == "gold"


def test_state_opened_while_its_server_ends_misses_nothing(tmp_path):
    path = tmp_path / "state"
    process = opener(str(path))
    port = int(process.stdout.readline())
    body = [{"visitorId": "last", "values": {"plan": "gold"}}]
    send(port, "POST", BULK, body)
    kill(process)
    with open_sandbox(state=path) as again:
        assert plan(again, "last") == "gold"


def test_command_line_serves_until_it_is_told_to_stop(tmp_path):
    command = [
        sys.executable,
        "-m",
        "pendosync",
        "sandbox",
        "--region=eu",
        "--state",
        str(tmp_path / "state"),
    ]
    with subprocess.Popen(
        [*command, "--switch", "empty_text=clears"], stdout=subprocess.PIPE, text=True
    ) as process:
        line = process.stdout.readline()
        port = int(line.split("127.0.0.1:")[1].split("/")[0])
        assert ("/eu" in line, "stop it with" in line) == (True, True)
        with open_sandbox(state=tmp_path / "state", region="eu") as guest:
            assert (guest.port, len(guest.values("visitor")), guest.switch()["empty_text"]) == (
                port,
                211,
                "clears",
            )
        eu_key = {"x-pendo-integration-key": "sandbox-eu-integration-key"}
        assert send(port, "GET", "/eu/api/v1/token/verify", headers=eu_key)[0] == 200
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["state"]


def test_command_line_tells_errors_in_a_sentence(capsys):
    assert cli.main(["sandbox", "--switch", "empty_text"]) == 1
    assert cli.main(["sandbox", "--switch", "empty_text=no"]) == 1
    told = capsys.readouterr().err
    assert ("Expected NAME=VALUE" in told, "'kept', 'clears'" in told) == (True, True)


def test_server_imports_nothing_of_the_client():
    allowed = {"pendosync.errors", "pendosync.regions", "pendosync.settings", "pendosync.sandbox"}
    folder = Path(cli.__file__).parent / "sandbox"
    for file in folder.glob("*.py"):
        lines = [
            line.split()[1]
            for line in file.read_text("utf-8").splitlines()
            if line.lstrip().startswith(("from pendosync", "import pendosync"))
        ]
        assert {name if name in allowed else ".".join(name.split(".")[:2]) for name in lines} <= allowed, (
            file.name
        )
        assert "pendosync.settings" not in lines or file.name == "handle.py"


def test_a_client_that_leaves_does_no_harm():
    with open_sandbox() as sandbox:
        sandbox.misbehave("latency", seconds=0.2)
        connection = HTTPConnection("127.0.0.1", sandbox.port)
        connection.request("GET", "/us/api/v1/token/verify", headers=KEY)
        connection.close()
        time.sleep(0.3)
        assert is_alive(sandbox.port)


def test_bulk_writes_of_many_rows_are_all_held():
    batches = [
        [{"visitorId": f"b-{n}", "values": {"plan": "x", "seats": n}} for n in range(at, at + 1000)]
        for at in range(0, 20_000, 1000)
    ]
    with open_sandbox() as sandbox:
        for batch in batches:
            assert json.loads(send(sandbox.port, "POST", BULK, batch)[1])["updated"] == 1000
        held = sandbox.values("visitor", "custom")
        assert {id_: values["seats"] for id_, values in held.items() if id_.startswith("b-")} == {
            f"b-{n}": n for n in range(20_000)
        }


def test_large_population_is_there_on_request():
    with open_sandbox(visitors=30_000) as sandbox:
        assert len(sandbox.values("visitor")) == 30_011
