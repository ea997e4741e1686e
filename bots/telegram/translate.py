"""Translates a Telegram update to `Incoming`. Pure functions."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from telegram import (
    CallbackQuery,
    Chat,
    ChatMember,
    ChatMemberUpdated,
    MaybeInaccessibleMessage,
    Message,
    MessageEntity,
    MessageOrigin,
    Update,
    User,
)
from telegram.constants import ChatType

from bots.telegram.content import extract_attachments, read_additions, read_text
from bots.telegram.foreign_messages import foreign_place, guest_token, inline_token, is_message_id
from bots.telegram.identity import PLATFORM, sender_of
from bots.telegram.inline_queries import translate_chosen
from bots.telegram.message_ids import message_key
from bots.telegram.quotes import quote_forward, replied_files, replied_message, translate_quotes
from core.port import Attachment, Batch, EventKind, Incoming, Place, Sender

ABSENT_STATUSES = (ChatMember.LEFT, ChatMember.BANNED)
WRITING_STATUSES = (ChatMember.MEMBER, ChatMember.ADMINISTRATOR)
STOP_UPDATE_FIELD = "stopped_message_generation"
MIN_SPLIT_UNITS = 3500
"""A message of at least this many UTF-16 units may be the first part of a longer text, because clients
split long texts at 4096 units, or at the last gap before.
"""


def translate(update: Update, me: User, commands: Collection[str]) -> Incoming | None:
    """The message or action of a person; None if it is not for the bot.

    `commands` are the names of the bot's own commands: in a group, an unknown command without an
    addressee belongs to another bot.
    """
    key = f"u{update.update_id}"
    if update.message is not None:
        return _translate_migration(update.message, me, key) or _translate_message(update.message, me, commands, key)
    if update.edited_message is not None:
        if update.edited_message.location is not None:
            return None  # a live location, which moves for hours
        incoming = _translate_message(update.edited_message, me, commands, key)
        is_for_bot = incoming is not None and incoming.kind is not EventKind.FORWARD
        return replace(incoming, kind=EventKind.EDIT) if incoming and is_for_bot else None
    if update.guest_message is not None:
        return _translate_guest(update.guest_message, me)
    return _translate_action(update, me, key)


def _translate_action(update: Update, me: User, key: str) -> Incoming | None:
    """What a person does without writing a message."""
    if update.callback_query is not None:
        return _translate_button(update.callback_query, me, key)
    if update.my_chat_member is not None:
        return _translate_membership(update.my_chat_member, me, key)
    if update.chosen_inline_result is not None:
        return translate_chosen(update.chosen_inline_result, me)
    stop_payload = update.api_kwargs.get(STOP_UPDATE_FIELD)
    return _translate_stop(stop_payload, me, key) if stop_payload else None


def thread_id(place: Place) -> int | None:
    """The `message_thread_id` of requests to `place`."""
    return None if place.thread is None else int(place.thread)


def _translate_membership(membership: ChatMemberUpdated, me: User, key: str) -> Incoming | None:
    """Somebody added the bot to a group in which it may write; None for every other change."""
    chat, adder = membership.chat, membership.from_user
    is_group = chat.type in (ChatType.GROUP, ChatType.SUPERGROUP)
    is_new = (
        membership.old_chat_member.status in ABSENT_STATUSES and membership.new_chat_member.status in WRITING_STATUSES
    )
    if not (is_group and is_new) or adder.is_bot:
        return None
    return Incoming(EventKind.ADDED, key, _place(chat.id, me), sender_of(adder), "")


def _translate_stop(payload: Mapping[str, Any], me: User, key: str) -> Incoming:
    """The client's Stop on a draft. Drafts exist in private chats only, so the chat is the person."""
    chat = payload["chat"]
    name = " ".join(filter(None, (chat.get("first_name"), chat.get("last_name"))))
    return Incoming(
        kind=EventKind.STOP,
        key=key,
        place=_place(chat["id"], me, payload.get("message_thread_id"), is_private=True),
        sender=Sender(PLATFORM, str(chat["id"]), name),
        text=str(payload["draft_id"]),
    )


def _translate_button(query: CallbackQuery, me: User, key: str) -> Incoming | None:
    message = query.message
    if query.data is None:
        return None
    if message is None and is_message_id(query.inline_message_id):
        token = inline_token(query.inline_message_id)
        return Incoming(
            EventKind.BUTTON,
            key,
            foreign_place(token, query.from_user, me),
            sender_of(query.from_user),
            query.data,
            message_id=query.inline_message_id,
            interaction_token=token,
        )
    if message is None:
        return None
    # For a message that is too old, Telegram sends the ID and the chat, but not the topic.
    thread = _topic_id(message) if isinstance(message, Message) else None
    return Incoming(
        kind=EventKind.BUTTON,
        key=key,
        place=_place(message.chat.id, me, thread, is_private=_is_private(message.chat)),
        sender=sender_of(query.from_user),
        text=query.data,
        message_id=_pressed_message(message, query.from_user),
    )


