"""What people do in the chats, and the updates the bot gets of it."""

import itertools
import time
from dataclasses import dataclass
from typing import Any

from bots.sandbox.telegram.entities import detect
from bots.sandbox.telegram.members import member
from bots.sandbox.telegram.scene import GENERAL, Scene
from bots.sandbox.telegram.world import Bot, Chat, Event, Json, Message, Person

__all__ = ["Answer", "People"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the bot had shown at a press of a button."""

    text: str
    alert: bool


class People(Scene):
    """`queries` are the presses that wait for an answer, with the time of each."""

    def __init__(self, bot: Bot, clock: Any) -> None:
        super().__init__(bot, clock)
        self.answers: dict[str, Answer] = {}
        self.queries: dict[str, float] = {}
        self._query_ids = itertools.count(5_000_000_001)
        self._file_ids = itertools.count(1)

    async def say(
        self,
        person: Person,
        chat: Chat,
        text: str,
        *,
        thread: int | None = None,
        reply_to: int | Message | None = None,
        **extra: Any,
    ) -> Message:
        """A message of `person`. `extra` are further fields of Telegram's object.

        Raises `ValueError` for what a client would not let a person do.
        """
        if person not in chat.members:
            raise ValueError(f"{person.name} is not in {chat.title}")
        if chat.migrated_to is not None:
            raise ValueError(f"{chat.title} is a supergroup now")
        if chat.private and chat.status == "kicked":
            raise ValueError(f"{person.name} has blocked the bot")
        if thread == GENERAL and chat.forum:
            thread = None
        if thread is not None and thread not in chat.topics:
            raise ValueError(f"{chat.title} has no topic {thread}")
        message = self.append(
            chat, person, text, thread=thread, entities=detect(text), extra=extra,
            reply_to=reply_to.id if isinstance(reply_to, Message) else reply_to,
        )  # fmt: skip
        self.told("message", message)
        return message

    def redeliver(self, chat: Chat) -> None:
        """Let the bot have the latest update of `chat` a second time, though it confirmed it."""
        self.updates.repeat(chat.id)

    async def edit(self, message: Message, text: str) -> None:
        """The sender changes a message."""
        message.edits.append(message.text)
        message.text, message.entities = text, detect(text)
        message.edit_date = int(time.time())
        self.told("edited_message", message)
        self.show(message.chat, Event("edited", message, thread=message.thread))

    async def delete(self, message: Message) -> None:
        """Somebody deletes a message; the bot is not told."""
        message.deleted = True
        self.show(message.chat, Event("deleted", message, thread=message.thread))

    async def send_sticker(
        self, person: Person, chat: Chat, *, emoji: str = "🙂", **options: Any
    ) -> Message:
        sticker = self._file() | {
            "type": "regular", "width": 512, "height": 512, "is_animated": False,
            "is_video": False, "emoji": emoji,
        }  # fmt: skip
        return await self.say(person, chat, "", sticker=sticker, **options)

    async def send_document(
        self, person: Person, chat: Chat, name: str, *, caption: str = "", **options: Any
    ) -> Message:
        document = self._file() | {"file_name": name, "file_size": 1000}
        return await self.say(person, chat, caption, document=document, **options)

    async def send_photo(
        self, person: Person, chat: Chat, *, caption: str = "", **options: Any
    ) -> Message:
        photo = [
            self._file() | {"width": width, "height": width * 3 // 4, "file_size": width * 50}
            for width in (90, 320, 1280)
        ]
        return await self.say(person, chat, caption, photo=photo, **options)

    async def send_voice(self, person: Person, chat: Chat, **options: Any) -> Message:
        voice = self._file() | {"duration": 3, "mime_type": "audio/ogg", "file_size": 5000}
        return await self.say(person, chat, "", voice=voice, **options)

    def _file(self) -> Json:
        number = next(self._file_ids)
        return {"file_id": f"file-{number:06}", "file_unique_id": f"unique-{number:06}"}

    async def press(self, person: Person, message: Message, data: str) -> str:
        """Press a button; the id under which `answers` will hold what the bot shows.

        A deleted message can still be pressed, for a moment, by who has it on the screen.
        Raises `ValueError` when the message has no button with `data`.
        """
        if not any(button.get("callback_data") == data for button in message.buttons):
            raise ValueError(f"no button with {data!r}")
        if person not in message.chat.members:
            raise ValueError(f"{person.name} is not in {message.chat.title}")
        query = str(next(self._query_ids))
        self.queries[query] = self.clock()
        shown: Json = message.json()
        if message.deleted:
            shown = {"chat": shown["chat"], "message_id": message.id, "date": 0}
        self.updates.add(
            "callback_query",
            {
                "id": query, "from": person.json(), "data": data, "message": shown,
                "chat_instance": str(7_919 * message.chat.id),
            },
            message.chat.id,
        )  # fmt: skip
        self.touch()
        return query

    async def stop_draft(self, chat: Chat, draft_id: int, thread: int | None = None) -> None:
        """Press a draft's own Stop. Raises `ValueError` when the client shows none."""
        draft = next(
            (d for d in self.live_drafts(chat) if (d.draft_id, d.thread) == (draft_id, thread)),
            None,
        )
        if draft is None or not draft.can_stop:
            raise ValueError(f"no draft {draft_id} that can be stopped")
        stopped: Json = {"chat": chat.json(), "draft_id": draft_id}
        if thread is not None:
            stopped["message_thread_id"] = thread
        self.updates.add("stopped_message_generation", stopped, chat.id)
        if draft.keep_on_stop:
            self.touch()
        else:
            self.end_draft(chat, thread)

    # -- who is there

    async def block(self, person: Person) -> None:
        """Block the bot: it may no longer write to the person."""
        self._became(self.private(person), person, "kicked")

    async def unblock(self, person: Person) -> None:
        self._became(self.private(person), person, "member")

    async def add_bot(self, person: Person, chat: Chat) -> None:
        self._became(chat, person, "member")
        self.service(chat, person, new_chat_members=[self.bot.json()])

    async def kick_bot(self, person: Person, chat: Chat) -> None:
        self._became(chat, person, "kicked")
        self.service(chat, person, left_chat_member=self.bot.json())

    async def promote_bot(self, person: Person, chat: Chat) -> None:
        """Make the bot an administrator, who hears everything."""
        self._became(chat, person, "administrator")

    async def join(self, person: Person, chat: Chat) -> None:
        chat.members.append(person)
        self.service(chat, person, new_chat_members=[person.json()])

    async def leave(self, person: Person, chat: Chat) -> None:
        self.service(chat, person, left_chat_member=person.json())
        chat.members.remove(person)

    def _became(self, chat: Chat, person: Person, status: str) -> None:
        old, chat.status = chat.status, status
        self.updates.add(
            "my_chat_member",
            {
                "chat": chat.json(), "from": person.json(), "date": int(time.time()),
                "old_chat_member": member(self.bot, old),
                "new_chat_member": member(self.bot, status),
            },
            chat.id,
        )  # fmt: skip
        self.touch()

    async def migrate(self, chat: Chat) -> Chat:
        """Turn a group into a supergroup, which has another id and counts from the start."""
        if chat.type != "group" or chat.migrated_to is not None:
            raise ValueError(f"{chat.title} is not a group")
        made = self.supergroup(chat.title, *chat.members)
        made.status = chat.status
        owner = chat.members[0]
        self.service(chat, owner, migrate_to_chat_id=made.id)
        chat.migrated_to = made.id
        self.service(made, owner, migrate_from_chat_id=chat.id)
        return made

    def close_topic(self, chat: Chat, thread: int) -> None:
        chat.closed.add(thread)

    def delete_topic(self, chat: Chat, thread: int) -> None:
        """The topic and all that was said in it."""
        del chat.topics[thread]
        for message in chat.messages:
            message.deleted = message.deleted or message.thread == thread
        self.touch()
