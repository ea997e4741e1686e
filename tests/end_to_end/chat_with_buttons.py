"""A chat with the bot whose buttons are pressed, alike on both platforms."""

import itertools
import re
from collections.abc import Sequence
from typing import Any

import pytest

from core.commands.declarations import find_command
from tests.end_to_end.harness import Harness, complete_texts

PLATFORMS = pytest.mark.parametrize("platform", ["telegram", "discord"])
DEFAULT = "Llama-3.3-70B-Instruct"
NO_OPEN_TURN = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM turns WHERE finished_at IS NULL)"


class ChatWithButtons:
    """Ann's private chat, or that of somebody else; or a group in which others are, too."""

    def __init__(self, harness: Harness, platform: str, name: str = "Ann", *, others: Sequence[str] = ()) -> None:
        self.harness, self.is_telegram = harness, platform == "telegram"
        servers: dict[bool, Any] = {True: harness.telegram, False: harness.discord}
        self.server = servers[self.is_telegram]
        self.person = self.server.create_user(name)
        self.others = [self.server.create_user(other) for other in others]
        members = (self.person, *self.others)
        self.mention = ""
        if not others:
            self.chat = (self.server.open_private_chat if self.is_telegram else self.server.open_dm)(self.person)
        elif self.is_telegram:
            self.chat = self.server.create_supergroup("Friends", *members)
            self.mention = f"@{self.server.bot.username} "
        else:
            guild = self.server.create_guild("Friends", self.server.create_user("Owner"), *members)
            self.chat = self.server.create_channel(guild, "general")
            self.mention = f"{self.server.mention} "

    @property
    def answers(self) -> list[str]:
        """What the bot has written, without an answer that still grows and without the echo of Discord's commands."""
        texts = complete_texts(self.server.messages(self.chat))
        return [text for text in texts if not text.startswith("> /")]

    def buttons(self, message: Any = None) -> dict[str, str]:
        """Labels and actions under a message; by default the bot's last one."""
        message = message or next((m for m in reversed(self.server.messages(self.chat)) if m.from_bot), None)
        if message is None:
            return {}
        if self.is_telegram:
            return {b["text"]: b["callback_data"] for b in message.buttons if "callback_data" in b}
        items = message.items
        options = {option["label"]: option["value"] for item in items for option in item.get("options", [])}
        return options | {item["label"]: item["custom_id"] for item in items if "label" in item}

    def answer_buttons(self) -> list[str]:
        """The labels under the last message, without what opens the model picker, which only Discord has."""
        return [label for label, action in self.buttons().items() if action != "parley:mp:0"]

    async def write(self, text: str) -> None:
        if self.is_telegram or not text.startswith("/"):
            await self.server.send_message(self.person, self.chat, self.mention + text)
        else:
            name, _, value = text[1:].partition(" ")
            command = find_command(name)
            options = {command.arguments[0].name: value} if command and value else {}
            await self.server.use_command(self.person, self.chat, name, **options)

    async def ask(self, text: str, answer: str) -> None:
        await self.write(text)
        await self.wait_for(answer)

    async def wait_for(self, answer: str) -> None:
        """Wait until the last message is this answer, with what is under it."""
        await self.server.wait_for(lambda: bool(self.answers) and re.fullmatch(answer, self.answers[-1], re.DOTALL), 30)
        await self.harness.wait_until_stored(NO_OPEN_TURN)

    async def press(self, label: str, message: Any = None) -> None:
        """Press a button, or select from a menu, under a message; by default the bot's last one."""
        message = message or next(m for m in reversed(self.server.messages(self.chat)) if m.from_bot)
        action = self.buttons(message)[label]
        if self.is_telegram or action.startswith("parley:"):
            await self.server.press_button(self.person, message, action)
        else:
            offers = (item for item in message.items if action in str(item.get("options")))
            await self.server.select_options(self.person, message, next(offers)["custom_id"], [action])

    async def forge(self, action: str) -> None:
        """A modified client sends any action as if it had pressed a button of the last message."""
        message = next(m for m in reversed(self.server.messages(self.chat)) if m.from_bot)
        if self.is_telegram:
            shown, action_id = message.reply_markup, action
            message.reply_markup = {"inline_keyboard": [[{"text": "Forged", "callback_data": action_id}]]}
        else:
            shown, action_id = message.components, f"parley:{action}"
            message.components = [{"type": 1, "components": [{"type": 2, "label": "Forged", "custom_id": action_id}]}]
        await self.server.press_button(self.person, message, action_id)
        if self.is_telegram:
            message.reply_markup = shown
        else:
            message.components = shown


def answer_by_count(harness: Harness) -> None:
    """The model answers "answer 1", "answer 2" and so on."""
    numbers = itertools.count(1)
    harness.model.answer = lambda _body: f"answer {next(numbers)}"


def conversation(harness: Harness) -> list[str]:
    """What the model was sent last, without the instructions."""
    return [m["content"] for m in harness.model.requests[-1].body["messages"] if m["role"] != "system"]
