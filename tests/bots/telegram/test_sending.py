import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from telegram import MessageEntity

from bots.telegram.chat import TelegramChat
from core.errors import DeliveryError, Fault, MovedError
from core.port import Button, Chat, Drafts, Option, Part
from tests.bots.telegram.conftest import GROUP, HERE, TOPIC, Serving
from tests.bots.telegram.server import TOKEN, BotApi, Reply, refusal

BOLD = Part("bold", {"entities": (MessageEntity("bold", 0, 4),)})


def test_it_is_a_chat_with_drafts() -> None:
    chat: Chat = TelegramChat(TOKEN)
    assert isinstance(chat, Drafts)
    assert chat.dialect.limit == 4096


async def test_send_to_a_private_chat(api: BotApi, serving: Serving) -> None:
    async with serving() as chat:
        sent = await chat.send(HERE, BOLD, key="k", reply_to="7")
    made = api.made("sendMessage")[0]
    assert sent == "1001"
    assert made == {
        "chat_id": 42,
        "text": "bold",
        "entities": [{"type": "bold", "offset": 0, "length": 4}],
        "link_preview_options": {"is_disabled": True},
    }


async def test_a_reply_in_a_group_survives_a_deleted_question(
    api: BotApi, serving: Serving
) -> None:
    async with serving() as chat:
        await chat.send(GROUP, Part("hi"), key="k", reply_to="7")
    assert api.made("sendMessage")[0]["reply_parameters"] == {
        "message_id": 7,
        "allow_sending_without_reply": True,
    }


async def test_everything_goes_to_the_topic(api: BotApi, serving: Serving) -> None:
    private_topic = type(HERE)("telegram", "123456", "42", thread="9", private=True)
    async with serving() as chat:
        await chat.send(TOPIC, Part("hi"), key="k")
        await chat.typing(TOPIC)
        await chat.draft(private_topic, 5, Part("gro"))
        await chat.typing(GROUP)
    assert api.made("sendMessage")[0]["message_thread_id"] == 55
    assert api.made("sendChatAction")[0] == {
        "chat_id": -1002,
        "action": "typing",
        "message_thread_id": 55,
    }
    assert api.made("sendMessageDraft")[0]["message_thread_id"] == 9
    assert "message_thread_id" not in api.made("sendChatAction")[1]


async def test_buttons_and_menus(api: BotApi, serving: Serving) -> None:
    buttons = tuple(Button(f"B{number}", f"b:{number}", danger=number == 3) for number in range(4))
    menu = (Option("Llama", "m:0", detail="128k", chosen=True), Option("Qwen", "m:1"))
    async with serving() as chat:
        await chat.send(HERE, Part("Pick", buttons=buttons, menu=menu), key="k")
    rows = api.made("sendMessage")[0]["reply_markup"]["inline_keyboard"]
    assert [[(one["text"], one["callback_data"]) for one in row] for row in rows] == [
        [("✓ Llama · 128k", "m:0")],
        [("Qwen", "m:1")],
        [("B0", "b:0"), ("B1", "b:1"), ("B2", "b:2")],
        [("B3", "b:3")],
    ]
    assert rows[3][0]["style"] == "danger"


async def test_edit_replaces_text_and_buttons(api: BotApi, serving: Serving) -> None:
    async with serving() as chat:
        await chat.edit(GROUP, "9", Part("grown", buttons=(Button("Stop", "stop:1"),)))
        await chat.edit(GROUP, "9", BOLD)
    with_button, without = api.made("editMessageText")
    assert with_button["reply_markup"]["inline_keyboard"][0][0]["callback_data"] == "stop:1"
    assert without == {
        "chat_id": -1001,
        "message_id": 9,
        "text": "bold",
        "entities": [{"type": "bold", "offset": 0, "length": 4}],
        "link_preview_options": {"is_disabled": True},
    }


async def test_an_edit_that_changes_nothing_is_a_success(api: BotApi, serving: Serving) -> None:
    text = (
        "Bad Request: message is not modified: specified new message content and reply markup "
        "are exactly the same as a current content and reply markup of the message"
    )
    api.script("editMessageText", refusal(400, text))
    async with serving() as chat:
        await chat.edit(GROUP, "9", Part("same"))
    assert len(api.made("editMessageText")) == 1


async def test_delete(api: BotApi, serving: Serving) -> None:
    async with serving() as chat:
        await chat.delete(GROUP, "9")
    assert api.made("deleteMessage") == [{"chat_id": -1001, "message_id": 9}]


