"""Keeps the gateway connections alive: starts a client for each shard, watches it and replaces it.

Asks Discord for the gateway's address, the number of shards and the session limit.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import discord
import structlog
from discord.gateway import DiscordWebSocket

from bots.discord.backfill import Backfill, BackfillSources
from bots.discord.errors import (
    RESHARD_CLOSE_CODES,
    TOKEN_REJECTED_TEXT,
    DiscordApiError,
    describe_connection_error,
    to_configuration_error,
)
from bots.discord.gateway_client import GatewayClient, set_library_urls
from bots.discord.http_client import HttpClient, Json
from bots.discord.identify_limiter import IdentifyLimiter
from bots.discord.receiving import EventReceiver
from bots.discord.shard_allocator import Shard, ShardAllocator
from bots.discord.timings import DiscordTimings
from core.backoff import Backoff
from core.errors import ConfigurationError, DeliveryError, UnavailableError
from core.port import ConnectionState
from core.store.leases import Leases

log = structlog.get_logger(__name__)

RESERVED_SESSIONS = 50
"""Daily sessions kept in reserve, because Discord resets the token of a bot that exceeds the limit."""


class GatewaySupervisor:
    """Runs one gateway client for each shard.

    With `leases`, all processes on the same database share the shards.
    """

    def __init__(
        self,
        token: str,
        http: HttpClient,
        receiver: EventReceiver,
        *,
        gateway_url: str | None,
        message_content: bool,
        on_login: Callable[[str], None],
        timings: DiscordTimings,
        account: str,
        leases: Leases | None = None,
        backfill_sources: BackfillSources | None = None,
    ) -> None:
        self._token = token
        self._receiver = receiver
        self._message_content = message_content
        self._on_login = on_login
        self._timings = timings
        self._clock = timings.clock
        self._http = http
        self._account = account
        self._backfill_sources = backfill_sources
        self._gateway_info = GatewayInfo(http, gateway_url, timings)
        self._identify_limiter = IdentifyLimiter(account, self._gateway_info.session_wait, timings, leases)
        self._clients: dict[Shard, GatewayClient] = {}
        self._served_shards: set[Shard] = set()
        self._is_standing_by = False
        """Whether this process would serve shards if other processes did not."""
        self._shard_allocator: ShardAllocator | None = None
        if leases:
            self._shard_allocator = ShardAllocator(leases, account, self._run_shard, self._stand_by, timings)

    @property
    def last_activity(self) -> float | None:
        """The oldest of the connections' last heartbeat acknowledgements, by the monotonic clock.

        None if a connection has had none yet, or if this process has no connection.
        """
        ages = [client.heartbeat_age for client in self._clients.values()]
        known_ages = [age for age in ages if age is not None]
        return self._clock.monotonic() - max(known_ages) if known_ages and len(known_ages) == len(ages) else None

    @property
    def connection_state(self) -> ConnectionState:
        """Connected only if all shards that this process serves are."""
        if not self._served_shards:
            return ConnectionState.STANDBY if self._is_standing_by else ConnectionState.CONNECTING
        clients = [self._clients.get(shard) for shard in self._served_shards]
        if all(client is not None and client.is_connected for client in clients):
            return ConnectionState.CONNECTED
        if self._identify_limiter.is_waiting_for_sessions:
            return ConnectionState.WAITING
        return ConnectionState.CONNECTING

    async def run(self) -> None:
        """Stay connected until cancelled. Raises `ConfigurationError`, and `UnavailableError` if a restart helps."""
        _configure_library()
        endpoint = await self._gateway_info.fetch_endpoint()
        set_library_urls(self._http.api_base, endpoint.url)
        self._identify_limiter.concurrency = endpoint.max_concurrency
        try:
            if self._shard_allocator is not None:
                await self._shard_allocator.run(endpoint.shard_count)
                return
            async with asyncio.TaskGroup() as group:
                for number in range(endpoint.shard_count):
                    group.create_task(self._run_shard(Shard(number, endpoint.shard_count)))
        except* (ConfigurationError, UnavailableError) as errors:
            raise _first_error(errors) from None
        finally:
            self._is_standing_by = False

    async def _run_shard(self, shard: Shard) -> None:
        """Serve a shard until cancelled. Raises `ConfigurationError`."""
        self._served_shards.add(shard)
        try:
            await self._keep_connected(shard)
        finally:
            self._served_shards.discard(shard)
            self._stand_by()  # another process may have it now

    def _stand_by(self) -> None:
        self._is_standing_by = True

    async def _keep_connected(self, shard: Shard) -> None:
        """Replace clients that end, until cancelled. Raises `ConfigurationError`."""
        backoff = Backoff(self._timings.first_retry_delay, self._timings.max_retry_delay)
        backfill: Backfill | None = None
        if self._backfill_sources is not None:
            backfill = Backfill(self._http, self._backfill_sources, self._account, shard, self._timings)
        while True:
            started_at = self._clock.monotonic()
            client = GatewayClient(
                self._receiver,
                self._identify_limiter,
                message_content=self._message_content,
                shard=shard,
                backfill=backfill,
                clock=self._clock,
            )
            self._clients[shard] = client
            try:
                await self._run_client(client)
                reason = "the connection was closed"
            except Exception as error:  # noqa: BLE001 (discord.py raises anything)
                if self._gateway_info.url is None and getattr(error, "code", None) in RESHARD_CLOSE_CODES:
                    # A new process asks for the number of shards again.
                    raise UnavailableError("Discord wants another number of shards.") from None
                if (fatal_error := to_configuration_error(error)) is not None:
                    raise fatal_error from None
                reason = describe_connection_error(error)
            finally:
                del self._clients[shard]
                if backfill is not None:
                    await backfill.stop()
                await self._close_client(client)
            if self._clock.monotonic() - started_at > self._timings.max_retry_delay:
                backoff.reset()
            delay = backoff.next_delay()
            log.warning(
                "discord.connection_lost",
                shard=shard.number,
                address=_host(client.server_url),
                reason=reason,
                retry_in=round(delay, 1),
            )
            await self._clock.sleep(delay)

    async def _run_client(self, client: GatewayClient) -> None:
        """Log in and receive events until the connection ends. Raises if it becomes silent or cannot be resumed."""
        await client.login(self._token)
        self._on_login(str(client.application_id))
        await self._identify_limiter.reserve(client.shard_id or 0)
        connecting = asyncio.create_task(client.connect())
        try:
            while not connecting.done():
                await asyncio.wait({connecting}, timeout=self._timings.heartbeat_check_interval)
                if (client.heartbeat_age or 0.0) > self._timings.heartbeat_timeout:
                    raise UnavailableError("Discord's gateway became silent")
                if client.seconds_without_session > self._timings.resume_timeout:
                    raise UnavailableError("Discord's gateway resumes no session")
            await connecting
        finally:
            while not connecting.done():  # the library's `wait_for` swallows a cancellation if it fails at that moment
                connecting.cancel()
                await asyncio.wait({connecting}, timeout=self._timings.cancel_interval)

    async def _close_client(self, client: GatewayClient) -> None:
        try:
            async with asyncio.timeout(self._timings.close_timeout):
                await client.clean_up()
                await client.close()
        except Exception as error:  # noqa: BLE001 (a broken client may raise anything when it is closed)
            log.debug("discord.close_failed", error=type(error).__name__)
            with contextlib.suppress(Exception):
                await client.http.close()


def _configure_library() -> None:
    """Keep secrets out of the log: below INFO discord.py logs whole messages and interaction tokens.

    Also replaces its report of a lost connection, a traceback, and switches off its warnings about missing voice
    libraries.
    """
    logging.getLogger("discord.client").addFilter(_report_reconnect)
    library = logging.getLogger("discord")
    if library.getEffectiveLevel() < logging.INFO:
        library.setLevel(logging.INFO)
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False


def _report_reconnect(record: logging.LogRecord) -> bool:
    """Whether the library may log `record`; its retries are logged like the bot's own."""
    error = record.exc_info[1] if record.exc_info else None
    if error is None or not record.msg.startswith("Attempting a reconnect"):
        return True
    (delay,) = cast("tuple[float]", record.args)
    log.warning(
        "discord.connection_lost",
        address=_host(str(DiscordWebSocket.DEFAULT_GATEWAY)),
        reason=describe_connection_error(error),
        retry_in=round(delay, 1),
    )
    return False


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _first_error(errors: BaseExceptionGroup[ConfigurationError | UnavailableError]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


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
                if isinstance(error, DiscordApiError) and error.status == 401:
                    raise ConfigurationError(TOKEN_REJECTED_TEXT) from None
                delay = error.retry_after or backoff.next_delay()
                log.warning(
                    "discord.gateway_lookup_failed",
                    address=_host(self.http.api_base),
                    reason=describe_connection_error(error.__cause__ or error),
                    retry_in=round(delay, 1),
                )
                await self.timings.clock.sleep(delay)
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
        response = response or await self.http.call("GET", "/gateway/bot")
        remaining, milliseconds = remaining_sessions(response), _session_limit(response).get("reset_after")
        if remaining is None or remaining > RESERVED_SESSIONS:
            return 0.0
        reset_seconds = float(milliseconds) / 1000 if isinstance(milliseconds, int | float) else 0.0
        wait = min(max(reset_seconds, self.timings.min_session_wait), self.timings.max_session_wait)
        log.warning("discord.session_limit_reached", remaining=remaining, retry_in=wait)
        return wait


def remaining_sessions(response: Json) -> int | None:
    """How many sessions the bot may still start today, by a response of `GET /gateway/bot`; None if unknown."""
    remaining = _session_limit(response).get("remaining")
    return remaining if isinstance(remaining, int) else None


def _session_limit(response: Json) -> Json:
    limit = response.get("session_start_limit")
    return limit if isinstance(limit, dict) else {}


def _positive_int(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 1
