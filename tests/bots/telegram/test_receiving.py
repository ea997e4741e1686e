import asyncio
import logging
import time

import pytest
import structlog

from bots.telegram.adapter import TelegramAdapter
from core.errors import ConfigurationError, DeliveryError, DeliveryFailure, UnavailableError
from core.port import EventKind, Part
from tests.bots.telegram.conftest import PRIVATE_PLACE, FakeInbox, RunAdapter
from tests.bots.telegram.payloads import ADA, BOT, GROUP, PRIVATE, command, message
from tests.bots.telegram.scripted_bot_api import BOT_USER, TOKEN, Reply, ScriptedBotApi, error_reply

COMMANDS = [("model", "See or change the model"), ("stop", "Stop")]


async def test_update_is_confirmed_after_inbox_stored_it(
    api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter
) -> None:
    inbox.wait_for = asyncio.Event()
    async with serving():
        number = await api.push_update(message=message(PRIVATE, "hello"))
        await inbox.wait_until(lambda: inbox.attempts == 1)
        assert api.confirmed_offset <= number
        inbox.wait_for.set()
        await api.wait_until(lambda: api.confirmed_offset == number + 1)
    assert [(one.key, one.text) for one in inbox.stored] == [(f"u{number}", "hello")]


async def test_requests_supported_update_types_only(api: ScriptedBotApi, serving: RunAdapter) -> None:
    async with serving():
        asked = (await api.wait_for_calls("getUpdates"))[0]
    assert asked["allowed_updates"] == [
        "message",
        "callback_query",
        "my_chat_member",
        "stopped_message_generation",
    ]


