"""A plan in parts is the plan in memory, however it is cut, and however often it is killed on the way."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pendosync as ps
from pendosync import scattering, shortcuts, streaming
from pendosync.buckets import bucket_of
from pendosync.engines import Here
from pendosync.errors import ColumnNotFoundError, FrameError, MappingError, PlanError
from pendosync.recipe import Recipe
from pendosync.remote import iter_values
from pendosync.work import Work
from tests.test_undo import others_write

AT = datetime(2026, 11, 26, 10, tzinfo=UTC)
NAMES = ["u-0001", "u-0002", "u-0003", "u-0005", "u-0011", "u-0017", "U-0001", " u-0002", "ünï", "ÜNÏ", "x y"]
IDS = st.sampled_from([*NAMES, "nobody", "_PENDO_T_x", " ", "", "é" * 100]) | st.none()
MONEY = pl.Decimal(38, 2)
VISITORS = {
    "id": (pl.String, IDS),
    "plan": (pl.String, st.sampled_from(["free", "pro", "AKIAABCDEFGHIJKLMNOP"]) | st.text(max_size=3) | st.none()),
    "seats": (pl.Int64, st.integers(-3, 60) | st.just(2**60) | st.none()),
    "score": (pl.Float64, st.floats() | st.none()),
    "trial": (pl.String, st.sampled_from(["true", "false", "perhaps"]) | st.none()),
    "mrr": (MONEY, st.sampled_from([Decimal("1.50"), Decimal("3"), Decimal("12345678901234567.89")]) | st.none()),
    "age": (pl.String, st.sampled_from(["7", "7.5", "old"]) | st.none()),
    "address": (pl.Struct({"city": pl.String, "rent": MONEY}), st.fixed_dictionaries({"city": st.text(max_size=3), "rent": st.just(Decimal("2.5"))}) | st.none()),
    "tags": (pl.List(pl.String), st.lists(st.sampled_from(["a", "b"]) | st.none(), max_size=2) | st.none()),
    "off": (pl.String, st.sampled_from(['{"All": false}', '{"Pendo": true}', "nonsense"]) | st.none()),
    "region": (pl.String, st.sampled_from(["eu", "us"]) | st.none()),
}  # fmt: skip
MESSAGES = {
    "user": (pl.String, st.sampled_from(["ann", "Ann", " ", "_PENDO_T_x"]) | st.none()),
    "team": (pl.String, st.sampled_from(["acme", "Acme", ""]) | st.none()),
    "name": (pl.String, st.sampled_from(["Signed Up", "Left"]) | st.none()),
    "time": (pl.String, st.sampled_from(["2026-11-26T09:00:00Z", "2026-11-01T09:00:00Z", "then"]) | st.none()),
    "plan": VISITORS["plan"],
    "mrr": VISITORS["mrr"],
}  # fmt: skip
QUIETLY = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def tables(columns: dict) -> st.SearchStrategy[pl.DataFrame]:
    rows = st.lists(st.tuples(*(values for _, values in columns.values())), max_size=25)
    schema = {name: dtype for name, (dtype, _) in columns.items()}
    return rows.map(lambda told: pl.DataFrame(told, schema=schema, orient="row", strict=False))


def visitors(nulls: tuple[str, ...], route: str, *, has_lists: bool, sends_all: bool) -> ps.Mapping:
    names = ["plan", "seats", "score", "mrr", "age", "address", *(["tags"] if has_lists else [])]
    traits = [ps.Trait(name, null=null) for name, null in zip(names, nulls, strict=False)]
    traits += [ps.Trait("trial", type="boolean"), ps.Trait(sql="UPPER(plan)", field="PLAN", null=nulls[0])]
    return ps.Mapping("visitor", "id", traits, route=route, integrations=None if sends_all else "off")  # type: ignore[arg-type]


MAPPINGS = st.builds(
    visitors,
    st.tuples(*[st.sampled_from(["keep", "clear"])] * 7),
    st.sampled_from(["metadata", "webhook"]),
    has_lists=st.booleans(),
    sends_all=st.booleans(),
)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of about four rows, from runs of three, and pages of seven."""
    monkeypatch.setattr(streaming, "PART_ROWS", 4)
    monkeypatch.setattr(scattering, "RUN_ROWS", 3)
    monkeypatch.setattr(scattering, "_PIECE_ROWS", 0)
    pages = iter_values.__kwdefaults__
    monkeypatch.setitem(pages, "page_size", 7)


