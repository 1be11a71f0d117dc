"""What is done beside the loop: work shared by all who wait for it, and what is made ahead."""

from __future__ import annotations

import _thread
import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from pendosync.loops import Shared, Supply


class Disk:
    """Notes what is written up to which place, and how long the disk takes for it."""

    def __init__(self, takes_s: float = 0.01) -> None:
        self.n_left = 0
        self.upto: list[int] = []
        self.threads: set[int] = set()
        self.n_ended = 0
        self._takes_s = takes_s

    def leave(self) -> None:
        self.n_left += 1

    def begin(self, upto: int) -> Callable[[], None]:
        assert self.n_ended == len(self.upto), "one at a time"
        self.upto.append(upto)
        return self.end

    def end(self) -> None:
        self.threads.add(threading.get_ident())
        time.sleep(self._takes_s)
        self.n_ended += 1


def test_all_who_wait_share_the_work_and_a_quick_disk_is_waited_for_on_the_loop() -> None:
    disk, served = Disk(0.0), list[int]()

    async def one(shared: Shared, number: int) -> None:
        disk.leave()
        await shared.done()
        assert disk.upto[disk.n_ended - 1] > number  # what it had left was forced out
        served.append(number)

    async def everyone() -> None:
        shared = Shared(disk.begin, lambda: disk.n_left)
        for first in (0, 16):
            await asyncio.gather(*(one(shared, number) for number in range(first, first + 16)))

    asyncio.run(everyone())
    assert served == list(range(32))
    assert disk.upto == [16, 32]
    assert disk.threads == {threading.get_ident()}


def test_a_disk_that_stays_slow_is_waited_for_beside_the_loop_and_half_are_served_at_a_time() -> None:
    disk = Disk(0.01)

    async def everyone() -> tuple[set[int], list[int]]:
        shared = Shared(disk.begin, lambda: disk.n_left)
        for _ in range(5):
            await shared.done()
        slow, disk.threads, disk.upto, disk.n_ended = disk.threads, set(), [], 0

        async def ask() -> None:
            disk.leave()
            await shared.done()

        await asyncio.gather(*(ask() for _ in range(16)))
        return slow, disk.upto

    slow, upto = asyncio.run(everyone())
    assert slow == {threading.get_ident()}
    assert threading.get_ident() not in disk.threads
    assert upto == [8, 12, 14, 15, 16]


def test_a_disk_that_was_slow_for_a_while_is_tried_again() -> None:
    disk = Disk(0.006)

    async def everyone() -> None:
        shared = Shared(disk.begin, lambda: disk.n_left)
        for _ in range(5):
            await shared.done()
        disk._takes_s = 0.0
        for _ in range(100):
            await shared.done()
        disk.threads.clear()
        for _ in range(20):
            await shared.done()

    asyncio.run(everyone())
    assert disk.threads == {threading.get_ident()}


def test_an_error_reaches_those_whose_work_it_was_and_no_others() -> None:
    n_begun = 0

    def begin(upto: int) -> Callable[[], None]:
        nonlocal n_begun
        n_begun += 1
        if n_begun == 2:
            raise OSError("full")
        return fail if n_begun == 3 else lambda: None

    def fail() -> None:
        raise OSError("torn")

    async def everyone() -> list[list[str]]:
        shared = Shared(begin, lambda: 0)
        groups = []
        for _ in range(4):
            told = await asyncio.gather(shared.done(), shared.done(), return_exceptions=True)
            groups.append([str(one) for one in told])
        return groups

    told = asyncio.run(everyone())
    assert told == [["None"] * 2, ["full"] * 2, ["torn"] * 2, ["None"] * 2]


def test_who_asks_while_work_is_under_way_waits_for_it_too_though_nothing_is_left() -> None:
    disk = Disk(0.05)

    async def two() -> int:
        shared = Shared(disk.begin, lambda: disk.n_left)
        disk.leave()
        first = asyncio.create_task(shared.done())
        await asyncio.sleep(0.01)
        await shared.done()
        assert first.done()
        return disk.n_ended

    assert asyncio.run(two()) == 2


def test_without_a_thread_to_be_had_the_loop_does_it_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    disk = Disk()

    async def everyone() -> None:
        shared = Shared(disk.begin, lambda: disk.n_left)
        for _ in range(7):
            await asyncio.wait_for(asyncio.gather(*(shared.done() for _ in range(3))), 5)

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    asyncio.run(everyone())
    assert disk.threads == {threading.get_ident()}
    assert disk.n_ended == len(disk.upto)


def test_who_gives_up_waiting_holds_up_nobody() -> None:
    disk = Disk(0.05)

    async def everyone() -> None:
        shared = Shared(disk.begin, lambda: disk.n_left)
        first, second, third = (asyncio.create_task(shared.done()) for _ in range(3))
        await asyncio.sleep(0)
        for task in (first, second):
            task.cancel()
        await asyncio.wait_for(third, 5)
        assert first.cancelled()
        assert second.cancelled()

    asyncio.run(everyone())


def test_a_supply_keeps_its_order_and_makes_a_little_ahead() -> None:
    at_work, most, made = 0, 0, list[int]()
    lock = threading.Lock()

    def maker(number: int) -> Callable[[], list[int]]:
        def make() -> list[int]:
            nonlocal at_work, most
            with lock:
                at_work += 1
                most = max(most, at_work)
                made.append(number)
            time.sleep(0.02 if number % 2 else 0.001)
            with lock:
                at_work -= 1
            return [] if number == 3 else [number * 10 + at for at in range(3)]

        return make

    async def take_all() -> list[int]:
        supply = Supply(map(maker, range(6)))
        got: list[int] = []

        async def worker() -> None:
            while (one := await supply.next()) is not None:
                got.append(one)

        await asyncio.sleep(0.1)
        assert sorted(made) == [0, 1]  # no more before somebody takes
        await asyncio.gather(*(worker() for _ in range(4)))
        return got

    got = asyncio.run(take_all())
    assert got == [number * 10 + at for number in (0, 1, 2, 4, 5) for at in range(3)]
    assert most == 2


def test_what_a_maker_raises_comes_to_each_who_asks() -> None:
    def fail() -> list[int]:
        raise ValueError("no")

    async def ask() -> None:
        supply = Supply([fail])
        for _ in range(2):
            with pytest.raises(ValueError, match="no"):
                await supply.next()

    asyncio.run(ask())
