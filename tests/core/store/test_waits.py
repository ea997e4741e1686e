"""What a platform told us to wait holds in every process."""

import pytest

from core.store import waits
from core.store.database import Store


async def test_a_wait_is_known_to_all_and_the_longer_one_counts(store: Store) -> None:
    await store.write(waits.put, "telegram:1", "5", 40)
    await store.write(waits.put, "telegram:1", "5", 10)
    await store.write(waits.put, "telegram:1", "", 7)
    await store.write(waits.put, "telegram:2", "5", 3)
    found = await store.read(waits.current, ["telegram:1"])
    assert {chat: seconds for _, chat, seconds in found} == {
        "5": pytest.approx(40, abs=2),
        "": pytest.approx(7, abs=2),
    }


async def test_a_wait_that_is_over_is_gone(store: Store) -> None:
    await store.write(waits.put, "telegram:1", "5", -1)
    assert await store.read(waits.current, ["telegram:1"]) == []
