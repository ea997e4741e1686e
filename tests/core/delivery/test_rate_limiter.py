"""The gate keeps the platforms' limits, chat by chat."""

import asyncio

import pytest

from core.delivery.rate_limiter import Priority, RateLimiter
from core.errors import DeliveryError, DeliveryFailure
from core.port import RateLimit

UNLIMITED = RateLimit(burst=1000, rate=1000)


async def are_done(*tasks: "asyncio.Task[None]") -> list[bool]:
    for _ in range(5):
        await asyncio.sleep(0)
    return [task.done() for task in tasks]


async def test_burst_passes_and_next_waits() -> None:
    gate, pace = RateLimiter(UNLIMITED), RateLimit(burst=2, rate=0.001)
    tasks = [asyncio.create_task(gate.acquire("a", pace, Priority.FINAL)) for _ in range(3)]
    assert await are_done(*tasks) == [True, True, False]
    tasks[2].cancel()


async def test_final_overtakes_previews() -> None:
    gate, pace = RateLimiter(UNLIMITED), RateLimit(burst=1, rate=20)
    await gate.acquire("a", pace, Priority.FINAL)
    order: list[str] = []

    async def enter(name: str, priority: Priority) -> None:
        await gate.acquire("a", pace, priority)
        order.append(name)

    preview = asyncio.create_task(enter("preview", Priority.PREVIEW))
    await are_done(preview)
    final = asyncio.create_task(enter("final", Priority.FINAL))
    async with asyncio.timeout(2):
        await asyncio.gather(preview, final)
    assert order == ["final", "preview"]


async def test_previews_leave_reserve_to_finals() -> None:
    gate, pace = RateLimiter(UNLIMITED), RateLimit(burst=3, rate=0.001, reserve=2)
    previews = [asyncio.create_task(gate.acquire("a", pace, Priority.PREVIEW)) for _ in range(2)]
    assert await are_done(*previews) == [True, False]
    finals = [asyncio.create_task(gate.acquire("a", pace, Priority.FINAL)) for _ in range(2)]
    assert await are_done(*finals) == [True, True]
    previews[1].cancel()


async def test_blocked_chat_delays_no_other() -> None:
    gate = RateLimiter(UNLIMITED)
    gate.block("a", 60)
    blocked = asyncio.create_task(gate.acquire("a", UNLIMITED, Priority.FINAL))
    free = asyncio.create_task(gate.acquire("b", UNLIMITED, Priority.FINAL))
    assert await are_done(blocked, free) == [False, True]
    assert gate.seconds_blocked("a") == pytest.approx(60, abs=1)
    assert gate.seconds_blocked("b") == 0
    blocked.cancel()


async def test_new_blocked_chat_keeps_its_rate_limit() -> None:
    gate, pace = RateLimiter(UNLIMITED), RateLimit(burst=5, rate=50)
    gate.block("a", 0)
    async with asyncio.timeout(1):
        for _ in range(20):
            await gate.acquire("a", pace, Priority.FINAL)


async def test_account_limit_is_first_come_first_served() -> None:
    gate = RateLimiter(RateLimit(burst=1, rate=50))
    order: list[str] = []

    async def enter(chat: str) -> None:
        await gate.acquire(chat, UNLIMITED, Priority.PREVIEW)
        order.append(chat)

    async with asyncio.timeout(2):
        await asyncio.gather(*(enter(chat) for chat in "abcd"))
    assert order == list("abcd")


async def test_cancelled_waiter_uses_no_token() -> None:
    gate, pace = RateLimiter(UNLIMITED), RateLimit(burst=1, rate=10)
    await gate.acquire("a", pace, Priority.FINAL)
    waiting = asyncio.create_task(gate.acquire("a", pace, Priority.FINAL))
    await are_done(waiting)
    waiting.cancel()
    async with asyncio.timeout(0.5):
        await gate.acquire("a", pace, Priority.FINAL)


async def test_idle_chats_are_forgotten() -> None:
    gate = RateLimiter(RateLimit(burst=10_000, rate=10_000))
    for number in range(3000):
        await gate.acquire(str(number), UNLIMITED, Priority.FINAL)
        if number % 500 == 0:
            await asyncio.sleep(0.002)
    assert len(gate._chat_queues) < 2000


async def test_account_wide_wait_blocks_every_chat() -> None:
    told: list[tuple[str, float]] = []
    gate = RateLimiter(UNLIMITED, on_limit=lambda chat, seconds: told.append((chat, seconds)))
    gate.apply_retry_after("a", DeliveryError("wait", DeliveryFailure.RATE_LIMITED, retry_after=60, account_wide=True))
    other = asyncio.create_task(gate.acquire("b", UNLIMITED, Priority.FINAL))
    assert await are_done(other) == [False]
    assert gate.seconds_blocked("b") == pytest.approx(60, abs=1)
    ((chat, seconds),) = told
    assert not chat
    assert seconds == pytest.approx(60, abs=1)
    other.cancel()


async def test_processes_share_account_limit() -> None:
    gate = RateLimiter(RateLimit(burst=4, rate=0.001))
    gate.share_among(4)
    tasks = [asyncio.create_task(gate.acquire(f"{n}", UNLIMITED, Priority.FINAL)) for n in range(2)]
    assert await are_done(*tasks) == [True, False]
    tasks[1].cancel()


async def test_refusal_blocks_concurrent_sends() -> None:
    now = 0.0
    gate, pace = RateLimiter(UNLIMITED, clock=lambda: now), RateLimit(burst=2, rate=100)
    for _ in range(2):
        await gate.acquire("a", pace, Priority.FINAL)
    passed: list[int] = []

    async def enter(number: int) -> None:
        await gate.acquire("a", pace, Priority.FINAL)
        passed.append(number)
        gate.block("a", 60)

    tasks = [asyncio.create_task(enter(number)) for number in range(2)]
    await are_done(*tasks)
    now = 1.0  # both are let in by the same timer
    async with asyncio.timeout(1):
        await tasks[0]
    assert await are_done(tasks[1]) == [False]
    assert passed == [0]
    tasks[1].cancel()
