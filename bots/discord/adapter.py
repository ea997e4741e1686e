"""Discord as a `Chat`: sending, changing and deleting messages; running the connection."""

import base64
import binascii
import hashlib
from collections.abc import Sequence

from bots.discord.backfill import BackfillSources, SupportsHistory
from bots.discord.buttons import action_rows
from bots.discord.command_sync import CommandSync, StateStore
from bots.discord.dialect import DiscordDialect
from bots.discord.errors import THREAD_ARCHIVED, UNKNOWN_MESSAGE, RefusedError
from bots.discord.forbidden_channels import ExpiringSet, ForbiddenChannels
from bots.discord.gateway_supervisor import GatewaySupervisor
from bots.discord.http_client import HttpClient, Json
from bots.discord.identify_limiter import Backoff
from bots.discord.interaction_responder import SUPPRESS_EMBEDS_FLAG, InteractionResponder
from bots.discord.interaction_token import InteractionToken, ResponseMode
from bots.discord.receiving import NO_MENTIONS, EventReceiver, SuggestModels
from bots.discord.shard_allocator import SupportsLeases
from bots.discord.timings import DiscordTimings
from bots.discord.translate import PLATFORM
from core.commands.declarations import Command
from core.errors import ConfigurationError, DeliveryError, DeliveryFailure
from core.port import Attachment, Capabilities, Dialect, Inbox, Part, Place, RateLimit

__all__ = ["DiscordAdapter"]

CAPABILITIES = Capabilities(
    rate_limit=RateLimit(burst=5, rate=1, reserve=2),
    preview_mode="edit",
    preview_interval=1.3,
    slow_preview_after_chars=3000,
    typing_interval=8.0,
    has_stop_button=True,
    has_retry_button=True,
    deduplicates_sends=True,
    menu_page_size=23,
)
TYPING_PAUSE_SECONDS = 300.0
"""Seconds for which a place that refused "typing" is spared it."""
MAX_NONCE_CHARS = 25
MAX_MESSAGE_CHARS = 2000


