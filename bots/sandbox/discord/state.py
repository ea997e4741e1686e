"""Users, guilds, channels, messages and interactions, and their JSON. No behaviour: see `backend`."""

import itertools
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bots.sandbox.discord.enums import ChannelType, ComponentType, InteractionType, MessageType
from bots.sandbox.stand_in import Json, RecordedCall

DISCORD_EPOCH_MS = 1_420_070_400_000
VIEW_CHANNEL, SEND_MESSAGES = 1 << 10, 1 << 11
ADD_REACTIONS, EMBED_LINKS, ATTACH_FILES, READ_MESSAGE_HISTORY = 1 << 6, 1 << 14, 1 << 15, 1 << 16
CREATE_PUBLIC_THREADS, SEND_MESSAGES_IN_THREADS = 1 << 35, 1 << 38
DEFAULT_PERMISSIONS = (
    VIEW_CHANNEL
    | SEND_MESSAGES
    | ADD_REACTIONS
    | EMBED_LINKS
    | ATTACH_FILES
    | READ_MESSAGE_HISTORY
    | CREATE_PUBLIC_THREADS
    | SEND_MESSAGES_IN_THREADS
)
MANAGE_CHANNELS = 1 << 4
MANAGE_GUILD = 1 << 5
ALL_PERMISSIONS = (1 << 50) - 1
EPHEMERAL, LOADING, COMPONENTS_V2 = 1 << 6, 1 << 7, 1 << 15
"""Flags of messages."""
COMMAND_MENTION = re.compile(r"(?<!\\)</([^:>\n]+):\d+>")
HIDDEN_NAME, HIDDEN_FLAG = "___hidden___", 1 << 17
"""What a bot sees of a channel that it may not view."""
CONSTANT_FIELDS: dict[str, Json] = msgspec.json.decode(Path(__file__).with_name("constant_fields.json").read_bytes())
"""The fields of Discord's objects that are always the same here."""


