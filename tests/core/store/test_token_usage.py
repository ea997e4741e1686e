"""Tokens of a day: what is booked, what is reserved, and whether another request fits, on both databases."""

from functools import partial

import pytest
from sqlalchemy import Connection, update

from core.store import schema
from core.store.database import Store
from core.store.token_usage import (
    DailyUsage,
    TokenUsage,
    UsageKey,
    UsageKind,
    add_daily_usage,
    adjust_daily_usage,
    charge_daily_usage,
    get_daily_usage,
    get_usage_by_model,
    mark_exhausted,
    reserve,
    settle_abandoned,
    settle_reservation,
    tokens_on_other_keys,
)

DAY = "2026-12-01"
KEY = UsageKey("house", "phi-4", UsageKind.CHAT, DAY)


async def usage(store: Store, *models: str, day: str = DAY, kind: UsageKind = UsageKind.CHAT) -> dict[str, TokenUsage]:
    return await store.read(get_usage_by_model, "house", day, models, kind)


async def book(store: Store, key: UsageKey, tokens: int, *, has_answered: bool = False) -> TokenUsage | None:
    reservation = await store.write(reserve, key, tokens, None)
    assert reservation is not None
    return await store.write(partial(settle_reservation, has_answered=has_answered), reservation.id, tokens)


async def test_reservation_is_replaced_by_the_real_cost(store: Store) -> None:
    reservation = await store.write(reserve, KEY, 100, None)
    assert reservation is not None
    assert await usage(store, "phi-4") == {"phi-4": TokenUsage(0, 100)}
    settled = await store.write(partial(settle_reservation, has_answered=True), reservation.id, 70)
    assert settled == TokenUsage(70, 0, 1)
    assert await store.write(settle_reservation, reservation.id, 70) is None, "once"
    assert await usage(store, "phi-4") == {"phi-4": TokenUsage(70, 0, 1)}
    await book(store, KEY, 5)
    assert await usage(store, "phi-4", "qwen") == {"phi-4": TokenUsage(75, 0, 1), "qwen": TokenUsage()}


async def test_usage_is_counted_by_model_day_and_kind(store: Store) -> None:
    await book(store, KEY, 5)
    await store.write(reserve, UsageKey("house", "qwen", UsageKind.CHAT, DAY), 7, None)
    await book(store, UsageKey("other", "phi-4", UsageKind.CHAT, DAY), 11)
    await book(store, UsageKey("other", "phi-4", UsageKind.EMBEDDINGS, DAY), 13)
    assert await usage(store) == {"phi-4": TokenUsage(5), "qwen": TokenUsage(0, 7)}
    assert await usage(store, day="2026-12-02") == {}
    assert await usage(store, kind=UsageKind.EMBEDDINGS) == {}
    assert await store.read(tokens_on_other_keys, "house", DAY) == 11
    assert await store.read(tokens_on_other_keys, "house", "2026-12-02") == 0


@pytest.mark.parametrize(
    ("used", "reserved", "expected", "within_quota", "is_allowed"),
    [
        (0, 0, 100, False, True),
        (0, 0, 101, False, True),  # alone, a request may exceed the quota
        (0, 0, 101, True, False),
        (0, 0, 100, True, True),
        (99, 0, 50, False, True),
        (100, 0, 1, False, False),
        (0, 50, 50, False, True),
        (0, 50, 51, False, False),
    ],
)
async def test_request_has_to_fit_the_quota(
    store: Store, used: int, reserved: int, expected: int, *, within_quota: bool, is_allowed: bool
) -> None:
    await book(store, KEY, used)
    if reserved:
        await store.write(reserve, KEY, reserved, None)
    reservation = await store.write(partial(reserve, within_quota=within_quota), KEY, expected, 100)
    assert (reservation is not None) is is_allowed


async def test_quota_that_the_service_calls_exhausted_allows_nothing(store: Store) -> None:
    await book(store, KEY, 5, has_answered=True)
    await store.write(mark_exhausted, KEY)
    assert await usage(store, "phi-4") == {"phi-4": TokenUsage(5, 0, 1, is_exhausted=True)}
    assert await store.write(reserve, KEY, 1, None) is None
    assert await store.write(reserve, UsageKey("house", "qwen", UsageKind.CHAT, DAY), 1, None) is not None
    await store.write(mark_exhausted, UsageKey("house", "unused", UsageKind.CHAT, DAY))
    assert await usage(store, "unused") == {"unused": TokenUsage(is_exhausted=True)}


async def test_requests_of_dead_processes_cost_what_was_expected(store: Store) -> None:
    def make_older(connection: Connection) -> None:
        connection.execute(update(schema.reservations).values(created_at=schema.reservations.c.created_at - 60))

    await store.write(reserve, KEY, 30, None)
    await store.write(make_older)
    await store.write(reserve, KEY, 7, None)
    assert await store.write(settle_abandoned, 50) == 1
    assert await usage(store, "phi-4") == {"phi-4": TokenUsage(30, 7)}


async def test_daily_usage_is_charged_only_if_nobody_exceeds_a_limit(store: Store) -> None:
    await store.write(add_daily_usage, ["ann", "chat"], DAY, 10, 1)
    await store.write(add_daily_usage, [], DAY, 10, 1)
    assert await store.write(charge_daily_usage, {"ann": 100, "chat": 30}, DAY, 20)
    assert not await store.write(charge_daily_usage, {"ann": 100, "chat": 30}, DAY, 1)
    await store.write(adjust_daily_usage, ["ann", "nobody"], DAY, -5)
    usages = await store.read(get_daily_usage, ["ann", "chat", "nobody"], DAY)
    assert usages == {"ann": DailyUsage(25, 1), "chat": DailyUsage(30, 1), "nobody": DailyUsage()}
    assert await store.read(get_daily_usage, ["ann"], "2026-12-02") == {"ann": DailyUsage()}
