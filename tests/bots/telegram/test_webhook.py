"""Receiving by webhook, against the stand-in that delivers as Telegram does."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from bots.sandbox.telegram import Limits, TelegramStandIn
from bots.telegram.chat import TelegramChat
from bots.telegram.webhook import HEADER, secret_of
from core.errors import UnavailableError
from tests.bots.telegram.conftest import Inbox

PATH = "/telegram/hook"


@pytest.fixture
async def stand_in() -> AsyncIterator[TelegramStandIn]:
    server = TelegramStandIn(limits=Limits.off())
    await server.start()
    yield server
    await server.close()


@asynccontextmanager
async def listening(stand_in: TelegramStandIn, inbox: Inbox, port: int) -> AsyncIterator[str]:
    """A chat that receives by webhook; its address."""
    url = f"http://127.0.0.1:{port}{PATH}"
    chat = TelegramChat(
        stand_in.token, api_base=stand_in.base_url, webhook=(url, f"127.0.0.1:{port}")
    )
    task = asyncio.create_task(chat.run(inbox))
    try:
        await stand_in.wait(lambda: any(c.method.lower() == "setwebhook" for c in stand_in.calls))
        yield url
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=10)


async def test_what_people_write_arrives_in_order(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    ann = stand_in.person("Ann")
    chat = stand_in.private(ann)
    async with listening(stand_in, inbox, unused_tcp_port):
        for number in range(5):
            await stand_in.say(ann, chat, f"{number}")
        kept = await inbox.receives(5)
    assert [one.text for one in kept] == ["0", "1", "2", "3", "4"]


async def test_what_could_not_be_kept_is_delivered_again(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    inbox.refuse(times=1)
    ann = stand_in.person("Ann")
    chat = stand_in.private(ann)
    async with listening(stand_in, inbox, unused_tcp_port):
        await stand_in.say(ann, chat, "kept at last")
        kept = await inbox.receives(1)
    assert [one.text for one in kept] == ["kept at last"]
    assert inbox.tries == 2


@pytest.mark.parametrize("secret", ["", "wrong", "x" * 64])
async def test_who_does_not_know_the_secret_is_not_heard(
    stand_in: TelegramStandIn, unused_tcp_port: int, secret: str
) -> None:
    inbox = Inbox()
    headers = {HEADER: secret} if secret else {}
    async with (
        listening(stand_in, inbox, unused_tcp_port) as url,
        aiohttp.ClientSession() as session,
        session.post(url, json={"update_id": 1}, headers=headers) as answer,
    ):
        assert (answer.status, await answer.text()) == (401, "")
    assert inbox.kept == []


async def test_an_update_nobody_can_read_and_one_too_large_hold_nothing_up(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    right = {HEADER: secret_of(stand_in.token)}
    async with (
        listening(stand_in, inbox, unused_tcp_port) as url,
        aiohttp.ClientSession(headers=right) as session,
    ):
        for body, status in (
            (b'{"update_id": 5, "message": {"date": "nonsense"}}', 200),
            (b"[]", 400),
            (b"x" * 2_000_000, 413),
        ):
            async with session.post(url, data=io.BytesIO(body)) as answer:
                assert answer.status == status
        async with session.get(url.replace(PATH, "/healthz")) as answer:
            assert answer.status == 200


async def test_a_port_that_is_taken_is_told(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    taken = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", unused_tcp_port)
    chat = TelegramChat(
        stand_in.token,
        api_base=stand_in.base_url,
        webhook=(f"http://127.0.0.1{PATH}", f"127.0.0.1:{unused_tcp_port}"),
    )
    async with taken, asyncio.timeout(10):
        with pytest.raises(UnavailableError, match="TELEGRAM_WEBHOOK_LISTEN"):
            await chat.run(Inbox())


async def test_polling_takes_the_webhook_away(
    stand_in: TelegramStandIn, unused_tcp_port: int
) -> None:
    inbox = Inbox()
    ann = stand_in.person("Ann")
    private = stand_in.private(ann)
    async with listening(stand_in, inbox, unused_tcp_port):
        pass
    chat = TelegramChat(stand_in.token, api_base=stand_in.base_url)
    task = asyncio.create_task(chat.run(inbox))
    await stand_in.say(ann, private, "by polling")
    await inbox.receives(1)
    task.cancel()
    await asyncio.wait({task}, timeout=10)
