"""A Telegram update as `Incoming`: pure, so that recorded payloads are test enough."""

from collections.abc import Collection, Mapping
from typing import Any

from telegram import CallbackQuery, Message, MessageEntity, Update, User
from telegram import Chat as TelegramRoom
from telegram.constants import ChatType

from bots.telegram.attachments import attachments
from core.port import FILE, Attachment, Incoming, Kind, Place, Sender

__all__ = ["PLATFORM", "key", "stopped", "translate"]

PLATFORM = "telegram"
STOPPED = "stopped_message_generation"
LONG = 3500
"""UTF-16 units from which on a message may be the beginning of a text that was too long for one:
clients part it at 4096 or at the last gap before.
"""


def key(update: Update) -> str:
    return f"u{update.update_id}"


def translate(update: Update, me: User, commands: Collection[str]) -> Incoming | None:
    """What a person said or did, or None where it is not for the bot.

    `commands` are the names the bot knows: in a group an unknown one that is not addressed to
    anybody belongs to another bot.
    """
    if update.message is not None:
        return _moved(update.message, me, key(update)) or _message(
            update.message, me, commands, key(update)
        )
    if update.callback_query is not None:
        return _press(update.callback_query, me, key(update))
    pressed = update.api_kwargs.get(STOPPED)
    return stopped(pressed, me, key(update)) if pressed else None


def stopped(pressed: Mapping[str, Any], me: User, event: str) -> Incoming:
    """Telegram's own Stop on a draft. Drafts are private, so the chat is the person."""
    chat = pressed["chat"]
    thread = pressed.get("message_thread_id")
    name = " ".join(filter(None, (chat.get("first_name"), chat.get("last_name"))))
    return Incoming(
        kind=Kind.STOP,
        key=event,
        place=Place(
            platform=PLATFORM,
            account=str(me.id),
            chat=str(chat["id"]),
            thread=None if thread is None else str(thread),
            private=True,
        ),
        sender=Sender(PLATFORM, str(chat["id"]), name),
        text=str(pressed["draft_id"]),
    )


def _press(query: CallbackQuery, me: User, event: str) -> Incoming | None:
    message = query.message
    if message is None or query.data is None:
        return None
    # A message too old to be shown keeps its id and chat, but not its topic.
    thread = _thread(message) if isinstance(message, Message) else None
    return Incoming(
        kind=Kind.BUTTON,
        key=event,
        place=_place(message.chat, thread, me),
        sender=_person(query.from_user),
        text=query.data,
        message=str(message.message_id),
    )


def _message(message: Message, me: User, commands: Collection[str], event: str) -> Incoming | None:
    sender = _sender(message)
    if sender is None:
        return None
    private = message.chat.type == ChatType.PRIVATE
    words = _Words(message, me, private=private)
    original = _original(message)
    attached = attachments(message) or _file_of(original)
    command = words.command
    if command is not None and not private:
        name, addressee = command
        if addressee and addressee != (me.username or "").lower():
            return None
        ours = bool(addressee) or name in commands
    else:
        ours = private
    to_us = original is not None and original.from_user == me
    if not (ours or words.addressed or to_us):
        return None
    if not (attachments(message) or words.raw):
        return None  # somebody joined, a title changed, a message was pinned
    return Incoming(
        kind=Kind.PROMPT if command is None else Kind.COMMAND,
        key=event,
        place=_place(message.chat, _thread(message), me),
        sender=sender,
        text=_quoted(message, words.text),
        message=str(message.message_id),
        command=command[0] if command else "",
        reply_to=str(original.message_id) if original else None,
        attachments=attached,
        batch=_batch(message, words) if command is None else None,
    )


def _batch(message: Message, words: "_Words") -> str | None:
    """An album, or a text that the client had to part. In groups the rest of a text is not for
    the bot.
    """
    if message.media_group_id is not None:
        return message.media_group_id
    private = message.chat.type == ChatType.PRIVATE
    return "" if private and words.units >= LONG else None


def _moved(message: Message, me: User, event: str) -> Incoming | None:
    """The group became a supergroup. Both tell: one of the two is enough."""
    room = message.chat
    old, new = room.id, message.migrate_to_chat_id
    if message.migrate_from_chat_id is not None:
        old, new = message.migrate_from_chat_id, room.id
    if new is None:
        return None
    place = Place(platform=PLATFORM, account=str(me.id), chat=str(old))
    whose = Sender(PLATFORM, str(room.id), room.title or "")
    return Incoming(Kind.MOVED, event, place, whose, str(new))


