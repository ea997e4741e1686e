"""A real discord.py client, connected to the stand-in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import discord
import pytest
import yarl
from discord import app_commands
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bots.sandbox.discord import DiscordStandIn, Limits
from tests import api_specs
from tests.bots.sandbox.discord.raw_client import RawClient, raw_client

INTENTS = discord.Intents(guilds=True, guild_messages=True, dm_messages=True)


class Bot(discord.Client):
    """Queues the events it receives; responds to commands, a button and a menu."""

    def __init__(self, *, intents: discord.Intents = INTENTS, **options: Any) -> None:
        super().__init__(
            intents=intents,
            guild_ready_timeout=0.05,
            max_messages=None,
            chunk_guilds_at_startup=False,
            **options,
        )
        self.messages: asyncio.Queue[discord.Message] = asyncio.Queue()
        self.edits: asyncio.Queue[discord.RawMessageUpdateEvent] = asyncio.Queue()
        self.resumes: asyncio.Queue[None] = asyncio.Queue()
        self.connects: asyncio.Queue[None] = asyncio.Queue()
        self.tree = app_commands.CommandTree(self)
        self.tree.add_command(_ask)
        self.tree.add_command(_slow)

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """The library would pause for five seconds here."""

    async def setup_hook(self) -> None:
        await self.tree.sync()

    async def on_message(self, message: discord.Message) -> None:
        await self.messages.put(message)

    async def on_raw_message_edit(self, payload: discord.RawMessageUpdateEvent) -> None:
        await self.edits.put(payload)

    async def on_resumed(self) -> None:
        await self.resumes.put(None)

    async def on_ready(self) -> None:
        await self.connects.put(None)

    async def on_error(self, event_method: str, /, *args: Any, **kwargs: Any) -> None:
        raise  # noqa: PLE0704 (called while the error is handled)


class Panel(discord.ui.View):
    @discord.ui.button(label="More", custom_id="more")
    async def more(self, interaction: discord.Interaction, _: "discord.ui.Button[Panel]") -> None:
        await interaction.response.edit_message(content="more", view=None)

    @discord.ui.select(custom_id="menu", options=[discord.SelectOption(label=name) for name in ("red", "green")])
    async def menu(self, interaction: discord.Interaction, select: "discord.ui.Select[Panel]") -> None:
        await interaction.response.send_message(f"chose {select.values}", ephemeral=True)


@app_commands.command(name="ask", description="Ask")
async def _ask(interaction: discord.Interaction, prompt: str) -> None:
    await interaction.response.defer(thinking=True)
    await interaction.followup.send(f"you asked {prompt}")
    await interaction.followup.send("and more")
    await interaction.edit_original_response(content=f"answered {prompt}")


@_ask.autocomplete("prompt")
async def _complete(_: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
    return [app_commands.Choice(name=f"{current}{n}", value=f"{current}{n}") for n in range(3)]


@app_commands.command(name="slow", description="Never responds")
async def _slow(interaction: discord.Interaction) -> None:
    """Never acknowledges."""


@asynccontextmanager
async def running_bot(server: DiscordStandIn, bot: Bot) -> AsyncIterator[Bot]:
    task = asyncio.create_task(bot.start(server.token))
    ready = asyncio.create_task(bot.connects.get())
    try:
        async with asyncio.timeout(10):
            await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            await task
        yield bot
    finally:
        ready.cancel()
        await bot.close()
        await asyncio.gather(task, ready, return_exceptions=True)


def spec_violations(server: DiscordStandIn) -> list[str]:
    """The calls, responses and events so far that do not match Discord's description of its API."""
    violations = []
    for call in server.calls:
        violations += [
            f"{call.method} {call.path}: {e}"
            for e in api_specs.discord_request_errors(call.method, call.path, call.body)
        ]
        if call.result is not None and call.status not in (0, 401, 429):
            violations += [
                f"{call.method} {call.path} {call.status}: {e}"
                for e in api_specs.discord_response_errors(call.method, call.path, call.status, call.result)
            ]
    for event, data in server.gateway.dispatches:
        violations += [f"{event}: {e}" for e in api_specs.discord_dispatch_errors(event, data)]
    return violations


@asynccontextmanager
async def running_server(monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[DiscordStandIn]:
    server = DiscordStandIn(**options)
    await server.start()
    monkeypatch.setattr(Route, "BASE", server.api_base)
    monkeypatch.setattr(DiscordWebSocket, "DEFAULT_GATEWAY", yarl.URL(server.gateway_url))
    try:
        yield server
    finally:
        await server.close()


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordStandIn]:
    async with running_server(monkeypatch, limits=Limits.off()) as server:
        yield server


@pytest.fixture
async def bot(server: DiscordStandIn) -> AsyncIterator[Bot]:
    async with running_bot(server, Bot()) as bot:
        yield bot


@pytest.fixture
async def raw() -> AsyncIterator[RawClient]:
    async with raw_client(Limits.off()) as raw:
        yield raw


async def next_item(queue: "asyncio.Queue[Any]") -> Any:
    async with asyncio.timeout(10):
        return await queue.get()
