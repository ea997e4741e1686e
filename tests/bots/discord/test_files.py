"""Attachments come from where Discord keeps them, and from nowhere else."""

from collections.abc import AsyncIterator

import pytest

from bots.discord.rest import Rest
from bots.sandbox.discord import DiscordStandIn
from core.errors import DeliveryError, Fault

CONTENT = bytes(range(256)) * 700


@pytest.fixture
async def server() -> AsyncIterator[DiscordStandIn]:
    made = DiscordStandIn()
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def rest(server: DiscordStandIn) -> AsyncIterator[Rest]:
    made = Rest(server.token, server.api_base)
    yield made
    await made.close()


async def sent(server: DiscordStandIn) -> str:
    ann = server.person("Ann")
    message = await server.send_file(ann, server.dm(ann), "a b.pdf", CONTENT)
    return str(message.attachments[0]["url"])


async def refused(rest: Rest, url: str, most: int = 10**6) -> Fault:
    with pytest.raises(DeliveryError) as caught:
        await rest.download(url, most)
    return caught.value.fault


async def test_a_file_comes_whole(server: DiscordStandIn, rest: Rest) -> None:
    url = await sent(server)
    assert await rest.download(url, len(CONTENT)) == CONTENT
    assert await refused(rest, url, len(CONTENT) - 1) is Fault.REJECTED
    assert await refused(rest, url.replace("attachments/", "attachments/9")) is Fault.GONE


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
async def test_no_other_place_is_asked(rest: Rest, url: str) -> None:
    assert await refused(rest, url) is Fault.REJECTED
