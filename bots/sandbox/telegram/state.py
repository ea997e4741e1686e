"""Who and what there is: people, chats, messages, drafts, as Telegram's objects show them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from bots.sandbox.stand_in import ChatEventKind, Json

__all__ = ["Bot", "Call", "Chat", "ChatEvent", "Draft", "Json", "Message", "User"]

MEDIA_FIELDS = frozenset({"audio", "document", "photo", "sticker", "video", "voice"})
MAX_MESSAGES_PER_CHAT = 10_000
"""Messages kept of each chat."""


@dataclass(slots=True, eq=False)
class User:
    id: int
    name: str
    language: str = "en"
    username: str = ""

    @property
    def is_bot(self) -> bool:
        return False

    def json(self) -> Json:
        payload: Json = {
            "id": self.id,
            "is_bot": False,
            "first_name": self.name,
            "language_code": self.language,
        }
        if self.username:
            payload["username"] = self.username
        return payload


@dataclass(slots=True, eq=False)
class Bot(User):
    """The account under test, as its owner set it up at @BotFather."""

    has_topics_enabled: bool = True
    allows_users_to_create_topics: bool = True
    can_join_groups: bool = True
    supports_guest_queries: bool = False

    @property
    def is_bot(self) -> bool:
        return True

    def json(self) -> Json:
        return {
            "id": self.id,
            "is_bot": True,
            "first_name": self.name,
            "username": self.username,
        }


@dataclass(slots=True, eq=False)
class Chat:
    """`status` is the bot's own: member, administrator, left or kicked (private: has blocked it).

    `topics` are names by thread id; General, which every forum has, is not among them.
    """

    id: int
    type: str
    title: str
    next_message_ids: Iterator[int]
    members: list[User] = field(default_factory=list)
    is_forum: bool = False
    bot_status: str = "member"
    is_deactivated: bool = False
    migrated_to_id: int | None = None
    topics: dict[int, str] = field(default_factory=dict)
    closed_topics: set[int] = field(default_factory=set)
    messages: "list[Message]" = field(default_factory=list)
    _messages_by_id: "dict[int, Message]" = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        return self.type == "private"

    def json(self) -> Json:
        if self.is_private:
            return {"id": self.id, "type": "private", "first_name": self.title}
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
        """The message, unless it was deleted."""
        message = None if message_id is None else self._messages_by_id.get(message_id)
        return None if message is None or message.is_deleted else message


@dataclass(slots=True, eq=False)
class Message:
    """`edits` are the texts it had before; `chain` the first message of its replies' chain."""

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
    previous_texts: list[str] = field(default_factory=list)
    edit_date: int | None = None
    reactions: list[Json] = field(default_factory=list)
    is_deleted: bool = False

    @property
    def from_bot(self) -> bool:
        return self.sender.is_bot

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
        if self.text:
            text_field = "text" if MEDIA_FIELDS.isdisjoint(self.extra_fields) else "caption"
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
        if include_reply:
            target = self.chat.find_message(self.reply_to_id) or self._topic_root()
            if target is not None:
                payload["reply_to_message"] = target.json(include_reply=False)
        return payload

    def _topic_root(self) -> "Message | None":
        """What a forum's message replies to when it replies to nothing: its topic's beginning."""
        if self.chat.is_forum and self.thread_id is not None and self.thread_id != self.id:
            return self.chat.find_message(self.thread_id)
        return None


@dataclass(frozen=True, slots=True)
class Draft:
    """One showing of a draft. `time` is the stand-in's clock."""

    chat_id: int
    thread_id: int | None
    draft_id: int
    text: str
    shown_at: float
    can_stop: bool = False
    keep_on_stop: bool = False
    entities: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """What a client sees."""

    kind: ChatEventKind
    message: Message | None = None
    text: str = ""
    """The text of a draft."""
    thread_id: int | None = None


@dataclass(slots=True)
class Call:
    """A call of a method and its answer. `status` is 0 while there is no answer."""

    method: str
    params: Json
    time: float
    status: int = 0
    result: Any = None
    description: str = ""
    is_early: bool = False
    """The bot made it while it was told to wait."""
    is_scripted: bool = False
    """A test dictated the reply."""