def _place(chat: TelegramRoom, thread: str | None, me: User) -> Place:
    return Place(
        platform=PLATFORM,
        account=str(me.id),
        chat=str(chat.id),
        thread=thread,
        private=chat.type == ChatType.PRIVATE,
    )


def _thread(message: Message) -> str | None:
    """The topic. Outside of forums the field names a mere chain of replies, and the General
    topic must not be named at all.
    """
    if not message.is_topic_message or message.message_thread_id in {None, 1}:
        return None
    return str(message.message_thread_id)


def _sender(message: Message) -> Sender | None:
    """Who wrote; None for bots and channels."""
    room = message.sender_chat
    if room is not None:
        # A group that writes in its own name is one of its anonymous administrators.
        anonymous = room.id == message.chat.id and message.chat.type != ChatType.CHANNEL
        return Sender(PLATFORM, str(room.id), room.title or "", manages=True) if anonymous else None
    if message.from_user is None or message.from_user.is_bot:
        return None
    return _person(message.from_user)


def _person(user: User) -> Sender:
    return Sender(PLATFORM, str(user.id), user.full_name, language=user.language_code)


def _original(message: Message) -> Message | None:
    """What this answers. In a topic everything answers the message that opened the topic."""
    original = message.reply_to_message
    if original is None or original.forum_topic_created is not None:
        return None
    if message.is_topic_message and original.message_id == message.message_thread_id:
        return None
    return original


def _file_of(original: Message | None) -> tuple[Attachment, ...]:
    """The file that a person's question about another message is about."""
    if original is None or (original.from_user is not None and original.from_user.is_bot):
        return ()
    return tuple(
        one
        for one in attachments(original)
        if one.kind == FILE and not one.media_type.startswith(("image/", "video/", "audio/"))
    )


def _quoted(message: Message, text: str) -> str:
    """`text` under the words the person picked out of the message it answers."""
    quote = message.quote
    if quote is None or not quote.is_manual or not quote.text.strip():
        return text
    lines = "\n".join(f"> {line}" for line in quote.text.splitlines())
    return f"{lines}\n\n{text}"


class _Words:
    """A message's text without the bot's name and its command.

    Telegram counts UTF-16 units, so the text is cut as such.
    """

    def __init__(self, message: Message, me: User, *, private: bool) -> None:
        self.raw = message.text or message.caption or ""
        self._units = self.raw.encode("utf-16-le")
        entities = message.entities if message.text else message.caption_entities
        # In private nobody needs to be called: the name is part of what is said.
        mentions = [] if private else [entity for entity in entities if self._names(entity, me)]
        self.addressed = bool(mentions)
        self.command: tuple[str, str] | None = None
        """Name and addressee, in lower case."""
        start = 0
        for entity in entities:
            if entity.type != MessageEntity.BOT_COMMAND:
                continue
            if not self._without(mentions, 0, entity.offset).strip():
                name, _, addressee = self._cut(entity).lower().removeprefix("/").partition("@")
                self.command = name, addressee
                start = entity.offset + entity.length
            break
        text = self._without(mentions, start, len(self._units) // 2)
        if mentions and self._starts(mentions[0]):
            text = text.lstrip(" ,:")
        self.text = text.strip()

    def _names(self, entity: MessageEntity, me: User) -> bool:
        if entity.type == MessageEntity.TEXT_MENTION:
            return entity.user is not None and entity.user.id == me.id
        if entity.type != MessageEntity.MENTION:
            return False
        return self._cut(entity).lower() == f"@{me.username or ''}".lower()

    def _slice(self, start: int, end: int) -> str:
        return self._units[2 * start : 2 * end].decode("utf-16-le", "replace")

    @property
    def units(self) -> int:
        return len(self._units) // 2

    def _cut(self, entity: MessageEntity) -> str:
        return self._slice(entity.offset, entity.offset + entity.length)

    def _starts(self, entity: MessageEntity) -> bool:
        return not self._slice(0, entity.offset).strip()

    def _without(self, mentions: list[MessageEntity], start: int, end: int) -> str:
        """The text from `start` to `end`, leaving each mention and one space after it out."""
        kept = []
        for mention in mentions:
            if start <= mention.offset < end:
                kept.append(self._slice(start, mention.offset))
                start = mention.offset + mention.length
                if self._slice(start, start + 1) == " ":
                    start += 1
        kept.append(self._slice(start, end))
        return "".join(kept)
