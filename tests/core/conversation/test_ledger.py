"""What requests cost, when they succeed, fail or are cancelled."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, update

from core.api.client import ModelApi
from core.api.model_data import BUILTIN_MODELS
from core.conversation.ledger import EMBEDDING_SHARE, Allowance, Ledger, QuotaStatus
from core.conversation.model_registry import ModelRegistry
from core.errors import ModelError, ModelFailure
from core.settings import Settings
from core.store.database import Store
from core.store.schema import reservations
from core.store.token_usage import (
    TokenUsage,
    UsageKey,
    UsageKind,
    add_daily_usage,
    adjust_daily_usage,
    get_daily_usage,
    reserve,
    settle_reservation,
)
from core.timings import Timings
from tests.clock import FixedTimeClock
from tests.core.faulty_store import FaultyStore
from tests.sqlite import sqlite_url

ANN, CHAT = "person:fake:5", "chat:fake:1:-7"
PHI = "microsoft/phi-4"
NOON = 1_800_014_400.0
"""UTC."""
HOUR = 3600
QUOTA_ERROR = ModelError("used up", ModelFailure.QUOTA, status=429)


@pytest.fixture
def clock() -> FixedTimeClock:
    return FixedTimeClock(NOON)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def ledger(store: Store, clock: FixedTimeClock) -> Ledger:
    return create_ledger(store, clock, quotas={PHI: 1000})


def create_ledger(store: Store, clock: FixedTimeClock, **settings: Any) -> Ledger:
    """The bot's key is "bot"."""
    registry = ModelRegistry(ModelApi("http://127.0.0.1:1", "key"), store, Settings())
    return Ledger(store, registry, Settings(**settings), "bot", timings=Timings(clock=clock))


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


async def test_cancelled_charge_counts_nothing(store: Store, clock: FixedTimeClock) -> None:
    faulty_store = FaultyStore(store)
    ledger = create_ledger(faulty_store.as_store(), clock, person_tokens=1000)

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


async def test_request_whose_cost_cannot_be_booked_stays_reserved(store: Store, clock: FixedTimeClock) -> None:
    faulty_store = FaultyStore(store)
    ledger = create_ledger(faulty_store.as_store(), clock, quotas={PHI: 1000})
    faulty_store.start_outage(settle_reservation)
    with structlog.testing.capture_logs() as logs:
        async with ledger.reserve("a", PHI, 300, 100) as reservation:
            reservation.reported_tokens = 200
    assert [entry["event"] for entry in logs] == ["quota.usage_not_booked"]
    usage = await usage_of(ledger)
    assert (usage.tokens, usage.reserved) == (0, 400)


def make_older(connection: Connection, seconds: float) -> None:
    connection.execute(update(reservations).values(created_at=reservations.c.created_at - seconds))


@pytest.mark.parametrize(
    ("seconds", "limit", "is_abandoned"),
    [
        (Timings().max_request - 60, None, False),
        (Timings().max_request + 60, None, True),
        (50, 60, False),
        (70, 60, True),
    ],
)
async def test_reservation_of_a_dead_process_is_booked(
    store: Store, ledger: Ledger, seconds: float, limit: float | None, is_abandoned: bool
) -> None:
    await store.write(reserve, UsageKey("a", PHI, UsageKind.CHAT, ledger.today()), 400, None)
    await store.write(make_older, seconds)
    with structlog.testing.capture_logs() as logs:
        await ledger.settle_abandoned(limit)
    usage = await usage_of(ledger)
    assert (usage.tokens, usage.reserved) == ((400, 0) if is_abandoned else (0, 400))
    assert len(logs) == is_abandoned


# Quotas


@pytest.mark.parametrize(
    ("limit", "usage", "remaining", "used_fraction"),
    [
        (None, TokenUsage(500), None, 0.0),
        (1000, TokenUsage(), 1000, 0.0),
        (1000, TokenUsage(250), 750, 0.25),
        (1000, TokenUsage(1200), 0, 1.0),
        (1000, TokenUsage(1, is_exhausted=True), 0, 1.0),
        (None, TokenUsage(1, is_exhausted=True), 0, 1.0),
    ],
)
def test_what_is_left_of_a_quota(
    limit: int | None, usage: TokenUsage, remaining: int | None, used_fraction: float
) -> None:
    status = QuotaStatus(limit, usage)
    assert (status.remaining, status.used_fraction) == (remaining, used_fraction)
    assert status.remaining_fraction == (None if remaining is None else 1 - used_fraction)


@pytest.mark.parametrize(
    ("quotas", "limit"),
    [
        ({}, BUILTIN_MODELS[PHI].daily_quota),
        ({"*": 7}, 7),
        ({"*": 7, PHI: 5}, 5),
        ({"*": 7, PHI: 0}, None),
        ({"another/model": 7}, BUILTIN_MODELS[PHI].daily_quota),
    ],
)
def test_configured_quota_replaces_the_published_one(
    store: Store, clock: FixedTimeClock, quotas: Mapping[str, int], limit: int | None
) -> None:
    ledger = create_ledger(store, clock, quotas=quotas)
    assert ledger.daily_limit(PHI) == limit
    assert ledger.daily_limit("unknown/model") == quotas.get("*")


async def use(ledger: Ledger, tokens: int, key_id: str = "bot") -> None:
    async with ledger.reserve(key_id, PHI, tokens) as reservation:
        reservation.reported_tokens = tokens


