"""Attachments are downloaded from Discord's hosts only."""

import asyncio
from collections.abc import AsyncIterator, Awaitable

import pytest
from aiohttp import web

from bots.discord.http_client import HttpClient
from bots.discord.timings import DiscordTimings
from bots.sandbox.discord import DiscordStandIn
from core.errors import DeliveryError, DeliveryFailure

TIMINGS = DiscordTimings()


@pytest.fixture
async def server() -> AsyncIterator[DiscordStandIn]:
    server = DiscordStandIn()
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def http(server: DiscordStandIn) -> AsyncIterator[HttpClient]:
    http = HttpClient(server.token, server.api_base, TIMINGS)
    yield http
    await http.close()


async def failure_of(downloading: Awaitable[bytes]) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await downloading
    return caught.value


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
async def test_other_hosts_are_refused(http: HttpClient, url: str) -> None:
    error = await failure_of(http.download(url, 10**6))
    assert error.failure is DeliveryFailure.REJECTED


async def test_endless_file_is_read_up_to_limit() -> None:
    sent_bytes = 0

    async def send_endlessly(request: web.Request) -> web.StreamResponse:
        nonlocal sent_bytes
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)
            sent_bytes += 65_536

    app = web.Application()
    app.router.add_get("/attachments/1/a.txt", send_endlessly)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    http = HttpClient("token", f"{base}/api/v10", TIMINGS)
    async with asyncio.timeout(20):
        error = await failure_of(http.download(f"{base}/attachments/1/a.txt", 1_000_000))
    await http.close()
    await runner.cleanup()
    assert (error.failure, str(error)) == (DeliveryFailure.REJECTED, "The file is too large")
    assert sent_bytes < 50_000_000
