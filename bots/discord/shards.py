"""Which shards this process serves, of all processes that share a database."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

import structlog

from bots.discord.timing import Timing
from core.errors import StoreError

__all__ = ["Leases", "Shards"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

CLAIM = 3.0
"""Seconds a shard is ours before `while_held` keeps it so."""
MOST_HELD = 5
"""Shards held beyond which no more patience is asked for: all must be served in the end."""


class Leases(Protocol):
    """Rights by name that one process at a time has; see `core.store.leases.Leases`."""

    async def take(self, name: str, seconds: float) -> bool: ...
    async def while_held(self, name: str, work: Callable[[], Awaitable[T]]) -> T: ...


class Shards:
    """Takes one shard after the other, and the more slowly the more it has: so those who have
    fewer come first, when all start together and when one of them dies.
    """

    def __init__(
        self,
        leases: Leases,
        account: str,
        serve: Callable[[int, int], Awaitable[None]],
        timing: Timing,
    ) -> None:
        self._leases = leases
        self._account = account
        self._serve = serve
        self._timing = timing

    async def run(self, count: int) -> None:
        """Serve what can be had of `count` shards until cancelled. Raises what `serve` raises, in
        an `ExceptionGroup`.
        """
        wanted = random.sample(range(count), count)
        async with asyncio.TaskGroup() as group:
            told = False
            while wanted:
                shard = await self._first_free(wanted, count)
                if shard is not None:
                    wanted.remove(shard)
                    work = partial(self._serve, shard, count)
                    group.create_task(self._leases.while_held(self._name(shard, count), work))
                elif len(wanted) == count and not told:
                    told = True
                    log.info("other processes serve discord; standing by", shards=count)
                held = min(count - len(wanted), MOST_HELD)
                await asyncio.sleep(self._timing.ask_shard + held * self._timing.per_shard)

    async def _first_free(self, wanted: list[int], count: int) -> int | None:
        for shard in wanted:
            try:
                if await self._leases.take(self._name(shard, count), CLAIM):
                    return shard
            except StoreError as error:
                log.error("discord shard not asked for", shard=shard, error=str(error))
                return None
        return None

    def _name(self, shard: int, count: int) -> str:
        return f"discord:shard:{self._account}:{count}:{shard}"
