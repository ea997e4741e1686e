"""Carries out what the page's person does on Telegram's side, in the stand-in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from bots.sandbox.chat_clients import media_family
from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.entities import utf16_length
from bots.sandbox.telegram.server import TelegramStandIn
from bots.sandbox.telegram.state import Chat, Message, User
from bots.sandbox.web import protocol
from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.server import Uploads
from bots.sandbox.web.sticker import draw_sticker
from bots.sandbox.web.telegram_feed import TelegramFeed

CALLBACK_TIMEOUT_SECONDS = 15.0
MAX_TOPICS = 50


class TelegramActions:
    """All methods raise `ValueError` for what a client does not allow."""

    def __init__(self, server: TelegramStandIn, feed: TelegramFeed, log: EventLog, uploads: Uploads) -> None:
        self._server = server
        self._feed = feed
        self._log = log
        self._uploads = uploads
        self._handlers: dict[type[protocol.Action], Callable[[Any], Awaitable[Any]]] = {
            protocol.TelegramSend: self._send,
            protocol.TelegramSendSticker: self._send_sticker,
            protocol.TelegramEdit: self._edit,
            protocol.TelegramDelete: self._delete,
            protocol.TelegramPress: self._press,
            protocol.TelegramTypeInline: self._type_inline,
            protocol.TelegramChooseResult: self._choose_result,
            protocol.TelegramReact: self._react,
            protocol.TelegramStop: self._stop,
            protocol.TelegramForward: self._forward,
            protocol.TelegramCreateTopic: self._create_topic,
        }

    async def perform(self, action: protocol.Action) -> Any:
        return await self._handlers[type(action)](action)

    async def _send(self, action: protocol.TelegramSend) -> int:
        server, person, chat = self._server, self._person(action.person), self._chat(action.chat)
        options: dict[str, Any] = {"thread": action.thread, "reply_to": action.reply_to}
        if action.quote:
            options["quote"] = self._quote(action)
        if not action.upload:
            if not action.text.strip():
                raise ValueError("Write something first.")
            message = await server.send_message(person, chat, action.text, **options)
            return message.id
        upload = self._uploads.take(action.upload)
        options["caption"] = action.text
        if action.album:
            options["media_group_id"] = action.album
        match "file" if action.as_file else media_family(upload.name):
            case "image":
                message = await server.send_photo(person, chat, upload.content, **options)
            case "audio":
                message = await server.send_voice(person, chat, upload.content, **options)
            case _:
                message = await server.send_document(
                    person, chat, upload.name, upload.content, media_type=upload.media_type, **options
                )
        return message.id

    async def _send_sticker(self, action: protocol.TelegramSendSticker) -> int:
        message = await self._server.send_sticker(
            self._person(action.person),
            self._chat(action.chat),
            await asyncio.to_thread(draw_sticker),
            thread=action.thread,
            reply_to=action.reply_to,
        )
        return message.id

    def _quote(self, action: protocol.TelegramSend) -> Json:
        """The Bot API's `TextQuote`."""
        before, found, _ = self._message(action.chat, action.reply_to or 0).text.partition(action.quote)
        if not found:
            raise ValueError("The message no longer has this text.")
        return {"text": action.quote, "position": utf16_length(before), "is_manual": True}

    async def _edit(self, action: protocol.TelegramEdit) -> None:
        message = self._own_message(action.person, action.chat, action.message)
        await self._server.edit_message(message, action.text)

    async def _delete(self, action: protocol.TelegramDelete) -> None:
        await self._server.delete_message(self._own_message(action.person, action.chat, action.message))

    async def _react(self, action: protocol.TelegramReact) -> None:
        message = self._message(action.chat, action.message)
        self._feed.set_reaction(message, self._person(action.person).id, action.emoji)

    async def _stop(self, action: protocol.TelegramStop) -> None:
        await self._server.stop_draft(self._chat(action.chat), action.draft, action.thread)

    async def _forward(self, action: protocol.TelegramForward) -> int:
        original = self._message(action.from_chat, action.message)
        person, chat = self._person(action.person), self._chat(action.chat)
        message = await self._server.forward_message(person, chat, original, thread=action.thread)
        return message.id

    async def _press(self, action: protocol.TelegramPress) -> None:
        message = self._message(action.chat, action.message)
        query_id = await self._server.press_button(self._person(action.person), message, action.data)
        answer = await self._server.wait_for(
            lambda: self._server.callback_answers.get(query_id), CALLBACK_TIMEOUT_SECONDS
        )
        if answer is not None and answer.text:
            self._log.add(
                "telegram.notice",
                None,
                person=action.person,
                chat_id=action.chat,
                message_id=action.message,
                text=answer.text,
                show_alert=answer.is_alert,
            )

    async def _type_inline(self, action: protocol.TelegramTypeInline) -> Json:
        person, chat = self._person(action.person), self._chat(action.chat)
        query = await self._server.type_inline(
            person, action.text, chat_type="sender" if chat.is_private else chat.type
        )
        answer = await self._server.wait_for(lambda: self._server.inline_answers.get(query), CALLBACK_TIMEOUT_SECONDS)
        return {"query": query, "results": [] if answer is None else answer.results}

    async def _choose_result(self, action: protocol.TelegramChooseResult) -> int:
        try:
            message = await self._server.choose_result(action.query, self._chat(action.chat), action.result)
        except KeyError:
            raise ValueError("The bot no longer offers this.") from None
        return message.id

    async def _create_topic(self, action: protocol.TelegramCreateTopic) -> int:
        chat = self._chat(action.chat)
        if not (chat.is_forum or chat.is_private) or len(chat.topics) >= MAX_TOPICS:
            raise ValueError("This chat takes no more topics.")
        thread_id = self._server.create_topic(chat, action.name)
        self._feed.announce_world()
        return thread_id

    def _person(self, user_id: int) -> User:
        user = self._server.users.get(user_id)
        if user is None or user.is_bot:
            raise ValueError("There is no such person.")
        return user

    def _chat(self, chat_id: int) -> Chat:
        chat = self._server.chats.get(chat_id)
        if chat is None:
            raise ValueError("There is no such chat.")
        return chat

    def _message(self, chat_id: int, message_id: int) -> Message:
        message = self._chat(chat_id).find_message(message_id)
        if message is None:
            raise ValueError("This message no longer exists.")
        return message

    def _own_message(self, user_id: int, chat_id: int, message_id: int) -> Message:
        message = self._message(chat_id, message_id)
        if message.sender.id != user_id:
            raise ValueError("Only your own messages can be changed.")
        return message
