"""The workbench: the desks of users and accounts in one widget, and the push at the end of the way."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import polars as pl

from pendosync.client import Client
from pendosync.errors import PlanError, counted
from pendosync.frames import Kind
from pendosync.journal import Journal
from pendosync.looks import build_curl
from pendosync.mapping import Mapping as TraitMapping
from pendosync.plans import Plan
from pendosync.preview.view import Answer, Answering, View, read_module, read_style
from pendosync.push import Run, push
from pendosync.reports import duration, size
from pendosync.rules import no_problems
from pendosync.runs import show_in_place
from pendosync.selections import Selection
from pendosync.workbench.code import push_code
from pendosync.workbench.desk import Desk

_MOST_ROWS: Final = 200
_MOST_BODY: Final = 100_000


class Workbench(View):
    """The whole way from tables to Pendo in one widget. Made by `workbench`.

    Attributes:
        kind: the desk that is shown.
        run: the last push, or None.
    """

    _esm = read_module("workbench")
    _css = read_style("mapping", "plan", "workbench")

    def __init__(self, desks: Mapping[Kind, Desk], client: Client, journal: Journal) -> None:
        self._desks = dict(desks)
        self.kind: Kind = next(iter(self._desks))
        self.run: Run | None = None
        self._client = client
        self._journal = journal
        self._run_mark = ""
        super().__init__()
        for kind, desk in self._desks.items():
            self._attach(f"map {kind}", desk.editor)
            desk.attach = partial(self._attach, f"changes {kind}")

    # --- what stands on the desk ---

    @property
    def desk(self) -> Desk:
        """The desk that is shown."""
        return self._desks[self.kind]

    @property
    def mapping(self) -> TraitMapping:
        """The mapping as it stands; see `edit_mapping`."""
        return self.desk.mapping

    @property
    def plan(self) -> Plan:
        """The plan as it was compared.

        Raises:
            PlanError: nothing was compared yet.
        """
        return self.desk.plan

    @property
    def selection(self) -> Selection:
        """The choice of ids as it stands; see `preview_plan`."""
        preview = self.desk.preview
        return Selection() if preview is None else preview.selection

    @property
    def chosen(self) -> Plan:
        """The plan of the ids that are selected: what a push would send."""
        return self.desk.chosen

    @property
    def code(self) -> str:
        """The cell of code that does what the tab Push would."""
        return push_code(self.desk)

    def _title(self) -> str:
        tables = " and ".join(f"{kind}s" for kind in self._desks)
        return f"Workbench for {tables} → {self._client.target}"

    # --- what the page asks ---

    def hear(self, question: Mapping[str, Any]) -> None:
        """Answer a question, or have the part answer that it is for."""
        part = self._part(str(question.get("part", "")))
        if part is None:
            super().hear(question)
        else:
            part.hear(question)

    def _part(self, name: str) -> Answering | None:
        parts = {f"map {kind}": desk.editor for kind, desk in self._desks.items()}
        previews = {f"changes {kind}": desk.preview for kind, desk in self._desks.items()}
        return {**parts, **previews}.get(name)

    def _attach(self, name: str, part: Answering) -> None:
        part.outlet = lambda content: self.send({**content, "part": name})

    def _answers(self) -> Mapping[str, Callable[..., Answer | None]]:
        of_a_desk: dict[str, Callable[..., Answer]] = {
            "show": self._show,
            "look": self._state,
            "check": self._check,
            "problems": self._problems,
            "compare": self._compare,
            "creates": self._creates,
            "requests": self._requests,
            "body": self._body,
            "push": self._push_tab,
            "lift": self._lift,
            "start": self._start,
        }
        return {"open": self._open, **{name: partial(self._at, answer) for name, answer in of_a_desk.items()}}

    def _at(self, answer: Callable[..., Answer], *, kind: Kind, **asked: Any) -> Answer:
        """Answer a question about one desk: another view of this widget may show the other."""
        return answer(self._desks[kind], **asked)

    def _open(self) -> Answer:
        return {"kinds": list(self._desks), "target": str(self._client.target), **self._state(self.desk)}

    def _show(self, desk: Desk) -> Answer:
        self.kind = desk.kind
        return self._state(desk)

    def _state(self, desk: Desk) -> Answer:
        began_s = desk.compares_since_s
        return {
            "kind": desk.kind,
            "has_plan": desk.preview is not None,
            "n_compared": desk.n_compared,
            "is_stale": desk.is_stale,
            "creates": desk.creates == "unknown_ids",
            "comparing_s": None if began_s is None else time.monotonic() - began_s,
            "trouble": desk.trouble,
            "run_mark": self._run_mark,
        }

    def _check(self, desk: Desk) -> Answer:
        problems, n_rows = desk.check()
        n_blocked = problems.filter(severity="block_row")["row"].n_unique()
        return {"n_rows": n_rows, "n_blocked": n_blocked, "rules": desk.problem_counts()}

    def _problems(self, desk: Desk, rule: str, start: int, n: int) -> Answer:
        found = desk.check()[0].filter(rule=rule)
        page = found.slice(start, min(n, _MOST_ROWS)).select("id", "row", "field", "n_rows", "reason")
        return {"n": found.height, "rows": [list(row) for row in page.iter_rows()]}

    def _creates(self, desk: Desk, on: bool) -> Answer:
        desk.creates = "unknown_ids" if on else "never"
        return self._state(desk)

    def _compare(self, desk: Desk) -> Answer:
        """Begin a comparison beside the page's questions; all views are told when it has ended."""
        desk.compare_beside(lambda: self.tell("state"))
        return self._state(desk)

    # --- the requests ---

    def _requests(self, desk: Desk, start: int, n: int) -> Answer:
        chosen, page = desk.chosen, desk.requests(start, min(n, _MOST_ROWS))
        rows = page.select(
            "batch",
            pl.col("ids").list.len().alias("n"),
            pl.col("body").str.len_bytes().alias("bytes"),
            pl.col("ids").list.first().alias("first"),
            pl.col("ids").list.last().alias("last"),
        )
        return {
            "n": chosen.n_requests,
            "n_ids": len(chosen),
            "takes": _takes(chosen),
            "pace": chosen.pace.max_per_second,
            "rows": [
                [batch, n_ids, size(n_bytes), *ends] for batch, n_ids, n_bytes, *ends in rows.iter_rows()
            ],
        }

    def _body(self, desk: Desk, batch: int) -> Answer:
        (request,) = desk.requests(batch, 1).iter_rows(named=True)
        body = request["body"]
        ((_, rows),) = desk.rows_of(batch, 1)
        curl = build_curl(desk.chosen.having(rows, no_problems())) if len(body) <= _MOST_BODY else []
        return {
            "batch": batch,
            "line": f"{request['method']} {request['path']}",
            "body": body[:_MOST_BODY],
            "is_cut": len(body) > _MOST_BODY,
            "curl": curl[0] if curl else "",
        }

    # --- the push ---

    def _push_tab(self, desk: Desk) -> Answer:
        chosen = desk.chosen
        held = zip(chosen.lifts.items(), chosen.held_by, strict=True)
        return {
            "sentence": chosen.title,
            "cost": f"{counted(chosen.n_requests, 'request')}, {_takes(chosen)}",
            "actions": list(chosen.summary.actions.items()),
            "notes": list(chosen.summary.notes),
            "held": [[gate, repr(lift), sentence] for (gate, lift), sentence in held],
            "lifted": [[gate, repr(lift)] for gate, lift in desk.lifted.items()],
            "typed": _phrase(chosen),
            "access": self._client.settings.access,
            "code": push_code(desk),
            "pushed": desk.pushed,
            **self._state(desk),
        }

    def _lift(self, desk: Desk, gate: str, on: bool) -> Answer:
        lifts = desk.chosen.lifts
        if on and gate in lifts:
            desk.lifted = {**desk.lifted, gate: lifts[gate]}
        elif not on:
            desk.lifted = {name: lift for name, lift in desk.lifted.items() if name != gate}
        return self._push_tab(desk)

    def _start(self, desk: Desk, typed: str) -> Answer:
        """Push what is chosen, once the number and the region were typed.

        Raises:
            PlanError: something else was typed, the plan is stale or was pushed, or a push is under way; or as `push`
                raises.
        """
        chosen = desk.chosen
        self._ensure_startable(desk, typed, _phrase(chosen))
        self.run = push(chosen, client=self._client, journal=self._journal, show=False)
        desk.pushed = self.run.id
        self._run_mark = show_in_place(self.run)
        return self._state(desk)

    def _ensure_startable(self, desk: Desk, typed: str, phrase: str) -> None:
        if " ".join(typed.replace(",", "").split()).lower() != phrase.lower():
            raise PlanError(
                f"{typed!r} was typed. Expected how many ids go where: {phrase}. Hint: type it as it stands."
            )
        if desk.is_stale:
            raise PlanError(
                "The mapping was changed since the comparison. Expected a plan of the mapping as it stands. "
                "Hint: compare again in the tab Changes."
            )
        if self.run is not None and not self.run.progress.is_over:
            raise PlanError(
                f"The run {self.run.id} is under way. Expected one push at a time. Hint: wait for it, or cancel it."
            )
        if desk.pushed is not None:
            raise PlanError(
                f"The plan was pushed in run {desk.pushed}. Expected a new comparison first. Hint: compare again in the "
                f"tab Changes; resume_push(journal, {desk.pushed!r}, client=client) goes on with what was not sent."
            )


def _takes(plan: Plan) -> str:
    return duration(plan.pace.expected_s(plan.n_requests, rows=len(plan)))


def _phrase(plan: Plan) -> str:
    """Return what is to be typed before *plan* is pushed."""
    return f"{len(plan)} {plan.target.region}"
