"""Who and what there is on Discord, as its objects show it."""

import itertools
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

__all__ = [
    "Call", "Channel", "Created", "Event", "Fault", "Guild", "Interaction", "Json", "Message",
    "Person", "snowflake",
]  # fmt: skip

Json = dict[str, Any]
EPOCH = 1_420_070_400_000  # Discord's, in milliseconds
REACT, VIEW, SEND, MANAGE_MESSAGES = 1 << 6, 1 << 10, 1 << 11, 1 << 13
MANAGE_THREADS, START_THREADS, SEND_IN_THREADS = 1 << 34, 1 << 35, 1 << 38
WRITES = (
    REACT | VIEW | SEND | 1 << 14 | 1 << 15 | 1 << 16 | START_THREADS | SEND_IN_THREADS
)  # fmt: skip
"""React, view, send, embed, attach, read the history, start threads and send in them."""
TWO_WEEKS = 14 * 86_400_000  # milliseconds
EPHEMERAL = 64
LOADING = 128


class _Snowflakes:
    """Rise without exception, also when the clock does not."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last = max(self._last + 1, (int(time.time() * 1000) - EPOCH) << 22)
        return self._last


snowflake = _Snowflakes()


def oldest() -> int:
    """The lowest snowflake that may still be deleted together with others."""
    return int(time.time() * 1000) - EPOCH - TWO_WEEKS << 22


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
    return datetime.now(UTC).isoformat(timespec="microseconds")


def born(id_: int) -> str:
    """When a snowflake was given."""
    made = datetime.fromtimestamp(((id_ >> 22) + EPOCH) / 1000, UTC)
    return made.isoformat(timespec="microseconds")


@dataclass(slots=True)
class Person:
    id: int
    name: str
    bot: bool = False
    closed: bool = False
    """Takes no direct messages from bots."""
    permissions: int = WRITES
    """What the person may do in servers."""

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
    locked: bool = False
    owner: int | None = None
    """Who started it, of a thread."""
    permissions: int = WRITES
    """What the bot may do here."""

    def may(self, permission: int) -> bool:
        """Whether the bot may; in direct messages always, in threads as in what they hang on."""
        if self.guild is None:
            return True
        granted = self.permissions
        if self.parent is not None:
            granted = self.parent.permissions & (self.permissions | ~WRITES)
        return self.guild.joined and permission & granted == permission

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
                "permission_overwrites": [
                    {
                        "id": str(self.guild.id),
                        "type": 0,
                        "allow": str(self.permissions & ~WRITES),
                        "deny": str(WRITES & ~self.permissions),
                    }
                ],
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
            "owner_id": str(self.owner or self.guild.members[0].id),
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
                "locked": self.locked,
            },
        }

    def find(self, id_: object) -> "Message | None":
        if not str(id_).isdecimal():
            return None
        wanted = int(str(id_))
        # From the end: what is edited is nearly always among the latest.
        return next((m for m in reversed(self.messages) if m.id == wanted and not m.deleted), None)


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
    embeds: list[Json] = field(default_factory=list)
    reactions: dict[str, set[int]] = field(default_factory=dict)
    """Who reacted, by emoji."""
    at: float = 0.0
    """When it was made, by the stand-in's clock."""
    thread: Channel | None = None
    starter: "Message | None" = None
    """Of a thread's first message: the one it began from."""
    origin: "Interaction | None" = None
    """What it responds to."""
    deleted: bool = False
    ephemeral_to: int | None = None

    @property
    def from_bot(self) -> bool:
        return self.author.bot

    @property
    def type(self) -> int:
        """0 plain, 19 a reply, 20 the response to a command, 21 what begins a thread."""
        if self.starter is not None:
            return 21
        if self.origin is not None and self.origin.kind == 2 and self.origin.original is self:
            return 20
        return 0 if self.reference is None else 19

    def json(self, *, deep: bool = True) -> Json:
        shown: Json = {
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "author": self.author.json(),
            "content": self.content,
            "timestamp": born(self.id),
            "edited_timestamp": self.edited,
            "tts": False,
            "mention_everyone": self.mention_everyone,
            "mentions": [person.json() for person in self.mentions],
            "mention_roles": [],
            "attachments": self.attachments,
            "embeds": self.embeds,
            "pinned": False,
            "type": self.type,
            "flags": self.flags,
            "components": numbered(self.components),
        }
        if self.reactions:
            shown["reactions"] = [
                _reaction(emoji, who, self.author) for emoji, who in self.reactions.items()
            ]
        if self.thread is not None:
            shown["thread"] = self.thread.json()
        if self.starter is not None:
            origin = self.starter
            place = {"message_id": str(origin.id), "channel_id": str(origin.channel.id)}
            guild = (
                {} if origin.channel.guild is None else {"guild_id": str(origin.channel.guild.id)}
            )
            shown["message_reference"] = {"type": 0, **place, **guild}
            shown["referenced_message"] = origin.json(deep=False)
        if self.nonce is not None:
            shown["nonce"] = self.nonce
        if self.origin is not None:
            application = str(self.author.id)
            shown |= {"application_id": application, "webhook_id": application}
            shown["interaction_metadata"] = self.origin.json()
        if self.reference is not None:
            place = {"message_id": str(self.reference), "channel_id": str(self.channel.id)}
            shown["message_reference"] = {"type": 0, **place}
            target = self.channel.find(self.reference)
            if deep:
                shown["referenced_message"] = None if target is None else target.json(deep=False)
        return shown


def emoji_json(emoji: str) -> Json:
    name, _, id_ = emoji.partition(":")
    return {"id": id_ or None, "name": name}


def _reaction(emoji: str, who: set[int], bot: Person) -> Json:
    return {
        "emoji": emoji_json(emoji),
        "count": len(who),
        "count_details": {"burst": 0, "normal": len(who)},
        "burst_colors": [],
        "me_burst": False,
        "me": bot.bot and bot.id in who,
    }


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
    modal: Json | None = None
    """The form the person was shown."""
    trigger: "Interaction | None" = None
    """Of a form sent in: what showed it."""
    followups: int = 0
    late: bool = False
    guest: bool = False

    def json(self) -> Json:
        home = "0" if self.channel.guild is None else str(self.channel.guild.id)
        shown: Json = {
            "id": str(self.id),
            "type": self.kind,
            "user": self.person.json(),
            "authorizing_integration_owners": (
                {"1": str(self.person.id)} if self.guest else {"0": home}
            ),
        }
        if self.trigger is not None:
            shown["triggering_interaction_metadata"] = self.trigger.json()
        elif self.message is not None:
            shown["interacted_message_id"] = str(self.message.id)
        return shown

    @property
    def failed(self) -> bool:
        """The person was shown "The application did not respond"."""
        return self.late


@dataclass(frozen=True, slots=True)
class Event:
    """What a client sees: `kind` is sent, edited, deleted or typing."""

    kind: str
    message: Message | None = None


class Created(Json):
    """An answer told with 201."""


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
    """An ordered failure; `drop_after` happens when the call has had its effect."""

    kind: Literal["429", "500", "502", "503", "drop_before", "drop_after", "delay"]
    seconds: float = 0.0
