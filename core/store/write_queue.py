"""The order in which writes get a connection."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class WriteQueue:
    """A semaphore with two classes of waiters, each in the order of arrival."""

    def __init__(self, capacity: int) -> None:
        self._free_slots = capacity
        self._priority_waiters: deque[asyncio.Future[None]] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, *, priority: bool = False) -> AsyncIterator[None]:
        await self._acquire(priority=priority)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, *, priority: bool) -> None:
        if self._free_slots:
            self._free_slots -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        (self._priority_waiters if priority else self._waiters).append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():  # the slot was passed on before the cancellation arrived
                self._release()
            raise

    def _release(self) -> None:
        for waiters in (self._priority_waiters, self._waiters):
            while waiters:
                waiter = waiters.popleft()
                if not waiter.done():
                    waiter.set_result(None)
                    return
        self._free_slots += 1
