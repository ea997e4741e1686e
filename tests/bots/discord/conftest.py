import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bots.discord.adapter import DiscordAdapter
from bots.discord.timings import DiscordTimings
from core.commands.declarations import COMMANDS
from core.conversation.model_registry import Suggestion
from core.errors import AccessDeniedError, StoreError
from core.port import Incoming, Place
from tests.bots.discord.scripted_discord import (
    BOT,
    CHANNEL,
    GUILD,
    TOKEN,
    ScriptedDiscord,
    scripted_discord,
)
from tests.bots.discord.spec_checks import spec_violations

FAST_TIMING = DiscordTimings(
    max_acknowledge_delay=0.2,
    store_timeout=0.0,
    acknowledge_timeout=2.0,
    first_retry_delay=0.02,
    max_retry_delay=0.1,
    identify_interval=0.0,
    identify_tolerance=0.1,
    close_timeout=1.0,
    shard_claim_interval=0.05,
    extra_interval_per_shard=0.02,
)
CHANNEL_PLACE = Place("discord", BOT, CHANNEL, server=GUILD)


class FakeNotes:
    """Notes that outlive an adapter."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.written = asyncio.Event()

    async def load_state(self, name: str) -> str | None:
        return self.values.get(name)

    async def save_state(self, name: str, value: str) -> None:
        self.values[name] = value
        self.written.set()


@dataclass
class FakeInbox:
    """Keeps what arrives; can be slow (`gate`) or broken (`broken`), or let nobody in (`denied`)."""

    arrived: asyncio.Queue[Incoming] = field(default_factory=asyncio.Queue)
    may_store: asyncio.Event = field(default_factory=asyncio.Event)
    is_failing: bool = False
    denies: bool = False
    failed: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_store.set()

    async def __call__(self, incoming: Incoming) -> None:
        await self.may_store.wait()
        if self.is_failing:
            self.failed.set()
            raise StoreError("The disk is full.")
        if self.denies:
            raise AccessDeniedError
        await self.arrived.put(incoming)

    async def next(self) -> Incoming:
        async with asyncio.timeout(5):
            return await self.arrived.get()


class AdapterHarness:
    """The adapter under test against a loopback Discord."""

    def __init__(self, discord: ScriptedDiscord) -> None:
        self.discord = discord
        self.inbox = FakeInbox()
        self.memory = FakeNotes()
        self.completions: list[Suggestion] = []
        self.completion_requests: list[str] = []
        self._adapters: list[DiscordAdapter] = []
        self._running: list[asyncio.Task[None]] = []

    def build(self, **more: Any) -> DiscordAdapter:
        settings: dict[str, Any] = {
            "commands": COMMANDS,
            "suggest_models": self.suggest,
            "state": self.memory,
            "api_base": self.discord.api_base,
            "gateway_url": self.discord.gateway_url,
            "timings": FAST_TIMING,
        } | more
        chat = DiscordAdapter(settings.pop("token", TOKEN), **settings)
        self._adapters.append(chat)
        return chat

    def suggest(self, text: str) -> Sequence[Suggestion]:
        self.completion_requests.append(text)
        return self.completions

    async def start(self, **more: Any) -> DiscordAdapter:
        chat = self.build(**more)
        self.run(chat)
        await self.discord.wait_until(lambda: self.discord.connection_count)
        return chat

    def run(self, adapter: DiscordAdapter) -> asyncio.Task[None]:
        task = asyncio.create_task(adapter.run(self.inbox))
        self._running.append(task)
        return task

    async def stop(self) -> None:
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        for task in running:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        chats, self._adapters = self._adapters, []
        for chat in chats:
            await chat.close()

    async def restart(self, **more: Any) -> DiscordAdapter:
        await self.stop()
        await self.discord.wait_until(lambda: not self.discord.connection_count)
        return await self.start(**more)


@pytest.fixture
async def world() -> AsyncIterator[AdapterHarness]:
    async with scripted_discord() as discord:
        world = AdapterHarness(discord)
        try:
            yield world
        finally:
            await world.stop()
        assert not spec_violations(discord.requests)
