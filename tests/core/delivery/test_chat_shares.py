"""Processes that serve the same account share the limits of the chats that they write to."""

import asyncio
import math
import random

import pytest

from core.delivery.chat_shares import ChatShare
from core.delivery.rate_limiter import Priority, RateLimiter
from core.store.rate_limits import ChatActivity
from core.timings import Timings
from tests.clock import FakeClock
from tests.core.delivery.limited_requests import UNLIMITED, Requests, limited, max_in_window

CHAT_LIMIT = limited(12, 60.0)


class Process:
    """One of two that serve the account."""

    def __init__(self, clock: FakeClock) -> None:
        self.requests = Requests(RateLimiter(UNLIMITED, timings=Timings(clock=clock)), clock)
        self.requests.limiter.share_among(2)
        self.last_active = -math.inf

    @property
    def times(self) -> list[float]:
        return self.requests.times

    async def write(
        self, other: "Process", messages: int = 1, *, seconds: float = 0, both: bool = False, is_new: bool = True
    ) -> None:
        """Send messages to the chat within a turn that is stopped after `seconds`."""
        clock = self.requests.clock
        for number in range(max(1, int(seconds / HEARTBEAT))):
            activity = ChatActivity(2, 0) if both else ChatActivity(1, clock.now - other.last_active)
            self.requests.limiter.share_chats({"a": activity}, {"a"} if is_new else ())
            is_new = False
            if number == 0:
                await self.requests.add_many(messages, CHAT_LIMIT)
            self.last_active = clock.now
            await clock.advance(HEARTBEAT if seconds else 0)
        if seconds:
            for task in self.requests.tasks.values():
                task.cancel()
            await clock.settle()


HEARTBEAT = 0.5


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def processes(clock: FakeClock) -> tuple[Process, Process]:
    return Process(clock), Process(clock)


def max_together(first: Process, second: Process) -> int:
    return max_in_window(first.times + second.times, CHAT_LIMIT.rate_limit[0].seconds)


async def test_processes_share_limit_of_chat(processes: tuple[Process, Process], clock: FakeClock) -> None:
    first, second = processes
    await first.write(second, 0, both=True)
    await second.write(first, 0, both=True)
    for process in processes:
        await process.requests.add_many(100, CHAT_LIMIT)
    for _ in range(600):
        await clock.advance(HEARTBEAT)
        for process in processes:
            process.requests.limiter.share_chats({"a": ChatActivity(2, 0)}, ())
    assert max_together(first, second) == 12
    for process in processes:
        assert sum(time > 240 for time in process.times) == 6, "half of the limit each"


async def test_chat_of_one_process_is_hardly_slowed(processes: tuple[Process, Process], clock: FakeClock) -> None:
    first, second = processes
    await first.write(second, 100)
    await clock.advance(600)
    assert len(first.times) >= 9 * 10, "it leaves 3 of 12 requests to the other one"


async def test_process_that_begins_has_requests_at_once(processes: tuple[Process, Process], clock: FakeClock) -> None:
    first, second = processes
    await first.write(second, 100, seconds=20)
    await second.write(first, 100, both=True)
    assert len(second.times) == 3
    assert max_together(first, second) <= 12


@pytest.mark.parametrize("seconds", [1, 30, 90], ids=["short turns", "long turns", "very long turns"])
async def test_processes_that_take_turns_keep_limit_of_chat(
    processes: tuple[Process, Process], clock: FakeClock, seconds: int
) -> None:
    for number in range(600 // seconds):
        process, other = processes[number % 2], processes[1 - number % 2]
        await process.write(other, 20, seconds=seconds)
    assert max_together(*processes) <= 12
    assert len(processes[0].times) + len(processes[1].times) >= 60


async def test_random_activity_keeps_limit_of_chat(clock: FakeClock) -> None:
    """Three processes have turns in the chat now and then, and send as much as they may."""
    generator, limit = random.Random(7), CHAT_LIMIT.rate_limit[0]
    processes = [Requests(RateLimiter(UNLIMITED, timings=Timings(clock=clock)), clock) for _ in range(3)]
    ends, seen = [0.0] * 3, [-math.inf] * 3
    for process in processes:
        process.limiter.share_among(3)
    for _ in range(3000):
        for number, process in enumerate(processes):
            is_new = ends[number] <= clock.now and generator.random() < 0.02
            if is_new:
                ends[number] = clock.now + generator.choice([1, 5, 40])
            if ends[number] <= clock.now:
                continue
            others = [other for other in range(3) if other != number]
            active = 1 + sum(ends[other] > clock.now for other in others)
            idle = 0 if active > 1 else clock.now - max(seen[other] for other in others)
            process.limiter.share_chats({"a": ChatActivity(active, idle)}, {"a"} if is_new else ())
            seen[number] = clock.now
            task = asyncio.create_task(process.limiter.acquire("a", CHAT_LIMIT, Priority.FINAL))
            await clock.settle(3)
            if task.done():
                process.times.append(clock.now)
            task.cancel()
        await clock.advance(HEARTBEAT)
    assert max_in_window([time for process in processes for time in process.times], limit.seconds) <= limit.count


@pytest.mark.parametrize("count", [1, 3, 50])
async def test_previews_pass_in_every_share(clock: FakeClock, count: int) -> None:
    limiter = RateLimiter(UNLIMITED, timings=Timings(clock=clock))
    requests = Requests(limiter, clock)
    limiter.share_among(count)
    await requests.add("preview", CHAT_LIMIT, priority=Priority.PREVIEW)
    assert requests.granted == ["preview"]


@pytest.mark.parametrize(("idle_seconds", "count"), [(59.9, 3), (60.0, 9)])
def test_process_alone_in_the_window_leaves_only_what_another_may_begin_with(idle_seconds: float, count: int) -> None:
    share = ChatShare.begin(0.0)
    share.update(0.0, ChatActivity(1, idle_seconds), is_new=True)
    assert share.count(CHAT_LIMIT.rate_limit[0], 0.0, 2) == count
