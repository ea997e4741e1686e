"""The REST methods."""

import re
from typing import Any

from aiohttp import web

from bots.sandbox.discord.places import Places
from bots.sandbox.discord.registry import Registry
from bots.sandbox.discord.rules import (
    Refusal,
    check_choices,
    check_message,
    check_modal,
    embedded,
    invalid,
    unknown,
)
from bots.sandbox.discord.scene import Scene
from bots.sandbox.discord.world import (
    EPHEMERAL,
    LOADING,
    MANAGE_MESSAGES,
    REACT,
    SEND,
    SEND_IN_THREADS,
    VIEW,
    Channel,
    Event,
    Interaction,
    Json,
    Message,
    now,
    oldest,
    snowflake,
)

__all__ = ["Rest"]

QUIET = re.compile(r"```.*?```|`[^`]*`|\\.", re.DOTALL)
EMOJI = re.compile(r"[^\w\s]\S{0,15}|[\w]{2,32}:\d{15,20}")  # a character, or a server's own
NONCES = 10_000  # kept in mind
IN_TIME = 3.0  # seconds for the first response to an interaction
TOKEN_LIVES = 15 * 60.0  # seconds
NONCE_LIVES = 300.0  # seconds
MOST_FOLLOWUPS = 5  # where the application is only installed by the person


