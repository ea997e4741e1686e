"""The store as one turn uses it: away for a moment it costs no answer."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

import structlog
from sqlalchemy import Connection

from core.errors import StoreError
from core.store.database import Store

__all__ = ["RetryingStore"]

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

RETRY_INTERVAL = 0.3  # seconds between tries
MAX_RETRY_SECONDS = 60.0
"""Seconds of them: what fails while leases are renewed is not the database's absence."""


class RetryingStore:
    """As `Store`; what fails is done again until `fence` raises: the turn is another's by then.

    Raises `StoreError` for what goes on failing though the turn stays ours.
    What was done, and its outcome not heard, is done again, too: twice has to be as once.
    """

    def __init__(self, store: Store, fence: Callable[[], None]) -> None:
        self._store = store
        self.fence = fence

    async def write(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._retry(partial(self._store.write, function, *args, **kwargs))

    async def write_with_priority(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._retry(partial(self._store.write_with_priority, function, *args, **kwargs))

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._retry(partial(self._store.read, function, *args, **kwargs))

    async def _retry(self, operation: Callable[[], Awaitable[T]]) -> T:
        deadline = time.monotonic() + MAX_RETRY_SECONDS
        while True:
            try:
                return await operation()
            except StoreError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("the database is asked again", error=str(error))
            self.fence()
            await asyncio.sleep(RETRY_INTERVAL)
            self.fence()
