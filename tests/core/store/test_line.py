"""The order of writers."""

import asyncio

from core.store.line import Line


async def test_what_must_not_wait_goes_first_and_who_gives_up_takes_no_turn() -> None:
    line = Line(1)
    order: list[str] = []

    async def write(name: str, *, first: bool = False) -> None:
        async with line.turn(first=first):
            order.append(name)
            await asyncio.sleep(0)

    async with line.turn():
        tasks = [asyncio.create_task(write(name)) for name in ("a", "b", "c")]
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(write("urgent", first=True)))
        await asyncio.sleep(0)
        tasks[1].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == ["urgent", "a", "c"]
    async with asyncio.timeout(1), line.turn():
        pass


async def test_a_turn_given_to_who_is_cancelled_in_the_same_instant_is_passed_on() -> None:
    line = Line(1)
    async with line.turn():
        waiting = asyncio.create_task(line._enter(first=False))
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1), line.turn():
        pass
