"""What a platform told us to wait holds in every process."""

import pytest

from core.port import AccountKey
from core.store import rate_limits
from core.store.database import Store


async def test_wait_is_shared_and_longest_counts(store: Store) -> None:
    await store.write(rate_limits.save_rate_limit, AccountKey("telegram", "1"), "5", 40)
    await store.write(rate_limits.save_rate_limit, AccountKey("telegram", "1"), "5", 10)
    await store.write(rate_limits.save_rate_limit, AccountKey("telegram", "1"), "", 7)
    await store.write(rate_limits.save_rate_limit, AccountKey("telegram", "2"), "5", 3)
    found = await store.read(rate_limits.active_rate_limits, [AccountKey("telegram", "1")])
    assert {limit.chat: limit.remaining_seconds for limit in found} == {
        "5": pytest.approx(40, abs=2),
        "": pytest.approx(7, abs=2),
    }


async def test_expired_wait_is_gone(store: Store) -> None:
    await store.write(rate_limits.save_rate_limit, AccountKey("telegram", "1"), "5", -1)
    assert await store.read(rate_limits.active_rate_limits, [AccountKey("telegram", "1")]) == []
