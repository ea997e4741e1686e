"""A reply to an older answer continues from there; the next message continues from the newest answer."""

from typing import Any

import pytest

from tests.end_to_end.harness import Harness, complete_texts

PLATFORMS = pytest.mark.parametrize("platform", ["telegram", "discord"])


class PrivateChat:
    """Ann's chat with the bot, in which every question is `repeat: ANSWER`."""

    def __init__(self, harness: Harness, platform: str) -> None:
        self.server: Any = getattr(harness, platform)
        self.model = harness.model
        self.ann = self.server.create_user("Ann")
        is_telegram = platform == "telegram"
        self.chat = self.server.open_private_chat(self.ann) if is_telegram else self.server.open_dm(self.ann)

    async def ask(self, answer: str, **options: Any) -> Any:
        """Returns the message with the answer."""
        await self.server.send_message(self.ann, self.chat, f"repeat: {answer}", **options)
        await self.server.wait_for(lambda: complete_texts(self.server.messages(self.chat))[-1:] == [answer])
        return self.server.messages(self.chat)[-1]

    def context(self) -> list[str]:
        """The last words of each message in the last request, without the instructions."""
        messages = self.model.requests[-1].body["messages"]
        return [message["content"].split()[-1] for message in messages if message["role"] != "system"]


@PLATFORMS
async def test_reply_continues_from_the_answer(harness: Harness, platform: str) -> None:
    chat = PrivateChat(harness, platform)
    first = await chat.ask("one")
    await chat.ask("two")
    await chat.ask("three", reply_to=first)
    assert chat.context() == ["one", "one", "three"]
    newest = await chat.ask("four")
    assert chat.context() == ["one", "one", "three", "three", "four"], "the next one continues from the newest answer"
    await chat.ask("five", reply_to=newest)
    assert chat.context() == ["one", "one", "three", "three", "four", "four", "five"]


async def test_retry_of_a_branch_keeps_its_context(harness: Harness) -> None:
    chat = PrivateChat(harness, "telegram")
    first = await chat.ask("one")
    await chat.ask("two")
    await chat.ask("three", reply_to=first)
    requests = len(harness.model.requests)
    await chat.server.send_message(chat.ann, chat.chat, "/retry")
    await harness.model.wait_for(lambda: len(harness.model.requests) == requests + 1)
    assert chat.context() == ["one", "one", "three"]
    await chat.ask("four")
    assert chat.context() == ["one", "one", "three", "three", "four"]
