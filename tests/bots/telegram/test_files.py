"""Fetching what people send, without telling anybody the address that holds the token."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from telegram import File

from bots.sandbox.telegram import Fault as StandInFault
from bots.sandbox.telegram import TelegramStandIn
from bots.telegram import adapter as chat_module
from bots.telegram import files
from bots.telegram.adapter import TelegramAdapter
from core.errors import DeliveryError, DeliveryFailure
from core.port import Attachment, Incoming, Part, SupportsFiles
from tests.core.api.raw_server import raw_server

CONTENT = bytes(range(256)) * 700


class Setup:
    def __init__(self, server: TelegramStandIn, chat: TelegramAdapter) -> None:
        self.server = server
        self.chat = chat
        self.got: asyncio.Queue[Incoming] = asyncio.Queue()

    async def sent(self, content: bytes = CONTENT) -> Attachment:
        """What comes in of a file that Ann sends."""
        ann = self.server.create_user("Ann")
        await self.server.send_document(ann, self.server.open_private_chat(ann), "a.bin", content, media_type="text/x")
        async with asyncio.timeout(10):
            incoming = await self.got.get()
        return incoming.attachments[0]


@pytest.fixture
async def side() -> AsyncIterator[Setup]:
    server = TelegramStandIn()
    await server.start()
    made = Setup(server, TelegramAdapter(server.token, api_base=server.api_base))

    async def inbox(incoming: Incoming) -> None:
        await made.got.put(incoming)

    running = asyncio.create_task(made.chat.run(inbox))
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await server.close()


async def receive_message(side: Setup) -> Incoming:
    ann = side.server.create_user("Ann")
    await side.server.send_message(ann, side.server.open_private_chat(ann), "hello")
    async with asyncio.timeout(10):
        return await side.got.get()


async def fetch_failure(chat: SupportsFiles, attachment: Attachment, most: int = 10**6) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await chat.fetch(attachment, most)
    return caught.value


async def test_file_is_fetched_completely(side: Setup) -> None:
    file = await side.sent()
    assert (file.kind, file.name, file.size) == ("file", "a.bin", len(CONTENT))
    assert file.is_document
    assert isinstance(side.chat, SupportsFiles)
    assert await side.chat.fetch(file, len(CONTENT)) == CONTENT


async def test_too_large_or_missing_file_is_reported(side: Setup) -> None:
    file = await side.sent()
    assert (await fetch_failure(side.chat, file, len(CONTENT) - 1)).failure is DeliveryFailure.REJECTED
    unknown = Attachment("file", "a.bin", 3, "file-999999")
    assert (await fetch_failure(side.chat, unknown)).failure is DeliveryFailure.REJECTED
    large = await side.sent(bytes(20 * 1024 * 1024 + 1))
    assert (await fetch_failure(side.chat, large, 10**9)).failure is DeliveryFailure.REJECTED


async def test_token_is_not_in_errors_or_logs(
    side: Setup, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, "bots")
    file = await side.sent()
    await side.chat.fetch(file, 10**6)
    side.server.files.content = lambda _path: None  # type: ignore[method-assign, assignment]
    error = await fetch_failure(side.chat, file)
    assert error.failure is DeliveryFailure.GONE
    shown, logged = capsys.readouterr(), caplog.text
    secret = side.server.token.partition(":")[2]
    assert secret not in f"{error!r} {error.__cause__!r} {shown.out} {shown.err} {logged}"


async def test_slow_download_times_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "DOWNLOAD_TIMEOUT_SECONDS", 0.5)
    trickle: list[bytes | float] = [b"x", 0.05] * 200
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with raw_server(lambda _n: [head, *trickle]) as wire:
        given = File("id", "unique", file_path=f"{wire.url}a.bin")
        with pytest.raises(DeliveryError) as caught:
            await files.download(given, 10**6)
    assert caught.value.failure is DeliveryFailure.TRANSIENT


async def test_incomplete_response_times_out(side: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_module, "CALL_TIMEOUT_SECONDS", 0.3)
    place = (await receive_message(side)).place
    side.server.fault_hook = lambda call: StandInFault("delay", 2) if call.method == "sendMessage" else None
    with pytest.raises(DeliveryError) as caught:
        await side.chat.send(place, Part("hello"), key="k")
    assert caught.value.failure is DeliveryFailure.UNKNOWN
