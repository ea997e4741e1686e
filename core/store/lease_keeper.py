"""Renews the leases of a process, and stops trusting them before another process can acquire them.

A lease is a row with an owner and an expiry. Turns are leased in their own table, everything else by name
(`core.store.leases`); this module renews both. A process that dies does not renew its leases, and a process that
freezes (a suspended laptop, a paused container) must not continue as if it still owned them. Clocks differ and
database requests may be slow, so these rules ensure that two processes never act on the same lease:

- Only the database's clock sets and compares the expiry.
- The owner renews all its leases in one write every `heartbeat_interval`. A process that has the database for itself
  may write less often, and otherwise only check that it still has them.
- The owner trusts a lease only for a part of its duration, measured by its own monotonic clock from *before* the
  renewal was sent. It checks this before every action with a visible effect.

With a duration of 6 s, of which 80 % is trusted:

    0.0 s   A sends a renewal, A trusts the lease until 4.8 s
    0.1 s   the database extends the lease until 6.1 s
    0.2 s   A freezes
    5.0 s   A wakes up, sees that 4.8 s have passed, and does nothing visible
    6.1 s   B acquires the lease

A lease that is not trusted need not be lost: if the database was only slow, the next renewal succeeds, and the lease is
trusted again. It is lost when a renewal finds that the process no longer has it. A process that has the database for
itself trusts its leases until then.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog

from core.clock import wait_for_event
from core.errors import StoreError
from core.timings import Timings

log = structlog.get_logger(__name__)
K = TypeVar("K")

TRUSTED_FRACTION = 0.8


class Lease:
    """A lease from its owner's view. `requested_at`: `clock.monotonic()` before the lease was acquired.

    `is_exclusive`: no other process can acquire it, whatever the database says.
    """

    def __init__(self, requested_at: float, *, is_exclusive: bool = False, timings: Timings = Timings()) -> None:
        self._clock = timings.clock
        self._trusted_seconds = math.inf if is_exclusive else timings.lease_duration * TRUSTED_FRACTION
        self._lost = asyncio.Event()
        self._trusted_until = -math.inf
        self.extend(requested_at)

    def extend(self, requested_at: float) -> None:
        """Record a renewal that was sent at `requested_at`."""
        self._trusted_until = max(self._trusted_until, requested_at + self._trusted_seconds)

    def lose(self) -> None:
        """Record that another process may own the lease now."""
        self._trusted_until = -math.inf
        self._lost.set()

    @property
    def is_trusted(self) -> bool:
        """Whether the lease is certainly still owned by this process."""
        return self._clock.monotonic() < self._trusted_until

    async def wait_until_untrusted(self) -> None:
        while self.is_trusted:
            await wait_for_event(self._lost, self._trusted_until - self._clock.monotonic(), self._clock)


@dataclass(frozen=True, slots=True)
class Renewal(Generic[K]):
    """What became of the leases that were to be renewed. Those in neither could not be renewed this time."""

    kept: Collection[K]
    """This process still has these: they were renewed, or no other process can acquire them."""
    lost: Collection[K]
    """This process no longer has these."""


class LeaseKeeper(Generic[K]):
    """Renews the leases of a process, by key.

    `renew` extends the leases with these keys by `lease_duration`. `on_lost` is called once for each that is lost.
    `is_exclusive`: no other process uses the database, and `renew` need not extend them each time.
    """

    def __init__(
        self,
        renew: Callable[[list[K]], Awaitable[Renewal[K]]],
        on_lost: Callable[[K], object] = lambda _key: None,
        *,
        is_exclusive: bool = False,
        timings: Timings = Timings(),
    ) -> None:
        self._renew = renew
        self._on_lost = on_lost
        self._is_exclusive = is_exclusive
        self._clock = timings.clock
        self._timings = timings
        self._leases: dict[K, Lease] = {}

    def add(self, key: K, requested_at: float) -> Lease:
        """Start to renew a lease, acquired by a write sent at `requested_at` (`clock.monotonic()`)."""
        lease = self._leases[key] = Lease(requested_at, is_exclusive=self._is_exclusive, timings=self._timings)
        return lease

    def remove(self, key: K) -> None:
        """Stop renewing the lease, because it was released or is to expire."""
        self._leases.pop(key, None)

    async def run(self) -> None:
        """Renew until cancelled. While the database is unavailable, leases remain trusted until they run out."""
        while True:
            await self._clock.sleep(self._timings.heartbeat_interval)
            if self._leases:
                await self._renew_all()

    async def _renew_all(self) -> None:
        keys, requested_at = list(self._leases), self._clock.monotonic()
        try:
            renewal = await self._renew(keys)
        except StoreError as error:
            log.error("lease.renewal_failed", leases=len(keys), error=str(error))
            return
        for key in keys:
            lease = self._leases.get(key)
            if lease is None:
                continue  # removed during the write
            if key in renewal.kept:
                lease.extend(requested_at)
            elif key in renewal.lost:
                self.remove(key)
                lease.lose()
                self._on_lost(key)
