"""Plans: frozen, selectable, saved whole or not at all; the dry run is the very bytes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync.diffs import diff_values
from pendosync.errors import FrameError, MappingError, PlanError
from pendosync.frames import REQUESTS
from pendosync.looks import build_curl, dry_run
from pendosync.mapping import Mapping
from pendosync.parts import write_parts
from pendosync.planning import plan_changes
from pendosync.plans import Plan
from pendosync.regions import Target
from pendosync.saved import load_plan
from pendosync.selections import after, before, changed
from pendosync.traits import Trait
from pendosync.values import map_traits
from pendosync.wire import build_requests

TARGET = Target("us", "https://app.pendo.io", "https://data.pendo.io")
AT = datetime(2026, 11, 24, 8, 30, tzinfo=UTC)


def a_plan(n: int = 3, *, route: str = "metadata", kind: str = "visitor", **options: object) -> Plan:
    rows = {"id": [f"u{i}" for i in range(n)], "plan": ["pro"] * n, "seats": [i or None for i in range(n)]}
    table = pl.DataFrame(rows, schema={"id": pl.String, "plan": pl.String, "seats": pl.Int64})
    caller = "id" if (route, kind) == ("webhook", "account") else ""
    traits = ["plan", Trait("seats", null="clear")]
    mapping = Mapping(kind, "id", traits, route=route, visitor_id=caller)  # type: ignore[arg-type]
    values = map_traits(table, mapping)
    held = map_traits(table.with_columns(plan=pl.lit("free"), seats=pl.lit(9)), mapping)
    changes = diff_values(values, before=held, mapping=mapping).with_columns(region=pl.lit("EMEA"))
    return plan_changes(changes, mapping=mapping, target=TARGET, planned_at=AT, **options)  # type: ignore[arg-type]


def test_a_plan_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        a_plan().target = TARGET  # type: ignore[misc]


def test_metadata_records_hold_the_changed_fields_in_batches() -> None:
    requests = dry_run(a_plan(3, batch_size=2))
    assert requests.schema == REQUESTS
    assert requests.rows() == [
        (0, "POST", "/api/v1/metadata/visitor/custom/value", ["u0", "u1"],
         '[{"visitorId":"u0","values":{"plan":"pro","seats":null}},{"visitorId":"u1","values":{"plan":"pro","seats":1}}]'),
        (1, "POST", "/api/v1/metadata/visitor/custom/value", ["u2"],
         '[{"visitorId":"u2","values":{"plan":"pro","seats":2}}]'),
    ]  # fmt: skip


def test_webhook_messages_follow_segments_spec() -> None:
    plan = a_plan(2, route="webhook")
    requests = dry_run(plan)
    assert requests["path"].unique().to_list() == ["/data/segmentio/***"]
    assert [json.loads(body) for body in requests["body"]] == [
        {
            "type": "identify",
            "userId": f"u{n}",
            "traits": {"plan": "pro", "seats": n or None},
            "messageId": f"{plan.shape.nonce}-{n}",
            "timestamp": "2026-11-24T08:30:00.000Z",
            "context": {"library": {"name": "pendosync", "version": plan.shape.library}},
            "integrations": {"Pendo": True},
        }
        for n in range(2)
    ]
    account = json.loads(dry_run(a_plan(1, route="webhook", kind="account"))["body"][0])
    assert (account["type"], account["groupId"], account["userId"]) == ("group", "u0", "u0")


def test_message_ids_are_the_same_when_selected_and_new_in_each_plan() -> None:
    plan = a_plan(3, route="webhook")
    picked = json.loads(dry_run(plan.select(ids=["u2"]))["body"][0])
    assert picked["messageId"] == f"{plan.shape.nonce}-2"
    assert a_plan(3, route="webhook").shape.nonce != plan.shape.nonce


def test_send_all_repeats_what_does_not_change() -> None:
    table = pl.DataFrame({"id": ["a"], "plan": ["pro"], "seats": [5]})
    mapping = Mapping("account", "id", ["plan", "seats"])
    values = map_traits(table, mapping)
    changes = diff_values(
        values, before=values.with_columns(seats=pl.lit(4, dtype=pl.Int64)), mapping=mapping
    )
    for send, expected in (("changed", {"seats": 5}), ("all", {"plan": "pro", "seats": 5})):
        plan = plan_changes(changes, mapping=mapping, target=TARGET, send=send)  # type: ignore[arg-type]
        assert json.loads(dry_run(plan)["body"][0]) == [{"accountId": "a", "values": expected}]


def test_unknown_ids_are_problems_unless_creating_is_on() -> None:
    mapping = Mapping("visitor", "id", ["plan"])
    values = map_traits(pl.DataFrame({"id": ["a", "b"], "plan": ["x", "y"]}), mapping)
    changes = diff_values(values, before=values.head(1).with_columns(plan=pl.lit("z")), mapping=mapping)
    plan = plan_changes(changes, mapping=mapping, target=TARGET)
    assert plan.changes["id"].to_list() == ["a"]
    assert plan.problems.select("row", "id", "rule", "severity").rows() == [
        (1, "b", "not_in_pendo", "block_row")
    ]
    creating = plan_changes(changes, mapping=mapping, target=TARGET, create="unknown_ids")
    assert creating.summary.actions == {"update": 1, "create": 1}
    assert dry_run(creating)["path"][0].endswith("/value?create=true")
    assert "Pendo advises against" in repr(creating)


def test_select_by_expression_by_ids_and_but() -> None:
    plan = a_plan(5)
    assert plan.select(after("seats") > 2).changes["id"].to_list() == ["u3", "u4"]
    assert plan.select(before("seats") == 9, but=["u0"]).changes["id"].to_list() == ["u1", "u2", "u3", "u4"]
    assert plan.select(changed("plan") & (pl.col("region") == "EMEA"), ids=["u4", "u1"]).changes[
        "id"
    ].to_list() == ["u1", "u4"]
    assert len(plan) == 5


def test_select_names_ids_and_columns_that_are_not_there() -> None:
    with pytest.raises(PlanError, match=r"did you mean 'u1'\?"):
        a_plan(2).select(ids=["U1"])
    with pytest.raises(PlanError, match="'plan', 'seats'"):
        a_plan(2).select(after("colour") == "red")


def test_digest_covers_all_that_shapes_bytes() -> None:
    plan = a_plan(3)
    same = plan.having(plan.changes.with_columns(region=pl.lit("APAC")))
    others = [
        replace(plan, target=replace(TARGET, region="eu")),
        replace(plan, shape=replace(plan.shape, batch_size=2)),
        replace(plan, shape=replace(plan.shape, planned_at=datetime(2026, 1, 1, tzinfo=UTC))),
        replace(plan, mapping=replace(plan.mapping, time_zone="UTC")),
        plan.select(but=["u2"]),
        plan.having(plan.changes.reverse()),
        plan.having(
            plan.changes.with_columns(before=pl.struct(plan=pl.lit("x"), seats=pl.lit(1, dtype=pl.Int64)))
        ),
    ]
    assert same.digest == plan.digest
    assert len({plan.digest, *(other.digest for other in others)}) == len(others) + 1


def test_the_summary_and_the_reprs_tell_the_whole_plan() -> None:
    plan = a_plan(1200)
    summary = plan.summary
    assert (summary.n_ids, summary.actions, summary.fields) == (
        1200,
        {"update": 1200},
        {"plan": 1200, "seats": 1199},
    )
    assert (summary.n_requests, summary.batch_size, summary.expected_s) == (3, 500, 0.6)
    text = repr(plan)
    assert "update 1,200 · visitors → custom, us (app.pendo.io)" in text
    assert "3 of at most 500, under a second at 5/s, 2 in flight" in text
    assert "1,192 more ids" in plan._repr_html_()
    assert "update 1,200 · visitors → custom" in summary._repr_html_()
    assert "more ids" not in summary._repr_html_()


def test_a_plan_of_sixty_fields_shows_the_busiest() -> None:
    table = pl.DataFrame({"id": ["a", "b"], **{f"f{at}": ["x", "x" if at % 9 else None] for at in range(60)}})
    mapping = Mapping("visitor", "id", [name for name in table.columns if name != "id"])
    values = map_traits(table, mapping)
    changes = diff_values(values, before=values.clear(), mapping=mapping)
    plan = plan_changes(changes, mapping=mapping, target=TARGET, create="unknown_ids")
    assert "f1 2 · f2 2" in repr(plan)
    assert "and 48 more" in repr(plan)
    assert "and 54 more fields" in plan._repr_html_()


def test_values_show_as_text_in_html() -> None:
    mapping = Mapping("visitor", "id", ["plan"])
    evil = "<img src=x onerror=alert(1)>"
    values = map_traits(pl.DataFrame({"id": [evil], "plan": ["</script>" + evil]}), mapping)
    changes = diff_values(values, before=values.clear(), mapping=mapping)
    html = plan_changes(changes, mapping=mapping, target=TARGET, create="unknown_ids")._repr_html_()
    assert "<img" not in html
    assert "&lt;img" in html


def test_agent_plans_warn() -> None:
    mapping = Mapping("visitor", "id", ["plan"], group="agent")
    values = map_traits(pl.DataFrame({"id": ["a"], "plan": ["x"]}), mapping)
    plan = plan_changes(
        diff_values(values, before=values.clear(), mapping=mapping), mapping=mapping, target=TARGET
    )
    assert any("next page load" in note for note in plan.summary.notes)


def test_a_saved_plan_loads_as_it_was(tmp_path: Path) -> None:
    plan = a_plan(3, route="webhook")
    loaded = load_plan(plan.save(tmp_path / "p"))
    assert loaded.digest == plan.digest
    assert (loaded.mapping, loaded.target, loaded.shape) == (plan.mapping, plan.target, plan.shape)
    assert loaded.changes.equals(plan.changes)
    assert sorted(file.name for file in (tmp_path / "p").iterdir()) == [
        "manifest.json",
        "part-0000.parquet",
        "problems.parquet",
    ]
    assert dry_run(loaded).equals(dry_run(plan))


def test_a_plan_with_an_expression_is_saved_with_its_text(tmp_path: Path) -> None:
    mapping = Mapping("visitor", "id", [Trait(expr=pl.col("n") + 1, field="f")])
    values = map_traits(pl.DataFrame({"id": ["a"], "n": [1]}), mapping)
    changes = diff_values(values, before=values.clear(), mapping=mapping, against="snapshot")
    plan = plan_changes(changes, mapping=mapping, target=TARGET)
    loaded = load_plan(plan.save(tmp_path / "p"))
    assert dry_run(loaded).equals(dry_run(plan))
    with pytest.raises(MappingError, match="keeps only its text"):
        map_traits(pl.DataFrame({"id": ["a"], "n": [1]}), loaded.mapping)


def test_save_refuses_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(PlanError, match="holds something already"):
        a_plan().save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def damage(folder: Path, how: str) -> None:
    part, manifest = folder / "part-0000.parquet", folder / "manifest.json"
    told = json.loads(manifest.read_text())
    if how == "cut part":
        part.write_bytes(part.read_bytes()[:-30])
    elif how == "cut manifest":
        manifest.write_text(manifest.read_text()[:-30])
    elif how == "other value":
        frame = pl.read_parquet(part)
        frame.with_columns(id=pl.lit("x") + pl.col("id")).write_parquet(part)
    elif how == "fewer rows":
        pl.read_parquet(part).head(1).write_parquet(part)
    elif how == "other batch size":
        manifest.write_text(json.dumps({**told, "shape": {**told["shape"], "batch_size": 1}}))
    elif how == "other target":
        manifest.write_text(
            json.dumps({**told, "target": {**told["target"], "api_url": "https://evil.example"}})
        )
    elif how == "missing part":
        part.unlink()
    elif how == "no object":
        manifest.write_text("[]")
    elif how == "part elsewhere":
        files = {f"../../{name}": digest for name, digest in told["files"].items()}
        manifest.write_text(json.dumps({**told, "files": files}))


@pytest.mark.parametrize(
    "how",
    [
        "cut part",
        "cut manifest",
        "other value",
        "fewer rows",
        "other batch size",
        "other target",
        "missing part",
        "no object",
    ],
)
def test_a_plan_that_was_altered_or_cut_short_is_refused(tmp_path: Path, how: str) -> None:
    folder = a_plan(3).save(tmp_path / "p")
    damage(folder, how)
    with pytest.raises(PlanError, match="Hint:"):
        load_plan(folder)


def test_parts_are_read_from_the_folder_only(tmp_path: Path) -> None:
    folder = a_plan(3).save(tmp_path / "p")
    damage(folder, "part elsewhere")
    with pytest.raises(PlanError, match=r"the digest of manifest\.json differs"):
        load_plan(folder)


def test_no_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"manifest.json is missing"):
        load_plan(tmp_path)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"create": "all"}, MappingError),
        ({"send": "new"}, MappingError),
        ({"batch_size": 0}, PlanError),
        ({"batch_size": True}, PlanError),
    ],
)
def test_options_are_checked(options: dict, error: type[Exception]) -> None:
    with pytest.raises(error, match="Hint:"):
        a_plan(**options)


def test_plan_changes_refuses_other_frames() -> None:
    with pytest.raises(FrameError, match="changes has no column"):
        plan_changes(pl.DataFrame({"id": ["a"]}), mapping=Mapping("visitor", "id", ["a"]), target=TARGET)


def test_curl_lines_run_in_a_shell_and_hold_no_key() -> None:
    mapping = Mapping("visitor", "id", ["plan"])
    values = map_traits(pl.DataFrame({"id": ["it's"], "plan": ["$HOME `x` \"q\" 'q'\n"]}), mapping)
    for route in ("metadata", "webhook"):
        plan = plan_changes(
            diff_values(values, before=values.clear(), mapping=mapping, against="snapshot"),
            mapping=replace(mapping, route=route, group=""), target=TARGET,
        )  # fmt: skip
        (line,) = build_curl(plan)
        told = subprocess.run(
            ["bash", "-c", line.replace("curl ", "printf '%s\\0' ", 1)],
            capture_output=True, check=True, env={"PENDO_APP_KEY": "APP", "PENDO_INTEGRATION_KEY": "INT"},
        ).stdout.decode().split("\0")[:-1]  # fmt: skip
        assert told[-1] == dry_run(plan)["body"][0]
        assert told[2] == (
            "https://app.pendo.io/api/v1/metadata/visitor/custom/value"
            if route == "metadata"
            else "https://data.pendo.io/data/segmentio/APP"
        )
    assert build_curl(a_plan(10, batch_size=1), most=2) == build_curl(a_plan(10, batch_size=1))[:2]


@given(
    n=st.integers(0, 30),
    batch_size=st.integers(1, 7),
    window=st.integers(1, 9),
    route=st.sampled_from(["metadata", "webhook"]),
)
def test_bytes_do_not_depend_on_windows(n: int, batch_size: int, window: int, route: str) -> None:
    plan = a_plan(n, route=route, batch_size=batch_size)
    whole = dry_run(plan)
    per_request = batch_size if route == "metadata" else 1
    assert whole.height == plan.n_requests == -(-n // per_request)
    assert whole["ids"].explode(empty_as_null=True).drop_nulls().to_list() == plan.changes["id"].to_list()
    assert all(size == per_request for size in whole["ids"].list.len().to_list()[:-1])
    windows = build_requests(plan.changes, plan.shape, rows_at_a_time=window)
    assert pl.concat([REQUESTS.to_frame(), *windows]).equals(whole)


@pytest.mark.parametrize("route", ["metadata", "webhook"])
@pytest.mark.parametrize("n", [0, 1, 45_000])
def test_a_dry_run_to_a_folder_is_the_dry_run_row_for_row(tmp_path: Path, n: int, route: str) -> None:
    plan, folder = a_plan(n, route=route), tmp_path / "a [1]*" / "requests"
    lazy = dry_run(plan, folder=folder)
    assert lazy.collect().equals(dry_run(plan))
    assert lazy.collect_schema() == REQUESTS
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"requests-{at:04}.parquet" for at in range(3 if n == 45_000 else 1)]
    assert [path.name for path in folder.parent.iterdir()] == ["requests"]


def test_a_dry_run_overwrites_nothing(tmp_path: Path) -> None:
    empty, full, file = tmp_path / "empty", tmp_path / "full", tmp_path / "file"
    empty.mkdir()
    dry_run(a_plan(), folder=str(empty))
    full.mkdir()
    (full / "mine").write_text("kept")
    file.write_text("kept")
    for taken in (empty, full, file):
        with pytest.raises(PlanError, match=r"holds something already.*Expected a new folder.*Hint: choose"):
            dry_run(a_plan(), folder=taken)
    assert [path.read_text() for path in (full / "mine", file)] == ["kept", "kept"]
    with pytest.raises(PlanError, match=r"requests can't be written.*Expected.*Hint: choose another place"):
        dry_run(a_plan(), folder=file / "below")
    with pytest.raises(
        PlanError, match=r"can't be a new folder \(it holds a NUL\).*Hint: choose another place"
    ):
        dry_run(a_plan(), folder="a\0b")


def test_a_dry_run_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def windows() -> Iterator[pl.DataFrame]:
        yield REQUESTS.to_frame()
        assert len([*tmp_path.glob("*/requests-0000.parquet")]) == 1, (
            "the first part is there, under another name"
        )
        assert not (tmp_path / "out").exists()
        raise OSError(28, "No space left on device")

    with pytest.raises(PlanError, match=r"can't be written to .*out.* \(No space left on device\)"):
        write_parts(tmp_path / "out", windows(), name="requests")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    "name", ["changed", "before", "after", "action", "schema", "eager", "status", "ids", "batch"]
)
@pytest.mark.parametrize("value", ["x", 5, True])
def test_fields_may_have_the_names_of_our_columns(name: str, value: object) -> None:
    mapping = Mapping("visitor", "id", [name])
    values = map_traits(pl.DataFrame({"id": ["a"], name: [value]}), mapping)
    changes = diff_values(values, before=values.clear(), mapping=mapping, against="snapshot")
    body = dry_run(plan_changes(changes, mapping=mapping, target=TARGET))["body"][0]
    assert json.loads(body) == [{"visitorId": "a", "values": {name: value}}]


@pytest.mark.parametrize("name", ["plan [v2]", "what?", "a*b", "ü n"])
def test_a_plan_may_lie_in_any_folder(tmp_path: Path, name: str) -> None:
    plan = a_plan(3)
    assert load_plan(plan.save(tmp_path / name)).digest == plan.digest


def test_select_takes_numbers_as_ids_and_refuses_what_is_no_list_or_expression() -> None:
    mapping = Mapping("visitor", "id", ["plan"])
    values = map_traits(pl.DataFrame({"id": [1, 2], "plan": ["x", "y"]}), mapping)
    changes = diff_values(values, before=values.clear(), mapping=mapping, against="snapshot")
    plan = plan_changes(changes, mapping=mapping, target=TARGET)
    assert plan.select(ids=[2]).changes["id"].to_list() == ["2"]
    for wrong in ({"ids": "u1"}, {"ids": [None]}):
        with pytest.raises(PlanError, match="list of texts"):
            plan.select(**wrong)  # type: ignore[arg-type]
    with pytest.raises(PlanError, match="polars expression"):
        plan.select("plan > 1")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda c: pl.concat([c, c]), "repeats"),
        (lambda c: c.with_columns(id=pl.lit(None, dtype=pl.String)), "nulls"),
        (lambda c: c.with_columns(row=pl.lit(None, dtype=pl.UInt32)), "row"),
        (lambda c: c.with_columns(action=pl.lit("Update")), "other than 'update'"),
        (lambda c: c.with_columns(changed=pl.lit(True)), "fields of after"),
    ],
)
def test_changes_that_no_diff_makes_are_refused(change, word: str) -> None:
    plan = a_plan(2)
    with pytest.raises(FrameError, match=word):
        plan_changes(change(plan.changes), mapping=plan.mapping, target=TARGET)


def test_html_shows_seconds_where_they_differ() -> None:
    mapping = Mapping("visitor", "id", [Trait("at", type="date")])
    table = pl.DataFrame({"id": ["a"], "at": ["2026-01-01T10:00:07Z"]})
    values = map_traits(table, mapping)
    held = map_traits(table.with_columns(at=pl.lit("2026-01-01T10:00:00Z")), mapping)
    plan = plan_changes(diff_values(values, before=held, mapping=mapping), mapping=mapping, target=TARGET)
    assert "2026-01-01 10:00:07" in plan._repr_html_()
