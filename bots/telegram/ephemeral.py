"""Ephemeral messages: what only one person sees in a group. Remembers where Telegram does not send them."""

from collections.abc import Mapping
from typing import Any

import structlog
from telegram import Bot
from telegram.error import BadRequest

from bots.telegram.errors import is_topic_gone
from bots.telegram.http_client import call_method
from bots.telegram.message_ids import ephemeral_key, is_ephemeral_key
from core.bounded_dict import BoundedDict
from core.port import Place

MAX_REMEMBERED_CHATS = 5_000

log = structlog.get_logger(__name__)


class EphemeralMessages:
    """For one bot and its server, as long as the process lives."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._is_known = True
        """False once the server has turned out to ignore the parameter: it sent a message that everybody sees."""
        self._is_accepted: BoundedDict[str, bool] = BoundedDict(MAX_REMEMBERED_CHATS)
        """By chat, once it is known."""

    def is_supported(self, place: Place) -> bool:
        """Whether the chat is known to accept them."""
        return self._is_known and self._is_accepted.get(place.chat, False)

    def observe(self, place: Place, message_id: str | None) -> None:
        """Somebody has pressed a button of a message."""
        if message_id is not None and is_ephemeral_key(message_id):
            self._is_accepted[place.chat] = True

    async def send(self, place: Place, person: str, parameters: Mapping[str, object]) -> str:
        """Send a message to `person` alone, or to everybody where Telegram refuses that. Returns its ID.

        `parameters` are those of `sendMessage`. Raises `TelegramError`.
        """
        # Somebody who writes as the group cannot get such a message.
        if self._is_known and self._is_accepted.get(place.chat, True) and person.isdecimal():
            # Without the reply: Telegram refuses it if the message no longer exists, such as that of a deleted API key.
            changes = {"reply_parameters": None, "ephemeral_message_parameters": {"receiver_user_id": int(person)}}
            try:
                message = await self._send({**parameters, **changes})
            except BadRequest as error:
                if is_topic_gone(error):
                    raise
                log.info("telegram.ephemeral_refused", chat=place.chat, error=error.message)
            else:
                return self._read_id(place, person, message)
            message = await self._send(parameters)
            self._is_accepted.setdefault(place.chat, False)
        else:
            message = await self._send(parameters)
        return str(message["message_id"])

    def _read_id(self, place: Place, person: str, message: Mapping[str, Any]) -> str:
        ephemeral_id = message.get("ephemeral_message_id")
        if not ephemeral_id:
            self._is_known = False
            log.warning("telegram.ephemeral_unsupported")
            return str(message["message_id"])
        self._is_accepted[place.chat] = True
        return ephemeral_key(ephemeral_id, person)

    async def _send(self, parameters: Mapping[str, object]) -> Any:
        return await call_method(self._bot, "sendMessage", parameters)
