"""Messages over REST: create, read, edit and delete them."""

import re

from bots.sandbox.discord.backend import Backend
from bots.sandbox.discord.errors import (
    ApiError,
    age_restricted_reference,
    archived_thread,
    empty_message,
    invalid_form,
    legacy_field,
    method_not_allowed,
    missing_permissions,
    not_found,
    unreadable_reference,
)
from bots.sandbox.discord.state import (
    ADD_REACTIONS,
    ATTACH_FILES,
    COMPONENTS_V2,
    LOADING,
    READ_MESSAGE_HISTORY,
    Call,
    Channel,
    Message,
    iso_now,
    next_snowflake,
)
from bots.sandbox.discord.validation import check_message
from bots.sandbox.stand_in import ChatEvent, ChatEventKind, Json
from core.bounded_dict import BoundedDict

UNPARSED_TEXT = re.compile(r"```.*?```|`[^`]*`|\\.", re.DOTALL)
MAX_NONCES = 10_000
NONCE_LIFETIME_SECONDS = 300.0


class MessageRoutes:
    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._nonces: BoundedDict[tuple[int, str], tuple[float, Message]] = BoundedDict(MAX_NONCES)

    def start_typing(self, _call: Call, channel: Channel) -> None:
        self._backend.publish(channel, ChatEvent(ChatEventKind.TYPING))

    def react(self, call: Call, channel: Channel, message_id: str, emoji: str) -> None:
        """Add or remove a reaction of the bot."""
        message = channel.find_message(message_id)
        if message is None:
            raise not_found("message")
        is_new = call.method == "PUT"
        if is_new and not channel.bot_has_permission(ADD_REACTIONS | READ_MESSAGE_HISTORY):
            raise missing_permissions()
        others = [each for each in message.reactions if each != emoji]
        message.reactions = [*others, emoji] if is_new else others

    async def create(self, call: Call, channel: Channel) -> Json:
        body = call.body
        check_message(body, is_new=True)
        if body.get("attachments") and not channel.bot_has_permission(ATTACH_FILES):
            raise missing_permissions()
        nonce = body.get("nonce")
        previous = self._nonces.get((channel.id, str(nonce)))
        if nonce is not None and body.get("enforce_nonce") and previous is not None:
            created_at, message = previous
            if self._backend.clock.monotonic() - created_at < NONCE_LIFETIME_SECONDS:
                return message.json()
        reference = body.get("message_reference") or {}
        target = reference.get("message_id")
        if target is not None and channel.find_message(target) is None:
            if reference.get("fail_if_not_exists", True):
                raise invalid_form("message_reference", "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message")
            target = None
        if target is not None and not channel.bot_has_permission(READ_MESSAGE_HISTORY):
            raise unreadable_reference()
        if target is not None and channel.is_age_restricted:
            raise age_restricted_reference()
        message = self.new_message(channel, body, int(target) if target is not None else None)
        if nonce is not None:
            message.nonce = str(nonce)
            self._nonces[channel.id, message.nonce] = (self._backend.clock.monotonic(), message)
        channel.archived = False
        await self._backend.dispatch_message("MESSAGE_CREATE", message)
        return message.json()

    def new_message(self, channel: Channel, body: Json, reply_to_id: int | None = None) -> Message:
        content = str(body.get("content") or "").strip()  # as Discord does
        message = Message(next_snowflake(), channel, self._backend.bot, content, reply_to_id=reply_to_id)
        message.attachments = [attachment for attachment in body.get("attachments") or [] if "url" in attachment]
        message.components = body.get("components") or []
        message.created_at = self._backend.clock.monotonic()
        message.flags = int(body.get("flags") or 0)
        self._set_mentions(message, body)
        channel.messages.append(message)
        return message

    def _set_mentions(self, message: Message, body: Json) -> None:
        """Set whom the message pings, by its text and `allowed_mentions`."""
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
        message.mention_everyone = "everyone" in parse and re.search(r"@everyone|@here", text) is not None

    def history(self, call: Call, channel: Channel) -> list[Json]:
        messages = [m for m in reversed(channel.messages) if not m.is_deleted and m.ephemeral_to is None]
        limit = int(call.query.get("limit", "50"))
        if not 1 <= limit <= 100:
            raise invalid_form("limit", "NUMBER_TYPE_MAX", "int value should be between 1 and 100.")
        if "before" in call.query:
            messages = [m for m in messages if m.id < int(call.query["before"])]
        if "after" in call.query:
            messages = [m for m in messages if m.id > int(call.query["after"])][-limit:]
        return [message.json() for message in messages[:limit]]

    async def route(self, call: Call, channel: Channel, message_id: str) -> Json | None:
        message = target_message(channel, message_id)
        is_own = message.author is self._backend.bot
        if call.method == "DELETE" and not is_own:
            if channel.guild is None:
                raise ApiError(403, 50003, "Cannot execute action on a DM channel")
            raise missing_permissions()
        if call.method == "PATCH":
            if not is_own:
                raise ApiError(403, 50005, "Cannot edit a message authored by another user")
            if channel.archived:
                raise archived_thread()
            new_files = any("url" in attachment for attachment in call.body.get("attachments") or [])
            if new_files and not channel.bot_has_permission(ATTACH_FILES):
                raise missing_permissions()
            self._backend.consume_old_edit_limit(message)
        return await self.get_edit_or_delete(call, message)

    async def get_edit_or_delete(self, call: Call, message: Message) -> Json | None:
        match call.method:
            case "GET":
                return message.json()
            case "PATCH":
                return await self.edit(message, call.body)
            case "DELETE":
                await self._backend.delete_message(message)
                return None
        raise method_not_allowed()

    async def edit(self, message: Message, body: Json) -> Json:
        is_card = bool((message.flags | int(body.get("flags") or 0)) & COMPONENTS_V2)
        check_message(body, is_new=False, is_card=is_card)
        content = str(body["content"] or "").strip() if "content" in body else message.content
        current = {attachment["id"]: attachment for attachment in message.attachments}
        requested = body.get("attachments", message.attachments) or []
        attachments = [current.get(str(attachment["id"]), attachment) for attachment in requested]
        attachments = [attachment for attachment in attachments if "url" in attachment]
        if not (content or attachments or is_card):
            raise empty_message()
        if is_card and content:
            raise legacy_field("content")
        message.flags |= COMPONENTS_V2 * is_card
        message.attachments = attachments
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


def target_message(channel: Channel, message_id: str) -> Message:
    """A message of the channel; ephemeral ones do not exist here."""
    message = channel.find_message(message_id)
    if message is None or message.ephemeral_to is not None:
        raise not_found("message")
    return message
