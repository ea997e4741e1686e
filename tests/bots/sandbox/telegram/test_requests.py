"""Tokens, request encodings, unknown methods, commands, injected faults."""

import aiohttp
import pytest
from telegram import BotCommand, BotCommandScopeAllGroupChats, BotCommandScopeAllPrivateChats
from telegram.error import (
    BadRequest,
    EndPointNotFound,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TimedOut,
)
from telegram.ext import ExtBot
from telegram.request import HTTPXRequest

from bots.sandbox.telegram import Call, Fault, FaultKind, Limits, TelegramStandIn
from tests import api_specs
from tests.bots.sandbox.telegram.conftest import CallMethod, make_client
from tests.clock import FakeClock


async def test_get_me_has_capabilities(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    me = await bot.get_me()
    assert (me.id, me.username, me.is_bot) == (server.bot.id, server.bot.username, True)
    assert me.has_topics_enabled
    assert not me.can_read_all_group_messages
    server.privacy_mode = False
    assert (await bot.get_me()).can_read_all_group_messages


async def test_a_wrong_token_is_refused(server: TelegramStandIn) -> None:
    client = make_client(server, "123456789:another")
    with pytest.raises(InvalidToken):
        await client.initialize()
    await client.shutdown()
    assert [call.description for call in server.calls_with_status(401)] == ["Unauthorized"]


async def test_method_names_are_case_insensitive(call_method: CallMethod) -> None:
    assert (await call_method("GETME"))[0] == 200
    assert await call_method("getNothing") == (404, "Not Found: method not found")


async def test_unsupported_methods_are_unknown(bot: ExtBot[None]) -> None:
    with pytest.raises(EndPointNotFound):
        await bot.do_api_request("sendWidget", api_kwargs={"chat_id": 1})


async def test_older_server_has_no_rich_messages(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    server.has_rich_messages = False
    for method in ("sendRichMessage", "sendRichMessageDraft"):
        with pytest.raises(EndPointNotFound):
            await bot.do_api_request(method, api_kwargs={"chat_id": 1})


@pytest.mark.parametrize("encoding", ["json", "urlencoded", "multipart", "query"])
async def test_four_request_encodings_are_accepted(server: TelegramStandIn, encoding: str) -> None:
    chat = server.open_private_chat(server.create_user("Ann"))
    url = f"{server.api_base}/bot{server.token}/sendMessage"
    fields = {
        "chat_id": str(chat.id),
        "text": "12 & ü 😀",
        "protect_content": "true",
        "reply_markup": '{"inline_keyboard":[[{"text":"x","callback_data":"1"}]]}',
    }
    async with aiohttp.ClientSession() as session:
        if encoding == "json":
            markup = {"inline_keyboard": [[{"text": "x", "callback_data": "1"}]]}
            body = {**fields, "chat_id": chat.id, "protect_content": True, "reply_markup": markup}
            request = session.post(url, json=body)
        elif encoding == "urlencoded":
            request = session.post(url, data=fields)
        elif encoding == "multipart":
            form = aiohttp.FormData(default_to_multipart=True)
            for name, value in fields.items():
                form.add_field(name, value)
            request = session.post(url, data=form)
        else:
            request = session.get(url, params=fields)
        async with request as response:
            assert response.status == 200
    (message,) = server.messages(chat)
    assert message.text == "12 & ü 😀"
    assert message.buttons == [{"text": "x", "callback_data": "1"}]
    assert server.calls[-1].params["protect_content"] is True


async def test_library_requests_match_spec(server: TelegramStandIn, bot: ExtBot[None]) -> None:
    api_specs.require_specs()
    chat = server.open_private_chat(server.create_user("Ann"))
    sent = await bot.send_message(chat.id, "one", disable_notification=True)
    await bot.edit_message_text("two", chat_id=chat.id, message_id=sent.message_id)
    await bot.send_message_draft(chat.id, 7, "three", api_kwargs={"can_stop": True})
    await bot.get_updates(offset=-1, timeout=0, allowed_updates=["message"])
    for call in server.calls:
        assert api_specs.telegram_errors(f"method.{call.method}", call.params) == []


async def test_commands_are_stored_by_scope_and_language(
    server: TelegramStandIn, bot: ExtBot[None], call_method: CallMethod
) -> None:
    everywhere, elsewhere = BotCommandScopeAllPrivateChats(), BotCommandScopeAllGroupChats()
    await bot.set_my_commands([BotCommand("ask", "Ask")], scope=everywhere)
    await bot.set_my_commands([BotCommand("frag", "Frag")], scope=everywhere, language_code="de")
    assert [c.command for c in await bot.get_my_commands(everywhere)] == ["ask"]
    assert [c.command for c in await bot.get_my_commands(everywhere, "de")] == ["frag"]
    assert not await bot.get_my_commands(elsewhere)
    for name, description, error in (
        ("Ask", "Ask", "BOT_COMMAND_INVALID"),
        ("a" * 33, "Ask", "BOT_COMMAND_INVALID"),
        ("ask", "", "BOT_COMMAND_DESCRIPTION_INVALID"),
        ("ask", "x" * 257, "BOT_COMMAND_DESCRIPTION_INVALID"),
    ):
        command = {"command": name, "description": description}
        assert await call_method("setMyCommands", commands=[command]) == (400, f"Bad Request: {error}")
    many = [{"command": f"c{n}", "description": "x"} for n in range(101)]
    assert (await call_method("setMyCommands", commands=many))[0] == 400
    status, error = await call_method("getMyCommands", scope={"type": "nowhere"})
    assert status == 400
    assert "Unsupported type" in error


async def test_injected_faults_look_real(
    server: TelegramStandIn,
) -> None:
    chat = server.open_private_chat(server.create_user("Ann"))
    faults: list[Fault] = []

    def next_fault(call: Call) -> Fault | None:
        return faults.pop() if call.method == "sendMessage" and faults else None

    server.fault_hook = next_fault
    request = HTTPXRequest(read_timeout=0.2)
    async with ExtBot(server.token, f"{server.api_base}/bot", request=request) as bot:
        for fault, error, is_sent in (
            (Fault(FaultKind.RATE_LIMITED, 7), RetryAfter, False),
            (Fault(FaultKind.INTERNAL_ERROR), NetworkError, False),
            (Fault(FaultKind.BAD_GATEWAY), NetworkError, False),
            (Fault(FaultKind.DROP_BEFORE), NetworkError, False),
            (Fault(FaultKind.DROP_AFTER), NetworkError, True),
            (Fault(FaultKind.DELAY, 0.5), TimedOut, False),
        ):
            server.flood_control.block(chat.id, 0)
            faults.append(fault)
            count = len(server.messages(chat))
            with pytest.raises(error) as raised:
                await bot.send_message(chat.id, fault.kind)
            assert not isinstance(raised.value, BadRequest)
            assert (len(server.messages(chat)) > count) is is_sent, fault
        await bot.send_message(chat.id, "whole again")
        assert server.messages(chat)[-1].text == "whole again"


async def test_injected_429_holds_only_its_chat() -> None:
    clock = FakeClock()
    server = TelegramStandIn(limits=Limits(), clock=clock)
    await server.start()
    one, two = (server.open_private_chat(server.create_user(name)) for name in ("Ann", "Bob"))
    faults = [Fault(FaultKind.RATE_LIMITED, 5)]
    server.fault_hook = lambda call: faults.pop() if faults and call.method == "sendMessage" else None
    async with make_client(server) as bot:
        with pytest.raises(RetryAfter):
            await bot.send_message(one.id, "x")
        await bot.send_message(two.id, "x")
        clock.now += 4.9
        with pytest.raises(RetryAfter):
            await bot.send_message(one.id, "too early")
        assert [call.params["text"] for call in server.early_calls()] == ["too early"]
        clock.now += 0.2
        await bot.send_message(one.id, "in time")
    await server.close()
