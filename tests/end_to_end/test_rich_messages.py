"""Rich messages on Telegram, end to end: when answers are rich, and what people see where they cannot be."""

import asyncio
from typing import Any

import pytest

from bots.sandbox.model.script import long_document
from bots.sandbox.telegram import Chat, Message, ScriptedReply
from core.texts import answers as texts
from tests import api_specs
from tests.end_to_end.harness import Harness, bot_texts, letters_only
from tests.end_to_end.spec_checks import spec_violations

TABLE = "| name | price |\n|---|--:|\n| tea | 2 |\n| milk | 1 |"
ANSWER = f"Before the table come some words.\n\n{TABLE}\n\nAnd after it **others**."
DRAWN = "name │ price\n─────┼──────\ntea  │     2\nmilk │     1"
GRID = "name | price\n-----+------\ntea  |     2\nmilk |     1"


@pytest.fixture
async def chat(harness: Harness) -> Chat:
    return harness.telegram.open_private_chat(harness.telegram.create_user("Ann"))


async def say(harness: Harness, chat: Chat, text: str) -> None:
    await harness.telegram.send_message(chat.members[0], chat, text)


def answers(harness: Harness, chat: Chat) -> list[Message]:
    return [message for message in harness.telegram.messages(chat) if message.from_bot]


async def wait_until_done(harness: Harness, turn: int = 1) -> None:
    await harness.wait_until_stored(f"SELECT 1 FROM turns WHERE id = {turn} AND state = 'done'")


async def test_answer_that_grows_a_table_ends_as_one_rich_message(harness: Harness, chat: Chat) -> None:
    api_specs.require_specs()
    telegram = harness.telegram
    harness.model.tokens_per_second = 12
    await say(harness, chat, f"repeat: {ANSWER}")
    await wait_until_done(harness)
    (message,) = answers(harness, chat)
    assert message.rich is not None
    assert DRAWN in message.text
    drafts = [draft for draft in telegram.draft_log if draft.text]
    assert [draft.rich is not None for draft in drafts] == sorted(draft.rich is not None for draft in drafts)
    assert {draft.draft_id for draft in drafts} == {drafts[0].draft_id}
    assert drafts[0].rich is None
    assert drafts[-1].rich is not None
    assert all(draft.can_stop for draft in drafts)
    assert not telegram.live_drafts(chat)
    assert spec_violations(harness) == {}


async def test_message_in_a_group_becomes_rich(harness: Harness) -> None:
    telegram = harness.telegram
    harness.model.tokens_per_second = 12
    ann = telegram.create_user("Ann")
    group = telegram.create_supergroup("Friends", ann)
    question = await telegram.send_message(ann, group, f"@{telegram.bot.username} repeat: {ANSWER}")
    await wait_until_done(harness)
    (message,) = answers(harness, group)
    assert message.rich is not None
    assert message.previous_texts
    assert message.reply_to_id == question.id
    assert [button["text"] for button in message.buttons] == ["Retry", "Model"]


@pytest.mark.parametrize("is_group", [False, True])
async def test_older_server_gets_the_answer_with_entities_once(harness: Harness, chat: Chat, is_group: bool) -> None:
    telegram = harness.telegram
    telegram.has_rich_messages = False
    harness.model.tokens_per_second = 12
    place = telegram.create_supergroup("Friends", chat.members[0]) if is_group else chat
    mention = f"@{telegram.bot.username} " if is_group else ""
    await say(harness, place, f"{mention}repeat: {ANSWER}")
    await wait_until_done(harness)
    (message,) = answers(harness, place)
    assert message.rich is None
    assert GRID in message.text
    assert "pre" in [entity["type"] for entity in message.entities]
    previews = message.previous_texts if is_group else [draft.text for draft in telegram.draft_log]
    assert any("name" in preview for preview in previews), "previews go on with entities"
    rich_calls = [call for call in telegram.calls if "rich_message" in call.params]
    assert len(rich_calls) == 1
    await say(harness, place, f"{mention}repeat: {TABLE}")
    await wait_until_done(harness, 2)
    assert [call for call in telegram.calls if "rich_message" in call.params] == rich_calls


async def test_rejected_long_answer_is_split_into_plain_messages(harness: Harness, chat: Chat) -> None:
    telegram = harness.telegram
    harness.model.tokens_per_second = 20_000
    telegram.script.add("sendRichMessage", ScriptedReply.error(400, "Bad Request: rich message is wrong"))
    await say(harness, chat, "long 12000")
    await wait_until_done(harness)
    messages = answers(harness, chat)
    assert len(messages) > 2
    assert all(message.rich is None for message in messages)
    assert letters_only("\n".join(bot_texts(messages))) == letters_only(long_document(12_000))
    assert messages[-1].buttons[0]["text"] == "Retry"
    await say(harness, chat, "long 6000")
    await wait_until_done(harness, 2)
    assert answers(harness, chat)[-1].rich is not None, "the refusal concerned one message"


