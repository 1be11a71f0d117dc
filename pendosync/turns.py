"""Who waits for a turn to send: they can be called off at any moment; what is in flight can't."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any


class StoppedError(Exception):
    """The run was stopped while a request waited for its turn."""


class Turn:
    """One request of one task: it waits, is in flight, and perhaps waits to be tried again."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.is_waiting = True
        self.is_called_off = False
        self.was_sent = False

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

    @contextlib.contextmanager
    def turn(self) -> Iterator[Turn]:
        """A turn of the task that runs now, for the length of a block.

        Raises:
            StoppedError: it was called off.
        """
        task = asyncio.current_task()
        assert task is not None
        turn = Turn(task)
        self._turns.add(turn)
        try:
            yield turn
        except asyncio.CancelledError:
            if not turn.is_called_off:
                raise
            task.uncancel()
            raise StoppedError from None
        finally:
            self._turns.discard(turn)

    def call_off(self, *, tried_too: bool) -> None:
        """End all waiting: of those that were never sent, and where *tried_too* says so of those to be tried again."""
        for turn in self._turns:
            if turn.is_waiting and not turn.is_called_off and (tried_too or not turn.was_sent):
                turn.is_called_off = True
                turn.task.cancel()
