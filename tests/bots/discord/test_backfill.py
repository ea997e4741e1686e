"""Messages missed while no session existed are handled once, in order and within bounds."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from bots.discord.adapter import DiscordAdapter
from bots.discord.backfill import Backfill, BackfillSources
from bots.discord.shard_allocator import Shard
from bots.sandbox.discord import ScriptedReply
from core.errors import StoreError
from core.port import Incoming
from core.scopes import conversation_key, person_key
from core.store.database import Store
from core.store.inbound import AcceptResult, InboundLimits, accept_event
from core.store.recent_activity import EventHistory, RecentActivity
from tests.bots.discord.conftest import FAST_TIMINGS, AdapterHarness, FakeInbox, messages_path
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

HISTORY_PATH = r"/channels/\d+/messages"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(sqlite_url(tmp_path))
    await store.open()
    yield store
    await store.close()


@dataclass
class StoringInbox(FakeInbox):
    """Queues the events that the store did not have yet."""

    store: Store | None = None

    async def __call__(self, incoming: Incoming) -> None:
        assert self.store is not None
        accepted = await self.store.write(
            accept_event,
            incoming,
            conversation_key=conversation_key(incoming.place, incoming.sender, shared=False),
            person_key=person_key(incoming.sender),
            ordered=True,
            limits=InboundLimits(),
        )
        if accepted in (AcceptResult.NEW, AcceptResult.WAITING, AcceptResult.MERGED):
            await self.events.put(incoming)


class BotProcess:
    """The adapter on a store, started and stopped."""

    def __init__(self, harness: AdapterHarness, store: Store) -> None:
        self.harness, self.store, self.discord = harness, store, harness.discord
        harness.inbox = StoringInbox(store=store)
        self.mark_name = f"discord.missed.{harness.account}.1.0"

    async def start(self, history: EventHistory | None = None, **settings: Any) -> DiscordAdapter:
        return await self.harness.start(history=history or EventHistory(self.store, "discord"), **settings)

    async def stop(self) -> None:
        await self.harness.stop()
        await self.harness.wait_for_connections(0)

    async def received(self, count: int = 1) -> list[str]:
        """The texts of the next events."""
        return [(await self.harness.inbox.next()).text for _ in range(count)]

    async def backfill_completed(self) -> None:
        async with asyncio.timeout(20):
            while self.harness.state.values.get(self.mark_name) != "":
                self.harness.state.saved.clear()
                await self.harness.state.saved.wait()


@pytest.fixture
def bot(store: Store, harness: AdapterHarness) -> BotProcess:
    return BotProcess(harness, store)


async def test_messages_sent_while_offline_are_received_in_order(bot: BotProcess) -> None:
    harness = bot.harness
    await bot.start()
    await harness.say("hello")
    await harness.mention("here")
    await harness.mention("there", harness.thread)
    assert sorted(await bot.received(3)) == ["hello", "here", "there"]
    await bot.stop()

    sent = [await harness.say(text) for text in ("one", "two", "three")]
    await harness.say("not for the bot", harness.channel)
    robot = bot.discord.create_user("Robot")
    robot.is_bot = True
    await bot.discord.send_message(robot, harness.channel, f"{bot.discord.mention} from a bot")
    await harness.mention("four")
    await harness.mention("five", harness.thread)
    await bot.start()
    missed = [await harness.inbox.next() for _ in range(5)]
    await bot.backfill_completed()
    assert harness.inbox.events.empty()
    assert sorted(event.text for event in missed) == ["five", "four", "one", "three", "two"]
    assert [event.key for event in missed if event.place.is_private] == [f"m{message.id}" for message in sent]
    assert [event.text for event in missed if event.place.is_private] == ["one", "two", "three"]
    places = {event.text: event.place for event in missed}
    assert places["one"] == harness.place(harness.dm)
    assert places["four"] == harness.place(harness.channel)
    assert places["five"] == harness.place(harness.thread)


@pytest.mark.parametrize("message_content", [False, True])
async def test_unaddressed_message_in_own_thread_is_backfilled_only_with_the_intent(
    bot: BotProcess, message_content: bool
) -> None:
    """Discord's history may show the text of a message that the bot does not see while it is connected."""
    thread = bot.discord.create_thread(bot.harness.channel, "Lisbon", owner=bot.discord.bot)
    await bot.start(message_content=message_content)
    await bot.harness.mention("hello", thread)
    await bot.received()
    await bot.stop()
    await bot.harness.say("in the thread", thread)
    await bot.harness.mention("missed", thread)
    await bot.start(message_content=message_content)
    expected = ["in the thread", "missed"] if message_content else ["missed"]
    assert await bot.received(len(expected)) == expected
    await bot.backfill_completed()
    assert bot.harness.inbox.events.empty()


