"""Several processes on one database that poll: one does, the others send and stand by."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from bots.telegram.chat import TelegramChat
from core.errors import ConfigurationError
from core.port import Part
from core.store import leases, schema
from core.store.database import Store
from core.store.leases import Leases
from core.store.schema import clock
from tests.bots.telegram.conftest import HERE, Inbox
from tests.bots.telegram.payloads import PRIVATE, message
from tests.bots.telegram.server import TOKEN, BotApi
from tests.databases import postgresql_url

RIGHT = "telegram:poller:123456"
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

    def __init__(self, api: BotApi, store: Store, name: str, inbox: Inbox) -> None:
        self.leases = Leases(store, name)
        self.chat = TelegramChat(TOKEN, api_base=api.base, leases=self.leases)
        self.running = asyncio.create_task(self.chat.run(inbox))

    def polls(self) -> bool:
        return self.chat.last_heard is not None

    async def end(self) -> None:
        self.running.cancel()
        await asyncio.wait({self.running}, timeout=10)


async def connected(api: BotApi, *replicas: Replica) -> None:
    """Until all have asked who they are, and one polls."""
    await api.called("getMe", len(replicas))
    await api.called("getUpdates")


async def taken_over(replica: Replica, *, polls: bool = True) -> float:
    """Wait until `replica` polls, or does not any more; how long it took."""
    began = time.monotonic()
    async with asyncio.timeout(12):
        while replica.polls() is not polls:
            await asyncio.sleep(0.01)
    return time.monotonic() - began


def steal(connection: Connection, owner: str, seconds: float) -> None:
    """As when the holder was frozen for longer than its lease."""
    values = {"owner": owner, "until": clock() + seconds}
    connection.execute(update(schema.leases).where(schema.leases.c.name == RIGHT).values(values))


async def test_one_polls_all_send_and_who_stands_by_takes_over(
    stores: list[Store], api: BotApi
) -> None:
    inboxes = [Inbox(), Inbox()]
    first = Replica(api, stores[0], "first", inboxes[0])
    await connected(api, first)
    second = Replica(api, stores[1], "second", inboxes[1])
    await connected(api, first, second)
    number = await api.push(message=message(PRIVATE, "before"))
    await inboxes[0].receives(1)
    await api.until(lambda: api.confirmed == number + 1)
    assert first.polls()
    assert not second.polls(), "standing by, not deaf"
    for replica in (first, second):
        assert await replica.chat.send(HERE, SENT, key="k")

    first.leases.close()
    assert await taken_over(second) < 4
    await api.push(message=message(PRIVATE, "after"))
    await inboxes[1].receives(1)
    assert not first.polls()
    assert not first.running.done()
    assert await first.chat.send(HERE, SENT, key="k"), "until it is cancelled"
    assert [one.text for inbox in inboxes for one in inbox.kept] == ["before", "after"]
    await asyncio.gather(first.end(), second.end())


async def test_what_was_kept_is_acknowledged_when_the_right_is_given_back(
    stores: list[Store], api: BotApi
) -> None:
    inboxes = [Inbox(), Inbox()]
    inboxes[0].hold = asyncio.Event()
    first = Replica(api, stores[0], "first", inboxes[0])
    await connected(api, first)
    second = Replica(api, stores[1], "second", inboxes[1])
    await connected(api, first, second)
    await api.push(message=message(PRIVATE, "kept once"))
    await inboxes[0].until(lambda: inboxes[0].tries == 1)
    inboxes[0].hold.set()
    await inboxes[0].receives(1)
    first.leases.close()
    await taken_over(second)
    await api.push(message=message(PRIVATE, "the next"))
    await inboxes[1].receives(1)
    assert [one.text for inbox in inboxes for one in inbox.kept] == ["kept once", "the next"]
    await asyncio.gather(first.end(), second.end())


async def test_a_right_that_was_lost_ends_polling_and_not_sending(
    stores: list[Store], api: BotApi
) -> None:
    inbox = Inbox()
    first = Replica(api, stores[0], "first", inbox)
    await connected(api, first)
    await stores[1].write(steal, "thief", 3.0)
    assert await taken_over(first, polls=False) < 3
    assert not first.running.done()
    assert await first.chat.send(HERE, SENT, key="k")
    await taken_over(first)
    await api.push(message=message(PRIVATE, "hello again"))
    await inbox.receives(1)
    await first.end()


async def test_the_place_of_a_process_that_died_is_taken(stores: list[Store], api: BotApi) -> None:
    assert await stores[0].write(leases.take, RIGHT, "dead", 1.5)
    inbox = Inbox()
    began = time.monotonic()
    second = Replica(api, stores[1], "second", inbox)
    await api.called("getMe")
    await api.push(message=message(PRIVATE, "hello"))
    await inbox.receives(1)
    assert time.monotonic() - began > 1
    await second.end()


async def test_who_ends_while_standing_by_ends_at_once(stores: list[Store], api: BotApi) -> None:
    assert await stores[0].write(leases.take, RIGHT, "another", 30.0)
    second = Replica(api, stores[1], "second", Inbox())
    assert await second.chat.send(HERE, SENT, key="k")
    began = time.monotonic()
    await second.end()
    assert second.running.cancelled()
    assert time.monotonic() - began < 1
    assert not api.made("getUpdates")


async def test_a_wrong_token_is_told_by_every_process(stores: list[Store], api: BotApi) -> None:
    api.token = "123456:another"
    assert await stores[0].write(leases.take, RIGHT, "another", 30.0)
    replica = Replica(api, stores[1], "one", Inbox())
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError, match="TELEGRAM_BOT_TOKEN"):
            await replica.running
