"""Acknowledging interactions and answering them, in this process or after a restart."""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from bots.discord.errors import ALREADY_ACKNOWLEDGED, RefusedError
from bots.discord.http_client import HttpClient, Json
from bots.discord.interaction_token import InteractionToken, ResponseMode
from core.errors import DeliveryError, DeliveryFailure

__all__ = ["EPHEMERAL_FLAG", "SUPPRESS_EMBEDS_FLAG", "InteractionResponder"]

SUPPRESS_EMBEDS_FLAG = 1 << 2
EPHEMERAL_FLAG = 1 << 6
LOADING_FLAG = 1 << 7

MESSAGE_RESPONSE, DEFERRED_RESPONSE, DEFERRED_UPDATE_RESPONSE = 4, 5, 6
"""Types of interaction callbacks."""
MAX_INTERACTIONS = 5_000


@dataclass(slots=True)
class _InteractionState:
    """What this process knows of one interaction."""

    expires_at: int
    acknowledged: "asyncio.Future[str] | None" = None
    """Done when Discord took (or refused) it: the id of the response's message, or ""."""
    is_filled: bool | None = None
    """Whether the deferred message has its text; None: not known (another process began it)."""
    original_id: str = ""
    sent_ids: set[str] = field(default_factory=set)
    """Messages written through the interaction."""


