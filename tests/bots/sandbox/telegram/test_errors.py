"""Errors, in Telegram's words."""

from typing import Any

import pytest
from telegram import InlineKeyboardButton, InlineKeyboardMarkup, ReplyParameters
from telegram.error import BadRequest, ChatMigrated, Forbidden
from telegram.ext import ExtBot

from bots.sandbox.telegram import Chat, TelegramStandIn
from tests.bots.sandbox.telegram.conftest import CallMethod

BUTTON = {"text": "x", "callback_data": "x"}


@pytest.fixture
def chat(server: TelegramStandIn) -> Chat:
    return server.open_private_chat(server.create_user("Ann"))


@pytest.mark.parametrize(
    ("params", "description"),
    [
        ({"text": ""}, "message text is empty"),
        ({"text": " \n "}, "text must be non-empty"),
        ({"text": "x" * 4097}, "message is too long"),
        ({"text": "😀" * 2049}, "message is too long"),
        ({"text": "x", "chat_id": ""}, "chat_id is empty"),
        ({"text": "x", "chat_id": 5}, "chat not found"),
        ({"text": "x", "message_thread_id": 77}, "message thread not found"),
        ({"text": "x", "reply_parameters": {"message_id": 99}}, "message to be replied not found"),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": "x"}},
            'field "inline_keyboard" must be of type Array',
        ),
        (
            {
                "text": "x",
                "reply_markup": {"inline_keyboard": [[{"text": "x", "callback_data": "ü" * 33}]]},
            },
            "BUTTON_DATA_INVALID",
        ),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "x"}]]}},
            "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
        ),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": [[BUTTON] * 9]}},
            "reply markup is too long",
        ),
        (
            {"text": "x", "reply_markup": {"inline_keyboard": [[BUTTON]] * 101}},
            "reply markup is too long",
        ),
        ({"text": "x", "parse_mode": "HTML"}, "unsupported parse_mode"),
    ],
)
async def test_invalid_message_is_refused(
    call_method: CallMethod, chat: Chat, params: dict[str, Any], description: str
) -> None:
    assert await call_method("sendMessage", **{"chat_id": chat.id, **params}) == (
        400,
        f"Bad Request: {description}",
    )
    assert not chat.messages


@pytest.mark.parametrize(
    ("text", "spans", "description"),
    [
        ("abc", [(0, 4)], "ends after the end of the text"),
        ("abc", [(4, 1)], "begins after the end of the text"),
        ("abc", [(-1, 1)], "incorrect offset"),
        ("a😀b", [(2, 2)], "begins in a middle of a UTF-16 symbol"),
        ("a😀b", [(0, 2)], "ends in a middle of a UTF-16 symbol"),
        ("abcdef", [(0, 3), (2, 3)], "overlaps"),
    ],
)
async def test_invalid_entities_are_refused(
    call_method: CallMethod, chat: Chat, text: str, spans: list[tuple[int, int]], description: str
) -> None:
    entities = [{"type": "bold", "offset": at, "length": length} for at, length in spans]
    status, error = await call_method("sendMessage", chat_id=chat.id, text=text, entities=entities)
    assert status == 400
    assert description in error


async def test_length_limit_counts_utf16_units(call_method: CallMethod, chat: Chat) -> None:
    assert (await call_method("sendMessage", chat_id=chat.id, text="😀" * 2048))[0] == 200


async def test_entities_over_100_are_dropped(call_method: CallMethod, chat: Chat) -> None:
    entities = [{"type": "bold", "offset": 2 * n, "length": 1} for n in range(150)]
    status, message = await call_method("sendMessage", chat_id=chat.id, text="x " * 150, entities=entities)
    assert status == 200
    assert len(message["entities"]) == 100


async def test_edit_must_change_own_message(server: TelegramStandIn, bot: ExtBot[None], chat: Chat) -> None:
    ann = chat.members[0]
    theirs = await server.send_message(ann, chat, "mine")
    markup = InlineKeyboardMarkup([[InlineKeyboardButton("x", callback_data="x")]])
    sent = await bot.send_message(chat.id, "one", reply_markup=markup)
    number = sent.message_id

    async def edit(text: str, markup: InlineKeyboardMarkup | None = None) -> None:
        await bot.edit_message_text(text, chat_id=chat.id, message_id=number, reply_markup=markup)

    with pytest.raises(BadRequest, match=r"(?i)message is not modified"):
        await edit("one", markup)
    with pytest.raises(BadRequest, match=r"(?i)message can't be edited"):
        await bot.edit_message_text("two", chat_id=chat.id, message_id=theirs.id)
    with pytest.raises(BadRequest, match=r"(?i)message to edit not found"):
        await bot.edit_message_text("two", chat_id=chat.id, message_id=999)
    await edit("one")
    (message,) = [m for m in server.messages(chat) if m.from_bot]
    assert message.reply_markup is None, "an edit without a keyboard removes the keyboard"
    await bot.delete_message(chat.id, number)
    with pytest.raises(BadRequest, match=r"(?i)message to edit not found"):
        await edit("two")
    with pytest.raises(BadRequest, match=r"(?i)message to delete not found"):
        await bot.delete_message(chat.id, number)


