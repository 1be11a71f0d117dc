"""A process that pushes may end at any instant, in any way: the run is finished by a resume, and the account is true."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

import pendosync as ps
from benchmarks.kills import Blow, Victim, Victims, look_at, trial
from benchmarks.trials import Judge, Stage, only_run, open_stage, push_to_the_end
from benchmarks.victim import Order

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows knows no signals like these.")

BAD = ["u-0003", "u-0004", "u-0061"]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with open_stage(rows=600, batch_size=30, in_flight=2, latency_s=0.03) as opened:
        yield opened


@pytest.fixture(scope="module")
def victims(stage: Stage) -> Iterator[Victims]:
    with Victims(stage) as opened:
        yield opened


def ensure_true(judge: Judge) -> None:
    assert (judge.lost, judge.twice, judge.wrong) == (0, 0, 0)


def test_a_killed_push_is_finished_though_the_resuming_process_is_killed_too(stage, victims) -> None:
    ensure_true(trial(stage, victims, Blow(0.4), Blow(0.4)))


@pytest.mark.parametrize(
    ("within", "line"),
    [
        ("create_record", 5),
        ("__init__", 1),
        ("_take_lease", 3),
        ("record_sending", 20),
        ("record_result", 21),
        ("write_left", 12),
        ("_begin", 30),
        ("_force_out", 2),
        ("_force_out", 21),
        ("_ended", 5),
        ("record_end", 3),
    ],
)
def test_a_kill_between_two_lines_of_the_journal_tells_nothing_wrong(
    stage, victims, within: str, line: int
) -> None:
    judge = trial(
        stage, victims, Blow(order={"at_line": line, "rooms": ("runfile", "loops"), "within": within})
    )
    assert judge.victims != ["over"]  # it was killed there
    ensure_true(judge)


def test_a_run_that_was_killed_before_it_was_born_is_no_run(stage, victims) -> None:
    stage.begin()
    journal = stage.new_journal()
    victims.next(journal=str(journal.path), at_line=4, rooms=("folders",), within="write_folder").last_words()
    (born,) = [folder for folder in journal.path.iterdir() if folder.is_dir() and folder.name[0] != "."]
    assert any(born.iterdir())
    assert ps.read_runs(journal).is_empty()
    with stage.client() as client, pytest.raises(ps.JournalError, match="holds no run"):
        ps.resume_push(journal, born.name, client=client)
    assert stage.sandbox.writes("visitor") == {}
    judge = Judge(stage)
    push_to_the_end(stage, journal, judge)
    ensure_true(judge)
    assert ps.read_runs(journal)["state"].to_list() == ["done"]


def test_a_kill_while_a_batch_is_split_costs_what_was_in_flight_and_no_more(stage, victims) -> None:
    stage.begin()
    stage.sandbox.misbehave("fail_records", method="POST", ids=BAD, times=None)
    journal, judge = stage.new_journal(), Judge(stage)
    victims.next(journal=str(journal.path), at_line=60, rooms=("splitting",)).last_words()
    look_at(journal, judge)
    assert judge.wrong == 0
    before = ps.read_outcomes(journal, str(only_run(journal)))
    with stage.client() as client:
        outcomes = ps.resume_push(journal, str(only_run(journal)), client=client, show=False).wait()
    assert outcomes.filter(status="failed")["id"].to_list() == BAD
    assert outcomes.filter(status="updated").height == 597
    said = outcomes.filter(status="updated").drop_nulls("reason")
    assert set(said["id"]) == set(before.filter(status="unknown")["id"]) - set(BAD)


@pytest.mark.parametrize("line", [1, 2, 3])
def test_ctrl_c_before_push_has_returned_loses_no_account(stage, victims, line: int) -> None:
    where = {"at_line": line, "rooms": ("runs",), "within": "start"}  # begins the run, and is not done yet
    order = {**where, "signal": int(signal.SIGINT), "linger_s": 0.4}
    judge = trial(stage, victims, Blow(order=order))
    assert judge.victims == ["beginning"]
    ensure_true(judge)


@pytest.mark.parametrize("then", ["wait", "stdin", "raise"])
def test_a_script_that_ends_says_how_to_go_on_and_that_line_works(stage, victims, then: str) -> None:
    stage.begin()
    journal, judge = stage.new_journal(), Judge(stage)
    victim = victims.next(journal=str(journal.path), then=then)
    victim.read_word("begun")
    if then == "wait":
        victim.process.send_signal(signal.SIGINT)
    _, told = victim.last_words()
    run_id = str(only_run(journal))
    outcomes = ps.read_outcomes(journal, run_id)
    judge.look(outcomes)
    assert set(outcomes["status"]) <= {"updated", "pending"}  # nothing was cut off
    line = told.partition("To go on: ")[2].partition("\n")[0]
    with stage.client() as client:
        run = eval(line, {"resume_push": ps.resume_push, "open_journal": ps.open_journal, "client": client})
        judge.end(run.wait())
    assert run.id == run_id
    ensure_true(judge)
    assert judge.again == 0


@pytest.mark.parametrize("blow", [Blow(order={"then": "exit_hard"}), Blow(0.5, signal.SIGTERM)])
def test_an_end_without_a_word_is_like_a_kill(stage, victims, blow: Blow) -> None:
    ensure_true(trial(stage, victims, blow))


def test_of_two_who_resume_at_once_one_is_told_who_holds_the_run(stage, victims) -> None:
    stage.begin()
    journal, judge = stage.new_journal(), Judge(stage)
    victims.next(journal=str(journal.path), then="exit_hard").last_words()
    look_at(journal, judge)
    run_id = str(only_run(journal))
    stage.sandbox.behave()
    replace(stage, latency_s=0.25).be_late()  # longer than the second waits to be sure
    both = [Victim(stage), Victim(stage)]
    for victim in both:
        victim.be_ready()
    for victim in both:
        victim.obey(Order(str(journal.path), resume=run_id))
    refused = [text for _, text in [victim.last_words() for victim in both] if "HeldError" in text]
    assert len(refused) == 1
    assert f"Run {run_id} is being pushed by process" in refused[0]
    judge.end(ps.read_outcomes(journal, run_id))
    ensure_true(judge)
