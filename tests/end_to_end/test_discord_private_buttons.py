"""The buttons under a private answer on Discord: what they do is as private as the answer."""

from collections.abc import Callable
from typing import Any

import pytest

from bots.sandbox.discord.state import EPHEMERAL
from bots.sandbox.model.faults import end_stream
from bots.sandbox.model.script import long_document
from core.conversation.transcript import CONTINUE_PROMPT
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, ChatWithButtons, conversation
from tests.end_to_end.harness import Harness
from tests.end_to_end.spec_checks import spec_violations

TABLE = "| Dish | Price |\n|---|---|\n" + "\n".join(f"| Eel {number} | {number} |" for number in range(8))
SEVERAL_MESSAGES = long_document(5000)


class PrivateChat(ChatWithButtons):
    """Ann's questions with the option `private` in a channel that Bob reads."""

    def __init__(self, harness: Harness) -> None:
        super().__init__(harness, "discord", others=("Bob",))

    async def ask_in_private(self, question: str, answer: str) -> Any:
        """Returns the last message of the complete answer."""
        interaction = await self.server.use_command(self.person, self.chat, "ask", prompt=question, private=True)
        await self.wait_for(answer)
        return interaction.responses[-1]

    async def press_last(self, label: str, is_done: Callable[[], object]) -> None:
        await self.press(label)
        await self.server.wait_for(is_done, 30)
        await self.harness.wait_until_stored(NO_OPEN_TURN)

    @property
    def messages(self) -> list[Any]:
        messages: list[Any] = self.server.messages(self.chat)
        return messages

    def assert_private(self) -> None:
        assert self.server.transcript(self.chat, self.others[0]) == ""
        assert not any(message.flags & EPHEMERAL == 0 for message in self.messages)
        assert not spec_violations(self.harness)


@pytest.fixture
def chat(harness: Harness) -> PrivateChat:
    return PrivateChat(harness)


async def test_retry_answers_in_the_private_message_and_keeps_both_answers(chat: PrivateChat) -> None:
    answers = iter(["one", "two", "three"])
    chat.harness.model.answer = lambda _body: next(answers)
    await chat.ask_in_private("hello", "one")
    assert list(chat.buttons()) == ["Retry", "Edit question", "Model"]
    await chat.press_last("Retry", lambda: chat.answers == ["two"])
    await chat.press_last("▶", lambda: chat.answers == ["one"])
    await chat.ask_in_private("more", "three")
    assert conversation(chat.harness) == ["hello", "one", "more"], "the private conversation, as the pager shows it"
    chat.assert_private()


async def test_private_answer_that_was_cut_off_is_continued(chat: PrivateChat) -> None:
    chat.harness.model.tokens_per_second = 100
    chat.harness.model.fail_next(end_stream(20))
    await chat.ask_in_private(f"repeat: {'begun ' * 100}", "begun begun.*The answer was cut off.*")
    await chat.press_last("Continue", lambda: len(chat.answers) == 2)
    question, cut, following = conversation(chat.harness)
    assert question.startswith("repeat: begun")
    assert cut.startswith("begun")
    assert following == CONTINUE_PROMPT
    chat.assert_private()


async def test_files_of_a_private_answer_are_private(chat: PrivateChat) -> None:
    await chat.ask_in_private(f"repeat: {TABLE}", ".*Eel 7.*")
    await chat.press_last("As file", lambda: any(message.attachments for message in chat.messages))
    chat.assert_private()


async def test_retry_of_several_private_messages_gets_new_ones(chat: PrivateChat) -> None:
    """Only the message with the button can be changed; the answer would come apart."""
    answers = iter([SEVERAL_MESSAGES, "short", SEVERAL_MESSAGES])
    chat.harness.model.answer = lambda _body: next(answers)
    await chat.ask_in_private("hello", ".*")
    earlier = chat.answers
    assert len(earlier) > 1
    await chat.press_last("Retry", lambda: chat.answers == [*earlier, "short"])
    await chat.press_last("▶", lambda: chat.answers[:-1] != [*earlier, "short"])
    chat.assert_private()


async def test_press_that_is_refused_is_refused_in_private(chat: PrivateChat) -> None:
    first = await chat.ask_in_private("repeat: one", "one")
    chat.harness.model.fail_next(end_stream(1))
    await chat.ask_in_private("repeat: two words or more", ".*The answer was cut off.*")
    cut = chat.messages[-1]
    await chat.ask_in_private("repeat: three", "three")
    await chat.server.press_button(chat.person, cut, chat.buttons(cut)["Continue"])
    await chat.server.wait_for(lambda: "can be continued" in chat.server.transcript(chat.chat), 30)
    await chat.server.press_button(chat.person, first, chat.buttons(first)["Model"])
    await chat.server.wait_for(lambda: "Choose another" in chat.server.transcript(chat.chat), 30)
    await chat.harness.wait_until_stored(NO_OPEN_TURN)
    chat.assert_private()
