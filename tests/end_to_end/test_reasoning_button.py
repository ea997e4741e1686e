"""The Reasoning button shows the model's reasoning, and hides it again where everybody sees it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, PLATFORMS, ChatWithButtons
from tests.end_to_end.harness import Harness, bot_texts

REASONING = "only pretends to think"


async def press_reasoning(chat: ChatWithButtons) -> None:
    answer = next(m for m in chat.server.messages(chat.chat) if m.from_bot and "Reasoning" in chat.buttons(m))
    await chat.server.press_button(chat.person, answer, chat.buttons(answer)["Reasoning"])


def reasoning_count(chat: ChatWithButtons) -> int:
    return sum(REASONING in text for text in chat.answers)


@PLATFORMS
async def test_reasoning_is_shown_and_hidden_again(harness: Harness, platform: str) -> None:
    chat = ChatWithButtons(harness, platform)
    await chat.write("think")
    await chat.server.wait_for(lambda: "Reasoning" in chat.buttons(), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    answer = chat.answers[0]
    for expected in (1, 0, 1, 0):
        await press_reasoning(chat)
        await chat.server.wait_for(lambda: reasoning_count(chat) == expected, 30)  # noqa: B023
        await harness.wait_until_stored(NO_OPEN_TURN)
        assert chat.answers[0] == answer


async def test_reasoning_is_hidden_again_where_everybody_sees_it(harness: Harness) -> None:
    harness.telegram.has_ephemeral_messages = False
    chat = ChatWithButtons(harness, "telegram", others=("Bob",))
    await chat.write("think")
    await chat.server.wait_for(lambda: "Reasoning" in chat.buttons(), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    for expected in (1, 0, 1):
        await press_reasoning(chat)
        await chat.server.wait_for(lambda: reasoning_count(chat) == expected, 30)  # noqa: B023
        await harness.wait_until_stored(NO_OPEN_TURN)


def reasoning_messages(chat: ChatWithButtons) -> list[Any]:
    messages = chat.server.messages(chat.chat)
    return [message for message in messages if message.from_bot and REASONING in bot_texts([message])[0]]


@PLATFORMS
async def test_dismissed_reasoning_is_shown_again(harness: Harness, platform: str) -> None:
    """The platform may know that a person has dismissed the message, or not."""
    chat = ChatWithButtons(harness, platform, others=("Bob",))
    await chat.write("think")
    await chat.server.wait_for(lambda: "Reasoning" in chat.buttons(), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    shown: list[Any] = []
    for is_known in (False, True, False):
        await press_reasoning(chat)
        await chat.server.wait_for(lambda: reasoning_messages(chat) not in ([], shown), 30)  # noqa: B023
        await harness.wait_until_stored(NO_OPEN_TURN)
        shown = reasoning_messages(chat)
        assert len(shown) == 1, "the earlier one is gone"
        shown[0].is_deleted = is_known


async def test_reasoning_in_a_channel_is_for_one_person_and_replaced_after_a_restart(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord", others=("Bob",))
    await chat.write("think")
    await chat.server.wait_for(lambda: "Reasoning" in chat.buttons(), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    await press_reasoning(chat)
    await chat.server.wait_for(lambda: reasoning_count(chat) == 1, 30)
    assert REASONING not in chat.server.transcript(chat.chat, chat.others[0])
    shown = reasoning_messages(chat)
    await harness.stop()
    await harness.start()
    await press_reasoning(chat)
    await chat.server.wait_for(lambda: reasoning_messages(chat) not in ([], shown), 30)
    assert reasoning_count(chat) == 1


async def test_reasoning_that_can_no_longer_be_hidden_is_shown_again(harness: Harness, tmp_path: Path) -> None:
    """Discord lets the bot delete what one person sees for 15 minutes."""
    chat = ChatWithButtons(harness, "discord", others=("Bob",))
    await chat.write("think")
    await chat.server.wait_for(lambda: "Reasoning" in chat.buttons(), 30)
    await press_reasoning(chat)
    await chat.server.wait_for(lambda: reasoning_count(chat) == 1, 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    with closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database, database:
        database.execute("UPDATE turns SET created_at = created_at - 900 WHERE incoming_json LIKE '%think:%'")
    await press_reasoning(chat)
    await chat.server.wait_for(lambda: reasoning_count(chat) == 2, 30)


@PLATFORMS
async def test_reasoning_of_each_answer_is_its_own(harness: Harness, platform: str) -> None:
    chat = ChatWithButtons(harness, platform)
    for count in (1, 2):
        await chat.write("think")
        await chat.server.wait_for(
            lambda: sum("Reasoning" in chat.buttons(m) for m in chat.server.messages(chat.chat) if m.from_bot) == count,  # noqa: B023
            30,
        )
        await harness.wait_until_stored(NO_OPEN_TURN)
    messages = [m for m in chat.server.messages(chat.chat) if m.from_bot]
    for count, answer in enumerate(messages, 1):
        await chat.server.press_button(chat.person, answer, chat.buttons(answer)["Reasoning"])
        await chat.server.wait_for(lambda: reasoning_count(chat) == count, 30)  # noqa: B023
        await harness.wait_until_stored(NO_OPEN_TURN)


async def test_each_person_of_a_shared_conversation_sees_the_reasoning(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord", others=("Bob",))
    (bob,) = chat.others
    owner = chat.chat.guild.members[0]
    await chat.server.use_command(owner, chat.chat, "settings", name="share", value="on")
    await chat.server.wait_for(lambda: "shares one conversation" in str(chat.answers), 30)
    await chat.write("think")
    await chat.server.wait_for(lambda: "Reasoning" in chat.buttons(), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    answer = next(m for m in chat.server.messages(chat.chat) if m.from_bot and "Reasoning" in chat.buttons(m))
    for person in (chat.person, bob):
        await chat.server.press_button(person, answer, chat.buttons(answer)["Reasoning"])
        await chat.server.wait_for(lambda: REASONING in chat.server.transcript(chat.chat, person), 30)  # noqa: B023
    assert REASONING in chat.server.transcript(chat.chat, chat.person)
