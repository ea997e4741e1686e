"""Client-side rate limits, per chat and per account."""

import asyncio
import math
from dataclasses import dataclass

import pytest

from core.delivery.rate_limiter import MAX_TRACKED_CHATS, WHOLE_ACCOUNT, Priority, RateLimiter
from core.errors import DeliveryError, DeliveryFailure
from core.port import RateLimit
from core.store.rate_limits import ChatActivity
from core.timings import Timings
from tests.clock import FakeClock

UNLIMITED = RateLimit(burst=1000, rate=1000)
MARGIN = Timings().retry_after_margin


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def limiter(clock: FakeClock) -> RateLimiter:
    return RateLimiter(UNLIMITED, timings=Timings(clock=clock))


class Requests:
    """Requests that wait for a rate limiter, and in which order they were granted."""

    def __init__(self, limiter: RateLimiter, clock: FakeClock) -> None:
        self.limiter = limiter
        self.clock = clock
        self.granted: list[str] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def add(
        self,
        name: str,
        rate_limit: RateLimit = UNLIMITED,
        *,
        chat: str = "a",
        priority: Priority = Priority.FINAL,
        block_seconds: float = 0,
    ) -> None:
        async def acquire() -> None:
            await self.limiter.acquire(chat, rate_limit, priority)
            self.granted.append(name)
            if block_seconds:
                self.limiter.block(chat, block_seconds)

        self.tasks[name] = asyncio.create_task(acquire())
        await self.clock.settle()


@pytest.fixture
def requests(limiter: RateLimiter, clock: FakeClock) -> Requests:
    return Requests(limiter, clock)


async def test_burst_passes_and_next_waits(requests: Requests, clock: FakeClock) -> None:
    rate_limit = RateLimit(burst=2, rate=0.5)
    for name in ("first", "second", "third"):
        await requests.add(name, rate_limit)
    assert requests.granted == ["first", "second"]
    await clock.advance(1.9)
    assert requests.granted == ["first", "second"]
    await clock.advance(0.1)
    assert requests.granted == ["first", "second", "third"]


async def test_final_overtakes_previews(requests: Requests, clock: FakeClock) -> None:
    rate_limit = RateLimit(burst=1, rate=1)
    await requests.add("first", rate_limit)
    await requests.add("preview", rate_limit, priority=Priority.PREVIEW)
    await requests.add("final", rate_limit)
    await clock.advance(2)
    assert requests.granted == ["first", "final", "preview"]


async def test_previews_leave_reserve_to_finals(requests: Requests) -> None:
    rate_limit = RateLimit(burst=3, rate=0.001, reserve=2)
    for name in ("preview 1", "preview 2"):
        await requests.add(name, rate_limit, priority=Priority.PREVIEW)
    for name in ("final 1", "final 2"):
        await requests.add(name, rate_limit)
    assert requests.granted == ["preview 1", "final 1", "final 2"]


async def test_blocked_chat_delays_no_other(requests: Requests, limiter: RateLimiter, clock: FakeClock) -> None:
    limiter.block("a", 60)
    await requests.add("blocked", chat="a")
    await requests.add("free", chat="b")
    assert requests.granted == ["free"]
    assert limiter.seconds_blocked("a") == 60
    assert limiter.seconds_blocked("b") == 0
    await clock.advance(60)
    assert requests.granted == ["free", "blocked"]


async def test_new_blocked_chat_keeps_its_rate_limit(
    requests: Requests, limiter: RateLimiter, clock: FakeClock
) -> None:
    limiter.block("a", 0)
    for number in range(20):
        await requests.add(str(number), RateLimit(burst=5, rate=64))
    await clock.advance(19 / 64)
    assert len(requests.granted) == 20


async def test_account_limit_is_first_come_first_served(clock: FakeClock) -> None:
    requests = Requests(RateLimiter(RateLimit(burst=1, rate=64), timings=Timings(clock=clock)), clock)
    for chat in "abcd":
        await requests.add(chat, chat=chat, priority=Priority.PREVIEW)
    await clock.advance(3 / 64)
    assert requests.granted == list("abcd")


async def test_cancelled_waiter_uses_no_token(requests: Requests, clock: FakeClock) -> None:
    rate_limit = RateLimit(burst=1, rate=10)
    for name in ("first", "cancelled", "last"):
        await requests.add(name, rate_limit)
    requests.tasks["cancelled"].cancel()
    await clock.advance(0.1)
    assert requests.granted == ["first", "last"]


