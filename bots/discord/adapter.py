"""The Discord adapter: sends, edits and deletes messages, and runs the gateway connection.

`receiving` and `translate` handle events, `gateway_supervisor` the connection, and
`interaction_responder` the answers to interactions.
"""

import base64
import binascii
import contextlib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from bots.discord.attachment_links import AttachmentDownloads
from bots.discord.backfill import BackfillSources
from bots.discord.cards import CARD_FLAG, CardSupport, card_components, text_components
from bots.discord.command_mentions import OwnTextDialect
from bots.discord.commands import CommandSync
from bots.discord.dialect import LENGTH_MARGIN_CHARS, MAX_MESSAGE_CHARS, DiscordDialect
from bots.discord.errors import (
    COMMAND_EXPIRED_TEXT,
    MISSING_PERMISSIONS,
    REFERENCE_NOT_ALLOWED,
    REFERENCE_NOT_READABLE,
    THREAD_ARCHIVED,
    UNKNOWN_MESSAGE,
    DiscordApiError,
)
from bots.discord.event_intake import EventIntake, HasAccess, ReadLanguage
from bots.discord.forbidden_channels import ExpiringSet, ForbiddenChannels
from bots.discord.forms import Forms, ReadInstructions, ReadQuestion
from bots.discord.gateway_supervisor import GatewaySupervisor
from bots.discord.http_client import HttpClient, Json
from bots.discord.interaction_responder import (
    EPHEMERAL_MODES,
    TOKEN_LIFETIME_SECONDS,
    InteractionResponder,
    InteractionToken,
    ResponseMode,
)
from bots.discord.localised_names import MAX_NAME_CHARS, to_name
from bots.discord.payloads import SUPPRESS_EMBEDS_FLAG, action_rows, message_payload
from bots.discord.receiving import AutocompleteModels, EventReceiver
from bots.discord.thread_creator import ThreadCreator
from bots.discord.thread_start import ThreadStartReader
from bots.discord.timings import DiscordTimings
from bots.discord.translate import PLATFORM, channel_id
from bots.discord.waiting_reactions import WaitingReactions
from core.commands.declarations import Command
from core.errors import ConfigurationError, DeliveryError, DeliveryFailure
from core.i18n.translation import gettext, load_catalogue, match_language, speaking
from core.port import (
    Attachment,
    Capabilities,
    ConnectionState,
    Dialect,
    File,
    Inbox,
    Part,
    Place,
    PreviewMode,
    Quote,
    RateLimit,
    RateWindow,
    StateStore,
    UploadLimits,
)
from core.store.leases import Leases
from core.store.recent_activity import EventHistory

# Discord counts each channel's messages and edits separately. These hold until it reports its limits in headers.
MESSAGE_RATE_LIMIT: RateLimit = (RateWindow(5, 5.2),)
EDIT_RATE_LIMIT: RateLimit = (RateWindow(5, 5.2),)
CAPABILITIES = Capabilities(
    preview_interval=0.9,  # edits have a limit of their own: 5 in 5 seconds
    rate_limit=MESSAGE_RATE_LIMIT,
    edit_rate_limit=EDIT_RATE_LIMIT,
    preview_mode=PreviewMode.EDIT,
    slow_preview_after_chars=3000,
    has_stop_button=True,
    deduplicates_sends=True,
    has_ephemeral_messages=True,
    has_ephemeral_files=True,
    max_ephemeral_age=TOKEN_LIFETIME_SECONDS - 60,
    edits_attach_files=True,
    has_forms=True,
    has_cards=True,
    menu_page_size=23,
)
ACCOUNT_RATE_LIMIT: RateLimit = (RateWindow(48, 1.01), RateWindow(12, 0.24))
"""Discord allows 50 requests a second. The shorter window spreads them, and the rest is for what no answer needs."""
MAX_NONCE_CHARS = 25
UPLOAD_LIMITS = UploadLimits(10 * 1024 * 1024, MAX_MESSAGE_CHARS - LENGTH_MARGIN_CHARS)
"""Boosted servers allow more."""


