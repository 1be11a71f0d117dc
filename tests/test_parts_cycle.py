"""The whole way of a plan in parts, verb after verb, is that of the plan in memory: pushed, undone, refreshed and read back."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import pendosync as ps
from pendosync import scattering, streaming
from pendosync.remote import iter_values
from tests.test_push import QUICK

NAMES = [*[f"u-{n:04}" for n in range(1, 25)], "ünï", "ÿ y", "U-0003", "nobody-1", "nobody-2", "日本"]
KEPT = ["status", "reason", "at", "part", "batch", "seen", "fields", "held", "cells", "n", "run"]
QUIETLY = settings(
    max_examples=5,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PART_ROWS", 4)
    monkeypatch.setattr(scattering, "RUN_ROWS", 3)
    monkeypatch.setitem(iter_values.__kwdefaults__, "page_size", 7)


@pytest.fixture
def quick(sandbox):
    with ps.open_client(
        dataclasses.replace(sandbox.settings, api_pace=ps.Pace(None, 2)), retry=QUICK
    ) as client:
        yield client


def tables() -> st.SearchStrategy[pl.DataFrame]:
    row = st.tuples(
        st.sampled_from([None, "free", "pro", "ünïcode", "x" * 40]),
        st.none() | st.integers(0, 60),
        st.none() | st.lists(st.sampled_from(["a", "b"]), max_size=2),
        st.sampled_from([None, None, '{"All": false}', '{"Pendo": true}']),
    )
    ids = st.lists(st.sampled_from(NAMES), min_size=1, max_size=24, unique=True)

    def made(names: list[str]) -> st.SearchStrategy[pl.DataFrame]:
        rows = st.lists(row, min_size=len(names), max_size=len(names))
        schema = {
            "id": pl.String,
            "plan": pl.String,
            "seats": pl.Int64,
            "tags": pl.List(pl.String),
            "off": pl.String,
        }
        return rows.map(
            lambda told: pl.DataFrame(
                [(name, *cells) for name, cells in zip(names, told, strict=True)], schema=schema, orient="row"
            ).with_columns(*(pl.int_range(pl.len()).alias(name) for name in KEPT))
        )

    return ids.flatmap(made)


def by_row(frame: pl.DataFrame) -> pl.DataFrame:
    by = [name for name in ("row", "id", "rule", "field", "status") if name in frame.columns]
    return frame.sort(by, nulls_last=True)


def ensure_alike(whole: ps.Plan, parted: ps.Plan) -> None:
    for name in ("changes", "problems"):
        mine, theirs = (by_row(getattr(plan, name)) for plan in (parted, whole))
        assert mine.schema == theirs.schema
        assert mine.equals(theirs), (name, mine, theirs)
    mine, theirs = (dataclasses.asdict(plan.summary) for plan in (parted, whole))
    for name in ("n_ids", "actions", "fields", "blocked", "warned", "held"):
        assert mine[name] == theirs[name], name
    assert (parted.n_compared, parted.n_sent) == (whole.n_compared, whole.n_sent)
    assert (parted.undoes is None) == (whole.undoes is None)


FAULTS = {
    "none": [],
    "records": [("fail_records", {"ids": ["u-0001", "u-0004", "ünï"], "times": None})],
    "413": [("status", {"status": 413, "method": "POST", "times": 2, "path": "/api/v1/metadata"})],
    "400": [("status", {"status": 400, "method": "POST", "times": 1, "path": "/api/v1/metadata"})],
    "429": [("status", {"status": 429, "retry_after": 0, "times": 3})],
    "503": [("status", {"status": 503, "times": 4})],
    "cuts": [("cut", {"when": "after", "times": None, "method": "POST", "path": "/api/v1/metadata"})],
}

REFUSED_WHOLE = ("400", "413")
"""Here a request of one id is given up where one of several is cut, and a plan in parts has others."""


def cycle(plan, client, sandbox, journal, folder: Path, fault, absent, theirs, reads) -> list:
    """Everything that can be done with a plan, as what came of it."""
    told: list = []

    def note(name, value):
        told.append((name, value))

    def noted_plan(name, made):
        told.append((name, made))
        return made

    sandbox.behave()
    for name, options in FAULTS[fault]:
        sandbox.misbehave(name, **options)
    shown = ps.dry_run(plan)
    note("records", sorted(shown["ids"].explode(empty_as_null=True).to_list()))
    if not plan.parts.is_whole:
        lazily = ps.dry_run(plan, folder=folder / "dry").collect()
        assert lazily.equals(shown)
    run = ps.push(plan, client=client, journal=journal, show=False)
    try:
        run.wait(timeout_s=30)
        note("error", None)
    except ps.PendosyncError as error:
        note("error", type(error).__name__)
    sandbox.behave()
    eager = ps.read_outcomes(journal, run.id)
    assert ps.read_outcomes(journal, run.id, lazy=True).collect().equals(eager)
    assert eager.height == len(plan)
    counts = {k: v for k, v in run.progress.counts.items() if v and k != "pending"}
    mine = dict(eager["status"].value_counts().iter_rows())
    assert sum(counts.values()) == sum(v for k, v in mine.items() if k != "pending"), (counts, mine)
    attached = ps.attach_run(journal, run.id, show=False).progress.counts
    assert sum(n for status, n in attached.items() if status != "pending") == sum(counts.values())
    if fault in ("records", "none", "429"):
        note("outcomes", by_row(eager.select("id", "status", "reason")))
        noted_plan("rejected", ps.plan_rejected(journal, run.id))
        noted_plan("rejected created", ps.plan_rejected(journal, run.id, create="unknown_ids"))
    ps.resume_push(journal, run.id, client=client, show=False).wait(timeout_s=30)
    again = ps.read_outcomes(journal, run.id)
    if fault not in REFUSED_WHOLE:
        note("resumed", by_row(again.select("id", "status")))
    if plan.shape.is_held:
        seen = ps.verify_run(journal, run.id, client=client)
        assert seen["id"].to_list() == again["id"].to_list()
        if fault not in REFUSED_WHOLE:
            note("verified", by_row(seen.select("id", "status", "seen")))
            note("held", sandbox.values("visitor", "custom"))
        where = {} if plan.parts.is_whole else {"folder": folder / "fresh"}
        noted_plan("fresh", ps.refresh_plan(plan, client=client, **where))
        where = {} if plan.parts.is_whole else {"folder": folder / "undo"}
        undo = ps.plan_undo(
            journal, run.id, client=client if reads else None, absent=absent, theirs=theirs, **where
        )
        noted_plan("undo", undo)
        if len(undo):
            undo = undo.lift(**undo.lifts)
            undone = ps.push(undo, client=client, journal=journal, show=False).wait(timeout_s=30)
            note("undone", by_row(undone.select("id", "status")))
            note("held after", sandbox.values("visitor", "custom"))
            noted_plan("undo of undo", ps.plan_undo(journal, ps.read_runs(journal)["run_id"][-1]))
    if plan.shape.is_held and plan.shape.route == "metadata":
        note("snapshot", ps.read_snapshot(journal, plan.mapping, target=client.target))
    return told


def compare(whole: list, parted: list, fault) -> None:
    if fault in REFUSED_WHOLE:  # only that each way comes to its end
        return
    assert [name for name, _ in whole] == [name for name, _ in parted]
    for (name, theirs), (_, mine) in zip(whole, parted, strict=True):
        if isinstance(mine, ps.Plan):
            try:
                ensure_alike(theirs, mine)
            except AssertionError as error:
                raise AssertionError(name) from error
        elif isinstance(mine, pl.DataFrame):
            assert mine.equals(theirs), (name, mine, theirs)
        else:
            assert mine == theirs, (name, mine, theirs)


@QUIETLY
@given(
    table=tables(),
    fault=st.sampled_from(list(FAULTS)),
    absent=st.sampled_from(["leave", "null"]),
    theirs=st.sampled_from(["leave", "overwrite"]),
    reads=st.booleans(),
    creates=st.booleans(),
    skips=st.booleans(),
    route=st.sampled_from(["metadata", "metadata", "webhook"]),
    how=st.integers(0, 3),
    canary=st.booleans(),
    keeps=st.booleans(),
    nulls=st.sampled_from(["keep", "clear"]),
)
def test_the_whole_way_of_parts_is_that_of_memory(
    sandbox,
    quick,
    small_parts,
    tmp_path_factory,
    table,
    fault,
    absent,
    theirs,
    reads,
    creates,
    skips,
    route,
    how,
    canary,
    keeps,
    nulls,
) -> None:
    place = tmp_path_factory.mktemp("cycle")
    mapping = ps.Mapping(
        "visitor", "id", [ps.Trait("plan", null=nulls), ps.Trait("seats", null=nulls)], route=route,
        integrations="off" if skips and route == "webhook" else None,
    )  # fmt: skip
    options = {
        "client": quick, "planned_at": datetime.now(UTC), "keep": KEPT if keeps else [], "batch_size": 3,
        "create": "unknown_ids" if creates else "never",
        "canary": ps.Canary((1, 60), settle_s=0.2, unseen="go_on") if canary and fault == "none" else None, "gates": ps.Gates(recheck=3),
    }  # fmt: skip
    told = []
    for name in ("memory", "parts"):
        sandbox.reset()
        sandbox.behave()
        where = {"folder": place / "plan"} if name == "parts" else {}
        plan = ps.plan_table(table, mapping, **where, **options)
        plan = plan.lift(**plan.lifts)
        if how == 1:
            plan = plan.select(pl.col("id") != "u-0002").select(
                ps.after("seats").is_null() | (ps.after("seats") > 5)
            )
        elif how == 2 and len(plan):
            first = sorted(plan.changes["id"])[: len(plan) // 2 + 1]
            plan = plan.select(ids=first).select(but=first[:1])
        elif how == 3:
            plan = ps.load_plan(plan.save(place / f"saved-{name}"))
        if not len(plan):
            return
        told.append(
            (
                plan,
                cycle(
                    plan, quick, sandbox, ps.open_journal(place / name), place, fault, absent, theirs, reads
                ),
            )
        )
    (whole, theirs_), (parted, mine) = told
    ensure_alike(whole, parted)
    compare(theirs_, mine, fault)


# --- what went wrong once


@pytest.fixture
def parted(quick, small_parts, tmp_path) -> ps.Plan:
    table = pl.DataFrame({"id": [f"u-{n:04}" for n in range(1, 31)], "plan": ["new"] * 30})
    return ps.plan_table(table, ps.Mapping("visitor", "id", ["plan"]), client=quick, folder=tmp_path / "plan")


def lose(folder: Path, *, which: slice = slice(1, 2)) -> None:
    for file in sorted(folder.glob("part-*"))[which]:
        file.unlink()


def test_a_first_part_without_rows_does_not_stop_the_push(quick, journal, parted) -> None:
    first = set(parted.parts.read(0)["id"])
    chosen = parted.select(but=first)
    assert chosen.parts.counts.n_rows == len(parted) - len(first)
    outcomes = ps.push(chosen, client=quick, journal=journal, show=False).wait(timeout_s=20)
    assert set(outcomes["status"]) == {"updated"}


def test_what_is_lost_is_never_dropped_without_a_word(sandbox, quick, journal, parted, tmp_path) -> None:
    sandbox.misbehave("fail_records", ids=["u-0001", "u-0030"], times=None)
    run = ps.push(parted, client=quick, journal=journal, show=False)
    run.wait(timeout_s=20)
    sandbox.behave()
    again = ps.push(parted, client=quick, journal=journal, show=False)
    again.wait(timeout_s=20)
    lose(journal.folder_of(again.id) / "plan")
    with pytest.raises(
        ps.PlanError, match=rf"The plan of run {again.id} can't be read: .* Expected .* Hint: "
    ):
        ps.read_snapshot(journal, parted.mapping, target=quick.target)
    with pytest.raises(ps.PlanError, match=rf"The plan of run {again.id} can't be read"):
        ps.plan_undo(journal, run.id, folder=tmp_path / "undo")
    assert not (tmp_path / "undo").exists()
    rejected = ps.plan_rejected(journal, again.id)
    assert any("1 part of the run's plan can't be read" in note for note in rejected.summary.notes)
    undo = ps.plan_undo(journal, again.id, folder=tmp_path / "undo")
    assert any("1 part of the run's plan can't be read" in note for note in undo.summary.notes)


def test_a_run_whose_parts_are_all_lost_is_told_and_crashes_nothing(quick, journal, parted, tmp_path) -> None:
    run = ps.push(parted, client=quick, journal=journal, show=False)
    run.wait(timeout_s=20)
    lose(journal.folder_of(run.id) / "plan", which=slice(None))
    seen = ps.verify_run(journal, run.id, client=quick)
    assert seen["seen"].null_count() == seen["id"].null_count() == len(parted)
    undo = ps.plan_undo(journal, run.id, folder=tmp_path / "undo")
    assert len(undo) == 0
    assert "can't be read" in repr(undo)
    assert undo._repr_html_()
    assert undo.changes.is_empty()
    assert ps.plan_rejected(journal, run.id).changes.is_empty()
    lost = ps.load_plan(journal.folder_of(run.id) / "plan")
    assert lost._repr_html_()
    told: list[str] = []
    for verb in (
        lambda: lost.select(ids=["u-0001"]),
        lambda: ps.dry_run(lost),
        lambda: ps.dry_run(lost, folder=tmp_path / "dry").collect(),
        lambda: ps.refresh_plan(lost, client=quick, folder=tmp_path / "fresh"),
        lambda: lost.changes,
        lambda: ps.preview_plan(lost).selection,
    ):
        try:
            verb()
        except ps.PendosyncError as error:
            told.append(str(error))
    assert len(told) >= 4
    assert all("Expected" in one and "Hint" in one for one in told)


def test_events_of_a_lost_part_hold_back_no_others(quick, journal, small_parts, tmp_path) -> None:
    now = datetime.now(UTC)
    table = pl.DataFrame({"user": ["ann"] * 12, "name": ["Left"] * 12, "at": [now] * 12, "n": range(12)})
    mapping = ps.Mapping("event", visitor_id="user", event="name", at="at", route="track", traits=["n"])
    plan = ps.plan_table(table, mapping, client=quick, folder=tmp_path / "plan")
    assert len(plan.parts) == 3
    lose(tmp_path / "plan")
    n_lost = plan.parts[1].counts.n_rows
    run = ps.push(plan, client=quick, journal=journal, show=False)
    with pytest.raises(ps.PushError, match="1 part of 3 can't be read"):
        run.wait(timeout_s=20)
    with pytest.raises(ps.PushError, match="1 part of 3 can't be read"):
        ps.resume_push(journal, run.id, client=quick, show=False).wait(timeout_s=20)
    told = ps.read_outcomes(journal, run.id)["status"].value_counts()
    assert dict(told.iter_rows()) == {"accepted": 12 - n_lost, "pending": n_lost}


def test_a_mark_makes_no_folder_where_the_plan_was(quick, journal, parted, tmp_path) -> None:
    loaded = ps.load_plan(
        parted.select(ids=["u-0001"]).having(parted.changes.head(1)).save(tmp_path / "whole")
    )
    for file in (tmp_path / "whole").iterdir():
        file.unlink()
    (tmp_path / "whole").rmdir()
    ps.push(loaded, client=quick, journal=journal, show=False).wait(timeout_s=20)
    assert not (tmp_path / "whole").exists()


def test_a_plan_is_copied_where_files_can_not_be_linked_and_an_altered_copy_is_refused(
    quick, journal, parted, monkeypatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("os.link", no_links)
    run = ps.push(parted, client=quick, journal=journal, show=False)
    run.wait(timeout_s=20)
    copy = sorted((journal.folder_of(run.id) / "plan").glob("part-*"))[0]
    copy.write_bytes(copy.read_bytes()[:-4] + b"XXXX")
    assert ps.read_outcomes(journal, run.id)["id"].null_count() == parted.parts[0].counts.n_rows
    assert len(ps.load_plan(parted.parts.folder).changes) == 30  # its own files are as they were


def test_a_place_that_can_not_be_written_is_told(quick, journal, parted, tmp_path) -> None:
    run = ps.push(parted, client=quick, journal=journal, show=False)
    run.wait(timeout_s=20)
    (tmp_path / "file").write_text("mine")
    table = pl.DataFrame({"id": ["u-0001"], "plan": ["x"]})
    for folder in (tmp_path / "file" / "plan", tmp_path / "file", tmp_path / "a\0b", tmp_path / "half\ud800"):
        for verb in (
            lambda folder: ps.refresh_plan(parted, client=quick, folder=folder),
            lambda folder: ps.plan_undo(journal, run.id, client=quick, folder=folder),
            lambda folder: ps.plan_undo(journal, run.id, folder=folder),
            lambda folder: ps.plan_table(table, parted.mapping, client=quick, folder=folder),
            lambda folder: ps.dry_run(parted, folder=folder),
        ):
            with pytest.raises(ps.PendosyncError, match=r"Expected .* Hint: "):
                verb(folder)


def test_a_kill_while_what_was_set_aside_is_emptied_leaves_a_call_that_goes_on(
    quick, small_parts, tmp_path, monkeypatch
) -> None:
    table = pl.DataFrame({"id": [f"u-{n:04}" for n in range(1, 31)], "plan": ["new"] * 30})
    mapping = ps.Mapping("visitor", "id", ["plan"])
    call = lambda: ps.plan_table(table, mapping, client=quick, folder=tmp_path / "plan")  # noqa: E731
    with monkeypatch.context() as patch:

        def killed(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(scattering, "write_run", killed)
        with pytest.raises(KeyboardInterrupt):
            call()
    (tmp_path / "plan.work" / "table").rmdir()
    (tmp_path / "plan.work" / "held").rmdir()
    assert len(call()) == 30


def test_another_table_of_the_same_form_is_not_taken_for_the_one_that_was_left(
    quick, small_parts, tmp_path, monkeypatch
) -> None:
    mapping = ps.Mapping("visitor", "id", ["plan"])
    ids = [f"u-{n:04}" for n in range(1, 31)]
    for name, made in {
        "eager": lambda value: pl.DataFrame({"id": ids, "plan": [value] * 30}),
        "lazy": lambda value: pl.LazyFrame({"id": ids, "plan": [value] * 30}),
        "series": lambda value: pl.LazyFrame({"id": ids}).with_columns(pl.Series("plan", [value] * 30)),
    }.items():
        with monkeypatch.context() as patch:

            def killed(_: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(streaming, "plan_part", killed)
            with pytest.raises(KeyboardInterrupt):
                ps.plan_table(made("wrong"), mapping, client=quick, folder=tmp_path / name)
        plan = ps.plan_table(made("right"), mapping, client=quick, folder=tmp_path / name)
        assert set(plan.changes["after"].struct.field("plan")) == {"right"}, name


def test_bad_frames_of_what_is_held_are_refused(quick, small_parts, tmp_path) -> None:
    table = pl.DataFrame({"id": [f"u-{n:04}" for n in range(1, 31)], "plan": ["new"] * 30})
    mapping = ps.Mapping("visitor", "id", ["plan"])
    good = pl.DataFrame(
        {"row": range(30), "id": table["id"], "raw": [None] * 30, "plan": ["old"] * 30},
        schema_overrides={"row": pl.UInt32, "raw": pl.String},
    )
    (tmp_path / "held").mkdir()
    good.write_parquet(tmp_path / "held" / "0.parquet")
    good.head(1).write_parquet(tmp_path / "held" / "1.parquet")
    bad = {
        "twice": pl.scan_parquet(tmp_path / "held"),
        "null": good.with_columns(id=pl.when(pl.col("row") != 3).then("id")).lazy(),
        "type": good.with_columns(plan=pl.lit(1)).lazy(),
        "columns": good.drop("raw").lazy(),
    }
    for name, before in bad.items():
        with pytest.raises(ps.FrameError, match=r"Hint: "):
            ps.plan_table(table, mapping, client=quick, before=before, folder=tmp_path / name)


def test_a_table_that_fails_in_the_middle_is_told(quick, small_parts, tmp_path) -> None:
    mapping = ps.Mapping("visitor", "id", ["plan"])
    frame = pl.DataFrame({"id": [f"u-{n:04}" for n in range(1, 31)], "plan": ["1"] * 29 + ["x"]})
    frame.write_csv(tmp_path / "table.csv")
    for n, table in enumerate(
        (frame.lazy(), pl.scan_csv(tmp_path / "table.csv", schema_overrides={"plan": pl.String}))
    ):
        with pytest.raises(ps.PendosyncError, match="Expected"):
            ps.plan_table(
                table.with_columns(pl.col("plan").cast(pl.Int64)),
                mapping,
                client=quick,
                folder=tmp_path / f"bad-{n}",
            )
        assert len(ps.plan_table(table, mapping, client=quick, folder=tmp_path / f"good-{n}")) == 30


def test_nothing_on_the_way_reads_all_parts_at_once(
    sandbox, quick, journal, parted, tmp_path, monkeypatch
) -> None:
    for name in ("whole", "problems"):
        of_parts = getattr(ps.parted.Parts, name)
        read = getattr(of_parts, "func", of_parts)

        def of_one(self: ps.parted.Parts, read=read) -> pl.DataFrame:
            assert len(self) == 1, "all parts at once"
            return read(self)

        monkeypatch.setattr(ps.parted.Parts, name, property(of_one) if name == "problems" else of_one)
    plan = ps.load_plan(parted.parts.folder)
    view = ps.preview_plan(plan)
    assert view is not None
    assert ps.dry_run(plan, folder=tmp_path / "dry").collect().height
    sandbox.misbehave("latency", method="POST", seconds=0.2, times=None)
    run = ps.push(plan, client=quick, journal=journal, show=False)
    run.cancel()
    run.wait(lazy=True)
    sandbox.behave()
    told = ps.resume_push(journal, run.id, client=quick, show=False).wait(timeout_s=20, lazy=True).collect()
    assert set(told["status"]) == {"updated"}
    for client in (quick, None):
        undo = ps.plan_undo(journal, run.id, client=client, folder=tmp_path / f"undo-{client is None}")
        assert len(undo) > 0
    assert ps.refresh_plan(plan, client=quick, folder=tmp_path / "fresh").parts.cut == plan.parts.cut
