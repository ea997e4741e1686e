"""When a process renews its leases, and for how long it trusts them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from core.errors import StoreError
from core.store.lease_keeper import TRUSTED_FRACTION, LeaseKeeper, Renewal
from core.timings import Timings
from tests.clock import FakeClock

TIMINGS = Timings()
TRUSTED_SECONDS = TIMINGS.lease_duration * TRUSTED_FRACTION


class LeaseTable:
    """The leases that the database says this process has, and every write that renewed them."""

    def __init__(self) -> None:
        self.held = {"a", "b"}
        self.locked: set[str] = set()
        """These can neither be renewed nor are they lost."""
        self.renewals: list[list[str]] = []
        self.is_available = True
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def renew(self, names: list[str]) -> Renewal[str]:
        self.renewals.append(names)
        await self.may_answer.wait()
        if not self.is_available:
            raise StoreError("the database is away")
        return Renewal(self.held - self.locked, set(names) - self.held)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def table() -> LeaseTable:
    return LeaseTable()


@pytest.fixture
def lost() -> list[str]:
    return []


@pytest.fixture
async def keeper(clock: FakeClock, table: LeaseTable, lost: list[str]) -> AsyncIterator[LeaseKeeper[str]]:
    keeper = LeaseKeeper(table.renew, lost.append, timings=replace(TIMINGS, clock=clock))
    task = asyncio.create_task(keeper.run())
    yield keeper
    task.cancel()


async def test_all_leases_are_renewed_in_one_write(
    keeper: LeaseKeeper[str], clock: FakeClock, table: LeaseTable
) -> None:
    leases = [keeper.add(name, clock.monotonic()) for name in ("a", "b")]
    await clock.advance(10 * TIMINGS.lease_duration)
    assert table.renewals == [["a", "b"]] * int(10 * TIMINGS.lease_duration / TIMINGS.heartbeat_interval)
    assert all(lease.is_trusted for lease in leases)


async def test_removed_lease_is_not_renewed(keeper: LeaseKeeper[str], clock: FakeClock, table: LeaseTable) -> None:
    keeper.add("a", clock.monotonic())
    keeper.remove("a")
    await clock.advance(TIMINGS.lease_duration)
    assert table.renewals == []


async def test_lost_lease_is_reported_once(
    keeper: LeaseKeeper[str], clock: FakeClock, table: LeaseTable, lost: list[str]
) -> None:
    lease, other = (keeper.add(name, clock.monotonic()) for name in ("a", "b"))
    table.held.remove("a")
    await clock.advance(3 * TIMINGS.heartbeat_interval)
    assert lost == ["a"]
    assert not lease.is_trusted
    assert other.is_trusted
    await lease.wait_until_untrusted()


async def test_lease_that_cannot_be_renewed_now_is_not_lost(
    keeper: LeaseKeeper[str], clock: FakeClock, table: LeaseTable, lost: list[str]
) -> None:
    lease, other = (keeper.add(name, clock.monotonic()) for name in ("a", "b"))
    table.locked.add("a")
    await clock.advance(TRUSTED_SECONDS)
    assert (lease.is_trusted, other.is_trusted, lost) == (False, True, [])
    table.locked.clear()
    await clock.advance(TIMINGS.heartbeat_interval)
    assert lease.is_trusted


async def test_trust_ends_before_the_lease_while_the_database_is_away(
    keeper: LeaseKeeper[str], clock: FakeClock, table: LeaseTable, lost: list[str]
) -> None:
    table.is_available = False
    lease = keeper.add("a", clock.monotonic())
    untrusted = asyncio.create_task(lease.wait_until_untrusted())
    await clock.advance(TRUSTED_SECONDS - 0.001)
    assert (lease.is_trusted, untrusted.done()) == (True, False)
    await clock.advance(0.001)
    assert (lease.is_trusted, untrusted.done()) == (False, True)
    assert lost == [], "no other process has it"
    table.is_available = True
    await clock.advance(TIMINGS.heartbeat_interval)
    assert lease.is_trusted


async def test_trust_counts_from_before_the_renewal_was_sent(
    keeper: LeaseKeeper[str], clock: FakeClock, table: LeaseTable
) -> None:
    lease = keeper.add("a", clock.monotonic())
    await clock.advance(TIMINGS.heartbeat_interval - 0.001)
    table.may_answer.clear()
    await clock.advance(0.001)
    sent_at = clock.monotonic()
    await clock.advance(2.0)
    table.may_answer.set()
    await clock.settle()
    table.is_available = False
    await clock.advance(sent_at + TRUSTED_SECONDS - clock.monotonic() - 0.001)
    assert lease.is_trusted
    await clock.advance(0.001)
    assert not lease.is_trusted
