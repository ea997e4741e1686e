"""What requests cost, when they succeed, fail or are cancelled."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.api.client import ModelApi
from core.conversation.ledger import Ledger, QuotaStatus
from core.conversation.model_registry import ModelRegistry
from core.errors import ModelError, ModelFailure
from core.settings import Settings
from core.store.database import Store
from core.store.token_usage import TokenUsage, get_daily_usage
from core.timings import Timings
from tests.clock import FixedTimeClock
from tests.core.faulty_store import FaultyStore
from tests.sqlite import sqlite_url

ANN = "person:fake:5"
PHI = "microsoft/phi-4"
NOON = 1_800_014_400.0
"""UTC."""
HOUR = 3600
QUOTA_ERROR = ModelError("used up", ModelFailure.QUOTA, status=429)


@pytest.fixture
def clock() -> FixedTimeClock:
    return FixedTimeClock(NOON)


@pytest.fixture
async def ledger(tmp_path: Path, clock: FixedTimeClock) -> AsyncIterator[Ledger]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    api = ModelApi("http://127.0.0.1:1", "key")
    registry = ModelRegistry(api, store, Settings())
    yield Ledger(store, registry, Settings(quotas={PHI: 1000}), timings=Timings(clock=clock))
    await api.close()
    await store.close()


async def quota_of(ledger: Ledger) -> QuotaStatus:
    return (await ledger.get_quotas("a", [PHI]))[PHI]


async def usage_of(ledger: Ledger) -> TokenUsage:
    return (await quota_of(ledger)).usage


@pytest.mark.parametrize(
    ("hour", "day", "hours_until_reset"), [(0, "2027-01-15", 12), (12, "2027-01-15", 24), (13, "2027-01-14", 1)]
)
def test_day_begins_at_reset_hour(tmp_path: Path, hour: int, day: str, hours_until_reset: int) -> None:
    store = Store(sqlite_url(tmp_path))
    settings = Settings(quota_reset_hour=hour)
    registry = ModelRegistry(ModelApi("http://127.0.0.1:1", "key"), store, settings)
    ledger = Ledger(store, registry, settings, timings=Timings(clock=FixedTimeClock(NOON)))
    assert ledger.today() == day
    assert ledger.seconds_until_reset() == hours_until_reset * HOUR
    assert ledger.day_start() == NOON + (hours_until_reset - 24) * HOUR


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
    async def fail() -> None:
        async with ledger.reserve("a", PHI, 300, 100):
            assert (await usage_of(ledger)).reserved == 400
            raise ModelError("no", failure, status=500)

    with pytest.raises(ModelError):
        await fail()
    usage = await usage_of(ledger)
    assert (usage.tokens, usage.reserved) == (cost, 0)


async def test_abandoned_request_costs_prompt_and_text(ledger: Ledger) -> None:
    async def cancel() -> None:
        async with ledger.reserve("a", PHI, 300) as reservation:
            reservation.answer_tokens = 20
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await cancel()
    usage = await usage_of(ledger)
    assert (usage.tokens, usage.reserved) == (320, 0)


async def test_reported_usage_overrides_estimate(ledger: Ledger) -> None:
    async with ledger.reserve("a", PHI, 300) as reservation:
        reservation.answer_tokens, reservation.reported_tokens = 20, 280
    assert (await usage_of(ledger)).tokens == 280


async def test_only_a_request_that_may_not_exceed_the_quota_is_refused(ledger: Ledger) -> None:
    async with ledger.reserve("a", PHI, 300) as reservation:
        reservation.reported_tokens = 999
    with pytest.raises(ModelError) as caught:
        async with ledger.reserve("a", PHI, 2, within_quota=True):
            raise AssertionError("not reserved")
    assert caught.value.failure is ModelFailure.QUOTA
    async with ledger.reserve("a", PHI, 2):
        assert (await usage_of(ledger)).reserved == 2


async def test_cancelled_reservation_leaves_nothing_reserved(ledger: Ledger) -> None:
    asked = 0

    async def ask() -> None:
        nonlocal asked
        async with ledger.reserve("a", PHI, 300):
            asked += 1

    for iterations in range(12):  # of the event loop: cancelled in every state of the reservation
        task = asyncio.create_task(ask())
        for _ in range(iterations):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    usage = await usage_of(ledger)
    assert (usage.tokens, usage.reserved) == (300 * asked, 0), (
        "the last ones may have been made before they were cancelled"
    )


async def test_cancelled_charge_counts_nothing(tmp_path: Path) -> None:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    faulty_store = FaultyStore(store)
    registry = ModelRegistry(ModelApi("http://127.0.0.1:1", "key"), store, Settings())
    ledger = Ledger(faulty_store.as_store(), registry, Settings(person_tokens=1000))

    async def use() -> None:
        async with ledger.charge([ANN], 300):
            raise AssertionError("cancelled before")

    async def cancel() -> None:
        task.cancel()
        await asyncio.sleep(0)

    faulty_store.after_next_write(cancel)
    task = asyncio.create_task(use())
    await asyncio.wait({task})
    assert task.cancelled()
    assert (await store.read(get_daily_usage, [ANN], ledger.today()))[ANN].tokens == 0
    await store.close()


async def test_short_quota_pause_does_not_block_day(ledger: Ledger) -> None:
    """The service's day ends a little later than the bot's."""
    short_pause = ModelError("used up", ModelFailure.QUOTA, status=429, retry_after=30)
    await ledger.record_refusal("a", PHI, short_pause)
    assert (await quota_of(ledger)).remaining == 1000
    await ledger.record_refusal("a", PHI, QUOTA_ERROR)
    assert (await quota_of(ledger)).remaining == 0


async def test_quota_error_at_midnight_belongs_to_previous_day(ledger: Ledger, clock: FixedTimeClock) -> None:
    clock.epoch = NOON - 12 * HOUR + 300
    await ledger.record_refusal("a", PHI, QUOTA_ERROR)
    assert (await quota_of(ledger)).remaining == 1000
    clock.epoch = NOON - 11 * HOUR
    await ledger.record_refusal("a", PHI, QUOTA_ERROR)
    assert (await quota_of(ledger)).remaining == 0


@pytest.mark.parametrize(
    "error",
    [
        *[ModelError("no", failure, status=429) for failure in ModelFailure if failure is not ModelFailure.QUOTA],
        ModelError("the bot's own limit", ModelFailure.QUOTA),
    ],
    ids=lambda error: f"{error.failure} {error.status}",
)
async def test_only_the_services_word_exhausts_a_quota(ledger: Ledger, error: ModelError) -> None:
    await ledger.record_refusal("a", PHI, error)
    assert (await quota_of(ledger)).remaining == 1000


async def test_exhausted_quota_sends_no_request(ledger: Ledger) -> None:
    async with ledger.reserve("a", PHI, 300) as reservation:
        reservation.reported_tokens = 1000
    with pytest.raises(ModelError) as caught:
        async with ledger.reserve("a", PHI, 1):
            raise AssertionError("not reserved")
    assert caught.value.failure is ModelFailure.QUOTA
    assert caught.value.retry_after