def in_parts(table, mapping, folder: Path, **options) -> ps.Plan:
    return ps.plan_table(table, mapping, folder=folder / "plan", **options)


def ensure_same(whole: ps.Plan, parted: ps.Plan) -> None:
    for name in ("changes", "problems"):
        mine, theirs = getattr(parted, name), getattr(whole, name)
        assert mine.schema == theirs.schema
        by = ["row", "id"] if name == "changes" else theirs.columns
        assert mine.sort(by).equals(theirs.sort(by))
    mine, theirs = (dataclasses.asdict(plan.summary) for plan in (parted, whole))
    for name in ("n_ids", "actions", "fields", "blocked", "warned", "held"):
        assert mine[name] == theirs[name]
    assert (parted.n_compared, parted.n_sent, parted.kept) == (whole.n_compared, whole.n_sent, whole.kept)
    assert (parted.mapping, parted.gates, parted.target) == (whole.mapping, whole.gates, whole.target)


@QUIETLY
@given(table=tables(VISITORS), mapping=MAPPINGS, creates=st.booleans(), is_lazy=st.booleans())
def test_a_plan_in_parts_is_the_plan_in_memory(
    sandbox, client, small_parts, tmp_path_factory, table, mapping, creates, is_lazy
) -> None:
    sandbox.reset()
    sandbox.switch(wrong_types="kept")
    others_write(client, "u-0001", "seats", "many")
    others_write(client, "u-0002", "plan", 7)
    options = {
        "client": client, "planned_at": AT, "keep": ["region", "seats"], "gates": ps.Gates(max_ids=3),
        "create": "unknown_ids" if creates else "never",
    }  # fmt: skip
    whole = ps.plan_table(table, mapping, **options)
    parted = in_parts(
        table.lazy() if is_lazy else table, mapping, tmp_path_factory.mktemp("parts"), **options
    )
    ensure_same(whole, parted)


@QUIETLY
@given(table=tables(VISITORS), held=tables(VISITORS), mapping=MAPPINGS, is_lazy=st.booleans())
def test_so_it_is_against_a_snapshot(
    client, small_parts, tmp_path_factory, table, held, mapping, is_lazy
) -> None:
    once = held.drop_nulls("id").unique("id", maintain_order=True)
    # what is held has the types that the table's values have
    either = pl.concat([table, once]).with_row_index("place")
    read = ps.map_traits(either, mapping)
    clean = ps.drop_blocked(read, ps.check_values(read, mapping=mapping))
    before = read.filter(pl.col("row") >= table.height).select(clean.columns)
    options = {"client": client, "planned_at": AT, "keep": ["region"]}
    try:
        whole = ps.plan_table(table, mapping, before=before, **options)
    except FrameError:  # a Decimal of this table is of another type
        return
    parted = in_parts(
        table,
        mapping,
        tmp_path_factory.mktemp("parts"),
        before=before.lazy() if is_lazy else before,
        **options,
    )
    ensure_same(whole, parted)
    assert parted.against == "snapshot"


@QUIETLY
@given(
    table=tables(MESSAGES),
    event=st.booleans(),
    named=st.booleans(),
    route=st.sampled_from(["webhook", "track"]),
)
def test_so_it_is_of_memberships_and_events(
    client, small_parts, tmp_path_factory, table, event, named, route
) -> None:
    about = {"visitor_id": "user", "account_id": "team"}
    if event:
        about |= {"event": "name", "at": "time", "id": "plan" if named else ""}
    kind, route = ("event", route) if event else ("membership", "webhook")
    mapping = ps.Mapping(kind, traits=["plan", "mrr"], route=route, **about)  # type: ignore[arg-type]
    options = {"client": client, "planned_at": AT, "keep": ["team"]}
    whole = ps.plan_table(table, mapping, **options)
    parted = in_parts(table, mapping, tmp_path_factory.mktemp("parts"), **options)
    ensure_same(whole, parted)


# --- what is planned in parts


