"""The table of REST routes."""

import inspect
import re
from collections.abc import Callable
from typing import Any

from bots.sandbox.discord.backend import Backend
from bots.sandbox.discord.chats import ChatRoutes
from bots.sandbox.discord.commands import CommandRegistry
from bots.sandbox.discord.errors import ApiError, no_such_route, not_found
from bots.sandbox.discord.interactions import InteractionRoutes
from bots.sandbox.discord.messages import MessageRoutes
from bots.sandbox.discord.state import Call
from bots.sandbox.discord.targets import visible_channel, writable_channel


class Routes:
    """Handlers get the call, and by name the parts of its path that are in braces."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        chats, messages = ChatRoutes(backend), MessageRoutes(backend)
        interactions = InteractionRoutes(backend, messages)
        routes: dict[str, Callable[..., Any]] = {
            "GET users/@me": chats.get_self,
            "GET (?:oauth2/)?applications/@me": chats.get_application,
            "GET gateway/bot": chats.get_gateway,
            "GET guilds/{guild_id}": chats.get_guild,
            "GET guilds/{guild_id}/members/{user_id}": chats.get_member,
            "POST users/@me/channels": chats.open_dm,
            "GET users/{user_id}": chats.get_user,
            "PUT applications/[^/]+/commands": CommandRegistry(backend).replace,
            "POST channels/{writable_channel}/typing": messages.start_typing,
            "POST channels/{writable_channel}/messages": messages.create,
            "GET channels/{channel}": chats.get_channel,
            "PATCH channels/{channel}": chats.edit_thread,
            "POST channels/{channel}/threads": chats.start_thread,
            "POST channels/{channel}/messages/{message_id}/threads": chats.start_thread_from_message,
            "GET channels/{channel}/messages": messages.history,
            r"\w+ channels/{channel}/messages/{message_id}": messages.route,
            "POST interactions/{interaction_id}/{token}/callback": interactions.respond,
            "POST webhooks/[^/]+/{token}": interactions.follow_up,
            r"\w+ webhooks/[^/]+/{token}/messages/{message_id}": interactions.route_message,
        }
        self._handlers = {
            re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", route)): handler for route, handler in routes.items()
        }

    async def route(self, call: Call) -> Any:
        """The answer's body; None for 204. Raises `ApiError`."""
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

    def _resolve_channel(self, arguments: dict[str, Any]) -> dict[str, Any]:
        if "channel" in arguments:
            arguments["channel"] = visible_channel(self._backend, arguments["channel"])
        elif "writable_channel" in arguments:
            arguments["channel"] = writable_channel(self._backend, arguments.pop("writable_channel"))
        return arguments
