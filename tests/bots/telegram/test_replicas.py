"""Several processes on one database that poll: one does, the others send and stand by."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from bots.telegram.adapter import TelegramAdapter
from core.errors import ConfigurationError
from core.port import Part
from core.store import leases, schema
from core.store.database import Store
from core.store.leases import Leases
from core.store.schema import database_now
from tests.bots.telegram.conftest import PRIVATE_PLACE, FakeInbox
from tests.bots.telegram.payloads import PRIVATE, message
from tests.bots.telegram.scripted_bot_api import TOKEN, ScriptedBotApi
from tests.postgresql import postgresql_url

POLLING_LEASE = "telegram:poller:123456"
SENT = Part("hello")


@pytest.fixture(params=["sqlite", "postgresql"])
async def stores(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[Store]]:
    """Two processes' connections to one database."""
    sqlite = f"sqlite:///{tmp_path / 'parley.sqlite3'}"
    url = sqlite if request.param == "sqlite" else postgresql_url()
    both = [Store(url), Store(url)]
    for store in both:
        await store.open()
    yield both
    for store in both:
        await store.close()


class Replica:
    """A process, as far as the database and Telegram can tell."""

    def __init__(self, api: ScriptedBotApi, store: Store, name: str, inbox: FakeInbox) -> None:
        self.leases = Leases(store, name)
        self.chat = TelegramAdapter(TOKEN, api_base=api.base_url, leases=self.leases)
        self.running = asyncio.create_task(self.chat.run(inbox))

    def is_polling(self) -> bool:
        return self.chat.last_activity is not None

    async def end(self) -> None:
        self.running.cancel()
        await asyncio.wait({self.running}, timeout=10)


async def wait_until_connected(api: ScriptedBotApi, *replicas: Replica) -> None:
    """Until all have asked who they are, and one polls."""
    await api.wait_for_calls("getMe", len(replicas))
    await api.wait_for_calls("getUpdates")


async def seconds_until_polling(replica: Replica, *, is_polling: bool = True) -> float:
    """Wait until `replica` polls, or does not any more; how long it took."""
    began = time.monotonic()
    async with asyncio.timeout(12):
        while replica.is_polling() is not is_polling:
            await asyncio.sleep(0.01)
    return time.monotonic() - began


def steal_lease(connection: Connection, owner: str, seconds: float) -> None:
    """As when the holder was frozen for longer than its lease."""
    values = {"owner": owner, "until": database_now() + seconds}
    connection.execute(update(schema.leases).where(schema.leases.c.name == POLLING_LEASE).values(values))


async def test_one_polls_all_send_and_standby_takes_over(stores: list[Store], api: ScriptedBotApi) -> None:
    inboxes = [FakeInbox(), FakeInbox()]
    first = Replica(api, stores[0], "first", inboxes[0])
    await wait_until_connected(api, first)
    second = Replica(api, stores[1], "second", inboxes[1])
    await wait_until_connected(api, first, second)
    number = await api.push_update(message=message(PRIVATE, "before"))
    await inboxes[0].wait_for_events(1)
    await api.wait_until(lambda: api.confirmed_offset == number + 1)
    assert first.is_polling()
    assert not second.is_polling(), "standing by, not deaf"
    for replica in (first, second):
        assert await replica.chat.send(PRIVATE_PLACE, SENT, key="k")

    first.leases.close()
    assert await seconds_until_polling(second) < 4
    await api.push_update(message=message(PRIVATE, "after"))
    await inboxes[1].wait_for_events(1)
    assert not first.is_polling()
    assert not first.running.done()
    assert await first.chat.send(PRIVATE_PLACE, SENT, key="k"), "until it is cancelled"
    assert [one.text for inbox in inboxes for one in inbox.stored] == ["before", "after"]
    await asyncio.gather(first.end(), second.end())


async def test_stored_updates_are_confirmed_on_release(stores: list[Store], api: ScriptedBotApi) -> None:
    inboxes = [FakeInbox(), FakeInbox()]
    inboxes[0].wait_for = asyncio.Event()
    first = Replica(api, stores[0], "first", inboxes[0])
    await wait_until_connected(api, first)
    second = Replica(api, stores[1], "second", inboxes[1])
    await wait_until_connected(api, first, second)
    await api.push_update(message=message(PRIVATE, "kept once"))
    await inboxes[0].wait_until(lambda: inboxes[0].attempts == 1)
    inboxes[0].wait_for.set()
    await inboxes[0].wait_for_events(1)
    first.leases.close()
    await seconds_until_polling(second)
    await api.push_update(message=message(PRIVATE, "the next"))
    await inboxes[1].wait_for_events(1)
    assert [one.text for inbox in inboxes for one in inbox.stored] == ["kept once", "the next"]
    await asyncio.gather(first.end(), second.end())


async def test_lost_lease_ends_polling_not_sending(stores: list[Store], api: ScriptedBotApi) -> None:
    inbox = FakeInbox()
    first = Replica(api, stores[0], "first", inbox)
    await wait_until_connected(api, first)
    await stores[1].write(steal_lease, "thief", 3.0)
    assert await seconds_until_polling(first, is_polling=False) < 3
    assert not first.running.done()
    assert await first.chat.send(PRIVATE_PLACE, SENT, key="k")
    await seconds_until_polling(first)
    await api.push_update(message=message(PRIVATE, "hello again"))
    await inbox.wait_for_events(1)
    await first.end()


async def test_dead_process_is_replaced(stores: list[Store], api: ScriptedBotApi) -> None:
    assert await stores[0].write(leases.try_acquire, POLLING_LEASE, "dead", 1.5)
    inbox = FakeInbox()
    began = time.monotonic()
    second = Replica(api, stores[1], "second", inbox)
    await api.wait_for_calls("getMe")
    await api.push_update(message=message(PRIVATE, "hello"))
    await inbox.wait_for_events(1)
    assert time.monotonic() - began > 1
    await second.end()


async def test_standby_ends_at_once(stores: list[Store], api: ScriptedBotApi) -> None:
    assert await stores[0].write(leases.try_acquire, POLLING_LEASE, "another", 30.0)
    second = Replica(api, stores[1], "second", FakeInbox())
    assert await second.chat.send(PRIVATE_PLACE, SENT, key="k")
    began = time.monotonic()
    await second.end()
    assert second.running.cancelled()
    assert time.monotonic() - began < 1
    assert not api.params_of("getUpdates")


async def test_wrong_token_ends_every_process(stores: list[Store], api: ScriptedBotApi) -> None:
    api.token = "123456:another"
    assert await stores[0].write(leases.try_acquire, POLLING_LEASE, "another", 30.0)
    replica = Replica(api, stores[1], "one", FakeInbox())
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError, match="TELEGRAM_BOT_TOKEN"):
            await replica.running
