"""What the sandbox's clients show of files that the bot sends."""

import asyncio
from collections.abc import AsyncIterator
from io import StringIO

import aiohttp
import pytest
from rich.console import Console
from telegram.ext import ExtBot

from bots.discord.http_client import HttpClient
from bots.discord.payloads import message_payload
from bots.discord.timings import DiscordTimings
from bots.sandbox.chat_clients import ChatClient, DiscordChatClient, TelegramChatClient, VisibleMessage
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.shell import SandboxShell
from bots.sandbox.telegram import TelegramStandIn
from core.port import File

FILE = File("answer.md", b"# Answer")


async def shown_message(client: ChatClient) -> VisibleMessage:
    async with asyncio.timeout(10):
        return await anext(aiter(client.visible_messages()))


async def read(address: str) -> bytes:
    async with aiohttp.ClientSession() as http, http.get(address) as response:
        return await response.read()


async def assert_shows_file(client: ChatClient, message: VisibleMessage) -> None:
    [link] = message.file_links
    name, _, address = link.partition(" ")
    assert (message.text, name, await read(address)) == ("all of it", FILE.name, FILE.content)
    output = StringIO()
    shell = SandboxShell(Console(file=output, width=400), {":client": client}, ":client")
    shell._print(message)
    assert f"📎 {link}" in output.getvalue()


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramStandIn]:
    server = TelegramStandIn()
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def discord() -> AsyncIterator[DiscordStandIn]:
    server = DiscordStandIn()
    await server.start()
    yield server
    await server.close()


async def test_file_is_shown_on_telegram(telegram: TelegramStandIn) -> None:
    ann = telegram.create_user("Ann")
    client = TelegramChatClient(telegram, ann, is_group=False)
    showing = asyncio.create_task(shown_message(client))
    async with ExtBot(telegram.token, base_url=f"{telegram.api_base}/bot") as bot:
        await bot.send_document(ann.id, FILE.content, filename=FILE.name, caption="all of it")
    await assert_shows_file(client, await showing)


async def test_file_is_shown_on_discord(discord: DiscordStandIn) -> None:
    ann = discord.create_user("Ann")
    client = DiscordChatClient(discord, ann, is_dm=True)
    showing = asyncio.create_task(shown_message(client))
    http = HttpClient(discord.token, discord.api_base, DiscordTimings())
    path = f"/channels/{discord.open_dm(ann).id}/messages"
    await http.call("POST", path, message_payload("all of it", file=FILE), file=FILE)
    await http.close()
    await assert_shows_file(client, await showing)


async def test_files_are_sent_as_what_they_are(telegram: TelegramStandIn) -> None:
    client = TelegramChatClient(telegram, telegram.create_user("Ann"), is_group=False)
    for name in ("a.jpg", "a.ogg", "a.pdf"):
        await client.send_file(name, b"content", "look")
    sent = telegram.messages(next(iter(telegram.chats.values())))
    assert [{"photo", "voice", "document"} & message.extra_fields.keys() for message in sent] == [
        {"photo"},
        {"voice"},
        {"document"},
    ]
