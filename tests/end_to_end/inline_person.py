"""A person who uses the bot's inline queries, or summons it, in a chat that the bot is not in."""

from typing import Any

from bots.sandbox.telegram.inline import InlineAnswer
from bots.sandbox.telegram.state import MemberStatus, Message
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN
from tests.end_to_end.harness import Harness, bot_texts


class InlinePerson:
    def __init__(self, harness: Harness, name: str = "Ann") -> None:
        self.harness, self.telegram = harness, harness.telegram
        self.user = harness.telegram.create_user(name)
        self.chat = harness.telegram.create_supergroup("Elsewhere", self.user)
        self.chat.bot_status = MemberStatus.LEFT

    async def ask_in_private(self, text: str, answer: str) -> None:
        chat = self.telegram.open_private_chat(self.user)
        await self.telegram.send_message(self.user, chat, text)
        await self.telegram.wait_for(lambda: answer in bot_texts(self.telegram.messages(chat)), 30)
        await self.harness.wait_until_stored(NO_OPEN_TURN)

    async def type(self, text: str) -> InlineAnswer:
        """What the bot offers for a text."""
        query = await self.telegram.type_inline(self.user, text)
        await self.telegram.wait_for(lambda: query in self.telegram.inline_answers)
        return self.telegram.inline_answers[query]

    async def place(self, text: str, result_id: str = "ask") -> Message:
        """Type a text, and choose one of the results."""
        query = await self.telegram.type_inline(self.user, text)
        await self.telegram.wait_for(lambda: query in self.telegram.inline_answers)
        return await self.telegram.choose_result(query, self.chat, result_id)

    async def summon(self, text: str, **fields: Any) -> Message:
        return await self.telegram.summon(self.user, self.chat, f"@{self.telegram.bot.username} {text}", **fields)

    async def wait_for(self, message: Message, text: str) -> None:
        """Wait until the message has this text, and does not grow any more."""
        await self.telegram.wait_for(lambda: text in message.text and "stop:" not in str(message.buttons), 30)
        await self.harness.wait_until_stored(NO_OPEN_TURN)

    async def wait_for_reply(self, text: str) -> Message:
        """The bot's message in the foreign chat with this text."""
        await self.telegram.wait_for(lambda: any(text in reply for reply in bot_texts(self.messages)), 30)
        reply = next(message for message in self.messages if message.from_bot and text in message.text)
        await self.wait_for(reply, text)
        return reply

    @property
    def messages(self) -> list[Message]:
        return self.telegram.messages(self.chat)

    async def press(self, message: Message, label: str, user: Any = None) -> str:
        """Returns what the person is told about it."""
        data = next(button["callback_data"] for button in message.buttons if button["text"] == label)
        user = user or self.user
        if user not in self.chat.members:
            self.chat.members.append(user)
        query = await self.telegram.press_button(user, message, data)
        await self.telegram.wait_for(lambda: query in self.telegram.callback_answers)
        return self.telegram.callback_answers[query].text
