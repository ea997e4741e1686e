"""The order in which waiting writers get the database."""

import asyncio

from core.store.write_queue import WriteQueue


async def test_urgent_writes_go_first_and_cancelled_ones_are_skipped() -> None:
    queue = WriteQueue(1)
    order: list[str] = []

    async def write(name: str, *, priority: bool = False) -> None:
        async with queue.slot(priority=priority):
            order.append(name)
            await asyncio.sleep(0)

    async with queue.slot():
        tasks = [asyncio.create_task(write(name)) for name in ("a", "b", "c")]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(write("urgent", priority=True)))
        await asyncio.sleep(0)
        tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["urgent", "a", "c"]
    async with asyncio.timeout(1), queue.slot():
        pass


async def test_slot_of_cancelled_writer_is_passed_on() -> None:
    queue = WriteQueue(1)
    async with queue.slot():
        waiter = asyncio.create_task(queue._acquire(priority=False))
        await asyncio.sleep(0)
    waiter.cancel()
    await asyncio.gather(waiter, return_exceptions=True)
    async with asyncio.timeout(1), queue.slot():
        pass


async def test_no_more_write_at_once_after_some_have_ended() -> None:
    queue = WriteQueue(1)
    for _ in range(3):
        async with queue.slot():
            pass
    async with queue.slot():
        second = asyncio.create_task(queue._acquire(priority=False))
        await asyncio.sleep(0)
        assert not second.done()
    await second
