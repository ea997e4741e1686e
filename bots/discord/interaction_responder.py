"""Acknowledges interactions and answers through them, in this process or after a restart.

Discord requires an acknowledgement within three seconds. A deferred response is an empty message that
the first answer fills. All further answers are follow-ups. `InteractionToken` is stored with the turn: it has the
data that another process needs to answer.
"""

import asyncio
import contextlib
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum

import discord

from bots.discord.errors import ALREADY_ACKNOWLEDGED, COMMAND_EXPIRED_TEXT, NO_MORE_FOLLOW_UPS, DiscordApiError
from bots.discord.http_client import HttpClient, Json
from bots.discord.payloads import EPHEMERAL_FLAG, LOADING_FLAG, SUPPRESS_EMBEDS_FLAG
from bots.discord.timings import DiscordTimings
from core.errors import DeliveryError, DeliveryFailure, MessageLimitError
from core.port import File

MAX_INTERACTIONS = 5_000

TOKEN_LIFETIME_SECONDS = 15 * 60
"""How long Discord accepts an interaction's token."""
EXPIRY_MARGIN_SECONDS = 5
"""A token is not used in its last seconds, because the request might arrive too late."""


class ResponseMode(StrEnum):
    """How an interaction is answered. The values are stored in databases."""

    CHANNEL = "post"
    """A command answered by normal messages in the channel."""
    PUBLIC = "reply"
    """A command answered through the interaction, visible to everybody."""
    EPHEMERAL = "quiet"
    """A command answered through the interaction, visible only to the person who used it."""
    CONFIDENTIAL = "private"
    """A command of which only the person sees anything: no answer is ever posted otherwise."""
    COMPONENT = "press"
    """A button or menu."""


EPHEMERAL_MODES = (ResponseMode.EPHEMERAL, ResponseMode.CONFIDENTIAL)


@dataclass(frozen=True, slots=True)
class InteractionToken:
    mode: ResponseMode
    application_id: str
    interaction_id: str
    token: str
    expires_at: int
    """Unix seconds."""
    can_post: bool
    """Whether the bot may write normal messages where the interaction happened."""
    message_id: str = ""
    """The message with the pressed button."""
    is_ephemeral: bool = False
    """Whether only one person sees that message; then only the interaction can edit it."""
    is_card: bool = False
    """Whether that message consists of components, without content."""

    def encode(self) -> str:
        """The fields in order, separated by spaces. The order is stored in databases."""
        return " ".join(
            (
                self.mode,
                self.application_id,
                self.interaction_id,
                self.token,
                str(self.expires_at),
                "1" if self.can_post else "0",
                self.message_id or "-",
                "1" if self.is_ephemeral else "0",
                "1" if self.is_card else "0",
            )
        )

    @classmethod
    def decode(cls, text: str) -> "InteractionToken":
        """Raises `DeliveryError` for a token that cannot be read."""
        try:
            # Earlier versions stored no `is_card`.
            mode, application, interaction, token, expires, can_post, message, ephemeral, card = [
                *text.split(" "),
                "0",
            ][:9]
            return cls(
                mode=ResponseMode(mode),
                application_id=application,
                interaction_id=interaction,
                token=token,
                expires_at=int(expires),
                can_post=can_post == "1",
                message_id="" if message == "-" else message,
                is_ephemeral=ephemeral == "1",
                is_card=card == "1",
            )
        except ValueError:
            raise DeliveryError(COMMAND_EXPIRED_TEXT, DeliveryFailure.GONE) from None

    @property
    def webhook_path(self) -> str:
        return f"/webhooks/{self.application_id}/{self.token}"

    def is_valid(self, now: float) -> bool:
        """Whether Discord still accepts the token; `now` in Unix seconds."""
        return now < self.expires_at - EXPIRY_MARGIN_SECONDS


@dataclass(slots=True)
class _InteractionState:
    """The state of an interaction in this process."""

    expires_at: int
    acknowledged: "asyncio.Future[None] | None" = None
    """Done when Discord has accepted or refused the acknowledgement; None if this process did not send it."""
    is_filled: bool | None = None
    """Whether the deferred response has its text; None if unknown because another process deferred it."""
    original_id: str = ""
    """The message of the first response."""
    sent_ids: set[str] = field(default_factory=set)
    """The messages sent through the interaction."""


