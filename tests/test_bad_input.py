"""Bad input gets a clear error of our own tree, in three beats, and nothing is lost: the table of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import pendosync as ps
from pendosync.tables import load_table
from tests.test_push import QUICK, a_plan, a_table

VISITOR = ps.Mapping("visitor", "user_id", ["plan"])


class Desk:
    """What an analyst has before something goes wrong."""

    def __init__(self, folder: Path, sandbox: ps.Sandbox, client: ps.Client) -> None:
        self.folder, self.sandbox, self.client = folder, sandbox, client

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path

    def mapped(self, path: Path) -> pl.DataFrame:
        return ps.map_traits(load_table(path), VISITOR)


def cut_plan(desk: Desk) -> None:
    folder = a_plan(desk.client).save(desk.folder / "plan")
    part = folder / "part-0000.parquet"
    part.write_bytes(part.read_bytes()[:-40])
    ps.load_plan(folder)


def altered_plan(desk: Desk) -> None:
    folder = a_plan(desk.client).save(desk.folder / "plan")
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"batch_size": 10', '"batch_size": 11'))
    ps.load_plan(folder)


def no_json(desk: Desk) -> None:
    desk.sandbox.misbehave("body", text="<html>Sign in</html>")
    ps.fetch_fields(desk.client, kind="visitor")


def unreachable(desk: Desk) -> None:
    with ps.open_sandbox() as gone:
        settings = gone.settings
    with ps.open_client(settings, retry=QUICK) as client:
        ps.fetch_fields(client, kind="visitor")


def another_regions_key(desk: Desk) -> None:
    key = desk.sandbox.settings_for("eu").integration_key
    with ps.open_client(replace(desk.sandbox.settings, integration_key=key)) as client:
        ps.fetch_fields(client, kind="visitor")


def another_regions_key_400(desk: Desk) -> None:
    desk.sandbox.switch(other_region_key_status=400)
    another_regions_key(desk)


def unwritable_journal(desk: Desk) -> None:
    desk.file("in-the-way", b"")
    ps.push(
        a_plan(desk.client), client=desk.client, journal=ps.Journal(desk.folder / "in-the-way" / "journal")
    )


def no_key(desk: Desk) -> None:
    with ps.open_client(replace(desk.sandbox.settings, integration_key=None)) as client:
        ps.fetch_fields(client, kind="visitor")


def nothing_to_push(desk: Desk) -> None:
    plan = a_plan(desk.client).select(pl.lit(False))
    ps.push(plan, client=desk.client, journal=ps.Journal(desk.folder / "journal"))


TABLE: dict[str, tuple[Callable[[Desk], Any], type[ps.PendosyncError], str]] = {
    "missing file": (lambda desk: load_table(desk.folder / "user.csv"), ps.TableError, "users.csv"),
    "wrong encoding": (lambda desk: desk.mapped(desk.file("l.csv", "user_id,plan\na,é\n".encode("latin-1"))), ps.TableError, "UTF-8"),
    "ragged CSV": (lambda desk: desk.mapped(desk.file("r.csv", b"user_id,plan\na,b\nc,d,e\n")), ps.TableError, "r.csv"),
    "ragged CSV far below": (
        lambda desk: desk.mapped(desk.file("f.csv", b"user_id,plan\n" + b"a,b\n" * 50_000 + b"c,d,e\n")), ps.TableError, "Expected",
    ),
    "empty file": (lambda desk: desk.mapped(desk.file("e.csv", b"")), ps.TableError, "empty"),
    "cut Parquet": (lambda desk: desk.mapped(desk.file("c.parquet", b"PAR1 and no more")), ps.TableError, "Parquet"),
    "absent column": (lambda desk: ps.map_traits(a_table(), replace(VISITOR, traits=["plam"])), ps.ColumnNotFoundError, "'plan'"),
    "absent column in SQL": (
        lambda desk: ps.map_traits(a_table(), replace(VISITOR, traits=[ps.Trait(sql="seat + 1", field="f")])),
        ps.ColumnNotFoundError, "'seats'",
    ),
    "two traits to one field": (lambda desk: replace(VISITOR, traits=["plan", ps.Trait("x", field="plan")]), ps.MappingError, "'plan'"),
    "ids of the wrong type": (
        lambda desk: ps.map_traits(pl.DataFrame({"user_id": [1.5], "plan": ["x"]}), VISITOR), ps.MappingError, "Float64",
    ),
    "a plan cut short": (cut_plan, ps.PlanError, "cut short"),
    "a plan altered": (altered_plan, ps.PlanError, "digest"),
    "an empty plan": (nothing_to_push, ps.PlanError, "nothing would change"),
    "a journal that can't be written": (unwritable_journal, ps.JournalError, "in-the-way"),
    "a response that is not JSON": (no_json, ps.AnswerError, "JSON"),
    "an unreachable host": (unreachable, ps.UnreachableError, "Nothing was sent"),
    "a key for another region": (another_regions_key, ps.KeyRefusedError, "key or region"),
    "a key for another region, as 400": (another_regions_key_400, ps.KeyRefusedError, "key or region"),
    "no key": (no_key, ps.SettingsError, "PENDO_INTEGRATION_KEY"),
    "no such region": (lambda desk: ps.Settings(region="europe"), ps.SettingsError, "'eu'"),
    "plain HTTP to a stranger": (lambda desk: ps.Settings(api_url="http://example.com"), ps.SettingsError, "https://"),
    "no mapping file": (lambda desk: ps.load_mapping(desk.folder / "none.toml"), ps.MappingError, "none.toml"),
}  # fmt: skip


@pytest.mark.parametrize("what", TABLE)
def test_bad_input_gets_an_error_in_three_beats(sandbox, client, tmp_path: Path, what: str) -> None:
    desk = Desk(tmp_path, sandbox, client)
    desk.file("users.csv", b"user_id,plan\na,b\n")
    held = sandbox.values("visitor")
    act, kind, word = TABLE[what]
    with pytest.raises(ps.PendosyncError) as caught:
        act(desk)
    text = str(caught.value)
    assert type(caught.value) is kind, repr(caught.value)
    assert word in text, text
    assert "Hint:" in text, text
    assert caught.value.__cause__ is None, "the error from below must not show"
    assert sandbox.values("visitor") == held
    assert not [request for request in sandbox.requests() if request["path"].endswith("/value")]


def test_an_empty_table_gives_an_empty_plan(client) -> None:
    plan = ps.plan_table(a_table([]), VISITOR, client=client)
    assert len(plan) == 0
    assert "nothing to change" in repr(plan)
    assert ps.dry_run(plan).is_empty()
