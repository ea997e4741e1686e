"""Named leases, on both databases."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, make_url, select, update
from sqlalchemy.ext.asyncio import create_async_engine

from core.store import leases, schema
from core.store.database import Store
from core.store.leases import Leases
from core.timings import Timings
from tests.clock import FakeClock
from tests.postgresql import endless_transactions, open_store, postgresql_url
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

TIMINGS = Timings(claim_interval=0.05, heartbeat_interval=0.05)


async def test_lease_has_one_holder(store: Store) -> None:
    acquired = await asyncio.gather(*(store.write(leases.try_acquire, "poller", f"process {n}", 30) for n in range(8)))
    assert acquired.count(True) == 1
    assert await store.write(leases.count_holders, "pol") == 1


async def test_expired_or_released_lease_is_free(store: Store) -> None:
    assert await store.write(leases.try_acquire, "poller", "a", -1)
    assert await store.write(leases.try_acquire, "poller", "b", 30)
    assert await store.write(leases.try_acquire, "poller", "b", 30), "renewed"
    assert not await store.write(leases.try_acquire, "poller", "a", 30)
    await store.write(leases.release, "poller", "a")
    assert not await store.write(leases.try_acquire, "poller", "a", 30), "only its owner can release it"
    await store.write(leases.release, "poller", "b")
    assert await store.write(leases.try_acquire, "poller", "a", 30)


async def test_only_valid_leases_are_counted(store: Store) -> None:
    for name, seconds in (("process:a", 30), ("process:b", 30), ("process:dead", -1), ("poller", 30), ("shard", -1)):
        assert await store.write(leases.try_acquire, name, "owner", seconds)
    assert await store.write(leases.count_holders, "process:") == 2
    stored = select(schema.leases.c.name).order_by(schema.leases.c.name)
    names = await store.read(lambda connection: list(connection.scalars(stored)))
    assert names == ["poller", "process:a", "process:b", "shard"], "those of dead processes do not accumulate"


async def test_only_reservations_survive_the_deletion_of_leases(store: Store) -> None:
    dead, alive = Leases(store, "dead"), Leases(store, "alive")
    assert await dead.try_acquire("poller", 30)
    assert await dead.try_reserve("login", 30)
    await store.write(leases.delete_leases)
    assert await alive.try_acquire("poller", 30)
    assert not await alive.try_reserve("login", 30)


@pytest.mark.parametrize("name", ["poller", "reserved:login"])
async def test_lease_of_dead_process_ends_after_clock_was_set_back(store: Store, name: str) -> None:
    assert await store.write(leases.try_acquire, name, "dead", 0.1)
    later = update(schema.leases).values(expires_at=schema.leases.c.expires_at + 3600)
    await store.write(lambda connection: connection.execute(later))
    assert not await store.write(leases.try_acquire, name, "alive", 0.1), "the owner may be alive and renew it"

    async def is_free() -> bool:
        return await store.write(leases.try_acquire, name, "alive", 30)

    await wait_until(is_free)


class Worker:
    """Runs until cancelled."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.ended = asyncio.Event()

    async def __call__(self) -> None:
        self.began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.ended.set()


async def test_next_process_takes_over_on_close(store: Store) -> None:
    first, second = (Leases(store, owner, timings=TIMINGS) for owner in ("first", "second"))
    first_worker, second_worker = Worker(), Worker()
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        first_run = group.create_task(first.run_while_held("poller", first_worker))
        await first_worker.began.wait()
        second_run = group.create_task(second.run_while_held("poller", second_worker))
        assert not second_worker.began.is_set()
        first.close()
        await first_worker.ended.wait()
        await second_worker.began.wait()
        assert not first_run.done(), "it waits to be cancelled"
        first_run.cancel()
        second_run.cancel()


async def test_lost_lease_stops_work(store: Store) -> None:
    own, worker = Leases(store, "own", timings=TIMINGS), Worker()
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        task = group.create_task(own.run_while_held("poller", worker))
        await worker.began.wait()
        await store.write(leases.release, "poller", "own")
        assert await store.write(leases.try_acquire, "poller", "other", 60)
        await worker.ended.wait()
        task.cancel()


def expiry(connection: Connection) -> float:
    return float(connection.scalars(select(schema.leases.c.expires_at)).one())


async def test_lease_in_database_of_one_process_is_not_renewed(tmp_path: Path) -> None:
    clock = FakeClock()
    timings = Timings(clock=clock)
    store = Store(sqlite_url(tmp_path), timings=timings)
    await store.open()
    async with store.exclusive(), asyncio.timeout(15):
        own, worker = Leases(store, "own", timings=timings), Worker()
        task = asyncio.create_task(own.run_while_held("poller", worker))
        await worker.began.wait()
        expires_at = await store.read(expiry)
        await clock.advance(10 * timings.lease_duration)
        assert await store.read(expiry) == expires_at
        assert not worker.ended.is_set()
        own.close()
        await worker.ended.wait()
        task.cancel()
    await store.close()


@pytest.mark.slow
async def test_counting_does_not_wait_for_a_renewal() -> None:
    """A process that renews its lease late, and then counts, would wait in turn: a deadlock."""
    url = postgresql_url()
    async with open_store(url) as store, open_store(url) as other:
        assert await store.write(leases.try_acquire, "process:late", "late", -1)
        engine = create_async_engine(make_url(url).set(drivername="postgresql+asyncpg"))
        async with engine.connect() as late:
            await late.run_sync(leases.try_acquire, "process:late", "late", 30)
            async with asyncio.timeout(5):
                await other.write(leases.count_holders, "process:")
            await late.commit()
        await engine.dispose()
        assert await other.write(leases.count_holders, "process:") == 1


@pytest.mark.slow
@pytest.mark.parametrize("occupy", [Store.read, Store.write], ids=["reads", "writes"])
async def test_lease_is_renewed_while_other_transactions_are_slow(
    occupy: Callable[..., Coroutine[Any, Any, None]],
) -> None:
    url, worker = postgresql_url(), Worker()
    async with open_store(url) as store, open_store(url) as watcher:
        run = asyncio.create_task(Leases(store, "own", timings=TIMINGS).run_while_held("poller", worker))
        await worker.began.wait()
        async with endless_transactions(url) as endless:
            slow = [asyncio.create_task(occupy(store, endless)) for _ in range(20)]
            await asyncio.wait(slow, timeout=0.5)
            before = await watcher.read(expiry)

            async def is_renewed() -> bool:
                return await watcher.read(expiry) > before

            await wait_until(is_renewed)
        await asyncio.gather(*slow)
        run.cancel()
        await asyncio.wait({run})


async def test_error_propagates_and_releases_lease(store: Store) -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Leases(store, "a").run_while_held("poller", fail)
    assert await store.write(leases.try_acquire, "poller", "b", 30)


async def test_no_lease_is_acquired_after_close(store: Store) -> None:
    closed = Leases(store, "closed")
    closed.close()
    assert not await closed.try_acquire("poller", 30)
    assert await store.write(leases.try_acquire, "poller", "other", 30)


async def test_cleanup_is_awaited_despite_second_cancel(store: Store) -> None:
    """The caller that cancels closes the connection that the work uses."""
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
