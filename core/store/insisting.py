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

__all__ = ["Insistent"]

log = structlog.get_logger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

PAUSE = 0.3  # seconds between tries
LONGEST = 60.0
"""Seconds of them: what fails while leases are renewed is not the database's absence."""


class Insistent:
    """As `Store`; what fails is done again until `fence` raises: the turn is another's by then.

    Raises `StoreError` for what goes on failing though the turn stays ours.
    What was done, and its outcome not heard, is done again, too: twice has to be as once.
    """

    def __init__(self, store: Store, fence: Callable[[], None]) -> None:
        self._store = store
        self.fence = fence

    async def write(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._again(partial(self._store.write, function, *args, **kwargs))

    async def write_first(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._again(partial(self._store.write_first, function, *args, **kwargs))

    async def read(
        self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return await self._again(partial(self._store.read, function, *args, **kwargs))

    async def _again(self, act: Callable[[], Awaitable[T]]) -> T:
        give_up = time.monotonic() + LONGEST
        while True:
            try:
                return await act()
            except StoreError as error:
                if time.monotonic() > give_up:
                    raise
                log.warning("the database is asked again", error=str(error))
            self.fence()
            await asyncio.sleep(PAUSE)
            self.fence()
