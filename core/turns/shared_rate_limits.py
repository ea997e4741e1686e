"""The rate limiters of this process's accounts, kept in step with those of other processes.

A wait that a platform asks for is stored, so that it holds in every process and after a restart. Processes that serve
the same account divide its limits (`core.delivery.rate_limiter`): they are counted by their leases, one for each
account, and their turns tell which chats they write to.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import structlog
from sqlalchemy import Connection

from core.delivery.rate_limiter import RateLimiter
from core.errors import StoreError
from core.port import AccountKey, Adapter, Place
from core.scopes import chat_key
from core.services import Services
from core.store.leases import count_holders, try_acquire
from core.store.rate_limits import ChatActivity, PlatformWait, chat_activity, load_platform_waits, save_platform_wait

log = structlog.get_logger(__name__)

PROCESS_LEASE_PREFIX = "process:"


@dataclass(frozen=True, slots=True)
class SharedState:
    waits: list[PlatformWait]
    chats: Mapping[tuple[AccountKey, str], ChatActivity]
    """For chats in which this process has turns."""


class SharedRateLimits:
    def __init__(self, services: Services, adapters: Mapping[AccountKey, Adapter]) -> None:
        self._services = services
        self._limiters = {
            account: RateLimiter(
                adapter.account_rate_limit,
                on_limit=partial(self._save_later, account),
                timings=services.timings,
                metrics=services.metrics.platform(adapter.platform),
            )
            for account, adapter in adapters.items()
        }
        self._saves: set[asyncio.Task[None]] = set()

    def limiter(self, account: AccountKey) -> RateLimiter:
        return self._limiters[account]

    def load(self, connection: Connection, places: Iterable[Place]) -> SharedState:
        """What to `apply`, for a process that has turns in `places`; part of a transaction that happens anyway."""
        waits = load_platform_waits(connection, self._limiters)
        if self._services.store.is_embedded:
            return SharedState(waits, {})
        by_key = {chat_key(place): (place.account_key, place.chat) for place in places}
        activity = chat_activity(connection, self._services.owner, by_key)
        return SharedState(waits, {chat: activity[key] for key, chat in by_key.items() if key in activity})

    def apply(self, state: SharedState, new_places: Iterable[Place] = ()) -> None:
        """`new_places`: where this process begins to write."""
        for limit in state.waits:
            self._limiters[limit.account].block(limit.chat, limit.remaining_seconds)
        new_chats = {(place.account_key, place.chat) for place in new_places}
        for account, limiter in self._limiters.items():
            limiter.share_chats(
                {chat: activity for (of, chat), activity in state.chats.items() if of == account},
                {chat for of, chat in new_chats if of == account},
            )

    def _save_later(self, account: AccountKey, chat: str, seconds: float) -> None:
        if seconds < self._services.timings.min_stored_wait:
            return
        task = asyncio.create_task(self._save(account, chat, seconds))
        self._saves.add(task)
        task.add_done_callback(self._saves.discard)

    async def _save(self, account: AccountKey, chat: str, seconds: float) -> None:
        try:
            await self._services.store.write_with_priority(save_platform_wait, account, chat, seconds)
        except StoreError as error:
            log.warning("delivery.platform_wait_not_stored", error=str(error))

    async def divide_among_processes(self) -> None:
        """Count the processes that serve each account again and again, until cancelled."""
        while True:
            try:
                processes = await self._services.store.write_with_priority(self._count_processes)
                for account, count in processes.items():
                    self._limiters[account].share_among(count)
            except StoreError as error:
                log.error("delivery.processes_not_counted", error=str(error))
            await self._services.timings.clock.sleep(self._services.timings.process_count_interval)

    def _count_processes(self, connection: Connection) -> dict[AccountKey, int]:
        owner, lease_duration = self._services.owner, 2 * self._services.timings.process_count_interval
        counts = {}
        for account in self._limiters:
            prefix = f"{PROCESS_LEASE_PREFIX}{account}:"
            try_acquire(connection, prefix + owner, owner, lease_duration)
            counts[account] = count_holders(connection, prefix)
        return counts
