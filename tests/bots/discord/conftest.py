"""The adapter on Discord's stand-in, without the core."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bots.discord.adapter import DiscordAdapter
from bots.discord.timings import DiscordTimings
from bots.sandbox.discord import Channel, DiscordStandIn, Interaction, Limits, Message
from bots.sandbox.discord.backend import member_json
from bots.sandbox.discord.state import next_snowflake
from core.commands.declarations import COMMANDS
from core.commands.models import AutocompleteChoice
from core.errors import AccessDeniedError, StoreError
from core.port import Inbox, Incoming, Place
from core.texts.answers import ACCESS_DENIED
from tests import api_specs
from tests.state_store import MemoryState

FAST_TIMINGS = DiscordTimings(
    max_acknowledge_delay=0.2,
    max_read_delay=0.2,
    store_timeout=0.0,
    acknowledge_timeout=2.0,
    first_retry_delay=0.02,
    max_retry_delay=0.1,
    max_command_poll_interval=0.1,
    identify_interval=0.0,
    identify_tolerance=0.1,
    identify_retry_interval=0.02,
    close_timeout=1.0,
    heartbeat_check_interval=0.1,
    shard_claim_interval=0.05,
    extra_interval_per_shard=0.02,
)


@dataclass
class FakeInbox:
    """Queues events. Waits for `may_store`, fails while `is_failing`, rejects the sender while `denies` or `bans`."""

    events: asyncio.Queue[Incoming] = field(default_factory=asyncio.Queue)
    may_store: asyncio.Event = field(default_factory=asyncio.Event)
    is_failing: bool = False
    denies: bool = False
    bans: bool = False
    has_failed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_store.set()

    async def __call__(self, incoming: Incoming) -> None:
        await self.may_store.wait()
        if self.is_failing:
            self.has_failed.set()
            raise StoreError("The disk is full.")
        if self.bans:
            self.has_failed.set()
            raise AccessDeniedError("")
        if self.denies:
            raise AccessDeniedError(ACCESS_DENIED)
        await self.events.put(incoming)

    async def next(self) -> Incoming:
        async with asyncio.timeout(5):
            return await self.events.get()


class AdapterHarness:
    """Adapters under test, and a guild with a channel and a thread where Ann writes."""

    def __init__(self, discord: DiscordStandIn) -> None:
        self.discord = discord
        self.inbox = FakeInbox()
        self.state = MemoryState()
        self.suggestions: list[AutocompleteChoice] = []
        self.suggestion_requests: list[str] = []
        self.instructions = "Be brief."
        self.question: str | None = "Why?"
        self.language: str | None = "en"
        """Of the bot's messages to Ann; None: the database does not say."""
        self.owner = discord.create_user("Olga")
        self.ann = discord.create_user("Ann")
        self.guild = discord.create_guild("Home", self.owner, self.ann)
        self.channel = discord.create_channel(self.guild, "general")
        self.thread = discord.create_thread(self.channel, "aside")
        self.dm = discord.open_dm(self.ann)
        self.account = str(discord.bot.id)
        self._adapters: list[DiscordAdapter] = []
        self._running: list[asyncio.Task[None]] = []

    # The adapter

    def build(self, token: str | None = None, **settings: Any) -> DiscordAdapter:
        defaults: dict[str, Any] = {
            "commands": COMMANDS,
            "autocomplete_models": self.autocomplete_models,
            "has_access": self.has_access,
            "read_language": self.read_language,
            "read_instructions": self.read_instructions,
            "read_question": self.read_question,
            "state": self.state,
            "api_base": self.discord.api_base,
            "gateway_url": self.discord.gateway_url,
            "timings": FAST_TIMINGS,
        }
        adapter = DiscordAdapter(token or self.discord.token, **defaults | settings)
        self._adapters.append(adapter)
        return adapter

    def autocomplete_models(self, text: str) -> Sequence[AutocompleteChoice]:
        self.suggestion_requests.append(text)
        return self.suggestions

    async def has_access(self, _incoming: Incoming) -> bool:
        if self.inbox.is_failing:
            raise StoreError("The disk is full.")
        return not self.inbox.denies

    async def read_language(self, _incoming: Incoming) -> str:
        if self.language is None:
            raise StoreError("The disk is full.")
        return self.language

    async def read_instructions(self, _incoming: Incoming) -> str:
        return self.instructions

    async def read_question(self, _incoming: Incoming) -> str | None:
        return self.question

    async def start(self, *, inbox: Inbox | None = None, **settings: Any) -> DiscordAdapter:
        adapter = self.build(**settings)
        self.run(adapter, inbox)
        await self.discord.wait_until_ready()
        return adapter

    def run(self, adapter: DiscordAdapter, inbox: Inbox | None = None) -> asyncio.Task[None]:
        task = asyncio.create_task(adapter.run(inbox or self.inbox))
        self._running.append(task)
        return task

    async def stop(self) -> None:
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        for task in running:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        adapters, self._adapters = self._adapters, []
        for adapter in adapters:
            await adapter.close()

    async def restart(self, **settings: Any) -> DiscordAdapter:
        await self.stop()
        await self.wait_for_connections(0)
        return await self.start(**settings)

    async def commands_synced(self) -> None:
        async with asyncio.timeout(5):
            await self.state.saved.wait()

    # The people

    async def say(self, text: str, channel: Channel | None = None, **options: Any) -> Message:
        """Ann writes; without a channel to the bot directly."""
        return await self.discord.send_message(self.ann, channel or self.dm, text, **options)

    async def mention(self, text: str, channel: Channel | None = None, **options: Any) -> Message:
        """Ann mentions the bot; without a channel in the guild's."""
        return await self.say(f"{self.discord.mention} {text}", channel or self.channel, **options)

    async def say_raw(self, text: str, channel: Channel | None = None, **fields: Any) -> None:
        """Ann's message with fields that the stand-in does not produce; without a channel to the bot directly."""
        channel = channel or self.dm
        message = Message(next_snowflake(), channel, self.ann, text).json()
        if channel.guild is not None:
            message |= {"guild_id": str(channel.guild.id), "member": member_json(self.ann, bare=True)}
        await self.discord.gateway.dispatch("MESSAGE_CREATE", message | fields)

    async def mentioned(self, channel: Channel | None = None) -> Incoming:
        """What the adapter makes of a mention of the bot."""
        await self.mention("hello", channel)
        return await self.inbox.next()

    # What happened

    def place(self, channel: Channel) -> Place:
        return Place(
            "discord",
            self.account,
            chat=str((channel.parent or channel).id),
            thread=None if channel.parent is None else str(channel.id),
            is_private=channel is self.dm,
            server=None if channel.guild is None else str(channel.guild.id),
        )

    def message(self, message_id: str) -> Message:
        messages = (channel.find_message(message_id) for channel in self.discord.channels.values())
        return next(message for message in messages if message is not None)

    def bot_messages(self, channel: Channel | None = None) -> list[Message]:
        """Those of the bot that are not deleted; without a channel in all of them."""
        channels = self.discord.channels.values() if channel is None else [channel]
        return [message for each in channels for message in self.discord.messages(each) if message.from_bot]

    def bot_texts(self, channel: Channel | None = None) -> list[str]:
        return [message.content for message in self.bot_messages(channel)]

    @property
    def connection_count(self) -> int:
        return len(self.discord.gateway.connected_sessions)

    async def wait_for_connections(self, count: int, timeout: float = 10) -> None:
        await self.discord.wait_for(lambda: self.connection_count == count, timeout)

    async def acknowledgement(self, interaction: Interaction) -> dict[str, Any]:
        """The body of the first response to an interaction."""

        def accepted_bodies() -> list[dict[str, Any]]:
            calls = self.discord.calls_to("POST", f"/interactions/{interaction.id}/.*/callback")
            return [call.body for call in calls if call.status in (200, 204)]

        return (await self.discord.wait_for(accepted_bodies))[0]


def request_errors(discord: DiscordStandIn) -> list[str]:
    """What Discord's own description does not allow in the bot's requests, if there is a description."""
    if not api_specs.SPECS_DIR.is_dir():
        return []
    return [
        f"{call.method} {call.path}: {error}"
        for call in discord.calls
        for error in api_specs.discord_request_errors(call.method, call.path, call.body)
    ]


def messages_path(channel: Channel) -> str:
    return f"/channels/{channel.id}/messages"


@contextlib.asynccontextmanager
async def running_harness(**options: Any) -> AsyncIterator[AdapterHarness]:
    discord = DiscordStandIn(limits=Limits.off(), **options)
    await discord.start()
    harness = AdapterHarness(discord)
    try:
        yield harness
    finally:
        await harness.stop()
        await discord.close()
    assert not request_errors(discord)


@pytest.fixture
async def harness() -> AsyncIterator[AdapterHarness]:
    async with running_harness() as harness:
        yield harness
