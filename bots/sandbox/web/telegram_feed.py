"""Events of Telegram's side: what clients of the chats get, and the bot's calls."""

import re

from bots.sandbox.gauges import Gauge
from bots.sandbox.stand_in import ChatEvent, ChatEventKind, Json
from bots.sandbox.telegram.backend import DRAFT_METHODS, LIMITED_METHODS, TYPING_SECONDS
from bots.sandbox.telegram.state import Call, Chat, Draft, Message
from bots.sandbox.web.calls import CallReport, masked
from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.formulas import formulas_of
from bots.sandbox.web.world import World
from core.bounded_dict import BoundedDict

SILENT_METHODS = frozenset({"getupdates"})
"""Calls that say nothing about what the bot does."""
MAX_REACTED_MESSAGES = 1_000


class TelegramFeed:
    """A `ChatObserver`."""

    def __init__(self, world: World, log: EventLog) -> None:
        self._world = world
        self._server = server = world.telegram
        self._log = log
        self._reactions: BoundedDict[tuple[int, int], dict[int, str]] = BoundedDict(MAX_REACTED_MESSAGES)
        """The emoji of people by chat and message."""
        self._typing: set[tuple[int, int | None]] = set()
        """The chats and topics in which the bot does something."""
        server.observers.append(self)

    def announce_world(self) -> None:
        server = self._server
        people = [user.json() for user in self._world.telegram_people]
        chats = [
            {
                **chat.json(),
                "members": [member.id for member in chat.members],
                "topics": [{"thread_id": thread_id, "name": name} for thread_id, name in chat.topics.items()],
            }
            for chat in server.chats.values()
            if chat.members[0] in self._world.telegram_people
        ]
        bot = {**server.bot.json(), **server.profile}
        self._log.add("telegram.world", "world", bot=bot, people=people, chats=chats)

    def announce_messages(self) -> None:
        for chat in self._server.chats.values():
            for message in chat.messages:
                self._announce_message(chat, message)

    def set_reaction(self, message: Message, user_id: int, emoji: str) -> None:
        """Show what a person reacts with; "" takes it back."""
        reactions = self._reactions.setdefault((message.chat.id, message.id), {})
        reactions.pop(user_id, None)
        if emoji:
            reactions[user_id] = emoji
        self._announce_message(message.chat, message)

    def observe_chat(self, chat: Chat, event: ChatEvent[Message]) -> None:
        match event.kind:
            case ChatEventKind.DRAFT | ChatEventKind.DRAFT_GONE:
                self._announce_drafts(chat)
            case ChatEventKind.TYPING:
                pass  # the call says what the bot does
            case _ if event.message is not None:
                self._announce_message(chat, event.message)
                self._end_typing(chat, event.message)

    def observe_call(self, call: Call) -> None:
        method = call.method.lower()
        if method in SILENT_METHODS:
            return
        if call.status == 200 and not call.is_scripted:
            self._announce_effect(method, call.params)
        chat_id = call.params.get("chat_id")
        retry_after = call.status == 429 and re.search(r"retry after (\d+)", call.description)
        CallReport(
            platform="telegram",
            method=call.method,
            target="" if chat_id is None else str(chat_id),
            started_at=call.time,
            status=call.status,
            request=masked(call.params),
            response=masked(call.description or call.result),
            gauges=self._gauges(method, chat_id),
            wait=float(retry_after[1]) if retry_after else None,
        ).announce(self._log, self._server.clock)

    def _gauges(self, method: str, chat_id: object) -> list[Gauge]:
        """The limits that count a call."""
        if method in DRAFT_METHODS | LIMITED_METHODS and isinstance(chat_id, int):
            return self._server.flood_control.gauges(chat_id, is_draft=method in DRAFT_METHODS)
        return []

    def _announce_effect(self, method: str, params: Json) -> None:
        """Announce what a call changes without an event of its chat."""
        chat = self._server.chats.get(params.get("chat_id") or 0)
        match method:
            case "setmycommands":
                scope = (params.get("scope") or {}).get("type", "default")
                language = str(params.get("language_code") or "")
                commands = params.get("commands") or []
                key = f"{scope}/{language}"
                self._log.add("telegram.commands", key, scope=scope, language_code=language, commands=commands)
            case "sendchataction" if chat is not None:
                self._announce_typing(chat, params.get("message_thread_id"), str(params["action"]), TYPING_SECONDS)
            case "setmessagereaction" if chat is not None:
                message = chat.find_message(params.get("message_id"))
                if message is not None:
                    self._announce_message(chat, message)
            case "editforumtopic" | "setmydescription" | "setmyshortdescription":
                self.announce_world()

    def _announce_message(self, chat: Chat, message: Message) -> None:
        reactions: dict[str, list[int]] = {emoji: [self._server.bot.id] for emoji in message.reactions}
        for user_id, emoji in self._reactions.get((chat.id, message.id), {}).items():
            reactions.setdefault(emoji, []).append(user_id)
        payload = message.json() | {"message_id": message.id}  # an ephemeral one has none for bots
        self._log.add(
            "telegram.message",
            f"{chat.id}/{message.id}",
            chat_id=chat.id,
            message=payload,
            reactions=reactions,
            is_deleted=message.is_deleted,
            formulas=formulas_of(payload.get("rich_message")),
        )

    def _announce_drafts(self, chat: Chat) -> None:
        drafts = [_draft_json(draft) for draft in self._server.live_drafts(chat)]
        formulas = formulas_of([draft["rich_message"] for draft in drafts])
        self._log.add("telegram.drafts", str(chat.id), chat_id=chat.id, drafts=drafts, formulas=formulas)

    def _announce_typing(self, chat: Chat, thread_id: int | None, action: str, seconds: float) -> None:
        key = (chat.id, thread_id)
        self._typing = self._typing | {key} if action else self._typing - {key}
        self._log.add(
            "telegram.typing",
            f"{chat.id}/{thread_id or ''}",
            chat_id=chat.id,
            message_thread_id=thread_id,
            action=action,
            until=self._server.clock.time() + seconds,
        )

    def _end_typing(self, chat: Chat, message: Message) -> None:
        if message.from_bot and (chat.id, message.thread_id) in self._typing:
            self._announce_typing(chat, message.thread_id, "", 0.0)


def _draft_json(draft: Draft) -> Json:
    return {
        "draft_id": draft.draft_id,
        "message_thread_id": draft.thread_id,
        "text": draft.text,
        "entities": draft.entities,
        "rich_message": None if draft.rich is None else draft.rich.json(),
        "can_stop": draft.can_stop,
    }
