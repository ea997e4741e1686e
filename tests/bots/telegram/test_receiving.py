import asyncio
import logging
import time

import pytest
import structlog

from bots.telegram.chat import TelegramChat
from core.errors import ConfigurationError, DeliveryError, Fault, UnavailableError
from core.port import Kind, Part
from tests.bots.telegram.conftest import HERE, Inbox, Serving
from tests.bots.telegram.payloads import ADA, BOT, GROUP, PRIVATE, command, message
from tests.bots.telegram.server import ME, TOKEN, BotApi, Reply, refusal

COMMANDS = [("model", "See or change the model"), ("stop", "Stop")]


async def test_a_message_is_acknowledged_only_when_the_inbox_has_it(
    api: BotApi, inbox: Inbox, serving: Serving
) -> None:
    inbox.hold = asyncio.Event()
    async with serving():
        number = await api.push(message=message(PRIVATE, "hello"))
        await inbox.until(lambda: inbox.tries == 1)
        assert api.confirmed <= number
        inbox.hold.set()
        await api.until(lambda: api.confirmed == number + 1)
    assert [(one.key, one.text) for one in inbox.kept] == [(f"u{number}", "hello")]


async def test_only_what_is_understood_is_asked_for(api: BotApi, serving: Serving) -> None:
    async with serving():
        asked = (await api.called("getUpdates"))[0]
    assert asked["allowed_updates"] == [
        "message",
        "callback_query",
        "my_chat_member",
        "stopped_message_generation",
    ]


@pytest.mark.usefixtures("hurried")
async def test_what_the_store_can_not_keep_comes_again(
    api: BotApi, inbox: Inbox, serving: Serving
) -> None:
    inbox.refuse()
    async with serving():
        first = await api.push(message=message(PRIVATE, "one"))
        second = await api.push(message=message(PRIVATE, "two"))
        await api.until(lambda: api.confirmed == second + 1)
    assert [one.key for one in inbox.kept] == [f"u{first}", f"u{second}"]
    assert inbox.tries == 3


@pytest.mark.usefixtures("hurried")
async def test_an_update_that_always_fails_holds_nobody_up_and_is_logged_without_its_words(
    api: BotApi, inbox: Inbox, serving: Serving
) -> None:
    inbox.failures = [ValueError("secret words"), KeyError("x"), ValueError("y")]
    with structlog.testing.capture_logs() as logs:
        async with serving():
            number = await api.push(message=message(PRIVATE, "bad"))
            await api.push(message=message(PRIVATE, "good"))
            assert (await inbox.receives())[0].text == "good"
    failed = [entry["update"] for entry in logs if entry["event"] == "telegram.intake_failed"]
    assert failed == [number] * 3
    assert not api.made("sendMessage"), "nobody knows here whether they may be answered"
    assert "secret words" not in str(logs)


async def test_an_update_nobody_can_read_holds_nobody_up(
    api: BotApi, inbox: Inbox, serving: Serving
) -> None:
    async with serving():
        await api.push(message={"message_id": "?", "date": {}})
        last = await api.push(message=message(PRIVATE, "good"))
        assert (await inbox.receives())[0].text == "good"
        await api.until(lambda: api.confirmed == last + 1)


async def test_unknown_commands_in_groups_are_left_to_other_bots(
    api: BotApi, inbox: Inbox, serving: Serving
) -> None:
    async with serving(commands=COMMANDS):
        await api.push(message=command(GROUP, "/weather"))
        await api.push(message=command(GROUP, "/model x"))
        assert [one.command for one in await inbox.receives()] == ["model"]


async def test_a_press_is_answered_at_once(api: BotApi, inbox: Inbox, serving: Serving) -> None:
    inbox.hold = asyncio.Event()
    async with serving():
        shown = message(PRIVATE, "Pick", message_id=12, **{"from": BOT})
        query = {"id": "q1", "from": ADA, "chat_instance": "c", "message": shown, "data": "m:3"}
        await api.push(callback_query=query)
        assert (await api.called("answerCallbackQuery"))[0]["callback_query_id"] == "q1"
        assert inbox.kept == []
        inbox.hold.set()
        assert [(one.kind, one.text) for one in await inbox.receives()] == [(Kind.BUTTON, "m:3")]


