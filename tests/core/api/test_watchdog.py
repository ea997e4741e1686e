"""Deadlines of a stream."""

import asyncio

import pytest

from core.api.watchdog import Watchdog

LONG = 60.0
SHORT = 0.05


def result_after(seconds: float) -> "asyncio.Future[str]":
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    loop.call_later(seconds, future.set_result, "arrived")
    return future


async def test_first_piece_must_come_in_time() -> None:
    watchdog = Watchdog(SHORT, LONG, LONG)
    with pytest.raises(TimeoutError):
        await watchdog.wait(result_after(LONG))


async def test_next_piece_has_a_deadline_of_its_own() -> None:
    watchdog = Watchdog(LONG, SHORT, LONG)
    assert await watchdog.wait(result_after(2 * SHORT)) == "arrived"
    watchdog.extend()
    with pytest.raises(TimeoutError):
        await watchdog.wait(result_after(LONG))


async def test_stream_has_an_end() -> None:
    watchdog = Watchdog(LONG, LONG, SHORT)
    watchdog.extend()
    with pytest.raises(TimeoutError):
        await watchdog.wait(result_after(LONG))


async def test_cancellation_by_others_stays_one() -> None:
    watchdog = Watchdog(LONG, LONG, LONG)
    task = asyncio.create_task(watchdog.wait(result_after(LONG)))
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task
    watchdog.stop()


async def test_consumer_is_not_interrupted_between_waits() -> None:
    watchdog = Watchdog(SHORT, SHORT, SHORT)
    await result_after(2 * SHORT)
    assert await watchdog.wait(result_after(0)) == "arrived"
    watchdog.stop()