def _pressed_message(message: MaybeInaccessibleMessage, user: User) -> str:
    return message_key(message, user.id) if isinstance(message, Message) else str(message.message_id)


def _translate_message(message: Message, me: User, commands: Collection[str], key: str) -> Incoming | None:
    sender = _sender(message)
    if sender is None or (message.via_bot == me and message.forward_origin is None):
        return None  # or the result of an inline query, which is the bot's text
    is_private = _is_private(message.chat)
    content = _MessageText(message, me, is_private=is_private)
    attachments = extract_attachments(message)
    if message.forward_origin is not None:
        return _translate_forward(message, message.forward_origin, me, sender, key)
    if content.command is not None and not is_private:
        if content.addressee and content.addressee != (me.username or "").lower():
            return None
        is_for_bot = bool(content.addressee) or content.command in commands
    else:
        is_for_bot = is_private
    original = replied_message(message)
    is_reply_to_bot = original is not None and original.from_user == me
    if not (is_for_bot or content.has_mention or is_reply_to_bot):
        return _translate_album_part(message, me, sender, attachments, key)
    if not (attachments or read_text(message)):
        return None  # a service message: somebody joined, the title changed
    return Incoming(
        kind=EventKind.PROMPT if content.command is None else EventKind.COMMAND,
        key=key,
        place=_place(message.chat.id, me, _topic_id(message), is_private=is_private),
        sender=sender,
        text=_join(content.text, read_additions(message)) if content.command is None else content.text,
        message_id=str(message.message_id),
        command=content.command or "",
        quotes=translate_quotes(message, me),
        attachments=attachments or replied_files(message),
        batch=_batch(message, content),
    )


def _translate_guest(message: Message, me: User) -> Incoming | None:
    """One question from a chat that the bot is not in, with what the person replies to.

    The chat's ID may also be that of another chat, so nothing depends on it. Only a person can ask: whoever writes as a
    chat has no other ID.
    """
    user = message.from_user
    if not is_message_id(message.guest_query_id) or user is None or user.is_bot or message.sender_chat is not None:
        return None
    content = _MessageText(message, me, is_private=False)
    token = guest_token(message.guest_query_id)
    files = extract_attachments(message) or replied_files(message)
    return Incoming(
        EventKind.COMMAND if content.command == "key" else EventKind.PROMPT,  # no secret reaches the model
        f"guest:{message.guest_query_id}",
        foreign_place(token, user, me),
        sender_of(user),
        _join(content.text, read_additions(message)),
        message_id=str(message.message_id),
        command=content.command or "",
        quotes=tuple(replace(quote, message_id=None) for quote in translate_quotes(message, me)),
        # A file that is read becomes part of a conversation's memory, and this one ends with its answer. Without its
        # ID, the answer says that it was not read.
        attachments=tuple(file if file.is_image or file.is_audio else replace(file, file_id="") for file in files),
        interaction_token=token,
    )


def _translate_forward(message: Message, origin: MessageOrigin, me: User, sender: Sender, key: str) -> Incoming:
    """Somebody else's words, which are no command. What the person writes about them comes before or after.

    In groups, they may mention the bot, but nobody has asked it anything.
    """
    is_private = _is_private(message.chat)
    return Incoming(
        kind=EventKind.PROMPT if is_private else EventKind.FORWARD,
        key=key,
        place=_place(message.chat.id, me, _topic_id(message), is_private=is_private),
        sender=sender,
        text="",
        message_id=str(message.message_id),
        quotes=quote_forward(message, origin),
        attachments=tuple(replace(file, is_forwarded=True) for file in extract_attachments(message)),
        batch=Batch(),
    )


def _translate_album_part(
    message: Message, me: User, sender: Sender, attachments: tuple[Attachment, ...], key: str
) -> Incoming | None:
    """A message of an album in a group: the one with the caption says whether the album is for the bot."""
    if message.media_group_id is None or not attachments:
        return None
    return Incoming(
        kind=EventKind.FORWARD,
        key=key,
        place=_place(message.chat.id, me, _topic_id(message)),
        sender=sender,
        text="",
        message_id=str(message.message_id),
        attachments=attachments,
        batch=Batch(message.media_group_id),
    )


def _join(*texts: str) -> str:
    return "\n\n".join(filter(None, texts))


