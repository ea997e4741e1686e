"""Decides how often streams are read. Reading several tokens at once takes less processor time than one by one.

The pause between two reads grows with the number of streams: a person alone sees every token at once, and with many
people, a process has less to do when it has most to do.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

PAUSE_PER_STREAM = 0.003
"""In seconds, like `MAX_PAUSE`."""
MAX_PAUSE = 0.1


class ReadPacer:
    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep
        self._streams = 0

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream for as long as the block lasts."""
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def pause(self) -> None:
        """Wait until the stream should be read again."""
        await self._sleep(min(MAX_PAUSE, self._streams * PAUSE_PER_STREAM))
