"""What is booked, on good days and bad ones."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.api.client import ModelApi
from core.conversation.failover import MOST, Breaker
from core.conversation.ledger import Ledger, Quota
from core.conversation.models import Models
from core.errors import Failure, ModelError
from core.store.database import Store

PHI = "microsoft/phi-4"
NOON = 1_800_014_400.0  # of a day at UTC, in seconds since 1970


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    api = ModelApi("http://127.0.0.1:1", "key")
    models = Models(api, store, {})
    yield Ledger(store, models, quotas={PHI: 1000}, reset_hour=0, clock=lambda: NOON)
    await api.close()
    await store.close()


async def quota(ledger: Ledger) -> Quota:
    return (await ledger.quotas("a", [PHI]))[PHI]


@pytest.mark.parametrize(
    ("failure", "cost"),
    [
        (Failure.UNAVAILABLE, 0),
        (Failure.RATE, 0),
        (Failure.OVERFLOW, 0),
        (Failure.STALLED, 300),
        (Failure.TRUNCATED, 300),
        (Failure.EMPTY, 300),
    ],
)
async def test_what_failed_costs_what_the_service_worked_on(
    ledger: Ledger, failure: Failure, cost: int
) -> None:
    async def ask() -> None:
        async with ledger.booking("a", PHI, 300, 100):
            assert (await quota(ledger)).spent.open == 400
            raise ModelError("no", failure, status=500)

    with pytest.raises(ModelError):
        await ask()
    spent = (await quota(ledger)).spent
    assert (spent.tokens, spent.open) == (cost, 0)


async def test_what_was_begun_and_left_costs_what_was_asked_and_said(ledger: Ledger) -> None:
    async def leave() -> None:
        async with ledger.booking("a", PHI, 300) as booking:
            booking.said = 20
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await leave()
    spent = (await quota(ledger)).spent
    assert (spent.tokens, spent.open) == (320, 0)


async def test_the_services_own_count_wins(ledger: Ledger) -> None:
    async with ledger.booking("a", PHI, 300) as booking:
        booking.said, booking.told = 20, 280
    assert (await quota(ledger)).spent.tokens == 280


async def test_who_is_cancelled_while_it_is_booked_leaves_nothing_open(ledger: Ledger) -> None:
    async def ask() -> None:
        async with ledger.booking("a", PHI, 300):
            raise AssertionError("it was cancelled before")

    for turns in range(12):  # of the loop, so that it is cancelled in any state of booking
        task = asyncio.create_task(ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    spent = (await quota(ledger)).spent
    assert (spent.tokens, spent.open) == (0, 0)


async def test_a_quota_that_comes_back_in_a_moment_does_not_spoil_the_day(ledger: Ledger) -> None:
    """The service's day ends a little later than ours."""
    soon = ModelError("used up", Failure.QUOTA, status=429, retry_after=30)
    await ledger.refused("a", PHI, soon)
    assert (await quota(ledger)).left == 1000
    await ledger.refused("a", PHI, ModelError("used up", Failure.QUOTA, status=429))
    assert (await quota(ledger)).left == 0


async def test_a_quota_used_up_as_the_day_begins_is_the_day_before_s(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that does not tell when it comes back: its day ends when it likes."""
    used_up = ModelError("used up", Failure.QUOTA, status=429)
    monkeypatch.setattr(ledger, "_clock", lambda: NOON - 12 * 3600 + 300)
    await ledger.refused("a", PHI, used_up)
    assert (await quota(ledger)).left == 1000
    monkeypatch.setattr(ledger, "_clock", lambda: NOON - 11 * 3600)
    await ledger.refused("a", PHI, used_up)
    assert (await quota(ledger)).left == 0


async def test_what_the_ledger_refuses_is_not_asked(ledger: Ledger) -> None:
    async with ledger.booking("a", PHI, 300) as booking:
        booking.told = 1000
    with pytest.raises(ModelError) as caught:
        async with ledger.booking("a", PHI, 1):
            raise AssertionError("asked")
    assert caught.value.failure is Failure.QUOTA
    assert caught.value.retry_after


def test_the_breaker_forgets_accounts_that_are_long_gone() -> None:
    breaker = Breaker()
    error = ModelError("down", Failure.UNAVAILABLE)
    for number in range(MOST + 50):
        for _ in range(3):
            breaker.failed(f"account {number}", PHI, error)
    assert len(breaker._models) == MOST
    assert breaker.resting(f"account {MOST + 49}", PHI)
    assert not breaker.resting("account 0", PHI)
