"""The menus of commands: in all languages, for private chats and groups, published once and in spite of failures."""

import pytest
import structlog

from bots.sandbox.telegram import ScriptedReply, TelegramStandIn
from core.commands import declarations
from core.commands.declarations import Command
from core.errors import StoreError
from core.i18n.translation import LANGUAGES
from tests.bots.telegram.conftest import FakeInbox, RunAdapter, params_of, push_update, wait_for_calls
from tests.bots.telegram.payloads import PRIVATE, message
from tests.state_store import MemoryState

COMMANDS = [Command("model", "See or change the model"), Command("stop", "Stop")]


async def test_commands_are_registered_once(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    async with run_adapter(commands=COMMANDS):
        registered = await wait_for_calls(bot_api, "setMyCommands", 2)
    assert [params["scope"]["type"] for params in registered] == ["all_private_chats", "all_group_chats"]
    assert registered[0]["commands"][0] == {"command": "model", "description": "See or change the model"}
    async with run_adapter(commands=COMMANDS):
        await wait_for_calls(bot_api, "getMyCommands", 4)
        push_update(bot_api, message=message(PRIVATE, "hello"))
        await inbox.wait_for_events()
    assert len(params_of(bot_api, "setMyCommands")) == 2


async def test_commands_are_registered_in_all_languages_once(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    state = MemoryState()
    async with run_adapter(commands=declarations.COMMANDS, state=state):
        await state.saved.wait()
    menus = {
        (params["scope"]["type"], params.get("language_code")): params for params in params_of(bot_api, "setMyCommands")
    }
    assert len(menus) == 2 * len(LANGUAGES)
    for scope in ("all_private_chats", "all_group_chats"):
        assert {"command": "stop", "description": "Die laufende Antwort stoppen"} in menus[scope, "de"]["commands"]
        assert {"command": "stop", "description": "進行中の回答を停止する"} in menus[scope, "ja"]["commands"]
    published = len(params_of(bot_api, "setMyCommands"))
    async with run_adapter(commands=declarations.COMMANDS, state=state):
        await wait_for_calls(bot_api, "getMyCommands", 4)
        push_update(bot_api, message=message(PRIVATE, "hello"))
        await inbox.wait_for_events()
    assert len(params_of(bot_api, "setMyCommands")) == published


async def test_menu_of_groups_has_only_what_they_need(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter(commands=declarations.COMMANDS):
        published = await wait_for_calls(bot_api, "setMyCommands", 2)
    names = {params["scope"]["type"]: [command["command"] for command in params["commands"]] for params in published}
    assert [name for name in names["all_private_chats"] if name not in names["all_group_chats"]] == [
        "start",
        "key",
        "privacy",
    ]
    assert {"ask", "help", "model", "stop"} <= set(names["all_group_chats"])


@pytest.mark.parametrize(
    "reply",
    [
        ScriptedReply.error(429, "Too Many Requests: retry after 0", retry_after=0),
        ScriptedReply(502, body=b"<html>"),
    ],
    ids=["429", "502"],
)
async def test_failed_menu_is_published_again(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, reply: ScriptedReply
) -> None:
    state = MemoryState()
    for method in ("getMyCommands", "setMyCommands"):
        bot_api.script.add(method, reply)
    async with run_adapter(commands=COMMANDS, state=state):
        await state.saved.wait()
    menus = [
        (call.params["scope"]["type"], call.params.get("language_code"))
        for call in bot_api.calls_to("setMyCommands")
        if call.status == 200
    ]
    assert len(menus) == len(set(menus)) == 2 * len(LANGUAGES), "only what failed is repeated"


async def test_menus_are_translated_when_the_database_is_back(
    bot_api: TelegramStandIn, run_adapter: RunAdapter
) -> None:
    class FailingState(MemoryState):
        failures = 1

        async def load_state(self, name: str) -> str | None:
            if self.failures:
                self.failures -= 1
                raise StoreError("The disk is full")
            return await super().load_state(name)

    state = FailingState()
    async with run_adapter(commands=COMMANDS, state=state):
        await state.saved.wait()
    assert len(params_of(bot_api, "setMyCommands")) == 2 * len(LANGUAGES)


async def test_refused_menu_is_not_repeated(
    bot_api: TelegramStandIn, run_adapter: RunAdapter, inbox: FakeInbox
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with run_adapter(commands=[Command("in valid", "Not a name")]):
            await bot_api.wait_for(lambda: any(call.status for call in bot_api.calls_to("setMyCommands")))
            push_update(bot_api, message=message(PRIVATE, "hello"))
            await inbox.wait_for_events()
    assert len(params_of(bot_api, "setMyCommands")) == 1
    assert "telegram.background_failed" in [entry["event"] for entry in logs]
