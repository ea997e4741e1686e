"""What a turn needs from the database, asked for again and again."""

import asyncio

import pytest
from sqlalchemy import Connection, text

from core.errors import StoreError
from core.store import retrying_store
from core.store.database import Store
from core.store.retrying_store import RetryingStore


def always_fail(connection: Connection) -> None:
    connection.execute(text("INSERT INTO nothing_like_this VALUES (1)"))


@pytest.mark.parametrize("way", ["write", "write_with_priority", "read"])
async def test_permanent_failure_is_not_retried_forever(
    store: Store, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """The lease is renewed all the while: nobody else would ever end the turn, nor its person."""
    monkeypatch.setattr(retrying_store, "MAX_RETRY_SECONDS", 0.5)
    insistent = RetryingStore(store, lambda: None)
    async with asyncio.timeout(10):
        with pytest.raises(StoreError):
            await getattr(insistent, way)(always_fail)