async def test_operator_is_warned_once_a_day_when_a_quota_is_nearly_used(ledger: Ledger, clock: FixedTimeClock) -> None:
    await use(ledger, 799)
    assert not ledger.warnings
    await use(ledger, 1)
    (warning,) = ledger.warnings
    assert (warning.model, warning.used_fraction, warning.seconds_until_reset) == ("phi-4", 0.8, 12 * HOUR)
    await use(ledger, 1)
    assert len(ledger.warnings) == 1
    clock.epoch += 24 * HOUR
    await use(ledger, 799)
    assert len(ledger.warnings) == 1
    await use(ledger, 1)
    assert len(ledger.warnings) == 2


async def test_operator_is_not_warned_of_quotas_of_personal_keys(ledger: Ledger) -> None:
    await use(ledger, 900, "Ann's")
    assert not ledger.warnings


async def test_operator_is_not_warned_of_the_quota_of_yesterday(ledger: Ledger, clock: FixedTimeClock) -> None:
    async with ledger.reserve("bot", PHI, 900):
        clock.epoch += 24 * HOUR
    assert not ledger.warnings


async def test_tokens_on_personal_keys_are_those_of_today(ledger: Ledger, clock: FixedTimeClock) -> None:
    await use(ledger, 100, "Ann's")
    clock.epoch += 24 * HOUR
    assert await ledger.personal_key_tokens() == 0
    for tokens, key_id in ((1, "bot"), (20, "Ann's"), (300, "Bob's")):
        await use(ledger, tokens, key_id)
    assert await ledger.personal_key_tokens() == 320


# What a person and a chat may use


@pytest.mark.parametrize(
    ("settings", "subjects", "allowances"),
    [
        ({}, [ANN, CHAT], []),
        ({"person_tokens": 900}, [ANN, CHAT], [Allowance(300, 900, "token", False)]),
        ({"chat_messages": 9}, [ANN, CHAT], [Allowance(2, 9, "question", True)]),
        ({"chat_messages": 9}, [ANN], []),
        (
            {"person_messages": 8, "chat_tokens": 700},
            [ANN, CHAT],
            [Allowance(2, 8, "question", False), Allowance(300, 700, "token", True)],
        ),
    ],
    ids=str,
)
async def test_allowances_are_those_with_a_limit(
    store: Store, clock: FixedTimeClock, settings: dict[str, int], subjects: Sequence[str], allowances: list[Allowance]
) -> None:
    ledger = create_ledger(store, clock, **settings)
    await store.write(add_daily_usage, [ANN, CHAT], ledger.today(), 300, 2)
    assert await ledger.get_allowances(subjects) == allowances


async def tokens_of(store: Store, ledger: Ledger, *subjects: str) -> list[int]:
    usage = await store.read(get_daily_usage, subjects, ledger.today())
    return [usage[subject].tokens for subject in subjects]


async def test_charge_counts_what_is_expected_and_then_what_is_spent(store: Store, clock: FixedTimeClock) -> None:
    ledger = create_ledger(store, clock, person_tokens=1000, chat_tokens=1000)
    tokens = partial(tokens_of, store, ledger, ANN, CHAT)
    async with ledger.charge([ANN, CHAT], 300) as charge:
        assert await tokens() == [300, 300]
        for reported_tokens in (100, 20):
            async with ledger.reserve("bot", PHI, 300) as reservation:
                charge.reservations.append(reservation)
                reservation.reported_tokens = reported_tokens
    assert await tokens() == [120, 120]


@pytest.mark.parametrize(("expected_tokens", "is_allowed"), [(1000, True), (1001, False)])
@pytest.mark.parametrize("setting", ["person_tokens", "chat_tokens"])
async def test_charge_is_refused_beyond_a_limit(
    store: Store, clock: FixedTimeClock, setting: str, expected_tokens: int, is_allowed: bool
) -> None:
    ledger = create_ledger(store, clock, **{"person_tokens": 5000, "chat_tokens": 5000, setting: 1000})
    has_run = False
    with nullcontext() if is_allowed else pytest.raises(ModelError, match="Today's limit"):
        async with ledger.charge([ANN, CHAT], expected_tokens):
            has_run = True
    assert has_run is is_allowed
    assert await tokens_of(store, ledger, ANN, CHAT) == [0, 0]


async def test_charge_without_limit_is_not_counted(store: Store, clock: FixedTimeClock) -> None:
    ledger = create_ledger(store, clock, chat_tokens=1000)
    async with ledger.charge([ANN], 5000):
        assert await tokens_of(store, ledger, ANN) == [0]


async def test_one_person_gets_a_share_of_the_embedding_quota(store: Store, clock: FixedTimeClock) -> None:
    ledger = create_ledger(store, clock, quotas={"e": 1000}, person_tokens=5000)
    share = round(1000 * EMBEDDING_SHARE)
    other_request = ledger.charge([ANN], share)
    async with other_request, ledger.charge([ANN], share, embedding_model="e"):
        with pytest.raises(ModelError) as caught:
            async with ledger.charge([ANN], 1, embedding_model="e"):
                raise AssertionError("not allowed")
        assert caught.value.failure is ModelFailure.ALLOWANCE
        async with ledger.charge(["person:fake:6"], share, embedding_model="e"):
            pass
        async with ledger.charge([], 5000, embedding_model="e"):
            pass  # on a personal key


async def test_charge_that_cannot_be_settled_keeps_what_was_expected(store: Store, clock: FixedTimeClock) -> None:
    faulty_store = FaultyStore(store)
    ledger = create_ledger(faulty_store.as_store(), clock, person_tokens=1000)
    faulty_store.start_outage(adjust_daily_usage)
    with structlog.testing.capture_logs() as logs:
        async with ledger.charge([ANN], 300):
            pass
    assert [entry["event"] for entry in logs] == ["quota.charge_not_settled"]
    assert await tokens_of(store, ledger, ANN) == [300]
