"""The connection to Discord's gateway: built, watched and built anew until cancelled."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import discord
import structlog

from bots.discord.address import Address
from bots.discord.gateway import Gateway, Listener, point_at
from bots.discord.missed import Memory, Missed
from bots.discord.rest import Rest
from bots.discord.shards import Leases, Shards
from bots.discord.supervision import Backoff, Identifies, fatal
from bots.discord.timing import Timing
from core.errors import ConfigurationError, UnavailableError

__all__ = ["Connection"]

log = structlog.get_logger(__name__)


class Connection:
    """As many gateway clients as Discord wants shards, each with a life of its own.

    With `leases`, the processes that share them serve each shard once, between them.
    """

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
        account: str,
        leases: Leases | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._token = token
        self._listener = listener
        self._api_base = api_base
        self._message_content = message_content
        self._logged_in = logged_in
        self._timing = timing
        self._rest = rest
        self._account = account
        self._memory = memory
        self._address = Address(rest, gateway_url, timing)
        self._identifies = Identifies(account, timing, self._address.patience, leases)
        self._clients: dict[int, Gateway] = {}
        self._shards = Shards(leases, account, self._supervise, timing) if leases else None

    @property
    def last_heard(self) -> float | None:
        ages = [client.heartbeat_age for client in self._clients.values()]
        known = [age for age in ages if age is not None]
        return time.monotonic() - max(known) if known and len(known) == len(ages) else None

    async def run(self) -> None:
        """Stay connected until cancelled. Raises `ConfigurationError`."""
        _hush()
        found = await self._address.find()
        point_at(self._api_base, found.url)
        self._identifies.concurrency = found.concurrency
        try:
            if self._shards is not None:
                await self._shards.run(found.shards)
                return
            async with asyncio.TaskGroup() as group:
                for shard in range(found.shards):
                    group.create_task(self._supervise(shard, found.shards))
        except* ConfigurationError as errors:
            raise _first(errors) from None

    async def _supervise(self, shard: int, shards: int) -> None:
        backoff = Backoff(self._timing.first_retry, self._timing.last_retry)
        missed: Missed | None = None
        if self._memory is not None:
            missed = Missed(self._rest, self._memory, self._account, (shard, shards), self._timing)
        while True:
            began = time.monotonic()
            client = Gateway(
                self._listener,
                self._identifies,
                message_content=self._message_content,
                shard=(shard, shards) if shards > 1 else None,
                missed=missed,
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
                if missed is not None:
                    await missed.stop()
                await self._end(client)
            wait = backoff.after(time.monotonic() - began)
            log.warning("discord connection lost", shard=shard, reason=reason, again_in=wait)
            await asyncio.sleep(wait)

    async def _live(self, client: Gateway) -> None:
        """Log in and listen, until the connection ends or goes deaf."""
        await client.login(self._token)
        self._logged_in(str(client.application_id))
        await self._identifies.open(client.shard_id or 0)
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
                await client.leave_nothing()
                await client.close()
        except Exception as error:  # noqa: BLE001 (a client that died may die again in closing)
            log.debug("discord connection not closed cleanly", error=type(error).__name__)
            with contextlib.suppress(Exception):
                await client.http.close()


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
