"""Updates: the queue, confirmation, long polls, webhooks."""

import asyncio
from typing import Any

import pytest
from aiohttp import web
from telegram import Update
from telegram.error import BadRequest, Conflict
from telegram.ext import Application, ContextTypes, ExtBot, MessageHandler, filters

from bots.sandbox.telegram import TelegramStandIn
from tests.bots.sandbox.telegram.conftest import CallMethod, make_client

pytestmark = pytest.mark.slow


async def test_application_polls_and_answers(server: TelegramStandIn) -> None:
    ann = server.create_user("Ann")
    chat = server.open_private_chat(ann)

    async def echo(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        assert update.message.text is not None
        await update.message.reply_text(update.message.text.upper())

    application = Application.builder().token(server.token).base_url(f"{server.api_base}/bot").build()
    application.add_handler(MessageHandler(filters.TEXT, echo))
    async with application:
        assert application.updater is not None
        await application.updater.start_polling(timeout=5)
        await application.start()
        for number in range(5):
            await server.send_message(ann, chat, f"hello {number}")
        await server.wait_for(lambda: len(server.messages(chat)) == 10)
        await server.wait_for(lambda: not server.updates.pending)
        await application.updater.stop()
        await application.stop()
    answers = [m.text for m in server.messages(chat) if m.from_bot]
    assert answers == [f"HELLO {number}" for number in range(5)]


async def test_updates_stay_until_confirmed(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    ann = server.create_user("Ann")
    chat = server.open_private_chat(ann)
    for number in range(4):
        await server.send_message(ann, chat, str(number))

    async def texts(**options: Any) -> list[str | None]:
        updates = await bot.get_updates(timeout=0, **options)
        return [update.message.text for update in updates if update.message]

    first = (await bot.get_updates(timeout=0, limit=1))[0].update_id
    assert await texts() == ["0", "1", "2", "3"]
    assert await texts(offset=first + 1) == ["1", "2", "3"]
    assert await texts(limit=2) == ["1", "2"]
    assert await texts(offset=-1) == ["3"]
    assert await texts() == ["3"]


async def test_long_poll_returns_on_update_or_timeout(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    ann = server.create_user("Ann")
    chat = server.open_private_chat(ann)
    poll = asyncio.create_task(bot.get_updates(timeout=20))
    await server.wait_for(lambda: server.calls[-1].method == "getUpdates")
    await server.send_message(ann, chat, "now")
    async with asyncio.timeout(10):
        (update,) = await poll
    assert update.message is not None
    assert update.message.text == "now"
    assert await bot.get_updates(offset=update.update_id + 1, timeout=1) == ()


async def test_allowed_updates_apply_at_creation(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    ann = server.create_user("Ann")
    chat = server.open_private_chat(ann)
    message = await server.send_message(ann, chat, "before")
    await bot.get_updates(timeout=0, allowed_updates=["edited_message"])
    await server.edit_message(message, "changed")
    await server.send_message(ann, chat, "not wanted")
    updates = await bot.get_updates(timeout=0)
    assert [bool(update.edited_message) for update in updates] == [False, True]
    assert updates[1].edited_message is not None
    assert updates[1].edited_message.text == "changed"


async def test_second_poll_conflicts_with_first(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    older = asyncio.create_task(bot.get_updates(timeout=20))
    await server.wait_for(lambda: server.calls[-1].method == "getUpdates")
    async with make_client(server) as other_bot:
        newer = asyncio.create_task(other_bot.get_updates(timeout=1))
        with pytest.raises(Conflict, match=r"(?i)terminated by other getUpdates"):
            await older
        assert await newer == ()


@pytest.mark.slow
async def test_webhook_sends_secret_and_ends_polling(
    server: TelegramStandIn, bot: ExtBot[None], unused_tcp_port: int
) -> None:
    ann = server.create_user("Ann")
    chat = server.open_private_chat(ann)
    poll = asyncio.create_task(bot.get_updates(timeout=20))
    await server.wait_for(lambda: server.calls[-1].method == "getUpdates")
    application = Application.builder().token(server.token).base_url(f"{server.api_base}/bot").build()
    received: list[str | None] = []

    async def on_message(update: Update, _context: ContextTypes.DEFAULT_TYPE) -> None:
        assert update.message is not None
        received.append(update.message.text)
        server.notify_waiters()

    application.add_handler(MessageHandler(filters.TEXT, on_message))
    async with application:
        assert application.updater is not None
        await application.start()
        await application.updater.start_webhook(
            port=unused_tcp_port,
            url_path="hook",
            secret_token="s3cret",
            webhook_url=f"http://127.0.0.1:{unused_tcp_port}/hook",
        )
        with pytest.raises(Conflict, match=r"(?i)terminated by setWebhook"):
            await poll
        for number in range(3):
            await server.send_message(ann, chat, str(number))
        await server.wait_for(lambda: len(received) == 3)
        assert received == ["0", "1", "2"]
        info = await bot.get_webhook_info()
        assert info.url.endswith("/hook")
        with pytest.raises(Conflict, match=r"(?i)webhook is active"):
            await bot.get_updates(timeout=0)
        await bot.delete_webhook()
        await application.updater.stop()
        await application.stop()
    assert await bot.get_updates(timeout=0) == ()


async def test_failed_webhook_is_retried_in_order_per_chat(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    ann, bob = server.create_user("Ann"), server.create_user("Bob")
    one, two = server.open_private_chat(ann), server.open_private_chat(bob)
    delivered: list[str] = []
    failures = 3

    async def hook(request: web.Request) -> web.Response:
        nonlocal failures
        assert request.headers["X-Telegram-Bot-Api-Secret-Token"] == "s3cret"
        text = (await request.json())["message"]["text"]
        if text == "one" and failures:
            failures -= 1
            return web.Response(status=500)
        delivered.append(text)
        server.notify_waiters()
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hook)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    port = runner.addresses[0][1]
    await bot.set_webhook(f"http://127.0.0.1:{port}/hook", secret_token="s3cret")
    for text in ("one", "two", "three"):
        await server.send_message(ann, one, text)
    await server.send_message(bob, two, "other")
    await server.wait_for(lambda: len(delivered) == 4)
    assert [text for text in delivered if text != "other"] == ["one", "two", "three"]
    assert delivered[0] == "other"
    info = await bot.get_webhook_info()
    assert info.last_error_message == "Wrong response from the webhook: 500 Internal Server Error"
    await bot.delete_webhook()
    await runner.cleanup()


async def test_remote_webhook_is_refused(call_method: CallMethod, bot: ExtBot[None]) -> None:
    with pytest.raises(BadRequest, match=r"(?i)HTTPS URL must be provided"):
        await bot.set_webhook("http://example.org/hook")
    with pytest.raises(BadRequest, match=r"(?i)Failed to resolve host"):
        await bot.set_webhook("https://example.org/hook")
    url = "http://127.0.0.1:1/"
    assert (await call_method("setWebhook", url=url, secret_token="not allowed!"))[0] == 400
    assert (await call_method("setWebhook", url=url, secret_token="x" * 257))[0] == 400
    assert (await call_method("setWebhook", url="nonsense"))[0] == 400
