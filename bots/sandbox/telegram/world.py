"""Who and what there is: people, chats, messages, drafts, as Telegram's objects show them."""

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Bot", "Chat", "Draft", "Event", "Json", "Message", "Person", "units"]

Json = dict[str, Any]


def units(text: str) -> int:
    """Length as Telegram counts it: UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@dataclass(slots=True)
class Person:
    id: int
    name: str
    language: str = "en"

    def json(self) -> Json:
        return {
            "id": self.id,
            "is_bot": False,
            "first_name": self.name,
            "language_code": self.language,
        }


@dataclass(slots=True)
class Bot(Person):
    username: str = ""


@dataclass(slots=True)
class Chat:
    id: int
    type: str
    title: str
    members: list[Person] = field(default_factory=list)
    forum: bool = False
    topics: dict[int, str] = field(default_factory=dict)
    messages: "list[Message]" = field(default_factory=list)
    blocked: bool = False
    deleted: bool = False
    last_message: int = 0

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

    def find(self, id_: object) -> "Message | None":
        return next((m for m in self.messages if m.id == id_ and not m.deleted), None)


@dataclass(slots=True)
class Message:
    id: int
    chat: Chat
    sender: Json
    text: str
    date: int
    thread: int | None = None
    entities: list[Json] = field(default_factory=list)
    reply_markup: Json | None = None
    reply_to: int | None = None
    extra: Json = field(default_factory=dict)
    edits: list[str] = field(default_factory=list)
    deleted: bool = False

    @property
    def from_bot(self) -> bool:
        return bool(self.sender["is_bot"])

    def json(self, *, with_reply: bool = True) -> Json:
        shown: Json = {
            "message_id": self.id,
            "date": self.date,
            "chat": self.chat.json(),
            "from": self.sender,
            **self.extra,
        }
        if self.text:
            shown["text"] = self.text
        if self.entities:
            shown["entities"] = self.entities
        if self.thread is not None:
            shown |= {"message_thread_id": self.thread, "is_topic_message": True}
        if self.reply_markup is not None:
            shown["reply_markup"] = self.reply_markup
        if self.edits:
            shown["edit_date"] = self.date
        if with_reply and self.reply_to is not None:
            target = self.chat.find(self.reply_to)
            if target is not None:
                shown["reply_to_message"] = target.json(with_reply=False)
        return shown


@dataclass(frozen=True, slots=True)
class Draft:
    """One showing of a draft. `time` is the stand-in's clock."""

    chat: int
    thread: int | None
    draft_id: int
    text: str
    time: float
    can_stop: bool


@dataclass(frozen=True, slots=True)
class Event:
    """What a client sees: `kind` is sent, edited, deleted, draft or typing."""

    kind: str
    message: Message | None = None
    text: str = ""
