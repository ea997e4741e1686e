import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from telegram import MessageEntity

from bots.telegram.adapter import TelegramAdapter
from core.errors import ChatMovedError, DeliveryError, DeliveryFailure
from core.port import Adapter, Button, MenuItem, Part, PreviewMode, SupportsDrafts
from tests.bots.telegram.conftest import GROUP_PLACE, PRIVATE_PLACE, TOPIC_PLACE, RunAdapter
from tests.bots.telegram.scripted_bot_api import TOKEN, Reply, ScriptedBotApi, error_reply

BOLD = Part("bold", {"entities": (MessageEntity("bold", 0, 4),)})


def test_adapter_supports_drafts() -> None:
    chat: Adapter = TelegramAdapter(TOKEN)
    assert isinstance(chat, SupportsDrafts)
    assert chat.dialect.limit == 4096


async def test_send_to_a_private_chat(api: ScriptedBotApi, serving: RunAdapter) -> None:
    async with serving() as chat:
        sent = await chat.send(PRIVATE_PLACE, BOLD, key="k", reply_to="7")
    made = api.params_of("sendMessage")[0]
    assert sent == "1001"
    assert made == {
        "chat_id": 42,
        "text": "bold",
        "entities": [{"type": "bold", "offset": 0, "length": 4}],
        "link_preview_options": {"is_disabled": True},
    }


async def test_reply_survives_deleted_question(api: ScriptedBotApi, serving: RunAdapter) -> None:
    async with serving() as chat:
        await chat.send(GROUP_PLACE, Part("hi"), key="k", reply_to="7")
    assert api.params_of("sendMessage")[0]["reply_parameters"] == {
        "message_id": 7,
        "allow_sending_without_reply": True,
    }


async def test_sends_to_topic(api: ScriptedBotApi, serving: RunAdapter) -> None:
    private_topic = type(PRIVATE_PLACE)("telegram", "123456", "42", thread="9", is_private=True)
    async with serving() as chat:
        await chat.send(TOPIC_PLACE, Part("hi"), key="k")
        await chat.show_typing(TOPIC_PLACE)
        await chat.show_draft(private_topic, 5, Part("gro"))
        await chat.show_typing(GROUP_PLACE)
    assert api.params_of("sendMessage")[0]["message_thread_id"] == 55
    assert api.params_of("sendChatAction")[0] == {
        "chat_id": -1002,
        "action": "typing",
        "message_thread_id": 55,
    }
    assert api.params_of("sendMessageDraft")[0]["message_thread_id"] == 9
    assert "message_thread_id" not in api.params_of("sendChatAction")[1]


async def test_buttons_and_menus(api: ScriptedBotApi, serving: RunAdapter) -> None:
    buttons = tuple(Button(f"B{number}", f"b:{number}", is_destructive=number == 3) for number in range(4))
    menu = (MenuItem("Llama", "m:0", description="128k", is_selected=True), MenuItem("Qwen", "m:1"))
    async with serving() as chat:
        await chat.send(PRIVATE_PLACE, Part("Pick", buttons=buttons, menu=menu), key="k")
    rows = api.params_of("sendMessage")[0]["reply_markup"]["inline_keyboard"]
    assert [[(one["text"], one["callback_data"]) for one in row] for row in rows] == [
        [("✓ Llama · 128k", "m:0")],
        [("Qwen", "m:1")],
        [("B0", "b:0"), ("B1", "b:1"), ("B2", "b:2")],
        [("B3", "b:3")],
    ]
    assert rows[3][0]["style"] == "danger"


async def test_edit_replaces_text_and_buttons(api: ScriptedBotApi, serving: RunAdapter) -> None:
    async with serving() as chat:
        await chat.edit(GROUP_PLACE, "9", Part("grown", buttons=(Button("Stop", "stop:1"),)))
        await chat.edit(GROUP_PLACE, "9", BOLD)
    with_button, without = api.params_of("editMessageText")
    assert with_button["reply_markup"]["inline_keyboard"][0][0]["callback_data"] == "stop:1"
    assert without == {
        "chat_id": -1001,
        "message_id": 9,
        "text": "bold",
        "entities": [{"type": "bold", "offset": 0, "length": 4}],
        "link_preview_options": {"is_disabled": True},
    }


async def test_unchanged_edit_succeeds(api: ScriptedBotApi, serving: RunAdapter) -> None:
    text = (
        "Bad Request: message is not modified: specified new message content and reply markup "
        "are exactly the same as a current content and reply markup of the message"
    )
    api.script("editMessageText", error_reply(400, text))
    async with serving() as chat:
        await chat.edit(GROUP_PLACE, "9", Part("same"))
    assert len(api.params_of("editMessageText")) == 1


async def test_delete(api: ScriptedBotApi, serving: RunAdapter) -> None:
    async with serving() as chat:
        await chat.delete(GROUP_PLACE, "9")
    assert api.params_of("deleteMessage") == [{"chat_id": -1001, "message_id": 9}]


