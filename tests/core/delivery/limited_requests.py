"""Requests that wait for a rate limiter."""

import asyncio
from collections import deque

from core.delivery.rate_limiter import Priority, RateLimiter, RequestKind
from core.port import Capabilities, RateLimit, RateWindow
from tests.clock import FakeClock

UNLIMITED: RateLimit = ()
UNLIMITED_PLACE = Capabilities(UNLIMITED)


def limited(count: int, seconds: float) -> Capabilities:
    return Capabilities((RateWindow(count, seconds),))


class Requests:
    """Requests that wait for a rate limiter, and in which order they were granted."""

    def __init__(self, limiter: RateLimiter, clock: FakeClock) -> None:
        self.limiter = limiter
        self.clock = clock
        self.granted: list[str] = []
        self.times: list[float] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def add(
        self,
        name: str,
        capabilities: Capabilities = UNLIMITED_PLACE,
        *,
        chat: str = "a",
        priority: Priority = Priority.FINAL,
        kind: RequestKind = RequestKind.MESSAGE,
        last_shown_at: float | None = None,
        block_seconds: float = 0,
    ) -> None:
        async def acquire() -> None:
            await self.limiter.acquire(chat, capabilities, priority, kind, last_shown_at=last_shown_at)
            self.granted.append(name)
            self.times.append(self.clock.now)
            if block_seconds:
                self.limiter.block(chat, block_seconds)

        self.tasks[name] = asyncio.create_task(acquire())
        await self.clock.settle()

    async def add_many(
        self,
        count: int,
        capabilities: Capabilities,
        *,
        chat: str = "a",
        priority: Priority = Priority.FINAL,
        kind: RequestKind = RequestKind.MESSAGE,
    ) -> None:
        for number in range(count):
            await self.add(f"{priority.name} {number}", capabilities, chat=chat, priority=priority, kind=kind)


def max_in_window(times: list[float], seconds: float) -> int:
    recent: deque[float] = deque()
    most = 0
    for time in sorted(times):
        recent.append(time)
        while recent[0] <= time - seconds + 1e-6:
            recent.popleft()
        most = max(most, len(recent))
    return most
