"""One kind's table on its way to Pendo: its mapping, problems, plan and requests, without a page."""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import polars as pl

from pendosync.checks import check_values
from pendosync.client import Client
from pendosync.errors import PendosyncError, PlanError, first_line
from pendosync.frames import REQUESTS
from pendosync.mapping import Mapping
from pendosync.plans import Plan
from pendosync.preview.mapping_view import MappingPart
from pendosync.preview.plan_view import PlanPreview
from pendosync.rules import RULES
from pendosync.shortcuts import plan_table
from pendosync.values import map_traits
from pendosync.wire import build_requests


class Desk:
    """What stands on the desk of one kind, and what was made of it.

    Args:
        table: users or accounts.
        mapping: where to start.
        fields: FIELDS of the kind.
        client: where Pendo is read.
        keep: columns to filter on.

    Attributes:
        kind: visitor or account.
        editor: the mapping, as it is edited.
        preview: the plan's preview, or None before the first comparison.
        n_compared: how often was compared; each time there is another preview.
        attach: called with a new preview before anybody else sees it.
        compares_since_s: when the comparison that is under way began (`time.monotonic`), or None.
        trouble: why the last comparison could not be made, or nothing.
        creates: whether ids that Pendo does not know may be created.
        lifted: the gates that are lifted by name.
        pushed: the run that the plan was pushed in, or None.
    """

    def __init__(
        self,
        table: pl.DataFrame | pl.LazyFrame,
        mapping: Mapping,
        fields: pl.DataFrame,
        *,
        client: Client,
        keep: Sequence[str] = (),
    ) -> None:
        self.kind = mapping.kind
        self.table = table
        self.fields = fields
        self.keep = list(keep)
        self.editor = MappingPart(table, mapping, fields)
        self.preview: PlanPreview | None = None
        self.n_compared = 0
        self.attach: Callable[[PlanPreview], None] | None = None
        self.compares_since_s: float | None = None
        self.trouble = ""
        self.creates: Literal["never", "unknown_ids"] = "never"
        self.lifted: dict[str, Any] = {}
        self.pushed: str | None = None
        self._client = client
        self._made_from: tuple[Mapping, str] | None = None
        self._checked: tuple[Mapping, pl.DataFrame, int] | None = None
        self._chosen: tuple[Any, Plan] | None = None

    @property
    def mapping(self) -> Mapping:
        """The mapping as it stands.

        Raises:
            MappingError: as it stands it is none.
        """
        return self.editor.mapping

    def check(self) -> tuple[pl.DataFrame, int]:
        """Return PROBLEMS of the whole table under the mapping as it stands, and how many rows there are."""
        mapping = self.mapping
        if self._checked is None or self._checked[0] != mapping:
            values = map_traits(self.table, mapping)
            self._checked = mapping, check_values(values, mapping=mapping, fields=self.fields), values.height
        return self._checked[1:]

    def compare(self) -> None:
        """Read what Pendo holds and make the plan anew; the choice begins again with all ids. Blocks until it is made.

        Raises:
            RemoteError: Pendo can't be read.
            MappingError: as it stands the mapping is none.
        """
        mapping, creates = self.mapping, self.creates
        plan = plan_table(self.table, mapping, client=self._client, create=creates, keep=self.keep)
        preview = PlanPreview(plan)
        if self.attach is not None:
            self.attach(preview)
        self.preview, self._made_from = preview, (mapping, creates)
        self.lifted, self.pushed = {}, None
        self.n_compared += 1

    def compare_beside(self, at_end: Callable[[], None]) -> None:
        """Compare in a thread, one comparison at a time; *at_end* is called when it has ended, well or not.

        Raises:
            MappingError: as it stands the mapping is none.
        """
        if self.compares_since_s is not None:
            return
        self.editor.mapping  # noqa: B018  raises where it is none
        self.compares_since_s, self.trouble = time.monotonic(), ""
        work = functools.partial(self._compare_and_tell, at_end)
        threading.Thread(target=work, name="pendosync-compare", daemon=True).start()

    def _compare_and_tell(self, at_end: Callable[[], None]) -> None:
        try:
            self.compare()
        except PendosyncError as error:
            self.trouble = str(error)
        except Exception as error:
            self.trouble = f"The comparison could not be made: {first_line(error)}"
        self.compares_since_s = None
        at_end()

    @property
    def is_stale(self) -> bool:
        """Whether the mapping, or what may be created, is no longer what the plan was made from."""
        if self._made_from is None:
            return False
        return not self.editor.is_whole or self._made_from != (self.mapping, self.creates)

    @property
    def plan(self) -> Plan:
        """The plan as it was compared.

        Raises:
            PlanError: nothing was compared yet.
        """
        if self.preview is None:
            raise PlanError(
                "There is no plan yet: nothing was compared. Expected a comparison with what Pendo holds. "
                "Hint: press Compare in the tab Changes."
            )
        return self.preview.plan

    @property
    def chosen(self) -> Plan:
        """The plan of the ids that are selected, with the gates that were lifted."""
        plan = self.plan
        assert self.preview is not None
        key = (id(plan), self.preview.version, tuple(self.lifted.items()))
        if self._chosen is None or self._chosen[0] != key:
            chosen = plan.select(self.preview.selection)
            self._chosen = key, chosen.lift(**self.lifted) if self.lifted else chosen
        return self._chosen[1]

    def requests(self, start: int, n: int) -> pl.DataFrame:
        """Return *n* of the requests that a push of the choice makes, from number *start* on: REQUESTS.

        Cost: encodes those requests only.
        """
        shape = dataclasses.replace(self.chosen.shape, canary=None)  # its steps are cut here
        parts = [REQUESTS.to_frame()]
        for first, rows in self.rows_of(start, n):
            number = (pl.col("batch") + first).cast(pl.UInt32)
            parts += [built.with_columns(number) for built in build_requests(rows, shape)]
        return pl.concat(parts)

    def rows_of(self, start: int, n: int) -> Iterator[tuple[int, pl.DataFrame]]:
        """Yield CHANGES of *n* of the requests from number *start* on, step by step, each with its first request."""
        chosen = self.chosen
        size = chosen.shape.ids_per_request
        for step in chosen.steps:
            first, end = max(start, step.first_batch), min(start + n, step.first_batch + step.n_batches)
            if first < end:
                row = (first - step.first_batch) * size
                n_rows = min((end - first) * size, step.n_rows - row)
                yield first, chosen.parts.slice(step.first_row + row, n_rows)

    def problem_counts(self) -> list[dict[str, Any]]:
        """Return, for each rule, how many rows it holds back or warns of, and what it means."""
        problems, n_rows = self.check()
        found = problems.group_by("rule", maintain_order=True).agg(
            severity=pl.col("severity").first(),
            n=pl.when(pl.col("row").is_null().any())
            .then(pl.col("n_rows").max())
            .otherwise(pl.col("row").n_unique()),
            fields=pl.col("field").drop_nulls().unique(maintain_order=True),
            is_column=pl.col("row").is_null().any(),
        )
        return [
            {**line, "meaning": RULES[line["rule"]].meaning, "of": n_rows}
            for line in found.iter_rows(named=True)
        ]
