"""No secret shows: not in a repr, a log, a traceback, the journal, a saved plan, a notebook's output or an error."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import pendosync as ps
from tests.test_push import IDS, QUICK, a_plan
from tests.test_undo import pushed

KEYS = ("integration_key", "app_key", "track_secret")


def keys_of(sandbox: ps.Sandbox) -> list[str]:
    return [sandbox.settings.secret(name).reveal() for name in KEYS]


def whole_way(sandbox: ps.Sandbox, client: ps.Client, folder: Path) -> list[str]:
    """Go every way there is, and return all the texts that could be looked at."""
    journal = ps.open_journal(folder / "journal")
    texts = [
        repr(sandbox),
        repr(client),
        repr(sandbox.settings),
        sandbox.settings._repr_html_(),
        repr(client.target),
        ps.check_access(client),
        str(ps.browser_snippet(sandbox.settings, {"id": "u-0001"})),
        ps.browser_snippet(sandbox.settings, {"id": "u-0001"})._repr_html_(),
    ]
    for route in ("metadata", "webhook"):
        plan = a_plan(client, IDS[:3], route=route)
        run = pushed(plan, client, journal)
        plan.save(folder / f"plan-{route}")
        texts += [repr(plan), plan._repr_html_(), str(ps.dry_run(plan).to_dicts()), *ps.build_curl(plan)]
        texts += [repr(run), str(run.outcomes.to_dicts()), repr(ps.plan_undo(journal, run.id))]
    return [*texts, str(ps.read_runs(journal).to_dicts()), repr(journal)]


def failures(sandbox: ps.Sandbox, folder: Path) -> list[str]:
    """Fail in every way there is, and return the tracebacks with all that they are chained to."""
    texts = []
    key = sandbox.settings.secret("integration_key").reveal()
    sandbox.reset()
    faults = [
        {"fault": "status", "status": 500}, {"fault": "status", "status": 400, "text": f"bad key {key}"},
        {"fault": "status", "status": 302}, {"fault": "cut", "when": "before"}, {"fault": "cut", "when": "mid_body"},
        {"fault": "body", "text": f"<html>{key}</html>"},
    ]  # fmt: skip
    for route in ("metadata", "webhook"):
        for fault in faults:
            with ps.open_client(sandbox.settings, retry=replace(QUICK, attempts=1)) as client:
                plan = a_plan(client, IDS[:3], route=route)
                sandbox.misbehave(**fault, method="POST", times=None)  # type: ignore[arg-type]
                try:
                    texts.append(
                        str(pushed(plan, client, ps.open_journal(folder / "failed")).outcomes.to_dicts())
                    )
                except ps.PushError as error:
                    texts += ["".join(traceback.format_exception(error)), str(error.outcomes.to_dicts())]
                try:
                    ps.fetch_fields(client, kind="visitor")
                except ps.RemoteError as error:
                    texts += ["".join(traceback.format_exception(error)), repr(vars(error))]
                sandbox.reset()
    return texts


def test_no_secret_shows_anywhere(sandbox, client, tmp_path, caplog, capfd) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    texts = whole_way(sandbox, client, tmp_path) + failures(sandbox, tmp_path)
    out, err = capfd.readouterr()
    logged = [record.getMessage() for record in caplog.records]
    assert any("/data/segmentio/***" in line for line in logged), "each request is logged"
    files = {file.name: file.read_bytes().decode("latin-1") for file in tmp_path.rglob("*") if file.is_file()}
    assert {"manifest.json", "run.sqlite"} <= set(files)
    for key in keys_of(sandbox):
        for text in [*texts, *logged, out, err, *files.values()]:
            assert key not in text


def test_settings_do_not_leave_the_process(sandbox) -> None:
    settings = sandbox.settings
    for key in keys_of(sandbox):
        assert key not in repr(asdict(settings))
        assert key not in f"{settings} {settings.integration_key} {settings.app_key!r} {vars(settings)}"
    assert copy.deepcopy(settings) == settings
    with pytest.raises(ps.SettingsError, match="own settings"):
        pickle.dumps(settings)
