"""Sends drafts: previews of an answer that are not messages yet."""

from telegram import Bot
from telegram.error import BadRequest, InvalidToken

from bots.telegram.dialect import part_entities
from bots.telegram.http_client import call_method
from bots.telegram.rich_dialect import rich_content
from bots.telegram.rich_messages import RichMessages
from bots.telegram.translate import thread_id
from core.errors import DeliveryError, DeliveryFailure
from core.port import Part, Place


class DraftSender:
    """Sends drafts with a Stop control, and adapts to older servers that lack a part of this."""

    def __init__(self, bot: Bot, rich_messages: RichMessages) -> None:
        self._bot = bot
        self._rich_messages = rich_messages
        self.is_supported = True
        """False once the server has rejected the method as unknown."""
        self._supports_stop: bool | None = None
        """Whether the server supports `can_stop`; None until the first draft."""

    async def send(self, place: Place, draft_id: int, part: Part) -> None:
        """Raises `TelegramError`, and `RichRejectedError` for a rich part."""
        if self._supports_stop is not False:
            try:
                await self._send(place, draft_id, part, can_stop=True)
            except BadRequest:
                if self._supports_stop:
                    raise
            else:
                self._supports_stop = True
                return
        await self._send(place, draft_id, part, can_stop=False)
        self._supports_stop = False  # the server accepted the same draft without it

    async def _send(self, place: Place, draft_id: int, part: Part, *, can_stop: bool) -> None:
        target: dict[str, object] = {
            "chat_id": int(place.chat),
            "message_thread_id": thread_id(place),
            "draft_id": draft_id,
            "can_stop": can_stop or None,
        }
        if rich_content(part) is not None:
            await self._rich_messages.call("sendRichMessageDraft", part, target)
            return
        content = {"text": part.text, "entities": part_entities(part) or None}
        try:
            await call_method(self._bot, "sendMessageDraft", target | content)
        except InvalidToken as error:
            if "not found" not in error.message.lower():
                raise
            self.is_supported = False
            raise DeliveryError("This Telegram server does not support drafts", DeliveryFailure.REJECTED) from None
