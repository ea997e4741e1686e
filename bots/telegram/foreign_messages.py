"""Answers in chats that the bot does not see: messages that a person placed by an inline query, and guest replies.

Inline: the message exists when the question arrives, and its answer is an edit of it. Guest: a person has summoned the
bot to a chat that it is not in, and the first request, `answerGuestQuery`, creates the message that later ones edit.
Telegram accepts it once, and only for about a minute. If its response is lost, nobody knows the message's ID.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import TypeGuard

import structlog
from telegram import Bot, User
from telegram.error import BadRequest, InvalidToken, TelegramError

from bots.telegram.buttons import inline_keyboard
from bots.telegram.dialect import part_entities
from bots.telegram.errors import is_not_modified, to_delivery_error
from bots.telegram.http_client import call_method
from bots.telegram.identity import PLATFORM
from bots.telegram.rich_dialect import rich_content, rich_message
from bots.telegram.rich_messages import RichMessages
from core.bounded_dict import BoundedDict
from core.errors import DeliveryError, DeliveryFailure
from core.port import Part, Place

INLINE, GUEST = "inline", "guest"
MAX_ID_CHARS = 100
MAX_UNCONFIRMED = 1_000
UNKNOWN_ID = "unknown"
"""The ID of a message that shows the answer and cannot be edited."""
NO_LINK_PREVIEW = {"is_disabled": True}

log = structlog.get_logger(__name__)


def inline_token(inline_message_id: str) -> str:
    """The `Incoming.interaction_token` of a question whose message exists."""
    return f"{INLINE}:{inline_message_id}"


def guest_token(guest_query_id: str) -> str:
    return f"{GUEST}:{guest_query_id}"


def is_message_id(id_: str | None) -> TypeGuard[str]:
    """Whether this is the ID of an inline message or of a guest query, which become parts of keys in the database."""
    return id_ is not None and 0 < len(id_) <= MAX_ID_CHARS


def foreign_place(token: str, user: User, me: User) -> Place:
    """The place of one question by `user`. A private chat has its person's ID."""
    return Place(PLATFORM, str(me.id), str(user.id), thread=token.replace(":", "-"), is_foreign=True)


def is_guest(place: Place) -> bool:
    return place.is_foreign and (place.thread or "").startswith(GUEST)


def message_content(part: Part) -> dict[str, object]:
    """The `InputMessageContent` of a result."""
    if rich_content(part) is not None:
        return {"rich_message": rich_message(part)}
    content: dict[str, object] = {"message_text": part.text, "link_preview_options": NO_LINK_PREVIEW}
    entities = part_entities(part)
    return content | {"entities": entities} if entities else content


class GuestQueryClosedError(DeliveryError):
    """Telegram accepts no answer to the guest query: too late, or it has one whose ID is unknown."""

    def __init__(self) -> None:
        super().__init__("Telegram accepts no answer to the guest query", DeliveryFailure.GONE)


class ForeignMessages:
    """For one bot and its server, as long as the process lives."""

    def __init__(self, bot: Bot, rich_messages: RichMessages) -> None:
        self._bot = bot
        self._rich_messages = rich_messages
        self.allows_guests = True
        """False once the server has turned out not to support `answerGuestQuery`."""
        self._unconfirmed: BoundedDict[str, tuple[Part, ...]] = BoundedDict(MAX_UNCONFIRMED)
        """By guest query: what its message may show, because the response was lost."""

    async def send(self, token: str, part: Part) -> str:
        """Show `part` as the answer to the question with this token. Returns the ID of its message.

        Raises `TelegramError`, `DeliveryError`, `GuestQueryClosedError`, and `RichRejectedError` for a rich part.
        """
        kind, _, id_ = token.partition(":")
        if kind == GUEST:
            return await self._answer_guest_once(id_, part)
        await self.edit(id_, part)
        return id_

    async def edit(self, inline_message_id: str, part: Part) -> None:
        """Raises `TelegramError`, and `RichRejectedError` for a rich part."""
        target: dict[str, object] = {"inline_message_id": inline_message_id, "reply_markup": _keyboard(part)}
        try:
            if rich_content(part) is not None:
                await self._rich_messages.call("editMessageText", part, target)
            else:
                text = {"text": part.text, "link_preview_options": NO_LINK_PREVIEW}
                await call_method(
                    self._bot, "editMessageText", {**target, **text, "entities": part_entities(part) or None}
                )
        except BadRequest as error:
            if not is_not_modified(error):
                raise

    async def _answer_guest_once(self, guest_query_id: str, part: Part) -> str:
        unconfirmed = self._unconfirmed.pop(guest_query_id, ())
        self._unconfirmed[guest_query_id] = (*unconfirmed, part)
        try:
            message_id = await self._answer_guest(guest_query_id, part)
        except (TelegramError, DeliveryError) as error:
            failure = error.failure if isinstance(error, DeliveryError) else to_delivery_error(error).failure
            if failure is not DeliveryFailure.UNKNOWN:
                self._unconfirmed[guest_query_id] = unconfirmed
            if failure is not DeliveryFailure.GONE:
                raise
            # A preview, which has a Stop button, is not the end of the answer.
            if unconfirmed and not part.buttons and all(shown == part for shown in unconfirmed):
                return UNKNOWN_ID
            raise GuestQueryClosedError from error
        del self._unconfirmed[guest_query_id]
        return message_id

    async def _answer_guest(self, guest_query_id: str, part: Part) -> str:
        result: dict[str, object] = {
            "type": "article",
            "id": "answer",
            "title": "Parley",
            "input_message_content": message_content(part),
        }
        if (keyboard := _keyboard(part)) is not None:
            result["reply_markup"] = keyboard
        refusals = self._rich_messages.recognising_refusals() if rich_content(part) is not None else nullcontext()
        with refusals, self._recognising_old_server():
            sent = await call_method(
                self._bot, "answerGuestQuery", {"guest_query_id": guest_query_id, "result": result}
            )
        return str(sent["inline_message_id"])

    @contextmanager
    def _recognising_old_server(self) -> Iterator[None]:
        try:
            yield
        except InvalidToken as error:
            if "not found" not in error.message.lower():
                raise
            if self.allows_guests:
                log.warning("telegram.guests_unsupported", error=error.message)
            self.allows_guests = False
            # As if the bot might not write there: nobody pays for an answer that nobody sees.
            raise DeliveryError("This Telegram server has no guest queries", DeliveryFailure.FORBIDDEN) from None


def _keyboard(part: Part) -> object:
    keyboard = inline_keyboard(part)
    return keyboard and keyboard.to_dict()
