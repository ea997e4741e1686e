"""What is booked, on good days and bad ones."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.api.client import ModelApi
from core.conversation.failover import MAX_CIRCUITS, CircuitBreaker
from core.conversation.ledger import Ledger, QuotaStatus
from core.conversation.model_registry import ModelRegistry
from core.errors import ModelError, ModelFailure
from core.store.database import Store

PHI = "microsoft/phi-4"
NOON = 1_800_014_400.0  # of a day at UTC, in seconds since 1970


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    api = ModelApi("http://127.0.0.1:1", "key")
    models = ModelRegistry(api, store, {})
    yield Ledger(store, models, quotas={PHI: 1000}, reset_hour=0, clock=lambda: NOON)
    await api.close()
    await store.close()


async def quota(ledger: Ledger) -> QuotaStatus:
    return (await ledger.get_quotas("a", [PHI]))[PHI]


@pytest.mark.parametrize(
    ("failure", "cost"),
    [
        (ModelFailure.UNAVAILABLE, 0),
        (ModelFailure.RATE_LIMITED, 0),
        (ModelFailure.OVERFLOW, 0),
        (ModelFailure.STALLED, 300),
        (ModelFailure.TRUNCATED, 300),
        (ModelFailure.EMPTY, 300),
    ],
)
async def test_failed_request_costs_processed_tokens(ledger: Ledger, failure: ModelFailure, cost: int) -> None:
    async def ask() -> None:
        async with ledger.reserve("a", PHI, 300, 100):
            assert (await quota(ledger)).usage.reserved == 400
            raise ModelError("no", failure, status=500)

    with pytest.raises(ModelError):
        await ask()
    spent = (await quota(ledger)).usage
    assert (spent.tokens, spent.reserved) == (cost, 0)


async def test_abandoned_request_costs_prompt_and_text(ledger: Ledger) -> None:
    async def leave() -> None:
        async with ledger.reserve("a", PHI, 300) as booking:
            booking.answer_tokens = 20
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await leave()
    spent = (await quota(ledger)).usage
    assert (spent.tokens, spent.reserved) == (320, 0)


async def test_reported_usage_overrides_estimate(ledger: Ledger) -> None:
    async with ledger.reserve("a", PHI, 300) as booking:
        booking.answer_tokens, booking.reported_tokens = 20, 280
    assert (await quota(ledger)).usage.tokens == 280


async def test_cancelled_booking_leaves_nothing_open(ledger: Ledger) -> None:
    async def ask() -> None:
        async with ledger.reserve("a", PHI, 300):
            raise AssertionError("it was cancelled before")

    for turns in range(12):  # of the loop, so that it is cancelled in any state of booking
        task = asyncio.create_task(ask())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    spent = (await quota(ledger)).usage
    assert (spent.tokens, spent.reserved) == (0, 0)


async def test_short_quota_pause_does_not_block_day(ledger: Ledger) -> None:
    """The service's day ends a little later than ours."""
    soon = ModelError("used up", ModelFailure.QUOTA, status=429, retry_after=30)
    await ledger.record_refusal("a", PHI, soon)
    assert (await quota(ledger)).remaining == 1000
    await ledger.record_refusal("a", PHI, ModelError("used up", ModelFailure.QUOTA, status=429))
    assert (await quota(ledger)).remaining == 0


async def test_quota_error_at_midnight_belongs_to_previous_day(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that does not tell when it comes back: its day ends when it likes."""
    used_up = ModelError("used up", ModelFailure.QUOTA, status=429)
    monkeypatch.setattr(ledger, "_clock", lambda: NOON - 12 * 3600 + 300)
    await ledger.record_refusal("a", PHI, used_up)
    assert (await quota(ledger)).remaining == 1000
    monkeypatch.setattr(ledger, "_clock", lambda: NOON - 11 * 3600)
    await ledger.record_refusal("a", PHI, used_up)
    assert (await quota(ledger)).remaining == 0


async def test_exhausted_quota_sends_no_request(ledger: Ledger) -> None:
    async with ledger.reserve("a", PHI, 300) as booking:
        booking.reported_tokens = 1000
    with pytest.raises(ModelError) as caught:
        async with ledger.reserve("a", PHI, 1):
            raise AssertionError("asked")
    assert caught.value.failure is ModelFailure.QUOTA
    assert caught.value.retry_after


def test_breaker_forgets_old_accounts() -> None:
    breaker = CircuitBreaker()
    error = ModelError("down", ModelFailure.UNAVAILABLE)
    for number in range(MAX_CIRCUITS + 50):
        for _ in range(3):
            breaker.record_failure(f"account {number}", PHI, error)
    assert len(breaker._circuits) == MAX_CIRCUITS
    assert breaker.remaining_seconds(f"account {MAX_CIRCUITS + 49}", PHI)
    assert not breaker.remaining_seconds("account 0", PHI)
