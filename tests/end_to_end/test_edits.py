"""Edited questions: the new text is used while there is no answer; afterwards the answer is replaced in place."""

from typing import Any

import pytest

from tests.end_to_end.harness import Harness, bot_texts

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

    def answers(self) -> list[str]:
        return bot_texts(self.server.messages(self.chat))


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

    def answers(self) -> list[str]:
        return bot_texts(self.server.messages(self.chat))


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
