"""Edited questions: the new text is used while there is no answer; afterwards the answer is replaced in place."""

import re
from typing import Any

import pytest

from bots.sandbox.model.faults import http_error
from core.texts.answers import TOO_FAST
from core.turns.engine import MAX_ATTEMPTS
from tests.end_to_end.harness import Harness, complete_texts

NO_OPEN_TURN = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM turns WHERE finished_at IS NULL)"


class TelegramChat:
    def __init__(self, harness: Harness) -> None:
        self.server: Any = harness.telegram
        self.ann = self.server.create_user("Ann")
        self.chat = self.server.open_private_chat(self.ann)

    async def write(self, text: str) -> Any:
        return await self.server.send_message(self.ann, self.chat, text)

    async def edit(self, message: Any, text: str) -> None:
        await self.server.edit_message(message, text)

    async def start_anew(self) -> None:
        await self.write("/new")

    async def retry(self) -> None:
        await self.write("/retry")

    async def press_retry(self) -> None:
        message = self.server.messages(self.chat)[-1]
        (button,) = [button for button in message.buttons if button["text"] == "Retry"]
        await self.server.press_button(self.ann, message, button["callback_data"])

    async def write_as(self, user: Any, text: str) -> Any:
        """In another chat."""
        return await self.server.send_message(user, self.server.create_supergroup("Friends", self.ann, user), text)

    def answers(self) -> list[str]:
        return complete_texts(self.server.messages(self.chat))


class DiscordChat:
    def __init__(self, harness: Harness) -> None:
        self.server: Any = harness.discord
        self.ann = self.server.create_user("Ann")
        self.chat = self.server.open_dm(self.ann)

    async def write(self, text: str) -> Any:
        return await self.server.send_message(self.ann, self.chat, text)

    async def edit(self, message: Any, text: str) -> None:
        await self.server.edit_message(self.ann, message, text)

    async def start_anew(self) -> None:
        await self.server.use_command(self.ann, self.chat, "new")

    async def retry(self) -> None:
        await self.server.use_command(self.ann, self.chat, "retry")

    async def press_retry(self) -> None:
        message = self.server.messages(self.chat)[-1]
        items = message.items
        (button,) = [item for item in items if item.get("label") == "Retry"]
        await self.server.press_button(self.ann, message, button["custom_id"])

    async def write_as(self, user: Any, text: str) -> Any:
        """In another chat."""
        guild = self.server.create_guild("Home", self.ann, user)
        return await self.server.send_message(user, self.server.create_channel(guild, "general"), text)

    def answers(self) -> list[str]:
        return complete_texts(self.server.messages(self.chat))


CHATS = pytest.mark.parametrize("create_chat", [TelegramChat, DiscordChat], ids=["telegram", "discord"])
ChatType = type[TelegramChat | DiscordChat]


def conversation(harness: Harness) -> list[str]:
    """What the model was sent last, without the instructions."""
    return [m["content"] for m in harness.model.requests[-1].body["messages"] if m["role"] != "system"]


