import asyncio

import pytest
from telegram.error import NetworkError, RetryAfter, TelegramError
from telegram.ext import ExtBot

from bots.sandbox.telegram import ScriptedReply, TelegramStandIn


async def test_scripted_replies_are_used_in_order_and_once(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    flood = ScriptedReply.error(429, "Too Many Requests: retry after 7", retry_after=7)
    server.script.add("logOut", flood, ScriptedReply(body={"ok": True, "result": False}))
    with pytest.raises(RetryAfter):
        await bot.log_out()
    assert not await bot.log_out()
    assert await bot.log_out()
    assert [call.status for call in server.calls_to("logout")] == [429, 200, 200]


async def test_raw_body_replaces_json(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    server.script.add("logOut", ScriptedReply(200, body=b"<html>"))
    with pytest.raises(TelegramError, match="Invalid server response"):
        await bot.log_out()


async def test_connection_is_dropped(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    server.script.add("logOut", ScriptedReply(drops_connection=True))
    with pytest.raises(NetworkError):
        await bot.log_out()


async def test_reply_is_held_until_event(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    event = asyncio.Event()
    server.script.add("logOut", ScriptedReply(hold_until=event))
    call = asyncio.create_task(bot.log_out())
    await server.wait_for(lambda: server.calls_to("logOut"))
    assert not call.done()
    event.set()
    assert await call
