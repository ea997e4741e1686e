"""Which shards this process serves, of all processes that share a database."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

import structlog

from bots.discord.timings import DiscordTimings
from core.errors import StoreError

__all__ = ["ShardAllocator", "SupportsLeases"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

CLAIM_LEASE_SECONDS = 3.0
"""Seconds a shard is ours before `while_held` keeps it so."""
MAX_DELAYING_SHARDS = 5
"""Shards held beyond which no more patience is asked for: all must be served in the end."""


class SupportsLeases(Protocol):
    """Rights by name that one process at a time has; see `core.store.leases.Leases`."""

    async def try_acquire(self, name: str, seconds: float) -> bool: ...
    async def run_while_held(self, name: str, work: Callable[[], Awaitable[T]]) -> T: ...


class ShardAllocator:
    """Takes one shard after the other, and the more slowly the more it has: so those who have
    fewer come first, when all start together and when one of them dies.
    """

    def __init__(
        self,
        leases: SupportsLeases,
        account: str,
        serve_shard: Callable[[int, int], Awaitable[None]],
        timings: DiscordTimings,
    ) -> None:
        self._leases = leases
        self._account = account
        self._serve_shard = serve_shard
        self._timings = timings

    async def run(self, shard_count: int) -> None:
        """Serve what can be had of `count` shards until cancelled. Raises what `serve` raises, in
        an `ExceptionGroup`.
        """
        unclaimed = random.sample(range(shard_count), shard_count)
        async with asyncio.TaskGroup() as group:
            is_logged = False
            while unclaimed:
                shard = await self._claim_first_free(unclaimed, shard_count)
                if shard is not None:
                    unclaimed.remove(shard)
                    work = partial(self._serve_shard, shard, shard_count)
                    group.create_task(self._leases.run_while_held(self._lease_name(shard, shard_count), work))
                elif len(unclaimed) == shard_count and not is_logged:
                    is_logged = True
                    log.info("other processes serve discord; standing by", shards=shard_count)
                claimed_count = min(shard_count - len(unclaimed), MAX_DELAYING_SHARDS)
                await asyncio.sleep(
                    self._timings.shard_claim_interval + claimed_count * self._timings.extra_interval_per_shard
                )

    async def _claim_first_free(self, unclaimed: list[int], shard_count: int) -> int | None:
        for shard in unclaimed:
            try:
                if await self._leases.try_acquire(self._lease_name(shard, shard_count), CLAIM_LEASE_SECONDS):
                    return shard
            except StoreError as error:
                log.error("discord shard not asked for", shard=shard, error=str(error))
                return None
        return None

    def _lease_name(self, shard: int, shard_count: int) -> str:
        return f"discord:shard:{self._account}:{shard_count}:{shard}"
