"""All connections use the proxy that the environment names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bots.adapters import create_adapters
from bots.discord.http_client import HttpClient
from bots.discord.timings import DiscordTimings
from core.app import open_services, serve
from core.errors import DeliveryError, DeliveryFailure
from core.settings import LoadedSettings
from tests.end_to_end.harness import Harness, running_harness
from tests.end_to_end.private_chat import PrivateChat
from tests.http_proxy import http_proxy
from tests.waiting import wait_until

HOSTS = {
    "telegram_api_base": "telegram.test",
    "discord_api_base": "discord.test",
    "discord_gateway_url": "gateway.test",
    "base_url": "model.test",
}


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Harness]:
    """The stand-ins, without a bot."""
    async with running_harness(tmp_path) as harness:
        yield harness


def local_urls(harness: Harness) -> dict[str, str]:
    return {
        "telegram_api_base": harness.telegram.api_base,
        "discord_api_base": harness.discord.api_base,
        "discord_gateway_url": harness.discord.gateway_url,
        "base_url": harness.model.base_url,
    }


@asynccontextmanager
async def serving(settings: LoadedSettings) -> AsyncIterator[None]:
    """The bot, which need not be able to connect."""
    stop_requested = asyncio.Event()
    async with open_services(settings.core) as services:
        task = asyncio.create_task(serve(services, create_adapters(settings, services), stop_requested))
        yield
        stop_requested.set()
        await task


async def test_all_connections_use_http_proxy(services: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    urls = local_urls(services)
    ports = {host: urlsplit(urls[key]).port or 0 for key, host in HOSTS.items()}
    async with http_proxy(ports, "user:pass@") as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await services.start(**{key: url.replace("127.0.0.1", HOSTS[key]) for key, url in urls.items()})
        for platform in ("telegram", "discord"):
            await PrivateChat(services, platform).ask("repeat: through the proxy", "through the proxy")
        assert {host.partition(":")[0] for host in proxy.hosts} == set(HOSTS.values())
        assert all(
            "\nproxy-authorization: Basic dXNlcjpwYXNz" in head.replace("Proxy-A", "proxy-a") for head in proxy.heads
        )
        await services.stop()


async def test_encrypted_connections_use_https_proxy(services: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_proxy({}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        urls = {key: f"https://{host}/v1" for key, host in HOSTS.items() if key != "discord_gateway_url"}
        async with serving(services.settings(**urls)):
            await wait_until(lambda: proxy.hosts >= {"telegram.test:443", "discord.test:443", "model.test:443"})
        # The bot connects to the gateway after it has reached the REST API.
        async with serving(services.settings(discord_gateway_url="wss://gateway.test")):
            await wait_until(lambda: "gateway.test:443" in proxy.hosts)
        assert all(head.startswith("CONNECT ") for head in proxy.heads)


async def test_this_machine_is_reached_without_proxy(services: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_proxy({}) as proxy:
        for name in ("HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        await services.start()
        for platform in ("telegram", "discord"):
            await PrivateChat(services, platform).ask("repeat: directly", "directly")
        assert not proxy.heads
        await services.stop()


async def test_refusing_proxy_has_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with http_proxy({}) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        client = HttpClient("token", "https://discord.test", DiscordTimings())
        with pytest.raises(DeliveryError) as raised:
            await client.call("POST", "/channels/1/messages", {}, is_idempotent=False)
        assert raised.value.failure is DeliveryFailure.TRANSIENT
        await client.close()