TABLE = pl.DataFrame(
    {
        "id": [f"u-{n:04}" for n in range(1, 31)],
        "plan": ["new" if n % 2 else None for n in range(30)],
        "seats": range(30),
    }
)
MAPPING = ps.Mapping("visitor", "id", ["plan", "seats"])
N_PARTS = bucket_of(TABLE["id"], 8).n_unique()
"""Of the eight parts of four rows, on average, those that have any."""


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_long_lazy_table_is_planned_in_parts_where_the_journal_lies(
    client, small_parts, home, monkeypatch
) -> None:
    monkeypatch.setattr(shortcuts, "IN_MEMORY", 30)
    assert ps.plan_table(TABLE.lazy(), MAPPING, client=client).parts.is_whole
    monkeypatch.setattr(shortcuts, "IN_MEMORY", 29)
    assert ps.plan_table(TABLE, MAPPING, client=client).parts.is_whole
    plan = ps.plan_table(TABLE.lazy(), MAPPING, client=client)
    assert len(plan.parts) > 4
    plans = home / ".pendosync" / "plans"
    assert [path.name for path in plans.iterdir() if path.name != ".gitignore"] == [plan.parts.folder.name]
    assert (plans / ".gitignore").read_text() == "*\n"
    assert ps.load_plan(plan.parts.folder).digest == plan.digest


def test_an_engine_plans_in_parts_too(client, small_parts, home) -> None:
    plan = ps.plan_table(TABLE, MAPPING, client=client, engine=Here())
    assert plan.parts.folder.parent == home / ".pendosync" / "plans"


def test_the_same_table_at_the_same_time_is_the_same_plan(client, small_parts, tmp_path) -> None:
    digests = {
        in_parts(TABLE, MAPPING, tmp_path / str(n), client=client, planned_at=AT).digest for n in range(2)
    }
    other = in_parts(TABLE.head(29), MAPPING, tmp_path / "other", client=client, planned_at=AT)
    assert len(digests | {other.digest}) == 2


def test_no_row_and_no_change_are_plans_in_parts(client, small_parts, tmp_path) -> None:
    for number, table in enumerate((TABLE.clear(), TABLE.select("id", plan=None, seats=None))):
        whole = ps.plan_table(table, MAPPING, client=client)
        parted = in_parts(table, MAPPING, tmp_path / str(number), client=client)
        ensure_same(whole, parted)
        assert len(parted.parts) == 1


# --- what is refused, before any row is read


@pytest.mark.parametrize("sql", ["SUM(seats)", "RANK() OVER (ORDER BY seats)", "seats - AVG(seats)"])
def test_a_trait_that_hangs_on_other_rows_is_refused(client, tmp_path, sql) -> None:
    mapping = ps.Mapping("visitor", "id", [ps.Trait(sql=sql, field="seats")])
    with pytest.raises(
        MappingError, match=r"a part of the table at a time: .* Hint: compute it in the table first"
    ):
        in_parts(TABLE, mapping, tmp_path, client=client)
    assert not (tmp_path / "plan.work").exists()


def test_a_column_that_no_file_can_keep_is_refused(client, tmp_path) -> None:
    table = TABLE.with_columns(pl.Series("thing", [object()] * 30, dtype=pl.Object))
    with pytest.raises(MappingError, match=r"'thing' hold Python objects"):
        in_parts(table, MAPPING, tmp_path, client=client, keep=["thing"])


def test_parents_of_decimals_are_refused(client, tmp_path) -> None:
    parent = pl.struct(id="id", mrr=pl.lit(Decimal("1.5")))
    mapping = ps.Mapping("account", "id", ["plan"], route="webhook", visitor_id="id", parent_account="parent")
    with pytest.raises(MappingError, match=r"cast them to pl\.Float64"):
        in_parts(TABLE.with_columns(parent=parent), mapping, tmp_path, client=client)


