"""What a simulated person can do in a chat, the same on both platforms."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from bots.sandbox import discord, telegram
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.telegram import TelegramStandIn


@dataclass(frozen=True, slots=True)
class BotMessage:
    """A message of the bot as it stands now."""

    text: str
    reply_to: int | None = None
    has_stop_button: bool = False
    """The answer is still being written, or the process that wrote it died."""


class ChatClient(Protocol):
    """One person in one chat. Others may ask in the same chat."""

    platform: str
    private: bool
    chat: str

    async def ask(self, text: str) -> int:
        """Send a message to the bot and return its ID."""

    async def redeliver(self) -> None:
        """Deliver the latest message to the bot a second time."""

    def bot_messages(self) -> list[BotMessage]:
        """The bot's messages in this chat, oldest first."""

    def changes(self) -> AsyncIterator[Any]:
        """Yield something for every change in this chat from now on."""


class TelegramClient:
    platform = "telegram"

    def __init__(self, server: TelegramStandIn, person: telegram.User, chat: telegram.Chat) -> None:
        self._server, self._person, self._chat = server, person, chat
        self.private = chat.is_private
        self.chat = str(chat.id)

    async def ask(self, text: str) -> int:
        mention = "" if self.private else f"@{self._server.bot.username} "
        return (await self._server.send_message(self._person, self._chat, mention + text)).id

    async def redeliver(self) -> None:
        self._server.redeliver_last_update(self._chat)

    def bot_messages(self) -> list[BotMessage]:
        return [
            BotMessage(m.text, m.reply_to_id, any("stop:" in str(button) for button in m.buttons))
            for m in self._server.messages(self._chat)
            if m.from_bot
        ]

    def changes(self) -> AsyncIterator[Any]:
        return self._server.watch(self._chat)


class DiscordClient:
    platform = "discord"

    def __init__(self, server: DiscordStandIn, person: discord.User, channel: discord.Channel) -> None:
        self._server, self._person, self._channel = server, person, channel
        self.private = channel.guild is None
        self.chat = str(channel.id)
        self._latest: discord.Message | None = None

    async def ask(self, text: str) -> int:
        mention = "" if self.private else f"{self._server.mention} "
        self._latest = await self._server.send_message(self._person, self._channel, mention + text)
        return self._latest.id

    async def redeliver(self) -> None:
        if self._latest is not None:
            await self._server.dispatch_message("MESSAGE_CREATE", self._latest)

    def bot_messages(self) -> list[BotMessage]:
        return [
            BotMessage(m.text, m.reply_to_id, "stop:" in str(m.components))
            for m in self._server.messages(self._channel)
            if m.from_bot
        ]

    def changes(self) -> AsyncIterator[Any]:
        return self._server.watch(self._channel)
