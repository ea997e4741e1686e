"""A process imports only what it needs: not the libraries of platforms that are not configured, nor those of rare work.

`-X importtime` makes the interpreter report every module that it imports.
"""

import asyncio
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.telegram import TelegramStandIn
from tests.end_to_end.harness import bot_texts, running_harness

IMPORT_REPORT = re.compile(r"import time: .*\| +([\w.]+)$", re.MULTILINE)
RARELY_NEEDED = {
    "aiohttp.web",  # webhook
    "alembic",
    "asyncpg",
    "bots.sandbox",
    "bots.terminal",
    "core.conversation.vault",  # personal API keys
    "numpy",  # notes and files
    "pypdf",
    "rapidfuzz",  # names of models that are not exact
    "sqlalchemy.orm",
    "wcwidth",  # tables in other scripts
}


class ReportingProcess:
    """`parley run`. Standard error goes to a file, which no reader can hold up."""

    def __init__(self, report: Path) -> None:
        self._report = report
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, environment: Mapping[str, str]) -> None:
        with self._report.open("wb") as report:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-X", "importtime", "-m", "bots.cli", "run"),
                env={**os.environ, **environment},
                stderr=report,
            )

    async def stop(self) -> set[str]:
        """End the process and return the names of the modules that it has imported."""
        assert self._process is not None
        self._process.terminate()
        await self._process.wait()
        report = self._report.read_text()
        modules = set(IMPORT_REPORT.findall(report))
        assert "core.turns.engine" in modules, report
        return modules


async def ask_on_telegram(telegram: TelegramStandIn) -> None:
    await telegram.wait_for(lambda: telegram.calls_to("getUpdates"), 60)
    person = telegram.create_user("Ann")
    chat = telegram.open_private_chat(person)
    await telegram.send_message(person, chat, "repeat: hello")
    await telegram.wait_for(lambda: "hello" in "".join(bot_texts(telegram.messages(chat))), 30)


async def ask_on_discord(discord: DiscordStandIn) -> None:
    await discord.wait_until_ready(60)
    person = discord.create_user("Ann")
    channel = discord.open_dm(person)
    await discord.send_message(person, channel, "repeat: hello")
    await discord.wait_for(lambda: "hello" in "".join(bot_texts(discord.messages(channel))), 30)


async def test_telegram_alone_imports_what_it_needs(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        process = ReportingProcess(tmp_path / "imports.txt")
        await process.start({**harness.environment(), "DISCORD_BOT_TOKEN": ""})
        await ask_on_telegram(harness.telegram)
        modules = await process.stop()
    assert "telegram" in modules
    assert modules & {*RARELY_NEEDED, "discord", "bots.discord.adapter"} == set()


async def test_discord_alone_imports_what_it_needs(tmp_path: Path) -> None:
    async with running_harness(tmp_path) as harness:
        process = ReportingProcess(tmp_path / "imports.txt")
        await process.start({**harness.environment(), "TELEGRAM_BOT_TOKEN": ""})
        await ask_on_discord(harness.discord)
        modules = await process.stop()
    assert "discord" in modules
    assert modules & {*RARELY_NEEDED, "telegram", "bots.telegram.adapter"} == set()


async def test_help_imports_no_library_of_the_bot(tmp_path: Path) -> None:
    report = tmp_path / "imports.txt"
    with report.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-X", "importtime", "-m", "bots.cli", "--help"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=stderr,
        )
        assert await process.wait() == 0
    modules = set(IMPORT_REPORT.findall(report.read_text()))
    assert "typer" in modules
    assert modules & {*RARELY_NEEDED, "aiohttp", "discord", "httpx", "openai", "sqlalchemy", "telegram"} == set()
