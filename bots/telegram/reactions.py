"""Marks questions in groups as seen, with a reaction, because an answer may take a while."""

import structlog
from telegram import Bot
from telegram.error import BadRequest, Forbidden, TelegramError

from core.bounded_dict import BoundedDict
from core.port import EventKind, Incoming

MAX_CHATS = 1_000

log = structlog.get_logger(__name__)


class SeenReactions:
    """`emoji`: one of those that Telegram allows; empty for none."""

    def __init__(self, bot: Bot, emoji: str) -> None:
        self._bot = bot
        self._emoji = emoji
        self._chats_without: BoundedDict[str, bool] = BoundedDict(MAX_CHATS)
        """The chats that allow no such reaction. They are not asked again."""

    def concerns(self, incoming: Incoming) -> bool:
        place = incoming.place
        is_question = incoming.kind is EventKind.PROMPT and incoming.message_id is not None
        return bool(self._emoji) and is_question and not place.is_private and place.chat not in self._chats_without

    async def react(self, incoming: Incoming) -> None:
        """Best effort: never repeated."""
        chat = incoming.place.chat
        try:
            await self._bot.set_message_reaction(int(chat), int(incoming.message_id or 0), self._emoji)
        except (BadRequest, Forbidden) as error:
            self._chats_without[chat] = True
            log.info("telegram.reaction_refused", chat=chat, error=error.message)
        except TelegramError as error:
            log.debug("telegram.reaction_failed", chat=chat, error=type(error).__name__)
