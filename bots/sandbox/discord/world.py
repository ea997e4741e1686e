"""Who and what there is on Discord, as its objects show it."""

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Call", "Channel", "Event", "Fault", "Guild", "Interaction", "Json", "Message", "Person",
    "snowflake",
]  # fmt: skip

Json = dict[str, Any]
EPOCH = 1_420_070_400_000  # Discord's, in milliseconds
WRITES = str(1 << 10 | 1 << 11 | 1 << 14 | 1 << 16 | 1 << 38)
EPHEMERAL = 64
LOADING = 128

_numbers = itertools.count()


def snowflake() -> int:
    return (int(time.time() * 1000) - EPOCH) << 22 | next(_numbers) % 4096


def numbered(rows: list[Json]) -> list[Json]:
    """Components as Discord gives them back: with ids and what was left out."""
    numbers = itertools.count(1)
    shown = []
    for row in rows:
        number, items = next(numbers), []
        for item in row["components"]:
            filled: Json = {"id": next(numbers), **item}
            if item["type"] == 3:
                filled = {"min_values": 1, "max_values": 1, **filled}
            items.append(filled)
        shown.append({**row, "id": number, "components": items})
    return shown


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000000+00:00", time.gmtime())


@dataclass(slots=True)
class Person:
    id: int
    name: str
    bot: bool = False

    def json(self) -> Json:
        return {
            "id": str(self.id),
            "username": self.name.lower(),
            "discriminator": "0",
            "global_name": self.name,
            "avatar": None,
            "bot": self.bot,
            "public_flags": 0,
            "flags": 0,
            "primary_guild": None,
        }


@dataclass(slots=True)
class Guild:
    id: int
    name: str
    members: list[Person]
    channels: "list[Channel]" = field(default_factory=list)
    joined: bool = True
    """Whether the bot is a member."""


@dataclass(slots=True)
class Channel:
    id: int
    name: str
    guild: Guild | None = None
    parent: "Channel | None" = None
    people: list[Person] = field(default_factory=list)
    messages: "list[Message]" = field(default_factory=list)
    archived: bool = False

    @property
    def type(self) -> int:
        if self.guild is None:
            return 1
        return 0 if self.parent is None else 11

    def json(self) -> Json:
        shown: Json = {"id": str(self.id), "type": self.type}
        if self.guild is None:
            last = str(self.messages[-1].id) if self.messages else None
            recipients = [person.json() for person in self.people]
            return {**shown, "last_message_id": last, "recipients": recipients, "flags": 0}
        shown |= {"guild_id": str(self.guild.id), "name": self.name}
        if self.parent is None:
            return {
                **shown,
                "position": 0,
                "permission_overwrites": [],
                "nsfw": False,
                "topic": None,
                "parent_id": None,
                "last_message_id": None,
                "rate_limit_per_user": 0,
                "flags": 0,
            }
        return {
            **shown,
            "parent_id": str(self.parent.id),
            "owner_id": str(self.guild.members[0].id),
            "message_count": len(self.messages),
            "member_count": 1,
            "total_message_sent": len(self.messages),
            "last_message_id": None,
            "rate_limit_per_user": 0,
            "flags": 0,
            "thread_metadata": {
                "archived": self.archived,
                "auto_archive_duration": 1440,
                "archive_timestamp": now(),
                "locked": False,
            },
        }

    def find(self, id_: object) -> "Message | None":
        return next((m for m in self.messages if str(m.id) == str(id_) and not m.deleted), None)


@dataclass(slots=True)
class Message:
    id: int
    channel: Channel
    author: Person
    content: str
    components: list[Json] = field(default_factory=list)
    flags: int = 0
    mentions: list[Person] = field(default_factory=list)
    mention_everyone: bool = False
    reference: int | None = None
    nonce: str | None = None
    attachments: list[Json] = field(default_factory=list)
    edits: list[str] = field(default_factory=list)
    edited: str | None = None
    deleted: bool = False
    ephemeral_to: int | None = None

    @property
    def from_bot(self) -> bool:
        return self.author.bot

    def json(self, *, deep: bool = True) -> Json:
        shown: Json = {
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "author": self.author.json(),
            "content": self.content,
            "timestamp": now(),
            "edited_timestamp": self.edited,
            "tts": False,
            "mention_everyone": self.mention_everyone,
            "mentions": [person.json() for person in self.mentions],
            "mention_roles": [],
            "attachments": self.attachments,
            "embeds": [],
            "pinned": False,
            "type": 0 if self.reference is None else 19,
            "flags": self.flags,
            "components": numbered(self.components),
        }
        if self.nonce is not None:
            shown["nonce"] = self.nonce
        if self.reference is not None:
            place = {"message_id": str(self.reference), "channel_id": str(self.channel.id)}
            shown["message_reference"] = {"type": 0, **place}
            target = self.channel.find(self.reference)
            if deep:
                shown["referenced_message"] = None if target is None else target.json(deep=False)
        return shown


@dataclass(slots=True)
class Interaction:
    id: int
    token: str
    person: Person
    channel: Channel
    kind: int
    at: float
    message: Message | None = None
    """Whose component was used."""
    acknowledged_at: float | None = None
    original: Message | None = None
    responses: list[Message] = field(default_factory=list)
    choices: list[Json] | None = None
    late: bool = False
    guest: bool = False

    @property
    def failed(self) -> bool:
        """The person was shown "The application did not respond"."""
        return self.late


@dataclass(frozen=True, slots=True)
class Event:
    """What a client sees: `kind` is sent, edited, deleted or typing."""

    kind: str
    message: Message | None = None


@dataclass(slots=True)
class Call:
    method: str
    path: str
    body: Any
    time: float
    status: int = 0
    result: Any = None


@dataclass(frozen=True, slots=True)
class Fault:
    """An ordered failure: 429, 500, 502, 503, drop_before, drop_after or delay."""

    kind: str
    seconds: float = 0.0
