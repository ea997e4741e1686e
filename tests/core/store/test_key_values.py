"""Small state by key."""

import asyncio

from core.store.database import Store
from core.store.key_values import get_value, update_value


async def test_no_change_of_a_value_is_lost(store: Store) -> None:
    await asyncio.gather(*(store.write(update_value, "key", lambda value: value + "x") for _ in range(20)))
    assert await store.read(get_value, "key") == "x" * 20
    assert await store.write(update_value, "key", lambda _: "y") == "x" * 20