class _SnowflakeGenerator:
    """Every ID is higher than the one before, even when the clock stands still."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last = max(self._last + 1, (int(time.time() * 1000) - DISCORD_EPOCH_MS) << 22)
        return self._last


next_snowflake = _SnowflakeGenerator()


def normalise_components(components: list[Json]) -> list[Json]:
    """Components as Discord returns them: with IDs and default values."""
    component_ids = itertools.count(1)
    return [_normalise_component(component, component_ids) for component in components]


def _normalise_component(component: Json, component_ids: Iterator[int]) -> Json:
    filled: Json = {"id": next(component_ids), **component}
    match component["type"]:
        case ComponentType.SELECT:
            filled = {"min_values": 1, "max_values": 1, **filled}
        case ComponentType.SEPARATOR:
            filled = {"spacing": 1, "divider": True, **filled}
        case ComponentType.CONTAINER:
            filled = {"accent_color": None, "spoiler": False, **filled}
    if "components" in component:
        filled["components"] = [_normalise_component(nested, component_ids) for nested in component["components"]]
    if "accessory" in component:
        filled["accessory"] = _normalise_component(component["accessory"], component_ids)
    return filled


def all_components(components: list[Json]) -> Iterator[Json]:
    """Also those inside others, in the order in which they are shown."""
    for component in components:
        yield component
        yield from all_components(component.get("components") or [])
        if "accessory" in component:
            yield component["accessory"]


def _tags_json(tags: dict[str, int]) -> list[Json]:
    constant = {"moderated": False, "emoji_id": None, "emoji_name": None}
    return [{"id": str(id_), "name": name, **constant} for name, id_ in tags.items()]


def iso_now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def snowflake_time(snowflake_id: int) -> str:
    created_at = datetime.fromtimestamp(((snowflake_id >> 22) + DISCORD_EPOCH_MS) / 1000, UTC)
    return created_at.isoformat(timespec="microseconds")


@dataclass(slots=True)
class User:
    id: int
    name: str
    is_bot: bool = False
    has_closed_dms: bool = False
    """Refuses direct messages from bots."""
    locale: str = "en-US"

    def json(self) -> Json:
        return {
            **CONSTANT_FIELDS["user"],
            "id": str(self.id),
            "username": self.name.lower(),
            "global_name": self.name,
            "bot": self.is_bot,
        }


@dataclass(slots=True)
class Guild:
    id: int
    name: str
    members: list[User]
    channels: "list[Channel]" = field(default_factory=list)
    has_bot: bool = True
    bot_role_id: int = field(default_factory=next_snowflake)
    """The role that Discord creates for the bot."""
    roles: "dict[int, list[User]]" = field(default_factory=dict)
    """The members of each other role, by its ID."""

    def role_ids(self, user: "User") -> list[str]:
        return [str(role_id) for role_id, members in self.roles.items() if user in members]


@dataclass(slots=True)
class Channel:
    id: int
    name: str
    guild: Guild | None = None
    parent: "Channel | None" = None
    recipients: list[User] = field(default_factory=list)
    messages: "list[Message]" = field(default_factory=list)
    archived: bool = False
    locked: bool = False
    is_age_restricted: bool = False
    tags: dict[str, int] = field(default_factory=dict)
    """A forum's tags, or those of a post, with their IDs."""
    bot_permissions: int = DEFAULT_PERMISSIONS
    granted_permissions: dict[int, int] = field(default_factory=dict)
    """What the channel allows single people in addition to their permissions on the server, by user ID."""
    denied_permissions: dict[int, int] = field(default_factory=dict)
    """What the channel forbids single people, by user ID."""
    owner: User | None = None
    """Who created this thread; None: the guild's owner."""
    is_announcement: bool = False
    """Whether other servers can follow this channel."""

    def bot_has_permission(self, permission: int) -> bool:
        """Whether the bot may; in direct messages always, in group chats never."""
        if self.guild is None:
            return not self.is_group
        return self.guild.has_bot and permission & self.effective_bot_permissions == permission

    @property
    def effective_bot_permissions(self) -> int:
        """In threads at most those in their channels."""
        if self.parent is None:
            return self.bot_permissions
        return self.parent.bot_permissions & (self.bot_permissions | ~DEFAULT_PERMISSIONS)

    def permissions_of(self, user: User) -> int:
        """A person's permissions in this channel of a guild."""
        if self.guild is not None and self.guild.members[:1] == [user]:
            return ALL_PERMISSIONS
        permissions = DEFAULT_PERMISSIONS | self.granted_permissions.get(user.id, 0)
        return permissions & ~self.denied_permissions.get(user.id, 0)

    @property
    def is_group(self) -> bool:
        return self.guild is None and len(self.recipients) > 1

    @property
    def type(self) -> ChannelType:
        if self.guild is None:
            return ChannelType.GROUP if self.is_group else ChannelType.PRIVATE
        if self.parent is None:
            usual = ChannelType.ANNOUNCEMENT if self.is_announcement else ChannelType.TEXT
            return ChannelType.FORUM if self.tags else usual
        return self.parent.thread_type

    @property
    def thread_type(self) -> ChannelType:
        return ChannelType.ANNOUNCEMENT_THREAD if self.is_announcement else ChannelType.PUBLIC_THREAD

    def location_json(self) -> Json:
        """The fields by which events name the channel."""
        guild = {} if self.guild is None else {"guild_id": str(self.guild.id)}
        return {"channel_id": str(self.id), **guild}

    def json(self) -> Json:
        payload: Json = {"id": str(self.id), "type": self.type}
        if self.guild is None:
            last = str(self.messages[-1].id) if self.messages else None
            recipients = [person.json() for person in self.recipients]
            payload |= {"last_message_id": last, "recipients": recipients, "flags": 0}
            if self.is_group:
                payload |= {"name": self.name, "icon": None, "owner_id": str(self.recipients[0].id)}
            return payload
        payload |= {"guild_id": str(self.guild.id), "name": self.name, **CONSTANT_FIELDS["guild channel"]}
        if self.parent is None and not self.bot_has_permission(VIEW_CHANNEL):
            overwrite = {"id": str(self.guild.id), "type": 0, "allow": "0", "deny": str(VIEW_CHANNEL)}
            hidden = {"name": HIDDEN_NAME, "flags": HIDDEN_FLAG, "permission_overwrites": [overwrite]}
            return {**payload, **CONSTANT_FIELDS["text channel"], **hidden}
        if self.parent is None:
            return {
                **payload,
                **CONSTANT_FIELDS["text channel"],
                **({"available_tags": _tags_json(self.tags)} if self.tags else {}),
                "permission_overwrites": [
                    {
                        "id": str(self.guild.id),
                        "type": 0,
                        "allow": str(self.bot_permissions & ~DEFAULT_PERMISSIONS),
                        "deny": str(DEFAULT_PERMISSIONS & ~self.bot_permissions),
                    }
                ],
            }
        return {
            **payload,
            "parent_id": str(self.parent.id),
            **({"applied_tags": list(map(str, self.tags.values()))} if self.tags else {}),
            "owner_id": str((self.owner or self.guild.members[0]).id),
            "message_count": len(self.messages),
            "member_count": 1,
            "total_message_sent": len(self.messages),
            "thread_metadata": {
                "archived": self.archived,
                "auto_archive_duration": 1440,
                "archive_timestamp": iso_now(),
                "locked": self.locked,
            },
        }

    def find_message(self, message_id: object) -> "Message | None":
        if not str(message_id).isdecimal():
            return None
        id_ = int(str(message_id))
        # From the end: nearly all edits are of recent messages.
        return next((m for m in reversed(self.messages) if m.id == id_ and not m.is_deleted), None)


