"""Where the gateway is, and how many sessions Discord still allows."""

import asyncio
from dataclasses import dataclass

import discord
import structlog

from bots.discord.faults import RefusedError
from bots.discord.rest import Json, Rest
from bots.discord.supervision import Backoff, fatal
from bots.discord.timing import Timing
from core.errors import DeliveryError

__all__ = ["Address", "Found"]

log = structlog.get_logger(__name__)

KEPT_BACK = 50
"""Sessions a day that are not begun: Discord resets the token of a bot that asks for too many."""
LONGEST_WAIT = 24 * 60 * 60.0
LEAST_WAIT = 0.1


@dataclass(frozen=True, slots=True)
class Found:
    url: str
    shards: int = 1
    concurrency: int = 1
    """Sessions that may be begun at the same time, one in each bucket of shards."""


class Address:
    """Asks `GET /gateway/bot`, unless `url` is given: then nobody counts but ourselves."""

    def __init__(self, rest: Rest, url: str | None, timing: Timing) -> None:
        self._rest = rest
        self._url = url
        self._timing = timing
        self._latest: Json | None = None
        """An answer whose limit has not been looked at yet."""

    async def find(self) -> Found:
        """Ask until there is an answer. Raises `ConfigurationError`."""
        if self._url is not None:
            return Found(self._url)
        backoff = Backoff(self._timing.first_retry, self._timing.last_retry)
        while True:
            try:
                found = await self._rest.call("GET", "/gateway/bot")
            except DeliveryError as error:
                if isinstance(error, RefusedError) and error.status == 401:
                    raise fatal(discord.LoginFailure()) or error from None
                log.warning("discord gateway not found", fault=error.fault)
                await asyncio.sleep(error.retry_after or backoff.after(0))
                continue
            self._latest = found
            concurrency = _limit(found).get("max_concurrency")
            return Found(
                str(found.get("url", "")), _count(found.get("shards")), _count(concurrency)
            )

    async def patience(self) -> float:
        """Seconds to wait before another session may be begun. Raises `DeliveryError`.

        Discord counts the sessions of all processes and of those that are no more.
        """
        if self._url is not None:
            return 0.0
        found, self._latest = self._latest, None
        limit = _limit(found or await self._rest.call("GET", "/gateway/bot"))
        remaining, milliseconds = limit.get("remaining"), limit.get("reset_after")
        if not isinstance(remaining, int) or remaining > KEPT_BACK:
            return 0.0
        seconds = float(milliseconds) / 1000 if isinstance(milliseconds, int | float) else 0.0
        wait = min(max(seconds, LEAST_WAIT), LONGEST_WAIT)
        log.warning("discord allows no more connections for now", again_in=wait, left=remaining)
        return wait


def _limit(found: Json) -> Json:
    limit = found.get("session_start_limit")
    return limit if isinstance(limit, dict) else {}


def _count(given: object) -> int:
    return given if isinstance(given, int) and given > 0 else 1
