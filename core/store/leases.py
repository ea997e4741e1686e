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

from core.errors import StoreError
from core.store.database import Store
from core.store.dialect import upsert
from core.store.schema import database_now, leases

__all__ = ["Leases", "count_holders", "delete_leases", "release", "try_acquire"]

log = structlog.get_logger(__name__)
T = TypeVar("T")

LEASE_SECONDS = 6.0  # seconds
RENEW_INTERVAL = 1.0
TRUSTED_FRACTION = 0.8  # of a lease, by our own clock
CANCEL_TIMEOUT_SECONDS = 6.0  # seconds for what runs under a lease to put itself in order


def try_acquire(connection: Connection, name: str, owner: str, seconds: float) -> bool:
    """Whether `owner` has `name` from now on for `seconds`: it was free, or its own already."""
    claim = {"owner": owner, "expires_at": database_now() + seconds}
    is_free = or_(leases.c.owner == owner, leases.c.expires_at < database_now())
    statement = upsert(connection, leases, {"name": name, **claim}, claim, where=is_free)
    return connection.execute(statement.returning(leases.c.name)).first() is not None


def release(connection: Connection, name: str, owner: str) -> None:
    connection.execute(delete(leases).where(leases.c.name == name, leases.c.owner == owner))


def count_holders(connection: Connection, prefix: str) -> int:
    """How many leases whose name begins with `prefix` are held; the others are forgotten."""
    has_prefix = leases.c.name.startswith(prefix, autoescape=True)
    connection.execute(delete(leases).where(has_prefix, leases.c.expires_at < database_now()))
    count = connection.scalar(select(func.count()).select_from(leases).where(has_prefix))
    return count or 0


def delete_leases(connection: Connection, except_prefix: str) -> None:
    """For the only process there is: what others held they hold no more. Names that begin with
    `keep` are paces, not rights: nobody holds them, and they last.
    """
    connection.execute(delete(leases).where(leases.c.name.not_like(f"{except_prefix}%")))


class Leases:
    """This process's leases, as `owner`."""

    def __init__(self, store: Store, owner: str) -> None:
        self._store = store
        self._owner = owner
        self._closing = asyncio.Event()

    async def try_acquire(self, name: str, seconds: float) -> bool:
        """Whether `name` is ours for `seconds`; after `close` never. Raises `StoreError`."""
        if self._closing.is_set():
            return False
        return await self._store.write_with_priority(try_acquire, name, self._owner, seconds)

    async def release(self, name: str) -> None:
        """Let others have `name` at once. Raises `StoreError`."""
        await self._store.write_with_priority(release, name, self._owner)

    async def run_while_held(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns or raises, run while `name` is ours.

        Waits for the right; when it is lost `work` is cancelled, and begun anew once the right
        is back. After `close` it is never begun again: the caller is to cancel this.
        """
        while True:
            trusted_until = await self._wait_until_acquired(name)
            task = asyncio.ensure_future(work())
            try:
                await self._renew_until_done(name, task, trusted_until)
                if task.done():
                    return task.result()
            finally:
                try:
                    await _cancel_and_wait(task)
                finally:
                    await self._release_quietly(name)
            if not self._closing.is_set():
                log.warning("right lost", right=name)

    def close(self) -> None:
        """End everything that runs under a lease, and let others have it."""
        self._closing.set()

    async def _wait_until_acquired(self, name: str) -> float:
        """Wait for the right; until when we may trust in it, by the monotonic clock."""
        is_logged = False
        while True:
            if self._closing.is_set():
                await asyncio.get_running_loop().create_future()  # until cancelled
            started = time.monotonic()
            try:
                if await self.try_acquire(name, LEASE_SECONDS):
                    if is_logged:
                        log.info("right taken over", right=name)
                    return started + LEASE_SECONDS * TRUSTED_FRACTION
                if not is_logged:
                    log.info("another process has this right; standing by", right=name)
                    is_logged = True
            except StoreError as error:
                log.error("right not asked for", right=name, error=str(error))
            await asyncio.sleep(RENEW_INTERVAL)

    async def _renew_until_done(self, name: str, task: "asyncio.Future[T]", trusted_until: float) -> None:
        """Renew until `task` ends, the right is lost or others are to have it."""
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            while True:
                either: set[asyncio.Future[Any]] = {task, closing}
                await asyncio.wait(either, timeout=RENEW_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
                if task.done() or closing.done():
                    return
                started = time.monotonic()
                try:
                    async with asyncio.timeout(trusted_until - started):
                        if not await self.try_acquire(name, LEASE_SECONDS):
                            return
                    trusted_until = started + LEASE_SECONDS * TRUSTED_FRACTION
                except StoreError as error:
                    log.error("right not renewed", right=name, error=str(error))
                except TimeoutError:
                    return
        finally:
            closing.cancel()

    async def _release_quietly(self, name: str) -> None:
        try:
            await self.release(name)
        except StoreError as error:
            log.warning("right not given back", right=name, error=str(error))


async def _cancel_and_wait(task: "asyncio.Future[T]") -> None:
    """Cancel `task` and wait for its end, even when cancelled meanwhile: whoever cancels us takes
    away what it still uses.
    """
    if task.done():
        return
    task.cancel()
    waiting = asyncio.ensure_future(asyncio.wait({task}, timeout=CANCEL_TIMEOUT_SECONDS))
    try:
        await asyncio.shield(waiting)
    except asyncio.CancelledError:
        await asyncio.wait({waiting})
        raise
