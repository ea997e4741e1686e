import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from telegram import File

from bots.sandbox.telegram import TelegramStandIn
from bots.telegram.adapter import TelegramAdapter
from bots.telegram.http_client import download
from core.errors import DeliveryError, DeliveryFailure
from core.port import Attachment
from tests.bots.telegram.conftest import FAST_TIMINGS, TOKEN, FakeInbox, RunAdapter
from tests.core.api.raw_server import raw_server

CONTENT = bytes(range(256)) * 700


@pytest.fixture
async def adapter(run_adapter: RunAdapter) -> AsyncIterator[TelegramAdapter]:
    async with run_adapter() as adapter:
        yield adapter


async def receive_file(bot_api: TelegramStandIn, inbox: FakeInbox, content: bytes = CONTENT) -> Attachment:
    """The attachment of a file that Ada sends."""
    count = len(inbox.stored)
    chat = bot_api.chats[42]
    await bot_api.send_document(chat.members[0], chat, "a.bin", content)
    [attachment] = (await inbox.wait_for_events(count + 1))[-1].attachments
    return attachment


async def fetch_failure(adapter: TelegramAdapter, attachment: Attachment, max_bytes: int = 10**6) -> DeliveryError:
    with pytest.raises(DeliveryError) as raised:
        await adapter.fetch(attachment, max_bytes)
    return raised.value


async def test_file_that_bots_cannot_download_is_rejected(
    bot_api: TelegramStandIn, inbox: FakeInbox, adapter: TelegramAdapter
) -> None:
    large = await receive_file(bot_api, inbox, bytes(20 * 1024 * 1024 + 1))
    assert (await fetch_failure(adapter, large, 10**9)).failure is DeliveryFailure.REJECTED


async def test_token_is_not_in_errors_or_logs(
    bot_api: TelegramStandIn,
    inbox: FakeInbox,
    adapter: TelegramAdapter,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "bots")
    file = await receive_file(bot_api, inbox)
    await adapter.fetch(file, 10**6)
    bot_api.files.content = lambda _path: None  # type: ignore[method-assign, assignment]
    error = await fetch_failure(adapter, file)
    assert error.failure is DeliveryFailure.GONE
    printed = capsys.readouterr()
    secret = TOKEN.partition(":")[2]
    assert secret not in f"{error!r} {error.__cause__!r} {printed.out} {printed.err} {caplog.text}"


async def test_slow_download_times_out() -> None:
    slow_body: list[bytes | float] = [b"x", 0.05] * 200
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with raw_server(lambda _n: [head, *slow_body]) as server:
        file = File("id", "unique", file_path=f"{server.url}a.bin")
        with pytest.raises(DeliveryError) as raised:
            await download(file, 10**6, replace(FAST_TIMINGS, download_timeout=0.3))
    assert raised.value.failure is DeliveryFailure.TRANSIENT
