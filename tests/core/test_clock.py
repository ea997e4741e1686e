"""What waits for time and events."""

import asyncio

import pytest

from core.clock import Interruption, wait_for_event
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


@pytest.mark.parametrize("is_set_in_time", [False, True])
async def test_event_is_waited_for_until_the_time_is_over(is_set_in_time: bool) -> None:
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(wait_for_event(event, 10.0, clock))
    await clock.wait_for_timer()
    await clock.advance(9.9)
    assert not waiting.done()
    if is_set_in_time:
        event.set()
    else:
        await clock.advance(0.1)
    assert await waiting is is_set_in_time
    assert clock.pending() == []


@pytest.mark.parametrize("is_set_first", [False, True])
async def test_event_that_is_set_as_the_time_ends_counts(is_set_first: bool) -> None:
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(wait_for_event(event, 10.0, clock))
    await clock.wait_for_timer()
    end_time = clock._timers[0].callback
    for happens in (event.set, end_time) if is_set_first else (end_time, event.set):
        happens()
    assert await waiting


async def test_cancelled_wait_for_an_event_leaves_no_timer() -> None:
    clock, event = FakeClock(), asyncio.Event()
    waiting = asyncio.create_task(wait_for_event(event, 10.0, clock))
    await clock.wait_for_timer()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert clock.pending() == []
