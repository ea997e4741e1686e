"""What was said while nobody was connected is found, once, in order and within bounds."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from bots.discord.adapter import DiscordAdapter
from bots.discord.backfill import Backfill, BackfillSources
from bots.discord.shard import Shard
from core.clock import SystemClock
from core.errors import StoreError
from core.port import Incoming
from core.scopes import conversation_key, person_key
from core.store.database import Store
from core.store.inbound import AcceptResult, InboundLimits, accept_event
from core.store.recent_activity import EventHistory, RecentActivity
from tests.bots.discord.conftest import FAST_TIMING, AdapterHarness, FakeInbox
from tests.bots.discord.scripted_discord import (
    BOT,
    CHANNEL,
    DM,
    THREAD,
    error_reply,
    snowflake,
    user,
)

MENTIONS_BOT: dict[str, Any] = {"mentions": [user(BOT, "parley", bot=True)]}
HISTORY_PATH = r"/channels/\d+/messages"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(f"sqlite:///{tmp_path / 'parley.sqlite3'}")
    await store.open()
    yield store
    await store.close()


@dataclass
class StoringInbox(FakeInbox):
    """Hands on what the store did not have."""

    store: Store | None = None

    async def __call__(self, incoming: Incoming) -> None:
        if self.is_failing:
            raise StoreError("The disk is full.")
        assert self.store is not None
        accepted = await self.store.write(
            accept_event,
            incoming,
            conversation_key=conversation_key(incoming.place, incoming.sender, shared=False),
            person=person_key(incoming.sender),
            ordered=True,
            limits=InboundLimits(),
        )
        if accepted is AcceptResult.NEW:
            await self.arrived.put(incoming)


class BotProcess:
    """The adapter on a store, started and stopped."""

    def __init__(self, world: AdapterHarness, store: Store) -> None:
        self.world, self.store, self.discord = world, store, world.discord
        world.inbox = StoringInbox(store=store)

    async def start(self, **more: Any) -> DiscordAdapter:
        return await self.world.start(history=EventHistory(self.store, "discord"), **more)

    async def stop(self) -> None:
        await self.world.stop()
        await self.discord.wait_until(lambda: not self.discord.connection_count)

    async def heard(self, number: int = 1) -> list[str]:
        return [(await self.world.inbox.next()).text for _ in range(number)]

    async def looked(self) -> None:
        """The last look for what was missed has ended well."""
        async with asyncio.timeout(20):
            while self.world.memory.values.get(f"discord.missed.{BOT}.1.0") != "":
                self.world.memory.written.clear()
                await self.world.memory.written.wait()


@pytest.fixture
def bot(store: Store, world: AdapterHarness) -> BotProcess:
    return BotProcess(world, store)


def snowflake_from(seconds: float) -> str:
    return str(int(snowflake()) - (int(seconds * 1000) << 22))


async def test_messages_sent_while_offline_are_received_in_order(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.discord.say(f"<@{BOT}> here", **MENTIONS_BOT)
    await bot.discord.say(f"<@{BOT}> there", channel=THREAD, **MENTIONS_BOT)
    assert sorted(await bot.heard(3)) == ["hello", "here", "there"]
    await bot.stop()

    said = [await bot.discord.say(text, channel=DM) for text in ("one", "two", "three")]
    await bot.discord.say("not for the bot")
    await bot.discord.say("from a bot", author=user(bot=True), **MENTIONS_BOT)
    await bot.discord.say(f"<@{BOT}> four", **MENTIONS_BOT)
    await bot.discord.say(f"<@{BOT}> five", channel=THREAD, **MENTIONS_BOT)
    await bot.start()
    missed = [await bot.world.inbox.next() for _ in range(5)]
    await bot.looked()
    assert bot.world.inbox.arrived.empty()
    assert sorted(one.text for one in missed) == ["five", "four", "one", "three", "two"]
    assert [(one.text, one.key) for one in missed if one.place.is_private] == [
        (text, f"m{id_}") for text, id_ in zip(("one", "two", "three"), said, strict=True)
    ]
    places = {one.text: (one.place.chat, one.place.thread, one.place.is_private) for one in missed}
    assert places["one"] == (DM, None, True)
    assert places["four"] == (CHANNEL, None, False)
    assert places["five"] == (CHANNEL, THREAD, False)


async def test_thread_is_backfilled_once(bot: BotProcess) -> None:
    """The library does not know of a thread that slept what it belongs to."""

    class Slept(EventHistory):
        async def recent_activity(
            self, account: str, *, max_places: int, within_seconds: float, before_turn: int | None
        ) -> RecentActivity:
            activity = await super().recent_activity(
                account, max_places=max_places, within_seconds=within_seconds, before_turn=before_turn
            )
            as_channels = [
                replace(event, place=replace(event.place, chat=THREAD, thread=None)) for event in activity.latest_events
            ]
            return replace(activity, latest_events=activity.latest_events + as_channels)

    await bot.start()
    await bot.discord.say(f"<@{BOT}> hello", channel=THREAD, **MENTIONS_BOT)
    await bot.heard()
    await bot.stop()
    await bot.discord.say(f"<@{BOT}> missed", channel=THREAD, **MENTIONS_BOT)
    await bot.world.start(history=Slept(bot.store, "discord"))
    assert await bot.heard() == ["missed"]
    await bot.looked()
    assert len(bot.discord.requests_to("GET", HISTORY_PATH)) == 1


async def test_received_messages_are_not_backfilled(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    for _ in range(2):
        await bot.stop()
        await bot.start()
        await bot.looked()
    assert bot.discord.requests_to("GET", HISTORY_PATH)
    assert bot.world.inbox.arrived.empty()


async def test_resumed_session_does_not_backfill(bot: BotProcess) -> None:
    await bot.start()
    await bot.looked()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    await bot.discord.reconnect()
    await bot.discord.say("in between", channel=DM)
    assert await bot.heard() == ["in between"]
    assert not bot.discord.requests_to("GET", HISTORY_PATH)


async def test_invalid_session_is_replaced_without_loss(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    await bot.discord.invalidate()
    await bot.discord.say("meanwhile", channel=DM)
    assert await bot.heard() == ["meanwhile"]
    assert len(bot.discord.identifies) == 2


async def test_backfilled_messages_precede_new_ones(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.discord.say(f"<@{BOT}> hello", **MENTIONS_BOT)
    await bot.heard(2)
    await bot.stop()
    await bot.discord.say("missed", channel=DM)

    asked, go = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.StreamResponse | None:
        asked.set()
        await go.wait()
        return None

    bot.discord.script("GET", f"/channels/{DM}/messages", slow)
    await bot.start()
    await asked.wait()
    await bot.discord.say("now", channel=DM)
    await bot.discord.say(f"<@{BOT}> elsewhere", id=snowflake_from(30), channel=THREAD, **MENTIONS_BOT)
    assert await bot.heard() == ["elsewhere"], "other channels wait for nothing"
    go.set()
    assert await bot.heard(2) == ["missed", "now"]


async def test_hanging_backfill_does_not_block_new_messages(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    await bot.stop()
    refused = [error_reply(429, 0, retry_after=60)]
    bot.discord.script("GET", HISTORY_PATH, *refused)
    await bot.start(timings=replace(FAST_TIMING, backfill_order_timeout=0.2))
    await bot.discord.say("now", channel=DM)
    assert await bot.heard() == ["now"]
    began = time.monotonic()
    await bot.stop()
    assert time.monotonic() - began < 3, "ended although it waits"


async def test_interrupted_backfill_restarts_at_its_beginning(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM, id=snowflake_from(60))
    await bot.heard()
    await bot.stop()
    await bot.discord.say("missed", channel=DM, id=snowflake_from(40))
    bot.discord.script("GET", HISTORY_PATH, error_reply(429, 0, retry_after=60))
    await bot.start(timings=replace(FAST_TIMING, backfill_order_timeout=0.05))
    await bot.discord.say("now", channel=DM)
    assert await bot.heard() == ["now"]
    await bot.stop()
    await bot.start()
    assert await bot.heard() == ["missed"]


async def test_old_messages_are_not_backfilled(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM, id=snowflake_from(3600))
    await bot.heard()
    await bot.stop()
    await bot.discord.say("long ago", channel=DM, id=snowflake_from(700))
    await bot.discord.say("lately", channel=DM, id=snowflake_from(500))
    await bot.start(max_backfill_age=600)
    assert await bot.heard() == ["lately"]
    await bot.looked()
    assert bot.world.inbox.arrived.empty()


async def test_backfill_reads_bounded_pages(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM, id=snowflake_from(100))
    await bot.heard()
    await bot.stop()
    for number in range(620):
        message = str(int(snowflake_from(50)) + number)
        await bot.discord.say(f"{number}", channel=DM, id=message)
    await bot.start()
    await bot.looked()
    assert len(bot.discord.requests_to("GET", HISTORY_PATH)) == 5
    found = await bot.heard(bot.world.inbox.arrived.qsize())
    # The one that was known is read with them.
    assert found == [str(number) for number in range(499)]


@pytest.mark.parametrize(("status", "code"), [(403, 50001), (404, 10003)])
async def test_unreadable_channel_is_skipped(bot: BotProcess, status: int, code: int) -> None:
    await bot.start()
    await bot.discord.say(f"<@{BOT}> hello", **MENTIONS_BOT)
    await bot.discord.say(f"<@{BOT}> hello", channel=THREAD, **MENTIONS_BOT)
    await bot.heard(2)
    await bot.stop()
    await bot.discord.say(f"<@{BOT}> missed", channel=THREAD, **MENTIONS_BOT)
    bot.discord.script("GET", f"/channels/{CHANNEL}/messages", error_reply(status, code))
    await bot.start()
    assert await bot.heard() == ["missed"]
    await bot.looked()


async def test_backfill_retries_rate_limits_and_errors(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    await bot.stop()
    await bot.discord.say("missed", channel=DM)
    faults = [error_reply(429, 0, retry_after=0.3), error_reply(503), error_reply(500)]
    bot.discord.script("GET", HISTORY_PATH, *faults)
    began = time.monotonic()
    await bot.start()
    assert await bot.heard() == ["missed"]
    assert time.monotonic() - began > 0.3
    assert len(bot.discord.requests_to("GET", HISTORY_PATH)) == 4


async def test_unavailable_guild_is_backfilled_later(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say(f"<@{BOT}> hello", **MENTIONS_BOT)
    await bot.heard()
    await bot.stop()
    await bot.discord.say(f"<@{BOT}> missed", **MENTIONS_BOT)
    bot.discord.omits_guilds = True
    await bot.start(timings=replace(FAST_TIMING, guild_timeout=0.1))
    await bot.discord.say("hello", channel=DM)
    assert await bot.heard() == ["hello"]
    assert not bot.discord.requests_to("GET", f"/channels/{CHANNEL}/messages")
    await bot.stop()
    bot.discord.omits_guilds = False
    await bot.start()
    assert await bot.heard() == ["missed"]


async def test_hanging_store_does_not_block_connecting(bot: BotProcess) -> None:
    class Broken(EventHistory):
        async def recent_activity(
            self, account: str, *, max_places: int, within_seconds: float, before_turn: int | None
        ) -> RecentActivity:
            raise StoreError("The disk is full.")

    await bot.world.start(history=Broken(bot.store, "discord"))
    await bot.discord.say("hello", channel=DM)
    assert await bot.heard() == ["hello"]


async def test_shards_backfill_their_own_guilds(bot: BotProcess) -> None:
    await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.discord.say(f"<@{BOT}> hello", **MENTIONS_BOT)
    await bot.heard(2)
    await bot.stop()
    bot.discord.shards = 2
    await bot.start(gateway_url=None)
    await bot.discord.wait_until(lambda: len(bot.discord.requests_to("GET", HISTORY_PATH)) == 2)
    await bot.discord.wait_until(lambda: bot.discord.connection_count == 2)
    paths = [one.path for one in bot.discord.requests_to("GET", HISTORY_PATH)]
    assert sorted(paths) == sorted(f"/channels/{one}/messages" for one in (DM, CHANNEL))


async def test_lost_shard_does_not_end_backfill_of_new_owner(
    bot: BotProcess,
) -> None:
    """A process that was frozen in its search wakes up when another one searches."""
    chat = await bot.start()
    await bot.discord.say("hello", channel=DM)
    await bot.heard()
    await bot.looked()
    memory = BackfillSources(EventHistory(bot.store, "discord"), bot.world.memory, 600)
    frozen, other = (Backfill(chat._http, memory, BOT, Shard(0, 1), FAST_TIMING, SystemClock()) for _ in range(2))
    await frozen.save_mark()
    await other.save_mark()
    await frozen._clear_mark()
    assert bot.world.memory.values[frozen._mark_name] != ""
    await other._clear_mark()
    assert bot.world.memory.values[frozen._mark_name] == ""
