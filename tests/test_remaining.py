"""What a run has left, and what is known of it."""

from __future__ import annotations

import pytest

import pendosync as ps
from pendosync.remaining import left_of
from pendosync.results import SENT_AGAIN, BatchResult
from tests.test_push import IDS, QUICK, a_plan, statuses

DIGEST = "0" * 64


@pytest.fixture
def quick(sandbox):
    with ps.open_client(sandbox.settings, retry=QUICK) as client:
        yield client


def test_a_part_of_a_batch_is_in_doubt_from_the_moment_it_is_sent(sandbox, client, journal) -> None:
    """Its batch was never sent whole: the first row was refused as stale."""
    plan = a_plan(client, IDS[:10])
    record = journal.record_run(plan)
    record.record_rows([(0, 0, "refused", "moved since the plan was made")])
    assert left_of(journal, record.run_id, plan).partial == {0: [(1, 9)]}
    record.record_piece(0, first_row=1, n_rows=4, sha256=DIGEST)
    record.close()
    left = left_of(journal, record.run_id, plan)
    assert (left.in_doubt, left.unsent) == ({1, 2, 3, 4}, [(5, 5)])
    assert left.partial == {0: [(1, 4), (5, 5)]}


def test_rows_that_were_sent_go_apart_from_those_that_were_not(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:20])
    record = journal.record_run(plan)
    for batch in (0, 1):
        record.record_sending(batch, first_row=10 * batch, n_rows=10, sha256=DIGEST)
    lines = [(0, "unknown", "?"), (1, "pending", "!"), (2, "unknown", "?"), (3, "unknown", "?")]
    record.record_result(0, BatchResult("pending", "!", exceptions=lines), first_row=0, tries=1)
    record.record_result(1, BatchResult("pending", "!"), first_row=10, tries=1)
    record.write_left(record.n_left)()
    record.close()
    left = left_of(journal, record.run_id, plan)
    assert left.partial == {0: [(0, 1), (1, 1), (2, 2), (4, 6)]}
    assert left.in_doubt == {0, 2, 3}


def test_rows_that_were_sent_twice_say_so_and_no_others(sandbox, client, journal) -> None:
    plan = a_plan(client, IDS[:20])
    record = journal.record_run(plan)
    for batch in (0, 1):
        record.record_sending(batch, first_row=10 * batch, n_rows=10, sha256=DIGEST)
    record.record_result(
        0, BatchResult("pending", "!", exceptions=[(3, "unknown", "?")]), first_row=0, tries=1
    )
    lines = [(at, "unknown", "?") for at in range(10)]
    record.record_result(1, BatchResult("updated", exceptions=lines), first_row=10, tries=1)
    record.write_left(record.n_left)()
    record.close()
    outcomes = ps.resume_push(journal, record.run_id, client=client).wait()
    assert statuses(outcomes) == {"updated": 20}
    assert outcomes.filter(reason=SENT_AGAIN)["id"].to_list() == [IDS[3], *IDS[10:20]]


@pytest.mark.parametrize("then", [429, 400, 403, 404, 413, 503, "cut", "html"])
@pytest.mark.parametrize("batch_size", [1, 10])
def test_what_is_in_doubt_stays_so_while_a_resumed_run_fares_no_better(
    sandbox, quick, journal, then: int | str, batch_size: int
) -> None:
    ids = IDS[:10] if batch_size == 10 else IDS[:3]  # a host that was busy for long is driven slowly
    plan = a_plan(quick, ids, batch_size=batch_size)
    sandbox.misbehave("cut", method="POST", when="after", times=None)
    with pytest.raises(ps.PushError) as caught:
        ps.push(plan, client=quick, journal=journal).wait()
    first = caught.value.outcomes
    unknown = set(first.filter(status="unknown")["id"])
    assert unknown
    sandbox.behave()
    fault = {"cut": "cut", "html": "body"}.get(str(then), "status")
    sandbox.misbehave(fault, method="POST", times=None, **({"status": then} if isinstance(then, int) else {}))
    run = ps.resume_push(journal, caught.value.run_id, client=quick)
    try:
        outcomes = run.wait()
    except ps.PushError as error:
        outcomes = error.outcomes
    assert unknown <= set(outcomes.filter(status="unknown")["id"])
    sandbox.behave()
    refused = set(outcomes.filter(status="failed")["id"])
    last = ps.resume_push(journal, run.id, client=quick).wait()
    assert set(last.filter(status="updated")["id"]) == set(ids) - refused


def test_a_part_that_was_sent_before_the_run_was_stopped_is_in_doubt(sandbox, quick, journal) -> None:
    """Refused as a whole, then in parts: the first part gets no answer, and the run is cancelled between two tries."""
    plan = a_plan(quick, IDS[:10])
    sandbox.misbehave("status", method="POST", status=400, text="no", times=1)
    sandbox.misbehave("cut", method="POST", when="after", times=None)
    with ps.open_client(sandbox.settings, retry=ps.Retry(attempts=50, base_s=0.1, cap_s=0.1)) as patient:
        run = ps.push(plan, client=patient, journal=journal)
        while run.progress.requests < 3:
            pass
        run.cancel()
        outcomes = run.wait()
    assert outcomes["status"].to_list() == ["unknown"] * 5 + ["pending"] * 5
    assert run.progress.state == "cancelled"
