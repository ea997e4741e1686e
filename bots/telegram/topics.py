"""Names the topics of private chats after their first questions.

A person who writes outside of any topic opens one. Telegram gives it a name of its own, which the bot should replace.
"""

import structlog
from telegram import Bot, Message, Update
from telegram.error import TelegramError

from core.bounded_dict import BoundedDict
from core.conversation.redaction import find_api_key
from core.port import EventKind, Incoming

MAX_TITLE_CHARS = 48
MAX_PENDING_TOPICS = 1_000

log = structlog.get_logger(__name__)


class TopicTitles:
    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._unnamed: BoundedDict[tuple[str, str], bool] = BoundedDict(MAX_PENDING_TOPICS)
        """Chats and topics that wait for a question."""

    def observe(self, update: Update) -> None:
        """Notice a topic that needs a name, or that its owner named it."""
        message = update.message
        if message is None or message.message_thread_id is None:
            return
        topic = str(message.chat.id), str(message.message_thread_id)
        if _needs_name(message):
            self._unnamed[topic] = True
        elif message.forum_topic_edited is not None:
            self._unnamed.pop(topic, None)

    def title_of(self, incoming: Incoming) -> str:
        """The title for the topic of a stored question; empty if it needs none."""
        place = incoming.place
        topic = place.chat, place.thread or ""
        if topic not in self._unnamed or incoming.kind is not EventKind.PROMPT or not incoming.text.strip():
            return ""
        if find_api_key(incoming.text):
            return ""  # the bot deletes this message
        self._unnamed.pop(topic, None)
        return make_title(incoming.text)

    async def rename(self, incoming: Incoming, title: str) -> None:
        """Best effort: never repeated."""
        place = incoming.place
        try:
            await self._bot.edit_forum_topic(int(place.chat), int(place.thread or 0), name=title)
        except TelegramError as error:
            log.info("telegram.topic_not_named", error=type(error).__name__)


def make_title(text: str) -> str:
    """The beginning of the first line, without half of a word."""
    line = " ".join(text.strip().splitlines()[0].split()).lstrip("#>*-` ")
    if len(line) <= MAX_TITLE_CHARS:
        return line
    return f"{line[:MAX_TITLE_CHARS].rpartition(' ')[0] or line[:MAX_TITLE_CHARS]}…"


def _needs_name(message: Message) -> bool:
    created = message.forum_topic_created
    return message.chat.type == message.chat.PRIVATE and created is not None and bool(created.is_name_implicit)
