"""Repeats a request to Telegram until it succeeds."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from telegram.error import InvalidToken, TelegramError, TimedOut

from bots.telegram.errors import UpdateNotStoredError, redact_token, retry_after
from bots.telegram.timings import TelegramTimings
from core.backoff import Backoff
from core.clock import Clock

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Retrier:
    def __init__(self, token: str, timings: TelegramTimings, clock: Clock) -> None:
        self._token = token
        self._timings = timings
        self._clock = clock

    async def run(self, method: str, request: Callable[[], Awaitable[T]]) -> T:
        """Repeat `request` until it succeeds, and return its result. Raises `InvalidToken`."""
        backoff = Backoff(self._timings.first_retry_delay, self._timings.max_retry_delay)
        while True:
            try:
                return await request()
            except InvalidToken:
                raise
            except (TelegramError, UpdateNotStoredError) as error:
                # The time-out was a sufficient delay.
                delay = 0.0 if isinstance(error, TimedOut) else max(backoff.next_delay(), retry_after(error))
                log.warning(
                    "telegram.request_failed",
                    method=method,
                    error=redact_token(str(error), self._token),
                    retry_in=round(delay, 1),
                )
                await self._clock.sleep(delay)
