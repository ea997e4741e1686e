"""The server: REST over HTTP beside the gateway, and people who use the channels."""

import asyncio
import base64
import contextlib
import re
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from bots.sandbox.discord.gateway import Gateway
from bots.sandbox.discord.limits import Buckets, Limits
from bots.sandbox.discord.rest import Rest
from bots.sandbox.discord.rules import Refusal, check_files, invalid
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
    now,
    snowflake,
)

__all__ = ["DiscordStandIn"]

T = TypeVar("T")
RECORDS = 20_000
INTERACTIONS = 5_000  # kept in mind
FILES = 200  # kept for whoever fetches them
ACKNOWLEDGE = 3.0  # seconds
REGISTERS = 3.0  # seconds within which a bot has commands


class _Dropped(Exception):  # noqa: N818 (no error: ordered by a test)
    """The connection has been ended without an answer."""


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
        self.gateway = Gateway(
            token,
            message_content=message_content_allowed,
            welcome=self._welcome,
            changed=self.note,
        )
        self.channels: dict[str, Channel] = {}
        self.interactions: dict[str, Interaction] = {}
        self.guilds: list[Guild] = []
        self.people: dict[str, Person] = {}
        self.operator = self.person("Operator")
        self.clock = clock
        self._buckets = Buckets(limits or Limits(), clock)
        self._rest = Rest(self)
        self._watchers: list[tuple[Channel, asyncio.Queue[Event]]] = []
        self._news: list[tuple[str, Guild | Channel]] = []
        self._changed = asyncio.Condition()
        self._late: dict[int, asyncio.TimerHandle] = {}
        self._telling: set[asyncio.Task[None]] = set()
        self._files: dict[str, tuple[str, bytes]] = {}
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        app = web.Application(client_max_size=30 * 1024 * 1024)
        app.router.add_get("/gateway", self.gateway.serve)
        app.router.add_get("/gateway/", self.gateway.serve)
        app.router.add_route("*", "/api/v10/{path:.*}", self._serve)
        app.router.add_get("/attachments/{id}/{name}", self._fetch)
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

    def thread(self, channel: Channel, name: str) -> Channel:
        thread = Channel(snowflake(), name, channel.guild, channel)
        if channel.guild is not None:
            channel.guild.channels.append(thread)
        self._news.append(("THREAD_CREATE", thread))
        return self._known(thread)

    async def permit(self, channel: Channel, permissions: int) -> None:
        """Change what the bot may do in a channel."""
        await self._announce()
        channel.permissions = permissions
        if channel.parent is None and channel.guild is not None and channel.guild.joined:
            await self.gateway.dispatch("CHANNEL_UPDATE", channel.json(), lambda data: data)

    def _known(self, channel: Channel) -> Channel:
        self.channels[str(channel.id)] = channel
        return channel

    async def _announce(self) -> None:
        """Tell the bot of guilds and channels made since, before anything happens there."""
        news, self._news = self._news, []
        for event, what in news:
            guild = what if isinstance(what, Guild) else what.guild
            if guild is None or not guild.joined:
                continue
            data = self._guild(what) if isinstance(what, Guild) else what.json()
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
        await self._announce()
        message = Message(snowflake(), channel, person, content, attachments=attachments or [])
        if self.mention in content:
            message.mentions.append(self.bot)
        if reply_to is not None:
            message.reference = reply_to.id
            if ping and reply_to.author is self.bot and self.bot not in message.mentions:
                message.mentions.append(self.bot)
        channel.messages.append(message)
        await self.tell("MESSAGE_CREATE", message)
        return message

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
        command = await self._command(name, options)
        types = {option["name"]: option["type"] for option in command["options"]}
        given = [{"name": k, "type": types[k], "value": v} for k, v in options.items()]
        data = {"id": command["id"], "name": name, "type": 1, "options": given}
        return await self._interact(2, person, channel, data, guest=user_installed)

    async def _command(self, name: str, options: dict[str, Any], *, partial: bool = False) -> Json:
        # A bot may register while it connects; a person sees commands only then.
        with contextlib.suppress(TimeoutError):
            await self.wait(lambda: self.commands, REGISTERS)
        command = next((c for c in self.commands if c["name"] == name), None)
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
        self, person: Person, channel: Channel, name: str, option: str, current: str
    ) -> list[Json]:
        command = await self._command(name, {option: current}, partial=True)
        data = {
            "id": command["id"], "name": name, "type": 1,
            "options": [{"name": option, "type": 3, "value": current, "focused": True}],
        }  # fmt: skip
        asked = await self._interact(4, person, channel, data)
        await self.wait(lambda: asked.choices is not None, ACKNOWLEDGE)
        return asked.choices or []

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
    ) -> Interaction:
        await self._announce()
        made = Interaction(
            snowflake(), uuid.uuid4().hex, person, channel, kind, self.clock(), message, guest=guest
        )
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
                "member": {**_member(person), "permissions": str(WRITES)},
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

    def visible(self, channel: Channel) -> str:
        return "\n".join(f"{m.author.name}: {m.content}" for m in self.messages(channel))

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
        return ready, [self._guild(guild) for guild in joined]

    def _guild(self, guild: Guild) -> Json:
        everyone = {
            "id": str(guild.id), "name": "@everyone", "permissions": str(WRITES), "position": 0,
            "color": 0,
            "colors": {"primary_color": 0, "secondary_color": None, "tertiary_color": None},
            "hoist": False, "managed": False, "mentionable": False, "flags": 0,
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

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"].strip("/")
        call = Call(request.method, f"/{path}", None, self.clock())
        self.calls.append(call)
        headers = {"Via": "1.1 stand-in"}
        fault: Fault | None = None
        try:
            call.body = await self._body(request)
            fault = self.faults(call) if self.faults is not None else None
            if fault is not None:
                await _before(fault, request)
            hook = path.startswith(("interactions/", "webhooks/"))
            if not hook and request.headers.get("Authorization") != f"Bot {self.token}":
                raise Refusal(401, 0, "401: Unauthorized")
            spent = self._buckets.spend(*_bucket(request.method, path))
            if spent is not None:
                headers |= spent.headers
                if spent.refused:
                    wait = {"retry_after": round(spent.retry_after, 3), "global": spent.everywhere}
                    if spent.everywhere:
                        headers["X-RateLimit-Global"] = "true"
                    headers["Retry-After"] = str(max(1, round(spent.retry_after)))
                    raise Refusal(429, 0, "You are being rate limited.", **wait)
            result = await self._rest.answer(request, path.split("/"), call.body)
            call.status = 204 if result is None else 200
            if fault is not None and fault.kind == "drop_after":
                _drop(request)
        except Refusal as refusal:
            call.status, result = refusal.status, refusal.body
        except _Dropped:
            await self.note()
            return web.Response()  # to nobody
        call.result = result
        await self.note()
        if result is None:
            return web.Response(status=204, headers=headers)
        # Exactly this type: discord.py takes anything else for text.
        headers["Content-Type"] = "application/json"
        return web.Response(body=msgspec.json.encode(result), status=call.status, headers=headers)

    async def _body(self, request: web.Request) -> Any:
        try:
            if request.content_type.startswith("multipart/"):
                form = await request.post()
                body = msgspec.json.decode(str(form.get("payload_json", "{}")))
                self._attach(body, {k: v for k, v in form.items() if isinstance(v, web.FileField)})
                return body
            raw = await request.read()
            body = msgspec.json.decode(raw) if raw else {}
        except msgspec.DecodeError:
            raise Refusal(400, 50109, "The request body contains invalid JSON.") from None
        if not isinstance(body, dict) and not request.path.endswith("/commands"):
            said = "Only dictionaries may be used in a DictType"
            raise invalid("_body", "DICT_TYPE_CONVERT", said)
        return body

    def _attach(self, body: Json, files: dict[str, web.FileField]) -> None:
        """Turn the files of a request into attachments of its message; those it keeps stay."""
        contents = {name: field.file.read() for name, field in files.items()}
        check_files([len(content) for content in contents.values()])
        data = body["data"] if isinstance(body.get("data"), dict) else body
        told = {str(one.get("id")): one for one in data.get("attachments") or []}
        numbers = {name.removeprefix("files[").removesuffix("]") for name in files}
        shown = [one for number, one in told.items() if number not in numbers]
        for name, field in files.items():
            number = name.removeprefix("files[").removesuffix("]")
            filename = told.get(number, {}).get("filename") or field.filename
            made = str(snowflake())
            self._files[made] = (field.content_type, contents[name])
            if len(self._files) > FILES:
                del self._files[next(iter(self._files))]
            url = f"{self.api_base.removesuffix('/api/v10')}/attachments/{made}/{filename}"
            size = len(contents[name])
            about: Json = {"id": made, "filename": filename, "size": size}
            shown.append(
                {**about, "url": url, "proxy_url": url, "content_type": field.content_type}
            )
        data["attachments"] = shown

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        kind, content = self._files.get(request.match_info["id"], ("", b""))
        if not kind:
            return web.Response(status=404)
        return web.Response(body=content, headers={"Content-Type": kind})


def _member(person: Person, *, bare: bool = False) -> Json:
    member = {
        "roles": [], "flags": 0, "joined_at": now(), "deaf": False, "mute": False, "nick": None,
        "avatar": None, "premium_since": None, "pending": False, "banner": None,
        "communication_disabled_until": None,
    }  # fmt: skip
    return member if bare else {**member, "user": person.json()}


def _bucket(method: str, path: str) -> tuple[str, str]:
    """The rule a call falls under, and the place it is counted for."""
    if match := re.fullmatch(r"channels/(\d+)/messages(/\d+)?", path):
        kind = {"POST": "create", "PATCH": "edit", "DELETE": "delete"}.get(method, "")
        return kind, match[1]
    if match := re.fullmatch(r"channels/(\d+)/typing", path):
        return "typing", match[1]
    if match := re.match(r"webhooks/\d+/(\w+)", path):
        return "webhook", match[1]
    return ("webhook", path) if path.startswith("interactions/") else ("", "")


async def _before(fault: Fault, request: web.Request) -> None:
    match fault.kind:
        case "429":
            wait = {"retry_after": fault.seconds, "global": False}
            raise Refusal(429, 0, "You are being rate limited.", **wait)
        case "500" | "502" | "503":
            raise Refusal(int(fault.kind), 0, f"{fault.kind}: Server Error")
        case "drop_before":
            _drop(request)
        case "delay":
            await asyncio.sleep(fault.seconds)


def _drop(request: web.Request) -> None:
    """End the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    raise _Dropped