class DiscordAdapter:
    """`account` is the bot's user ID.

    `state` stores the digest and the IDs of the registered commands, and the progress of backfill.
    If `gateway_url` is None, Discord supplies the URL and the number of shards. `leases` divide the
    shards among all processes on one database. `history` enables backfill of missed messages up to
    `max_backfill_age` seconds old. Sending also works before `run`.
    """

    platform = PLATFORM
    account_rate_limit = ACCOUNT_RATE_LIMIT
    upload_limits = UPLOAD_LIMITS

    def __init__(
        self,
        token: str,
        *,
        commands: Sequence[Command],
        autocomplete_models: AutocompleteModels,
        has_access: HasAccess,
        read_language: ReadLanguage,
        read_instructions: ReadInstructions,
        read_question: ReadQuestion,
        state: StateStore,
        api_base: str = "https://discord.com/api/v10",
        gateway_url: str | None = None,
        message_content: bool = False,
        leases: Leases | None = None,
        history: EventHistory | None = None,
        max_backfill_age: float = 600.0,
        timings: DiscordTimings = DiscordTimings(),
    ) -> None:
        token = token.strip()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError("DISCORD_BOT_TOKEN is not a Discord bot token: it contains invalid characters.")
        self.account = _account_id(token)
        self.dialect: Dialect = DiscordDialect()
        self.model_dialect: Dialect = DiscordDialect()
        self.reads_own_threads = message_content
        self._timings = timings
        self._http = HttpClient(token, api_base, timings)
        self._responder = InteractionResponder(self._http, timings)
        self._intake = EventIntake(self._responder, has_access, read_language, timings)
        receiver = EventReceiver(
            self._http,
            self._intake,
            Forms(self._intake, self.account, read_instructions, read_question),
            self.account,
            {command.name: command for command in commands},
            autocomplete_models,
            message_content,
        )
        self._command_sync = CommandSync(self._http, state, self.account, commands, timings, self._use_command_ids)
        self._gateway_supervisor = GatewaySupervisor(
            token,
            self._http,
            receiver,
            gateway_url=gateway_url,
            message_content=message_content,
            on_login=self._command_sync.register,
            timings=timings,
            account=self.account,
            leases=leases,
            backfill_sources=BackfillSources(history, state, max_backfill_age) if history else None,
        )
        self._downloads = AttachmentDownloads(self._http)
        self._forbidden_channels = ForbiddenChannels(self._http, timings)
        self._cards = CardSupport()
        self._typing_paused = ExpiringSet(timings.clock)
        self._waiting_reactions = WaitingReactions(self._http, timings)
        self._thread_creator = ThreadCreator(self._http, self.account)
        self._thread_start_reader = ThreadStartReader(self._http, self.account)

    def capabilities(self, place: Place) -> Capabilities:
        path = _message_path(place, "")
        messages, edits = self._http.rate_limit("POST", path), self._http.rate_limit("PATCH", path)
        return _capabilities(messages or MESSAGE_RATE_LIMIT, edits or EDIT_RATE_LIMIT, self._cards.is_supported)

    @property
    def last_activity(self) -> float | None:
        """Implements `core.port.SupportsLiveness`; None while other processes serve all shards."""
        return self._gateway_supervisor.last_activity

    @property
    def connection_state(self) -> ConnectionState:
        """See `core.port.SupportsLiveness`."""
        return self._gateway_supervisor.connection_state

    async def run(self, inbox: Inbox) -> None:
        self._intake.inbox = inbox
        self._http.open()
        self._command_sync.start()
        try:
            await self._gateway_supervisor.run()
        finally:
            try:
                await self._command_sync.stop()
                await self._intake.drain()
            finally:
                await self.close()

    def _use_command_ids(self, ids: Mapping[str, str]) -> None:
        self.dialect = self._intake.dialect = OwnTextDialect(ids)

    async def close(self) -> None:
        """Close the connections to the REST API. Requests fail until `run` is called again."""
        await self._http.close()

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        ephemeral: bool = False,
        **_: Any,  # the interaction says who sees an ephemeral message
    ) -> str:
        if not interaction_token:
            return await self._cards.send(part, lambda current: self._post_or_notify(place, current, key, reply_to))
        token = InteractionToken.decode(interaction_token)
        if token.mode is ResponseMode.EPHEMERAL and not ephemeral:
            return await self._announce(place, replace(part, card=None), key, token)
        return await self._cards.send(
            part,
            lambda current: self._answer_interaction(place, current, key, reply_to, token, ephemeral=ephemeral),
        )

    async def _answer_interaction(
        self, place: Place, part: Part, key: str, reply_to: str | None, token: InteractionToken, *, ephemeral: bool
    ) -> str:
        is_valid = self._responder.is_valid(token)
        if ephemeral and token.is_ephemeral and not is_valid and not place.is_private:
            # What concerns a message that only one person sees may be confidential.
            raise DeliveryError(COMMAND_EXPIRED_TEXT, DeliveryFailure.GONE)
        body = _payload(part)
        if _answers_through_interaction(token) or (is_valid and (ephemeral or not token.can_post)):
            try:
                if _answers_through_interaction(token):
                    return await self._responder.respond(token, body, part.file)
                return await self._responder.follow_up(
                    token, body, part.file, ephemeral=ephemeral or token.is_ephemeral
                )
            except DeliveryError as error:
                # Nobody else sees a normal message in a direct message channel.
                if error.failure is not DeliveryFailure.GONE or not (place.is_private and token.can_post):
                    raise
                return await self._post(place, part, key, reply_to)
        reply_to = reply_to or await self._responder.original_message(token)
        try:
            return await self._post(place, part, key, reply_to)
        except DeliveryError as error:
            if error.failure is not DeliveryFailure.FORBIDDEN or not self._responder.is_valid(token):
                raise
            return await self._responder.follow_up(token, body, part.file, ephemeral=token.is_ephemeral)

    async def _announce(self, place: Place, part: Part, key: str, token: InteractionToken) -> str:
        """Answer a command so that everyone sees it, in place of the deferred response, which only the person sees."""
        if not token.can_post:
            return await self._responder.announce(token, _payload(part), part.file)
        with contextlib.suppress(DeliveryError):
            await self._responder.delete_original(token)
        return await self._post(place, part, key, None)

    async def edit(self, place: Place, message_id: str, part: Part, *, interaction_token: str | None = None) -> None:
        token = InteractionToken.decode(interaction_token) if interaction_token else None
        await self._cards.send(part, lambda current: self._edit(place, message_id, current, token))

    async def _edit(self, place: Place, message_id: str, part: Part, token: InteractionToken | None) -> None:
        is_card = token is not None and token.is_card and message_id == token.message_id
        body = _payload(part, is_card=is_card)
        if part.file is None:
            body["attachments"] = []  # the message may have had a file
        if token is not None and self._uses_interaction(token, message_id):
            await self._responder.edit(token, message_id, body, part.file)
            return
        try:
            await self._call_unarchiving(place, "PATCH", _message_path(place, message_id), body, part.file)
        except DiscordApiError as error:
            if token is None or not self._responder.is_valid(token) or error.code != UNKNOWN_MESSAGE:
                raise
            # An earlier process sent the message through the interaction.
            await self._responder.edit(token, message_id, body, part.file)

    async def delete(self, place: Place, message_id: str, *, interaction_token: str | None = None) -> None:
        token = InteractionToken.decode(interaction_token) if interaction_token else None
        if token is not None and self._uses_interaction(token, message_id):
            await self._responder.delete(token, message_id)
            return
        try:
            await self._call_unarchiving(place, "DELETE", _message_path(place, message_id))
        except DiscordApiError as error:
            if token is None or not self._responder.is_valid(token) or error.code != UNKNOWN_MESSAGE:
                raise
            # An earlier process sent the message through the interaction.
            await self._responder.delete(token, message_id)

    async def show_typing(self, place: Place) -> None:
        channel = channel_id(place)
        if channel in self._typing_paused:
            return
        try:
            await self._http.call("POST", f"/channels/{channel}/typing")
        except DeliveryError as error:
            if error.failure not in (DeliveryFailure.FORBIDDEN, DeliveryFailure.GONE):
                raise
            # Here the bot may answer only through interactions.
            self._typing_paused.add(channel, self._timings.typing_pause)

    async def open_private_chat(self, user: str) -> Place:
        channel = await self._http.call("POST", "/users/@me/channels", {"recipient_id": user})
        return Place(PLATFORM, self.account, str(channel["id"]), is_private=True)

    async def mark_waiting(self, place: Place, message_id: str, *, is_waiting: bool) -> None:
        """See `core.port.SupportsWaitingMarks`."""
        change = self._waiting_reactions.add if is_waiting else self._waiting_reactions.remove
        await change(place, message_id)

    async def create_thread(
        self, place: Place, title: str, *, interaction_token: str | None = None, is_repeated: bool = False
    ) -> str:
        command = InteractionToken.decode(interaction_token).interaction_id if interaction_token else None
        thread = await self._thread_creator.create(place, title, command=command, is_repeated=is_repeated)
        return f"https://discord.com/channels/{place.server}/{thread}"

    async def option_name(self, argument: str, language: str | None) -> str:
        """See `core.port.SupportsOptionNames`."""
        with speaking(await load_catalogue(match_language(language))):
            return to_name(gettext(argument)[:MAX_NAME_CHARS])

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        return await self._downloads.download(attachment.file_id, max_bytes)

    async def thread_start(self, place: Place, question_message: str | None) -> Quote | None:
        return await self._thread_start_reader.read(place, question_message)

    def _uses_interaction(self, token: InteractionToken, message_id: str) -> bool:
        """Whether to edit or delete `message_id` through the interaction instead of normally."""
        is_interaction_message = self._responder.is_interaction_message(token, message_id)
        return is_interaction_message and (self._responder.is_valid(token) or not token.can_post)

    async def _post_or_notify(self, place: Place, part: Part, key: str, reply_to: str | None) -> str:
        """Post a message; if that is forbidden, tell the author of the question why."""
        try:
            return await self._post(place, part, key, reply_to)
        except DeliveryError as error:
            if error.failure is DeliveryFailure.FORBIDDEN and reply_to and not _concerns_file(part, error):
                await self._forbidden_channels.notify_sender(place, reply_to, error)
            raise

    async def _post(self, place: Place, part: Part, key: str, reply_to: str | None) -> str:
        self._forbidden_channels.check(place)
        body = _payload(part, flags=SUPPRESS_EMBEDS_FLAG, nonce=key[:MAX_NONCE_CHARS], reply_to=reply_to)
        try:
            message = await self._create_message(place, body, part.file)
        except DeliveryError as error:
            if not _concerns_file(part, error):
                self._forbidden_channels.record_failure(place, error)
            raise
        message_id = str(message.get("id", ""))
        if not _shows(message, part):
            # An earlier process sent the message with this key; it still has the old text.
            await self._call_unarchiving(place, "PATCH", _message_path(place, message_id), _payload(part), part.file)
        return message_id

    async def _create_message(self, place: Place, body: Json, file: File | None) -> Json:
        """Post `body`, without the reply if Discord refuses only that."""
        path = f"/channels/{channel_id(place)}/messages"
        try:
            return await self._http.call("POST", path, body, file=file)
        except DiscordApiError as error:
            if error.code not in (REFERENCE_NOT_READABLE, REFERENCE_NOT_ALLOWED) or "message_reference" not in body:
                raise
        body = {name: value for name, value in body.items() if name != "message_reference"}
        return await self._http.call("POST", path, body, file=file)

    async def _call_unarchiving(
        self, place: Place, method: str, path: str, body: Json | None = None, file: File | None = None
    ) -> None:
        """Send a request; if the thread is archived, reopen it and repeat the request."""
        try:
            await self._http.call(method, path, body, file=file)
        except DiscordApiError as error:
            if error.code != THREAD_ARCHIVED or place.thread is None:
                raise
            await self._http.call("PATCH", f"/channels/{place.thread}", {"archived": False})
            await self._http.call(method, path, body, file=file)


