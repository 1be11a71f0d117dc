"""The widget in which a mapping is edited: a row a trait, and what is wrong with it as it arises."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as AbstractMapping
from html import escape
from typing import Any

import polars as pl

from pendosync.errors import MappingError
from pendosync.mapping import Mapping
from pendosync.preview.mapping_code import MappingCode
from pendosync.preview.mapping_rows import TYPES, MappingEditor, title_of
from pendosync.preview.view import Answer, Answering, View, read_module, read_style
from pendosync.reports import BOX


class MappingPart(Answering):
    """What the editing of a mapping answers, and the mapping as it stands. It writes nothing."""

    def __init__(
        self, table: pl.DataFrame | pl.LazyFrame, mapping: Mapping, fields: pl.DataFrame | None
    ) -> None:
        self._editor = MappingEditor(table, mapping, fields)
        Answering.__init__(self)

    @property
    def mapping(self) -> Mapping:
        """The Mapping as it stands.

        Raises:
            MappingError: as it stands it is none: two traits go to one field, no trait is left, or the time zone does
                not exist. The view says so too.
        """
        with self._turn:
            return self._editor.to_mapping()

    @property
    def is_whole(self) -> bool:
        """Whether what stands there is a Mapping."""
        try:
            return self.mapping is not None
        except MappingError:
            return False

    @property
    def code(self) -> MappingCode:
        """The Mapping as it stands, as Python and as TOML: `print(view.code)`, `view.code.toml`.

        Raises:
            MappingError: as for `mapping`.
        """
        with self._turn:
            return self._editor.to_code()

    def _answers(self) -> AbstractMapping[str, Callable[..., Answer | None]]:
        return {"open": self._open, "set": self._set, "add": self._add, "zone": self._zone}

    def _open(self) -> Answer:
        choices = [
            {
                "field": one.field,
                "name": one.name,
                "type": one.type,
                "group": one.group,
                "whyNot": one.why_not,
            }
            for one in self._editor.schema.choices
        ]
        return {
            "picture": self._editor.picture(),
            "choices": choices,
            "isKnown": self._editor.schema.is_known,
            "types": list(TYPES),
        }

    def _set(self, index: int, changes: dict[str, Any]) -> None:
        self._editor.change(index, changes)
        self._tell_all()

    def _add(self, column: str) -> None:
        self._editor.add(column)
        self._tell_all()

    def _zone(self, zone: str) -> None:
        self._editor.set_zone(zone)
        self._tell_all()

    def _tell_all(self) -> None:
        self.tell("picture", picture=self._editor.picture())


class MappingView(MappingPart, View):
    """A mapping that is edited in the page. Made by `edit_mapping`."""

    _esm = read_module("mapping")
    _css = read_style("mapping")

    def __init__(
        self, table: pl.DataFrame | pl.LazyFrame, mapping: Mapping, fields: pl.DataFrame | None
    ) -> None:
        MappingPart.__init__(self, table, mapping, fields)
        View.__init__(self)

    def _title(self) -> str:
        with self._turn:
            return title_of(self._editor.draft.start, self._editor.counts())

    def _picture(self) -> str:
        try:
            return self.mapping._repr_html_()
        except MappingError as error:
            return f"<div style='{BOX}'>{escape(str(error))}</div>"