class Rest:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._nonces: dict[tuple[int, str], tuple[float, Message]] = {}
        self._registry = Registry(scene)
        self._places = Places(scene)

    async def answer(self, request: web.Request, path: list[str], body: Any) -> Any:  # noqa: C901, PLR0911, PLR0912 (a table of routes)
        """The answer's body; None for 204. Raises `Refusal`."""
        scene = self._scene
        if path[0] == "applications" and path[1:2] not in ([str(scene.application_id)], ["@me"]):
            raise Refusal(404, 10002, "Unknown Application")
        if path[0] == "webhooks" and path[1:2] != [str(scene.application_id)]:
            raise unknown("webhook")
        match request.method, path:
            case "GET", ["users", "@me"]:
                more = {"verified": True, "mfa_enabled": False, "locale": "en-US", "email": None}
                return {**scene.bot.json(), **more}
            case "GET", ["oauth2", "applications", "@me"] | ["applications", "@me"]:
                return self._application()
            case "GET", ["gateway"]:
                return {"url": scene.gateway_url}
            case "GET", ["gateway", "bot"]:
                limit = scene.gateway.start_limit()
                return {"url": scene.gateway_url, "shards": 1, "session_start_limit": limit}
            case method, ["applications", _, *rest] if "commands" in rest:
                return self._registry.answer(method, rest, body)
            case "GET", ["guilds", guild, *rest]:
                return self._places.guild(guild, rest)
            case "POST", ["users", "@me", "channels"]:
                return self._open_dm(body)
            case "GET", ["users", id_]:
                if id_ not in scene.people:
                    raise unknown("user")
                return scene.people[id_].json()
            case "GET", ["channels", channel]:
                return self._channel(channel).json()
            case "PATCH", ["channels", channel]:
                return await self._places.change(self._channel(channel), body)
            case "POST", ["channels", channel, "threads"]:
                return await self._places.start(self._channel(channel), body)
            case "POST", ["channels", channel, "messages", "bulk-delete"]:
                return await self._delete_many(self._channel(channel), body)
            case "POST", ["channels", channel, "messages", message, "threads"]:
                return await self._places.start_from(self._channel(channel), message, body)
            case "PUT" | "DELETE" as method, [
                "channels",
                channel,
                "messages",
                message,
                "reactions",
                emoji,
                "@me",
            ]:
                return await self._react(self._channel(channel), message, emoji, method == "PUT")
            case "POST", ["channels", channel, "typing"]:
                await scene.note(self._writable(channel), Event("typing"))
                return None
            case "POST", ["channels", channel, "messages"]:
                return await self._create(self._writable(channel), body)
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
        scene = self._scene
        return {
            "id": str(scene.application_id),
            "name": "Parley",
            "description": "",
            "icon": None,
            "bot_public": True,
            "bot_require_code_grant": False,
            "owner": scene.operator.json(),
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
        person = self._scene.people.get(wanted)
        if person is None:
            raise Refusal(400, 50033, "Invalid Recipient(s)")
        return self._scene.dm(person).json()

    def _channel(self, id_: str) -> Channel:
        channel = self._scene.channels.get(id_)
        if channel is None:
            raise unknown("channel")
        if not channel.may(VIEW):
            raise Refusal(403, 50001, "Missing Access")
        return channel

    def _writable(self, id_: str) -> Channel:
        channel = self._channel(id_)
        if not channel.may(SEND if channel.parent is None else SEND_IN_THREADS):
            raise Refusal(403, 50013, "Missing Permissions")
        if channel.locked:
            raise Refusal(400, 160005, "This thread is locked")
        if channel.guild is None and channel.people[0].closed:
            raise Refusal(403, 50007, "Cannot send messages to this user")
        return channel

    async def _create(self, channel: Channel, body: Json) -> Json:
        check_message(body, new=True)
        nonce = body.get("nonce")
        known = self._nonces.get((channel.id, str(nonce)))
        if nonce is not None and body.get("enforce_nonce") and known is not None:
            at, message = known
            if self._scene.clock() - at < NONCE_LIVES:
                return message.json()
        reference = body.get("message_reference") or {}
        target = reference.get("message_id")
        if target is not None and channel.find(target) is None:
            if reference.get("fail_if_not_exists", True):
                said = "Unknown message"
                raise invalid("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", said)
            target = None
        message = self._made(channel, body, int(target) if target is not None else None)
        if nonce is not None:
            message.nonce = str(nonce)
            self._nonces[channel.id, message.nonce] = (self._scene.clock(), message)
            if len(self._nonces) > NONCES:
                del self._nonces[next(iter(self._nonces))]
        channel.archived = False
        await self._scene.tell("MESSAGE_CREATE", message)
        return message.json()

    def _made(self, channel: Channel, body: Json, reference: int | None = None) -> Message:
        content = str(body.get("content") or "").strip()  # as Discord does
        message = Message(snowflake(), channel, self._scene.bot, content, reference=reference)
        message.attachments = [one for one in body.get("attachments") or [] if "url" in one]
        message.components = body.get("components") or []
        message.embeds = embedded(body.get("embeds") or [])
        message.at = self._scene.clock()
        message.flags = int(body.get("flags") or 0)
        self._mention(message, body)
        channel.messages.append(message)
        return message

    def _mention(self, message: Message, body: Json) -> None:
        """Whom the text pings, as Discord would."""
        allowed = body.get("allowed_mentions")
        parse = ["users", "roles", "everyone"] if allowed is None else allowed.get("parse") or []
        plain = QUIET.sub("", message.content)
        people = message.channel.guild.members if message.channel.guild else message.channel.people
        explicit = {str(id_) for id_ in (allowed or {}).get("users") or ()}
        named = set(re.findall(r"<@!?(\d+)>", plain))
        message.mentions = [
            person
            for person in people
            if str(person.id) in named and ("users" in parse or str(person.id) in explicit)
        ]
        answered = message.channel.find(message.reference) if message.reference else None
        if answered is not None and (allowed is None or allowed.get("replied_user")):
            message.mentions += [answered.author] * (answered.author not in message.mentions)
        loud = re.search(r"@everyone|@here", plain) is not None
        message.mention_everyone = loud and "everyone" in parse

    def _history(self, channel: Channel, request: web.Request) -> list[Json]:
        found = [m for m in reversed(channel.messages) if not m.deleted and m.ephemeral_to is None]
        limit = int(request.query.get("limit", "50"))
        if not 1 <= limit <= 100:
            raise invalid("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        if "around" in request.query:
            middle = int(request.query["around"])
            after = [m for m in found if m.id > middle][-(limit // 2) :] if limit > 1 else []
            rest = [m for m in found if m.id <= middle][: limit - len(after)]
            return [message.json() for message in [*after, *rest]]
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
            if message.author is not self._scene.bot:
                code = (50003, "Cannot execute action on a DM channel")
                raise Refusal(
                    403, *(code if channel.guild is None else (50013, "Missing Permissions"))
                )
            await self._scene.delete(message)
            return None
        if method != "PATCH":
            raise Refusal(405, 0, "405: Method Not Allowed")
        if message.author is not self._scene.bot:
            raise Refusal(403, 50005, "Cannot edit a message authored by another user")
        if channel.archived:
            raise Refusal(400, 50083, "Thread is archived")
        self._scene.spend_old_edit(message)
        return await self._change(message, body)

    async def _change(self, message: Message, body: Json) -> Json:
        check_message(body, new=False)
        after = str(body["content"] or "").strip() if "content" in body else message.content
        kept = {one["id"]: one for one in message.attachments}
        named = body.get("attachments", message.attachments) or []
        files = [kept.get(str(one["id"]), one) for one in named]
        files = [one for one in files if "url" in one]
        embeds = embedded(body.get("embeds") or []) if "embeds" in body else message.embeds
        if not (after or files or embeds):
            raise Refusal(400, 50006, "Cannot send an empty message")
        message.attachments, message.embeds = files, embeds
        if "content" in body:
            if not message.flags & LOADING:
                message.edits.append(message.content)
            message.content = after
            self._mention(message, body)
        if "components" in body:
            message.components = body["components"] or []
        message.flags &= ~LOADING
        message.edited = now()
        await self._scene.tell("MESSAGE_UPDATE", message)
        return message.json()

    async def _delete_many(self, channel: Channel, body: Json) -> None:
        """Two messages or more at once, not older than two weeks; unknown ones are passed over."""
        if not channel.may(MANAGE_MESSAGES) or channel.guild is None:
            raise Refusal(403, 50013, "Missing Permissions")
        ids = [str(id_) for id_ in body.get("messages") or []]
        if not 2 <= len(ids) <= 100:
            raise Refusal(400, 50016, "Provided too few or too many messages to delete.")
        if any(not id_.isdecimal() or int(id_) < oldest() for id_ in ids):
            said = "A message provided was too old to bulk delete"
            raise Refusal(400, 50034, said)
        gone = [message for id_ in ids if (message := channel.find(id_)) is not None]
        for message in gone:
            message.deleted = True
            await self._scene.note(channel, Event("deleted", message))
        told: Json = {"ids": ids, "channel_id": str(channel.id)}
        told["guild_id"] = str(channel.guild.id)
        await self._scene.send_raw("MESSAGE_DELETE_BULK", told)

    async def _react(self, channel: Channel, id_: str, emoji: str, on: bool) -> None:
        message = channel.find(id_)
        if message is None or message.ephemeral_to is not None:
            raise unknown("message")
        if channel.archived:
            raise Refusal(400, 50083, "Thread is archived")
        if not channel.may(REACT):
            raise Refusal(403, 50013, "Missing Permissions")
        if not EMOJI.fullmatch(emoji):
            raise Refusal(400, 10014, "Unknown Emoji")
        await self._scene.react(self._scene.bot, message, emoji, on=on)

    # -- interactions

    def _interaction(self, token: str) -> Interaction:
        found = self._scene.interactions.get(token)
        if found is None or found.acknowledged_at is None:
            raise unknown("webhook")
        if self._scene.clock() - found.at > TOKEN_LIVES:
            raise Refusal(401, 50027, "Invalid Webhook Token")
        return found

    async def _callback(self, request: web.Request, id_: str, token: str, body: Json) -> Any:
        found = self._scene.interactions.get(token)
        if found is None or str(found.id) != id_:
            raise unknown("interaction")
        if found.acknowledged_at is not None:
            raise Refusal(400, 40060, "Interaction has already been acknowledged.")
        if self._scene.clock() - found.at > IN_TIME:
            found.late = True
            raise unknown("interaction")
        data = body.get("data") or {}
        match body.get("type"):
            case 4 | 5 as kind if found.kind != 4:
                check_message(data, new=True, loading=kind == 5)
                found.acknowledged_at = self._scene.clock()
                flags = int(data.get("flags") or 0) | (LOADING if kind == 5 else 0)
                await self._respond(found, {**data, "flags": flags}, original=True)
            case 6 if found.kind in (3, 5) and found.message is not None:
                found.acknowledged_at = self._scene.clock()
                found.original = found.message
            case 7 if found.kind in (3, 5) and found.message is not None:
                await self._change(found.message, data)
                found.acknowledged_at = self._scene.clock()
                found.original = found.message
            case 8 if found.kind == 4:
                check_choices(data.get("choices") or [])
                found.acknowledged_at = self._scene.clock()
                found.choices = data.get("choices") or []
            case 9 if found.kind in (2, 3):
                check_modal(data)
                found.modal = data
                found.acknowledged_at = self._scene.clock()
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
                answer["resource"] = {"type": kind, "message": found.original.json()}
        return answer

    async def _respond(self, found: Interaction, body: Json, *, original: bool = False) -> Message:
        message = self._made(found.channel, body)
        message.origin = found
        if original:
            found.original = message
        if message.flags & EPHEMERAL:
            message.ephemeral_to = found.person.id
        found.responses.append(message)
        await self._scene.tell("MESSAGE_CREATE", message)
        return message

    async def _follow_up(self, found: Interaction, body: Json) -> Json:
        check_message(body, new=True)
        original = found.original
        if original is not None and original.flags & LOADING:
            # The first one fills the deferred message.
            return await self._change(original, body)
        if found.guest and found.followups >= MOST_FOLLOWUPS:
            raise Refusal(400, 40094, "Maximum number of follow-up messages reached")
        found.followups += 1
        return (await self._respond(found, body)).json()

    async def _webhook_message(self, method: str, token: str, id_: str, body: Json) -> Json | None:
        found = self._interaction(token)
        message = found.original
        if id_ != "@original":
            mine = [*found.responses, *([found.message] if found.message else [])]
            message = next((m for m in mine if str(m.id) == id_), None)
        if message is None or message.deleted:
            raise unknown("message")
        if method == "GET":
            return message.json()
        if method == "DELETE":
            await self._scene.delete(message)
            return None
        if method != "PATCH":
            raise Refusal(405, 0, "405: Method Not Allowed")
        return await self._change(message, body)