@lru_cache(maxsize=1024)
def _capabilities(messages: RateLimit, edits: RateLimit, has_cards: bool) -> Capabilities:
    return replace(CAPABILITIES, rate_limit=messages, edit_rate_limit=edits, has_cards=has_cards)


def _answers_through_interaction(token: InteractionToken) -> bool:
    return token.mode in (*EPHEMERAL_MODES, ResponseMode.PUBLIC)


def _message_path(place: Place, message_id: str) -> str:
    return f"/channels/{channel_id(place)}/messages/{message_id}"


def _concerns_file(part: Part, error: DeliveryError) -> bool:
    """Whether the channel may only forbid the part's file."""
    return part.file is not None and isinstance(error, DiscordApiError) and error.code == MISSING_PERMISSIONS


def _payload(
    part: Part, *, is_card: bool = False, flags: int = 0, nonce: str = "", reply_to: str | None = None
) -> Json:
    """`is_card`: the message has been a card."""
    if part.card is None and not is_card:
        return message_payload(
            part.text, components=action_rows(part), flags=flags, nonce=nonce, reply_to=reply_to, file=part.file
        )
    components = text_components(part) if part.card is None else card_components(part.card)
    return message_payload(None, components=components, flags=flags | CARD_FLAG, nonce=nonce, reply_to=reply_to)


