"""A wait that a platform asked for holds in every process."""

import pytest

from core.port import AccountKey
from core.store.database import Store
from core.store.rate_limits import active_rate_limits, save_rate_limit

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
