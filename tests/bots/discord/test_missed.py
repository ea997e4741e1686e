"""What was said while nobody was connected is found, once, in order and within bounds."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bots.discord.chat import DiscordChat
from bots.discord.missed import Memory, Missed
from core.conversation.scope import conversation_key, person_key
from core.errors import StoreError
from core.port import Incoming
from core.store.accepting import Accepted, Bounds, accept
from core.store.database import Store
from core.store.heard import Heard, History
from tests.bots.discord.conftest import QUICK, Inbox, World
from tests.bots.discord.loopback import BOT, CHANNEL, DM, THREAD, refusal, snowflake, user

US: dict[str, Any] = {"mentions": [user(BOT, "parley", bot=True)]}
HISTORY = r"/channels/\d+/messages"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    yield store
    await store.close()


@dataclass
class Kept(Inbox):
    """Hands on what the store did not have."""

    store: Store | None = None

    async def __call__(self, incoming: Incoming) -> None:
        if self.broken:
            raise StoreError("The disk is full.")
        assert self.store is not None
        accepted = await self.store.write(
            accept,
            incoming,
            key=conversation_key(incoming.place, incoming.sender, shared=False),
            person=person_key(incoming.sender),
            ordered=True,
            bounds=Bounds(),
        )
        if accepted is Accepted.NEW:
            await self.arrived.put(incoming)


class Bot:
    """The adapter on a store, started and stopped."""

    def __init__(self, world: World, store: Store) -> None:
        self.world, self.store, self.discord = world, store, world.discord
        world.inbox = Kept(store=store)

    async def start(self, **more: Any) -> DiscordChat:
        return await self.world.start(history=History(self.store, "discord"), **more)

    async def stop(self) -> None:
        await self.world.stop()
        await self.discord.until(lambda: not self.discord.connected)

    async def heard(self, number: int = 1) -> list[str]:
        return [(await self.world.inbox.next()).text for _ in range(number)]

    async def looked(self) -> None:
        """The last look for what was missed has ended well."""
        async with asyncio.timeout(20):
            while self.world.memory.kept.get(f"discord.missed.{BOT}.1.0") != "":
                self.world.memory.written.clear()
                await self.world.memory.written.wait()


@pytest.fixture
def bot(store: Store, world: World) -> Bot:
    return Bot(world, store)


def old(seconds: float) -> str:
    return str(int(snowflake()) - (int(seconds * 1000) << 22))


async def test_what_was_said_while_nobody_was_connected_is_taken_in_order(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.discord.say(f"<@{BOT}> here", **US)
    await bot.discord.say(f"<@{BOT}> there", channel=THREAD, **US)
    assert sorted(await bot.heard(3)) == ["hello", "here", "there"]
    await bot.stop()

    said = [await bot.discord.say(text, channel=DM) for text in ("one", "two", "three")]
    await bot.discord.say("not for the bot")
    await bot.discord.say("from a bot", author=user(bot=True), **US)
    await bot.discord.say(f"<@{BOT}> four", **US)
    await bot.discord.say(f"<@{BOT}> five", channel=THREAD, **US)
    await bot.start()
    missed = [await bot.world.inbox.next() for _ in range(5)]
    await bot.looked()
    assert bot.world.inbox.arrived.empty()
    assert sorted(one.text for one in missed) == ["five", "four", "one", "three", "two"]
    assert [(one.text, one.key) for one in missed if one.place.private] == [
        (text, f"m{id_}") for text, id_ in zip(("one", "two", "three"), said, strict=True)
    ]
    places = {one.text: (one.place.chat, one.place.thread, one.place.private) for one in missed}
    assert places["one"] == (DM, None, True)
    assert places["four"] == (CHANNEL, None, False)
    assert places["five"] == (CHANNEL, THREAD, False)


async def test_a_thread_that_is_known_as_a_channel_too_is_read_once(bot: Bot) -> None:
    """The library does not know of a thread that slept what it belongs to."""

    class Slept(History):
        async def last_heard(
            self, account: str, *, most: int, within: float, before: int | None
        ) -> Heard:
            heard = await super().last_heard(account, most=most, within=within, before=before)
            alike = [
                replace(one, place=replace(one.place, chat=THREAD, thread=None))
                for one in heard.latest
            ]
            return replace(heard, latest=heard.latest + alike)

    await bot.start()
    await bot.discord.say(f"<@{BOT}> hello", channel=THREAD, **US)
    await bot.heard()
    await bot.stop()
    await bot.discord.say(f"<@{BOT}> missed", channel=THREAD, **US)
    await bot.world.start(history=Slept(bot.store, "discord"))
    assert await bot.heard() == ["missed"]
    await bot.looked()
    assert len(bot.discord.made("GET", HISTORY)) == 1


async def test_what_had_arrived_is_not_taken_again(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    for _ in range(2):
        await bot.stop()
        await bot.start()
        await bot.looked()
    assert bot.discord.made("GET", HISTORY)
    assert bot.world.inbox.arrived.empty()


async def test_a_session_that_is_resumed_looks_for_nothing(bot: Bot) -> None:
    await bot.start()
    await bot.looked()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    await bot.discord.reconnect()
    await bot.discord.say("in between", channel=DM)
    assert await bot.heard() == ["in between"]
    assert not bot.discord.made("GET", HISTORY)


async def test_a_session_that_was_invalid_is_replaced_and_nothing_is_lost(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    await bot.discord.invalidate()
    await bot.discord.say("meanwhile", channel=DM)
    assert await bot.heard() == ["meanwhile"]
    assert len(bot.discord.identifies) == 2


async def test_what_is_said_now_comes_after_what_was_missed_there(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.discord.say(f"<@{BOT}> hello", **US)
    await bot.heard(2)
    await bot.stop()
    await bot.discord.say("missed", channel=DM)

    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse | None:
        asked.set()
        await go.wait()
        return None

    bot.discord.misbehave("GET", f"/channels/{DM}/messages", slow)
    await bot.start()
    await asked.wait()
    await bot.discord.say("now", channel=DM)
    await bot.discord.say(f"<@{BOT}> elsewhere", id=old(30), channel=THREAD, **US)
    assert await bot.heard() == ["elsewhere"], "other channels wait for nothing"
    go.set()
    assert await bot.heard(2) == ["missed", "now"]


async def test_a_look_that_hangs_does_not_hold_back_what_is_said_now(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    await bot.stop()
    refused = [refusal(429, 0, retry_after=60)]
    bot.discord.misbehave("GET", HISTORY, *refused)
    await bot.start(timing=replace(QUICK, in_order=0.2))
    await bot.discord.say("now", channel=DM)
    assert await bot.heard() == ["now"]
    began = time.monotonic()
    await bot.stop()
    assert time.monotonic() - began < 3, "ended although it waits"


async def test_a_look_that_was_cut_short_begins_again_where_it_began(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM, id=old(60))
    await bot.heard()
    await bot.stop()
    await bot.discord.say("missed", channel=DM, id=old(40))
    bot.discord.misbehave("GET", HISTORY, refusal(429, 0, retry_after=60))
    await bot.start(timing=replace(QUICK, in_order=0.05))
    await bot.discord.say("now", channel=DM)
    assert await bot.heard() == ["now"]
    await bot.stop()
    await bot.start()
    assert await bot.heard() == ["missed"]


async def test_what_is_too_old_is_left(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM, id=old(3600))
    await bot.heard()
    await bot.stop()
    await bot.discord.say("long ago", channel=DM, id=old(700))
    await bot.discord.say("lately", channel=DM, id=old(500))
    await bot.start(too_old=600)
    assert await bot.heard() == ["lately"]
    await bot.looked()
    assert bot.world.inbox.arrived.empty()


async def test_many_messages_are_read_page_by_page_and_not_without_end(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM, id=old(100))
    await bot.heard()
    await bot.stop()
    for number in range(620):
        message = str(int(old(50)) + number)
        await bot.discord.say(f"{number}", channel=DM, id=message)
    await bot.start()
    await bot.looked()
    assert len(bot.discord.made("GET", HISTORY)) == 5
    found = await bot.heard(bot.world.inbox.arrived.qsize())
    # The one that was known is read with them.
    assert found == [str(number) for number in range(499)]


@pytest.mark.parametrize(("status", "code"), [(403, 50001), (404, 10003)])
async def test_a_channel_that_can_not_be_read_is_passed_over(
    bot: Bot, status: int, code: int
) -> None:
    await bot.start()
    await bot.discord.say(f"<@{BOT}> hello", **US)
    await bot.discord.say(f"<@{BOT}> hello", channel=THREAD, **US)
    await bot.heard(2)
    await bot.stop()
    await bot.discord.say(f"<@{BOT}> missed", channel=THREAD, **US)
    bot.discord.misbehave("GET", f"/channels/{CHANNEL}/messages", refusal(status, code))
    await bot.start()
    assert await bot.heard() == ["missed"]
    await bot.looked()


async def test_limits_and_faults_are_waited_out(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    await bot.stop()
    await bot.discord.say("missed", channel=DM)
    faults = [refusal(429, 0, retry_after=0.3), refusal(503), refusal(500)]
    bot.discord.misbehave("GET", HISTORY, *faults)
    began = time.monotonic()
    await bot.start()
    assert await bot.heard() == ["missed"]
    assert time.monotonic() - began > 0.3
    assert len(bot.discord.made("GET", HISTORY)) == 4


async def test_a_server_discord_does_not_tell_of_is_looked_at_later(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say(f"<@{BOT}> hello", **US)
    await bot.heard()
    await bot.stop()
    await bot.discord.say(f"<@{BOT}> missed", **US)
    bot.discord.silent_about_servers = True
    await bot.start(timing=replace(QUICK, guilds=0.1))
    await bot.discord.say("hello", channel=DM)
    assert await bot.heard() == ["hello"]
    assert not bot.discord.made("GET", f"/channels/{CHANNEL}/messages")
    await bot.stop()
    bot.discord.silent_about_servers = False
    await bot.start()
    assert await bot.heard() == ["missed"]


async def test_a_store_that_does_not_answer_keeps_nobody_from_connecting(bot: Bot) -> None:
    class Broken(History):
        async def last_heard(
            self, account: str, *, most: int, within: float, before: int | None
        ) -> Heard:
            raise StoreError("The disk is full.")

    await bot.world.start(history=Broken(bot.store, "discord"))
    await bot.discord.say("hello", channel=DM)
    assert await bot.heard() == ["hello"]


async def test_shards_look_where_they_are_told_of(bot: Bot) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.discord.say(f"<@{BOT}> hello", **US)
    await bot.heard(2)
    await bot.stop()
    bot.discord.shards = 2
    await bot.start(gateway_url=None)
    await bot.discord.until(lambda: len(bot.discord.made("GET", HISTORY)) == 2)
    await bot.discord.until(lambda: bot.discord.connected == 2)
    paths = [one.path for one in bot.discord.made("GET", HISTORY)]
    assert sorted(paths) == sorted(f"/channels/{one}/messages" for one in (DM, CHANNEL))


async def test_who_lost_the_shard_meanwhile_does_not_end_the_search_of_who_has_it(
    bot: Bot,
) -> None:
    """A process that was frozen in its search wakes up when another one searches."""
    chat = await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    await bot.looked()
    memory = Memory(History(bot.store, "discord"), bot.world.memory, 600)
    frozen, other = (Missed(chat._rest, memory, BOT, (0, 1), QUICK) for _ in range(2))
    await frozen.note()
    await other.note()
    await frozen._end_mark()
    assert bot.world.memory.kept[frozen._mark] != ""
    await other._end_mark()
    assert bot.world.memory.kept[frozen._mark] == ""