def _shows(message: Json, part: Part) -> bool:
    """Whether a message, as Discord returned it, has the text, the buttons and the file of `part`."""
    if part.file is not None and not message.get("attachments"):
        return False
    body = _payload(part)
    is_same_text = str(message.get("content") or "").strip() == str(body["content"] or "").strip()
    return is_same_text and _custom_ids(message.get("components")) == _custom_ids(body["components"])


def _custom_ids(components: object) -> list[str]:
    """The custom IDs of all buttons and menus, at any depth."""
    match components:
        case list():
            return [custom_id for component in components for custom_id in _custom_ids(component)]
        case {"custom_id": str(custom_id)}:
            return [custom_id]
        case {"components": nested, **others}:
            return _custom_ids(nested) + _custom_ids(others.get("accessory"))
        case _:
            return []


def _account_id(token: str) -> str:
    """The bot's user ID: the first part of its token.

    If the token has none (with a proxy, for example), a name that survives restarts.
    """
    fallback_id = "token-" + hashlib.sha256(token.encode()).hexdigest()[:16]
    encoded_id = token.partition(".")[0]
    try:
        decoded = base64.urlsafe_b64decode(encoded_id + "=" * (-len(encoded_id) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return fallback_id
    return decoded if decoded.isdecimal() else fallback_id
