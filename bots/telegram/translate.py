"""A Telegram update as `Incoming`: pure, so that recorded payloads are test enough."""

from collections.abc import Collection, Mapping
from typing import Any

from telegram import CallbackQuery, Message, MessageEntity, Update, User
from telegram import Chat as TelegramRoom
from telegram.constants import ChatType

from bots.telegram.attachments import extract_attachments
from core.port import Attachment, Batch, EventKind, Incoming, Place, Sender

__all__ = ["PLATFORM", "translate", "translate_stop", "update_key"]

PLATFORM = "telegram"
STOP_UPDATE_FIELD = "stopped_message_generation"
MIN_SPLIT_UNITS = 3500
"""UTF-16 units from which on a message may be the beginning of a text that was too long for one:
clients part it at 4096 or at the last gap before.
"""


def update_key(update: Update) -> str:
    return f"u{update.update_id}"


def translate(update: Update, me: User, commands: Collection[str]) -> Incoming | None:
    """What a person said or did, or None where it is not for the bot.

    `commands` are the names the bot knows: in a group an unknown one that is not addressed to
    anybody belongs to another bot.
    """
    if update.message is not None:
        return _translate_migration(update.message, me, update_key(update)) or _translate_message(
            update.message, me, commands, update_key(update)
        )
    if update.callback_query is not None:
        return _translate_button(update.callback_query, me, update_key(update))
    stop_payload = update.api_kwargs.get(STOP_UPDATE_FIELD)
    return translate_stop(stop_payload, me, update_key(update)) if stop_payload else None


def translate_stop(payload: Mapping[str, Any], me: User, key: str) -> Incoming:
    """Telegram's own Stop on a draft. Drafts are private, so the chat is the person."""
    chat = payload["chat"]
    thread = payload.get("message_thread_id")
    name = " ".join(filter(None, (chat.get("first_name"), chat.get("last_name"))))
    return Incoming(
        kind=EventKind.STOP,
        key=key,
        place=Place(
            platform=PLATFORM,
            account=str(me.id),
            chat=str(chat["id"]),
            thread=None if thread is None else str(thread),
            is_private=True,
        ),
        sender=Sender(PLATFORM, str(chat["id"]), name),
        text=str(payload["draft_id"]),
    )


def _translate_button(query: CallbackQuery, me: User, key: str) -> Incoming | None:
    message = query.message
    if message is None or query.data is None:
        return None
    # A message too old to be shown keeps its id and chat, but not its topic.
    thread = _topic_id(message) if isinstance(message, Message) else None
    return Incoming(
        kind=EventKind.BUTTON,
        key=key,
        place=_place(message.chat, thread, me),
        sender=_sender_of_user(query.from_user),
        text=query.data,
        message_id=str(message.message_id),
    )


def _translate_message(message: Message, me: User, commands: Collection[str], key: str) -> Incoming | None:
    sender = _sender(message)
    if sender is None:
        return None
    is_private = message.chat.type == ChatType.PRIVATE
    message_text = _MessageText(message, me, is_private=is_private)
    replied = _replied_message(message)
    message_attachments = extract_attachments(message) or _replied_files(replied)
    command = message_text.command
    if command is not None and not is_private:
        name, addressee = command
        if addressee and addressee != (me.username or "").lower():
            return None
        is_for_bot = bool(addressee) or name in commands
    else:
        is_for_bot = is_private
    is_reply_to_bot = replied is not None and replied.from_user == me
    if not (is_for_bot or message_text.is_addressed or is_reply_to_bot):
        return None
    if not (extract_attachments(message) or message_text.raw):
        return None  # somebody joined, a title changed, a message was pinned
    return Incoming(
        kind=EventKind.PROMPT if command is None else EventKind.COMMAND,
        key=key,
        place=_place(message.chat, _topic_id(message), me),
        sender=sender,
        text=_with_quote(message, message_text.text),
        message_id=str(message.message_id),
        command=command[0] if command else "",
        reply_to=str(replied.message_id) if replied else None,
        attachments=message_attachments,
        batch=_batch(message, message_text) if command is None else None,
    )


def _batch(message: Message, message_text: "_MessageText") -> Batch | None:
    """An album, or a text that the client had to part. In groups the rest of a text is not for
    the bot.
    """
    if message.media_group_id is not None:
        return Batch(message.media_group_id)
    is_private = message.chat.type == ChatType.PRIVATE
    return Batch() if is_private and message_text.length_units >= MIN_SPLIT_UNITS else None


