"""Who waits for a turn to send: they can be called off at any moment; what is in flight can't."""

from __future__ import annotations

import asyncio
from typing import Any


class StoppedError(Exception):
    """The run was stopped while a request waited for its turn."""


class Turn:
    """One request of one task: it waits, is in flight, and perhaps waits to be tried again. Taken for the length of a block.

    Raises:
        StoppedError: it was called off.
    """

    def __init__(self, task: asyncio.Task[Any], turns: set[Turn]) -> None:
        self.task = task
        self.is_waiting = True
        self.is_called_off = False
        self.was_sent = False
        self._turns = turns

    def __enter__(self) -> Turn:
        self._turns.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._turns.discard(self)
        if kind is asyncio.CancelledError and self.is_called_off:
            self.task.uncancel()
            raise StoppedError from None

    def begin(self) -> None:
        """Say that it is being sent."""
        self.is_waiting, self.was_sent = False, True

    def wait(self) -> None:
        """Say that it waits to be tried again."""
        self.is_waiting = True


class Turns:
    """The turns that are taken or waited for, on one loop."""

    def __init__(self) -> None:
        self._turns: set[Turn] = set()

    def turn(self) -> Turn:
        """Return a turn of the task that runs now."""
        task = asyncio.current_task()
        assert task is not None
        return Turn(task, self._turns)

    def call_off(self, *, tried_too: bool) -> None:
        """End all waiting: of those that were never sent, and where *tried_too* says so of those to be tried again."""
        for turn in self._turns:
            if turn.is_waiting and not turn.is_called_off and (tried_too or not turn.was_sent):
                turn.is_called_off = True
                turn.task.cancel()
