"""Ann's private chat with the bot, alike on both platforms."""

from collections.abc import Callable

from bots.sandbox.chat_clients import ChatClient, DiscordChatClient, TelegramChatClient
from tests.end_to_end.harness import Harness, complete_texts


class PrivateChat:
    def __init__(self, harness: Harness, platform: str) -> None:
        self._harness = harness
        self._is_telegram = platform == "telegram"
        telegram, discord = harness.telegram, harness.discord
        self._telegram_user, self._discord_user = telegram.create_user("Ann"), discord.create_user("Ann")
        self._client: ChatClient = (
            TelegramChatClient(telegram, self._telegram_user, is_group=False)
            if self._is_telegram
            else DiscordChatClient(discord, self._discord_user, is_dm=True)
        )

    @property
    def texts(self) -> list[str]:
        """What the bot has written, without an answer that still grows."""
        telegram, discord = self._harness.telegram, self._harness.discord
        if self._is_telegram:
            return complete_texts(telegram.messages(telegram.open_private_chat(self._telegram_user)))
        return complete_texts(discord.messages(discord.open_dm(self._discord_user)))

    async def say(self, text: str) -> None:
        await self._client.send_message(text)

    async def send_file(self, name: str, content: bytes, text: str = "") -> None:
        await self._client.send_file(name, content, text)

    async def press(self, label: str) -> None:
        await self._client.press_button(label)

    async def wait_for(self, expected: str, timeout_seconds: float = 15) -> str:
        """The first message that contains `expected`, once there is one."""
        return await self.wait_until(
            lambda: next((text for text in self.texts if expected in text), ""), timeout_seconds
        )

    async def wait_until(self, condition: Callable[[], str], timeout_seconds: float = 15) -> str:
        """The first text that `condition` returns."""
        stand_in = self._harness.telegram if self._is_telegram else self._harness.discord
        return await stand_in.wait_for(condition, timeout_seconds)

    async def ask(self, text: str, expected: str, timeout_seconds: float = 15) -> str:
        """Send `text`, a question or a command, and wait for a new message that contains `expected`. Returns it."""
        count = len(self.texts)
        await self.say(text)
        return await self.wait_until(
            lambda: next((new for new in self.texts[count:] if expected in new), ""), timeout_seconds
        )
