"""The Reasoning button shows the model's reasoning, and hides it again where everybody sees it."""

from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, PLATFORMS, ChatWithButtons
from tests.end_to_end.harness import Harness

REASONING = "only pretends to think"


async def press_reasoning(chat: ChatWithButtons) -> None:
    answer = next(m for m in chat.server.messages(chat.chat) if m.from_bot and "Reasoning" in chat.buttons(m))
    await chat.server.press_button(chat.person, answer, chat.buttons(answer)["Reasoning"])


def reasoning_count(chat: ChatWithButtons) -> int:
    return sum(REASONING in text for text in chat.answers)


async def test_reasoning_is_shown_and_hidden_again(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "telegram")
    await chat.write("think")
    await chat.server.wait_for(lambda: "Reasoning" in chat.buttons(), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    answer = chat.answers[0]
    for expected in (1, 0, 1, 0):
        await press_reasoning(chat)
        await chat.server.wait_for(lambda: reasoning_count(chat) == expected, 30)  # noqa: B023
        await harness.wait_until_stored(NO_OPEN_TURN)
        assert chat.answers[0] == answer


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
