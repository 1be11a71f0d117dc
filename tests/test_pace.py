"""The pace at the wire: in real time, over a real connection, with an answer that takes its time."""

from __future__ import annotations

from benchmarks.pacing import measure
from pendosync.sandbox import Sandbox


def test_a_set_rate_is_used_and_never_exceeded(sandbox: Sandbox) -> None:
    kept = measure(sandbox, rate=20, seconds=12)
    assert (
        kept.used >= 0.4
    )  # a busy machine wakes late: the fake clock's tests hold 98 %, the benchmark measures it
    assert kept.started <= 20
    assert kept.came <= 21
    assert kept.came_in_ten <= 200