@dataclass(frozen=True, slots=True)
class InteractionResponder:
    """Remembers at most `MAX_INTERACTIONS`, each until its token expires."""

    http: HttpClient
    timings: DiscordTimings
    _states: OrderedDict[str, _InteractionState] = field(default_factory=OrderedDict)

    def is_valid(self, token: InteractionToken) -> bool:
        """Whether Discord still accepts the token."""
        return token.is_valid(self.timings.clock.time())

    def expect_acknowledgement(self, token: InteractionToken) -> None:
        """Make answers wait for an acknowledgement that is about to be sent."""
        state = self._state_of(token)
        state.acknowledged = asyncio.get_running_loop().create_future()
        state.is_filled = False

    async def acknowledge(self, token: InteractionToken, message: Json | None = None) -> None:
        """Respond with `message`, or defer the response. Raises `DeliveryError`."""
        state = self._state_of(token)
        types = discord.InteractionResponseType
        if message is not None:
            body: Json = {"type": types.channel_message.value, "data": message}
            state.is_filled = True
        elif token.mode is ResponseMode.COMPONENT:
            body = {"type": types.deferred_message_update.value}
        else:
            flags = EPHEMERAL_FLAG if token.mode in EPHEMERAL_MODES else 0
            body = {"type": types.deferred_channel_message.value, "data": {"flags": flags}}
        path = f"/interactions/{token.interaction_id}/{token.token}/callback?with_response=1"
        try:
            response = await self.http.call("POST", path, body)
            state.original_id = _response_message_id(response)
        except DiscordApiError as error:
            if error.code != ALREADY_ACKNOWLEDGED:
                raise
        finally:
            if state.acknowledged is not None and not state.acknowledged.done():
                state.acknowledged.set_result(None)

    async def answer_autocomplete(self, interaction_id: str, token: str, choices: list[Json]) -> None:
        path = f"/interactions/{interaction_id}/{token}/callback"
        body = {"type": discord.InteractionResponseType.autocomplete_result.value, "data": {"choices": choices}}
        await self.http.call("POST", path, body, is_idempotent=False)

    async def open_modal(self, interaction_id: str, token: str, modal: Json) -> None:
        """Show a form. Must be the first response. Raises `DeliveryError`."""
        path = f"/interactions/{interaction_id}/{token}/callback"
        body = {"type": discord.InteractionResponseType.modal.value, "data": modal}
        await self.http.call("POST", path, body, is_idempotent=False)

    async def original_message(self, token: InteractionToken) -> str | None:
        """The message that shows the question, as the target of replies; None if unknown."""
        state = self._state_of(token)
        await self._wait_acknowledged(state)
        if not state.original_id and self.is_valid(token) and token.mode is ResponseMode.CHANNEL:
            try:
                original = await self.http.call("GET", _original_path(token))
            except DeliveryError:
                return None  # the answer is then not a reply
            state.original_id = str(original.get("id", ""))
        return state.original_id or None

    async def respond(self, token: InteractionToken, body: Json, file: File | None = None) -> str:
        """Fill the deferred response, or follow up if it is already filled. Returns the message's ID."""
        state = self._state_of(token)
        await self._wait_acknowledged(state)
        self._require_valid(token)
        if state.is_filled is None:
            is_filled = await self._is_filled(token, body)
            if state.is_filled is None:
                state.is_filled = is_filled
        if state.is_filled:
            return await self.follow_up(token, body, file, ephemeral=token.mode in EPHEMERAL_MODES)
        state.is_filled = True
        try:
            message = await self.http.call("PATCH", _original_path(token), body, file=file)
        except (DeliveryError, asyncio.CancelledError):
            state.is_filled = False
            raise
        state.original_id = str(message.get("id", ""))
        state.sent_ids.add(state.original_id)
        return state.original_id

    async def follow_up(self, token: InteractionToken, body: Json, file: File | None = None, *, ephemeral: bool) -> str:
        """Send another message through the interaction. Returns its ID. Raises `MessageLimitError` at the limit for
        applications that only the user has installed.
        """
        state = self._state_of(token)
        await self._wait_acknowledged(state)
        self._require_valid(token)
        card_flag = body.get("flags", 0)
        flags = (
            (card_flag if isinstance(card_flag, int) else 0)
            | SUPPRESS_EMBEDS_FLAG
            | (EPHEMERAL_FLAG if ephemeral else 0)
        )
        path = f"{token.webhook_path}?wait=1"
        try:
            message = await self.http.call("POST", path, {**body, "flags": flags}, file=file, is_idempotent=False)
        except DiscordApiError as error:
            if error.code != NO_MORE_FOLLOW_UPS:
                raise
            raise MessageLimitError("Discord allows no more messages in answer to this command") from error
        message_id = str(message.get("id", ""))
        state.sent_ids.add(message_id)
        return message_id

    async def announce(self, token: InteractionToken, body: Json, file: File | None = None) -> str:
        """Follow up for everyone to see, in place of the deferred response, which only the person sees.

        Follow-ups have no idempotency key. The response is therefore filled before the follow-up and deleted after it:
        if an earlier process has filled it, the follow-up may exist and is not repeated, and the person keeps the
        response. Returns the message's ID; "" if an earlier process has done all.
        """
        state = self._state_of(token)
        await self._wait_acknowledged(state)
        self._require_valid(token)
        if state.is_filled is None:
            try:
                original = await self.http.call("GET", _original_path(token))
            except DeliveryError as error:
                if error.failure is not DeliveryFailure.GONE:
                    raise
                return ""
            if not _is_loading(original):
                return str(original.get("id", ""))
        if not state.is_filled:
            await self.http.call("PATCH", _original_path(token), {**body, "components": []})
            state.is_filled = True
        message_id = await self.follow_up(token, body, file, ephemeral=False)
        with contextlib.suppress(DeliveryError):
            await self.delete_original(token)
        return message_id

    async def edit(self, token: InteractionToken, message: str, body: Json, file: File | None = None) -> None:
        await self.http.call("PATCH", await self._message_path(token, message), body, file=file)

    async def delete(self, token: InteractionToken, message: str) -> None:
        await self.http.call("DELETE", await self._message_path(token, message))

    async def delete_original(self, token: InteractionToken) -> None:
        """Delete the first response."""
        await self._wait_acknowledged(self._state_of(token))
        await self.http.call("DELETE", _original_path(token))

    def is_interaction_message(self, token: InteractionToken, message: str) -> bool:
        """Whether `message` can be edited only through the interaction."""
        if not token.can_post or message in self._state_of(token).sent_ids:
            return True
        if token.mode is ResponseMode.COMPONENT:
            return token.is_ephemeral and message == token.message_id
        return token.mode in EPHEMERAL_MODES

    async def _message_path(self, token: InteractionToken, message: str) -> str:
        state = self._state_of(token)
        await self._wait_acknowledged(state)
        self._require_valid(token)
        original = token.message_id if token.mode is ResponseMode.COMPONENT else state.original_id
        return _original_path(token) if message == original else f"{token.webhook_path}/messages/{message}"

    async def _is_filled(self, token: InteractionToken, body: Json) -> bool:
        """Whether the deferred response has a text other than that of `body`."""
        original = await self.http.call("GET", _original_path(token))
        return not _is_loading(original) and (original.get("content") or "") != (body.get("content") or "")

    async def _wait_acknowledged(self, state: _InteractionState) -> None:
        """Wait for the acknowledgement, because Discord accepts no answer before it."""
        if state.acknowledged is not None and not state.acknowledged.done():
            await asyncio.wait({state.acknowledged}, timeout=self.timings.acknowledge_timeout)

    def _require_valid(self, token: InteractionToken) -> None:
        if not self.is_valid(token):
            raise DeliveryError(COMMAND_EXPIRED_TEXT, DeliveryFailure.GONE)

    def _state_of(self, token: InteractionToken) -> _InteractionState:
        state = self._states.get(token.interaction_id)
        if state is None:
            now = self.timings.clock.time()
            while self._states and (
                len(self._states) >= MAX_INTERACTIONS or next(iter(self._states.values())).expires_at < now
            ):
                self._states.popitem(last=False)
            state = self._states[token.interaction_id] = _InteractionState(token.expires_at)
        return state


def _is_loading(message: Json) -> bool:
    flags = message.get("flags")
    return isinstance(flags, int) and bool(flags & LOADING_FLAG)


def _original_path(token: InteractionToken) -> str:
    return f"{token.webhook_path}/messages/@original"


def _response_message_id(response: Json) -> str:
    interaction = response.get("interaction")
    message_id = interaction.get("response_message_id") if isinstance(interaction, dict) else None
    return str(message_id or "")
