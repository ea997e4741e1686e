"""Interactions over REST: the response, its edits, follow-up messages."""

from dataclasses import dataclass
from typing import Any

from bots.sandbox.discord.backend import ACKNOWLEDGE_SECONDS, Backend
from bots.sandbox.discord.enums import InteractionType, ResponseType
from bots.sandbox.discord.errors import ApiError, bad_choice, missing_permissions, not_found
from bots.sandbox.discord.messages import MessageRoutes
from bots.sandbox.discord.state import ATTACH_FILES, EPHEMERAL, LOADING, Call, Interaction, Message
from bots.sandbox.discord.validation import check_choices, check_message, check_modal
from bots.sandbox.stand_in import Json

TOKEN_LIFETIME_SECONDS = 15 * 60.0
MAX_USER_INSTALL_FOLLOWUPS = 5
"""Where only the user has installed the application, and not the guild."""
TYPES_WITH_MESSAGE = (ResponseType.CHANNEL_MESSAGE, ResponseType.DEFERRED_CHANNEL_MESSAGE, ResponseType.MESSAGE_UPDATE)


@dataclass(frozen=True, slots=True)
class InteractionRoutes:
    backend: Backend
    messages: MessageRoutes

    def _acknowledged(self, token: str) -> Interaction:
        interaction = self.backend.interactions.get(token)
        if interaction is None or interaction.acknowledged_at is None:
            raise not_found("webhook")
        if self.backend.clock.monotonic() - interaction.created_at > TOKEN_LIFETIME_SECONDS:
            raise ApiError(401, 50027, "Invalid Webhook Token")
        return interaction

    async def respond(self, call: Call, interaction_id: str, token: str) -> Any:
        body = call.body
        interaction = self.backend.interactions.get(token)
        if interaction is None or str(interaction.id) != interaction_id:
            raise not_found("interaction")
        if interaction.acknowledged_at is not None:
            raise ApiError(400, 40060, "Interaction has already been acknowledged.")
        if self.backend.clock.monotonic() - interaction.created_at > ACKNOWLEDGE_SECONDS:
            interaction.has_failed = True
            raise not_found("interaction")
        data = body.get("data") or {}
        is_autocomplete = interaction.type is InteractionType.AUTOCOMPLETE
        match body.get("type"):
            case ResponseType.CHANNEL_MESSAGE | ResponseType.DEFERRED_CHANNEL_MESSAGE as type_ if not is_autocomplete:
                is_deferred = type_ == ResponseType.DEFERRED_CHANNEL_MESSAGE
                check_message(data, is_new=True, is_loading=is_deferred)
                interaction.acknowledged_at = self.backend.clock.monotonic()
                flags = int(data.get("flags") or 0) | (LOADING if is_deferred else 0)
                await self._add_response(interaction, {**data, "flags": flags}, is_original=True)
            case ResponseType.DEFERRED_MESSAGE_UPDATE | ResponseType.MESSAGE_UPDATE as type_ if (
                interaction.message is not None and not is_autocomplete
            ):
                if type_ == ResponseType.MESSAGE_UPDATE:
                    await self.messages.edit(interaction.message, data)
                interaction.acknowledged_at = self.backend.clock.monotonic()
                interaction.original_response = interaction.message
            case ResponseType.AUTOCOMPLETE_RESULT if is_autocomplete:
                check_choices(data, "data.")
                interaction.acknowledged_at = self.backend.clock.monotonic()
                interaction.choices = data.get("choices") or []
            case ResponseType.MODAL if not is_autocomplete and interaction.type is not InteractionType.MODAL_SUBMIT:
                check_modal(data)
                interaction.acknowledged_at = self.backend.clock.monotonic()
                interaction.modal = data
                self.backend.notify_waiters()
            case _:
                raise bad_choice("type", "{4, 5, 6, 7, 9}")
        if call.query.get("with_response") not in ("1", "true", "True"):
            return None
        return self._callback_response(interaction, int(body["type"]))

    def _callback_response(self, interaction: Interaction, response_type: int) -> Json:
        interaction_json: Json = {"id": str(interaction.id), "type": interaction.type}
        response: Json = {"interaction": interaction_json}
        message = interaction.original_response
        if message is not None and response_type in TYPES_WITH_MESSAGE:
            is_deferred = response_type == ResponseType.DEFERRED_CHANNEL_MESSAGE
            interaction_json |= {
                "response_message_id": str(message.id),
                "response_message_loading": is_deferred,
                "response_message_ephemeral": message.ephemeral_to is not None,
            }
            if not is_deferred:
                response["resource"] = {"type": response_type, "message": message.json()}
        return response

    async def _add_response(self, interaction: Interaction, body: Json, *, is_original: bool = False) -> Message:
        message = self.messages.new_message(interaction.channel, body)
        message.interaction = interaction
        if is_original:
            interaction.original_response = message
        if message.flags & EPHEMERAL:
            message.ephemeral_to = interaction.user.id
        interaction.responses.append(message)
        await self.backend.dispatch_message("MESSAGE_CREATE", message)
        return message

    async def follow_up(self, call: Call, token: str) -> Json:
        body = call.body
        interaction = self._acknowledged(token)
        check_message(body, is_new=True)
        _check_files(interaction, body)
        original_response = interaction.original_response
        if original_response is not None and original_response.flags & LOADING:
            # The first follow-up fills the deferred message.
            return await self.messages.edit(original_response, body)
        if interaction.is_user_installed and interaction.followup_count >= MAX_USER_INSTALL_FOLLOWUPS:
            raise ApiError(400, 40094, "Maximum number of follow-up messages reached")
        interaction.followup_count += 1
        return (await self._add_response(interaction, body)).json()

    async def route_message(self, call: Call, token: str, message_id: str) -> Json | None:
        interaction = self._acknowledged(token)
        message = interaction.original_response
        if message_id != "@original":
            own = [*interaction.responses, *([interaction.message] if interaction.message else [])]
            message = next((m for m in own if str(m.id) == message_id), None)
        if message is None or message.is_deleted:
            raise not_found("message")
        _check_files(interaction, call.body if call.method == "PATCH" else {})
        return await self.messages.get_edit_or_delete(call, message)


def _check_files(interaction: Interaction, body: Json) -> None:
    """Refuse files where the channel does not allow them."""
    has_files = any("url" in attachment for attachment in body.get("attachments") or [])
    channel = interaction.channel
    if has_files and channel.guild is not None and not channel.effective_bot_permissions & ATTACH_FILES:
        raise missing_permissions()
