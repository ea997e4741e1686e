import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bots.discord.chat import DiscordChat
from bots.discord.timing import Timing
from core.commands.declared import COMMANDS
from core.errors import DeniedError, StoreError
from core.port import Incoming, Place, Sender
from tests.bots.discord.loopback import BOT, CHANNEL, GUILD, TOKEN, Loopback, serving
from tests.bots.discord.specification import complaints

QUICK = Timing(
    commit=0.2,
    keeping=0.0,
    acknowledged=2.0,
    first_retry=0.02,
    last_retry=0.1,
    identify=0.0,
    identify_late=0.1,
    closing=1.0,
    ask_shard=0.05,
    per_shard=0.02,
)
HERE = Place("discord", BOT, CHANNEL, server=GUILD)


class Memory:
    """Notes that outlive an adapter."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.written = asyncio.Event()

    async def recall(self, name: str) -> str | None:
        return self.kept.get(name)

    async def remember(self, name: str, value: str) -> None:
        self.kept[name] = value
        self.written.set()


@dataclass
class Inbox:
    """Keeps what arrives; can be slow (`gate`) or broken (`broken`), or let nobody in (`denied`)."""

    arrived: asyncio.Queue[Incoming] = field(default_factory=asyncio.Queue)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    broken: bool = False
    denied: bool = False
    refused: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def __call__(self, incoming: Incoming) -> None:
        await self.gate.wait()
        if self.broken:
            self.refused.set()
            raise StoreError("The disk is full.")
        if self.denied:
            raise DeniedError
        await self.arrived.put(incoming)

    async def next(self) -> Incoming:
        async with asyncio.timeout(5):
            return await self.arrived.get()


class World:
    """The adapter under test against a loopback Discord."""

    def __init__(self, discord: Loopback) -> None:
        self.discord = discord
        self.inbox = Inbox()
        self.memory = Memory()
        self.suggested: list[tuple[str, str]] = []
        self.asked: list[tuple[Place, Sender, str]] = []
        self._chats: list[DiscordChat] = []
        self._running: list[asyncio.Task[None]] = []

    def build(self, **more: Any) -> DiscordChat:
        settings: dict[str, Any] = {
            "commands": COMMANDS,
            "suggest": self.suggest,
            "remember": self.memory,
            "api_base": self.discord.api,
            "gateway_url": self.discord.gateway,
            "timing": QUICK,
        } | more
        chat = DiscordChat(settings.pop("token", TOKEN), **settings)
        self._chats.append(chat)
        return chat

    def suggest(self, place: Place, sender: Sender, typed: str) -> Sequence[tuple[str, str]]:
        self.asked.append((place, sender, typed))
        return self.suggested

    async def start(self, **more: Any) -> DiscordChat:
        chat = self.build(**more)
        self.run(chat)
        await self.discord.until(lambda: self.discord.connected)
        return chat

    def run(self, chat: DiscordChat) -> asyncio.Task[None]:
        task = asyncio.create_task(chat.run(self.inbox))
        self._running.append(task)
        return task

    async def stop(self) -> None:
        running, self._running = self._running, []
        for task in running:
            task.cancel()
        for task in running:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        chats, self._chats = self._chats, []
        for chat in chats:
            await chat.close()

    async def restart(self, **more: Any) -> DiscordChat:
        await self.stop()
        await self.discord.until(lambda: not self.discord.connected)
        return await self.start(**more)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving() as discord:
        world = World(discord)
        try:
            yield world
        finally:
            await world.stop()
        assert not complaints(discord.requests)
