"""The connection to Discord's gateway: built, watched and built anew until cancelled."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import discord
import structlog

from bots.discord.backfill import Backfill, BackfillSources
from bots.discord.gateway_client import EventHandler, GatewayClient, set_library_urls
from bots.discord.gateway_info import GatewayInfo
from bots.discord.http_client import HttpClient
from bots.discord.identify_limiter import Backoff, IdentifyLimiter, to_configuration_error
from bots.discord.shard_allocator import ShardAllocator, SupportsLeases
from bots.discord.timings import DiscordTimings
from core.errors import ConfigurationError, UnavailableError

__all__ = ["GatewaySupervisor"]

log = structlog.get_logger(__name__)


class GatewaySupervisor:
    """As many gateway clients as Discord wants shards, each with a life of its own.

    With `leases`, the processes that share them serve each shard once, between them.
    """

    def __init__(
        self,
        token: str,
        http: HttpClient,
        listener: EventHandler,
        *,
        api_base: str,
        gateway_url: str | None,
        message_content: bool,
        on_login: Callable[[str], None],
        timings: DiscordTimings,
        account: str,
        leases: SupportsLeases | None = None,
        backfill_sources: BackfillSources | None = None,
    ) -> None:
        self._token = token
        self._listener = listener
        self._api_base = api_base
        self._message_content = message_content
        self._on_login = on_login
        self._timings = timings
        self._http = http
        self._account = account
        self._backfill_sources = backfill_sources
        self._gateway_info = GatewayInfo(http, gateway_url, timings)
        self._identify_limiter = IdentifyLimiter(account, timings, self._gateway_info.session_wait, leases)
        self._clients: dict[int, GatewayClient] = {}
        self._shard_allocator = ShardAllocator(leases, account, self._run_shard, timings) if leases else None

    @property
    def last_activity(self) -> float | None:
        ages = [client.heartbeat_age for client in self._clients.values()]
        known = [age for age in ages if age is not None]
        return time.monotonic() - max(known) if known and len(known) == len(ages) else None

    async def run(self) -> None:
        """Stay connected until cancelled. Raises `ConfigurationError`."""
        _silence_library()
        endpoint = await self._gateway_info.fetch_endpoint()
        set_library_urls(self._api_base, endpoint.url)
        self._identify_limiter.concurrency = endpoint.max_concurrency
        try:
            if self._shard_allocator is not None:
                await self._shard_allocator.run(endpoint.shard_count)
                return
            async with asyncio.TaskGroup() as group:
                for shard in range(endpoint.shard_count):
                    group.create_task(self._run_shard(shard, endpoint.shard_count))
        except* ConfigurationError as errors:
            raise _first_error(errors) from None

    async def _run_shard(self, shard: int, shard_count: int) -> None:
        backoff = Backoff(self._timings.first_retry_delay, self._timings.max_retry_delay)
        backfill: Backfill | None = None
        if self._backfill_sources is not None:
            backfill = Backfill(
                self._http,
                self._backfill_sources,
                self._account,
                (shard, shard_count),
                self._timings,
            )
        while True:
            started = time.monotonic()
            client = GatewayClient(
                self._listener,
                self._identify_limiter,
                message_content=self._message_content,
                shard=(shard, shard_count) if shard_count > 1 else None,
                backfill=backfill,
            )
            self._clients[shard] = client
            try:
                await self._run_client(client)
                reason = "closed"
            except Exception as error:  # noqa: BLE001 (discord.py dies of anything; see the facts)
                if (fatal_error := to_configuration_error(error)) is not None:
                    raise fatal_error from None
                reason = type(error).__name__
            finally:
                del self._clients[shard]
                if backfill is not None:
                    await backfill.stop()
                await self._close_client(client)
            wait = backoff.next_delay(time.monotonic() - started)
            log.warning("discord connection lost", shard=shard, reason=reason, again_in=wait)
            await asyncio.sleep(wait)

    async def _run_client(self, client: GatewayClient) -> None:
        """Log in and listen, until the connection ends or goes deaf."""
        await client.login(self._token)
        self._on_login(str(client.application_id))
        await self._identify_limiter.reserve(client.shard_id or 0)
        connecting = asyncio.create_task(client.connect())
        try:
            while not connecting.done():
                await asyncio.wait({connecting}, timeout=self._timings.heartbeat_check_interval)
                if (client.heartbeat_age or 0.0) > self._timings.heartbeat_timeout:
                    raise UnavailableError("Discord's gateway went silent.")
            await connecting
        finally:
            connecting.cancel()
            await asyncio.wait({connecting})

    async def _close_client(self, client: GatewayClient) -> None:
        """Say good-bye, but not for long."""
        try:
            async with asyncio.timeout(self._timings.close_timeout):
                await client.clean_up()
                await client.close()
        except Exception as error:  # noqa: BLE001 (a client that died may die again in closing)
            log.debug("discord connection not closed cleanly", error=type(error).__name__)
            with contextlib.suppress(Exception):
                await client.http.close()


def _silence_library() -> None:
    """Below INFO the library logs whole messages and the tokens of interactions.

    Its warnings about missing voice libraries go as well.
    """
    library = logging.getLogger("discord")
    if library.getEffectiveLevel() < logging.INFO:
        library.setLevel(logging.INFO)
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False


def _first_error(errors: BaseExceptionGroup[ConfigurationError]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
