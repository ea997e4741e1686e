"""The REST methods."""

import re
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bots.sandbox.discord.rules import Refusal, check_commands, check_message, invalid, unknown
from bots.sandbox.discord.world import (
    EPHEMERAL,
    LOADING,
    Channel,
    Event,
    Interaction,
    Json,
    Message,
    now,
    snowflake,
)

if TYPE_CHECKING:
    from bots.sandbox.discord.server import DiscordStandIn

__all__ = ["Rest"]

QUIET = re.compile(r"```.*?```|`[^`]*`|\\.", re.DOTALL)
IN_TIME = 3.0  # seconds for the first response to an interaction
TOKEN_LIVES = 15 * 60.0  # seconds
NONCE_LIVES = 300.0  # seconds
MOST_FOLLOWUPS = 5  # where the application is only installed by the person


class Rest:
    def __init__(self, server: "DiscordStandIn") -> None:
        self._server = server
        self._nonces: dict[tuple[int, str], tuple[float, Message]] = {}

    async def answer(self, request: web.Request, path: list[str], body: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 (a table of routes)
        """The answer's body; None for 204. Raises `Refusal`."""
        server = self._server
        match request.method, path:
            case "GET", ["users", "@me"]:
                more = {"verified": True, "mfa_enabled": False, "locale": "en-US", "email": None}
                return {**server.bot.json(), **more}
            case "GET", ["oauth2", "applications", "@me"] | ["applications", "@me"]:
                return self._application()
            case "GET", ["gateway"]:
                return {"url": server.gateway_url}
            case "GET", ["gateway", "bot"]:
                limit = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
                return {"url": server.gateway_url, "shards": 1, "session_start_limit": limit}
            case "PUT", ["applications", _, "commands"]:
                return self._put_commands(body)
            case "GET", ["applications", _, "commands"]:
                return server.commands
            case "POST", ["users", "@me", "channels"]:
                return self._open_dm(body)
            case "GET", ["channels", channel]:
                return self._channel(channel).json()
            case "PATCH", ["channels", channel]:
                found = self._channel(channel)
                found.archived = bool(body.get("archived", found.archived))
                return found.json()
            case "POST", ["channels", channel, "typing"]:
                await server.note(self._channel(channel), Event("typing"))
                return None
            case "POST", ["channels", channel, "messages"]:
                return await self._create(self._channel(channel), body)
            case "GET", ["channels", channel, "messages"]:
                return self._history(self._channel(channel), request)
            case method, ["channels", channel, "messages", message]:
                return await self._message(method, self._channel(channel), message, body)
            case "POST", ["interactions", id_, token, "callback"]:
                return await self._callback(request, id_, token, body)
            case "POST", ["webhooks", _, token]:
                return await self._follow_up(self._interaction(token), body)
            case method, ["webhooks", _, token, "messages", message]:
                return await self._webhook_message(method, token, message, body)
        raise Refusal(404, 0, "404: Not Found")

    def _application(self) -> Json:
        server = self._server
        return {
            "id": str(server.application_id),
            "name": "Parley",
            "description": "",
            "icon": None,
            "bot_public": True,
            "bot_require_code_grant": False,
            "owner": server.person("operator").json(),
            "verify_key": "0" * 64,
            "flags": 0,
            "flags_new": "0",
            "eligible_oauth2_scopes": [],
            "bot": server.bot.json(),
            "team": None,
            "rpc_origins": [],
            "summary": "",
            "redirect_uris": [],
            "integration_types_config": {"0": {}, "1": {}},
            "interactions_endpoint_url": None,
            "role_connections_verification_url": None,
            "hook": True,
            "type": None,
            "event_webhooks_status": 1,
            "approximate_guild_count": len(server.guilds),
            "approximate_user_install_count": 0,
            "approximate_user_authorization_count": 0,
            "explicit_content_filter": 0,
        }

    def _put_commands(self, body: Any) -> list[Json]:
        check_commands(body)
        server = self._server
        server.commands = [
            {
                "id": str(snowflake()),
                "application_id": str(server.application_id),
                "version": str(snowflake()),
                "default_member_permissions": None,
                "dm_permission": True,
                "nsfw": False,
                "type": 1,
                "options": [],
                "contexts": None,
                "integration_types": [0],
                **command,
            }
            for command in body
        ]
        return server.commands

    def _open_dm(self, body: Json) -> Json:
        wanted = str(body.get("recipient_id"))
        for channel in self._server.channels.values():
            if channel.guild is None and str(channel.people[0].id) == wanted:
                return channel.json()
        raise invalid("recipient_id", "CANNOT_DM", "Unknown recipient")

    def _channel(self, id_: str) -> Channel:
        channel = self._server.channels.get(id_)
        if channel is None:
            raise unknown("channel")
        if channel.guild is not None and not channel.guild.joined:
            raise Refusal(403, 50001, "Missing Access")
        return channel

    async def _create(self, channel: Channel, body: Json) -> Json:
        check_message(body, new=True)
        nonce = body.get("nonce")
        known = self._nonces.get((channel.id, str(nonce)))
        if nonce is not None and body.get("enforce_nonce") and known is not None:
            at, message = known
            if self._server.clock() - at < NONCE_LIVES:
                return message.json()
        reference = body.get("message_reference") or {}
        target = reference.get("message_id")
        if target is not None and channel.find(target) is None:
            if reference.get("fail_if_not_exists", True):
                said = "Unknown message"
                raise invalid("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", said)
            target = None
        message = self._made(channel, body)
        message.reference = int(target) if target is not None else None
        message.nonce = None if nonce is None else str(nonce)
        if nonce is not None:
            self._nonces[channel.id, str(nonce)] = (self._server.clock(), message)
        channel.archived = False
        await self._server.tell("MESSAGE_CREATE", message)
        return message.json()

    def _made(self, channel: Channel, body: Json) -> Message:
        message = Message(snowflake(), channel, self._server.bot, str(body.get("content") or ""))
        message.components = body.get("components") or []
        message.flags = int(body.get("flags") or 0)
        self._mention(message, body)
        channel.messages.append(message)
        return message

    def _mention(self, message: Message, body: Json) -> None:
        """Whom the text pings, as Discord would."""
        allowed = body.get("allowed_mentions")
        parse = ["users", "roles", "everyone"] if allowed is None else allowed.get("parse") or []
        plain = re.sub(
            r"\\.", "", re.sub(r"```.*?```|`[^`]*`", "", message.content, flags=re.DOTALL)
        )
        people = message.channel.guild.members if message.channel.guild else message.channel.people
        explicit = {str(id_) for id_ in (allowed or {}).get("users") or ()}
        named = set(re.findall(r"<@!?(\d+)>", plain))
        message.mentions = [
            person
            for person in people
            if str(person.id) in named and ("users" in parse or str(person.id) in explicit)
        ]
        loud = re.search(r"@everyone|@here", plain) is not None
        message.mention_everyone = loud and "everyone" in parse

    def _history(self, channel: Channel, request: web.Request) -> list[Json]:
        found = [m for m in reversed(channel.messages) if not m.deleted and m.ephemeral_to is None]
        limit = min(100, int(request.query.get("limit", "50")))
        if "before" in request.query:
            found = [m for m in found if m.id < int(request.query["before"])]
        if "after" in request.query:
            found = [m for m in found if m.id > int(request.query["after"])][-limit:]
        return [message.json() for message in found[:limit]]

    async def _message(self, method: str, channel: Channel, id_: str, body: Json) -> Json | None:
        message = channel.find(id_)
        if message is None or message.ephemeral_to is not None:
            raise unknown("message")
        if method == "GET":
            return message.json()
        if method == "DELETE":
            await self._server.delete(message)
            return None
        if message.author is not self._server.bot:
            raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        if channel.archived:
            raise Refusal(400, 50083, "Thread is archived")
        return await self._change(message, body)

    async def _change(self, message: Message, body: Json) -> Json:
        check_message(body, new=False)
        if "content" in body:
            message.edits.append(message.content)
            message.content = str(body["content"] or "")
            self._mention(message, body)
        if "components" in body:
            message.components = body["components"] or []
        message.flags &= ~LOADING
        message.edited = now()
        await self._server.tell("MESSAGE_UPDATE", message)
        return message.json()

    # -- interactions

    def _interaction(self, token: str) -> Interaction:
        found = self._server.interactions.get(token)
        if found is None or found.acknowledged_at is None:
            raise unknown("webhook")
        if self._server.clock() - found.at > TOKEN_LIVES:
            raise Refusal(401, 50027, "Invalid Webhook Token")
        return found

    async def _callback(self, request: web.Request, id_: str, token: str, body: Json) -> Any:
        found = self._server.interactions.get(token)
        if found is None or str(found.id) != id_:
            raise unknown("interaction")
        if found.acknowledged_at is not None:
            raise Refusal(400, 40060, "Interaction has already been acknowledged.")
        if self._server.clock() - found.at > IN_TIME:
            raise unknown("interaction")
        data = body.get("data") or {}
        match body.get("type"):
            case 4 | 5 as kind:
                check_message(data, new=True, loading=kind == 5)
                found.acknowledged_at = self._server.clock()
                flags = int(data.get("flags") or 0) | (LOADING if kind == 5 else 0)
                found.original = await self._respond(found, {**data, "flags": flags})
            case 6 if found.kind == 3:
                found.acknowledged_at = self._server.clock()
                found.original = found.message
            case 7 if found.kind == 3 and found.message is not None:
                found.acknowledged_at = self._server.clock()
                found.original = found.message
                await self._change(found.message, data)
            case 8 if found.kind == 4:
                if len(data.get("choices") or []) > 25:
                    raise invalid("data.choices", "BASE_TYPE_BAD_LENGTH", "At most 25.")
                found.acknowledged_at = self._server.clock()
                found.choices = data.get("choices") or []
            case 9:
                found.acknowledged_at = self._server.clock()
            case _:
                raise invalid("type", "BASE_TYPE_CHOICES", "Value must be one of {4, 5, 6, 7}.")
        if request.query.get("with_response") not in ("1", "true", "True"):
            return None
        return self._told(found, int(body["type"]))

    def _told(self, found: Interaction, kind: int) -> Json:
        told: Json = {"id": str(found.id), "type": found.kind}
        answer: Json = {"interaction": told}
        if found.original is not None and kind in (4, 5, 7):
            told |= {
                "response_message_id": str(found.original.id),
                "response_message_loading": kind == 5,
                "response_message_ephemeral": found.original.ephemeral_to is not None,
            }
            if kind != 5:  # a deferral made nothing to show yet
                shown = self._shown(found, found.original)
                answer["resource"] = {"type": kind, "message": shown}
        return answer

    def _shown(self, found: Interaction, message: Message) -> Json:
        by: Json = {
            "id": str(found.id),
            "type": found.kind,
            "user": found.person.json(),
            "authorizing_integration_owners": {},
        }
        if found.message is not None:
            by["interacted_message_id"] = str(found.message.id)
        return {**message.json(), "interaction_metadata": by}

    async def _respond(self, found: Interaction, body: Json) -> Message:
        message = self._made(found.channel, body)
        if message.flags & EPHEMERAL:
            message.ephemeral_to = found.person.id
        found.responses.append(message)
        await self._server.tell("MESSAGE_CREATE", message)
        return message

    async def _follow_up(self, found: Interaction, body: Json) -> Json:
        check_message(body, new=True)
        original = found.original
        if original is not None and original.flags & LOADING:
            # The first one fills the deferred message.
            return await self._change(original, body)
        if found.guest and len(found.responses) > MOST_FOLLOWUPS:
            raise Refusal(400, 40094, "Maximum number of follow-up messages reached")
        return self._shown(found, await self._respond(found, body))

    async def _webhook_message(self, method: str, token: str, id_: str, body: Json) -> Json | None:
        found = self._interaction(token)
        message = found.original
        if id_ != "@original":
            mine = [*found.responses, *([found.message] if found.message else [])]
            message = next((m for m in mine if str(m.id) == id_), None)
        if message is None or message.deleted:
            raise unknown("message")
        if method == "GET":
            return self._shown(found, message)
        if method == "DELETE":
            await self._server.delete(message)
            return None
        await self._change(message, body)
        return self._shown(found, message)