@dataclass(slots=True)
class Message:
    id: int
    channel: Channel
    author: User
    content: str
    components: list[Json] = field(default_factory=list)
    flags: int = 0
    mentions: list[User] = field(default_factory=list)
    mention_roles: list[int] = field(default_factory=list)
    mention_everyone: bool = False
    reply_to_id: int | None = None
    nonce: str | None = None
    attachments: list[Json] = field(default_factory=list)
    previous_texts: list[str] = field(default_factory=list)
    edited_timestamp: str | None = None
    created_at: float = 0.0
    """By the stand-in's clock."""
    interaction: "Interaction | None" = None
    """The interaction it responds to."""
    is_deleted: bool = False
    reactions: list[str] = field(default_factory=list)
    """Of the bot."""
    ephemeral_to: int | None = None
    extra_fields: Json = field(default_factory=dict)

    @property
    def from_bot(self) -> bool:
        return self.author.is_bot

    @property
    def text(self) -> str:
        """What people read: the content, or the texts of the components. A mention of a command is its name."""
        components = all_components(self.components)
        texts = [each["content"] for each in components if each["type"] == ComponentType.TEXT_DISPLAY]
        return COMMAND_MENTION.sub(r"/\1", "\n".join(texts) or self.content)

    @property
    def items(self) -> list[Json]:
        """The buttons and menus."""
        return [component for component in all_components(self.components) if "custom_id" in component]

    @property
    def type(self) -> MessageType:
        interaction = self.interaction
        if (
            interaction is not None
            and interaction.type is InteractionType.APPLICATION_COMMAND
            and interaction.original_response is self
        ):
            return MessageType.CHAT_INPUT_COMMAND
        return MessageType.DEFAULT if self.reply_to_id is None else MessageType.REPLY

    def json(self, *, include_reply: bool = True) -> Json:
        payload: Json = {
            **CONSTANT_FIELDS["message"],
            "id": str(self.id),
            "channel_id": str(self.channel.id),
            "author": self.author.json(),
            "content": self.content,
            "timestamp": snowflake_time(self.id),
            "edited_timestamp": self.edited_timestamp,
            "mention_everyone": self.mention_everyone,
            "mentions": [person.json() for person in self.mentions],
            "mention_roles": [str(role_id) for role_id in self.mention_roles],
            "attachments": self.attachments,
            "type": self.type,
            "flags": self.flags,
            "components": normalise_components(self.components),
            **self.extra_fields,
        }
        if self.nonce is not None:
            payload["nonce"] = self.nonce
        if self.interaction is not None:
            application = str(self.author.id)
            payload |= {"application_id": application, "webhook_id": application}
            payload["interaction_metadata"] = self.interaction.json()
        if self.reply_to_id is not None:
            message_ids = {"message_id": str(self.reply_to_id), "channel_id": str(self.channel.id)}
            payload["message_reference"] = {"type": 0, **message_ids}
            target = self.channel.find_message(self.reply_to_id)
            if include_reply:
                payload["referenced_message"] = None if target is None else target.json(include_reply=False)
        return payload


@dataclass(slots=True)
class Interaction:
    id: int
    token: str
    user: User
    channel: Channel
    type: InteractionType
    created_at: float
    message: Message | None = None
    """The message whose component was used."""
    modal: Json | None = None
    """The form that the bot showed as its response."""
    trigger: "Interaction | None" = None
    """Whose response was the form that this interaction submits."""
    acknowledged_at: float | None = None
    original_response: Message | None = None
    responses: list[Message] = field(default_factory=list)
    choices: list[Json] | None = None
    followup_count: int = 0
    has_failed: bool = False
    """The client shows "The application did not respond"."""
    is_user_installed: bool = False

    def json(self) -> Json:
        home = "0" if self.channel.guild is None else str(self.channel.guild.id)
        payload: Json = {
            "id": str(self.id),
            "type": self.type,
            "user": self.user.json(),
            "authorizing_integration_owners": ({"1": str(self.user.id)} if self.is_user_installed else {"0": home}),
        }
        if self.message is not None:
            payload["interacted_message_id"] = str(self.message.id)
        if self.trigger is not None:
            payload["triggering_interaction_metadata"] = self.trigger.json()
        return payload


@dataclass(slots=True)
class Call(RecordedCall):
    method: str
    path: str
    query: Mapping[str, str]
    body: Any = None
    client_port: int = 0
    """Tells the connections of the bot apart."""
