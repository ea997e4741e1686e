"""Reactions of the bot to questions: a mark for seen ones in groups, and for those that wait for another answer."""

from collections.abc import Sequence

import structlog
from telegram import Bot
from telegram.error import BadRequest, Forbidden, TelegramError

from core.bounded_dict import BoundedDict
from core.clock import Clock
from core.errors import DeliveryError, DeliveryFailure
from core.port import EventKind, Incoming, Place
from core.turns.inbox import is_question

MAX_CHATS = 1_000
REFUSED_SECONDS = 3600.0
"""How long a chat that allows no reactions is not asked again: an administrator may change that."""
REFUSAL_TEXTS = ("reaction_invalid", "reactions_disabled", "reaction is not allowed", "not enough rights to react")
"""In errors about a chat. Others are about one message, which may be deleted."""
WAITING_EMOJI = "👀"

log = structlog.get_logger(__name__)


class Reactions:
    """`seen_emoji`: marks stored questions in groups; one of those that Telegram allows, or empty for none."""

    def __init__(self, bot: Bot, seen_emoji: str, clock: Clock) -> None:
        self._bot = bot
        self._seen_emoji = seen_emoji
        self._clock = clock
        self._refused_until: BoundedDict[str, float] = BoundedDict(MAX_CHATS)
        """By chat, by `Clock.monotonic`."""

    def marks_seen(self, incoming: Incoming) -> bool:
        is_message = incoming.kind in (EventKind.PROMPT, EventKind.COMMAND) and incoming.message_id is not None
        asks = is_question(incoming) or (incoming.command == "compare" and bool(incoming.text.strip()))
        is_in_group = not (incoming.place.is_private or incoming.place.is_foreign)
        return bool(self._seen_emoji) and is_message and asks and is_in_group

    async def mark_seen(self, incoming: Incoming) -> None:
        await self._set(incoming.place, incoming.message_id or "0", [self._seen_emoji])

    async def mark_waiting(self, place: Place, message_id: str, *, is_waiting: bool) -> None:
        """Mark a question, or remove the mark. Where questions are marked as seen, they are not marked as waiting.

        Raises `DeliveryError` where the chat allows no reactions.
        """
        if place.is_private or not self._seen_emoji:
            await self._set(place, message_id, [WAITING_EMOJI] * is_waiting)
        if is_waiting and self._is_refused(place.chat):
            raise DeliveryError("The chat allows no reactions", DeliveryFailure.FORBIDDEN)

    def _is_refused(self, chat: str) -> bool:
        return self._clock.monotonic() < self._refused_until.get(chat, 0.0)

    async def _set(self, place: Place, message_id: str, emoji: Sequence[str]) -> None:
        """Best effort: never repeated. Raises `TelegramError` if the reason may be temporary."""
        chat = place.chat
        if self._is_refused(chat):
            return
        try:
            await self._bot.set_message_reaction(int(chat), int(message_id), emoji)
        except (BadRequest, Forbidden) as error:
            if isinstance(error, Forbidden) or any(text in error.message.lower() for text in REFUSAL_TEXTS):
                self._refused_until[chat] = self._clock.monotonic() + REFUSED_SECONDS
            log.info("telegram.reaction_refused", chat=chat, error=error.message)
        except TelegramError as error:
            log.debug("telegram.reaction_failed", chat=chat, error=type(error).__name__)
            raise
