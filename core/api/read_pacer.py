"""Decides how often streams are read. Reading several tokens at once takes less processor time than one by one.

The pause between two reads grows with the number of streams: a person alone sees every token at once, and with many
people, a process has less to do when it has most to do. The pauses of all streams end together, with one timer.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

PAUSE_PER_STREAM = 0.005
"""In seconds, like `MAX_PAUSE`."""
MAX_PAUSE = 0.1


class ReadPacer:
    def __init__(self) -> None:
        self._streams = 0
        self._end_of_pause: asyncio.Event | None = None

    @property
    def pause_seconds(self) -> float:
        """The longest pause. It grows with the number of open streams."""
        return min(MAX_PAUSE, self._streams * PAUSE_PER_STREAM)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Count a stream for as long as the block lasts."""
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1

    async def pause(self) -> None:
        """Wait until the streams should be read again."""
        if self._end_of_pause is None:
            self._end_of_pause = asyncio.Event()
            asyncio.get_running_loop().call_later(self.pause_seconds, self._end_pause, self._end_of_pause)
        await self._end_of_pause.wait()

    def _end_pause(self, end: asyncio.Event) -> None:
        self._end_of_pause = None
        end.set()