class DiscordAdapter:
    """The Discord adapter.

    `remember` keeps one small string over restarts: the digest of the commands Discord has.
    `gateway_url` None: asked from the API, with the number of shards. Sending needs no running
    gateway; `close` releases what sending after `run` has opened. `leases` divides the shards
    between all processes on one database. `history` tells where to look for messages that were
    missed, at most `too_old` seconds ago.
    """

    platform = PLATFORM
    account_rate_limit = RateLimit(burst=5, rate=42, reserve=2)  # together below the 50 that a second allows

    def __init__(
        self,
        token: str,
        *,
        commands: Sequence[Command],
        suggest_models: SuggestModels,
        state: StateStore,
        api_base: str = "https://discord.com/api/v10",
        gateway_url: str | None = None,
        message_content: bool = False,
        timings: DiscordTimings | None = None,
        leases: SupportsLeases | None = None,
        history: SupportsHistory | None = None,
        max_backfill_age: float = 600.0,
    ) -> None:
        self.dialect: Dialect = DiscordDialect(limit=MAX_MESSAGE_CHARS)
        token = token.strip()
        if not token.isascii() or not token.isprintable() or " " in token:
            raise ConfigurationError("DISCORD_BOT_TOKEN is no token: it has strange characters.")
        self.account = _account_id(token)
        timings = timings or DiscordTimings()
        self._http = HttpClient(token, api_base)
        self._responder = InteractionResponder(self._http, timings.acknowledge_timeout)
        self._receiver = EventReceiver(
            self._http,
            self._responder,
            account=self.account,
            commands=commands,
            suggest_models=suggest_models,
            timings=timings,
        )
        self._command_sync = CommandSync(
            self._http, state, commands, Backoff(timings.first_retry_delay, timings.max_retry_delay)
        )
        self._gateway_supervisor = GatewaySupervisor(
            token,
            self._http,
            self._receiver,
            api_base=api_base,
            gateway_url=gateway_url,
            message_content=message_content,
            on_login=self._command_sync.start,
            timings=timings,
            account=self.account,
            leases=leases,
            backfill_sources=BackfillSources(history, state, max_backfill_age) if history else None,
        )
        self._forbidden_channels = ForbiddenChannels(self._http)
        self._typing_paused = ExpiringSet()

    def capabilities(self, place: Place) -> Capabilities:  # noqa: ARG002 (the same everywhere)
        return CAPABILITIES

    @property
    def last_activity(self) -> float | None:
        """When Discord last acknowledged a heartbeat on every connection, on the monotonic
        clock; None while there is none (another process may serve them all).
        """
        return self._gateway_supervisor.last_activity

    async def send(
        self,
        place: Place,
        part: Part,
        *,
        key: str,
        reply_to: str | None = None,
        interaction_token: str | None = None,
        ephemeral: bool = False,
    ) -> str:
        body = _message_body(part)
        token = InteractionToken.decode(interaction_token) if interaction_token else None
        if token is None:
            return await self._post_or_explain(place, body, key, reply_to)
        if token.mode in (ResponseMode.EPHEMERAL, ResponseMode.PUBLIC) or (
            token.is_valid and (ephemeral or not token.can_post)
        ):
            try:
                return await self._send_through_interaction(token, body, ephemeral=ephemeral)
            except DeliveryError as error:
                # In private a normal message shows nothing to anybody else.
                if error.failure is not DeliveryFailure.GONE or not (place.private and token.can_post):
                    raise
                return await self._post(place, body, key, reply_to)
        reply_to = reply_to or await self._responder.original_message(token)
        try:
            return await self._post(place, body, key, reply_to)
        except DeliveryError as error:
            if error.failure is not DeliveryFailure.FORBIDDEN or not token.is_valid:
                raise
            return await self._responder.follow_up(token, body, ephemeral=token.is_ephemeral)

    async def edit(self, place: Place, message: str, part: Part, *, interaction_token: str | None = None) -> None:
        body = _message_body(part)
        token = InteractionToken.decode(interaction_token) if interaction_token else None
        is_interaction_message = token is not None and self._responder.is_interaction_message(token, message)
        if token is not None and is_interaction_message and (token.is_valid or not token.can_post):
            await self._responder.edit(token, message, body)
            return
        try:
            await self._patch(place, message, body)
        except RefusedError as error:
            if token is None or not token.is_valid or error.code != UNKNOWN_MESSAGE:
                raise
            # Written through the interaction, by a process that is no more.
            await self._responder.edit(token, message, body)

    async def delete(self, place: Place, message: str, *, interaction_token: str | None = None) -> None:
        token = InteractionToken.decode(interaction_token) if interaction_token else None
        is_interaction_message = token is not None and self._responder.is_interaction_message(token, message)
        if token is not None and is_interaction_message and (token.is_valid or not token.can_post):
            await self._responder.delete(token, message)
            return
        await self._call_unarchiving(place, "DELETE", f"{_messages_path(place)}/{message}")

    async def typing(self, place: Place) -> None:
        channel = place.thread or place.chat
        if channel in self._typing_paused:
            return
        try:
            await self._http.call("POST", f"/channels/{channel}/typing")
        except DeliveryError as error:
            if error.failure not in (DeliveryFailure.FORBIDDEN, DeliveryFailure.GONE):
                raise
            # Where only an interaction may write: no use to ask again and again.
            self._typing_paused.add(channel, TYPING_PAUSE_SECONDS)

    async def _send_through_interaction(self, token: InteractionToken, body: Json, *, ephemeral: bool) -> str:
        """Write through the interaction."""
        if token.mode in (ResponseMode.EPHEMERAL, ResponseMode.PUBLIC):
            return await self._responder.respond(token, body)
        return await self._responder.follow_up(token, body, ephemeral=ephemeral or token.is_ephemeral)

    async def _post_or_explain(self, place: Place, body: Json, key: str, reply_to: str | None) -> str:
        try:
            return await self._post(place, body, key, reply_to)
        except DeliveryError as error:
            if error.failure is DeliveryFailure.FORBIDDEN and reply_to:
                await self._forbidden_channels.notify_sender(place, reply_to, error)
            raise

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        return await self._http.download(attachment.file_id, max_bytes)

    async def _post(self, place: Place, body: Json, key: str, reply_to: str | None) -> str:
        self._forbidden_channels.check(place)
        nonce: Json = {"nonce": key[:MAX_NONCE_CHARS], "enforce_nonce": True}
        reference: Json = {}
        if reply_to:
            reference = {"message_reference": {"message_id": reply_to, "fail_if_not_exists": False}}
        try:
            message = await self._http.call(
                "POST",
                _messages_path(place),
                {**body, **nonce, **reference, "flags": SUPPRESS_EMBEDS_FLAG},
            )
        except DeliveryError as error:
            self._forbidden_channels.record_failure(place, error)
            raise
        message_id = str(message.get("id", ""))
        if not _has_content(message, body):
            # Sent before with this key, by a process that is no more: it stands as it was then.
            await self._patch(place, message_id, body)
        return message_id

    async def _patch(self, place: Place, message: str, body: Json) -> None:
        await self._call_unarchiving(place, "PATCH", f"{_messages_path(place)}/{message}", body)

    async def _call_unarchiving(self, place: Place, method: str, path: str, body: Json | None = None) -> None:
        """Make a request; in a thread that sleeps, once more after waking it."""
        try:
            await self._http.call(method, path, body)
        except RefusedError as error:
            if error.code != THREAD_ARCHIVED or place.thread is None:
                raise
            await self._http.call("PATCH", f"/channels/{place.thread}", {"archived": False})
            await self._http.call(method, path, body)

    async def run(self, inbox: Inbox) -> None:
        self._receiver.inbox = inbox
        try:
            await self._gateway_supervisor.run()
        finally:
            await self._command_sync.stop()
            await self._receiver.drain()
            await self._http.close()

    async def close(self) -> None:
        await self._http.close()


def _messages_path(place: Place) -> str:
    return f"/channels/{place.thread or place.chat}/messages"


def _message_body(part: Part) -> Json:
    return {"content": part.text, "allowed_mentions": NO_MENTIONS, "components": action_rows(part)}


def _has_content(message: Json, body: Json) -> bool:
    """Whether what Discord has is what was sent."""
    is_same_text = str(message.get("content", "")).strip() == str(body["content"]).strip()
    return is_same_text and _custom_ids(message.get("components")) == _custom_ids(body["components"])


def _custom_ids(components: object) -> list[str]:
    """What can be pressed."""
    match components:
        case list():
            return [action for one in components for action in _custom_ids(one)]
        case {"custom_id": str(action)}:
            return [action]
        case {"components": inner}:
            return _custom_ids(inner)
        case _:
            return []


def _account_id(token: str) -> str:
    """The bot's id, which is the first part of its token.

    Where it is not (a proxy's token, say): a name that is the same after a restart.
    """
    fallback_id = "token-" + hashlib.sha256(token.encode()).hexdigest()[:16]
    encoded_id = token.partition(".")[0]
    try:
        decoded = base64.urlsafe_b64decode(encoded_id + "=" * (-len(encoded_id) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return fallback_id
    return decoded if decoded.isdecimal() else fallback_id
