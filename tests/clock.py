"""A clock that tests move by hand."""

import asyncio
import heapq
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from core.clock import Scheduled, SystemClock
from core.timings import Timings


@dataclass(order=True)
class _Timer:
    due_at: float
    number: int
    callback: Callable[[], object] = field(compare=False)
    is_cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        self.is_cancelled = True


class FakeClock:
    """Implements `core.clock.Clock`. Nothing that waits continues before `advance` passes its time."""

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self.now = 0.0
        """What `monotonic` returns. Small, so that adding a microsecond changes it."""
        self._epoch = epoch
        self._timers: list[_Timer] = []
        self._numbers = itertools.count()
        self._timer_added = asyncio.Event()

    def time(self) -> float:
        return self._epoch + self.now

    def monotonic(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], object]) -> _Timer:
        due_at = self.now + seconds if seconds > 0 else self.now
        if seconds > 0 and due_at == self.now:
            due_at = math.nextafter(self.now, math.inf)
        timer = _Timer(due_at, next(self._numbers), callback)
        heapq.heappush(self._timers, timer)
        self._timer_added.set()
        return timer

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake_up = asyncio.Event()
        timer = self.call_later(seconds, wake_up.set)
        try:
            await wake_up.wait()
        finally:
            timer.cancel()

    def pending(self) -> list[float]:
        """In how many seconds each waiting timer is due, soonest first."""
        return sorted(timer.due_at - self.now for timer in self._timers if not timer.is_cancelled)

    async def advance(self, seconds: float) -> None:
        """Move time forward, run what becomes due in order, and let the tasks it wakes run."""
        target = self.now + seconds
        await self.settle()
        while self._timers and self._timers[0].due_at <= target:
            timer = heapq.heappop(self._timers)
            self.now = max(self.now, timer.due_at)
            if not timer.is_cancelled:
                timer.callback()
                await self.settle()
        self.now = target

    async def wait_for_timer(self, count: int = 1, timeout_seconds: float = 10.0) -> None:
        """Wait (in real time) until `count` timers are pending: the code under test sleeps now."""
        async with asyncio.timeout(timeout_seconds):
            while len(self.pending()) < count:
                self._timer_added.clear()
                await self._timer_added.wait()

    @staticmethod
    async def settle(rounds: int = 20) -> None:
        """Let ready tasks run; never waits in real time."""
        for _ in range(rounds):
            await asyncio.sleep(0)


class FixedTimeClock(SystemClock):
    """The real clock, except that tests set the time of day."""

    def __init__(self, epoch: float = 1_700_000_000.0) -> None:
        self.epoch = epoch

    def time(self) -> float:
        return self.epoch


class FastClock(SystemClock):
    """A clock that runs `speed` times as fast as the real one, for what takes minutes in several programs at once."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._started_at = super().monotonic()
        self._epoch = super().time()

    def time(self) -> float:
        return self._epoch + self.monotonic() - self._started_at

    def monotonic(self) -> float:
        return self._started_at + (super().monotonic() - self._started_at) * self._speed

    async def sleep(self, seconds: float) -> None:
        wake_up = asyncio.Event()
        timer = self.call_later(seconds, wake_up.set)
        try:
            await wake_up.wait()
        finally:
            timer.cancel()

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Scheduled:
        return super().call_later(seconds / self._speed, callback)


def fast_timings(speed: float) -> Timings:
    """Leases still last and are renewed in real time: the database has its own clock."""
    timings = Timings(clock=FastClock(speed))
    return replace(
        timings,
        lease_duration=timings.lease_duration * speed,
        heartbeat_interval=timings.heartbeat_interval * speed,
        claim_interval=timings.claim_interval * speed,
    )
