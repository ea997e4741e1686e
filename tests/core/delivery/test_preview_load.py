"""How rare previews become in a busy process, and how long they wait for questions that start."""

import asyncio
from contextlib import ExitStack

import pytest

from core.delivery.preview_load import (
    LATENESS_WEIGHT,
    MAX_PREVIEWS_PER_SECOND,
    MAX_SHARED_INTERVAL,
    MAX_START_SECONDS,
    MAX_STRETCH,
    PreviewLoad,
)
from core.timings import Timings
from tests.clock import FakeClock


class LateClock(FakeClock):
    """Every timer is late."""

    lateness = 0.0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds + self.lateness


@pytest.mark.parametrize(
    ("previews", "interval"),
    [
        (0, 1.0),
        (MAX_PREVIEWS_PER_SECOND, 1.0),
        (2 * MAX_PREVIEWS_PER_SECOND, 2.0),
        (100 * MAX_PREVIEWS_PER_SECOND, MAX_SHARED_INTERVAL),
    ],
)
def test_previews_of_many_answers_are_rarer(previews: int, interval: float) -> None:
    load = PreviewLoad(Timings(clock=FakeClock()))
    with ExitStack() as stack:
        for _ in range(previews):
            stack.enter_context(load.previewing())
        assert load.interval(1.0) == interval
    assert load.interval(1.0) == 1.0
    assert load.interval(20.0) == 20.0


async def test_late_timers_stretch_the_intervals() -> None:
    clock = LateClock()
    load = PreviewLoad(Timings(clock=clock, tolerated_lateness=0.01))
    clock.lateness = 0.01 / LATENESS_WEIGHT
    await load.pause(1)
    assert load.interval(1.0) == pytest.approx(1.0), "tolerated"
    await load.pause(1)
    assert load.interval(1.0) == pytest.approx(1 + (1 - LATENESS_WEIGHT))
    clock.lateness = 100
    await load.pause(1)
    assert load.interval(1.0) == MAX_STRETCH
    clock.lateness = 0
    for _ in range(100):
        await load.pause(1)
    assert load.interval(1.0) == 1.0


async def is_over(clock: FakeClock, load: PreviewLoad, *steps: float) -> list[bool]:
    """Whether a pause of 0.4 seconds is over after each of these steps."""
    pause = asyncio.create_task(load.pause(0.4))
    states = []
    for seconds in steps:
        await clock.advance(seconds)
        states.append(pause.done())
    pause.cancel()
    return states


async def test_previews_wait_for_questions_that_start() -> None:
    clock = FakeClock()
    load = PreviewLoad(Timings(clock=clock))
    assert await is_over(clock, load, 0.3, 0.1) == [False, True]
    load.question_claimed(1)
    assert await is_over(clock, load, 0.4, 0.3, 0.1) == [False, False, True], "twice as long at most"
    load.question_claimed(2)
    waiting = asyncio.create_task(load.pause(0.4))
    await clock.advance(0.4)
    for turn in (1, 2):
        assert not waiting.done(), "both must have started"
        load.question_started(turn)
        await clock.settle()
    assert waiting.done()


async def test_previews_do_not_wait_for_a_question_that_takes_long_to_start() -> None:
    clock = FakeClock()
    load = PreviewLoad(Timings(clock=clock))
    load.question_claimed(1)
    await clock.advance(MAX_START_SECONDS - 0.4)
    assert await is_over(clock, load, 0.4) == [True]
    load.question_started(2)  # not claimed here
    assert await is_over(clock, load, 0.4) == [True]