async def test_thread_is_backfilled_once(bot: BotProcess) -> None:
    """The library does not know the parent of an archived thread, so the thread may be stored as a channel too."""
    thread_id = str(bot.harness.thread.id)

    class HistoryWithThreadAsChannel(EventHistory):
        async def recent_activity(
            self, account: str, *, max_places: int, within_seconds: float, before_turn: int | None
        ) -> RecentActivity:
            activity = await super().recent_activity(
                account, max_places=max_places, within_seconds=within_seconds, before_turn=before_turn
            )
            as_channels = [
                replace(event, place=replace(event.place, chat=thread_id, thread=None))
                for event in activity.latest_events
            ]
            return replace(activity, latest_events=activity.latest_events + as_channels)

    await bot.start()
    await bot.harness.mention("hello", bot.harness.thread)
    await bot.received()
    await bot.stop()
    await bot.harness.mention("missed", bot.harness.thread)
    await bot.start(HistoryWithThreadAsChannel(bot.store, "discord"))
    assert await bot.received() == ["missed"]
    await bot.backfill_completed()
    assert len(bot.discord.calls_to("GET", HISTORY_PATH)) == 1


async def test_received_messages_are_not_backfilled(bot: BotProcess) -> None:
    await bot.start()
    await bot.harness.say("hello")
    await bot.received()
    for _ in range(2):
        await bot.stop()
        await bot.start()
        await bot.backfill_completed()
    assert bot.discord.calls_to("GET", HISTORY_PATH)
    assert bot.harness.inbox.events.empty()


async def test_resumed_session_does_not_backfill(bot: BotProcess) -> None:
    await bot.start()
    await bot.backfill_completed()
    await bot.harness.say("hello")
    await bot.received()
    await bot.discord.gateway.request_reconnect()
    await bot.harness.say("in between")
    assert await bot.received() == ["in between"]
    assert not bot.discord.calls_to("GET", HISTORY_PATH)


async def test_invalid_session_is_replaced_without_loss(bot: BotProcess) -> None:
    await bot.start()
    await bot.harness.say("hello")
    await bot.received()
    await bot.discord.gateway.invalidate_sessions()
    await bot.harness.say("meanwhile")
    assert await bot.received() == ["meanwhile"]
    assert len(bot.discord.gateway.identifies) == 2


async def test_backfilled_messages_precede_new_ones(bot: BotProcess) -> None:
    await bot.start()
    await bot.harness.say("hello")
    await bot.harness.mention("hello")
    await bot.received(2)
    await bot.stop()
    await bot.harness.say("missed")

    may_read = asyncio.Event()
    path = messages_path(bot.harness.dm)
    bot.discord.script.add(f"GET {path}", ScriptedReply(None, hold_until=may_read))
    await bot.start()
    await bot.discord.wait_for(lambda: bot.discord.calls_to("GET", path))
    await bot.harness.say("now")
    await bot.harness.mention("elsewhere", bot.harness.thread, age=30)
    assert await bot.received() == ["elsewhere"], "other channels do not wait"
    may_read.set()
    assert await bot.received(2) == ["missed", "now"]


async def test_hanging_backfill_does_not_block_new_messages(bot: BotProcess) -> None:
    await bot.start()
    await bot.harness.say("hello")
    await bot.received()
    await bot.stop()
    bot.discord.script.add(f"GET {HISTORY_PATH}", ScriptedReply.error(429, retry_after=60))
    await bot.start(timings=replace(FAST_TIMINGS, backfill_order_timeout=0.2))
    await bot.harness.say("now")
    assert await bot.received() == ["now"]
    async with asyncio.timeout(10):
        await bot.stop()


async def test_interrupted_backfill_restarts_at_its_beginning(bot: BotProcess) -> None:
    await bot.start()
    await bot.harness.say("hello", age=60)
    await bot.received()
    await bot.stop()
    await bot.harness.say("missed", age=40)
    bot.discord.script.add(f"GET {HISTORY_PATH}", ScriptedReply.error(429, retry_after=60))
    await bot.start(timings=replace(FAST_TIMINGS, backfill_order_timeout=0.05))
    await bot.harness.say("now")
    assert await bot.received() == ["now"]
    await bot.stop()
    await bot.start()
    assert await bot.received() == ["missed"]


async def test_old_messages_are_not_backfilled(bot: BotProcess) -> None:
    await bot.start()
    await bot.harness.say("hello", age=3600)
    await bot.received()
    await bot.stop()
    await bot.harness.say("long ago", age=700)
    await bot.harness.say("lately", age=500)
    await bot.start(max_backfill_age=600)
    assert await bot.received() == ["lately"]
    await bot.backfill_completed()
    assert bot.harness.inbox.events.empty()


@pytest.mark.slow
async def test_backfill_reads_bounded_pages(bot: BotProcess) -> None:
    await bot.start()
    await bot.harness.say("hello", age=100)
    await bot.received()
    await bot.stop()
    for number in range(620):
        await bot.harness.say(f"{number}", age=50)
    await bot.start()
    await bot.backfill_completed()
    assert len(bot.discord.calls_to("GET", HISTORY_PATH)) == 5
    received = await bot.received(bot.harness.inbox.events.qsize())
    # The 500 messages that were read include the stored one.
    assert received == [str(number) for number in range(499)]


