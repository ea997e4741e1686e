"""Attachments come from where Discord keeps them, and from nowhere else."""

from collections.abc import AsyncIterator

import pytest

from bots.discord.files import download
from bots.discord.http_client import HttpClient
from bots.discord.timings import DiscordTimings
from bots.sandbox.discord import DiscordStandIn
from core.clock import SystemClock
from core.errors import DeliveryError, DeliveryFailure

CONTENT = bytes(range(256)) * 700


@pytest.fixture
async def server() -> AsyncIterator[DiscordStandIn]:
    made = DiscordStandIn()
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def rest(server: DiscordStandIn) -> AsyncIterator[HttpClient]:
    made = HttpClient(server.token, server.api_base, DiscordTimings(), SystemClock())
    yield made
    await made.close()


async def sent(server: DiscordStandIn) -> str:
    ann = server.create_user("Ann")
    message = await server.send_file(ann, server.open_dm(ann), "a b.pdf", CONTENT)
    return str(message.attachments[0]["url"])


async def fetch_failure(rest: HttpClient, url: str, most: int = 10**6) -> DeliveryFailure:
    with pytest.raises(DeliveryError) as caught:
        await download(rest, url, most, DiscordTimings())
    return caught.value.failure


async def test_file_is_fetched_completely(server: DiscordStandIn, rest: HttpClient) -> None:
    url = await sent(server)
    assert await download(rest, url, len(CONTENT), DiscordTimings()) == CONTENT
    assert await fetch_failure(rest, url, len(CONTENT) - 1) is DeliveryFailure.REJECTED
    assert await fetch_failure(rest, url.replace("attachments/", "attachments/9")) is DeliveryFailure.GONE


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/attachments/1/a.pdf",
        "https://cdn.discordapp.com.evil.example/a.pdf",
        "https://cdn.discordapp.com@127.0.0.1/a.pdf",
        "http://cdn.discordapp.com/a.pdf",
        "https://cdn.discordapp.com:8443/a.pdf",
        "file:///etc/passwd",
        "//cdn.discordapp.com/a.pdf",
        "a.pdf",
        "",
    ],
)
async def test_only_discord_cdn_is_fetched(rest: HttpClient, url: str) -> None:
    assert await fetch_failure(rest, url) is DeliveryFailure.REJECTED
