"""The chats: who is in them, what is said, what a watcher sees of it."""

import asyncio
import itertools
import time
import weakref
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TypeVar

from bots.sandbox.telegram.entities import detect
from bots.sandbox.telegram.updates import Updates
from bots.sandbox.telegram.world import Bot, Chat, Draft, Event, Json, Message, Person

__all__ = ["Scene"]

T = TypeVar("T")
DRAFT_LIVES = 30.0  # seconds
TYPING_LASTS = 5.0  # seconds
RECORDS = 20_000
GENERAL = 1
SETTLING = 0.002
"""Seconds in which changes are gathered before waiting conditions are looked at again."""


class Watch(AsyncIterator[Event]):
    """What happens in one chat from now on; the oldest is lost when nobody reads."""

    def __init__(self, chat: Chat) -> None:
        self.chat = chat
        self._events: deque[Event] = deque(maxlen=1000)
        self._more = asyncio.Event()

    def add(self, event: Event) -> None:
        self._events.append(event)
        self._more.set()

    async def __anext__(self) -> Event:
        while not self._events:
            self._more.clear()
            await self._more.wait()
        return self._events.popleft()


class Scene:
    """`drafts` logs every showing of every draft."""

    def __init__(self, bot: Bot, clock: Callable[[], float]) -> None:
        self.bot = bot
        self.chats: dict[int, Chat] = {}
        self.known: dict[int, Person] = {bot.id: bot}
        self.updates = Updates()
        self.drafts: deque[Draft] = deque(maxlen=RECORDS)
        self.privacy = True
        """Privacy mode: whether the bot hears only what is meant for it in groups."""
        self.hears_mentions = True
        """Whether privacy mode lets a plain @mention through; reports differ."""
        self.clock = clock
        self._live: dict[tuple[int, int | None], Draft] = {}
        self._typing: dict[tuple[int, int | None], float] = {}
        self._people_ids = itertools.count(1001)
        self._group_ids = itertools.count(4_000_000_001)
        self._supergroup_ids = itertools.count(1_001_500_000_001)
        self._own_ids = itertools.count(101)
        """Private chats and groups number their messages together."""
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._moved: asyncio.Future[None] | None = None

    # -- who and where

    def person(
        self,
        name: str,
        *,
        id: int | None = None,  # noqa: A002 (Telegram's word)
        language: str = "en",
        username: str = "",
    ) -> Person:
        made = Person(id or next(self._people_ids), name, language, username)
        self.known[made.id] = made
        return made

    def private(self, person: Person) -> Chat:
        """The person's chat with the bot, begun (which is what lets a bot write)."""
        known = self.chats.get(person.id)
        return known or self._open(Chat(person.id, "private", person.name, self._own_ids, [person]))

    def group(self, title: str, *people: Person) -> Chat:
        """A basic group, which the first of `people` owns and the bot is a member of."""
        return self._open(Chat(-next(self._group_ids), "group", title, self._own_ids, list(people)))

    def supergroup(self, title: str, *people: Person) -> Chat:
        ids: Iterator[int] = itertools.count(2)  # 1 was its creation
        return self._open(Chat(-next(self._supergroup_ids), "supergroup", title, ids, list(people)))

    def forum(self, title: str, *people: Person) -> Chat:
        chat = self.supergroup(title, *people)
        chat.forum = True
        return chat

    def topic(self, chat: Chat, name: str, *, by: Person | None = None) -> int:
        """Begin a topic in a forum or a private chat; its thread id."""
        creator = by or chat.members[0]
        thread = next(chat.ids)
        chat.topics[thread] = name
        created = {"forum_topic_created": {"name": name, "icon_color": 0x6FB9F0}}
        message = Message(thread, chat, creator, "", int(time.time()), thread=thread, extra=created)
        chat.add(message)
        if not creator.is_bot:
            self._tell("message", message)
        self.show(chat, Event("sent", message, thread=thread))
        return thread

    def _open(self, chat: Chat) -> Chat:
        self.chats[chat.id] = chat
        return chat

    # -- what is said

    def append(
        self,
        chat: Chat,
        sender: Person,
        text: str,
        *,
        thread: int | None = None,
        reply_to: int | None = None,
        entities: list[Json] | None = None,
        reply_markup: Json | None = None,
        extra: Json | None = None,
    ) -> Message:
        """A message, shown to the watchers. It ends the draft and the typing at its place."""
        target = chat.find(reply_to)
        chain = None
        if target is not None and chat.type == "supergroup" and not chat.forum:
            chain = target.chain or target.id
        message = Message(
            next(chat.ids), chat, sender, text, int(time.time()), thread, entities or [],
            reply_markup, reply_to if target is not None else None, chain, extra or {},
        )  # fmt: skip
        chat.add(message)
        self.end_draft(chat, thread)
        if sender is self.bot:
            self._typing.pop((chat.id, thread), None)
        self.show(chat, Event("sent", message, thread=thread))
        return message

    def told(self, kind: str, message: Message) -> None:
        """An update about a person's message, if the bot gets to hear it."""
        if self._hears(message):
            self._tell(kind, message)

    def service(self, chat: Chat, sender: Person, **extra: object) -> Message:
        """A service message; the bot hears those whatever its privacy mode."""
        message = self.append(chat, sender, "", extra=extra)
        if chat.status in {"member", "administrator"}:
            self._tell("message", message)
        return message

    def _tell(self, kind: str, message: Message) -> None:
        self.updates.add(kind, message.json(), message.chat.id)

    def _hears(self, message: Message) -> bool:
        chat = message.chat
        if chat.status not in {"member", "administrator"}:
            return False
        if chat.private or not self.privacy or chat.status == "administrator":
            return True
        target = chat.find(message.reply_to)
        if target is not None and target.from_bot:
            return True
        me = f"@{self.bot.username}".lower()
        wide = message.text.encode("utf-16-le")
        for entity in message.entities or detect(message.text):
            start, end = 2 * entity["offset"], 2 * (entity["offset"] + entity["length"])
            marked = wide[start:end].decode("utf-16-le").lower()
            if entity["type"] == "bot_command":
                _, at, addressee = marked.partition("@")
                if (at and f"@{addressee}" == me) or (not at and entity["offset"] == 0):
                    return True
            elif entity["type"] == "mention" and marked == me and self.hears_mentions:
                return True
        return False

    # -- drafts and typing

    def draft(self, chat: Chat, draft: Draft) -> None:
        key = (chat.id, draft.thread)
        fresh = key not in self._live
        self.drafts.append(draft)
        self._live[key] = draft
        if fresh:
            self._expire_later(chat, draft.thread, DRAFT_LIVES)
        self.show(chat, Event("draft", text=draft.text, thread=draft.thread))

    def end_draft(self, chat: Chat, thread: int | None) -> None:
        if self._live.pop((chat.id, thread), None) is not None:
            self.show(chat, Event("draft_gone", thread=thread))

    def _expire_later(self, chat: Chat, thread: int | None, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self._expire, chat, thread)

    def _expire(self, chat: Chat, thread: int | None) -> None:
        draft = self._live.get((chat.id, thread))
        if draft is None:
            return
        left = draft.time + DRAFT_LIVES - self.clock()
        if left > 0:
            self._expire_later(chat, thread, left)
        else:
            self.end_draft(chat, thread)

    def live_drafts(self, chat: Chat) -> list[Draft]:
        now = self.clock()
        return [
            draft
            for (id_, _), draft in self._live.items()
            if id_ == chat.id and now - draft.time < DRAFT_LIVES
        ]

    def type(self, chat: Chat, thread: int | None) -> None:
        self._typing[chat.id, thread] = self.clock() + TYPING_LASTS
        self.show(chat, Event("typing", thread=thread))

    def typing(self, chat: Chat, thread: int | None = None) -> bool:
        """Whether the chat shows that the bot is typing."""
        return self._typing.get((chat.id, thread), 0.0) > self.clock()

    # -- looking

    def messages(self, chat: Chat, thread: int | None = None) -> list[Message]:
        """What is in the chat, or in one topic of it; the deleted are in `chat.messages` only."""
        return [
            message
            for message in chat.messages
            if not message.deleted
            and (thread is None or message.thread == thread)
            and "forum_topic_created" not in message.extra
        ]

    def visible(self, chat: Chat, thread: int | None = None) -> str:
        """The chat as a person reads it."""
        lines = []
        for message in self.messages(chat, thread):
            said = message.text or f"<{', '.join(message.extra)}>"
            edited = " (edited)" if message.edit_date is not None else ""
            labels = "".join(f" [{button['text']}]" for button in message.buttons)
            lines.append(f"{message.id} {message.sender.name}: {said}{labels}{edited}")
        lines += [
            f"(draft {draft.draft_id}) {draft.text or 'Thinking…'}"
            for draft in self.live_drafts(chat)
            if thread is None or draft.thread == thread
        ]
        return "\n".join(lines)

    def watch(self, chat: Chat) -> AsyncIterator[Event]:
        """What happens in `chat` from this call on."""
        watch = Watch(chat)
        self._watches.add(watch)
        return watch

    async def wait(self, condition: Callable[[], T], timeout: float = 10) -> T:
        """What `condition` returns, once it is true; looked at whenever something changed."""
        try:
            async with asyncio.timeout(timeout):
                while not (found := condition()):
                    if self._moved is None or self._moved.done():
                        self._moved = asyncio.get_running_loop().create_future()
                    # Some conditions turn true by the mere passing of time.
                    await asyncio.wait({self._moved}, timeout=0.5)
                return found
        except TimeoutError:
            shown = [
                f"-- {chat.title} ({chat.id})\n{self.visible(chat)[-1500:]}"
                for chat in self.chats.values()
            ]
            tail = "\n".join(shown)[-4000:]
            raise TimeoutError(f"not within {timeout} s; the chats:\n{tail}") from None

    def show(self, chat: Chat, event: Event) -> None:
        for watch in self._watches:
            if watch.chat is chat:
                watch.add(event)
        self.touch()

    def touch(self) -> None:
        """Have waiting conditions looked at again, soon."""
        moved, self._moved = self._moved, None
        if moved is not None and not moved.done():
            moved.get_loop().call_later(SETTLING, _settle, moved)


def _settle(moved: "asyncio.Future[None]") -> None:
    if not moved.done():
        moved.set_result(None)