async def test_draft_is_stoppable_and_empty_draft_is_thinking(api: ScriptedBotApi, serving: RunAdapter) -> None:
    async with serving() as chat:
        await chat.show_draft(PRIVATE_PLACE, 5, Part(""))
        await chat.show_draft(PRIVATE_PLACE, 5, BOLD)
    thinking, growing = api.params_of("sendMessageDraft")
    assert thinking == {"chat_id": 42, "draft_id": 5, "text": "", "can_stop": True}
    assert growing["entities"] == [{"type": "bold", "offset": 0, "length": 4}]
    assert growing["can_stop"] is True


async def test_older_server_gets_draft_without_can_stop(api: ScriptedBotApi, serving: RunAdapter) -> None:
    api.script("sendMessageDraft", error_reply(400, "Bad Request: unexpected parameter can_stop"))
    async with serving() as chat:
        await chat.show_draft(PRIVATE_PLACE, 5, Part("a"))
        await chat.show_draft(PRIVATE_PLACE, 5, Part("ab"))
    made = api.params_of("sendMessageDraft")
    assert [(one["text"], "can_stop" in one) for one in made] == [
        ("a", True),
        ("a", False),
        ("ab", False),
    ]


async def test_refused_draft_is_not_missing_parameter(api: ScriptedBotApi, serving: RunAdapter) -> None:
    async with serving() as chat:
        await chat.show_draft(PRIVATE_PLACE, 5, Part("a"))
        api.script("sendMessageDraft", error_reply(400, "Bad Request: message is too long"))
        with pytest.raises(DeliveryError) as raised:
            await chat.show_draft(PRIVATE_PLACE, 5, Part("a" * 5000))
        await chat.show_draft(PRIVATE_PLACE, 5, Part("b"))
    assert raised.value.failure is DeliveryFailure.REJECTED
    assert [one.get("can_stop") for one in api.params_of("sendMessageDraft")] == [True] * 3


async def test_falls_back_to_edits_without_drafts(api: ScriptedBotApi, serving: RunAdapter) -> None:
    api.script("sendMessageDraft", error_reply(404, "Not Found"))
    async with serving() as chat:
        assert chat.capabilities(PRIVATE_PLACE).preview_mode is PreviewMode.DRAFT
        with pytest.raises(DeliveryError) as raised:
            await chat.show_draft(PRIVATE_PLACE, 5, Part("a"))
        assert raised.value.failure is DeliveryFailure.REJECTED
        changed = chat.capabilities(PRIVATE_PLACE)
    assert (changed.preview_mode, changed.has_stop_button) == (PreviewMode.EDIT, True)


async def test_draft_429_does_not_disable_drafts(api: ScriptedBotApi, serving: RunAdapter) -> None:
    api.script("sendMessageDraft", error_reply(429, "Too Many Requests: retry after 3", retry_after=3))
    async with serving() as chat:
        with pytest.raises(DeliveryError) as raised:
            await chat.show_draft(PRIVATE_PLACE, 5, Part("a"))
        assert (raised.value.failure, raised.value.retry_after) == (DeliveryFailure.RATE_LIMITED, 3)
        assert chat.capabilities(PRIVATE_PLACE).preview_mode is PreviewMode.DRAFT


FAULTS = [
    (error_reply(429, "Too Many Requests: retry after 7", retry_after=7), DeliveryFailure.RATE_LIMITED),
    (error_reply(429, "Too Many Requests"), DeliveryFailure.RATE_LIMITED),
    (error_reply(403, "Forbidden: bot was blocked by the user"), DeliveryFailure.FORBIDDEN),
    (
        error_reply(400, "Bad Request: not enough rights to send text messages"),
        DeliveryFailure.FORBIDDEN,
    ),
    (error_reply(400, "Bad Request: chat not found"), DeliveryFailure.GONE),
    (error_reply(400, "Bad Request: message to edit not found"), DeliveryFailure.GONE),
    (error_reply(400, "Bad Request: message can't be edited"), DeliveryFailure.GONE),
    (error_reply(400, "Bad Request: message thread not found"), DeliveryFailure.GONE),
    (error_reply(400, "Bad Request: message is too long"), DeliveryFailure.REJECTED),
    (error_reply(400, "Bad Request: message text is empty"), DeliveryFailure.REJECTED),
    (
        error_reply(400, "Bad Request: can't parse entities: byte offset 3"),
        DeliveryFailure.REJECTED,
    ),
    (error_reply(400, "Bad Request: BUTTON_DATA_INVALID"), DeliveryFailure.REJECTED),
    (error_reply(413, "Request Entity Too Large"), DeliveryFailure.REJECTED),
    (error_reply(500, "Internal Server Error"), DeliveryFailure.TRANSIENT),
    (Reply(502, body="<html>Bad Gateway</html>"), DeliveryFailure.TRANSIENT),
    (Reply(504, body="<html>Gateway Time-out</html>"), DeliveryFailure.UNKNOWN),
    (Reply(drop=True), DeliveryFailure.UNKNOWN),
    (Reply(200, body="<html>login</html>"), DeliveryFailure.UNKNOWN),
    (Reply(200, result={"surprise": 1}), DeliveryFailure.UNKNOWN),
    (error_reply(401, "Unauthorized"), DeliveryFailure.TRANSIENT),
]


