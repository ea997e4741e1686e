"""Keeping a gateway client alive: what is fatal, how long to wait, how often to identify."""

import asyncio
import random
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

import discord
import structlog

from bots.discord.shard_allocator import SupportsLeases
from bots.discord.timings import DiscordTimings
from core.errors import ConfigurationError, StoreError, UnavailableError

__all__ = ["Backoff", "IdentifyLimiter", "to_configuration_error"]

log = structlog.get_logger(__name__)

DAY_SECONDS = 24 * 60 * 60
MAX_IDENTIFIES_PER_DAY = 900
"""A day; Discord resets the token of a bot that goes beyond 1000."""

FATAL_CLOSE_CODES = {
    4004: "Discord does not accept the bot's token: set DISCORD_BOT_TOKEN to the current one.",
    4010: "Discord refuses the shard: another number of shards is wanted.",
    4011: "Discord wants this bot sharded: it is in too many servers for one connection.",
    4012: "Discord refuses the gateway's version: update discord.py.",
    4013: "Discord does not know the intents: update discord.py.",
    4014: (
        "Discord does not grant the message content intent: switch it on in the developer portal "
        "(Bot, Privileged Gateway Intents) or leave DISCORD_MESSAGE_CONTENT unset."
    ),
}


def to_configuration_error(error: BaseException) -> ConfigurationError | None:
    """What the operator must change, where restarting does not help."""
    if isinstance(error, ConfigurationError):
        return error
    if isinstance(error, discord.LoginFailure):
        return ConfigurationError(FATAL_CLOSE_CODES[4004])
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return ConfigurationError(FATAL_CLOSE_CODES[4014])
    if isinstance(error, discord.ConnectionClosed) and error.code in FATAL_CLOSE_CODES:
        return ConfigurationError(FATAL_CLOSE_CODES[error.code])
    return None


class Backoff:
    """Doubling waits with jitter; begins anew after a life that was long enough."""

    def __init__(self, first_delay: float, max_delay: float) -> None:
        self._first_delay = first_delay
        self._max_delay = max_delay
        self._attempts = 0

    def next_delay(self, uptime: float) -> float:
        """Seconds to wait after a client that lived for `lived` seconds."""
        if uptime > self._max_delay:
            self._attempts = 0
        wait = min(self._max_delay, self._first_delay * float(1 << min(self._attempts, 16)))
        self._attempts += 1
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 (jitter, not a secret)


class IdentifyLimiter:
    """The budget of IDENTIFYs: one at a time in each bucket of shards, and not too many a day.

    With `leases` over all processes that share them. `patience` tells how many seconds Discord
    wants to be left alone because the day's sessions are used up.
    """

    concurrency = 1
    """How many buckets there are: a shard's is its number modulo this."""

    def __init__(
        self,
        account: str,
        timings: DiscordTimings,
        session_wait: Callable[[], Awaitable[float]],
        leases: SupportsLeases | None = None,
        *,
        max_per_day: int = MAX_IDENTIFIES_PER_DAY,
    ) -> None:
        self._account = account
        self._timings = timings
        self._session_wait = session_wait
        self._leases = leases
        self._identify_times: deque[float] = deque(maxlen=max_per_day)
        self._max_per_day = max_per_day
        self._bucket_locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._next_allowed: dict[int, float] = {}
        self._reserved_at: dict[int, float] = {}

    async def reserve(self, shard: int) -> None:
        """Wait until a session may be begun: a socket that waits for it would be closed.

        Raises `DeliveryError` when Discord does not tell, `UnavailableError` when the day's
        sessions are used up.
        """
        while True:
            seconds = await self._session_wait()
            if seconds <= 0:
                break
            await asyncio.sleep(seconds)
        self._check_daily_limit()
        await self._wait_for_bucket(shard % self.concurrency)
        self._reserved_at[shard] = time.monotonic()

    async def consume(self, shard: int) -> None:
        """An IDENTIFY is about to be sent. Raises as `open`."""
        reserved_at = self._reserved_at.pop(shard, None)
        if reserved_at is None or time.monotonic() - reserved_at > self._timings.identify_tolerance:
            if await self._session_wait() > 0:
                raise UnavailableError("Discord allows no more connections for now.")
            await self._wait_for_bucket(shard % self.concurrency)
        self._check_daily_limit()
        self._identify_times.append(time.monotonic())

    async def _wait_for_bucket(self, bucket: int) -> None:
        # Who has a turn may use it a little later, so the next one comes as much later.
        interval = self._timings.identify_interval + self._timings.identify_tolerance
        async with self._bucket_locks[bucket]:
            await asyncio.sleep(self._next_allowed.get(bucket, 0.0) - time.monotonic())
            if self._leases is not None:
                name = f"discord:identify:{self._account}:{bucket}"
                await self._acquire_lease(self._leases, name, interval)
            self._next_allowed[bucket] = time.monotonic() + interval

    async def _acquire_lease(self, leases: SupportsLeases, name: str, seconds: float) -> None:
        """Take a lease that is never given back: it ends when the next may identify."""
        while True:
            try:
                if await leases.try_acquire(name, seconds):
                    return
            except StoreError as error:
                log.error("discord identify not asked for", error=str(error))
            await asyncio.sleep(self._timings.identify_interval / 10)

    def _check_daily_limit(self) -> None:
        if len(self._identify_times) == self._max_per_day and time.monotonic() - self._identify_times[0] < DAY_SECONDS:
            raise UnavailableError("Too many connections to Discord today.")