async def test_a_press_whose_answer_comes_too_late_is_received(
    api: BotApi, inbox: Inbox, serving: Serving
) -> None:
    api.script("answerCallbackQuery", refusal(400, "Bad Request: query is too old"))
    async with serving():
        shown = {"chat": PRIVATE, "message_id": 12, "date": 0}
        query = {"id": "q1", "from": ADA, "chat_instance": "c", "message": shown, "data": "m:3"}
        await api.push(callback_query=query)
        assert (await inbox.receives())[0].message == "12"


async def test_the_clients_stop_arrives(api: BotApi, inbox: Inbox, serving: Serving) -> None:
    async with serving():
        await api.push(stopped_message_generation={"chat": PRIVATE, "draft_id": 77})
        assert [(one.kind, one.text) for one in await inbox.receives()] == [(Kind.STOP, "77")]


async def test_being_blocked_is_taken_note_of(api: BotApi, inbox: Inbox, serving: Serving) -> None:
    change = {
        "chat": PRIVATE,
        "from": ADA,
        "date": 0,
        "old_chat_member": {"user": BOT, "status": "member"},
        "new_chat_member": {"user": BOT, "status": "kicked", "until_date": 0},
    }
    async with serving():
        number = await api.push(my_chat_member=change)
        await api.until(lambda: api.confirmed == number + 1)
    assert inbox.tries == 0


