"""Ephemeral messages: what only one person sees in a group. Remembers where Telegram does not send them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from telegram import Bot, Message
from telegram.error import BadRequest

from bots.telegram.errors import is_topic_gone
from bots.telegram.http_client import call_method
from bots.telegram.message_ids import ephemeral_key, is_ephemeral_key, message_key
from core.bounded_dict import BoundedDict
from core.clock import Clock
from core.errors import DeliveryError, DeliveryFailure
from core.port import Place

MAX_REMEMBERED_CHATS = 5_000
REFUSED_SECONDS = 3600.0
"""How long a chat that refuses them is not asked again: it may make the bot an administrator."""
RECEIVER_TEXTS = (
    "user not found",
    "member not found",
    "user_id_invalid",
    "participant_id_invalid",
    "user_not_participant",
)
"""In errors about the person, who may not be a member of the chat. Others are about the chat."""

log = structlog.get_logger(__name__)


class EphemeralMessages:
    """For one bot and its server, as long as the process lives."""

    def __init__(self, bot: Bot, clock: Clock) -> None:
        self._bot = bot
        self._clock = clock
        self._server_supports = True
        """False once the server has turned out to ignore the parameter: it sent a message that everybody sees."""
        self._has_succeeded = False
        self._refused_until: BoundedDict[str, float] = BoundedDict(MAX_REMEMBERED_CHATS)
        """By chat, by `Clock.monotonic`, until the chat accepts one."""
        self._files_refused_until: BoundedDict[str, float] = BoundedDict(MAX_REMEMBERED_CHATS)
        """By chat: until when files are refused. Text may still be accepted."""

    def is_supported(self, place: Place) -> bool:
        """Whether the chat accepts them, as far as is known."""
        return self._server_supports and place.chat not in self._refused_until

    def hides_files(self, place: Place) -> bool:
        """Whether nobody else would see a file.

        A server that ignores the parameter would show it to everybody, so a message of text must have succeeded before.
        """
        is_refused = self._is_refused(self._files_refused_until, place)
        return self._has_succeeded and not is_refused and self.is_supported(place)

    def observe(self, place: Place, message_id: str | None) -> None:
        """Somebody has pressed a button of a message."""
        if message_id is not None and is_ephemeral_key(message_id):
            self._refused_until.pop(place.chat, None)

    async def send(self, place: Place, person: str, parameters: Mapping[str, object]) -> str:
        """Send a message to `person` alone, or to everybody where Telegram refuses that. Returns its ID.

        `parameters` are those of `sendMessage`. Raises `TelegramError`.
        """
        if not self._may_send(place, person):
            return str((await self._send(parameters))["message_id"])
        # Without the reply: Telegram refuses it if the message no longer exists, such as that of a deleted API key.
        changes = {"reply_parameters": None, "ephemeral_message_parameters": {"receiver_user_id": int(person)}}
        try:
            message = await self._send({**parameters, **changes})
        except BadRequest as error:
            if is_topic_gone(error):
                raise
            log.info("telegram.ephemeral_refused", chat=place.chat, error=error.message)
            message = await self._send(parameters)
            self._note_refusal(self._refused_until, place, error)  # the message itself was accepted
            return str(message["message_id"])
        return self._read_id(place, person, message)

    async def send_file(
        self, place: Place, person: str, send: Callable[[Mapping[str, object]], Awaitable[Message]]
    ) -> str:
        """Have `send`, with these parameters, send a file to `person` alone. Returns the message's ID.

        Raises `TelegramError` and, where others would see it, `DeliveryError`.
        """
        if not (self.hides_files(place) and self._may_send(place, person)):
            raise DeliveryError("Everybody would see the file", DeliveryFailure.FORBIDDEN)
        try:
            message = await send({"ephemeral_message_parameters": {"receiver_user_id": int(person)}})
        except BadRequest as error:
            log.info("telegram.ephemeral_refused", chat=place.chat, error=error.message)
            self._note_refusal(self._files_refused_until, place, error)
            raise
        return message_key(message, int(person))

    def _note_refusal(self, refused_until: BoundedDict[str, float], place: Place, error: BadRequest) -> None:
        if not any(text in error.message.lower() for text in RECEIVER_TEXTS):
            refused_until[place.chat] = self._clock.monotonic() + REFUSED_SECONDS

    def _is_refused(self, refused_until: BoundedDict[str, float], place: Place) -> bool:
        return self._clock.monotonic() < refused_until.get(place.chat, 0.0)

    def _may_send(self, place: Place, person: str) -> bool:
        # Somebody who writes as the group cannot get such a message.
        return self._server_supports and person.isdecimal() and not self._is_refused(self._refused_until, place)

    def _read_id(self, place: Place, person: str, message: Mapping[str, Any]) -> str:
        ephemeral_id = message.get("ephemeral_message_id")
        if not ephemeral_id:
            self._server_supports = False
            log.warning("telegram.ephemeral_unsupported")
            return str(message["message_id"])
        self._has_succeeded = True
        self._refused_until.pop(place.chat, None)
        return ephemeral_key(ephemeral_id, person)

    async def _send(self, parameters: Mapping[str, object]) -> Any:
        return await call_method(self._bot, "sendMessage", parameters)
