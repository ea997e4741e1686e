import asyncio
import logging
from dataclasses import replace

import pytest
import structlog

from bots.sandbox.telegram import ScriptedReply, TelegramStandIn
from bots.telegram.adapter import MAX_BACKGROUND_TASKS, TelegramAdapter
from bots.telegram.updates import ALLOWED_UPDATES
from core.commands.declarations import Command
from core.errors import ConfigurationError, DeliveryError, DeliveryFailure, UnavailableError
from core.port import ConnectionState, EventKind, Part
from tests.bots.telegram.conftest import (
    FAST_TIMINGS,
    PRIVATE_PLACE,
    TOKEN,
    FakeInbox,
    RunAdapter,
    is_confirmed,
    params_of,
    push_update,
    wait_for_calls,
)
from tests.bots.telegram.payloads import ADA, BOT, GROUP, PRIVATE, command, mention_message, message
from tests.clock import FakeClock
from tests.waiting import wait_until

COMMANDS = [Command("model", "See or change the model"), Command("stop", "Stop")]
CONFLICT = ScriptedReply.error(409, "Conflict: terminated by other getUpdates request")


async def test_requests_supported_update_types_only(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter():
        params = (await wait_for_calls(bot_api, "getUpdates"))[0]
    assert params["allowed_updates"] == list(ALLOWED_UPDATES)


async def test_unstored_update_is_received_again(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    inbox.fail_next()
    async with run_adapter():
        first = push_update(bot_api, message=message(PRIVATE, "one"))
        second = push_update(bot_api, message=message(PRIVATE, "two"))
        await bot_api.wait_for(lambda: is_confirmed(bot_api, second))
    assert [event.key for event in inbox.stored] == [f"u{first}", f"u{second}"]
    assert inbox.attempts == 3


async def test_failing_update_is_skipped_and_logged_without_text(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    inbox.failures = [ValueError("secret words"), KeyError("x"), ValueError("y")]
    with structlog.testing.capture_logs() as logs:
        async with run_adapter():
            update_id = push_update(bot_api, message=message(PRIVATE, "bad"))
            push_update(bot_api, message=message(PRIVATE, "good"))
            assert (await inbox.wait_for_events())[0].text == "good"
    failed = [entry["update"] for entry in logs if entry["event"] == "telegram.update_failed"]
    assert failed == [update_id] * 3
    assert not params_of(bot_api, "sendMessage"), "whether the sender has access is unknown here"
    assert "secret words" not in str(logs)


async def test_update_without_valid_id_blocks_no_other(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    async with run_adapter():
        for invalid in (["5"], 2**70, -1, True):
            push_update(bot_api, stopped_message_generation={"chat": 1})
            bot_api.updates.pending[-1].update["update_id"] = invalid
        update_id = push_update(bot_api, message=message(PRIVATE, "good"))
        assert (await inbox.wait_for_events())[0].text == "good"
        await bot_api.wait_for(lambda: is_confirmed(bot_api, update_id))


async def test_unknown_group_commands_are_ignored(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    async with run_adapter(commands=COMMANDS):
        push_update(bot_api, message=command(GROUP, "/weather"))
        push_update(bot_api, message=command(GROUP, "/model x"))
        assert [event.command for event in await inbox.wait_for_events()] == ["model"]


async def test_button_press_is_acknowledged_at_once(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    inbox.hold_until = asyncio.Event()
    async with run_adapter():
        menu = message(PRIVATE, "Pick", message_id=12, **{"from": BOT})
        query = {"id": "q1", "from": ADA, "chat_instance": "c", "message": menu, "data": "m:3"}
        push_update(bot_api, callback_query=query)
        assert (await wait_for_calls(bot_api, "answerCallbackQuery"))[0]["callback_query_id"] == "q1"
        assert inbox.stored == []
        inbox.hold_until.set()
        assert [(event.kind, event.text) for event in await inbox.wait_for_events()] == [(EventKind.BUTTON, "m:3")]


async def test_every_button_press_is_acknowledged(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    """The number of requests in flight is limited, not that of all presses."""
    menu = message(PRIVATE, "Pick", message_id=12, **{"from": BOT})
    async with run_adapter():
        for last in range(40, 2 * MAX_BACKGROUND_TASKS, 40):
            ids = [f"q{number}" for number in range(last - 40, last)]
            for id_ in ids:
                query = {"id": id_, "from": ADA, "chat_instance": "c", "message": menu, "data": "m:3"}
                push_update(bot_api, callback_query=query)
            calls = await wait_for_calls(bot_api, "answerCallbackQuery", last)
            assert {call["callback_query_id"] for call in calls[-40:]} == set(ids)


async def test_expired_button_press_is_received(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    bot_api.script.add("answerCallbackQuery", ScriptedReply.error(400, "Bad Request: query is too old"))
    async with run_adapter():
        menu = {"chat": PRIVATE, "message_id": 12, "date": 0}
        query = {"id": "q1", "from": ADA, "chat_instance": "c", "message": menu, "data": "m:3"}
        push_update(bot_api, callback_query=query)
        assert (await inbox.wait_for_events())[0].message_id == "12"


async def test_client_stop_is_received(bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter) -> None:
    async with run_adapter():
        push_update(bot_api, stopped_message_generation={"chat": PRIVATE, "draft_id": 77})
        assert [(event.kind, event.text) for event in await inbox.wait_for_events()] == [(EventKind.STOP, "77")]


async def test_block_is_logged(bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter) -> None:
    change = {
        "chat": PRIVATE,
        "from": ADA,
        "date": 0,
        "old_chat_member": {"user": BOT, "status": "member"},
        "new_chat_member": {"user": BOT, "status": "kicked", "until_date": 0},
    }
    with structlog.testing.capture_logs() as logs:
        async with run_adapter():
            for _ in range(3):
                update_id = push_update(bot_api, my_chat_member=change)
            await bot_api.wait_for(lambda: is_confirmed(bot_api, update_id))
    changes = [entry for entry in logs if entry["event"] == "telegram.membership_changed"]
    assert [(entry["chat"], entry["status"]) for entry in changes] == [("private", "kicked")], "once a minute"
    assert inbox.attempts == 0


async def test_wrong_token_is_configuration_error(
    bot_api: TelegramStandIn, inbox: FakeInbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bot_api.token = "123456:another"
    with pytest.raises(ConfigurationError) as raised:
        await TelegramAdapter(TOKEN, api_base=bot_api.api_base).run(inbox)
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


async def test_revoked_token_ends_run(bot_api: TelegramStandIn, inbox: FakeInbox) -> None:
    bot_api.script.add("getUpdates", ScriptedReply.error(401, "Unauthorized"))
    adapter = TelegramAdapter(TOKEN, api_base=bot_api.api_base)
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError):
            await adapter.run(inbox)


async def test_lasting_conflict_ends_run(bot_api: TelegramStandIn, inbox: FakeInbox) -> None:
    bot_api.script.add("getUpdates", CONFLICT, CONFLICT)
    adapter = TelegramAdapter(TOKEN, api_base=bot_api.api_base, max_conflicts=2, timings=FAST_TIMINGS)
    async with asyncio.timeout(8):
        with pytest.raises(UnavailableError, match="Another process"):
            await adapter.run(inbox)


async def test_short_conflicts_are_survived(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    bot_api.script.add("getUpdates", CONFLICT, ScriptedReply(body={"ok": True, "result": []}), CONFLICT)
    async with run_adapter(max_conflicts=2):
        push_update(bot_api, message=message(PRIVATE, "hello"))
        assert (await inbox.wait_for_events())[0].text == "hello"


@pytest.mark.parametrize("method", ["getMe", "deleteWebhook", "getUpdates"])
async def test_lost_connection_is_retried(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter, method: str
) -> None:
    bot_api.script.add(method, ScriptedReply(drops_connection=True))
    with structlog.testing.capture_logs() as logs:
        async with run_adapter():
            push_update(bot_api, message=message(PRIVATE, "hello"))
            assert (await inbox.wait_for_events())[0].text == "hello"
    assert [entry["method"] for entry in logs if entry["event"] == "telegram.request_failed"] == [method]


async def test_poll_waits_as_long_as_telegram_asks(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    clock = FakeClock()
    bot_api.script.add("getUpdates", ScriptedReply.error(429, "Too Many Requests: retry after 9", retry_after=9))
    async with run_adapter(timings=replace(FAST_TIMINGS, clock=clock)):
        push_update(bot_api, message=message(PRIVATE, "hello"))
        await clock.wait_for_timer()
        await clock.advance(8.9)
        assert len(bot_api.calls_to("getUpdates")) == 1
        await clock.advance(0.1)
        assert (await inbox.wait_for_events())[0].text == "hello"


async def test_cancel_is_prompt_and_confirms_updates(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    async with run_adapter(timings=replace(FAST_TIMINGS, long_poll_timeout=50)):
        update_id = push_update(bot_api, message=message(PRIVATE, "hello"))
        await inbox.wait_for_events()
        await bot_api.wait_for(lambda: is_confirmed(bot_api, update_id))
    assert params_of(bot_api, "getUpdates")[-1]["offset"] == update_id + 1


async def test_cancel_during_retry_delay(bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter) -> None:
    clock = FakeClock()
    inbox.fail_next(100)
    async with run_adapter(timings=replace(FAST_TIMINGS, clock=clock)):
        update_id = push_update(bot_api, message=message(PRIVATE, "hello"))
        await clock.wait_for_timer()
    assert inbox.attempts == 1
    assert not is_confirmed(bot_api, update_id)


async def test_last_activity_needs_successful_poll(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    async with run_adapter() as adapter:
        started_at = adapter.last_activity
        hanging = ScriptedReply(hold_until=asyncio.Event())
        bot_api.script.add("getUpdates", ScriptedReply(502, body=b"<html>"), hanging)
        push_update(bot_api, message=message(PRIVATE, "hello"))
        await wait_for_calls(bot_api, "getUpdates", 3)
        failed_poll = bot_api.calls_to("getUpdates")[1]
        assert started_at is not None
        assert adapter.last_activity is not None
        assert started_at < adapter.last_activity <= failed_poll.time


async def test_failed_poll_is_a_lost_connection(bot_api: TelegramStandIn, run_adapter: RunAdapter) -> None:
    clock = FakeClock()
    async with run_adapter(timings=replace(FAST_TIMINGS, clock=clock)) as adapter:
        await wait_until(lambda: adapter.connection_state is ConnectionState.CONNECTED)
        bot_api.script.add("getUpdates", ScriptedReply(502, body=b"<html>"))
        push_update(bot_api, message=message(PRIVATE, "hello"))
        await wait_until(lambda: adapter.connection_state is ConnectionState.CONNECTING)
        await clock.wait_for_timer()
        push_update(bot_api, message=message(PRIVATE, "hello again"))
        await clock.advance(FAST_TIMINGS.max_retry_delay)
        await wait_until(lambda: adapter.connection_state is ConnectionState.CONNECTED)


@pytest.mark.parametrize("privacy_mode", [True, False])
async def test_privacy_mode_is_logged(bot_api: TelegramStandIn, run_adapter: RunAdapter, privacy_mode: bool) -> None:
    bot_api.privacy_mode = privacy_mode
    with structlog.testing.capture_logs() as logs:
        async with run_adapter():
            pass
    connected = next(entry for entry in logs if entry["event"] == "telegram.connected")
    assert connected["privacy_mode"] is privacy_mode
    assert ("turn privacy mode off" in connected["hint"]) is privacy_mode


async def test_token_and_text_are_not_logged(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bot_api.script.add("getUpdates", ScriptedReply(502, body=b"<html>"), ScriptedReply(drops_connection=True))
    with structlog.testing.capture_logs() as logs:
        async with run_adapter(commands=COMMANDS) as adapter:
            push_update(bot_api, message=message(PRIVATE, "private words"))
            await inbox.wait_for_events()
            await adapter.send(PRIVATE_PLACE, Part("other words"), key="k")
    for logged in (caplog.text, str(logs)):
        assert TOKEN not in logged
        assert "words" not in logged


async def test_send_waits_for_run(bot_api: TelegramStandIn, inbox: FakeInbox) -> None:
    adapter = TelegramAdapter(TOKEN, api_base=bot_api.api_base)
    sending = asyncio.create_task(adapter.send(PRIVATE_PLACE, Part("hi"), key="k"))
    running = asyncio.create_task(adapter.run(inbox))
    async with asyncio.timeout(5):
        message_id = await sending
    assert [str(sent.id) for sent in bot_api.messages(bot_api.chats[42])] == [message_id]
    running.cancel()
    await asyncio.wait({running}, timeout=5)


async def test_send_without_run_fails(bot_api: TelegramStandIn) -> None:
    timings = replace(FAST_TIMINGS, ready_timeout=0.05)
    adapter = TelegramAdapter(TOKEN, api_base=bot_api.api_base, timings=timings)
    with pytest.raises(DeliveryError) as raised:
        await adapter.send(PRIVATE_PLACE, Part("hi"), key="k")
    assert raised.value.failure is DeliveryFailure.TRANSIENT
    assert not bot_api.calls


async def test_guests_are_received_until_the_server_turns_out_not_to_support_their_answers(
    bot_api: TelegramStandIn, inbox: FakeInbox, run_adapter: RunAdapter
) -> None:
    async with run_adapter() as adapter:
        push_update(bot_api, guest_message=mention_message(GROUP, "@parley_bot why?", guest_query_id="g1"))
        (guest,) = await inbox.wait_for_events()
        assert guest.place.is_foreign
        bot_api.script.add("answerGuestQuery", ScriptedReply.error(404, "Not Found"))
        with pytest.raises(DeliveryError) as caught:
            await adapter.send(guest.place, Part("because"), key="k1", interaction_token=guest.interaction_token)
        assert caught.value.failure is DeliveryFailure.FORBIDDEN, "nobody pays for an answer that nobody sees"
        push_update(bot_api, guest_message=mention_message(GROUP, "@parley_bot and why?", guest_query_id="g2"))
        push_update(bot_api, message=message(PRIVATE, "hello"))
        await inbox.wait_for_events(2)
    assert [event.text for event in inbox.stored[1:]] == ["hello"]