def _batch(message: Message, content: "_MessageText") -> Batch | None:
    """The batch of an album, or of a text that the client had to split; a command has no further texts. In a group, the
    other parts of such a text are not addressed to the bot.
    """
    if message.media_group_id is not None:
        return Batch(message.media_group_id)
    may_be_split = _is_private(message.chat) and content.command is None and content.length_units >= MIN_SPLIT_UNITS
    return Batch() if may_be_split else None


def _translate_migration(message: Message, me: User, key: str) -> Incoming | None:
    """A group became a supergroup. Telegram reports it in both chats; one report is enough."""
    chat = message.chat
    old_id, new_id = chat.id, message.migrate_to_chat_id
    if message.migrate_from_chat_id is not None:
        old_id, new_id = message.migrate_from_chat_id, chat.id
    if new_id is None:
        return None
    sender = Sender(PLATFORM, str(chat.id), chat.title or "")
    return Incoming(EventKind.MOVED, key, _place(old_id, me), sender, str(new_id))


def _is_private(chat: Chat) -> bool:
    return chat.type == ChatType.PRIVATE


def _place(chat_id: int, me: User, thread: int | None = None, *, is_private: bool = False) -> Place:
    return Place(
        platform=PLATFORM,
        account=str(me.id),
        chat=str(chat_id),
        thread=None if thread is None else str(thread),
        is_private=is_private,
    )


def _topic_id(message: Message) -> int | None:
    """In groups that are no forums, `message_thread_id` is only a chain of replies; so it is in General, whose own ID,
    1, requests must not contain. In private chats, it is a topic in any case.
    """
    is_topic = message.is_topic_message or _is_private(message.chat)
    if not is_topic or message.message_thread_id in {None, 1}:
        return None
    return message.message_thread_id


def _sender(message: Message) -> Sender | None:
    """None for bots and channels."""
    sender_chat = message.sender_chat
    if sender_chat is not None:
        # An anonymous administrator writes as the group.
        is_anonymous_admin = sender_chat.id == message.chat.id and message.chat.type != ChatType.CHANNEL
        return (
            Sender(PLATFORM, str(sender_chat.id), sender_chat.title or "", is_manager=True, is_anonymous=True)
            if is_anonymous_admin
            else None
        )
    if message.from_user is None or message.from_user.is_bot:
        return None
    return sender_of(message.from_user)


class _MessageText:
    """Separates a message's text from mentions of the bot and from the command.

    Entities count UTF-16 units, so slices are taken from the UTF-16 encoding. For example,
    "@parley_bot /model llama" has the command "model", no addressee, and the text "llama".
    """

    def __init__(self, message: Message, me: User, *, is_private: bool) -> None:
        self._units = (message.text or message.caption or "").encode("utf-16-le")
        self.length_units = len(self._units) // 2
        entities = message.entities if message.text else message.caption_entities
        # In a private chat a mention is part of the sentence.
        mentions = [] if is_private else [entity for entity in entities if self._is_mention_of(entity, me)]
        self.has_mention = bool(mentions)
        self.command: str | None = None
        self.addressee = ""
        """The bot in "/command@bot". Both are in lower case."""
        start = 0
        for entity in entities:
            if entity.type != MessageEntity.BOT_COMMAND:
                continue
            if not self._without_mentions(mentions, 0, entity.offset).strip():
                self.command, _, self.addressee = self._entity_text(entity).lower().removeprefix("/").partition("@")
                start = entity.offset + entity.length
            break
        text = self._without_mentions(mentions, start, self.length_units)
        if mentions and not self._slice(0, mentions[0].offset).strip():
            text = text.lstrip(" ,:")
        self.text = text.strip()

    def _is_mention_of(self, entity: MessageEntity, me: User) -> bool:
        if entity.type == MessageEntity.TEXT_MENTION:
            return entity.user is not None and entity.user.id == me.id
        if entity.type != MessageEntity.MENTION:
            return False
        return self._entity_text(entity).lower() == f"@{me.username or ''}".lower()

    def _slice(self, start: int, end: int) -> str:
        return self._units[2 * start : 2 * end].decode("utf-16-le", "replace")

    def _entity_text(self, entity: MessageEntity) -> str:
        return self._slice(entity.offset, entity.offset + entity.length)

    def _without_mentions(self, mentions: list[MessageEntity], start: int, end: int) -> str:
        """The text from `start` to `end`, without mentions and one space after each."""
        segments = []
        for mention in mentions:
            if start <= mention.offset < end:
                segments.append(self._slice(start, mention.offset))
                start = mention.offset + mention.length
                if self._slice(start, start + 1) == " ":
                    start += 1
        segments.append(self._slice(start, end))
        return "".join(segments)
