"""The chats, their messages, drafts and typing, and the updates about them that the bot gets."""

import itertools
from collections import deque
from functools import partial

from bots.sandbox.stand_in import MAX_RECORDS, ChatEvent, ChatEventKind, ChatStandIn, Json
from bots.sandbox.telegram.entities import detect_entities
from bots.sandbox.telegram.errors import ApiError
from bots.sandbox.telegram.limits import FloodControl, Limits
from bots.sandbox.telegram.state import Call, Chat, ChatType, Draft, Message, RichMessage, User
from bots.sandbox.telegram.updates import UpdateQueue, Webhook
from core.clock import Clock, SystemClock

DRAFT_LIFETIME_SECONDS = 30.0
TYPING_SECONDS = 5.0
GENERAL_TOPIC_ID = 1
LIMITED_METHODS = frozenset(
    {"sendmessage", "sendrichmessage", "senddocument", "editmessagetext", "editephemeralmessagetext"}
)
DRAFT_METHODS = frozenset({"sendmessagedraft", "sendrichmessagedraft"})


class Backend(ChatStandIn[Chat, Message, Call]):
    """`draft_log` holds every version of every draft.

    A webhook that fails gets its update again after `webhook_retry_delay` seconds, then after twice as long, and so on.
    """

    def __init__(
        self,
        *,
        token: str = "123456789:AAsandbox-token-for-telegram-stand-in",  # noqa: S107 (a stand-in's)
        limits: Limits = Limits(),  # noqa: B008 (frozen)
        clock: Clock = SystemClock(),
        webhook_retry_delay: float = 1.0,
    ) -> None:
        super().__init__(clock)
        self.bot = bot = User(int(token.partition(":")[0]), "Parley", username="parley_sandbox_bot", is_bot=True)
        self.token = token
        self.flood_control = FloodControl(limits, clock)
        self.webhook: Webhook | None = None
        self.webhook_retry_delay = webhook_retry_delay
        self.chats: dict[int, Chat] = {}
        self.users: dict[int, User] = {bot.id: bot}
        self.updates = UpdateQueue(clock)
        self.draft_log: deque[Draft] = deque(maxlen=MAX_RECORDS)
        self.profile: dict[str, str] = {}
        """What people read about the bot."""
        self.has_rich_messages = True
        self.has_ephemeral_messages = True
        """False: like an older server, which ignores the parameter that it does not know."""
        self._ephemeral_ids = itertools.count(1)
        """False: an older Bot API server, without their methods."""
        self.supports_inline = True
        """The bot has inline queries (/setinline)."""
        self.supports_guests = True
        """The bot may be summoned to chats that it is not in. False also for an older Bot API server."""
        self.inline_messages: dict[str, Message] = {}
        """By `Message.inline_id`."""
        self.privacy_mode = True
        """In groups, the bot gets only messages that are meant for it."""
        self._live_drafts: dict[tuple[int, int | None], Draft] = {}
        self._typing_until: dict[tuple[int, int | None], float] = {}
        self._user_ids = itertools.count(1001)
        self._group_ids = itertools.count(4_000_000_001)
        self._supergroup_ids = itertools.count(1_001_500_000_001)
        self._private_message_ids = itertools.count(101)
        """Private chats and groups number their messages together."""

    # -- users and chats

    def create_user(
        self,
        name: str,
        *,
        id: int | None = None,  # noqa: A002 (Telegram's word)
        language: str = "en",
        username: str = "",
    ) -> User:
        user = User(id or next(self._user_ids), name, language, username)
        self.users[user.id] = user
        return user

    def open_private_chat(self, user: User) -> Chat:
        """The chat of a user who has started the bot, so that the bot may write."""
        chat = self.chats.get(user.id)
        return chat or self._add_chat(Chat(user.id, ChatType.PRIVATE, user.name, self._private_message_ids, [user]))

    def create_group(self, title: str, *members: User) -> Chat:
        """A basic group with the bot. The first member is its owner."""
        chat_id = -next(self._group_ids)
        return self._add_chat(Chat(chat_id, ChatType.GROUP, title, self._private_message_ids, list(members)))

    def create_supergroup(self, title: str, *members: User) -> Chat:
        message_ids = itertools.count(2)  # message 1 announced the creation
        chat_id = -next(self._supergroup_ids)
        return self._add_chat(Chat(chat_id, ChatType.SUPERGROUP, title, message_ids, list(members)))

    def create_forum(self, title: str, *members: User) -> Chat:
        chat = self.create_supergroup(title, *members)
        chat.is_forum = True
        return chat

    def create_topic(self, chat: Chat, name: str, *, is_name_implicit: bool = False) -> int:
        """The first member creates a topic in a forum or a private chat. Returns its thread ID."""
        creator = chat.members[0]
        thread_id = next(chat.next_message_ids)
        chat.topics[thread_id] = name
        created: Json = {"name": name, "icon_color": 0x6FB9F0}
        if is_name_implicit:
            created["is_name_implicit"] = True
        fields = {"forum_topic_created": created}
        message = Message(
            thread_id, chat, creator, "", int(self.clock.time()), thread_id=thread_id, extra_fields=fields
        )
        chat.add_message(message)
        self._queue_update("message", message)
        self.publish(chat, ChatEvent(ChatEventKind.SENT, message))
        return thread_id

    def rename_topic(self, chat: Chat, thread_id: int, name: str) -> None:
        """The first member renames a topic."""
        chat.topics[thread_id] = name
        message = self.add_message(
            chat, chat.members[0], "", thread_id=thread_id, extra_fields={"forum_topic_edited": {"name": name}}
        )
        self._queue_update("message", message)

    def delete_topic(self, chat: Chat, thread_id: int) -> None:
        """Telegram sends bots no update about it."""
        del chat.topics[thread_id]

    def _add_chat(self, chat: Chat) -> Chat:
        self.chats[chat.id] = chat
        return chat

    # -- messages

    def add_message(
        self,
        chat: Chat,
        sender: User,
        text: str,
        *,
        thread_id: int | None = None,
        reply_to_id: int | None = None,
        entities: list[Json] | None = None,
        reply_markup: Json | None = None,
        extra_fields: Json | None = None,
        rich: RichMessage | None = None,
        receiver: User | None = None,
    ) -> Message:
        """Add a message. It ends the draft, and a message of the bot the typing, in its chat and topic."""
        target = chat.find_message(reply_to_id)
        reply_thread_id = None
        if target is not None and chat.type is ChatType.SUPERGROUP and not chat.is_forum:
            reply_thread_id = target.reply_thread_id or target.id
        message = Message(
            next(chat.next_message_ids),
            chat,
            sender,
            text,
            int(self.clock.time()),
            thread_id,
            entities or [],
            reply_markup,
            reply_to_id if target is not None else None,
            reply_thread_id,
            extra_fields or {},
            rich=rich,
            receiver=receiver,
            ephemeral_id=0 if receiver is None else next(self._ephemeral_ids),
        )
        chat.add_message(message)
        self.end_draft(chat, thread_id)
        if sender is self.bot:
            self._typing_until.pop((chat.id, thread_id), None)
        self.publish(chat, ChatEvent(ChatEventKind.SENT, message))
        return message

    def notify_bot(self, update_kind: str, message: Message) -> None:
        """Queue an update about a user's message, if the bot receives the message."""
        if self._bot_receives(message):
            self._queue_update(update_kind, message)

    def add_service_message(self, chat: Chat, sender: User, **fields: object) -> Message:
        """A service message, which the bot receives in spite of privacy mode."""
        message = self.add_message(chat, sender, "", extra_fields=fields)
        if chat.has_bot:
            self._queue_update("message", message)
        return message

    def _queue_update(self, update_kind: str, message: Message) -> None:
        self.updates.add(update_kind, message.json(), message.chat.id)

    def _bot_receives(self, message: Message) -> bool:
        chat = message.chat
        if not chat.has_bot:
            return False
        if chat.is_private or not self.privacy_mode or chat.bot_is_administrator:
            return True
        target = chat.find_message(message.reply_to_id)
        if target is not None and target.from_bot:
            return True
        bot_mention = f"@{self.bot.username}".lower()
        utf16 = message.text.encode("utf-16-le")
        for entity in message.entities or detect_entities(message.text):
            start, end = 2 * entity["offset"], 2 * (entity["offset"] + entity["length"])
            entity_text = utf16[start:end].decode("utf-16-le").lower()
            if entity["type"] == "bot_command":
                _, at, addressee = entity_text.partition("@")
                if (at and f"@{addressee}" == bot_mention) or (not at and entity["offset"] == 0):
                    return True
            elif entity["type"] == "mention" and entity_text == bot_mention:
                return True
        return False

    # -- drafts and typing

    def show_draft(self, chat: Chat, draft: Draft) -> None:
        key = (chat.id, draft.thread_id)
        if key not in self._live_drafts:
            self._schedule_expiry(chat, draft.thread_id, DRAFT_LIFETIME_SECONDS)
        self.draft_log.append(draft)
        self._live_drafts[key] = draft
        self.publish(chat, ChatEvent(ChatEventKind.DRAFT, text=draft.text))

    def end_draft(self, chat: Chat, thread_id: int | None) -> None:
        if self._live_drafts.pop((chat.id, thread_id), None) is not None:
            self.publish(chat, ChatEvent(ChatEventKind.DRAFT_GONE))

    def _schedule_expiry(self, chat: Chat, thread_id: int | None, seconds: float) -> None:
        self.clock.call_later(seconds, partial(self._expire_draft, chat, thread_id))

    def _expire_draft(self, chat: Chat, thread_id: int | None) -> None:
        draft = self._live_drafts.get((chat.id, thread_id))
        if draft is None:
            return
        remaining = draft.shown_at + DRAFT_LIFETIME_SECONDS - self.clock.monotonic()
        if remaining > 0:
            self._schedule_expiry(chat, thread_id, remaining)
        else:
            self.end_draft(chat, thread_id)

    def live_drafts(self, chat: Chat) -> list[Draft]:
        now = self.clock.monotonic()
        return [
            draft
            for (id_, _), draft in self._live_drafts.items()
            if id_ == chat.id and now - draft.shown_at < DRAFT_LIFETIME_SECONDS
        ]

    def start_typing(self, chat: Chat, thread_id: int | None) -> None:
        self._typing_until[chat.id, thread_id] = self.clock.monotonic() + TYPING_SECONDS
        self.publish(chat, ChatEvent(ChatEventKind.TYPING))

    def is_typing(self, chat: Chat, thread_id: int | None = None) -> bool:
        return self._typing_until.get((chat.id, thread_id), 0.0) > self.clock.monotonic()

    def enforce_limits(self, call: Call) -> None:
        """Count a call that writes to a chat. Raises `ApiError` for one too many."""
        method = call.method.lower()
        chat = self.chats.get(call.params.get("chat_id") or 0)
        if chat is None or method not in LIMITED_METHODS | DRAFT_METHODS:
            return
        wait = self.flood_control.remaining_wait(chat.id)
        call.is_early = wait > 0
        wait = wait or self.flood_control.admit(chat.id, is_private=chat.is_private, is_draft=method in DRAFT_METHODS)
        if wait > 0:
            raise ApiError.too_many_requests(wait)

    # -- what a user sees

    def messages(self, chat: Chat, thread_id: int | None = None) -> list[Message]:
        """The visible messages of a chat, or of one topic. Deleted ones are in `chat.messages` only."""
        return [
            message
            for message in chat.messages
            if not message.is_deleted
            and (thread_id is None or message.thread_id == thread_id)
            and "forum_topic_created" not in message.extra_fields
        ]

    def transcript(self, chat: Chat, thread_id: int | None = None) -> str:
        """The chat as text: messages with their buttons, and live drafts."""
        lines = []
        for message in self.messages(chat, thread_id):
            text = message.text or f"<{', '.join(message.extra_fields)}>"
            text += f" <{message.file_name}>" if message.file_name else ""
            edited = " (edited)" if message.edit_date is not None else ""
            labels = "".join(f" [{button['text']}]" for button in message.buttons)
            lines.append(f"{message.id} {message.sender.name}: {text}{labels}{edited}")
        lines += [
            f"(draft {draft.draft_id}) {draft.text or 'Thinking…'}"
            for draft in self.live_drafts(chat)
            if thread_id is None or draft.thread_id == thread_id
        ]
        return "\n".join(lines)

    def _transcripts(self) -> list[str]:
        return [f"-- {chat.title} ({chat.id})\n{self.transcript(chat)[-1500:]}" for chat in self.chats.values()]
