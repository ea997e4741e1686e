"""The store of one turn: retries transactions while the database is briefly unavailable."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection

from core.errors import StoreError
from core.store.database import Store
from core.timings import Timings

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class RetryingStore:
    """Like `Store`, but retries failed transactions until `check_lease` raises because another process owns the turn.

    Transactions must be idempotent: one that succeeded is repeated if its result was lost. Raises `StoreError` if a
    transaction fails for `Timings.max_store_retry` although the lease is renewed, because the database is then
    available and the cause is another.
    """

    store: Store
    check_lease: Callable[[], None]
    timings: Timings = Timings()

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._retry(partial(self.store.write, function, *args, **kwargs))

    async def write_with_priority(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._retry(partial(self.store.write_with_priority, function, *args, **kwargs))

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._retry(partial(self.store.read, function, *args, **kwargs))

    async def _retry(self, transaction: Callable[[], Awaitable[T]]) -> T:
        deadline = self.timings.clock.monotonic() + self.timings.max_store_retry
        while True:
            try:
                return await transaction()
            except StoreError as error:
                if self.timings.clock.monotonic() > deadline:
                    raise
                log.warning("store.retrying", error=str(error))
            self.check_lease()
            await self.timings.clock.sleep(self.timings.store_retry_interval)
            self.check_lease()