async def test_idle_chats_are_forgotten(requests: Requests, limiter: RateLimiter, clock: FakeClock) -> None:
    for number in range(3 * MAX_TRACKED_CHATS):
        await limiter.acquire(str(number), UNLIMITED, Priority.FINAL)
        await clock.advance(0.001)
    assert len(limiter._chat_queues) <= MAX_TRACKED_CHATS


async def test_account_wide_wait_blocks_every_chat(clock: FakeClock) -> None:
    limits: list[tuple[str, float]] = []
    limiter = RateLimiter(
        UNLIMITED, on_limit=lambda chat, seconds: limits.append((chat, seconds)), timings=Timings(clock=clock)
    )
    requests = Requests(limiter, clock)
    limiter.apply_retry_after(
        "a", DeliveryError("wait", DeliveryFailure.RATE_LIMITED, retry_after=60, account_wide=True)
    )
    await requests.add("other", chat="b")
    assert requests.granted == []
    assert limiter.seconds_blocked("b") == 60 + MARGIN
    assert limits == [(WHOLE_ACCOUNT, 60 + MARGIN)]
    await clock.advance(60 + MARGIN)
    assert requests.granted == ["other"]


async def test_processes_share_account_limit(clock: FakeClock) -> None:
    limiter = RateLimiter(RateLimit(burst=4, rate=0.001), timings=Timings(clock=clock))
    requests = Requests(limiter, clock)
    limiter.share_among(4)
    await requests.add("first", chat="a")
    await requests.add("second", chat="b")
    assert requests.granted == ["first"]


async def test_refusal_blocks_concurrent_sends(requests: Requests, clock: FakeClock) -> None:
    rate_limit = RateLimit(burst=2, rate=100)
    for name in ("first", "second"):
        await requests.add(name, rate_limit)
    for name in ("refused", "concurrent"):
        await requests.add(name, rate_limit, block_seconds=60)
    clock.now += 1  # one timer grants both
    await clock.advance(0)
    assert requests.granted == ["first", "second", "refused"]


GROUP_LIMIT = RateLimit(burst=6, rate=0.2, reserve=2)


@dataclass
class Process:
    """One of two that serve the account."""

    requests: Requests
    last_active: float = -math.inf

    @property
    def count(self) -> int:
        return len(self.requests.granted)

    async def write(self, other: "Process", messages: int = 1, *, until: float = 0, both: bool = False) -> None:
        """Send messages to the chat within a turn that is stopped at this time."""
        clock = self.requests.clock
        activity = ChatActivity(2, 0) if both else ChatActivity(1, clock.now - other.last_active)
        self.requests.limiter.share_chats({"a": activity}, {"a"})
        for number in range(messages):
            await self.requests.add(str(number), GROUP_LIMIT)
        if until:
            await clock.advance(until - clock.now)
            for task in self.requests.tasks.values():
                task.cancel()
        self.last_active = clock.now


@pytest.fixture
def processes(clock: FakeClock) -> tuple[Process, Process]:
    first, second = (Process(Requests(RateLimiter(UNLIMITED, timings=Timings(clock=clock)), clock)) for _ in range(2))
    for process in (first, second):
        process.requests.limiter.share_among(2)
    return first, second


async def test_processes_share_limit_of_chat(processes: tuple[Process, Process], clock: FakeClock) -> None:
    first, second = processes
    await first.write(second, 50, both=True)
    await second.write(first, 50, both=True)
    assert first.count + second.count == GROUP_LIMIT.burst
    await clock.advance(100)
    assert first.count == second.count == GROUP_LIMIT.burst / 2 + 100 * GROUP_LIMIT.rate / 2


async def test_chat_of_one_process_is_not_slowed(processes: tuple[Process, Process], clock: FakeClock) -> None:
    first, second = processes
    await first.write(second, 50)
    await clock.advance(100)
    assert first.count == GROUP_LIMIT.burst / 2 + 100 * GROUP_LIMIT.rate


@pytest.mark.parametrize("seconds", [1, 30], ids=["short turns", "long turns"])
async def test_processes_that_take_turns_keep_limit_of_chat(
    processes: tuple[Process, Process], clock: FakeClock, seconds: int
) -> None:
    for number in range(300 // seconds):
        process, other = processes[number % 2], processes[1 - number % 2]
        await process.write(other, 20, until=(number + 1) * seconds)
    assert processes[0].count + processes[1].count <= GROUP_LIMIT.burst + 300 * GROUP_LIMIT.rate


@pytest.mark.parametrize("count", [1, 3, 50])
async def test_previews_pass_in_every_share(requests: Requests, limiter: RateLimiter, count: int) -> None:
    limiter.share_among(count)
    await requests.add("preview", GROUP_LIMIT, priority=Priority.PREVIEW)
    assert requests.granted == ["preview"]
