"""The clients that the sandbox's user chats with: one chat each, in the stand-in of a platform."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from mimetypes import guess_type
from typing import Protocol, TypeVar

from bots.sandbox import discord, telegram
from bots.sandbox.discord.state import next_snowflake
from bots.sandbox.stand_in import ChatEventKind
from core.commands.declarations import COMMANDS

STOP_LABEL = "Stop"
FRIEND_NAME = "Bea"
"""Who wrote the messages that the user forwards."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class VisibleMessage:
    """A message of the bot as the client shows it. A draft has no `id`."""

    id: object
    text: str
    button_labels: tuple[str, ...] = ()
    is_partial: bool = False
    file_links: tuple[str, ...] = ()
    """Names and addresses of its files."""


class ChatClient(Protocol):
    """All methods raise `ValueError` for what a real client does not allow."""

    name: str
    renders_markdown: bool

    async def send_message(self, text: str) -> None: ...

    async def send_file(self, name: str, content: bytes, text: str) -> None:
        """Pictures are sent as photos and recordings as voice messages, as clients offer it."""

    async def press_button(self, label: str) -> None:
        """Press the latest button, or select the latest option, whose label starts with `label`."""

    async def reply(self, text: str) -> None:
        """Reply to the latest message of the chat."""

    async def edit(self, text: str) -> None:
        """Replace the text of the user's latest message."""

    async def forward(self, text: str, comment: str) -> bool:
        """Forward what a friend wrote, with a comment if it is not empty. Returns whether the bot will answer."""

    def visible_messages(self) -> AsyncIterator[VisibleMessage]:
        """The bot's messages, whenever one appears or changes."""


def _matches(text: str, label: str) -> bool:
    return text.casefold().startswith(label.casefold())


def _last(messages: Sequence[T]) -> T:
    if not messages:
        raise ValueError("There is no such message yet.")
    return messages[-1]


def media_family(name: str) -> str:
    """Such as "image"; empty if the name does not say."""
    return (guess_type(name)[0] or "").partition("/")[0]


def _no_button(label: str) -> ValueError:
    return ValueError(f"No button starts with {label!r}." if label else "Which button? Usage: :press LABEL")


class TelegramChatClient:
    renders_markdown = False

    def __init__(self, server: telegram.TelegramStandIn, user: telegram.User, *, is_group: bool) -> None:
        self._server = server
        self._user = user
        self._chat = server.create_supergroup("Sandbox group", user) if is_group else server.open_private_chat(user)
        self._mention = f"@{server.bot.username} " if is_group else ""
        self.name = "telegram group" if is_group else "telegram"

    async def send_message(self, text: str) -> None:
        mention = "" if text.startswith("/") else self._mention
        await self._server.send_message(self._user, self._chat, mention + text)

    async def send_file(self, name: str, content: bytes, text: str) -> None:
        caption = self._mention + text
        match media_family(name):
            case "image":
                await self._server.send_photo(self._user, self._chat, content, caption=caption)
            case "audio":
                await self._server.send_voice(self._user, self._chat, content, caption=caption)
            case _:
                await self._server.send_document(self._user, self._chat, name, content, caption=caption)

    async def reply(self, text: str) -> None:
        original = _last(self._server.messages(self._chat))
        await self._server.send_message(self._user, self._chat, self._mention + text, reply_to=original)

    async def edit(self, text: str) -> None:
        own = [message for message in self._server.messages(self._chat) if message.sender is self._user]
        await self._server.edit_message(_last(own), self._mention + text)

    async def forward(self, text: str, comment: str) -> bool:
        friend = self._server.create_user(FRIEND_NAME)
        original = self._server.add_message(self._server.open_private_chat(friend), friend, text)
        if comment:  # clients send it first
            await self.send_message(comment)
        await self._server.forward_message(self._user, self._chat, original)
        return self._chat.is_private or bool(comment)

    async def press_button(self, label: str) -> None:
        for message in reversed(self._server.messages(self._chat)):
            for button in message.buttons:
                if label and _matches(button["text"], label) and "callback_data" in button:
                    await self._server.press_button(self._user, message, button["callback_data"])
                    return
        raise _no_button(label)

    async def visible_messages(self) -> AsyncIterator[VisibleMessage]:
        async for event in self._server.watch(self._chat):
            message = event.message
            if event.kind is ChatEventKind.DRAFT:
                yield VisibleMessage(None, event.text or "Thinking…", is_partial=True)
            elif event.kind in (ChatEventKind.SENT, ChatEventKind.EDITED) and message is not None and message.from_bot:
                labels = tuple(button["text"] for button in message.buttons)
                links = (f"{message.file_name} {self._server.document_url(message)}",) if message.file_name else ()
                yield VisibleMessage(message.id, message.text, labels, STOP_LABEL in labels, links)


