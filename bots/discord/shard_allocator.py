"""Divides the bot's shards among all processes that share a database."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog

from bots.discord.timings import DiscordTimings
from core.errors import StoreError
from core.port import Place
from core.store.leases import Leases

log = structlog.get_logger(__name__)

MAX_DELAYING_SHARDS = 5
"""With more shards than this, claims become no slower, so that every shard finds a process in the end."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One of the parts into which Discord splits a bot's guilds, each with its own connection."""

    number: int
    count: int
    """The number of shards of the bot."""

    def serves(self, place: Place) -> bool:
        """Whether this shard receives the events of `place`; direct messages go to shard 0."""
        if place.server is None:
            return place.is_private and self.number == 0
        return (int(place.server) >> 22) % self.count == self.number


@dataclass(frozen=True, slots=True)
class ShardAllocator:
    """Claims one shard after another; the more it has, the more slowly.

    The process with the fewest shards thus claims the next free one first, both when all processes
    start together and when one of them dies. Example with an interval of 1 s and 0.5 s per shard: a
    process without shards tries every second, one with two shards every two seconds.
    """

    leases: Leases
    account: str
    serve_shard: Callable[[Shard], Awaitable[None]]
    on_standby: Callable[[], None]
    """Called when other processes have all shards."""
    timings: DiscordTimings

    async def run(self, shard_count: int) -> None:
        """Serve as many shards as can be claimed, until cancelled.

        Raises the errors of `serve_shard` in an `ExceptionGroup`.
        """
        numbers = random.sample(range(shard_count), shard_count)
        unclaimed = [Shard(number, shard_count) for number in numbers]
        async with asyncio.TaskGroup() as group:
            has_stood_by = False
            while unclaimed:
                shard = await self._claim_first_free(unclaimed)
                if shard is not None:
                    unclaimed.remove(shard)
                    work = partial(self.serve_shard, shard)
                    group.create_task(self.leases.run_while_held(self._lease_name(shard), work))
                elif len(unclaimed) == shard_count and not has_stood_by:
                    has_stood_by = True
                    self.on_standby()
                    log.info("discord.shards_standing_by", shards=shard_count)
                claimed_count = min(shard_count - len(unclaimed), MAX_DELAYING_SHARDS)
                await self.timings.clock.sleep(
                    self.timings.shard_claim_interval + claimed_count * self.timings.extra_interval_per_shard
                )

    async def _claim_first_free(self, unclaimed: list[Shard]) -> Shard | None:
        for shard in unclaimed:
            try:
                if await self.leases.try_acquire(self._lease_name(shard), self.timings.shard_claim_lease):
                    return shard
            except StoreError as error:
                log.error("discord.shard_not_claimed", shard=shard.number, error=str(error))
                return None
        return None

    def _lease_name(self, shard: Shard) -> str:
        return f"discord:shard:{self.account}:{shard.count}:{shard.number}"
