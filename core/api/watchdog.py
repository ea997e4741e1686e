"""The deadlines of one stream, with one timer: `asyncio.timeout` would start one for each piece of the answer."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")

BUSY_CHECK_SECONDS = 1.0


class Watchdog:
    """Ends waits that last too long. Needs a running event loop; all times are in seconds.

    `first_token`: until the first piece; `between_tokens`: from a piece to the next; `total`: for the whole stream.
    """

    def __init__(self, first_token: float, between_tokens: float, total: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._between_tokens = between_tokens
        self._end = self._loop.time() + total
        self._deadline = min(self._end, self._loop.time() + first_token)
        self._waiting_task: asyncio.Task[Any] | None = None
        self._has_expired = False
        self._start_timer()

    def extend(self) -> None:
        """A piece has arrived: allow `between_tokens` until the next."""
        self._deadline = min(self._end, self._loop.time() + self._between_tokens)

    async def wait(self, work: Awaitable[T]) -> T:
        """The result of `work`. Raises `TimeoutError` at the deadline."""
        task = self._waiting_task = asyncio.current_task()
        try:
            return await work
        except asyncio.CancelledError:
            # Somebody else may have cancelled the task at the same moment.
            if self._has_expired and task is not None and not task.uncancel():
                raise TimeoutError from None
            raise
        finally:
            self._waiting_task = None

    def stop(self) -> None:
        self._timer.cancel()

    def _start_timer(self) -> None:
        # `extend` may bring the deadline forward, but never to a time before this one.
        self._timer = self._loop.call_at(min(self._deadline, self._loop.time() + self._between_tokens), self._check)

    def _check(self) -> None:
        if self._loop.time() < self._deadline:
            self._start_timer()
        elif self._waiting_task is not None:
            self._has_expired = True
            self._waiting_task.cancel()
        else:  # whoever reads the stream is busy with the last piece
            self._timer = self._loop.call_later(BUSY_CHECK_SECONDS, self._check)