async def test_a_wrong_token_is_the_operators_to_change(
    api: BotApi, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.token = "123456:another"
    with pytest.raises(ConfigurationError) as raised:
        await TelegramChat(TOKEN, api_base=api.base).run(inbox)
    assert "TELEGRAM_BOT_TOKEN" in str(raised.value)
    assert TOKEN not in str(raised.value)
    assert raised.value.__suppress_context__
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("token", ["", "abc", "123456", "123456:with space", "١٢:abc"])
def test_what_is_no_token_at_all(token: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        TelegramChat(token)
    assert not token or token not in str(raised.value)


def test_the_account_is_known_without_asking() -> None:
    assert TelegramChat(TOKEN).account == "123456"


async def test_a_token_withdrawn_later_ends_the_run(api: BotApi, inbox: Inbox) -> None:
    api.script("getUpdates", refusal(401, "Unauthorized"))
    chat = TelegramChat(TOKEN, api_base=api.base)
    async with asyncio.timeout(5):
        with pytest.raises(ConfigurationError):
            await chat.run(inbox)


@pytest.mark.usefixtures("hurried")
async def test_another_receiver_is_told_clearly(api: BotApi, inbox: Inbox) -> None:
    conflict = refusal(409, "Conflict: terminated by other getUpdates request")
    api.script("getUpdates", conflict, conflict)
    chat = TelegramChat(TOKEN, api_base=api.base, patience=2)
    async with asyncio.timeout(8):
        with pytest.raises(UnavailableError, match="Another process"):
            await chat.run(inbox)


@pytest.mark.usefixtures("hurried")
async def test_passing_conflicts_are_survived(api: BotApi, inbox: Inbox, serving: Serving) -> None:
    conflict = refusal(409, "Conflict: terminated by other getUpdates request")
    api.script("getUpdates", conflict, Reply(result=[]), conflict)
    async with serving(patience=2):
        await api.push(message=message(PRIVATE, "hello"))
        assert (await inbox.receives())[0].text == "hello"


async def test_no_network_at_start_is_waited_for(
    api: BotApi, inbox: Inbox, serving: Serving
) -> None:
    api.script("getMe", Reply(drop=True))
    with structlog.testing.capture_logs() as logs:
        async with serving():
            await api.push(message=message(PRIVATE, "hello"))
            assert (await inbox.receives())[0].text == "hello"
    assert "telegram.unreachable" in [entry["event"] for entry in logs]


@pytest.mark.usefixtures("hurried")
async def test_a_broken_poll_is_repeated(api: BotApi, inbox: Inbox, serving: Serving) -> None:
    api.script("getUpdates", Reply(drop=True))
    async with serving():
        await api.push(message=message(PRIVATE, "hello"))
        assert (await inbox.receives())[0].text == "hello"


async def test_cancelling_stops_at_once_and_acknowledges(
    api: BotApi, inbox: Inbox, serving: Serving
) -> None:
    async with serving(poll_timeout=50):
        number = await api.push(message=message(PRIVATE, "hello"))
        await inbox.receives()
        await api.until(lambda: api.confirmed == number + 1)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert api.made("getUpdates")[-1]["offset"] == number + 1


async def test_cancelling_while_polling_pauses_after_a_failure(
    api: BotApi, inbox: Inbox, serving: Serving
) -> None:
    inbox.refuse(100)
    async with serving():
        number = await api.push(message=message(PRIVATE, "hello"))
        await inbox.until(lambda: inbox.tries == 2)
        began = time.monotonic()
    assert time.monotonic() - began < 1  # the pause is 1.5 s long
    assert api.confirmed <= number  # it was never kept


async def test_cancelling_while_the_inbox_works_loses_nothing(
    api: BotApi, inbox: Inbox, serving: Serving
) -> None:
    inbox.hold = asyncio.Event()
    async with serving():
        number = await api.push(message=message(PRIVATE, "hello"))
        await inbox.until(lambda: inbox.tries == 1)
    assert api.confirmed <= number
    inbox.hold = None
    async with serving():
        assert [one.key for one in await inbox.receives()] == [f"u{number}"]


async def test_the_same_chat_runs_again(api: BotApi, inbox: Inbox) -> None:
    chat = TelegramChat(TOKEN, api_base=api.base)
    for count in (1, 2):
        task = asyncio.create_task(chat.run(inbox))
        await api.push(message=message(PRIVATE, f"hello {count}"))
        await inbox.receives(count)
        assert await chat.send(HERE, Part("hi"), key="k")
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()
    assert [one.text for one in inbox.kept] == ["hello 1", "hello 2"]


@pytest.mark.usefixtures("hurried")
async def test_last_poll_moves_only_with_answers(api: BotApi, serving: Serving) -> None:
    async with serving() as chat:
        began = chat.last_poll
        api.script("getUpdates", Reply(502, body="<html>"), Reply(hold=asyncio.Event()))
        await api.push(message=message(PRIVATE, "hello"))
        await api.called("getUpdates", 3)
        failed = [call for call in api.calls if call.method == "getUpdates"][1]
        assert began < chat.last_poll <= failed.at


async def test_commands_are_set_once(api: BotApi, inbox: Inbox, serving: Serving) -> None:
    async with serving(commands=COMMANDS):
        made = await api.called("setMyCommands", 2)
    assert [one["scope"]["type"] for one in made] == ["all_private_chats", "all_group_chats"]
    assert made[0]["commands"][0] == {
        "command": "model",
        "description": "See or change the model",
    }
    async with serving(commands=COMMANDS):
        await api.called("getMyCommands", 4)
        await api.push(message=message(PRIVATE, "hello"))
        await inbox.receives()
    assert len(api.made("setMyCommands")) == 2


@pytest.mark.parametrize("everything", [True, False])
async def test_the_operator_is_told_what_privacy_mode_means(
    api: BotApi, serving: Serving, everything: bool
) -> None:
    api.script("getMe", Reply(result=ME | {"can_read_all_group_messages": everything}))
    with structlog.testing.capture_logs() as logs:
        async with serving(commands=COMMANDS):
            await api.called("getMyCommands")
    told = next(entry for entry in logs if entry["event"] == "telegram.ready")
    assert told["can_read_all_group_messages"] is everything
    assert ("privacy mode is off" in told["meaning"]) is everything


@pytest.mark.usefixtures("hurried")
async def test_neither_token_nor_words_reach_the_logs(
    api: BotApi, inbox: Inbox, serving: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    api.script("getUpdates", Reply(502, body="<html>"), Reply(drop=True))
    with structlog.testing.capture_logs() as logs:
        async with serving(commands=COMMANDS) as chat:
            await api.push(message=message(PRIVATE, "private words"))
            await inbox.receives()
            await chat.send(HERE, Part("other words"), key="k")
    for kept in (caplog.text, str(logs)):
        assert TOKEN not in kept
        assert "words" not in kept


async def test_sending_before_the_run_waits_for_it(api: BotApi, inbox: Inbox) -> None:
    chat = TelegramChat(TOKEN, api_base=api.base)
    sending = asyncio.create_task(chat.send(HERE, Part("hi"), key="k"))
    running = asyncio.create_task(chat.run(inbox))
    async with asyncio.timeout(5):
        assert await sending == "1001"
    running.cancel()
    await asyncio.wait({running}, timeout=5)


async def test_sending_without_a_run_gives_up(api: BotApi) -> None:
    chat = TelegramChat(TOKEN, api_base=api.base, ready_timeout=0.05)
    with pytest.raises(DeliveryError) as raised:
        await chat.send(HERE, Part("hi"), key="k")
    assert raised.value.fault is Fault.TRANSIENT
    assert api.calls == []