def test_what_is_refused_in_memory_is_refused_alike(client, tmp_path) -> None:
    with pytest.raises(ColumnNotFoundError):
        in_parts(TABLE.drop("plan"), MAPPING, tmp_path, client=client)
    with pytest.raises(PlanError, match="batch_size is 0"):
        in_parts(TABLE, MAPPING, tmp_path, client=client, batch_size=0)
    before = pl.DataFrame({"row": [0], "id": [1], "raw": [None]})
    with pytest.raises(FrameError, match="expected String"):
        in_parts(TABLE, MAPPING, tmp_path, client=client, before=before)
    mapping = ps.Mapping("event", visitor_id="id", event="plan", at="seats", route="track")
    table, before = TABLE.with_columns(seats=pl.lit("2026-11-26")), ps.map_traits(TABLE, MAPPING)
    with pytest.raises(FrameError, match="'before' of a mapping of kind 'event' is given"):
        in_parts(table, mapping, tmp_path, client=client, before=before)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_holds_something_is_left_alone(client, tmp_path) -> None:
    (tmp_path / "plan").mkdir()
    (tmp_path / "plan" / "mine.txt").write_text("mine")
    with pytest.raises(PlanError, match="holds something already"):
        in_parts(TABLE, MAPPING, tmp_path, client=client)
    assert [path.name for path in tmp_path.iterdir()] == ["plan"]


def test_a_part_whose_fields_differ_is_named(client, tmp_path) -> None:
    mapping = ps.Mapping("event", visitor_id="id", event="plan", at="at", traits=["mrr"], route="track")
    table = pl.DataFrame(
        {"id": ["ann"], "plan": ["Left"], "at": ["2026-11-26"], "mrr": [Decimal("12345678901234567.89")]}
    )
    recipe = Recipe(mapping, client.target, planned_at=AT)
    head, _ = streaming.rehearse(table, recipe, None)
    (tmp_path / "table").mkdir()
    scattering.scatter_slice(scattering.Slice(table, recipe, tmp_path / "table", 1, 0, 1))
    job = streaming.Job(recipe, tmp_path, head.parts.nothing, None)
    with pytest.raises(
        MappingError, match=r"In part 0 the field 'mrr' is text, by the table's columns it is float\."
    ):
        streaming.plan_part(streaming.PartOf(job, 0, 1, 0))


# --- killed, and gone on with


class Counting(Here):
    """Notes what it was asked to do."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def map(self, do, items):
        for item in items:
            self.asked.append(do.__name__)
            yield do(item)


KILLED = """
import json, os, sys
from datetime import datetime
import polars as pl
import pendosync as ps
from pendosync import scattering, streaming, work
streaming.PART_ROWS, scattering.RUN_ROWS, scattering._PIECE_ROWS = 4, 3, 0
room, name, times = json.loads(sys.argv[4])
whole, count = getattr(sys.modules[room], name), 0
def dying(*args, **options):
    global count
    count += 1
    if count == times:
        os.kill(os.getpid(), 9)
    return whole(*args, **options)
setattr(sys.modules[room], name, dying)
mapping = ps.Mapping("visitor", "id", ["plan", "seats"])
with ps.open_client(ps.Settings(**json.loads(sys.argv[3]))) as client:
    at = datetime.fromisoformat(sys.argv[5])
    ps.plan_table(pl.scan_parquet(sys.argv[1]), mapping, client=client, folder=sys.argv[2], planned_at=at)
