"""Limits IDENTIFYs: Discord resets the token of a bot that starts too many sessions."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

import structlog

from bots.discord.timings import DiscordTimings
from core.errors import StoreError, UnavailableError
from core.store.leases import Leases

log = structlog.get_logger(__name__)

DAY_SECONDS = 24 * 60 * 60
MAX_IDENTIFIES_PER_DAY = 900
"""Discord allows 1000."""


class IdentifyLimiter:
    """Allows one IDENTIFY at a time in each rate limit bucket, and a limited number a day.

    A shard's bucket is its number modulo `concurrency`. With `leases`, all processes on the same
    database share the buckets. `session_wait` returns the seconds until Discord allows another session.
    """

    def __init__(
        self,
        account: str,
        session_wait: Callable[[], Awaitable[float]],
        timings: DiscordTimings,
        leases: Leases | None = None,
    ) -> None:
        self.concurrency = 1
        self._account = account
        self._session_wait = session_wait
        self._timings = timings
        self._clock = timings.clock
        self._leases = leases
        self._identify_times: deque[float] = deque(maxlen=MAX_IDENTIFIES_PER_DAY)
        self._bucket_locks: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._next_allowed: dict[int, float] = {}
        self._reserved_at: dict[int, float] = {}
        self._waiting_shards: set[int] = set()

    @property
    def is_waiting_for_sessions(self) -> bool:
        """Whether a shard waits because Discord allows no session now."""
        return bool(self._waiting_shards)

    async def reserve(self, shard: int) -> None:
        """Wait until the shard may IDENTIFY. Call before connecting, because Discord closes idle connections.

        Raises `DeliveryError` if Discord does not report its session limit, and `UnavailableError` if
        today's sessions are used up.
        """
        await self._wait_for_sessions(shard)
        self._check_daily_limit()
        await self._wait_for_bucket(shard % self.concurrency)
        self._reserved_at[shard] = self._clock.monotonic()

    async def consume(self, shard: int) -> None:
        """Use the reservation, or make one now if there is none. Raises the same errors as `reserve`."""
        reserved_at = self._reserved_at.pop(shard, None)
        if reserved_at is None or self._clock.monotonic() - reserved_at > self._timings.identify_tolerance:
            if await self._session_wait() > 0:
                raise UnavailableError("Discord allows no more sessions for now")
            await self._wait_for_bucket(shard % self.concurrency)
        self._check_daily_limit()
        self._identify_times.append(self._clock.monotonic())

    async def _wait_for_sessions(self, shard: int) -> None:
        try:
            while (seconds := await self._session_wait()) > 0:
                self._waiting_shards.add(shard)
                await self._clock.sleep(seconds)
        finally:
            self._waiting_shards.discard(shard)

    async def _wait_for_bucket(self, bucket: int) -> None:
        # A reservation may be used this much later, so the next one must start that much later.
        interval = self._timings.identify_interval + self._timings.identify_tolerance
        async with self._bucket_locks[bucket]:
            await self._clock.sleep(self._next_allowed.get(bucket, 0.0) - self._clock.monotonic())
            if self._leases is not None:
                await self._reserve_interval(self._leases, f"discord:identify:{self._account}:{bucket}", interval)
            self._next_allowed[bucket] = self._clock.monotonic() + interval

    async def _reserve_interval(self, leases: Leases, name: str, seconds: float) -> None:
        """Prevent an IDENTIFY by any process for the next seconds, even if this process ends."""
        while True:
            try:
                if await leases.try_reserve(name, seconds):
                    return
            except StoreError as error:
                log.error("discord.identify_not_reserved", error=str(error))
            await self._clock.sleep(self._timings.identify_retry_interval)

    def _check_daily_limit(self) -> None:
        times = self._identify_times
        if len(times) == MAX_IDENTIFIES_PER_DAY and self._clock.monotonic() - times[0] < DAY_SECONDS:
            raise UnavailableError("Too many Discord sessions were started today")
