"""Keeping a gateway client alive: what is fatal, how long to wait, how often to identify."""

import asyncio
import random
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

import discord
import structlog

from bots.discord.shards import Leases
from bots.discord.timing import Timing
from core.errors import ConfigurationError, StoreError, UnavailableError

__all__ = ["Backoff", "Identifies", "fatal"]

log = structlog.get_logger(__name__)

DAY = 24 * 60 * 60
MOST_IDENTIFIES = 900
"""A day; Discord resets the token of a bot that goes beyond 1000."""

CLOSED = {
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


def fatal(error: BaseException) -> ConfigurationError | None:
    """What the operator must change, where restarting does not help."""
    if isinstance(error, ConfigurationError):
        return error
    if isinstance(error, discord.LoginFailure):
        return ConfigurationError(CLOSED[4004])
    if isinstance(error, discord.PrivilegedIntentsRequired):
        return ConfigurationError(CLOSED[4014])
    if isinstance(error, discord.ConnectionClosed) and error.code in CLOSED:
        return ConfigurationError(CLOSED[error.code])
    return None


class Backoff:
    """Doubling waits with jitter; begins anew after a life that was long enough."""

    def __init__(self, first: float, last: float) -> None:
        self._first = first
        self._last = last
        self._tries = 0

    def after(self, lived: float) -> float:
        """Seconds to wait after a client that lived for `lived` seconds."""
        if lived > self._last:
            self._tries = 0
        wait = min(self._last, self._first * float(1 << min(self._tries, 16)))
        self._tries += 1
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 (jitter, not a secret)


class Identifies:
    """The budget of IDENTIFYs: one at a time in each bucket of shards, and not too many a day.

    With `leases` over all processes that share them. `patience` tells how many seconds Discord
    wants to be left alone because the day's sessions are used up.
    """

    concurrency = 1
    """How many buckets there are: a shard's is its number modulo this."""

    def __init__(
        self,
        account: str,
        timing: Timing,
        patience: Callable[[], Awaitable[float]],
        leases: Leases | None = None,
        *,
        most: int = MOST_IDENTIFIES,
    ) -> None:
        self._account = account
        self._timing = timing
        self._patience = patience
        self._leases = leases
        self._made: deque[float] = deque(maxlen=most)
        self._most = most
        self._lines: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._next: dict[int, float] = {}
        self._opened: dict[int, float] = {}

    async def open(self, shard: int) -> None:
        """Wait until a session may be begun: a socket that waits for it would be closed.

        Raises `DeliveryError` when Discord does not tell, `UnavailableError` when the day's
        sessions are used up.
        """
        while True:
            wait = await self._patience()
            if wait <= 0:
                break
            await asyncio.sleep(wait)
        self._check()
        await self._turn(shard % self.concurrency)
        self._opened[shard] = time.monotonic()

    async def take(self, shard: int) -> None:
        """An IDENTIFY is about to be sent. Raises as `open`."""
        opened = self._opened.pop(shard, None)
        if opened is None or time.monotonic() - opened > self._timing.identify_late:
            if await self._patience() > 0:
                raise UnavailableError("Discord allows no more connections for now.")
            await self._turn(shard % self.concurrency)
        self._check()
        self._made.append(time.monotonic())

    async def _turn(self, bucket: int) -> None:
        # Who has a turn may use it a little later, so the next one comes as much later.
        pace = self._timing.identify + self._timing.identify_late
        async with self._lines[bucket]:
            await asyncio.sleep(self._next.get(bucket, 0.0) - time.monotonic())
            if self._leases is not None:
                name = f"discord:identify:{self._account}:{bucket}"
                await self._ours(self._leases, name, pace)
            self._next[bucket] = time.monotonic() + pace

    async def _ours(self, leases: Leases, name: str, pace: float) -> None:
        """Take a lease that is never given back: it ends when the next may identify."""
        while True:
            try:
                if await leases.take(name, pace):
                    return
            except StoreError as error:
                log.error("discord identify not asked for", error=str(error))
            await asyncio.sleep(self._timing.identify / 10)

    def _check(self) -> None:
        if len(self._made) == self._most and time.monotonic() - self._made[0] < DAY:
            raise UnavailableError("Too many connections to Discord today.")
