"""The server: REST over HTTP beside the gateway, and people who use the channels."""

import asyncio
import base64
import contextlib
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

from aiohttp import web

from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.limits import Buckets, Limits
from bots.sandbox.discord.rest import Rest
from bots.sandbox.discord.rules import Refusal, fields_of
from bots.sandbox.discord.wire import Wire
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

__all__ = ["DiscordStandIn"]

T = TypeVar("T")
RECORDS = 20_000
INTERACTIONS = 5_000  # kept in mind
INVALID_FOR = 600.0  # seconds
OLD = 3600.0  # seconds
REACTIONS = 1 << 10 | 1 << 13  # intents: in servers, in direct messages
ATTACHMENT = 11  # a command's option that takes a file
ACKNOWLEDGE = 3.0  # seconds
REGISTERS = 3.0  # seconds within which a bot has commands


class DiscordStandIn:
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
        self.clock = clock
        self._buckets = Buckets(limits or Limits(), clock)
        self._wire = Wire(self, Rest(self), self._buckets)
        self._watchers: list[tuple[Channel, asyncio.Queue[Event]]] = []
        self._news: list[tuple[str, Guild | Channel]] = []
        self._changed = asyncio.Condition()
        self._late: dict[int, asyncio.TimerHandle] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(client_max_size=30 * 1024 * 1024)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        app.router.add_route("*", "/api/v10/{path:.*}", self._wire.serve)
        app.router.add_get("/attachments/{id}/{name}", self._wire.fetch)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        at = f"{host}:{self._runner.addresses[0][1]}"
        self.api_base, self.gateway_url = f"http://{at}/api/v10", f"ws://{at}/gateway"
        self.gateway.url = self.gateway_url

    async def close(self) -> None:
        for timer in self._late.values():
            timer.cancel()
        if self._runner is not None:
            await self._runner.cleanup()

    async def ready(self, timeout: float = 10) -> None:
        """A session of the bot is connected."""
        await self.wait(lambda: self.gateway.connected, timeout)

    # -- people

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

    async def permit(self, channel: Channel, permissions: int) -> None:
        """Change what the bot may do in a channel."""
        await self.announce()
        channel.permissions = permissions
        if channel.parent is None and channel.guild is not None and channel.guild.joined:
            await self.gateway.dispatch("CHANNEL_UPDATE", channel.json(), lambda data: data)

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

    async def say(
        self,
        person: Person,
        channel: Channel,
        content: str,
        *,
        reply_to: Message | None = None,
        ping: bool = True,
        attachments: list[Json] | None = None,
    ) -> Message:
        await self.announce()
        message = Message(snowflake(), channel, person, content, attachments=attachments or [])
        message.at = self.clock()
        if self.mention in content:
            message.mentions.append(self.bot)
        if reply_to is not None:
            message.reference = reply_to.id
            if ping and reply_to.author is self.bot and self.bot not in message.mentions:
                message.mentions.append(self.bot)
        channel.messages.append(message)
        await self.tell("MESSAGE_CREATE", message)
        return message

    async def send_file(
        self,
        person: Person,
        channel: Channel,
        name: str,
        content: bytes,
        *,
        text: str = "",
        media_type: str = "application/octet-stream",
    ) -> Message:
        """A message with a file, which whoever knows its address can fetch."""
        kept = self._wire.keep(name, content, media_type)
        return await self.say(person, channel, text, attachments=[kept])

    async def edit(self, person: Person, message: Message, content: str) -> None:
        if message.author is not person:
            raise ValueError("somebody else's message")
        message.edits.append(message.content)
        message.content, message.edited = content, now()
        await self.tell("MESSAGE_UPDATE", message)

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
            told["member"] = self.member_json(who)
        if on:
            told["message_author_id"] = str(message.author.id)
        if channel.may(VIEW):
            event = f"MESSAGE_REACTION_{'ADD' if on else 'REMOVE'}"
            await self.gateway.dispatch(event, told, lambda data: data, needs=REACTIONS)
        await self.note()

    async def slash(
        self,
        person: Person,
        channel: Channel,
        name: str,
        /,
        *,
        user_installed: bool = False,
        **options: str | float,
    ) -> Interaction:
        """Use a command. Raises `ValueError` when the bot registered none like it."""
        command = await self._command(name, options, channel)
        types = {option["name"]: option["type"] for option in command["options"]}
        given = [{"name": k, "type": types[k], "value": v} for k, v in options.items()]
        data: Json = {"id": command["id"], "name": name, "type": 1, "options": given}
        files = [v for k, v in options.items() if types[k] == ATTACHMENT]
        if files:
            data["resolved"] = {"attachments": {str(v): self._wire.about(str(v)) for v in files}}
        return await self._interact(2, person, channel, data, guest=user_installed)

    def upload(
        self, name: str, content: bytes, media_type: str = "application/octet-stream"
    ) -> str:
        """A file for an option of a command; the option's value."""
        return str(self._wire.keep(name, content, media_type)["id"])

    async def _command(
        self, name: str, options: dict[str, Any], channel: Channel, *, partial: bool = False
    ) -> Json:
        # A bot may register while it connects; a person sees commands only then.
        with contextlib.suppress(TimeoutError):
            await self.wait(lambda: self.commands or self.guild_commands, REGISTERS)
        local = [] if channel.guild is None else self.guild_commands.get(str(channel.guild.id), [])
        command = next((c for c in [*local, *self.commands] if c["name"] == name), None)
        if command is None:
            raise ValueError(f"no command {name!r}")
        known = {option["name"]: option for option in command.get("options") or []}
        missing = [n for n, o in known.items() if o.get("required") and n not in options]
        if (missing and not partial) or not options.keys() <= known.keys():
            raise ValueError(f"{name}: options {sorted(options)} do not fit {sorted(known)}")
        for key, value in options.items():
            allowed = [choice["value"] for choice in known[key].get("choices") or []]
            if allowed and value not in allowed:
                raise ValueError(f"{name}: {key} is one of {allowed}, not {value!r}")
        return command

    async def autocomplete(
        self,
        person: Person,
        channel: Channel,
        name: str,
        option: str,
        current: str,
        **others: str | float,
    ) -> list[Json]:
        """What is offered while `option` is typed; `others` are filled in already."""
        given = {**others, option: current}
        command = await self._command(name, given, channel, partial=True)
        types = {one["name"]: one["type"] for one in command["options"]}
        typed: list[Json] = [{"name": k, "type": types[k], "value": v} for k, v in given.items()]
        typed[-1]["focused"] = True
        data = {"id": command["id"], "name": name, "type": 1, "options": typed}
        asked = await self._interact(4, person, channel, data)
        await self.wait(lambda: asked.choices is not None, ACKNOWLEDGE)
        return asked.choices or []

    async def submit(
        self, person: Person, shown: Interaction, values: dict[str, str]
    ) -> Interaction:
        """Fill in the form that `shown` was answered with."""
        if shown.modal is None or shown.person is not person:
            raise ValueError("no form to fill in")
        fields = fields_of(shown.modal)
        if not values.keys() <= {one["custom_id"] for one in fields}:
            raise ValueError(f"the form has no {sorted(values)}")
        rows: list[Json] = []
        for one in fields:
            value = values.get(one["custom_id"], one.get("value") or "")
            least = one.get("min_length", 1 if one.get("required", True) else 0)
            if (value or one.get("required", True)) and not (
                least <= len(value) <= one.get("max_length", 4000)
            ):
                raise ValueError(f"{one['custom_id']!r} does not take {len(value)} characters")
            answer = {"type": 4, "id": len(rows) + 1, "custom_id": one["custom_id"], "value": value}
            rows.append({"type": 1, "id": len(rows) + 101, "components": [answer]})
        data = {"custom_id": shown.modal["custom_id"], "components": rows}
        form = await self._interact(
            5, person, shown.channel, data,
            message=shown.message, guest=shown.guest, trigger=shown,
        )  # fmt: skip
        shown.modal = None
        return form

    async def press(self, person: Person, message: Message, custom_id: str) -> Interaction:
        return await self._component(person, message, custom_id, 2, {})

    async def select(
        self, person: Person, message: Message, custom_id: str, values: list[str]
    ) -> Interaction:
        return await self._component(person, message, custom_id, 3, {"values": values})

    async def _component(
        self, person: Person, message: Message, custom_id: str, kind: int, more: Json
    ) -> Interaction:
        items = [item for row in message.components for item in row["components"]]
        item = next((item for item in items if item.get("custom_id") == custom_id), None)
        if item is None or item["type"] != kind or item.get("disabled") or message.deleted:
            raise ValueError(f"no component {custom_id!r} to use")
        if message.ephemeral_to not in (None, person.id):
            raise ValueError(f"{person.name} does not see this message")
        values, least = more.get("values", []), item.get("min_values", 1)
        offered = [option["value"] for option in item.get("options", [])]
        if kind == 3 and not least <= len(values) <= item.get("max_values", 1):
            raise ValueError(f"{len(values)} values are not what {custom_id!r} takes")
        if not set(values) <= set(offered):
            raise ValueError(f"{custom_id!r} offers {offered}, not {values}")
        data = {"custom_id": custom_id, "component_type": kind, **more}
        return await self._interact(3, person, message.channel, data, message=message)

    async def _interact(
        self,
        kind: int,
        person: Person,
        channel: Channel,
        data: Json,
        *,
        message: Message | None = None,
        guest: bool = False,
        trigger: Interaction | None = None,
    ) -> Interaction:
        await self.announce()
        made = Interaction(
            snowflake(), uuid.uuid4().hex, person, channel, kind, self.clock(), message, guest=guest
        )
        made.trigger = trigger
        self.interactions[made.token] = made
        if len(self.interactions) > INTERACTIONS:
            del self.interactions[next(iter(self.interactions))]
        guild = channel.guild
        shown: Json = {
            "id": str(made.id),
            "application_id": str(self.application_id),
            "type": kind,
            "token": made.token,
            "version": 1,
            "channel_id": str(channel.id),
            "channel": channel.json(),
            "data": data,
            "app_permissions": str(VIEW if guest else channel.permissions),
            "locale": "en-US",
            "entitlements": [],
            "attachment_size_limit": 10_485_760,
            "authorizing_integration_owners": made.json()["authorizing_integration_owners"],
            "context": 1 if guild is None else 0,
        }
        if guild is None:
            shown["user"] = person.json()
        else:
            shown |= {
                "guild_id": str(guild.id),
                "guild_locale": "en-US",
                "guild": {"id": str(guild.id), "locale": "en-US", "features": []},
                "member": {**_member(person), "permissions": str(person.permissions)},
            }
        if message is not None:
            shown["message"] = message.json()
        timer = asyncio.get_running_loop().call_later(ACKNOWLEDGE, self._missed, made)
        self._late[made.id] = timer
        await self.gateway.dispatch("INTERACTION_CREATE", shown, lambda data: data)
        await self.note()
        return made

    def _missed(self, interaction: Interaction) -> None:
        del self._late[interaction.id]
        if interaction.acknowledged_at is None:
            interaction.late = True
            telling = asyncio.get_running_loop().create_task(self.note())
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

    # -- looking

    def messages(self, channel: Channel) -> list[Message]:
        return [message for message in channel.messages if not message.deleted]

    def refused(self, status: int = 429) -> list[Call]:
        return [call for call in self.calls if call.status == status]

    def visible(self, channel: Channel, viewer: Person | None = None) -> str:
        """The channel as text; with `viewer` without what only others are shown."""
        return "\n".join(
            f"{message.author.name}: {message.content}"
            for message in self.messages(channel)
            if viewer is None or message.ephemeral_to in (None, viewer.id)
        )

    @property
    def invalid_requests(self) -> int:
        """Of the last ten minutes: Discord shuts out who makes 10,000 of them."""
        since = self.clock() - INVALID_FOR
        return sum(call.status in (401, 403, 429) and call.time > since for call in self.calls)

    def spend_old_edit(self, message: Message) -> None:
        """Edits of messages older than an hour have a limit of their own. Raises `Refusal`."""
        if self.clock() - message.at < OLD:
            return
        spent = self._buckets.spend("old_edit", str(message.channel.id), overall=False)
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

    # -- faults of the gateway

    async def force_reconnect(self) -> None:
        await self.gateway.reconnect()

    async def invalidate_session(self, *, resumable: bool = False) -> None:
        await self.gateway.invalidate(resumable=resumable)

    def go_silent(self) -> None:
        """The connection stays open and carries nothing more, until the bot makes a new one."""
        self.gateway.go_silent()

    def refuse_connections(self, count: int, status: int = 503) -> None:
        self.gateway.refusing, self.gateway.refusing_with = count, status

    async def send_raw(self, event: str, data: Json) -> None:
        await self.gateway.dispatch(event, data, lambda data: data)

    # -- the wire

    async def tell(self, event: str, message: Message) -> None:
        """Dispatch a message to the bot, ephemeral ones apart, and to whoever watches."""
        if message.ephemeral_to is None:
            data = message.json()
            guild = message.channel.guild
            if guild is not None:
                data |= {"guild_id": str(guild.id), "member": _member(message.author, bare=True)}
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
            "members": [_member(self.bot)],
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

    def member_json(self, person: Person) -> Json:
        return _member(person)


def _member(person: Person, *, bare: bool = False) -> Json:
    member = {
        "roles": [], "flags": 0, "joined_at": now(), "deaf": False, "mute": False, "nick": None,
        "avatar": None, "premium_since": None, "pending": False, "banner": None,
        "communication_disabled_until": None,
    }  # fmt: skip
    return member if bare else {**member, "user": person.json()}