@pytest.mark.parametrize(("reply", "fault"), FAULTS, ids=[f"{one.status}-{one.description[:40]}" for one, _ in FAULTS])
async def test_refusals_are_classified(
    api: ScriptedBotApi, serving: RunAdapter, reply: Reply, fault: DeliveryFailure
) -> None:
    async with serving() as chat:
        api.script("sendMessage", reply)
        with pytest.raises(DeliveryError) as raised:
            await chat.send(PRIVATE_PLACE, Part("hi"), key="k")
        assert raised.value.failure is fault
        assert (raised.value.retry_after is not None) is (fault is DeliveryFailure.RATE_LIMITED)
        assert TOKEN not in str(raised.value)
        # Nothing is sent again behind the core's back.
        assert len(api.params_of("sendMessage")) == 1


async def test_rate_limit_has_retry_after(api: ScriptedBotApi, serving: RunAdapter) -> None:
    api.script("sendMessage", error_reply(429, "Too Many Requests: retry after 209", retry_after=209))
    async with serving() as chat:
        with pytest.raises(DeliveryError) as raised:
            await chat.send(GROUP_PLACE, Part("hi"), key="k")
    assert raised.value.retry_after == 209


async def test_migrated_group_raises_new_id(api: ScriptedBotApi, serving: RunAdapter) -> None:
    moved = error_reply(
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        migrate_to_chat_id=-100777,
    )
    api.script("sendMessage", moved)
    async with serving() as chat:
        with pytest.raises(ChatMovedError) as raised:
            await chat.send(GROUP_PLACE, Part("hi"), key="k")
    assert (raised.value.failure, raised.value.new_chat) == (DeliveryFailure.GONE, "-100777")


async def test_timeout_outcome_is_unknown(api: ScriptedBotApi, serving: RunAdapter) -> None:
    hold = asyncio.Event()
    api.script("sendMessage", Reply(wait_for=hold))
    async with serving(read_timeout=0.1) as chat:
        with pytest.raises(DeliveryError) as raised:
            await chat.send(PRIVATE_PLACE, Part("hi"), key="k")
        hold.set()
    assert raised.value.failure is DeliveryFailure.UNKNOWN
    assert len(api.params_of("sendMessage")) == 1


async def test_connection_failure_is_certain(api: ScriptedBotApi, serving: RunAdapter) -> None:
    async with serving() as chat:
        await api.__aexit__()
        for request in requests(chat):
            with pytest.raises(DeliveryError) as raised:
                await request()
            assert raised.value.failure is DeliveryFailure.TRANSIENT


def requests(chat: TelegramAdapter) -> list[Callable[[], Awaitable[Any]]]:
    return [
        lambda: chat.send(PRIVATE_PLACE, Part("hi"), key="k"),
        lambda: chat.edit(PRIVATE_PLACE, "9", Part("hi")),
        lambda: chat.delete(PRIVATE_PLACE, "9"),
        lambda: chat.show_typing(PRIVATE_PLACE),
        lambda: chat.show_draft(PRIVATE_PLACE, 5, Part("hi")),
    ]


async def test_all_requests_map_errors_alike(api: ScriptedBotApi, serving: RunAdapter) -> None:
    async with serving() as chat:
        methods = ["sendMessage", "editMessageText", "deleteMessage", "sendChatAction"]
        for method in [*methods, "sendMessageDraft"]:
            api.script(method, error_reply(403, "Forbidden: bot was kicked from the group chat"))
        for request in requests(chat):
            with pytest.raises(DeliveryError) as raised:
                await request()
            assert raised.value.failure is DeliveryFailure.FORBIDDEN


@pytest.mark.parametrize(
    ("preview_mode", "private", "group"),
    [
        (PreviewMode.DRAFT, PreviewMode.DRAFT, PreviewMode.EDIT),
        (PreviewMode.EDIT, PreviewMode.EDIT, PreviewMode.EDIT),
        (PreviewMode.OFF, PreviewMode.OFF, PreviewMode.OFF),
    ],
)
def test_capabilities_by_place(preview_mode: PreviewMode, private: PreviewMode, group: PreviewMode) -> None:
    chat = TelegramAdapter(TOKEN, preview_mode=preview_mode)
    alone, together = chat.capabilities(PRIVATE_PLACE), chat.capabilities(GROUP_PLACE)
    assert (alone.preview_mode, together.preview_mode) == (private, group)
    assert alone.has_stop_button is (private is not PreviewMode.DRAFT)
    assert together.has_stop_button
    assert alone.draft_lifetime == (25 if private is PreviewMode.DRAFT else None)
    # Telegram allows 20 in any minute: a full burst and all that a minute refills.
    assert together.rate_limit.burst + 60 * together.rate_limit.rate <= 20
    assert 0 < together.rate_limit.reserve < together.rate_limit.burst
    assert (alone.rate_limit.burst, alone.rate_limit.rate) == (3, 1)
