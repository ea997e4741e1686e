"""The whole product in one process: real libraries, real sockets, stand-ins on loopback."""

import asyncio
import contextlib
import os
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, delete

import core.api.openai_client  # noqa: F401 (accelerated clocks would count its import as half a minute)
from bots.adapters import SETTINGS_SECTIONS, create_adapters
from bots.sandbox import discord as discord_stand_in
from bots.sandbox import telegram as telegram_stand_in
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.model import ModelStandIn
from bots.sandbox.telegram import TelegramStandIn
from core.app import open_services, serve
from core.settings import LoadedSettings, parse_settings
from core.store.leases import RESERVATION_PREFIX
from core.store.schema import leases
from core.timings import Timings
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

T = TypeVar("T")

READY_SECONDS = 60
"""Within which a bot must have started, even several at once on a busy machine."""


class Harness:
    """The bot and the stand-ins. `start` and `stop` affect the bot only."""

    def __init__(self, folder: Path, *, tokens_per_second: float, limits: bool, timings: Timings) -> None:
        telegram_options: dict[str, Any] = {} if limits else {"limits": telegram_stand_in.Limits.off()}
        discord_options: dict[str, Any] = {} if limits else {"limits": discord_stand_in.Limits.off()}
        clock = timings.clock
        self.telegram = TelegramStandIn(clock=clock, **telegram_options)
        self.discord = DiscordStandIn(clock=clock, **discord_options)
        self.model = ModelStandIn(clock=clock, tokens_per_second=tokens_per_second)
        self._folder = folder
        self._bot: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self.timings = timings
        """The bot's, from its next start on."""

    def settings(self, **changed: object) -> LoadedSettings:
        values: dict[str, object] = {
            "api_key": self.model.api_key,
            "base_url": self.model.base_url,
            "telegram_token": self.telegram.token,
            "telegram_api_base": self.telegram.api_base,
            "discord_token": self.discord.token,
            "discord_api_base": self.discord.api_base,
            "discord_gateway_url": self.discord.gateway_url,
            "database_url": sqlite_url(self._folder),
            "access": "open",
            **changed,
        }
        return parse_settings(values, SETTINGS_SECTIONS)

    async def start(self, **changed: object) -> None:
        self._stopping = asyncio.Event()
        settings = self.settings(**changed)
        polls = self.poll_count()

        async def run() -> None:
            async with (
                open_services(settings.core, timings=self.timings) as services,
                services.store.exclusive(),
            ):
                await services.store.write(_delete_reservations)
                await serve(services, create_adapters(settings, services), self._stopping)

        self._bot = asyncio.create_task(run())
        ready = asyncio.create_task(self._wait_until_ready(polls))
        await asyncio.wait({self._bot, ready}, return_when=asyncio.FIRST_COMPLETED)
        if self._bot.done():
            ready.cancel()
            await self._bot
        await ready

    def poll_count(self, since: float = 0) -> int:
        """How often the bot has called getUpdates or setWebhook."""
        receiving = ("getupdates", "setwebhook")
        calls = (call for call in self.telegram.calls if call.time >= since)
        return sum(call.method.lower() in receiving for call in calls)

    async def _wait_until_ready(self, polls_before: int) -> None:
        await self.telegram.wait_for(lambda: self.poll_count() > polls_before, READY_SECONDS)
        await self.discord.wait_until_ready(READY_SECONDS)

    def environment(self) -> dict[str, str]:
        """The environment with which a bot process finds the stand-ins."""
        return {
            **self.model.environment(),
            **self.telegram.environment(),
            **self.discord.environment(),
            "DATABASE_URL": sqlite_url(self._folder),
            "PARLEY_ACCESS": "open",
            "PARLEY_LOG_LEVEL": "warning",
        }

    @asynccontextmanager
    async def run_process(
        self, *options: str, python: Sequence[str] = (sys.executable,), **changed: str
    ) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run `parley run OPTIONS` as a separate process. `python` is the command that starts the interpreter."""
        polls = self.poll_count()
        process = await asyncio.create_subprocess_exec(
            *python,
            "-m",
            "bots.cli",
            "run",
            *options,
            env={**os.environ, **self.environment(), **changed},
        )
        try:
            await self._wait_until_ready(polls)
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                async with asyncio.timeout(25):
                    await process.wait()

    async def wait_until_stored(self, query: str) -> None:
        """Wait until `query` returns a row."""
        with contextlib.closing(sqlite3.connect(self._folder / "parley.sqlite3")) as database:
            await wait_until(lambda: database.execute(query).fetchone() is not None)

    async def stop(self) -> None:
        self._stopping.set()
        if self._bot is not None:
            async with asyncio.timeout(25):
                await self._bot
            self._bot = None

    async def kill(self) -> None:
        """Cancel the bot at once, without a clean shutdown."""
        if self._bot is not None:
            self._bot.cancel()
            await asyncio.gather(self._bot, return_exceptions=True)
            self._bot = None


def _delete_reservations(connection: Connection) -> None:
    """So that a restarted bot connects to Discord at once: the stand-in does not limit how often that happens."""
    connection.execute(delete(leases).where(leases.c.name.like(f"{RESERVATION_PREFIX}%")))


@asynccontextmanager
async def running_harness(
    folder: Path, *, tokens_per_second: float = 2000, limits: bool = False, timings: Timings = Timings()
) -> AsyncIterator[Harness]:
    """`timings`: the bot's. Its clock is also the stand-ins'."""
    harness = Harness(folder, tokens_per_second=tokens_per_second, limits=limits, timings=timings)
    await asyncio.gather(harness.telegram.start(), harness.discord.start(), harness.model.start())
    try:
        yield harness
    finally:
        if harness._bot is not None:
            await harness.stop()
        await asyncio.gather(harness.telegram.close(), harness.discord.close(), harness.model.close())


def letters_only(text: str) -> str:
    """The letters, digits and emoji of a text, without markup."""
    text = re.sub(r"```\w*", "", text)
    return re.sub(r"[^\w\U0001F000-\U0001FAFF]|_", "", text)


def bot_texts(messages: list[Any]) -> list[str]:
    """The texts of the bot's messages."""
    return [str(getattr(m, "text", None) or getattr(m, "content", "")) for m in messages if m.from_bot]


def complete_texts(messages: list[Any]) -> list[str]:
    """The texts of the bot's messages that do not grow any more: without a Stop button."""
    return bot_texts([m for m in messages if "stop:" not in str(m.buttons if hasattr(m, "buttons") else m.components)])
