"""Names the topics of private chats after their first questions.

A person who writes outside of any topic opens one. Telegram gives it a name of its own, which the bot should replace.
Telegram may deliver the topic and its first question to different processes, or one of them after a restart: the
stored state has the topics that wait for a question.
"""

import hashlib
from collections.abc import Callable

import msgspec
import structlog
from telegram import Bot, Message, Update
from telegram.error import TelegramError

from core.clock import Clock
from core.conversation.redaction import find_api_key
from core.errors import StoreError
from core.port import EventKind, Incoming, StateStore
from core.texts.threads import make_title

MAX_TITLE_CHARS = 48
MAX_PENDING_TOPICS = 200
MAX_PENDING_SECONDS = 24 * 3600.0
QUESTION_COMMANDS = ("ask", "new")

log = structlog.get_logger(__name__)


class TopicTitles:
    """`state`: None, if nothing can be stored; then the topics that wait are known to this process alone."""

    def __init__(self, bot: Bot, state: StateStore | None, clock: Clock) -> None:
        self._bot = bot
        self._state = state
        self._clock = clock
        self._pending_json = ""
        """In place of the stored state."""

    async def observe(self, update: Update) -> None:
        """Notice a topic that needs a name, or that its owner named it. Raises `StoreError`."""
        message = update.message
        if message is None or message.message_thread_id is None or message.chat.type != message.chat.PRIVATE:
            return
        topic = _topic_key(str(message.chat.id), str(message.message_thread_id))
        if _needs_name(message):
            await self._update(lambda pending: {**pending, topic: self._clock.time()})
        elif message.forum_topic_edited is not None:
            await self._remove(topic)

    def may_name(self, incoming: Incoming) -> bool:
        """Whether a stored event is a question in a topic that may need a name."""
        is_question = incoming.kind is EventKind.PROMPT or incoming.command in QUESTION_COMMANDS
        # The bot deletes a message with an API key.
        has_title = bool(incoming.text.strip()) and not find_api_key(incoming.text)
        return incoming.place.is_private and incoming.place.thread is not None and is_question and has_title

    async def name(self, incoming: Incoming) -> None:
        """Name the topic of a question, if it waits for one. Best effort: never repeated."""
        place = incoming.place
        try:
            if await self._remove(_topic_key(place.chat, place.thread or "")):
                title = make_title(incoming.text, MAX_TITLE_CHARS)
                await self._bot.edit_forum_topic(int(place.chat), int(place.thread or 0), name=title)
        except (StoreError, TelegramError) as error:
            log.info("telegram.topic_not_named", error=type(error).__name__)

    async def _remove(self, topic: str) -> bool:
        """Returns whether the topic waited for a name."""
        if topic not in await self._load():
            return False  # as most do: nothing is written
        before = await self._update(lambda pending: {key: pending[key] for key in pending if key != topic})
        return topic in before

    async def _load(self) -> dict[str, float]:
        text = self._pending_json if self._state is None else await self._state.load_state(self._state_name)
        return self._decode(text)

    async def _update(self, change: Callable[[dict[str, float]], dict[str, float]]) -> dict[str, float]:
        """Returns the topics that waited before. No process changes them meanwhile."""

        def change_json(text: str) -> str:
            newest = list(change(self._decode(text)).items())[-MAX_PENDING_TOPICS:]
            return msgspec.json.encode(dict(newest)).decode()

        if self._state is not None:
            return self._decode(await self._state.update_state(self._state_name, change_json))
        before, self._pending_json = self._pending_json, change_json(self._pending_json)
        return self._decode(before)

    def _decode(self, text: str | None) -> dict[str, float]:
        """The topics that wait for a question, and since when."""
        try:
            pending = msgspec.json.decode(text, type=dict[str, float]) if text else {}
        except msgspec.DecodeError:
            pending = {}
        oldest = self._clock.time() - MAX_PENDING_SECONDS
        return {topic: since for topic, since in pending.items() if since > oldest}

    @property
    def _state_name(self) -> str:
        return f"telegram.topics.{self._bot.id}"


def _needs_name(message: Message) -> bool:
    created = message.forum_topic_created
    return created is not None and bool(created.is_name_implicit)


def _topic_key(chat: str, thread: str) -> str:
    """The state does not show who writes to the bot: the ID of a private chat is its person's. The hash has no salt, so
    whoever reads the database can find a person whose ID they guess. An entry that gets no question stays until the
    state changes for the first time after a day.
    """
    return hashlib.blake2b(f"{chat} {thread}".encode(), digest_size=12).hexdigest()
