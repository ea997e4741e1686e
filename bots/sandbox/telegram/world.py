"""Who and what there is: people, chats, messages, drafts, as Telegram's objects show them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bot", "Chat", "Draft", "Event", "Json", "Message", "Person"]

Json = dict[str, Any]
MEDIA = frozenset({"audio", "document", "photo", "sticker", "video", "voice"})
HISTORY = 10_000
"""Messages kept of each chat."""


@dataclass(slots=True, eq=False)
class Person:
    id: int
    name: str
    language: str = "en"
    username: str = ""

    @property
    def is_bot(self) -> bool:
        return False

    def json(self) -> Json:
        shown: Json = {
            "id": self.id,
            "is_bot": False,
            "first_name": self.name,
            "language_code": self.language,
        }
        if self.username:
            shown["username"] = self.username
        return shown


@dataclass(slots=True, eq=False)
class Bot(Person):
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
    ids: Iterator[int]
    members: list[Person] = field(default_factory=list)
    forum: bool = False
    status: str = "member"
    deactivated: bool = False
    migrated_to: int | None = None
    topics: dict[int, str] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    messages: "list[Message]" = field(default_factory=list)
    _known: "dict[int, Message]" = field(default_factory=dict)

    @property
    def private(self) -> bool:
        return self.type == "private"

    def json(self) -> Json:
        if self.private:
            return {"id": self.id, "type": "private", "first_name": self.title}
        shown: Json = {"id": self.id, "type": self.type, "title": self.title}
        if self.forum:
            shown["is_forum"] = True
        return shown

    def add(self, message: "Message") -> None:
        self.messages.append(message)
        self._known[message.id] = message
        if len(self.messages) > HISTORY:
            del self._known[self.messages.pop(0).id]

    def find(self, id_: int | None) -> "Message | None":
        """The message, unless it was deleted."""
        message = None if id_ is None else self._known.get(id_)
        return None if message is None or message.deleted else message


@dataclass(slots=True, eq=False)
class Message:
    """`edits` are the texts it had before; `chain` the first message of its replies' chain."""

    id: int
    chat: Chat
    sender: Person
    text: str
    date: int
    thread: int | None = None
    entities: list[Json] = field(default_factory=list)
    reply_markup: Json | None = None
    reply_to: int | None = None
    chain: int | None = None
    extra: Json = field(default_factory=dict)
    edits: list[str] = field(default_factory=list)
    edit_date: int | None = None
    reactions: list[Json] = field(default_factory=list)
    deleted: bool = False

    @property
    def from_bot(self) -> bool:
        return self.sender.is_bot

    @property
    def buttons(self) -> list[Json]:
        rows = (self.reply_markup or {}).get("inline_keyboard", [])
        return [button for row in rows for button in row]

    def json(self, *, with_reply: bool = True) -> Json:
        shown: Json = {
            "message_id": self.id,
            "date": self.date,
            "chat": self.chat.json(),
            "from": self.sender.json(),
            **self.extra,
        }
        if self.text:
            name = "text" if MEDIA.isdisjoint(self.extra) else "caption"
            shown[name] = self.text
            if self.entities:
                shown["entities" if name == "text" else "caption_entities"] = self.entities
        if self.thread is not None:
            shown["message_thread_id"] = self.thread
            shown["is_topic_message"] = True
        elif self.chain is not None:
            shown["message_thread_id"] = self.chain
        if self.reply_markup is not None:
            shown["reply_markup"] = self.reply_markup
        if self.edit_date is not None:
            shown["edit_date"] = self.edit_date
        if with_reply:
            target = self.chat.find(self.reply_to) or self._root()
            if target is not None:
                shown["reply_to_message"] = target.json(with_reply=False)
        return shown

    def _root(self) -> "Message | None":
        """What a forum's message replies to when it replies to nothing: its topic's beginning."""
        if self.chat.forum and self.thread is not None and self.thread != self.id:
            return self.chat.find(self.thread)
        return None


@dataclass(frozen=True, slots=True)
class Draft:
    """One showing of a draft. `time` is the stand-in's clock."""

    chat: int
    thread: int | None
    draft_id: int
    text: str
    time: float
    can_stop: bool = False
    keep_on_stop: bool = False
    entities: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """What a client sees: `kind` is sent, edited, deleted, draft, draft_gone or typing.

    `text` is the draft's; `thread` where it was drafted or typed.
    """

    kind: str
    message: Message | None = None
    text: str = ""
    thread: int | None = None