@pytest.mark.usefixtures("hurried")
async def test_unstored_update_is_received_again(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    inbox.fail_next()
    async with serving():
        first = await api.push_update(message=message(PRIVATE, "one"))
        second = await api.push_update(message=message(PRIVATE, "two"))
        await api.wait_until(lambda: api.confirmed_offset == second + 1)
    assert [one.key for one in inbox.stored] == [f"u{first}", f"u{second}"]
    assert inbox.attempts == 3


@pytest.mark.usefixtures("hurried")
async def test_failing_update_is_skipped_and_logged_without_text(
    api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter
) -> None:
    inbox.failures = [ValueError("secret words"), KeyError("x"), ValueError("y")]
    with structlog.testing.capture_logs() as logs:
        async with serving():
            number = await api.push_update(message=message(PRIVATE, "bad"))
            await api.push_update(message=message(PRIVATE, "good"))
            assert (await inbox.wait_for_events())[0].text == "good"
    failed = [entry["update"] for entry in logs if entry["event"] == "telegram.intake_failed"]
    assert failed == [number] * 3
    assert not api.params_of("sendMessage"), "nobody knows here whether they may be answered"
    assert "secret words" not in str(logs)


async def test_unreadable_update_is_skipped(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    async with serving():
        await api.push_update(message={"message_id": "?", "date": {}})
        last = await api.push_update(message=message(PRIVATE, "good"))
        assert (await inbox.wait_for_events())[0].text == "good"
        await api.wait_until(lambda: api.confirmed_offset == last + 1)


async def test_unknown_group_commands_are_ignored(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    async with serving(commands=COMMANDS):
        await api.push_update(message=command(GROUP, "/weather"))
        await api.push_update(message=command(GROUP, "/model x"))
        assert [one.command for one in await inbox.wait_for_events()] == ["model"]


async def test_button_press_is_acknowledged_at_once(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    inbox.wait_for = asyncio.Event()
    async with serving():
        shown = message(PRIVATE, "Pick", message_id=12, **{"from": BOT})
        query = {"id": "q1", "from": ADA, "chat_instance": "c", "message": shown, "data": "m:3"}
        await api.push_update(callback_query=query)
        assert (await api.wait_for_calls("answerCallbackQuery"))[0]["callback_query_id"] == "q1"
        assert inbox.stored == []
        inbox.wait_for.set()
        assert [(one.kind, one.text) for one in await inbox.wait_for_events()] == [(EventKind.BUTTON, "m:3")]


async def test_expired_button_press_is_received(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    api.script("answerCallbackQuery", error_reply(400, "Bad Request: query is too old"))
    async with serving():
        shown = {"chat": PRIVATE, "message_id": 12, "date": 0}
        query = {"id": "q1", "from": ADA, "chat_instance": "c", "message": shown, "data": "m:3"}
        await api.push_update(callback_query=query)
        assert (await inbox.wait_for_events())[0].message_id == "12"


async def test_client_stop_is_received(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    async with serving():
        await api.push_update(stopped_message_generation={"chat": PRIVATE, "draft_id": 77})
        assert [(one.kind, one.text) for one in await inbox.wait_for_events()] == [(EventKind.STOP, "77")]


async def test_block_is_recorded(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    change = {
        "chat": PRIVATE,
        "from": ADA,
        "date": 0,
        "old_chat_member": {"user": BOT, "status": "member"},
        "new_chat_member": {"user": BOT, "status": "kicked", "until_date": 0},
    }
    async with serving():
        number = await api.push_update(my_chat_member=change)
        await api.wait_until(lambda: api.confirmed_offset == number + 1)
    assert inbox.attempts == 0


async def test_wrong_token_is_configuration_error(
    api: ScriptedBotApi, inbox: FakeInbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.token = "123456:another"
    with pytest.raises(ConfigurationError) as raised:
        await TelegramAdapter(TOKEN, api_base=api.base_url).run(inbox)
    assert "TELEGRAM_BOT_TOKEN" in str(raised.value)
    assert TOKEN not in str(raised.value)
    assert raised.value.__suppress_context__
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("token", ["", "abc", "123456", "123456:with space", "١٢:abc"])
def test_malformed_token_is_configuration_error(token: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        TelegramAdapter(token)
    assert not token or token not in str(raised.value)


def test_account_comes_from_token() -> None:
    assert TelegramAdapter(TOKEN).account == "123456"


async def test_revoked_token_ends_run(api: ScriptedBotApi, inbox: FakeInbox) -> None:
    api.script("getUpdates", error_reply(401, "Unauthorized"))
    chat = TelegramAdapter(TOKEN, api_base=api.base_url)
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError):
            await chat.run(inbox)


@pytest.mark.usefixtures("hurried")
async def test_lasting_conflict_is_configuration_error(api: ScriptedBotApi, inbox: FakeInbox) -> None:
    conflict = error_reply(409, "Conflict: terminated by other getUpdates request")
    api.script("getUpdates", conflict, conflict)
    chat = TelegramAdapter(TOKEN, api_base=api.base_url, max_conflicts=2)
    async with asyncio.timeout(8):
        with pytest.raises(UnavailableError, match="Another process"):
            await chat.run(inbox)


@pytest.mark.usefixtures("hurried")
async def test_short_conflicts_are_survived(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    conflict = error_reply(409, "Conflict: terminated by other getUpdates request")
    api.script("getUpdates", conflict, Reply(result=[]), conflict)
    async with serving(max_conflicts=2):
        await api.push_update(message=message(PRIVATE, "hello"))
        assert (await inbox.wait_for_events())[0].text == "hello"


async def test_retries_without_network_at_start(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    api.script("getMe", Reply(drop=True))
    with structlog.testing.capture_logs() as logs:
        async with serving():
            await api.push_update(message=message(PRIVATE, "hello"))
            assert (await inbox.wait_for_events())[0].text == "hello"
    assert "telegram.unreachable" in [entry["event"] for entry in logs]


@pytest.mark.usefixtures("hurried")
async def test_broken_poll_is_retried(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    api.script("getUpdates", Reply(drop=True))
    async with serving():
        await api.push_update(message=message(PRIVATE, "hello"))
        assert (await inbox.wait_for_events())[0].text == "hello"


async def test_cancel_is_prompt_and_confirms_updates(
    api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter
) -> None:
    async with serving(poll_timeout=50):
        number = await api.push_update(message=message(PRIVATE, "hello"))
        await inbox.wait_for_events()
        await api.wait_until(lambda: api.confirmed_offset == number + 1)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert api.params_of("getUpdates")[-1]["offset"] == number + 1


async def test_cancel_during_retry_pause(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    inbox.fail_next(100)
    async with serving():
        number = await api.push_update(message=message(PRIVATE, "hello"))
        await inbox.wait_until(lambda: inbox.attempts == 2)
        began = time.monotonic()
    assert time.monotonic() - began < 1  # the pause is 1.5 s long
    assert api.confirmed_offset <= number  # it was never kept


async def test_cancel_during_store_loses_nothing(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    inbox.wait_for = asyncio.Event()
    async with serving():
        number = await api.push_update(message=message(PRIVATE, "hello"))
        await inbox.wait_until(lambda: inbox.attempts == 1)
    assert api.confirmed_offset <= number
    inbox.wait_for = None
    async with serving():
        assert [one.key for one in await inbox.wait_for_events()] == [f"u{number}"]


async def test_adapter_can_run_again(api: ScriptedBotApi, inbox: FakeInbox) -> None:
    chat = TelegramAdapter(TOKEN, api_base=api.base_url)
    for count in (1, 2):
        task = asyncio.create_task(chat.run(inbox))
        await api.push_update(message=message(PRIVATE, f"hello {count}"))
        await inbox.wait_for_events(count)
        assert await chat.send(PRIVATE_PLACE, Part("hi"), key="k")
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()
    assert [one.text for one in inbox.stored] == ["hello 1", "hello 2"]


@pytest.mark.usefixtures("hurried")
async def test_last_activity_needs_successful_poll(api: ScriptedBotApi, serving: RunAdapter) -> None:
    async with serving() as chat:
        began = chat.last_poll_answer
        api.script("getUpdates", Reply(502, body="<html>"), Reply(wait_for=asyncio.Event()))
        await api.push_update(message=message(PRIVATE, "hello"))
        await api.wait_for_calls("getUpdates", 3)
        failed = [call for call in api.calls if call.method == "getUpdates"][1]
        assert began < chat.last_poll_answer <= failed.time


async def test_commands_are_registered_once(api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter) -> None:
    async with serving(commands=COMMANDS):
        made = await api.wait_for_calls("setMyCommands", 2)
    assert [one["scope"]["type"] for one in made] == ["all_private_chats", "all_group_chats"]
    assert made[0]["commands"][0] == {
        "command": "model",
        "description": "See or change the model",
    }
    async with serving(commands=COMMANDS):
        await api.wait_for_calls("getMyCommands", 4)
        await api.push_update(message=message(PRIVATE, "hello"))
        await inbox.wait_for_events()
    assert len(api.params_of("setMyCommands")) == 2


@pytest.mark.parametrize("everything", [True, False])
async def test_privacy_mode_is_logged(api: ScriptedBotApi, serving: RunAdapter, everything: bool) -> None:
    api.script("getMe", Reply(result=BOT_USER | {"can_read_all_group_messages": everything}))
    with structlog.testing.capture_logs() as logs:
        async with serving(commands=COMMANDS):
            await api.wait_for_calls("getMyCommands")
    told = next(entry for entry in logs if entry["event"] == "telegram.ready")
    assert told["can_read_all_group_messages"] is everything
    assert ("privacy mode is off" in told["meaning"]) is everything


@pytest.mark.usefixtures("hurried")
async def test_token_and_text_are_not_logged(
    api: ScriptedBotApi, inbox: FakeInbox, serving: RunAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.script("getUpdates", Reply(502, body="<html>"), Reply(drop=True))
    with structlog.testing.capture_logs() as logs:
        async with serving(commands=COMMANDS) as chat:
            await api.push_update(message=message(PRIVATE, "private words"))
            await inbox.wait_for_events()
            await chat.send(PRIVATE_PLACE, Part("other words"), key="k")
    for kept in (caplog.text, str(logs)):
        assert TOKEN not in kept
        assert "words" not in kept


async def test_send_waits_for_run(api: ScriptedBotApi, inbox: FakeInbox) -> None:
    chat = TelegramAdapter(TOKEN, api_base=api.base_url)
    sending = asyncio.create_task(chat.send(PRIVATE_PLACE, Part("hi"), key="k"))
    running = asyncio.create_task(chat.run(inbox))
    async with asyncio.timeout(5):
        assert await sending == "1001"
    running.cancel()
    await asyncio.wait({running}, timeout=5)


async def test_send_without_run_fails(api: ScriptedBotApi) -> None:
    chat = TelegramAdapter(TOKEN, api_base=api.base_url, ready_timeout=0.05)
    with pytest.raises(DeliveryError) as raised:
        await chat.send(PRIVATE_PLACE, Part("hi"), key="k")
    assert raised.value.failure is DeliveryFailure.TRANSIENT
    assert api.calls == []
