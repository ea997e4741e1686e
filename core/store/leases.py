"""Named leases: only one of the processes that share the database does the leased work at a time.

`core.store.lease_keeper` explains the protocol. A name begins with its user: `process:`, `telegram:poller:`,
`discord:shard:`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from sqlalchemy import Connection, delete, func, or_, select, update

from core.errors import StoreError
from core.store.database import Store
from core.store.dialect import upsert
from core.store.lease_keeper import LeaseKeeper, Renewal
from core.store.schema import CLOCK_TOLERANCE_SECONDS, database_now, leases
from core.timings import Timings

log = structlog.get_logger(__name__)
T = TypeVar("T")

RESERVATION_PREFIX = "reserved:"


def try_acquire(connection: Connection, name: str, owner: str, seconds: float) -> bool:
    """Acquire the lease for `seconds` if it is free, expired or already owned by `owner`; False otherwise."""
    expires_at = database_now() + seconds
    claim = {"owner": owner, "expires_at": expires_at}
    is_free = or_(leases.c.owner == owner, leases.c.expires_at < database_now())
    if upsert(connection, leases, {"name": name}, claim, where=is_free) is not None:
        return True
    # A lease that lasts longer was acquired before the clock was set back. Its owner gets the usual time to renew it.
    is_too_long = leases.c.expires_at > expires_at + CLOCK_TOLERANCE_SECONDS
    connection.execute(update(leases).where(leases.c.name == name, is_too_long).values(expires_at=expires_at))
    return False


def _renew(connection: Connection, names: list[str], owner: str, seconds: float) -> Renewal[str]:
    renewed = [name for name in names if try_acquire(connection, name, owner, seconds)]
    return Renewal(renewed, set(names) - set(renewed))


def release(connection: Connection, name: str, owner: str) -> None:
    connection.execute(delete(leases).where(leases.c.name == name, leases.c.owner == owner))


def count_holders(connection: Connection, prefix: str) -> int:
    """Count the valid leases whose names begin with `prefix`. Deletes expired ones."""
    has_prefix = leases.c.name.startswith(prefix, autoescape=True)
    # Processes that waited for each other's renewals here would be in a deadlock.
    expired = select(leases.c.name).where(has_prefix, leases.c.expires_at < database_now())
    connection.execute(delete(leases).where(leases.c.name.in_(expired.with_for_update(skip_locked=True))))
    count = connection.scalar(select(func.count()).select_from(leases).where(has_prefix))
    return count or 0


def delete_leases(connection: Connection) -> None:
    """Free all leases except reservations. Only for a process that alone uses the database."""
    connection.execute(delete(leases).where(leases.c.name.not_like(f"{RESERVATION_PREFIX}%")))


class Leases:
    """The named leases of this process. After `close`, none can be acquired."""

    def __init__(self, store: Store, owner: str, *, timings: Timings = Timings()) -> None:
        self._store = store
        self._owner = owner
        self._clock = timings.clock
        self._timings = timings
        self._closing = asyncio.Event()

    async def try_acquire(self, name: str, seconds: float) -> bool:
        """Acquire the lease for `seconds`; False if another process owns it. Raises `StoreError`."""
        if self._closing.is_set():
            return False
        return await self._store.write_with_priority(try_acquire, name, self._owner, seconds)

    async def try_reserve(self, name: str, seconds: float) -> bool:
        """Like `try_acquire`, but nothing ends the lease early, not even the end of this process."""
        return await self.try_acquire(RESERVATION_PREFIX + name, seconds)

    async def cancel_reservation(self, name: str) -> None:
        """End this process's reservation early. Raises `StoreError`."""
        await self.release(RESERVATION_PREFIX + name)

    async def release(self, name: str) -> None:
        """Free the lease for other processes at once. Raises `StoreError`."""
        await self._store.write_with_priority(release, name, self._owner)

    async def run_while_held(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work` while this process owns the lease, and return its result.

        Waits for the lease, cancels `work` if the lease is lost, and starts it again with the next lease. After
        `close`, it waits to be cancelled.
        """
        while True:
            requested_at = await self._wait_until_acquired(name)
            keeper = LeaseKeeper(self._renew, timings=self._timings)
            lease = keeper.add(name, requested_at)
            work_task = asyncio.ensure_future(work())
            keeper_task = asyncio.create_task(keeper.run())
            loss = asyncio.create_task(lease.wait_until_untrusted())
            shutdown = asyncio.create_task(self._closing.wait())
            try:
                await asyncio.wait({work_task, keeper_task, loss, shutdown}, return_when=asyncio.FIRST_COMPLETED)
                if work_task.done():
                    return work_task.result()
                if keeper_task.done():
                    keeper_task.result()  # raises its exception
            finally:
                for watcher in (keeper_task, loss, shutdown):
                    watcher.cancel()
                try:
                    await self._cancel_and_wait(work_task)
                finally:
                    await self._release_quietly(name)
            if not self._closing.is_set():
                log.warning("lease.lost", lease=name)

    def close(self) -> None:
        """Cancel all work under leases and release them."""
        self._closing.set()

    async def _wait_until_acquired(self, name: str) -> float:
        """Wait for the lease. Returns the monotonic time before the write that acquired it."""
        is_waiting = False
        while True:
            if self._closing.is_set():
                await asyncio.get_running_loop().create_future()  # until cancelled
            requested_at = self._clock.monotonic()
            try:
                if await self.try_acquire(name, self._timings.lease_duration):
                    if is_waiting:
                        log.info("lease.taken_over", lease=name)
                    return requested_at
                if not is_waiting:
                    log.info("lease.standing_by", lease=name)
                    is_waiting = True
            except StoreError as error:
                log.error("lease.acquisition_failed", lease=name, error=str(error))
            await self._clock.sleep(self._timings.claim_interval)

    async def _renew(self, names: list[str]) -> Renewal[str]:
        if self._closing.is_set():
            return Renewal((), names)
        if self._store.is_exclusive:
            return Renewal(names, ())  # no other process can acquire them, whatever the database says
        return await self._store.write_leases(_renew, names, self._owner, self._timings.lease_duration)

    async def _release_quietly(self, name: str) -> None:
        try:
            await self.release(name)
        except StoreError as error:
            log.warning("lease.release_failed", lease=name, error=str(error))

    async def _cancel_and_wait(self, task: "asyncio.Future[T]") -> None:
        """Cancel `task` and wait for its end, even if this is cancelled, because whoever cancels it then
        closes resources that the task uses.
        """
        if task.done():
            return
        task.cancel()
        wait_task = asyncio.ensure_future(asyncio.wait({task}, timeout=self._timings.lease_cancel_timeout))
        try:
            await asyncio.shield(wait_task)
        except asyncio.CancelledError:
            await asyncio.wait({wait_task})
            raise
