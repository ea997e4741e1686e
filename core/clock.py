"""Time as a dependency: everything that reads a clock or waits takes a `Clock`.

Production code passes `SystemClock`; tests pass a clock they move by hand. Leases and deadlines in
the database use the database's own clock instead (`core.store.schema.database_now`).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "Scheduled", "SystemClock"]


class Scheduled(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    def time(self) -> float:
        """Seconds since the epoch."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; never goes back."""

    async def sleep(self, seconds: float) -> None: ...

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Scheduled: ...


class SystemClock:
    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], object]) -> Scheduled:
        return asyncio.get_running_loop().call_later(seconds, callback)
