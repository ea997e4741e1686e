"""The table of REST routes."""

from typing import Any

from aiohttp import web

from bots.sandbox.discord.backend import Backend
from bots.sandbox.discord.chats import ChatRoutes
from bots.sandbox.discord.commands import CommandRegistry
from bots.sandbox.discord.errors import ApiError, no_such_route, not_found
from bots.sandbox.discord.interactions import InteractionRoutes
from bots.sandbox.discord.messages import MessageRoutes
from bots.sandbox.discord.state import Channel
from bots.sandbox.discord.targets import visible_channel, writable_channel
from bots.sandbox.stand_in import ChatEvent, ChatEventKind

__all__ = ["Routes"]


class Routes:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._commands = CommandRegistry(backend)
        self._chats = ChatRoutes(backend)
        self._messages = MessageRoutes(backend)
        self._interactions = InteractionRoutes(backend, self._messages)

    async def route(self, request: web.Request, segments: list[str], body: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 (a table of routes)
        """The answer's body; None for 204. Raises `ApiError`."""
        application_id = str(self._backend.application_id)
        if segments[0] == "applications" and segments[1:2] not in ([application_id], ["@me"]):
            raise ApiError(404, 10002, "Unknown Application")
        if segments[0] == "webhooks" and segments[1:2] != [application_id]:
            raise not_found("webhook")
        match request.method, segments:
            case "GET", ["users", "@me"]:
                return self._chats.get_self()
            case "GET", ["oauth2", "applications", "@me"] | ["applications", "@me"]:
                return self._chats.get_application()
            case "GET", ["gateway"]:
                return {"url": self._backend.gateway_url}
            case "GET", ["gateway", "bot"]:
                return self._chats.get_gateway()
            case method, ["applications", _, *rest] if "commands" in rest:
                return self._commands.route(method, rest, body)
            case "GET", ["guilds", guild, *rest]:
                return self._chats.get_guild(guild, rest)
            case "POST", ["users", "@me", "channels"]:
                return self._chats.open_dm(body)
            case "GET", ["users", user]:
                return self._chats.get_user(user)
            case method, ["channels", channel, *rest]:
                return await self._route_channel(request, channel, rest, body)
            case "POST", ["interactions", interaction, token, "callback"]:
                return await self._interactions.respond(request, interaction, token, body)
            case "POST", ["webhooks", _, token]:
                return await self._interactions.follow_up(token, body)
            case method, ["webhooks", _, token, "messages", message]:
                return await self._interactions.route_message(method, token, message, body)
        raise no_such_route()

    async def _route_channel(self, request: web.Request, channel_id: str, rest: list[str], body: Any) -> Any:  # noqa: PLR0911 (a table of routes)
        def channel() -> Channel:
            return visible_channel(self._backend, channel_id)

        match request.method, rest:
            case "POST", ["typing"]:
                self._backend.publish(writable_channel(self._backend, channel_id), ChatEvent(ChatEventKind.TYPING))
                return None
            case "POST", ["messages"]:
                return await self._messages.create(writable_channel(self._backend, channel_id), body)
            case "GET", []:
                return channel().json()
            case "PATCH", []:
                return await self._chats.edit_thread(channel(), body)
            case "POST", ["threads"]:
                return await self._chats.start_thread(channel(), body)
            case "POST", ["messages", "bulk-delete"]:
                return await self._messages.bulk_delete(channel(), body)
            case "POST", ["messages", message, "threads"]:
                return await self._chats.start_thread_from_message(channel(), message, body)
            case "PUT" | "DELETE" as method, ["messages", message, "reactions", emoji, "@me"]:
                return await self._messages.set_reaction(channel(), message, emoji, is_present=method == "PUT")
            case "GET", ["messages"]:
                return self._messages.history(channel(), request)
            case method, ["messages", message]:
                return await self._messages.route(method, channel(), message, body)
        raise no_such_route()
