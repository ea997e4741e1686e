"""The REST methods."""

import re
from typing import Any

from aiohttp import web

from bots.sandbox.discord.backend import Backend
from bots.sandbox.discord.chats import ChatRoutes
from bots.sandbox.discord.commands import CommandRegistry
from bots.sandbox.discord.state import (
    ADD_REACTIONS,
    EPHEMERAL,
    LOADING,
    MANAGE_MESSAGES,
    SEND_MESSAGES,
    SEND_MESSAGES_IN_THREADS,
    VIEW_CHANNEL,
    Channel,
    ChatEvent,
    Interaction,
    Json,
    Message,
    iso_now,
    next_snowflake,
    oldest_bulk_deletable,
)
from bots.sandbox.discord.validation import (
    ApiError,
    check_choices,
    check_message,
    check_modal,
    invalid_form,
    normalise_embeds,
    not_found,
)

__all__ = ["Routes"]

UNPARSED_TEXT = re.compile(r"```.*?```|`[^`]*`|\\.", re.DOTALL)
EMOJI_PATTERN = re.compile(r"[^\w\s]\S{0,15}|[\w]{2,32}:\d{15,20}")  # a character, or a server's own
MAX_NONCES = 10_000  # kept in mind
ACKNOWLEDGE_SECONDS = 3.0  # seconds for the first response to an interaction
TOKEN_LIFETIME_SECONDS = 15 * 60.0  # seconds
NONCE_LIFETIME_SECONDS = 300.0  # seconds
MAX_USER_INSTALL_FOLLOWUPS = 5  # where the application is only installed by the person


