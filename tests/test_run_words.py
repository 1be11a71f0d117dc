"""A run in words, and the kernel's side of its live view; the page's side is clicked in tests/browser."""

from __future__ import annotations

import json
import weakref
from dataclasses import replace

import polars as pl
import pytest

from pendosync.frames import OUTCOMES, Progress
from pendosync.preview.deeds import Deeds
from pendosync.preview.run_controls import PAGE, RunControls
from pendosync.preview.run_view import run_html
from pendosync.preview.run_words import ending_of, lowered_of, pace_of, run_line, wait_of
from tests.test_view import Wire

GOING = Progress(
    "2026-11-23-a41f9c", "5,119 visitors → custom", "running", 5119, 11, 6, 7, {"updated": 3122}, 2.0,
    requests_per_s=4.9, allowed_per_s=5, most_per_s=5, ids_per_s=1591.0, left_s=3.0, left_range_s=(2.0, 5.0),
)  # fmt: skip
DONE = replace(GOING, state="done", counts={"updated": 5119}, elapsed_s=1080.0, left_s=None)


def test_the_pace_is_told_against_the_allowed_one() -> None:
    assert list(pace_of(GOING)) == ["4.9 of 5 requests/s", "1,591 ids/s", "about 3 s left (2 s to 5 s)"]
    assert next(pace_of(replace(GOING, most_per_s=None))) == "4.9 requests/s"
    assert list(pace_of(replace(GOING, state="paused"))) == []


def test_a_wait_and_a_lowered_rate_are_told_in_numbers() -> None:
    held = replace(GOING, waits_s=11.2, allowed_per_s=2.5)
    assert wait_of(held) == "Pendo asked to wait: going on in 12 s"
    assert "2.5 requests/s instead of 5" in lowered_of(held)
    assert (wait_of(GOING), lowered_of(GOING)) == ("", "")
    assert (wait_of(replace(held, state="done")), lowered_of(replace(held, state="done"))) == ("", "")
    assert all(text in run_html(held) for text in (wait_of(held), lowered_of(held)))


@pytest.mark.parametrize(
    ("progress", "told"),
    [
        (DONE, "All 5,119 visitors were updated in 18 min."),
        (
            replace(DONE, title="1 visitor → custom", n_ids=1, counts={"created": 1}),
            "1 visitor was created in 18 min.",
        ),
        (replace(DONE, counts={"updated": 5000, "created": 119}), "In 18 min: 5,000 updated, 119 created."),
        (
            replace(DONE, counts={"updated": 5059, "missing": 58, "failed": 2}),
            "In 18 min: 5,059 updated; 60 rejected: 58 missing, 2 failed.",
        ),
        (
            replace(DONE, state="cancelled", counts={"updated": 40, "unknown": 5}),
            "After 18 min: 40 updated; 5 unknown, 5,074 pending.",
        ),
        (replace(DONE, state="stopped", counts={}), "After 18 min: 5,119 pending."),
        (GOING, ""),
    ],
)
def test_the_end_is_one_sentence(progress: Progress, told: str) -> None:
    assert ending_of(progress) == told
    assert told in run_html(progress)


def test_a_line_names_what_is_to_know() -> None:
    assert run_line(GOING) == (
        "5,119 visitors → custom: running, 2 s so far, 4.9 of 5 requests/s, 1,591 ids/s, about 3 s left (2 s to 5 s); "
        "3,122 updated; 7 requests"
    )


def test_a_picture_keeps_a_place_only_where_there_is_a_view() -> None:
    assert "data-" not in run_html(GOING)
    assert run_html(GOING, "0a").startswith("<div data-pendosync-run='0a'>")


# The kernel's side of the live view


class Held:
    """Stands for a run, whose plan may be large."""

    def do(self) -> None:
        pass


def controls_of(held: Held) -> RunControls:
    return RunControls(
        GOING, Deeds(held.do, held.do, held.do, lambda: pl.DataFrame(schema=OUTCOMES), is_here=True)
    )


def wired(controls: RunControls) -> Wire:
    wire = Wire()
    controls.comm = wire
    return wire


def test_a_view_lets_go_of_a_run_that_is_over() -> None:
    held = Held()
    controls, gone = controls_of(held), weakref.ref(held)
    del held
    controls.show(GOING)
    assert gone() is not None
    controls.show(DONE)
    assert gone() is None
    assert wired(controls).ask("do", deed="cancel")["answer"] == {}


def test_a_view_keeps_no_count_and_no_row_in_its_state() -> None:
    controls = controls_of(Held())
    controls.show(DONE)
    own = controls.get_state().keys() - {"_esm", "_css", "layout", "tabbable", "tooltip"}
    assert {name for name in own if not name.startswith("_")} == {"mark"}


def test_what_is_told_is_plain_and_small() -> None:
    controls = controls_of(Held())
    for second in range(5000):
        controls.show(replace(GOING, elapsed_s=float(second), counts={"updated": second}))
    told = wired(controls).ask("look")["answer"]
    assert len(json.dumps(told)) < 3000
    assert len(told["course"]) > 60


def test_the_page_is_told_four_times_a_second_and_at_once_of_another_state() -> None:
    controls = controls_of(Held())
    wire = wired(controls)
    for progress in (*[GOING] * 100, replace(GOING, state="paused"), *[GOING] * 100):
        controls.show(progress)
    states = [sent["state"] for sent in wire.sent]
    assert len(states) < 10
    assert "paused" in states
    assert states[-1] == "running"


class Cut(Wire):
    """A wire that is cut once the widget is there."""

    def publish_msg(self, msg_type: str, *_: object, **__: object) -> None:
        if msg_type == "comm_msg":
            raise OSError("cut")


def test_a_page_that_can_not_be_told_stops_no_run() -> None:
    controls = controls_of(Held())
    controls.comm = Cut()
    controls.show(DONE)


def test_rows_are_asked_for_by_the_page_and_the_reason() -> None:
    rejected = pl.DataFrame(
        [
            ("r", 0, f"u-{n}", "failed" if n % 3 else "missing", None if n % 2 else "x" * 1000)
            for n in range(1000)
        ],
        schema=OUTCOMES,
        orient="row",
    )
    controls = RunControls(DONE, Deeds(*[Held().do] * 3, lambda: rejected, is_here=True))
    wire = wired(controls)
    found = wire.ask("reasons")["answer"]
    assert [(n, status) for n, status, _ in found["reasons"]] == [
        (333, "failed"),
        (333, "failed"),
        (167, "missing"),
        (167, "missing"),
    ]
    page = wire.ask("rows", at=PAGE * 3, reason=1)["answer"]
    assert (page["n"], page["at"], len(page["rows"])) == (333, 300, 33)
    assert len(json.dumps(wire.ask("rows", at=0)["answer"])) < 50_000
