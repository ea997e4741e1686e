"""Sends rich messages, and remembers whether the server supports them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog
from telegram import Bot
from telegram.error import BadRequest, InvalidToken

from bots.telegram.errors import is_not_modified, to_delivery_error
from bots.telegram.http_client import call_method
from bots.telegram.rich_dialect import rich_message
from core.errors import DeliveryFailure, RichRejectedError
from core.port import Part

MAX_REFUSALS = 3
"""A server that has refused this many rich messages, and accepted none, is taken for one without typed blocks."""
UNKNOWN_FIELD_TEXT = "message text is empty"
"""How a server answers that ignores `rich_message` in an edit."""
NOT_EDITABLE_TEXT = "message can't be edited"

log = structlog.get_logger(__name__)


class RichMessages:
    """For one bot and its server, as long as the process lives."""

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self.is_supported = True
        """False once the server has turned out not to support rich messages."""
        self._has_succeeded = False
        self._refusals = 0

    async def call(self, method: str, part: Part, parameters: Mapping[str, object]) -> Any:
        """Call a method with the blocks of `part`. Returns its result.

        Raises `TelegramError`, and `RichRejectedError` if the part must be sent in another form.
        """
        with self.recognising_refusals():
            return await call_method(self._bot, method, {**parameters, "rich_message": rich_message(part)})

    @contextmanager
    def recognising_refusals(self) -> Iterator[None]:
        """Around a request with a rich part."""
        try:
            yield
        except InvalidToken as error:
            if "not found" not in error.message.lower():
                raise
            self._give_up(error.message)
            raise RichRejectedError(error.message) from None
        except BadRequest as error:
            if not is_not_modified(error):
                self._count_refusal(error)
            raise
        self._has_succeeded = True

    def _count_refusal(self, error: BadRequest) -> None:
        """Raise `RichRejectedError` unless the error has other reasons."""
        text = error.message.lower()
        if to_delivery_error(error).failure is not DeliveryFailure.REJECTED and NOT_EDITABLE_TEXT not in text:
            return
        self._refusals += 1
        log.info("telegram.rich_message_refused", error=error.message)
        if UNKNOWN_FIELD_TEXT in text or (self._refusals >= MAX_REFUSALS and not self._has_succeeded):
            self._give_up(error.message)
        raise RichRejectedError(error.message) from error

    def _give_up(self, reason: str) -> None:
        if self.is_supported:
            log.warning("telegram.rich_messages_unsupported", error=reason)
        self.is_supported = False
