"""The error tree, and the sentences it speaks."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendosync import errors
from pendosync.errors import (
    BrokenError,
    BusyError,
    ColumnNotFoundError,
    EngineError,
    FrameError,
    MappingError,
    NoAnswerError,
    PendosyncError,
    ProblemsError,
    PushError,
    RemoteError,
    SettingsError,
    UnreachableError,
    counted,
    listed,
    nearest,
)


def classes() -> dict[str, type[PendosyncError]]:
    found = (one for _, one in inspect.getmembers(errors, inspect.isclass))
    return {one.__name__: one for one in found if issubclass(one, PendosyncError)}


def drawn_tree() -> Iterator[tuple[str, str, str | None]]:
    """Yield name, parent and second base of each class as the text at the head of the module draws it."""
    parents: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"((?:│   |    )*[├└]── )?([A-Z]\w*Error)(?:\((\w+)\))?(?:\s{2,}|$)", line)
        if match:
            depth = len(match[1] or "") // 4
            parents[depth:] = [match[2]]
            yield match[2], parents[depth - 1] if depth else "Exception", match[3]


def test_the_tree_at_the_head_is_the_tree_of_classes() -> None:
    drawn = {name: [parent, *([second] if second else [])] for name, parent, second in drawn_tree()}
    assert drawn == {name: [base.__name__ for base in one.__bases__] for name, one in classes().items()}


def test_each_class_says_what_it_is() -> None:
    assert [
        name
        for name, one in classes().items()
        if not (one.__dict__.get("__doc__") or "").strip().endswith(".")
    ] == []


def test_only_what_may_help_is_retryable() -> None:
    remote = [one for one in classes().values() if issubclass(one, RemoteError)]
    assert {one for one in remote if one.retryable} == {
        NoAnswerError,
        UnreachableError,
        BusyError,
        BrokenError,
    }


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (SettingsError.unknown_region("EU", ["us", "eu"]), ["'EU'", "'us', 'eu'", "region='eu'"]),
        (SettingsError.unknown_region("mars", ["us", "eu"]), ["'mars'", "region='us'"]),
        (SettingsError.bad_value("pace", -1, "a number above 0"), ["pace is -1", "above 0"]),
        (
            SettingsError.missing_secret("the app key", argument="app_key", variable="PENDO_APP_KEY", where="Setup"),
            ["the app key", "Setup", "PENDO_APP_KEY=…", "Settings(app_key=…)"],
        ),
        (FrameError.wrong_type("VALUES", {"id": "is Int64"}), ["no VALUES frame", "id: is Int64"]),
        (ColumnNotFoundError.of(["Plann"], ["plan", "x"], what="The table"), ["'Plann'", "'plan', 'x'", "did you mean 'plan'?"]),
        (ColumnNotFoundError.of(["q"], [], what="The table"), ["'q'", "no columns"]),
        (EngineError.gone(37, 200, why="no worker for 30 s"), ["after 37 of 200 parts: no worker for 30 s", "the same call"]),
        (EngineError.given_up(0, 1, why="it died"), ["after 0 of 1 part: it died", "memory"]),
        (EngineError.other_versions("polars", "2.1.0", {"tcp://a": "1.44.1"}), ["has 1 worker with polars 1.44.1: 'tcp://a'", "polars==2.1.0"]),
        (EngineError.out_of_reach("plan.work", ["tcp://a", "tcp://b"]), ["2 workers", "'plan.work'", "'tcp://a', 'tcp://b'", "shared disk"]),
        (MappingError.bad_choice("kind", "visitors", ["visitor", "account"]), ["'visitors'", "kind='visitor'"]),
    ],
)  # fmt: skip
def test_sentences_come_in_three_beats(error: PendosyncError, words: list[str]) -> None:
    text = str(error)
    assert [word for word in words if word not in text] == []
    assert "Hint:" in text
    assert text[0].isupper() or text.startswith(("pace", "kind"))


def test_errors_hold_what_code_needs() -> None:
    column = ColumnNotFoundError.of(["q"], ["plan"], what="The table")
    assert (column.missing, column.available) == (("q",), ("plan",))
    assert isinstance(column, KeyError)
    assert not str(column).startswith("'")
    assert FrameError.wrong_type("VALUES", {"id": "is Int64"}).wrong_types == {"id": "is Int64"}
    choice = MappingError.bad_choice("type", "x", ["text"], trait="Plan", field="plan")
    assert (choice.trait, choice.field) == ("Plan", "plan")
    assert ProblemsError("3 rows", problems="frame").problems == "frame"
    push = PushError("stopped", run_id="r1", outcomes="frame")
    assert (push.run_id, push.outcomes) == ("r1", "frame")
    remote = RemoteError("no", method="GET", path="/x", status=404, retry_after_s=2.0)
    assert (remote.method, remote.path, remote.status, remote.retry_after_s) == ("GET", "/x", 404, 2.0)


@pytest.mark.parametrize("kind", classes().values(), ids=classes())
def test_an_error_travels_between_processes_with_all_that_it_holds(kind: type[PendosyncError]) -> None:
    asked = inspect.signature(kind.__init__).parameters.values()
    given = {one.name: {"of": one.name} for one in asked if one.kind is inspect.Parameter.KEYWORD_ONLY}
    error = kind("What happened.", **given)
    error.add_note("seen on the way")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is kind
        assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
        assert given.keys() <= vars(again).keys()


def test_every_error_of_ours_can_be_caught_as_what_it_also_is() -> None:
    for name, second in (
        ("SettingsError", ValueError),
        ("TableError", ValueError),
        ("ClientError", RuntimeError),
        ("EngineError", RuntimeError),
    ):
        assert issubclass(classes()[name], second)
    assert all(issubclass(one, PendosyncError) for one in classes().values())


@given(st.lists(st.text(max_size=300)))
def test_a_list_shows_five_and_counts_the_rest(names: list[str]) -> None:
    shown = listed(names)
    assert len(shown) <= 5 * 85 + 30
    assert ("more" in shown.rpartition(" and ")[2]) >= (len(names) > 5)
    assert listed(["a", "b", "c"], most=2) == "'a', 'b' and 1 more"
    assert listed([]) == ""


@pytest.mark.parametrize(
    ("n", "noun", "plural", "text"),
    [(1, "row", None, "1 row"), (0, "row", None, "0 rows"), (1200, "id", None, "1,200 ids"), (2, "entry", "entries", "2 entries")],
)  # fmt: skip
def test_numbers_come_with_their_noun(n: int, noun: str, plural: str | None, text: str) -> None:
    assert counted(n, noun, plural) == text


def test_the_nearest_names_are_found_whatever_their_case() -> None:
    assert nearest("PLAN", ["seats", "plan"]) == ["plan"]
    assert nearest("Plann", ["plan", "Plans", "plane", "planet"])[0] in ("plan", "Plans", "plane")
    assert len(nearest("plan", ["plan1", "plan2", "plan3", "plan4"])) == 3
    assert nearest("zebra", ["plan"]) == []