class Routes:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._nonces: dict[tuple[int, str], tuple[float, Message]] = {}
        self._command_registry = CommandRegistry(backend)
        self._chat_routes = ChatRoutes(backend)

    async def route(self, request: web.Request, segments: list[str], body: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 (a table of routes)
        """The answer's body; None for 204. Raises `Refusal`."""
        scene = self._backend
        if segments[0] == "applications" and segments[1:2] not in (
            [str(scene.application_id)],
            ["@me"],
        ):
            raise ApiError(404, 10002, "Unknown Application")
        if segments[0] == "webhooks" and segments[1:2] != [str(scene.application_id)]:
            raise not_found("webhook")
        match request.method, segments:
            case "GET", ["users", "@me"]:
                more = {"verified": True, "mfa_enabled": False, "locale": "en-US", "email": None}
                return {**scene.bot.json(), **more}
            case "GET", ["oauth2", "applications", "@me"] | ["applications", "@me"]:
                return self._application_json()
            case "GET", ["gateway"]:
                return {"url": scene.gateway_url}
            case "GET", ["gateway", "bot"]:
                limit = scene.gateway.session_start_limit()
                return {"url": scene.gateway_url, "shards": 1, "session_start_limit": limit}
            case method, ["applications", _, *rest] if "commands" in rest:
                return self._command_registry.route(method, rest, body)
            case "GET", ["guilds", guild, *rest]:
                return self._chat_routes.get_guild(guild, rest)
            case "POST", ["users", "@me", "channels"]:
                return self._open_dm(body)
            case "GET", ["users", id_]:
                if id_ not in scene.users:
                    raise not_found("user")
                return scene.users[id_].json()
            case "GET", ["channels", channel]:
                return self._visible_channel(channel).json()
            case "PATCH", ["channels", channel]:
                return await self._chat_routes.edit_thread(self._visible_channel(channel), body)
            case "POST", ["channels", channel, "threads"]:
                return await self._chat_routes.start_thread(self._visible_channel(channel), body)
            case "POST", ["channels", channel, "messages", "bulk-delete"]:
                return await self._bulk_delete(self._visible_channel(channel), body)
            case "POST", ["channels", channel, "messages", message, "threads"]:
                return await self._chat_routes.start_thread_from_message(self._visible_channel(channel), message, body)
            case "PUT" | "DELETE" as method, [
                "channels",
                channel,
                "messages",
                message,
                "reactions",
                emoji,
                "@me",
            ]:
                return await self._set_reaction(self._visible_channel(channel), message, emoji, method == "PUT")
            case "POST", ["channels", channel, "typing"]:
                await scene.publish(self._writable_channel(channel), ChatEvent("typing"))
                return None
            case "POST", ["channels", channel, "messages"]:
                return await self._create_message(self._writable_channel(channel), body)
            case "GET", ["channels", channel, "messages"]:
                return self._list_messages(self._visible_channel(channel), request)
            case method, ["channels", channel, "messages", message]:
                return await self._route_message(method, self._visible_channel(channel), message, body)
            case "POST", ["interactions", id_, token, "callback"]:
                return await self._respond_to_interaction(request, id_, token, body)
            case "POST", ["webhooks", _, token]:
                return await self._follow_up(self._acknowledged_interaction(token), body)
            case method, ["webhooks", _, token, "messages", message]:
                return await self._route_webhook_message(method, token, message, body)
        raise ApiError(404, 0, "404: Not Found")

    def _application_json(self) -> Json:
        scene = self._backend
        return {
            "id": str(scene.application_id),
            "name": "Parley",
            "description": "",
            "icon": None,
            "bot_public": True,
            "bot_require_code_grant": False,
            "owner": scene.owner.json(),
            "verify_key": "0" * 64,
            "flags": 0,
            "flags_new": "0",
            "eligible_oauth2_scopes": [],
            "bot": scene.bot.json(),
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
            "approximate_guild_count": len(scene.guilds),
            "approximate_user_install_count": 0,
            "approximate_user_authorization_count": 0,
            "explicit_content_filter": 0,
        }

    def _open_dm(self, body: Json) -> Json:
        wanted = str(body.get("recipient_id"))
        person = self._backend.users.get(wanted)
        if person is None:
            raise ApiError(400, 50033, "Invalid Recipient(s)")
        return self._backend.open_dm(person).json()

    def _visible_channel(self, channel_id: str) -> Channel:
        channel = self._backend.channels.get(channel_id)
        if channel is None:
            raise not_found("channel")
        if not channel.bot_has_permission(VIEW_CHANNEL):
            raise ApiError(403, 50001, "Missing Access")
        return channel

    def _writable_channel(self, channel_id: str) -> Channel:
        channel = self._visible_channel(channel_id)
        if not channel.bot_has_permission(SEND_MESSAGES if channel.parent is None else SEND_MESSAGES_IN_THREADS):
            raise ApiError(403, 50013, "Missing Permissions")
        if channel.locked:
            raise ApiError(400, 160005, "This thread is locked")
        if channel.guild is None and channel.recipients[0].has_closed_dms:
            raise ApiError(403, 50007, "Cannot send messages to this user")
        return channel

    async def _create_message(self, channel: Channel, body: Json) -> Json:
        check_message(body, is_new=True)
        nonce = body.get("nonce")
        previous = self._nonces.get((channel.id, str(nonce)))
        if nonce is not None and body.get("enforce_nonce") and previous is not None:
            at, message = previous
            if self._backend.clock() - at < NONCE_LIFETIME_SECONDS:
                return message.json()
        reference = body.get("message_reference") or {}
        target = reference.get("message_id")
        if target is not None and channel.find_message(target) is None:
            if reference.get("fail_if_not_exists", True):
                said = "Unknown message"
                raise invalid_form("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", said)
            target = None
        message = self._new_message(channel, body, int(target) if target is not None else None)
        if nonce is not None:
            message.nonce = str(nonce)
            self._nonces[channel.id, message.nonce] = (self._backend.clock(), message)
            if len(self._nonces) > MAX_NONCES:
                del self._nonces[next(iter(self._nonces))]
        channel.archived = False
        await self._backend.dispatch_message("MESSAGE_CREATE", message)
        return message.json()

    def _new_message(self, channel: Channel, body: Json, reply_to_id: int | None = None) -> Message:
        content = str(body.get("content") or "").strip()  # as Discord does
        message = Message(next_snowflake(), channel, self._backend.bot, content, reply_to_id=reply_to_id)
        message.attachments = [one for one in body.get("attachments") or [] if "url" in one]
        message.components = body.get("components") or []
        message.embeds = normalise_embeds(body.get("embeds") or [])
        message.created_at = self._backend.clock()
        message.flags = int(body.get("flags") or 0)
        self._set_mentions(message, body)
        channel.messages.append(message)
        return message

    def _set_mentions(self, message: Message, body: Json) -> None:
        """Whom the text pings, as Discord would."""
        allowed = body.get("allowed_mentions")
        parse = ["users", "roles", "everyone"] if allowed is None else allowed.get("parse") or []
        text = UNPARSED_TEXT.sub("", message.content)
        people = message.channel.guild.members if message.channel.guild else message.channel.recipients
        explicit = {str(id_) for id_ in (allowed or {}).get("users") or ()}
        named = set(re.findall(r"<@!?(\d+)>", text))
        message.mentions = [
            person for person in people if str(person.id) in named and ("users" in parse or str(person.id) in explicit)
        ]
        replied_to = message.channel.find_message(message.reply_to_id) if message.reply_to_id else None
        if replied_to is not None and (allowed is None or allowed.get("replied_user")):
            message.mentions += [replied_to.author] * (replied_to.author not in message.mentions)
        loud = re.search(r"@everyone|@here", text) is not None
        message.mention_everyone = loud and "everyone" in parse

    def _list_messages(self, channel: Channel, request: web.Request) -> list[Json]:
        messages = [m for m in reversed(channel.messages) if not m.is_deleted and m.ephemeral_to is None]
        limit = int(request.query.get("limit", "50"))
        if not 1 <= limit <= 100:
            raise invalid_form("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        if "around" in request.query:
            middle = int(request.query["around"])
            after = [m for m in messages if m.id > middle][-(limit // 2) :] if limit > 1 else []
            rest = [m for m in messages if m.id <= middle][: limit - len(after)]
            return [message.json() for message in [*after, *rest]]
        if "before" in request.query:
            messages = [m for m in messages if m.id < int(request.query["before"])]
        if "after" in request.query:
            messages = [m for m in messages if m.id > int(request.query["after"])][-limit:]
        return [message.json() for message in messages[:limit]]

    async def _route_message(self, method: str, channel: Channel, message_id: str, body: Json) -> Json | None:
        message = channel.find_message(message_id)
        if message is None or message.ephemeral_to is not None:
            raise not_found("message")
        if method == "GET":
            return message.json()
        if method == "DELETE":
            if message.author is not self._backend.bot:
                code = (50003, "Cannot execute action on a DM channel")
                raise ApiError(403, *(code if channel.guild is None else (50013, "Missing Permissions")))
            await self._backend.delete_message(message)
            return None
        if method != "PATCH":
            raise ApiError(405, 0, "405: Method Not Allowed")
        if message.author is not self._backend.bot:
            raise ApiError(403, 50005, "Cannot edit a message authored by another user")
        if channel.archived:
            raise ApiError(400, 50083, "Thread is archived")
        self._backend.consume_old_edit_limit(message)
        return await self._edit_message(message, body)

    async def _edit_message(self, message: Message, body: Json) -> Json:
        check_message(body, is_new=False)
        content = str(body["content"] or "").strip() if "content" in body else message.content
        kept = {one["id"]: one for one in message.attachments}
        named = body.get("attachments", message.attachments) or []
        files = [kept.get(str(one["id"]), one) for one in named]
        files = [one for one in files if "url" in one]
        embeds = normalise_embeds(body.get("embeds") or []) if "embeds" in body else message.embeds
        if not (content or files or embeds):
            raise ApiError(400, 50006, "Cannot send an empty message")
        message.attachments, message.embeds = files, embeds
        if "content" in body:
            if not message.flags & LOADING:
                message.previous_texts.append(message.content)
            message.content = content
            self._set_mentions(message, body)
        if "components" in body:
            message.components = body["components"] or []
        message.flags &= ~LOADING
        message.edited_timestamp = iso_now()
        await self._backend.dispatch_message("MESSAGE_UPDATE", message)
        return message.json()

    async def _bulk_delete(self, channel: Channel, body: Json) -> None:
        """Two messages or more at once, not older than two weeks; unknown ones are passed over."""
        if not channel.bot_has_permission(MANAGE_MESSAGES) or channel.guild is None:
            raise ApiError(403, 50013, "Missing Permissions")
        ids = [str(id_) for id_ in body.get("messages") or []]
        if not 2 <= len(ids) <= 100:
            raise ApiError(400, 50016, "Provided too few or too many messages to delete.")
        if any(not id_.isdecimal() or int(id_) < oldest_bulk_deletable() for id_ in ids):
            said = "A message provided was too old to bulk delete"
            raise ApiError(400, 50034, said)
        gone = [message for id_ in ids if (message := channel.find_message(id_)) is not None]
        for message in gone:
            message.is_deleted = True
            await self._backend.publish(channel, ChatEvent("deleted", message))
        payload: Json = {"ids": ids, "channel_id": str(channel.id)}
        payload["guild_id"] = str(channel.guild.id)
        await self._backend.dispatch_raw("MESSAGE_DELETE_BULK", payload)

    async def _set_reaction(self, channel: Channel, message_id: str, emoji: str, is_present: bool) -> None:
        message = channel.find_message(message_id)
        if message is None or message.ephemeral_to is not None:
            raise not_found("message")
        if channel.archived:
            raise ApiError(400, 50083, "Thread is archived")
        if not channel.bot_has_permission(ADD_REACTIONS):
            raise ApiError(403, 50013, "Missing Permissions")
        if not EMOJI_PATTERN.fullmatch(emoji):
            raise ApiError(400, 10014, "Unknown Emoji")
        await self._backend.set_reaction(self._backend.bot, message, emoji, is_present=is_present)

    # -- interactions

    def _acknowledged_interaction(self, token: str) -> Interaction:
        interaction = self._backend.interactions.get(token)
        if interaction is None or interaction.acknowledged_at is None:
            raise not_found("webhook")
        if self._backend.clock() - interaction.created_at > TOKEN_LIFETIME_SECONDS:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        return interaction

    async def _respond_to_interaction(self, request: web.Request, interaction_id: str, token: str, body: Json) -> Any:
        interaction = self._backend.interactions.get(token)
        if interaction is None or str(interaction.id) != interaction_id:
            raise not_found("interaction")
        if interaction.acknowledged_at is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        if self._backend.clock() - interaction.created_at > ACKNOWLEDGE_SECONDS:
            interaction.is_expired = True
            raise not_found("interaction")
        data = body.get("data") or {}
        match body.get("type"):
            case 4 | 5 as kind if interaction.type != 4:
                check_message(data, is_new=True, is_loading=kind == 5)
                interaction.acknowledged_at = self._backend.clock()
                flags = int(data.get("flags") or 0) | (LOADING if kind == 5 else 0)
                await self._add_response(interaction, {**data, "flags": flags}, is_original=True)
            case 6 if interaction.type in (3, 5) and interaction.message is not None:
                interaction.acknowledged_at = self._backend.clock()
                interaction.original_response = interaction.message
            case 7 if interaction.type in (3, 5) and interaction.message is not None:
                await self._edit_message(interaction.message, data)
                interaction.acknowledged_at = self._backend.clock()
                interaction.original_response = interaction.message
            case 8 if interaction.type == 4:
                check_choices(data.get("choices") or [])
                interaction.acknowledged_at = self._backend.clock()
                interaction.choices = data.get("choices") or []
            case 9 if interaction.type in (2, 3):
                check_modal(data)
                interaction.modal = data
                interaction.acknowledged_at = self._backend.clock()
            case _:
                raise invalid_form("type", "BASE_TYPE_CHOICES", "Value must be one of {4, 5, 6, 7}.")
        if request.query.get("with_response") not in ("1", "true", "True"):
            return None
        return self._callback_response(interaction, int(body["type"]))

    def _callback_response(self, interaction: Interaction, response_type: int) -> Json:
        interaction_json: Json = {"id": str(interaction.id), "type": interaction.type}
        response: Json = {"interaction": interaction_json}
        if interaction.original_response is not None and response_type in (4, 5, 7):
            interaction_json |= {
                "response_message_id": str(interaction.original_response.id),
                "response_message_loading": response_type == 5,
                "response_message_ephemeral": interaction.original_response.ephemeral_to is not None,
            }
            if response_type != 5:  # a deferral made nothing to show yet
                response["resource"] = {
                    "type": response_type,
                    "message": interaction.original_response.json(),
                }
        return response

    async def _add_response(self, interaction: Interaction, body: Json, *, is_original: bool = False) -> Message:
        message = self._new_message(interaction.channel, body)
        message.interaction = interaction
        if is_original:
            interaction.original_response = message
        if message.flags & EPHEMERAL:
            message.ephemeral_to = interaction.user.id
        interaction.responses.append(message)
        await self._backend.dispatch_message("MESSAGE_CREATE", message)
        return message

    async def _follow_up(self, interaction: Interaction, body: Json) -> Json:
        check_message(body, is_new=True)
        original_response = interaction.original_response
        if original_response is not None and original_response.flags & LOADING:
            # The first one fills the deferred message.
            return await self._edit_message(original_response, body)
        if interaction.is_user_installed and interaction.followup_count >= MAX_USER_INSTALL_FOLLOWUPS:
            raise ApiError(400, 40094, "Maximum number of follow-up messages reached")
        interaction.followup_count += 1
        return (await self._add_response(interaction, body)).json()

    async def _route_webhook_message(self, method: str, token: str, message_id: str, body: Json) -> Json | None:
        interaction = self._acknowledged_interaction(token)
        message = interaction.original_response
        if message_id != "@original":
            mine = [*interaction.responses, *([interaction.message] if interaction.message else [])]
            message = next((m for m in mine if str(m.id) == message_id), None)
        if message is None or message.is_deleted:
            raise not_found("message")
        if method == "GET":
            return message.json()
        if method == "DELETE":
            await self._backend.delete_message(message)
            return None
        if method != "PATCH":
            raise ApiError(405, 0, "405: Method Not Allowed")
        return await self._edit_message(message, body)
