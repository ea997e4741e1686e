"""Fetching what people send, without telling anybody the address that holds the token."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest
from telegram import File

from bots.sandbox.telegram import Fault as StandInFault
from bots.sandbox.telegram import TelegramStandIn
from bots.telegram import chat as chat_module
from bots.telegram import files
from bots.telegram.chat import TelegramChat
from core.errors import DeliveryError, Fault
from core.port import Attachment, Files, Incoming, Part
from tests.core.api.wire import serving

CONTENT = bytes(range(256)) * 700


class Side:
    def __init__(self, server: TelegramStandIn, chat: TelegramChat) -> None:
        self.server = server
        self.chat = chat
        self.got: asyncio.Queue[Incoming] = asyncio.Queue()

    async def sent(self, content: bytes = CONTENT) -> Attachment:
        """What comes in of a file that Ann sends."""
        ann = self.server.person("Ann")
        await self.server.send_document(
            ann, self.server.private(ann), "a.bin", content, media_type="text/x"
        )
        async with asyncio.timeout(10):
            incoming = await self.got.get()
        return incoming.attachments[0]


@pytest.fixture
async def side() -> AsyncIterator[Side]:
    server = TelegramStandIn()
    await server.start()
    made = Side(server, TelegramChat(server.token, api_base=server.base_url))

    async def inbox(incoming: Incoming) -> None:
        await made.got.put(incoming)

    running = asyncio.create_task(made.chat.run(inbox))
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await server.close()


async def asked(side: Side) -> Incoming:
    ann = side.server.person("Ann")
    await side.server.say(ann, side.server.private(ann), "hello")
    async with asyncio.timeout(10):
        return await side.got.get()


async def fault(chat: Files, attachment: Attachment, most: int = 10**6) -> DeliveryError:
    with pytest.raises(DeliveryError) as caught:
        await chat.fetch(attachment, most)
    return caught.value


async def test_a_file_comes_whole(side: Side) -> None:
    file = await side.sent()
    assert (file.kind, file.name, file.size) == ("file", "a.bin", len(CONTENT))
    assert file.media_type == "text/x"
    assert isinstance(side.chat, Files)
    assert await side.chat.fetch(file, len(CONTENT)) == CONTENT


async def test_what_is_too_large_or_gone_is_told(side: Side) -> None:
    file = await side.sent()
    assert (await fault(side.chat, file, len(CONTENT) - 1)).fault is Fault.REJECTED
    unknown = Attachment("file", "a.bin", 3, "file-999999")
    assert (await fault(side.chat, unknown)).fault is Fault.REJECTED
    large = await side.sent(bytes(20 * 1024 * 1024 + 1))
    assert (await fault(side.chat, large, 10**9)).fault is Fault.REJECTED


async def test_the_token_is_in_no_error_and_no_log(
    side: Side, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG, "bots")
    file = await side.sent()
    await side.chat.fetch(file, 10**6)
    side.server.files.content = lambda _path: None  # type: ignore[method-assign, assignment]
    error = await fault(side.chat, file)
    assert error.fault is Fault.GONE
    shown, logged = capsys.readouterr(), caplog.text
    secret = side.server.token.partition(":")[2]
    assert secret not in f"{error!r} {error.__cause__!r} {shown.out} {shown.err} {logged}"


async def test_a_file_that_comes_byte_by_byte_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(files, "LONGEST", 0.5)
    trickle: list[bytes | float] = [b"x", 0.05] * 200
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    async with serving(lambda _n: [head, *trickle]) as wire:
        given = File("id", "unique", file_path=f"{wire.url}a.bin")
        with pytest.raises(DeliveryError) as caught:
            await files.download(given, 10**6)
    assert caught.value.fault is Fault.TRANSIENT


async def test_a_request_that_is_never_answered_in_full_is_given_up(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_module, "LONGEST_CALL", 0.3)
    place = (await asked(side)).place
    side.server.faults = lambda call: (
        StandInFault("delay", 2) if call.method == "sendMessage" else None
    )
    with pytest.raises(DeliveryError) as caught:
        await side.chat.send(place, Part("hello"), key="k")
    assert caught.value.fault is Fault.UNKNOWN