@CHATS
async def test_edit_replaces_last_answer(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    first = await chat.write("repeat: first")
    await chat.server.wait_for(lambda: chat.answers() == ["first"])
    question = await chat.write("repeat: secnd")
    await chat.server.wait_for(lambda: chat.answers() == ["first", "secnd"])
    for text in ("second", "third"):
        await chat.edit(question, f"repeat: {text}")
        await chat.server.wait_for(lambda: chat.answers() == ["first", text])  # noqa: B023
    assert conversation(harness) == ["repeat: first", "first", "repeat: third"]
    requests = len(harness.model.requests)
    await chat.edit(first, "repeat: nobody answers this")
    await chat.edit(question, "repeat: third")
    await chat.write("repeat: next")
    await chat.server.wait_for(lambda: chat.answers() == ["first", "third", "next"])
    assert conversation(harness) == ["repeat: first", "first", "repeat: third", "third", "repeat: next"]
    assert len(harness.model.requests) == requests + 1


@CHATS
async def test_edit_after_unchanged_edit_replaces_answer(harness: Harness, create_chat: ChatType) -> None:
    """Telegram also reports edits of what the bot does not see."""
    chat = create_chat(harness)
    question = await chat.write("repeat: old")
    await chat.server.wait_for(lambda: chat.answers() == ["old"])
    await chat.edit(question, "repeat: old")
    await harness.wait_until_stored("SELECT 1 WHERE (SELECT count(*) FROM turns WHERE finished_at IS NOT NULL) = 2")
    await chat.edit(question, "repeat: new")
    await chat.server.wait_for(lambda: "new" in chat.answers())
    assert chat.answers() == ["new"]
    await chat.write("repeat: next")
    await chat.server.wait_for(lambda: chat.answers()[-1] == "next")
    assert conversation(harness) == ["repeat: new", "new", "repeat: next"]


@CHATS
async def test_queued_question_takes_new_text(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    harness.model.tokens_per_second = 5
    await chat.write("repeat: it takes a while to say this")
    await harness.model.wait_for(lambda: len(harness.model.requests) == 1)
    queued = await chat.write("repeat: old words")
    await chat.edit(queued, "repeat: new words")
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'merged'")
    harness.model.tokens_per_second = 2000
    await chat.server.wait_for(lambda: chat.answers()[-1:] == ["new words"], 20)
    assert len(harness.model.requests) == 2


@CHATS
async def test_edit_during_answer_starts_it_again(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    harness.model.tokens_per_second = 5
    question = await chat.write("repeat: the old words, which nobody wants to read any more")
    await harness.model.wait_for(lambda: len(harness.model.requests) == 1)
    await chat.edit(question, "repeat: the new words")
    await harness.model.wait_for(lambda: len(harness.model.requests) == 2)
    harness.model.tokens_per_second = 2000
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert chat.answers() == ["the new words"]
    assert conversation(harness) == ["repeat: the new words"]


@pytest.mark.slow
@CHATS
async def test_question_edited_many_times_during_its_answer_is_answered(
    harness: Harness, create_chat: ChatType
) -> None:
    chat = create_chat(harness)
    harness.model.tokens_per_second = 5
    question = await chat.write("repeat: wording 0, which is not the last one of them all")
    for number in range(1, MAX_ATTEMPTS + 3):
        await harness.model.wait_for(lambda: len(harness.model.requests) == number)  # noqa: B023
        await chat.edit(question, f"repeat: wording {number}, which is not the last one of them all")
    await harness.model.wait_for(lambda: len(harness.model.requests) == MAX_ATTEMPTS + 3)
    harness.model.tokens_per_second = 2000
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert chat.answers() == [f"wording {MAX_ATTEMPTS + 2}, which is not the last one of them all"]


@CHATS
async def test_edit_of_earlier_conversation_is_ignored(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    question = await chat.write("repeat: old")
    await chat.server.wait_for(lambda: chat.answers() == ["old"])
    await chat.start_anew()
    await chat.server.wait_for(lambda: chat.answers()[-1].startswith("New conversation"))
    await chat.edit(question, "repeat: changed")
    await chat.write("repeat: next")
    await chat.server.wait_for(lambda: chat.answers()[-1] == "next")
    assert chat.answers()[0] == "old"
    assert conversation(harness) == ["repeat: next"]


async def test_edit_of_a_new_conversations_first_question_replaces_its_answer(harness: Harness) -> None:
    """Only Telegram's commands are messages, which can be edited."""
    chat = TelegramChat(harness)
    await chat.write("repeat: before")
    await chat.server.wait_for(lambda: chat.answers() == ["before"])
    question = await chat.write("/new repeat: old")
    await chat.server.wait_for(lambda: chat.answers() == ["before", "old"])
    await chat.edit(question, "/new repeat: new")
    await chat.server.wait_for(lambda: chat.answers() == ["before", "new"])
    assert conversation(harness) == ["repeat: new"]
    await chat.write("repeat: next")
    await chat.server.wait_for(lambda: chat.answers() == ["before", "new", "next"])
    assert conversation(harness) == ["repeat: new", "new", "repeat: next"]


async def test_edit_of_a_new_conversations_first_question_during_its_answer(harness: Harness) -> None:
    chat = TelegramChat(harness)
    await chat.write("repeat: before")
    await chat.server.wait_for(lambda: chat.answers() == ["before"])
    harness.model.tokens_per_second = 5
    question = await chat.write("/new repeat: the old words, which nobody wants to read any more")
    await harness.model.wait_for(lambda: len(harness.model.requests) == 2)
    await chat.edit(question, "/new repeat: the new words")
    await harness.model.wait_for(lambda: len(harness.model.requests) == 3)
    harness.model.tokens_per_second = 2000
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert chat.answers() == ["before", "the new words"]
    assert conversation(harness) == ["repeat: the new words"]


@CHATS
async def test_person_is_told_once_that_an_edit_comes_too_fast(harness: Harness, create_chat: ChatType) -> None:
    await harness.stop()
    await harness.start(messages_a_minute=2)
    chat = create_chat(harness)
    question = await chat.write("repeat: old")
    await chat.server.wait_for(lambda: chat.answers() == ["old"])
    await chat.edit(question, "repeat: new")
    await chat.server.wait_for(lambda: chat.answers() == ["new"])
    for text in ("newer", "newest"):
        await chat.edit(question, f"repeat: {text}")
        await chat.server.wait_for(lambda: TOO_FAST in chat.answers()[-1])
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert len(chat.answers()) == 2
    assert chat.answers()[0] == "new"


async def test_redelivered_edit_is_answered_once(harness: Harness) -> None:
    chat = TelegramChat(harness)
    question = await chat.write("repeat: old")
    await chat.server.wait_for(lambda: chat.answers() == ["old"])
    await chat.edit(question, "repeat: new")
    chat.server.redeliver_last_update(chat.chat)
    await chat.server.wait_for(lambda: chat.answers() == ["new"])
    await chat.write("repeat: next")
    await chat.server.wait_for(lambda: chat.answers() == ["new", "next"])
    assert len(harness.model.requests) == 3


@CHATS
async def test_edit_after_retry_replaces_its_answer(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    question = await chat.write("repeat: old")
    await chat.server.wait_for(lambda: chat.answers() == ["old"])
    await chat.retry()
    await harness.wait_until_stored("SELECT 1 WHERE (SELECT count(*) FROM turns WHERE state = 'done') = 2")
    shown = chat.answers()
    await chat.edit(question, "repeat: new")
    await chat.server.wait_for(lambda: chat.answers() == [*shown[:-1], "new"])
    await chat.press_retry()
    await harness.model.wait_for(lambda: len(harness.model.requests) == 4)
    await harness.wait_until_stored(NO_OPEN_TURN)
    await chat.edit(question, "repeat: newest")
    await chat.server.wait_for(lambda: chat.answers()[-1] == "newest")
    assert conversation(harness) == ["repeat: newest"]


@CHATS
async def test_edit_after_failed_retry_replaces_answer(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    question = await chat.write("repeat: old")
    await chat.server.wait_for(lambda: chat.answers() == ["old"])
    harness.model.fail_next(http_error(400, "Invalid request"))
    await chat.retry()
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'failed'")
    await chat.edit(question, "repeat: new")
    await chat.server.wait_for(lambda: chat.answers()[0] == "new")
    assert conversation(harness) == ["repeat: new"]


async def test_edit_of_one_of_several_messages_replaces_answer(harness: Harness) -> None:
    chat = TelegramChat(harness)
    first = await chat.write("repeat: " + "many words " * 350)
    second = await chat.write("and the end")
    await chat.server.wait_for(lambda: bool(chat.answers()) and chat.answers()[-1].endswith("and the end"))
    for message, text, beginning, end in (
        (second, "and another end", "many words", "and another end"),
        (first, "repeat: few words", "few words", "and another end"),
        (second, "and the last end", "few words", "and the last end"),
    ):
        await chat.edit(message, text)
        pattern = re.compile(f"{beginning}.*{end}", re.DOTALL)
        await chat.server.wait_for(lambda: pattern.fullmatch("".join(chat.answers())))  # noqa: B023
        await harness.wait_until_stored(NO_OPEN_TURN)
    assert conversation(harness) == ["repeat: few words\nand the last end"]


@CHATS
async def test_edited_comment_keeps_forwarded_message(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    bob = chat.server.create_user("Bob")
    written = await chat.write_as(bob, "The fair is on Friday.")
    comment = await chat.write("repeat: old")
    await chat.server.forward_message(chat.ann, chat.chat, written)
    await chat.server.wait_for(lambda: chat.answers() == ["old"])
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert "> The fair is on Friday." in conversation(harness)[0]
    await chat.edit(comment, "repeat: new")
    await chat.server.wait_for(lambda: chat.answers() == ["new"])
    assert "> The fair is on Friday." in conversation(harness)[0]
    assert conversation(harness)[0].endswith("\n\nrepeat: new")


@CHATS
async def test_edit_taken_back_during_its_answer_keeps_the_old_one(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    question = await chat.write("repeat: old")
    await chat.server.wait_for(lambda: chat.answers() == ["old"])
    await harness.wait_until_stored(NO_OPEN_TURN)
    shown = chat.server.messages(chat.chat)[-1]
    buttons = list(shown.buttons if isinstance(chat, TelegramChat) else shown.items)
    harness.model.tokens_per_second = 5
    await chat.edit(question, "repeat: new words, which take a while to be written by the model")
    await harness.model.wait_for(lambda: len(harness.model.requests) == 2)
    await chat.server.wait_for(lambda: chat.answers() != ["old"])
    await chat.edit(question, "repeat: old")
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert chat.answers() == ["old"]
    shown = chat.server.messages(chat.chat)[-1]
    assert list(shown.buttons if isinstance(chat, TelegramChat) else shown.items) == buttons
    harness.model.tokens_per_second = 2000
    await chat.edit(question, "repeat: newest")
    await chat.server.wait_for(lambda: chat.answers() == ["newest"])


@CHATS
async def test_edit_taken_back_asks_a_question_that_had_failed_again(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    harness.model.fail_next(http_error(400, "Invalid request"))
    question = await chat.write("repeat: old")
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'failed'")
    harness.model.tokens_per_second = 5
    await chat.edit(question, "repeat: new words, which take a while to be written by the model")
    await harness.model.wait_for(lambda: len(harness.model.requests) == 2)
    harness.model.tokens_per_second = 2000
    await chat.edit(question, "repeat: old")
    await harness.wait_until_stored(NO_OPEN_TURN)
    assert chat.answers() == ["old"]
    assert conversation(harness) == ["repeat: old"]


@CHATS
async def test_edit_without_change_asks_no_failed_question_again(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    harness.model.fail_next(http_error(400, "Invalid request"))
    question = await chat.write("repeat: old")
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'failed'")
    (notice,) = chat.answers()
    await chat.edit(question, "repeat: old")
    await harness.wait_until_stored("SELECT 1 WHERE (SELECT count(*) FROM turns WHERE finished_at IS NOT NULL) = 2")
    assert chat.answers() == [notice]
    assert len(harness.model.requests) == 1


@CHATS
@pytest.mark.parametrize("has_answer", [True, False])
async def test_edit_after_failed_edit_is_answered(harness: Harness, create_chat: ChatType, has_answer: bool) -> None:
    chat = create_chat(harness)
    if not has_answer:
        harness.model.fail_next(http_error(400, "Invalid request"))
    question = await chat.write("repeat: old")
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE finished_at IS NOT NULL")
    harness.model.fail_next(http_error(400, "Invalid request"))
    await chat.edit(question, "repeat: new")
    await harness.wait_until_stored("SELECT 1 WHERE (SELECT count(*) FROM turns WHERE finished_at IS NOT NULL) = 2")
    await chat.edit(question, "repeat: newest")
    await harness.wait_until_stored("SELECT 1 WHERE (SELECT count(*) FROM turns WHERE finished_at IS NOT NULL) = 3")
    assert chat.answers() == ["newest"]
    assert conversation(harness) == ["repeat: newest"]


@CHATS
async def test_edit_after_failed_edit_of_a_retried_question_is_answered(
    harness: Harness, create_chat: ChatType
) -> None:
    chat = create_chat(harness)
    question = await chat.write("repeat: old")
    await chat.server.wait_for(lambda: chat.answers() == ["old"])
    await harness.wait_until_stored(NO_OPEN_TURN)
    await chat.press_retry()
    await harness.model.wait_for(lambda: len(harness.model.requests) == 2)
    await harness.wait_until_stored(NO_OPEN_TURN)
    harness.model.fail_next(http_error(400, "Invalid request"))
    await chat.edit(question, "repeat: new")
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'failed'")
    await chat.edit(question, "repeat: newest")
    await harness.wait_until_stored("SELECT 1 WHERE (SELECT count(*) FROM turns WHERE finished_at IS NOT NULL) = 4")
    assert chat.answers() == ["newest"]
    assert conversation(harness) == ["repeat: newest"]


@CHATS
async def test_edit_taken_back_after_it_failed_shows_the_old_answer(harness: Harness, create_chat: ChatType) -> None:
    chat = create_chat(harness)
    question = await chat.write("repeat: old")
    await chat.server.wait_for(lambda: chat.answers() == ["old"])
    harness.model.fail_next(http_error(400, "Invalid request"))
    await chat.edit(question, "repeat: new")
    await harness.wait_until_stored("SELECT 1 FROM turns WHERE state = 'failed'")
    await chat.edit(question, "repeat: old")
    await harness.wait_until_stored("SELECT 1 WHERE (SELECT count(*) FROM turns WHERE finished_at IS NOT NULL) = 3")
    assert chat.answers() == ["old"]
    assert len(harness.model.requests) == 2
    await chat.edit(question, "repeat: newest")
    await chat.server.wait_for(lambda: chat.answers() == ["newest"])
    assert conversation(harness) == ["repeat: newest"]