"""


@pytest.fixture
def file(tmp_path) -> Path:
    TABLE.write_parquet(tmp_path / "table.parquet")
    return tmp_path / "table.parquet"


def kill_at(sandbox, file: Path, folder: Path, place: tuple[str, str, int]) -> None:
    key = sandbox.settings.secret("integration_key").reveal()
    told = json.dumps({"api_url": sandbox.url, "data_url": sandbox.url, "integration_key": key})
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(file), str(folder), told, json.dumps(place), AT.isoformat()],
        timeout=60, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr


def plan_on(
    file: Path, folder: Path, client: ps.Client, mapping: ps.Mapping = MAPPING
) -> tuple[ps.Plan, Counting]:
    engine = Counting()
    table = pl.scan_parquet(file)
    plan = ps.plan_table(table, mapping, client=client, folder=folder, engine=engine, planned_at=AT)
    return plan, engine


@pytest.fixture
def undisturbed(file, client, small_parts, tmp_path) -> ps.Plan:
    return plan_on(file, tmp_path / "undisturbed", client)[0]


@pytest.mark.parametrize(
    ("place", "n_left"),
    [
        (("pendosync.scattering", "write_run", 4), N_PARTS),  # the table is being cut
        (("pendosync.streaming", "write_part", 4), N_PARTS - 3),  # a part is written
        (("pendosync.streaming", "write_done", 4), N_PARTS - 3),  # it is there, but not yet noted
        (("pendosync.streaming", "seal_plan", 1), 0),
    ],
)
def test_killed_it_goes_on_with_what_is_there(
    sandbox, client, file, undisturbed, tmp_path, place, n_left
) -> None:
    kill_at(sandbox, file, tmp_path / "plan", place)
    assert (tmp_path / "plan.work").exists()
    assert not (tmp_path / "plan").exists()
    plan, engine = plan_on(file, tmp_path / "plan", client)
    assert engine.asked.count("plan_part") == n_left
    assert plan.digest == undisturbed.digest
    assert plan.changes.equals(undisturbed.changes)
    assert not (tmp_path / "plan.work").exists()


@pytest.mark.parametrize("name", ["table", "held"])
def test_what_was_set_aside_and_cut_short_since_is_set_aside_anew(
    sandbox, client, file, undisturbed, tmp_path, name
) -> None:
    kill_at(sandbox, file, tmp_path / "plan", ("pendosync.streaming", "write_part", 4))
    run = sorted((tmp_path / "plan.work" / name).iterdir())[0]
    run.write_bytes(run.read_bytes()[:-9])
    plan, engine = plan_on(file, tmp_path / "plan", client)
    assert engine.asked.count("plan_part") == N_PARTS
    assert plan.digest == undisturbed.digest


def test_a_part_that_was_altered_since_is_made_anew(sandbox, client, file, undisturbed, tmp_path) -> None:
    kill_at(sandbox, file, tmp_path / "plan", ("pendosync.streaming", "write_part", 4))
    part = sorted((tmp_path / "plan.work" / "plan").glob("part-*"))[0]
    part.write_bytes(b"")
    plan, engine = plan_on(file, tmp_path / "plan", client)
    assert engine.asked.count("plan_part") == N_PARTS - 2
    assert plan.digest == undisturbed.digest


def test_another_mapping_begins_anew(sandbox, client, file, undisturbed, tmp_path) -> None:
    kill_at(sandbox, file, tmp_path / "plan", ("pendosync.streaming", "write_part", 4))
    other = ps.Mapping("visitor", "id", ["seats"])
    plan, engine = plan_on(file, tmp_path / "plan", client, other)
    assert engine.asked.count("plan_part") == N_PARTS
    assert plan.fields == ["seats"]
    assert plan.digest == plan_on(file, tmp_path / "fresh", client, other)[0].digest


def test_what_was_read_holds_though_the_file_is_another_by_now(
    sandbox, client, file, undisturbed, tmp_path
) -> None:
    kill_at(sandbox, file, tmp_path / "plan", ("pendosync.streaming", "write_part", 4))
    TABLE.with_columns(plan=pl.lit("changed")).write_parquet(file)
    plan, _ = plan_on(file, tmp_path / "plan", client)
    assert plan.digest == undisturbed.digest


def test_a_call_without_a_folder_goes_on_where_it_was_left(client, tmp_path, monkeypatch) -> None:
    (tmp_path / ".env").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(streaming, "PART_ROWS", 4)
    monkeypatch.setattr(shortcuts, "IN_MEMORY", 3)
    calls: list[int] = []
    plan_part = streaming.plan_part

    def fail_at_the_third(item: streaming.PartOf) -> None:
        calls.append(item.number)
        if len(calls) == 3:
            raise KeyboardInterrupt
        plan_part(item)

    monkeypatch.setattr(streaming, "plan_part", fail_at_the_third)
    table = pl.LazyFrame({"id": [f"u-{n:04}" for n in range(1, 21)], "plan": ["new"] * 20})
    mapping = ps.Mapping("visitor", "id", ["plan"])
    with pytest.raises(KeyboardInterrupt):
        ps.plan_table(table, mapping, client=client)
    (left,) = (tmp_path / ".pendosync" / "plans").glob("*.work")
    plan = ps.plan_table(table, mapping, client=client)
    assert plan.parts.folder == left.with_suffix("")
    assert sorted(calls) == sorted([*range(5), calls[2]])
    assert not left.exists()


def test_two_calls_do_not_plan_into_one_folder_at_once(client, tmp_path) -> None:
    with (
        Work.open(tmp_path / "plan", "another"),
        pytest.raises(PlanError, match=r"Another process plans into '.*plan' at this moment"),
    ):
        in_parts(TABLE, MAPPING, tmp_path, client=client)
    assert len(in_parts(TABLE, MAPPING, tmp_path, client=client).parts) == 1
