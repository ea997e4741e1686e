"""What requests to Discord say on the wire, and what is known of one that gets no answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pytest

from bots.discord.http_client import HttpClient
from bots.discord.timings import DiscordTimings
from core.errors import DeliveryError, DeliveryFailure
from core.port import File
from tests.core.api.raw_server import response

COOKIE_RESPONSE = response(200, b"{}", "Set-Cookie: __cf_bm=1; path=/")


@dataclass
class WireServer:
    address: str
    heads: list[bytes] = field(default_factory=list)


@contextlib.asynccontextmanager
async def wire_server(answer: bytes) -> AsyncIterator[WireServer]:
    """Gives requests without a body this answer; if it is empty, accepts connections and stays silent."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError), contextlib.closing(writer):
            while answer:
                server.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(answer)
            await reader.read()

    listener = await asyncio.start_server(serve, "localhost", 0)
    # By name: aiohttp keeps no cookies of an address.
    server = WireServer(f"localhost:{listener.sockets[0].getsockname()[1]}")
    async with listener:
        yield server


@contextlib.asynccontextmanager
async def http_client(api_base: str, timings: DiscordTimings = DiscordTimings()) -> AsyncIterator[HttpClient]:
    http = HttpClient("token", api_base, timings)
    try:
        yield http
    finally:
        await http.close()


async def test_cookies_are_not_sent_back() -> None:
    async with wire_server(COOKIE_RESPONSE) as server, http_client(f"http://{server.address}") as http:
        for _ in range(2):
            await http.call("GET", "/gateway/bot")
    assert [b"\r\ncookie:" in head.lower() for head in server.heads] == [False, False]


async def test_emoji_of_a_path_stays_quoted() -> None:
    path = f"/channels/1/messages/2/reactions/{quote('⏳')}/@me"
    async with wire_server(COOKIE_RESPONSE) as server, http_client(f"http://{server.address}/api") as http:
        await http.call("PUT", path)
    assert server.heads[0].startswith(b"PUT /api/channels/1/messages/2/reactions/%E2%8F%B3/@me HTTP/1.1\r\n")


@pytest.mark.parametrize("file", [None, File("a.txt", b"content")], ids=["message", "upload"])
async def test_request_without_connection_was_certainly_not_sent(file: File | None) -> None:
    """The server accepts the connection, but does not answer the TLS handshake."""
    timings = DiscordTimings(connect_timeout=0.1)
    async with wire_server(b"") as server, http_client(f"https://{server.address}", timings) as http:
        with pytest.raises(DeliveryError) as caught:
            await http.call("POST", "/channels/1/messages", {}, file=file, is_idempotent=False)
    assert caught.value.failure is DeliveryFailure.TRANSIENT


@pytest.mark.parametrize("file", [None, File("a.txt", b"content")], ids=["message", "upload"])
@pytest.mark.parametrize("is_idempotent", [False, True])
async def test_request_without_answer_may_have_been_sent(file: File | None, is_idempotent: bool) -> None:
    timings = DiscordTimings(request_timeout=30 if file else 0.1, upload_timeout=0.1 if file else 30)
    async with wire_server(b"") as server, http_client(f"http://{server.address}", timings) as http:
        with pytest.raises(DeliveryError) as caught:
            await http.call("POST", "/channels/1/messages", {}, file=file, is_idempotent=is_idempotent)
    assert caught.value.failure is (DeliveryFailure.TRANSIENT if is_idempotent else DeliveryFailure.UNKNOWN)