@pytest.mark.parametrize(("status", "code"), [(403, 50001), (404, 10003)])
async def test_unreadable_channel_is_skipped(bot: BotProcess, status: int, code: int) -> None:
    await bot.start()
    await bot.harness.mention("hello")
    await bot.harness.mention("hello", bot.harness.thread)
    await bot.received(2)
    await bot.stop()
    await bot.harness.mention("missed", bot.harness.thread)
    bot.discord.script.add(f"GET {messages_path(bot.harness.channel)}", ScriptedReply.error(status, code))
    await bot.start()
    assert await bot.received() == ["missed"]
    await bot.backfill_completed()


async def test_backfill_retries_rate_limits_and_errors(bot: BotProcess) -> None:
    await bot.start()
    await bot.harness.say("hello")
    await bot.received()
    await bot.stop()
    await bot.harness.say("missed")
    failures = (ScriptedReply.error(429, retry_after=0.3), ScriptedReply.error(503), ScriptedReply.error(500))
    bot.discord.script.add(f"GET {HISTORY_PATH}", *failures)
    await bot.start()
    assert await bot.received() == ["missed"]
    times = [call.time for call in bot.discord.calls_to("GET", HISTORY_PATH)]
    assert len(times) == 4
    assert times[1] - times[0] >= 0.3


async def test_unavailable_guild_is_backfilled_later(bot: BotProcess) -> None:
    await bot.start()
    await bot.harness.mention("hello")
    await bot.received()
    await bot.stop()
    await bot.harness.mention("missed")
    bot.discord.gateway.script.withholds_guilds = True
    await bot.start(timings=replace(FAST_TIMINGS, guild_timeout=0.1))
    await bot.harness.say("hello")
    assert await bot.received() == ["hello"]
    assert not bot.discord.calls_to("GET", messages_path(bot.harness.channel))
    await bot.stop()
    bot.discord.gateway.script.withholds_guilds = False
    await bot.start()
    assert await bot.received() == ["missed"]


async def test_guild_must_be_announced_in_each_session(bot: BotProcess) -> None:
    await bot.start(timings=replace(FAST_TIMINGS, guild_timeout=0.1))
    await bot.harness.mention("hello")
    await bot.received()
    bot.discord.gateway.script.withholds_guilds = True
    with structlog.testing.capture_logs() as logs:
        await bot.discord.gateway.invalidate_sessions()
        await wait_until(lambda: "discord.backfill_finished" in [entry["event"] for entry in logs])
    assert not bot.discord.calls_to("GET", messages_path(bot.harness.channel))


async def test_failing_store_does_not_block_connecting(bot: BotProcess) -> None:
    class FailingHistory(EventHistory):
        async def recent_activity(
            self, account: str, *, max_places: int, within_seconds: float, before_turn: int | None
        ) -> RecentActivity:
            raise StoreError("The disk is full.")

    await bot.start(FailingHistory(bot.store, "discord"))
    await bot.harness.say("hello")
    assert await bot.received() == ["hello"]


async def test_hanging_store_does_not_block_connecting(bot: BotProcess) -> None:
    class HangingHistory(EventHistory):
        async def recent_activity(
            self, account: str, *, max_places: int, within_seconds: float, before_turn: int | None
        ) -> RecentActivity:
            await asyncio.Event().wait()
            raise AssertionError

    timings = replace(FAST_TIMINGS, checkpoint_timeout=0.1)
    await bot.start(HangingHistory(bot.store, "discord"), timings=timings)
    await bot.harness.say("hello")
    assert await bot.received() == ["hello"]


@pytest.mark.slow
async def test_shards_backfill_their_own_guilds(bot: BotProcess) -> None:
    await bot.start()
    await bot.harness.say("hello")
    await bot.harness.mention("hello")
    await bot.received(2)
    await bot.stop()
    bot.discord.gateway.script.shard_count = 2
    await bot.start(gateway_url=None)
    await bot.discord.wait_for(lambda: len(bot.discord.calls_to("GET", HISTORY_PATH)) == 2)
    await bot.harness.wait_for_connections(2)
    paths = [call.path for call in bot.discord.calls_to("GET", HISTORY_PATH)]
    assert sorted(paths) == sorted(map(messages_path, (bot.harness.dm, bot.harness.channel)))


async def test_lost_shard_does_not_end_backfill_of_new_owner(bot: BotProcess) -> None:
    """A process that froze during backfill wakes up while another one backfills the same shard."""
    adapter = await bot.start()
    await bot.harness.say("hello")
    await bot.received()
    await bot.backfill_completed()
    sources = BackfillSources(EventHistory(bot.store, "discord"), bot.harness.state, 600)
    frozen, other = (Backfill(adapter._http, sources, bot.harness.account, Shard(0, 1), FAST_TIMINGS) for _ in range(2))
    await frozen.save_checkpoint()
    await other.save_checkpoint()
    await frozen._clear_checkpoint()
    assert bot.harness.state.values[bot.mark_name] != ""
    await other._clear_checkpoint()
    assert bot.harness.state.values[bot.mark_name] == ""