async def test_long_answer_is_one_message(harness: Harness, chat: Chat) -> None:
    harness.model.tokens_per_second = 20_000
    await say(harness, chat, "long 25000")
    await wait_until_done(harness)
    (message,) = answers(harness, chat)
    assert message.rich is not None
    shown, source = letters_only(message.text), letters_only(long_document(25_000))
    assert len(shown) >= len(source)


async def test_restarted_process_finds_the_same_rich_message(harness: Harness, chat: Chat) -> None:
    """The answer is stored and sent; the process dies before it knows."""
    telegram = harness.telegram
    reply = ScriptedReply(hold_until=asyncio.Event())
    harness.model.tokens_per_second = 20_000
    await say(harness, chat, f"repeat: {TABLE}")
    await wait_until_done(harness)
    telegram.script.add("sendRichMessage", reply)
    await say(harness, chat, f"repeat: {ANSWER}")
    await telegram.wait_for(lambda: len(telegram.calls_to("sendRichMessage")) == 2)
    await harness.kill()
    await harness.start()
    await wait_until_done(harness, 2)
    assert len(telegram.calls_to("sendRichMessage")) == 2, "its fate is unknown, so it is not sent again"
    assert texts.DELIVERY_UNCERTAIN in bot_texts(telegram.messages(chat))[-1]


async def test_chat_chooses_when_answers_are_rich(harness: Harness, chat: Chat) -> None:
    telegram = harness.telegram
    await say(harness, chat, "/settings rich off")
    await telegram.wait_for(lambda: "off" in "".join(bot_texts(telegram.messages(chat))))
    await say(harness, chat, f"repeat: {TABLE}")
    await telegram.wait_for(lambda: GRID in bot_texts(telegram.messages(chat))[-1])
    await say(harness, chat, "/settings rich always")
    await telegram.wait_for(lambda: "always" in bot_texts(telegram.messages(chat))[-1])
    await say(harness, chat, "repeat: short")
    await telegram.wait_for(lambda: bot_texts(telegram.messages(chat))[-1] == "short")
    assert answers(harness, chat)[-1].rich is not None
    await say(harness, chat, "/settings")
    await telegram.wait_for(lambda: "Rich messages (rich): always" in bot_texts(telegram.messages(chat))[-1])
    assert answers(harness, chat)[-1].rich is None, "the bot's own messages need no blocks"


async def test_plain_answer_makes_the_same_calls_as_without_rich_messages(harness: Harness, chat: Chat) -> None:
    def calls() -> list[tuple[str, Any]]:
        own = ("sendMessage", "sendRichMessage", "sendRichMessageDraft", "editMessageText")
        return [(call.method, call.params.get("text")) for call in harness.telegram.calls if call.method in own]

    await say(harness, chat, "repeat: A **plain** answer.")
    await wait_until_done(harness)
    assert calls() == [("sendMessage", "A plain answer.")]


async def test_reasoning_model_shows_that_it_thinks(harness: Harness, chat: Chat) -> None:
    harness.model.tokens_per_second = 200
    await say(harness, chat, "think")
    await wait_until_done(harness)
    thinking = [
        draft.rich.blocks
        for draft in harness.telegram.draft_log
        if draft.rich and draft.rich.blocks[0]["type"] == "thinking"
    ]
    assert thinking
    assert thinking[0] == [{"type": "thinking", "text": texts.THINKING}]
    (message,) = answers(harness, chat)
    assert "thinking" not in str(message.rich)


async def test_stop_on_a_rich_draft_is_that_of_its_person(harness: Harness, chat: Chat) -> None:
    telegram = harness.telegram
    harness.model.tokens_per_second = 30
    await say(harness, chat, f"repeat: {TABLE}\n\n" + "more words follow " * 300)
    await telegram.wait_for(lambda: any(draft.rich for draft in telegram.live_drafts(chat)))
    (draft,) = telegram.live_drafts(chat)
    bob = telegram.create_user("Bob")
    forged: dict[str, Any] = {"chat": telegram.open_private_chat(bob).json(), "draft_id": draft.draft_id}
    telegram.updates.add("stopped_message_generation", forged, bob.id)
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE id = 2 AND state = 'done'")
    assert telegram.live_drafts(chat), "somebody else's Stop has no effect"
    await telegram.stop_draft(chat, draft.draft_id)
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE id = 1 AND state = 'stopped'")
    (message,) = answers(harness, chat)
    assert message.rich is not None
    assert message.text.startswith("name │ price")
    assert message.text.endswith(texts.STOPPED)