async def test_a_draft_can_be_stopped_and_thinks_when_empty(api: BotApi, serving: Serving) -> None:
    async with serving() as chat:
        await chat.draft(HERE, 5, Part(""))
        await chat.draft(HERE, 5, BOLD)
    thinking, growing = api.made("sendMessageDraft")
    assert thinking == {"chat_id": 42, "draft_id": 5, "text": "", "can_stop": True}
    assert growing["entities"] == [{"type": "bold", "offset": 0, "length": 4}]
    assert growing["can_stop"] is True


async def test_a_server_that_does_not_know_can_stop(api: BotApi, serving: Serving) -> None:
    api.script("sendMessageDraft", refusal(400, "Bad Request: unexpected parameter can_stop"))
    async with serving() as chat:
        await chat.draft(HERE, 5, Part("a"))
        await chat.draft(HERE, 5, Part("ab"))
    made = api.made("sendMessageDraft")
    assert [(one["text"], "can_stop" in one) for one in made] == [
        ("a", True),
        ("a", False),
        ("ab", False),
    ]


async def test_a_refused_draft_is_not_taken_for_a_missing_parameter(
    api: BotApi, serving: Serving
) -> None:
    async with serving() as chat:
        await chat.draft(HERE, 5, Part("a"))
        api.script("sendMessageDraft", refusal(400, "Bad Request: message is too long"))
        with pytest.raises(DeliveryError) as raised:
            await chat.draft(HERE, 5, Part("a" * 5000))
        await chat.draft(HERE, 5, Part("b"))
    assert raised.value.fault is Fault.REJECTED
    assert [one.get("can_stop") for one in api.made("sendMessageDraft")] == [True] * 3


async def test_a_server_without_drafts_gets_edits(api: BotApi, serving: Serving) -> None:
    api.script("sendMessageDraft", refusal(404, "Not Found"))
    async with serving() as chat:
        assert chat.capabilities(HERE).preview == "draft"
        with pytest.raises(DeliveryError) as raised:
            await chat.draft(HERE, 5, Part("a"))
        assert raised.value.fault is Fault.REJECTED
        changed = chat.capabilities(HERE)
    assert (changed.preview, changed.stop_button) == ("edit", True)


async def test_a_429_for_a_draft_is_no_lack_of_drafts(api: BotApi, serving: Serving) -> None:
    api.script("sendMessageDraft", refusal(429, "Too Many Requests: retry after 3", retry_after=3))
    async with serving() as chat:
        with pytest.raises(DeliveryError) as raised:
            await chat.draft(HERE, 5, Part("a"))
        assert (raised.value.fault, raised.value.retry_after) == (Fault.RATE, 3)
        assert chat.capabilities(HERE).preview == "draft"


FAULTS = [
    (refusal(429, "Too Many Requests: retry after 7", retry_after=7), Fault.RATE),
    (refusal(429, "Too Many Requests"), Fault.RATE),
    (refusal(403, "Forbidden: bot was blocked by the user"), Fault.FORBIDDEN),
    (refusal(400, "Bad Request: not enough rights to send text messages"), Fault.FORBIDDEN),
    (refusal(400, "Bad Request: chat not found"), Fault.GONE),
    (refusal(400, "Bad Request: message to edit not found"), Fault.GONE),
    (refusal(400, "Bad Request: message can't be edited"), Fault.GONE),
    (refusal(400, "Bad Request: message thread not found"), Fault.GONE),
    (refusal(400, "Bad Request: message is too long"), Fault.REJECTED),
    (refusal(400, "Bad Request: message text is empty"), Fault.REJECTED),
    (refusal(400, "Bad Request: can't parse entities: byte offset 3"), Fault.REJECTED),
    (refusal(400, "Bad Request: BUTTON_DATA_INVALID"), Fault.REJECTED),
    (refusal(413, "Request Entity Too Large"), Fault.REJECTED),
    (refusal(500, "Internal Server Error"), Fault.TRANSIENT),
    (Reply(502, body="<html>Bad Gateway</html>"), Fault.TRANSIENT),
    (Reply(504, body="<html>Gateway Time-out</html>"), Fault.UNKNOWN),
    (Reply(drop=True), Fault.UNKNOWN),
    (Reply(200, body="<html>login</html>"), Fault.UNKNOWN),
    (Reply(200, result={"surprise": 1}), Fault.UNKNOWN),
    (refusal(401, "Unauthorized"), Fault.TRANSIENT),
]


