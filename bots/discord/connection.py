"""The connection to Discord's gateway: built, watched and built anew until cancelled."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import discord
import structlog

from bots.discord.faults import RefusedError
from bots.discord.gateway import Gateway, Listener, point_at
from bots.discord.rest import Rest
from bots.discord.supervision import Backoff, Identifies, fatal
from bots.discord.timing import Timing
from core.errors import ConfigurationError, DeliveryError, UnavailableError

__all__ = ["Connection"]

log = structlog.get_logger(__name__)


class Connection:
    """As many gateway clients as Discord wants shards, each with a life of its own."""

    def __init__(
        self,
        token: str,
        rest: Rest,
        listener: Listener,
        *,
        api_base: str,
        gateway_url: str | None,
        message_content: bool,
        logged_in: Callable[[str], None],
        timing: Timing,
    ) -> None:
        self._token = token
        self._rest = rest
        self._listener = listener
        self._api_base = api_base
        self._gateway_url = gateway_url
        self._message_content = message_content
        self._logged_in = logged_in
        self._timing = timing
        self._identifies = Identifies(timing.identify)
        self._clients: dict[int, Gateway] = {}

    @property
    def last_heartbeat(self) -> float | None:
        ages = [client.heartbeat_age for client in self._clients.values()]
        known = [age for age in ages if age is not None]
        return time.monotonic() - max(known) if known and len(known) == len(ages) else None

    async def run(self) -> None:
        """Stay connected until cancelled. Raises `ConfigurationError`."""
        _hush()
        url, shards = await self._gateway()
        point_at(self._api_base, url)
        if shards == 1:
            await self._supervise(0, None)
            return
        try:
            async with asyncio.TaskGroup() as group:
                for shard in range(shards):
                    group.create_task(self._supervise(shard, shards))
        except* ConfigurationError as errors:
            raise _first(errors) from None

    async def _supervise(self, shard: int, shards: int | None) -> None:
        backoff = Backoff(self._timing.first_retry, self._timing.last_retry)
        # A socket that waits for its turn to IDENTIFY would be closed: open them one by one.
        await asyncio.sleep(shard * self._timing.identify)
        while True:
            began = time.monotonic()
            client = Gateway(
                self._listener,
                self._identifies,
                message_content=self._message_content,
                shard=(shard, shards) if shards else None,
            )
            self._clients[shard] = client
            try:
                await self._live(client)
                reason = "closed"
            except Exception as error:  # noqa: BLE001 (discord.py dies of anything; see the facts)
                if (lasting := fatal(error)) is not None:
                    raise lasting from None
                reason = type(error).__name__
            finally:
                del self._clients[shard]
                await self._end(client)
            wait = backoff.after(time.monotonic() - began)
            log.warning("discord connection lost", shard=shard, reason=reason, again_in=wait)
            await asyncio.sleep(wait)

    async def _live(self, client: Gateway) -> None:
        """Log in and listen, until the connection ends or goes deaf."""
        await client.login(self._token)
        self._logged_in(str(client.application_id))
        connected = asyncio.create_task(client.connect())
        try:
            while not connected.done():
                await asyncio.wait({connected}, timeout=self._timing.watch)
                if (client.heartbeat_age or 0.0) > self._timing.deaf:
                    raise UnavailableError("Discord's gateway went silent.")
            await connected
        finally:
            connected.cancel()
            await asyncio.wait({connected})

    async def _end(self, client: Gateway) -> None:
        """Say good-bye, but not for long."""
        try:
            async with asyncio.timeout(self._timing.closing):
                await client.close()
        except Exception as error:  # noqa: BLE001 (a client that died may die again in closing)
            log.debug("discord connection not closed cleanly", error=type(error).__name__)
            with contextlib.suppress(Exception):
                await client.http.close()

    async def _gateway(self) -> tuple[str, int]:
        """The gateway's address, and how many connections Discord wants."""
        if self._gateway_url is not None:
            return self._gateway_url, 1
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
            await self._start_limit(found.get("session_start_limit"))
            shards = found.get("shards")
            return str(found.get("url", "")), shards if isinstance(shards, int) else 1

    async def _start_limit(self, limit: object) -> None:
        """Discord resets the token of a bot that identifies more often than it may."""
        if isinstance(limit, dict) and limit.get("remaining") == 0:
            wait = float(limit.get("reset_after", 0)) / 1000
            log.warning("discord allows no more connections for now", again_in=wait)
            await asyncio.sleep(wait)


def _hush() -> None:
    """Below INFO the library logs whole messages and the tokens of interactions.

    Its warnings about missing voice libraries go as well.
    """
    library = logging.getLogger("discord")
    if library.getEffectiveLevel() < logging.INFO:
        library.setLevel(logging.INFO)
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False


def _first(errors: BaseExceptionGroup[ConfigurationError]) -> BaseException:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
