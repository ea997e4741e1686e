"""The servers, channels and messages of a Discord, and what a bot is told of them."""

import asyncio
import base64
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TypeVar
from urllib.parse import quote

from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.limits import Buckets, Limits
from bots.sandbox.discord.rules import Refusal
from bots.sandbox.discord.world import (
    VIEW,
    WRITES,
    Call,
    Channel,
    Event,
    Fault,
    Guild,
    Interaction,
    Json,
    Message,
    Person,
    emoji_json,
    now,
    snowflake,
)

__all__ = ["Scene", "member_json"]

T = TypeVar("T")
RECORDS = 20_000
FILES = 200  # kept for whoever fetches them
OLD = 3600.0  # seconds
REACTIONS = 1 << 10 | 1 << 13  # intents: in servers, in direct messages


class Scene:
    """`faults` is asked before each REST call and may order one to fail."""

    def __init__(
        self,
        *,
        token: str | None = None,
        limits: Limits | None = None,
        message_content_allowed: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bot = Person(snowflake(), "Parley", bot=True)
        if token is None:
            token = f"{base64.b64encode(str(self.bot.id).encode()).decode().rstrip('=')}.sand.box"
        self.token = token
        self.application_id = self.bot.id
        self.api_base = self.gateway_url = ""
        self.faults: Callable[[Call], Fault | None] | None = None
        self.calls: deque[Call] = deque(maxlen=RECORDS)
        self.commands: list[Json] = []
        self.guild_commands: dict[str, list[Json]] = {}
        self.gateway = Gateway(
            token,
            message_content=message_content_allowed,
            welcome=self._welcome,
            changed=self.note,
            clock=clock,
        )
        self.channels: dict[str, Channel] = {}
        self.interactions: dict[str, Interaction] = {}
        self.guilds: list[Guild] = []
        self.people: dict[str, Person] = {}
        self.operator = self.person("Operator")
        self.files: dict[str, tuple[Json, bytes]] = {}
        self.clock = clock
        self.buckets = Buckets(limits or Limits(), clock)
        self._watchers: list[tuple[Channel, asyncio.Queue[Event]]] = []
        self._news: list[tuple[str, Guild | Channel]] = []
        self._changed = asyncio.Condition()

    @property
    def mention(self) -> str:
        return f"<@{self.bot.id}>"

    def person(self, name: str) -> Person:
        made = Person(snowflake(), name)
        self.people[str(made.id)] = made
        return made

    def guild(self, name: str, *people: Person, joined: bool = True) -> Guild:
        guild = Guild(snowflake(), name, list(people), joined=joined)
        self.guilds.append(guild)
        self._news.append(("GUILD_CREATE", guild))
        return guild

    def channel(self, guild: Guild, name: str) -> Channel:
        channel = Channel(snowflake(), name, guild)
        guild.channels.append(channel)
        self._news.append(("CHANNEL_CREATE", channel))
        return self._known(channel)

    def dm(self, person: Person) -> Channel:
        for channel in self.channels.values():
            if channel.guild is None and channel.people == [person]:
                return channel
        return self._known(Channel(snowflake(), person.name, None, None, [person]))

    def thread(
        self,
        channel: Channel,
        name: str,
        *,
        from_message: Message | None = None,
        owner: Person | None = None,
    ) -> Channel:
        """A public thread; one from a message has its id and begins with a word about it."""
        id_ = snowflake() if from_message is None else from_message.id
        thread = Channel(
            id_, name, channel.guild, channel, owner=None if owner is None else owner.id
        )
        if from_message is not None:
            from_message.thread = thread
            first = Message(snowflake(), thread, from_message.author, "", starter=from_message)
            first.at = self.clock()
            thread.messages.append(first)
        if channel.guild is not None:
            channel.guild.channels.append(thread)
        self._news.append(("THREAD_CREATE", thread))
        return self._known(thread)

    def _known(self, channel: Channel) -> Channel:
        self.channels[str(channel.id)] = channel
        return channel

    async def announce(self) -> None:
        """Tell the bot of guilds and channels made since, before anything happens there."""
        news, self._news = self._news, []
        for event, what in news:
            guild = what if isinstance(what, Guild) else what.guild
            if guild is None or not guild.joined:
                continue
            data = self.guild_json(what) if isinstance(what, Guild) else what.json()
            if event == "THREAD_CREATE":
                data["newly_created"] = True
            await self.gateway.dispatch(event, data, lambda data: data)

    async def delete(self, message: Message) -> None:
        message.deleted = True
        if message.ephemeral_to is not None:  # the bot is told of none of these
            await self.note(message.channel, Event("deleted", message))
            return
        where: Json = {"id": str(message.id), "channel_id": str(message.channel.id)}
        if message.channel.guild is not None:
            where["guild_id"] = str(message.channel.guild.id)
        await self.gateway.dispatch("MESSAGE_DELETE", where, lambda data: data)
        await self.note(message.channel, Event("deleted", message))

    async def react(self, who: Person, message: Message, emoji: str, *, on: bool = True) -> None:
        """Put a reaction under a message, or take it away."""
        await self.announce()
        people = message.reactions.setdefault(emoji, set())
        if on is (who.id in people):
            return
        (people.add if on else people.discard)(who.id)
        if not people:
            del message.reactions[emoji]
        channel = message.channel
        told: Json = {
            "user_id": str(who.id),
            "channel_id": str(channel.id),
            "message_id": str(message.id),
            "emoji": emoji_json(emoji),
            "type": 0,
            "burst": False,
        }
        if channel.guild is not None:
            told["guild_id"] = str(channel.guild.id)
        if on and channel.guild is not None:
            told["member"] = member_json(who)
        if on:
            told["message_author_id"] = str(message.author.id)
        if channel.may(VIEW):
            event = f"MESSAGE_REACTION_{'ADD' if on else 'REMOVE'}"
            await self.gateway.dispatch(event, told, lambda data: data, needs=REACTIONS)
        await self.note()

    def messages(self, channel: Channel) -> list[Message]:
        return [message for message in channel.messages if not message.deleted]

    def visible(self, channel: Channel, viewer: Person | None = None) -> str:
        """The channel as text; with `viewer` without what only others are shown."""
        return "\n".join(
            f"{message.author.name}: {message.content}"
            for message in self.messages(channel)
            if viewer is None or message.ephemeral_to in (None, viewer.id)
        )

    def spend_old_edit(self, message: Message) -> None:
        """Edits of messages older than an hour have a limit of their own. Raises `Refusal`."""
        if self.clock() - message.at < OLD:
            return
        spent = self.buckets.spend("old_edit", str(message.channel.id), overall=False)
        if spent is not None and spent.refused:
            said = "Maximum number of edits to messages older than 1 hour reached. Try again later"
            wait = {"retry_after": round(spent.retry_after, 3), "global": False}
            raise Refusal(429, 30046, said, **wait)

    async def wait(self, condition: Callable[[], T], timeout: float = 10) -> T:
        """What `condition` returns, once it is true; looked at whenever something changed."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                return await self._changed.wait_for(condition)
        except TimeoutError:
            shown = "\n".join(self.visible(channel)[-1500:] for channel in self.channels.values())
            raise TimeoutError(f"not within {timeout} s; the channels:\n{shown[-4000:]}") from None

    async def watch(self, channel: Channel) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event] = asyncio.Queue(1000)
        entry = (channel, queue)
        self._watchers.append(entry)
        try:
            while True:
                yield await queue.get()
        finally:
            self._watchers.remove(entry)

    async def note(self, channel: Channel | None = None, event: Event | None = None) -> None:
        for watched, queue in self._watchers:
            if event is not None and watched is channel and not queue.full():
                queue.put_nowait(event)
        async with self._changed:
            self._changed.notify_all()

    async def send_raw(self, event: str, data: Json) -> None:
        await self.gateway.dispatch(event, data, lambda data: data)

    async def tell(self, event: str, message: Message) -> None:
        """Dispatch a message to the bot, ephemeral ones apart, and to whoever watches."""
        if message.ephemeral_to is None:
            data = message.json()
            guild = message.channel.guild
            if guild is not None:
                data |= {
                    "guild_id": str(guild.id),
                    "member": member_json(message.author, bare=True),
                }
            if message.channel.may(VIEW):
                await self.gateway.dispatch(event, data, self._blank)
        kind = "sent" if event == "MESSAGE_CREATE" else "edited"
        await self.note(message.channel, Event(kind, message))

    def _blank(self, data: Json) -> Json:
        """Without the intent a bot sees what is meant for it: DMs, mentions, its own."""
        mine = data["author"]["id"] == str(self.bot.id)
        named = any(user["id"] == str(self.bot.id) for user in data["mentions"])
        if "guild_id" not in data or mine or named:
            return data
        hidden: Json = {"content": "", "attachments": [], "components": [], "embeds": []}
        return {**data, **hidden}

    def _welcome(self) -> tuple[Json, list[Json]]:
        joined = [guild for guild in self.guilds if guild.joined]
        ready = {
            "v": 10,
            "user": {
                **self.bot.json(), "verified": True, "mfa_enabled": False, "email": None,
                "flags": 0,
            },
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in joined],
            "application": {"id": str(self.application_id), "flags": 0, "flags_new": "0"},
        }  # fmt: skip
        return ready, [self.guild_json(guild) for guild in joined]

    def guild_json(self, guild: Guild) -> Json:
        everyone = {
            "id": str(guild.id), "name": "@everyone", "permissions": str(WRITES), "position": 0,
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False, "managed": False, "mentionable": False, "flags": 0,
            "icon": None, "unicode_emoji": None,
        }  # fmt: skip
        plain = [channel.json() for channel in guild.channels if channel.parent is None]
        return {
            "id": str(guild.id),
            "name": guild.name,
            "owner_id": str(guild.members[0].id if guild.members else self.bot.id),
            "roles": [everyone],
            "members": [member_json(self.bot)],
            "channels": plain,
            "threads": [c.json() for c in guild.channels if c.parent is not None],
            "emojis": [], "stickers": [], "features": [], "presences": [], "voice_states": [],
            "stage_instances": [], "guild_scheduled_events": [], "soundboard_sounds": [],
            "member_count": len(guild.members) + 1, "unavailable": False, "large": False,
            "joined_at": now(), "icon": None, "splash": None, "discovery_splash": None,
            "afk_channel_id": None, "afk_timeout": 300, "verification_level": 0,
            "default_message_notifications": 0, "explicit_content_filter": 0, "mfa_level": 0,
            "application_id": None, "system_channel_id": None, "system_channel_flags": 0,
            "rules_channel_id": None, "vanity_url_code": None, "description": None,
            "banner": None, "premium_tier": 0, "preferred_locale": "en-US",
            "public_updates_channel_id": None, "nsfw_level": 0, "nsfw": False,
            "premium_progress_bar_enabled": False, "safety_alerts_channel_id": None,
            "incidents_data": None, "region": "", "hub_type": None,
        }  # fmt: skip

    def keep(self, name: str, content: bytes, kind: str) -> Json:
        """A file that can be fetched from now on, as an attachment."""
        made = str(snowflake())
        at = self.api_base.removesuffix("/api/v10")
        url = f"{at}/attachments/{made}/{quote(name)}"
        about: Json = {
            "id": made, "filename": name, "size": len(content), "content_type": kind, "url": url,
            "proxy_url": url,
        }  # fmt: skip
        self.files[made] = (about, content)
        if len(self.files) > FILES:
            del self.files[next(iter(self.files))]
        return about

    def about(self, made: str) -> Json:
        """An attachment that was kept, by its id."""
        return self.files[made][0]


def member_json(person: Person, *, bare: bool = False) -> Json:
    member = {
        "roles": [], "flags": 0, "joined_at": now(), "deaf": False, "mute": False, "nick": None,
        "avatar": None, "premium_since": None, "pending": False, "banner": None,
        "communication_disabled_until": None,
    }  # fmt: skip
    return member if bare else {**member, "user": person.json()}
