"""Repeats a request to Telegram until it succeeds."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from telegram.error import InvalidToken, TelegramError, TimedOut

from bots.telegram.errors import UpdateNotStoredError, redact_token, retry_after
from bots.telegram.timings import TelegramTimings
from core.backoff import Backoff

log = structlog.get_logger(__name__)
T = TypeVar("T")


async def retry(method: str, request: Callable[[], Awaitable[T]], token: str, timings: TelegramTimings) -> T:
    """Repeat `request`, a call of `method`, until it succeeds, and return its result. Raises `InvalidToken`."""
    backoff = Backoff(timings.first_retry_delay, timings.max_retry_delay)
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
                error=redact_token(str(error), token),
                retry_in=round(delay, 1),
            )
            await timings.clock.sleep(delay)
