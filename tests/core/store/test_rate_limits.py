"""A wait that a platform asked for holds in every process."""

import pytest
from sqlalchemy import Connection, update

from core.port import AccountKey
from core.store.database import Store
from core.store.rate_limits import active_rate_limits, save_rate_limit
from core.store.schema import rate_limits

ACCOUNT, OTHER_ACCOUNT = AccountKey("telegram", "1"), AccountKey("telegram", "2")


async def test_wait_is_shared_and_longest_counts(store: Store) -> None:
    await store.write(save_rate_limit, ACCOUNT, "5", 40)
    await store.write(save_rate_limit, ACCOUNT, "5", 10)
    await store.write(save_rate_limit, ACCOUNT, "", 7)
    await store.write(save_rate_limit, OTHER_ACCOUNT, "5", 3)
    limits = await store.read(active_rate_limits, [ACCOUNT])
    assert {(limit.account, limit.chat): limit.remaining_seconds for limit in limits} == {
        (ACCOUNT, "5"): pytest.approx(40, abs=2),
        (ACCOUNT, ""): pytest.approx(7, abs=2),
    }


async def test_expired_wait_is_gone(store: Store) -> None:
    await store.write(save_rate_limit, ACCOUNT, "5", -1)
    assert await store.read(active_rate_limits, [ACCOUNT]) == []


async def test_wait_is_never_longer_than_requested(store: Store) -> None:
    """The database's clock may be set back while a chat waits."""
    await store.write(save_rate_limit, ACCOUNT, "5", 8.0)
    await store.write(set_clock_back, 3600)
    (limit,) = await store.write(active_rate_limits, [ACCOUNT])
    assert limit.remaining_seconds == 8.0
    (limit,) = await store.write(active_rate_limits, [ACCOUNT])
    assert limit.remaining_seconds < 8.0, "it ends"


async def test_wait_after_clock_was_set_back_ends(store: Store) -> None:
    await store.write(save_rate_limit, ACCOUNT, "5", 8.0)
    await store.write(set_clock_back, 3600)
    await store.write(save_rate_limit, ACCOUNT, "5", 3.0)
    (limit,) = await store.write(active_rate_limits, [ACCOUNT])
    assert 3.0 <= limit.remaining_seconds <= 8.0


def set_clock_back(connection: Connection, seconds: float) -> None:
    """As if the database's clock had been set back since the waits were stored."""
    connection.execute(update(rate_limits).values(blocked_until=rate_limits.c.blocked_until + seconds))
