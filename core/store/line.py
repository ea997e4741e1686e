"""Who may write next: in the order of arrival, but for what must not wait."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

__all__ = ["Line"]


class Line:
    """Lets `width` through at a time."""

    def __init__(self, width: int) -> None:
        self._free = width
        self._first: deque[asyncio.Future[None]] = deque()
        self._rest: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def turn(self, *, first: bool = False) -> AsyncIterator[None]:
        await self._enter(first=first)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, *, first: bool) -> None:
        if self._free:
            self._free -= 1
            return
        mine = asyncio.get_running_loop().create_future()
        (self._first if first else self._rest).append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if not mine.cancelled():
                self._leave()  # called in the same instant as cancelled
            raise

    def _leave(self) -> None:
        for waiting in (self._first, self._rest):
            while waiting:
                called = waiting.popleft()
                if not called.done():
                    called.set_result(None)
                    return
        self._free += 1
