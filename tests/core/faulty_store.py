"""A store that tests can take away, and whose writes they can wait for."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from sqlalchemy import Connection

from core.errors import StoreError
from core.store.database import Store
from core.store.retrying_store import RetryingStore

P = ParamSpec("P")
T = TypeVar("T")
Function = Callable[..., Any]


class FaultyStore:
    """Delegates to a `Store`. Functions are those given to the methods that write."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._unavailable: set[str] = set()
        self._hooks: list[Callable[[], Awaitable[None]]] = []
        self._read_hooks: dict[str, Callable[[], Awaitable[object]]] = {}
        self._changed = asyncio.Event()
        self.reads: Counter[str] = Counter()
        self.writes: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def as_store(self) -> Store:
        return cast("Store", self)

    def retrying(self) -> RetryingStore:
        """As a turn uses it, with a lease that never expires."""
        return RetryingStore(self.as_store(), lambda: None)

    def start_outage(self, *functions: Function) -> None:
        """Let writes of these functions raise `StoreError` until `end_outage`."""
        self._unavailable = {function.__name__ for function in functions}

    def end_outage(self) -> None:
        self._unavailable = set()

    def after_next_write(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Call `hook` after the next write, before its caller continues."""
        self._hooks.append(hook)

    def after_next_read(self, function: Function, hook: Callable[[], Awaitable[object]]) -> None:
        """Call `hook` after the next read of `function`, before its caller continues."""
        self._read_hooks[function.__name__] = hook

    async def wait_for_writes(self, function: Function, count: int = 1) -> None:
        """Wait until `function` has been written `count` more times."""
        await self._wait_for(self.writes, function, count)

    async def wait_for_failures(self, function: Function, count: int = 1) -> None:
        await self._wait_for(self.failures, function, count)

    async def _wait_for(self, counter: Counter[str], function: Function, count: int) -> None:
        target = counter[function.__name__] + count
        async with asyncio.timeout(30):
            while counter[function.__name__] < target:
                self._changed.clear()
                await self._changed.wait()

    async def read(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        name = getattr(function, "func", function).__name__
        self.reads[name] += 1
        result = await self._store.read(function, *args, **kwargs)
        if name in self._read_hooks:
            await self._read_hooks.pop(name)()
        return result

    async def write(self, function: Function, *args: Any, **kwargs: Any) -> Any:
        return await self._run(self._store.write, function, *args, **kwargs)

    async def write_with_priority(self, function: Function, *args: Any, **kwargs: Any) -> Any:
        return await self._run(self._store.write_with_priority, function, *args, **kwargs)

    async def write_leases(self, function: Function, *args: Any, **kwargs: Any) -> Any:
        return await self._run(self._store.write_leases, function, *args, **kwargs)

    async def _run(self, write: Function, function: Function, *args: Any, **kwargs: Any) -> Any:
        name = getattr(function, "func", function).__name__  # of a partial, the function in it
        if name in self._unavailable:
            self._count(self.failures, name)
            raise StoreError("The database is unavailable")
        result = await write(function, *args, **kwargs)
        self._count(self.writes, name)
        if self._hooks:
            await self._hooks.pop(0)()
        return result

    def _count(self, counter: Counter[str], name: str) -> None:
        counter[name] += 1
        self._changed.set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)
