"""Users, chats, messages and drafts, and their JSON. No behaviour: see `backend`."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import msgspec

from bots.sandbox.stand_in import Json, RecordedCall

BOT_API: Json = msgspec.json.decode(Path(__file__).with_name("bot_api.json").read_bytes())
"""Names and constant fields of the Bot API."""
MEDIA_FIELDS = frozenset({"audio", "document", "photo", "sticker", "video", "voice"})
MAX_MESSAGES_PER_CHAT = 10_000

ADMINISTRATOR_RIGHTS = BOT_API["administrator rights"]


class ChatType(StrEnum):
    PRIVATE = "private"
    GROUP = "group"
    SUPERGROUP = "supergroup"


class MemberStatus(StrEnum):
    CREATOR = "creator"
    ADMINISTRATOR = "administrator"
    MEMBER = "member"
    LEFT = "left"
    KICKED = "kicked"


@dataclass(slots=True, eq=False)
class User:
    id: int
    name: str
    language: str = "en"
    username: str = ""
    is_bot: bool = False

    def json(self) -> Json:
        payload: Json = {"id": self.id, "is_bot": self.is_bot, "first_name": self.name}
        if self.username:
            payload["username"] = self.username
        if not self.is_bot:
            payload["language_code"] = self.language
        return payload


@dataclass(slots=True, eq=False)
class Chat:
    """In a private chat, the bot status `KICKED` means that the user has blocked the bot.

    `topics` are names by thread ID, without General, which every forum has.
    """

    id: int
    type: ChatType
    title: str
    next_message_ids: Iterator[int]
    members: list[User] = field(default_factory=list)
    is_forum: bool = False
    bot_status: MemberStatus = MemberStatus.MEMBER
    migrated_to_id: int | None = None
    allows_reactions: bool = True
    allows_documents: bool = True
    """Members may send files; administrators always may."""
    topics: dict[int, str] = field(default_factory=dict)
    messages: "list[Message]" = field(default_factory=list)
    _messages_by_id: "dict[int, Message]" = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        return self.type is ChatType.PRIVATE

    @property
    def bot_is_administrator(self) -> bool:
        return self.bot_status is MemberStatus.ADMINISTRATOR

    @property
    def has_bot(self) -> bool:
        return self.bot_status in (MemberStatus.MEMBER, MemberStatus.ADMINISTRATOR)

    def json(self) -> Json:
        if self.is_private:
            return {"id": self.id, "type": self.type, "first_name": self.title}
        payload: Json = {"id": self.id, "type": self.type, "title": self.title}
        if self.is_forum:
            payload["is_forum"] = True
        return payload

    def add_message(self, message: "Message") -> None:
        self.messages.append(message)
        self._messages_by_id[message.id] = message
        if len(self.messages) > MAX_MESSAGES_PER_CHAT:
            del self._messages_by_id[self.messages.pop(0).id]

    def find_message(self, message_id: int | None) -> "Message | None":
        """The message, or None when it was deleted."""
        message = None if message_id is None else self._messages_by_id.get(message_id)
        return None if message is None or message.is_deleted else message


@dataclass(frozen=True, slots=True)
class RichMessage:
    blocks: list[Json]
    text: str
    """As the sandbox's client draws it; Telegram has no such text."""
    is_rtl: bool = False

    def json(self) -> Json:
        return {"blocks": self.blocks} | ({"is_rtl": True} if self.is_rtl else {})


