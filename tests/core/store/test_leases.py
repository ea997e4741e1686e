"""Rights that one process at a time has, on both databases."""

import asyncio

import pytest

from core.store import leases
from core.store.database import Store
from core.store.leases import Leases


async def test_a_right_is_held_by_one_of_many(store: Store) -> None:
    taken = await asyncio.gather(
        *(store.write(leases.take, "poller", f"process {n}", 30) for n in range(8))
    )
    assert taken.count(True) == 1
    assert await store.write(leases.holders, "pol") == 1


async def test_a_right_that_ran_out_or_was_given_back_is_free(store: Store) -> None:
    assert await store.write(leases.take, "poller", "a", -1)
    assert await store.write(leases.take, "poller", "b", 30)
    assert await store.write(leases.take, "poller", "b", 30), "renewed"
    assert not await store.write(leases.take, "poller", "a", 30)
    await store.write(leases.give, "poller", "a")
    assert not await store.write(leases.take, "poller", "a", 30), "not a's to give back"
    await store.write(leases.give, "poller", "b")
    assert await store.write(leases.take, "poller", "a", 30)


class Work:
    """Something that runs until cancelled, counted."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self) -> None:
        self.began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended.set()


async def test_only_one_works_and_another_takes_over_when_it_closes(store: Store) -> None:
    first, second = Leases(store, "first"), Leases(store, "second")
    ours, theirs = Work(), Work()
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        one = group.create_task(first.while_held("poller", ours))
        await ours.began.wait()
        two = group.create_task(second.while_held("poller", theirs))
        assert not theirs.began.is_set()
        first.close()
        await ours.ended.wait()
        await theirs.began.wait()
        assert not one.done(), "the caller ends when it is told to"
        one.cancel()
        two.cancel()


async def test_who_lost_the_right_stops_working(store: Store) -> None:
    mine, work = Leases(store, "mine"), Work()
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        task = group.create_task(mine.while_held("poller", work))
        await work.began.wait()
        await store.write(leases.give, "poller", "mine")
        assert await store.write(leases.take, "poller", "thief", 60)
        await work.ended.wait()
        task.cancel()


async def test_what_the_work_raises_reaches_the_caller_and_frees_the_right(store: Store) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Leases(store, "a").while_held("poller", fail)
    assert await store.write(leases.take, "poller", "b", 30)


async def test_who_closes_takes_nothing_more(store: Store) -> None:
    closing = Leases(store, "closing")
    closing.close()
    assert not await closing.take("poller", 30)
    assert await store.write(leases.take, "poller", "another", 30)


async def test_work_that_puts_itself_in_order_is_waited_for_though_cancelled_twice(
    store: Store,
) -> None:
    """What it uses, a connection, is closed by whoever cancelled us as soon as we end."""
    began, ending, may_end, ended = (asyncio.Event() for _ in range(4))

    async def work() -> None:
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ending.set()
            await may_end.wait()
            ended.set()

    leases = Leases(store, "a")
    task = asyncio.create_task(leases.while_held("poller", work))
    await began.wait()
    leases.close()
    await ending.wait()
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=0.2)
    assert not done
    may_end.set()
    await asyncio.wait({task})
    assert ended.is_set()
    assert task.cancelled()