class DiscordChatClient:
    renders_markdown = True

    def __init__(self, server: discord.DiscordStandIn, user: discord.User, *, is_dm: bool) -> None:
        self._server = server
        self._user = user
        self._channel = (
            server.open_dm(user)
            if is_dm
            else server.create_channel(server.create_guild("Sandbox server", user), "general")
        )
        self._mention = "" if is_dm else f"{server.mention} "
        self.name = "discord dm" if is_dm else "discord #general"

    async def send_message(self, text: str) -> None:
        if text.startswith("/"):
            await self._use_command(text[1:])
        else:
            await self._server.send_message(self._user, self._channel, self._mention + text)

    async def send_file(self, name: str, content: bytes, text: str) -> None:
        media_type = guess_type(name)[0] or "application/octet-stream"
        await self._server.send_file(
            self._user, self._channel, name, content, text=self._mention + text, media_type=media_type
        )

    async def reply(self, text: str) -> None:
        original = _last(self._server.messages(self._channel))
        await self._server.send_message(self._user, self._channel, self._mention + text, reply_to=original)

    async def edit(self, text: str) -> None:
        own = [message for message in self._server.messages(self._channel) if message.author is self._user]
        await self._server.edit_message(self._user, _last(own), self._mention + text)

    async def forward(self, text: str, comment: str) -> bool:
        friend = self._server.create_user(FRIEND_NAME)
        original = discord.Message(next_snowflake(), self._channel, friend, text)
        await self._server.forward_message(self._user, self._channel, original)
        if comment:
            await self.send_message(comment)
        return self._channel.guild is None or bool(comment)

    async def _use_command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        command = next((command for command in COMMANDS if command.name == name), None)
        if command is None:
            raise ValueError(f"Unknown command /{name}. Try /help.")
        options: dict[str, str] = {}
        if argument:
            text_arguments = [argument.name for argument in command.arguments if not argument.is_file]
            values = argument.split(" ", max(0, len(text_arguments) - 1))
            options = dict(zip(text_arguments, values, strict=False))
        for required in command.arguments:
            if required.is_required and required.name not in options:
                raise ValueError(f"/{name} needs {required.name}: {required.description.lower()}")
        await self._server.use_command(self._user, self._channel, name, is_user_installed=False, **options)

    async def press_button(self, label: str) -> None:
        for message in reversed(self._server.messages(self._channel)):
            for item in message.items:
                if label and _matches(str(item.get("label", "")), label):
                    await self._server.press_button(self._user, message, item["custom_id"])
                    return
                for option in item.get("options", []):
                    if label and _matches(option["label"], label):
                        await self._server.select_options(self._user, message, item["custom_id"], [option["value"]])
                        return
        raise _no_button(label)

    async def visible_messages(self) -> AsyncIterator[VisibleMessage]:
        async for event in self._server.watch(self._channel):
            message = event.message
            if event.kind in (ChatEventKind.SENT, ChatEventKind.EDITED) and message is not None and message.from_bot:
                labels = tuple(
                    labelled["label"]
                    for item in message.items
                    for labelled in (item, *item.get("options", []))
                    if labelled.get("label")
                )
                links = tuple(f"{file['filename']} {file['url']}" for file in message.attachments)
                yield VisibleMessage(message.id, message.text, labels, STOP_LABEL in labels, links)
