"""A turn repeats its transactions while the database is away."""

import asyncio

import pytest
from sqlalchemy import Connection, text

from core.errors import StoreError
from core.store.database import Store
from core.store.retrying_store import RetryingStore
from core.timings import Timings
from tests.clock import FakeClock


def always_fail(connection: Connection) -> None:
    connection.execute(text("INSERT INTO missing_table VALUES (1)"))


@pytest.mark.parametrize("method", ["write", "write_with_priority", "read"])
async def test_permanent_failure_is_not_retried_forever(store: Store, method: str) -> None:
    """The lease is renewed all the while, so no other process would ever end the turn."""
    clock = FakeClock()
    timings = Timings(clock=clock, store_retry_interval=1, max_store_retry=3)
    retrying = RetryingStore(store, lambda: None, timings=timings)
    call = asyncio.create_task(getattr(retrying, method)(always_fail))
    for _ in range(4):
        await clock.wait_for_timer()
        await clock.advance(1)
    with pytest.raises(StoreError):
        await call