class InteractionResponder:
    """Interactions by ticket. Knows at most `MOST` of them, each for its token's lifetime."""

    def __init__(self, http: HttpClient, acknowledge_timeout: float) -> None:
        self._http = http
        self._acknowledge_timeout = acknowledge_timeout
        self._states: OrderedDict[str, _InteractionState] = OrderedDict()

    def expect_acknowledgement(self, token: InteractionToken) -> None:
        """An acknowledgement is about to be made: answers wait for it."""
        state = self._state_of(token)
        state.acknowledged = asyncio.get_running_loop().create_future()
        state.is_filled = False

    async def acknowledge(self, token: InteractionToken, message: Json | None = None) -> None:
        """Tell Discord that the interaction arrived; `shown`: a message to respond with."""
        state = self._state_of(token)
        if message is not None:
            body: Json = {"type": MESSAGE_RESPONSE, "data": message}
            state.is_filled = True
        elif token.mode is ResponseMode.COMPONENT:
            body = {"type": DEFERRED_UPDATE_RESPONSE}
        else:
            flags = EPHEMERAL_FLAG if token.mode is ResponseMode.EPHEMERAL else 0
            body = {"type": DEFERRED_RESPONSE, "data": {"flags": flags}}
        try:
            response = await self._send_callback(token, body)
            state.original_id = _response_message_id(response)
        except RefusedError as refusal:
            if refusal.code != ALREADY_ACKNOWLEDGED:
                raise
        finally:
            if state.acknowledged is not None and not state.acknowledged.done():
                state.acknowledged.set_result(state.original_id)

    async def answer_autocomplete(self, interaction_id: str, token: str, choices: list[Json]) -> None:
        """Answer an autocompletion."""
        path = f"/interactions/{interaction_id}/{token}/callback"
        body = {"type": 8, "data": {"choices": choices}}
        await self._http.call("POST", path, body, as_bot=False, is_idempotent=False)

    async def original_message(self, token: InteractionToken) -> str | None:
        """The message that shows the question, to reply to."""
        state = self._state_of(token)
        await self._wait_acknowledged(state)
        if not state.original_id and token.is_valid and token.mode is ResponseMode.CHANNEL:
            try:
                original = await self._http.call("GET", f"{token.webhook_path}/messages/@original", as_bot=False)
            except DeliveryError:
                return None  # an answer without a reference is better than none
            state.original_id = str(original.get("id", ""))
        return state.original_id or None

    async def respond(self, token: InteractionToken, body: Json) -> str:
        """Fill the deferred message, or follow up when it is filled. Returns the message's id."""
        state = self._state_of(token)
        await self._wait_acknowledged(state)
        _require_valid(token)
        if state.is_filled is None:
            is_waiting = await self._is_waiting_for_text(token, body)
            if state.is_filled is None:
                state.is_filled = not is_waiting
        if state.is_filled:
            return await self.follow_up(token, body, ephemeral=token.mode is ResponseMode.EPHEMERAL)
        state.is_filled = True
        try:
            message = await self._http.call("PATCH", f"{token.webhook_path}/messages/@original", body, as_bot=False)
        except BaseException:
            state.is_filled = False
            raise
        state.original_id = str(message.get("id", ""))
        state.sent_ids.add(state.original_id)
        return state.original_id

    async def follow_up(self, token: InteractionToken, body: Json, *, ephemeral: bool) -> str:
        """Write one more message through the interaction."""
        state = self._state_of(token)
        await self._wait_acknowledged(state)
        _require_valid(token)
        flags = SUPPRESS_EMBEDS_FLAG | (EPHEMERAL_FLAG if ephemeral else 0)
        message = await self._http.call(
            "POST",
            f"{token.webhook_path}?wait=1",
            {**body, "flags": flags},
            as_bot=False,
            is_idempotent=False,
        )
        state.sent_ids.add(str(message.get("id", "")))
        return str(message.get("id", ""))

    async def edit(self, token: InteractionToken, message: str, body: Json) -> None:
        path = await self._message_path(token, message)
        await self._http.call("PATCH", path, body, as_bot=False)

    async def delete(self, token: InteractionToken, message: str) -> None:
        await self._http.call("DELETE", await self._message_path(token, message), as_bot=False)

    async def delete_original(self, token: InteractionToken) -> None:
        """Remove what the interaction was responded to with."""
        await self._http.call("DELETE", f"{token.webhook_path}/messages/@original", as_bot=False)

    def is_interaction_message(self, token: InteractionToken, message: str) -> bool:
        """Whether `message` can be changed through the interaction alone."""
        if not token.can_post or message in self._state_of(token).sent_ids:
            return True
        if token.mode is ResponseMode.COMPONENT:
            return token.is_ephemeral and message == token.message_id
        return token.mode is ResponseMode.EPHEMERAL

    async def _message_path(self, token: InteractionToken, message: str) -> str:
        state = self._state_of(token)
        await self._wait_acknowledged(state)
        _require_valid(token)
        original = token.message_id if token.mode is ResponseMode.COMPONENT else state.original_id
        return f"{token.webhook_path}/messages/{'@original' if message == original else message}"

    async def _send_callback(self, token: InteractionToken, body: Json) -> Json:
        path = f"/interactions/{token.interaction_id}/{token.token}/callback?with_response=1"
        return await self._http.call("POST", path, body, as_bot=False, is_idempotent=True)

    async def _is_waiting_for_text(self, token: InteractionToken, body: Json) -> bool:
        """Whether the deferred message still waits for its text (or holds this very one)."""
        path = f"{token.webhook_path}/messages/@original"
        original = await self._http.call("GET", path, as_bot=False)
        flags = original.get("flags")
        loading = isinstance(flags, int) and bool(flags & LOADING_FLAG)
        return loading or original.get("content") == body.get("content")

    async def _wait_acknowledged(self, state: _InteractionState) -> None:
        """Before the acknowledgement Discord knows nothing that could be answered."""
        if state.acknowledged is not None and not state.acknowledged.done():
            await asyncio.wait({state.acknowledged}, timeout=self._acknowledge_timeout)

    def _state_of(self, token: InteractionToken) -> _InteractionState:
        state = self._states.get(token.interaction_id)
        if state is None:
            now = time.time()
            while self._states and (
                len(self._states) >= MAX_INTERACTIONS or next(iter(self._states.values())).expires_at < now
            ):
                self._states.popitem(last=False)
            state = self._states[token.interaction_id] = _InteractionState(token.expires_at)
        return state


def _require_valid(token: InteractionToken) -> None:
    if not token.is_valid:
        raise DeliveryError("This command cannot be answered any more.", DeliveryFailure.GONE)


def _response_message_id(response: Json) -> str:
    interaction = response.get("interaction")
    message_id = interaction.get("response_message_id") if isinstance(interaction, dict) else None
    return str(message_id or "")
