"""What people do in a client: they write, edit, send files, press buttons, join and leave.
Keeps the files that users and the bot have sent.

Some methods are coroutines without need, so that both platforms are used alike.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bots.sandbox.stand_in import ChatEvent, ChatEventKind, Json
from bots.sandbox.telegram.backend import GENERAL_TOPIC_ID, Backend
from bots.sandbox.telegram.entities import detect_entities
from bots.sandbox.telegram.errors import bad_request
from bots.sandbox.telegram.state import BOT_API, Chat, ChatType, MemberStatus, Message, User, chat_member
from core.bounded_dict import BoundedDict

MAX_DOWNLOAD_BYTES = 20 * 1024 * 1024
MAX_UPLOAD_BYTES = 50_000_000
MAX_FILES = 100


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """The notification that the bot shows after a button was pressed."""

    text: str
    is_alert: bool


class ClientBackend(Backend):
    """`pending_queries` are the times of unanswered button presses, by query ID."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.callback_answers: dict[str, CallbackAnswer] = {}
        self.pending_queries: dict[str, float] = {}
        self._query_ids = itertools.count(5_000_000_001)
        self.files = FileStore()
        self._file_ids = itertools.count(1)

    async def send_message(
        self,
        user: User,
        chat: Chat,
        text: str,
        *,
        thread: int | None = None,
        reply_to: int | Message | None = None,
        entities: list[Json] | None = None,
        **extra_fields: Any,
    ) -> Message:
        """A message of a user. `extra_fields` are further fields of Telegram's object.

        Without `entities`, those that Telegram marks by itself.

        Raises `ValueError` for what a client does not allow.
        """
        if user not in chat.members:
            raise ValueError(f"{user.name} is not in {chat.title}")
        if chat.migrated_to_id is not None:
            raise ValueError(f"{chat.title} is a supergroup now")
        if chat.is_private and chat.bot_status is MemberStatus.KICKED:
            raise ValueError(f"{user.name} has blocked the bot")
        if thread == GENERAL_TOPIC_ID and chat.is_forum:
            thread = None
        if thread is not None and thread not in chat.topics:
            raise ValueError(f"{chat.title} has no topic {thread}")
        message = self.add_message(
            chat,
            user,
            text,
            thread_id=thread,
            entities=detect_entities(text) if entities is None else entities,
            extra_fields=extra_fields,
            reply_to_id=reply_to.id if isinstance(reply_to, Message) else reply_to,
        )
        self.notify_bot("message", message)
        return message

    async def forward_message(self, user: User, chat: Chat, original: Message, **options: Any) -> Message:
        origin = {"type": "user", "date": original.date, "sender_user": original.sender.json()}
        fields = dict(original.extra_fields)
        if original.rich is not None:
            fields["rich_message"] = original.rich.json()
        text = "" if original.rich is not None else original.text
        return await self.send_message(
            user, chat, text, forward_origin=origin, entities=list(original.entities), **fields, **options
        )

    def redeliver_last_update(self, chat: Chat) -> None:
        """Deliver the latest update of a chat to the bot once more."""
        self.updates.redeliver_last(chat.id)

    async def edit_message(self, message: Message, text: str) -> None:
        message.previous_texts.append(message.text)
        message.text, message.entities = text, detect_entities(text)
        message.edit_date = int(self.clock.time())
        self.notify_bot("edited_message", message)
        self.publish(message.chat, ChatEvent(ChatEventKind.EDITED, message))

    async def delete_message(self, message: Message) -> None:
        """Telegram sends bots no update about deleted messages."""
        message.is_deleted = True
        self.publish(message.chat, ChatEvent(ChatEventKind.DELETED, message))

    async def send_sticker(
        self, user: User, chat: Chat, content: bytes = b"", *, emoji: str = "🙂", thumbnail: bytes = b"", **options: Any
    ) -> Message:
        """With a `thumbnail`, the sticker moves."""
        sticker = {**self.files.add(self._new_file(), "sticker.webp", content), **BOT_API["sticker"], "emoji": emoji}
        if thumbnail:
            sticker |= {"is_video": True, "thumbnail": self._add_photo(thumbnail, 320)}
        return await self.send_message(user, chat, "", sticker=sticker, **options)

    async def send_animation(
        self, user: User, chat: Chat, thumbnail: bytes, *, caption: str = "", **options: Any
    ) -> Message:
        """A GIF, which Telegram keeps as a video. Its object is also a document."""
        video = self.files.add(self._new_file(), "giphy.mp4", b"\0\0\0\x18ftypmp42")
        video |= {"file_name": "giphy.mp4", "mime_type": "video/mp4", "thumbnail": self._add_photo(thumbnail, 320)}
        animation = {**video, "width": 320, "height": 240, "duration": 3}
        return await self.send_message(user, chat, caption, animation=animation, document=video, **options)

    async def send_album(
        self, user: User, chat: Chat, photos: Sequence[bytes], *, caption: str = "", **options: Any
    ) -> list[Message]:
        """Photos that arrive as one message each; the first one has the caption."""
        album = str(13_000_000_000 + next(self._file_ids))
        captions = [caption, *[""] * (len(photos) - 1)]
        return [
            await self.send_photo(user, chat, photo, caption=text, media_group_id=album, **options)
            for photo, text in zip(photos, captions, strict=True)
        ]

    async def send_document(
        self,
        user: User,
        chat: Chat,
        name: str,
        content: bytes = b"",
        *,
        caption: str = "",
        media_type: str = "application/octet-stream",
        **options: Any,
    ) -> Message:
        document = self.add_document(name, content, media_type)
        return await self.send_message(user, chat, caption, document=document, **options)

    def add_document(self, name: str, content: bytes, media_type: str) -> Json:
        """Store a file. Returns its object."""
        document = self.files.add(self._new_file(), name, content)
        return document | {"file_name": name, "mime_type": media_type}

    def document_content(self, message: Message) -> bytes:
        return self.files.content_by_id(message.extra_fields["document"]["file_id"])

    def document_url(self, message: Message) -> str:
        path = self.files.path_by_id(message.extra_fields["document"]["file_id"])
        return f"{self.api_base}/file/bot{self.token}/{path}"

    async def send_photo(
        self, user: User, chat: Chat, content: bytes = b"", *, caption: str = "", **options: Any
    ) -> Message:
        photo = [self._add_photo(content, width) for width in (90, 320, 1280)]
        return await self.send_message(user, chat, caption, photo=photo, **options)

    async def send_video(
        self, user: User, chat: Chat, content: bytes = b"", *, caption: str = "", **options: Any
    ) -> Message:
        video = self.files.add(self._new_file(), "video.mp4", content) | {"width": 640, "height": 360, "duration": 3}
        return await self.send_message(user, chat, caption, video=video, **options)

    async def send_voice(
        self, user: User, chat: Chat, content: bytes = b"", *, caption: str = "", **options: Any
    ) -> Message:
        voice = self.files.add(self._new_file(), "voice.oga", content) | {"duration": 3, "mime_type": "audio/ogg"}
        return await self.send_message(user, chat, caption, voice=voice, **options)

    def _add_photo(self, content: bytes, width: int) -> Json:
        photo = self.files.add(self._new_file(), "photo.jpg", content)
        return photo | {"width": width, "height": width * 3 // 4}

    def _new_file(self) -> Json:
        number = next(self._file_ids)
        return {"file_id": f"file-{number:06}", "file_unique_id": f"unique-{number:06}"}

    async def press_button(self, user: User, message: Message, callback_data: str) -> str:
        """Press a button. Returns the query ID, by which `callback_answers` will hold the bot's answer.

        A button of a deleted message still works while a client shows the message.
        Raises `ValueError` when the message has no button with `callback_data`.
        """
        if not any(button.get("callback_data") == callback_data for button in message.buttons):
            raise ValueError(f"no button with {callback_data!r}")
        if message.receiver not in (None, user):
            raise ValueError(f"{user.name} does not see the message")
        if user not in message.chat.members:
            raise ValueError(f"{user.name} is not in {message.chat.title}")
        query_id = str(next(self._query_ids))
        self.pending_queries[query_id] = self.clock.monotonic()
        pressed: Json = {"message": message.json()}
        if message.inline_id:
            pressed = {"inline_message_id": message.inline_id}
        elif message.is_deleted:
            pressed = {"message": {"chat": message.chat.json(), "message_id": message.id, "date": 0}}
        self.updates.add(
            "callback_query",
            {
                "id": query_id,
                "from": user.json(),
                "data": callback_data,
                "chat_instance": str(7_919 * message.chat.id),
                **pressed,
            },
            message.chat.id,
        )
        self.notify_waiters()
        return query_id

    async def stop_draft(self, chat: Chat, draft_id: int, thread_id: int | None = None) -> None:
        """Press the stop button of a draft. Raises `ValueError` when there is none."""
        draft = next((d for d in self.live_drafts(chat) if (d.draft_id, d.thread_id) == (draft_id, thread_id)), None)
        if draft is None or not draft.can_stop:
            raise ValueError(f"draft {draft_id} has no stop button")
        payload: Json = {"chat": chat.json(), "draft_id": draft_id}
        if thread_id is not None:
            payload["message_thread_id"] = thread_id
        self.updates.add("stopped_message_generation", payload, chat.id)
        self.end_draft(chat, thread_id)

    # -- members

    async def block_bot(self, user: User) -> None:
        self._set_bot_status(self.open_private_chat(user), user, MemberStatus.KICKED)

    async def kick_bot(self, user: User, chat: Chat) -> None:
        self._set_bot_status(chat, user, MemberStatus.KICKED)
        self.add_service_message(chat, user, left_chat_member=self.bot.json())

    async def add_bot(self, user: User, chat: Chat) -> None:
        """Add the bot to a group that it was not in."""
        chat.bot_status = MemberStatus.LEFT
        self._set_bot_status(chat, user, MemberStatus.MEMBER)

    async def promote_bot(self, user: User, chat: Chat) -> None:
        """Make the bot an administrator, who receives every message."""
        self._set_bot_status(chat, user, MemberStatus.ADMINISTRATOR)

    async def demote_bot(self, user: User, chat: Chat) -> None:
        """Make the bot an ordinary member again."""
        self._set_bot_status(chat, user, MemberStatus.MEMBER)

    async def join(self, user: User, chat: Chat) -> None:
        chat.members.append(user)
        self.add_service_message(chat, user, new_chat_members=[user.json()])

    def _set_bot_status(self, chat: Chat, user: User, status: MemberStatus) -> None:
        old, chat.bot_status = chat.bot_status, status
        self.updates.add(
            "my_chat_member",
            {
                "chat": chat.json(),
                "from": user.json(),
                "date": int(self.clock.time()),
                "old_chat_member": chat_member(self.bot, old),
                "new_chat_member": chat_member(self.bot, status),
            },
            chat.id,
        )
        self.notify_waiters()

    async def migrate_to_supergroup(self, chat: Chat) -> Chat:
        """Turn a group into a supergroup, which has another ID and numbers its messages from the start."""
        if chat.type is not ChatType.GROUP or chat.migrated_to_id is not None:
            raise ValueError(f"{chat.title} is not a group")
        supergroup = self.create_supergroup(chat.title, *chat.members)
        supergroup.bot_status = chat.bot_status
        owner = chat.members[0]
        self.add_service_message(chat, owner, migrate_to_chat_id=supergroup.id)
        chat.migrated_to_id = supergroup.id
        self.add_service_message(supergroup, owner, migrate_from_chat_id=chat.id)
        return supergroup


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A parameter of a multipart request."""

    name: str
    content: bytes
    media_type: str


class FileStore:
    def __init__(self) -> None:
        self._files: BoundedDict[str, tuple[Json, str, bytes]] = BoundedDict(MAX_FILES)

    def add(self, file: Json, name: str, content: bytes) -> Json:
        """Store a file for download. Returns its object, with the size."""
        file = file | {"file_size": len(content)}
        suffix = name.rpartition(".")[2] if "." in name else "bin"
        path = f"documents/{file['file_id'].replace('-', '_')}.{suffix}"
        self._files[file["file_id"]] = file, path, content
        return file

    def get_file(self, params: Json) -> Json:
        """The method getFile."""
        file, path, content = self._files.get(str(params.get("file_id")), ({}, "", b""))
        if not file:
            raise bad_request("invalid file_id")
        if len(content) > MAX_DOWNLOAD_BYTES:
            raise bad_request("file is too big")
        return file | {"file_path": path}

    def content_by_id(self, file_id: str) -> bytes:
        return self._files[file_id][2]

    def path_by_id(self, file_id: str) -> str:
        return self._files[file_id][1]

    def find(self, file_id: str) -> tuple[str, bytes] | None:
        """Name and content of a file."""
        file = self._files.get(file_id)
        return None if file is None else (file[1].rpartition("/")[2], file[2])

    def clear(self) -> None:
        """Telegram no longer has any file."""
        self._files.clear()

    def content(self, path: str) -> bytes | None:
        return next((content for _, file_path, content in self._files.values() if file_path == path), None)
