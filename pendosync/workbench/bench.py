"""The workbench: the desks of users and accounts in one widget, and the push at the end of the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import polars as pl

from pendosync.client import Client
from pendosync.errors import PendosyncError, PlanError, counted, first_line
from pendosync.frames import Kind
from pendosync.journal import Journal
from pendosync.mapping import Mapping as TraitMapping
from pendosync.plans import Plan, build_curl
from pendosync.preview.view import Answer, Answering, View, read_module, read_style
from pendosync.push import Run, push
from pendosync.reports import duration, size
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
        self._compares: dict[Kind, float] = {}
        self._errors: dict[Kind, str] = {}
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
        return {
            "open": self._open,
            "show": self._show,
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

    def _open(self) -> Answer:
        return {"kinds": list(self._desks), "target": str(self._client.target), **self._state()}

    def _show(self, kind: Kind) -> Answer:
        if kind in self._desks:
            self.kind = kind
        return self._state()

    def _state(self) -> Answer:
        desk, started = self.desk, self._compares.get(self.kind)
        return {
            "kind": self.kind,
            "has_plan": desk.preview is not None,
            "n_compared": desk.n_compared,
            "is_stale": desk.is_stale,
            "creates": desk.creates == "unknown_ids",
            "comparing_s": None if started is None else time.monotonic() - started,
            "error": self._errors.get(self.kind, ""),
            "run_mark": self._run_mark,
        }

    def _check(self) -> Answer:
        desk = self.desk
        rules = desk.problem_counts()
        _, n_rows = desk.check()
        n_blocked = desk.check()[0].filter(severity="block_row")["row"].n_unique()
        return {"n_rows": n_rows, "n_blocked": n_blocked, "rules": rules}

    def _problems(self, rule: str, start: int, n: int) -> Answer:
        found = self.desk.check()[0].filter(rule=rule)
        page = found.slice(start, min(n, _MOST_ROWS)).select("id", "row", "field", "n_rows", "reason")
        return {"n": found.height, "rows": [list(row) for row in page.iter_rows()]}

    def _creates(self, on: bool) -> Answer:
        self.desk.creates = "unknown_ids" if on else "never"
        return self._state()

    def _compare(self) -> Answer:
        """Begin a comparison beside the page's questions; `state` is told when it has ended."""
        kind, desk = self.kind, self.desk
        if kind not in self._compares:
            self._ensure_whole(desk)
            self._compares[kind] = time.monotonic()
            self._errors.pop(kind, None)
            threading.Thread(
                target=self._read, args=(kind, desk), name="pendosync-compare", daemon=True
            ).start()
        return self._state()

    def _ensure_whole(self, desk: Desk) -> None:
        desk.mapping  # noqa: B018  raises where it is none

    def _read(self, kind: Kind, desk: Desk) -> None:
        try:
            desk.compare()
        except PendosyncError as error:
            self._errors[kind] = str(error)
        except Exception as error:
            self._errors[kind] = f"The comparison could not be made: {first_line(error)}"
        self._compares.pop(kind, None)
        self.tell("state")

    # --- the requests ---

    def _requests(self, start: int, n: int) -> Answer:
        chosen = self.chosen
        page = self.desk.requests(start, min(n, _MOST_ROWS))
        rows = page.select("batch", "path", n=pl.col("ids").list.len(), bytes=pl.col("body").str.len_bytes(),
                           first=pl.col("ids").list.first(), last=pl.col("ids").list.last())  # fmt: skip
        return {
            "n": chosen.n_requests,
            "n_ids": len(chosen),
            "takes": duration(chosen.pace.expected_s(chosen.n_requests, rows=len(chosen))),
            "pace": chosen.pace.max_per_second,
            "rows": [[row["batch"], row["path"], row["n"], size(row["bytes"]), row["first"], row["last"]]
                     for row in rows.iter_rows(named=True)],
        }  # fmt: skip

    def _body(self, batch: int) -> Answer:
        (request,) = self.desk.requests(batch, 1).iter_rows(named=True)
        body = request["body"]
        curl = build_curl(self.chosen.select(ids=request["ids"])) if len(body) <= _MOST_BODY else []
        return {
            "batch": batch,
            "line": f"{request['method']} {request['path']}",
            "body": body[:_MOST_BODY],
            "is_cut": len(body) > _MOST_BODY,
            "curl": curl[0] if curl else "",
        }

    # --- the push ---

    def _push_tab(self) -> Answer:
        chosen = self.chosen
        return {
            "sentence": f"{counted(len(chosen), chosen.shape.kind)} → {chosen.shape.group}, {chosen.target}",
            "cost": f"{counted(chosen.n_requests, 'request')}, {duration(chosen.pace.expected_s(chosen.n_requests, rows=len(chosen)))}",
            "actions": list(chosen.summary.actions.items()),
            "notes": list(chosen.summary.notes),
            "held": [[gate, repr(lift), sentence] for (gate, lift), sentence in
                     zip(chosen.lifts.items(), chosen.held_by, strict=True)],
            "lifted": [[gate, repr(lift)] for gate, lift in self.desk.lifted.items()],
            "typed": self._typed(chosen),
            "access": self._client.settings.access,
            "code": self.code,
            "pushed": self.desk.pushed,
            **self._state(),
        }  # fmt: skip

    def _typed(self, chosen: Plan) -> str:
        return f"{len(chosen)} {chosen.target.region}"

    def _lift(self, gate: str, on: bool) -> Answer:
        desk = self.desk
        if on and gate in desk.chosen.lifts:
            desk.lifted = {**desk.lifted, gate: desk.chosen.lifts[gate]}
        elif not on:
            desk.lifted = {name: lift for name, lift in desk.lifted.items() if name != gate}
        return self._push_tab()

    def _start(self, typed: str) -> Answer:
        """Push what is chosen, once the number and the region were typed.

        Raises:
            PlanError: something else was typed, the plan is stale, or a push is under way; or as `push` raises.
        """
        chosen, desk = self.chosen, self.desk
        if " ".join(typed.replace(",", "").split()).lower() != self._typed(chosen).lower():
            raise PlanError(
                f"{typed!r} was typed. Expected how many ids go where: {self._typed(chosen)}. Hint: type it as it stands."
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
        self.run = push(chosen, client=self._client, journal=self._journal, show=False)
        desk.pushed = self.run.id
        self._run_mark = show_in_place(self.run)
        return self._state()
