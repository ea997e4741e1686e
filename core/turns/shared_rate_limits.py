"""The rate limiters of this process's accounts, kept in step with those of other processes.

A wait that a platform asks for is stored, so that it holds in every process and after a restart. Processes that serve
the same accounts divide the accounts' own limits among them.
"""

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial

import structlog
from sqlalchemy import Connection

from core.delivery.rate_limiter import RateLimiter
from core.errors import StoreError
from core.port import AccountKey, Adapter
from core.services import Services
from core.store.leases import count_holders, try_acquire
from core.store.rate_limits import ActiveRateLimit, active_rate_limits, save_rate_limit

log = structlog.get_logger(__name__)

PROCESS_LEASE_PREFIX = "process:"


class SharedRateLimits:
    def __init__(self, services: Services, adapters: Mapping[AccountKey, Adapter]) -> None:
        self._services = services
        self._limiters = {
            account: RateLimiter(
                adapter.account_rate_limit, on_limit=partial(self._save_later, account), timings=services.timings
            )
            for account, adapter in adapters.items()
        }
        self._saves: set[asyncio.Task[None]] = set()

    def limiter(self, account: AccountKey) -> RateLimiter:
        return self._limiters[account]

    def load(self, connection: Connection) -> list[ActiveRateLimit]:
        """The stored waits, for `apply`; part of a transaction that happens anyway."""
        return active_rate_limits(connection, self._limiters)

    def apply(self, rate_limits: Iterable[ActiveRateLimit]) -> None:
        for limit in rate_limits:
            self._limiters[limit.account].block(limit.chat, limit.remaining_seconds)

    def _save_later(self, account: AccountKey, chat: str, seconds: float) -> None:
        if seconds < self._services.timings.min_stored_wait:
            return
        task = asyncio.create_task(self._save(account, chat, seconds))
        self._saves.add(task)
        task.add_done_callback(self._saves.discard)

    async def _save(self, account: AccountKey, chat: str, seconds: float) -> None:
        try:
            await self._services.store.write_with_priority(save_rate_limit, account, chat, seconds)
        except StoreError as error:
            log.warning("delivery.rate_limit_not_stored", error=str(error))

    async def divide_among_processes(self) -> None:
        """Count the processes on this database again and again, until cancelled."""
        while True:
            try:
                processes = await self._services.store.write_with_priority(self._count_processes)
                for limiter in self._limiters.values():
                    limiter.share_among(processes)
            except StoreError as error:
                log.error("delivery.processes_not_counted", error=str(error))
            await self._services.timings.clock.sleep(self._services.timings.process_count_interval)

    def _count_processes(self, connection: Connection) -> int:
        owner, lease_duration = self._services.owner, 2 * self._services.timings.process_count_interval
        try_acquire(connection, PROCESS_LEASE_PREFIX + owner, owner, lease_duration)
        return count_holders(connection, PROCESS_LEASE_PREFIX)
