"""The table of REST routes."""

import inspect
import re
from collections import deque
from collections.abc import Callable
from typing import Any

from bots.sandbox.discord.backend import Backend
from bots.sandbox.discord.enums import CommandType
from bots.sandbox.discord.errors import (
    ApiError,
    bad_choice,
    invalid_form,
    locked_thread,
    missing_access,
    missing_permissions,
    no_such_route,
    not_found,
)
from bots.sandbox.discord.form_checks import check_length
from bots.sandbox.discord.interactions import InteractionRoutes
from bots.sandbox.discord.messages import MessageRoutes
from bots.sandbox.discord.state import (
    COMPONENTS_V2,
    CONSTANT_FIELDS,
    CREATE_PUBLIC_THREADS,
    SEND_MESSAGES,
    SEND_MESSAGES_IN_THREADS,
    VIEW_CHANNEL,
    Call,
    Channel,
    next_snowflake,
)
from bots.sandbox.discord.validation import check_commands
from bots.sandbox.stand_in import Json

MAX_CREATES_PER_DAY = 200
DAY_SECONDS = 86_400.0
LIMITED_MESSAGE_CONTENT_FLAG = 1 << 19


class Routes:
    """Handlers get the call, and by name the parts of its path that are in braces."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        messages = MessageRoutes(backend)
        interactions = InteractionRoutes(backend, messages)
        routes: dict[str, Callable[..., Any]] = {
            "GET users/@me": self._get_self,
            "GET (?:oauth2/)?applications/@me": self._get_application,
            "GET gateway/bot": self._get_gateway,
            "POST users/@me/channels": self._open_dm,
            "PUT applications/[^/]+/commands": CommandRegistry(backend).replace,
            "POST channels/{writable_channel}/typing": messages.start_typing,
            "POST channels/{writable_channel}/messages": messages.create,
            "GET channels/{channel}": self._get_channel,
            "PATCH channels/{channel}": self._change_thread,
            "GET channels/{channel}/messages": messages.history,
            "POST channels/{channel}/threads": self._create_thread,
            "GET guilds/{guild_id}/threads/active": self._list_active_threads,
            r"\w+ channels/{channel}/messages/{message_id}": messages.route,
            "PUT channels/{channel}/messages/{message_id}/reactions/{emoji}/@me": messages.react,
            "DELETE channels/{channel}/messages/{message_id}/reactions/{emoji}/@me": messages.react,
            "POST interactions/{interaction_id}/{token}/callback": interactions.respond,
            "POST webhooks/[^/]+/{token}": interactions.follow_up,
            r"\w+ webhooks/[^/]+/{token}/messages/{message_id}": interactions.route_message,
        }
        self._handlers = {
            re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route)): handler for route, handler in routes.items()
        }

    async def route(self, call: Call) -> Any:
        """The answer's body; None for 204. Raises `ApiError`."""
        self._check_flags(call.body)
        application_id = str(self._backend.application_id)
        match call.path.split("/")[1:3]:
            case ["applications", id_] if id_ not in (application_id, "@me"):
                raise ApiError(404, 10002, "Unknown Application")
            case ["webhooks", id_] if id_ != application_id:
                raise not_found("webhook")
        for pattern, handler in self._handlers.items():
            if match := pattern.fullmatch(f"{call.method} {call.path[1:]}"):
                result: Any = handler(call, **self._resolve_channel(match.groupdict()))
                return await result if inspect.isawaitable(result) else result
        raise no_such_route()

    def _check_flags(self, body: Any) -> None:
        message = body if isinstance(body, dict) else {}
        flags = message.get("flags") or (message.get("data") or {}).get("flags") or 0
        if int(flags) & COMPONENTS_V2 and not self._backend.knows_cards:
            raise invalid_form("flags", "MESSAGE_FLAGS_INVALID", "Unknown flag")

    def _resolve_channel(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if "channel" in arguments:
            arguments["channel"] = visible_channel(self._backend, arguments["channel"])
        elif "writable_channel" in arguments:
            arguments["channel"] = writable_channel(self._backend, arguments.pop("writable_channel"))
        return arguments

    def _get_self(self, _call: Call) -> Json:
        return {**self._backend.bot.json(), **CONSTANT_FIELDS["own user"]}

    def _get_gateway(self, _call: Call) -> Json:
        gateway = self._backend.gateway
        limit = gateway.session_start_limit()
        return {"url": gateway.url, "shards": gateway.script.shard_count, "session_start_limit": limit}

    def _get_application(self, _call: Call) -> Json:
        backend = self._backend
        return {
            **CONSTANT_FIELDS["application"],
            "id": str(backend.application_id),
            "owner": backend.owner.json(),
            "bot": backend.bot.json(),
            "approximate_guild_count": len(backend.guilds),
            "flags": LIMITED_MESSAGE_CONTENT_FLAG if backend.gateway.is_message_content_allowed else 0,
            "interactions_endpoint_url": backend.interactions_endpoint_url,
        }

    def _open_dm(self, call: Call) -> Json:
        recipient = self._backend.users.get(str(call.body.get("recipient_id")))
        if recipient is None:
            raise ApiError(400, 50033, "Invalid Recipient(s)")
        return self._backend.open_dm(recipient).json()

    def _get_channel(self, _call: Call, channel: Channel) -> Json:
        return channel.json()

    async def _create_thread(self, call: Call, channel: Channel) -> Json:
        check_length(call.body, "name", 1, 100)
        if not channel.bot_has_permission(CREATE_PUBLIC_THREADS):
            raise missing_permissions()
        if call.body.get("type") != channel.thread_type:
            raise bad_choice("type", [channel.thread_type.value])
        thread = self._backend.create_thread(channel, call.body["name"], owner=self._backend.bot)
        await self._backend.dispatch_pending()
        return thread.json()

    def _list_active_threads(self, _call: Call, guild_id: str) -> Json:
        guild = next((guild for guild in self._backend.guilds if str(guild.id) == guild_id and guild.has_bot), None)
        if guild is None:
            raise not_found("guild")
        threads = [each for each in guild.channels if each.parent is not None and not each.archived]
        visible = [thread.json() for thread in threads if thread.bot_has_permission(VIEW_CHANNEL)]
        return {"threads": visible, "members": [], "has_more": False}

    async def _change_thread(self, call: Call, channel: Channel) -> Json:
        """The changes that the bot may make: reopen a thread, or name one that it has created."""
        is_new_name = channel.owner is self._backend.bot and call.body.keys() == {"name"}
        if channel.parent is None or not (is_new_name or call.body == {"archived": False}):
            raise missing_permissions()
        if channel.locked:
            raise locked_thread()
        if is_new_name:
            channel.name = call.body["name"]
        channel.archived = False
        await self._backend.gateway.dispatch("THREAD_UPDATE", channel.json())
        return channel.json()


class CommandRegistry:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._create_times: deque[float] = deque()

    def replace(self, call: Call) -> list[Json]:
        check_commands(call.body)
        existing = {_command_key(command): command for command in self._backend.commands}
        self._count_creates(sum(_command_key(definition) not in existing for definition in call.body))
        commands = [self._command_json(definition, existing.get(_command_key(definition))) for definition in call.body]
        self._backend.commands = commands
        return commands

    def _count_creates(self, count: int) -> None:
        create_times, now = self._create_times, self._backend.clock.monotonic()
        while create_times and now - create_times[0] >= DAY_SECONDS:
            create_times.popleft()
        if len(create_times) + count > MAX_CREATES_PER_DAY:
            text = f"Max number of daily application command creates has been reached ({MAX_CREATES_PER_DAY})"
            first_create_at = create_times[0] if create_times else now
            raise ApiError(429, 30034, text, retry_after=DAY_SECONDS - (now - first_create_at))
        create_times.extend([now] * count)

    def _command_json(self, body: Json, existing: Json | None) -> Json:
        return {
            "id": str(next_snowflake()) if existing is None else existing["id"],
            "application_id": str(self._backend.application_id),
            "version": str(next_snowflake()),
            **CONSTANT_FIELDS["command"],
            "description": "",
            **body,
            "integration_types": body.get("integration_types") or [0],
        }


def _command_key(command: Json) -> tuple[int, str]:
    return command.get("type", CommandType.CHAT_INPUT), command["name"]


def visible_channel(backend: Backend, channel_id: str) -> Channel:
    channel = backend.channels.get(channel_id)
    if channel is None:
        raise not_found("channel")
    if not channel.bot_has_permission(VIEW_CHANNEL):
        raise missing_access()
    return channel


def writable_channel(backend: Backend, channel_id: str) -> Channel:
    channel = visible_channel(backend, channel_id)
    if not channel.bot_has_permission(SEND_MESSAGES if channel.parent is None else SEND_MESSAGES_IN_THREADS):
        raise missing_permissions()
    if channel.locked:
        raise locked_thread()
    if channel.guild is None and channel.recipients[0].has_closed_dms:
        raise ApiError(403, 50007, "Cannot send messages to this user")
    return channel