def _translate_migration(message: Message, me: User, key: str) -> Incoming | None:
    """The group became a supergroup. Both tell: one of the two is enough."""
    chat = message.chat
    old_id, new_id = chat.id, message.migrate_to_chat_id
    if message.migrate_from_chat_id is not None:
        old_id, new_id = message.migrate_from_chat_id, chat.id
    if new_id is None:
        return None
    place = Place(platform=PLATFORM, account=str(me.id), chat=str(old_id))
    sender = Sender(PLATFORM, str(chat.id), chat.title or "")
    return Incoming(EventKind.MOVED, key, place, sender, str(new_id))


def _place(chat: TelegramRoom, thread: str | None, me: User) -> Place:
    return Place(
        platform=PLATFORM,
        account=str(me.id),
        chat=str(chat.id),
        thread=thread,
        is_private=chat.type == ChatType.PRIVATE,
    )


def _topic_id(message: Message) -> str | None:
    """The topic. Outside of forums the field names a mere chain of replies, and the General
    topic must not be named at all.
    """
    if not message.is_topic_message or message.message_thread_id in {None, 1}:
        return None
    return str(message.message_thread_id)


def _sender(message: Message) -> Sender | None:
    """Who wrote; None for bots and channels."""
    sender_chat = message.sender_chat
    if sender_chat is not None:
        # A group that writes in its own name is one of its anonymous administrators.
        is_anonymous_admin = sender_chat.id == message.chat.id and message.chat.type != ChatType.CHANNEL
        return (
            Sender(PLATFORM, str(sender_chat.id), sender_chat.title or "", is_manager=True)
            if is_anonymous_admin
            else None
        )
    if message.from_user is None or message.from_user.is_bot:
        return None
    return _sender_of_user(message.from_user)


def _sender_of_user(user: User) -> Sender:
    return Sender(PLATFORM, str(user.id), user.full_name, language=user.language_code)


def _replied_message(message: Message) -> Message | None:
    """What this answers. In a topic everything answers the message that opened the topic."""
    replied = message.reply_to_message
    if replied is None or replied.forum_topic_created is not None:
        return None
    if message.is_topic_message and replied.message_id == message.message_thread_id:
        return None
    return replied


def _replied_files(replied: Message | None) -> tuple[Attachment, ...]:
    """The file that a person's question about another message is about."""
    if replied is None or (replied.from_user is not None and replied.from_user.is_bot):
        return ()
    media_type = (replied.document and replied.document.mime_type) or ""
    if media_type.startswith(("image/", "video/", "audio/")):
        return ()
    return tuple(attachment for attachment in extract_attachments(replied) if attachment.is_document)


def _with_quote(message: Message, text: str) -> str:
    """`text` under the words the person picked out of the message it answers."""
    quote = message.quote
    if quote is None or not quote.is_manual or not quote.text.strip():
        return text
    lines = "\n".join(f"> {line}" for line in quote.text.splitlines())
    return f"{lines}\n\n{text}"


class _MessageText:
    """A message's text without the bot's name and its command.

    Telegram counts UTF-16 units, so the text is cut as such.
    """

    def __init__(self, message: Message, me: User, *, is_private: bool) -> None:
        self.raw = message.text or message.caption or ""
        self._units = self.raw.encode("utf-16-le")
        entities = message.entities if message.text else message.caption_entities
        # In private nobody needs to be called: the name is part of what is said.
        mentions = [] if is_private else [entity for entity in entities if self._is_mention_of(entity, me)]
        self.is_addressed = bool(mentions)
        self.command: tuple[str, str] | None = None
        """Name and addressee, in lower case."""
        start = 0
        for entity in entities:
            if entity.type != MessageEntity.BOT_COMMAND:
                continue
            if not self._without_mentions(mentions, 0, entity.offset).strip():
                name, _, addressee = self._entity_text(entity).lower().removeprefix("/").partition("@")
                self.command = name, addressee
                start = entity.offset + entity.length
            break
        text = self._without_mentions(mentions, start, len(self._units) // 2)
        if mentions and self._is_at_start(mentions[0]):
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

    @property
    def length_units(self) -> int:
        return len(self._units) // 2

    def _entity_text(self, entity: MessageEntity) -> str:
        return self._slice(entity.offset, entity.offset + entity.length)

    def _is_at_start(self, entity: MessageEntity) -> bool:
        return not self._slice(0, entity.offset).strip()

    def _without_mentions(self, mentions: list[MessageEntity], start: int, end: int) -> str:
        """The text from `start` to `end`, leaving each mention and one space after it out."""
        segments = []
        for mention in mentions:
            if start <= mention.offset < end:
                segments.append(self._slice(start, mention.offset))
                start = mention.offset + mention.length
                if self._slice(start, start + 1) == " ":
                    start += 1
        segments.append(self._slice(start, end))
        return "".join(segments)
