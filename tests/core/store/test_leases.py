"""Rights that one process at a time has, on both databases."""

import asyncio

import pytest

from core.store import leases
from core.store.database import Store
from core.store.leases import Leases


async def test_lease_has_one_holder(store: Store) -> None:
    taken = await asyncio.gather(*(store.write(leases.try_acquire, "poller", f"process {n}", 30) for n in range(8)))
    assert taken.count(True) == 1
    assert await store.write(leases.count_holders, "pol") == 1


async def test_expired_or_released_lease_is_free(store: Store) -> None:
    assert await store.write(leases.try_acquire, "poller", "a", -1)
    assert await store.write(leases.try_acquire, "poller", "b", 30)
    assert await store.write(leases.try_acquire, "poller", "b", 30), "renewed"
    assert not await store.write(leases.try_acquire, "poller", "a", 30)
    await store.write(leases.release, "poller", "a")
    assert not await store.write(leases.try_acquire, "poller", "a", 30), "not a's to give back"
    await store.write(leases.release, "poller", "b")
    assert await store.write(leases.try_acquire, "poller", "a", 30)


class Worker:
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


async def test_next_holder_takes_over_on_close(store: Store) -> None:
    first, second = Leases(store, "first"), Leases(store, "second")
    ours, theirs = Worker(), Worker()
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        one = group.create_task(first.run_while_held("poller", ours))
        await ours.began.wait()
        two = group.create_task(second.run_while_held("poller", theirs))
        assert not theirs.began.is_set()
        first.close()
        await ours.ended.wait()
        await theirs.began.wait()
        assert not one.done(), "the caller ends when it is told to"
        one.cancel()
        two.cancel()


async def test_lost_lease_stops_work(store: Store) -> None:
    mine, work = Leases(store, "mine"), Worker()
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        task = group.create_task(mine.run_while_held("poller", work))
        await work.began.wait()
        await store.write(leases.release, "poller", "mine")
        assert await store.write(leases.try_acquire, "poller", "thief", 60)
        await work.ended.wait()
        task.cancel()


async def test_error_propagates_and_releases_lease(store: Store) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Leases(store, "a").run_while_held("poller", fail)
    assert await store.write(leases.try_acquire, "poller", "b", 30)


async def test_closed_keeper_takes_no_lease(store: Store) -> None:
    closing = Leases(store, "closing")
    closing.close()
    assert not await closing.try_acquire("poller", 30)
    assert await store.write(leases.try_acquire, "poller", "another", 30)


async def test_cleanup_is_awaited_despite_second_cancel(
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
    task = asyncio.create_task(leases.run_while_held("poller", work))
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
