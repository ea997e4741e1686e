"""Rights that one process at a time has, of all that share the database.

A lease is taken by name for some seconds and renewed while it is used; by the database's clock,
so that processes whose clocks differ agree.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from core.errors import StoreError
from core.store.database import Store
from core.store.schema import clock, leases

__all__ = ["Leases", "forget_all", "give", "holders", "take"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

LEASE = 6.0  # seconds
RENEW = 1.0
TRUST = 0.8  # of a lease, by our own clock
ENDING = 6.0  # seconds for what runs under a lease to put itself in order


def take(connection: Connection, name: str, owner: str, seconds: float) -> bool:
    """Whether `owner` has `name` from now on for `seconds`: it was free, or its own already."""
    upsert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    until = clock() + seconds
    taken = connection.execute(
        upsert(leases)
        .values(name=name, owner=owner, until=until)
        .on_conflict_do_update(
            index_elements=["name"],
            set_={"owner": owner, "until": until},
            where=or_(leases.c.owner == owner, leases.c.until < clock()),
        )
        .returning(leases.c.name)
    ).first()
    return taken is not None


def give(connection: Connection, name: str, owner: str) -> None:
    connection.execute(delete(leases).where(leases.c.name == name, leases.c.owner == owner))


def holders(connection: Connection, prefix: str) -> int:
    """How many leases whose name begins with `prefix` are held; the others are forgotten."""
    fits = leases.c.name.startswith(prefix, autoescape=True)
    connection.execute(delete(leases).where(fits, leases.c.until < clock()))
    held = connection.scalar(select(func.count()).select_from(leases).where(fits))
    return held or 0


def forget_all(connection: Connection, keep: str) -> None:
    """For the only process there is: what others held they hold no more. Names that begin with
    `keep` are paces, not rights: nobody holds them, and they last.
    """
    connection.execute(delete(leases).where(leases.c.name.not_like(f"{keep}%")))


class Leases:
    """This process's leases, as `owner`."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._closing = asyncio.Event()

    async def take(self, name: str, seconds: float) -> bool:
        """Whether `name` is ours for `seconds`; after `close` never. Raises `StoreError`."""
        if self._closing.is_set():
            return False
        return await self._store.write_first(take, name, self._owner, seconds)

    async def give(self, name: str) -> None:
        """Let others have `name` at once. Raises `StoreError`."""
        await self._store.write_first(give, name, self._owner)

    async def while_held(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns or raises, run while `name` is ours.

        Waits for the right; when it is lost `work` is cancelled, and begun anew once the right
        is back. After `close` it is never begun again: the caller is to cancel this.
        """
        while True:
            trusted = await self._acquire(name)
            task = asyncio.ensure_future(work())
            try:
                await self._keep(name, task, trusted)
                if task.done():
                    return task.result()
            finally:
                try:
                    await _ended(task)
                finally:
                    await self._give_quietly(name)
            if not self._closing.is_set():
                log.warning("right lost", right=name)

    def close(self) -> None:
        """End everything that runs under a lease, and let others have it."""
        self._closing.set()

    async def _acquire(self, name: str) -> float:
        """Wait for the right; until when we may trust in it, by the monotonic clock."""
        told = False
        while True:
            if self._closing.is_set():
                await asyncio.get_running_loop().create_future()  # until cancelled
            began = time.monotonic()
            try:
                if await self.take(name, LEASE):
                    if told:
                        log.info("right taken over", right=name)
                    return began + LEASE * TRUST
                if not told:
                    log.info("another process has this right; standing by", right=name)
                    told = True
            except StoreError as error:
                log.error("right not asked for", right=name, error=str(error))
            await asyncio.sleep(RENEW)

    async def _keep(self, name: str, task: "asyncio.Future[T]", trusted: float) -> None:
        """Renew until `task` ends, the right is lost or others are to have it."""
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            while True:
                either: set[asyncio.Future[Any]] = {task, closing}
                await asyncio.wait(either, timeout=RENEW, return_when=asyncio.FIRST_COMPLETED)
                if task.done() or closing.done():
                    return
                began = time.monotonic()
                try:
                    async with asyncio.timeout(trusted - began):
                        if not await self.take(name, LEASE):
                            return
                    trusted = began + LEASE * TRUST
                except StoreError as error:
                    log.error("right not renewed", right=name, error=str(error))
                except TimeoutError:
                    return
        finally:
            closing.cancel()

    async def _give_quietly(self, name: str) -> None:
        try:
            await self.give(name)
        except StoreError as error:
            log.warning("right not given back", right=name, error=str(error))


async def _ended(task: "asyncio.Future[T]") -> None:
    """Cancel `task` and wait for its end, even when cancelled meanwhile: whoever cancels us takes
    away what it still uses.
    """
    if task.done():
        return
    task.cancel()
    waiting = asyncio.ensure_future(asyncio.wait({task}, timeout=ENDING))
    try:
        await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await asyncio.wait({waiting})
        raise