@pytest.mark.parametrize(
    ("reply", "fault"), FAULTS, ids=[f"{one.status}-{one.description[:40]}" for one, _ in FAULTS]
)
async def test_faults(api: BotApi, serving: Serving, reply: Reply, fault: Fault) -> None:
    async with serving() as chat:
        api.script("sendMessage", reply)
        with pytest.raises(DeliveryError) as raised:
            await chat.send(HERE, Part("hi"), key="k")
        assert raised.value.fault is fault
        assert (raised.value.retry_after is not None) is (fault is Fault.RATE)
        assert TOKEN not in str(raised.value)
        # Nothing is sent again behind the core's back.
        assert len(api.made("sendMessage")) == 1


async def test_a_wait_is_told_in_seconds(api: BotApi, serving: Serving) -> None:
    api.script("sendMessage", refusal(429, "Too Many Requests: retry after 209", retry_after=209))
    async with serving() as chat:
        with pytest.raises(DeliveryError) as raised:
            await chat.send(GROUP, Part("hi"), key="k")
    assert raised.value.retry_after == 209


async def test_a_group_that_moved_says_where(api: BotApi, serving: Serving) -> None:
    moved = refusal(
        400,
        "Bad Request: group chat was upgraded to a supergroup chat",
        migrate_to_chat_id=-100777,
    )
    api.script("sendMessage", moved)
    async with serving() as chat:
        with pytest.raises(MovedError) as raised:
            await chat.send(GROUP, Part("hi"), key="k")
    assert (raised.value.fault, raised.value.chat) == (Fault.GONE, "-100777")


async def test_a_slow_answer_may_have_arrived(api: BotApi, serving: Serving) -> None:
    hold = asyncio.Event()
    api.script("sendMessage", Reply(hold=hold))
    async with serving(read_timeout=0.1) as chat:
        with pytest.raises(DeliveryError) as raised:
            await chat.send(HERE, Part("hi"), key="k")
        hold.set()
    assert raised.value.fault is Fault.UNKNOWN
    assert len(api.made("sendMessage")) == 1


async def test_no_connection_is_certain_not_to_have_arrived(api: BotApi, serving: Serving) -> None:
    async with serving() as chat:
        await api.__aexit__()
        for request in requests(chat):
            with pytest.raises(DeliveryError) as raised:
                await request()
            assert raised.value.fault is Fault.TRANSIENT


def requests(chat: TelegramChat) -> list[Callable[[], Awaitable[Any]]]:
    return [
        lambda: chat.send(HERE, Part("hi"), key="k"),
        lambda: chat.edit(HERE, "9", Part("hi")),
        lambda: chat.delete(HERE, "9"),
        lambda: chat.typing(HERE),
        lambda: chat.draft(HERE, 5, Part("hi")),
    ]


async def test_every_request_fails_in_the_same_words(api: BotApi, serving: Serving) -> None:
    async with serving() as chat:
        methods = ["sendMessage", "editMessageText", "deleteMessage", "sendChatAction"]
        for method in [*methods, "sendMessageDraft"]:
            api.script(method, refusal(403, "Forbidden: bot was kicked from the group chat"))
        for request in requests(chat):
            with pytest.raises(DeliveryError) as raised:
                await request()
            assert raised.value.fault is Fault.FORBIDDEN


@pytest.mark.parametrize(
    ("setting", "private", "group"),
    [
        ("auto", "draft", "edit"),
        ("draft", "draft", "edit"),
        ("edit", "edit", "edit"),
        ("off", "off", "off"),
    ],
)
def test_what_a_place_can_do(setting: str, private: str, group: str) -> None:
    chat = TelegramChat(TOKEN, preview=setting)
    alone, together = chat.capabilities(HERE), chat.capabilities(GROUP)
    assert (alone.preview, together.preview) == (private, group)
    assert alone.stop_button is (private != "draft")
    assert together.stop_button
    assert alone.preview_expires == (25 if private == "draft" else None)
    # Telegram allows 20 in any minute: a full burst and all that a minute refills.
    assert together.pace.burst + 60 * together.pace.rate <= 20
    assert 0 < together.pace.reserve < together.pace.burst
    assert (alone.pace.burst, alone.pace.rate) == (3, 1)
