"""Deadlines of a stream."""

import asyncio

import pytest

from core.api.watchdog import Watchdog

LONG = 60.0
SHORT = 0.05


async def test_first_piece_must_come_in_time() -> None:
    watchdog = Watchdog(SHORT, LONG, LONG)
    with pytest.raises(TimeoutError):
        await watchdog.wait(asyncio.sleep(LONG))


async def test_next_piece_has_a_deadline_of_its_own() -> None:
    watchdog = Watchdog(LONG, SHORT, LONG)
    assert await watchdog.wait(asyncio.sleep(2 * SHORT, "first")) == "first"
    watchdog.extend()
    with pytest.raises(TimeoutError):
        await watchdog.wait(asyncio.sleep(LONG))


async def test_stream_has_an_end() -> None:
    watchdog = Watchdog(LONG, LONG, SHORT)
    watchdog.extend()
    with pytest.raises(TimeoutError):
        await watchdog.wait(asyncio.sleep(LONG))


async def test_cancellation_by_others_stays_one() -> None:
    watchdog = Watchdog(LONG, LONG, LONG)
    task = asyncio.create_task(watchdog.wait(asyncio.sleep(LONG)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    watchdog.stop()


async def test_consumer_is_not_interrupted_between_waits() -> None:
    watchdog = Watchdog(SHORT, SHORT, SHORT)
    await asyncio.sleep(2 * SHORT)
    assert await watchdog.wait(asyncio.sleep(0, "arrived")) == "arrived"
    watchdog.stop()