@dataclass(slots=True, eq=False)
class Message:
    """`reply_thread_id` is the first message of the chain of replies."""

    id: int
    chat: Chat
    sender: User
    text: str
    date: int
    thread_id: int | None = None
    entities: list[Json] = field(default_factory=list)
    reply_markup: Json | None = None
    reply_to_id: int | None = None
    reply_thread_id: int | None = None
    extra_fields: Json = field(default_factory=dict)
    rich: RichMessage | None = None
    """Its `text` is also the message's, but not in its JSON."""
    previous_texts: list[str] = field(default_factory=list)
    reactions: list[str] = field(default_factory=list)
    """Of the bot."""
    edit_date: int | None = None
    is_deleted: bool = False
    inline_id: str = ""
    """By which the bot can edit it, although it may not be in the chat."""
    receiver: User | None = None
    """Who alone sees it: it is ephemeral. Bots know it by `ephemeral_id`."""
    ephemeral_id: int = 0

    @property
    def from_bot(self) -> bool:
        return self.sender.is_bot

    @property
    def has_media(self) -> bool:
        return not MEDIA_FIELDS.isdisjoint(self.extra_fields)

    @property
    def file_name(self) -> str:
        """Of its document; empty without one."""
        return str(self.extra_fields.get("document", {}).get("file_name", ""))

    @property
    def buttons(self) -> list[Json]:
        rows = (self.reply_markup or {}).get("inline_keyboard", [])
        return [button for row in rows for button in row]

    def json(self, *, include_reply: bool = True) -> Json:
        payload: Json = {
            "message_id": self.id,
            "date": self.date,
            "chat": self.chat.json(),
            "from": self.sender.json(),
            **self.extra_fields,
        }
        if self.rich is not None:
            payload["rich_message"] = self.rich.json()
        elif self.text:
            text_field = "caption" if self.has_media else "text"
            payload[text_field] = self.text
            if self.entities:
                payload["entities" if text_field == "text" else "caption_entities"] = self.entities
        if self.thread_id is not None:
            payload["message_thread_id"] = self.thread_id
            payload["is_topic_message"] = True
        elif self.reply_thread_id is not None:
            payload["message_thread_id"] = self.reply_thread_id
        if self.reply_markup is not None:
            payload["reply_markup"] = self.reply_markup
        if self.edit_date is not None:
            payload["edit_date"] = self.edit_date
        if self.receiver is not None:
            payload["message_id"] = 0
            payload["ephemeral_message_id"] = self.ephemeral_id
            payload["receiver_user"] = self.receiver.json()
        if include_reply:
            target = self.chat.find_message(self.reply_to_id) or self._topic_root()
            if target is not None:
                payload["reply_to_message"] = target.json(include_reply=False)
        return payload

    def _topic_root(self) -> "Message | None":
        """The first message of the topic. A message in a forum that replies to nothing replies to it."""
        if self.chat.is_forum and self.thread_id is not None and self.thread_id != self.id:
            return self.chat.find_message(self.thread_id)
        return None


@dataclass(frozen=True, slots=True)
class Draft:
    """One version of a draft. `shown_at` is by the stand-in's clock."""

    chat_id: int
    thread_id: int | None
    draft_id: int
    text: str
    shown_at: float
    can_stop: bool = False
    entities: tuple[Json, ...] = ()
    rich: RichMessage | None = None


@dataclass(slots=True)
class Call(RecordedCall):
    method: str
    params: Json
    description: str = ""
    is_early: bool = False
    """The bot made it before its `retry_after` had passed."""


def chat_member(user: User, status: MemberStatus) -> Json:
    payload: Json = {"user": user.json(), "status": status}
    match status:
        case MemberStatus.ADMINISTRATOR:
            payload |= {"can_be_edited": False, "is_anonymous": False}
            payload |= dict.fromkeys(ADMINISTRATOR_RIGHTS, True)
        case MemberStatus.CREATOR:
            payload["is_anonymous"] = False
        case MemberStatus.KICKED:
            payload["until_date"] = 0
    return payload


def member_status(chat: Chat, user: User) -> MemberStatus:
    """The first member of a group is its owner."""
    if user.is_bot:
        return chat.bot_status
    if user not in chat.members:
        return MemberStatus.LEFT
    is_owner = not chat.is_private and user is chat.members[0]
    return MemberStatus.CREATOR if is_owner else MemberStatus.MEMBER
