"""Where people talk to the bot: the same few things on both platforms."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Protocol

from bots.sandbox import discord, telegram
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.telegram import TelegramStandIn

__all__ = ["DiscordRoom", "Room", "Said", "TelegramRoom"]


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the bot as it stands now."""

    text: str
    reply_to: int | None = None
    growing: bool = False
    """It carries Stop: more is to come, or its writer died."""


class Room(Protocol):
    """One person's place to ask. Others may ask in the same chat."""

    platform: str
    private: bool
    chat: str

    async def ask(self, text: str) -> int:
        """Say something to the bot; the message's id."""

    async def again(self) -> None:
        """Have the platform deliver the latest message once more."""

    def said(self) -> list[Said]:
        """What the bot has written in this chat, oldest first."""

    def events(self) -> AsyncIterator[Any]:
        """Something for each change in this chat from now on."""


class TelegramRoom:
    platform = "telegram"

    def __init__(
        self, server: TelegramStandIn, person: telegram.Person, chat: telegram.Chat
    ) -> None:
        self._server, self._person, self._chat = server, person, chat
        self.private = chat.private
        self.chat = str(chat.id)

    async def ask(self, text: str) -> int:
        call = "" if self.private else f"@{self._server.bot.username} "
        return (await self._server.say(self._person, self._chat, call + text)).id

    async def again(self) -> None:
        self._server.redeliver(self._chat)

    def said(self) -> list[Said]:
        return [
            Said(m.text, m.reply_to, any("stop:" in str(button) for button in m.buttons))
            for m in self._server.messages(self._chat)
            if m.from_bot
        ]

    def events(self) -> AsyncIterator[Any]:
        return self._server.watch(self._chat)


class DiscordRoom:
    platform = "discord"

    def __init__(
        self, server: DiscordStandIn, person: discord.Person, channel: discord.Channel
    ) -> None:
        self._server, self._person, self._channel = server, person, channel
        self.private = channel.guild is None
        self.chat = str(channel.id)
        self._latest: discord.Message | None = None

    async def ask(self, text: str) -> int:
        call = "" if self.private else f"{self._server.mention} "
        self._latest = await self._server.say(self._person, self._channel, call + text)
        return self._latest.id

    async def again(self) -> None:
        if self._latest is not None:
            await self._server.tell("MESSAGE_CREATE", self._latest)

    def said(self) -> list[Said]:
        return [
            Said(m.content, m.reference, "stop:" in str(m.components))
            for m in self._server.messages(self._channel)
            if m.from_bot
        ]

    async def events(self) -> AsyncIterator[Any]:
        async for event in self._server.watch(self._channel):
            yield event
            await asyncio.sleep(0)
