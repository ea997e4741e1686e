"""Asks Discord for the gateway's address, the number of shards and the session limit."""

from dataclasses import dataclass

import structlog

from bots.discord.errors import TOKEN_REJECTED_TEXT, RefusedError
from bots.discord.http_client import HttpClient, Json
from bots.discord.timings import DiscordTimings
from core.backoff import Backoff
from core.errors import ConfigurationError, DeliveryError

log = structlog.get_logger(__name__)

RESERVED_SESSIONS = 50
"""Daily sessions kept in reserve, because Discord resets the token of a bot that exceeds the limit."""


@dataclass(frozen=True, slots=True)
class GatewayEndpoint:
    url: str
    shard_count: int = 1
    max_concurrency: int = 1
    """The number of shards that may IDENTIFY at the same time."""


@dataclass(slots=True)
class GatewayInfo:
    """Reads `GET /gateway/bot`. With a fixed `url`, there is no request and no session limit."""

    http: HttpClient
    url: str | None
    timings: DiscordTimings
    _unused_response: Json | None = None
    """A response whose session limit has not been used yet."""

    async def fetch_endpoint(self) -> GatewayEndpoint:
        """Ask until Discord answers. Raises `ConfigurationError`."""
        if self.url is not None:
            return GatewayEndpoint(self.url)
        backoff = Backoff(self.timings.first_retry_delay, self.timings.max_retry_delay)
        while True:
            try:
                response = await self.http.call("GET", "/gateway/bot")
            except DeliveryError as error:
                if isinstance(error, RefusedError) and error.status == 401:
                    raise ConfigurationError(TOKEN_REJECTED_TEXT) from None
                log.warning("discord.gateway_lookup_failed", failure=error.failure)
                await self.timings.clock.sleep(error.retry_after or backoff.next_delay())
                continue
            self._unused_response = response
            return GatewayEndpoint(
                str(response.get("url", "")),
                _positive_int(response.get("shards")),
                _positive_int(_session_limit(response).get("max_concurrency")),
            )

    async def session_wait(self) -> float:
        """Seconds until another session may be started. Raises `DeliveryError`.

        Discord counts the sessions of all processes, including those that have ended.
        """
        if self.url is not None:
            return 0.0
        response, self._unused_response = self._unused_response, None
        limit = _session_limit(response or await self.http.call("GET", "/gateway/bot"))
        remaining, milliseconds = limit.get("remaining"), limit.get("reset_after")
        if not isinstance(remaining, int) or remaining > RESERVED_SESSIONS:
            return 0.0
        reset_seconds = float(milliseconds) / 1000 if isinstance(milliseconds, int | float) else 0.0
        wait = min(max(reset_seconds, self.timings.min_session_wait), self.timings.max_session_wait)
        log.warning("discord.session_limit_reached", remaining=remaining, retry_in=wait)
        return wait


def _session_limit(response: Json) -> Json:
    limit = response.get("session_start_limit")
    return limit if isinstance(limit, dict) else {}


def _positive_int(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 1
