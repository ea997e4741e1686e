"""The guilds, channels and messages, and the events about them that the bot gets."""

import base64
from collections.abc import Sequence
from urllib.parse import quote

from bots.sandbox.discord.errors import rate_limited
from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.limits import Limits, RateLimitBuckets
from bots.sandbox.discord.state import (
    CONSTANT_FIELDS,
    DEFAULT_PERMISSIONS,
    VIEW_CHANNEL,
    Call,
    Channel,
    Guild,
    Interaction,
    Message,
    User,
    iso_now,
    next_snowflake,
)
from bots.sandbox.stand_in import ChatEvent, ChatEventKind, ChatStandIn, Json
from core.bounded_dict import BoundedDict
from core.clock import Clock, SystemClock

MAX_FILES = 200
MAX_INTERACTIONS = 5_000
OLD_MESSAGE_SECONDS = 3600.0
ACKNOWLEDGE_SECONDS = 3.0
"""A bot must respond to an interaction within this time."""


class Backend(ChatStandIn[Channel, Message, Call]):
    def __init__(
        self,
        *,
        token: str | None = None,
        limits: Limits | None = None,
        message_content_allowed: bool = True,
        clock: Clock = SystemClock(),
    ) -> None:
        super().__init__(clock)
        self.bot = User(next_snowflake(), "Parley", is_bot=True)
        if token is None:
            token = f"{base64.b64encode(str(self.bot.id).encode()).decode().rstrip('=')}.sand.box"
        self.token = token
        self.application_id = self.bot.id
        self.gateway_url = ""
        self.commands: list[Json] = []
        self.knows_cards = True
        """Whether messages may have the flag for components V2."""
        self.gateway = Gateway(
            token,
            message_content_allowed=message_content_allowed,
            ready_payload=self._ready_payload,
            on_change=self.notify_waiters,
            clock=clock,
        )
        self.channels: dict[str, Channel] = {}
        self.interactions: BoundedDict[str, Interaction] = BoundedDict(MAX_INTERACTIONS)
        self.guilds: list[Guild] = []
        self.interactions_endpoint_url: str | None = None
        self.users: dict[str, User] = {}
        self.owner = self.create_user("Operator")
        self.files: BoundedDict[str, tuple[Json, bytes]] = BoundedDict(MAX_FILES)
        self.attachment_expiry = 1_800_000_000
        self.rate_limits = RateLimitBuckets(limits or Limits(), clock)
        self._pending_dispatches: list[tuple[str, Guild | Channel]] = []

    @property
    def mention(self) -> str:
        return f"<@{self.bot.id}>"

    def create_user(self, name: str) -> User:
        user = User(next_snowflake(), name)
        self.users[str(user.id)] = user
        return user

    def create_guild(self, name: str, *members: User, has_bot: bool = True) -> Guild:
        guild = Guild(next_snowflake(), name, list(members), has_bot=has_bot)
        self.guilds.append(guild)
        self._pending_dispatches.append(("GUILD_CREATE", guild))
        return guild

    async def add_bot(self, guild: Guild) -> None:
        """Somebody adds the bot to a guild that it was not in."""
        await self.dispatch_pending()
        guild.has_bot = True
        joined = {name: value for name, value in self.guild_json(guild).items() if name != "unavailable"}
        await self.gateway.dispatch("GUILD_CREATE", joined)

    def create_role(self, guild: Guild, *members: User) -> int:
        """Create a role before the bot hears of the guild. Returns its ID."""
        role_id = next_snowflake()
        guild.roles[role_id] = list(members)
        return role_id

    def create_channel(self, guild: Guild, name: str) -> Channel:
        channel = Channel(next_snowflake(), name, guild)
        guild.channels.append(channel)
        self._pending_dispatches.append(("CHANNEL_CREATE", channel))
        return self._add_channel(channel)

    def open_dm(self, user: User) -> Channel:
        for channel in self.channels.values():
            if channel.guild is None and channel.recipients == [user]:
                return channel
        return self._add_channel(Channel(next_snowflake(), user.name, None, None, [user]))

    def create_group(self, name: str, *members: User) -> Channel:
        """A group chat of people, in which the bot is only used as an application they installed."""
        return self._add_channel(Channel(next_snowflake(), name, recipients=list(members)))

    def create_forum(self, guild: Guild, name: str, tags: list[str]) -> Channel:
        forum = self.create_channel(guild, name)
        forum.tags = {tag: next_snowflake() for tag in tags}
        return forum

    def create_thread(
        self,
        channel: Channel,
        name: str,
        starter: "Message | None" = None,
        tags: Sequence[str] = (),
        *,
        owner: User | None = None,
    ) -> Channel:
        """A public thread, by default of the guild's owner. `starter` is the channel's message that it begins with."""
        thread = Channel(starter.id if starter else next_snowflake(), name, channel.guild, channel, owner=owner)
        thread.tags = {tag: channel.tags[tag] for tag in tags}
        if channel.guild is not None:
            channel.guild.channels.append(thread)
        self._pending_dispatches.append(("THREAD_CREATE", thread))
        return self._add_channel(thread)

    def _add_channel(self, channel: Channel) -> Channel:
        self.channels[str(channel.id)] = channel
        return channel

    async def dispatch_pending(self) -> None:
        """Announce new guilds and channels to the bot, before anything happens there."""
        pending, self._pending_dispatches = self._pending_dispatches, []
        for event, source in pending:
            guild = source if isinstance(source, Guild) else source.guild
            if guild is None or not guild.has_bot:
                continue
            if isinstance(source, Channel) and source.parent and not source.bot_has_permission(VIEW_CHANNEL):
                continue
            data = self.guild_json(source) if isinstance(source, Guild) else source.json()
            if event == "THREAD_CREATE":
                data["newly_created"] = True
            await self.gateway.dispatch(event, data)

    async def delete_message(self, message: Message) -> None:
        message.is_deleted = True
        if message.ephemeral_to is None:  # Discord sends bots no events for the others
            payload = {"id": str(message.id), **message.channel.location_json()}
            await self.gateway.dispatch("MESSAGE_DELETE", payload)
        self.publish(message.channel, ChatEvent(ChatEventKind.DELETED, message))

    def messages(self, channel: Channel) -> list[Message]:
        return [message for message in channel.messages if not message.is_deleted]

    def transcript(self, channel: Channel, viewer: User | None = None) -> str:
        """The channel as text. With `viewer`, without messages that only others see."""
        return "\n".join(
            f"{message.author.name}: {message.text}"
            for message in self.messages(channel)
            if viewer is None or message.ephemeral_to in (None, viewer.id)
        )

    def consume_old_edit_limit(self, message: Message) -> None:
        """Count an edit of an old message. Raises `ApiError` for one too many."""
        if self.clock.monotonic() - message.created_at < OLD_MESSAGE_SECONDS:
            return
        usage = self.rate_limits.count("old_edit", str(message.channel.id))
        if usage is not None and usage.is_exceeded:
            message_text = "Maximum number of edits to messages older than 1 hour reached. Try again later"
            raise rate_limited(usage.retry_after, code=30046, message=message_text)

    def _transcripts(self) -> list[str]:
        return [self.transcript(channel)[-1500:] for channel in self.channels.values()]

    async def dispatch_message(self, event: str, message: Message) -> None:
        """Send an event about a message to the bot, unless it is ephemeral, and to the watchers."""
        if message.ephemeral_to is None:
            data = message.json()
            guild = message.channel.guild
            if guild is not None:
                data |= {"guild_id": str(guild.id), "member": member_json(message.author, guild, bare=True)}
            if message.channel.bot_has_permission(VIEW_CHANNEL):
                await self.gateway.dispatch(event, data, self._without_content)
        kind = ChatEventKind.SENT if event == "MESSAGE_CREATE" else ChatEventKind.EDITED
        self.publish(message.channel, ChatEvent(kind, message))

    def _without_content(self, data: Json) -> Json:
        """A message as a bot without the message content intent sees it: direct messages, mentions of
        the bot and its own messages are complete.
        """
        is_own = data["author"]["id"] == str(self.bot.id)
        mentions_bot = any(user["id"] == str(self.bot.id) for user in data["mentions"])
        if "guild_id" not in data or is_own or mentions_bot:
            return data
        return {**data, "content": "", "attachments": [], "components": [], "embeds": []}

    def _ready_payload(self) -> tuple[Json, list[Json]]:
        joined = [guild for guild in self.guilds if guild.has_bot]
        ready = {
            "v": 10,
            "user": {**self.bot.json(), **CONSTANT_FIELDS["own user"]},
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in joined],
            "application": {"id": str(self.application_id), "flags": 0, "flags_new": "0"},
        }
        return ready, [self.guild_json(guild) for guild in joined]

    def guild_json(self, guild: Guild) -> Json:
        everyone = {
            **CONSTANT_FIELDS["role"],
            "id": str(guild.id),
            "name": "@everyone",
            "permissions": str(DEFAULT_PERMISSIONS),
        }
        bot_role = {**everyone, "id": str(guild.bot_role_id), "name": self.bot.name, "permissions": "0", "position": 1}
        bot_role |= {"managed": True, "tags": {"bot_id": str(self.bot.id)}}
        roles = [{**everyone, "id": str(role_id), "name": f"role {role_id}"} for role_id in guild.roles]
        return {
            **CONSTANT_FIELDS["guild"],
            "id": str(guild.id),
            "name": guild.name,
            "owner_id": str(guild.members[0].id if guild.members else self.bot.id),
            "roles": [everyone, bot_role, *roles],
            "members": [member_json(self.bot)],
            "channels": [channel.json() for channel in guild.channels if channel.parent is None],
            "threads": [
                channel.json()
                for channel in guild.channels
                if channel.parent is not None and channel.bot_has_permission(VIEW_CHANNEL)
            ],
            "member_count": len(guild.members) + 1,
            "joined_at": iso_now(),
        }

    def add_attachment(self, name: str, content: bytes, content_type: str) -> Json:
        """Store a file for download. Returns its attachment."""
        attachment_id = str(next_snowflake())
        url = self._attachment_url(attachment_id, name)
        attachment: Json = {
            "id": attachment_id,
            "filename": name,
            "size": len(content),
            "content_type": content_type,
            "url": url,
            "proxy_url": url,
        }
        self.files[attachment_id] = (attachment, content)
        return attachment

    def _attachment_url(self, attachment_id: str, name: str) -> str:
        base = self.api_base.removesuffix("/api/v10")
        return f"{base}/attachments/{attachment_id}/{quote(name)}?ex={self.attachment_expiry:x}"

    def expire_attachment_urls(self) -> None:
        """A day passes: messages get new URLs, and the old ones are refused."""
        self.attachment_expiry += 86_400
        for attachment, _ in self.files.values():
            url = self._attachment_url(attachment["id"], attachment["filename"])
            attachment |= {"url": url, "proxy_url": url}

    def file_contents(self, message: Message) -> list[bytes]:
        """Of the message's attachments."""
        return [self.files[attachment["id"]][1] for attachment in message.attachments]


def member_json(user: User, guild: Guild | None = None, *, bare: bool = False) -> Json:
    roles = guild.role_ids(user) if guild else []
    member = {**CONSTANT_FIELDS["member"], "joined_at": iso_now(), "roles": roles}
    return member if bare else {**member, "user": user.json()}
