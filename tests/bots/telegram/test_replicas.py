"""Several processes with one database: one polls, the others stand by and send."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from bots.sandbox.telegram import TelegramStandIn
from bots.telegram.adapter import TelegramAdapter
from core.errors import ConfigurationError
from core.port import ConnectionState, Part
from core.store import leases, schema
from core.store.database import Store
from core.store.leases import Leases
from core.store.schema import database_now
from core.timings import Timings
from tests.bots.telegram.conftest import (
    PRIVATE_PLACE,
    TOKEN,
    FakeInbox,
    is_confirmed,
    params_of,
    push_update,
    wait_for_calls,
)
from tests.bots.telegram.payloads import PRIVATE, message
from tests.postgresql import postgresql_url
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

POLLING_LEASE = "telegram:poller:123456"
PART = Part("hello")


@pytest.fixture(params=["sqlite", "postgresql"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[Store]]:
    """Two processes' connections to one database."""
    sqlite = sqlite_url(tmp_path)
    url = sqlite if request.param == "sqlite" else postgresql_url()
    both = [Store(url), Store(url)]
    for store in both:
        await store.open()
    yield both
    for store in both:
        await store.close()


class Replica:
    """A process, as far as the database and Telegram can tell."""

    def __init__(self, bot_api: TelegramStandIn, store: Store, name: str, timings: Timings = Timings()) -> None:
        self.inbox = FakeInbox()
        self.leases = Leases(store, name, timings=timings)
        self.adapter = TelegramAdapter(TOKEN, api_base=bot_api.api_base, leases=self.leases)
        self.task = asyncio.create_task(self.adapter.run(self.inbox))

    def is_polling(self) -> bool:
        return self.adapter.last_activity is not None

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.wait({self.task}, timeout=10)


async def start_replicas(bot_api: TelegramStandIn, stores: list[Store]) -> tuple[Replica, Replica]:
    """The first polls, the second is connected and stands by."""
    first = Replica(bot_api, stores[0], "first")
    await wait_for_calls(bot_api, "getUpdates")
    second = Replica(bot_api, stores[1], "second")
    await wait_for_calls(bot_api, "getMe", 2)
    return first, second


def steal_lease(connection: Connection, owner: str, seconds: float) -> None:
    """As if the holder had been frozen for longer than its lease."""
    values = {"owner": owner, "expires_at": database_now() + seconds}
    connection.execute(update(schema.leases).where(schema.leases.c.name == POLLING_LEASE).values(values))


async def test_one_polls_all_send_and_standby_takes_over(stores: list[Store], bot_api: TelegramStandIn) -> None:
    first, second = await start_replicas(bot_api, stores)
    update_id = push_update(bot_api, message=message(PRIVATE, "before"))
    await first.inbox.wait_for_events(1)
    await bot_api.wait_for(lambda: is_confirmed(bot_api, update_id))
    assert first.is_polling()
    assert not second.is_polling(), "a process that stands by is not silent"
    await wait_until(
        lambda: (
            [replica.adapter.connection_state for replica in (first, second)]
            == [ConnectionState.CONNECTED, ConnectionState.STANDBY]
        )
    )
    for replica in (first, second):
        assert await replica.adapter.send(PRIVATE_PLACE, PART, key="k")

    first.leases.close()
    await bot_api.wait_for(second.is_polling)
    push_update(bot_api, message=message(PRIVATE, "after"))
    await second.inbox.wait_for_events(1)
    assert not first.is_polling()
    assert not first.task.done()
    assert await first.adapter.send(PRIVATE_PLACE, PART, key="k"), "it sends until it is cancelled"
    assert [event.text for event in first.inbox.stored + second.inbox.stored] == ["before", "after"]
    await asyncio.gather(first.stop(), second.stop())


async def test_stored_updates_are_confirmed_on_release(stores: list[Store], bot_api: TelegramStandIn) -> None:
    first, second = await start_replicas(bot_api, stores)
    first.inbox.hold_until = asyncio.Event()
    push_update(bot_api, message=message(PRIVATE, "stored once"))
    await first.inbox.wait_until(lambda: first.inbox.attempts == 1)
    first.inbox.hold_until.set()
    await first.inbox.wait_for_events(1)
    first.leases.close()
    await bot_api.wait_for(second.is_polling)
    push_update(bot_api, message=message(PRIVATE, "the next"))
    await second.inbox.wait_for_events(1)
    assert [event.text for event in first.inbox.stored + second.inbox.stored] == ["stored once", "the next"]
    await asyncio.gather(first.stop(), second.stop())


@pytest.mark.slow
async def test_lost_lease_ends_polling_not_sending(stores: list[Store], bot_api: TelegramStandIn) -> None:
    replica = Replica(bot_api, stores[0], "first")
    await wait_for_calls(bot_api, "getUpdates")
    await stores[1].write(steal_lease, "thief", 60.0)
    await bot_api.wait_for(lambda: not replica.is_polling())
    assert not replica.task.done()
    assert await replica.adapter.send(PRIVATE_PLACE, PART, key="k")
    await stores[1].write(steal_lease, "thief", 0.0)
    await bot_api.wait_for(replica.is_polling)
    push_update(bot_api, message=message(PRIVATE, "hello again"))
    await replica.inbox.wait_for_events(1)
    await replica.stop()


@pytest.mark.slow
async def test_dead_process_is_replaced(stores: list[Store], bot_api: TelegramStandIn) -> None:
    started_at = time.monotonic()
    assert await stores[0].write(leases.try_acquire, POLLING_LEASE, "dead", 1.5)
    replica = Replica(bot_api, stores[1], "second")
    push_update(bot_api, message=message(PRIVATE, "hello"))
    await replica.inbox.wait_for_events(1)
    assert time.monotonic() - started_at > 1.4, "the lease has expired"
    await replica.stop()


async def test_standby_ends_at_once(stores: list[Store], bot_api: TelegramStandIn) -> None:
    assert await stores[0].write(leases.try_acquire, POLLING_LEASE, "another", 30.0)
    replica = Replica(bot_api, stores[1], "second", Timings(claim_interval=60))
    assert await replica.adapter.send(PRIVATE_PLACE, PART, key="k")
    await replica.stop()
    assert replica.task.cancelled()
    assert not params_of(bot_api, "getUpdates")


async def test_wrong_token_ends_every_process(stores: list[Store], bot_api: TelegramStandIn) -> None:
    bot_api.token = "123456:another"
    assert await stores[0].write(leases.try_acquire, POLLING_LEASE, "another", 30.0)
    replica = Replica(bot_api, stores[1], "second")
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError, match="TELEGRAM_BOT_TOKEN"):
            await replica.task
