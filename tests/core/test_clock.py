"""What waits for time and events."""

import asyncio

import pytest

from core.clock import Interruption
from tests.clock import FakeClock


class Work:
    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.is_cancelled = False

    async def run(self) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.is_cancelled = True
            raise


async def test_interruption_cancels_what_runs_and_what_begins() -> None:
    interruption, work = Interruption(), Work()
    waiting = asyncio.create_task(interruption.cuts_short(work.run()))
    await FakeClock.settle()
    assert not waiting.done()
    interruption.set()
    interruption.set()
    assert await waiting
    assert work.is_cancelled
    assert await interruption.cuts_short(work.run())


async def test_work_that_ends_is_not_cut_short() -> None:
    interruption, work = Interruption(), Work()
    work.gate.set()
    assert not await interruption.cuts_short(work.run())
    interruption.set()
    interruption.clear()
    assert not await interruption.cuts_short(work.run())


async def test_own_timeout_of_the_work_is_raised() -> None:
    async def fail() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await Interruption().cuts_short(fail())


async def test_cancelling_the_task_is_no_interruption() -> None:
    interruption, work = Interruption(), Work()
    waiting = asyncio.create_task(interruption.cuts_short(work.run()))
    await FakeClock.settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