async def test_reply_to_deleted_needs_permission(server: TelegramStandIn, bot: ExtBot[None], chat: Chat) -> None:
    question = await server.send_message(chat.members[0], chat, "?")
    answer = await bot.send_message(chat.id, "!", reply_parameters=ReplyParameters(question.id))
    assert answer.reply_to_message is not None
    assert answer.reply_to_message.message_id == question.id
    await server.delete_message(question)
    with pytest.raises(BadRequest, match=r"(?i)message to be replied not found"):
        await bot.send_message(chat.id, "!", reply_parameters=ReplyParameters(question.id))
    allowed = ReplyParameters(question.id, allow_sending_without_reply=True)
    assert (await bot.send_message(chat.id, "!", reply_parameters=allowed)).reply_to_message is None


async def test_draft_needs_private_chat_and_id(server: TelegramStandIn, call_method: CallMethod, chat: Chat) -> None:
    group = server.create_group("Friends", chat.members[0])
    draft = {"draft_id": 1, "text": "x"}
    assert await call_method("sendMessageDraft", chat_id=group.id, **draft) == (
        400,
        "Bad Request: method is available only in private chats",
    )
    assert (await call_method("sendMessageDraft", chat_id=chat.id, draft_id=0, text="x"))[0] == 400
    assert (await call_method("sendMessageDraft", chat_id=chat.id, draft_id=1, text="x" * 4097))[0] == 400
    assert not server.draft_log
    assert (await call_method("sendMessageDraft", chat_id=chat.id, draft_id=1, text=""))[0] == 200
    assert "Thinking" in server.transcript(chat)


async def test_blocked_bot_cannot_send(server: TelegramStandIn, bot: ExtBot[None], chat: Chat) -> None:
    ann = chat.members[0]
    group, big = server.create_group("Friends", ann), server.create_supergroup("Crowd", ann)
    await server.block_bot(ann)
    await server.kick_bot(ann, group)
    await server.kick_bot(ann, big)
    for place, error in (
        (chat, "bot was blocked by the user"),
        (group, "bot was kicked from the group chat"),
        (big, "bot was kicked from the supergroup chat"),
    ):
        with pytest.raises(Forbidden, match=f"(?i){error}"):
            await bot.send_message(place.id, "hello?")
    statuses = [
        update.my_chat_member.new_chat_member.status
        for update in await bot.get_updates(timeout=0)
        if update.my_chat_member
    ]
    assert statuses == ["kicked"] * 3


async def test_migrated_group_names_new_id(server: TelegramStandIn, bot: ExtBot[None], chat: Chat) -> None:
    group = server.create_group("Friends", chat.members[0])
    await bot.send_message(group.id, "before")
    supergroup = await server.migrate_to_supergroup(group)
    with pytest.raises(ChatMigrated) as raised:
        await bot.send_message(group.id, "after")
    assert raised.value.new_chat_id == supergroup.id
    sent = await bot.send_message(supergroup.id, "after")
    assert sent.message_id < 10, "a supergroup numbers its messages from the start"
    messages = [update.message for update in await bot.get_updates(timeout=0) if update.message]
    assert messages[-2].migrate_to_chat_id == supergroup.id
    assert messages[-1].migrate_from_chat_id == group.id


async def test_administrator_deletes_any_message(server: TelegramStandIn, bot: ExtBot[None], chat: Chat) -> None:
    ann = chat.members[0]
    group = server.create_supergroup("Friends", ann)
    theirs = await server.send_message(ann, group, "theirs")
    own = await bot.send_message(group.id, "own")
    with pytest.raises(BadRequest, match=r"(?i)message can't be deleted"):
        await bot.delete_message(group.id, theirs.id)
    await bot.delete_message(group.id, own.message_id)
    await server.promote_bot(ann, group)
    await bot.delete_message(group.id, theirs.id)
    assert server.messages(group) == []
