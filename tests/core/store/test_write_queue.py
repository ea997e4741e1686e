"""The order of writers."""

import asyncio

from core.store.write_queue import WriteQueue


async def test_urgent_writes_go_first_and_cancelled_ones_are_skipped() -> None:
    line = WriteQueue(1)
    order: list[str] = []

    async def write(name: str, *, first: bool = False) -> None:
        async with line.slot(priority=first):
            order.append(name)
            await asyncio.sleep(0)

    async with line.slot():
        tasks = [asyncio.create_task(write(name)) for name in ("a", "b", "c")]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(write("urgent", first=True)))
        await asyncio.sleep(0)
        tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["urgent", "a", "c"]
    async with asyncio.timeout(1), line.slot():
        pass


async def test_slot_of_cancelled_writer_is_passed_on() -> None:
    line = WriteQueue(1)
    async with line.slot():
        waiting = asyncio.create_task(line._acquire(priority=False))
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1), line.slot():
        pass
