"""Where the gateway is, and how many sessions Discord still allows."""

import asyncio
from dataclasses import dataclass

import discord
import structlog

from bots.discord.errors import RefusedError
from bots.discord.http_client import HttpClient, Json
from bots.discord.identify_limiter import Backoff, to_configuration_error
from bots.discord.timings import DiscordTimings
from core.errors import DeliveryError

__all__ = ["GatewayEndpoint", "GatewayInfo"]

log = structlog.get_logger(__name__)

RESERVED_SESSIONS = 50
"""Sessions a day that are not begun: Discord resets the token of a bot that asks for too many."""
MAX_WAIT_SECONDS = 24 * 60 * 60.0
MIN_WAIT_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class GatewayEndpoint:
    url: str
    shard_count: int = 1
    max_concurrency: int = 1
    """Sessions that may be begun at the same time, one in each bucket of shards."""


class GatewayInfo:
    """Asks `GET /gateway/bot`, unless `url` is given: then nobody counts but ourselves."""

    def __init__(self, http: HttpClient, url: str | None, timings: DiscordTimings) -> None:
        self._http = http
        self._url = url
        self._timings = timings
        self._unused_response: Json | None = None
        """An answer whose limit has not been looked at yet."""

    async def fetch_endpoint(self) -> GatewayEndpoint:
        """Ask until there is an answer. Raises `ConfigurationError`."""
        if self._url is not None:
            return GatewayEndpoint(self._url)
        backoff = Backoff(self._timings.first_retry_delay, self._timings.max_retry_delay)
        while True:
            try:
                response = await self._http.call("GET", "/gateway/bot")
            except DeliveryError as error:
                if isinstance(error, RefusedError) and error.status == 401:
                    raise to_configuration_error(discord.LoginFailure()) or error from None
                log.warning("discord gateway not found", fault=error.failure)
                await asyncio.sleep(error.retry_after or backoff.next_delay(0))
                continue
            self._unused_response = response
            concurrency = _session_limit(response).get("max_concurrency")
            return GatewayEndpoint(
                str(response.get("url", "")),
                _positive_int(response.get("shards")),
                _positive_int(concurrency),
            )

    async def session_wait(self) -> float:
        """Seconds to wait before another session may be begun. Raises `DeliveryError`.

        Discord counts the sessions of all processes and of those that are no more.
        """
        if self._url is not None:
            return 0.0
        response, self._unused_response = self._unused_response, None
        limit = _session_limit(response or await self._http.call("GET", "/gateway/bot"))
        remaining, milliseconds = limit.get("remaining"), limit.get("reset_after")
        if not isinstance(remaining, int) or remaining > RESERVED_SESSIONS:
            return 0.0
        reset_seconds = float(milliseconds) / 1000 if isinstance(milliseconds, int | float) else 0.0
        wait = min(max(reset_seconds, MIN_WAIT_SECONDS), MAX_WAIT_SECONDS)
        log.warning("discord allows no more connections for now", again_in=wait, left=remaining)
        return wait


def _session_limit(response: Json) -> Json:
    limit = response.get("session_start_limit")
    return limit if isinstance(limit, dict) else {}


def _positive_int(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 1
