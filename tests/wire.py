"""The wire between a widget's kernel side and its page, for tests without a kernel."""

from __future__ import annotations

import json
from typing import Any

from comm.base_comm import BaseComm


class Wire(BaseComm):
    """What a widget sends waits in `sent`, as JSON would carry it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        super().__init__(target_name="jupyter.widget")

    def publish_msg(self, msg_type: str, data: Any = None, *_: Any, **__: Any) -> None:
        if data and data.get("method") == "custom":
            self.sent.append(json.loads(json.dumps(data["content"], allow_nan=False)))

    def hear(self, message: dict[str, Any]) -> None:
        """Hand a message of the page to the widget."""
        self.handle_msg({"content": {"data": {"method": "custom", "content": message}}, "buffers": []})

    def ask(self, what: str, /, **args: Any) -> Any:
        """Ask a question, and return what was sent last."""
        self.hear({"from": "page", "number": 7, "kind": what, "args": args})
        return self.sent.pop()
